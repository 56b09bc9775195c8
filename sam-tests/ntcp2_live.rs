// SPDX-License-Identifier: MIT
//! NTCP2 against real routers, in both directions. Ignored unless asked for, since it needs a private network:
//!
//! ```text
//! SAMOVAR_LIVE_NETDB=DIR SAMOVAR_LIVE_BIND=198.19.5.1:17905 SAMOVAR_LIVE_NETID=77 SAMOVAR_LIVE_SECONDS=180 \
//!     cargo test --test ntcp2_live -- --ignored --nocapture
//! ```
//! It dials the first router of the directory only, asks it for the second and hands it our RouterInfo to be
//! flooded. The second then has a floodfill and tunnel hop that it does not know yet, and dials us.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at the first thing that is not as it should be, and says what"
)]

use samovar::base::watch;
use samovar::base::{Clock, Queue, QueueReceiver, Rng, Tasks, TcpNet};
use samovar::crypto::{SigningKey, X25519Secret};
use samovar::transport::{
    Class, Direction, FromPeer, LocalKeys, Parts, TransportConfig, TransportEvent, TransportHandle, start,
};
use samovar::wire::{
    DatabaseLookup, DatabaseStore, Hash, I2np, I2npKind, KeysAndCert, LookupKind, Mapping, MessageId,
    ReplyEncryption, RouterAddress, RouterHash, RouterIdentity, RouterInfo, SigType, StoreData, TunnelId,
    Wire, b64,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const TOKEN: u32 = 0x5a5a_0001;

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

/// The RouterInfos of a directory.
fn load(dir: &str) -> Vec<Arc<RouterInfo>> {
    let mut infos: Vec<_> = std::fs::read_dir(dir)
        .expect("directory")
        .filter_map(|entry| {
            Some(Arc::new(RouterInfo::from_bytes(&std::fs::read(entry.ok()?.path()).ok()?).ok()?))
        })
        .collect();
    infos.sort_by_key(|info| info.hash());
    infos
}

struct Us {
    keys: LocalKeys,
    info: Arc<RouterInfo>,
}

fn us(rng: &mut Rng, clock: &Clock, net_id: u8, at: SocketAddr) -> Us {
    let signing = SigningKey::random(rng);
    let encryption = X25519Secret::random(rng).public();
    let public = signing.public();
    let keys = KeysAndCert::build(SigType::Ed25519, public.as_ref(), 4, encryption.as_ref(), rng.bytes());
    let identity = RouterIdentity::new(keys);
    let keys = LocalKeys::new(identity.hash(), X25519Secret::random(rng), rng.bytes());
    let mut address = Mapping::new();
    address.set("host", &at.ip().to_string());
    address.set("port", &at.port().to_string());
    address.set("s", &b64::encode(keys.public().as_bytes()));
    address.set("i", &b64::encode(keys.iv()));
    address.set("v", "2");
    let address = RouterAddress { cost: 3, style: "NTCP2".into(), options: address };
    let mut options = Mapping::new();
    options.set("caps", "XfR");
    options.set("netId", &net_id.to_string());
    options.set("router.version", "0.9.67");
    let sign = |bytes: &[u8]| signing.sign(bytes).to_vec();
    let info = RouterInfo::build(&identity, clock.now().wall_ms, vec![address], options, sign);
    Us { keys, info: Arc::new(info) }
}

fn message(clock: &Clock, kind: I2npKind, body: Vec<u8>) -> I2np {
    I2np { kind, id: MessageId(7), expiration_ms: clock.now().wall_ms + 20_000, body }
}

/// A store of our RouterInfo that asks for a receipt (so that it is flooded), and a lookup of the other router.
fn questions(clock: &Clock, us: &RouterInfo, other: RouterHash) -> Vec<I2np> {
    let store = DatabaseStore {
        key: us.hash().into(),
        reply: Some((TOKEN, TunnelId(0), us.hash())),
        data: StoreData::RouterInfo(us.raw().to_vec()),
    };
    let lookup = DatabaseLookup {
        key: Hash::from(other),
        from: us.hash(),
        reply_tunnel: None,
        kind: LookupKind::RouterInfo,
        excluded: Vec::new(),
        encryption: ReplyEncryption::None,
    };
    vec![
        message(clock, I2npKind::DATABASE_STORE, store.to_bytes()),
        message(clock, I2npKind::DATABASE_LOOKUP, lookup.to_bytes()),
    ]
}

/// What was seen.
#[derive(Default, Debug)]
struct Seen {
    up: BTreeMap<RouterHash, Direction>,
    down: usize,
    kinds: BTreeMap<(RouterHash, I2npKind), usize>,
    infos: usize,
    receipt: bool,
    other_found: bool,
}

impl Seen {
    fn is_complete(&self) -> bool {
        self.up.len() >= 2 && self.receipt && self.other_found
    }

    fn event(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::Up { peer, direction, remote, skew_ms, .. } => {
                println!("up {peer} {direction:?} {remote} skew {skew_ms} ms");
                self.up.insert(peer, direction);
            }
            TransportEvent::Down { peer, reason } => {
                println!("down {peer}: {reason}");
                self.down += 1;
            }
            TransportEvent::RouterInfo { from, raw, flood } => {
                let hash = RouterInfo::from_bytes(&raw).expect("a RouterInfo").hash();
                println!("RouterInfo of {hash} from {from}, {} bytes, flood {flood}", raw.len());
                self.infos += 1;
            }
            TransportEvent::DialFailed { peer, reason, .. } => panic!("dial of {peer} failed: {reason}"),
        }
    }

    fn messages(&mut self, from: FromPeer, other: RouterHash) {
        for message in from.messages {
            let count = self.kinds.entry((from.peer, message.kind)).or_default();
            *count += 1;
            if *count == 1 {
                println!(
                    "first message of type {} from {}, {} bytes",
                    message.kind.0,
                    from.peer,
                    message.body.len()
                );
            }
            self.receipt |=
                message.kind == I2npKind::DELIVERY_STATUS && message.body.starts_with(&TOKEN.to_be_bytes());
            if message.kind == I2npKind::DATABASE_STORE {
                let store = DatabaseStore::from_bytes(&message.body).expect("a store");
                self.other_found |= store.key == other.into();
            }
        }
    }
}

