// SPDX-License-Identifier: MIT
//! Listeners and datagram sockets of a session as the SAM bridge sees them.

use std::sync::Arc;

use super::sam_backend::{failure, incoming, target};
use crate::destination::{
    DatagramBinding, DatagramOptions, DatagramSender, DatagramSocket, DatagramStyle, Listener, Session,
    Target,
};
use crate::sam::{self, Boxed, Failure, ResultCode};

/// A listener behind the bridge.
struct BridgedListener(Arc<Listener>);

pub(super) fn listen(session: &Session, port: u16) -> Result<Arc<dyn sam::SamListener>, Failure> {
    let listener = session.listen(port).map_err(|e| failure(&e))?;
    Ok(Arc::new(BridgedListener(Arc::new(listener))))
}

impl sam::SamListener for BridgedListener {
    fn accept(&self) -> Boxed<'static, Result<sam::Incoming, Failure>> {
        let listener = Arc::clone(&self.0);
        Box::pin(async move { listener.accept().await.map(incoming).map_err(|e| failure(&e)) })
    }
}

/// A datagram socket behind the bridge.
struct BridgedDatagrams(Arc<DatagramSocket>);

pub(super) fn datagrams(
    session: &Session,
    binding: sam::Binding,
) -> Result<Arc<dyn sam::SamDatagrams>, Failure> {
    let style = style_of(binding.style)?;
    if style == DatagramStyle::Datagram1 && session.is_offline_signed() {
        let text = "STYLE=DATAGRAM cannot carry offline keys; take DATAGRAM2";
        return Err(Failure::new(ResultCode::I2pError, text));
    }
    let protocol = if style == DatagramStyle::Raw { binding.protocol } else { style.protocol() };
    let binding = DatagramBinding { style, protocol, port: binding.port };
    let socket = session.datagrams(binding).map_err(|e| failure(&e))?;
    Ok(Arc::new(BridgedDatagrams(Arc::new(socket))))
}

fn style_of(style: sam::Style) -> Result<DatagramStyle, Failure> {
    Ok(match style {
        sam::Style::Datagram => DatagramStyle::Datagram1,
        sam::Style::Datagram2 => DatagramStyle::Datagram2,
        sam::Style::Datagram3 => DatagramStyle::Datagram3,
        sam::Style::Raw => DatagramStyle::Raw,
        sam::Style::Stream | sam::Style::Primary => {
            return Err(Failure::new(ResultCode::I2pError, format!("{} has no datagrams", style.word())));
        }
    })
}

impl sam::SamDatagrams for BridgedDatagrams {
    fn send(&self, datagram: sam::OutDatagram) -> Boxed<'static, Result<(), Failure>> {
        let socket = Arc::clone(&self.0);
        let (to, payload, options) = parts(datagram);
        Box::pin(async move { socket.send_with(payload, to, options).await.map_err(|e| failure(&e)) })
    }

    fn try_send(&self, datagram: sam::OutDatagram) -> Result<(), Failure> {
        let (to, payload, options) = parts(datagram);
        self.0.try_send_with(payload, to, options).map_err(|e| failure(&e))
    }

    fn receive(&self) -> Boxed<'static, Result<sam::InDatagram, Failure>> {
        let socket = Arc::clone(&self.0);
        Box::pin(async move {
            let d = socket.recv().await.map_err(|e| failure(&e))?;
            let from = match d.from {
                DatagramSender::Proven(destination) => sam::Sender::Proven(destination),
                DatagramSender::Claimed(hash) => sam::Sender::Claimed(hash),
                DatagramSender::Nobody => sam::Sender::Nobody,
            };
            let (from_port, to_port, protocol) = (d.from_port, d.to_port, d.protocol);
            Ok(sam::InDatagram { from, from_port, to_port, protocol, payload: d.payload })
        })
    }

    fn counts(&self) -> sam::DatagramCounts {
        let counts = self.0.counts();
        sam::DatagramCounts {
            sent: counts.sent,
            send_dropped: counts.send_dropped,
            received: counts.received,
            receive_dropped: counts.receive_dropped,
        }
    }
}

fn parts(datagram: sam::OutDatagram) -> (Target, Vec<u8>, DatagramOptions) {
    let options = DatagramOptions {
        from_port: Some(datagram.from_port),
        to_port: datagram.to_port,
        protocol: Some(datagram.protocol),
        expires: datagram.expires,
        send_lease_set: datagram.send_lease_set,
    };
    (target(datagram.to), datagram.payload, options)
}
