// SPDX-License-Identifier: MIT
//! I2NP: the two headers in use and the bodies of the database messages (I2NP specification).
//!
//! In memory a message is its kind, id, expiration and body. The body is one `Vec<u8>` that moves by value through
//! the router and is encrypted in place. Build records, tunnel cells and garlic have modules of their own.

use super::{DecodeError, Hash, MessageId, Reader, RouterHash, TunnelId, Wire};
use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

/// Largest body: what the tunnel fragmentation can carry.
pub const BODY_MAX: usize = 62_708;
/// Header of 16 bytes: inside TunnelGateway messages and tunnels.
pub const LONG_HEADER: usize = 16;
/// Header of 9 bytes: on NTCP2 and SSU2 and in garlic cloves.
pub const SHORT_HEADER: usize = 9;

/// Message type code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct I2npKind(pub u8);

#[allow(missing_docs, reason = "each is the message of its name in the specification")]
impl I2npKind {
    pub const DATABASE_STORE: Self = Self(1);
    pub const DATABASE_LOOKUP: Self = Self(2);
    pub const DATABASE_SEARCH_REPLY: Self = Self(3);
    pub const DELIVERY_STATUS: Self = Self(10);
    pub const GARLIC: Self = Self(11);
    pub const TUNNEL_DATA: Self = Self(18);
    pub const TUNNEL_GATEWAY: Self = Self(19);
    pub const DATA: Self = Self(20);
    pub const TUNNEL_BUILD: Self = Self(21);
    pub const TUNNEL_BUILD_REPLY: Self = Self(22);
    pub const VARIABLE_TUNNEL_BUILD: Self = Self(23);
    pub const VARIABLE_TUNNEL_BUILD_REPLY: Self = Self(24);
    pub const SHORT_TUNNEL_BUILD: Self = Self(25);
    pub const OUTBOUND_TUNNEL_BUILD_REPLY: Self = Self(26);
}

/// One I2NP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I2np {
    /// Type.
    pub kind: I2npKind,
    /// Message id.
    pub id: MessageId,
    /// Expiration, milliseconds since 1970 (whole seconds when it came with a short header).
    pub expiration_ms: u64,
    /// Body without header.
    pub body: Vec<u8>,
}

impl I2np {
    /// Size on a transport, with the short header.
    pub const fn short_len(&self) -> usize {
        SHORT_HEADER.saturating_add(self.body.len())
    }

    /// Appends the message with the 9-byte header: type, id, expiration in seconds. The size is the container's.
    pub fn encode_short(&self, w: &mut Vec<u8>) {
        w.push(self.kind.0);
        w.extend_from_slice(&self.id.0.to_be_bytes());
        w.extend_from_slice(&u32::try_from(self.expiration_ms / 1000).unwrap_or(u32::MAX).to_be_bytes());
        w.extend_from_slice(&self.body);
    }

    /// Reads a message with the 9-byte header that fills `bytes`.
    pub fn decode_short(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = I2npKind(r.u8()?);
        let id = MessageId(r.u32()?);
        let expiration_ms = u64::from(r.u32()?) * 1000;
        check_body(r.remaining())?;
        Ok(Self { kind, id, expiration_ms, body: r.take_rest().to_vec() })
    }

    /// Appends the message with the 16-byte header: type, id, expiration in ms, size, checksum.
    pub fn encode_long(&self, w: &mut Vec<u8>) {
        w.push(self.kind.0);
        w.extend_from_slice(&self.id.0.to_be_bytes());
        w.extend_from_slice(&self.expiration_ms.to_be_bytes());
        w.extend_from_slice(&u16::try_from(self.body.len()).unwrap_or(u16::MAX).to_be_bytes());
        w.push(Sha256::digest(&self.body).first().copied().unwrap_or(0));
        w.extend_from_slice(&self.body);
    }

    /// Reads a message with the 16-byte header; bytes behind its size are ignored, and so is the checksum, which
    /// i2pd writes as zero on messages that it got by a transport.
    pub fn decode_long(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = I2npKind(r.u8()?);
        let id = MessageId(r.u32()?);
        let expiration_ms = r.u64()?;
        let size = usize::from(r.u16()?);
        r.u8()?;
        check_body(size)?;
        Ok(Self { kind, id, expiration_ms, body: r.bytes(size)?.to_vec() })
    }

