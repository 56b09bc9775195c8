// SPDX-License-Identifier: MIT
use proptest::prelude::{any, proptest};

use super::*;
use crate::crypto::X25519Secret;
use crate::tunnel::build::testing::start;
use crate::wire::garlic::{put_acks, put_padding};
use crate::wire::{RouterHash, TunnelId};

const TAGS_MAX: usize = 4096;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).expect("hex")).collect()
}

fn keys() -> RouterKeys {
    RouterKeys::new(RouterHash([0x44; 32]), X25519Secret::from_bytes([0x11; 32]))
}

fn opener() -> RouterGarlic {
    RouterGarlic::new(keys(), &AdmissionLimits::default(), &mut Rng::from_seed(1))
}

fn status() -> I2np {
    let mut body = 0xdead_beef_u32.to_be_bytes().to_vec();
    body.extend_from_slice(&1_740_000_000_000_u64.to_be_bytes());
    I2np {
        kind: I2npKind::DELIVERY_STATUS,
        id: MessageId(0x0102_0304),
        expiration_ms: 1_740_000_008_000,
        body,
    }
}

/// Time of the vectors.
fn vector_time() -> Now {
    Now { mono: Mono::from_secs(5), wall_ms: 1_740_000_000_000 }
}

#[test]
fn noise_n_vector_opens_once_and_in_its_time() {
    let body = hex(
        "000000570faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f205720990a95cc87d359ecb6e9\
69b4afc8b1ad45f1c0c7495d0f696ca20fdc3e9d463015a19adb24ffc3558cd250a68d51f5f3d43dbcaada",
    );
    let mut garlic = opener();
    let opened = garlic.open(vector_time(), &body, false).expect("opens");
    assert_eq!(opened, Opened { tag: None, messages: vec![status()] });
    assert_eq!(garlic.open(vector_time(), &body, false), Err(Refused::Replay));
    for (shift, fine) in [(-301_000i64, false), (-300_000, true), (300_000, true), (301_000, false)] {
        let now = Now { wall_ms: vector_time().wall_ms.saturating_add_signed(shift), ..vector_time() };
        assert_eq!(opener().open(now, &body, false).is_ok(), fine, "{shift} ms");
    }
    assert_eq!(opener().open(vector_time(), &body, true), Err(Refused::UnknownTag));
}

#[test]
fn tagged_vector_opens_once_and_until_it_expires() {
    let body = hex(
        "00000031010203040506070896c818228aca3df7a3d8dd4bda08efb7422b106ae1a1e33ac77c67b638566bf628c0ba88\
ea996896e3",
    );
    let tag = [1, 2, 3, 4, 5, 6, 7, 8];
    let expecting = |expires| {
        let mut garlic = opener();
        garlic.expect(Mono(0), tag, Secret32::new([0x99; 32]), Purpose::Test, expires);
        garlic
    };
    let mut garlic = expecting(Mono::from_secs(6));
    let opened = garlic.open(vector_time(), &body, true).expect("opens");
    assert_eq!(opened, Opened { tag: Some((tag, Purpose::Test)), messages: vec![status()] });
    assert_eq!(garlic.open(vector_time(), &body, true), Err(Refused::UnknownTag));
    assert_eq!(expecting(Mono::from_secs(5)).open(vector_time(), &body, true), Err(Refused::UnknownTag));
    let mut wrong = body.clone();
    wrong[30] ^= 1;
    assert_eq!(expecting(Mono::from_secs(6)).open(vector_time(), &wrong, true), Err(Refused::Undecryptable));
}

#[test]
fn what_is_sealed_opens() {
    let mut rng = Rng::from_seed(2);
    for _ in 0..20 {
        let sealed = seal_for_router(&mut rng, vector_time(), &keys().public, &status()).expect("a good key");
        assert_eq!(opener().open(vector_time(), &sealed.body, false).map(|o| o.messages), Ok(vec![status()]));
        let sealed = seal_tagged(&mut rng, vector_time(), &[3; 32], [4; 8], &status());
        let mut garlic = opener();
        garlic.expect(
            Mono(0),
            [4; 8],
            Secret32::new([3; 32]),
            Purpose::BuildReply(MessageId(9)),
            Mono::NEVER,
        );
        let opened = garlic.open(vector_time(), &sealed.body, true).expect("opens");
        assert_eq!(opened.tag, Some(([4; 8], Purpose::BuildReply(MessageId(9)))));
        assert_eq!(opened.messages, vec![status()]);
    }
    assert!(seal_for_router(&mut rng, vector_time(), &X25519Public([0; 32]), &status()).is_none());
}

