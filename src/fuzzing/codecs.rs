// SPDX-License-Identifier: MIT
//! The decoders of `wire`, one target each: whatever decodes must be written back as it was, or at least mean the same.

use std::io::Read as _;

use super::Target;
use super::input::Input;
use super::people::{Person, Place, WALL_MS};
use crate::crypto::Verified;
use crate::netdb::Facts;
use crate::wire::build_record::{BuildRecords, BuildRequest, RecordSize};
use crate::wire::i2cp_gzip::{self, Ports};
use crate::wire::{
    BlindedName, DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Destination,
    EncryptedLeaseSet, Hash, I2np, I2npKind, KeysAndCert, LeaseSet1, LeaseSet2, LookupKind, Mapping,
    MessageId, ROUTER_INFO_MAX, Reader, ReplyEncryption, RouterAddress, RouterHash, RouterIdentity,
    RouterInfo, SelfSigned, SigType, StoreData, StreamPacket, TunnelGateway, TunnelId, Wire, b32, b64,
    datagram, garlic, i2np, ntcp2_block, tunnel_data,
};

pub(super) const CODECS: &[Target] = &[
    ("wire_i2np", wire_i2np, i2np_seeds),
    ("wire_store", wire_store, store_seeds),
    ("wire_lookup", wire_lookup, lookup_seeds),
    ("wire_answers", wire_answers, answer_seeds),
    ("wire_gunzip", wire_gunzip, gunzip_seeds),
    ("wire_mapping", wire_mapping, mapping_seeds),
    ("wire_identity", wire_identity, identity_seeds),
    ("wire_router_info", wire_router_info, router_info_seeds),
    ("wire_lease_set", wire_lease_set, lease_set_seeds),
    ("wire_garlic", wire_garlic, garlic_seeds),
    ("wire_ntcp2_blocks", wire_ntcp2_blocks, ntcp2_seeds),
    ("wire_build", wire_build, build_seeds),
    ("wire_cell", wire_cell, cell_seeds),
    ("wire_stream", wire_stream, stream_seeds),
    ("wire_datagram", wire_datagram, datagram_seeds),
    ("wire_gzip", wire_gzip, gzip_seeds),
    ("wire_names", wire_names, name_seeds),
];

const SIG_TYPES: [SigType; 6] = [
    SigType::DsaSha1,
    SigType::EcdsaP256,
    SigType::EcdsaP384,
    SigType::EcdsaP521,
    SigType::Ed25519,
    SigType::RedDsa,
];

/// Decodes all of `bytes`; what came out must survive another round.
fn round<T: Wire + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    let again = T::from_bytes(&value.to_bytes());
    assert_eq!(again.as_ref(), Ok(&value));
    Some(value)
}

/// Decodes from the front of `bytes` a structure that keeps its bytes, and holds it to them.
fn kept<T: Wire + PartialEq + std::fmt::Debug>(bytes: &[u8], most: usize) -> Option<(T, Vec<u8>)> {
    let mut r = Reader::new(bytes);
    let value = T::decode(&mut r).ok()?;
    let used = &bytes[..bytes.len() - r.remaining()];
    assert!(used.len() <= most, "{} bytes were taken", used.len());
    assert_eq!(value.to_bytes(), used);
    assert_eq!(T::from_bytes(used).as_ref(), Ok(&value));
    Some((value, used.to_vec()))
}

/// What is signed and the signature must be the whole, up to a store type in front.
fn signed<T: SelfSigned>(value: &T, raw: &[u8], front: usize) {
    let mut whole = value.signed_parts().concat();
    whole.extend_from_slice(value.signature());
    assert_eq!(&whole[front..], raw);
    let (kind, key) = value.signer();
    assert_eq!((key.len(), value.signature().len()), (kind.public_len(), kind.signature_len()));
    if let Some((kind, key, message, signature)) = value.authorisation() {
        assert_eq!((key.len(), signature.len()), (kind.public_len(), kind.signature_len()));
        assert!(message.len() > 6);
    }
}

