// SPDX-License-Identifier: MIT
//! The two layers of encryption inside an encrypted lease set.
//!
//! The outer one opens for everybody who knows the destination's signing key. Inside it may stand a list of clients,
//! each with a cookie sealed to its key (Diffie-Hellman or shared); the inner layer then opens for those alone.
//!
//! ```text
//! outer = salt (32) | ChaCha20( flags (1) | client list, if any | inner )
//! inner = salt (32) | ChaCha20( store type (1) | lease set )
//! client list = ephemeral key or salt (32) | count (2) | count x ( name (8) | cookie (32) )
//! ```
//! There is no authentication here: the signatures outside and inside are what counts, and the caller checks them.
//! Spec: Encrypted LeaseSet, "Encryption and processing" and "Per-client authorization".

use rand_core::CryptoRng;
use std::fmt;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Secret32, X25519Public, X25519Secret, chacha20_stream, kdf};
use crate::wire::Reader;

/// Most clients that a lease set can name here; with more it would be too large for floodfills of other make.
pub const CLIENTS_MAX: usize = 48;
/// The number of clients is hidden by random entries up to a multiple of this.
const CLIENTS_STEP: usize = 4;
const FLAG_CLIENTS: u8 = 1;
const FLAG_SHARED: u8 = 2;
/// The flags that have a meaning.
const FLAGS: u8 = FLAG_CLIENTS | FLAG_SHARED;
const SALT: usize = 32;
const NAME: usize = 8;
const ENTRY: usize = NAME + 32;

/// Who may open the inner layer.
#[derive(Default, PartialEq, Eq)]
pub enum ClientAccess {
    /// Everybody who can open the outer one.
    #[default]
    Everybody,
    /// Holders of the private halves of these keys.
    Dh(Vec<X25519Public>),
    /// Holders of these keys.
    Psk(Vec<Secret32>),
}

/// For the session that a configuration makes: the keys are copied by intent.
impl Clone for ClientAccess {
    fn clone(&self) -> Self {
        match self {
            Self::Everybody => Self::Everybody,
            Self::Dh(keys) => Self::Dh(keys.clone()),
            Self::Psk(keys) => Self::Psk(keys.iter().map(Secret32::duplicate).collect()),
        }
    }
}

impl ClientAccess {
    /// How many clients there are; `None` for everybody.
    #[must_use]
    pub const fn clients(&self) -> Option<usize> {
        match self {
            Self::Everybody => None,
            Self::Dh(keys) => Some(keys.len()),
            Self::Psk(keys) => Some(keys.len()),
        }
    }
}

impl fmt::Debug for ClientAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("Everybody"),
            Self::Dh(keys) => write!(f, "Dh({} clients)", keys.len()),
            Self::Psk(keys) => write!(f, "Psk({} clients)", keys.len()),
        }
    }
}

/// Why the layers could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The layout is broken, which is also what a wrong secret looks like.
    Malformed,
    /// A scheme of client authorisation that does not exist.
    Scheme,
    /// It takes a client's key, and there is none. With the scheme: true for shared keys.
    NeedsKey(bool),
    /// The client's key is not among those that the owner has authorised.
    NotAuthorised,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the encrypted lease set has a broken layout",
            Self::Scheme => "the encrypted lease set asks for an unknown kind of client authorisation",
            Self::NeedsKey(false) => "the encrypted lease set takes a client key (X25519)",
            Self::NeedsKey(true) => "the encrypted lease set takes a client key (pre-shared)",
            Self::NotAuthorised => "the client key is not among those that the lease set is open to",
        })
    }
}

