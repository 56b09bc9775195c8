// SPDX-License-Identifier: MIT

use std::time::Duration;

use proptest::prelude::*;

use super::cache::{Cache, Named};
use super::header::{Defaults, Form, FromClient, Refused, SendOptions, compose};
use crate::sam::backend::{InDatagram, Peer, Sender};
use crate::sam::command::Version;
use crate::sam::options::Style;
use crate::wire::{DestHash, Destination, KeysAndCert, SigType};

fn destination(seed: u8) -> Destination {
    Destination::new(KeysAndCert::build(SigType::Ed25519, &[seed; 32], 0, &[], [seed; 32]))
}

#[test]
fn the_line_in_front_of_a_datagram_is_read_as_every_client_writes_it() {
    let plain = FromClient::parse(b"3.0 id dest\npayload\nmore").unwrap();
    assert_eq!((plain.id, plain.destination, plain.payload), ("id", "dest", &b"payload\nmore"[..]));
    assert_eq!(plain.options, SendOptions::default());
    // Old clients send bare words there.
    let bare = FromClient::parse(b"3.0 id dest 0 0 40 30 true\nx").unwrap();
    assert_eq!(bare.options, SendOptions::default());
    let full = b"3.3  id\tdest FROM_PORT=1 TO_PORT=65535 PROTOCOL=9 SEND_TAGS=40 EXPIRES=9999 SEND_LEASESET=true X=\r\nx";
    let full = FromClient::parse(full).unwrap();
    let expected = SendOptions {
        from_port: Some(1),
        to_port: Some(65_535),
        protocol: Some(9),
        expires: Some(Duration::from_secs(600)),
        send_lease_set: Some(true),
    };
    assert_eq!((full.options, full.payload), (expected, &b"x"[..]));
    let brief = FromClient::parse(b"3.12 id dest EXPIRES=-5 SEND_LEASESET=no\nx").unwrap();
    assert_eq!(
        (brief.options.expires, brief.options.send_lease_set),
        (Some(Duration::from_secs(1)), Some(false))
    );
}

