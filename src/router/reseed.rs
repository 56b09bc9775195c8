// SPDX-License-Identifier: MIT
//! Brings first peers in: from files that the operator names, and from reseed hosts over HTTPS.
//!
//! One task asks hosts in random order while the router knows too few others. A host that fails is named with its
//! reason; after a pause, which grows, the next one is asked. It never gives up and never stops the router. Bundles of
//! two hosts are mixed, so that no single operator chooses all our first peers.

mod fetch;
mod tls;
mod url;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;

use super::config::{ConfigError, RouterConfig};
use super::storage::collect_routers;
use crate::base::{Clock, Net, Rng};
use crate::netdb::reseed::{
    BUNDLE_MAX, Bundle, Origin, Signer, Signers, bundle_url, hosts, open_su3, open_zip, tls_certificates,
};
use crate::wire::{Reader, RouterInfo, Wire};
pub use fetch::FetchError;

/// Hosts whose bundles are mixed.
const SOURCES: usize = 2;

/// First and longest pause after a host that failed.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// First and longest pause between a round that brought bundles and the next look at how many routers are known.
const SETTLE: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(3600));

/// Asks reseed hosts for RouterInfos.
pub struct Reseeder {
    net: Arc<dyn Net>,
    clock: Clock,
    rng: Rng,
    tls: Arc<ClientConfig>,
    signers: Signers,
    urls: Vec<String>,
    threshold: usize,
    /// First and longest pause after a host that failed.
    pauses: (Duration, Duration),
}

impl Reseeder {
    /// Reads the certificates that the configuration names and prepares the list of hosts.
    ///
    /// # Errors
    /// When a certificate file cannot be read or used, or an address is none.
    pub fn new(
        config: &RouterConfig,
        net: Arc<dyn Net>,
        clock: Clock,
        rng: Rng,
    ) -> Result<Self, ConfigError> {
        let own = read_certificates(config)?;
        let mut pins: Vec<&str> = tls_certificates().collect();
        pins.extend(own.iter().map(String::as_str));
        let tls = tls::client_config(&pins, clock.clone())
            .map_err(|e| ConfigError::new("reseed-certs", format!("TLS cannot be set up: {e}")))?;
        let bases: Vec<&str> = if config.reseed.urls.is_empty() {
            hosts().collect()
        } else {
            config.reseed.urls.iter().map(String::as_str).collect()
        };
        let urls: Vec<String> = bases.iter().map(|base| bundle_url(base, config.net_id)).collect();
        if let Some(bad) = urls.iter().find(|u| url::Url::parse(u).is_none()) {
            return Err(ConfigError::new(
                "reseed-urls",
                format!("{bad} is not an address like https://host/"),
            ));
        }
        let signers = signers_with(&own);
        Ok(Self { net, clock, rng, tls, signers, urls, threshold: config.reseed.threshold, pauses: PAUSE })
    }

    /// Keeps the router supplied for ever: whenever `known` is below the threshold, asks hosts and hands their
    /// RouterInfos, unchecked, to `deliver`.
    pub async fn run(mut self, known: impl Fn() -> usize + Send, mut deliver: impl FnMut(Bundle) + Send) {
        let mut settle = SETTLE.0;
        loop {
            if known() >= self.threshold {
                settle = SETTLE.0;
                self.pause(SETTLE.0).await;
                continue;
            }
            tracing::info!(
                known = known(),
                wanted = self.threshold,
                "too few routers known, asking reseed hosts"
            );
            self.round(&mut deliver).await;
            self.pause(settle).await;
            settle = (settle * 2).min(SETTLE.1);
        }
    }

    /// Asks hosts until two of them (or the only one) have given a good bundle, or all have been asked and one has.
    pub async fn round(&mut self, deliver: &mut (impl FnMut(Bundle) + Send)) {
        let most = SOURCES.min(self.urls.len());
        let mut taken = 0;
        let mut pause = self.pauses.0;
        let mut order: Vec<String> = Vec::new();
        while taken < most {
            let Some(address) = order.pop() else {
                if taken > 0 {
                    return;
                }
                order.clone_from(&self.urls);
                self.rng.shuffle(&mut order);
                continue;
            };
            let host = url::Url::parse(&address).map_or_else(|| address.clone(), |u| u.authority());
            match self.fetch(&address).await {
                Ok(bundle) => {
                    report(&host, &bundle);
                    deliver(bundle);
                    taken += 1;
                }
                Err(error) => {
                    tracing::warn!(
                        "reseed host {host} failed: {error}; trying the next in {} s",
                        pause.as_secs()
                    );
                    self.pause(pause).await;
                    pause = (pause * 2).min(self.pauses.1);
                }
            }
        }
    }

