// SPDX-License-Identifier: MIT

use super::*;
use crate::sam::parse::Line;
use crate::wire::{Destination, KeysAndCert, SigType};

fn params(options: &str) -> Params {
    Line::new(format!("SESSION CREATE {options}").as_bytes()).words().unwrap().unwrap().params
}

fn config(options: &str) -> SessionConfig {
    let destination = Destination::new(KeysAndCert::build(SigType::Ed25519, &[1; 32], 0, &[], [2; 32]));
    let keys = PrivateKeys::new(destination, &[3; 32]).unwrap();
    SessionConfig::new("name", Style::Stream, keys, &params(options))
}

#[test]
fn the_sam_options_are_checked() {
    let good =
        CreateRequest::new(&params("STYLE=STREAM ID=a DESTINATION=TRANSIENT FROM_PORT=1 TO_PORT=65535"))
            .unwrap();
    assert_eq!((good.style, good.id.as_str(), good.from_port, good.to_port), (Style::Stream, "a", 1, 65_535));
    for bad in [
        "ID=a DESTINATION=d",
        "STYLE=stream ID=a DESTINATION=d",
        "STYLE=STREAM DESTINATION=d",
        "STYLE=STREAM ID=a",
        "STYLE=STREAM ID=a DESTINATION=",
        "STYLE=STREAM ID=a DESTINATION=d FROM_PORT=-1",
        "STYLE=STREAM ID=\"a b\" DESTINATION=d",
    ] {
        assert!(CreateRequest::new(&params(bad)).is_err(), "{bad}");
    }
    let id = |length: usize| format!("STYLE=STREAM DESTINATION=d ID={}", "x".repeat(length));
    assert!(CreateRequest::new(&params(&id(255))).is_ok());
    assert!(CreateRequest::new(&params(&id(256))).is_err());
}

#[test]
fn every_style_has_its_word_and_primary_two() {
    for word in ["STREAM", "DATAGRAM", "DATAGRAM2", "DATAGRAM3", "RAW", "PRIMARY"] {
        assert_eq!(Style::from_word(word).map(Style::word), Some(word));
    }
    assert_eq!(Style::from_word("MASTER"), Some(Style::Primary));
    assert_eq!(Style::from_word("stream"), None);
}

#[test]
fn without_options_the_defaults_hold() {
    let config = config("");
    assert_eq!((&config.inbound, &config.outbound), (&TunnelOptions::default(), &TunnelOptions::default()));
    let usual = LeaseSetOptions {
        encryption: vec![4],
        publish: true,
        bundle: true,
        options: Vec::new(),
        encrypted: EncryptedOptions::default(),
    };
    assert_eq!(config.lease_set, usual);
    assert_eq!(config.streaming, StreamingOptions::default());
    assert_eq!(config.idle, IdleOptions { reduce: None, close_ms: None });
}

#[test]
fn s12_tunnel_options_are_clamped_and_rubbish_is_ignored() {
    let config = config(
        "inbound.length=9 inbound.quantity=0 inbound.lengthVariance=-20 inbound.backupQuantity=99 \
         outbound.length=-1 outbound.quantity=x outbound.lengthVariance=2 outbound.backupQuantity= outbound.nickname=me",
    );
    let inbound = &config.inbound;
    assert_eq!((inbound.length, inbound.quantity, inbound.variance, inbound.backup), (7, 1, -7, 15));
    assert!(!inbound.allow_zero_hop);
    let outbound = &config.outbound;
    assert_eq!((outbound.length, outbound.quantity, outbound.variance, outbound.backup), (0, 2, 2, 0));
    assert!(outbound.allow_zero_hop);
    assert_eq!(outbound.nickname.as_deref(), Some("me"));
}

#[test]
fn encryption_is_the_known_part_of_the_list() {
    for (list, nothing) in
        [("4,0", false), ("6,4", false), ("4", false), ("ECIES_X25519", false), ("0", true), ("x,9", true)]
    {
        let options = format!("i2cp.leaseSetEncType={list}");
        assert_eq!(config(&options).lease_set.encryption, [4], "{list}");
        assert_eq!(LeaseSetOptions::nothing_known(&params(&options)), nothing, "{list}");
    }
    assert!(!LeaseSetOptions::nothing_known(&params("")));
}

#[test]
fn booleans_and_numbers_of_the_router_are_lenient() {
    let config = config(
        "i2cp.dontPublishLeaseSet=TRUE shouldBundleReplyInfo=false i2cp.gzip=false i2p.streaming.profile=2 \
         i2p.streaming.maxWindowSize=9999 i2p.streaming.connectTimeout=-1 i2p.streaming.answerPings=1 \
         i2p.streaming.maxResends=x i2p.streaming.maxConcurrentStreams=-1 i2p.streaming.initialRTO=9000000000000",
    );
    assert!(!config.lease_set.publish && !config.lease_set.bundle);
    let streaming = &config.streaming;
    assert_eq!((streaming.gzip, streaming.profile, streaming.window_max), (Some(false), Some(2), Some(512)));
    assert_eq!((streaming.connect_timeout_ms, streaming.answer_pings), (Some(1000), Some(true)));
    assert_eq!((streaming.resends_max, streaming.concurrent_max), (None, None));
    assert_eq!(streaming.rto_initial_ms, Some(60_000));
}

#[test]
fn r1_limits_of_connections_are_those_of_java() {
    let none = config("").streaming;
    assert_eq!((none.conns_max, none.total_conns_max, none.limit_drops), ([0; 3], [0; 3], false));
    let some = config(
        "i2p.streaming.maxConnsPerMinute=3 i2p.streaming.maxConnsPerHour=20 i2p.streaming.maxConnsPerDay=100 \
         i2p.streaming.maxTotalConnsPerMinute=30 i2p.streaming.maxTotalConnsPerHour=-1 \
         i2p.streaming.maxTotalConnsPerDay=x i2p.streaming.limitAction=drop",
    )
    .streaming;
    assert_eq!((some.conns_max, some.total_conns_max, some.limit_drops), ([3, 20, 100], [30, 0, 0], true));
}

#[test]
fn idle_times_have_a_floor() {
    let config =
        config("i2cp.reduceOnIdle=true i2cp.reduceIdleTime=1 i2cp.reduceQuantity=3 i2cp.closeOnIdle=true");
    assert_eq!(config.idle, IdleOptions { reduce: Some((300_000, 3)), close_ms: Some(1_800_000) });
}

#[test]
fn private_keys_never_show_in_debug_output() {
    let config = config("");
    let text = config.keys.to_base64().to_owned();
    assert!(!format!("{config:?}").contains(&text[..60]));
}