    /// Whether it must be dropped: more than a minute past its expiration or more than three minutes before it.
    pub const fn is_out_of_time(&self, wall_ms: u64) -> bool {
        wall_ms > self.expiration_ms.saturating_add(60_000)
            || self.expiration_ms > wall_ms.saturating_add(180_000)
    }
}

fn check_body(len: usize) -> Result<(), DecodeError> {
    if len <= BODY_MAX {
        return Ok(());
    }
    Err(DecodeError::count("I2NP body", u32::try_from(len).unwrap_or(u32::MAX), 62_708))
}

/// What a DatabaseStore carries, still undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreData {
    /// RouterInfo bytes, already decompressed.
    RouterInfo(Vec<u8>),
    /// LeaseSet of type 1.
    LeaseSet1(Vec<u8>),
    /// LeaseSet2, type 3.
    LeaseSet2(Vec<u8>),
    /// Encrypted LeaseSet2, type 5.
    Encrypted(Vec<u8>),
    /// Meta LeaseSet2, type 7.
    Meta(Vec<u8>),
}

/// DatabaseStore: key (32), type (1), reply token (4), then reply tunnel (4) and gateway (32) if the token is not 0, data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStore {
    /// The netDb key: hash of the router or destination, or of the blinded key.
    pub key: Hash,
    /// Token, tunnel (0 = direct) and gateway for the DeliveryStatus that is asked for; `None`: no answer wanted.
    pub reply: Option<(u32, TunnelId, RouterHash)>,
    /// The entry.
    pub data: StoreData,
}

impl Wire for DatabaseStore {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = Hash(r.array()?);
        let kind = r.u8()? & 0x0f;
        let token = r.u32()?;
        let reply = match token {
            0 => None,
            _ => Some((token, TunnelId(r.u32()?), RouterHash(r.array()?))),
        };
        let data = match kind {
            0 => {
                let len = r.u16()?;
                StoreData::RouterInfo(gunzip(
                    r.bytes(usize::from(len))?,
                    super::router_info::ROUTER_INFO_MAX,
                )?)
            }
            1 => StoreData::LeaseSet1(r.take_rest().to_vec()),
            3 => StoreData::LeaseSet2(r.take_rest().to_vec()),
            5 => StoreData::Encrypted(r.take_rest().to_vec()),
            7 => StoreData::Meta(r.take_rest().to_vec()),
            _ => return Err(DecodeError::Value("store type")),
        };
        r.take_rest();
        Ok(Self { key, reply, data })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.key.0);
        let (kind, bytes) = match &self.data {
            StoreData::RouterInfo(b) => (0, b),
            StoreData::LeaseSet1(b) => (1, b),
            StoreData::LeaseSet2(b) => (3, b),
            StoreData::Encrypted(b) => (5, b),
            StoreData::Meta(b) => (7, b),
        };
        w.push(kind);
        match self.reply {
            None => w.extend_from_slice(&[0; 4]),
            Some((token, tunnel, gateway)) => {
                w.extend_from_slice(&token.to_be_bytes());
                w.extend_from_slice(&tunnel.0.to_be_bytes());
                w.extend_from_slice(&gateway.0);
            }
        }
        if kind == 0 {
            let zipped = gzip_router_info(bytes);
            w.extend_from_slice(&u16::try_from(zipped.len()).unwrap_or(u16::MAX).to_be_bytes());
            w.extend_from_slice(&zipped);
        } else {
            w.extend_from_slice(bytes);
        }
    }
}

/// Up to this size RouterInfos go in a stored block, as i2pd's do: packing one takes a quarter of a megabyte of
/// working memory to save what is no more than padding.
const STORED_MAX: usize = 940;

