// SPDX-License-Identifier: MIT
//! What `HELP STATUS` tells a person about a session.

use std::time::Duration;

use crate::base::{Budget, Part};
use crate::destination::{SessionStatus, StreamStatus};

/// Streams named one by one.
const STREAMS_MAX: usize = 20;

/// One line for each tunnel and stream, and one for what else there is.
pub(super) fn lines(status: &SessionStatus) -> Vec<String> {
    let published = if status.published { "lease set published" } else { "lease set not published yet" };
    let mut lines = vec![format!(
        "{published}, {} peers with a garlic session, {} streams wait for an accept",
        status.garlic_sessions, status.waiting_peers
    )];
    for (name, tunnels) in [("in", &status.inbound), ("out", &status.outbound)] {
        if tunnels.is_empty() {
            lines.push(format!("no tunnel {name}"));
        }
        for (hops, age) in tunnels {
            let path = if hops.is_empty() { "no hops".to_owned() } else { hops.join(" > ") };
            lines.push(format!("tunnel {name}, {} old: {path}", span(*age)));
        }
    }
    lines.extend(status.streams.iter().take(STREAMS_MAX).map(stream));
    if status.streams.len() > STREAMS_MAX {
        lines.push(format!("and {} more streams", status.streams.len() - STREAMS_MAX));
    }
    lines
}

fn stream(stream: &StreamStatus) -> String {
    let rtt = stream
        .rtt
        .map_or_else(|| "no round trip yet".to_owned(), |rtt| format!("round trip {} ms", rtt.as_millis()));
    format!(
        "stream with {}: window {}, {rtt}, {} bytes out, {} in, {} packets sent again",
        stream.peer, stream.window, stream.sent, stream.received, stream.resent
    )
}

/// One line: what is held of the budget of memory, by whom, and how many tasks there are.
pub(super) fn memory(budget: &Budget, tasks: usize) -> String {
    let mib = |bytes: u64| format!("{}.{}", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20);
    let parts: Vec<String> =
        Part::ALL.iter().map(|part| format!("{} {}", part.name(), mib(budget.used_by(*part)))).collect();
    format!(
        "memory {} of {} MiB: {}; {tasks} tasks",
        mib(budget.used()),
        budget.max() >> 20,
        parts.join(", ")
    )
}

fn span(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
