// SPDX-License-Identifier: MIT
//! Routers for tests: identities, their entries in a view, and what they say about themselves.

use std::sync::Arc;

use super::RouterKeys;
use crate::base::{Now, Rng};
use crate::crypto::{SigningKey, Verified, X25519Secret};
use crate::netdb::{Facts, PeerEntry, PeerView, Standing, ViewPolicy};
use crate::wire::{KeysAndCert, Mapping, RouterAddress, RouterIdentity, RouterInfo, SigType, b64};

/// A fixed wall time: 2026-11-22.
pub(crate) const WALL_MS: u64 = 1_795_305_600_000;

/// The start of a test's time.
pub(crate) fn start() -> Now {
    Now { mono: crate::base::Mono::from_secs(1), wall_ms: WALL_MS }
}

/// What a router says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) caps: String,
    pub(crate) version: String,
    pub(crate) family: Option<String>,
    /// IPv4 host; `None`: unpublished, speaks IPv4.
    pub(crate) host: Option<String>,
}

impl Default for Says {
    fn default() -> Self {
        Self { caps: "OR".into(), version: "0.9.62".into(), family: None, host: Some("198.18.0.1".into()) }
    }
}

/// A router with all its keys.
#[derive(Clone, Debug)]
pub(crate) struct TestRouter {
    pub(crate) keys: RouterKeys,
    pub(crate) entry: Arc<PeerEntry>,
}

pub(crate) fn router(rng: &mut Rng, says: &Says) -> TestRouter {
    let signing = SigningKey::from_seed(&rng.bytes());
    let secret = X25519Secret::random(rng);
    let public = secret.public();
    let keys = KeysAndCert::build(SigType::Ed25519, &signing.public(), 4, &public.0, rng.bytes());
    let identity = RouterIdentity::new(keys);
    let mut options = Mapping::new();
    options.set("caps", &says.caps);
    options.set("netId", "77");
    options.set("router.version", &says.version);
    if let Some(family) = &says.family {
        options.set("family", family);
    }
    let mut ntcp2 = Mapping::new();
    ntcp2.set("v", "2");
    ntcp2.set("s", &b64::encode(&rng.bytes::<32>()));
    match &says.host {
        Some(host) => {
            ntcp2.set("host", host);
            ntcp2.set("port", "17000");
            ntcp2.set("i", &b64::encode(&rng.bytes::<16>()));
        }
        None => ntcp2.set("caps", "4"),
    }
    let address = RouterAddress { cost: 10, style: "NTCP2".into(), options: ntcp2 };
    let info =
        RouterInfo::build(&identity, WALL_MS - 60_000, vec![address], options, |m| signing.sign(m).to_vec());
    let facts = Facts::parse(&info).expect("an X25519 router");
    let entry = PeerEntry {
        info: Arc::new(Verified::check(info).expect("just signed")),
        facts: Arc::new(facts),
        standing: Standing::default(),
        connected: false,
        first_heard_ms: WALL_MS,
    };
    TestRouter { keys: RouterKeys::new(identity.hash(), secret), entry: Arc::new(entry) }
}

pub(crate) fn routers(rng: &mut Rng, count: usize) -> Vec<TestRouter> {
    (0..count).map(|_| router(rng, &Says::default())).collect()
}

/// The view that `own` has of `all`.
pub(crate) fn view(own: &TestRouter, all: &[TestRouter]) -> PeerView {
    let peers = all.iter().filter(|r| r.keys.hash != own.keys.hash).map(|r| r.entry.clone()).collect();
    PeerView::new(peers, Some(own.entry.clone()), ViewPolicy::default(), 1)
}
