// SPDX-License-Identifier: MIT
//! RouterInfo and RouterAddress (common structures of the same names).

use super::{DecodeError, Mapping, Reader, RouterHash, RouterIdentity, SelfSigned, SigType, Wire, b64};
use std::net::IpAddr;
use std::sync::Arc;

/// Largest RouterInfo that we read. i2pd stops at 3,072; Java's own are below 2,000.
pub const ROUTER_INFO_MAX: usize = 4096;
const ADDRESSES_MAX: u8 = 16;

/// One way to reach a router: cost (1), expiration (8, always zero), style string, options mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAddress {
    /// Preference of the publisher, lower is better.
    pub cost: u8,
    /// Transport name: `NTCP2` or `SSU2`; others are kept and ignored.
    pub style: String,
    /// Transport options: host, port, keys.
    pub options: Mapping,
}

impl RouterAddress {
    /// Literal IP address of option `host`; host names are not resolved.
    pub fn host(&self) -> Option<IpAddr> {
        self.options.get("host")?.parse().ok()
    }
    /// Option `port`, 1 to 65535.
    pub fn port(&self) -> Option<u16> {
        self.options.get("port")?.parse().ok().filter(|p| *p != 0)
    }
    /// Static key: option `s`, 32 bytes.
    pub fn static_key(&self) -> Option<[u8; 32]> {
        b64::decode(self.options.get("s")?)?.try_into().ok()
    }
    /// NTCP2 obfuscation IV: option `i`, 16 bytes.
    pub fn ntcp2_iv(&self) -> Option<[u8; 16]> {
        b64::decode(self.options.get("i")?)?.try_into().ok()
    }
    /// Whether this is an NTCP2 address of a version that we speak (`v` is `2` or a list that has it).
    pub fn is_ntcp2(&self) -> bool {
        self.style == "NTCP2" && self.options.get("v").is_some_and(|v| v.split(',').any(|x| x.trim() == "2"))
    }
}

impl Wire for RouterAddress {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cost = r.u8()?;
        r.u64()?; // expiration: unused, zero
        let style = String::from_utf8_lossy(r.string()?).into_owned();
        Ok(Self { cost, style, options: Mapping::decode(r)? })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.push(self.cost);
        w.extend_from_slice(&[0; 8]);
        // Bytes that are no UTF-8 grew when they were read.
        let style = super::mapping::cut(&self.style);
        w.push(u8::try_from(style.len()).unwrap_or(0));
        w.extend_from_slice(style.as_bytes());
        self.options.encode(w);
    }
}

/// What the letters of option `caps` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Caps {
    /// Highest bandwidth class named: `K` to `X`, or `None` if no letter was there.
    pub bandwidth: Option<char>,
    /// `f`: a floodfill.
    pub floodfill: bool,
    /// `R`: reachable.
    pub reachable: bool,
    /// `U`: unreachable.
    pub unreachable: bool,
    /// `H`: hidden.
    pub hidden: bool,
    /// Congestion: `D`, `E` or `G`.
    pub congestion: Option<char>,
}

impl Caps {
    /// Reads the letters; unknown ones are skipped.
    pub fn parse(text: &str) -> Self {
        const ORDER: &str = "KLMNOPX";
        let mut caps = Self::default();
        for c in text.chars() {
            match c {
                'f' => caps.floodfill = true,
                'R' => caps.reachable = true,
                'U' => caps.unreachable = true,
                'H' => caps.hidden = true,
                'D' | 'E' | 'G' => caps.congestion = Some(c),
                c if ORDER.contains(c)
                    && caps.bandwidth.is_none_or(|old| ORDER.find(c) > ORDER.find(old)) =>
                {
                    caps.bandwidth = Some(c);
                }
                _ => {}
            }
        }
        caps
    }
}

/// `router.version` as comparable numbers: 0.9.62 is (0, 9, 62).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RouterVersion(pub u16, pub u16, pub u16);

