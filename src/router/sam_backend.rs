// SPDX-License-Identifier: MIT
//! The router as the SAM bridge sees it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::api::{Inner, Router};
use super::sam_ports;
use super::sam_status;
use crate::crypto::Secret32;
use crate::destination::{
    self, BlindedAccess, DestinationKeys, Encryption, Error, ErrorKind, I2pStream, LeaseSetOptions, Listener,
    Session, SessionConfig, StreamOptions, Target,
};
use crate::sam::{self, Backend, Boxed, BoxedStream, Failure, PrivateKeys, ResultCode, SamSession};
use crate::tunnel::{PoolConfig, PoolSide};
use crate::wire::{BlindedName, DestHash, Destination, SigType};

/// `i2p.streaming.profile` of programs that wait for every answer.
const INTERACTIVE: u8 = 2;

/// Java's option says when a silent stream is asked for a sign of life. Zero means never, a few seconds would flood.
fn keepalive(ms: u32) -> Duration {
    let asked = Duration::from_millis(ms.into());
    if asked.is_zero() { asked } else { asked.max(Duration::from_secs(20)) }
}

/// Holds the router weakly: the bridge is one of its tasks and must not keep it alive.
pub(super) struct SamBackend {
    pub(super) router: Weak<Inner>,
}

impl SamBackend {
    fn router(&self) -> Result<Router, Failure> {
        let stopped = || Failure::new(ResultCode::I2pError, "the router is stopping");
        self.router.upgrade().map(|inner| Router { inner }).ok_or_else(stopped)
    }
}

pub(super) fn failure(e: &Error) -> Failure {
    let code = match e.kind() {
        ErrorKind::InvalidTarget => ResultCode::InvalidKey,
        ErrorKind::NameNotFound => ResultCode::KeyNotFound,
        ErrorKind::LeaseSetNotFound | ErrorKind::Incompatible | ErrorKind::Refused | ErrorKind::Denied => {
            ResultCode::CantReachPeer
        }
        ErrorKind::Timeout => ResultCode::Timeout,
        ErrorKind::DuplicateDestination => ResultCode::DuplicatedDest,
        _ => ResultCode::I2pError,
    };
    Failure::new(code, e.explain())
}

/// Why a call failed: when nobody at all answers, that is the reason, and not the peer (K9).
fn call_failure(router: &Weak<Inner>, e: &Error) -> Failure {
    let nobody = matches!(e.kind(), ErrorKind::Timeout | ErrorKind::LeaseSetNotFound | ErrorKind::NoTunnels);
    let why = router
        .upgrade()
        .filter(|_| nobody)
        .and_then(|inner| inner.status.borrow().cut_off(inner.clock.now().mono));
    why.map_or_else(|| failure(e), |why| Failure::new(ResultCode::I2pError, why))
}

/// What `NAMING LOOKUP` says about options that were asked for.
fn options_answer(found: Result<LeaseSetOptions, Error>) -> Result<LeaseSetOptions, Failure> {
    match found {
        // Lease sets of the old kind have no options.
        Err(e) if e.kind() == ErrorKind::Incompatible => Ok(Vec::new()),
        other => other.map_err(|e| Failure::new(ResultCode::LeaseSetNotFound, e.explain())),
    }
}

