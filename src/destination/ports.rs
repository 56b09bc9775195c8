// SPDX-License-Identifier: MIT
//! Who takes what of a session: datagram bindings and stream listeners, by port.
//!
//! The handles write the table, the session's task reads it: one `watch` value, so a binding is made or refused at
//! once and holds for everything that arrives later. The way out for datagrams is here as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::datagram::{Datagram, DatagramCounts, DatagramStyle};
use super::{DatagramBinding, Error, ErrorKind, Limits};
use crate::base::watch;
use crate::base::{Budget, Counter, Part, Queue, QueueReceiver, QueueSender, Room, Share};
use crate::wire::DestHash;
use crate::wire::i2cp_gzip::Ports;
use std::time::Duration;

/// What a datagram costs besides its payload.
const ITEM_COST: usize = 256;
/// Datagram bindings and listeners of a session, each.
const BINDINGS_MAX: usize = 1024;

/// What a socket has counted. Its engine's side and its program's side share it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: Counter,
    pub(crate) send_dropped: Counter,
    pub(crate) received: Counter,
    pub(crate) receive_dropped: Counter,
}

impl Counts {
    pub(crate) fn snapshot(&self) -> DatagramCounts {
        DatagramCounts {
            sent: self.sent.get(),
            send_dropped: self.send_dropped.get(),
            received: self.received.get(),
            receive_dropped: self.receive_dropped.get(),
        }
    }
}

/// A datagram with its share of the queue it waits in.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) datagram: Datagram,
    _share: Share,
}

/// A binding as the engine sees it.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    id: u64,
    pub(crate) style: DatagramStyle,
    pub(crate) counts: Arc<Counts>,
    room: Room,
    deliver: QueueSender<Arrived>,
}

impl Bound {
    /// How full the program's queue is.
    pub(crate) fn filled_percent(&self) -> u32 {
        self.room.filled_percent()
    }

    /// Hands a datagram to the program; false if there is no room for it.
    pub(crate) fn deliver(&self, datagram: Datagram) -> bool {
        let Some(share) = self.room.try_take(datagram.payload.len() + ITEM_COST) else { return false };
        self.deliver.try_push(Arrived { datagram, _share: share }).is_ok()
    }
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    /// By protocol and port.
    pub(crate) datagrams: BTreeMap<(u8, u16), Bound>,
    /// Port and number of each registration.
    pub(crate) listeners: BTreeMap<u16, u64>,
    last_id: u64,
}

/// A datagram on its way out.
#[derive(Debug)]
pub(crate) struct OutDatagram {
    pub(crate) to: DestHash,
    pub(crate) style: DatagramStyle,
    pub(crate) protocol: u8,
    pub(crate) ports: Ports,
    pub(crate) payload: Vec<u8>,
    pub(crate) expires: Option<Duration>,
    pub(crate) send_lease_set: bool,
    pub(crate) counts: Arc<Counts>,
    pub(crate) share: Share,
}

/// The handles' side.
#[derive(Debug)]
pub(crate) struct PortsHandle {
    table: watch::Sender<Arc<Bindings>>,
    out: QueueSender<Box<OutDatagram>>,
    room: Room,
    budget: Budget,
    /// Bytes of datagrams that may wait for the program of a binding.
    in_bytes: u32,
}

/// The task's side.
#[derive(Debug)]
pub(crate) struct PortsTask {
    pub(crate) table: watch::Receiver<Arc<Bindings>>,
    pub(crate) out: QueueReceiver<Box<OutDatagram>>,
    room: Room,
}

impl Drop for PortsTask {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// Both sides of a new session's ports. What waits in them counts against `budget`.
pub(crate) fn ports(budget: &Budget, limits: &Limits) -> (PortsHandle, PortsTask) {
    let (table, seen) = watch::channel(Arc::default());
    // The room bounds the queue: it is as long as the smallest datagrams could make it.
    let (out, taken) = Queue::bounded("datagrams_out", limits.datagrams_out as usize / ITEM_COST);
    let room = Room::of(limits.datagrams_out, budget, Part::Datagrams);
    let handle =
        PortsHandle { table, out, room: room.clone(), budget: budget.clone(), in_bytes: limits.datagrams_in };
    (handle, PortsTask { table: seen, out: taken, room })
}

/// The program's side of a binding.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) key: (u8, u16),
    pub(crate) counts: Arc<Counts>,
    pub(crate) arrivals: QueueReceiver<Arrived>,
}

