// SPDX-License-Identifier: MIT
//! Encrypted lease sets: what is needed to publish one, and to read those of others.
//!
//! The netDb holds an encrypted lease set under a key that changes at UTC midnight; so does the key that signs it. To
//! find and open one it takes the destination's signing key, which its name carries, and whatever else its owner asks
//! for: a secret, a client's key. Spec: Encrypted LeaseSet; end-to-end notes, section 8.

use super::{DestinationKeys, Error, ErrorKind};
use crate::base::{Now, Rng};
use crate::crypto::encrypted_ls::{self, ClientAccess, Closed};
use crate::crypto::{BlindedKey, Secret32, Verified};
use crate::netdb::date;
use crate::wire::{BlindedName, EncryptedLeaseSet, LeaseSet2, Wire};
use std::fmt;
use zeroize::Zeroizing;

/// Store type of a LeaseSet2, as it stands in front of one inside an encrypted lease set.
const INNER_LEASE_SET2: u8 = 3;

/// How a session publishes its lease set encrypted.
#[derive(Clone, Default)]
pub struct Encryption {
    /// A secret that others need besides the name to find the lease set; empty if there is none.
    pub secret: Zeroizing<Vec<u8>>,
    /// Who can open it.
    pub access: ClientAccess,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encryption({:?}, ..)", self.access)
    }
}

impl Encryption {
    /// Whether a session with these keys can publish like this.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] in words: the type of the keys, offline keys, too many clients.
    pub fn check(&self, keys: &DestinationKeys) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(ErrorKind::Config, text));
        if self.name(keys).is_none() {
            let code = keys.destination().sig_type().code();
            return refuse(format!(
                "encrypted lease sets need keys of type 7 or 11, these are of type {code}"
            ));
        }
        if keys.offline().is_some() {
            return refuse("offline keys cannot publish an encrypted lease set".to_owned());
        }
        match self.access.clients() {
            Some(0) => refuse("client authorisation without a single client".to_owned()),
            Some(n) if n > encrypted_ls::CLIENTS_MAX => {
                refuse(format!("{n} clients, at most {} fit into a lease set", encrypted_ls::CLIENTS_MAX))
            }
            _ => Ok(()),
        }
    }

    /// The name by which others reach the destination.
    pub fn name(&self, keys: &DestinationKeys) -> Option<BlindedName> {
        let auth = self.access.clients().is_some();
        BlindedName::of(keys.destination(), !self.secret.is_empty(), auth)
    }

    /// The encrypted form of `lease_set`, signed with the key of its day.
    pub(crate) fn seal(
        &self,
        keys: &DestinationKeys,
        lease_set: &LeaseSet2,
        rng: &mut Rng,
    ) -> Option<EncryptedLeaseSet> {
        let own = keys.destination();
        // The day is that of the date inside, which is what readers go by.
        let day = date(u64::from(lease_set.published_s()).saturating_mul(1000));
        let blinded = BlindedKey::of(own.sig_type(), own.signing_key().try_into().ok()?, &day, &self.secret)?;
        let signing = blinded.private(keys.signing())?;
        let mut inner = Zeroizing::new(Vec::with_capacity(1 + lease_set.raw().len()));
        inner.push(INNER_LEASE_SET2);
        inner.extend_from_slice(lease_set.raw());
        let published_s = lease_set.published_s();
        let sealed = encrypted_ls::seal(rng, blinded.subcredential(), published_s, &self.access, &inner);
        let sign = |bytes: &[u8]| signing.sign_parts(rng, &[bytes]).to_vec();
        Some(EncryptedLeaseSet::build(blinded.public(), published_s, lease_set.expires_s(), &sealed, sign))
    }
}

/// What a session knows to find and open other destinations' encrypted lease sets.
#[derive(Default)]
pub struct BlindedAccess {
    /// Used for names that ask for a secret.
    pub secret: Zeroizing<Vec<u8>>,
    /// An X25519 private key or a shared key, as the owner has it.
    pub client_key: Option<Secret32>,
}