#[test]
fn bad_lines_are_told_apart() {
    let cases: [(&[u8], Refused); 12] = [
        (b"", Refused::Header),
        (b"3.0 id dest", Refused::Header),
        (b"\npayload", Refused::Header),
        (b"3.0 id\npayload", Refused::Header),
        (b"2.0 id dest\npayload", Refused::Header),
        (b"4.0 id dest\npayload", Refused::Header),
        (b"3. id dest\npayload", Refused::Header),
        (b"3.x id dest\npayload", Refused::Header),
        (b"3.0 id \xff\npayload", Refused::Header),
        (b"3.0 id dest FROM_PORT=65536\npayload", Refused::Number),
        (b"3.0 id dest TO_PORT=-1\npayload", Refused::Number),
        (b"3.0 id dest\n", Refused::Size),
    ];
    for (bytes, refused) in cases {
        assert_eq!(FromClient::parse(bytes), Err(refused), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn defaults_fill_in_what_a_client_leaves_out() {
    let defaults = Defaults { style: Style::Raw, from_port: 1, to_port: 2, protocol: 18 };
    let peer = || Peer::Hash(DestHash([1; 32]));
    let out = compose(&defaults, &SendOptions::default(), peer(), vec![0; 32_768]).unwrap();
    assert_eq!((out.from_port, out.to_port, out.protocol), (1, 2, 18));
    let options = SendOptions { to_port: Some(0), protocol: Some(0), ..SendOptions::default() };
    let out = compose(&defaults, &options, peer(), vec![0]).unwrap();
    assert_eq!((out.from_port, out.to_port, out.protocol), (1, 0, 0));
    for bad in [6, 17, 19, 20, 256, u16::MAX] {
        let options = SendOptions { protocol: Some(bad), ..SendOptions::default() };
        assert_eq!(compose(&defaults, &options, peer(), vec![0]), Err(Refused::Number));
        // The other styles have a protocol of their own.
        let defaults = Defaults { style: Style::Datagram, ..defaults };
        assert!(compose(&defaults, &options, peer(), vec![0]).is_ok());
    }
    for (style, most) in [
        (Style::Raw, 32_768),
        (Style::Datagram, 31_744),
        (Style::Datagram2, 31_744),
        (Style::Datagram3, 31_744),
    ] {
        let defaults = Defaults { style, ..defaults };
        let sized = |size| compose(&defaults, &SendOptions::default(), peer(), vec![0; size]).is_ok();
        assert_eq!(
            [sized(0), sized(1), sized(most), sized(most + 1)],
            [false, true, true, false],
            "{style:?}"
        );
    }
}

fn written(style: Style, version: Version, control: bool, header: bool, from: Sender) -> String {
    let datagram =
        InDatagram { from, from_port: 10, to_port: 0, protocol: 255, payload: b"pay\nload".to_vec() };
    let mut out = b"old".to_vec();
    Form { style, version, control, header }.write(&datagram, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_arrives_is_written_as_style_version_and_way_ask_for() {
    let sender = destination(1);
    let b64 = sender.to_base64();
    let proven = || Sender::Proven(sender.clone());
    let claimed = || Sender::Claimed(DestHash([0; 32]));
    let hash = format!("{}=", "A".repeat(43));
    let (old, new) = (Version::V3_1, Version::V3_2);
    for style in [Style::Datagram, Style::Datagram2] {
        assert_eq!(written(style, old, false, false, proven()), format!("{b64}\npay\nload"));
        let ports = format!("{b64} FROM_PORT=10 TO_PORT=0\npay\nload");
        assert_eq!(written(style, new, false, false, proven()), ports);
        let line = format!("DATAGRAM RECEIVED DESTINATION={b64} SIZE=8");
        assert_eq!(written(style, old, true, false, proven()), format!("{line}\npay\nload"));
        assert_eq!(
            written(style, new, true, false, proven()),
            format!("{line} FROM_PORT=10 TO_PORT=0\npay\nload")
        );
    }
    assert_eq!(
        written(Style::Datagram3, new, false, false, claimed()),
        format!("{hash} FROM_PORT=10 TO_PORT=0\npay\nload")
    );
    assert_eq!(
        written(Style::Datagram3, new, true, false, claimed()),
        format!("DATAGRAM RECEIVED DESTINATION={hash} SIZE=8 FROM_PORT=10 TO_PORT=0\npay\nload")
    );
    assert_eq!(written(Style::Raw, new, false, false, Sender::Nobody), "pay\nload");
    assert_eq!(
        written(Style::Raw, new, false, true, Sender::Nobody),
        "FROM_PORT=10 TO_PORT=0 PROTOCOL=255\npay\nload"
    );
    assert_eq!(written(Style::Raw, old, true, false, Sender::Nobody), "RAW RECEIVED SIZE=8\npay\nload");
    assert_eq!(
        written(Style::Raw, new, true, false, Sender::Nobody),
        "RAW RECEIVED SIZE=8 FROM_PORT=10 TO_PORT=0 PROTOCOL=255\npay\nload"
    );
}

#[test]
fn texts_are_remembered_within_bounds_and_private_keys_never() {
    let mut cache = Cache::default();
    let known = destination(1);
    let peer = Named::Peer(Peer::Destination(known.clone()));
    assert_eq!(cache.find(&known.to_base64()), peer);
    assert_eq!(cache.find(&known.to_base64()), peer);
    assert_eq!(cache.len(), 1);
    let keys = crate::sam::keys::PrivateKeys::new(known.clone(), &[7; 32]).unwrap();
    assert_eq!(cache.find(keys.to_base64()), peer);
    assert_eq!(cache.find(known.to_base64().trim_end_matches('=')), peer);
    assert_eq!(cache.len(), 2);
    assert_eq!(cache.find(&known.b32()), Named::Peer(Peer::Hash(known.hash())));
    assert_eq!(cache.find("x.i2p"), Named::Host("x.i2p".to_owned()));
    assert_eq!(cache.find("ME"), Named::Me);
    assert_eq!(cache.find("abc.b32.i2p"), Named::Nobody);
    for seed in 0..1200u16 {
        let [a, b] = seed.to_be_bytes();
        let mut key = [a; 32];
        key[0] = b;
        let one = Destination::new(KeysAndCert::build(SigType::Ed25519, &key, 0, &[], [1; 32]));
        cache.find(&one.to_base64());
    }
    assert_eq!(cache.len(), 512);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_stumble(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = FromClient::parse(&bytes);
    }

    #[test]
    fn lines_that_look_right_never_stumble(text in "3\\.[0-9]{0,3} [a-z]{0,3} [a-z]{0,3}( [A-Z_]{0,9}=?[0-9-]{0,6}){0,4}\n?x?") {
        let _ = FromClient::parse(text.as_bytes());
    }
}
