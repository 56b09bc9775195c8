// SPDX-License-Identifier: MIT
//! A router that is none: destinations connect to each other within the process, without tunnels and delays.
//!
//! It lets the SAM bridge be tested by itself. Whoever includes this file provides `super::api` with the types of the
//! library. Session IDs that begin with these words choose a behaviour: `slow` (opens after 300 ms), `never` (never
//! opens), `broken` (cannot open), `mute` (its connects are never answered), `linger` (takes 300 ms to close), `full` (has
//! never room for a datagram).

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::api::{
    AnySigningKey, Backend, Binding, Boxed, BoxedStream, ConnectOptions, DatagramCounts, DestHash,
    Destination, Failure, InDatagram, Incoming, KeysAndCert, OutDatagram, Peer, PrivateKeys, ResultCode, Rng,
    RouterStatus, SamDatagrams, SamListener, SamSession, SamStream, Sender, SessionConfig, SessionStatus,
    SigType, Style,
};

/// Bytes in flight in one direction of a stream.
const PIPE: usize = 64 * 1024;
/// Peers that wait for an accept.
const BACKLOG: usize = 64;

/// Destinations that can reach each other; shared by all routers of a test.
#[derive(Clone, Default)]
pub struct Network {
    sessions: Arc<Mutex<BTreeMap<DestHash, Arc<Inner>>>>,
}

/// One router.
pub struct StandIn {
    network: Network,
    rng: Mutex<Rng>,
    /// The configurations that were asked for.
    pub seen: Mutex<Vec<SessionConfig>>,
}

impl StandIn {
    pub fn new(network: &Network, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            network: network.clone(),
            rng: Mutex::new(Rng::from_seed(seed)),
            seen: Mutex::default(),
        })
    }
}

struct Inner {
    name: String,
    destination: Destination,
    options: Vec<(String, String)>,
    /// Port 0 of a session for streams.
    own: Option<Arc<Listener>>,
    listeners: Mutex<BTreeMap<u16, mpsc::Sender<Incoming>>>,
    bindings: Mutex<BTreeMap<(u8, u16), Bound>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Backend for StandIn {
    fn open(&self, config: SessionConfig) -> Boxed<'_, Result<Arc<dyn SamSession>, Failure>> {
        self.seen.lock().unwrap().push(config.clone());
        Box::pin(async move {
            if config.name.starts_with("slow") {
                tokio::time::sleep(Duration::from_millis(300)).await;
            } else if config.name.starts_with("never") {
                std::future::pending::<()>().await;
            } else if config.name.starts_with("broken") {
                return Err(Failure::new(
                    ResultCode::I2pError,
                    "no \"tunnels\": asked 4 routers, none agreed",
                ));
            }
            let stop = CancellationToken::new();
            let mut listeners = BTreeMap::new();
            let own = (config.style == Style::Stream).then(|| {
                let (peers, waiting) = mpsc::channel(BACKLOG);
                listeners.insert(0, peers);
                let (stop, waiting) = (stop.clone(), Arc::new(tokio::sync::Mutex::new(waiting)));
                Arc::new(Listener { port: 0, inner: std::sync::Weak::new(), stop, waiting })
            });
            let inner = Arc::new(Inner {
                name: config.name,
                destination: config.keys.destination().clone(),
                options: config.lease_set.options,
                own,
                listeners: Mutex::new(listeners),
                bindings: Mutex::default(),
                stop,
                ended: CancellationToken::new(),
            });
            self.network.sessions.lock().unwrap().insert(inner.destination.hash(), inner.clone());
            Ok(Arc::new(Session { network: self.network.clone(), inner }) as Arc<dyn SamSession>)
        })
    }

