// SPDX-License-Identifier: MIT
//! A client's socket as its connection uses it: alone, or with its writing half shared with the task that delivers
//! datagrams. Whoever writes has the half to himself until everything is written, so nothing is ever torn apart.

use std::io;
use std::sync::Arc;

use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::Mutex;

use crate::sam::socket::{self, Socket};

/// The socket, as long as it talks in lines.
pub(super) enum Link {
    /// All ours.
    Whole(Socket),
    /// Others write too.
    Shared(ReadHalf<Socket>, Writer),
    /// It has become a stream, or is closed.
    Gone,
}

/// The writing half; clones are the same.
#[derive(Clone)]
pub(in crate::sam) struct Writer(Arc<Mutex<WriteHalf<Socket>>>);

impl Writer {
    /// Writes everything, with nothing of anybody else in between.
    pub(in crate::sam) async fn write_whole(&self, bytes: &[u8]) -> io::Result<()> {
        socket::write_whole(&mut *self.0.lock().await, bytes).await
    }
}

impl Link {
    /// Reads once and hands over what came; the count 0 is the end. Safe to drop.
    pub(super) async fn read_some(&mut self, take: impl FnMut(&[u8])) -> io::Result<usize> {
        match self {
            Self::Whole(socket) => socket::read_some(socket, take).await,
            Self::Shared(read, _) => socket::read_some(read, take).await,
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes everything.
    pub(super) async fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Whole(socket) => socket.write_whole(bytes).await,
            Self::Shared(_, writer) => writer.write_whole(bytes).await,
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Lets others write as well.
    pub(super) fn share(&mut self) -> Option<Writer> {
        match std::mem::replace(self, Self::Gone) {
            Self::Whole(socket) => {
                let (read, write) = tokio::io::split(socket);
                let writer = Writer(Arc::new(Mutex::new(write)));
                *self = Self::Shared(read, writer.clone());
                Some(writer)
            }
            Self::Shared(read, writer) => {
                *self = Self::Shared(read, writer.clone());
                Some(writer)
            }
            Self::Gone => None,
        }
    }

    /// Gives the socket away, if nobody else holds a part of it.
    pub(super) fn take(&mut self) -> Option<Socket> {
        match std::mem::replace(self, Self::Gone) {
            Self::Whole(socket) => Some(socket),
            Self::Shared(read, writer) => {
                Arc::into_inner(writer.0).map(|write| read.unsplit(write.into_inner()))
            }
            Self::Gone => None,
        }
    }
}
