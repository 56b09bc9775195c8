// SPDX-License-Identifier: MIT
use super::*;
use proptest::prelude::*;

fn request(keys: Option<LongKeys>) -> BuildRequest {
    BuildRequest {
        receive: TunnelId(0x0102_0304),
        next_tunnel: TunnelId(0x0506_0708),
        next: RouterHash([0x33; 32]),
        role: HopRole::OutboundEndpoint,
        layer_type: 0,
        minutes: 29_000_000,
        next_message: MessageId(0x0a0b_0c0d),
        options: Mapping::new(),
        keys,
    }
}

fn long_keys() -> LongKeys {
    LongKeys { layer: [0x55; 32], iv: [0x66; 32], reply: [0x77; 32], reply_iv: [0x88; 16] }
}

fn padded(request: &BuildRequest) -> Vec<u8> {
    let mut clear = Vec::new();
    request.encode(&mut clear);
    clear.resize(request.size().clear_len(), 0);
    clear
}

#[test]
fn short_request_has_its_fields_where_the_specification_puts_them() {
    let clear = padded(&request(None));
    assert_eq!(clear.len(), 154);
    assert_eq!(clear[0..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(clear[8..40], [0x33; 32]);
    assert_eq!(clear[40..44], [0x40, 0, 0, 0]);
    assert_eq!(clear[44..48], 29_000_000u32.to_be_bytes());
    assert_eq!(clear[48..52], 600u32.to_be_bytes());
    assert_eq!(clear[52..56], [10, 11, 12, 13]);
    assert_eq!(clear[56..58], [0, 0]);
    assert_eq!(BuildRequest::decode(RecordSize::Short, &clear), Ok(request(None)));
}

#[test]
fn long_request_has_its_fields_where_the_specification_puts_them() {
    let clear = padded(&request(Some(long_keys())));
    assert_eq!(clear.len(), 464);
    assert_eq!(clear[40..72], [0x55; 32]);
    assert_eq!(clear[136..152], [0x88; 16]);
    assert_eq!(clear[152..156], [0x40, 0, 0, 0]);
    assert_eq!(clear[164..168], [10, 11, 12, 13]);
    assert_eq!(BuildRequest::decode(RecordSize::Long, &clear), Ok(request(Some(long_keys()))));
}

#[test]
fn wrong_lengths_and_contradicting_flags_are_refused() {
    let mut clear = padded(&request(None));
    assert_eq!(BuildRequest::decode(RecordSize::Short, &clear[..153]), Err(DecodeError::Short));
    clear[40] = 0xc0;
    assert!(matches!(BuildRequest::decode(RecordSize::Short, &clear), Err(DecodeError::Value(_))));
    clear.push(0);
    assert_eq!(BuildRequest::decode(RecordSize::Short, &clear), Err(DecodeError::Trailing));
}

#[test]
fn unreadable_options_count_as_none() {
    let mut clear = padded(&request(None));
    clear[56..].fill(0xff);
    let decoded = BuildRequest::decode(RecordSize::Short, &clear).expect("still a request");
    assert!(decoded.options.is_empty());
}

#[test]
fn options_travel_unless_they_do_not_fit() {
    let mut with = request(None);
    with.options.set("m", "10");
    assert_eq!(BuildRequest::decode(RecordSize::Short, &padded(&with)), Ok(with.clone()));
    with.options.set("x", &"y".repeat(120));
    let decoded = BuildRequest::decode(RecordSize::Short, &padded(&with)).expect("a request");
    assert!(decoded.options.is_empty());
}

#[test]
fn build_messages_bound_their_count_and_length() {
    for size in [RecordSize::Short, RecordSize::Long] {
        for count in 1..=8u8 {
            let mut body = vec![count];
            body.resize(1 + usize::from(count) * size.wire_len(), 7);
            let records = BuildRecords::decode(size, body.clone()).expect("whole");
            assert_eq!((records.count(), records.iter().count()), (usize::from(count), usize::from(count)));
            assert_eq!(records.clone().into_body(), body);
            body.extend_from_slice(b"more");
            assert_eq!(BuildRecords::decode(size, body.clone()).expect("trailing bytes"), records);
            body.truncate(usize::from(count) * size.wire_len());
            assert_eq!(BuildRecords::decode(size, body), Err(DecodeError::Short));
        }
        assert!(BuildRecords::decode(size, vec![0; 5000]).is_err());
        assert!(BuildRecords::decode(size, vec![9; 9 * 528 + 1]).is_err());
        assert_eq!(BuildRecords::decode(size, Vec::new()), Err(DecodeError::Short));
    }
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", long_keys()), "LongKeys(..)");
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoders_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        for size in [RecordSize::Short, RecordSize::Long] {
            let _ = BuildRequest::decode(size, &body);
            if body.len() >= size.clear_len() {
                let _ = BuildRequest::decode(size, &body[..size.clear_len()]);
            }
            let _ = BuildRecords::decode(size, body.clone());
        }
    }
}
