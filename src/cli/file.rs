// SPDX-License-Identifier: MIT
//! The configuration file: TOML, the same keys as the flags and a few more.

use std::fmt::Write as _;
use std::path::Path;

use samovar::router::RouterConfig;
use samovar::router::config::{Bounds, SUBSCRIPTION_DEFAULT};

use super::Failure;
use super::access;
use super::settings::Settings;
use super::system::default_data_dir;

/// Larger files are no configuration.
const SIZE_MAX: u64 = 1 << 20;

/// Reads a file. Paths in it are relative to its folder.
///
/// # Errors
/// One line that names file, line and key.
pub(super) fn load(path: &Path) -> Result<Settings, Failure> {
    let bad = |problem: String| Failure::User(format!("{}: {problem}", path.display()));
    let text = std::fs::metadata(path)
        .and_then(|meta| match meta.len() {
            0..=SIZE_MAX => std::fs::read_to_string(path),
            _ => Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge)),
        })
        .map_err(|e| bad(format!("the configuration file cannot be read: {e}")))?;
    let settings = parse(&text).map_err(bad)?;
    Ok(settings.relative_to(path.parent().unwrap_or(Path::new(""))))
}

/// Reads the text of a file; the error begins with the line.
pub(super) fn parse(text: &str) -> Result<Settings, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |s| s.start).min(text.len());
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", explain(error.message(), key_at(text, line)))
    })
}

/// The key that a line, or the nearest line above it, sets.
fn key_at(text: &str, line: usize) -> Option<&str> {
    let keys = text.lines().take(line).filter_map(|l| l.split_once('=')).map(|(key, _)| key.trim());
    keys.filter(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)))
        .last()
}

/// Our words for what the parser found; always one line.
fn explain(message: &str, key: Option<&str>) -> String {
    let message = message.trim().replace(char::is_control, " ");
    if let Some(name) = message.strip_prefix("unknown field `").and_then(|m| m.split('`').next()) {
        return format!("there is no setting {name}; `samovar config` lists all of them");
    }
    match key {
        Some(key) => format!("{key}: {message}"),
        None => message,
    }
}

/// One setting of the commented default file.
pub(super) struct Entry {
    key: &'static str,
    value: String,
    about: &'static str,
}