#[test]
fn a_wrapped_build_of_four_records_fits_one_tunnel_message() {
    let mut rng = Rng::from_seed(3);
    for _ in 0..50 {
        let build = message(&mut rng, start(), I2npKind::SHORT_TUNNEL_BUILD, vec![4; 873]);
        let sealed = seal_for_router(&mut rng, start(), &keys().public, &build).expect("sealed");
        assert!(16 + sealed.body.len() + 35 <= 1003, "{}", sealed.body.len());
        let reply = message(&mut rng, start(), I2npKind::OUTBOUND_TUNNEL_BUILD_REPLY, vec![4; 873]);
        let sealed = seal_tagged(&mut rng, start(), &[1; 32], [2; 8], &reply);
        assert!(16 + sealed.body.len() + 3 <= 1003);
    }
}

#[test]
fn cheap_checks_come_before_the_key_exchange() {
    let mut garlic = opener();
    let mut ask = |sealed: &[u8]| {
        let mut body = u32::try_from(sealed.len()).expect("small").to_be_bytes().to_vec();
        body.extend_from_slice(sealed);
        garlic.open(vector_time(), &body, false)
    };
    assert_eq!(ask(&[]), Err(Refused::Length));
    assert_eq!(ask(&[1; 47]), Err(Refused::Length));
    assert_eq!(ask(&[0; 100]), Err(Refused::Ephemeral));
    assert_eq!(ask(&[0xff; 100]), Err(Refused::Ephemeral));
    assert_eq!(ask(&[1; 100]), Err(Refused::Undecryptable));
    assert_eq!(ask(&[1; 100]), Err(Refused::Replay));
    assert_eq!(opener().open(vector_time(), &[0, 0, 1, 0, 5], false), Err(Refused::Length));
    assert_eq!(opener().open(vector_time(), &[0, 0], false), Err(Refused::Length));
}

#[test]
fn g6_only_local_cloves_count_and_a_time_is_required() {
    let seal = |payload: &[u8]| {
        let sealed = noise_n::seal(&mut Rng::from_seed(4), &keys().public, payload).expect("sealed");
        garlic(&mut Rng::from_seed(5), vector_time(), &sealed).body
    };
    let message = status();
    let mut payload = Vec::new();
    put_date_time(1_740_000_000, &mut payload);
    for delivery in [
        Delivery::Router(RouterHash([1; 32])),
        Delivery::Tunnel { gateway: RouterHash([1; 32]), tunnel: TunnelId(3) },
        Delivery::Local,
    ] {
        let clove = Clove {
            delivery,
            kind: message.kind,
            id: message.id,
            expires_s: 1_740_000_008,
            body: &message.body,
        };
        put_clove(&clove, &mut payload);
    }
    put_acks(&[], &mut payload);
    put_padding(3, &mut payload);
    let opened = opener().open(vector_time(), &seal(&payload), false).expect("opens");
    assert_eq!(opened.messages, vec![message.clone()]);

    let mut timeless = Vec::new();
    put_local_clove(&message, &mut timeless);
    assert_eq!(opener().open(vector_time(), &seal(&timeless), false), Err(Refused::Time));

    let mut many = Vec::new();
    put_date_time(1_740_000_000, &mut many);
    (0..50).for_each(|_| put_local_clove(&message, &mut many));
    assert_eq!(opener().open(vector_time(), &seal(&many), false).expect("opens").messages.len(), CLOVES_MAX);
}

#[test]
fn tags_are_bounded_and_forgotten() {
    let mut garlic = opener();
    let key = || Secret32::new([1; 32]);
    for n in 0..TAGS_MAX as u64 + 100 {
        garlic.expect(Mono(0), n.to_be_bytes(), key(), Purpose::Test, Mono::from_secs(60));
    }
    assert_eq!((garlic.tags(), garlic.order.len()), (TAGS_MAX, TAGS_MAX));
    garlic.forget(&200u64.to_be_bytes());
    assert_eq!(garlic.tags(), TAGS_MAX - 1);
    garlic.expire(Mono::from_secs(60));
    assert_eq!((garlic.tags(), garlic.order.len()), (0, 0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300), tags_only: bool) {
        let mut garlic = opener();
        garlic.expect(Mono(0), [0; 8], Secret32::new([1; 32]), Purpose::Test, Mono::NEVER);
        let _ = garlic.open(vector_time(), &body, tags_only);
        let _ = read_payload(&body);
    }
}

#[test]
fn g3_strangers_garlic_beyond_the_budget_is_not_opened() {
    let mut rng = Rng::from_seed(33);
    let mut opener = RouterGarlic::new(
        keys(),
        &AdmissionLimits { garlic_per_second: 10, ..AdmissionLimits::default() },
        &mut rng,
    );
    let now = Now { mono: Mono::from_secs(50), wall_ms: 1_740_000_000_000 };
    let mut bogus = || {
        let mut body = 100u32.to_be_bytes().to_vec();
        body.extend_from_slice(&rng.bytes::<100>());
        body[35] &= 0x7f;
        opener.open(now, &body, false)
    };
    let refused: Vec<Refused> = (0..21).filter_map(|_| bogus().err()).collect();
    assert!(refused[..20].iter().all(|r| *r == Refused::Undecryptable), "{refused:?}");
    assert_eq!(refused[20], Refused::Rate, "twice the rate at once and no more");
}
