// SPDX-License-Identifier: MIT

use super::*;

const TYPES: [SigType; 5] =
    [SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521, SigType::Ed25519, SigType::RedDsa];

#[test]
fn keys_of_every_type_that_we_sign_with_round_trip() {
    let mut rng = Rng::from_seed(1);
    for sig_type in TYPES {
        let keys = DestinationKeys::generate_type(sig_type, &mut rng).expect("makes");
        let again = DestinationKeys::from_base64(&keys.to_base64()).expect("reads");
        assert_eq!(again.destination(), keys.destination());
        assert_eq!(*again.to_bytes(), *keys.to_bytes());
        assert!(again.offline().is_none());
    }
    assert!(DestinationKeys::generate_type(SigType::DsaSha1, &mut rng).is_none());
}

#[test]
fn offline_keys_of_every_pair_of_types_round_trip_and_sign() {
    let mut rng = Rng::from_seed(2);
    for own in TYPES {
        let keys = DestinationKeys::generate_type(own, &mut rng).expect("makes");
        for transient in TYPES {
            let offline = keys.delegate(transient, 2_000_000_000, &mut rng).expect("delegates");
            let again = DestinationKeys::from_bytes(&offline.to_bytes()).expect("reads");
            assert_eq!(again.destination(), keys.destination());
            assert_eq!(again.expires_s(), Some(2_000_000_000));
            assert_eq!(*again.to_bytes(), *offline.to_bytes());
            let signature = again.signing().sign_parts(&mut rng, &[b"text"]);
            let key = &again.offline().expect("offline").key;
            verify(transient, key, &[b"text"], &signature).expect("holds");
            assert!(
                again.delegate(transient, 1, &mut rng).is_none(),
                "a transient key cannot authorise another"
            );
        }
    }
}

#[test]
fn offline_keys_that_do_not_hold_are_refused() {
    let mut rng = Rng::from_seed(3);
    let keys = DestinationKeys::generate(&mut rng).expect("makes");
    let good = keys.delegate(SigType::Ed25519, 2_000_000_000, &mut rng).expect("delegates").to_bytes();
    let section = keys.to_bytes().len();
    for cut in 0..good.len() {
        assert!(DestinationKeys::from_bytes(&good[..cut]).is_err(), "cut {cut}");
    }
    for at in section..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(DestinationKeys::from_bytes(&bad).is_err(), "byte {at}");
    }
    let mut long = good.clone();
    long.push(0);
    assert!(matches!(DestinationKeys::from_bytes(&long), Err(DecodeError::Trailing)));
}
