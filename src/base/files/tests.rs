// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;

const STEPS: [Step; 6] =
    [Step::Open, Step::Half, Step::Rest, Step::Flush, Step::Rename, Step::FlushDirectory];

fn temp_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("samovar-files-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("makes");
    dir
}

#[test]
fn k2_a_write_that_dies_at_any_step_leaves_the_old_or_the_new() {
    let dir = temp_dir("steps");
    let path = dir.join("keys");
    let mut rng = Rng::from_seed(1);
    let mut old: Option<Vec<u8>> = None;
    for round in 0..1_000_usize {
        let die = STEPS[round % STEPS.len()];
        let mut new = vec![0; 1 + rng.below(3_000) as usize];
        rng.fill(&mut new);
        // A process that dies cleans nothing up, so the steps are run without what a failed write does.
        let done = write_steps(&path, &beside(&path), &new, true, &mut |step| {
            if step == die { Err(io::Error::other("dead")) } else { Ok(()) }
        });
        assert!(done.is_err());
        let now = fs::read(&path).ok();
        if die == Step::FlushDirectory {
            assert_eq!(now.as_ref(), Some(&new), "round {round}: it is in place before the last step");
            old = now;
        } else {
            assert_eq!(now, old, "round {round}: {die:?}");
        }
        // Now and then a write goes through, whatever the dead ones left.
        if round % 7 == 0 {
            write_atomically(&path, &new, true).expect("writes");
            old = Some(new);
            assert_eq!(fs::read(&path).ok(), old);
            assert!(!beside(&path).exists());
        }
    }
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn k2_a_write_that_fails_leaves_nothing_beside() {
    let dir = temp_dir("fails");
    let path = dir.join("taken");
    fs::create_dir(&path).expect("makes");
    fs::write(path.join("inside"), b"x").expect("writes");
    assert!(write_atomically(&path, b"new", false).is_err(), "a directory is not replaced");
    assert!(!beside(&path).exists());
    assert!(write_atomically(&dir.join("no/such/place"), b"new", false).is_err());
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[test]
fn what_is_too_large_is_not_read() {
    let dir = temp_dir("large");
    let path = dir.join("file");
    fs::write(&path, [7; 100]).expect("writes");
    assert_eq!(read_at_most(&path, 100).expect("fits").len(), 100);
    assert_eq!(read_at_most(&path, 99).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    fs::remove_dir_all(&dir).expect("cleans up");
}

#[cfg(unix)]
#[test]
fn k1_secrets_are_read_from_private_files_alone() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = temp_dir("private");
    let path = dir.join("keys");
    write_atomically(&path, b"secret", true).expect("writes");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(read_private(&path, 100).expect("reads"), b"secret");
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o677] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets");
        assert!(matches!(read_private(&path, 100), Err(NotPrivate::Mode(m)) if m == mode), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("sets");
    assert!(read_private(&path, 100).is_ok());
    let link = dir.join("link");
    symlink(&path, &link).expect("links");
    assert!(matches!(read_private(&link, 100), Err(NotPrivate::Link)));
    assert!(matches!(read_private(&dir, 100), Err(NotPrivate::NotAFile)));
    assert!(matches!(read_private(&dir.join("none"), 100), Err(NotPrivate::Io(_))));
    // A link planted where the file beside will be is removed and not followed.
    let victim = dir.join("victim");
    fs::write(&victim, b"mine").expect("writes");
    symlink(&victim, beside(&path)).expect("links");
    write_atomically(&path, b"again", true).expect("writes");
    assert_eq!(fs::read(&victim).expect("there"), b"mine");
    assert_eq!(fs::read(&path).expect("there"), b"again");
    fs::remove_dir_all(&dir).expect("cleans up");
}