impl RouterVersion {
    /// Reads `a.b.c` with any number of further parts ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|p| p.parse::<u16>().ok());
        Some(Self(parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
    }
}

/// A router's signed description of itself. The bytes it came in are kept, so cloning an `Arc` of it is the way to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterInfo {
    identity: RouterIdentity,
    published_ms: u64,
    addresses: Vec<RouterAddress>,
    options: Mapping,
    raw: Arc<[u8]>,
    signature_at: usize,
}

impl RouterInfo {
    /// Builds and signs a RouterInfo; `sign` gets the bytes to sign and answers the signature.
    pub fn build(
        identity: &RouterIdentity,
        published_ms: u64,
        addresses: Vec<RouterAddress>,
        options: Mapping,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Self {
        let mut raw = identity.to_bytes();
        raw.extend_from_slice(&published_ms.to_be_bytes());
        raw.push(u8::try_from(addresses.len()).unwrap_or(0));
        for address in &addresses {
            address.encode(&mut raw);
        }
        raw.push(0);
        options.encode(&mut raw);
        let signature_at = raw.len();
        let signature = sign(&raw);
        raw.extend_from_slice(&signature);
        Self { identity: identity.clone(), published_ms, addresses, options, raw: raw.into(), signature_at }
    }

    /// Who this is.
    pub const fn identity(&self) -> &RouterIdentity {
        &self.identity
    }
    /// The router's hash.
    pub const fn hash(&self) -> RouterHash {
        self.identity.hash()
    }
    /// When it was signed, milliseconds since 1970.
    pub const fn published_ms(&self) -> u64 {
        self.published_ms
    }
    /// Its addresses.
    pub fn addresses(&self) -> &[RouterAddress] {
        &self.addresses
    }
    /// Its options.
    pub const fn options(&self) -> &Mapping {
        &self.options
    }
    /// The bytes as received, with the signature.
    pub const fn raw(&self) -> &Arc<[u8]> {
        &self.raw
    }
    /// Capabilities; all absent when the option is.
    pub fn caps(&self) -> Caps {
        Caps::parse(self.options.get("caps").unwrap_or_default())
    }
    /// Option `netId`.
    pub fn net_id(&self) -> Option<u8> {
        self.options.get("netId")?.parse().ok()
    }
    /// Option `router.version`.
    pub fn version(&self) -> Option<RouterVersion> {
        RouterVersion::parse(self.options.get("router.version")?)
    }
}

impl Wire for RouterInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = r.peek();
        let identity = RouterIdentity::decode(r)?;
        let published_ms = r.u64()?;
        let count = r.u8()?;
        if count > ADDRESSES_MAX {
            return Err(DecodeError::count("addresses", count.into(), ADDRESSES_MAX.into()));
        }
        let addresses = (0..count).map(|_| RouterAddress::decode(r)).collect::<Result<Vec<_>, _>>()?;
        let peers = r.u8()?; // unused since long; hashes are skipped
        r.bytes(usize::from(peers) * 32)?;
        let options = Mapping::decode(r)?;
        let signature_at = start.len().saturating_sub(r.remaining());
        r.bytes(identity.sig_type().signature_len())?;
        let len = start.len().saturating_sub(r.remaining());
        if len > ROUTER_INFO_MAX {
            let max = u32::try_from(ROUTER_INFO_MAX).unwrap_or(u32::MAX);
            return Err(DecodeError::count("RouterInfo bytes", u32::try_from(len).unwrap_or(u32::MAX), max));
        }
        let raw = start.get(..len).unwrap_or_default().into();
        Ok(Self { identity, published_ms, addresses, options, raw, signature_at })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.raw);
    }
}

impl SelfSigned for RouterInfo {
    fn signer(&self) -> (SigType, &[u8]) {
        (self.identity.sig_type(), self.identity.signing_key())
    }
    fn signed_parts(&self) -> Vec<&[u8]> {
        vec![self.raw.get(..self.signature_at).unwrap_or_default()]
    }
    fn signature(&self) -> &[u8] {
        self.raw.get(self.signature_at..).unwrap_or_default()
    }
}
