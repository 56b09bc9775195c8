// SPDX-License-Identifier: MIT
//! Whatever can be built is written and read back as it was.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::build_record::{BuildRequest, HopRole, LongKeys, RecordSize};
use super::i2cp_gzip::{self, Ports};
use super::*;

fn mapping() -> impl Strategy<Value = Mapping> {
    vec(("[a-zA-Z.]{1,12}", "[ -~]{0,40}"), 0..8).prop_map(|pairs| {
        let mut mapping = Mapping::new();
        pairs.iter().for_each(|(key, value)| mapping.set(key, value));
        mapping
    })
}

fn sig_type() -> impl Strategy<Value = SigType> {
    prop::sample::select(vec![
        SigType::DsaSha1,
        SigType::EcdsaP256,
        SigType::EcdsaP384,
        SigType::EcdsaP521,
        SigType::Ed25519,
        SigType::RedDsa,
    ])
}

fn keys() -> impl Strategy<Value = KeysAndCert> {
    (sig_type(), any::<u8>(), any::<[u8; 32]>(), any::<bool>()).prop_map(|(kind, byte, fill, x25519)| {
        let (crypto, encryption): (u16, &[u8]) = if x25519 { (4, &fill) } else { (0, &[]) };
        KeysAndCert::build(kind, &std::vec![byte; kind.public_len()], crypto, encryption, fill)
    })
}

fn offline(by: SigType) -> impl Strategy<Value = Option<OfflineSignature>> {
    option::of((any::<u32>(), sig_type(), any::<u8>()).prop_map(move |(expires_s, sig_type, byte)| {
        let (key, signature) = (std::vec![byte; sig_type.public_len()], std::vec![byte; by.signature_len()]);
        OfflineSignature { expires_s, sig_type, key, signature }
    }))
}

fn lease_set() -> impl Strategy<Value = LeaseSet2> {
    let lease = (any::<[u8; 32]>(), any::<u32>(), any::<u32>());
    let lease = lease.prop_map(|(gateway, tunnel, end_s)| Lease2 {
        gateway: RouterHash(gateway),
        tunnel: TunnelId(tunnel),
        end_s,
    });
    let key = (any::<u16>(), vec(any::<u8>(), 0..40)).prop_map(|(kind, key)| LeaseSetKey { kind, key });
    let parts = (vec(lease, 0..17), vec(key, 0..5), mapping(), any::<u32>(), any::<u16>(), any::<bool>());
    let keys = keys().prop_flat_map(|keys| (Just(keys.clone()), offline(keys.sig_type())));
    (keys, parts).prop_map(|((keys, offline), (leases, keys2, options, published_s, life, unpublished))| {
        let signer = offline.as_ref().map_or(keys.sig_type(), |o| o.sig_type);
        let content = LeaseSetContent {
            published_s,
            expires_s: published_s.saturating_add(life.into()),
            unpublished,
            encrypted: false,
            offline,
            options,
            keys: keys2,
            leases,
        };
        LeaseSet2::build_with(&Destination::new(keys), content, |_| std::vec![7; signer.signature_len()])
    })
}

