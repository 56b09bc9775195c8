// SPDX-License-Identifier: MIT
//! Commands that need no session: keys, names, help.

use std::io;
use std::time::Duration;

use super::{Conn, Flow};
use crate::sam::backend::Failure;
use crate::sam::datagram;
use crate::sam::help;
use crate::sam::keys;
use crate::sam::naming::Name;
use crate::sam::reply::{self, Domain, ResultCode};
use crate::sam::server::Shared;
use crate::wire::{BlindedName, DestHash, Destination, SigType};

/// How long `HELP STATUS` asks the sessions.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

impl Conn {
    /// `DEST GENERATE`
    pub(super) async fn generate(&mut self, signature_type: Option<&str>) -> io::Result<Flow> {
        let reply = match self.new_keys(signature_type) {
            Ok(keys) => reply::dest_ok(&keys.destination().to_base64(), keys.to_base64()),
            Err(failure) => reply::error(&Domain::Dest, &failure.explain),
        };
        self.answer(reply).await
    }

    /// Keys of the type that a client asked for; Ed25519 when it did not.
    pub(super) fn new_keys(&self, signature_type: Option<&str>) -> Result<keys::PrivateKeys, Failure> {
        let sig_type = match signature_type {
            None => SigType::Ed25519,
            Some(text) => keys::signature_type(text).ok_or_else(|| unsupported(text))?,
        };
        if sig_type == SigType::DsaSha1 {
            let explain = "SIGNATURE_TYPE 0 unsupported: DSA_SHA1 is too weak for new keys, take 7 (Ed25519)";
            return Err(Failure::new(ResultCode::I2pError, explain));
        }
        self.shared.backend.new_keys(sig_type).map_err(|failure| match signature_type {
            Some(text) if failure.explain.is_empty() => unsupported(text),
            _ => failure,
        })
    }

    /// `NAMING LOOKUP`
    pub(super) async fn lookup(&mut self, name: &str, options: bool) -> io::Result<Flow> {
        let reply = match self.resolve_named(name, options).await {
            Ok((destination, options)) => reply::naming_ok(name, &destination.to_base64(), &options),
            Err(failure) => reply::naming_error(failure.code, name, &failure.explain),
        };
        self.answer(reply).await
    }

    async fn resolve_named(
        &self,
        name: &str,
        options: bool,
    ) -> Result<(Destination, Vec<(String, String)>), Failure> {
        let limit = self.shared.limits.lookup_timeout;
        let late = |what: &str| format!("the network did not {what} within {} s", limit.as_secs());
        let found = match tokio::time::timeout(limit, self.find(name)).await {
            Ok(found) => found,
            Err(_) => Err(Failure::new(ResultCode::KeyNotFound, late("find it"))),
        };
        let destination = found.map_err(|failure| match (failure.code, Name::parse(name)) {
            // Such a name is found by its lease set and by nothing else.
            (ResultCode::KeyNotFound, Name::Hash(_)) if options => {
                Failure::new(ResultCode::LeaseSetNotFound, failure.explain)
            }
            _ => failure,
        })?;
        if !options {
            return Ok((destination, Vec::new()));
        }
        // Whoever can read an encrypted lease set is the one that found it.
        let fetched = match &self.owned {
            Some(owned) if matches!(Name::parse(name), Name::Blinded(_)) => {
                owned.session.blinded_options(&destination)
            }
            _ => self.shared.backend.lease_set_options(&destination),
        };
        match tokio::time::timeout(limit, fetched).await {
            Ok(options) => Ok((destination, options?)),
            Err(_) => Err(Failure::new(ResultCode::LeaseSetNotFound, late("give its lease set"))),
        }
    }

    async fn find(&self, name: &str) -> Result<Destination, Failure> {
        match Name::parse(name) {
            Name::Me => match &self.owned {
                Some(owned) => Ok(owned.session.destination().clone()),
                None => {
                    let explain = "ME needs a session on this very connection";
                    Err(Failure::new(ResultCode::KeyNotFound, explain))
                }
            },
            Name::Destination(destination) => Ok(*destination),
            Name::Hash(hash) => self.find_hash(hash).await,
            Name::Host(host) => self.shared.find_host(&host).await,
            Name::Blinded(name) => self.find_blinded(name).await,
            Name::Malformed(why) => Err(Failure::new(ResultCode::InvalidKey, why)),
        }
    }

    /// A destination by its hash: our own sessions, what was found a moment ago, the network.
    async fn find_hash(&self, hash: DestHash) -> Result<Destination, Failure> {
        if let Some(own) = self.shared.registry.find_destination(hash) {
            return Ok(own);
        }
        match self.shared.lookups.get(hash) {
            Some(Some(found)) => return Ok(found),
            Some(None) => {
                let explain = "not found a moment ago; asked again after 30 s";
                return Err(Failure::new(ResultCode::KeyNotFound, explain));
            }
            None => {}
        }
        let result = self.shared.backend.lookup(hash).await;
        match &result {
            Ok(found) => self.shared.lookups.put(hash, Some(found.clone())),
            Err(failure) if failure.code == ResultCode::KeyNotFound => self.shared.lookups.put(hash, None),
            Err(_) => {}
        }
        result.map_err(|failure| match failure.code {
            ResultCode::KeyNotFound | ResultCode::InvalidKey => failure,
            _ => Failure::new(ResultCode::KeyNotFound, failure.explain),
        })
    }

    /// A destination by the name of its encrypted lease set. The session of this socket may know the secret and the key
    /// that it takes; without a session there are none.
    async fn find_blinded(&self, name: BlindedName) -> Result<Destination, Failure> {
        let result = match &self.owned {
            Some(owned) => owned.session.lookup_blinded(name).await,
            None => self.shared.backend.lookup_blinded(name).await,
        };
        result.map_err(|failure| match failure.code {
            ResultCode::InvalidKey => failure,
            _ => Failure::new(ResultCode::KeyNotFound, failure.explain),
        })
    }

    /// `HELP`
    pub(super) async fn help(&mut self, topic: Option<&str>) -> io::Result<Flow> {
        let page = if topic == Some("STATUS") { self.state().await } else { help::text(topic) };
        self.answer(page).await
    }
}

impl Conn {
    /// The page of `HELP STATUS`.
    async fn state(&self) -> String {
        let shared = &self.shared;
        let entries = shared.registry.all();
        let mut sessions = Vec::with_capacity(entries.len());
        let deadline = tokio::time::Instant::now() + STATE_TIMEOUT;
        for entry in entries {
            // A session that is busy elsewhere leaves out its details.
            let details = match entry.primary {
                Some(_) => Vec::new(),
                None => tokio::time::timeout_at(deadline, shared.backend.describe(entry.hash))
                    .await
                    .unwrap_or_default(),
            };
            sessions.push((entry, details));
        }
        let bridge = help::BridgeState {
            sockets: shared.metrics.sockets_open.get(),
            parked: shared.registry.parked(),
            datagrams_dropped: datagram::drops(&shared.metrics),
        };
        help::status(&shared.backend.status(), &sessions, &bridge)
    }
}

impl Shared {
    /// A host name, which the router knows or does not know.
    pub(in crate::sam) async fn find_host(&self, host: &str) -> Result<Destination, Failure> {
        if !host.ends_with(".i2p") {
            return Err(Failure::new(ResultCode::KeyNotFound, "names end in .i2p"));
        }
        self.backend.resolve(host).await
    }
}

fn unsupported(text: &str) -> Failure {
    let short: String = text.chars().take(40).collect();
    Failure::new(ResultCode::I2pError, format!("SIGNATURE_TYPE {short} unsupported"))
}
