// SPDX-License-Identifier: MIT

use proptest::prelude::*;

use super::*;

#[test]
fn four_answers_never_carry_a_message() {
    assert_eq!(
        status(&Domain::Session, ResultCode::DuplicatedId, "x"),
        "SESSION STATUS RESULT=DUPLICATED_ID\n"
    );
    assert_eq!(
        status(&Domain::Session, ResultCode::DuplicatedDest, "x"),
        "SESSION STATUS RESULT=DUPLICATED_DEST\n"
    );
    assert_eq!(status(&Domain::Session, ResultCode::InvalidKey, "x"), "SESSION STATUS RESULT=INVALID_KEY\n");
    assert_eq!(hello_no_version(), "HELLO REPLY RESULT=NOVERSION\n");
    assert_eq!(
        status(&Domain::Stream, ResultCode::InvalidKey, "why"),
        "STREAM STATUS RESULT=INVALID_KEY MESSAGE=\"why\"\n"
    );
}

#[test]
fn the_good_answers_have_their_exact_form() {
    assert_eq!(hello_ok(Version::V3_1), "HELLO REPLY RESULT=OK VERSION=3.1\n");
    assert_eq!(session_ok("K=="), "SESSION STATUS RESULT=OK DESTINATION=K==\n");
    assert_eq!(stream_ok(), "STREAM STATUS RESULT=OK\n");
    assert_eq!(dest_ok("P", "Q"), "DEST REPLY PUB=P PRIV=Q\n");
    assert_eq!(peer_line("D", 1, 2, Version::V3_1), "D\n");
    assert_eq!(peer_line("D", 1, 2, Version::V3_2), "D FROM_PORT=1 TO_PORT=2\n");
    assert_eq!(pong("  a b "), "PONG  a b \n");
    assert_eq!(quit_ok(), "QUIT STATUS RESULT=OK MESSAGE=bye\n");
    assert_eq!(naming_ok("ME", "V", &[]), "NAMING REPLY RESULT=OK NAME=ME VALUE=V\n");
    let options = [
        ("k".to_owned(), "a b".to_owned()),
        ("x=y".to_owned(), "z".to_owned()),
        ("n".to_owned(), "a\nb".to_owned()),
    ];
    assert_eq!(naming_ok("n", "V", &options), "NAMING REPLY RESULT=OK NAME=n VALUE=V OPTION:k=\"a b\"\n");
}

#[test]
fn an_empty_message_is_left_out() {
    assert_eq!(error(&Domain::Dest, "  "), "DEST REPLY RESULT=I2P_ERROR\n");
    assert_eq!(naming_error(ResultCode::KeyNotFound, "a", ""), "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=a\n");
}

proptest! {
    #[test]
    fn any_text_fits_into_one_line(message in any::<String>(), name in any::<String>()) {
        for line in [
            error(&Domain::Stream, &message),
            naming_error(ResultCode::KeyNotFound, &name, &message),
        ] {
            prop_assert!(line.ends_with('\n'));
            let body = line.trim_end_matches('\n');
            prop_assert!(!body.chars().any(char::is_control));
            prop_assert!(body.split(' ').nth(2).is_some_and(|word| word.starts_with("RESULT=")));
            prop_assert!(matches!(body.matches('"').count(), 0 | 2));
            prop_assert!(!body.contains("\"\"") && !body.contains('\\'));
        }
    }
}
