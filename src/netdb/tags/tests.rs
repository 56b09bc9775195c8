// SPDX-License-Identifier: MIT
use super::*;
use crate::crypto::tagged::seal;
use crate::netdb::message::garlic_tagged;
use crate::netdb::testing::at;
use crate::wire::{I2npKind, MessageId};

fn answer(encryption: &ReplyEncryption) -> Vec<u8> {
    let ReplyEncryption::Ecies(key, tag) = encryption else { panic!("no tag") };
    let inner = I2np { kind: I2npKind::DATA, id: MessageId(5), expiration_ms: 9_000, body: vec![1, 2, 3] };
    garlic_tagged(&mut Rng::from_seed(2), at(0), key, *tag, &inner).body
}

#[test]
fn a_tag_opens_one_answer() {
    let mut rng = Rng::from_seed(1);
    let mut tags = Tags::new(&mut rng, 10);
    let (encryption, _) = tags.issue(&mut rng, at(0).mono, "purpose");
    let body = answer(&encryption);
    assert!(tags.knows(&body));
    let (purpose, messages) = tags.open(&body).unwrap();
    assert_eq!((purpose, messages.len()), ("purpose", 1));
    assert_eq!(messages[0].body, [1, 2, 3]);
    assert!(!tags.knows(&body) && tags.open(&body).is_none());
}

#[test]
fn a_spoiled_answer_uses_its_tag_up_and_gives_nothing() {
    let mut rng = Rng::from_seed(1);
    let mut tags = Tags::new(&mut rng, 10);
    let (encryption, tag) = tags.issue(&mut rng, at(0).mono, ());
    let mut body = answer(&encryption);
    *body.last_mut().unwrap() ^= 1;
    assert!(tags.open(&body).is_none());
    assert!(tags.open(&answer(&encryption)).is_none());
    for cut in 0..12 {
        let forged = seal(&[0; 32], tag, &[]);
        assert!(tags.open(forged.get(..cut).unwrap()).is_none());
    }
}

#[test]
fn tags_are_bounded_and_expire() {
    let mut rng = Rng::from_seed(1);
    let mut tags = Tags::new(&mut rng, 10);
    let issued: Vec<_> = (0..30).map(|_| tags.issue(&mut rng, at(0).mono, ()).0).collect();
    assert_eq!(tags.len(), 10);
    assert!(tags.knows(&answer(&issued[29])) && !tags.knows(&answer(&issued[0])));
    tags.issue(&mut rng, at(61_000).mono, ());
    assert_eq!(tags.len(), 1);
}
