// SPDX-License-Identifier: MIT
use super::*;
use crate::base::Rng;
use crate::netdb::testing::{Make, NOON, TestRouter};

#[test]
fn a_router_info_is_read_into_comparable_facts() {
    let router = TestRouter::new(&mut Rng::from_seed(1));
    let make = Make {
        caps: "POfRE",
        version: "0.9.64",
        host: Some("203.0.114.9".into()),
        family: Some("kin"),
        ..Make::default()
    };
    let facts = Facts::parse(&router.info(&make)).unwrap();
    assert_eq!(facts.hash, router.hash());
    assert_eq!(facts.class, BandwidthClass::P);
    assert!(facts.class > BandwidthClass::O && facts.class < BandwidthClass::X);
    assert!(facts.floodfill && facts.reachable && !facts.unreachable && !facts.hidden);
    assert_eq!(facts.congestion, Congestion::High);
    assert_eq!(facts.version, RouterVersion(0, 9, 64));
    assert_eq!(facts.ntcp2_v4.unwrap().addr, "203.0.114.9:17001".parse().unwrap());
    assert_eq!(facts.subnets.main(), Some("203.0.0.0".parse().unwrap()));
    assert_eq!(facts.family.as_deref(), Some("kin"));
    assert_eq!(facts.published_ms, NOON);
    assert!(facts.speaks_v4 && !facts.speaks_v6 && facts.has_published_address());
}

#[test]
fn an_unpublished_address_still_tells_the_key_and_the_ip_version() {
    let router = TestRouter::new(&mut Rng::from_seed(2));
    let facts = Facts::parse(&router.info(&Make { host: None, caps: "LU", ..Make::default() })).unwrap();
    assert!(facts.unreachable && !facts.has_published_address());
    assert!(facts.speaks_v4 && facts.ntcp2_key.is_some());
    assert_eq!(facts.subnets.main(), None);
    let v6 = Make { host: Some("2001:470::1".into()), ..Make::default() };
    let facts = Facts::parse(&router.info(&v6)).unwrap();
    assert!(facts.ntcp2_v6.is_some() && facts.ntcp2_v4.is_none() && facts.speaks_v6);
    assert_eq!(facts.subnets.main(), Some("2001:470::".parse().unwrap()));
}

#[test]
fn t9_routers_meet_in_a_16_of_ipv4_or_a_32_of_ipv6() {
    let at = |ips: &[&str]| {
        let mut subnets = Subnets::default();
        ips.iter().for_each(|ip| subnets.add(ip.parse().unwrap()));
        subnets
    };
    for (a, b, meet) in [
        (&["77.1.255.1"][..], &["77.1.0.9"][..], true),
        (&["77.1.1.1"], &["77.2.1.1"], false),
        (&["2a01:4f8:ffff::1"], &["2a01:4f8::2"], true),
        (&["2a01:4f8::1"], &["2a01:4f9::1"], false),
        (&["77.1.1.1", "2a01:4f8::1"], &["78.1.1.1", "2a01:4f8:1::1"], true),
        (&["77.1.1.1"], &["2a01:4f8::1"], false),
        (&[], &[], false),
    ] {
        assert_eq!((at(a).meet(&at(b)), at(b).meet(&at(a))), (meet, meet), "{a:?} {b:?}");
    }
}
