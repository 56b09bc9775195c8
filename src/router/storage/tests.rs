// SPDX-License-Identifier: MIT
use super::*;

fn temp_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("samovar-storage-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn k1_files_come_back_and_keys_are_private() {
    let dir = temp_dir("private");
    let storage = Storage::open(&dir).expect("opens");
    assert_eq!(storage.read("keys").expect("no file is no error"), None);
    storage.write("keys", b"secret", true).expect("writes");
    storage.write("keys", b"secret2", true).expect("replaces");
    assert_eq!(storage.read("keys").expect("reads").as_deref(), Some(b"secret2".as_slice()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |p: &Path| fs::metadata(p).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&dir.join("keys")), 0o600);
        assert_eq!(mode(&dir), 0o700);
    }
    fs::remove_dir_all(&dir).expect("cleans up");
}

fn info(seed: u64) -> (RouterHash, Vec<u8>) {
    let keys = crate::router::identity::RouterKeys::generate(&mut crate::base::Rng::from_seed(seed));
    let face = crate::router::identity::PublicFace { bandwidth: 'X', net_id: 77, ..Default::default() };
    (keys.hash(), keys.router_info(1_700_000_000_000, &face).raw().to_vec())
}

#[test]
fn d9_routers_are_stored_in_the_common_layout_and_what_is_damaged_is_set_aside() {
    let dir = temp_dir("routers");
    let storage = Storage::open(&dir).expect("opens");
    let infos: Vec<_> = (1..=3).map(info).collect();
    for (hash, raw) in &infos {
        storage.save_router(hash, raw).expect("saves");
    }
    let sorted = |mut all: Vec<Vec<u8>>| {
        all.sort();
        all
    };
    let all = sorted(infos.iter().map(|(_, raw)| raw.clone()).collect());
    let (found, bad) = storage.routers();
    assert_eq!((sorted(found), bad), (all.clone(), 0));
    // Cut short, under another's name, empty, too large, and no file at all.
    let path = |n: usize| dir.join(router_file(&infos[n].0));
    fs::write(path(0), &infos[0].1[..200]).expect("writes");
    fs::write(path(1), &infos[2].1).expect("writes");
    let empty = path(2).with_file_name("routerInfo-x.dat");
    fs::write(&empty, b"").expect("writes");
    fs::write(empty.with_file_name("large.dat"), vec![0; 100_000]).expect("writes");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/dev/zero", empty.with_file_name("link.dat")).expect("links");
    let (found, bad) = storage.routers();
    assert_eq!(found, std::slice::from_ref(&infos[2].1));
    assert_eq!(bad, if cfg!(unix) { 5 } else { 4 });
    assert!(!path(0).exists());
    let aside = |d: &Path| files_below(d, |n| Path::new(n).extension().is_some_and(|e| e == BROKEN)).len();
    assert_eq!(aside(&dir), bad);
    let (found, bad) = storage.routers();
    assert_eq!((found.len(), bad, aside(&dir)), (1, 0, 0), "those set aside are gone at the next start");
    storage.forget_router(&infos[2].0);
    assert!(storage.routers().0.is_empty());
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn an_operators_directory_is_read_in_any_nesting() {
    let dir = temp_dir("given");
    fs::create_dir_all(dir.join("x/y")).expect("makes");
    fs::write(dir.join("x/y/router.info"), b"one").expect("writes");
    fs::write(dir.join("x/two.dat"), b"two").expect("writes");
    fs::write(dir.join("x/y/other.txt"), b"no").expect("writes");
    let mut all = collect_routers(&dir);
    all.sort();
    assert_eq!(all, [b"one".to_vec(), b"two".to_vec()]);
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[cfg(unix)]
#[test]
fn k1_the_directory_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let dir = temp_dir("modes");
    let set = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("sets");
    let mode = || fs::metadata(&dir).expect("there").permissions().mode() & 0o7777;
    fs::create_dir(&dir).expect("makes");
    set(0o777);
    Storage::open(&dir).expect("opens");
    assert_eq!(mode(), 0o700, "an empty one is closed");
    fs::write(dir.join("notes.txt"), b"x").expect("writes");
    set(0o775);
    Storage::open(&dir).expect("opens");
    assert_eq!(mode(), 0o755, "in one with other things nobody else may write");
    fs::write(dir.join("router.keys"), b"x").expect("writes");
    Storage::open(&dir).expect("opens");
    assert_eq!(mode(), 0o700, "one with keys is closed");
    set(0o1777);
    assert!(Storage::open(&dir).expect_err("refused").problem.starts_with("is shared by all users"));
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn a_file_in_place_of_the_directory_is_named() {
    let path = temp_dir("file");
    fs::write(&path, b"x").expect("writes");
    let error = Storage::open(&path).expect_err("refused");
    assert!(error.to_string().contains("is not a directory"), "{error}");
    fs::remove_file(&path).expect("cleans up");
}

#[test]
fn a_directory_serves_one_router_at_a_time() {
    let dir = std::env::temp_dir().join(format!("samovar-lock-{}", std::process::id()));
    let (one, two) = (Storage::open(&dir).unwrap(), Storage::open(&dir).unwrap());
    let held = one.lock().unwrap();
    assert!(held.is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        one.save_router(&RouterHash([1; 32]), b"x").unwrap();
        for (name, mode) in [("lock", 0o600), ("netDb", 0o700)] {
            assert_eq!(fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }
    assert!(two.lock().unwrap_err().problem.starts_with("is in use by another router"));
    drop(held);
    assert!(two.lock().is_ok());
    assert!(Storage::Memory.lock().unwrap().is_none());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn d8_a_file_larger_than_any_router_info_is_passed_over() {
    let dir = temp_dir("large");
    fs::create_dir_all(&dir).expect("makes");
    let most = usize::try_from(INFO_MAX).expect("small");
    fs::write(dir.join("a.dat"), vec![1; most]).expect("writes");
    fs::write(dir.join("b.dat"), vec![2; most + 1]).expect("writes");
    let sizes: Vec<usize> = collect_routers(&dir).iter().map(Vec::len).collect();
    assert_eq!(sizes, [most]);
    fs::remove_dir_all(&dir).expect("cleans up");
}