    fn lookup(&self, hash: DestHash) -> Boxed<'_, Result<Destination, Failure>> {
        let found = self.network.sessions.lock().unwrap().get(&hash).map(|inner| inner.destination.clone());
        let missing = || Failure::new(ResultCode::KeyNotFound, "asked 3 floodfills, all answered");
        Box::pin(std::future::ready(found.ok_or_else(missing)))
    }

    fn lease_set_options(
        &self,
        destination: &Destination,
    ) -> Boxed<'_, Result<Vec<(String, String)>, Failure>> {
        let sessions = self.network.sessions.lock().unwrap();
        let known = sessions.get(&destination.hash()).map(|inner| inner.options.clone());
        Box::pin(std::future::ready(if let Some(options) = known.clone().filter(|o| !o.is_empty()) {
            Ok(options)
        } else if known.is_some() {
            let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            Ok(vec![pair("_http._tcp", "1 86400 0 0 80 x"), pair("a=b", "dropped"), pair("c", "a\nb")])
        } else {
            Err(Failure::new(ResultCode::LeaseSetNotFound, "not published"))
        }))
    }

    fn new_keys(&self, sig_type: SigType) -> Result<PrivateKeys, Failure> {
        let mut rng = self.rng.lock().unwrap();
        let signing = AnySigningKey::random(sig_type, &mut *rng)
            .ok_or_else(|| Failure::new(ResultCode::I2pError, String::new()))?;
        let keys = KeysAndCert::build(sig_type, signing.public(), 0, &[], rng.bytes());
        Ok(PrivateKeys::new(Destination::new(keys), &signing.to_bytes()).unwrap())
    }

    fn check_keys(&self, keys: &PrivateKeys) -> Result<(), Failure> {
        if keys.offline().is_some() {
            return Err(Failure::new(ResultCode::I2pError, "offline keys are not supported"));
        }
        let signing = AnySigningKey::from_bytes(keys.destination().sig_type(), keys.signing());
        match signing {
            Some(signing) if signing.public() == keys.destination().signing_key() => Ok(()),
            _ => Err(Failure::new(ResultCode::InvalidKey, "the private key belongs to another destination")),
        }
    }

    fn status(&self) -> RouterStatus {
        RouterStatus {
            known_routers: 5,
            uptime_s: 61,
            note: "a stand-in".to_owned(),
            ..RouterStatus::default()
        }
    }
}

/// Who takes the datagrams of a protocol and port.
struct Bound {
    raw: bool,
    queue: mpsc::Sender<InDatagram>,
}

impl Inner {
    fn queue_for(&self, protocol: u8, port: u16) -> Option<mpsc::Sender<InDatagram>> {
        let bindings = self.bindings.lock().unwrap();
        let of = |key: (u8, u16)| bindings.get(&key);
        let wild = |key: (u8, u16)| of(key).filter(|bound| bound.raw);
        let found = of((protocol, port)).or(of((protocol, 0))).or(wild((0, port))).or(wild((0, 0)));
        found.map(|bound| bound.queue.clone())
    }
}

/// The I2CP protocol of a style.
fn protocol_of(style: Style, raw: u8) -> u8 {
    match style {
        Style::Datagram => 17,
        Style::Datagram2 => 19,
        Style::Datagram3 => 20,
        _ => raw,
    }
}

struct Session {
    network: Network,
    inner: Arc<Inner>,
}

/// Takes the streams of a port.
struct Listener {
    port: u16,
    inner: std::sync::Weak<Inner>,
    stop: CancellationToken,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Incoming>>>,
}

impl SamListener for Listener {
    fn accept(&self) -> Boxed<'static, Result<Incoming, Failure>> {
        let (stop, waiting) = (self.stop.clone(), self.waiting.clone());
        Box::pin(async move {
            let ended = || Failure::new(ResultCode::I2pError, "the session has ended");
            let mut waiting = waiting.lock().await;
            tokio::select! { biased;
                () = stop.cancelled() => Err(ended()),
                incoming = waiting.recv() => incoming.ok_or_else(ended),
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.listeners.lock().unwrap().remove(&self.port);
        }
    }
}

/// Datagrams of one binding.
struct Datagrams {
    network: Network,
    inner: Arc<Inner>,
    key: (u8, u16),
    style: Style,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<InDatagram>>>,
    counts: Arc<Mutex<DatagramCounts>>,
}

impl SamDatagrams for Datagrams {
    fn send(&self, datagram: OutDatagram) -> Boxed<'static, Result<(), Failure>> {
        if self.inner.name.starts_with("full") {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(self.try_send(datagram)))
    }

