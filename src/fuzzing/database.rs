// SPDX-License-Identifier: MIT
//! The network database: a floodfill that gets any stores, lookups and answers, and a destination's lookups and
//! publications among floodfills that lie.
//!
//! Tables and answers keep within their bounds, every message that goes out can be read, and what is found is what was
//! asked for, signed by its owner.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::Target;
use super::input::Input;
use super::people::{Person, Place, WALL_MS, start};
use crate::base::{Now, Rng};
use crate::crypto::{Verified, noise_n, tagged};
use crate::netdb::client::{LeaseAction, LeaseLookups, LeasePublisher, PublishAction};
use crate::netdb::{
    Action, Config, Engine, Facts, Input as NetInput, PeerEntry, PeerView, ReplyTunnel, Report, Source,
    Standing, Tunnels, ViewPolicy,
};
use crate::wire::garlic::{Block, Blocks, Clove, Delivery, put_clove};
use crate::wire::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Hash, I2np, I2npKind, LeaseSet2,
    LookupKind, MessageId, ReplyEncryption, RouterHash, StoreData, TunnelId, Wire,
};

pub(super) const DATABASE: &[Target] =
    &[("netdb_engine", netdb_engine, engine_seeds), ("netdb_client", netdb_client, client_seeds)];

const PEOPLE: usize = 8;
const PLACES: usize = 4;
const STEPS: usize = 120;

static ROUTERS: LazyLock<Vec<(Person, Vec<u8>)>> = LazyLock::new(|| {
    let make = |n: usize| {
        let person = Person::new(n as u64 + 1);
        let info = person.info(&format!("198.18.{n}.1"), if n < 5 { "fOR" } else { "LR" });
        let raw = info.raw().to_vec();
        (person, raw)
    };
    (0..PEOPLE).map(make).collect()
});

static DESTINATIONS: LazyLock<Vec<Place>> =
    LazyLock::new(|| (0..PLACES as u64).map(|n| Place::new(50 + n)).collect());

fn router(input: &mut Input<'_>) -> RouterHash {
    match input.below(PEOPLE + 2) {
        n if n < PEOPLE => ROUTERS[n].0.hash(),
        n => RouterHash([n as u8; 32]),
    }
}

fn key(input: &mut Input<'_>) -> Hash {
    match input.byte() % 3 {
        0 => DESTINATIONS[input.below(PLACES)].destination.hash().into(),
        _ => router(input).into(),
    }
}

/// Opens what was sealed for a floodfill, as that one would.
fn unseal(to: RouterHash, message: &I2np) -> Vec<I2np> {
    let Some((person, _)) = ROUTERS.iter().find(|(p, _)| p.hash() == to) else { return Vec::new() };
    if message.kind != I2npKind::GARLIC {
        return vec![message.clone()];
    }
    // What is under a tag of somebody's is not for this router.
    let opened = noise_n::open(&person.encryption, &person.encryption.public(), &message.body[4..]);
    let Ok(payload) = opened.map(|o| o.payload) else { return Vec::new() };
    Blocks::new(&payload)
        .filter_map(|block| match block {
            Ok(Block::Clove(clove)) => Some(I2np {
                kind: clove.kind,
                id: clove.id,
                expiration_ms: u64::from(clove.expires_s) * 1000,
                body: clove.body.to_vec(),
            }),
            _ => None,
        })
        .collect()
}

/// A garlic message under the tag of a question, with one clove.
fn answer(question: &DatabaseLookup, kind: I2npKind, body: &[u8], now: Now) -> Option<Vec<u8>> {
    let ReplyEncryption::Ecies(key, tag) = &question.encryption else { return None };
    let mut payload = Vec::new();
    let clove =
        Clove { delivery: Delivery::Local, kind, id: MessageId(3), expires_s: now.wall_s() + 10, body };
    put_clove(&clove, &mut payload);
    let sealed = tagged::seal(key, *tag, &payload);
    Some([&(sealed.len() as u32).to_be_bytes()[..], &sealed].concat())
}