/// gzip with the header that Java writes.
fn gzip_router_info(bytes: &[u8]) -> Vec<u8> {
    use flate2::{Compress, Compression, FlushCompress};
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
    let mut body = Vec::with_capacity(bytes.len().saturating_add(64));
    let packed = bytes.len() > STORED_MAX
        && matches!(
            Compress::new(Compression::new(6), false).compress_vec(bytes, &mut body, FlushCompress::Finish),
            Ok(Status::StreamEnd)
        );
    if !packed {
        // One stored block always works; a RouterInfo is far below 65,535 bytes.
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        body.clear();
        body.push(1);
        body.extend_from_slice(&len.to_le_bytes());
        body.extend_from_slice(&(!len).to_le_bytes());
        body.extend_from_slice(bytes);
    }
    out.extend_from_slice(&body);
    out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

/// Unpacks one gzip member of at most `max` bytes, whatever it claims; header extras are refused.
pub fn gunzip(bytes: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::new(bytes);
    if r.array::<3>()? != [0x1f, 0x8b, 8] {
        return Err(DecodeError::Value("gzip header"));
    }
    if r.u8()? & 0x1e != 0 {
        return Err(DecodeError::Value("gzip flags"));
    }
    r.bytes(6)?;
    let mut out = Vec::with_capacity(max.min(4096).saturating_add(1));
    let mut inflate = Decompress::new(false);
    loop {
        let (before_in, before_out) = (inflate.total_in(), out.len());
        let used = usize::try_from(before_in).map_err(|_| DecodeError::Value("gzip size"))?;
        let input = r.peek().get(used..).unwrap_or_default();
        match inflate.decompress_vec(input, &mut out, FlushDecompress::None) {
            Ok(Status::StreamEnd) => break,
            Ok(_) if out.len() > max => return Err(DecodeError::Value("gzip output too large")),
            Ok(_)
                if inflate.total_in() == before_in
                    && out.len() == before_out
                    && out.capacity() > out.len() =>
            {
                return Err(DecodeError::Short);
            }
            Ok(_) => out.reserve(out.len().max(1024).min(max.saturating_add(1))),
            Err(_) => return Err(DecodeError::Value("gzip data")),
        }
    }
    if out.len() > max {
        return Err(DecodeError::Value("gzip output too large"));
    }
    r.bytes(usize::try_from(inflate.total_in()).unwrap_or(usize::MAX))?;
    let crc = u32::from_le_bytes(r.array()?);
    if crc != crc32fast::hash(&out) {
        return Err(DecodeError::Value("gzip checksum"));
    }
    Ok(out)
}

/// What a DatabaseLookup asks for (flag bits 3-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupKind {
    /// Anything (deprecated).
    Any,
    /// A LeaseSet.
    LeaseSet,
    /// A RouterInfo.
    RouterInfo,
    /// Routers near the key, none of them floodfills.
    Exploratory,
}

/// How the answer to a lookup is to be encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum ReplyEncryption {
    /// Not at all.
    None,
    /// Existing-session form: this key, this 8-byte tag.
    Ecies([u8; 32], [u8; 8]),
    /// The old AES form, 32-byte tag. We never ask for it and do not answer it.
    Aes([u8; 32], [u8; 32]),
}

impl std::fmt::Debug for ReplyEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Ecies(..) => "Ecies(..)",
            Self::Aes(..) => "Aes(..)",
        })
    }
}

/// Most excluded peers in a lookup.
const EXCLUDED_MAX: u16 = 512;

/// DatabaseLookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLookup {
    /// The key asked for.
    pub key: Hash,
    /// Where the answer goes: a router, or the gateway of the tunnel below.
    pub from: RouterHash,
    /// Reply tunnel at `from`; `None`: answer directly.
    pub reply_tunnel: Option<TunnelId>,
    /// What is asked for.
    pub kind: LookupKind,
    /// Routers that shall not appear in the answer, at most 512.
    pub excluded: Vec<RouterHash>,
    /// Encryption of the answer.
    pub encryption: ReplyEncryption,
}