    fn try_send(&self, datagram: OutDatagram) -> Result<(), Failure> {
        if self.inner.name.starts_with("full") {
            return Err(Failure::new(ResultCode::I2pError, "no room"));
        }
        let mine = &self.inner.destination;
        let from = match self.style {
            Style::Datagram | Style::Datagram2 => Sender::Proven(mine.clone()),
            Style::Datagram3 => Sender::Claimed(mine.hash()),
            _ => Sender::Nobody,
        };
        let protocol = protocol_of(self.style, datagram.protocol);
        let to = match datagram.to {
            Peer::Destination(destination) => destination.hash(),
            Peer::Hash(hash) => hash,
            #[allow(unreachable_patterns)]
            _ => return Ok(()),
        };
        self.counts.lock().unwrap().sent += 1;
        let target = self.network.sessions.lock().unwrap().get(&to).cloned();
        if let Some(queue) = target.and_then(|inner| inner.queue_for(protocol, datagram.to_port)) {
            let arrived = InDatagram {
                from,
                from_port: datagram.from_port,
                to_port: datagram.to_port,
                protocol,
                payload: datagram.payload,
            };
            let _ = queue.try_send(arrived);
        }
        Ok(())
    }

    fn receive(&self) -> Boxed<'static, Result<InDatagram, Failure>> {
        let (stop, waiting, counts) = (self.inner.stop.clone(), self.waiting.clone(), self.counts.clone());
        Box::pin(async move {
            let ended = || Failure::new(ResultCode::I2pError, "the session has ended");
            let mut waiting = waiting.lock().await;
            tokio::select! { biased;
                () = stop.cancelled() => Err(ended()),
                datagram = waiting.recv() => {
                    counts.lock().unwrap().received += 1;
                    datagram.ok_or_else(ended)
                }
            }
        })
    }

    fn counts(&self) -> DatagramCounts {
        *self.counts.lock().unwrap()
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.inner.bindings.lock().unwrap().remove(&self.key);
    }
}

impl Session {
    fn connect_to(
        &self,
        to: DestHash,
        options: ConnectOptions,
    ) -> Boxed<'static, Result<BoxedStream, Failure>> {
        if self.inner.name.starts_with("mute") {
            return Box::pin(std::future::pending());
        }
        let Some(target) = self.network.sessions.lock().unwrap().get(&to).cloned() else {
            let failure = Failure::new(ResultCode::CantReachPeer, "lease set not found: asked 3 floodfills");
            return Box::pin(std::future::ready(Err(failure)));
        };
        let (near, far) = pair();
        let incoming = Incoming {
            peer: self.inner.destination.clone(),
            from_port: options.from_port,
            to_port: options.to_port,
            stream: Box::new(far),
        };
        let listeners = target.listeners.lock().unwrap();
        let listener = listeners.get(&options.to_port).or_else(|| listeners.get(&0));
        Box::pin(std::future::ready(match listener.map(|peers| peers.try_send(incoming)) {
            Some(Ok(())) => Ok(Box::new(near) as BoxedStream),
            _ => Err(Failure::new(ResultCode::CantReachPeer, "the peer refused")),
        }))
    }
}

impl SamSession for Session {
    fn destination(&self) -> &Destination {
        &self.inner.destination
    }

