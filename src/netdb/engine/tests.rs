// SPDX-License-Identifier: MIT
use super::*;
use crate::netdb::testing::{Make, Manner, NET_ID, NOON, Sim, TestDestination, TestRouter, at};
use crate::wire::{LookupKind, MessageId, ReplyEncryption, StoreData, TunnelId};

const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn found(hash: RouterHash) -> impl Fn(&Action) -> bool {
    move |a| matches!(a, Action::RouterFound(h) if *h == hash)
}

fn not_found(hash: RouterHash) -> impl Fn(&Action) -> bool {
    move |a| matches!(a, Action::RouterNotFound(h) if *h == hash)
}

fn message(kind: I2npKind, body: Vec<u8>) -> I2np {
    I2np { kind, id: MessageId(1), expiration_ms: NOON + 8_000, body }
}

fn floodfill(rng: &mut Rng) -> (Engine, TestRouter) {
    let router = TestRouter::new(rng);
    let config = Config::for_test_network(router.hash(), NET_ID).with_floodfill();
    let mut engine = Engine::new(config, at(0), rng.fork("engine"));
    let own = router.verified(&Make { caps: "XfR", ..Make::default() });
    engine.handle(at(0), Input::Own(own));
    drain(&mut engine);
    (engine, router)
}

fn drain(engine: &mut Engine) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll_action()).filter(|a| !matches!(a, Action::ViewChanged(_))).collect()
}

fn sends(engine: &mut Engine) -> Vec<(RouterHash, I2np)> {
    drain(engine)
        .into_iter()
        .filter_map(|a| match a {
            Action::Send { to, message } => Some((to, message)),
            _ => None,
        })
        .collect()
}

fn lookup(key: Hash, from: RouterHash, kind: LookupKind) -> DatabaseLookup {
    DatabaseLookup {
        key,
        from,
        reply_tunnel: None,
        kind,
        excluded: Vec::new(),
        encryption: ReplyEncryption::None,
    }
}

fn ask(engine: &mut Engine, ms: u64, from: RouterHash, question: &DatabaseLookup) -> Vec<(RouterHash, I2np)> {
    let message =
        I2np { expiration_ms: NOON + ms + 8_000, ..message(I2npKind::DATABASE_LOOKUP, question.to_bytes()) };
    engine.handle(at(ms), Input::Message { source: Source::Direct(from), message });
    sends(engine)
}

#[test]
fn a_lone_floodfill_serves_everybody() {
    let mut sim = Sim::new(1, 6, 1);
    for i in 1..6 {
        sim.introduce(i, 0);
        sim.introduce(0, i);
    }
    sim.run(secs(3));
    for i in 1..6 {
        assert_eq!(sim.log(i, |a| matches!(a, Action::Published { .. })), 1, "router {i}");
    }
    let wanted = sim.hash(5);
    sim.input(1, Input::FindRouter(wanted));
    sim.run(secs(1));
    assert_eq!(sim.log(1, found(wanted)), 1);
    assert!(sim.nodes[1].engine.view().get(&wanted).is_some());
}

#[test]
fn routers_that_know_one_floodfill_get_to_know_the_rest_by_exploring() {
    let mut sim = Sim::new(2, 12, 3);
    for i in 1..12 {
        sim.introduce(i, 0);
    }
    sim.run(secs(120));
    for i in 0..12 {
        let known = sim.nodes[i].engine.stats();
        assert!(known.routers >= 8, "router {i} knows {}", known.routers);
        assert!(known.floodfills >= 2, "router {i} knows {} floodfills", known.floodfills);
    }
}

#[test]
fn a_publication_reaches_all_floodfills_by_flooding() {
    let mut sim = Sim::new(3, 5, 4);
    for i in 0..4 {
        for j in 0..4 {
            if i != j {
                sim.introduce(i, j);
            }
        }
    }
    let wanted = sim.hash(4);
    sim.introduce(4, 0);
    sim.run(secs(3));
    for i in 0..4 {
        assert!(sim.nodes[i].engine.view().get(&wanted).is_some(), "floodfill {i}");
    }
}