impl Backend for SamBackend {
    fn open(&self, config: sam::SessionConfig) -> Boxed<'_, Result<Arc<dyn SamSession>, Failure>> {
        Box::pin(async move {
            let session_config = session_config(&config)?;
            let session = self.router()?.session(session_config).await.map_err(|e| failure(&e))?;
            let bridged = Bridged { session, streams: Mutex::default(), router: self.router.clone() };
            bridged.take_streams(config.style)?;
            Ok(Arc::new(bridged) as Arc<dyn SamSession>)
        })
    }

    fn spare(&self, wanted: &sam::SessionConfig) -> Option<(PrivateKeys, Arc<dyn SamSession>)> {
        let router = self.router().ok()?;
        let spare = router.inner.spares.get()?.take(wanted)?;
        let (session, router) = (spare.session, self.router.clone());
        let session = Arc::new(Bridged { session, streams: Mutex::default(), router });
        Some((spare.keys, session as Arc<dyn SamSession>))
    }

    fn lookup(&self, hash: DestHash) -> Boxed<'_, Result<Destination, Failure>> {
        Box::pin(async move {
            let router = self.router()?;
            // A destination proves by its hash that it is the right one, wherever it comes from.
            if let Some(known) = router.names().by_hash(hash).await {
                return Ok(known);
            }
            router.lookup(hash).await.map_err(|e| match e.kind() {
                ErrorKind::LeaseSetNotFound => Failure::new(ResultCode::KeyNotFound, e.explain()),
                _ => failure(&e),
            })
        })
    }

    fn lease_set_options(
        &self,
        destination: &Destination,
    ) -> Boxed<'_, Result<Vec<(String, String)>, Failure>> {
        let hash = destination.hash();
        Box::pin(async move { options_answer(self.router()?.lease_set_options(hash).await) })
    }

    fn lookup_blinded(&self, name: BlindedName) -> Boxed<'_, Result<Destination, Failure>> {
        Box::pin(async move { self.router()?.lookup_blinded(&name).await.map_err(|e| failure(&e)) })
    }

    fn resolve(&self, host: &str) -> Boxed<'_, Result<Destination, Failure>> {
        let host = host.to_owned();
        Box::pin(async move { self.router()?.names().lookup(&host).await.map_err(|e| failure(&e)) })
    }

    fn new_keys(&self, sig_type: SigType) -> Result<PrivateKeys, Failure> {
        let refused =
            || Failure::new(ResultCode::I2pError, format!("SIGNATURE_TYPE {} unsupported", sig_type.code()));
        let keys = self.router()?.new_keys(sig_type).ok_or_else(refused)?;
        PrivateKeys::from_base64(&keys.to_base64()).map_err(|_| refused())
    }

    fn check_keys(&self, keys: &PrivateKeys) -> Result<(), Failure> {
        let expires_s = keys_of(keys)?.expires_s();
        let now_s = self.router()?.inner.clock.now().wall_s();
        match expires_s.filter(|at| *at <= now_s) {
            Some(at) => {
                let explain = format!("the offline key ran out {} s ago", now_s - at);
                Err(Failure::new(ResultCode::InvalidKey, explain))
            }
            None => Ok(()),
        }
    }

    fn describe(&self, hash: DestHash) -> Boxed<'_, Vec<String>> {
        Box::pin(async move {
            let sessions = self.router().map(|router| router.sessions()).unwrap_or_default();
            let found = sessions.into_iter().find(|session| session.destination().hash() == hash);
            match found {
                Some(session) => session.status().await.map(|s| sam_status::lines(&s)).unwrap_or_default(),
                None => Vec::new(),
            }
        })
    }

    fn status(&self) -> sam::RouterStatus {
        let Ok(router) = self.router() else { return sam::RouterStatus::default() };
        let status = router.status().borrow().clone();
        sam::RouterStatus {
            known_routers: status.known.0,
            connected_routers: status.connected,
            own_tunnels: status.exploratory.0 + status.exploratory.1,
            transit_tunnels: status.transit,
            uptime_s: router.uptime().as_secs(),
            note: format!(
                "{:?}, {} floodfills known, {}{}",
                status.stage,
                status.known.1,
                if status.published { "published" } else { "not published" },
                status.disk.map_or_else(String::new, |problem| format!("; the disk refuses: {problem}"))
            ),
            memory: sam_status::memory(&router.inner.budget, router.inner.tasks.len()),
        }
    }
}

/// What the router is to open for a client.
pub(super) fn session_config(config: &sam::SessionConfig) -> Result<SessionConfig, Failure> {
    let keys = keys_of(&config.keys)?;
    let side = |t: &sam::TunnelOptions| PoolSide {
        length: t.length,
        variance: t.variance,
        quantity: t.quantity,
        backup: t.backup,
    };
    let usual = StreamOptions::default();
    let streams = StreamOptions {
        max_window: config.streaming.window_max.map_or(usual.max_window, u32::from),
        answer_pings: config.streaming.answer_pings.unwrap_or(usual.answer_pings),
        max_streams: config.streaming.concurrent_max.map_or(usual.max_streams, |n| n as usize),
        max_resends: config.streaming.resends_max.map_or(usual.max_resends, u32::from),
        max_message: config.streaming.message_size_max.unwrap_or(usual.max_message),
        keepalive: config.streaming.inactivity_timeout_ms.map_or(usual.keepalive, keepalive),
        interactive: config.streaming.profile == Some(INTERACTIVE),
        peer_limits: config.streaming.conns_max,
        total_limits: config.streaming.total_conns_max,
        limits_drop: config.streaming.limit_drops,
        ..usual
    };
    let mut session = SessionConfig::with_keys(keys).nickname(config.name.clone());
    session.tunnels = PoolConfig { inbound: side(&config.inbound), outbound: side(&config.outbound) };
    session.streams = streams;
    // Streams are listened for as long as there is a client, see `Bridged`.
    session.streams_by_listener = true;
    session.unpublished = !config.lease_set.publish;
    session.lease_set_options = config.lease_set.options.clone();
    let options = &config.lease_set.encrypted;
    session.encryption =
        options.publish.clone().map(|access| Encryption { secret: options.secret.clone(), access });
    let client_key = options.client_key.as_ref().map(Secret32::duplicate);
    session.blinded_access = BlindedAccess { secret: options.secret.clone(), client_key };
    Ok(session)
}

fn keys_of(keys: &PrivateKeys) -> Result<DestinationKeys, Failure> {
    if keys.destination().sig_type() == SigType::DsaSha1 {
        return Err(Failure::new(
            ResultCode::I2pError,
            "DSA_SHA1 keys are too weak to sign with; take SIGNATURE_TYPE 7",
        ));
    }
    DestinationKeys::from_base64(keys.to_base64())
        .map_err(|e| Failure::new(ResultCode::InvalidKey, e.to_string()))
}

/// One session behind the bridge.
struct Bridged {
    session: Session,
    /// Takes the streams of a STREAM session while it has a client.
    streams: Mutex<Option<Arc<Listener>>>,
    router: Weak<Inner>,
}

