// SPDX-License-Identifier: MIT
//! Byte layouts: every structure of the protocol, decoded without trust and encoded without failure.
//!
//! No policy and no cryptography live here. Decoders consume a [`Reader`], check every length and count
//! before they allocate, and answer a [`DecodeError`] that names the rule that was broken. Signed
//! structures keep the bytes they came in, so that signatures are verified over what was received.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod b32;
pub mod b64;
mod blinded_name;
pub mod build_record;
pub mod datagram;
mod encrypted_lease_set;
mod error;
pub mod garlic;
pub mod i2cp_gzip;
pub mod i2np;
mod identity;
mod ids;
mod lease_set;
mod mapping;
pub mod ntcp2_block;
mod reader;
mod router_info;
mod sig_type;
pub mod stream_packet;
pub mod tunnel_data;

pub use blinded_name::{BLINDED_NAME_MIN, BlindedName};
pub use encrypted_lease_set::EncryptedLeaseSet;
pub use error::DecodeError;
pub use i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, I2np, I2npKind, LookupKind,
    ReplyEncryption, StoreData, TunnelGateway,
};
pub use identity::{CRYPTO_X25519, Destination, KeysAndCert, RouterIdentity};
pub use ids::{DestHash, Hash, MessageId, RouterHash, TunnelId};
pub use lease_set::{
    LEASE_SET_MAX, LEASES_MAX, Lease, Lease2, LeaseSet1, LeaseSet2, LeaseSetContent, LeaseSetKey,
    OfflineSignature,
};
pub use mapping::Mapping;
pub use reader::{Reader, Wire};
pub use router_info::{Caps, ROUTER_INFO_MAX, RouterAddress, RouterInfo, RouterVersion};
pub use sig_type::SigType;
pub use stream_packet::StreamPacket;

/// A signature by a long-term key over a transient one: (type, key, message, signature).
pub type Authorisation<'a> = (SigType, &'a [u8], Vec<u8>, &'a [u8]);

/// A structure that carries its signer's key and a signature over its own bytes.
///
/// Only `crypto` turns one into a `Verified<T>`, and only that is stored anywhere.
pub trait SelfSigned {
    /// Signature type and public key that must have signed.
    fn signer(&self) -> (SigType, &[u8]);
    /// The signed bytes, in pieces that are hashed one after the other (a LeaseSet2 has its store type in front).
    fn signed_parts(&self) -> Vec<&[u8]>;
    /// The signature.
    fn signature(&self) -> &[u8];
    /// A further signature that must hold first, for offline-signed keys.
    fn authorisation(&self) -> Option<Authorisation<'_>> {
        None
    }
}

#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tests;
