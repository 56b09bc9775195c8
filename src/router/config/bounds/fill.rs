// SPDX-License-Identifier: MIT
//! Hands the bounds to the rooms.

use std::time::Duration;

use super::{Bounds, LinkBounds, SamBounds, StreamBounds, TunnelBounds};
use crate::destination;
use crate::garlic;
use crate::netdb;
use crate::sam;
use crate::stream;
use crate::transport::{LinkLimits, TransportConfig};
use crate::tunnel::build::BuilderConfig;
use crate::tunnel::plane::PlaneConfig;

impl Bounds {
    /// For the links.
    pub(in crate::router) fn fill_transport(&self, config: &mut TransportConfig) {
        let LinkBounds {
            handshakes_per_address,
            handshakes_per_subnet,
            connections_per_second,
            connections_burst,
            handshake_time,
            probe_memory,
            probe_time,
            handshake_keys,
            clock_difference,
            padding,
            message_three,
            known_per_second,
            dials,
            connect_time,
            bad_frame_time,
            router_infos_per_read,
            link_queue,
            link_queue_dialling,
            link_queue_time,
            stall_time,
            transit_wait,
        } = self.links;
        config.links = LinkLimits {
            handshake_time,
            padding,
            message3: message_three,
            skew: clock_difference,
            probe_bytes: probe_memory,
            probe_time,
            replay_entries: handshake_keys,
            known_per_second,
            bad_frame_time,
            router_infos: router_infos_per_read,
            queue_bytes: link_queue,
            queue_dialling: link_queue_dialling,
            queue_time: link_queue_time,
            stall_time,
        };
        config.pending_per_ip = handshakes_per_address;
        config.pending_per_subnet = handshakes_per_subnet;
        config.accepts_per_second = connections_per_second;
        config.accepts_burst = connections_burst;
        config.dials_max = dials;
        config.connect_timeout = connect_time;
        config.transit_wait = transit_wait;
    }

    /// For the tunnels on the data plane.
    pub(in crate::router) fn fill_plane(&self, config: &mut PlaneConfig) {
        let bounds = &self.tunnels;
        config.filter_bytes_max = bounds.replay_filter;
        config.own_max = bounds.own_tunnels;
        config.tags_max = bounds.tunnel_tags;
        config.join.timeout = bounds.incomplete_time;
        config.join.tunnel_messages = bounds.incomplete_per_tunnel;
        config.join.tunnel_bytes = bounds.incomplete_memory_per_tunnel;
        config.join.total_bytes = bounds.incomplete_memory;
    }

    /// For the tunnel builder, in a test network or not: there neighbours may ask for more, unless told otherwise.
    pub(in crate::router) fn fill_builder(&self, config: &mut BuilderConfig, test_network: bool) {
        let (bounds, usual) = (&self.tunnels, TunnelBounds::default());
        let admission = &mut config.admission;
        let least_and_most = |(least, most): (usize, usize)| (least.min(most), most);
        let requests = (bounds.requests_per_peer_at_first, bounds.requests_per_peer);
        if !test_network || requests != (usual.requests_per_peer_at_first, usual.requests_per_peer) {
            admission.requests_per_peer = least_and_most(requests);
        }
        let accepts = (bounds.accepts_per_peer_at_first, bounds.accepts_per_peer);
        if !test_network || accepts != (usual.accepts_per_peer_at_first, usual.accepts_per_peer) {
            admission.accepts_per_peer = least_and_most(accepts);
        }
        admission.peers = bounds.neighbours;
        admission.pace_percent = bounds.request_pace;
        admission.request_keys = bounds.request_keys;
        admission.garlic_keys = self.garlic.router_garlic_keys;
        admission.garlic_tags = self.garlic.router_tags;
        config.select.share_percent = bounds.router_share;
        let limits = &mut config.limits;
        limits.held = bounds.held_requests;
        limits.held_ms = millis(bounds.held_requests_time);
        limits.pools = bounds.pools;
        limits.builds = bounds.builds;
        limits.builds_per_side = bounds.builds_per_side;
        limits.build_timeout_ms = millis(bounds.build_time);
    }

    /// For the network database.
    pub(in crate::router) fn fill_netdb(&self, config: &mut netdb::Config) {
        let bounds = &self.netdb;
        config.bounds = netdb::Bounds {
            unasked_per_second: bounds.unasked_per_second.into(),
            searches: bounds.searches,
            search_asks: bounds.search_asks,
            search_time: bounds.search_time,
            fetches: bounds.fetches,
            fetches_waiting: bounds.fetches_waiting,
            fetches_per_second: bounds.fetches_per_second.into(),
            named: bounds.named_routers,
            named_by_us: bounds.named_by_us,
            lookups_per_path: bounds.lookups_per_path,
            lookups_per_peer: bounds.lookups_per_peer,
            stores_per_peer: bounds.stores_per_peer,
            floods_per_key: bounds.floods_per_key,
            held: bounds.held_routers,
            held_each: bounds.held_answers,
        };
    }

