// SPDX-License-Identifier: MIT
use super::*;
use crate::crypto::X25519Secret;
use crate::wire::{I2npKind, KeysAndCert, Mapping, MessageId, RouterAddress, RouterIdentity, SigType, b64};

fn now() -> Now {
    Now { mono: Mono::from_secs(100), wall_ms: 1_777_000_000_000 }
}

fn after(seconds: u64) -> Now {
    now().later(Duration::from_secs(seconds))
}

/// A RouterInfo (its signature does not matter here) with one address for each `(host, options)`.
fn info(seed: u64, addresses: &[(&str, &[(&str, &str)])]) -> RouterInfo {
    let mut rng = Rng::from_seed(seed);
    let identity =
        RouterIdentity::new(KeysAndCert::build(SigType::Ed25519, &rng.bytes::<32>(), 4, &[], rng.bytes()));
    let s = X25519Secret::random(&mut rng).public();
    let addresses = addresses.iter().map(|(host, more)| {
        let mut options = Mapping::new();
        options.set("host", host);
        options.set("port", "4567");
        options.set("s", &b64::encode(s.as_bytes()));
        options.set("i", &b64::encode(&[7; 16]));
        options.set("v", "2");
        more.iter().for_each(|(key, value)| options.set(key, value));
        RouterAddress { cost: 3, style: "NTCP2".into(), options }
    });
    RouterInfo::build(&identity, 0, addresses.collect(), Mapping::new(), |_| vec![0; 64])
}

fn public(seed: u64) -> RouterInfo {
    info(seed, &[("1.2.3.4", &[])])
}

fn config() -> TransportConfig {
    TransportConfig { bind: vec!["0.0.0.0:1".parse().unwrap()], ..TransportConfig::default() }
}

fn peers_with(config: TransportConfig, local: RouterHash) -> Peers {
    Peers::new(Arc::new(config), local, Arc::default(), &mut Rng::from_seed(1))
}

fn peers() -> Peers {
    peers_with(config(), RouterHash([0; 32]))
}

fn message() -> I2np {
    I2np { kind: I2npKind(18), id: MessageId(1), expiration_ms: 0, body: vec![0; 10] }
}

fn actions(peers: &mut Peers) -> Vec<Action> {
    std::iter::from_fn(|| peers.poll_action()).collect()
}

fn remote(n: u8) -> SocketAddr {
    SocketAddr::new([9, 8, 7, n].into(), 1000)
}

fn arrival(conn: ConnId, peer: RouterHash, direction: Direction) -> Arrival {
    Arrival { conn, peer, direction, remote: remote(1), skew_ms: 0 }
}

/// Brings an inbound session up and gives its connection.
fn inbound(peers: &mut Peers, at: Now, peer: RouterHash) -> ConnId {
    let conn = peers.accept(at, remote(1)).unwrap();
    peers.established(at, arrival(conn, peer, Direction::Inbound));
    conn
}

/// Dials and gives the connection.
fn dial(peers: &mut Peers, at: Now, info: &RouterInfo) -> ConnId {
    peers.dial(at, info, vec![message()], Class::Own);
    match actions(peers).pop() {
        Some(Action::Connect { conn, .. }) => conn,
        other => panic!("not dialled: {other:?}"),
    }
}

fn dial_error(peers: &mut Peers, at: Now, info: &RouterInfo) -> DialError {
    peers.dial(at, info, vec![message()], Class::Own);
    match actions(peers).pop() {
        Some(Action::Event(TransportEvent::DialFailed { reason, messages: 1, .. })) => reason,
        other => panic!("no failure: {other:?}"),
    }
}

fn closes(actions: &[Action]) -> Vec<ConnId> {
    let close = |action: &Action| match action {
        Action::Close { conn, .. } => Some(*conn),
        _ => None,
    };
    actions.iter().filter_map(close).collect()
}

fn events(actions: Vec<Action>) -> Vec<TransportEvent> {
    let event = |action| match action {
        Action::Event(event) => Some(event),
        _ => None,
    };
    actions.into_iter().filter_map(event).collect()
}