#[test]
fn silent_floodfills_are_passed_over() {
    let mut sim = Sim::new(4, 8, 6);
    sim.introduce_all();
    for i in 0..5 {
        sim.nodes[i].manner = Manner::Silent;
    }
    // Floodfill 5 alone answers; it knows a router that node 6 does not.
    let mut stranger = Sim::new(40, 1, 0);
    stranger.run(secs(0));
    let info = stranger.nodes[0].engine.view().own().unwrap().info.raw().to_vec();
    sim.input(5, Input::Load(info));
    let wanted = stranger.hash(0);
    sim.input(6, Input::FindRouter(wanted));
    sim.run(secs(25));
    let answered = sim.log(6, found(wanted)) + sim.log(6, not_found(wanted));
    assert_eq!(answered, 1, "exactly one verdict");
    let silent = sim.hash(0);
    assert!(sim.nodes[6].engine.profiles.standing(&silent).answers <= 0.5);
    sim.run(secs(60));
    assert!(sim.log(7, |a| matches!(a, Action::Published { by } if *by == sim.hash(5))) >= 1);
}

#[test]
fn a_lookup_through_tunnels_is_sealed_and_its_answer_opened() {
    let mut sim = Sim::new(5, 6, 2);
    for i in 2..6 {
        sim.introduce(0, i);
        sim.introduce(1, i);
    }
    sim.introduce(0, 1);
    sim.introduce(1, 0);
    sim.introduce(3, 0);
    sim.introduce(3, 1);
    sim.exploratory(3, 4);
    let wanted = sim.hash(5);
    sim.input(3, Input::FindRouter(wanted));
    assert_eq!(sim.log(3, |a| matches!(a, Action::SendThrough { .. })), 1);
    assert_eq!(sim.log(3, |a| matches!(a, Action::RegisterTag { .. })), 1);
    sim.run(secs(2));
    assert_eq!(sim.log(3, found(wanted)), 1);
    // When connected the question goes directly.
    sim.connect(3, 0);
    sim.connect(3, 1);
    let nobody = RouterHash([9; 32]);
    sim.input(3, Input::FindRouter(nobody));
    sim.run(secs(2));
    assert!(
        sim.log(
            3,
            |a| matches!(a, Action::Send { message, .. } if message.kind == I2npKind::DATABASE_LOOKUP)
        ) >= 1
    );
}

#[test]
fn a_router_that_nobody_has_is_reported_once_and_remembered_as_absent() {
    let mut sim = Sim::new(6, 4, 3);
    sim.introduce_all();
    let nobody = RouterHash([9; 32]);
    sim.input(3, Input::FindRouter(nobody));
    sim.input(3, Input::FindRouter(nobody));
    sim.run(secs(13));
    assert_eq!(sim.log(3, not_found(nobody)), 1);
    sim.input(3, Input::FindRouter(nobody));
    assert_eq!(sim.log(3, not_found(nobody)), 2, "at once, from memory");
    assert_eq!(sim.nodes[3].engine.stats().searches, 0);
}

#[test]
fn without_any_floodfill_a_search_waits_for_one_to_become_known() {
    let mut sim = Sim::new(7, 3, 1);
    sim.introduce(0, 2);
    let wanted = sim.hash(2);
    sim.input(1, Input::FindRouter(wanted));
    sim.run(secs(5));
    assert_eq!(sim.log(1, not_found(wanted)), 0);
    sim.introduce(1, 0);
    sim.run(secs(2));
    assert_eq!(sim.log(1, found(wanted)), 1);
}

#[test]
fn our_router_info_is_signed_anew_and_published_again() {
    let mut sim = Sim::new(8, 2, 1);
    sim.introduce(1, 0);
    sim.run(secs(3));
    sim.run(secs(45 * 60));
    assert_eq!(sim.log(1, |a| matches!(a, Action::RefreshOwn)), 1);
    assert_eq!(sim.log(1, |a| matches!(a, Action::Published { .. })), 2);
}

#[test]
fn midnight_brings_a_new_publication() {
    let mut sim = Sim::new(9, 3, 2);
    sim.introduce_all();
    sim.run(secs(12 * 3600 - 60));
    let before = sim.log(2, |a| matches!(a, Action::Published { .. }));
    sim.run(secs(180));
    assert!(sim.log(2, |a| matches!(a, Action::Published { .. })) > before);
}