/// Seals `inner` (store type and lease set) in both layers.
///
/// `subcredential` is that of the day's blinded key, `published_s` stands in the clear outside. At most
/// [`CLIENTS_MAX`] clients are taken; a DH key of low order gets an entry that opens for nobody.
pub fn seal<R: CryptoRng + ?Sized>(
    rng: &mut R,
    subcredential: &[u8; 32],
    published_s: u32,
    access: &ClientAccess,
    inner: &[u8],
) -> Vec<u8> {
    let context = Context::new(subcredential, published_s);
    let mut cookie: Option<Secret32> = None;
    let mut out = vec![0u8; SALT];
    rng.fill_bytes(&mut out);
    let outer = context.layer(&out, None, b"ELS2_L1K");
    match access {
        ClientAccess::Everybody => out.push(0),
        ClientAccess::Dh(_) | ClientAccess::Psk(_) => {
            let fresh = Secret32::random(rng);
            context.put_clients(rng, access, &fresh, &mut out);
            cookie = Some(fresh);
        }
    }
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    out.extend_from_slice(&salt);
    let start = out.len();
    out.extend_from_slice(inner);
    let keys = context.layer(&salt, cookie.as_deref(), b"ELS2_L2K");
    keys.apply(out.get_mut(start..).unwrap_or_default());
    outer.apply(out.get_mut(SALT..).unwrap_or_default());
    out
}

/// Opens both layers: store type and lease set, unchecked. `client_key` is used if one is needed.
///
/// # Errors
/// See [`Closed`].
pub fn open(
    subcredential: &[u8; 32],
    published_s: u32,
    client_key: Option<&[u8; 32]>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let context = Context::new(subcredential, published_s);
    let (salt, rest) = sealed.split_at_checked(SALT).ok_or(Closed::Malformed)?;
    let mut plain = Zeroizing::new(rest.to_vec());
    context.layer(salt, None, b"ELS2_L1K").apply(&mut plain);
    let mut r = Reader::new(&plain);
    let flags = r.u8().map_err(|_| Closed::Malformed)?;
    if flags & !FLAGS != 0 || flags == FLAG_SHARED {
        // Flags are the only check that there is before the inner signature: a wrong secret mostly ends here.
        return Err(if flags & FLAG_CLIENTS != 0 && flags < 16 { Closed::Scheme } else { Closed::Malformed });
    }
    let cookie = if flags & FLAG_CLIENTS == 0 {
        None
    } else {
        Some(context.take_cookie(&mut r, flags & FLAG_SHARED != 0, client_key)?)
    };
    let salt = r.bytes(SALT).map_err(|_| Closed::Malformed)?;
    let keys = context.layer(salt, cookie.as_deref(), b"ELS2_L2K");
    let mut inner = Zeroizing::new(r.take_rest().to_vec());
    keys.apply(&mut inner);
    Ok(inner)
}

/// What all derivations share: subcredential and date.
struct Context {
    suffix: Zeroizing<Vec<u8>>,
}

impl Context {
    fn new(subcredential: &[u8; 32], published_s: u32) -> Self {
        let mut suffix = Zeroizing::new(subcredential.to_vec());
        suffix.extend_from_slice(&published_s.to_be_bytes());
        Self { suffix }
    }

    fn derive(&self, salt: &[u8], front: &[&[u8]], info: &[u8]) -> Keys {
        let mut salt32 = [0u8; SALT];
        if let Some(field) = salt32.get_mut(..salt.len()) {
            field.copy_from_slice(salt);
        }
        let mut ikm = Zeroizing::new(front.concat());
        ikm.extend_from_slice(&self.suffix);
        let (key, rest) = kdf::hkdf64(&salt32, &ikm, info);
        let rest = Zeroizing::new(rest);
        let mut keys = Keys { key: Secret32::new(key), iv: [0; 12], name: [0; NAME] };
        keys.iv.copy_from_slice(&rest[..12]);
        keys.name.copy_from_slice(&rest[12..12 + NAME]);
        keys
    }

    fn layer(&self, salt: &[u8], cookie: Option<&[u8; 32]>, info: &[u8]) -> Keys {
        let front: &[&[u8]] = match cookie {
            Some(cookie) => &[cookie],
            None => &[],
        };
        self.derive(salt, front, info)
    }

    /// Keys of one client from the point of view of either side.
    fn dh_client(&self, shared: &[u8; 32], client: &X25519Public, ephemeral: &[u8; 32]) -> Keys {
        self.derive(ephemeral, &[shared, client.as_bytes()], b"ELS2_XCA")
    }

