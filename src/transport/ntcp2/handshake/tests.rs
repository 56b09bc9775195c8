// SPDX-License-Identifier: MIT
use super::super::replay::ReplayCache;
use super::super::{LocalKeys, PeerKeys};
use super::*;
use crate::base::Mono;
use crate::crypto::noise::{self, SymmetricState};
use crate::crypto::{SigningKey, X25519Public, X25519Secret, aes_cbc, sha256};
use crate::wire::{KeysAndCert, Mapping, RouterAddress, RouterIdentity, SigType, b64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NET: u8 = 77;
const WALL_MS: u64 = 1_777_000_000_250;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn now() -> Now {
    Now { mono: Mono::from_secs(1000), wall_ms: WALL_MS }
}

fn label(text: &str) -> X25519Secret {
    X25519Secret::from_bytes(sha256(&[text.as_bytes()]))
}

/// A router with one NTCP2 address and a signed RouterInfo.
struct Party {
    keys: Arc<LocalKeys>,
    signing: SigningKey,
    identity: RouterIdentity,
}

impl Party {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let signing = SigningKey::random(&mut rng);
        let encryption = X25519Secret::random(&mut rng).public();
        let public = signing.public();
        let kac = KeysAndCert::build(SigType::Ed25519, public.as_ref(), 4, encryption.as_ref(), rng.bytes());
        let identity = RouterIdentity::new(kac);
        let keys = LocalKeys::new(identity.hash(), X25519Secret::random(&mut rng), rng.bytes());
        Self { keys: Arc::new(keys), signing, identity }
    }

    fn info_with(&self, published_ms: u64, net_id: u8, s: &X25519Public, host: &str) -> Vec<u8> {
        let mut address = Mapping::new();
        address.set("host", host);
        address.set("port", "1234");
        address.set("s", &b64::encode(s.as_bytes()));
        address.set("i", &b64::encode(self.keys.iv()));
        address.set("v", "2");
        let mut options = Mapping::new();
        options.set("netId", &net_id.to_string());
        options.set("router.version", "0.9.67");
        options.set("caps", "XR");
        let address = RouterAddress { cost: 3, style: "NTCP2".into(), options: address };
        let info = RouterInfo::build(&self.identity, published_ms, vec![address], options, |bytes| {
            self.signing.sign(bytes).to_vec()
        });
        info.raw().to_vec()
    }

    fn info(&self) -> Vec<u8> {
        self.info_with(WALL_MS, NET, self.keys.public(), "127.0.0.1")
    }

    fn as_peer(&self) -> PeerKeys {
        PeerKeys { router: self.keys.router(), public: *self.keys.public(), iv: *self.keys.iv() }
    }
}

struct Pair {
    alice: Initiator,
    bob: Responder,
    replay: Arc<Mutex<ReplayCache>>,
}

fn policy() -> Policy {
    Policy { net_id: NET, any_source: false, remote: [127, 0, 0, 1].into() }
}

fn responder(seed: u64, bob: &Party, at: Now, replay: &Arc<Mutex<ReplayCache>>) -> Responder {
    Responder::new(at, Rng::from_seed(seed), bob.keys.clone(), policy(), replay.clone())
}

fn replay() -> Arc<Mutex<ReplayCache>> {
    Arc::new(Mutex::new(ReplayCache::new(&mut Rng::from_seed(9), 65_536)))
}

fn pair_with(seed: u64, info: &[u8], alice: &Party, bob: &Party, peer: PeerKeys, net_id: u8) -> Pair {
    let mut rng = Rng::from_seed(seed);
    let engine = Initiator::new(now(), &mut rng, alice.keys.clone(), info, peer, net_id).unwrap();
    let replay = replay();
    Pair { alice: engine, bob: responder(seed, bob, now(), &replay), replay }
}

fn pair(seed: u64) -> Pair {
    let (alice, bob) = (Party::new(1), Party::new(2));
    pair_with(seed, &alice.info(), &alice, &bob, bob.as_peer(), NET)
}

/// How one side ended.
#[derive(Debug)]
enum Outcome {
    Up(Box<Established>),
    Closed(Failure),
    Reset(Failure),
    Open,
}

