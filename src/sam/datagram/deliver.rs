// SPDX-License-Identifier: MIT
//! From the router to the client: one task per session that carries datagrams.
//!
//! The router holds a bounded number of datagrams for a session and drops the newest beyond it. A client that does
//! not read its control socket therefore loses datagrams, and nothing else: this task waits for the socket,
//! the commands of the client are read and answered meanwhile, other sessions do not notice. Datagrams that do
//! not fit into one of UDP are dropped and counted.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::header::Form;
use crate::sam::backend::{InDatagram, SamDatagrams};
use crate::sam::command::Version;
use crate::sam::conn::Writer;
use crate::sam::options::{Style, raw_protocol};
use crate::sam::registry::Entry;
use crate::sam::server::Shared;

/// Most bytes in one datagram of UDP.
const UDP_MAX: usize = 65_507;
/// Larger buffers are not kept.
const KEEP_CAPACITY: usize = 4096;

/// Where datagrams go.
pub(in crate::sam) enum Outlet {
    /// From our datagram port to this address.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// To the control socket, between its answers.
    Control(Writer),
}

/// What the task needs.
pub(in crate::sam) struct Delivery {
    pub(in crate::sam) outlet: Outlet,
    pub(in crate::sam) source: Arc<dyn SamDatagrams>,
    pub(in crate::sam) entry: Arc<Entry>,
    pub(in crate::sam) version: Version,
    pub(in crate::sam) header: bool,
    pub(in crate::sam) shared: Arc<Shared>,
}

impl Delivery {
    /// Starts the task. It ends with the entry; the receiver tells when it has let go of everything.
    pub(in crate::sam) fn start(self) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        let tasks = self.shared.tasks.clone();
        tasks.spawn("sam_deliver", async move {
            self.run().await;
            drop(self);
            drop(done);
        });
        finished
    }

    async fn run(&self) {
        let form = Form {
            style: self.entry.style,
            version: self.version,
            control: matches!(self.outlet, Outlet::Control(_)),
            header: self.header,
        };
        let mut ended = std::pin::pin!(self.entry.ended.cancelled());
        let mut buffer = Vec::new();
        loop {
            let datagram = tokio::select! { biased;
                () = &mut ended => return,
                next = self.source.receive() => match next {
                    Ok(datagram) => datagram,
                    Err(_) => return,
                },
            };
            if !self.takes(&datagram) {
                self.shared.metrics.datagrams_dropped_format.inc();
                continue;
            }
            form.write(&datagram, &mut buffer);
            let delivered = tokio::select! { biased;
                () = &mut ended => return,
                delivered = self.write(&buffer) => delivered,
            };
            if !delivered {
                self.shared.metrics.datagrams_undelivered.inc();
                if matches!(self.outlet, Outlet::Control(_)) {
                    return;
                }
            }
            if buffer.capacity() > KEEP_CAPACITY {
                buffer = Vec::new();
            }
        }
    }

    /// A session for raw datagrams takes any protocol but those that have a format of their own: their bytes would
    /// pass for something they are not. Subsessions say themselves what they take.
    fn takes(&self, datagram: &InDatagram) -> bool {
        let alone = self.entry.style == Style::Raw && self.entry.primary.is_none();
        !alone || raw_protocol(datagram.protocol.into()).is_some()
    }

    async fn write(&self, bytes: &[u8]) -> bool {
        match &self.outlet {
            Outlet::Udp(socket, to) => bytes.len() <= UDP_MAX && socket.send_to(bytes, *to).await.is_ok(),
            Outlet::Control(writer) => writer.write_whole(bytes).await.is_ok(),
        }
    }
}
