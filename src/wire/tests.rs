// SPDX-License-Identifier: MIT
use super::*;

fn identity() -> RouterIdentity {
    RouterIdentity::new(KeysAndCert::build(SigType::Ed25519, &[9; 32], 4, &[7; 32], [3; 32]))
}

fn destination() -> Destination {
    Destination::new(KeysAndCert::build(SigType::Ed25519, &[9; 32], 0, &[], [3; 32]))
}

#[test]
fn an_ed25519_identity_has_391_bytes_and_round_trips() {
    let id = identity();
    assert_eq!(id.as_bytes().len(), 391);
    assert_eq!(RouterIdentity::from_bytes(id.as_bytes()), Ok(id.clone()));
    assert_eq!(id.x25519(), Some([7; 32]));
    assert_eq!(id.signing_key(), &[9; 32]);
    assert_eq!(destination().to_base64().len(), 524);
    assert_eq!(Destination::from_base64(&destination().to_base64()), Ok(destination()));
}

#[test]
fn a_p521_key_spills_into_the_certificate() {
    let key: Vec<u8> = (0..132).collect();
    let dest = Destination::new(KeysAndCert::build(SigType::EcdsaP521, &key, 0, &[], [1; 32]));
    let back = Destination::from_bytes(dest.as_bytes()).expect("decodes");
    assert_eq!(back.signing_key(), key.as_slice());
    assert_eq!(back.hash(), dest.hash());
}

#[test]
fn every_truncation_of_a_router_info_is_short() {
    let mut options = Mapping::new();
    options.set("netId", "2");
    options.set("caps", "OfR");
    options.set("router.version", "0.9.62");
    let mut a = Mapping::new();
    a.set("host", "198.18.1.1");
    a.set("port", "17001");
    a.set("v", "2");
    let address = RouterAddress { cost: 3, style: "NTCP2".into(), options: a };
    let info = RouterInfo::build(&identity(), 1_700_000_000_000, vec![address], options, |_| vec![5; 64]);
    let raw = info.raw().clone();
    assert_eq!(RouterInfo::from_bytes(&raw), Ok(info.clone()));
    assert_eq!(info.version(), Some(RouterVersion(0, 9, 62)));
    assert!(info.caps().floodfill && info.caps().reachable && info.caps().bandwidth == Some('O'));
    assert!(info.addresses()[0].is_ntcp2());
    assert_eq!(info.signature(), &[5; 64]);
    for cut in 0..raw.len() {
        assert!(RouterInfo::from_bytes(&raw[..cut]).is_err(), "cut {cut}");
    }
}

#[test]
fn an_address_style_that_is_no_text_is_written_so_that_it_can_be_read() {
    let mut bytes = vec![5; 9];
    bytes.push(255);
    bytes.extend_from_slice(&[0xff; 255]);
    bytes.extend_from_slice(&[0, 0]);
    let address = RouterAddress::from_bytes(&bytes).unwrap();
    let written = address.to_bytes();
    assert_eq!(RouterAddress::from_bytes(&written).unwrap().to_bytes(), written);
}

#[test]
fn mappings_sort_their_keys_and_refuse_bad_separators() {
    let mut m = Mapping::new();
    m.set("b", "2");
    m.set("a", "1");
    let bytes = m.to_bytes();
    assert_eq!(bytes, b"\x00\x0c\x01a=\x011;\x01b=\x012;");
    assert_eq!(Mapping::from_bytes(&bytes), Ok(m));
    assert!(Mapping::from_bytes(b"\x00\x06\x01a:\x011;").is_err());
    assert_eq!(Mapping::from_bytes(b"\x00\x00"), Ok(Mapping::new()));
}

#[test]
fn lease_sets_round_trip_and_sign_their_store_type() {
    let leases = vec![Lease2 { gateway: RouterHash([7; 32]), tunnel: TunnelId(9), end_s: 1_700_000_600 }; 3];
    let keys = vec![LeaseSetKey { kind: 4, key: vec![1; 32] }];
    let ls = LeaseSet2::build(&destination(), 1_700_000_000, 1_700_000_600, false, keys, leases, |b| {
        assert_eq!(b[0], 3);
        vec![5; 64]
    });
    assert_eq!(ls.raw().len(), 503 + 40 * 3);
    let back = LeaseSet2::from_bytes(ls.raw()).expect("decodes");
    assert_eq!(back, ls);
    assert_eq!(back.signed_parts().concat()[0], 3);
    assert_eq!(back.x25519(), Some([1; 32]));
    for cut in 0..ls.raw().len() {
        assert!(LeaseSet2::from_bytes(&ls.raw()[..cut]).is_err(), "cut {cut}");
    }
}