pub(super) fn entry(key: &'static str, value: impl ToString, about: &'static str) -> Entry {
    Entry { key, value: value.to_string(), about }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The file that `samovar config` prints: every setting as a comment with its default.
pub(super) fn default_text() -> String {
    let mut out = String::from(
        "# Configuration of samovar, for `samovar run --config FILE`. Each setting is shown with its default;\n\
         # remove the `# ` before one to change it. Relative paths are relative to this file. Flags win.\n",
    );
    for part in [basic_entries(), access::entries(), peer_entries(), capacity_entries(), limit_entries()] {
        for Entry { key, value, about } in part {
            out.push('\n');
            for line in about.lines() {
                let _ = writeln!(out, "## {line}");
            }
            let _ = writeln!(out, "# {key} = {value}");
        }
    }
    put_bounds(&mut out);
    out
}

/// The bounds, a line each: there are many, and few will ever want to change one.
fn put_bounds(out: &mut String) {
    out.push_str(
        "\n## Bounds of what others may make the router do and hold, besides those above. Nobody needs to set them. Each can\n\
         ## be lower than its default, which is shown, and no higher; behind it the least value and what it bounds.\n",
    );
    let mut group = "";
    for bound in Bounds::TABLE {
        if bound.group != group {
            group = bound.group;
            let _ = writeln!(out, "\n## {group}.");
        }
        let line = format!("# {} = {}", bound.key, bound.default);
        let unit = bound.unit.suffix();
        let _ = writeln!(out, "{line:<46}# {}{unit} or more. {}", bound.least, bound.about);
    }
}

#[expect(clippy::too_many_lines, reason = "a list of settings")]
fn basic_entries() -> Vec<Entry> {
    let c = RouterConfig::default();
    let dir = default_data_dir().map_or_else(|| "samovar-data".into(), |d| d.display().to_string());
    let sam = c.sam.map_or_else(|| "none".into(), |a| a.to_string());
    let udp = c.sam_udp_addr().map_or_else(String::new, |a| a.to_string());
    vec![
        entry(
            "data-dir",
            quoted(&dir),
            "Where keys, known routers and profiles are kept, for this router alone.",
        ),
        entry(
            "sam",
            quoted(&sam),
            "Address of the SAM bridge, or \"none\". Whoever reaches it may use the router: keep it on this machine.",
        ),
        entry(
            "sam-linger",
            c.sam_linger.as_secs().to_string(),
            "Seconds that a SAM session with keys of its own keeps its tunnels after its client has gone, 0 to 3600.",
        ),
        entry(
            "sam-spare",
            c.sam_spare.to_string(),
            "Keep a session ready for SAM clients without keys, so that they need not wait for tunnels.",
        ),
        entry(
            "sam-clients-max",
            c.sam_clients_max,
            "Most connections of SAM clients at once; further ones are refused.",
        ),
        entry(
            "sam-sessions-max",
            c.sam_sessions_max,
            "Most SAM sessions at once, 1 to 250; further ones are refused.",
        ),
        entry("sam-udp", quoted(&udp), "Where SAM datagrams are taken in; by default one port below `sam`."),
        entry(
            "host",
            "[]",
            "Our public addresses, such as [\"203.0.113.5\"], so that other routers can call us. Without one we only\n\
             call others, which is enough for clients and services.",
        ),
        entry(
            "port",
            c.port,
            "TCP port for other routers. 0: chosen at the first start and remembered in data-dir.",
        ),
        entry("bind", "[]", "Local addresses to listen at; by default all of the families that `host` has."),
        entry(
            "hosts",
            "[]",
            "Hosts files to read names from, besides hosts.txt in data-dir, which wins over them.",
        ),
        entry(
            "subscriptions",
            format!("[{}]", quoted(SUBSCRIPTION_DEFAULT)),
            "Feeds of host names, fetched over I2P every 12 hours; [] for none. In networks other than the live one\n\
             there are none by default. A name that has a destination keeps it.",
        ),
        entry(
            "memory-max",
            c.memory_max,
            "Memory in MiB for links, tunnels, tables, streams and clients together, at least 64. Short of it, work for\n\
             others is given up first, and own streams slow down.",
        ),
        entry("threads", c.threads, "Threads to run on, 1 to 64. One is enough for tens of MB/s."),
        entry(
            "log",
            quoted(&c.log),
            "What to log: error, warn, info, debug, trace, or a filter like \"info,samovar::transport=debug\".\n\
             The variable RUST_LOG wins over this, the flag --log over both.",
        ),
    ]
}

fn peer_entries() -> Vec<Entry> {
    let c = RouterConfig::default();
    vec![
        entry("netid", c.net_id, "Network to be in: 2 is the live network, private ones take 16 to 254."),
        entry(
            "test-network",
            c.test_network,
            "Relaxes what a network on one machine needs: private addresses, few routers, old versions.\n\
             Refused with netid 2.",
        ),
        entry(
            "bootstrap",
            "[]",
            "First peers from files: directories of RouterInfos, single RouterInfos, zip or SU3 files.",
        ),
        entry(
            "reseed",
            c.reseed.enabled,
            "Whether reseed hosts on the web are asked when too few routers are known.",
        ),
        entry(
            "reseed-urls",
            "[]",
            "Reseed hosts to ask instead of the public ones, such as [\"https://host/\"].",
        ),
        entry(
            "reseed-certs",
            "[]",
            "Certificates (PEM files) to trust besides the bundled ones: of signers of bundles, or of reseed hosts.",
        ),
        entry("reseed-threshold", c.reseed.threshold, "Fewer known routers than this start a reseed."),
    ]
}

fn capacity_entries() -> Vec<Entry> {
    let c = RouterConfig::default();
    let own = c.exploratory_pool().inbound;
    vec![
        entry(
            "floodfill",
            c.floodfill,
            "Serve the network database for others. For routers that run for long and can be called.",
        ),
        entry(
            "bandwidth",
            quoted(&c.bandwidth.to_string()),
            "Bandwidth class that we publish: L (12-48 KB/s), M, N, O, P (256-2000 KB/s) or X (above).",
        ),
        entry(
            "transit",
            c.transit,
            "Carry tunnels of others. The network lives on it, and our own traffic hides in it.",
        ),
        entry(
            "transit-tunnels-max",
            c.transit_tunnels(),
            "Most tunnels carried for others at once, about 2 KB of memory each. By default one for each 2 KB/s that they\n\
             may use: 10000 without bandwidth-limit, at least 500, and no more than an eighth of memory-max holds.",
        ),
        entry(
            "exploratory-hops",
            own.length,
            "Hops of the router's own tunnels, 0 to 7; in test networks 1 by default. Sessions choose theirs.",
        ),
        entry(
            "exploratory-tunnels",
            own.quantity,
            "The router's own tunnels in each direction, 1 to 16; in test networks 2 by default.",
        ),
    ]
}

/// What others may make us do and hold.
fn limit_entries() -> Vec<Entry> {
    let c = RouterConfig::default().limits;
    vec![
        entry(
            "bandwidth-limit",
            c.bandwidth,
            "Most KB a second over all links, in each direction; 0: no limit. What is over it waits.",
        ),
        entry(
            "transit-share",
            c.transit_share,
            "Part of bandwidth-limit that tunnels of others may use, in percent.",
        ),
        entry("links-max", c.links, "Links to other routers at once."),
        entry(
            "handshakes-max",
            c.handshakes,
            "Handshakes of others under way at once; the oldest gives way.",
        ),
        entry(
            "handshakes-per-second",
            c.handshakes_per_second,
            "New connections of others a second; bursts of twice as many. A handshake costs about 0.3 ms.",
        ),
        entry(
            "build-requests-per-second",
            c.build_requests_per_second,
            "Tunnel build requests of others that are looked at in a second; bursts of two and a half times as many. While the\n\
             processor keeps up, up to five times as many.",
        ),
        entry(
            "known-routers-max",
            c.known_routers,
            "Other routers that are remembered, about 6 KB each; 0: 6000, as floodfill 30000, but no more than half of\n\
             memory-max holds.",
        ),
        entry(
            "lease-sets-max",
            c.lease_sets,
            "Lease sets kept for others as floodfill, about 1 KB each; 0: 16000, but no more than an eighth of memory-max\n\
             holds.",
        ),
        entry(
            "lookups-per-second",
            c.lookups_per_second,
            "Lookups of others that are answered in a second, and half as many stores.",
        ),
        entry(
            "garlic-per-second",
            c.garlic_per_second,
            "Sessions that strangers may begin with our destinations in a second; each destination has a tenth of it. While the\n\
             processor keeps up, up to five times as many.",
        ),
    ]
}

#[cfg(test)]
mod tests;
