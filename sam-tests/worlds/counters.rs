// SPDX-License-Identifier: MIT
//! Sums that counters must obey.

use std::collections::BTreeMap;
use std::time::Duration;

use samovar::destination::Session;
use samovar::sim::{Node, World};

/// The counters of one room.
struct Room {
    name: String,
    values: BTreeMap<&'static str, u64>,
}

impl Room {
    fn of(node: &Node, room: &str) -> Self {
        let values = node.counters().into_iter().filter(|(r, _, _)| *r == room).map(|(_, n, v)| (n, v));
        Self { name: format!("{} of {}", room, node.name()), values: values.collect() }
    }

    fn get(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or_else(|| panic!("{}: no counter {name}", self.name))
    }

    /// The sum of all counters whose name begins so.
    fn all(&self, prefix: &str) -> u64 {
        self.values.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, v)| *v).sum()
    }

    fn equal(&self, what: &str, left: u64, right: u64) {
        assert_eq!(left, right, "{}: {what}: {:?}", self.name, self.values);
    }

    fn most(&self, what: &str, value: u64, bound: u64) {
        assert!(value <= bound, "{}: {what} is {value} of {bound}: {:?}", self.name, self.values);
    }
}

/// Every message that came in went somewhere:
/// cells received = forwarded + opened + dropped by cause; gateway messages = packed + delivered + dropped by cause;
/// own messages = packed + delivered + dropped by cause; messages begun to be joined >= joined + given up by cause;
/// own builds sent >= answered + timed out + unsent, and no more than the bound of builds is between.
pub(crate) fn conserve(nodes: &[Node]) {
    for node in nodes {
        let plane = Room::of(node, "plane");
        let cells = plane.get("cells_forwarded") + plane.get("cells_opened") + plane.all("cells_dropped_");
        plane.equal("cells", plane.get("cells_received"), cells);
        let gateway =
            plane.get("gateway_packed") + plane.get("gateway_delivered") + plane.all("gateway_dropped_");
        plane.equal("gateway", plane.get("gateway_received"), gateway);
        let out = plane.get("out_packed") + plane.get("out_delivered") + plane.all("out_dropped_");
        plane.equal("out", plane.get("out_received"), out);
        plane.most(
            "joins ended",
            plane.get("join_completed") + plane.all("join_dropped_"),
            plane.get("join_started"),
        );
        let builds = Room::of(node, "tunnel_build");
        let ended: u64 = ["succeeded", "rejected", "timed_out", "tampered"]
            .map(|n| builds.get(&format!("builds_{n}")))
            .iter()
            .sum();
        builds.most("builds ended", ended, builds.get("builds_sent"));
        builds.most(
            "builds open",
            builds.get("builds_sent").saturating_sub(ended + builds.get("builds_unsent")),
            24,
        );
        let tests = builds.get("tests_passed") + builds.get("tests_failed");
        builds.most("tests ended", tests, builds.get("tests_sent"));
    }
}

/// Between routers that no fault of a machine has come between: nothing is received that was not sent, and what was sent
/// is received, but for what was on the way when a link was given up: two that dial each other at once keep one link,
/// and an idle one may end just when it is wanted.
pub(crate) async fn links(world: &World, nodes: &[Node]) {
    const ON_THE_WAY: u64 = 8;
    let sum = |name: &str| nodes.iter().map(|n| n.counter("transport", name)).sum::<u64>();
    let ended = || sum("outbound_up").saturating_sub(sum("sessions") / 2);
    let (out, into) = (|| sum("messages_out"), || sum("messages_in"));
    let good = || out() >= into() && out() - into() <= ended() * ON_THE_WAY;
    let met = world.wait_for(Duration::from_secs(30), good).await;
    assert!(met, "{} messages sent, {} received, {} links ended", out(), into(), ended());
}

/// Gauges and their bounds.
pub(crate) fn gauges(nodes: &[Node]) {
    for node in nodes {
        let memory = Room::of(node, "memory");
        memory.most("memory", memory.get("peak"), memory.get("max"));
        let transport = Room::of(node, "transport");
        transport.most("sessions", transport.get("sessions"), 2000);
        let builds = Room::of(node, "tunnel_build");
        builds.most("transit", builds.get("transit_now"), 2500);
        let netdb = Room::of(node, "netdb");
        netdb.most("routers", netdb.get("routers_known"), 6000);
        netdb.most("lease sets", netdb.get("lease_sets_kept"), 16_000);
    }
}

/// A session: streams opened + taken = ended in order + failed, none being open. Says what is not so; the last packets
/// of a stream may be on their way still.
pub(crate) async fn streams(session: &Session) -> Option<String> {
    let status = session.status().await.ok()?;
    let get = |name: &str| {
        let found = status.counters.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("no counter {name} in {:?}", status.counters)).1
    };
    let begun = get("streams_opened") + get("streams_accepted");
    let over = get("streams_closed") + get("streams_failed");
    let open = status.streams.len();
    let good = begun == over && open == 0;
    (!good).then(|| format!("{}: {begun} begun, {over} over, {open} open", status.nickname))
}
