// SPDX-License-Identifier: MIT
//! The router's own keys and the RouterInfo that it publishes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::storage::{Storage, StorageError};
use crate::base::Rng;
use crate::crypto::{SigningKey, X25519Secret, clear_stack, sha256};
use crate::wire::{
    CRYPTO_X25519, KeysAndCert, Mapping, Reader, RouterAddress, RouterHash, RouterIdentity, RouterInfo,
    SigType, Wire, b64,
};

const FILE: &str = "router.keys";
/// The same once more: a disk that spoils one file rarely spoils two.
const COPY: &str = "router.keys.bak";
/// What key files begin with: a word, and the version of what follows.
const MAGIC: &[u8; 7] = b"SMVRKEY";
const VERSION: u8 = b'1';

/// API version that we publish: what we implement. 0.9.65 are the bandwidth options of build records.
pub const ROUTER_VERSION: &str = "0.9.65";

/// Every long-lived key of a router. Secrets are wiped on drop and never printed.
pub struct RouterKeys {
    identity: RouterIdentity,
    signing: SigningKey,
    encryption: Arc<X25519Secret>,
    ntcp2: Arc<X25519Secret>,
    ntcp2_iv: [u8; 16],
}

impl RouterKeys {
    /// Fresh keys.
    pub fn generate(rng: &mut Rng) -> Self {
        let signing = SigningKey::random(rng);
        let encryption = X25519Secret::random(rng);
        let keys = KeysAndCert::build(
            SigType::Ed25519,
            &signing.public(),
            CRYPTO_X25519,
            encryption.public().as_bytes(),
            rng.bytes(),
        );
        Self {
            identity: RouterIdentity::new(keys),
            signing,
            encryption: Arc::new(encryption),
            ntcp2: Arc::new(X25519Secret::random(rng)),
            ntcp2_iv: rng.bytes(),
        }
    }

    /// Reads the keys, or makes them and writes them, twice. Where one of the two files is lost or damaged the other
    /// one serves and is copied. If neither can be used nothing is overwritten. New keys are used only once they are
    /// on the disk.
    ///
    /// # Errors
    /// When a file is open to others, both are damaged, or they cannot be read or written.
    pub fn load_or_create(storage: &Storage, rng: &mut Rng) -> Result<Self, StorageError> {
        let keys = Self::load_or_make(storage, rng);
        clear_stack();
        keys
    }

    fn load_or_make(storage: &Storage, rng: &mut Rng) -> Result<Self, StorageError> {
        let own = storage.read_private(FILE)?.map(Zeroizing::new);
        let copy = storage.read_private(COPY)?.map(Zeroizing::new);
        let read = |bytes: &Option<Zeroizing<Vec<u8>>>| bytes.as_ref().map(|b| Self::from_bytes(b));
        let keys = match (read(&own), read(&copy)) {
            (None, None) => {
                let keys = Self::generate(rng);
                storage.write(FILE, &keys.to_bytes(), true)?;
                keys
            }
            (Some(Ok(keys)), _) => keys,
            (own, Some(Ok(keys))) => {
                tracing::warn!("{FILE} is {}; its copy {COPY} is used", own.map_or("lost", |_| "damaged"));
                storage.set_aside(FILE);
                warn_if_failed(storage.write(FILE, &keys.to_bytes(), true));
                keys
            }
            (Some(Err(damage)), _) => return Err(damage.explain(storage, FILE)),
            (None, Some(Err(damage))) => return Err(damage.explain(storage, COPY)),
        };
        // A copy that cannot be written today is written at the next start.
        if copy.is_none_or(|copy| *copy != *keys.to_bytes()) {
            warn_if_failed(storage.write(COPY, &keys.to_bytes(), true));
        }
        Ok(keys)
    }

