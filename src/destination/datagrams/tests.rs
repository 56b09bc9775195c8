// SPDX-License-Identifier: MIT
//! Datagrams of liars (row R6): forged, for somebody else, played again, of another format, too many.
use super::replays::Replays;
use super::*;
use crate::base::{Budget, Mono, Now, Part, Rng};
use crate::crypto::sign::AnySigningKey;
use crate::destination::ports::{PortsHandle, PortsTask, Taken, ports};
use crate::destination::{DatagramBinding, DatagramStyle};
use crate::wire::datagram::{Datagram2, Datagram3};
use crate::wire::i2cp_gzip::{Ports, Unwrapped};
use crate::wire::{DestHash, Destination, KeysAndCert, SigType, Wire};
use std::borrow::Cow;

const NOW: Now = Now { mono: Mono(1_000_000), wall_ms: 1_800_000_000_000 };
const US: DestHash = DestHash([9; 32]);

fn someone(seed: u64) -> (Destination, AnySigningKey) {
    let mut rng = Rng::from_seed(seed);
    let key = AnySigningKey::random(SigType::Ed25519, &mut rng).expect("a key");
    let keys = KeysAndCert::build(SigType::Ed25519, key.public(), 0, &[], rng.bytes());
    (Destination::new(keys), key)
}

/// A receiver with one program.
struct Receiver {
    incoming: Incoming,
    metrics: DatagramMetrics,
    taken: Taken,
    style: DatagramStyle,
    _ports: (PortsHandle, PortsTask),
}

impl Receiver {
    fn new(style: DatagramStyle, budget: &Budget) -> Self {
        let (handle, task) = ports(budget, &crate::destination::Limits::default());
        let taken = handle.bind(DatagramBinding::of(style, 0)).expect("free");
        let mut incoming = Incoming::new(US, 4096, &mut Rng::from_seed(1));
        incoming.set_bindings(task.table.borrow().clone());
        Self { incoming, metrics: DatagramMetrics::default(), taken, style, _ports: (handle, task) }
    }

    /// Whether it is taken. `session` is who sent it as far as garlic tells.
    fn takes(&mut self, session: Option<DestHash>, data: &[u8]) -> bool {
        let before = self.metrics.datagrams_in.get();
        let (ports, protocol) = (Ports { from: 1, to: 2 }, self.style.protocol());
        let unwrapped = Unwrapped { protocol, ports, data: Cow::Borrowed(data) };
        self.incoming.handle(NOW, session, unwrapped, &self.metrics);
        self.metrics.datagrams_in.get() > before
    }
}

fn first(from: &(Destination, AnySigningKey), payload: &[u8]) -> Vec<u8> {
    let mut out = from.0.to_bytes();
    out.extend_from_slice(&from.1.sign_parts(&mut Rng::from_seed(2), &[payload]));
    out.extend_from_slice(payload);
    out
}

fn second(from: &(Destination, AnySigningKey), to: &DestHash, payload: &[u8]) -> Vec<u8> {
    let mut signed = Vec::new();
    Datagram2::begin_signed(None, &mut signed);
    signed.extend_from_slice(payload);
    let mut out = from.0.to_bytes();
    out.extend_from_slice(&signed);
    out.extend_from_slice(&from.1.sign_parts(&mut Rng::from_seed(2), &[&to.0, &signed]));
    out
}

#[test]
fn r6_a_changed_bit_anywhere_is_noticed() {
    let alice = someone(1);
    for (style, good) in [
        (DatagramStyle::Datagram1, first(&alice, b"hello")),
        (DatagramStyle::Datagram2, second(&alice, &US, b"hello")),
    ] {
        let mut receiver = Receiver::new(style, &Budget::default());
        assert!(receiver.takes(None, &good), "{style:?}");
        let before = receiver.metrics.datagrams_in.get();
        // The signing key, the certificate, the signature, the payload. Padding and type of the encryption key are signed
        // by nobody, but they change who the sender is.
        for at in (352..389).chain(391..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!receiver.takes(None, &bad), "{style:?}, byte {at}");
        }
        for len in 0..good.len() - 5 {
            assert!(!receiver.takes(None, &good[..len]), "{style:?}, cut at {len}");
        }
        assert_eq!(receiver.metrics.datagrams_in.get(), before);
        assert!(receiver.metrics.datagrams_unsigned.get() > 60);
        assert_eq!(
            receiver.taken.counts.receive_dropped.get(),
            (good.len() - 352 - 2 + good.len() - 5) as u64
        );
    }
}

#[test]
fn r6_what_was_meant_for_another_or_came_before_is_not_taken() {
    let alice = someone(1);
    let mut receiver = Receiver::new(DatagramStyle::Datagram2, &Budget::default());
    let elsewhere = second(&alice, &DestHash([8; 32]), b"hello");
    assert!(!receiver.takes(None, &elsewhere));
    assert!(!receiver.takes(Some(alice.0.hash()), &elsewhere));
    assert_eq!(receiver.metrics.datagrams_unsigned.get(), 2);
    let ours = second(&alice, &US, b"hello");
    let mallory = Some(someone(2).0.hash());
    assert!(receiver.takes(mallory, &ours), "somebody else may carry it once");
    assert!(!receiver.takes(mallory, &ours) && !receiver.takes(None, &ours));
    assert_eq!(receiver.metrics.datagrams_replayed.get(), 2);
    assert!(receiver.takes(Some(alice.0.hash()), &ours), "its sender may say it again");
}

#[test]
fn r6_a_hash_that_only_claims_is_held_against_the_session() {
    let alice = someone(1).0.hash();
    let mut receiver = Receiver::new(DatagramStyle::Datagram3, &Budget::default());
    let mut claim = Datagram3::header(&alice).to_vec();
    claim.extend_from_slice(b"hello");
    assert!(receiver.takes(Some(alice), &claim) && receiver.takes(None, &claim));
    assert!(!receiver.takes(Some(someone(2).0.hash()), &claim));
    assert_eq!(receiver.metrics.datagrams_foreign.get(), 1);
}

#[test]
fn r6_signatures_are_remembered_up_to_the_limit() {
    let mut replays = Replays::new(&mut Rng::from_seed(1), 4096);
    let mark = |n: u32| {
        let mut mark = [0; 16];
        mark[..4].copy_from_slice(&n.to_be_bytes());
        mark
    };
    for n in 0..4096 {
        assert!(replays.insert(NOW.mono, mark(n)));
    }
    assert!(!replays.insert(NOW.mono, mark(1)), "at the limit all are known");
    assert!(replays.insert(NOW.mono, mark(4096)), "one past it");
    assert!(!replays.insert(NOW.mono, mark(4096)));
}

#[test]
fn r6_a_program_that_does_not_take_them_is_given_two_megabytes() {
    let budget = Budget::new(1 << 30);
    let mut receiver = Receiver::new(DatagramStyle::Raw, &budget);
    let datagram = vec![0; 32 * 1024 - 256];
    for n in 0..64 {
        assert!(receiver.takes(None, &datagram), "{n}");
    }
    assert_eq!(budget.used_by(Part::Datagrams), 2 << 20);
    assert!(!receiver.takes(None, b"x"), "one past the limit");
    assert_eq!(receiver.metrics.datagrams_in_full.get(), 1);
    assert!(receiver.taken.arrivals.try_recv().is_some());
    assert!(receiver.takes(None, &datagram));
    drop(receiver);
    assert_eq!(budget.used(), 0);
}