impl Wire for DatabaseLookup {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = Hash(r.array()?);
        let from = RouterHash(r.array()?);
        let flags = r.u8()?;
        let reply_tunnel = match flags & 1 {
            0 => None,
            _ => Some(TunnelId(r.u32()?)),
        };
        let kind = match (flags >> 2) & 3 {
            0 => LookupKind::Any,
            1 => LookupKind::LeaseSet,
            2 => LookupKind::RouterInfo,
            _ => LookupKind::Exploratory,
        };
        let n = r.u16()?;
        if n > EXCLUDED_MAX {
            return Err(DecodeError::count("excluded peers", n.into(), EXCLUDED_MAX.into()));
        }
        let excluded = (0..n).map(|_| RouterHash::decode(r)).collect::<Result<Vec<_>, _>>()?;
        let encryption = match flags & 0x12 {
            0 => ReplyEncryption::None,
            0x10 | 0x12 => {
                let key = r.array()?;
                if r.u8()? == 0 {
                    return Err(DecodeError::Value("reply tags"));
                }
                ReplyEncryption::Ecies(key, r.array()?)
            }
            _ => {
                let key = r.array()?;
                if r.u8()? == 0 {
                    return Err(DecodeError::Value("reply tags"));
                }
                ReplyEncryption::Aes(key, r.array()?)
            }
        };
        r.take_rest();
        Ok(Self { key, from, reply_tunnel, kind, excluded, encryption })
    }

    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.key.0);
        w.extend_from_slice(&self.from.0);
        let mut flags = match self.kind {
            LookupKind::Any => 0,
            LookupKind::LeaseSet => 4,
            LookupKind::RouterInfo => 8,
            LookupKind::Exploratory => 12,
        };
        flags |= u8::from(self.reply_tunnel.is_some());
        flags |= match self.encryption {
            ReplyEncryption::None => 0,
            ReplyEncryption::Ecies(..) => 0x10,
            ReplyEncryption::Aes(..) => 2,
        };
        w.push(flags);
        if let Some(tunnel) = self.reply_tunnel {
            w.extend_from_slice(&tunnel.0.to_be_bytes());
        }
        let excluded = self.excluded.get(..self.excluded.len().min(512)).unwrap_or_default();
        w.extend_from_slice(&u16::try_from(excluded.len()).unwrap_or(0).to_be_bytes());
        for hash in excluded {
            hash.encode(w);
        }
        match &self.encryption {
            ReplyEncryption::None => {}
            ReplyEncryption::Ecies(key, tag) => {
                w.extend_from_slice(key);
                w.push(1);
                w.extend_from_slice(tag);
            }
            ReplyEncryption::Aes(key, tag) => {
                w.extend_from_slice(key);
                w.push(1);
                w.extend_from_slice(tag);
            }
        }
    }
}

/// DatabaseSearchReply: key, hashes of routers nearer to it, and the (unproven) sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSearchReply {
    /// The key that was asked for.
    pub key: Hash,
    /// Routers to ask next.
    pub peers: Vec<RouterHash>,
    /// Who says so; not authenticated.
    pub from: RouterHash,
}

impl Wire for DatabaseSearchReply {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = Hash(r.array()?);
        let n = r.u8()?;
        let peers = (0..n).map(|_| RouterHash::decode(r)).collect::<Result<Vec<_>, _>>()?;
        let from = if r.is_empty() { RouterHash::default() } else { RouterHash::decode(r)? };
        r.take_rest();
        Ok(Self { key, peers, from })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.key.0);
        let peers = self.peers.get(..self.peers.len().min(255)).unwrap_or_default();
        w.push(u8::try_from(peers.len()).unwrap_or(0));
        for hash in peers {
            hash.encode(w);
        }
        w.extend_from_slice(&self.from.0);
    }
}

/// DeliveryStatus: an id and the time of its making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The token or message id that is confirmed.
    pub id: u32,
    /// Milliseconds since 1970.
    pub time_ms: u64,
}

impl Wire for DeliveryStatus {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = Self { id: r.u32()?, time_ms: r.u64()? };
        r.take_rest();
        Ok(value)
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.id.to_be_bytes());
        w.extend_from_slice(&self.time_ms.to_be_bytes());
    }
}

/// TunnelGateway: tunnel id (4), length (2), an I2NP message with the 16-byte header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelGateway {
    /// The tunnel at the receiver.
    pub tunnel: TunnelId,
    /// The message with its long header, undecoded.
    pub message: Vec<u8>,
}

impl Wire for TunnelGateway {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tunnel = TunnelId(r.u32()?);
        let len = r.u16()?;
        let message = r.bytes(usize::from(len))?.to_vec();
        r.take_rest();
        Ok(Self { tunnel, message })
    }
    fn encode(&self, w: &mut Vec<u8>) {
        w.extend_from_slice(&self.tunnel.0.to_be_bytes());
        w.extend_from_slice(&u16::try_from(self.message.len()).unwrap_or(u16::MAX).to_be_bytes());
        w.extend_from_slice(&self.message);
    }
}
