// SPDX-License-Identifier: MIT
use super::*;

#[test]
fn u6_reserved_ranges_are_told_from_public_ones() {
    let reserved = [
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.88.99.1",
        "192.0.2.7",
        "198.18.1.1",
        "198.19.255.255",
        "198.51.100.3",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:0a00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::1",
        "0200::1",
    ];
    for ip in reserved {
        assert!(is_reserved(ip.parse().unwrap()), "{ip}");
    }
    for ip in
        ["1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "223.255.255.255", "2a00::1", "2600:1::1"]
    {
        assert!(!is_reserved(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn source_must_match_the_published_host() {
    let ip = |s: &str| s.parse::<IpAddr>().unwrap();
    assert!(same_host(ip("1.2.3.4"), ip("::ffff:1.2.3.4")));
    assert!(!same_host(ip("1.2.3.4"), ip("1.2.3.5")));
    assert!(same_host(ip("2a00:1:2:3::1"), ip("2a00:1:2:3:ffff::9")));
    assert!(!same_host(ip("2a00:1:2:3::1"), ip("2a00:1:2:4::1")));
}
