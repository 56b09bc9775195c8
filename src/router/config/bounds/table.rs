// SPDX-License-Identifier: MIT
//! The table of bounds.

use std::time::Duration;

use super::{Bound, Number, Unit};

/// Makes the structs, their defaults and [`Bounds::TABLE`] from the list below. Each field has one line of meaning, which
/// begins with the requirement's id; the rest of its line is name in the file, default, least value and unit.
macro_rules! bounds {
    ($(
        #[doc = $group_about:literal]
        $group:ident: $Group:ident {
            $(
                #[doc = $about:literal]
                $field:ident: $kind:ty = ($key:literal, $default:literal, least $least:literal, $unit:ident);
            )*
        }
    )*) => {
        $(
            #[doc = $group_about]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Group {
                $(
                    #[doc = $about]
                    #[doc = concat!("\n\n`bounds.", $key, "`: default ", $default, ", least ", $least, ".")]
                    pub $field: $kind,
                )*
            }

            impl Default for $Group {
                fn default() -> Self {
                    Self { $($field: <$kind>::from_raw($default * Unit::$unit.scale()),)* }
                }
            }
        )*

        /// Bounds of every room. Each may be lower than its default, down to a least value, and never higher.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Bounds {
            $(
                #[doc = $group_about]
                pub $group: $Group,
            )*
        }

        impl Bounds {
            /// All of them, by group.
            pub const TABLE: &[Bound] = &[$($(
                Bound {
                    key: concat!("bounds.", $key),
                    group: $group_about.trim_ascii(),
                    default: $default,
                    least: $least,
                    unit: Unit::$unit,
                    about: $about.trim_ascii(),
                    get: |bounds| bounds.$group.$field.raw(),
                    set: |bounds, raw| bounds.$group.$field = <$kind>::from_raw(raw),
                },
            )*)*];
        }
    };
}

