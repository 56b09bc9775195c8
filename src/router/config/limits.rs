// SPDX-License-Identifier: MIT
//! How much other routers may make this one do and hold.

use super::ConfigError;

/// Bounds of what the network can cost, with defaults for the live network. All can be set lower, and higher up to what
/// [`RouterConfig::validate`](super::RouterConfig::validate) allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Most KB (1,000 bytes) a second over all links, in each direction; what is over it waits. 0 (default): no limit.
    pub bandwidth: u32,
    /// Part of `bandwidth` that tunnels of others may use, in percent. Default 80.
    pub transit_share: u8,
    /// Links to other routers at once. Default 2,000.
    pub links: usize,
    /// Handshakes of others under way at once; the oldest gives way. Default 512.
    pub handshakes: usize,
    /// New connections of others a second, with bursts of twice as many. Default 500.
    pub handshakes_per_second: u32,
    /// Tunnel build requests of others a second, with bursts of two and a half times as many; up to five times as many
    /// while the processor keeps up. Default 200.
    pub build_requests_per_second: u32,
    /// Other routers that are remembered. 0 (default): 6,000, as floodfill 30,000, in half of the memory at most.
    pub known_routers: usize,
    /// Lease sets kept for others as floodfill. 0 (default): 16,000.
    pub lease_sets: usize,
    /// Lookups and half as many stores of others a second, with bursts of four times as many. Default 1,000.
    pub lookups_per_second: u32,
    /// New garlic sessions that strangers may begin in a second, over all destinations; each destination has a tenth of
    /// it. Up to five times as many while the processor keeps up. Default 500.
    pub garlic_per_second: u32,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            bandwidth: 0,
            transit_share: 80,
            links: 2_000,
            handshakes: 512,
            handshakes_per_second: 500,
            build_requests_per_second: 200,
            known_routers: 0,
            lease_sets: 0,
            lookups_per_second: 1_000,
            garlic_per_second: 500,
        }
    }
}

/// Slowest bandwidth that still carries a stream, in KB a second.
const BANDWIDTH_MIN: u32 = 16;

impl NetworkLimits {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.bandwidth != 0 && self.bandwidth < BANDWIDTH_MIN {
            let problem =
                format!("{} KB/s is too little; at least {BANDWIDTH_MIN}, or 0 for no limit", self.bandwidth);
            return Err(ConfigError::new("bandwidth-limit", problem));
        }
        if self.bandwidth > 4_000_000 {
            return Err(ConfigError::new("bandwidth-limit", "at most 4000000; 0 is no limit"));
        }
        if self.transit_share > 100 {
            return Err(ConfigError::new(
                "transit-share",
                format!("{} is more than 100 %", self.transit_share),
            ));
        }
        let bounds: [(&'static str, usize, usize, usize); 6] = [
            ("links-max", self.links, 16, 65_000),
            ("handshakes-max", self.handshakes, 4, 65_000),
            ("handshakes-per-second", self.handshakes_per_second as usize, 1, 100_000),
            ("build-requests-per-second", self.build_requests_per_second as usize, 1, 100_000),
            ("lookups-per-second", self.lookups_per_second as usize, 2, 100_000),
            ("garlic-per-second", self.garlic_per_second as usize, 10, 100_000),
        ];
        for (key, value, low, high) in bounds {
            if !(low..=high).contains(&value) {
                return Err(ConfigError::new(key, format!("{value} is not between {low} and {high}")));
            }
        }
        for (key, value, low) in
            [("known-routers-max", self.known_routers, 100), ("lease-sets-max", self.lease_sets, 10)]
        {
            if value != 0 && !(low..=200_000).contains(&value) {
                return Err(ConfigError::new(
                    key,
                    format!("{value} is neither 0 nor between {low} and 200000"),
                ));
            }
        }
        Ok(())
    }

    /// Bytes a second over all links, each direction.
    pub(crate) fn link_rate(&self) -> Option<u32> {
        (self.bandwidth > 0).then(|| self.bandwidth.saturating_mul(1_000))
    }

    /// Bytes a second that tunnels of others may use.
    pub(crate) fn transit_rate(&self) -> Option<u32> {
        let rate = u64::from(self.link_rate()?) * u64::from(self.transit_share) / 100;
        Some(u32::try_from(rate).unwrap_or(u32::MAX))
    }
}