#[test]
fn d5_stores_are_acknowledged_first_and_flooded_once() {
    let mut rng = Rng::from_seed(10);
    let (mut engine, _) = floodfill(&mut rng);
    let others: Vec<TestRouter> = (0..5).map(|_| TestRouter::new(&mut rng)).collect();
    for other in &others {
        let make = Make { caps: "XfR", ..Make::default() };
        engine.handle(at(0), Input::Load(other.bytes(&make)));
    }
    let router = TestRouter::new(&mut rng);
    let body = DatabaseStore {
        key: router.hash().into(),
        reply: Some((77, TunnelId(0), router.hash())),
        data: StoreData::RouterInfo(router.bytes(&Make::default())),
    };
    drain(&mut engine);
    let store = message(I2npKind::DATABASE_STORE, body.to_bytes());
    let source = Source::Direct(router.hash());
    engine.handle(at(0), Input::Message { source, message: store.clone() });
    let out = sends(&mut engine);
    assert_eq!(out[0].0, router.hash());
    assert_eq!(DeliveryStatus::from_bytes(&out[0].1.body).unwrap().id, 77);
    assert_eq!(out.len(), 4, "an acknowledgement and three copies");
    for (to, copy) in &out[1..] {
        assert!(others.iter().any(|o| o.hash() == *to));
        assert_eq!(DatabaseStore::from_bytes(&copy.body).unwrap().reply, None);
    }
    engine.handle(at(1), Input::Message { source, message: store });
    assert_eq!(sends(&mut engine).len(), 1, "a repeated store is acknowledged but goes no further");
}

#[test]
fn a_store_with_token_zero_is_kept_and_not_flooded() {
    let mut rng = Rng::from_seed(11);
    let (mut engine, _) = floodfill(&mut rng);
    let other = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(other.bytes(&Make { caps: "XfR", ..Make::default() })));
    drain(&mut engine);
    let owner = TestDestination::new(&mut rng);
    let data = StoreData::LeaseSet2(owner.lease_set(at(0)).raw().to_vec());
    let body = DatabaseStore { key: owner.key(), reply: None, data: data.clone() };
    let store = message(I2npKind::DATABASE_STORE, body.to_bytes());
    engine.handle(at(0), Input::Message { source: Source::Direct(other.hash()), message: store });
    assert!(sends(&mut engine).is_empty());
    let asker = RouterHash([3; 32]);
    let out = ask(&mut engine, 5, asker, &lookup(owner.key(), asker, LookupKind::LeaseSet));
    assert_eq!(out.len(), 1);
    assert_eq!(DatabaseStore::from_bytes(&out[0].1.body).unwrap().data, data);
    let out = ask(&mut engine, 5, asker, &lookup(owner.key(), asker, LookupKind::RouterInfo));
    assert_eq!(out[0].1.kind, I2npKind::DATABASE_SEARCH_REPLY, "a lease set does not answer a router lookup");
}

#[test]
fn a_router_that_is_not_floodfill_serves_its_own_entry_only() {
    let mut rng = Rng::from_seed(12);
    let router = TestRouter::new(&mut rng);
    let mut engine = Engine::new(Config::for_test_network(router.hash(), NET_ID), at(0), Rng::from_seed(1));
    engine.handle(at(0), Input::Own(router.verified(&Make::default())));
    let known = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(known.bytes(&Make::default())));
    drain(&mut engine);
    let asker = RouterHash([3; 32]);
    let own = lookup(router.hash().into(), asker, LookupKind::RouterInfo);
    assert_eq!(ask(&mut engine, 0, asker, &own)[0].1.kind, I2npKind::DATABASE_STORE);
    let other = lookup(known.hash().into(), asker, LookupKind::RouterInfo);
    assert!(ask(&mut engine, 0, asker, &other).is_empty());
    // Nor does it take what it did not ask for, unless it is the sender's own.
    let stranger = TestRouter::new(&mut rng);
    let body = DatabaseStore {
        key: stranger.hash().into(),
        reply: Some((5, TunnelId(0), asker)),
        data: StoreData::RouterInfo(stranger.bytes(&Make::default())),
    };
    let store = message(I2npKind::DATABASE_STORE, body.to_bytes());
    for source in [Source::Direct(asker), Source::Exploratory, Source::Garlic] {
        engine.handle(at(0), Input::Message { source, message: store.clone() });
        assert!(sends(&mut engine).is_empty());
        assert!(engine.view().get(&stranger.hash()).is_none());
    }
    let source = Source::Direct(stranger.hash());
    engine.handle(at(0), Input::Message { source, message: store });
    assert!(engine.view().get(&stranger.hash()).is_some());
}