/// Something to store: right or wrong, new or old.
fn store(input: &mut Input<'_>, now: Now) -> DatabaseStore {
    let reply = input.flag().then(|| (1 + input.u32() / 2, TunnelId(u32::from(input.byte())), router(input)));
    let shift = i64::from(input.byte() as i8);
    let (right, data) = match input.byte() % 6 {
        0 | 1 => {
            let (person, raw) = &ROUTERS[input.below(PEOPLE)];
            (person.hash().into(), StoreData::RouterInfo(raw.clone()))
        }
        2 => {
            let n = input.below(PEOPLE);
            let at = now.wall_ms.saturating_add_signed(shift * 60_000);
            let net = if input.byte() < 240 { "77" } else { "2" };
            let pairs = [("caps", "fOR"), ("netId", net), ("router.version", "0.9.66")];
            let info = ROUTERS[n].0.info_of(&format!("198.18.{n}.2"), &pairs, at);
            (info.hash().into(), StoreData::RouterInfo(info.raw().to_vec()))
        }
        3 | 4 => {
            let place = &DESTINATIONS[input.below(PLACES)];
            let at = (i64::from(now.wall_s()) + shift * 5) as u32;
            (
                place.destination.hash().into(),
                StoreData::LeaseSet2(place.lease_set(at, &[5; 32]).raw().to_vec()),
            )
        }
        _ => {
            let bytes = input.chunk(300).to_vec();
            let kinds: [fn(Vec<u8>) -> StoreData; 4] =
                [StoreData::LeaseSet1, StoreData::Encrypted, StoreData::Meta, StoreData::RouterInfo];
            (key(input), kinds[input.below(4)](bytes))
        }
    };
    let mut store = DatabaseStore { key: if input.byte() < 230 { right } else { key(input) }, reply, data };
    if input.byte() > 230 {
        let (StoreData::RouterInfo(bytes) | StoreData::LeaseSet2(bytes)) = &mut store.data else {
            return store;
        };
        input.damage(bytes);
    }
    store
}

fn message(kind: I2npKind, body: Vec<u8>, now: Now) -> I2np {
    I2np { kind, id: MessageId(7), expiration_ms: now.wall_ms + 9000, body }
}

fn lookup(input: &mut Input<'_>) -> DatabaseLookup {
    DatabaseLookup {
        key: key(input),
        from: router(input),
        reply_tunnel: input.flag().then(|| TunnelId(u32::from(input.byte()))),
        kind: input.pick(&[
            LookupKind::Any,
            LookupKind::LeaseSet,
            LookupKind::RouterInfo,
            LookupKind::Exploratory,
        ]),
        excluded: (0..input.below(6)).map(|_| router(input)).collect(),
        encryption: match input.byte() % 4 {
            0 => ReplyEncryption::Ecies([1; 32], input.array()),
            1 => ReplyEncryption::Aes([1; 32], [2; 32]),
            _ => ReplyEncryption::None,
        },
    }
}

fn search_reply(input: &mut Input<'_>, asked: Option<&Hash>) -> DatabaseSearchReply {
    let key = asked.copied().unwrap_or_else(|| key(input));
    DatabaseSearchReply {
        key,
        peers: (0..input.below(20)).map(|_| router(input)).collect(),
        from: router(input),
    }
}

struct World {
    now: Now,
    engine: Engine,
    questions: Vec<DatabaseLookup>,
    tokens: Vec<u32>,
}

impl World {
    fn new(floodfill: bool) -> Self {
        let me = Person::new(99);
        let mut config = Config::for_test_network(me.hash(), 77);
        if floodfill {
            config = config.with_floodfill();
        }
        (config.routers_max, config.lease_sets_max) = (6, 3);
        let now = start();
        let engine = Engine::new(config, now, Rng::from_seed(1));
        let mut world = Self { now, engine, questions: Vec::new(), tokens: Vec::new() };
        world.give(NetInput::Own(me.verified("198.18.99.1", "fOR")));
        let inbound = vec![ReplyTunnel { gateway: ROUTERS[6].0.hash(), tunnel: TunnelId(5) }];
        world.give(NetInput::Exploratory(Tunnels { inbound, outbound: vec![TunnelId(8)] }));
        world
    }