#[test]
fn n1_one_address_has_three_handshakes_and_one_subnet_64() {
    let mut peers = peers();
    let conns: Vec<_> = (0..5).map(|_| peers.accept(now(), remote(1))).collect();
    assert_eq!(conns.iter().flatten().count(), 3);
    let more = (2..200).filter(|n| peers.accept(now(), remote(*n)).is_some()).count();
    assert_eq!(3 + more, 64);
    // A handshake that ends makes room again.
    peers.closed(now(), conns[0].unwrap(), End::Failed(DialError::ShuttingDown));
    assert!(peers.accept(now(), remote(1)).is_some());
    let mapped: SocketAddr = "[::ffff:9.8.7.1]:5".parse().unwrap();
    assert!(peers.accept(now(), mapped).is_none(), "an IPv4-mapped address is the same address");
}

#[test]
fn n1_the_oldest_handshake_gives_way_when_all_places_are_taken() {
    let mut peers = peers_with(TransportConfig { pending_max: 3, ..config() }, RouterHash([0; 32]));
    let first = peers.accept(now(), remote(1)).unwrap();
    (2..=3).for_each(|n| assert!(peers.accept(now(), remote(n)).is_some()));
    assert!(closes(&actions(&mut peers)).is_empty());
    assert!(peers.accept(now(), remote(4)).is_some());
    assert_eq!(closes(&actions(&mut peers)), [first]);
}

#[test]
fn n1_a_flood_of_strangers_pushes_out_its_own_kind_first() {
    let mut peers = peers_with(TransportConfig { pending_max: 4, ..config() }, RouterHash([0; 32]));
    let [honest, slow, garbage, last] = [1, 2, 3, 4].map(|n| peers.accept(now(), remote(n)).unwrap());
    peers.stands(honest, Standing::Knows);
    peers.stands(garbage, Standing::Doomed);
    let newer: Vec<_> = (5..9).filter_map(|n| peers.accept(now(), remote(n))).collect();
    assert_eq!(closes(&actions(&mut peers)), [garbage, slow, last, newer[0]], "not the one that knows us");
    // Where all know us, the oldest goes.
    newer.iter().for_each(|conn| peers.stands(*conn, Standing::Knows));
    assert!(peers.accept(now(), remote(9)).is_some());
    assert_eq!(closes(&actions(&mut peers)), [honest]);
}

#[test]
fn n6_the_last_quarter_of_the_links_is_for_our_own_dials() {
    let mut peers = peers_with(TransportConfig { sessions_max: 8, ..config() }, RouterHash([0; 32]));
    let link = |peers: &mut Peers, n: u8| {
        let conn = peers.accept(after(u64::from(n)), remote(n))?;
        peers.established(after(u64::from(n)), arrival(conn, RouterHash([n; 32]), Direction::Inbound));
        Some(conn)
    };
    assert_eq!((1..20).filter_map(|n| link(&mut peers, n)).count(), 6);
    let _ = actions(&mut peers);
    assert!((1..=3).all(|n| {
        peers.dial(after(30), &public(n), Vec::new(), Class::Own);
        let dialled = matches!(actions(&mut peers)[..], [Action::Connect { .. }]);
        dialled == (n < 3)
    }));
}

#[test]
fn n1_an_address_has_a_budget_of_connections() {
    let mut peers = peers();
    let mut try_one = |at| {
        let conn = peers.accept(at, remote(1));
        if let Some(conn) = conn {
            peers.closed(at, conn, End::Failed(DialError::ShuttingDown));
        }
        conn.is_some()
    };
    assert_eq!((0..50).filter(|_| try_one(now())).count(), 20);
    assert_eq!((0..50).filter(|_| try_one(after(1))).count(), 5);
    assert_eq!((0..50).filter(|_| try_one(after(1000))).count(), 20);
}

#[test]
fn n5_all_addresses_together_have_a_budget_too() {
    let mut peers = peers();
    let mut try_all = |at| {
        let accepted = (0..3_000u32).filter_map(|n| {
            let ip = IpAddr::from((0x1700_0000 + n * 256).to_be_bytes());
            let conn = peers.accept(at, SocketAddr::new(ip, 1))?;
            peers.closed(at, conn, End::Failed(DialError::ShuttingDown));
            Some(())
        });
        accepted.count()
    };
    assert_eq!(try_all(now()), 1_000);
    assert_eq!(try_all(after(1)), 500);
}

