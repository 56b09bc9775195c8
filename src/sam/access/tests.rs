// SPDX-License-Identifier: MIT
use super::*;
use std::net::Ipv4Addr;

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sam-users-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn users_are_written_and_read_back_and_no_password_stands_in_the_file() {
    let file = Scratch::new("roundtrip");
    let mut users = Users::load(&file.0).unwrap();
    assert!(users.is_empty() && !users.required());
    users.add("joe", "secret words").unwrap();
    users.add("J\u{f6}rg M.", "x").unwrap();
    users.set_required(true);
    users.save(&file.0).unwrap();
    let text = std::fs::read_to_string(&file.0).unwrap();
    assert!(text.starts_with("samovar-sam-users 1 auth=on\n"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let read = Users::load(&file.0).unwrap();
    assert!(read.required());
    assert_eq!(read.names().collect::<Vec<_>>(), ["J\u{f6}rg M.", "joe"]);
    assert!(read.hash_of("joe").unwrap().verify(b"secret words", &mut PasswordMemory::default()));
    assert!(!read.hash_of("joe").unwrap().verify(b"x", &mut PasswordMemory::default()));
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let mut users = Users::default();
    users.add("joe", "1").unwrap();
    assert_eq!(users.add("joe", "2"), Err(UsersError::Exists));
    assert_eq!(users.remove("jim"), Err(UsersError::Missing));
    assert_eq!(users.set_password("jim", "1"), Err(UsersError::Missing));
    for name in ["", "a:b", "#x", "a\nb", &"x".repeat(65)] {
        assert_eq!(users.add(name, "1"), Err(UsersError::Name), "{name}");
    }
    assert_eq!(users.add("jim", ""), Err(UsersError::Password));
    assert_eq!(users.add("jim", &"x".repeat(513)), Err(UsersError::Password));
    users.set_password("joe", "3").unwrap();
    assert!(users.hash_of("joe").unwrap().verify(b"3", &mut PasswordMemory::default()));
    users.remove("joe").unwrap();
    assert!(users.is_empty());
}

#[test]
fn damaged_files_are_named_by_line_and_never_half_believed() {
    let hash = PasswordHash::decoy().to_text();
    let says = |text: &str| Users::parse(text).map(|users| users.names().count());
    assert_eq!(says(&format!("samovar-sam-users 1 auth=off\n\n# x\na:{hash}\n")), Ok(1));
    assert!(says("").unwrap_err().contains("first line"));
    assert!(says("samovar-sam-users 2 auth=on\n").unwrap_err().contains("first line"));
    let head = "samovar-sam-users 1 auth=on\n";
    assert!(says(&format!("{head}a:{hash}\nb\n")).unwrap_err().contains("line 3"));
    assert!(says(&format!("{head}a:{hash}x$\n")).unwrap_err().contains("line 2"));
    assert!(says(&format!("{head}a:{hash}\na:{hash}\n")).unwrap_err().contains("line 3"));
}

#[cfg(unix)]
#[test]
fn s4_a_file_that_others_may_read_is_not_believed() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = Scratch::new("open");
    Users::default().save(&file.0).unwrap();
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Users::load(&file.0).unwrap_err().to_string().contains("chmod 600"));
    let link = Scratch::new("link");
    std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
    assert!(Users::load(&link.0).unwrap_err().to_string().contains("is a link"));
}

#[tokio::test(start_paused = true)]
async fn s4_five_guesses_are_free_then_one_a_second_and_addresses_do_not_share() {
    let mut throttle = Throttle::new(5);
    let (now, address) = (Instant::now(), IpAddr::from([10, 0, 0, 1]));
    let second = Duration::from_secs(1);
    for _ in 0..5 {
        assert_eq!(throttle.turn(now, address), Turn::Now);
        throttle.failed(now, address);
    }
    for wait in 1..=4 {
        assert_eq!(throttle.turn(now, address), Turn::At(now + second * wait));
    }
    assert_eq!(throttle.turn(now, address), Turn::Never);
    assert_eq!(throttle.turn(now, IpAddr::from([10, 0, 0, 2])), Turn::Now);
    assert_eq!(throttle.turn(now + second * 61, address), Turn::Now, "forgotten after a minute");
    assert_eq!(throttle.len(), 0);
    // A /64 is one customer.
    for host in 0..5 {
        throttle.failed(now, IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]));
    }
    assert_ne!(throttle.turn(now, IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9])), Turn::Now);
    assert_eq!(throttle.turn(now, IpAddr::from([0x2001, 0xdb8, 0, 2, 9, 9, 9, 9])), Turn::Now);
    for n in 0..3000u32 {
        throttle.failed(now, IpAddr::V4(Ipv4Addr::from(n)));
    }
    assert_eq!(throttle.len(), 1024);
}
