// SPDX-License-Identifier: MIT
use crate::crypto::{PasswordHash, PasswordMemory};

/// Made with argon2-cffi 25.1, which wraps the reference implementation.
const OURS: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$MDEyMzQ1Njc4OWFiY2RlZg$2Ek5zMZVGrFVTlHZZgywf+fd0fS6/y+DB3Z5fAX1+zM";
const OTHER: &str = "$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$nkDqANx1PTx1nGEci4mA5w";

#[test]
fn hashes_equal_those_of_the_reference_implementation() {
    let memory = &mut PasswordMemory::default();
    let made = PasswordHash::new(b"correct horse", *b"0123456789abcdef", memory).unwrap();
    assert_eq!(made.to_text(), OURS);
    assert!(made.verify(b"correct horse", memory));
    assert!(!made.verify(b"correct horsf", memory));
    assert!(!made.verify(b"", memory));
    let other = PasswordHash::parse(OTHER).unwrap();
    assert_eq!(other.to_text(), OTHER);
    assert!(other.verify("p\u{e4}sswort".as_bytes(), memory));
    assert!(!other.verify(b"passwort", memory));
    assert!(!PasswordHash::decoy().verify(b"", memory));
}

#[test]
fn what_is_no_hash_or_costs_too_much_is_not_read() {
    assert!(PasswordHash::parse(OURS).is_some());
    for (from, to) in [
        ("argon2id", "argon2i"),
        ("v=19", "v=16"),
        ("m=7168", "m=7168000"),
        ("m=7168", "m=4"),
        ("m=7168", "m=x"),
        ("t=5", "t=0"),
        ("t=5", "t=17"),
        ("p=1", "p=0"),
        ("p=1", "p=9"),
        ("p=1", "p=1,x=1"),
        ("$MDEy", "$*DEy"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEy"),
        ("3Z5fAX1+zM", "3Z5fAX1+zM$"),
    ] {
        let text = OURS.replace(from, to);
        assert_ne!(text, OURS);
        assert!(PasswordHash::parse(&text).is_none(), "{text}");
    }
    for cut in 0..OURS.len() {
        // A shorter hash is still one, as long as it is not too short.
        let _ = PasswordHash::parse(&OURS[..cut]);
    }
    assert!(PasswordHash::parse("").is_none());
    assert_eq!(format!("{:?}", PasswordHash::decoy()), "PasswordHash(..)");
}
