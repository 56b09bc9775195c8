// SPDX-License-Identifier: MIT
//! First peers from a signed bundle: the SU3 container, its signers, the zip inside, the public hosts.
//!
//! Bytes in, RouterInfos out; fetching is the router room's work, and whoever takes the RouterInfos checks each one.
//! A bundle from the web must be signed by a trusted operator and be young; a file that the operator of this router
//! names may be old, and a bare zip may be unsigned. Nothing in a bundle is ever used as a path.
//!
//! Limits: 8 MiB a bundle, 2,000 entries, 8 KiB an entry. Spec: "Reseed Hosts", "SU3 file format".

mod error;
mod hosts;
mod signers;
mod su3;
mod zip;

pub use error::ReseedError;
pub use hosts::{bundle_url, hosts, tls_certificates};
pub use signers::{Signer, Signers};
pub use su3::Su3;
pub use zip::{Entry, Names};

use crate::wire::{Reader, RouterInfo, Wire, b64};

/// Largest bundle that is looked at.
pub const BUNDLE_MAX: usize = 8 << 20;

/// A bundle from the web older than this is reported.
const OLD_S: u64 = 7 * 86_400;

/// A bundle from the web older than this is refused.
const TOO_OLD_S: u64 = 30 * 86_400;

/// A bundle may be this much younger than our clock, which may be wrong at this point.
const FUTURE_S: u64 = 86_400;

/// Where a bundle comes from, which decides how old it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Fetched from a host: refused when older than 30 days.
    Web,
    /// A file that the operator named: any age.
    File,
}

/// RouterInfos of a bundle, undecoded and unverified but for the name that the bundle gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Raw RouterInfos.
    pub routers: Vec<Vec<u8>>,
    /// Entries left out: other names, contents that do not belong to their name.
    pub skipped: usize,
    /// Who signed it, if anybody.
    pub signer: Option<String>,
    /// Age in days, when it is more than a week.
    pub old_days: Option<u64>,
}

/// Opens a signed bundle.
///
/// # Errors
/// When the container is malformed, nobody we trust signed it, the signature does not fit, or it is too old.
pub fn open_su3(bytes: &[u8], signers: &Signers, now_s: u64, origin: Origin) -> Result<Bundle, ReseedError> {
    let su3 = Su3::parse(bytes)?;
    signers.check(&su3, now_s)?;
    let old_days = check_age(su3.built_s()?, now_s, origin)?;
    let mut bundle = collect(zip::read(su3.content(), Names::Flat)?)?;
    bundle.signer = Some(su3.signer().to_owned());
    bundle.old_days = old_days;
    Ok(bundle)
}

/// Opens a bare zip, which nobody has signed: only for files that the operator of this router names.
///
/// # Errors
/// When it is malformed or too large.
pub fn open_zip(bytes: &[u8]) -> Result<Bundle, ReseedError> {
    if bytes.len() > BUNDLE_MAX {
        return Err(ReseedError::TooLarge);
    }
    collect(zip::read(bytes, Names::Nested)?)
}

fn check_age(built_s: u64, now_s: u64, origin: Origin) -> Result<Option<u64>, ReseedError> {
    if built_s > now_s.saturating_add(FUTURE_S) {
        return Err(ReseedError::FromTheFuture);
    }
    let age = now_s.saturating_sub(built_s);
    if age > TOO_OLD_S && origin == Origin::Web {
        return Err(ReseedError::TooOld { days: age / 86_400 });
    }
    Ok((age > OLD_S).then_some(age / 86_400))
}

fn collect(entries: Vec<Entry>) -> Result<Bundle, ReseedError> {
    let mut bundle = Bundle::default();
    for entry in entries {
        if belongs(&entry) { bundle.routers.push(entry.bytes) } else { bundle.skipped += 1 }
    }
    if bundle.routers.is_empty() { Err(ReseedError::NoRouters) } else { Ok(bundle) }
}

/// Whether an entry is a RouterInfo whose hash is the one that its name states.
fn belongs(entry: &Entry) -> bool {
    let name = entry.name.rsplit('/').next().unwrap_or_default();
    let Ok(info) = RouterInfo::decode(&mut Reader::new(&entry.bytes)) else { return false };
    match name.strip_prefix("routerInfo-").and_then(|n| n.strip_suffix(".dat")) {
        Some(hash) => b64::decode(hash).is_some_and(|h| h == info.hash().0),
        None => name == "router.info",
    }
}

#[cfg(test)]
pub(crate) mod tests;