impl Outcome {
    fn up(self) -> Established {
        match self {
            Self::Up(established) => *established,
            other => panic!("not established: {other:?}"),
        }
    }
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Closed(failure) | Self::Reset(failure) => Some(*failure),
            _ => None,
        }
    }
}

/// Drains one side: the bytes it sends and how it ended.
fn drain(mut poll: impl FnMut() -> Option<Action>, outcome: &mut Outcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(action) = poll() {
        match action {
            Action::Send(more) => bytes.extend(more),
            Action::Established(established) => *outcome = Outcome::Up(established),
            Action::Close(failure) => *outcome = Outcome::Closed(failure),
            Action::Reset(failure) => *outcome = Outcome::Reset(failure),
        }
    }
    bytes
}

/// Runs both sides, handing bytes over in pieces of `chunk`, each message changed by `tamper` first.
fn run(pair: &mut Pair, chunk: usize, mut tamper: impl FnMut(usize, &mut Vec<u8>)) -> (Outcome, Outcome) {
    let (mut alice, mut bob) = (Outcome::Open, Outcome::Open);
    let mut message = 0;
    loop {
        let mut to_bob = drain(|| pair.alice.poll_action(), &mut alice);
        if !to_bob.is_empty() {
            message += 1;
            tamper(message, &mut to_bob);
        }
        to_bob.chunks(chunk).for_each(|piece| pair.bob.handle(now(), piece));
        let mut to_alice = drain(|| pair.bob.poll_action(), &mut bob);
        if !to_alice.is_empty() {
            message += 1;
            tamper(message, &mut to_alice);
        }
        to_alice.chunks(chunk).for_each(|piece| pair.alice.handle(now(), piece));
        if to_alice.is_empty() && to_bob.is_empty() {
            return (alice, bob);
        }
    }
}

fn assert_linked(alice: &Established, bob: &Established) {
    assert_eq!(*alice.keys.send.cipher, *bob.keys.receive.cipher);
    assert_eq!(*alice.keys.receive.cipher, *bob.keys.send.cipher);
    assert_eq!(*alice.keys.send.sip, *bob.keys.receive.sip);
    assert_eq!(*alice.keys.receive.sip, *bob.keys.send.sip);
}

// Vectors: made by a script from the specification with fixed keys (SHA-256 of "bob static" and so on); the key schedule
// of the script was run against i2pd.
const MESSAGE1: &str = "3244a22f1983e72c2222aaff83ba4fd1b8b37557a234fbddb4e10370cb10acd425f4d78f19426da780e12ab172b4d12fb4b71012d059d519e67a605069a53f5e0001020304";
const MESSAGE2: &str = "40cf325807bd0b179a1aa4917f9dd855f51fecaba1e476c81b2ec2e08cfd753934e67ea6ea72c1b0dfd041ea4e51671f8a401a030522debed4ba62bcc0fda54200010203040506";
const PART1: &str =
    "f39bd57b8e0946a8d06ecc8f6d27abdf289ad4181b733fac039a68e73f220af6c8773a46e1b2ab2c931723a58fab6d2f";
const PART2_SHA256: &str = "e3ed95b28cbe4d48ecf808a5ebc64d1e7f8dccc00de0cf2927db51c95afd2a1f";
const K_AB: &str = "b3937bafb04f6b5bf98999b49721f27d2b7bf1214b59148a73ecfe2cfd686747";
const K_BA: &str = "c92da608d7716e2f554e308dbf685bd44069a56c3c9207a06725e9b56709ab90";
const SIP_AB: &str = "a403f12b314b34e916c4b4cc4c04e482a1db1e108c59386b42a2a515c6e45dda";
const SIP_BA: &str = "fa7b3fa14173c559522a2968dc577055c9092b60301742a250830a1844402a45";