fn same<T: Wire + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::from_bytes(&value.to_bytes()).as_ref(), Ok(value));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn keys_mappings_and_lease_sets(keys in keys(), mapping in mapping(), set in lease_set()) {
        same(&keys);
        same(&mapping);
        same(&set);
        let store = DatabaseStore { key: Hash([1; 32]), reply: None, data: StoreData::LeaseSet2(set.raw().to_vec()) };
        same(&store);
    }

    #[test]
    fn router_infos(
        keys in keys(),
        published: u64,
        options in mapping(),
        addresses in vec((any::<u8>(), "[A-Z0-9]{0,8}", mapping()), 0..6),
        token: u32,
    ) {
        let addresses = addresses.into_iter().map(|(cost, style, options)| RouterAddress { cost, style, options });
        let len = keys.sig_type().signature_len();
        let identity = RouterIdentity::new(keys);
        let info = RouterInfo::build(&identity, published, addresses.collect(), options, |_| std::vec![9; len]);
        same(&info);
        let reply = (token != 0).then_some((token, TunnelId(4), RouterHash([6; 32])));
        same(&DatabaseStore { key: info.hash().into(), reply, data: StoreData::RouterInfo(info.raw().to_vec()) });
    }

    #[test]
    fn questions_and_answers(
        key: [u8; 32],
        tunnel in option::of(any::<u32>()),
        kind in prop::sample::select(vec![LookupKind::Any, LookupKind::LeaseSet, LookupKind::RouterInfo, LookupKind::Exploratory]),
        names in vec(any::<[u8; 32]>(), 0..20),
        sealed in option::of((any::<[u8; 32]>(), any::<[u8; 8]>())),
        id: u32,
        time_ms: u64,
    ) {
        let names: Vec<RouterHash> = names.into_iter().map(RouterHash).collect();
        let encryption = sealed.map_or(ReplyEncryption::None, |(key, tag)| ReplyEncryption::Ecies(key, tag));
        let from = RouterHash(key);
        same(&DatabaseSearchReply { key: Hash(key), peers: names.clone(), from });
        same(&DeliveryStatus { id, time_ms });
        let reply_tunnel = tunnel.map(TunnelId);
        same(&DatabaseLookup { key: Hash(key), from, reply_tunnel, kind, excluded: names, encryption });
    }

    #[test]
    fn messages_and_their_wrappers(
        kind: u8,
        id: u32,
        seconds in 0u64..4_000_000_000,
        body in vec(any::<u8>(), 0..3000),
        ports: (u16, u16),
        protocol: u8,
    ) {
        let message = I2np { kind: I2npKind(kind), id: MessageId(id), expiration_ms: seconds * 1000, body };
        let (mut short, mut long) = (Vec::new(), Vec::new());
        message.encode_short(&mut short);
        message.encode_long(&mut long);
        prop_assert_eq!(I2np::decode_short(&short), Ok(message.clone()));
        prop_assert_eq!(I2np::decode_long(&long), Ok(message.clone()));
        same(&TunnelGateway { tunnel: TunnelId(id), message: long });
        let ports = Ports { from: ports.0, to: ports.1 };
        for member in [
            i2cp_gzip::encode_stored(protocol, ports, &message.body),
            i2cp_gzip::encode_compressed(protocol, ports, &message.body),
        ] {
            let read = i2cp_gzip::decode(&member, 3000).unwrap();
            prop_assert_eq!((read.protocol, read.ports, &*read.data), (protocol, ports, &message.body[..]));
        }
    }

    #[test]
    fn stream_packets(
        ids: [u32; 4],
        nacks in vec(any::<u32>(), 0..256),
        flags in 0u16..8,
        delay_ms in option::of(any::<u16>()),
        from in option::of(keys()),
        payload in vec(any::<u8>(), 0..200),
        signed: bool,
    ) {
        let signer = from.as_ref().map_or(SigType::Ed25519, |keys| keys.sig_type());
        let packet = StreamPacket {
            send_id: ids[0],
            receive_id: ids[1],
            sequence: ids[2].max(1),
            ack_through: ids[3],
            nacks,
            flags,
            delay_ms,
            from: from.map(Destination::new),
            signature: signed.then(|| 0..signer.signature_len()),
            payload: &payload,
            ..StreamPacket::default()
        };
        let mut bytes = Vec::new();
        let place = packet.encode(&mut bytes);
        let read = StreamPacket::decode(&bytes, Some(SigType::Ed25519)).unwrap();
        prop_assert_eq!(&read.signature, &place);
        prop_assert_eq!(read, StreamPacket { signature: place, ..packet });
    }

    #[test]
    fn build_requests(
        ids: [u32; 3],
        next: [u8; 32],
        role in prop::sample::select(vec![HopRole::InboundGateway, HopRole::Participant, HopRole::OutboundEndpoint]),
        minutes: u32,
        long in option::of(any::<[u8; 32]>()),
    ) {
        let size = if long.is_some() { RecordSize::Long } else { RecordSize::Short };
        let request = BuildRequest {
            receive: TunnelId(ids[0]),
            next_tunnel: TunnelId(ids[1]),
            next: RouterHash(next),
            role,
            layer_type: 0,
            minutes,
            next_message: MessageId(ids[2]),
            options: Mapping::new(),
            keys: long.map(|k| LongKeys { layer: k, iv: next, reply: k, reply_iv: [5; 16] }),
        };
        let mut clear = Vec::new();
        request.encode(&mut clear);
        clear.resize(size.clear_len(), 0);
        prop_assert_eq!(BuildRequest::decode(size, &clear), Ok(request));
    }
}