/// Both headers of I2NP messages.
pub fn wire_i2np(data: &[u8]) {
    let mut input = Input::new(data);
    let long = input.flag();
    let bytes = input.rest();
    let read = if long { I2np::decode_long(bytes) } else { I2np::decode_short(bytes) };
    let Ok(message) = read else { return };
    assert!(message.body.len() <= i2np::BODY_MAX);
    let (mut short, mut full) = (Vec::new(), Vec::new());
    message.encode_short(&mut short);
    message.encode_long(&mut full);
    assert_eq!(I2np::decode_long(&full), Ok(message.clone()));
    let again = I2np::decode_short(&short).unwrap();
    assert_eq!((again.kind, again.id, &again.body), (message.kind, message.id, &message.body));
    assert_eq!(short.len(), message.short_len());
    if !long {
        assert_eq!(short, bytes);
    }
    let _ = message.is_out_of_time(WALL_MS);
}

fn i2np_seeds() -> Vec<Vec<u8>> {
    let message =
        I2np { kind: I2npKind::DATA, id: MessageId(7), expiration_ms: WALL_MS, body: vec![0, 0, 0, 1, 9] };
    let (mut short, mut long) = (vec![0], vec![1]);
    message.encode_short(&mut short);
    message.encode_long(&mut long);
    vec![short, long]
}

/// DatabaseStore, with RouterInfos packed as they come or packed here.
pub fn wire_store(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() {
        let reply =
            input.flag().then(|| (input.u32().max(1), TunnelId(input.u32()), RouterHash(input.array())));
        let store = DatabaseStore {
            key: Hash(input.array()),
            reply,
            data: StoreData::RouterInfo(input.rest().to_vec()),
        };
        let back = DatabaseStore::from_bytes(&store.to_bytes());
        match &store.data {
            StoreData::RouterInfo(bytes) if bytes.len() > ROUTER_INFO_MAX => assert!(back.is_err()),
            _ => assert_eq!(back, Ok(store)),
        }
        return;
    }
    if let Some(store) = round::<DatabaseStore>(input.rest())
        && let StoreData::RouterInfo(bytes) = &store.data
    {
        assert!(bytes.len() <= ROUTER_INFO_MAX);
    }
}

fn store_seeds() -> Vec<Vec<u8>> {
    let place = Place::new(1);
    let info = Person::new(1).info("198.18.0.1", "OR").raw().to_vec();
    let set = place.lease_set(1_795_305_600, &[5; 32]).raw().to_vec();
    let reply = Some((5, TunnelId(6), RouterHash([3; 32])));
    let store = |data, reply| DatabaseStore { key: Hash([1; 32]), reply, data };
    let raw = |store: DatabaseStore| [vec![0], store.to_bytes()].concat();
    vec![
        raw(store(StoreData::RouterInfo(info.clone()), reply)),
        raw(store(StoreData::LeaseSet2(set), None)),
        raw(store(StoreData::Encrypted(vec![1, 2, 3]), reply)),
        [vec![1, 0], vec![1; 32], info].concat(),
    ]
}

/// DatabaseLookup.
pub fn wire_lookup(data: &[u8]) {
    if let Some(lookup) = round::<DatabaseLookup>(data) {
        assert!(lookup.excluded.len() <= 512);
    }
}

fn lookup_seeds() -> Vec<Vec<u8>> {
    let mut lookup = DatabaseLookup {
        key: Hash([1; 32]),
        from: RouterHash([2; 32]),
        reply_tunnel: Some(TunnelId(3)),
        kind: LookupKind::LeaseSet,
        excluded: vec![RouterHash([4; 32]); 2],
        encryption: ReplyEncryption::Ecies([5; 32], [6; 8]),
    };
    let first = lookup.to_bytes();
    (lookup.encryption, lookup.reply_tunnel) = (ReplyEncryption::None, None);
    vec![first, lookup.to_bytes()]
}

/// DatabaseSearchReply, DeliveryStatus and TunnelGateway.
pub fn wire_answers(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => drop(round::<DatabaseSearchReply>(input.rest())),
        1 => drop(round::<DeliveryStatus>(input.rest())),
        _ => drop(round::<TunnelGateway>(input.rest())),
    }
}

