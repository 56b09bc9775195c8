// SPDX-License-Identifier: MIT
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

const PORTS: Ports = Ports { from: 7000, to: 80 };
/// "hello" from port 7000 to port 80, streaming, stored: made with an independent gzip implementation.
const HELLO: &str = "1f8b08001b5800500206010500faff68656c6c6f86a6103605000000";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn stored_form_matches_the_vector() {
    assert_eq!(encode_stored(PROTOCOL_STREAMING, PORTS, b"hello"), hex(HELLO));
    let bytes = hex(HELLO);
    let got = decode(&bytes, 100).unwrap();
    assert_eq!((got.protocol, got.ports), (PROTOCOL_STREAMING, PORTS));
    assert!(matches!(got.data, Cow::Borrowed(b"hello")));
}

#[test]
fn every_length_round_trips_in_both_forms() {
    // An interpreter is slow.
    let most = if cfg!(miri) { 2_000 } else { 200_000 };
    for len in
        [0, 1, 4, 23, 500, 1834, 32_768, 65_535, 65_536, 200_000].into_iter().filter(|len| *len <= most)
    {
        let data: Vec<u8> = (0..len).map(|i| (i % 32) as u8).collect();
        for bytes in [encode_stored(18, PORTS, &data), encode_compressed(18, PORTS, &data)] {
            assert!(bytes.len() >= MEMBER_MIN);
            let got = decode(&bytes, 200_000).unwrap();
            assert_eq!(got.data, data);
            assert_eq!(got.ports, PORTS);
        }
    }
    assert!(encode_compressed(6, PORTS, &[7; 400]).len() < 60);
}

#[test]
fn incompressible_and_tiny_payloads_are_stored() {
    assert_eq!(encode_compressed(6, PORTS, b"").len(), 23);
    let mut x = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    })
    .take(300)
    .collect();
    assert_eq!(encode_compressed(6, PORTS, &noise).len(), 323);
}

#[test]
fn g2_damage_and_bombs_are_refused() {
    let bytes = hex(HELLO);
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut], 100).is_err(), "cut {cut}");
    }
    // Byte 10 is the block header, whose upper bits mean nothing.
    for at in (0..4).chain(11..bytes.len()) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        assert!(decode(&bad, 100).is_err(), "flip at {at}");
    }
    let mut long = bytes.clone();
    long.push(0);
    assert!(decode(&long, 100).is_err());
    let bomb = encode_compressed(18, PORTS, &vec![0; if cfg!(miri) { 1 << 17 } else { 1 << 20 }]);
    assert!(matches!(decode(&bomb, 65_536), Err(DecodeError::Count { .. })));
    // A bomb that lies about its size ends at the size it claims.
    let mut liar = bomb;
    let at = liar.len() - 4;
    liar[at..].copy_from_slice(&100u32.to_le_bytes());
    assert!(decode(&liar, 65_536).is_err());
    assert!(matches!(decode(&bytes, 4), Err(DecodeError::Count { .. })));
}

#[test]
fn a_compressed_beginning_opens_to_the_same_payload() {
    let ports = Ports { from: 1, to: 2 };
    let shrinks = [7u8; 391];
    let noise: Vec<u8> = (0..391u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for start in [&shrinks[..], &noise[..], &[]] {
        let prefix = Prefix::new(start);
        for rest in [&b""[..], b"x", &[9; 3000]] {
            let wrapped = prefix.wrap(PROTOCOL_DATAGRAM1, ports, &[rest, b"end"]);
            let opened = decode(&wrapped, 65_535).expect("opens");
            assert_eq!((opened.protocol, opened.ports), (PROTOCOL_DATAGRAM1, ports));
            assert_eq!(opened.data.as_ref(), [start, rest, b"end"].concat());
            assert!(wrapped.len() <= start.len() + rest.len() + 3 + STORED_OVERHEAD);
        }
    }
    let small = Prefix::new(&shrinks).wrap(PROTOCOL_DATAGRAM1, ports, &[&[1; 100]]);
    assert!(small.len() < 200, "{}", small.len());
}

#[test]
fn a_single_compressed_byte_is_read() {
    // What zlib makes of "a", as i2pd sends it: 21 bytes.
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 1, 0, 2, 2, PROTOCOL_RAW, 0x4b, 0x04, 0x00];
    member.extend_from_slice(&crc32fast::hash(b"a").to_le_bytes());
    member.extend_from_slice(&1u32.to_le_bytes());
    assert_eq!(member.len(), 21);
    let opened = decode(&member, 100).expect("opens");
    assert_eq!((opened.data.as_ref(), opened.ports), (&b"a"[..], Ports { from: 1, to: 2 }));
}

#[test]
fn any_number_of_payloads_that_do_not_shrink_can_be_compressed() {
    let mut rng = crate::base::Rng::from_seed(7);
    // An interpreter is slow.
    let count = if cfg!(miri) { 20 } else { 300usize };
    for n in 0..count {
        let mut data = vec![0; 1 + n * 37 % 3000];
        rng.fill(&mut data);
        let member = encode_compressed(6, Ports::default(), &data);
        assert!(member.len() <= data.len() + STORED_OVERHEAD);
        assert_eq!(&*decode(&member, 3000).unwrap().data, &data[..]);
    }
}
