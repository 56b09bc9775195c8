// SPDX-License-Identifier: MIT
//! Why a bundle was refused, in words for the operator.

use std::fmt;

/// Why a bundle was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReseedError {
    /// More bytes than any bundle has.
    TooLarge,
    /// The container breaks its format; the word names the part.
    Su3(&'static str),
    /// The zip inside breaks its format or a limit; the word names the part.
    Zip(&'static str),
    /// Nobody that we trust: no certificate for this signer id.
    UnknownSigner(String),
    /// The signer's certificate is not valid at this time.
    CertificateDates(String),
    /// The signature does not fit bundle and signer.
    BadSignature(String),
    /// A certificate cannot be used; the word says why.
    Certificate(&'static str),
    /// Built long ago: its routers are gone.
    TooOld {
        /// Its age.
        days: u64,
    },
    /// Built at a time that our clock has not reached.
    FromTheFuture,
    /// No RouterInfo in it.
    NoRouters,
}

impl fmt::Display for ReseedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("larger than 8 MiB"),
            Self::Su3(part) => write!(f, "not a reseed bundle: {part}"),
            Self::Zip(part) => write!(f, "unusable zip: {part}"),
            Self::UnknownSigner(id) => write!(f, "signed by {id:?}, for whom there is no certificate"),
            Self::CertificateDates(id) => {
                write!(f, "the certificate of {id} is not valid now; is the clock right?")
            }
            Self::BadSignature(id) => write!(f, "the signature of {id} does not fit"),
            Self::Certificate(why) => write!(f, "unusable certificate: {why}"),
            Self::TooOld { days } => write!(f, "built {days} days ago, too old to be of use"),
            Self::FromTheFuture => f.write_str("built in the future; is the clock right?"),
            Self::NoRouters => f.write_str("there is no RouterInfo in it"),
        }
    }
}

impl std::error::Error for ReseedError {}