fn answer_seeds() -> Vec<Vec<u8>> {
    let from = RouterHash([2; 32]);
    let reply = DatabaseSearchReply { key: Hash([1; 32]), peers: vec![from; 3], from };
    let status = DeliveryStatus { id: 1, time_ms: WALL_MS };
    let gateway = TunnelGateway { tunnel: TunnelId(1), message: vec![1; 20] };
    vec![
        [vec![0], reply.to_bytes()].concat(),
        [vec![1], status.to_bytes()].concat(),
        [vec![2], gateway.to_bytes()].concat(),
    ]
}

/// What a deflate stream holds, up to `max` bytes and one more; `None` if it is broken.
fn inflated(packed: &[u8], max: usize) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let mut reader = flate2::read::DeflateDecoder::new(packed).take(max as u64 + 1);
    reader.read_to_end(&mut out).ok()?;
    let used = usize::try_from(reader.into_inner().total_in()).unwrap();
    Some((out, used))
}

/// The gzip member in which RouterInfos travel; with a right checksum as well.
pub fn wire_gunzip(data: &[u8]) {
    const MAX: usize = 4096;
    let mut input = Input::new(data);
    let honest = input.flag();
    let body = input.rest();
    if !honest {
        if let Ok(out) = i2np::gunzip(body, MAX) {
            assert!(out.len() <= MAX);
        }
        return;
    }
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
    let wanted = inflated(body, MAX);
    let (out, used) = wanted.clone().unwrap_or_default();
    member.extend_from_slice(&body[..if wanted.is_some() { used } else { body.len() }]);
    member.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    member.extend_from_slice(&u32::try_from(out.len()).unwrap().to_le_bytes());
    // A stream that ends too early may go on in the trailer: then that is what it says.
    if let (Ok(got), Some((want, _))) = (i2np::gunzip(&member, MAX), wanted) {
        assert_eq!(got, want);
    }
}

fn gunzip_seeds() -> Vec<Vec<u8>> {
    let mut packed = vec![1];
    let mut encoder = flate2::write::DeflateEncoder::new(&mut packed, flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &b"a row of words, a row of words".repeat(9)).unwrap();
    drop(encoder.finish());
    let store = DatabaseStore { key: Hash([1; 32]), reply: None, data: StoreData::RouterInfo(vec![7; 99]) };
    vec![packed, [vec![0], store.to_bytes()[39..].to_vec()].concat(), vec![1, 1, 1, 0, 0xfe, 0xff, 65]]
}

/// Mappings: strings that are no UTF-8 change once and never again.
pub fn wire_mapping(data: &[u8]) {
    let mut r = Reader::new(data);
    let Ok(mut first) = Mapping::decode(&mut r) else { return };
    let bytes = first.to_bytes();
    let second = Mapping::from_bytes(&bytes).unwrap();
    assert_eq!(second.to_bytes(), bytes);
    let pairs: Vec<(String, String)> = second.iter().map(|(k, v)| (k.into(), v.into())).collect();
    for (key, _) in &pairs {
        assert!(second.get(key).is_some() && key.len() <= 255);
    }
    if let Some((key, value)) = pairs.first() {
        first.set(value, key);
        assert_eq!(first.get(value), Some(key.as_str()));
    }
}

fn mapping_seeds() -> Vec<Vec<u8>> {
    let mut mapping = Mapping::new();
    let empty = mapping.to_bytes();
    mapping.set("caps", "OfR");
    mapping.set("netId", "2");
    vec![empty, mapping.to_bytes()]
}

/// Keys with their certificate, as router and as destination, and made from parts.
pub fn wire_identity(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() {
        let kind = input.pick(&SIG_TYPES);
        let crypto = input.u16();
        let signing = {
            let mut key = input.slice(kind.public_len()).to_vec();
            key.resize(kind.public_len(), 1);
            key
        };
        let fill = input.array();
        let keys = KeysAndCert::build(kind, &signing, crypto, input.rest(), fill);
        let (back, _) = kept::<KeysAndCert>(keys.as_bytes(), 2048).expect("what was built is read");
        assert_eq!((back.sig_type(), back.signing_key()), (kind, signing.as_slice()));
        assert_eq!((back.crypto_type(), back.sha256()), (crypto, keys.sha256()));
        return;
    }
    let Some((keys, used)) = kept::<KeysAndCert>(input.rest(), 384 + 3 + 1024) else { return };
    assert_eq!(keys.signing_key().len(), keys.sig_type().public_len());
    let destination = Destination::new(keys.clone());
    assert_eq!(Destination::from_base64(&destination.to_base64()), Ok(destination.clone()));
    assert_eq!(destination.hash().0, crate::crypto::sha256(&[&used]));
    let router = RouterIdentity::new(keys.clone());
    assert_eq!(router.x25519().is_some(), keys.crypto_type() == 4);
    if let Some(name) = BlindedName::of(&destination, true, false) {
        assert!(name.names(&destination));
    }
}