struct Room {
    handle: TransportHandle,
    events: QueueReceiver<TransportEvent>,
    plane: QueueReceiver<FromPeer>,
    tasks: Tasks,
    clock: Clock,
    us: Arc<RouterInfo>,
    _info: watch::Sender<Arc<RouterInfo>>,
}

async fn room() -> Room {
    let at: SocketAddr = env("SAMOVAR_LIVE_BIND").parse().expect("address");
    let net_id = env("SAMOVAR_LIVE_NETID").parse().expect("network id");
    let clock = Clock::system();
    let mut rng = Rng::from_os().expect("randomness");
    let Us { keys, info: us } = us(&mut rng, &clock, net_id, at);
    let tasks = Tasks::new();
    let (info, info_rx) = watch::channel(us.clone());
    let (to_plane, plane) = Queue::bounded("plane", 64);
    let (events_tx, events) = Queue::bounded("events", 64);
    let config = TransportConfig {
        net_id,
        bind: vec![at],
        published: vec![at],
        bind_outgoing: true,
        test_network: true,
        ..TransportConfig::default()
    };
    let parts: Parts<FromPeer> = Parts {
        config,
        keys,
        info: info_rx,
        net: Arc::new(TcpNet),
        clock: clock.clone(),
        rng,
        tasks: tasks.clone(),
        to_plane,
        events: events_tx,
        metrics: Arc::default(),
    };
    let (handle, bound) = start(parts).await.expect("listening");
    println!("we are {} at {bound:?}", us.hash());
    Room { handle, events, plane, tasks, clock, us, _info: info }
}

#[tokio::test]
#[ignore = "needs a private network, see above"]
async fn both_directions() {
    let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).try_init();
    let infos = load(&env("SAMOVAR_LIVE_NETDB"));
    let [first, second, ..] = infos.as_slice() else { panic!("two routers are needed") };
    let seconds = std::env::var("SAMOVAR_LIVE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(180);
    let mut room = room().await;
    let questions = questions(&room.clock, &room.us, second.hash());
    assert!(room.handle.dial(first.clone(), questions, Class::Control));
    let end = room.clock.now().mono.after(Duration::from_secs(seconds));
    let mut seen = Seen::default();
    while !seen.is_complete() {
        tokio::select! { biased;
            () = room.clock.sleep_until(Some(end)) => break,
            Some(event) = room.events.recv() => seen.event(event),
            Some(batch) = room.plane.recv() => seen.messages(batch, second.hash()),
        }
    }
    println!("{seen:#?}");
    assert_eq!(seen.up.get(&first.hash()), Some(&Direction::Outbound));
    assert!(seen.receipt, "no receipt for our store");
    assert!(seen.other_found, "no answer to our lookup");
    assert_eq!(seen.up.get(&second.hash()), Some(&Direction::Inbound), "the second router did not dial us");
    assert_eq!(seen.down, 0, "a session was lost");
    room.tasks.stop();
    room.tasks.finished().await;
}