#[test]
fn d5_answers_go_only_to_the_asker_and_only_so_many() {
    let mut rng = Rng::from_seed(13);
    let (mut engine, _) = floodfill(&mut rng);
    let (asker, victim) = (RouterHash([3; 32]), RouterHash([4; 32]));
    let question = lookup(Hash([1; 32]), victim, LookupKind::LeaseSet);
    assert!(ask(&mut engine, 0, asker, &question).is_empty(), "no answers to third parties");
    let question = lookup(Hash([1; 32]), asker, LookupKind::LeaseSet);
    let answers: usize = (0..1_000).map(|_| ask(&mut engine, 0, asker, &question).len()).sum();
    assert_eq!(answers, 240);
    engine.handle(at(0), Input::Up(asker));
    let through = DatabaseLookup { reply_tunnel: Some(TunnelId(5)), ..question.clone() };
    let answers: usize = (0..1_000).map(|_| ask(&mut engine, 0, asker, &through).len()).sum();
    assert_eq!(answers, 30, "per reply path");
    assert_eq!(ask(&mut engine, 121_000, asker, &question).len(), 1, "the window ends");
    let aes = DatabaseLookup { encryption: ReplyEncryption::Aes([0; 32], [0; 32]), ..through };
    assert!(ask(&mut engine, 121_000, asker, &aes).is_empty());
}

#[test]
fn d5_search_replies_name_the_nearest_floodfills_and_exploratory_ones_the_others() {
    let mut rng = Rng::from_seed(14);
    let (mut engine, own) = floodfill(&mut rng);
    for i in 0..40 {
        let caps = if i % 2 == 0 { "XfR" } else { "LR" };
        engine.handle(at(0), Input::Load(TestRouter::new(&mut rng).bytes(&Make { caps, ..Make::default() })));
    }
    drain(&mut engine);
    let (asker, key) = (RouterHash([3; 32]), Hash([8; 32]));
    let mut question = lookup(key, asker, LookupKind::LeaseSet);
    let named = |out: Vec<(RouterHash, I2np)>| DatabaseSearchReply::from_bytes(&out[0].1.body).unwrap().peers;
    let first = named(ask(&mut engine, 0, asker, &question));
    assert_eq!(first.len(), 3);
    assert!(!first.contains(&own.hash()));
    let nearest = engine.view().closest_floodfills(&key, NOON, |h| *h == own.hash(), 6);
    assert_eq!(first, nearest[..3].iter().map(|e| e.hash).collect::<Vec<_>>());
    question.excluded = first.clone();
    let second = named(ask(&mut engine, 0, asker, &question));
    assert_eq!(second, nearest[3..].iter().map(|e| e.hash).collect::<Vec<_>>());
    let exploring = lookup(key, asker, LookupKind::Exploratory);
    let others = named(ask(&mut engine, 0, asker, &exploring));
    assert_eq!(others.len(), 16);
    assert!(others.iter().all(|h| !engine.view().get(h).unwrap().floodfill));
}

#[test]
fn d6_hashes_from_a_search_reply_are_fetched_within_bounds() {
    let mut rng = Rng::from_seed(15);
    let router = TestRouter::new(&mut rng);
    let mut engine = Engine::new(Config::for_test_network(router.hash(), NET_ID), at(0), Rng::from_seed(1));
    engine.handle(at(0), Input::Own(router.verified(&Make::default())));
    let floodfill = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(floodfill.bytes(&Make { caps: "XfR", ..Make::default() })));
    engine.handle(at(0), Input::FindRouter(RouterHash([9; 32])));
    drain(&mut engine);
    let peers: Vec<RouterHash> = (0..250).map(|i| RouterHash([i; 32])).collect();
    let reply = DatabaseSearchReply { key: Hash([9; 32]), peers: peers.clone(), from: floodfill.hash() };
    let liar = message(I2npKind::DATABASE_SEARCH_REPLY, reply.to_bytes());
    // From one that was not asked: ignored.
    let source = Source::Direct(RouterHash([1; 32]));
    engine.handle(at(10), Input::Message { source, message: liar.clone() });
    assert!(sends(&mut engine).is_empty());
    for _ in 0..50 {
        let source = Source::Direct(floodfill.hash());
        engine.handle(at(10), Input::Message { source, message: liar.clone() });
    }
    assert_eq!(sends(&mut engine).len(), 8, "eight fetches at once");
    assert!(engine.stats().searches <= 9);
}

