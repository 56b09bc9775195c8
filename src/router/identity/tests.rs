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
        assert_eq!(RouterKeys::from_bytes(&bad).err(), Some(Damage::Damaged), "byte {i}");
    }
    assert!(RouterKeys::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(RouterKeys::from_bytes(b"").is_err());
    let mut later = bytes.to_vec();
    later[7] = b'2';
    assert_eq!(RouterKeys::from_bytes(&later).err(), Some(Damage::Version('2')));
    assert!(!format!("{keys:?}").contains("secret"));
}

fn directory(name: &str) -> (std::path::PathBuf, Storage) {
    let dir = std::env::temp_dir().join(format!("samovar-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let storage = Storage::open(&dir).expect("opens");
    (dir, storage)
}

fn load(storage: &Storage, seed: u64) -> Result<RouterHash, String> {
    let keys = RouterKeys::load_or_create(storage, &mut Rng::from_seed(seed));
    keys.map(|k| k.hash()).map_err(|e| e.to_string())
}

#[test]
fn a_damaged_key_file_stops_the_start_and_stays_as_it_is() {
    let (dir, storage) = directory("keys");
    storage.write(FILE, b"rubbish", true).expect("writes");
    assert!(load(&storage, 1).expect_err("refused").contains("damaged"));
    assert_eq!(std::fs::read(dir.join(FILE)).expect("still there"), b"rubbish");
    assert!(!dir.join(COPY).exists());
    std::fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn either_copy_of_the_keys_serves() {
    let (dir, storage) = directory("copies");
    let hash = load(&storage, 1).expect("makes");
    let whole = std::fs::read(dir.join(FILE)).expect("there");
    let cases: [(&str, Option<&[u8]>); 6] = [
        (FILE, None),
        (COPY, None),
        (FILE, Some(b"")),
        (COPY, Some(b"half")),
        (FILE, whole.get(..100)),
        (COPY, whole.get(..whole.len() - 1)),
    ];
    for (n, (name, now)) in cases.into_iter().enumerate() {
        match now {
            None => std::fs::remove_file(dir.join(name)).expect("removes"),
            Some(bytes) => storage.write(name, bytes, true).expect("spoils"),
        }
        // Another seed: new keys would be others.
        assert_eq!(load(&storage, 2 + n as u64), Ok(hash), "case {n}");
        assert_eq!(std::fs::read(dir.join(FILE)).expect("there"), whole, "case {n}");
        assert_eq!(std::fs::read(dir.join(COPY)).expect("there"), whole, "case {n}");
    }
    std::fs::remove_file(dir.join(FILE)).expect("removes");
    storage.write(COPY, b"half", true).expect("spoils");
    assert!(load(&storage, 9).expect_err("refused").contains(COPY));
    assert!(!dir.join(FILE).exists(), "no keys are made while there is something to be saved");
    std::fs::remove_dir_all(&dir).expect("cleans up");
}

#[cfg(unix)]
#[test]
fn keys_that_others_can_reach_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (dir, storage) = directory("open-keys");
    let hash = load(&storage, 1).expect("makes");
    for name in [FILE, COPY] {
        let (path, kept) = (dir.join(name), dir.join("kept"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("sets");
        let error = load(&storage, 2).expect_err("refused");
        assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("sets");
        std::fs::rename(&path, &kept).expect("moves");
        symlink(&kept, &path).expect("links");
        let error = load(&storage, 2).expect_err("refused");
        assert!(error.contains("symbolic link"), "{error}");
        std::fs::rename(&kept, &path).expect("moves back");
    }
    assert_eq!(load(&storage, 2), Ok(hash));
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
