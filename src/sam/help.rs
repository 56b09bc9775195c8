// SPDX-License-Identifier: MIT
//! `HELP`: what a person at a telnet prompt may want to know.
//!
//! The first line looks like any reply, the rest begin with `# `, the last is `# end`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::backend::RouterStatus;
use super::registry::Entry;
use crate::wire::DestHash;

const GENERAL: &str = "\
HELLO VERSION [MIN=3.0] [MAX=3.3]      must come first
SESSION CREATE STYLE=STREAM ID=name DESTINATION=TRANSIENT [options]
STREAM CONNECT ID=name DESTINATION=<base64, x.b32.i2p or x.i2p>
STREAM ACCEPT ID=name                  waits for one peer; open another socket for the next
STREAM FORWARD ID=name PORT=n          peers are connected to your TCP port n
NAMING LOOKUP NAME=<ME, x.b32.i2p or x.i2p> [OPTIONS=true]
DEST GENERATE [SIGNATURE_TYPE=7]       new keys, to use as DESTINATION= later
DATAGRAM SEND, RAW SEND                HELP DATAGRAM tells how datagrams come and go
SESSION ADD, SESSION REMOVE            HELP PRIMARY tells of several sessions on one destination
AUTH ADD, REMOVE, ENABLE, DISABLE      HELP AUTH tells of users and passwords
PING [text]                            answered with PONG
QUIT                                   ends this connection, and the session it made
HELP SESSION, STREAM, DATAGRAM, PRIMARY, AUTH and STATUS tell more";

const SESSION: &str = "\
SESSION CREATE STYLE=STREAM ID=name DESTINATION=TRANSIENT|<private key> [options]
STYLE is STREAM, DATAGRAM, DATAGRAM2, DATAGRAM3, RAW or PRIMARY.
The session lives as long as this connection. Streams need connections of their own.
SIGNATURE_TYPE=7             type of new keys, with TRANSIENT
FROM_PORT=0 TO_PORT=0        default ports of its streams and datagrams
inbound.length=3             hops of tunnels towards you, 0-7; outbound.length likewise
inbound.quantity=2           tunnels towards you, 1-16; outbound.quantity likewise
inbound.lengthVariance=0     random change of the length, -7 to 7; outbound likewise
inbound.backupQuantity=0     spare tunnels, 0-15; outbound likewise
i2cp.leaseSetEncType=4       encryption; 4 is the only type here
i2cp.dontPublishLeaseSet=false  true: nobody can find this session by itself
i2cp.leaseSetOption.0=key=value  published for NAMING LOOKUP with OPTIONS=true; .1 and so on likewise
i2cp.leaseSetType=5          published encrypted: found only by a name of 56 characters, which HELP STATUS shows
i2cp.leaseSetAuthType=0      with type 5, who may read: 0 all with the name, 1 DH keys, 2 shared keys, given as
  i2cp.leaseSetClient.dh.0=name:key or i2cp.leaseSetClient.psk.0=name:key, .1 and so on; base64
i2cp.leaseSetSecret=base64   with type 5, and for names that ask for one
i2cp.leaseSetPrivKey=base64  our key for encrypted lease sets that are open to certain clients
i2cp.gzip=true               compress what is worth it
i2p.streaming.connectTimeout=60000  milliseconds
Creating a session takes a few seconds, while its tunnels are built. HELP STATUS on a second connection shows how far it is.";

const STREAM: &str = "\
Each of these needs its own connection, after HELLO; the session stays on the one that made it.
STREAM CONNECT ID=name DESTINATION=d [FROM_PORT=n] [TO_PORT=n] [SILENT=false]
  after RESULT=OK everything you type goes to the peer
STREAM ACCEPT ID=name [SILENT=false]
  RESULT=OK at once; when a peer comes, a line with its destination, then its bytes
STREAM FORWARD ID=name PORT=n [HOST=your address] [SILENT=false] [SSL=false]
  each peer becomes a TCP connection to HOST:PORT that begins with its destination
  SSL=true makes that connection TLS
SILENT=true leaves out the reply and the destination line";

const DATAGRAM: &str = "\
SESSION CREATE STYLE=s ID=name DESTINATION=TRANSIENT [PORT=n] [HOST=your address]
STYLE=DATAGRAM    signed, with the sender's destination; you can answer it
STYLE=DATAGRAM2   the same, protected against repetition
STYLE=DATAGRAM3   with the sender's hash, which proves nothing
STYLE=RAW         bare; PROTOCOL=18 (0-255, not 6 17 19 20), HEADER=false
With PORT, what arrives is sent to your UDP port, from the one below. HEADER=true puts a line before RAW ones.
Without PORT it comes on this connection:
  DATAGRAM RECEIVED DESTINATION=d SIZE=n FROM_PORT=f TO_PORT=t, then n bytes
  RAW RECEIVED SIZE=n FROM_PORT=f TO_PORT=t PROTOCOL=p, then n bytes
To send, by UDP to the port one below this one (7655), from the address of this connection:
  3.3 name <destination> [FROM_PORT=f] [TO_PORT=t] [PROTOCOL=p] [EXPIRES=seconds], LF, the content
or on this connection:
  DATAGRAM SEND DESTINATION=d SIZE=n [FROM_PORT=f] [TO_PORT=t], LF, n bytes; RAW SEND likewise
