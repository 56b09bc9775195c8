// SPDX-License-Identifier: MIT
//! Options of encrypted lease sets: how ours is published, and what opens those of others.
//!
//! Unlike other options of the router those for our own are refused when they cannot be read: who asks for a lease set
//! that only some can open must not get one that all can. Without a readable key or secret those of others stay closed,
//! which is said when they are asked for. Spec: I2CP "Client Options", proposal 123.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::encrypted_ls::{CLIENTS_MAX, ClientAccess};
use crate::crypto::{Secret32, X25519Public};
use crate::sam::parse::Params;
use crate::wire::b64;

/// Longest secret.
const SECRET_MAX: usize = 256;
/// Store type of encrypted lease sets, as `i2cp.leaseSetType` gives it.
const TYPE_ENCRYPTED: &str = "5";

/// What the options say of encrypted lease sets.
#[derive(Default, PartialEq, Eq)]
pub struct EncryptedOptions {
    /// Publishes our own encrypted, open to these; `None`: in the clear.
    pub publish: Option<ClientAccess>,
    /// A secret besides the name: of our own, and for names that ask for one.
    pub secret: Zeroizing<Vec<u8>>,
    /// Our key for lease sets that are open to certain clients only.
    pub client_key: Option<Secret32>,
}

/// Every session of a connection has its own: the keys are copied by intent.
impl Clone for EncryptedOptions {
    fn clone(&self) -> Self {
        let client_key = self.client_key.as_ref().map(Secret32::duplicate);
        Self { publish: self.publish.clone(), secret: self.secret.clone(), client_key }
    }
}

impl fmt::Debug for EncryptedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.client_key.is_some() { "a client key" } else { "no client key" };
        write!(f, "EncryptedOptions({:?}, {key}, ..)", self.publish)
    }
}

impl EncryptedOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// The text for `MESSAGE`.
    pub fn new(params: &Params) -> Result<Self, String> {
        let publish = match params.filled("i2cp.leaseSetType") {
            Some(TYPE_ENCRYPTED) => Some(clients(params)?),
            Some("7") => return Err("i2cp.leaseSetType=7 (meta lease sets) is not supported".to_owned()),
            _ => None,
        };
        let given = params.filled("i2cp.leaseSetSecret");
        let secret = given
            .and_then(b64::decode)
            .map(Zeroizing::new)
            .filter(|bytes| !bytes.is_empty() && bytes.len() <= SECRET_MAX);
        if publish.is_some() && given.is_some() && secret.is_none() {
            return Err(format!("i2cp.leaseSetSecret must be base64 of 1 to {SECRET_MAX} bytes"));
        }
        let client_key = params.filled("i2cp.leaseSetPrivKey").and_then(key);
        Ok(Self { publish, secret: secret.unwrap_or_default(), client_key })
    }
}

/// Who may open our lease set.
fn clients(params: &Params) -> Result<ClientAccess, String> {
    let (kind, prefix) = match params.filled("i2cp.leaseSetAuthType") {
        None | Some("0") => return Ok(ClientAccess::Everybody),
        Some("1") => ("1", "i2cp.leaseSetClient.dh."),
        Some("2") => ("2", "i2cp.leaseSetClient.psk."),
        Some(other) => return Err(format!("i2cp.leaseSetAuthType={other} unknown, 0 to 2 are")),
    };
    let mut keys = Vec::new();
    for (name, value) in params.iter().filter(|(name, _)| name.starts_with(prefix)) {
        // In front of the colon stands a name for people.
        let text = value.rsplit_once(':').map_or(value, |(_, key)| key);
        keys.push(
            key(text).ok_or_else(|| format!("{name} must be name:key, with a key of 32 bytes in base64"))?,
        );
    }
    if keys.is_empty() {
        return Err(format!("i2cp.leaseSetAuthType={kind} needs a client, as {prefix}0=name:key"));
    }
    if keys.len() > CLIENTS_MAX {
        return Err(format!("{} clients, at most {CLIENTS_MAX} fit into a lease set", keys.len()));
    }
    Ok(match kind {
        "1" => ClientAccess::Dh(keys.iter().map(|key| X25519Public(**key)).collect()),
        _ => ClientAccess::Psk(keys),
    })
}

fn key(text: &str) -> Option<Secret32> {
    let bytes = Zeroizing::new(b64::decode(text)?);
    bytes.as_slice().try_into().ok().map(<&[u8; 32] as Into<Secret32>>::into)
}

#[cfg(test)]
mod tests;