#[test]
fn database_messages_round_trip() {
    let store = DatabaseStore {
        key: Hash([1; 32]),
        reply: Some((77, TunnelId(5), RouterHash([2; 32]))),
        data: StoreData::RouterInfo(b"not parsed here, only packed".to_vec()),
    };
    assert_eq!(DatabaseStore::from_bytes(&store.to_bytes()), Ok(store));
    let store = DatabaseStore { key: Hash([1; 32]), reply: None, data: StoreData::LeaseSet2(vec![1, 2, 3]) };
    assert_eq!(store.to_bytes().len(), 37 + 3);
    assert_eq!(DatabaseStore::from_bytes(&store.to_bytes()), Ok(store));
    for (encryption, tunnel, len) in [
        (ReplyEncryption::None, None, 67 + 64),
        (ReplyEncryption::Ecies([4; 32], [5; 8]), Some(TunnelId(3)), 67 + 64 + 4 + 41),
        (ReplyEncryption::Aes([4; 32], [5; 32]), Some(TunnelId(3)), 67 + 64 + 4 + 65),
    ] {
        let lookup = DatabaseLookup {
            key: Hash([1; 32]),
            from: RouterHash([2; 32]),
            reply_tunnel: tunnel,
            kind: LookupKind::LeaseSet,
            excluded: vec![RouterHash([9; 32]); 2],
            encryption,
        };
        assert_eq!(lookup.to_bytes().len(), len);
        assert_eq!(DatabaseLookup::from_bytes(&lookup.to_bytes()), Ok(lookup));
    }
    let reply = DatabaseSearchReply { key: Hash([1; 32]), peers: vec![], from: RouterHash([2; 32]) };
    assert_eq!(DatabaseSearchReply::from_bytes(&reply.to_bytes()), Ok(reply));
}

#[test]
fn g2_gunzip_takes_stored_blocks_and_stops_bombs() {
    let mut stored = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff, 1, 5, 0, 0xfa, 0xff];
    stored.extend_from_slice(b"hello");
    stored.extend_from_slice(&crc32fast::hash(b"hello").to_le_bytes());
    stored.extend_from_slice(&5u32.to_le_bytes());
    assert_eq!(i2np::gunzip(&stored, 100), Ok(b"hello".to_vec()));
    for cut in 0..stored.len() - 4 {
        assert!(i2np::gunzip(&stored[..cut], 100).is_err(), "cut {cut}");
    }
    let bomb =
        DatabaseStore { key: Hash([0; 32]), reply: None, data: StoreData::RouterInfo(vec![0; 60_000]) }
            .to_bytes();
    assert_eq!(DatabaseStore::from_bytes(&bomb), Err(DecodeError::Value("gzip output too large")));
}

#[test]
fn both_headers_round_trip() {
    let m = I2np {
        kind: I2npKind::DATA,
        id: MessageId(0xdead_beef),
        expiration_ms: 1_700_000_008_000,
        body: vec![1; 50],
    };
    let (mut short, mut long) = (vec![], vec![]);
    m.encode_short(&mut short);
    m.encode_long(&mut long);
    assert_eq!((short.len(), long.len()), (59, 66));
    assert_eq!(I2np::decode_short(&short), Ok(m.clone()));
    assert_eq!(I2np::decode_long(&long), Ok(m.clone()));
    assert!(I2np::decode_long(&long[..60]).is_err());
    assert!(m.is_out_of_time(1_700_000_069_000) && !m.is_out_of_time(1_700_000_068_000));
}

#[test]
fn base32_and_base64_are_inverse_and_strict() {
    let bytes: Vec<u8> = (0..32).collect();
    assert_eq!(b32::encode(&bytes).len(), 52);
    assert_eq!(b32::decode(&b32::encode(&bytes)), Some(bytes.clone()));
    assert_eq!(b32::decode("a1"), None);
    assert_eq!(b64::decode(&b64::encode(&bytes)), Some(bytes.clone()));
    assert_eq!(b64::decode(b64::encode(&bytes).trim_end_matches('=')), Some(bytes));
    assert_eq!(b64::decode("a+b/"), None);
}

#[test]
fn g1_the_largest_body_is_taken_and_one_byte_more_is_refused_before_it_is_copied() {
    for (len, good) in [(i2np::BODY_MAX, true), (i2np::BODY_MAX + 1, false)] {
        // The length alone decides: there are no such bytes.
        let mut long = vec![20, 0, 0, 0, 1];
        long.extend_from_slice(&1_777_000_000_000u64.to_be_bytes());
        long.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        long.push(0);
        let error = I2np::decode_long(&long).unwrap_err();
        assert_eq!(matches!(error, DecodeError::Count { .. }), !good, "{len}: {error:?}");
        long.resize(16 + len, 0);
        assert_eq!(I2np::decode_long(&long).is_ok(), good, "{len}");
    }
}

#[test]
fn g1_messages_count_from_a_minute_after_to_three_minutes_before_their_end() {
    let now = 1_777_000_000_000u64;
    let at = |expiration_ms| {
        let message = I2np { kind: I2npKind::DATA, id: MessageId(1), expiration_ms, body: Vec::new() };
        !message.is_out_of_time(now)
    };
    assert_eq!(
        [now - 60_001, now - 60_000, now + 180_000, now + 180_001].map(at),
        [false, true, true, false]
    );
}

#[test]
fn g2_an_unpacked_router_info_ends_at_its_bound() {
    // Ten megabytes of zeros in ten kilobytes. An interpreter is slow.
    let size = if cfg!(miri) { 1 << 16 } else { 10 << 20 };
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &vec![0; size]).unwrap();
    packer.try_finish().unwrap();
    let bomb = packer.get_ref();
    assert!(bomb.len() < 16 << 10);
    let mut store = vec![9; 32];
    store.push(0);
    store.extend_from_slice(&[0; 4]);
    store.extend_from_slice(&u16::try_from(bomb.len()).unwrap().to_be_bytes());
    store.extend_from_slice(bomb);
    assert!(DatabaseStore::from_bytes(&store).is_err());
}