At most 31744 bytes, RAW 32768. Nothing is answered when a datagram is lost.";

const PRIMARY: &str = "\
SESSION CREATE STYLE=PRIMARY ID=name DESTINATION=TRANSIENT [tunnel options]
SESSION ADD STYLE=s ID=sub [PORT=n] [HOST=h] [FROM_PORT=f] [TO_PORT=t] [LISTEN_PORT=p] ...
  a part of the session with its own ID, for use in STREAM commands and by UDP
  LISTEN_PORT=FROM_PORT        port it takes; 0 is every port that no other part takes
  LISTEN_PROTOCOL=PROTOCOL     RAW: protocol it takes; 0 is every one that no other part takes
  PORT is needed for all but STREAM. No two parts may take the same protocol and port.
SESSION REMOVE ID=sub          ends a part with its streams
Both on the connection that made the session.";

const AUTH: &str = "\
AUTH ADD USER=name PASSWORD=word       a user of this bridge; quote what has blanks
AUTH REMOVE USER=name
AUTH ENABLE                            from now on HELLO VERSION needs USER= and PASSWORD=
AUTH DISABLE                           and no more
Connections that are open stay open. What is set here outlives the router.";

/// The help on a topic.
pub(super) fn text(topic: Option<&str>) -> String {
    page(match topic {
        Some("SESSION") => SESSION,
        Some("STREAM") => STREAM,
        Some("AUTH") => AUTH,
        Some("DATAGRAM" | "DATAGRAM2" | "DATAGRAM3" | "RAW") => DATAGRAM,
        Some("PRIMARY" | "MASTER") => PRIMARY,
        _ => GENERAL,
    })
}

/// `HELP` before `HELLO`: the same, with the way in.
pub(super) fn before_hello() -> String {
    page("this is a SAM bridge; begin with HELLO VERSION, then HELP lists the commands")
}

/// What `HELP STATUS` says about the bridge itself.
pub(super) struct BridgeState {
    pub(super) sockets: u64,
    /// Destinations of sessions whose client has gone.
    pub(super) parked: Vec<DestHash>,
    /// What came by UDP and was dropped, by reason.
    pub(super) datagrams_dropped: [(&'static str, u64); 6],
}

/// The state of the bridge and the router. Nothing in it is secret, but no client program should ever meet it.
pub(super) fn status(
    router: &RouterStatus,
    sessions: &[(Arc<Entry>, Vec<String>)],
    bridge: &BridgeState,
) -> String {
    let mut body = format!(
        "router: up {}, {} routers known, {} connected, {} own tunnels, {} transit tunnels",
        duration(router.uptime_s),
        router.known_routers,
        router.connected_routers,
        router.own_tunnels,
        router.transit_tunnels,
    );
    if !router.note.is_empty() {
        let _ = write!(body, "\nrouter: {}", router.note);
    }
    if !router.memory.is_empty() {
        let _ = write!(body, "\nrouter: {}", router.memory);
    }
    let _ = write!(
        body,
        "\nbridge: {} connections, {} sessions, {} UDP datagrams dropped",
        bridge.sockets,
        sessions.len(),
        bridge.datagrams_dropped.iter().map(|(_, count)| count).sum::<u64>()
    );
    let reasons = bridge.datagrams_dropped.iter().filter(|(_, count)| *count > 0);
    let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{count} {reason}")).collect();
    if !reasons.is_empty() {
        let _ = write!(body, ": {}", reasons.join(", "));
    }
    for (entry, details) in sessions {
        let _ = write!(body, "\n{}", session_line(entry));
        for line in details {
            let _ = write!(body, "\n  {line}");
        }
    }
    for hash in &bridge.parked {
        let _ = write!(body, "\nwithout a client: {}", hash.to_b32_name());
    }
    page(&body)
}

fn session_line(entry: &Entry) -> String {
    let age = duration(entry.created.elapsed().as_secs());
    let (accepts, forwarding) = entry.waiters();
    let forward = if forwarding { ", forwarding" } else { "" };
    let forward = format!("{forward}{}", datagram_counts(entry));
    if let Some(primary) = &entry.primary {
        let style = entry.style.word();
        return format!(
            "subsession {} {style} of {primary} age {age}, {accepts} pending accepts{forward}",
            entry.id
        );
    }
    let head = format!("session {} {} {}", entry.id, entry.style.word(), entry.hash.to_b32_name());
    let Some(session) = entry.session() else {
        return format!("{head} building for {age}");
    };
    let status = session.status();
    let name = session.blinded_name().map(|name| format!(" encrypted, found as {name}")).unwrap_or_default();
    format!(
        "{head}{name} age {age}, tunnels {} in {} out, {} streams, {accepts} pending accepts{forward}",
        status.tunnels_in, status.tunnels_out, status.streams
    )
}

fn datagram_counts(entry: &Entry) -> String {
    let Some(datagrams) = entry.datagrams() else { return String::new() };
    let counts = datagrams.counts();
    format!(
        ", datagrams {} out {} in, dropped {} out {} in",
        counts.sent, counts.received, counts.send_dropped, counts.receive_dropped
    )
}

fn duration(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

fn page(body: &str) -> String {
    let mut page = "HELP REPLY RESULT=OK\n".to_owned();
    for line in body.lines() {
        let clean: String = line.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(page, "# {clean}");
    }
    page.push_str("# end\n");
    page
}
