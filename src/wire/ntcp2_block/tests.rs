// SPDX-License-Identifier: MIT
use super::*;
use crate::wire::{I2npKind, MessageId};
use proptest::prelude::*;

fn message(body: Vec<u8>) -> I2np {
    I2np { kind: I2npKind(18), id: MessageId(0x0102_0304), expiration_ms: 1_700_000_000_000, body }
}

fn all(payload: &[u8]) -> Vec<Result<Block<'_>, DecodeError>> {
    blocks(payload).collect()
}

#[test]
fn every_block_round_trips() {
    let options = Options { send_padding_max: 3, receive_dummy: 700, send_delay: 9, ..Options::default() };
    let mut w = Vec::new();
    put_date_time(&mut w, 0x6a00_0000);
    put_options(&mut w, &options);
    assert!(put_router_info(&mut w, b"info", true));
    assert!(put_i2np(&mut w, &message(vec![7; 100])));
    put_termination(&mut w, 77, TerminationReason::Idle);
    put_padding(&mut w, 5);
    let got: Vec<_> = all(&w).into_iter().map(Result::unwrap).collect();
    let expected = vec![
        Block::DateTime(0x6a00_0000),
        Block::Options(options),
        Block::RouterInfo { flood: true, raw: b"info" },
        Block::I2np(message(vec![7; 100])),
        Block::Termination { frames: 77, reason: TerminationReason::Idle },
        Block::Padding(5),
    ];
    assert_eq!(got, expected);
}

#[test]
fn layouts_are_those_of_the_specification() {
    let mut w = Vec::new();
    put_date_time(&mut w, 0x0102_0304);
    assert_eq!(w, [0, 0, 4, 1, 2, 3, 4]);
    w.clear();
    put_i2np(&mut w, &message(vec![9]));
    assert_eq!(w, [3, 0, 10, 18, 1, 2, 3, 4, 0x65, 0x53, 0xf1, 0x00, 9]);
    assert_eq!(w.len(), i2np_bytes(&message(vec![9])));
    w.clear();
    put_termination(&mut w, 1, TerminationReason::Banned);
    assert_eq!(w, [4, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 17]);
    w.clear();
    put_router_info(&mut w, &[5, 6], false);
    assert_eq!(w, [2, 0, 3, 0, 5, 6]);
}

#[test]
fn unknown_types_are_skipped_and_extra_data_is_allowed_where_the_specification_says_so() {
    let payload = [0x63, 0, 2, 1, 2, 4, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1, 200, 9, 9];
    let got: Vec<_> = all(&payload).into_iter().map(Result::unwrap).collect();
    let terminated = Block::Termination { frames: 1, reason: TerminationReason::Other(200) };
    assert_eq!(got, [Block::Unknown(0x63), terminated]);
    assert_eq!(all(&[0, 0, 5, 1, 2, 3, 4, 5]), [Err(DecodeError::Trailing)]);
}

#[test]
fn every_truncation_is_an_error_and_ends_the_list() {
    let mut w = Vec::new();
    put_i2np(&mut w, &message(vec![1; 20]));
    for cut in 1..w.len() {
        assert_eq!(all(&w[..cut]), [Err(DecodeError::Short)], "cut {cut}");
    }
}

#[test]
fn codes_of_all_reasons_round_trip() {
    for code in 0..=255 {
        assert_eq!(TerminationReason::from_code(code).code(), code);
    }
}

#[test]
fn what_does_not_fit_a_size_field_is_left_out() {
    let mut w = Vec::new();
    assert!(!put_i2np(&mut w, &message(vec![0; 65_527])));
    assert!(!put_router_info(&mut w, &vec![0; 65_535], false));
    assert!(w.is_empty());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = all(&payload);
    }
}
