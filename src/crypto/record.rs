// SPDX-License-Identifier: MIT
//! Keys that both sides draw from a short tunnel build record (`netdb-tunnels` section 4.2), and
//! the two ways a reply key is used.

use std::fmt;

use super::aead::{self, BadMac};
use super::kdf::hkdf64;
use super::layer::LayerKeys;
use super::{Secret32, chacha20_stream, counter_nonce};

/// The keys of one hop of a tunnel under construction.
pub struct RecordKeys {
    /// Encrypts this hop's reply, and hides the other records.
    pub reply: Secret32,
    /// Encrypts the bodies of tunnel data.
    pub layer: Secret32,
    /// Encrypts the IVs of tunnel data.
    pub iv: Secret32,
    /// At an outbound endpoint: key and tag of the garlic that carries the build reply.
    pub garlic: Option<(Secret32, [u8; 8])>,
}

impl fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKeys(..)")
    }
}

impl RecordKeys {
    /// Derives the keys from the chaining key after the request; `endpoint` says that the hop is
    /// an outbound endpoint.
    #[must_use]
    pub fn derive(ck: &[u8; 32], endpoint: bool) -> Self {
        let (ck, reply) = step(ck, b"SMTunnelReplyKey");
        let (ck, layer) = step(&ck, b"SMTunnelLayerKey");
        if !endpoint {
            return Self { reply, layer, iv: ck, garlic: None };
        }
        let (ck, iv) = step(&ck, b"TunnelLayerIVKey");
        let (ck, key) = step(&ck, b"RGarlicKeyAndTag");
        let mut tag = [0u8; 8];
        tag.copy_from_slice(&ck[..8]);
        Self { reply, layer, iv, garlic: Some((key, tag)) }
    }

    /// The expanded keys for tunnel data.
    #[must_use]
    pub fn layer_keys(&self) -> LayerKeys {
        LayerKeys::new(&self.layer, &self.iv)
    }

    /// Encrypts this hop's own reply record in place, appending the tag. `index` is the record's
    /// place in the message and `h` the transcript hash after the request.
    pub fn seal_reply(&self, index: u8, h: &[u8; 32], record: &mut Vec<u8>) {
        aead::seal_in_place(&self.reply, u64::from(index), h, record);
    }

    /// Opens this hop's reply record.
    pub fn open_reply(&self, index: u8, h: &[u8; 32], record: &[u8]) -> Result<Vec<u8>, BadMac> {
        aead::open(&self.reply, u64::from(index), h, record)
    }

    /// Hides (or uncovers, it is its own inverse) another hop's record in place.
    pub fn mask(&self, index: u8, record: &mut [u8]) {
        chacha20_stream(&self.reply, &counter_nonce(u64::from(index)), record);
    }
}

/// One derivation step: the next chaining key and the key named by `info`.
fn step(ck: &[u8; 32], info: &[u8; 16]) -> (Secret32, Secret32) {
    let (next, key) = hkdf64(ck, b"", info);
    (Secret32::new(next), Secret32::new(key))
}