#[test]
fn both_sides_reproduce_the_vectors() {
    let at = Now { mono: Mono(0), wall_ms: 0x6a00_0000 * 1000 };
    let router = RouterHash(sha256(&[b"bob router hash"]));
    let iv: [u8; 16] = sha256(&[b"bob iv"])[..16].try_into().unwrap();
    let alice = Arc::new(LocalKeys::new(RouterHash([0; 32]), label("alice static"), [0; 16]));
    let bob = Arc::new(LocalKeys::new(router, label("bob static"), iv));
    let peer = PeerKeys { router, public: *bob.public(), iv };
    let info: Vec<u8> = (0..500u32).map(|i| i as u8).collect();
    let pad1: Vec<u8> = (0..5).collect();
    let pad2: Vec<u8> = (0..7).collect();

    let mut initiator = Initiator::with(at, label("alice ephemeral"), &pad1, alice, &info, peer, 2).unwrap();
    let Some(Action::Send(message1)) = initiator.poll_action() else { panic!("no message 1") };
    assert_eq!(message1, hex(MESSAGE1));

    let policy = Policy { net_id: 2, ..policy() };
    let vector = responder::Vector::new(at, bob, policy, replay());
    let (message2, confirmed) = vector.answer(at, &message1, label("bob ephemeral"), &pad2);
    assert_eq!(message2, hex(MESSAGE2));

    initiator.handle(at, &message2);
    let Some(Action::Send(message3)) = initiator.poll_action() else { panic!("no message 3") };
    assert_eq!(message3[..48], hex(PART1));
    assert_eq!(sha256(&[&message3[48..]]).to_vec(), hex(PART2_SHA256));
    let Some(Action::Established(established)) = initiator.poll_action() else { panic!("not established") };
    assert_eq!(established.keys.send.cipher.to_vec(), hex(K_AB));
    assert_eq!(established.keys.receive.cipher.to_vec(), hex(K_BA));
    assert_eq!(established.keys.send.sip.to_vec(), hex(SIP_AB));
    assert_eq!(established.keys.receive.sip.to_vec(), hex(SIP_BA));

    let (noise, key, payload): (SymmetricState, _, _) = confirmed.open(message3);
    assert_eq!(key, label("alice static").public().0);
    assert_eq!(info::router_info_of(&payload), Ok((info.as_slice(), false)));
    assert_eq!(DataKeys::derive(&noise, false).receive.cipher.to_vec(), hex(K_AB));
}

#[test]
fn n4_a_handshake_succeeds_with_any_padding_and_in_any_pieces() {
    for seed in 0..30 {
        for chunk in [1, 7, 63, 64, 65, 5000] {
            let (alice, bob) = run(&mut pair(seed), chunk, |_, _| {});
            let (alice, bob) = (alice.up(), bob.up());
            assert_linked(&alice, &bob);
            assert_eq!(alice.peer, Party::new(2).keys.router());
            assert_eq!(bob.peer, Party::new(1).keys.router());
            assert!(bob.skew_ms.abs() <= 500 && alice.skew_ms.abs() <= 500);
        }
    }
}

#[test]
fn every_split_of_every_message_is_the_same() {
    for cut in 1..200 {
        let mut pair = pair(3);
        let (mut alice, mut bob) = (Outcome::Open, Outcome::Open);
        for _ in 0..3 {
            let bytes = drain(|| pair.alice.poll_action(), &mut alice);
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            pair.bob.handle(now(), a);
            pair.bob.handle(now(), b);
            let bytes = drain(|| pair.bob.poll_action(), &mut bob);
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            pair.alice.handle(now(), a);
            pair.alice.handle(now(), b);
        }
        assert_linked(&alice.up(), &bob.up());
    }
}

#[test]
fn bytes_behind_message_3_are_kept() {
    let mut pair = pair(4);
    let (_, bob) = run(&mut pair, 10_000, |n, bytes| {
        if n == 3 {
            bytes.extend_from_slice(b"frame");
        }
    });
    assert_eq!(bob.up().rest, b"frame");
}