fn identity_seeds() -> Vec<Vec<u8>> {
    let router = Person::new(1).identity.to_bytes();
    let place = Place::new(1).destination.to_bytes();
    let wide = KeysAndCert::build(SigType::EcdsaP521, &[4; 132], 0, &[], [1; 32]);
    let old = [vec![0; 384], vec![0, 0, 0]].concat();
    let raw = |bytes: &[u8]| [&[0], bytes].concat();
    vec![raw(&router), raw(&place), raw(wide.as_bytes()), raw(&old), vec![1, 3, 0, 4, 9, 9, 9]]
}

/// RouterInfos and their addresses; also what is made of them.
pub fn wire_router_info(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() {
        if let Ok(address) = RouterAddress::decode(&mut Reader::new(input.rest())) {
            let bytes = address.to_bytes();
            assert_eq!(RouterAddress::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        }
        return;
    }
    let bytes = input.rest();
    let Some((info, used)) = kept::<RouterInfo>(bytes, ROUTER_INFO_MAX) else { return };
    signed(&info, &used, 0);
    assert_eq!(info.raw().as_ref(), used);
    let _ = (info.caps(), info.net_id(), info.version());
    for address in info.addresses() {
        let _ =
            (address.host(), address.port(), address.static_key(), address.ntcp2_iv(), address.is_ntcp2());
    }
    if let Some(facts) = Facts::parse(&info) {
        assert_eq!(facts.hash, info.hash());
        assert!(!facts.has_published_address() || facts.ntcp2_key.is_some());
    }
    let _ = Verified::check(info);
}

fn router_info_seeds() -> Vec<Vec<u8>> {
    let person = Person::new(1);
    let info = person.info("198.18.0.1", "fOR");
    let address = info.addresses()[0].to_bytes();
    let bare = RouterInfo::build(&person.identity, 0, Vec::new(), Mapping::new(), |_| vec![0; 64]);
    vec![
        [vec![0], info.raw().to_vec()].concat(),
        [vec![0], bare.raw().to_vec()].concat(),
        [vec![1], address].concat(),
    ]
}

/// The three kinds of lease sets.
pub fn wire_lease_set(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => {
            let Some((set, used)) = kept::<LeaseSet2>(input.rest(), 8192) else { return };
            signed(&set, &used, 1);
            assert!(set.leases().len() <= 16 && set.keys().len() <= 16);
            assert!(set.expires_s() >= set.published_s());
            let _ = (set.x25519(), set.is_unpublished(), set.is_encrypted_in_netdb());
            let _ = Verified::check(set);
        }
        1 => {
            let Some((set, used)) = kept::<LeaseSet1>(input.rest(), 8192) else { return };
            signed(&set, &used, 0);
            assert!(set.leases().len() <= 16 && set.version_ms() <= set.end_ms());
        }
        _ => {
            let Some((set, used)) = kept::<EncryptedLeaseSet>(input.rest(), 8192) else { return };
            signed(&set, &used, 1);
            let _ = (set.store_key(), set.sealed());
            let _ = Verified::check(set);
        }
    }
}

fn lease_set_seeds() -> Vec<Vec<u8>> {
    let place = Place::new(1);
    let set = place.lease_set(1_795_305_600, &[5; 32]).raw().to_vec();
    let old = [place.destination.to_bytes(), vec![1; 256 + 32], vec![1], vec![7; 44], vec![3; 64]].concat();
    let encrypted =
        [vec![0, 11], vec![9; 32], vec![0, 0, 0, 1, 0, 60, 0, 0, 0, 4, 1, 2, 3, 4], vec![0; 64]].concat();
    vec![[vec![0], set].concat(), [vec![1], old].concat(), [vec![2], encrypted].concat()]
}

