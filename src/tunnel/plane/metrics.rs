// SPDX-License-Identifier: MIT
//! What the plane counts. Every message that comes in is counted once as such and once by what became of it.

crate::metrics! {
    /// Counters of the tunnel plane.
    pub struct PlaneMetrics {
        /// TunnelData messages that reached us, loops through ourselves included.
        cells_received: Counter,
        /// Cells of transit tunnels sent on to their next hop.
        cells_forwarded: Counter,
        /// Cells that ended here with a good checksum, at an outbound endpoint or in a tunnel of ours.
        cells_opened: Counter,
        /// Cells that ended here with a bad checksum or without an end of padding.
        cells_dropped_checksum: Counter,
        /// Cells seen before.
        cells_dropped_duplicate: Counter,
        /// Cells for a tunnel id that we do not have.
        cells_dropped_unknown: Counter,
        /// Cells for a tunnel of which we are the gateway or which has no hops.
        cells_dropped_role: Counter,
        /// Cells from another router than the tunnel's previous hop.
        cells_dropped_sender: Counter,
        /// Cells of a wrong size.
        cells_dropped_malformed: Counter,
        /// Cells past their expiration.
        cells_dropped_late: Counter,
        /// Cells over their tunnel's rate.
        cells_dropped_rate: Counter,
        /// Cells of transit over the bandwidth for all transit, or over their tunnel's share of it.
        cells_dropped_bandwidth: Counter,

        /// TunnelGateway messages that reached us, loops through ourselves included.
        gateway_received: Counter,
        /// Of these, put into cells.
        gateway_packed: Counter,
        /// Of these, handed to the owner of a tunnel without hops.
        gateway_delivered: Counter,
        /// For a tunnel id that we do not have.
        gateway_dropped_unknown: Counter,
        /// For a tunnel of which we are not the gateway.
        gateway_dropped_role: Counter,
        /// Too short for what they announce, or larger than can be cut.
        gateway_dropped_malformed: Counter,
        /// The message inside is past its expiration.
        gateway_dropped_late: Counter,
        /// Over the tunnel's rate, or too many in one turn.
        gateway_dropped_rate: Counter,
        /// Over the bandwidth for all transit, or over the tunnel's share of it.
        gateway_dropped_bandwidth: Counter,

        /// Messages given to an outbound tunnel of ours.
        out_received: Counter,
        /// Of these, put into cells.
        out_packed: Counter,
        /// Of these, delivered by ourselves because the tunnel has no hops.
        out_delivered: Counter,
        /// The tunnel is gone.
        out_dropped_unknown: Counter,
        /// Larger than can be cut.
        out_dropped_size: Counter,
        /// LOCAL delivery through a tunnel with hops, which would speak to a stranger.
        out_dropped_delivery: Counter,
        /// Cells made by gateways, ours and transit.
        cells_made: Counter,

        /// Fragments of cut messages that came in.
        fragments_received: Counter,
        /// Fragments that we had already, or that contradict others of their message.
        fragments_dropped: Counter,
        /// Cells whose instructions are malformed; what stood before the error was used.
        instructions_malformed: Counter,
        /// Messages of which a first piece came in.
        join_started: Counter,
        /// Messages joined from fragments.
        join_completed: Counter,
        /// Partial messages dropped for their age.
        join_dropped_late: Counter,
        /// Partial messages dropped because their tunnel had too many or too large ones.
        join_dropped_tunnel: Counter,
        /// Partial messages dropped because all tunnels together had too much.
        join_dropped_total: Counter,
        /// Partial messages dropped because their fragments contradict each other or grow too large.
        join_dropped_malformed: Counter,
        /// Partial messages dropped with their tunnel.
        join_dropped_gone: Counter,
        /// Bytes in partial messages now.
        join_bytes: Counter,

        /// Messages out of transit tunnels for a router.
        endpoint_to_router: Counter,
        /// Messages out of transit tunnels for a tunnel's gateway.
        endpoint_to_tunnel: Counter,
        /// Messages out of transit tunnels for us, as nobody may send them.
        endpoint_dropped_local: Counter,
        /// Messages out of transit tunnels without a good header.
        endpoint_dropped_malformed: Counter,
        /// Messages out of transit tunnels past their expiration.
        endpoint_dropped_late: Counter,

        /// Messages out of our tunnels that went up to a destination.
        inbound_up: Counter,
        /// Messages out of our tunnels that went to control.
        inbound_control: Counter,
        /// Messages in our tunnels that ask to be sent on: never done.
        inbound_dropped_delivery: Counter,
        /// Messages in our tunnels of kinds that do not belong there.
        inbound_dropped_kind: Counter,
        /// Answers in our tunnels that nobody waits for.
        inbound_dropped_unasked: Counter,
        /// Messages in our tunnels without a good header.
        inbound_dropped_malformed: Counter,
        /// Messages in our tunnels past their expiration.
        inbound_dropped_late: Counter,

        /// Messages to the router itself, for control.
        direct_control: Counter,
        /// Messages to the router itself past their expiration.
        direct_dropped_late: Counter,
        /// Messages dropped because they went through us too often without leaving us.
        loops_dropped: Counter,

        /// Tunnels installed.
        tunnels_installed: Counter,
        /// Tunnels refused.
        tunnels_refused: Counter,
        /// Tunnels at their end.
        tunnels_expired: Counter,
        /// Tunnels removed before their end.
        tunnels_removed: Counter,
        /// Bandwidth for transit in use, averaged over a quarter of a minute, in percent; 0 without a limit.
        transit_load_percent: Counter,
        /// Transit tunnels now.
        transit_tunnels: Counter,
        /// Tunnels of our own now.
        own_tunnels: Counter,
        /// Registered tags forgotten for want of room.
        tags_dropped_full: Counter,
    }
}
