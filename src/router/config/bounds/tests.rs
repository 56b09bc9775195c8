// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Budget;
use crate::router::assembly::{builder_config, netdb_config, plane_config, transport_config};
use crate::router::config::RouterConfig;
use crate::transport::TransportConfig;
use crate::tunnel::build::BuilderConfig;
use crate::tunnel::plane::PlaneConfig;
use crate::wire::RouterHash;
use crate::{destination, netdb, sam};

fn with(bound: &Bound, value: u64) -> RouterConfig {
    let mut config = RouterConfig::default();
    bound.set(&mut config.bounds, value);
    config
}

/// What the rooms get.
fn filled(config: &RouterConfig) -> [String; 7] {
    let mut sam = sam::Limits::default();
    config.bounds.fill_sam(&mut sam);
    [
        format!("{:?}", transport_config(config, 0)),
        format!("{:?}", plane_config(config)),
        format!("{:?}", builder_config(config, &Budget::default())),
        format!("{:?}", netdb_config(config, RouterHash([1; 32]))),
        format!("{:?}", config.destination_limits()),
        format!("{sam:?}"),
        format!(
            "{:?} {:?}",
            config.bounds.tunnels.waiting_requests, config.bounds.tunnels.waiting_requests_time
        ),
    ]
}

#[test]
fn each_bound_has_a_name_and_a_meaning_of_its_own() {
    for (at, bound) in Bounds::TABLE.iter().enumerate() {
        let Bound { key, default, least, about, .. } = bound;
        assert_eq!(Bound::named(key).unwrap().about, *about, "{key} is there twice");
        let name = key.strip_prefix("bounds.").unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{key}");
        assert!(least < default && *least > 0, "{key}");
        let (row, meaning) = about.split_once(": ").unwrap();
        assert!("ZNGTDRS".contains(&row[..1]) && row[1..].parse::<u8>().is_ok(), "{key}: {about}");
        assert!(!meaning.ends_with('.') && about.len() < 100, "{key}: {about}");
        let same = Bounds::TABLE.iter().filter(|b| b.about == *about).count();
        assert_eq!(same, 1, "{at} {key}");
    }
}

#[test]
fn each_bound_can_be_lowered_to_its_least_and_not_raised() {
    for bound in Bounds::TABLE {
        let Bound { key, default, least, .. } = bound;
        let says = |value: u64| {
            let config = with(bound, value);
            config.validate().map_or_else(|e| e.to_string(), |()| "accepted".into())
        };
        assert_eq!(bound.get(&Bounds::default()), *default, "{key}");
        for value in [*default, *least] {
            assert_eq!(bound.get(&with(bound, value).bounds), value, "{key}");
            assert_eq!(says(value), "accepted", "{key} = {value}");
        }
        for value in [default + 1, least - 1] {
            let problem = format!("{key}: {value} is not between {least} and {default}");
            assert!(says(value).starts_with(&problem), "{}", says(value));
        }
        assert!(says(u64::MAX).starts_with(&format!("{key}: ")), "{key}");
    }
}

#[test]
fn no_bound_changes_anything_at_its_default() {
    let config = RouterConfig::default();
    let usual = RouterConfig::default().limits;
    let transport =
        TransportConfig { handshakes_per_second: usual.handshakes_per_second, ..TransportConfig::default() };
    let plane = PlaneConfig { transit_max: config.transit_tunnels(), ..PlaneConfig::default() };
    let mut builder = BuilderConfig::default();
    builder.admission.transit_max = config.transit_tunnels();
    let rooms = [
        format!("{transport:?}"),
        format!("{plane:?}"),
        format!("{builder:?}"),
        format!("{:?}", netdb::Config::new(RouterHash([1; 32]))),
        format!("{:?}", destination::Limits::default()),
        format!("{:?}", sam::Limits::default()),
        "128 2.5s".into(),
    ];
    assert_eq!(filled(&config), rooms);
}

#[test]
fn each_bound_reaches_its_room_in_every_network() {
    for test_network in [false, true] {
        let network = |config: RouterConfig| RouterConfig { net_id: 77, test_network, ..config };
        let usual = filled(&network(RouterConfig::default()));
        for bound in Bounds::TABLE {
            let lowered = filled(&network(with(bound, bound.least)));
            let rooms = usual.iter().zip(&lowered).filter(|(a, b)| a != b).count();
            assert!(rooms > 0, "{} changes nothing", bound.key);
        }
    }
}

#[test]
fn the_document_has_a_line_for_each_bound_and_no_other() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("| `bounds."));
    let expected = Bounds::TABLE
        .iter()
        .map(|b| format!("| `{}` | {}{} | {} | {} |", b.key, b.default, b.unit.suffix(), b.least, b.about));
    let (lines, expected): (Vec<_>, Vec<_>) = (lines.map(str::to_owned).collect(), expected.collect());
    let missing: Vec<_> = expected.iter().filter(|l| !lines.contains(l)).collect();
    assert!(missing.is_empty(), "docs/limits.md lacks {missing:#?}");
    assert!(lines == expected, "docs/limits.md has more, or another order");
}
