// SPDX-License-Identifier: MIT
//! Routers and destinations with all their keys, the same in every run.

use std::sync::Arc;

use crate::base::{Mono, Now, Rng};
use crate::crypto::sign::AnySigningKey;
use crate::crypto::{SigningKey, Verified, X25519Secret};
use crate::transport::LocalKeys;
use crate::wire::{
    Destination, KeysAndCert, Lease2, LeaseSet2, LeaseSetKey, Mapping, RouterAddress, RouterHash,
    RouterIdentity, RouterInfo, SigType, TunnelId, b64,
};

/// Network id of all of them.
pub(super) const NET: u8 = 77;
/// A fixed wall time.
pub(super) const WALL_MS: u64 = 1_795_305_600_000;

/// The start of a run's time.
pub(super) fn start() -> Now {
    Now { mono: Mono::from_secs(1000), wall_ms: WALL_MS }
}

/// A router.
pub(super) struct Person {
    pub(super) signing: SigningKey,
    pub(super) encryption: X25519Secret,
    pub(super) identity: RouterIdentity,
    pub(super) ntcp2: Arc<LocalKeys>,
}

impl Person {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let signing = SigningKey::random(&mut rng);
        let encryption = X25519Secret::random(&mut rng);
        let public = encryption.public();
        let keys = KeysAndCert::build(SigType::Ed25519, &signing.public(), 4, public.as_bytes(), rng.bytes());
        let identity = RouterIdentity::new(keys);
        let ntcp2 = Arc::new(LocalKeys::new(identity.hash(), X25519Secret::random(&mut rng), rng.bytes()));
        Self { signing, encryption, identity, ntcp2 }
    }

    pub(super) fn hash(&self) -> RouterHash {
        self.identity.hash()
    }

    /// What an honest router publishes.
    pub(super) fn info(&self, host: &str, caps: &str) -> RouterInfo {
        self.info_of(host, &[("caps", caps), ("netId", "77"), ("router.version", "0.9.64")], WALL_MS)
    }

    pub(super) fn info_of(&self, host: &str, pairs: &[(&str, &str)], published_ms: u64) -> RouterInfo {
        let mut address = Mapping::new();
        address.set("host", host);
        address.set("port", "17001");
        address.set("s", &b64::encode(self.ntcp2.public().as_bytes()));
        address.set("i", &b64::encode(self.ntcp2.iv()));
        address.set("v", "2");
        let mut options = Mapping::new();
        pairs.iter().for_each(|(key, value)| options.set(key, value));
        let address = RouterAddress { cost: 3, style: "NTCP2".into(), options: address };
        RouterInfo::build(&self.identity, published_ms, vec![address], options, |bytes| {
            self.signing.sign(bytes).to_vec()
        })
    }

    pub(super) fn verified(&self, host: &str, caps: &str) -> Arc<Verified<RouterInfo>> {
        Arc::new(Verified::check(self.info(host, caps)).unwrap())
    }
}

/// A destination and its signing key.
pub(super) struct Place {
    pub(super) signing: SigningKey,
    pub(super) destination: Destination,
}

impl Place {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let signing = SigningKey::random(&mut rng);
        let keys = KeysAndCert::build(SigType::Ed25519, &signing.public(), 0, &[], rng.bytes());
        Self { signing, destination: Destination::new(keys) }
    }

    pub(super) fn key(&self) -> Arc<AnySigningKey> {
        Arc::new(SigningKey::from_seed(&self.signing.seed()).into())
    }

    /// A lease set with one lease and this encryption key.
    pub(super) fn lease_set(&self, published_s: u32, key: &[u8; 32]) -> LeaseSet2 {
        let lease = Lease2 { gateway: RouterHash([7; 32]), tunnel: TunnelId(9), end_s: published_s + 600 };
        let keys = vec![LeaseSetKey { kind: 4, key: key.to_vec() }];
        LeaseSet2::build(
            &self.destination,
            published_s,
            published_s + 600,
            false,
            keys,
            vec![lease],
            |bytes| self.signing.sign(bytes).to_vec(),
        )
    }
}