    fn give(&mut self, input: NetInput) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(action) = self.engine.poll_action() {
            count += 1;
            assert!(count < 600, "an engine that never falls silent");
            match action {
                Action::Send { to, message } | Action::SendThrough { to, message, .. } => {
                    self.note(to, &message)
                }
                Action::Save { hash, info } => assert_eq!(hash, info.hash()),
                Action::ViewChanged(view) => {
                    assert!(view.len() <= 6 + 1);
                    assert!(view.iter().all(|p| p.hash == p.info.hash()));
                }
                _ => {}
            }
        }
        let stats = self.engine.stats();
        assert!(stats.routers <= 6 && stats.lease_sets <= 3 && stats.searches <= 64, "{stats:?}");
    }

    /// Reads what goes out and remembers what can be answered.
    fn note(&mut self, to: RouterHash, message: &I2np) {
        for inner in unseal(to, message) {
            match inner.kind {
                I2npKind::DATABASE_LOOKUP => {
                    let lookup = DatabaseLookup::from_bytes(&inner.body).expect("our own lookup");
                    assert!(lookup.excluded.len() <= 512);
                    self.questions.push(lookup);
                    if self.questions.len() > 16 {
                        self.questions.remove(0);
                    }
                }
                I2npKind::DATABASE_STORE => {
                    let store = DatabaseStore::from_bytes(&inner.body).expect("our own store");
                    self.tokens.extend(store.reply.map(|(token, ..)| token));
                }
                I2npKind::DATABASE_SEARCH_REPLY => {
                    let reply = DatabaseSearchReply::from_bytes(&inner.body).expect("our own answer");
                    assert!(reply.peers.len() <= 16);
                }
                I2npKind::DELIVERY_STATUS => drop(DeliveryStatus::from_bytes(&inner.body).expect("our own")),
                _ => {}
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let now = self.now;
        let source = match choice >> 5 & 3 {
            0 => Source::Exploratory,
            1 => Source::Garlic,
            _ => Source::Direct(router(input)),
        };
        let made = match choice % 16 {
            0..=3 => message(I2npKind::DATABASE_STORE, store(input, now).to_bytes(), now),
            4 | 5 => message(I2npKind::DATABASE_LOOKUP, lookup(input).to_bytes(), now),
            6 => {
                let reply = search_reply(input, None);
                message(I2npKind::DATABASE_SEARCH_REPLY, reply.to_bytes(), now)
            }
            7 => {
                let id = if self.tokens.is_empty() { input.u32() } else { input.pick(&self.tokens) };
                let status = DeliveryStatus { id, time_ms: now.wall_ms };
                message(I2npKind::DELIVERY_STATUS, status.to_bytes(), now)
            }
            8 | 9 if !self.questions.is_empty() => {
                let question = &self.questions[input.below(self.questions.len())];
                let asked = &question.key;
                let (kind, body) = match input.byte() % 3 {
                    0 => (I2npKind::DATABASE_SEARCH_REPLY, search_reply(input, Some(asked)).to_bytes()),
                    _ => {
                        let mut store = store(input, now);
                        store.reply = None;
                        (I2npKind::DATABASE_STORE, store.to_bytes())
                    }
                };
                match answer(question, kind, &body, now) {
                    Some(body) => message(I2npKind::GARLIC, body, now),
                    None => message(kind, body, now),
                }
            }
            10 => {
                let (person, raw) = &ROUTERS[input.below(PEOPLE)];
                let mut bytes = raw.clone();
                if choice & 128 != 0 {
                    input.damage(&mut bytes);
                }
                let from = if input.byte() < 220 { person.hash() } else { router(input) };
                return self.give(NetInput::RouterInfo { from, bytes, flood: choice & 64 != 0 });
            }
            11 => return self.give(NetInput::FindRouter(router(input))),
            12 => {
                let peer = router(input);
                return self.give(match input.byte() % 4 {
                    0 => NetInput::Up(peer),
                    1 => NetInput::Down(peer),
                    2 => NetInput::Report(peer, Report::DialFailed),
                    _ => NetInput::Report(peer, Report::LookupSilent),
                });
            }
            13 => {
                let kinds =
                    [I2npKind::DATABASE_STORE, I2npKind::DATABASE_LOOKUP, I2npKind::GARLIC, I2npKind::DATA];
                message(input.pick(&kinds), input.chunk(200).to_vec(), now)
            }
            _ => {
                let step = u64::from(input.byte());
                let time = if choice & 128 == 0 {
                    Duration::from_millis(step * 20)
                } else {
                    Duration::from_secs(step * 9)
                };
                self.now = now.later(time);
                self.engine.handle_timeout(self.now);
                return self.drain();
            }
        };
        self.give(NetInput::Message { source, message: made });
    }
}

/// The router's own database.
pub fn netdb_engine(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(input.byte() < 160);
    for (_, raw) in &ROUTERS[..2] {
        world.give(NetInput::Bootstrap(raw.clone()));
    }
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    let text = world.engine.save_profiles();
    world.give(NetInput::LoadProfiles(text));
}

fn engine_seeds() -> Vec<Vec<u8>> {
    let stores: Vec<u8> = (0..6u8).flat_map(|n| [0x40, n, 0, 0, n, 0, 0, 0]).collect();
    vec![
        [vec![0], stores.clone(), vec![0x44, 1, 0, 0, 0, 0, 1, 0, 3, 15, 90]].concat(),
        [vec![200], stores, vec![11, 7, 14, 9, 8, 0, 0, 3, 14, 99, 11, 9, 9, 0, 1, 0, 0]].concat(),
        vec![0, 10, 1, 0, 10, 5, 0, 12, 1, 0, 0x8e, 200, 7, 0, 13, 0, 9, 1, 2, 3],
    ]
}

/// A view of all routers, five of them floodfills.
static VIEW: LazyLock<PeerView> = LazyLock::new(|| {
    let entry = |(person, _): &(Person, Vec<u8>)| {
        let n = person.hash().0[0];
        let info = person.verified(&format!("198.18.{n}.1"), "fOR");
        let facts = Arc::new(Facts::parse(&info).expect("an X25519 router"));
        let standing = Standing::default();
        Arc::new(PeerEntry { info, facts, standing, connected: true, first_heard_ms: WALL_MS })
    };
    PeerView::new(ROUTERS[..5].iter().map(entry).collect(), None, ViewPolicy::default(), 1)
});

/// What a destination asks and publishes, answered by anybody who was asked.
pub fn netdb_client(data: &[u8]) {
    let mut input = Input::new(data);
    let mut now = start();
    let mut lookups = LeaseLookups::new(Rng::from_seed(1));
    let mut publisher = LeasePublisher::new(Rng::from_seed(2));
    let inbound = vec![ReplyTunnel { gateway: ROUTERS[6].0.hash(), tunnel: TunnelId(5) }];
    let tunnels = Tunnels { inbound, outbound: vec![TunnelId(8)] };
    lookups.set_view(VIEW.clone());
    lookups.set_tunnels(now, tunnels.clone());
    publisher.set_view(now, VIEW.clone());
    publisher.set_tunnels(now, tunnels);
    let own = Place::new(40);
    let mut asked: Vec<DatabaseLookup> = Vec::new();
    let mut tokens: Vec<u32> = Vec::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.byte() % 8 {
            0 | 1 => lookups.find(now, DESTINATIONS[input.below(PLACES)].destination.hash()),
            2 => {
                let set = own.lease_set(now.wall_s(), &[5; 32]);
                publisher.publish(now, Arc::new(Verified::check(set).unwrap()));
            }
            3 if !tokens.is_empty() => drop(publisher.on_status(now, input.pick(&tokens))),
            4..=6 if !asked.is_empty() => {
                let question = asked[input.below(asked.len())].clone();
                let (kind, body) = reply_to(&question, &mut input, &own, now);
                let mut garlic = answer(&question, kind, &body, now).expect("sealed questions only");
                if input.byte() > 240 {
                    input.damage(&mut garlic);
                }
                assert!(!(lookups.owns_tag(&garlic) && publisher.owns_tag(&garlic)));
                let _ = lookups.open_tagged(now, &garlic) || publisher.open_tagged(now, &garlic);
            }
            _ => {
                now = now.later(Duration::from_millis(u64::from(input.byte()) * 60));
                lookups.handle_timeout(now);
                publisher.handle_timeout(now);
            }
        }
        let mut sent = Vec::new();
        while let Some(action) = lookups.poll_action() {
            match action {
                LeaseAction::Send { to, message, .. } => sent.push((to, message)),
                LeaseAction::Found { hash, lease_set } => assert_eq!(lease_set.destination().hash(), hash),
                LeaseAction::FoundEncrypted { .. } => panic!("nobody asked for these"),
                LeaseAction::FindRouter(_) | LeaseAction::Suspect => {}
                LeaseAction::Failed { failure, .. } => assert!(!failure.to_string().is_empty()),
            }
        }
        while let Some(action) = publisher.poll_action() {
            if let PublishAction::Send { to, message, .. } = action {
                sent.push((to, message));
            }
        }
        assert!(sent.len() < 100);
        for (to, message) in sent {
            assert_eq!(message.kind, I2npKind::GARLIC, "a destination asks in sealed letters only");
            for inner in unseal(to, &message) {
                match inner.kind {
                    I2npKind::DATABASE_LOOKUP => asked.push(DatabaseLookup::from_bytes(&inner.body).unwrap()),
                    _ => {
                        let store = DatabaseStore::from_bytes(&inner.body).unwrap();
                        let StoreData::LeaseSet2(raw) = &store.data else {
                            panic!("a lease set was published")
                        };
                        assert!(LeaseSet2::from_bytes(raw).is_ok());
                        tokens.extend(store.reply.map(|(token, ..)| token));
                    }
                }
            }
            asked.drain(..asked.len().saturating_sub(16));
        }
    }
}