/// For the session that a configuration makes: the key is copied by intent.
impl Clone for BlindedAccess {
    fn clone(&self) -> Self {
        let client_key = self.client_key.as_ref().map(Secret32::duplicate);
        Self { secret: self.secret.clone(), client_key }
    }
}

impl fmt::Debug for BlindedAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.client_key.is_some() { "a key" } else { "no key" };
        let secret = if self.secret.is_empty() { "no secret" } else { "a secret" };
        write!(f, "BlindedAccess({key}, {secret})")
    }
}

impl BlindedAccess {
    /// The key of `name` on the day of `wall_ms`.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the name asks for what is not there, [`ErrorKind::InvalidTarget`] when its key is no
    /// key.
    pub(crate) fn blind(&self, name: &BlindedName, wall_ms: u64) -> Result<BlindedKey, Error> {
        if name.needs_secret() && self.secret.is_empty() {
            let text = "the name asks for a secret: i2cp.leaseSetSecret of the session";
            return Err(Error::new(ErrorKind::Denied, text));
        }
        if name.needs_client_key() && self.client_key.is_none() {
            let text = "the name asks for a client key: i2cp.leaseSetPrivKey of the session";
            return Err(Error::new(ErrorKind::Denied, text));
        }
        let secret: &[u8] = if name.needs_secret() { &self.secret } else { &[] };
        BlindedKey::of(name.sig_type(), name.key(), &date(wall_ms), secret)
            .ok_or_else(|| Error::new(ErrorKind::InvalidTarget, "the name holds no signing key"))
    }

    /// Opens a lease set that was found under `day` and checks everything inside.
    pub(crate) fn open(
        &self,
        now: Now,
        name: &BlindedName,
        day: &BlindedKey,
        set: &Verified<EncryptedLeaseSet>,
    ) -> Result<Verified<LeaseSet2>, Error> {
        let refuse = |kind, text: String| Err(Error::new(kind, text));
        if set.blinded_key() != day.public() {
            return refuse(
                ErrorKind::LeaseSetNotFound,
                "the encrypted lease set is signed with another key".into(),
            );
        }
        let key = self.client_key.as_deref();
        let inner = match encrypted_ls::open(day.subcredential(), set.published_s(), key, set.sealed()) {
            Ok(inner) => inner,
            Err(closed @ (Closed::NeedsKey(_) | Closed::NotAuthorised)) => {
                return refuse(ErrorKind::Denied, format!("{closed}: i2cp.leaseSetPrivKey of the session"));
            }
            Err(closed) => return refuse(ErrorKind::Incompatible, closed.to_string()),
        };
        let read = match inner.split_first() {
            Some((&INNER_LEASE_SET2, bytes)) => LeaseSet2::from_bytes(bytes).ok(),
            Some((7, _)) => {
                let text = "the encrypted lease set holds a meta lease set, which we do not read";
                return refuse(ErrorKind::Incompatible, text.into());
            }
            _ => None,
        };
        let Some(read) = read else {
            return refuse(
                ErrorKind::Incompatible,
                "the encrypted lease set holds something unreadable".into(),
            );
        };
        let now_s = now.wall_s();
        if !name.names(read.destination()) || read.offline().is_some_and(|o| o.expires_s < now_s) {
            return refuse(
                ErrorKind::LeaseSetNotFound,
                "the encrypted lease set is of another destination".into(),
            );
        }
        if !read.leases().iter().any(|l| l.end_s > now_s) {
            return refuse(
                ErrorKind::LeaseSetNotFound,
                "every lease of the encrypted lease set has ended".into(),
            );
        }
        Verified::check(read).or_else(|_| {
            refuse(ErrorKind::LeaseSetNotFound, "the lease set inside has a bad signature".into())
        })
    }
}

#[cfg(test)]
mod tests;
