// SPDX-License-Identifier: MIT

use proptest::prelude::*;

use super::*;

fn words(text: &str) -> Result<Option<Words>, SyntaxError> {
    Line::new(text.as_bytes()).words()
}

fn params(text: &str) -> Vec<(String, String)> {
    let words = words(text).unwrap().unwrap();
    words.params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Every line and the error, if any, that come out of `pieces`.
fn split(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let mut lines = Lines::new(limit);
    let mut out = Vec::new();
    for piece in pieces {
        lines.extend(piece);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => out.push(line),
                Ok(None) => break,
                Err(LineTooLong) => return (out, true),
            }
        }
    }
    (out, false)
}

#[test]
fn a_line_ends_at_lf_and_loses_one_cr() {
    let (lines, long) = split(&[b"a\r\nb\n\r\n\r\r\nrest"], 100);
    assert_eq!(lines, [b"a".to_vec(), b"b".to_vec(), b"".to_vec(), b"\r".to_vec()]);
    assert!(!long);
}

#[test]
fn s5_every_way_to_cut_a_text_in_two_gives_the_same_lines() {
    let text = b"HELLO VERSION\r\n\nPING a b\nSTREAM CONNECT ID=\"x\"\nPING tail\r\n";
    let whole = split(&[text], 64);
    for cut in 0..=text.len() {
        let (left, right) = text.split_at(cut);
        assert_eq!(split(&[left, right], 64), whole, "cut {cut}");
    }
}

#[test]
fn s5_the_limit_counts_the_line_without_its_end() {
    let fits = b"0123456789\r\n";
    assert_eq!(split(&[fits], 10), (vec![b"0123456789".to_vec()], false));
    assert!(split(&[b"01234567890\n"], 10).1);
    assert!(split(&[b"01234567890"], 10).1);
    assert!(!split(&[b"0123456789\r"], 10).1);
    assert!(split(&[b"0123456789\rx"], 10).1);
    let bytes: Vec<&[u8]> = fits.chunks(1).collect();
    assert_eq!(split(&bytes, 10), (vec![b"0123456789".to_vec()], false));
}

#[test]
fn what_follows_the_last_line_is_payload() {
    let mut lines = Lines::new(100);
    lines.extend(b"CONNECT\r\npayload\nmore");
    assert_eq!(lines.next_line(), Ok(Some(b"CONNECT".to_vec())));
    assert_eq!(lines.pending(), b"payload\nmore");
    assert_eq!(lines.take_rest(), b"payload\nmore");
    assert_eq!(lines.pending(), b"");
}

#[test]
fn skipping_drops_bytes_and_keeps_the_rest() {
    let mut lines = Lines::new(100);
    lines.extend(b"12\n45PING\n");
    assert_eq!(lines.skip(5), 5);
    assert_eq!(lines.next_line(), Ok(Some(b"PING".to_vec())));
    assert_eq!(lines.skip(5), 0);
}

#[test]
fn the_first_two_words_are_folded_and_keys_are_not() {
    let words = words("session\tCreate  style=STREAM Id=x ").unwrap().unwrap();
    assert_eq!((words.command.as_str(), words.opcode.as_deref()), ("SESSION", Some("CREATE")));
    assert_eq!(words.params.get("style"), Some("STREAM"));
    assert_eq!(words.params.get("ID"), None);
    assert_eq!(words.params.get("Id"), Some("x"));
}

#[test]
fn a_second_word_with_an_equals_sign_is_an_option() {
    let words = words("SESSION STYLE=STREAM").unwrap().unwrap();
    assert_eq!(words.opcode, None);
    assert_eq!(words.params.get("STYLE"), Some("STREAM"));
}

#[test]
fn the_first_equals_sign_splits_and_later_ones_belong_to_the_value() {
    assert_eq!(params("A B K=abc== L=a=b=c"), pairs(&[("K", "abc=="), ("L", "a=b=c")]));
}

#[test]
fn bare_keys_are_true_and_empty_values_are_empty() {
    assert_eq!(params("A B K L= M=\"\""), pairs(&[("K", "true"), ("L", ""), ("M", "")]));
    let words = words("A B K L= M=TRUE N=yes O=1").unwrap().unwrap();
    let flags = ["K", "L", "M", "N", "O", "P"].map(|key| words.params.flag(key));
    assert_eq!(flags, [true, false, true, false, false, false]);
}

