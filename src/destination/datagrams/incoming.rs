// SPDX-License-Identifier: MIT
//! Datagrams that arrive: to whom, from whom, and whether that is true.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::DatagramMetrics;
use super::replays::Replays;
use crate::base::{Counter, Now, Rng};
use crate::crypto::sha256;
use crate::crypto::sign::verify;
use crate::destination::datagram::{Datagram, DatagramSender, DatagramStyle};
use crate::destination::ports::{Bindings, Bound};
use crate::wire::datagram::{Datagram1, Datagram2, Datagram3};
use crate::wire::i2cp_gzip::{PROTOCOL_DATAGRAM1, Unwrapped};
use crate::wire::{DecodeError, DestHash, OfflineSignature, SigType};

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Malformed,
    Unsigned,
    Foreign,
    Replayed,
}

impl From<DecodeError> for Refused {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Incoming {
    local: DestHash,
    bindings: Arc<Bindings>,
    replays: Replays,
    /// How full the queue of the last datagram was.
    filled_percent: u32,
}

impl Incoming {
    pub(crate) fn new(local: DestHash, marks: usize, rng: &mut Rng) -> Self {
        Self { local, bindings: Arc::default(), replays: Replays::new(rng, marks), filled_percent: 0 }
    }

    pub(crate) fn set_bindings(&mut self, bindings: Arc<Bindings>) {
        self.bindings = bindings;
    }

    /// Takes a payload of any protocol but streaming. `session` is the sender as far as its garlic session proves it.
    pub(crate) fn handle(
        &mut self,
        now: Now,
        session: Option<DestHash>,
        unwrapped: Unwrapped<'_>,
        metrics: &DatagramMetrics,
    ) {
        let bindings = Arc::clone(&self.bindings);
        let Some(bound) = find(&bindings, unwrapped.protocol, unwrapped.ports.to) else {
            metrics.datagrams_unbound.inc();
            return;
        };
        let (protocol, ports) = (unwrapped.protocol, unwrapped.ports);
        let dropped = match self.read(now, session, bound.style, unwrapped.data) {
            Ok((from, payload)) => {
                let datagram = Datagram { from, from_port: ports.from, to_port: ports.to, protocol, payload };
                self.filled_percent = bound.filled_percent();
                if bound.deliver(datagram) {
                    metrics.datagrams_in.inc();
                    return;
                }
                &metrics.datagrams_in_full
            }
            Err(refused) => counter(metrics, refused),
        };
        dropped.inc();
        bound.counts.receive_dropped.inc();
    }

    /// How long acknowledgements should be held back for the sake of programs that are slow to take what came: the
    /// acknowledgements set the pace of a sender that goes by them, as ours does.
    pub(crate) fn ack_delay(&self) -> Duration {
        match self.filled_percent {
            0..10 => Duration::ZERO,
            filled => Duration::from_millis(u64::from(filled * filled) / 5),
        }
    }

    fn read(
        &mut self,
        now: Now,
        session: Option<DestHash>,
        style: DatagramStyle,
        data: Cow<'_, [u8]>,
    ) -> Result<(DatagramSender, Vec<u8>), Refused> {
        match style {
            DatagramStyle::Datagram1 => {
                let d = Datagram1::decode(&data)?;
                let key = (d.from.sig_type(), d.from.signing_key());
                let good = if d.from.sig_type() == SigType::DsaSha1 {
                    verify(key.0, key.1, &[&sha256(&[d.payload])], d.signature)
                } else {
                    verify(key.0, key.1, &[d.payload], d.signature)
                };
                good.map_err(|_| Refused::Unsigned)?;
                Ok((DatagramSender::Proven(d.from), d.payload.to_vec()))
            }
            DatagramStyle::Datagram2 => self.read_second(now, session, &data),
            DatagramStyle::Datagram3 => {
                let d = Datagram3::decode(&data)?;
                if session.is_some_and(|s| s != d.from) {
                    return Err(Refused::Foreign);
                }
                Ok((DatagramSender::Claimed(d.from), d.payload.to_vec()))
            }
            DatagramStyle::Raw => Ok((DatagramSender::Nobody, data.into_owned())),
        }
    }

    fn read_second(
        &mut self,
        now: Now,
        session: Option<DestHash>,
        data: &[u8],
    ) -> Result<(DatagramSender, Vec<u8>), Refused> {
        let d = Datagram2::decode(data)?;
        let (sig_type, key) = match &d.offline {
            None => (d.from.sig_type(), d.from.signing_key()),
            Some(offline) => {
                if !is_authorised(now, offline, d.from.sig_type(), d.from.signing_key()) {
                    return Err(Refused::Unsigned);
                }
                (offline.sig_type, offline.key.as_slice())
            }
        };
        let own_session = session == Some(d.from.hash());
        let by_rule = verify(sig_type, key, &[&self.local.0, d.signed], d.signature).is_ok();
        // i2pd (2025) signs its own hash in place of the receiver's. In its own session that does no harm.
        let like_i2pd =
            || own_session && verify(sig_type, key, &[&d.from.hash().0, d.signed], d.signature).is_ok();
        if !by_rule && !like_i2pd() {
            return Err(Refused::Unsigned);
        }
        // A session's messages cannot be played again, and in it the same words may well be said twice.
        if !own_session && !self.replays.insert(now.mono, mark(d.signature)) {
            return Err(Refused::Replayed);
        }
        Ok((DatagramSender::Proven(d.from), d.payload.to_vec()))
    }
}

/// The binding for a protocol and port.
fn find(bindings: &Bindings, protocol: u8, port: u16) -> Option<&Bound> {
    let table = &bindings.datagrams;
    let found = [(protocol, port), (protocol, 0), (0, port), (0, 0)].iter().find_map(|key| table.get(key));
    if found.is_some() || protocol != 0 {
        return found;
    }
    // Old programs leave the protocol out. Where there is but the first format, it can only be that.
    let lone = table.keys().all(|(protocol, _)| *protocol == PROTOCOL_DATAGRAM1);
    let mut keys = [(PROTOCOL_DATAGRAM1, port), (PROTOCOL_DATAGRAM1, 0)].into_iter();
    if lone { keys.find_map(|key| table.get(&key)) } else { None }
}

/// Whether the destination's key has authorised the transient one, and for now.
fn is_authorised(now: Now, offline: &OfflineSignature, by: SigType, key: &[u8]) -> bool {
    offline.expires_s > now.wall_s()
        && verify(by, key, &[&offline.signed_bytes()], &offline.signature).is_ok()
}

fn mark(signature: &[u8]) -> [u8; 16] {
    let digest = sha256(&[signature]);
    digest.first_chunk().copied().unwrap_or_default()
}

const fn counter(metrics: &DatagramMetrics, refused: Refused) -> &Counter {
    match refused {
        Refused::Malformed => &metrics.datagrams_malformed,
        Refused::Unsigned => &metrics.datagrams_unsigned,
        Refused::Foreign => &metrics.datagrams_foreign,
        Refused::Replayed => &metrics.datagrams_replayed,
    }
}