bounds! {
    /// Links to other routers
    links: LinkBounds {
        /// N1: handshakes of one address under way
        handshakes_per_address: usize = ("handshakes-per-address", 3, least 1, Count);
        /// N1: handshakes of one /24 or /48 under way
        handshakes_per_subnet: usize = ("handshakes-per-subnet", 64, least 1, Count);
        /// N1: new connections of one address (IPv6: a /64) in a second
        connections_per_second: u32 = ("connections-per-second", 5, least 1, Count);
        /// N1: new connections of one address at once
        connections_burst: u32 = ("connections-burst", 20, least 1, Count);
        /// N1: time for a handshake
        handshake_time: Duration = ("handshake-time", 10, least 1, Seconds);
        /// N2: bytes of a probe that are swallowed
        probe_memory: usize = ("probe-memory", 64, least 1, KiB);
        /// N2: time for which they are
        probe_time: Duration = ("probe-time", 10, least 1, Seconds);
        /// N3: first messages that are remembered against replays
        handshake_keys: usize = ("handshake-keys", 65536, least 1024, Count);
        /// N3: difference of clocks
        clock_difference: Duration = ("clock-difference", 60, least 10, Seconds);
        /// N4: bytes of padding accepted in a handshake; some peers send 880
        padding: usize = ("padding", 1024, least 256, Count);
        /// N4: bytes of message 3 with the RouterInfo; peers send up to 4,200
        message_three: usize = ("message-three", 6144, least 4608, Count);
        /// N5: new connections of all known addresses in a second, besides the strangers'
        known_per_second: u32 = ("known-per-second", 200, least 1, Count);
        /// N5: outgoing dials under way
        dials: usize = ("dials", 64, least 4, Count);
        /// N5: time for a TCP connection to be made
        connect_time: Duration = ("connect-time", 6, least 1, Seconds);
        /// N7: time until a link with a bad frame is closed
        bad_frame_time: Duration = ("bad-frame-time", 4000, least 200, Milliseconds);
        /// N7: RouterInfos taken from one read
        router_infos_per_read: usize = ("router-infos-per-read", 8, least 1, Count);
        /// N8: memory of the queue to a peer; transit has three quarters of it
        link_queue: usize = ("link-queue", 1024, least 128, KiB);
        /// N8: messages for a peer that is being dialled
        link_queue_dialling: usize = ("link-queue-dialling", 32, least 4, Count);
        /// N8: waiting time of anything in the queue to a peer
        link_queue_time: Duration = ("link-queue-time", 5, least 1, Seconds);
        /// N8: time for which a peer may take nothing
        stall_time: Duration = ("stall-time", 30, least 2, Seconds);
        /// N8: waiting time of transit in the queue to a peer; not in test networks
        transit_wait: Duration = ("transit-wait", 250, least 20, Milliseconds);
    }

    /// Tunnels
    tunnels: TunnelBounds {
        /// T1: memory of the filter against replayed cells
        replay_filter: usize = ("replay-filter", 65536, least 1024, KiB);
        /// T2: build requests of one previous hop in 110 s, however many tunnels we carry
        requests_per_peer: usize = ("requests-per-peer", 27, least 1, Count);
        /// T2: build requests of one previous hop while we carry few tunnels
        requests_per_peer_at_first: usize = ("requests-per-peer-at-first", 7, least 1, Count);
        /// T2: tunnels accepted from or to one neighbour in 220 s, however many tunnels we carry
        accepts_per_peer: usize = ("accepts-per-peer", 22, least 1, Count);
        /// T2: tunnels accepted from or to one neighbour while we carry few
        accepts_per_peer_at_first: usize = ("accepts-per-peer-at-first", 4, least 1, Count);
        /// T2: neighbours that are counted; a further one is refused
        neighbours: usize = ("neighbours", 8192, least 256, Count);
        /// T2: requests looked at while the processor keeps up, in percent of build-requests-per-second
        request_pace: u32 = ("request-pace", 500, least 100, Percent);
        /// T2: keys of requests that are remembered against replays, in each of two spans of 10 min
        request_keys: usize = ("request-keys", 65536, least 1024, Count);
        /// T2: build requests and garlic of strangers that wait for their turn
        waiting_requests: usize = ("waiting-requests", 128, least 8, Count);
        /// T2: how long they may have waited
        waiting_requests_time: Duration = ("waiting-requests-time", 2500, least 100, Milliseconds);
        /// T2: answered build requests that wait for the RouterInfo of the next hop
        held_requests: usize = ("held-requests", 64, least 1, Count);
        /// T2: how long these wait
        held_requests_time: Duration = ("held-requests-time", 5, least 1, Seconds);
        /// T5: tunnels of our own
        own_tunnels: usize = ("own-tunnels", 4096, least 32, Count);
        /// T5: pools of tunnels: the router's own and one for each session
        pools: usize = ("pools", 1024, least 2, Count);
        /// T5: own builds under way
        builds: usize = ("builds", 24, least 2, Count);
        /// T5: own builds under way for one direction of a pool
        builds_per_side: usize = ("builds-per-side", 4, least 1, Count);
        /// T5: time for a build
        build_time: Duration = ("build-time", 10, least 2, Seconds);
        /// T5: garlic tags that the plane looks for
        tunnel_tags: usize = ("tunnel-tags", 4096, least 256, Count);
        /// T7: time for a message to become complete
        incomplete_time: Duration = ("incomplete-time", 15, least 1, Seconds);
        /// T7: incomplete messages of one tunnel
        incomplete_per_tunnel: usize = ("incomplete-per-tunnel", 64, least 2, Count);
        /// T7: memory of the incomplete messages of one tunnel
        incomplete_memory_per_tunnel: usize = ("incomplete-memory-per-tunnel", 256, least 64, KiB);
        /// T7: memory of all incomplete messages
        incomplete_memory: usize = ("incomplete-memory", 4096, least 64, KiB);
        /// T9: part of our tunnels that one router may be in
        router_share: usize = ("router-share", 33, least 10, Percent);
    }

    /// The network database
    netdb: NetDbBounds {
        /// D1: signatures of RouterInfos nobody asked for that are checked in a second
        unasked_per_second: u32 = ("unasked-per-second", 200, least 1, Count);
        /// D5: lookups for one reply path in 120 s
        lookups_per_path: u32 = ("lookups-per-path", 30, least 1, Count);
        /// D5: lookups of one router that asks directly, in 120 s
        lookups_per_peer: u32 = ("lookups-per-peer", 240, least 1, Count);
        /// D5: stores of one router in 120 s
        stores_per_peer: u32 = ("stores-per-peer", 600, least 1, Count);
        /// D5: copies of one key that are flooded in 60 s
        floods_per_key: u32 = ("floods-per-key", 3, least 1, Count);
        /// D5: routers that an answer to an exploratory lookup names
        named_by_us: usize = ("named-by-us", 16, least 1, Count);
        /// D5: routers to be found before what is held for them can be sent
        held_routers: usize = ("held-routers", 32, least 1, Count);
        /// D5: answers held for one of them
        held_answers: usize = ("held-answers", 8, least 1, Count);
        /// D6: routers taken from one answer
        named_routers: usize = ("named-routers", 16, least 1, Count);
        /// D6: named routers that are fetched at once
        fetches: usize = ("fetches", 8, least 1, Count);
        /// D6: named routers that wait for it
        fetches_waiting: usize = ("fetches-waiting", 512, least 8, Count);
        /// D6: named routers that are fetched in a second, over time
        fetches_per_second: u32 = ("fetches-per-second", 20, least 1, Count);
        /// D6: searches for routers at once
        searches: usize = ("searches", 64, least 4, Count);
        /// D6: routers asked in one search
        search_asks: usize = ("search-asks", 7, least 1, Count);
        /// D6: time of one search
        search_time: Duration = ("search-time", 12, least 2, Seconds);
    }

    /// Garlic sessions of each destination
    garlic: GarlicBounds {
        /// G3: New Sessions decrypted while the processor keeps up, in percent of garlic-per-second
        pace: u32 = ("garlic-pace", 500, least 100, Percent);
        /// G3: keys of garlic to the router that are remembered, in each of two spans of 5 min
        router_garlic_keys: usize = ("router-garlic-keys", 32768, least 1024, Count);
        /// G3: keys of New Sessions that are remembered against replays
        session_keys: usize = ("session-keys", 20000, least 100, Count);
        /// G3: New Sessions of ours to one remote that wait for a reply
        unanswered_sessions: usize = ("unanswered-sessions", 24, least 4, Count);
        /// G3: payloads for one remote that wait for its first answer
        held_payloads: usize = ("held-payloads", 24, least 4, Count);
        /// G4: remotes with a session
        remotes: usize = ("remotes", 2048, least 16, Count);
        /// G4: tags that are listened for, of all sessions together
        tags: usize = ("tags", 65536, least 2048, Count);
        /// G4: messages to one remote beyond what it is known to have received
        in_flight: u32 = ("in-flight", 160, least 16, Count);
        /// G4: tags ahead of the newest message of a session, at its begin
        tags_at_first: u32 = ("tags-at-first", 64, least 24, Count);
        /// G4: tags ahead of the newest message of a session, after many messages
        tags_ahead: u32 = ("tags-ahead", 1024, least 192, Count);
        /// G4: tags behind the newest message of a session
        tags_behind: u32 = ("tags-behind", 512, least 64, Count);
        /// G4: tags for garlic to the router
        router_tags: usize = ("router-tags", 4096, least 256, Count);
        /// G6: cloves read from one message
        cloves: usize = ("cloves", 64, least 16, Count);
        /// G4: one-time tags for replies
        reply_tags: usize = ("reply-tags", 256, least 16, Count);
    }

    /// Streams of each destination
    streams: StreamBounds {
        /// R1: incoming streams that nobody has accepted
        backlog: usize = ("backlog", 1024, least 1, Count);
        /// R1: the same of one peer
        backlog_per_peer: u32 = ("backlog-per-peer", 64, least 1, Count);
        /// R1: how long they wait
        backlog_time: Duration = ("backlog-time", 60, least 1, Seconds);
        /// R1: new streams of one peer in a second
        syns_per_second: u32 = ("syns-per-second", 32, least 1, Count);
        /// R1: new streams of one peer at once
        syns_burst: u32 = ("syns-burst", 128, least 1, Count);
        /// R1: signatures of new streams that are checked in a second
        syn_checks_per_second: u32 = ("syn-checks-per-second", 500, least 1, Count);
        /// R1: how long they wait while half of the backlog is taken
        backlog_crowded_time: Duration = ("backlog-crowded-time", 10, least 1, Seconds);
        /// R1: memory of a stream that nobody has accepted
        unaccepted: usize = ("unaccepted", 64, least 4, KiB);
        /// R1: peers that are remembered, those with streams aside
        peers: usize = ("stream-peers", 4096, least 64, Count);
        /// R1: resets and pongs that wait to be sent
        replies: usize = ("stream-replies", 256, least 8, Count);
        /// R1: streams whose packets came before their SYN
        early_streams: usize = ("early-streams", 64, least 1, Count);
        /// R1: packets of one of these
        early_packets: usize = ("early-packets", 16, least 1, Count);
        /// R1: memory of all of these
        early_memory: usize = ("early-memory", 512, least 16, KiB);
        /// R2: memory of what a stream has received and nobody has read, and as much again out of order
        unread: usize = ("unread", 1024, least 64, KiB);
        /// R2: packets of a stream that are kept out of order
        out_of_order: u32 = ("out-of-order", 512, least 128, Count);
        /// R2: memory of what a program has written and is not sent
        unsent: usize = ("unsent", 256, least 16, KiB);
        /// R2: packets in flight, whatever a session asks for
        window: u32 = ("window", 512, least 8, Count);
        /// R2: timeouts in a row, whatever a session asks for; 12 unless it asks
        timeouts: u32 = ("timeouts", 30, least 1, Count);
        /// R3: SYNs that are remembered against replays
        syns: usize = ("syns", 16384, least 256, Count);
        /// R3: ended streams that are remembered
        ended_streams: usize = ("ended-streams", 4096, least 64, Count);
        /// R5: repetitions of a question whether the peer is still there
        questions: u32 = ("questions", 7, least 2, Count);
        /// R5: time for a peer to close after us
        close_time: Duration = ("close-time", 60, least 5, Seconds);
        /// R5: silence after which a stream that we have closed is given up
        close_silence: Duration = ("close-silence", 300, least 10, Seconds);
        /// R6: memory of datagrams that wait for their program, of one port
        datagrams_in: u32 = ("datagrams-in", 2048, least 128, KiB);
        /// R6: memory of datagrams of a session that wait to be sent
        datagrams_out: u32 = ("datagrams-out", 2048, least 128, KiB);
        /// R6: datagrams that are remembered against replays
        datagram_marks: usize = ("datagram-marks", 4096, least 64, Count);
    }

    /// Clients of the SAM bridge
    sam: SamBounds {
        /// S4: wrong passwords of one address in a minute that cost no time
        password_tries: u32 = ("password-tries", 5, least 1, Count);
        /// S5: bytes of a line before HELLO
        line_before_hello: usize = ("line-before-hello", 1024, least 128, Count);
        /// S5: bytes of a line; the longest keys take 6,000
        line: usize = ("line", 16384, least 2048, Count);
        /// S5: time for HELLO
        hello_time: Duration = ("hello-time", 60, least 1, Seconds);
        /// S5: time from HELLO to the first command of a 3.0 or 3.1 client
        command_time: Duration = ("command-time", 60, least 1, Seconds);
        /// S5: time for a command of other clients without a session
        idle_time: Duration = ("idle-time", 300, least 5, Seconds);
        /// S5: time for the tunnels of a session
        session_time: Duration = ("session-time", 300, least 10, Seconds);
        /// S5: time for a name to be looked up
        lookup_time: Duration = ("lookup-time", 30, least 1, Seconds);
        /// S5: time for a peer to answer, unless the client asks for another
        answer_time: Duration = ("answer-time", 60, least 1, Seconds);
        /// S5: time for a connect in all
        connect_in_all_time: Duration = ("connect-in-all-time", 75, least 1, Seconds);
        /// S6: memory of what a program has written to a stream and the stream has not taken
        upload: usize = ("upload", 256, least 16, KiB);
        /// S6: memory of what a program has not read of a stream, besides what the stream holds
        download: usize = ("download", 512, least 16, KiB);
        /// S6: memory of what a client sends before its stream is there
        early: usize = ("early", 64, least 4, KiB);
        /// S6: buffer of a direction of a stream
        copy_buffer: usize = ("copy-buffer", 64, least 4, KiB);
        /// S6: time for a client to take an answer
        answer_taken_time: Duration = ("answer-taken-time", 60, least 1, Seconds);
        /// S8: clients of one address that is not loopback
        clients_per_address: usize = ("clients-per-address", 256, least 1, Count);
        /// S9: sessions of one address that is not loopback
        sessions_per_address: usize = ("sessions-per-address", 32, least 1, Count);
        /// S9: new sessions in a second; further ones wait
        sessions_per_second: u32 = ("sessions-per-second", 2, least 1, Count);
        /// S9: new sessions at once
        sessions_burst: u32 = ("sessions-burst", 10, least 1, Count);
        /// S9: subsessions of a PRIMARY session
        subsessions: usize = ("subsessions", 64, least 1, Count);
        /// S9: accepts of one session that wait
        accepts: usize = ("accepts", 512, least 1, Count);
    }
}