#[test]
fn quotes_hold_blanks_and_equals_signs_and_backslashes_escape() {
    assert_eq!(params(r#"A B K="a b=c" L=x"y z"w"#), pairs(&[("K", "a b=c"), ("L", "xy zw")]));
    assert_eq!(
        params(r#"A B K="a\"b\\c" L=a\ b M=\"x"#),
        pairs(&[("K", "a\"b\\c"), ("L", "a b"), ("M", "\"x")])
    );
    assert_eq!(params("A B K=\"a\tb\""), pairs(&[("K", "a\tb")]));
}

#[test]
fn malformed_lines_are_refused_with_their_reason() {
    let cases = [
        ("A B K=\"x", SyntaxError::Quote),
        ("A B K=x\\", SyntaxError::Escape),
        ("A B K\\", SyntaxError::Escape),
        ("A B =x", SyntaxError::Key),
        ("A B \"K\"=x", SyntaxError::Key),
        ("A \"B\"", SyntaxError::Key),
        ("A B K=1 K=2", SyntaxError::Duplicate("K".to_owned())),
        ("A B K K", SyntaxError::Duplicate("K".to_owned())),
        ("A B K=a\u{7}b", SyntaxError::Text),
        ("A B K=a\0b", SyntaxError::Text),
        ("A\u{1b} B", SyntaxError::Text),
    ];
    for (line, error) in cases {
        assert_eq!(words(line), Err(error), "{line:?}");
    }
    assert_eq!(Line::new(b"A B K=\xff").words(), Err(SyntaxError::Text));
}

#[test]
fn rubbish_behind_silent_is_false_and_no_error() {
    let words = Line::new(b"STREAM FORWARD ID=x SILENT=\xfe\x01\x80 PORT=1").words().unwrap().unwrap();
    assert!(!words.params.flag("SILENT"));
    assert_eq!(words.params.get("PORT"), Some("1"));
}

#[test]
fn s12_the_number_of_options_is_bounded() {
    let line = |count: usize| (0..count).fold("A B".to_owned(), |line, n| format!("{line} k{n}=v"));
    assert!(words(&line(PARAMS_MAX)).is_ok());
    assert_eq!(words(&line(PARAMS_MAX + 1)), Err(SyntaxError::Count));
}

#[test]
fn blank_lines_are_nothing() {
    for line in ["", " ", "\t \t", "\r"] {
        assert_eq!(Line::new(line.as_bytes()).domain(), None, "{line:?}");
    }
    assert_eq!(words("  \t"), Ok(None));
}

#[test]
fn values_never_show_in_debug_output() {
    let words = words("SESSION CREATE DESTINATION=secret PASSWORD=hidden").unwrap().unwrap();
    let shown = format!("{words:?}");
    assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn s13_lines_in_logs_show_neither_keys_nor_passwords() {
    let key = "k".repeat(900);
    let shown =
        Line::new(format!("session create DESTINATION={key} PASSWORD=secret ID=a {key} {key}=x").as_bytes())
            .redacted();
    assert_eq!(
        shown,
        "session create DESTINATION=kkkkkkkkkkkk.. PASSWORD=.. ID=a kkkkkkkkkkkk.. kkkkkkkkkkkk..=x"
    );
    for line in [
        "AUTH ADD USER=joe PASSWORD=\"two secret\"",
        "auth add USER=joe P\\ASSWORD=secret",
        "HELLO VERSION MIN=3.1 USER=joe PASSWORD=\"x secret y\"",
        "hello  version P\\ASSWORD=secret",
    ] {
        let shown = Line::new(line.as_bytes()).redacted();
        assert!(!shown.contains("secret"), "{shown}");
    }
    let reply = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"all of it\"";
    assert_eq!(Line::new(reply.as_bytes()).redacted(), reply);
}

#[test]
fn an_echoed_first_word_is_harmless() {
    assert_eq!(Line::new(b" fo\"o\\ x").domain().as_deref(), Some("FOO"));
    assert_eq!(Line::new(b"\xff\xfe x").domain().as_deref(), Some("UNKNOWN"));
    assert_eq!(Line::new("a".repeat(100).as_bytes()).domain().map(|word| word.len()), Some(32));
}

#[test]
fn s2_browsers_and_tls_clients_are_recognised_at_the_first_byte_that_shows_it() {
    // The bytes after which it must be clear, counted.
    let foreign: [(&[u8], usize); 20] = [
        (b"GET / HTTP/1.1\r\n", 1),
        (b"get /", 1),
        (b"POST /x HTTP/1.1\r\n", 3),
        (b"PUT / HTTP/1.1\r\n", 2),
        (b"PATCH / HTTP/1.1\r\n", 2),
        (b"HEAD / HTTP/1.1\r\n", 3),
        (b"DELETE / HTTP/1.1\r\n", 3),
        (b"OPTIONS * HTTP/1.1\r\n", 1),
        (b"TRACE / HTTP/1.1\r\n", 1),
        (b"CONNECT a:1 HTTP/1.1\r\n", 1),
        (b"PRI * HTTP/2.0\r\n", 2),
        (b"EHLO x\r\n", 2),
        (b"USER x\r\n", 1),
        (b"HELO x\r\n", 4),
        (b"HELLOO VERSION", 6),
        (b"\x16\x03\x01\x02\x00\x01", 1),
        (b"\x00\x01", 1),
        (b"\xef\xbb\xbfHELLO", 1),
        (b"*1\r\n$4\r\nPING\r\n", 1),
        (b"{\"jsonrpc\":1}", 1),
    ];
    for (bytes, clear) in foreign {
        assert_eq!(judge(bytes), Verdict::Foreign, "{bytes:?}");
        assert_eq!(judge(&bytes[..clear]), Verdict::Foreign, "{:?}", &bytes[..clear]);
        assert_eq!(judge(&bytes[..clear - 1]), Verdict::More, "{:?}", &bytes[..clear - 1]);
    }
    let sam: [&[u8]; 6] =
        [b"HELLO VERSION", b"hello\n", b"\r\n HELP\n", b"SESSION CREATE", b"PING\n", b"naming\tLOOKUP"];
    for bytes in sam {
        assert_eq!(judge(bytes), Verdict::Sam(0), "{bytes:?}");
    }
    for bytes in [&b""[..], b"H", b"HEL", b"se", b"\r\n", b"\xff", b"\xff\xfd", b"\xff\xfd\x03"] {
        assert_eq!(judge(bytes), Verdict::More, "{bytes:?}");
    }
    assert_eq!(judge(b"\xff\xfd\x03\xff\xfb\x18\xff\xf1HELLO "), Verdict::Sam(8));
    let telnet = |bytes: usize| b"\xff\xf1".repeat(bytes / 2);
    assert_eq!(judge(&telnet(256)), Verdict::More);
    assert_eq!(judge(&telnet(258)), Verdict::Foreign, "negotiation without end");
    assert_eq!(judge(&[b' '; 511]), Verdict::More);
    assert_eq!(judge(&[b' '; 512]), Verdict::Foreign);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = judge(&bytes);
        let line = Line::new(&bytes);
        let _ = (line.domain(), line.tail(), line.words());
    }

    #[test]
    fn near_misses_of_commands_never_panic(text in "[ \\t\"\\\\=A-Ca-c\u{0}\u{e9}]{0,40}") {
        let _ = Line::new(text.as_bytes()).words();
    }

    #[test]
    fn the_gate_never_changes_its_mind(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let whole = judge(&bytes);
        for cut in 0..bytes.len() {
            let early = judge(&bytes[..cut]);
            if early != Verdict::More {
                prop_assert_eq!(early, whole);
            }
        }
    }

    #[test]
    fn segmentation_never_matters(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..200),
        cuts in proptest::collection::vec(0usize..200, 0..8),
        limit in 1usize..40,
    ) {
        let whole = split(&[&bytes], limit);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&split(&single, limit), &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&split(&pieces, limit), &whole);
    }

    #[test]
    fn any_value_survives_quoting(value in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,30}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let line = format!("A B K=\"{quoted}\" L=x");
        let words = Line::new(line.as_bytes()).words().unwrap().unwrap();
        prop_assert_eq!(words.params.get("K"), Some(value.as_str()));
        prop_assert_eq!(words.params.get("L"), Some("x"));
    }
}
