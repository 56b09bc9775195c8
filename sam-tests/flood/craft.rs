// SPDX-License-Identifier: MIT
//! Messages that a hostile router would send, made with the library's own codecs and keys.

use anyhow::{Context, Result, bail};
use samovar::base::{Now, Rng};
use samovar::crypto::noise::{NTCP2, SymmetricState};
use samovar::crypto::{SigningKey, X25519Public, X25519Secret, aes_cbc, noise_n};
use samovar::transport::LocalKeys;
use samovar::wire::build_record::{BuildRecords, BuildRequest, HOP_PREFIX, HopRole, RecordSize};
use samovar::wire::{
    DatabaseLookup, DatabaseStore, Hash, I2np, I2npKind, KeysAndCert, LookupKind, Mapping, MessageId,
    ReplyEncryption, RouterAddress, RouterHash, RouterIdentity, RouterInfo, SigType, StoreData,
    TunnelGateway, TunnelId, Wire, b64,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// How long a message of ours stays valid.
const LIFE_MS: u64 = 60_000;

/// The router that a flood is aimed at.
#[derive(Clone)]
pub struct Victim {
    pub info: Arc<RouterInfo>,
    pub hash: RouterHash,
    pub at: SocketAddr,
    /// Key of build records and router garlic.
    pub key: X25519Public,
    ntcp2: X25519Public,
    ntcp2_iv: [u8; 16],
}

impl Victim {
    /// Reads a RouterInfo from a file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        let Ok(info) = RouterInfo::from_bytes(&bytes) else { bail!("{} is no RouterInfo", path.display()) };
        Self::of(Arc::new(info))
    }

    /// The router with this RouterInfo.
    pub fn of(info: Arc<RouterInfo>) -> Result<Self> {
        let address = info
            .addresses()
            .iter()
            .find(|a| a.is_ntcp2() && a.host().is_some())
            .context("the victim publishes no NTCP2 address")?;
        let at = SocketAddr::new(address.host().context("host")?, address.port().context("port")?);
        let ntcp2 = X25519Public(address.static_key().context("static key")?);
        let ntcp2_iv = address.ntcp2_iv().context("iv")?;
        let key = X25519Public(info.identity().x25519().context("the victim has no X25519 key")?);
        Ok(Self { hash: info.hash(), at, key, ntcp2, ntcp2_iv, info })
    }
}

/// RouterInfos of a directory.
pub fn load_infos(dir: &Path) -> Result<Vec<Arc<RouterInfo>>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        if let Ok(info) = RouterInfo::from_bytes(&std::fs::read(entry?.path())?) {
            out.push(Arc::new(info));
        }
    }
    Ok(out)
}

/// A router that we pretend to be.
pub struct Identity {
    pub keys: LocalKeys,
    pub info: Arc<RouterInfo>,
}

/// A RouterInfo of a new router at `at`, with capabilities `caps`.
pub fn identity(rng: &mut Rng, now: Now, net_id: u8, at: SocketAddr, caps: &str) -> Identity {
    let signing = SigningKey::random(rng);
    let encryption = X25519Secret::random(rng).public();
    let keys =
        KeysAndCert::build(SigType::Ed25519, signing.public().as_ref(), 4, encryption.as_ref(), rng.bytes());
    let router = RouterIdentity::new(keys);
    let keys = LocalKeys::new(router.hash(), X25519Secret::random(rng), rng.bytes());
    let address = address(at, keys.public().as_bytes(), keys.iv());
    let info = RouterInfo::build(&router, now.wall_ms, vec![address], options(net_id, caps), |bytes| {
        signing.sign(bytes).to_vec()
    });
    Identity { keys, info: Arc::new(info) }
}

fn address(at: SocketAddr, key: &[u8], iv: &[u8]) -> RouterAddress {
    let mut options = Mapping::new();
    options.set("host", &at.ip().to_string());
    options.set("port", &at.port().to_string());
    options.set("s", &b64::encode(key));
    options.set("i", &b64::encode(iv));
    options.set("v", "2");
    RouterAddress { cost: 3, style: "NTCP2".into(), options }
}

fn options(net_id: u8, caps: &str) -> Mapping {
    let mut options = Mapping::new();
    options.set("caps", caps);
    options.set("netId", &net_id.to_string());
    options.set("router.version", "0.9.67");
    options
}

/// A validly signed RouterInfo of a router that does not exist: key and bytes. Cheaper than [`identity`], since its
/// keys are only random bytes.
pub fn fake_info(rng: &mut Rng, now: Now, net_id: u8, caps: &str) -> (RouterHash, Vec<u8>) {
    let signing = SigningKey::random(rng);
    let mut key: [u8; 32] = rng.bytes();
    key[31] &= 0x7f;
    let keys = KeysAndCert::build(SigType::Ed25519, signing.public().as_ref(), 4, &key, rng.bytes());
    let router = RouterIdentity::new(keys);
    let [_, b, c, d] = rng.u32().to_be_bytes();
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(31, b, c, d)), 9_000 + u16::from(d));
    let mut ntcp2: [u8; 32] = rng.bytes();
    ntcp2[31] &= 0x7f;
    let address = address(at, &ntcp2, &rng.bytes::<16>());
    let published = now.wall_ms.saturating_sub(rng.below(600_000));
    let info = RouterInfo::build(&router, published, vec![address], options(net_id, caps), |bytes| {
        signing.sign(bytes).to_vec()
    });
    (info.hash(), info.raw().to_vec())
}