#[test]
fn n2_a_flipped_bit_anywhere_ends_the_handshake_and_message_1_is_never_answered() {
    let lengths = {
        let mut lengths = [0; 4];
        run(&mut pair(5), 10_000, |n, bytes| lengths[n] = bytes.len());
        lengths
    };
    for (message, length) in lengths.into_iter().enumerate().skip(1) {
        for at in 0..length {
            let mut answered = 0;
            let (alice, bob) = run(&mut pair(5), 10_000, |n, bytes| {
                answered = n;
                if n == message {
                    bytes[at] ^= 1 << (at % 8);
                }
            });
            assert!(!matches!(bob, Outcome::Up(_)), "message {message} byte {at}: {bob:?}");
            match message {
                1 if at < 64 => assert_eq!(answered, 1, "answered a bad message 1 (byte {at})"),
                1 => assert!(alice.failure().is_some(), "padding of message 1, byte {at}"),
                2 if at < 64 => assert!(alice.failure().is_some(), "message 2 byte {at}"),
                _ => {}
            }
        }
    }
}

#[test]
fn n2_a_wrong_static_key_hash_or_iv_looks_like_silence() {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut wrong_key = bob.as_peer();
    wrong_key.public = *alice.keys.public();
    let mut wrong_hash = bob.as_peer();
    wrong_hash.router.0[3] ^= 1;
    let mut wrong_iv = bob.as_peer();
    wrong_iv.iv[0] ^= 1;
    for peer in [wrong_key, wrong_hash, wrong_iv] {
        let mut pair = pair_with(1, &alice.info(), &alice, &bob, peer, NET);
        let mut answered = false;
        let (_, outcome) = run(&mut pair, 100, |n, _| answered |= n > 1);
        assert!(matches!(outcome, Outcome::Open) && !answered);
        // Nothing happens for a second; then a reset comes, at the latest after ten.
        pair.bob.handle_timeout(now().later(Duration::from_millis(900)));
        assert!(pair.bob.poll_action().is_none());
        pair.bob.handle_timeout(now().later(Duration::from_secs(10)));
        assert!(matches!(pair.bob.poll_action(), Some(Action::Reset(Failure::Authentication))));
        assert!(pair.bob.poll_timeout().is_none());
    }
}

#[test]
fn n2_a_tarpit_swallows_at_most_its_share_and_then_resets() {
    let mut bob = responder(1, &Party::new(2), now(), &replay());
    bob.handle(now(), &[7; 64]);
    let mut swallowed = 0;
    while bob.poll_action().is_none() {
        bob.handle(now(), &[7; 1000]);
        swallowed += 1000;
        assert!(swallowed <= 66_000);
    }
}

#[test]
fn n3_a_replayed_message_1_is_not_answered() {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut pair = pair_with(1, &alice.info(), &alice, &bob, bob.as_peer(), NET);
    let mut message1 = Vec::new();
    run(&mut pair, 100, |n, bytes| {
        if n == 1 {
            message1 = bytes.clone();
        }
    });
    for later in [0, 50, 119] {
        let at = now().later(Duration::from_secs(later));
        let mut again = responder(2, &bob, at, &pair.replay);
        again.handle(at, &message1);
        assert!(again.poll_action().is_none(), "answered a replay after {later} s");
    }
}

#[test]
fn n3_clocks_may_differ_by_a_minute() {
    for (skew_s, good) in [(0, true), (59, true), (-59, true), (62, false), (-62, false), (600, false)] {
        let (alice, bob) = (Party::new(1), Party::new(2));
        let theirs = Now { wall_ms: WALL_MS.saturating_add_signed(skew_s * 1000), ..now() };
        let info = alice.info_with(WALL_MS, NET, alice.keys.public(), "127.0.0.1");
        let mut rng = Rng::from_seed(1);
        let mut initiator =
            Initiator::new(theirs, &mut rng, alice.keys.clone(), &info, bob.as_peer(), NET).unwrap();
        let mut responder = responder(1, &bob, now(), &replay());
        let (mut a, mut b) = (Outcome::Open, Outcome::Open);
        responder.handle(now(), &drain(|| initiator.poll_action(), &mut a));
        let message2 = drain(|| responder.poll_action(), &mut b);
        assert!(!message2.is_empty(), "the peer must learn our time even when its own is wrong");
        initiator.handle(theirs, &message2);
        drain(|| initiator.poll_action(), &mut a);
        if good {
            assert!((a.up().skew_ms + skew_s * 1000).abs() <= 500);
        } else {
            assert!(matches!(a.failure(), Some(Failure::Skew(_))), "{a:?}");
            assert!(matches!(b.failure(), Some(Failure::Skew(_))), "{b:?}");
        }
    }
}

