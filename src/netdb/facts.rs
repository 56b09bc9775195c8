// SPDX-License-Identifier: MIT
//! What a RouterInfo says, parsed once into comparable values.

use crate::crypto::X25519Public;
use crate::wire::{Caps, RouterHash, RouterInfo, RouterVersion};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Shared bandwidth that a router claims; later variants are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum BandwidthClass {
    /// No letter at all: not to be used for tunnels.
    #[default]
    Unstated,
    /// Below 12 KB/s.
    K,
    /// 12 to 48 KB/s.
    L,
    /// 48 to 64 KB/s.
    M,
    /// 64 to 128 KB/s.
    N,
    /// 128 to 256 KB/s.
    O,
    /// 256 to 2000 KB/s.
    P,
    /// Above 2000 KB/s.
    X,
}

impl BandwidthClass {
    fn from_letter(letter: Option<char>) -> Self {
        match letter {
            Some('K') => Self::K,
            Some('L') => Self::L,
            Some('M') => Self::M,
            Some('N') => Self::N,
            Some('O') => Self::O,
            Some('P') => Self::P,
            Some('X') => Self::X,
            _ => Self::Unstated,
        }
    }
}

/// How crowded a router says it is; later variants are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Congestion {
    /// Says nothing.
    #[default]
    None,
    /// `D`: medium. Count it for less.
    Medium,
    /// `E`: high. Avoid while the RouterInfo is fresh.
    High,
    /// `G`: takes no tunnels at all.
    Refusing,
}

/// Where and how to reach a router by NTCP2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ntcp2Contact {
    /// IP address and port.
    pub addr: SocketAddr,
    /// Its static key.
    pub key: X25519Public,
    /// Obfuscation IV of message 1.
    pub iv: [u8; 16],
}

/// A RouterInfo's statements about its router.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its hash.
    pub hash: RouterHash,
    /// Its X25519 key, for garlic and build records.
    pub key: X25519Public,
    /// Bandwidth class.
    pub class: BandwidthClass,
    /// Says that it is a floodfill.
    pub floodfill: bool,
    /// Says that it is reachable (`R`).
    pub reachable: bool,
    /// Says that it is unreachable (`U`).
    pub unreachable: bool,
    /// Says that it is hidden (`H`).
    pub hidden: bool,
    /// Congestion letter.
    pub congestion: Congestion,
    /// Router version; zero when absent or unreadable.
    pub version: RouterVersion,
    /// Published NTCP2 address, IPv4.
    pub ntcp2_v4: Option<Ntcp2Contact>,
    /// Published NTCP2 address, IPv6.
    pub ntcp2_v6: Option<Ntcp2Contact>,
    /// Whether it speaks NTCP2 over IPv4 at all (unpublished addresses say so by `caps=4`).
    pub speaks_v4: bool,
    /// Whether it speaks NTCP2 over IPv6 at all.
    pub speaks_v6: bool,
    /// Static key of its NTCP2 addresses, published or not.
    pub ntcp2_key: Option<X25519Public>,
    /// Where its published addresses are: two hops of one tunnel must not be near each other.
    pub subnets: Subnets,
    /// Family name, unproven: two hops of one tunnel must not share it.
    pub family: Option<Arc<str>>,
    /// When it was signed, ms since 1970.
    pub published_ms: u64,
}

/// The pieces of the address space that a router is in: a /16 of IPv4, a /32 of IPv6. Who has one address of such a
/// piece easily has more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subnets {
    v4: Option<u16>,
    v6: Option<u32>,
}

impl Subnets {
    /// Of each family the first address counts.
    fn add(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                self.v4.get_or_insert(u16::from_be_bytes([a, b]));
            }
            IpAddr::V6(ip) => {
                let [a, b, ..] = ip.segments();
                self.v6.get_or_insert(u32::from(a) << 16 | u32::from(b));
            }
        }
    }

    /// Whether both have an address in the same piece.
    pub fn meet(&self, other: &Self) -> bool {
        self.v4.is_some() && self.v4 == other.v4 || self.v6.is_some() && self.v6 == other.v6
    }

    /// The piece to count it under: that of IPv4 if it has such an address.
    pub fn main(&self) -> Option<IpAddr> {
        let v6 = || self.v6.map(|net| IpAddr::V6((u128::from(net) << 96).into()));
        self.v4.map(|net| IpAddr::V4((u32::from(net) << 16).into())).or_else(v6)
    }
}

impl Facts {
    /// Parses; `None` for a router without an X25519 key, of which nothing can be asked.
    pub fn parse(info: &RouterInfo) -> Option<Self> {
        let caps = info.caps();
        let mut facts = Self {
            hash: info.hash(),
            key: X25519Public(info.identity().x25519()?),
            class: BandwidthClass::from_letter(caps.bandwidth),
            floodfill: caps.floodfill,
            reachable: caps.reachable,
            unreachable: caps.unreachable,
            hidden: caps.hidden,
            congestion: congestion(caps),
            version: info.version().unwrap_or_default(),
            ntcp2_v4: None,
            ntcp2_v6: None,
            speaks_v4: false,
            speaks_v6: false,
            ntcp2_key: None,
            subnets: Subnets::default(),
            family: info.options().get("family").filter(|f| !f.is_empty()).map(Into::into),
            published_ms: info.published_ms(),
        };
        facts.read_addresses(info);
        Some(facts)
    }

    fn read_addresses(&mut self, info: &RouterInfo) {
        let mut addresses: Vec<_> = info.addresses().iter().collect();
        addresses.sort_by_key(|a| a.cost);
        for address in addresses {
            if let Some(ip) = address.host() {
                self.subnets.add(ip);
            }
            if !address.is_ntcp2() {
                continue;
            }
            let Some(key) = address.static_key().map(X25519Public) else { continue };
            self.ntcp2_key = self.ntcp2_key.or(Some(key));
            let families = address.options.get("caps").unwrap_or_default();
            self.speaks_v4 |= families.contains('4');
            self.speaks_v6 |= families.contains('6');
            let (Some(ip), Some(port)) = (address.host(), address.port()) else { continue };
            let Some(iv) = address.ntcp2_iv() else { continue };
            let contact = Ntcp2Contact { addr: SocketAddr::new(ip, port), key, iv };
            let slot = if ip.is_ipv4() { &mut self.ntcp2_v4 } else { &mut self.ntcp2_v6 };
            slot.get_or_insert(contact);
            self.speaks_v4 |= ip.is_ipv4();
            self.speaks_v6 |= ip.is_ipv6();
        }
    }

    /// Whether there is an address that can be dialled by NTCP2.
    pub const fn has_published_address(&self) -> bool {
        self.ntcp2_v4.is_some() || self.ntcp2_v6.is_some()
    }

    /// Whether it may be used as a floodfill where versions below `min` are not.
    pub fn usable_floodfill(&self, min: RouterVersion) -> bool {
        self.floodfill && !self.hidden && self.version >= min
    }
}

fn congestion(caps: Caps) -> Congestion {
    match caps.congestion {
        Some('D') => Congestion::Medium,
        Some('E') => Congestion::High,
        Some('G') => Congestion::Refusing,
        _ => Congestion::None,
    }
}

#[cfg(test)]
mod tests;