/// `count` sound RouterInfos of routers that do not exist, each brought by itself to a floodfill that keeps
/// `limit`.
fn flood(count: u64, limit: usize) {
    let mut rng = Rng::from_seed(16);
    let router = TestRouter::new(&mut rng);
    let mut config = Config::for_test_network(router.hash(), NET_ID).with_floodfill();
    config.routers_max = limit;
    let mut engine = Engine::new(config, at(0), Rng::from_seed(1));
    let friend = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(friend.bytes(&Make::default())));
    engine.handle(at(0), Input::Up(friend.hash()));
    for i in 0..count {
        let ms = i * 5;
        let fake = TestRouter::new(&mut rng);
        let make = Make { published_ms: NOON + ms, ..Make::default() };
        engine
            .handle(at(ms), Input::RouterInfo { from: fake.hash(), bytes: fake.bytes(&make), flood: false });
        if engine.poll_timeout().is_some_and(|t| t <= at(ms).mono) {
            engine.handle_timeout(at(ms));
        }
        drain(&mut engine);
        assert!(engine.stats().routers <= limit && engine.unsaved.len() <= limit);
    }
    assert!(engine.view().get(&friend.hash()).is_some());
    assert_eq!(engine.metrics.router_infos_taken.get(), count + 1);
    assert!(engine.metrics.router_infos_evicted.get() > count / 2);
}

#[test]
fn d1_memory_stays_bounded_under_a_flood_of_sound_router_infos() {
    flood(2_000, 300);
}

#[test]
#[ignore = "a minute of signing; the small one above shows the same"]
fn memory_stays_bounded_under_a_hundred_thousand_router_infos() {
    let resident = || -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0) * 4 / 1024
    };
    let before = resident();
    flood(100_000, 6_000);
    let grown = resident() - before;
    assert!(grown < 60, "{grown} MiB");
}

#[test]
fn d1_too_many_unasked_stores_cost_no_signature_checks() {
    let mut rng = Rng::from_seed(17);
    let (mut engine, _) = floodfill(&mut rng);
    let fake = TestRouter::new(&mut rng);
    let mut bytes = fake.bytes(&Make::default());
    *bytes.last_mut().unwrap() ^= 1;
    let body = DatabaseStore { key: fake.hash().into(), reply: None, data: StoreData::RouterInfo(bytes) };
    for _ in 0..5_000 {
        let store = message(I2npKind::DATABASE_STORE, body.to_bytes());
        engine.handle(at(0), Input::Message { source: Source::Direct(RouterHash([1; 32])), message: store });
    }
    let metrics = engine.metrics();
    assert_eq!(metrics.router_infos_refused_signature.get(), 600);
    assert_eq!(metrics.stores_refused_busy.get(), 4_400);
}

#[test]
fn stale_and_foreign_messages_are_dropped() {
    let mut rng = Rng::from_seed(18);
    let (mut engine, own) = floodfill(&mut rng);
    let asker = RouterHash([3; 32]);
    let question = lookup(own.hash().into(), asker, LookupKind::RouterInfo);
    let mut late = message(I2npKind::DATABASE_LOOKUP, question.to_bytes());
    late.expiration_ms = NOON - 61_000;
    let data = message(I2npKind::DATA, vec![0; 4]);
    let short = message(I2npKind::DATABASE_STORE, vec![0; 20]);
    for message in [late, data, short] {
        engine.handle(at(0), Input::Message { source: Source::Direct(asker), message });
        assert!(sends(&mut engine).is_empty());
    }
    assert_eq!(engine.metrics().messages_dropped.get(), 3);
}

#[test]
fn what_changed_is_saved_and_what_expired_is_forgotten() {
    let mut rng = Rng::from_seed(19);
    let (mut engine, _) = floodfill(&mut rng);
    let (loaded, heard) = (TestRouter::new(&mut rng), TestRouter::new(&mut rng));
    engine.handle(at(0), Input::Load(loaded.bytes(&Make::default())));
    let bytes = heard.bytes(&Make::default());
    engine.handle(at(0), Input::RouterInfo { from: heard.hash(), bytes, flood: false });
    drain(&mut engine);
    engine.handle_timeout(at(11_000));
    let saved: Vec<RouterHash> = drain(&mut engine)
        .into_iter()
        .filter_map(|a| match a {
            Action::Save { hash, .. } => Some(hash),
            _ => None,
        })
        .collect();
    assert_eq!(saved, [heard.hash()], "what came from disk is there already");
}

