// SPDX-License-Identifier: MIT
//! Two destinations over an imagined plane: whatever one sends to a lease of the other arrives, is lost, or comes twice.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::destination::{ErrorKind, Target};
use crate::tunnel::{InboundTunnel, OutboundTunnel};
use crate::wire::{Lease2, LeaseSetKey};

struct Pair {
    now: Now,
    rng: Rng,
    sides: [Engine; 2],
    /// Messages under way: when, to whom, what.
    wire: Vec<(Mono, usize, I2np)>,
    loss_percent: u64,
    twice_percent: u64,
    /// A side whose messages are lost.
    mute: Option<usize>,
    events: [Vec<Action>; 2],
}

fn pool(now: Now, n: u8) -> PoolState {
    let expires = now.mono + Duration::from_secs(600);
    let id = TunnelId(u32::from(n) + 1);
    let gateway = RouterHash([n + 1; 32]);
    PoolState {
        inbound: vec![InboundTunnel {
            gateway,
            id,
            receive: id,
            hops: vec![gateway],
            created: now.mono,
            expires,
        }],
        outbound: vec![OutboundTunnel {
            handle: id,
            endpoint: RouterHash([n + 50; 32]),
            hops: vec![],
            created: now.mono,
            expires,
        }],
    }
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self::with(seed, |_, _| ())
    }

    fn with(seed: u64, change: impl Fn(u8, &mut SessionConfig)) -> Self {
        let now = Now { mono: Mono::from_secs(100), wall_ms: 1_700_000_000_000 };
        let mut rng = Rng::from_seed(seed);
        let mut side = |n: u8| {
            let mut config = SessionConfig::transient();
            config.unpublished = true;
            change(n, &mut config);
            let keys = DestinationKeys::generate(&mut rng).expect("keys");
            let strangers = Arc::new(Strangers::new(500));
            let mut engine = Engine::new(&config, keys, strangers, Limits::default(), rng.fork("engine"));
            engine.set_pool(now, Arc::new(pool(now, n)));
            engine
        };
        let sides = [side(0), side(1)];
        let mut pair = Self {
            now,
            rng,
            sides,
            wire: vec![],
            loss_percent: 0,
            twice_percent: 0,
            mute: None,
            events: [vec![], vec![]],
        };
        pair.settle();
        pair
    }

    /// Gives side `to` the lease set of the other, as a floodfill would.
    fn introduce(&mut self, to: usize) {
        let far = &self.sides[1 - to];
        let leases = pool(self.now, (1 - to) as u8)
            .inbound
            .iter()
            .map(|t| Lease2 { gateway: t.gateway, tunnel: t.id, end_s: self.now.wall_s() + 500 })
            .collect();
        let key = LeaseSetKey { kind: 4, key: far.sessions.public_key().as_bytes().to_vec() };
        let (keys, wall) = (far.keys.clone(), self.now.wall_s());
        let ls = LeaseSet2::build(keys.destination(), wall - 1, wall + 500, true, vec![key], leases, |b| {
            keys.signing().sign_parts(&mut Rng::from_seed(1), &[b])
        });
        self.sides[to].learn(self.now, Arc::new(Verified::check(ls).expect("signed")));
        self.settle();
    }

    /// Takes what the engines want and puts it on the wire.
    fn settle(&mut self) {
        for n in 0..2 {
            while let Some(Action::Out { messages, .. }) = self.sides[n].poll_out(self.now) {
                for (delivery, message) in messages {
                    let Delivery::Tunnel(gateway, id) = delivery else { continue };
                    let to = usize::from(gateway.0[0] - 1);
                    assert_eq!(id.0 as usize, to + 1, "the lease's tunnel at the lease's gateway");
                    if self.mute == Some(n) || self.rng.below(100) < self.loss_percent {
                        continue;
                    }
                    let copies = if self.rng.below(100) < self.twice_percent { 2 } else { 1 };
                    for _ in 0..copies {
                        let delay = Duration::from_millis(20 + self.rng.below(10));
                        self.wire.push((self.now.mono + delay, to, message.clone()));
                    }
                }
            }
            while let Some(action) = self.sides[n].poll_action() {
                self.events[n].push(action);
            }
        }
    }

    /// Moves the clock to the next thing that happens, until `done` or `limit` has passed.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now.mono + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            let wire = self.wire.iter().map(|(at, ..)| *at).min();
            let timers = self.sides.iter().filter_map(|s| s.poll_timeout(self.now)).min();
            let next = [wire, timers]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(end)
                .max(self.now.mono + Duration::from_micros(100));
            if next > end {
                return false;
            }
            self.now = self.now.later(next.since(self.now.mono));
            let (due, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= next);
            self.wire = rest;
            for (_, to, message) in due {
                self.sides[to].messages(self.now, vec![message]);
            }
            for n in 0..2 {
                let ids = self.sides[n].bell().take();
                self.sides[n].service(self.now, &ids);
                if self.sides[n].poll_timeout(self.now).is_some_and(|at| at <= self.now.mono) {
                    self.sides[n].handle_timeout(self.now);
                }
            }
        }
    }

    fn hash(&self, n: usize) -> DestHash {
        self.sides[n].hash
    }

    fn connect(&mut self, from: usize, to_port: u16) -> Result<I2pStream, Error> {
        let target = Target::Hash(self.hash(1 - from));
        self.sides[from].connect(
            self.now,
            7,
            &target,
            ConnectOptions { to_port, ..ConnectOptions::default() },
        );
        let mut result = None;
        self.run(Duration::from_secs(90), |p| {
            let at = p.events[from].iter().position(|a| matches!(a, Action::Connected { token: 7, .. }));
            if let Some(Action::Connected { result: r, .. }) = at.map(|at| p.events[from].remove(at)) {
                result = Some(r);
            }
            result.is_some()
        });
        result.unwrap_or_else(|| Err(Error::new(ErrorKind::Timeout, "the test gave up")))
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn write(stream: &mut I2pStream, data: &[u8]) -> usize {
    match Pin::new(stream).poll_write(&mut cx(), data) {
        Poll::Ready(Ok(n)) => n,
        Poll::Ready(Err(e)) => panic!("{e}"),
        Poll::Pending => 0,
    }
}

/// What can be read now: bytes, or how the stream ended.
fn read(stream: &mut I2pStream, into: &mut Vec<u8>) -> Option<std::io::Result<()>> {
    let mut block = [0; 4096];
    loop {
        let mut buf = ReadBuf::new(&mut block);
        match Pin::new(&mut *stream).poll_read(&mut cx(), &mut buf) {
            Poll::Pending => return None,
            Poll::Ready(Err(e)) => return Some(Err(e)),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => return Some(Ok(())),
            Poll::Ready(Ok(())) => into.extend_from_slice(buf.filled()),
        }
    }
}

fn transfer(pair: &mut Pair, bytes: usize) {
    pair.introduce(0);
    let mut near = pair.connect(0, 80).expect("connects");
    let mut far = pair.sides[1].take_incoming(pair.now, Wanted::To(80)).expect("came in");
    assert_eq!((far.local_port(), far.peer().hash()), (80, pair.hash(0)));
    let data: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
    let (mut sent, mut got, mut end) = (0, Vec::new(), None);
    let done = pair.run(Duration::from_secs(600), |_| {
        sent += if sent < data.len() { write(&mut near, &data[sent..]) } else { 0 };
        if sent == data.len() {
            let _ = Pin::new(&mut near).poll_shutdown(&mut cx());
        }
        end = end.take().or_else(|| read(&mut far, &mut got));
        end.is_some()
    });
    assert!(done, "{} of {} bytes arrived", got.len(), data.len());
    assert!(got == data && end.is_some_and(|e| e.is_ok()));
}

#[test]
fn bytes_cross_with_the_lease_set_of_the_caller_bundled() {
    let mut pair = Pair::new(1);
    assert!(matches!(pair.events[0].first(), Some(Action::Ready)));
    transfer(&mut pair, 300_000);
    assert!(pair.sides[1].peers.is_usable(pair.now, &pair.hash(0)), "the callee learned it from the call");
}

#[test]
fn bytes_cross_a_bad_way() {
    for seed in 2..6 {
        let mut pair = Pair::new(seed);
        (pair.loss_percent, pair.twice_percent) = (5, 5);
        transfer(&mut pair, 100_000);
    }
}

#[test]
fn a_call_without_tunnels_to_ask_through_says_why_it_failed() {
    let mut pair = Pair::new(1);
    let error = pair.connect(0, 0).expect_err("no floodfill is known");
    assert_eq!(error.kind(), ErrorKind::LeaseSetNotFound);
    assert!(error.explain().contains("floodfill"), "{error}");
}

#[test]
fn a_destination_that_cannot_read_our_encryption_is_named_as_such() {
    let mut pair = Pair::new(1);
    let far = pair.sides[1].keys.clone();
    let wall = pair.now.wall_s();
    let lease = Lease2 { gateway: RouterHash([2; 32]), tunnel: TunnelId(2), end_s: wall + 500 };
    let key = LeaseSetKey { kind: 0, key: vec![0; 256] };
    let ls = LeaseSet2::build(far.destination(), wall, wall + 500, false, vec![key], vec![lease], |b| {
        far.signing().sign_parts(&mut Rng::from_seed(1), &[b])
    });
    let target = Target::Destination(far.destination().clone());
    pair.sides[0].connect(pair.now, 9, &target, ConnectOptions::default());
    pair.sides[0].learn(pair.now, Arc::new(Verified::check(ls).expect("signed")));
    pair.settle();
    let error = pair.events[0].iter().find_map(|a| match a {
        Action::Connected { token: 9, result: Err(e) } => Some(e.clone()),
        _ => None,
    });
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Incompatible));
}

