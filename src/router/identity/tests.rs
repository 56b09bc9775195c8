// SPDX-License-Identifier: MIT
use super::*;
use crate::crypto::Verified;

#[test]
fn keys_survive_the_disk_and_damage_is_noticed() {
    let keys = RouterKeys::generate(&mut Rng::from_seed(1));
    let bytes = keys.to_bytes();
    let back = RouterKeys::from_bytes(&bytes).expect("reads back");
    assert_eq!(back.hash(), keys.hash());
    assert_eq!(back.to_bytes(), bytes);
    for i in [0, 8, 100, 400, bytes.len() - 1] {
        let mut bad = bytes.to_vec();
        bad[i] ^= 1;
        assert!(RouterKeys::from_bytes(&bad).is_none(), "byte {i}");
    }
    assert!(RouterKeys::from_bytes(&bytes[..bytes.len() - 1]).is_none());
    assert!(!format!("{keys:?}").contains("secret"));
}

#[test]
fn a_damaged_key_file_stops_the_start_and_stays_as_it_is() {
    let dir = std::env::temp_dir().join(format!("samovar-keys-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let storage = Storage::open(&dir).expect("opens");
    std::fs::write(dir.join(FILE), b"rubbish").expect("writes");
    let error = RouterKeys::load_or_create(&storage, &mut Rng::from_seed(1)).expect_err("refused");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(std::fs::read(dir.join(FILE)).expect("still there"), b"rubbish");
    std::fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn our_router_info_is_valid_and_small() {
    let keys = RouterKeys::generate(&mut Rng::from_seed(1));
    let face = PublicFace {
        net_id: 77,
        addresses: vec![("198.19.1.1".parse().expect("ip"), 17_001)],
        floodfill: true,
        bandwidth: 'O',
        congestion: None,
        known: Some((3, 0)),
    };
    let info = keys.router_info(1_700_000_000_000, &face);
    let info = Verified::check(info).expect("signed");
    assert!(info.raw().len() < 1500);
    assert_eq!(info.options().get("caps"), Some("OfR"));
    assert_eq!(info.net_id(), Some(77));
    let address = &info.addresses()[0];
    assert_eq!(address.static_key(), Some(*keys.ntcp2().public().as_bytes()));
    assert_eq!(address.ntcp2_iv(), Some(keys.ntcp2_iv()));
    let hidden = keys.router_info(1, &PublicFace { bandwidth: 'L', net_id: 2, ..PublicFace::default() });
    assert_eq!(hidden.options().get("caps"), Some("LU"));
    assert_eq!(hidden.addresses()[0].host(), None);
    assert_eq!(hidden.addresses()[0].ntcp2_iv(), None);
}