    fn connect(&self, to: Peer, options: ConnectOptions) -> Boxed<'static, Result<BoxedStream, Failure>> {
        let hash = match to {
            Peer::Destination(destination) => destination.hash(),
            Peer::Hash(hash) => hash,
            // The enum grows; what is not known here is nobody.
            #[allow(unreachable_patterns)]
            _ => {
                return Box::pin(std::future::ready(Err(Failure::new(
                    ResultCode::CantReachPeer,
                    "unknown peer",
                ))));
            }
        };
        self.connect_to(hash, options)
    }

    fn accept(&self) -> Boxed<'static, Result<Incoming, Failure>> {
        match &self.inner.own {
            Some(own) => own.accept(),
            None => Box::pin(std::future::pending()),
        }
    }

    fn listen(&self, port: u16) -> Result<Arc<dyn SamListener>, Failure> {
        let mut listeners = self.inner.listeners.lock().unwrap();
        if listeners.contains_key(&port) {
            return Err(Failure::new(ResultCode::I2pError, format!("port {port} has a listener already")));
        }
        let (peers, waiting) = mpsc::channel(BACKLOG);
        listeners.insert(port, peers);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let (stop, inner) = (self.inner.stop.clone(), Arc::downgrade(&self.inner));
        Ok(Arc::new(Listener { port, inner, stop, waiting }))
    }

    fn datagrams(&self, binding: Binding) -> Result<Arc<dyn SamDatagrams>, Failure> {
        let key = (protocol_of(binding.style, binding.protocol), binding.port);
        let mut bindings = self.inner.bindings.lock().unwrap();
        if bindings.contains_key(&key) {
            return Err(Failure::new(ResultCode::I2pError, "protocol and port are taken"));
        }
        let (queue, waiting) = mpsc::channel(BACKLOG);
        bindings.insert(key, Bound { raw: binding.style == Style::Raw, queue });
        Ok(Arc::new(Datagrams {
            network: self.network.clone(),
            inner: self.inner.clone(),
            key,
            style: binding.style,
            waiting: Arc::new(tokio::sync::Mutex::new(waiting)),
            counts: Arc::default(),
        }))
    }

    fn close(&self) {
        if self.inner.stop.is_cancelled() {
            return;
        }
        self.inner.stop.cancel();
        self.network.sessions.lock().unwrap().remove(&self.inner.destination.hash());
        let (ended, slow) = (self.inner.ended.clone(), self.inner.name.starts_with("linger"));
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            if slow {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            ended.cancel();
        });
        task.detach_all();
    }

    fn closed(&self) -> Boxed<'static, ()> {
        let ended = self.inner.ended.clone();
        Box::pin(async move { ended.cancelled().await })
    }

    fn park(&self) -> Boxed<'static, ()> {
        let slow = self.inner.name.starts_with("linger");
        Box::pin(async move {
            if slow {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        })
    }

    fn resume(&self, _config: &SessionConfig) -> Boxed<'_, bool> {
        Box::pin(std::future::ready(!self.inner.stop.is_cancelled()))
    }

    fn status(&self) -> SessionStatus {
        SessionStatus { tunnels_in: 2, tunnels_out: 3, streams: 0 }
    }
}

/// One end of a stream.
pub struct End {
    pipe: Option<DuplexStream>,
    reset: CancellationToken,
}

/// Both ends of a stream.
pub fn pair() -> (End, End) {
    let (near, far) = tokio::io::duplex(PIPE);
    let reset = CancellationToken::new();
    (End { pipe: Some(near), reset: reset.clone() }, End { pipe: Some(far), reset })
}

impl SamStream for End {
    fn reset(&mut self) {
        self.reset.cancel();
        self.pipe = None;
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Some(pipe) = self.pipe.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let polled = Pin::new(pipe).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(())) if buf.filled().len() == before && self.reset.is_cancelled() => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            other => other,
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.pipe.as_mut() {
            Some(pipe) => Pin::new(pipe).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.pipe.as_mut() {
            Some(pipe) => Pin::new(pipe).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.pipe.as_mut() {
            Some(pipe) => Pin::new(pipe).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