fn reply_to(question: &DatabaseLookup, input: &mut Input<'_>, own: &Place, now: Now) -> (I2npKind, Vec<u8>) {
    match input.byte() % 4 {
        0 => (I2npKind::DATABASE_SEARCH_REPLY, search_reply(input, Some(&question.key)).to_bytes()),
        1 => {
            let mut store = store(input, now);
            store.key = question.key;
            (I2npKind::DATABASE_STORE, store.to_bytes())
        }
        _ => {
            let wanted = DESTINATIONS.iter().find(|p| Hash::from(p.destination.hash()) == question.key);
            let shift = i64::from(input.byte() as i8) * 5;
            let at = (i64::from(now.wall_s()) + shift) as u32;
            let mut raw = wanted.unwrap_or(own).lease_set(at, &[5; 32]).raw().to_vec();
            if input.byte() > 200 {
                input.damage(&mut raw);
            }
            let store = DatabaseStore { key: question.key, reply: None, data: StoreData::LeaseSet2(raw) };
            (I2npKind::DATABASE_STORE, store.to_bytes())
        }
    }
}

fn client_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1, 4, 0, 2, 0, 0, 0, 1, 2, 4, 0, 0, 3, 1, 2, 3, 4, 7, 200, 4, 0, 2, 0, 0, 0],
        vec![2, 3, 0, 3, 0, 7, 255, 7, 255, 7, 255, 4, 0, 2, 0, 0, 0],
        [vec![0, 0, 0, 1, 0, 2, 0, 3], vec![5, 1, 2, 5, 0, 0]].concat(),
    ]
}