#[test]
fn a_router_is_found_only_once_the_view_holds_it() {
    let mut rng = Rng::from_seed(21);
    let (mut engine, _) = floodfill(&mut rng);
    // So many that not every change makes a new view at once.
    for _ in 0..VIEW_SMALL + 1 {
        engine.handle(at(0), Input::Load(TestRouter::new(&mut rng).bytes(&Make::default())));
    }
    engine.handle_timeout(at(1_000));
    drain(&mut engine);
    let late = TestRouter::new(&mut rng);
    engine.handle(at(1_001), Input::Load(late.bytes(&Make::default())));
    engine.handle(at(1_002), Input::FindRouter(late.hash()));
    engine.handle(at(1_003), Input::FindRouter(late.hash()));
    let early: Vec<Action> = std::iter::from_fn(|| engine.poll_action()).collect();
    assert!(
        early.is_empty(),
        "whoever is told would not find it in the view and ask again, forever: {early:?}"
    );
    let wake = engine.poll_timeout().unwrap();
    assert!(wake <= at(1_300).mono, "it does not wait for long");
    engine.handle_timeout(at(wake.as_millis()));
    let then: Vec<Action> = std::iter::from_fn(|| engine.poll_action()).collect();
    assert!(matches!(&then[0], Action::ViewChanged(view) if view.get(&late.hash()).is_some()), "{then:?}");
    assert_eq!(then.iter().filter(|a| found(late.hash())(a)).count(), 1, "{then:?}");
    engine.handle(at(1_400), Input::FindRouter(late.hash()));
    assert!(drain(&mut engine).iter().any(found(late.hash())), "from now on at once");
}

#[test]
fn what_a_router_lost_in_a_row_fades_in_the_view_too() {
    let mut rng = Rng::from_seed(22);
    let (mut engine, _) = floodfill(&mut rng);
    let peer = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(peer.bytes(&Make::default())));
    let capacity = |engine: &Engine| engine.view().get(&peer.hash()).unwrap().standing.capacity;
    for _ in 0..4 {
        engine.handle(at(1_000), Input::Report(peer.hash(), Report::BuildAgreed));
    }
    for _ in 0..4 {
        engine.handle(at(2_000), Input::Report(peer.hash(), Report::BuildTimedOut { hops: 2 }));
    }
    engine.handle_timeout(at(3_000));
    assert!(capacity(&engine) < 0.4, "{}", capacity(&engine));
    // Nobody asks it for anything any more.
    while let Some(wake) = engine.poll_timeout().filter(|t| *t < at(3_600_000).mono) {
        engine.handle_timeout(at(wake.as_millis() - 1_000));
        drain(&mut engine);
    }
    assert!(capacity(&engine) > 1.0, "{}", capacity(&engine));
}

#[test]
fn d1_a_transport_session_may_only_speak_for_itself() {
    let mut rng = Rng::from_seed(20);
    let (mut engine, _) = floodfill(&mut rng);
    let router = TestRouter::new(&mut rng);
    let bytes = router.bytes(&Make::default());
    engine.handle(at(0), Input::RouterInfo { from: RouterHash([1; 32]), bytes: bytes.clone(), flood: true });
    assert!(engine.view().get(&router.hash()).is_none());
    engine.handle(at(0), Input::RouterInfo { from: router.hash(), bytes, flood: true });
    assert!(engine.view().get(&router.hash()).is_some());
}

#[test]
fn the_routers_of_a_real_reseed_bundle_are_taken_and_kept() {
    use crate::netdb::reseed::{Origin, Signers, open_su3};
    const SAMPLE: &[u8] = include_bytes!("../../../sam-tests/data/reseed/sample.su3");
    let day_s = 1_745_582_702 + 86_400;
    let bundle = open_su3(SAMPLE, &Signers::bundled(), day_s, Origin::File).unwrap();
    let now = Now { mono: Mono::from_secs(1), wall_ms: day_s * 1000 };
    let mut engine = Engine::new(Config::new(RouterHash([1; 32])), now, Rng::from_seed(1));
    for bytes in &bundle.routers {
        engine.handle(now, Input::Bootstrap(bytes.clone()));
    }
    let stats = engine.stats();
    assert!(stats.routers * 10 >= bundle.routers.len() * 9, "{} of {}", stats.routers, bundle.routers.len());
    assert!(stats.floodfills > 0);
    let view = engine.view();
    assert!(view.iter().all(|e| e.version >= crate::wire::RouterVersion(0, 9, 50)));
    assert!(view.iter().filter(|e| e.ntcp2_v4.is_some()).count() * 2 > view.len());
    engine.handle_timeout(now.later(Duration::from_secs(11)));
    let saved = drain(&mut engine).iter().filter(|a| matches!(a, Action::Save { .. })).count();
    assert_eq!(saved, stats.routers.min(SAVES_MAX));
}

