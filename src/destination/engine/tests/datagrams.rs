// SPDX-License-Identifier: MIT
use super::*;
use crate::destination::ports::{OutDatagram, PortsHandle, Taken, ports};
use crate::destination::{Datagram, DatagramBinding, DatagramSender, DatagramStyle};
use crate::wire::i2cp_gzip;

const STYLES: [DatagramStyle; 4] =
    [DatagramStyle::Datagram1, DatagramStyle::Datagram2, DatagramStyle::Datagram3, DatagramStyle::Raw];

/// A side's ports, and its table in the engine.
struct Ports {
    handle: PortsHandle,
    task: crate::destination::ports::PortsTask,
}

impl Ports {
    fn new() -> Self {
        let (handle, task) = ports(&Budget::default(), &Limits::default());
        Self { handle, task }
    }

    fn bind(&self, pair: &mut Pair, side: usize, binding: DatagramBinding) -> Taken {
        let taken = self.handle.bind(binding).expect("free");
        self.show(pair, side);
        taken
    }

    fn show(&self, pair: &mut Pair, side: usize) {
        pair.sides[side].set_bindings(pair.now, self.task.table.borrow().clone());
    }

    fn send(&self, pair: &mut Pair, side: usize, to: DestHash, style: DatagramStyle, payload: &[u8]) {
        let out = OutDatagram {
            to,
            style,
            protocol: style.protocol(),
            ports: i2cp_gzip::Ports { from: 7, to: 9 },
            payload: payload.to_vec(),
            expires: None,
            send_lease_set: true,
            counts: Arc::default(),
            share: self.handle.try_room(payload.len()).expect("room"),
        };
        pair.sides[side].send_datagrams(pair.now, [Box::new(out)]);
    }
}

fn all(taken: &mut Taken) -> Vec<Datagram> {
    std::iter::from_fn(|| taken.arrivals.try_recv()).map(|a| a.datagram).collect()
}

#[test]
fn each_style_crosses_and_names_its_sender() {
    for style in STYLES {
        let mut pair = Pair::new(1);
        let (near, far) = (Ports::new(), Ports::new());
        let mut taken = far.bind(&mut pair, 1, DatagramBinding::of(style, 0));
        pair.introduce(0);
        let to = pair.hash(1);
        near.send(&mut pair, 0, to, style, b"hello");
        let mut got = Vec::new();
        assert!(pair.run(Duration::from_secs(2), |_| {
            got.extend(all(&mut taken));
            !got.is_empty()
        }));
        let d = got.remove(0);
        let own = pair.sides[0].keys.destination().clone();
        let from = match style {
            DatagramStyle::Datagram1 | DatagramStyle::Datagram2 => DatagramSender::Proven(own),
            DatagramStyle::Datagram3 => DatagramSender::Claimed(own.hash()),
            DatagramStyle::Raw => DatagramSender::Nobody,
        };
        assert_eq!((d.from, d.from_port, d.to_port, d.protocol), (from, 7, 9, style.protocol()), "{style:?}");
        assert_eq!(d.payload, b"hello");
    }
}

#[test]
fn a_flood_one_way_arrives_whole_although_the_program_never_answers() {
    let mut pair = Pair::new(2);
    let (near, far) = (Ports::new(), Ports::new());
    let mut taken = far.bind(&mut pair, 1, DatagramBinding::raw(0));
    pair.introduce(0);
    let to = pair.hash(1);
    let start = pair.now.mono;
    let (mut sent, mut got) = (0u32, Vec::new());
    assert!(pair.run(Duration::from_secs(20), |p| {
        while sent < 5000 && near.handle.try_room(1000).is_ok() {
            let mut payload = vec![0; 1000];
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            near.send(p, 0, to, DatagramStyle::Raw, &payload);
            sent += 1;
        }
        got.extend(all(&mut taken));
        got.len() >= 5000
    }));
    let took = pair.now.mono.since(start);
    let mut numbers: Vec<u32> =
        got.iter().map(|d| u32::from_be_bytes(d.payload[..4].try_into().unwrap())).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..5000), "each once");
    assert!(took < Duration::from_secs(3), "{took:?} with a round trip of 50 ms");
}

fn counted(pair: &Pair, side: usize, name: &str) -> u64 {
    pair.sides[side].counters().iter().find(|(n, _)| *n == name).map_or(0, |(_, n)| *n)
}