/// Garlic payloads: framing, cloves, keys, acknowledgements.
pub fn wire_garlic(data: &[u8]) {
    use garlic::Block;
    let mut count = 0;
    for block in garlic::Blocks::new(data) {
        count += 1;
        let Ok(block) = block else { continue };
        let mut bytes = Vec::new();
        match &block {
            Block::DateTime(at) => garlic::put_date_time(*at, &mut bytes),
            Block::Termination(reason) => garlic::put_termination(*reason, &mut bytes),
            Block::NextKey(key) => {
                key.encode_block(&mut bytes);
                assert_eq!(bytes.len(), key.block_len());
            }
            Block::Ack(acks) => garlic::put_acks(&acks.iter().collect::<Vec<_>>(), &mut bytes),
            Block::AckRequest => garlic::put_ack_request(&mut bytes),
            Block::Clove(clove) => {
                garlic::put_clove(clove, &mut bytes);
                assert_eq!(bytes.len(), garlic::Clove::block_len(&clove.delivery, clove.body.len()));
            }
            Block::Padding(len) => garlic::put_padding(*len, &mut bytes),
            Block::MessageNumber(_) | Block::Unknown(_) => continue,
        }
        let again: Vec<_> = garlic::Blocks::new(&bytes).collect();
        match (&block, again.as_slice()) {
            (Block::Ack(acks), []) => assert_eq!(acks.iter().count(), 0),
            (Block::Ack(acks), [Ok(Block::Ack(same))]) => assert!(acks.iter().eq(same.iter())),
            (block, [Ok(same)]) => assert_eq!(block, same),
            (block, other) => panic!("{block:?} became {other:?}"),
        }
    }
    assert!(count <= data.len());
}

fn garlic_seeds() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    garlic::put_date_time(1_795_305_600, &mut out);
    garlic::NextKey { key_id: 1, key: Some([3; 32]), reverse: false, request: true }.encode_block(&mut out);
    for delivery in [
        garlic::Delivery::Local,
        garlic::Delivery::Router(RouterHash([1; 32])),
        garlic::Delivery::Tunnel { gateway: RouterHash([1; 32]), tunnel: TunnelId(1) },
    ] {
        let clove = garlic::Clove {
            delivery,
            kind: I2npKind::DATA,
            id: MessageId(5),
            expires_s: 1_795_305_660,
            body: &[0, 0, 0, 1, 5],
        };
        garlic::put_clove(&clove, &mut out);
    }
    garlic::put_ack_request(&mut out);
    garlic::put_acks(&[garlic::Ack { set: 1, index: 2 }, garlic::Ack { set: 1, index: 3 }], &mut out);
    garlic::put_termination(0, &mut out);
    garlic::put_padding(3, &mut out);
    vec![out]
}

/// Blocks of NTCP2 frames.
pub fn wire_ntcp2_blocks(data: &[u8]) {
    use ntcp2_block::Block;
    for block in ntcp2_block::blocks(data) {
        let Ok(block) = block else { return };
        let mut bytes = Vec::new();
        match &block {
            Block::DateTime(at) => ntcp2_block::put_date_time(&mut bytes, *at),
            Block::Options(options) => ntcp2_block::put_options(&mut bytes, options),
            Block::RouterInfo { flood, raw } => {
                assert!(ntcp2_block::put_router_info(&mut bytes, raw, *flood));
            }
            Block::I2np(message) => {
                assert!(ntcp2_block::put_i2np(&mut bytes, message));
                assert_eq!(bytes.len(), ntcp2_block::i2np_bytes(message));
            }
            Block::Termination { frames, reason } => {
                ntcp2_block::put_termination(&mut bytes, *frames, *reason)
            }
            Block::Padding(len) => ntcp2_block::put_padding(&mut bytes, u16::try_from(*len).unwrap()),
            Block::Unknown(_) => continue,
        }
        let again: Vec<_> = ntcp2_block::blocks(&bytes).collect();
        assert_eq!(again, [Ok(block)]);
    }
}