#[test]
fn addresses_are_chosen_by_family_and_reserved_ones_are_refused() {
    let choose =
        |config: &TransportConfig, info: &RouterInfo| choose_address(config, info).map(|(to, _)| to.ip());
    let v4 = config();
    let both =
        TransportConfig { bind: vec!["0.0.0.0:1".parse().unwrap(), "[::]:1".parse().unwrap()], ..config() };
    let only_v6 = TransportConfig { bind: vec!["[::]:1".parse().unwrap()], ..config() };
    let test = TransportConfig { test_network: true, ..config() };
    let dual = info(1, &[("2a00::1", &[]), ("1.2.3.4", &[])]);
    let (ip4, ip6): (IpAddr, IpAddr) = ("1.2.3.4".parse().unwrap(), "2a00::1".parse().unwrap());
    assert_eq!(choose(&v4, &dual), Ok(ip4));
    assert_eq!(choose(&both, &dual), Ok(ip4));
    assert_eq!(choose(&only_v6, &dual), Ok(ip6));
    assert_eq!(choose(&TransportConfig::default(), &dual), Ok(ip4));
    assert_eq!(choose(&v4, &info(1, &[("2a00::1", &[])])), Err(DialError::NoAddress));
    for reserved in ["127.0.0.1", "10.1.2.3", "192.168.1.1", "198.18.1.1", "::ffff:10.0.0.1", "0.0.0.0"] {
        let info = info(1, &[(reserved, &[])]);
        assert_eq!(choose(&v4, &info), Err(DialError::Reserved), "{reserved}");
        assert!(choose(&test, &info).is_ok());
    }
    let unusable: [&[(&str, &str)]; 6] = [
        &[("i", "")],
        &[("s", "AAAA")],
        &[("port", "0")],
        &[("port", "70000")],
        &[("v", "3")],
        &[("host", "example.org")],
    ];
    for more in unusable {
        assert_eq!(choose(&v4, &info(1, &[("1.2.3.4", more)])), Err(DialError::NoAddress), "{more:?}");
    }
    assert!(choose(&v4, &info(1, &[("1.2.3.4", &[("pq", "4,3"), ("unknown", "x")])])).is_ok());
}

#[test]
fn failed_dials_back_off_longer_each_time() {
    let mut peers = peers();
    let info = public(1);
    let mut at = now();
    for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
        let conn = dial(&mut peers, at, &info);
        peers.closed(at, conn, End::Failed(DialError::ConnectTimeout));
        let failed = events(actions(&mut peers));
        assert!(matches!(failed[..], [TransportEvent::DialFailed { messages: 1, .. }]));
        assert_eq!(
            dial_error(&mut peers, at.later(Duration::from_secs(wait - 1)), &info),
            DialError::Backoff
        );
        at = at.later(Duration::from_secs(wait));
    }
    // A session ends the series.
    inbound(&mut peers, at, info.hash());
    actions(&mut peers);
    assert!(peers.backoffs.is_empty());
}

#[test]
fn dials_are_refused_to_ourselves_to_the_banned_and_when_too_many() {
    let ourselves = public(1);
    let config = TransportConfig { dials_max: 2, ..config() };
    let mut peers = peers_with(config, ourselves.hash());
    assert_eq!(dial_error(&mut peers, now(), &ourselves), DialError::Ourselves);
    peers.ban(public(2).hash(), after(10).mono);
    assert_eq!(dial_error(&mut peers, now(), &public(2)), DialError::Banned);
    dial(&mut peers, after(11), &public(2));
    dial(&mut peers, after(11), &public(3));
    assert_eq!(dial_error(&mut peers, after(11), &public(4)), DialError::Full);
    assert_eq!(peers.metrics.dials.get(), 2);
    // Another message to a router that is being dialled waits with the first.
    peers.dial(after(11), &public(3), vec![message()], Class::Own);
    assert!(actions(&mut peers).is_empty());
    peers.stop();
    assert_eq!(dial_error(&mut peers, now(), &public(5)), DialError::ShuttingDown);
}

#[test]
fn an_inbound_session_takes_over_from_a_dial_with_its_messages() {
    let mut peers = peers();
    let info = public(1);
    let dialled = dial(&mut peers, now(), &info);
    let conn = inbound(&mut peers, now(), info.hash());
    let all = actions(&mut peers);
    assert!(closes(&all).is_empty());
    let [TransportEvent::Up { sender, .. }] = &events(all)[..] else { panic!("not up") };
    let mut taken = Vec::new();
    sender.take(now(), conn, 10_000, &mut taken);
    assert_eq!(taken.len(), 1);
    peers.closed(now(), dialled, End::Failed(DialError::ShuttingDown));
    assert!(events(actions(&mut peers)).is_empty(), "the dial that gave way is no failure");
    assert_eq!(peers.metrics.dials.get(), 0);
}

