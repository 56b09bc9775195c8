// SPDX-License-Identifier: MIT
//! The engine's streams: calls and the lease sets that they wait for, peers that wait for an accept, pipes.

use std::collections::VecDeque;

use super::{Action, Call, Engine, Waiting, Wanted};
use crate::base::pipe;
use crate::base::{Now, Part};
use crate::destination::open::Open;
use crate::destination::ports::Bindings;
use crate::destination::{Cause, ConnectOptions, Error, ErrorKind, I2pStream, Target};
use crate::stream::{self, CloseReason, Event as StreamEvent, StreamId};
use crate::wire::i2cp_gzip::Ports;
use crate::wire::{DestHash, Destination};

impl Engine {
    /// Opens a stream; answered by [`Action::Connected`] with the same token.
    pub(crate) fn connect(&mut self, now: Now, token: u64, target: &Target, options: ConnectOptions) {
        let Some(to) = target.hash() else {
            let error = Error::new(ErrorKind::InvalidTarget, "the name was not looked up");
            self.actions.push_back(Action::Connected { token, result: Err(error) });
            return;
        };
        let ports = Ports { from: options.from_port, to: options.to_port };
        let call = Call { token, ports, options };
        if to == self.hash || self.peers.is_usable(now, &to) {
            self.dial(now, to, call);
        } else {
            self.calls.entry(to).or_default().push(call);
            self.database.request_newer(now, to, self.peers.dated(&to));
        }
        self.step(now);
    }

    /// Gives up what [`Self::connect`] began, if it is still going on.
    pub(crate) fn abandon(&mut self, now: Now, token: u64) {
        for calls in self.calls.values_mut() {
            calls.retain(|c| c.token != token);
        }
        self.calls.retain(|_, calls| !calls.is_empty());
        let dialled = self.dialling.iter().find(|(_, (t, _))| *t == token).map(|(id, _)| *id);
        if let Some(id) = dialled {
            self.dialling.remove(&id);
            self.streams.reset(now, id);
        }
        self.step(now);
    }

    /// Takes the peer that has waited longest.
    pub(crate) fn take_incoming(&mut self, now: Now, wanted: Wanted) -> Option<I2pStream> {
        let stream = loop {
            let at = self.waiting.iter().position(|w| wanted.takes(w.owner, w.ports.to))?;
            let w = self.waiting.remove(at)?;
            if self.streams.accept(now, w.id) {
                break self.open_stream(w.id, w.remote, w.ports.to, w.ports.from);
            }
        };
        self.step(now);
        Some(stream)
    }

    /// Brings the stream table's ports in line with the programs' listeners. Peers that waited for one who has gone
    /// are reset.
    pub(super) fn set_listeners(&mut self, now: Now, bindings: &Bindings) {
        if self.listeners == bindings.listeners {
            return;
        }
        let old = std::mem::replace(&mut self.listeners, bindings.listeners.clone());
        let gone = |port: &u16| old.get(port).is_some_and(|id| self.listeners.get(port) != Some(id));
        for port in old.keys().filter(|p| gone(p)) {
            if *port != 0 || self.streams_by_listener {
                self.streams.unlisten(*port);
            }
            let (lost, kept) =
                std::mem::take(&mut self.waiting).into_iter().partition(|w: &Waiting| w.owner == *port);
            self.waiting = kept;
            let lost: VecDeque<Waiting> = lost;
            for waiting in lost {
                self.streams.reset(now, waiting.id);
            }
        }
        for port in self.listeners.keys() {
            self.streams.listen(*port);
        }
    }

    pub(super) fn drain_streams(&mut self, now: Now) {
        while let Some(event) = self.streams.poll_event() {
            match event {
                StreamEvent::Incoming { id, remote, ports } => {
                    let owner = if self.listeners.contains_key(&ports.to) { ports.to } else { 0 };
                    self.waiting.push_back(Waiting { id, remote, ports, owner });
                    self.actions.push_back(Action::Incoming);
                }
                StreamEvent::Connected(id) => self.connected(id),
                StreamEvent::Readable(id)
                | StreamEvent::Writable(id)
                | StreamEvent::RemoteClosed(id)
                | StreamEvent::Flushed(id) => self.serve(now, id),
                StreamEvent::Closed { id, reason } => self.closed(now, id, reason),
                StreamEvent::Pong { .. } => {}
            }
        }
    }

    pub(super) fn connected(&mut self, id: StreamId) {
        let Some((token, ports)) = self.dialling.remove(&id) else { return };
        let Some((hash, destination)) = self.streams.remote(id) else { return };
        let Some(remote) = destination.or_else(|| self.peers.destination(&hash)) else {
            let error = Error::new(ErrorKind::Refused, "the peer did not say who it is");
            self.actions.push_back(Action::Connected { token, result: Err(error) });
            return;
        };
        let stream = self.open_stream(id, remote, ports.from, ports.to);
        self.actions.push_back(Action::Connected { token, result: Ok(stream) });
    }

    pub(super) fn open_stream(
        &mut self,
        id: StreamId,
        remote: Destination,
        local: u16,
        far: u16,
    ) -> I2pStream {
        let (writer, taker) =
            pipe::upload(self.limits.upload, self.budget.account(Part::Streams), self.bell.clone(), id);
        let (giver, reader) =
            pipe::download(self.limits.download, self.budget.account(Part::Streams), self.bell.clone(), id);
        self.open.insert(id, Open::new(taker, giver));
        // Data may have come before the stream was taken.
        self.bell.ring(id);
        I2pStream::new(reader, writer, remote, local, far)
    }

    /// Why a call failed that nobody answered, in words and numbers.
    fn unanswered(&self, id: StreamId) -> Error {
        let requests =
            self.streams.stats(id).map_or(1, |s| 1 + u32::try_from(s.retransmitted).unwrap_or(u32::MAX));
        let (ins, outs) = (self.pool.inbound.len(), self.pool.outbound.len());
        let text = format!(
            "the peer did not answer {requests} requests; it has a lease set, we have {ins} inbound and {outs} outbound tunnels"
        );
        Error::new(ErrorKind::Timeout, text).with_cause(Cause::Call { requests })
    }

    pub(super) fn closed(&mut self, now: Now, id: StreamId, reason: CloseReason) {
        if let Some((token, _)) = self.dialling.remove(&id) {
            let error = match reason {
                CloseReason::ConnectTimeout => self.unanswered(id),
                reason => Error::new(ErrorKind::Refused, format!("the peer refused the stream ({reason:?})")),
            };
            self.actions.push_back(Action::Connected { token, result: Err(error) });
            self.streams.close(now, id);
        } else if let Some(at) = self.waiting.iter().position(|w| w.id == id) {
            self.waiting.remove(at);
            self.streams.close(now, id);
        } else if let Some(open) = self.open.get_mut(&id) {
            open.end(reason);
            self.serve(now, id);
        }
    }

    pub(super) fn serve(&mut self, now: Now, id: StreamId) {
        if let Some(open) = self.open.get_mut(&id)
            && open.service(now, id, &mut self.streams)
        {
            self.open.remove(&id);
        }
    }

    pub(super) fn dial(&mut self, now: Now, to: DestHash, call: Call) {
        let options = stream::ConnectOptions { timeout: call.options.timeout, interactive: None };
        match self.streams.connect(now, to, call.ports, options) {
            Some(id) => {
                self.dialling.insert(id, (call.token, call.ports));
            }
            None => {
                let error = Error::new(ErrorKind::Limit, "too many streams in this session");
                self.actions.push_back(Action::Connected { token: call.token, result: Err(error) });
            }
        }
    }
}
