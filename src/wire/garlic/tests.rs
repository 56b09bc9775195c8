// SPDX-License-Identifier: MIT
use super::*;
use proptest::prelude::*;

fn clove(delivery: Delivery, body: &[u8]) -> Clove<'_> {
    Clove { delivery, kind: I2npKind(20), id: MessageId(7), expires_s: 1_767_225_660, body }
}

fn deliveries() -> [Delivery; 4] {
    [
        Delivery::Local,
        Delivery::Destination(DestHash([1; 32])),
        Delivery::Router(RouterHash([2; 32])),
        Delivery::Tunnel { gateway: RouterHash([3; 32]), tunnel: TunnelId(9) },
    ]
}

#[test]
fn delivery_instructions_round_trip_and_have_their_documented_lengths() {
    for (delivery, len) in deliveries().into_iter().zip([1, 33, 33, 37]) {
        let bytes = delivery.to_bytes();
        assert_eq!((bytes.len(), delivery.encoded_len()), (len, len));
        assert_eq!(Delivery::from_bytes(&bytes), Ok(delivery));
        for cut in 0..bytes.len() {
            assert_eq!(Delivery::from_bytes(&bytes[..cut]), Err(DecodeError::Short), "cut {cut}");
        }
    }
    assert!(Delivery::from_bytes(&[0x80]).is_err(), "encrypted instructions are refused");
    assert_eq!(Delivery::from_bytes(&[0x10, 0, 0, 0, 5]), Ok(Delivery::Local), "a delay is skipped");
}

#[test]
fn every_block_round_trips() {
    let mut w = Vec::new();
    put_date_time(1_767_225_600, &mut w);
    assert_eq!(w, [0, 0, 4, 0x69, 0x55, 0xb9, 0x00]);
    let forward = NextKey { key_id: 0, key: Some([9; 32]), reverse: false, request: true };
    let reverse = NextKey { key_id: 3, key: None, reverse: true, request: false };
    forward.encode_block(&mut w);
    reverse.encode_block(&mut w);
    assert_eq!(w.len(), 7 + forward.block_len() + reverse.block_len());
    assert_eq!(w[7..13], [7, 0, 35, 5, 0, 0]);
    assert_eq!(w[45..51], [7, 0, 3, 2, 0, 3]);
    let acks = [Ack { set: 1, index: 2 }, Ack { set: 0, index: 65_535 }];
    put_acks(&acks, &mut w);
    put_acks(&[], &mut w);
    put_ack_request(&mut w);
    put_termination(0, &mut w);
    for delivery in deliveries() {
        let before = w.len();
        put_clove(&clove(delivery, b"body"), &mut w);
        assert_eq!(w.len() - before, Clove::block_len(&delivery, 4));
    }
    w.extend_from_slice(&[77, 0, 1, 5]); // a type from the future
    put_padding(6, &mut w);
    let blocks: Vec<Block<'_>> = Blocks::new(&w).map(Result::unwrap).collect();
    assert_eq!(blocks[0], Block::DateTime(1_767_225_600));
    assert_eq!(blocks[1..3], [Block::NextKey(forward), Block::NextKey(reverse)]);
    let Block::Ack(got) = blocks[3] else { panic!("{:?}", blocks[3]) };
    assert_eq!(got.iter().collect::<Vec<_>>(), acks);
    assert_eq!(blocks[4..6], [Block::AckRequest, Block::Termination(0)]);
    for (block, delivery) in blocks[6..10].iter().zip(deliveries()) {
        assert_eq!(*block, Block::Clove(clove(delivery, b"body")));
    }
    assert_eq!(blocks[10..], [Block::Unknown(77), Block::Padding(6)]);
}

#[test]
fn what_stands_before_a_broken_length_is_kept() {
    let mut w = Vec::new();
    put_date_time(5, &mut w);
    w.extend_from_slice(&[11, 0xff, 0xff, 1, 2]);
    let got: Vec<_> = Blocks::new(&w).collect();
    assert_eq!(got, [Ok(Block::DateTime(5)), Err(DecodeError::Short)]);
}

#[test]
fn a_block_that_is_malformed_inside_costs_only_itself() {
    let mut w = vec![7, 0, 3, 1, 0, 0]; // announces a key that is not there
    put_ack_request(&mut w);
    let got: Vec<_> = Blocks::new(&w).collect();
    assert_eq!(got, [Err(DecodeError::Short), Ok(Block::AckRequest)]);
}

proptest! {
    #[test]
    fn any_bytes_give_an_end_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let count = Blocks::new(&bytes).count();
        prop_assert!(count <= bytes.len() / BLOCK_HEADER_LEN + 1);
        for block in Blocks::new(&bytes).flatten() {
            if let Block::Ack(acks) = block {
                prop_assert!(acks.iter().count() <= bytes.len() / 4);
            }
        }
    }
}