fn ntcp2_seeds() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    ntcp2_block::put_date_time(&mut out, 1_795_305_600);
    ntcp2_block::put_options(&mut out, &ntcp2_block::Options::default());
    ntcp2_block::put_router_info(&mut out, Person::new(1).info("198.18.0.1", "OR").raw(), true);
    let message = I2np { kind: I2npKind::DATA, id: MessageId(1), expiration_ms: 1000, body: vec![1, 2] };
    ntcp2_block::put_i2np(&mut out, &message);
    ntcp2_block::put_termination(&mut out, 3, ntcp2_block::TerminationReason::Idle);
    ntcp2_block::put_padding(&mut out, 4);
    vec![out]
}

/// Build requests in the clear, and the row of records around them.
pub fn wire_build(data: &[u8]) {
    let mut input = Input::new(data);
    let size = if input.flag() { RecordSize::Short } else { RecordSize::Long };
    if input.flag() {
        let body = input.rest().to_vec();
        let Ok(mut records) = BuildRecords::decode(size, body.clone()) else { return };
        assert!((1..=8).contains(&records.count()));
        assert_eq!(records.iter().count(), records.count());
        assert!(records.get(records.count()).is_none() && records.get_mut(records.count() - 1).is_some());
        let back = records.into_body();
        assert_eq!(back, body[..back.len()]);
        return;
    }
    let mut clear = input.rest().to_vec();
    if input.byte() != 1 {
        clear.resize(size.clear_len(), 0);
    }
    let Ok(request) = BuildRequest::decode(size, &clear) else { return };
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    assert!(bytes.len() <= size.clear_len());
    bytes.resize(size.clear_len(), 0);
    let again = BuildRequest::decode(size, &bytes).unwrap();
    let mut twice = Vec::new();
    again.encode(&mut twice);
    twice.resize(size.clear_len(), 0);
    assert_eq!(twice, bytes);
    assert_eq!((again.receive, again.next, again.role), (request.receive, request.next, request.role));
    assert_eq!((again.minutes, again.next_message), (request.minutes, request.next_message));
    assert_eq!((again.keys, again.layer_type), (request.keys, request.layer_type));
}

fn build_seeds() -> Vec<Vec<u8>> {
    let mut short = [1, 0, 0, 0, 0, 1, 0, 0, 0, 2].to_vec();
    short.extend_from_slice(&[3; 32]);
    short.extend_from_slice(&[0x40, 0, 0, 0, 1, 200, 12, 3, 0, 0, 2, 88, 0, 0, 0, 9, 0, 0]);
    let mut long = [0, 0, 0, 0, 0, 1, 0, 0, 0, 2].to_vec();
    long.extend_from_slice(&[3; 32 + 112]);
    long.extend_from_slice(&[0, 0, 0, 0, 1, 200, 12, 3, 0, 0, 2, 88, 0, 0, 0, 9, 0, 6, 1, 97, 61, 1, 98, 59]);
    let records = BuildRecords::zeroed(RecordSize::Short, 4).into_body();
    vec![short, long, [vec![1, 1], records].concat()]
}

/// Tunnel cells, with a right checksum or without.
pub fn wire_cell(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() {
        let mut cell = [0u8; tunnel_data::CELL_LEN];
        let bytes = input.slice(cell.len());
        cell[..bytes.len()].copy_from_slice(bytes);
        if let Ok(fragments) = tunnel_data::open_cell(&cell) {
            assert!(fragments.count() <= tunnel_data::CAPACITY);
        }
        return;
    }
    let (iv, padding) = (input.array(), input.byte() | 1);
    let fragments = input.slice(tunnel_data::CAPACITY);
    let body = tunnel_data::encode_body(TunnelId(9), &iv, fragments, |room| room.fill(padding));
    let cell: &[u8; tunnel_data::CELL_LEN] = body[4..].try_into().expect("a cell");
    let mut written = Vec::new();
    for fragment in tunnel_data::open_cell(cell).expect("what was packed is opened") {
        use tunnel_data::Fragment;
        let Ok(fragment) = fragment else { break };
        let data = match fragment {
            Fragment::Whole { delivery, data } => {
                tunnel_data::encode_head(&mut written, &delivery, None, data.len() as u16);
                data
            }
            Fragment::First { delivery, id, data } => {
                tunnel_data::encode_head(&mut written, &delivery, Some(id), data.len() as u16);
                data
            }
            Fragment::Follow { id, number, last, data } => {
                assert!((1..=tunnel_data::FRAGMENT_MAX).contains(&number));
                tunnel_data::encode_follow(&mut written, id, number, last, data.len() as u16);
                data
            }
        };
        assert!(!data.is_empty());
        written.extend_from_slice(data);
    }
    assert_eq!(written, fragments[..written.len()]);
}