    /// For each destination of a router that takes so many New Sessions of strangers in a second.
    pub(in crate::router) fn destination(&self, garlic_per_second: u32) -> destination::Limits {
        let mut limits = destination::Limits::default();
        self.fill_garlic(&mut limits.garlic, garlic_per_second);
        self.fill_streams(&mut limits);
        limits
    }

    fn fill_garlic(&self, garlic: &mut garlic::Limits, garlic_per_second: u32) {
        let bounds = &self.garlic;
        // A tenth is a destination's own in any case.
        garlic.new_sessions_per_s = (garlic_per_second / 10).max(1);
        garlic.new_sessions_burst = garlic.new_sessions_per_s.saturating_mul(4);
        // Others may be quiet: one may have eight times what its part of the router's pace is.
        garlic.pace_percent = bounds.pace.saturating_mul(8);
        garlic.tags_at_first = bounds.tags_at_first;
        garlic.tags_ahead = bounds.tags_ahead;
        garlic.tags_behind = bounds.tags_behind;
        garlic.cloves = bounds.cloves;
        garlic.replay_entries = bounds.session_keys;
        garlic.pending_per_remote = bounds.unanswered_sessions;
        garlic.held_per_remote = bounds.held_payloads;
        garlic.sessions = bounds.remotes;
        garlic.tags = bounds.tags;
        garlic.in_flight = u16::try_from(bounds.in_flight).unwrap_or(u16::MAX);
        garlic.reply_tags = bounds.reply_tags;
    }

    fn fill_streams(&self, limits: &mut destination::Limits) {
        let StreamBounds {
            backlog,
            backlog_per_peer,
            backlog_time,
            syns_per_second,
            syns_burst,
            syn_checks_per_second,
            window,
            timeouts,
            backlog_crowded_time: crowded_hold,
            unaccepted,
            peers,
            replies,
            early_streams,
            early_packets,
            early_memory: early_bytes,
            unread,
            out_of_order: ahead,
            unsent,
            syns,
            ended_streams: ended,
            questions,
            close_time: close_wait,
            close_silence,
            datagrams_in,
            datagrams_out,
            datagram_marks,
        } = self.streams;
        let streams = &mut limits.streams;
        streams.bounds = stream::Bounds {
            crowded_hold,
            unaccepted,
            unsent,
            unread,
            ahead,
            syns,
            ended,
            early_streams,
            early_packets,
            early_bytes,
            peers,
            replies,
            questions,
            close_wait,
            close_silence,
        };
        streams.backlog = backlog;
        streams.backlog_per_peer = backlog_per_peer;
        streams.accept_hold = backlog_time;
        streams.syn_per_peer = (syns_per_second, syns_burst);
        streams.syn_checks = syn_checks_per_second;
        streams.window_max = window;
        limits.resends_max = timeouts;
        (limits.upload, limits.download) = (self.sam.upload, self.sam.download);
        (limits.datagrams_in, limits.datagrams_out) = (datagrams_in, datagrams_out);
        limits.datagram_marks = datagram_marks;
    }

    /// For the SAM bridge.
    pub(in crate::router) fn fill_sam(&self, limits: &mut sam::Limits) {
        let SamBounds {
            hello_time,
            command_time,
            idle_time,
            session_time,
            lookup_time,
            answer_time,
            connect_in_all_time,
            clients_per_address,
            sessions_per_address,
            sessions_per_second,
            sessions_burst,
            subsessions,
            accepts,
            password_tries,
            line_before_hello,
            line,
            early,
            copy_buffer,
            answer_taken_time,
            upload: _,
            download: _,
        } = self.sam;
        limits.password_tries = password_tries;
        limits.line_before_hello = line_before_hello;
        limits.line = line;
        limits.early_bytes = early;
        limits.copy_buffer = copy_buffer;
        limits.write_timeout = answer_taken_time;
        limits.hello_timeout = hello_time;
        limits.command_timeout = command_time;
        limits.idle_timeout = idle_time;
        limits.session_timeout = session_time;
        limits.lookup_timeout = lookup_time;
        limits.answer_timeout = answer_time;
        limits.connect_timeout = connect_in_all_time;
        limits.sockets_per_address = clients_per_address;
        limits.sessions_per_address = sessions_per_address;
        limits.session_interval = Duration::from_secs(1) / sessions_per_second.max(1);
        limits.session_burst = sessions_burst;
        limits.subsessions = subsessions;
        limits.accepts = accepts;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