impl Bridged {
    fn streams(&self) -> MutexGuard<'_, Option<Arc<Listener>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take the streams that belong to the session itself.
    fn take_streams(&self, style: sam::Style) -> Result<(), Failure> {
        let listener = match style {
            sam::Style::Stream => Some(Arc::new(self.session.listen(0).map_err(|e| failure(&e))?)),
            _ => None,
        };
        *self.streams() = listener;
        Ok(())
    }

    fn dial(&self, to: Target, options: sam::ConnectOptions) -> Boxed<'static, Result<BoxedStream, Failure>> {
        let (session, router) = (self.session.clone(), self.router.clone());
        Box::pin(async move {
            let options = destination::ConnectOptions {
                from_port: options.from_port,
                to_port: options.to_port,
                timeout: Some(options.timeout.max(Duration::from_secs(1))),
            };
            let stream = session.connect_with(to, options).await.map_err(|e| call_failure(&router, &e))?;
            Ok(Box::new(BridgedStream(Some(stream))) as BoxedStream)
        })
    }
}

impl SamSession for Bridged {
    fn destination(&self) -> &Destination {
        self.session.destination()
    }

    fn connect(
        &self,
        to: sam::Peer,
        options: sam::ConnectOptions,
    ) -> Boxed<'static, Result<BoxedStream, Failure>> {
        self.dial(target(to), options)
    }

    fn blinded_name(&self) -> Option<BlindedName> {
        self.session.blinded_name()
    }

    fn lookup_blinded(&self, name: BlindedName) -> Boxed<'static, Result<Destination, Failure>> {
        let session = self.session.clone();
        Box::pin(async move { session.lookup_blinded(&name).await.map_err(|e| failure(&e)) })
    }

    fn blinded_options(
        &self,
        destination: &Destination,
    ) -> Boxed<'static, Result<Vec<(String, String)>, Failure>> {
        let (session, hash) = (self.session.clone(), destination.hash());
        Box::pin(async move { options_answer(session.lease_set_options(hash).await) })
    }

    fn accept(&self) -> Boxed<'static, Result<sam::Incoming, Failure>> {
        let Some(listener) = self.streams().clone() else {
            let refused = Failure::new(ResultCode::I2pError, "this session takes no streams");
            return Box::pin(std::future::ready(Err(refused)));
        };
        Box::pin(async move { listener.accept().await.map(incoming).map_err(|e| failure(&e)) })
    }

    fn listen(&self, port: u16) -> Result<Arc<dyn sam::SamListener>, Failure> {
        sam_ports::listen(&self.session, port)
    }

    fn datagrams(&self, binding: sam::Binding) -> Result<Arc<dyn sam::SamDatagrams>, Failure> {
        sam_ports::datagrams(&self.session, binding)
    }

    fn park(&self) -> Boxed<'static, ()> {
        *self.streams() = None;
        let session = self.session.clone();
        Box::pin(async move { session.drained().await })
    }

    fn resume(&self, config: &sam::SessionConfig) -> Boxed<'_, bool> {
        let config = config.clone();
        Box::pin(async move {
            let Ok(settings) = session_config(&config) else { return false };
            !self.session.is_closed()
                && settings.keys.as_ref().is_some_and(|keys| self.session.signs_as(keys))
                && self.session.adopt(settings).await.is_ok()
                && self.take_streams(config.style).is_ok()
        })
    }

    fn close(&self) {
        self.session.begin_close();
    }

    fn closed(&self) -> Boxed<'static, ()> {
        let session = self.session.clone();
        Box::pin(async move { session.closed().await })
    }

    fn status(&self) -> sam::SessionStatus {
        let (tunnels_in, tunnels_out, streams) = self.session.counts();
        sam::SessionStatus { tunnels_in, tunnels_out, streams }
    }
}

pub(super) fn target(peer: sam::Peer) -> Target {
    match peer {
        sam::Peer::Destination(destination) => Target::Destination(destination),
        sam::Peer::Hash(hash) => Target::Hash(hash),
        sam::Peer::Blinded(name) => Target::Blinded(name),
    }
}

pub(super) fn incoming(stream: I2pStream) -> sam::Incoming {
    sam::Incoming {
        peer: stream.peer().clone(),
        from_port: stream.remote_port(),
        to_port: stream.local_port(),
        stream: Box::new(BridgedStream(Some(stream))),
    }
}

/// A stream that can be reset in place: then nothing is left in it.
struct BridgedStream(Option<I2pStream>);

impl sam::SamStream for BridgedStream {
    fn reset(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.reset();
        }
    }
}

impl AsyncRead for BridgedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.0 {
            Some(stream) => Pin::new(stream).poll_read(cx, buf),
            None => Poll::Ready(Err(sam::reset_error())),
        }
    }
}

impl AsyncWrite for BridgedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.0 {
            Some(stream) => Pin::new(stream).poll_write(cx, buf),
            None => Poll::Ready(Err(sam::reset_error())),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(())), |s| Pin::new(s).poll_flush(cx))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(())), |s| Pin::new(s).poll_shutdown(cx))
    }
}