fn cell_seeds() -> Vec<Vec<u8>> {
    use tunnel_data::Delivery;
    let mut out = vec![0; 18];
    let to = RouterHash([1; 32]);
    for (delivery, id) in [
        (Delivery::Local, None),
        (Delivery::Router(to), Some(MessageId(3))),
        (Delivery::Tunnel(to, TunnelId(4)), None),
    ] {
        tunnel_data::encode_head(&mut out, &delivery, id, 3);
        out.extend_from_slice(b"abc");
    }
    tunnel_data::encode_follow(&mut out, MessageId(3), 1, true, 2);
    out.extend_from_slice(b"de");
    vec![out, [vec![1], vec![7; 900]].concat()]
}

/// Streaming packets, with the signer known or not.
pub fn wire_stream(data: &[u8]) {
    let mut input = Input::new(data);
    let signer = input.flag().then(|| input.pick(&SIG_TYPES));
    let bytes = input.rest();
    let Ok(packet) = StreamPacket::decode(bytes, signer) else { return };
    assert!(packet.nacks.len() <= 255);
    if let Some(at) = &packet.signature {
        assert!(bytes.get(at.clone()).is_some());
    }
    let mut written = Vec::new();
    let place = packet.encode(&mut written);
    assert_eq!(place, packet.signature);
    let again = StreamPacket::decode(&written, signer).expect("what was written is read");
    assert_eq!(again, packet);
}

fn stream_seeds() -> Vec<Vec<u8>> {
    let from = Some(Place::new(1).destination);
    let syn = StreamPacket {
        receive_id: 7,
        nacks: vec![1; 8],
        flags: crate::wire::stream_packet::SYNCHRONIZE,
        from,
        max_packet_size: Some(1812),
        signature: Some(0..64),
        payload: b"hello",
        ..StreamPacket::default()
    };
    let ack = StreamPacket {
        send_id: 1,
        receive_id: 2,
        ack_through: 9,
        nacks: vec![3, 4],
        delay_ms: Some(100),
        ..StreamPacket::default()
    };
    [syn, ack]
        .iter()
        .map(|packet| {
            let mut bytes = vec![0];
            packet.encode(&mut bytes);
            bytes
        })
        .collect()
}

/// Repliable datagrams of the three formats.
pub fn wire_datagram(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => {
            let bytes = input.rest();
            let Ok(read) = datagram::Datagram1::decode(bytes) else { return };
            assert_eq!([read.from.as_bytes(), read.signature, read.payload].concat(), bytes);
        }
        1 => {
            let bytes = input.rest();
            let Ok(read) = datagram::Datagram2::decode(bytes) else { return };
            assert_eq!([read.from.as_bytes(), read.signed, read.signature].concat(), bytes);
            assert!(read.signed.ends_with(read.payload));
            let mut head = Vec::new();
            datagram::Datagram2::begin_signed(read.offline.as_ref(), &mut head);
            if read.options.is_empty() && read.signed[1] & 0x10 == 0 && read.signed[0] == 0 {
                assert_eq!([&head[2..], read.payload].concat(), read.signed[2..]);
            }
        }
        _ => {
            let Ok(read) = datagram::Datagram3::decode(input.rest()) else { return };
            let bytes = [&datagram::Datagram3::header(&read.from)[..], read.payload].concat();
            let again = datagram::Datagram3::decode(&bytes).unwrap();
            assert_eq!((again.from, again.payload), (read.from, read.payload));
        }
    }
}