/// NTCP2 message 1 for the victim, as an honest router would send it: everything in it is right.
pub fn message1(rng: &mut Rng, now: Now, net_id: u8, victim: &Victim) -> Result<Vec<u8>> {
    let ephemeral = X25519Secret::random(rng);
    let mut noise = SymmetricState::new(&NTCP2);
    noise.mix_hash(victim.ntcp2.as_bytes());
    let public = ephemeral.public();
    noise.mix_hash(public.as_bytes());
    noise.mix_key(&ephemeral.dh(&victim.ntcp2).context("the victim's key is of low order")?);
    let mut message = public.0;
    aes_cbc::encrypt(&victim.hash.0, &victim.ntcp2_iv, &mut message);
    let mut options = [0; 16];
    options[0] = net_id;
    options[1] = 2;
    options[4..6].copy_from_slice(&600u16.to_be_bytes());
    options[8..12].copy_from_slice(&u32::try_from(now.wall_ms / 1000)?.to_be_bytes());
    let mut message = message.to_vec();
    message.extend_from_slice(&noise.encrypt_and_hash(&options));
    Ok(message)
}

/// A message with a fresh id.
pub fn message(rng: &mut Rng, now: Now, kind: I2npKind, body: Vec<u8>) -> I2np {
    I2np { kind, id: MessageId(rng.nonzero_u32()), expiration_ms: now.wall_ms + LIFE_MS, body }
}

/// A build record that the victim can read and has never seen: somebody asks it to be a hop before one of `next`.
pub fn build_record(rng: &mut Rng, now: Now, victim: &Victim, next: &[RouterHash]) -> Option<Vec<u8>> {
    let role = match rng.index(3) {
        0 => HopRole::InboundGateway,
        1 => HopRole::OutboundEndpoint,
        _ => HopRole::Participant,
    };
    let request = BuildRequest {
        receive: TunnelId(rng.nonzero_u32()),
        next_tunnel: TunnelId(rng.nonzero_u32()),
        next: *next.get(rng.index(next.len()))?,
        role,
        layer_type: 0,
        minutes: u32::try_from(now.wall_ms / 60_000).ok()?,
        next_message: MessageId(rng.nonzero_u32()),
        options: Mapping::new(),
        keys: None,
    };
    let mut clear = Vec::with_capacity(RecordSize::Short.clear_len());
    request.encode(&mut clear);
    let used = clear.len();
    clear.resize(RecordSize::Short.clear_len(), 0);
    rng.fill(clear.get_mut(used..)?);
    let mut record = victim.hash.0.get(..HOP_PREFIX)?.to_vec();
    record.extend_from_slice(&noise_n::seal(rng, &victim.key, &clear)?);
    Some(record)
}

/// A short build request of four records, one of them `record`, or, without one, garbage with the victim's prefix.
pub fn build(rng: &mut Rng, now: Now, victim: &Victim, record: Option<&[u8]>) -> I2np {
    let mut records = BuildRecords::zeroed(RecordSize::Short, 4);
    records.iter_mut().for_each(|r| rng.fill(r));
    let slot = rng.index(4);
    if let Some(place) = records.get_mut(slot) {
        match record {
            Some(record) if record.len() == place.len() => place.copy_from_slice(record),
            _ => {
                place.iter_mut().zip(victim.hash.0.iter().take(HOP_PREFIX)).for_each(|(p, h)| *p = *h);
                // The top bit of a key is never set.
                place.iter_mut().skip(HOP_PREFIX + 31).take(1).for_each(|b| *b &= 0x7f);
            }
        }
    }
    message(rng, now, I2npKind::SHORT_TUNNEL_BUILD, records.into_body())
}

/// A store of a RouterInfo. With `token` it asks for an answer to `us`, and so to be flooded.
pub fn store(rng: &mut Rng, now: Now, key: RouterHash, raw: &[u8], us: RouterHash, token: bool) -> I2np {
    let reply = token.then(|| (rng.nonzero_u32(), TunnelId(0), us));
    let store = DatabaseStore { key: key.into(), reply, data: StoreData::RouterInfo(raw.to_vec()) };
    message(rng, now, I2npKind::DATABASE_STORE, store.to_bytes())
}

/// A lookup of `key` to be answered to `us` directly.
pub fn lookup(rng: &mut Rng, now: Now, key: Hash, kind: LookupKind, us: RouterHash) -> I2np {
    let lookup = DatabaseLookup {
        key,
        from: us,
        reply_tunnel: None,
        kind,
        excluded: Vec::new(),
        encryption: ReplyEncryption::None,
    };
    message(rng, now, I2npKind::DATABASE_LOOKUP, lookup.to_bytes())
}

/// Garlic under no key at all: `len` random bytes that look like a New Session, or like Noise N to a router.
pub fn garlic(rng: &mut Rng, now: Now, len: usize) -> I2np {
    let mut body = u32::try_from(len).unwrap_or(0).to_be_bytes().to_vec();
    body.resize(len + 4, 0);
    rng.fill(body.get_mut(4..).unwrap_or_default());
    // The top bit of a router garlic's key is never set.
    body.iter_mut().skip(4 + 31).take(1).for_each(|b| *b &= 0x7f);
    message(rng, now, I2npKind::GARLIC, body)
}

/// `inner` for the tunnel whose gateway the receiver is.
pub fn through_gateway(rng: &mut Rng, now: Now, tunnel: TunnelId, inner: &I2np) -> I2np {
    let mut bytes = Vec::with_capacity(inner.body.len() + 16);
    inner.encode_long(&mut bytes);
    let body = TunnelGateway { tunnel, message: bytes }.to_bytes();
    message(rng, now, I2npKind::TUNNEL_GATEWAY, body)
}
