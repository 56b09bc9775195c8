// SPDX-License-Identifier: MIT
use super::*;

fn temp_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("samovar-storage-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn files_come_back_and_keys_are_private() {
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

#[test]
fn routers_are_stored_in_the_common_layout_and_found_in_any_nesting() {
    let dir = temp_dir("routers");
    let storage = Storage::open(&dir).expect("opens");
    storage.save_router(&RouterHash([1; 32]), b"one").expect("saves");
    storage.save_router(&RouterHash([250; 32]), b"two").expect("saves");
    fs::create_dir_all(dir.join("netDb/x/y")).expect("makes");
    fs::write(dir.join("netDb/x/y/router.info"), b"three").expect("writes");
    fs::write(dir.join("netDb/x/y/other.txt"), b"no").expect("writes");
    let mut all = storage.routers();
    all.sort();
    assert_eq!(all, [b"one".to_vec(), b"three".to_vec(), b"two".to_vec()]);
    storage.forget_router(&RouterHash([1; 32]));
    assert_eq!(storage.routers().len(), 2);
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
    assert!(two.lock().unwrap_err().problem.starts_with("is in use by another router"));
    drop(held);
    assert!(two.lock().is_ok());
    assert!(Storage::Memory.lock().unwrap().is_none());
    fs::remove_dir_all(dir).unwrap();
}
