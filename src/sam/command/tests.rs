// SPDX-License-Identifier: MIT

use proptest::prelude::*;

use super::*;

fn parse(line: &str) -> Command {
    Command::parse(line.as_bytes()).unwrap().unwrap()
}

fn refused(line: &str) -> Rejection {
    Command::parse(line.as_bytes()).unwrap_err()
}

fn negotiated(line: &str) -> Option<String> {
    let Command::Hello(hello) = parse(line) else { panic!("no HELLO: {line}") };
    hello.version.map(|version| version.to_string())
}

#[test]
fn the_highest_version_in_the_range_wins() {
    let table = [
        ("", Some("3.3")),
        ("MIN=3.1 MAX=3.1", Some("3.1")),
        ("MIN=3.0 MAX=3.1", Some("3.1")),
        ("MIN=3.1 MAX=3.3", Some("3.3")),
        ("MIN=3.3 MAX=3.3", Some("3.3")),
        ("MIN=3.0 MAX=3.0", Some("3.0")),
        ("MIN=2.0 MAX=4.0", Some("3.3")),
        ("MIN=3 MAX=3", Some("3.0")),
        ("MIN=3.2", Some("3.3")),
        ("MAX=3.2", Some("3.2")),
        ("MIN= MAX=", Some("3.3")),
        ("MAX=3.10", Some("3.3")),
        ("MIN=3.4", None),
        ("MAX=2.9", None),
        ("MIN=3.3 MAX=3.1", None),
        ("MIN=3.10 MAX=3.20", None),
        ("MIN=x", None),
        ("MAX=3.1.2", None),
        ("MIN=-1", None),
    ];
    for (range, version) in table {
        assert_eq!(negotiated(&format!("HELLO VERSION {range}")).as_deref(), version, "{range}");
    }
}

#[test]
fn ping_keeps_its_text_byte_for_byte() {
    assert_eq!(parse("PING"), Command::Ping(String::new()));
    assert_eq!(parse("ping  a=\"b  \\ c "), Command::Ping("  a=\"b  \\ c ".to_owned()));
    assert_eq!(parse("PONG anything \"at all"), Command::Pong);
    assert_eq!(refused("PING a\u{1}b").then, Then::Close);
}

#[test]
fn words_that_stand_alone_need_nothing_else() {
    for line in ["QUIT", "stop", "Exit", "QUIT now=1"] {
        assert_eq!(parse(line), Command::Quit, "{line}");
    }
    assert_eq!(parse("HELP"), Command::Help(None));
    assert_eq!(parse("help stream"), Command::Help(Some("STREAM".to_owned())));
}

#[test]
fn unknown_words_are_told_what_was_probably_meant() {
    let table = [
        ("FOO x=1", "FOO STATUS RESULT=I2P_ERROR MESSAGE=\"unknown command; HELP lists them\"\n"),
        (
            "HELO VERSION",
            "HELO STATUS RESULT=I2P_ERROR MESSAGE=\"unknown command; did you mean HELLO? HELP lists them\"\n",
        ),
        (
            "SESION X",
            "SESION STATUS RESULT=I2P_ERROR MESSAGE=\"unknown command; did you mean SESSION? HELP lists them\"\n",
        ),
        (
            "SESSION",
            "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"command not specified; expected SESSION CREATE, SESSION ADD or SESSION REMOVE\"\n",
        ),
        (
            "DEST STYLE=x",
            "DEST REPLY RESULT=I2P_ERROR MESSAGE=\"command not specified; expected DEST GENERATE\"\n",
        ),
        (
            "HELLO THERE",
            "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"unknown command HELLO THERE; expected HELLO VERSION\"\n",
        ),
    ];
    for (line, reply) in table {
        let rejection = refused(line);
        assert_eq!(rejection.reply, reply);
        assert_eq!(rejection.then, Then::StayButCount, "{line}");
    }
}

