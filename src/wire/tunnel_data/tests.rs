// SPDX-License-Identifier: MIT
use proptest::prelude::*;

use super::*;

const TUNNEL: TunnelId = TunnelId(7);

fn cell_of(fragments: &[u8]) -> [u8; CELL_LEN] {
    let body = encode_body(TUNNEL, &[3; 16], fragments, |padding| padding.fill(0xaa));
    assert_eq!(body.len(), BODY_LEN);
    body[4..].try_into().expect("a cell")
}

fn deliveries() -> [Delivery; 3] {
    let hash = RouterHash([9; 32]);
    [Delivery::Local, Delivery::Router(hash), Delivery::Tunnel(hash, TunnelId(0x0102_0304))]
}

#[test]
fn every_instruction_round_trips() {
    for delivery in deliveries() {
        for id in [None, Some(MessageId(77))] {
            let mut w = Vec::new();
            encode_head(&mut w, &delivery, id, 5);
            assert_eq!(w.len(), delivery.head_len() + if id.is_some() { 4 } else { 0 });
            w.extend_from_slice(b"hello");
            let data = &b"hello"[..];
            let expected = match id {
                None => Fragment::Whole { delivery, data },
                Some(id) => Fragment::First { delivery, id, data },
            };
            let cell = cell_of(&w);
            let found: Vec<_> = open_cell(&cell).expect("good").collect();
            assert_eq!(found, [Ok(expected)]);
        }
    }
}

#[test]
fn follow_on_fragments_have_this_layout() {
    let mut w = Vec::new();
    encode_follow(&mut w, MessageId(0x0a0b_0c0d), 63, true, 2);
    assert_eq!(w, [0xff, 0x0a, 0x0b, 0x0c, 0x0d, 0, 2]);
    w.extend_from_slice(b"zz");
    let mut r = Reader::new(&w);
    let expected = Fragment::Follow { id: MessageId(0x0a0b_0c0d), number: 63, last: true, data: b"zz" };
    assert_eq!(Fragment::decode(&mut r), Ok(expected));
}

#[test]
fn the_tunnel_id_stands_before_the_hash() {
    let mut w = Vec::new();
    encode_head(&mut w, &deliveries()[2], None, 1);
    assert_eq!(w[..6], [0x20, 1, 2, 3, 4, 9]);
    let mut w = Vec::new();
    encode_head(&mut w, &deliveries()[1], Some(MessageId(1)), 1);
    assert_eq!(w[..2], [0x48, 9]);
}

#[test]
fn a_full_cell_has_no_padding_and_an_empty_one_only_padding() {
    let full = [0; CAPACITY];
    let body = encode_body(TUNNEL, &[3; 16], &full, |padding| assert!(padding.is_empty()));
    assert_eq!(body.len(), BODY_LEN);
    let cell = cell_of(&[]);
    assert_eq!(open_cell(&cell).expect("good").count(), 0);
}

#[test]
fn a_cell_with_a_wrong_byte_or_without_end_of_padding_is_refused() {
    let mut w = Vec::new();
    encode_head(&mut w, &Delivery::Local, None, 3);
    w.extend_from_slice(b"abc");
    let good = cell_of(&w);
    assert!(open_cell(&good).is_ok());
    for at in [0, 15, 16, 19, 1017, 1018, 1023] {
        let mut bad = good;
        bad[at] ^= 1;
        assert!(open_cell(&bad).is_err(), "byte {at}");
    }
    assert!(open_cell(&[1; CELL_LEN]).is_err());
}

#[test]
fn malformed_instructions_are_refused() {
    let hash = [5; 32];
    let cases: [(&[u8], DecodeError); 9] = [
        (&[0x00, 0, 0], DecodeError::Value("fragment of no bytes")),
        (&[0x00, 0, 2, 1], DecodeError::Short),
        (&[0x60, 0, 1, 1], DecodeError::Value("delivery type")),
        (&[0x10, 0, 1, 1], DecodeError::Value("delivery flags")),
        (&[0x04, 0, 1, 1], DecodeError::Value("delivery flags")),
        (&[0x81, 0, 0, 0, 1, 0, 1, 1], DecodeError::Value("follow-on fragment number")),
        (&[0x82, 0, 0, 0, 1, 0, 0], DecodeError::Value("fragment of no bytes")),
        (&[0x82, 0, 0, 0, 1, 0xff, 0xff, 1], DecodeError::Short),
        (&hash[..2], DecodeError::Value("delivery flags")),
    ];
    for (bytes, error) in cases {
        assert_eq!(Fragment::decode(&mut Reader::new(bytes)), Err(error), "{bytes:x?}");
    }
}

#[test]
fn fragments_before_a_malformed_one_are_given() {
    let mut w = Vec::new();
    encode_head(&mut w, &Delivery::Local, None, 1);
    w.extend_from_slice(&[7, 0x60, 1, 2, 3]);
    let cell = cell_of(&w);
    let found: Vec<_> = open_cell(&cell).expect("good").collect();
    assert_eq!(found.len(), 2);
    assert!(found[0].is_ok() && found[1].is_err());
}

proptest! {
    #[test]
    fn no_cell_makes_the_parser_panic_or_run_away(fragments in prop::collection::vec(any::<u8>(), 0..CAPACITY)) {
        let cell = cell_of(&fragments);
        let total: usize = open_cell(&cell)
            .expect("good checksum")
            .flatten()
            .map(|f| match f {
                Fragment::Whole { data, .. } | Fragment::First { data, .. } | Fragment::Follow { data, .. } => data.len(),
            })
            .sum();
        prop_assert!(total <= fragments.len());
    }

    #[test]
    fn random_cells_do_no_harm(seed in any::<[u8; 32]>()) {
        let mut cell = [0; CELL_LEN];
        for (i, b) in cell.iter_mut().enumerate() {
            *b = seed[i % 32].wrapping_mul(i as u8).wrapping_add(seed[(i + 7) % 32]);
        }
        if let Ok(fragments) = open_cell(&cell) {
            prop_assert!(fragments.count() <= CELL_LEN);
        }
    }
}
