// SPDX-License-Identifier: MIT
use super::*;
use crate::cli::settings::Switch;

fn configured(text: &str) -> RouterConfig {
    let mut config = RouterConfig { data_dir: default_data_dir(), ..RouterConfig::default() };
    parse(text).unwrap().apply(&mut config);
    config
}

#[test]
fn the_printed_file_means_the_defaults_with_and_without_its_comment_marks() {
    let defaults = configured("");
    let text = default_text();
    assert_eq!(configured(&text), defaults);
    let live: String = text
        .lines()
        .filter(|l| l.starts_with("# ") && l.contains(" = "))
        .filter_map(|l| l.strip_prefix("# "))
        .flat_map(|l| [l, "\n"])
        .collect();
    assert_eq!(live.lines().count(), 44 + Bounds::TABLE.len(), "{live}");
    let mut explicit = configured(&live);
    // In the live network the command itself puts this one there, see `run`.
    assert_eq!(explicit.subscriptions.urls, [SUBSCRIPTION_DEFAULT]);
    explicit.subscriptions.urls.clear();
    assert_eq!(explicit.validate(), Ok(()));
    assert_eq!(explicit.sam_udp_addr(), defaults.sam_udp_addr());
    assert_eq!(explicit.exploratory_pool(), defaults.exploratory_pool());
    assert_eq!(explicit.transit_tunnels(), defaults.transit_tunnels());
    let explicit = RouterConfig { sam_udp: None, exploratory: None, transit_tunnels_max: None, ..explicit };
    assert_eq!(explicit, defaults);
}