#[test]
fn n6_another_network_is_refused_and_zero_is_taken_as_unspecified() {
    let (alice, bob) = (Party::new(1), Party::new(2));
    for (net_id, good) in [(NET, true), (0, true), (2, false), (78, false)] {
        let mut pair = pair_with(1, &alice.info(), &alice, &bob, bob.as_peer(), net_id);
        let (_, outcome) = run(&mut pair, 100, |_, _| {});
        match good {
            true => drop(outcome.up()),
            false => assert_eq!(outcome.failure(), Some(Failure::NetId(net_id))),
        }
    }
}

/// Runs a handshake with this RouterInfo in message 3; how Bob ended, and whether he sent a frame after it.
fn with_info(info: &[u8]) -> (Outcome, bool) {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut pair = pair_with(1, info, &alice, &bob, bob.as_peer(), NET);
    let mut terminated = false;
    let (_, outcome) = run(&mut pair, 10_000, |n, _| terminated |= n == 4);
    (outcome, terminated)
}

#[test]
fn n6_router_infos_that_break_a_rule_end_in_a_termination() {
    const MINUTE: u64 = 60_000;
    let alice = Party::new(1);
    let key = alice.keys.public();
    let mut forged = alice.info();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut garbage = alice.info();
    garbage.truncate(400);
    let cases: Vec<(Vec<u8>, Failure)> = vec![
        (forged, Failure::Signature),
        (garbage, Failure::RouterInfo(crate::wire::DecodeError::Short)),
        (alice.info_with(WALL_MS - 91 * MINUTE, NET, key, "127.0.0.1"), Failure::Age),
        (alice.info_with(WALL_MS + 3 * MINUTE, NET, key, "127.0.0.1"), Failure::Age),
        (alice.info_with(WALL_MS, 2, key, "127.0.0.1"), Failure::RouterInfoNetId),
        (alice.info_with(WALL_MS, NET, Party::new(3).keys.public(), "127.0.0.1"), Failure::StaticKey),
        (alice.info_with(WALL_MS, NET, key, "127.0.0.2"), Failure::Source),
    ];
    for (info, expected) in cases {
        let (outcome, terminated) = with_info(&info);
        assert_eq!(outcome.failure(), Some(expected));
        assert!(terminated, "{expected:?}");
    }
    for published in [WALL_MS - 89 * MINUTE, WALL_MS + MINUTE] {
        with_info(&alice.info_with(published, NET, key, "127.0.0.1")).0.up();
    }
    // An address of the other family says nothing about this connection.
    with_info(&alice.info_with(WALL_MS, NET, key, "2a00::1")).0.up();
}

#[test]
fn n4_message_3_sizes_out_of_bounds_are_refused() {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut rng = Rng::from_seed(1);
    let huge = Initiator::new(now(), &mut rng, alice.keys.clone(), &[0; 6200], bob.as_peer(), NET);
    assert!(matches!(huge.err(), Some(Failure::Key)));
    let (outcome, _) = with_info(&[0; 100]);
    assert_eq!(outcome.failure(), Some(Failure::Message3Size(120)));
}

#[test]
fn blocks_of_message_3_must_be_in_order() {
    use crate::wire::ntcp2_block as block;
    let build = |parts: &[u8]| {
        let mut w = Vec::new();
        for part in parts {
            match part {
                b'i' => drop(block::put_router_info(&mut w, b"info", true)),
                b'o' => block::put_options(&mut w, &block::Options::default()),
                b'p' => block::put_padding(&mut w, 3),
                b't' => block::put_date_time(&mut w, 1),
                _ => w.push(2),
            }
        }
        w
    };
    for good in ["i", "io", "ip", "iop"] {
        assert!(info::router_info_of(&build(good.as_bytes())).is_ok(), "{good}");
    }
    for bad in ["", "o", "p", "pi", "oi", "ii", "it", "ipo", "ipp", "ioo", "ix"] {
        assert_eq!(info::router_info_of(&build(bad.as_bytes())), Err(Failure::Blocks), "{bad}");
    }
}