#[test]
fn a_peer_who_has_gone_is_a_timeout_and_an_abandoned_call_leaves_nothing() {
    let mut pair = Pair::new(1);
    pair.introduce(0);
    pair.loss_percent = 100;
    let error = pair.connect(0, 0).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let target = Target::Hash(pair.hash(1));
    pair.sides[0].connect(pair.now, 8, &target, ConnectOptions::default());
    pair.sides[0].abandon(pair.now, 8);
    assert!(pair.sides[0].dialling.is_empty() && pair.sides[0].calls.is_empty());
    pair.run(Duration::from_secs(120), |_| false);
    assert!(pair.sides[0].streams.is_empty());
}

#[test]
fn a_stream_to_oneself_needs_no_tunnel() {
    let mut pair = Pair::new(1);
    let me = pair.sides[0].keys.destination().clone();
    pair.sides[0].connect(pair.now, 5, &Target::Destination(me), ConnectOptions::default());
    let mut far = None;
    assert!(pair.run(Duration::from_secs(10), |p| {
        far = far.take().or_else(|| p.sides[0].take_incoming(p.now, Wanted::Of(0)));
        p.events[0].iter().any(|a| matches!(a, Action::Connected { token: 5, result: Ok(_) }))
            && far.is_some()
    }));
    assert!(pair.wire.is_empty(), "nothing left the destination");
}

#[test]
fn the_end_of_a_destination_is_an_error_for_its_peers() {
    let mut pair = Pair::new(1);
    pair.introduce(0);
    let mut near = pair.connect(0, 0).expect("connects");
    let _far = pair.sides[1].take_incoming(pair.now, Wanted::Of(0)).expect("came in");
    pair.sides[1].shut_down(pair.now);
    let (mut got, mut end) = (Vec::new(), None);
    assert!(pair.run(Duration::from_secs(30), |_| {
        end = end.take().or_else(|| read(&mut near, &mut got));
        end.is_some()
    }));
    assert!(end.is_some_and(|e| e.is_err()), "a reset is no orderly end");
}

mod datagrams;
mod listeners;
