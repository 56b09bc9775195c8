// SPDX-License-Identifier: MIT
//! Settings as the file and the flags give them: each may be missing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use samovar::router::RouterConfig;
use samovar::router::config::Bound;
use samovar::tunnel::PoolConfig;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::access;

/// A value, or the word `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch<T> {
    Off,
    At(T),
}

impl<T: FromStr> FromStr for Switch<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "none" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Name of a bound, as [`Bound::named`] knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BoundKey(&'static str);

impl<'de> Deserialize<'de> for BoundKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let key = format!("bounds.{}", String::deserialize(d)?);
        match Bound::named(&key) {
            Some(bound) => Ok(Self(bound.key)),
            None => Err(de::Error::custom(format_args!("unknown field `{key}`"))),
        }
    }
}

/// Every setting of a router, by its name in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) sam: Option<Switch<SocketAddr>>,
    pub(super) sam_udp: Option<SocketAddr>,
    pub(super) host: Option<Vec<IpAddr>>,
    pub(super) port: Option<u16>,
    pub(super) bind: Option<Vec<IpAddr>>,
    pub(super) netid: Option<u8>,
    pub(super) floodfill: Option<bool>,
    pub(super) bootstrap: Option<Vec<PathBuf>>,
    pub(super) test_network: Option<bool>,
    pub(super) reseed: Option<bool>,
    pub(super) reseed_urls: Option<Vec<String>>,
    pub(super) reseed_certs: Option<Vec<PathBuf>>,
    pub(super) reseed_threshold: Option<usize>,
    pub(super) bandwidth: Option<char>,
    pub(super) transit: Option<bool>,
    pub(super) transit_tunnels_max: Option<usize>,
    pub(super) bandwidth_limit: Option<u32>,
    pub(super) transit_share: Option<u8>,
    pub(super) links_max: Option<usize>,
    pub(super) handshakes_max: Option<usize>,
    pub(super) handshakes_per_second: Option<u32>,
    pub(super) build_requests_per_second: Option<u32>,
    pub(super) known_routers_max: Option<usize>,
    pub(super) lease_sets_max: Option<usize>,
    pub(super) lookups_per_second: Option<u32>,
    pub(super) garlic_per_second: Option<u32>,
    pub(super) exploratory_hops: Option<u8>,
    pub(super) exploratory_tunnels: Option<u8>,
    pub(super) hosts: Option<Vec<PathBuf>>,
    pub(super) subscriptions: Option<Vec<String>>,
    pub(super) threads: Option<usize>,
    pub(super) memory_max: Option<u32>,
    pub(super) log: Option<String>,
    pub(super) sam_linger: Option<u32>,
    pub(super) sam_spare: Option<bool>,
    pub(super) sam_clients_max: Option<usize>,
    pub(super) sam_sessions_max: Option<usize>,
    pub(super) sam_unix: Option<Switch<PathBuf>>,
    pub(super) sam_unix_users: Option<Vec<u32>>,
    pub(super) sam_auth: Option<bool>,
    pub(super) sam_tls: Option<Switch<SocketAddr>>,
    pub(super) sam_tls_cert: Option<PathBuf>,
    pub(super) sam_tls_key: Option<PathBuf>,
    pub(super) sam_forward_certs: Option<Vec<PathBuf>>,
    pub(super) sam_forward_anywhere: Option<bool>,
    pub(super) bounds: BTreeMap<BoundKey, u64>,
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Settings {
    /// Puts what is set into `config`; later calls win over earlier ones.
    pub(super) fn apply(mut self, config: &mut RouterConfig) {
        self.apply_limits(config);
        for (key, value) in &self.bounds {
            if let Some(bound) = Bound::named(key.0) {
                bound.set(&mut config.bounds, *value);
            }
        }
        access::apply(&mut self, &mut config.sam_access);
        if self.data_dir.is_some() {
            config.data_dir = self.data_dir;
        }
        match self.sam {
            Some(Switch::At(at)) => config.sam = Some(at),
            // Without a bridge there is nothing for its datagrams either, whoever set them.
            Some(Switch::Off) => (config.sam, config.sam_udp) = (None, None),
            None => {}
        }
        if self.sam_udp.is_some() {
            config.sam_udp = self.sam_udp;
        }
        set(&mut config.sam_linger, self.sam_linger.map(|s| Duration::from_secs(s.into())));
        set(&mut config.sam_spare, self.sam_spare);
        set(&mut config.sam_clients_max, self.sam_clients_max);
        set(&mut config.sam_sessions_max, self.sam_sessions_max);
        set(&mut config.host, self.host);
        set(&mut config.port, self.port);
        set(&mut config.bind, self.bind);
        set(&mut config.net_id, self.netid);
        set(&mut config.floodfill, self.floodfill);
        set(&mut config.bootstrap, self.bootstrap);
        set(&mut config.test_network, self.test_network);
        set(&mut config.reseed.enabled, self.reseed);
        set(&mut config.reseed.urls, self.reseed_urls);
        set(&mut config.reseed.certs, self.reseed_certs);
        set(&mut config.reseed.threshold, self.reseed_threshold);
        set(&mut config.bandwidth, self.bandwidth);
        set(&mut config.transit, self.transit);
        if self.transit_tunnels_max.is_some() {
            config.transit_tunnels_max = self.transit_tunnels_max;
        }
        if self.exploratory_hops.is_some() || self.exploratory_tunnels.is_some() {
            let usual = config.exploratory_pool().inbound;
            let hops = self.exploratory_hops.unwrap_or(usual.length);
            let tunnels = self.exploratory_tunnels.unwrap_or(usual.quantity);
            config.exploratory = Some(PoolConfig::symmetric(hops, tunnels));
        }
        set(&mut config.hosts, self.hosts);
        set(&mut config.subscriptions.urls, self.subscriptions);
        set(&mut config.threads, self.threads);
        set(&mut config.memory_max, self.memory_max);
        set(&mut config.log, self.log);
    }

    fn apply_limits(&self, config: &mut RouterConfig) {
        let limits = &mut config.limits;
        set(&mut limits.bandwidth, self.bandwidth_limit);
        set(&mut limits.transit_share, self.transit_share);
        set(&mut limits.links, self.links_max);
        set(&mut limits.handshakes, self.handshakes_max);
        set(&mut limits.handshakes_per_second, self.handshakes_per_second);
        set(&mut limits.build_requests_per_second, self.build_requests_per_second);
        set(&mut limits.known_routers, self.known_routers_max);
        set(&mut limits.lease_sets, self.lease_sets_max);
        set(&mut limits.lookups_per_second, self.lookups_per_second);
        set(&mut limits.garlic_per_second, self.garlic_per_second);
    }

    /// Makes relative paths relative to `base`, the folder of the file that they stand in.
    pub(super) fn relative_to(mut self, base: &Path) -> Self {
        access::relative_to(&mut self, base);
        let fix = |path: &mut PathBuf| *path = base.join(&*path);
        self.data_dir.iter_mut().for_each(fix);
        self.bootstrap.iter_mut().flatten().for_each(fix);
        self.reseed_certs.iter_mut().flatten().for_each(fix);
        self.hosts.iter_mut().flatten().for_each(fix);
        self
    }
}