#[test]
fn n6_a_new_inbound_session_replaces_and_a_new_outbound_one_gives_way() {
    let mut peers = peers();
    let info = public(1);
    let old = inbound(&mut peers, now(), info.hash());
    actions(&mut peers);
    let new = inbound(&mut peers, after(1), info.hash());
    let all = actions(&mut peers);
    assert_eq!(closes(&all), [old]);
    assert!(events(all).is_empty(), "the link never went down");
    peers.closed(after(1), old, End::Closed(CloseReason::Lost));
    assert!(actions(&mut peers).is_empty());
    let late = peers.next_conn();
    peers.established(after(60), arrival(late, info.hash(), Direction::Outbound));
    assert_eq!(closes(&actions(&mut peers)), [late]);
    peers.closed(after(61), new, End::Closed(CloseReason::Lost));
    assert!(matches!(events(actions(&mut peers))[..], [TransportEvent::Down { .. }]));
}

/// Both orders of a crossing at a router whose hash is smaller or larger than the peer's: the connection that stays.
fn crossing(ours_is_smaller: bool, outbound_first: bool) -> (Peers, RouterHash, Direction, [ConnId; 2]) {
    let info = public(1);
    let local = RouterHash(if ours_is_smaller { [0; 32] } else { [0xff; 32] });
    let mut peers = peers_with(config(), local);
    let (ours, theirs);
    if outbound_first {
        ours = dial(&mut peers, now(), &info);
        peers.established(now(), arrival(ours, info.hash(), Direction::Outbound));
        theirs = inbound(&mut peers, after(1), info.hash());
    } else {
        ours = dial(&mut peers, now(), &info);
        theirs = inbound(&mut peers, now(), info.hash());
        peers.established(after(1), arrival(ours, info.hash(), Direction::Outbound));
    }
    let Some(Link::Up(up)) = peers.links.get(&info.hash()) else { panic!("no link") };
    let (direction, kept) = (up.direction, up.conn);
    assert_eq!(kept, if direction == Direction::Outbound { ours } else { theirs });
    let spare = if direction == Direction::Outbound { theirs } else { ours };
    assert_eq!(up.spare, Some(spare));
    actions(&mut peers);
    (peers, info.hash(), direction, [kept, spare])
}

#[test]
fn n6_of_crossing_dials_the_one_of_the_smaller_hash_stays_on_both_sides() {
    for outbound_first in [false, true] {
        let (mut peers, _, direction, [_, spare]) = crossing(true, outbound_first);
        assert_eq!(direction, Direction::Outbound);
        assert_eq!(crossing(false, outbound_first).2, Direction::Inbound);
        assert!(peers.poll_timeout().unwrap() <= after(11).mono);
        peers.handle_timeout(after(11));
        assert_eq!(closes(&actions(&mut peers)), [spare]);
    }
}

#[test]
fn n6_a_peer_that_keeps_the_other_connection_does_not_cut_the_link() {
    for ours_is_smaller in [false, true] {
        let (mut peers, peer, _, [kept, spare]) = crossing(ours_is_smaller, true);
        peers.closed(after(2), kept, End::Closed(CloseReason::Lost));
        let all = actions(&mut peers);
        assert!(matches!(&all[..], [Action::Attach { conn, .. }] if *conn == spare));
        peers.handle_timeout(after(30));
        assert!(closes(&actions(&mut peers)).is_empty());
        peers.disconnect(&peer, TerminationReason::Normal);
        assert_eq!(closes(&actions(&mut peers)), [spare]);
        peers.closed(after(31), spare, End::Closed(CloseReason::Lost));
        assert!(matches!(events(actions(&mut peers))[..], [TransportEvent::Down { .. }]));
        assert!(
            peers.links.is_empty()
                && peers.conns.is_empty()
                && peers.pending.is_empty()
                && peers.dials.is_empty()
        );
    }
}

#[test]
fn z2_bans_are_bounded_and_swept() {
    let mut peers = peers();
    for n in 0..BANS_MAX as u64 + 10 {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        peers.ban(RouterHash(hash), after(n + 1).mono);
    }
    assert_eq!(peers.bans.len(), BANS_MAX);
    peers.handle_timeout(after(100_000));
    assert!(peers.bans.is_empty());
}