#[test]
fn every_setting_arrives() {
    let config = configured(
        r#"
        data-dir = "/x"
        sam = "127.0.0.1:1"
        sam-udp = "127.0.0.1:2"
        host = ["1.2.3.4", "2a00::1"]
        port = 3
        bind = ["0.0.0.0"]
        netid = 77
        floodfill = true
        bootstrap = ["a", "b"]
        test-network = true
        reseed = false
        reseed-urls = ["https://h/"]
        reseed-certs = ["c"]
        reseed-threshold = 9
        bandwidth = "P"
        transit = false
        transit-tunnels-max = 5
        exploratory-hops = 3
        memory-max = 64
        sam-clients-max = 12
        sam-sessions-max = 3
        threads = 2
        log = "debug"
        sam-unix = "/s"
        sam-unix-users = [7]
        sam-auth = true
        sam-tls = "127.0.0.1:9"
        sam-tls-cert = "/c"
        sam-tls-key = "/k"
        sam-forward-certs = ["/f"]
        sam-forward-anywhere = true
        "#,
    );
    assert_eq!(config.data_dir, Some("/x".into()));
    let access = &config.sam_access;
    assert_eq!((access.unix.clone(), access.unix_users.clone()), (Some("/s".into()), vec![7]));
    assert!(access.auth);
    assert_eq!(access.tls, Some("127.0.0.1:9".parse().unwrap()));
    assert_eq!((access.tls_cert.clone(), access.tls_key.clone()), (Some("/c".into()), Some("/k".into())));
    assert_eq!(access.forward_certs, [std::path::PathBuf::from("/f")]);
    assert!(access.forward_anywhere);
    assert_eq!(config.sam, Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(config.sam_udp, Some("127.0.0.1:2".parse().unwrap()));
    assert_eq!((config.host.len(), config.port, config.bind.len(), config.net_id), (2, 3, 1, 77));
    assert!(config.floodfill && config.test_network && !config.reseed.enabled && !config.transit);
    assert_eq!((config.bootstrap.len(), config.reseed.urls.len(), config.reseed.certs.len()), (2, 1, 1));
    assert_eq!((config.reseed.threshold, config.bandwidth, config.transit_tunnels_max), (9, 'P', Some(5)));
    let pool = config.exploratory_pool().inbound;
    assert_eq!((pool.length, pool.quantity, config.threads, config.log.as_str()), (3, 2, 2, "debug"));
    assert_eq!((config.memory_max, config.sam_clients_max, config.sam_sessions_max), (64, 12, 3));
}

#[test]
fn each_bound_goes_through_the_file_and_each_value_beyond_is_refused() {
    for bound in Bounds::TABLE {
        let key = bound.key;
        let section = format!("port = 1\n[bounds]\n{} = {}", key.trim_start_matches("bounds."), bound.least);
        for text in [format!("{key} = {}", bound.least), section] {
            let config = configured(&text);
            assert_eq!((bound.get(&config.bounds), config.validate()), (bound.least, Ok(())), "{text}");
            for other in Bounds::TABLE.iter().filter(|b| b.key != key) {
                assert_eq!(other.get(&config.bounds), other.default, "{text} changes {}", other.key);
            }
        }
        assert_eq!(configured(&format!("{key} = {}", bound.default)).bounds, Box::default(), "{key}");
        for value in [bound.default + 1, bound.least - 1] {
            let problem = configured(&format!("{key} = {value}")).validate().unwrap_err();
            assert!(problem.to_string().contains(&format!("{key}: {value} is not between")), "{problem}");
        }
    }
}

#[test]
fn a_bound_that_does_not_exist_or_is_no_number_is_refused_with_its_line() {
    let says = |text: &str| parse(text).unwrap_err();
    for text in ["port = 1\nbounds.colour = 2\n", "[bounds]\ncolour = 2", "port = 1\nbounds = { colour = 2 }"]
    {
        assert_eq!(
            says(text),
            "line 2: there is no setting bounds.colour; `samovar config` lists all of them"
        );
    }
    assert!(says("bounds.dials = \"x\"").starts_with("line 1: bounds.dials: invalid type: string"));
    assert!(says("bounds.dials = -1").starts_with("line 1: bounds.dials: "));
    assert!(says("bounds.dials = 8\nbounds.dials = 9").starts_with("line 2: bounds.dials: duplicate key"));
    assert!(says("bounds = 3").starts_with("line 1: bounds: invalid type: integer"));
    assert!(says("links.dials = 3").starts_with("line 1: there is no setting links"));
}

#[test]
fn sam_can_be_turned_off() {
    assert_eq!(parse("sam = \"none\"").unwrap().sam, Some(Switch::Off));
    assert_eq!(configured("sam = \"none\"").sam, None);
}

#[test]
fn errors_name_line_and_key_in_one_line() {
    let says = |text: &str| parse(text).unwrap_err();
    assert_eq!(
        says("port = 1\ncolour = 2\n"),
        "line 2: there is no setting colour; `samovar config` lists all of them"
    );
    assert!(
        says("\nport = \"x\"\n").starts_with("line 2: port: invalid type: string"),
        "{}",
        says("\nport = \"x\"\n")
    );
    assert!(says("port = 70000").starts_with("line 1: port: "), "{}", says("port = 70000"));
    assert!(says("host = [\n  \"1.2.3.4\",\n  \"x\",\n]").starts_with("line 3: host: "));
    assert!(
        says("sam = \"here\"").starts_with("line 1: sam: invalid socket address"),
        "{}",
        says("sam = \"here\"")
    );
    assert!(
        says("port = 1\nport = 2").starts_with("line 2: port: duplicate key"),
        "{}",
        says("port = 1\nport = 2")
    );
    for text in ["port", "port = ", "= 3", "[x]", "port = 'a\nb'", "\u{0}", "\"a\\u001b\" = 1"] {
        let error = says(text);
        assert!(error.starts_with("line ") && !error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn a_complaint_that_cites_a_value_with_a_line_end_is_one_line() {
    let mut config = RouterConfig::default();
    parse("\nbandwidth = \"\\n\"").unwrap().apply(&mut config);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("\\n") && !error.chars().any(char::is_control), "{error:?}");
}

#[test]
fn paths_are_relative_to_the_file() {
    let settings = parse("data-dir = \"d\"\nbootstrap = [\"b\", \"/c\"]\nreseed-certs = [\"e\"]").unwrap();
    let settings = settings.relative_to(Path::new("/etc/samovar"));
    assert_eq!(settings.data_dir, Some("/etc/samovar/d".into()));
    assert_eq!(settings.bootstrap, Some(vec!["/etc/samovar/b".into(), "/c".into()]));
    assert_eq!(settings.reseed_certs, Some(vec!["/etc/samovar/e".into()]));
}
