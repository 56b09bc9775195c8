// SPDX-License-Identifier: MIT
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::wire::KeysAndCert;

fn destination(sig_type: SigType) -> Destination {
    Destination::new(KeysAndCert::build(sig_type, &vec![9; sig_type.public_len()], 0, &[], [3; 32]))
}

fn written(packet: &StreamPacket<'_>) -> (Vec<u8>, Option<Range<usize>>) {
    let mut w = Vec::new();
    let at = packet.encode(&mut w);
    (w, at)
}

#[test]
fn a_plain_data_packet_has_the_layout_of_the_specification() {
    let packet = StreamPacket {
        send_id: 0x0102_0304,
        receive_id: 0x0506_0708,
        sequence: 9,
        ack_through: 10,
        nacks: vec![7, 8],
        resend_delay_s: 3,
        delay_ms: Some(500),
        payload: b"hi",
        ..Default::default()
    };
    let (bytes, at) = written(&packet);
    let expected = [
        1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 10, 2, 0, 0, 0, 7, 0, 0, 0, 8, 3, 0, 0x40, 0, 2, 1,
        0xf4, b'h', b'i',
    ];
    assert_eq!(bytes, expected);
    assert_eq!(at, None);
    assert_eq!(StreamPacket::decode(&bytes, None), Ok(packet));
}

#[test]
fn every_combination_of_flags_and_options_round_trips() {
    let from = destination(SigType::Ed25519);
    let offline = OfflineSignature {
        expires_s: 77,
        sig_type: SigType::EcdsaP256,
        key: vec![4; 64],
        signature: vec![5; 64],
    };
    // An interpreter is slow.
    for bits in (0..1u32 << 11).step_by(if cfg!(miri) { 61 } else { 1 }) {
        let on = |n: u32| bits >> n & 1 == 1;
        let mut flags = 0;
        for (n, flag) in [SYNCHRONIZE, CLOSE, RESET, ECHO, NO_ACK, 0x1000].into_iter().enumerate() {
            if on(n as u32) {
                flags |= flag;
            }
        }
        let offline = on(8).then(|| offline.clone());
        let len = if offline.is_some() { SigType::EcdsaP256 } else { SigType::Ed25519 }.signature_len();
        let mut packet = StreamPacket {
            send_id: 1,
            receive_id: 2,
            sequence: 3,
            flags,
            delay_ms: on(6).then_some(60_001),
            from: on(7).then(|| from.clone()),
            offline,
            max_packet_size: on(9).then_some(1812),
            signature: on(10).then_some(0..len),
            payload: b"payload",
            ..Default::default()
        };
        let (bytes, at) = written(&packet);
        assert_eq!(at.is_some(), on(10));
        packet.signature = at;
        assert_eq!(StreamPacket::decode(&bytes, Some(SigType::Ed25519)), Ok(packet), "bits {bits:b}");
    }
}

#[test]
fn the_signature_of_every_key_type_is_found() {
    use SigType::*;
    for sig_type in [DsaSha1, EcdsaP256, EcdsaP384, EcdsaP521, Ed25519, RedDsa] {
        let len = sig_type.signature_len();
        let packet = StreamPacket {
            flags: SYNCHRONIZE,
            from: Some(destination(sig_type)),
            max_packet_size: Some(1730),
            signature: Some(0..len),
            payload: b"x",
            ..Default::default()
        };
        let (bytes, at) = written(&packet);
        let read = StreamPacket::decode(&bytes, None).unwrap();
        assert_eq!(read.signature, at);
        assert_eq!(read.signature.unwrap().end, bytes.len() - 1);
    }
}

#[test]
fn every_truncation_of_the_options_is_refused() {
    let packet = StreamPacket {
        flags: SYNCHRONIZE | NO_ACK,
        nacks: vec![1; 8],
        delay_ms: Some(1),
        from: Some(destination(SigType::Ed25519)),
        max_packet_size: Some(1730),
        signature: Some(0..64),
        ..Default::default()
    };
    let (bytes, _) = written(&packet);
    for cut in 0..bytes.len() {
        assert!(StreamPacket::decode(&bytes[..cut], None).is_err(), "cut {cut}");
    }
    // A size field that is too small for the options is refused as well.
    let mut bad = bytes.clone();
    let size_at = HEADER_LEN + 8 * 4 - 2;
    bad[size_at + 1] = bad[size_at + 1].wrapping_sub(1);
    assert!(StreamPacket::decode(&bad, None).is_err());
    assert!(StreamPacket::decode(&bytes, None).is_ok());
}

#[test]
fn a_plain_ack_survives_an_impossible_option_size() {
    let mut bytes =
        written(&StreamPacket { send_id: 1, receive_id: 2, ack_through: 5, ..Default::default() }).0;
    bytes[18..22].copy_from_slice(&[0x40, 0, 2, 0]);
    let read = StreamPacket::decode(&bytes, None).unwrap();
    assert!(
        read.is_plain_ack() && read.ack_through == 5 && read.payload.is_empty() && read.delay_ms.is_none()
    );
    // A delay flag without its two bytes: no delay.
    bytes[18..22].copy_from_slice(&[0, 0x40, 0, 0]);
    assert_eq!(StreamPacket::decode(&bytes, None).unwrap().delay_ms, None);
    // The same on a numbered packet is an error.
    bytes[11] = 1;
    assert!(StreamPacket::decode(&bytes, None).is_err());
}

#[test]
fn more_nacks_than_fit_are_cut() {
    let packet = StreamPacket { nacks: (0..300).collect(), ..Default::default() };
    let (bytes, _) = written(&packet);
    assert_eq!(StreamPacket::decode(&bytes, None).unwrap().nacks.len(), NACKS_MAX);
}