fn datagram_seeds() -> Vec<Vec<u8>> {
    let place = Place::new(1).destination;
    let first = [vec![0], place.to_bytes(), vec![5; 64], b"text".to_vec()].concat();
    let second = [vec![1], place.to_bytes(), vec![0, 2], b"text".to_vec(), vec![5; 64]].concat();
    let third = [vec![2], datagram::Datagram3::header(&place.hash()).to_vec(), b"text".to_vec()].concat();
    vec![first, second, third]
}

/// The wrapper of everything that destinations send: as it comes, as we write it, and deflated by anybody.
pub fn wire_gzip(data: &[u8]) {
    const MAX: usize = 65_536;
    let mut input = Input::new(data);
    let (mode, ports) = (input.byte() % 5, Ports { from: input.u16(), to: input.u16() });
    let protocol = input.byte();
    let body = input.rest();
    let member = match mode {
        0 => {
            if let Ok(read) = i2cp_gzip::decode(body, MAX) {
                assert!(read.data.len() <= MAX);
                let again = i2cp_gzip::encode_stored(read.protocol, read.ports, &read.data);
                assert_eq!(i2cp_gzip::decode(&again, MAX), Ok(read));
            }
            return;
        }
        1 => i2cp_gzip::encode_stored(protocol, ports, body),
        2 => i2cp_gzip::encode_compressed(protocol, ports, body),
        3 => {
            let (front, rest) = body.split_at(body.len() / 2);
            i2cp_gzip::Prefix::new(front).wrap(protocol, ports, &[rest])
        }
        _ => return deflated(protocol, ports, body),
    };
    let read = i2cp_gzip::decode(&member, MAX).expect("what was wrapped is unwrapped");
    assert_eq!((read.protocol, read.ports, &*read.data), (protocol, ports, body));
    assert!(body.is_empty() || i2cp_gzip::decode(&member, body.len() - 1).is_err());
}

/// A deflate stream of somebody else's in a right wrapper.
fn deflated(protocol: u8, ports: Ports, body: &[u8]) {
    const MAX: usize = 4096;
    let Some((out, used)) = inflated(body, MAX) else { return };
    let mut member = i2cp_gzip::encode_stored(protocol, ports, &[]);
    member.truncate(10);
    member.extend_from_slice(&body[..used]);
    member.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    member.extend_from_slice(&u32::try_from(out.len()).unwrap().to_le_bytes());
    if let Ok(read) = i2cp_gzip::decode(&member, MAX) {
        assert_eq!(&*read.data, out);
    }
}

fn gzip_seeds() -> Vec<Vec<u8>> {
    let ports = Ports { from: 1, to: 2 };
    let text = b"one two three one two three one two three".repeat(3);
    let head = |mode: u8| vec![mode, 0, 1, 0, 2, 6];
    let packed = i2cp_gzip::encode_compressed(6, ports, &text);
    vec![
        [head(0), i2cp_gzip::encode_stored(6, ports, b"text")].concat(),
        [head(0), packed.clone()].concat(),
        [head(1), text.clone()].concat(),
        [head(2), text.clone()].concat(),
        [head(3), text].concat(),
        [head(4), packed[10..packed.len() - 8].to_vec()].concat(),
    ]
}

/// Base32, base64 and the names of encrypted lease sets.
pub fn wire_names(data: &[u8]) {
    assert_eq!(b64::decode(&b64::encode(data)).as_deref(), Some(data));
    assert_eq!(b32::decode(&b32::encode(data)).as_deref(), Some(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(bytes) = b32::decode(text) {
        assert_eq!(b32::encode(&bytes), text.to_ascii_lowercase());
    }
    if let Some(bytes) = b64::decode(text) {
        assert_eq!(b64::encode(&bytes).trim_end_matches('='), text.trim_end_matches('='));
    }
    if let Ok(name) = BlindedName::parse(text) {
        assert_eq!(BlindedName::parse(&name.label()), Ok(name));
        let _ = (format!("{name:?}"), name.to_string());
    }
}

fn name_seeds() -> Vec<Vec<u8>> {
    let place = Place::new(1).destination;
    let name = BlindedName::of(&place, true, true).unwrap().label();
    vec![name.into_bytes(), place.hash().to_base64().into_bytes(), b32::encode(&place.hash().0).into_bytes()]
}
