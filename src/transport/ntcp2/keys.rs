// SPDX-License-Identifier: MIT
//! The keys of NTCP2: ours, a peer's, and those of one session.

use crate::crypto::kdf::{hkdf32, hkdf64};
use crate::crypto::noise::SymmetricState;
use crate::crypto::{Secret32, X25519Public, X25519Secret};
use crate::wire::{RouterAddress, RouterHash};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Our long-lived NTCP2 identity, published in our RouterInfo. Rotate it only with the router's identity.
#[derive(Debug)]
pub struct LocalKeys {
    pub(crate) router: RouterHash,
    pub(crate) secret: Arc<X25519Secret>,
    pub(crate) public: X25519Public,
    pub(crate) iv: [u8; 16],
}

impl LocalKeys {
    /// From the router's hash, the static secret and the 16-byte IV that hides ephemeral keys.
    #[must_use]
    pub fn new(router: RouterHash, secret: impl Into<Arc<X25519Secret>>, iv: [u8; 16]) -> Self {
        let secret = secret.into();
        Self { router, public: secret.public(), secret, iv }
    }

    /// Our router's hash.
    #[must_use]
    pub const fn router(&self) -> RouterHash {
        self.router
    }

    /// Option `s` of our NTCP2 address.
    #[must_use]
    pub const fn public(&self) -> &X25519Public {
        &self.public
    }

    /// Option `i` of our NTCP2 address, when it is published.
    #[must_use]
    pub const fn iv(&self) -> &[u8; 16] {
        &self.iv
    }
}

/// What must be known about a router to dial it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKeys {
    pub(crate) router: RouterHash,
    pub(crate) public: X25519Public,
    pub(crate) iv: [u8; 16],
}

impl PeerKeys {
    /// The keys in an NTCP2 address; `None` when one is absent or malformed, which means it cannot be dialled.
    pub(crate) fn of(router: RouterHash, address: &RouterAddress) -> Option<Self> {
        let public = X25519Public::from_wire(&address.static_key()?)?;
        Some(Self { router, public, iv: address.ntcp2_iv()? })
    }
}

/// Keys of one direction of the data phase.
pub(crate) struct DirectionKeys {
    /// ChaCha20-Poly1305.
    pub(crate) cipher: Secret32,
    /// SipHash key (16), IV (8), unused (8).
    pub(crate) sip: Secret32,
}

/// Keys of the data phase, seen from our side.
pub(crate) struct DataKeys {
    pub(crate) send: DirectionKeys,
    pub(crate) receive: DirectionKeys,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeys(..)")
    }
}

impl DataKeys {
    /// Derives them at the end of a handshake ("KDF for data phase").
    pub(crate) fn derive(noise: &SymmetricState, initiator: bool) -> Self {
        let (ab, ba) = noise.split();
        let ask = Zeroizing::new(hkdf32(noise.ck(), b"", b"ask"));
        let mut material = [0u8; 39];
        material[..32].copy_from_slice(noise.h());
        material[32..].copy_from_slice(b"siphash");
        let sip = Zeroizing::new(hkdf32(&ask, &material, b""));
        let (sip_ab, sip_ba) = hkdf64(&sip, b"", b"");
        let a = DirectionKeys { cipher: ab, sip: Secret32::new(sip_ab) };
        let b = DirectionKeys { cipher: ba, sip: Secret32::new(sip_ba) };
        if initiator { Self { send: a, receive: b } } else { Self { send: b, receive: a } }
    }
}
