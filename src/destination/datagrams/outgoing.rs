// SPDX-License-Identifier: MIT
//! Datagrams on their way out: signed, wrapped, and kept for each remote until it can be sent to.
//!
//! Everything here holds a share of the session's room for datagrams, so the programs are held back by what waits. A
//! remote whose lease set is still being looked up may hold [`LOOKING_MAX`] datagrams, the oldest go first; a remote
//! for which none was found drops what comes in the next seconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::DatagramMetrics;
use crate::base::{Counter, Mono, Now, Rng, Share, TimerQueue};
use crate::destination::DestinationKeys;
use crate::destination::datagram::DatagramStyle;
use crate::destination::ports::{Counts, OutDatagram};
use crate::wire::datagram::{Datagram2, Datagram3};
use crate::wire::i2cp_gzip::{self, Prefix};

use crate::wire::DestHash;

/// Remotes at once.
const REMOTES_MAX: usize = 4096;
/// Datagrams that wait for a lease set, for each remote.
const LOOKING_MAX: usize = 64;
/// Bytes of them.
const LOOKING_BYTES: usize = 128 * 1024;
/// What comes for a remote without lease set is dropped for so long after the failed look-up.
const FAILED_REST: Duration = Duration::from_secs(5);
/// How long a datagram waits before it is sent, unless the program says otherwise.
const WAIT: Duration = Duration::from_secs(10);
/// How long it lives on its way, unless the program says otherwise.
const LIFE: Duration = Duration::from_secs(10);
/// Longest life on the way: routers take a later end for a wrong clock.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// A datagram ready to be sealed.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// The gzip member.
    pub(crate) bytes: Vec<u8>,
    pub(crate) bundle: bool,
    /// How long it may be under way.
    pub(crate) life: Duration,
    /// When it is too old to be sent.
    late: Mono,
    counts: Arc<Counts>,
    _share: Share,
}

impl AsRef<[u8]> for Parcel {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Parcel {
    /// It has been handed to the tunnels.
    pub(crate) fn sent(&self, metrics: &DatagramMetrics) {
        metrics.datagrams_out.inc();
        self.counts.sent.inc();
    }

    /// It is given up.
    pub(crate) fn dropped(&self, why: &Counter) {
        why.inc();
        self.counts.send_dropped.inc();
    }
}

/// Why a remote's datagrams do not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// They do: the remote stands in the queue of turns.
    No,
    /// Its lease set is being looked up.
    Looking,
    /// It has none, until then.
    Failed,
    /// Its session takes no more until then, or until something comes from it.
    Until,
}

#[derive(Debug)]
struct Remote {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    held: Held,
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct Outgoing {
    remotes: BTreeMap<DestHash, Remote>,
    turns: VecDeque<DestHash>,
    timers: TimerQueue<DestHash>,
    /// Our destination, compressed.
    from: Option<Prefix>,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self { remotes: BTreeMap::new(), turns: VecDeque::new(), timers: TimerQueue::new(), from: None }
    }

    /// Takes a datagram in.
    pub(crate) fn push(
        &mut self,
        now: Now,
        keys: &DestinationKeys,
        rng: &mut Rng,
        datagram: OutDatagram,
        metrics: &DatagramMetrics,
    ) {
        let to = datagram.to;
        let drop_now = match self.remotes.get(&to) {
            Some(remote) if remote.held == Held::Failed => Some(&metrics.datagrams_no_lease_set),
            None if self.remotes.len() >= REMOTES_MAX => Some(&metrics.datagrams_waiting_full),
            _ => None,
        };
        if let Some(why) = drop_now {
            why.inc();
            datagram.counts.send_dropped.inc();
            return;
        }
        let parcel = self.wrap(now, keys, rng, datagram);
        let remote = self.remotes.entry(to).or_insert_with(|| {
            self.turns.push_back(to);
            Remote { parcels: VecDeque::new(), bytes: 0, held: Held::No }
        });
        remote.bytes += parcel.bytes.len();
        remote.parcels.push_back(parcel);
        if remote.held == Held::Looking {
            while remote.parcels.len() > LOOKING_MAX || remote.bytes > LOOKING_BYTES {
                let Some(oldest) = remote.parcels.pop_front() else { break };
                remote.bytes -= oldest.bytes.len();
                oldest.dropped(&metrics.datagrams_waiting_full);
            }
        }
    }