#[test]
fn datagrams_wait_for_the_lease_set_and_the_oldest_go_when_there_are_too_many() {
    let mut pair = Pair::new(3);
    let (near, far) = (Ports::new(), Ports::new());
    let mut taken = far.bind(&mut pair, 1, DatagramBinding::raw(0));
    let to = pair.hash(1);
    for n in 0..70u8 {
        near.send(&mut pair, 0, to, DatagramStyle::Raw, &[n]);
    }
    assert_eq!(counted(&pair, 0, "datagrams_waiting_full"), 6);
    pair.introduce(0);
    let mut got = Vec::new();
    assert!(pair.run(Duration::from_secs(2), |_| {
        got.extend(all(&mut taken));
        got.len() == 64
    }));
    assert!(got.iter().map(|d| d.payload[0]).eq(6..70));
}

#[test]
fn without_a_lease_set_datagrams_are_dropped_and_later_tried_again() {
    let mut pair = Pair::new(3);
    let near = Ports::new();
    let to = pair.hash(1);
    near.send(&mut pair, 0, to, DatagramStyle::Raw, b"lost");
    let lost = |p: &mut Pair| counted(p, 0, "datagrams_no_lease_set");
    assert!(pair.run(Duration::from_secs(60), |p| lost(p) == 1), "nobody can be asked");
    near.send(&mut pair, 0, to, DatagramStyle::Raw, b"lost at once");
    assert_eq!(lost(&mut pair), 2);
    pair.run(Duration::from_secs(6), |_| false);
    near.send(&mut pair, 0, to, DatagramStyle::Raw, b"asks again");
    assert_eq!(lost(&mut pair), 2);
    assert!(pair.run(Duration::from_secs(60), |p| lost(p) == 3));
    assert!(near.handle.try_room(500_000).is_ok(), "all room was given back");
}

#[test]
fn a_datagram_to_oneself_needs_no_tunnel() {
    for style in STYLES {
        let mut pair = Pair::new(4);
        let ports = Ports::new();
        let mut taken = ports.bind(&mut pair, 0, DatagramBinding::of(style, 9));
        let me = pair.hash(0);
        ports.send(&mut pair, 0, me, style, b"me");
        pair.settle();
        assert_eq!(all(&mut taken).len(), 1, "{style:?}");
        assert!(pair.wire.is_empty(), "nothing left the destination");
    }
}

#[test]
fn a_slow_program_slows_its_sender() {
    let mut pair = Pair::new(6);
    let (near, far) = (Ports::new(), Ports::new());
    let mut taken = far.bind(&mut pair, 1, DatagramBinding::repliable(0));
    pair.introduce(0);
    let to = pair.hash(1);
    let (mut got, mut next) = (0, pair.now.mono);
    pair.run(Duration::from_secs(10), |p| {
        while near.handle.try_room(1000).is_ok() {
            near.send(p, 0, to, DatagramStyle::Datagram1, &[1; 1000]);
        }
        while next <= p.now.mono {
            next = next + Duration::from_millis(1);
            got += usize::from(taken.arrivals.try_recv().is_some());
        }
        false
    });
    assert_eq!(counted(&pair, 1, "datagrams_in_full"), 0, "{got} taken");
    assert!(got > 8000, "{got}");
}

#[test]
fn a_remote_that_never_answers_gets_datagrams_all_the_same() {
    let mut pair = Pair::new(5);
    let (near, far) = (Ports::new(), Ports::new());
    let mut taken = far.bind(&mut pair, 1, DatagramBinding::raw(0));
    pair.introduce(0);
    let to = pair.hash(1);
    let (mut sent, mut got, mut next) = (0u32, Vec::new(), pair.now.mono);
    // What the far side sends is lost.
    pair.mute = Some(1);
    pair.run(Duration::from_secs(10), |p| {
        while next <= p.now.mono {
            next = next + Duration::from_millis(10);
            if sent < 900 {
                near.send(p, 0, to, DatagramStyle::Raw, &[1; 1000]);
                sent += 1;
            }
        }
        got.extend(all(&mut taken));
        false
    });
    assert!(got.len() as u32 == sent && sent > 400, "{} of {sent}", got.len());
}
