// SPDX-License-Identifier: MIT
//! Signature types (common structures, "Key Certificates").

/// A signature algorithm with its code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum SigType {
    /// DSA with SHA-1: the oldest destinations. Verified, never created.
    DsaSha1 = 0,
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256 = 1,
    /// ECDSA over P-384 with SHA-384.
    EcdsaP384 = 2,
    /// ECDSA over P-521 with SHA-512.
    EcdsaP521 = 3,
    /// Ed25519, the default.
    Ed25519 = 7,
    /// RedDSA over Ed25519, for encrypted LeaseSets.
    RedDsa = 11,
}

impl SigType {
    /// From the code on the wire; `None` for types that we do not verify (RSA, GOST, experiments).
    pub const fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            0 => Self::DsaSha1,
            1 => Self::EcdsaP256,
            2 => Self::EcdsaP384,
            3 => Self::EcdsaP521,
            7 => Self::Ed25519,
            11 => Self::RedDsa,
            _ => return None,
        })
    }

    /// The code on the wire.
    #[allow(clippy::as_conversions, reason = "the discriminants are the codes")]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Length of the public key in bytes.
    pub const fn public_len(self) -> usize {
        match self {
            Self::DsaSha1 => 128,
            Self::EcdsaP256 => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
            Self::Ed25519 | Self::RedDsa => 32,
        }
    }

    /// Length of the private key in bytes, as SAM and key files hold it.
    pub const fn private_len(self) -> usize {
        match self {
            Self::DsaSha1 => 20,
            Self::EcdsaP256 => 32,
            Self::EcdsaP384 => 48,
            Self::EcdsaP521 => 66,
            Self::Ed25519 | Self::RedDsa => 32,
        }
    }

    /// Length of a signature in bytes.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::DsaSha1 => 40,
            Self::EcdsaP256 => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
            Self::Ed25519 | Self::RedDsa => 64,
        }
    }
}
