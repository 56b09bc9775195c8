// SPDX-License-Identifier: MIT
use super::*;

fn refused(change: impl FnOnce(&mut RouterConfig)) -> String {
    let mut config = RouterConfig::default();
    change(&mut config);
    config.validate().map_or_else(|e| e.to_string(), |()| "accepted".into())
}

#[test]
fn defaults_are_valid_and_for_the_live_network() {
    let config = RouterConfig::default();
    assert_eq!(config.validate(), Ok(()));
    assert!(config.is_live() && config.may_reseed() && !config.test_network);
    assert_eq!(config.sam_udp_addr(), Some("127.0.0.1:7655".parse().unwrap()));
    assert_eq!(config.exploratory_pool(), PoolConfig::symmetric(2, 3));
    assert!(config.listen_addrs(1234).is_empty());
}

#[test]
fn test_network_is_refused_in_the_live_network() {
    assert!(refused(|c| c.test_network = true).starts_with("test-network: refused"));
    let private = RouterConfig { net_id: 77, test_network: true, ..RouterConfig::default() };
    assert_eq!(private.validate(), Ok(()));
    assert_eq!(private.min_hop_version(), RouterVersion(0, 0, 0));
    assert_eq!(private.exploratory_pool(), PoolConfig::symmetric(1, 2));
    assert!(!private.may_reseed());
}

#[test]
fn each_bad_value_names_its_key() {
    assert!(refused(|c| c.net_id = 3).starts_with("netid: 3"));
    assert!(refused(|c| c.threads = 0).starts_with("threads: 0"));
    assert!(refused(|c| c.bandwidth = 'Z').starts_with("bandwidth: Z"));
    assert!(refused(|c| c.host = vec!["192.168.1.2".parse().unwrap()]).starts_with("host: 192.168.1.2"));
    assert!(refused(|c| c.host = vec!["0.0.0.0".parse().unwrap()]).starts_with("host: 0.0.0.0"));
    assert!(refused(|c| c.sam = None).eq("accepted"));
    assert!(refused(|c| c.reseed.urls = vec!["http://a/".into()]).starts_with("reseed-urls: http://a/"));
    assert!(
        refused(|c| c.exploratory = Some(PoolConfig::symmetric(8, 2))).starts_with("exploratory-hops: 8")
    );
    assert!(
        refused(|c| c.exploratory = Some(PoolConfig::symmetric(2, 0))).starts_with("exploratory-tunnels: 0")
    );
    assert!(refused(|c| c.transit_tunnels_max = Some(100_001)).starts_with("transit-tunnels-max: "));
}

#[test]
fn public_hosts_listen_everywhere_and_test_hosts_at_themselves() {
    let mut config = RouterConfig { host: vec!["1.2.3.4".parse().unwrap()], ..RouterConfig::default() };
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.listen_addrs(9), vec!["0.0.0.0:9".parse().unwrap()]);
    assert_eq!(config.outgoing_from(true), None);
    config.host = vec!["198.18.3.1".parse().unwrap()];
    assert!(config.validate().is_err());
    (config.net_id, config.test_network) = (77, true);
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.listen_addrs(9), vec!["198.18.3.1:9".parse().unwrap()]);
    assert_eq!(config.outgoing_from(true), Some("198.18.3.1".parse().unwrap()));
    assert_eq!(config.outgoing_from(false), None);
}

#[test]
fn reserved_addresses_are_known() {
    for ip in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "198.19.0.1",
        "240.0.0.1",
        "fe80::1",
        "::1",
        "fc00::1",
        "2001:db8::1",
    ] {
        assert!(!is_public(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["1.1.1.1", "100.128.0.1", "198.20.0.1", "2a01::1", "2001:470::1"] {
        assert!(is_public(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn k5_sockets_are_shared_out_by_what_the_process_may_open() {
    let shares = |files| RouterConfig { open_files: files, ..RouterConfig::default() }.socket_shares();
    assert_eq!(shares(None), None);
    assert_eq!(shares(Some(128)), Some((51, 45)));
    assert_eq!(shares(Some(1024)), Some((768, 224)));
    assert_eq!(shares(Some(65_536)), Some((52_377, 13_127)));
    for files in 0..2_000 {
        let (links, sam) = shares(Some(files)).unwrap();
        assert!(links >= 8 && sam >= 32);
        assert!(files < 128 || links + sam + 32 == files, "{files}");
        assert!(files < 128 || links * 10 <= (files - 64) * 8);
    }
}

#[test]
fn t5_the_number_of_transit_tunnels_follows_bandwidth_and_memory() {
    let count = |change: fn(&mut RouterConfig)| {
        let mut config = RouterConfig::default();
        change(&mut config);
        assert_eq!(config.validate(), Ok(()));
        config.transit_tunnels()
    };
    assert_eq!(count(|_| {}), 10_000);
    assert_eq!(count(|c| c.limits.bandwidth = 25_000), 10_000, "20 MB/s of transit");
    assert_eq!(count(|c| c.limits.bandwidth = 24_990), 9_996);
    assert_eq!(count(|c| c.limits.bandwidth = 1_250), 500);
    assert_eq!(count(|c| c.limits.bandwidth = 16), 500);
    assert_eq!(count(|c| c.memory_max = 64), 4_096);
    assert_eq!(count(|c| c.transit_tunnels_max = Some(100_000)), 100_000);
    assert_eq!(count(|c| c.transit_tunnels_max = Some(0)), 0);
    assert_eq!(count(|c| (c.transit, c.transit_tunnels_max) = (false, Some(5))), 0);
}