#[test]
fn an_answer_to_an_unknown_gateway_waits_until_the_gateway_is_found() {
    let mut sim = Sim::new(21, 4, 2);
    sim.introduce(0, 1);
    sim.introduce(1, 0);
    sim.introduce(1, 3);
    sim.introduce(2, 0);
    // Node 2's way back leads through 3, which floodfill 0 does not know but floodfill 1 does.
    sim.exploratory(2, 3);
    let wanted = sim.hash(1);
    sim.input(2, Input::FindRouter(wanted));
    sim.run(secs(2));
    assert_eq!(sim.log(2, found(wanted)), 1);
    assert!(sim.nodes[0].engine.view().get(&sim.hash(3)).is_some());
}

#[test]
fn gateways_that_nobody_knows_cost_little() {
    let mut rng = Rng::from_seed(22);
    let (mut engine, _) = floodfill(&mut rng);
    let other = TestRouter::new(&mut rng);
    engine.handle(at(0), Input::Load(other.bytes(&Make { caps: "XfR", ..Make::default() })));
    drain(&mut engine);
    for n in 0..200_u8 {
        let gateway = RouterHash([n; 32]);
        let question = DatabaseLookup {
            reply_tunnel: Some(TunnelId(1)),
            ..lookup(Hash([1; 32]), gateway, LookupKind::LeaseSet)
        };
        ask(&mut engine, 0, RouterHash([7; 32]), &question);
    }
    assert!(engine.stats().searches <= 32);
    let mut ms = 0;
    while engine.stats().searches > 0 && ms < 60_000 {
        ms += 1_000;
        engine.handle_timeout(at(ms));
        drain(&mut engine);
    }
    assert_eq!(engine.metrics().answers_dropped_unknown.get(), 200);
}

#[test]
fn no_bytes_make_the_engine_fall() {
    let mut rng = Rng::from_seed(23);
    let (mut engine, own) = floodfill(&mut rng);
    let router = TestRouter::new(&mut rng);
    let owner = TestDestination::new(&mut rng);
    let store =
        |key, data| DatabaseStore { key, reply: Some((5, TunnelId(3), router.hash())), data }.to_bytes();
    let seeds = [
        (
            I2npKind::DATABASE_STORE,
            store(router.hash().into(), StoreData::RouterInfo(router.bytes(&Make::default()))),
        ),
        (
            I2npKind::DATABASE_STORE,
            store(owner.key(), StoreData::LeaseSet2(owner.lease_set(at(0)).raw().to_vec())),
        ),
        (I2npKind::DATABASE_LOOKUP, lookup(own.hash().into(), router.hash(), LookupKind::Any).to_bytes()),
        (
            I2npKind::DATABASE_SEARCH_REPLY,
            DatabaseSearchReply { key: Hash([1; 32]), peers: vec![own.hash()], from: router.hash() }
                .to_bytes(),
        ),
        (I2npKind::DELIVERY_STATUS, DeliveryStatus { id: 5, time_ms: NOON }.to_bytes()),
        (I2npKind::GARLIC, vec![0, 0, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]),
    ];
    for round in 0..4_000_u64 {
        let (kind, body) = &seeds[rng.index(seeds.len())];
        let mut body = body.clone();
        for _ in 0..rng.below(4) {
            let at = rng.index(body.len());
            body[at] = rng.bytes::<1>()[0];
        }
        if rng.below(4) == 0 {
            body.truncate(rng.index(body.len()));
        }
        let source = match rng.below(3) {
            0 => Source::Direct(router.hash()),
            1 => Source::Exploratory,
            _ => Source::Garlic,
        };
        let message = I2np { expiration_ms: NOON + round * 10, ..message(*kind, body.clone()) };
        engine.handle(at(round * 10), Input::Message { source, message });
        engine.open_tagged(at(round * 10), &body);
        drain(&mut engine);
    }
}