#[test]
fn syntax_errors_close_and_address_their_command() {
    let rejection = refused("stream connect ID=\"x");
    assert_eq!(rejection.reply, "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"unterminated quote\"\n");
    assert_eq!(rejection.then, Then::Close);
    assert_eq!(
        refused("NAMING LOOKUP A=1 A=2").reply,
        "NAMING REPLY RESULT=I2P_ERROR MESSAGE=\"A is given twice\"\n"
    );
}

#[test]
fn stream_commands_check_what_the_line_alone_can_tell() {
    let Command::Connect(request) =
        parse("STREAM CONNECT SILENT=TRUE TO_PORT=80 DESTINATION=d== ID=x PORT=6881")
    else {
        panic!("no CONNECT");
    };
    assert_eq!((request.id.as_str(), request.destination.as_str(), request.silent), ("x", "d==", true));
    assert_eq!((request.from_port, request.to_port, request.timeout_ms), (None, Some(80), None));
    let Command::Forward(request) = parse("STREAM FORWARD ID=x PORT=65535 HOST=::1 SILENT") else {
        panic!("no FORWARD")
    };
    assert_eq!(
        (request.port, request.host.as_deref(), request.silent, request.ssl),
        (65_535, Some("::1"), true, false)
    );

    for (line, message, silent) in [
        ("STREAM CONNECT ID=x", "DESTINATION not specified", false),
        ("STREAM CONNECT DESTINATION=d SILENT=true", "ID not specified", true),
        (
            "STREAM CONNECT ID=x DESTINATION=d FROM_PORT=-1",
            "FROM_PORT must be a number from 0 to 65535",
            false,
        ),
        (
            "STREAM CONNECT ID=x DESTINATION=d TO_PORT=65536",
            "TO_PORT must be a number from 0 to 65535",
            false,
        ),
        ("STREAM ACCEPT", "ID not specified", false),
        ("STREAM ACCEPT ID=", "ID not specified", false),
        ("STREAM FORWARD ID=x", "PORT not specified", false),
        ("STREAM FORWARD ID=x PORT=0 SILENT=true", "PORT must be a number from 1 to 65535", false),
        ("STREAM FORWARD ID=x PORT=x", "PORT must be a number from 1 to 65535", false),
    ] {
        let rejection = refused(line);
        assert_eq!(
            rejection.reply,
            format!("STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"{message}\"\n"),
            "{line}"
        );
        assert_eq!((rejection.then, rejection.silent), (Then::CloseStream, silent), "{line}");
    }
}

#[test]
fn datagram_sends_need_a_size() {
    let send = parse("RAW SEND DESTINATION=x ID=y SIZE=12 PROTOCOL=3");
    let Command::Send(send) = send else { panic!("{send:?}") };
    assert_eq!((send.domain, send.size), (Domain::Raw, 12));
    for line in ["DATAGRAM SEND", "DATAGRAM SEND SIZE=x", "DATAGRAM SEND SIZE=-1"] {
        assert_eq!(refused(line).then, Then::Close, "{line}");
    }
}

#[test]
fn passwords_and_keys_never_show_in_debug_output() {
    let shown = format!(
        "{:?} {:?} {:?}",
        parse("HELLO VERSION USER=eve PASSWORD=hidden"),
        parse("STREAM CONNECT ID=x DESTINATION=secret"),
        parse("SESSION CREATE DESTINATION=secret"),
    );
    assert!(!shown.contains("hidden") && !shown.contains("secret"), "{shown}");
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic_and_every_refusal_is_one_clean_line(
        line in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "(hello|SESSION|STREAM|NAMING|PING|DEST|RAW|AUTH|HELP|x\"y) ?(VERSION|CREATE|CONNECT|FORWARD|SEND|LOOKUP|GENERATE)? [ A-Z=\"\\\\0-9\u{e9}\u{7}]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        if let Err(rejection) = Command::parse(&line) {
            let reply = rejection.reply;
            prop_assert!(reply.ends_with('\n'));
            prop_assert_eq!(reply.matches('\n').count(), 1);
            prop_assert_eq!(reply.matches('"').count(), 2);
            prop_assert!(!reply.trim_end().chars().any(char::is_control));
            prop_assert!(!reply.contains('\'') && !reply.contains('\\'));
        }
    }
}
