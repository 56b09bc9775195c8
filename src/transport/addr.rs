// SPDX-License-Identifier: MIT
//! Which addresses may be dialled, and under which key a source address is counted.
//!
//! Requirement U6: nothing reserved is ever dialled on the live network, so that a hostile RouterInfo cannot point us
//! at the operator's own machines. The check is relaxed by `TransportConfig::test_network`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not the public internet: (first address, prefix length).
const RESERVED_V4: [([u8; 4], u8); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

/// Whether `ip` is no address of the public internet: private, loopback, documentation, multicast, 6to4 and so on.
pub fn is_reserved(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => reserved_v4(v4),
        IpAddr::V6(v6) => reserved_v6(v6),
    }
}

fn reserved_v4(ip: Ipv4Addr) -> bool {
    let ip = u32::from(ip);
    RESERVED_V4.iter().any(|(base, prefix)| {
        let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(*prefix))).unwrap_or(0);
        ip & mask == u32::from(Ipv4Addr::from(*base)) & mask
    })
}

/// Only global unicast (2000::/3) counts as public, without Teredo, documentation, ORCHID and 6to4.
fn reserved_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let global = a & 0xe000 == 0x2000;
    let special = match (a, b) {
        (0x2001, b) => b < 0x0200 || b == 0x0db8,
        (0x2002, _) => true,
        (0x3fff, b) => b < 0x1000,
        _ => false,
    };
    !global || special
}

/// The network that pending handshakes are counted under: /24 for IPv4, /48 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subnet([u8; 6]);

impl Subnet {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match canonical(ip) {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([0, 0, 0, a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self([a, b, c, d, e, f])
            }
        }
    }
}

/// An IPv4-mapped IPv6 address as IPv4, others as they are.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// Whether a peer that publishes `published` may connect from `source`: IPv4 exactly, IPv6 by its first eight bytes
/// (privacy extensions change the rest).
pub(crate) fn same_host(published: IpAddr, source: IpAddr) -> bool {
    match (canonical(published), canonical(source)) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a == b,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets().iter().zip(b.octets()).take(8).all(|(x, y)| *x == y),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