    /// Fetches and opens one bundle.
    ///
    /// # Errors
    /// Why this host is of no use now.
    pub async fn fetch(&self, address: &str) -> Result<Bundle, FetchError> {
        let bytes = fetch::get(address, self.net.as_ref(), &self.tls).await?;
        let now_s = self.clock.now().wall_ms / 1000;
        Ok(open_su3(&bytes, &self.signers, now_s, Origin::Web)?)
    }

    async fn pause(&self, time: Duration) {
        self.clock.sleep_until(Some(self.clock.now().mono + time)).await;
    }
}

fn report(host: &str, bundle: &Bundle) {
    let (routers, signer) = (bundle.routers.len(), bundle.signer.as_deref().unwrap_or("nobody"));
    tracing::info!("reseed host {host} gave {routers} routers, signed by {signer}");
    if let Some(days) = bundle.old_days {
        tracing::warn!("the bundle of {host} is {days} days old; many of its routers may be gone");
    }
}

/// The files of `reseed-certs`, each checked to be a certificate.
fn read_certificates(config: &RouterConfig) -> Result<Vec<String>, ConfigError> {
    let mut out = Vec::with_capacity(config.reseed.certs.len());
    for path in &config.reseed.certs {
        let bad = |why: String| ConfigError::new("reseed-certs", format!("{}: {why}", path.display()));
        let bytes = read_limited(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let pem = String::from_utf8(bytes).map_err(|_| bad("is not a certificate in PEM".into()))?;
        if Signer::from_pem(&pem).is_err() && tls::certificates(&pem).is_empty() {
            return Err(bad("is not a certificate in PEM".into()));
        }
        out.push(pem);
    }
    Ok(out)
}

/// The bundled signers and those of the given certificates that can sign bundles.
fn signers_with(certificates: &[String]) -> Signers {
    let mut signers = Signers::bundled();
    for signer in certificates.iter().filter_map(|pem| Signer::from_pem(pem).ok()) {
        signers.add(signer);
    }
    signers
}

/// Raw RouterInfos from everything that `bootstrap` names, unchecked.
///
/// # Errors
/// When a file is missing, unreadable, or none of the kinds that can be read.
pub fn bootstrap(config: &RouterConfig, now_s: u64) -> Result<Vec<Vec<u8>>, ConfigError> {
    let mut signers = None;
    let mut routers = Vec::new();
    for path in &config.bootstrap {
        let bad = |why: String| ConfigError::new("bootstrap", format!("{}: {why}", path.display()));
        let meta = fs::metadata(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let found = if meta.is_dir() {
            collect_routers(path)
        } else {
            let bytes = read_limited(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
            if signers.is_none() {
                signers = Some(signers_with(&read_certificates(config)?));
            }
            open_file(bytes, signers.as_ref().unwrap_or(&Signers::none()), now_s).map_err(bad)?
        };
        if found.is_empty() {
            tracing::warn!("bootstrap: {} holds no RouterInfo (router.info or *.dat)", path.display());
        }
        routers.extend(found);
    }
    Ok(routers)
}

/// RouterInfos of one file, whatever its name: SU3, zip, or a RouterInfo itself.
fn open_file(bytes: Vec<u8>, signers: &Signers, now_s: u64) -> Result<Vec<Vec<u8>>, String> {
    if bytes.starts_with(b"I2Psu3") {
        let bundle = open_su3(&bytes, signers, now_s, Origin::File).map_err(|e| e.to_string())?;
        return Ok(bundle.routers);
    }
    if bytes.starts_with(b"PK") {
        return Ok(open_zip(&bytes).map_err(|e| e.to_string())?.routers);
    }
    match RouterInfo::decode(&mut Reader::new(&bytes)) {
        Ok(_) => Ok(vec![bytes]),
        Err(_) => Err("is neither a RouterInfo, nor a zip, nor an SU3 file".into()),
    }
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(BUNDLE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > BUNDLE_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "larger than 8 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