    fn psk_client(&self, key: &[u8; 32], salt: &[u8; 32]) -> Keys {
        self.derive(salt, &[key], b"ELS2PSKA")
    }

    /// Appends flags and client list, in random order and with random entries among them.
    fn put_clients<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        access: &ClientAccess,
        cookie: &[u8; 32],
        out: &mut Vec<u8>,
    ) {
        let mut entries: Vec<[u8; ENTRY]> = Vec::new();
        let own = Secret32::random(rng);
        let head = match access {
            ClientAccess::Dh(clients) => {
                let own = X25519Secret::from_secret(&own);
                let head = own.public().0;
                for client in clients.iter().take(CLIENTS_MAX) {
                    let keys = own.dh(client).map(|s| self.dh_client(s.as_bytes(), client, &head));
                    entries.push(keys.map_or_else(|| noise(rng), |keys| keys.entry(cookie)));
                }
                out.push(FLAG_CLIENTS);
                head
            }
            ClientAccess::Psk(clients) => {
                entries
                    .extend(clients.iter().take(CLIENTS_MAX).map(|k| self.psk_client(k, &own).entry(cookie)));
                out.push(FLAG_CLIENTS | FLAG_SHARED);
                *own
            }
            ClientAccess::Everybody => *own,
        };
        while entries.is_empty() || !entries.len().is_multiple_of(CLIENTS_STEP) {
            entries.push(noise(rng));
        }
        // Names are pseudo-random, so their order tells nothing of the order in which clients were added.
        entries.sort_unstable();
        out.extend_from_slice(&head);
        out.extend_from_slice(&u16::try_from(entries.len()).unwrap_or(0).to_be_bytes());
        entries.iter().for_each(|entry| out.extend_from_slice(entry));
    }

    /// Finds our entry in the client list, in a time that does not depend on where it stands.
    fn take_cookie(
        &self,
        r: &mut Reader<'_>,
        shared: bool,
        client_key: Option<&[u8; 32]>,
    ) -> Result<Secret32, Closed> {
        let mut field = || r.array::<32>().map_err(|_| Closed::Malformed);
        let head = field()?;
        let count = r.u16().map_err(|_| Closed::Malformed)?;
        let entries = r.bytes(usize::from(count) * ENTRY).map_err(|_| Closed::Malformed)?;
        let key = client_key.ok_or(Closed::NeedsKey(shared))?;
        let keys = if shared {
            self.psk_client(key, &head)
        } else {
            let own = X25519Secret::from_bytes(*key);
            let secret = own.dh(&X25519Public(head)).ok_or(Closed::Malformed)?;
            self.dh_client(secret.as_bytes(), &own.public(), &head)
        };
        let mut cookie = Secret32::default();
        let mut found = subtle::Choice::from(0);
        for entry in entries.chunks_exact(ENTRY) {
            let (name, sealed) = entry.split_at(NAME);
            let ours = name.ct_eq(&keys.name);
            for (byte, sealed) in cookie.iter_mut().zip(sealed) {
                byte.conditional_assign(sealed, ours);
            }
            found |= ours;
        }
        if !bool::from(found) {
            return Err(Closed::NotAuthorised);
        }
        keys.apply(&mut *cookie);
        Ok(cookie)
    }
}

/// Cipher key and nonce, and a client's name where it is about one.
struct Keys {
    key: Secret32,
    iv: [u8; 12],
    name: [u8; NAME],
}

impl Keys {
    fn apply(&self, bytes: &mut [u8]) {
        chacha20_stream(&self.key, &self.iv, bytes);
    }

    /// The client's entry in the list.
    fn entry(&self, cookie: &[u8; 32]) -> [u8; ENTRY] {
        let mut entry = [0u8; ENTRY];
        let (name, sealed) = entry.split_at_mut(NAME);
        name.copy_from_slice(&self.name);
        sealed.copy_from_slice(cookie);
        self.apply(sealed);
        entry
    }
}

fn noise<R: CryptoRng + ?Sized>(rng: &mut R) -> [u8; ENTRY] {
    let mut entry = [0u8; ENTRY];
    rng.fill_bytes(&mut entry);
    entry
}