    /// Signs and wraps.
    fn wrap(&mut self, now: Now, keys: &DestinationKeys, rng: &mut Rng, d: OutDatagram) -> Parcel {
        let local = keys.destination();
        let from = self.from.get_or_insert_with(|| Prefix::new(local.as_bytes()));
        let (protocol, ports) = (d.protocol, d.ports);
        let bytes = match d.style {
            DatagramStyle::Datagram1 => {
                let signature = keys.signing().sign_parts(rng, &[&d.payload]);
                from.wrap(protocol, ports, &[&signature, &d.payload])
            }
            DatagramStyle::Datagram2 => {
                let mut head = Vec::new();
                Datagram2::begin_signed(keys.offline(), &mut head);
                let signature = keys.signing().sign_parts(rng, &[&d.to.0, &head, &d.payload]);
                from.wrap(protocol, ports, &[&head, &d.payload, &signature])
            }
            DatagramStyle::Datagram3 => {
                let mut data = Datagram3::header(&local.hash()).to_vec();
                data.extend_from_slice(&d.payload);
                i2cp_gzip::encode_stored(protocol, ports, &data)
            }
            DatagramStyle::Raw => i2cp_gzip::encode_stored(protocol, ports, &d.payload),
        };
        Parcel {
            bytes,
            bundle: d.send_lease_set,
            life: d.expires.map_or(LIFE, |e| e.clamp(Duration::from_secs(1), LIFE_MAX)),
            late: now.mono + d.expires.map_or(WAIT, |e| e.min(WAIT * 3)),
            counts: d.counts,
            _share: d.share,
        }
    }

    /// The remote whose turn it is, if any can be sent to.
    pub(crate) fn next(&mut self) -> Option<DestHash> {
        self.turns.pop_front()
    }

    /// Takes datagrams of about `bytes` bytes, at least one, without those that have become too old. An empty answer
    /// means that the remote has none left.
    pub(crate) fn take(
        &mut self,
        now: Now,
        to: &DestHash,
        bytes: usize,
        metrics: &DatagramMetrics,
    ) -> Vec<Parcel> {
        let mut taken = Vec::new();
        let Some(remote) = self.remotes.get_mut(to) else { return taken };
        let mut size = 0;
        while let Some(parcel) = remote.parcels.pop_front() {
            if !taken.is_empty() && size + parcel.bytes.len() > bytes {
                remote.parcels.push_front(parcel);
                break;
            }
            remote.bytes -= parcel.bytes.len();
            if parcel.late <= now.mono {
                parcel.dropped(&metrics.datagrams_late);
                continue;
            }
            size += parcel.bytes.len();
            taken.push(parcel);
        }
        if taken.is_empty() {
            self.remotes.remove(to);
        }
        taken
    }

    /// Puts back, in front, what could not be sealed yet.
    pub(crate) fn put_back(&mut self, to: &DestHash, parcels: impl DoubleEndedIterator<Item = Parcel>) {
        if let Some(remote) = self.remotes.get_mut(to) {
            for parcel in parcels.rev() {
                remote.bytes += parcel.bytes.len();
                remote.parcels.push_front(parcel);
            }
        }
    }

    /// The remote may have another turn, after the others.
    pub(crate) fn again(&mut self, to: DestHash) {
        match self.remotes.get(&to) {
            Some(remote) if remote.parcels.is_empty() => {
                self.remotes.remove(&to);
            }
            Some(_) => self.turns.push_back(to),
            None => {}
        }
    }

    /// The remote must wait for its lease set.
    pub(crate) fn look_up(&mut self, to: DestHash) {
        if let Some(remote) = self.remotes.get_mut(&to) {
            remote.held = Held::Looking;
        }
    }

    /// The remote must wait until `at`.
    pub(crate) fn wait(&mut self, to: DestHash, at: Mono) {
        if let Some(remote) = self.remotes.get_mut(&to) {
            remote.held = Held::Until;
            self.timers.set(to, at);
        }
    }

    /// Something about the remote has changed for the better: a lease set, an answer.
    pub(crate) fn release(&mut self, to: &DestHash) {
        if let Some(remote) = self.remotes.get_mut(to)
            && matches!(remote.held, Held::Looking | Held::Until | Held::Failed)
        {
            self.timers.cancel(to);
            remote.held = Held::No;
            self.turns.push_back(*to);
        }
    }

    /// Whether the remote waits for its lease set.
    pub(crate) fn is_looking(&self, to: &DestHash) -> bool {
        self.remotes.get(to).is_some_and(|r| r.held == Held::Looking)
    }

    /// The remote cannot be reached: what waits for it is dropped.
    pub(crate) fn fail(&mut self, now: Now, to: &DestHash, metrics: &DatagramMetrics) {
        let Some(remote) = self.remotes.get_mut(to) else { return };
        for parcel in remote.parcels.drain(..) {
            parcel.dropped(&metrics.datagrams_no_lease_set);
        }
        remote.bytes = 0;
        remote.held = Held::Failed;
        self.timers.set(*to, now.mono + FAILED_REST);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some(to) = self.timers.pop_due(now.mono) {
            self.release(&to);
        }
    }
}