#[test]
fn bytes_out_of_turn_are_refused() {
    let (_, bob) = run(&mut pair(6), 10_000, |n, bytes| {
        if n == 1 {
            bytes.push(0);
        }
    });
    assert_eq!(bob.failure(), Some(Failure::Pipelined));
    let (alice, _) = run(&mut pair(6), 10_000, |n, bytes| {
        if n == 2 {
            bytes.push(0);
        }
    });
    assert_eq!(alice.failure(), Some(Failure::Pipelined));
}

#[test]
fn n1_slow_and_silent_peers_time_out() {
    let mut pair = pair(7);
    let end = now().later(Duration::from_secs(11));
    assert!(pair.alice.poll_timeout().unwrap() <= end.mono);
    pair.alice.poll_action();
    pair.alice.handle_timeout(now().later(Duration::from_secs(9)));
    assert!(pair.alice.poll_action().is_none());
    pair.alice.handle_timeout(end);
    assert!(matches!(pair.alice.poll_action(), Some(Action::Close(Failure::Timeout))));
    pair.bob.handle(now(), &[1; 63]);
    pair.bob.handle_timeout(end);
    assert!(matches!(pair.bob.poll_action(), Some(Action::Reset(Failure::Timeout))));
    let mut closed = self::pair(8);
    closed.bob.handle_closed();
    assert!(matches!(closed.bob.poll_action(), Some(Action::Close(Failure::Closed))));
    closed.alice.poll_action();
    closed.alice.handle_closed();
    assert!(matches!(closed.alice.poll_action(), Some(Action::Close(Failure::Closed))));
}

#[test]
fn n2_ephemeral_keys_with_the_top_bit_or_of_zeros_are_refused() {
    let bob = Party::new(2);
    for key in [[0u8; 32], [0xff; 32]] {
        let mut hidden = key;
        aes_cbc::encrypt(&bob.keys.router().0, bob.keys.iv(), &mut hidden);
        let mut engine = responder(1, &bob, now(), &replay());
        let mut message = hidden.to_vec();
        message.extend_from_slice(&[0; 32]);
        engine.handle(now(), &message);
        assert!(engine.poll_action().is_none());
        engine.handle_timeout(now().later(Duration::from_secs(10)));
        assert!(matches!(engine.poll_action(), Some(Action::Reset(Failure::Authentication))));
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_link(
        seed in 0u64..1000,
        pieces in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), 0..10),
        valid_first in proptest::prelude::any::<bool>(),
    ) {
        let mut pair = pair(seed);
        let (mut alice, mut bob) = (Outcome::Open, Outcome::Open);
        let message1 = drain(|| pair.alice.poll_action(), &mut alice);
        if valid_first {
            pair.bob.handle(now(), &message1);
        }
        for piece in &pieces {
            pair.bob.handle(now(), piece);
            pair.alice.handle(now(), piece);
            drain(|| pair.alice.poll_action(), &mut alice);
            drain(|| pair.bob.poll_action(), &mut bob);
        }
        let end = now().later(Duration::from_secs(30));
        pair.alice.handle_timeout(end);
        pair.bob.handle_timeout(end);
        drain(|| pair.alice.poll_action(), &mut alice);
        drain(|| pair.bob.poll_action(), &mut bob);
        proptest::prop_assert!(alice.failure().is_some() && bob.failure().is_some());
        proptest::prop_assert!(pair.alice.poll_timeout().is_none() && pair.bob.poll_timeout().is_none());
    }
}