    /// The content of the file.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(640));
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        self.identity.encode(&mut out);
        out.extend_from_slice(self.signing.seed().as_ref());
        out.extend_from_slice(self.encryption.to_bytes().as_ref());
        out.extend_from_slice(self.ntcp2.to_bytes().as_ref());
        out.extend_from_slice(&self.ntcp2_iv);
        let sum = sha256(&[&out]);
        out.extend_from_slice(&sum);
        out
    }

    /// Reads the content of the file.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        match bytes.strip_prefix(MAGIC).and_then(<[u8]>::first) {
            Some(&VERSION) => Self::from_version_1(bytes).ok_or(Damage::Damaged),
            Some(version @ b'0'..=b'9') => Err(Damage::Version(char::from(*version))),
            _ => Err(Damage::Damaged),
        }
    }

    fn from_version_1(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if sha256(&[body]) != *sum {
            return None;
        }
        let mut r = Reader::new(body);
        r.array::<8>().ok()?; // word and version
        let identity = RouterIdentity::decode(&mut r).ok()?;
        let seed = Zeroizing::new(r.array::<32>().ok()?);
        let signing = SigningKey::from_seed(&seed);
        let encryption = Arc::new(X25519Secret::from_bytes(r.array().ok()?));
        let ntcp2 = Arc::new(X25519Secret::from_bytes(r.array().ok()?));
        let ntcp2_iv = r.array().ok()?;
        r.finish().ok()?;
        let fits = identity.signing_key() == signing.public().as_slice()
            && identity.x25519() == Some(*encryption.public().as_bytes());
        fits.then_some(Self { identity, signing, encryption, ntcp2, ntcp2_iv })
    }

    /// Public identity.
    pub const fn identity(&self) -> &RouterIdentity {
        &self.identity
    }
    /// Our hash.
    pub const fn hash(&self) -> RouterHash {
        self.identity.hash()
    }
    /// Key that router garlic and build records are encrypted to.
    pub const fn encryption(&self) -> &Arc<X25519Secret> {
        &self.encryption
    }
    /// Static key of NTCP2.
    pub const fn ntcp2(&self) -> &Arc<X25519Secret> {
        &self.ntcp2
    }
    /// Obfuscation IV of NTCP2.
    pub const fn ntcp2_iv(&self) -> [u8; 16] {
        self.ntcp2_iv
    }

    /// Builds and signs our RouterInfo.
    pub fn router_info(&self, published_ms: u64, face: &PublicFace) -> RouterInfo {
        let mut options = Mapping::new();
        options.set("caps", &face.caps());
        options.set("netId", &face.net_id.to_string());
        options.set("router.version", ROUTER_VERSION);
        if let (true, Some((routers, lease_sets))) = (face.floodfill, face.known) {
            options.set("netdb.knownRouters", &routers.to_string());
            options.set("netdb.knownLeaseSets", &lease_sets.to_string());
        }
        let mut addresses: Vec<RouterAddress> =
            face.addresses.iter().map(|(ip, port)| self.ntcp2_address(Some((*ip, *port)))).collect();
        if addresses.is_empty() {
            addresses.push(self.ntcp2_address(None));
        }
        RouterInfo::build(&self.identity, published_ms, addresses, options, |b| self.signing.sign(b).to_vec())
    }

    /// With host, port and `i` when peers can call us; otherwise only the key, so that we can be recognised.
    fn ntcp2_address(&self, at: Option<(IpAddr, u16)>) -> RouterAddress {
        let mut options = Mapping::new();
        options.set("s", &b64::encode(self.ntcp2.public().as_bytes()));
        options.set("v", "2");
        match at {
            Some((ip, port)) => {
                options.set("host", &ip.to_string());
                options.set("port", &port.to_string());
                options.set("i", &b64::encode(&self.ntcp2_iv));
            }
            None => options.set("caps", "4"),
        }
        RouterAddress { cost: if at.is_some() { 3 } else { 14 }, style: "NTCP2".into(), options }
    }
}

/// Why a key file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Damaged,
    Version(char),
}

impl Damage {
    fn explain(self, storage: &Storage, name: &str) -> StorageError {
        let problem = match self {
            Self::Damaged => format!(
                "is damaged, and there is no whole copy of it; restore it from a backup, or move {FILE} and {COPY} away \
                 to start with a new identity"
            ),
            Self::Version(version) => {
                format!("is of version {version}, which only a later release can read; use that one")
            }
        };
        StorageError::new(&storage.path(name).unwrap_or_default(), problem)
    }
}

fn warn_if_failed(done: Result<(), StorageError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "the keys could not be written a second time; the router goes on");
    }
}

impl fmt::Debug for RouterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterKeys({}, ..)", self.hash())
    }
}

/// What others see of us.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PublicFace {
    /// Network id: 2 is the live network.
    pub net_id: u8,
    /// Addresses that peers can call; empty when we cannot be called.
    pub addresses: Vec<(IpAddr, u16)>,
    /// Whether we serve the netDb.
    pub floodfill: bool,
    /// Bandwidth class letter, `K` to `X`.
    pub bandwidth: char,
    /// Congestion letter, if any: `D`, `E` or `G`.
    pub congestion: Option<char>,
    /// Known routers and lease sets, which floodfills publish.
    pub known: Option<(usize, usize)>,
}

impl PublicFace {
    fn caps(&self) -> String {
        let mut caps = self.bandwidth.to_string();
        if self.floodfill {
            caps.push('f');
        }
        caps.push(if self.addresses.is_empty() { 'U' } else { 'R' });
        caps.extend(self.congestion);
        caps
    }
}

#[cfg(test)]
mod tests;