impl PortsHandle {
    /// Changes the table if `change` gives something.
    fn update<T>(&self, change: impl FnOnce(&mut Bindings) -> Result<T, Error>) -> Result<T, Error> {
        let mut result = None;
        self.table.send_if_modified(|table| {
            let mut new = (**table).clone();
            let answer = change(&mut new);
            let changed = answer.is_ok();
            if changed {
                *table = Arc::new(new);
            }
            result = Some(answer);
            changed
        });
        result.unwrap_or_else(|| Err(Error::closed()))
    }

    /// Binds datagrams.
    pub(crate) fn bind(&self, binding: DatagramBinding) -> Result<Taken, Error> {
        let key = binding.key().ok_or_else(|| {
            let text = format!("protocol {} is not for raw datagrams", binding.protocol);
            Error::new(ErrorKind::Config, text)
        })?;
        self.update(|table| {
            if table.datagrams.contains_key(&key) {
                let text = format!("duplicate protocol {} and port {}", key.0, key.1);
                return Err(Error::new(ErrorKind::PortTaken, text));
            }
            if table.datagrams.len() >= BINDINGS_MAX {
                return Err(Error::new(ErrorKind::Limit, format!("{BINDINGS_MAX} ports are bound")));
            }
            table.last_id += 1;
            let id = table.last_id;
            let counts = Arc::<Counts>::default();
            let (deliver, arrivals) = Queue::bounded("datagrams_in", self.in_bytes as usize / ITEM_COST);
            let room = Room::of(self.in_bytes, &self.budget, Part::Datagrams);
            let bound = Bound { id, style: binding.style, counts: counts.clone(), room, deliver };
            table.datagrams.insert(key, bound);
            Ok(Taken { id, key, counts, arrivals })
        })
    }

    /// Ends what [`Self::bind`] began.
    pub(crate) fn unbind(&self, key: (u8, u16), id: u64) {
        let _ = self.update(|table| match table.datagrams.get(&key) {
            Some(bound) if bound.id == id => Ok(table.datagrams.remove(&key)),
            _ => Err(Error::closed()),
        });
    }

    /// Registers a listener for streams; answers its number.
    pub(crate) fn listen(&self, port: u16) -> Result<u64, Error> {
        self.update(|table| {
            if table.listeners.contains_key(&port) {
                let text = format!("duplicate protocol 6 and port {port}");
                return Err(Error::new(ErrorKind::PortTaken, text));
            }
            if table.listeners.len() >= BINDINGS_MAX {
                return Err(Error::new(ErrorKind::Limit, format!("{BINDINGS_MAX} ports have listeners")));
            }
            table.last_id += 1;
            table.listeners.insert(port, table.last_id);
            Ok(table.last_id)
        })
    }

    /// Ends what [`Self::listen`] began.
    pub(crate) fn unlisten(&self, port: u16, id: u64) {
        let _ = self.update(|table| match table.listeners.get(&port) {
            Some(known) if *known == id => Ok(table.listeners.remove(&port)),
            _ => Err(Error::closed()),
        });
    }

    /// Waits for room for a payload of `len` bytes.
    pub(crate) async fn room(&self, len: usize) -> Result<Share, Error> {
        match self.room.take(len + ITEM_COST).await {
            Some(share) => Ok(share),
            None if self.room.is_closed() => Err(Error::closed()),
            None => Err(no_memory()),
        }
    }

    /// Room for a payload of `len` bytes, if there is any now.
    pub(crate) fn try_room(&self, len: usize) -> Result<Share, Error> {
        if self.room.is_closed() {
            return Err(Error::closed());
        }
        let full = || Error::new(ErrorKind::Limit, "too many datagrams wait to be sent");
        let none = || if self.room.is_affordable() { full() } else { no_memory() };
        self.room.try_take(len + ITEM_COST).ok_or_else(none)
    }

    /// Hands a datagram to the task.
    pub(crate) fn send(&self, datagram: OutDatagram) -> Result<(), Error> {
        self.out.try_push(Box::new(datagram)).map_err(|_| Error::closed())
    }
}

fn no_memory() -> Error {
    Error::new(ErrorKind::Limit, "the router is short of memory; `memory-max` bounds it")
}
