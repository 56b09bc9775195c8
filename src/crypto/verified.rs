// SPDX-License-Identifier: MIT
//! Proof that a signature was checked.

use std::ops::Deref;

use super::sign::{BadSignature, verify};
use crate::wire::SelfSigned;

/// A value whose own signature is right. Only [`Verified::check`] makes one, so a function that
/// takes it cannot be given unchecked bytes from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T: SelfSigned> Verified<T> {
    /// Checks the signature of `value`, after that of the offline authorisation if it has one.
    /// Dates are the caller's to judge.
    pub fn check(value: T) -> Result<Self, BadSignature> {
        if let Some((sig_type, key, message, signature)) = value.authorisation() {
            verify(sig_type, key, &[&message], signature)?;
        }
        let (sig_type, key) = value.signer();
        verify(sig_type, key, &value.signed_parts(), value.signature())?;
        Ok(Self(value))
    }
}

impl<T> Verified<T> {
    /// The value itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> AsRef<T> for Verified<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}