/// Message 1 to `bob`, announcing so much padding.
fn message1(seed: u64, bob: &Party, padding: u16) -> Vec<u8> {
    let ephemeral = X25519Secret::random(&mut Rng::from_seed(seed));
    let mut noise = SymmetricState::new(&noise::NTCP2);
    noise.mix_hash(bob.keys.public().as_bytes());
    noise.mix_hash(ephemeral.public().as_bytes());
    noise.mix_key(&ephemeral.dh(bob.keys.public()).unwrap());
    let options = Options { net_id: NET, version: VERSION, padding, part2: 900, seconds: seconds(now()) };
    let sealed = noise.encrypt_and_hash(&options.encode());
    let peer = bob.as_peer();
    let mut message = ephemeral.public().as_bytes().to_vec();
    aes_cbc::encrypt(&peer.router.0, &peer.iv, &mut message);
    message.extend(sealed);
    message
}

#[test]
fn n4_padding_of_1024_bytes_is_taken_and_one_more_is_not() {
    let bob = Party::new(2);
    let mut fits = responder(1, &bob, now(), &replay());
    fits.handle(now(), &message1(1, &bob, 1_024));
    fits.handle(now(), &[0; 1_023]);
    assert!(fits.poll_action().is_none());
    fits.handle(now(), &[0; 1]);
    assert!(matches!(fits.poll_action(), Some(Action::Send(_))));
    let mut more = responder(1, &bob, now(), &replay());
    more.handle(now(), &message1(2, &bob, 1_025));
    assert!(matches!(more.poll_action(), Some(Action::Close(Failure::Padding(1_025)))));
}

#[test]
fn n3_a_thousand_replayed_handshakes_are_all_refused() {
    let (bob, replay) = (Party::new(2), replay());
    let messages: Vec<Vec<u8>> = (0..1_000).map(|n| message1(n, &bob, 0)).collect();
    let mut answered = [0; 2];
    for round in &mut answered {
        for message in &messages {
            let mut engine = responder(1, &bob, now(), &replay);
            engine.handle(now(), message);
            *round += usize::from(matches!(engine.poll_action(), Some(Action::Send(_))));
        }
    }
    assert_eq!(answered, [1_000, 0]);
}

/// The largest distance between two distributions, for samples of equal size (Kolmogorov and Smirnov).
fn distance(mut a: Vec<u64>, mut b: Vec<u64>) -> f64 {
    a.sort_unstable();
    b.sort_unstable();
    let below = |of: &[u64], x: u64| of.partition_point(|v| *v <= x) as f64 / of.len() as f64;
    a.iter().chain(&b).map(|x| (below(&a, *x) - below(&b, *x)).abs()).fold(0.0, f64::max)
}

#[test]
fn n2_what_a_prober_sees_does_not_tell_garbage_from_a_replay_or_a_key_with_its_top_bit_set() {
    let (bob, seen) = (Party::new(2), replay());
    let replayed = message1(1, &bob, 0);
    responder(1, &bob, now(), &seen).handle(now(), &replayed);
    let mut top_bit = vec![0xff; 32];
    let peer = bob.as_peer();
    aes_cbc::encrypt(&peer.router.0, &peer.iv, &mut top_bit);
    top_bit.extend([5; 32]);
    let probe = |seed: u64, message: &[u8]| {
        let mut engine = responder(seed, &bob, now(), &seen);
        engine.handle(now(), message);
        assert!(engine.poll_action().is_none(), "not a byte");
        let close = engine.poll_timeout().unwrap();
        // Another prober goes on sending until the reset comes.
        let mut talkative = responder(seed, &bob, now(), &seen);
        talkative.handle(now(), message);
        let mut bytes = 0;
        while talkative.poll_action().is_none() {
            talkative.handle(now(), &[9; 64]);
            bytes += 64;
        }
        (close.as_millis(), bytes)
    };
    let mut seeds = 1_000..;
    let mut sample = |message: &[u8]| -> (Vec<u64>, Vec<u64>) {
        (0..200).map(|_| probe(seeds.next().unwrap(), message)).unzip()
    };
    let (garbage, replays, top) = (sample(&[7; 64]), sample(&replayed), sample(&top_bit));
    // For 200 and 200 samples a distance of 0.163 has a probability of one percent.
    for (name, other) in [("replay", replays), ("top bit", top)] {
        assert!(distance(garbage.0.clone(), other.0) < 0.163, "times of a {name}");
        assert!(distance(garbage.1.clone(), other.1) < 0.163, "bytes of a {name}");
    }
}
