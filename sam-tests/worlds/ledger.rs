// SPDX-License-Identifier: MIT
//! The books of streams: what each end wrote, read and knows, compared with the other end.
//!
//! A talk is one stream. The caller sends a header (which talk, how much each way), then its bytes, then its end; the
//! called end sends its bytes, reads everything, and only then ends its own direction. So an orderly end at the
//! caller proves that everything arrived both ways.
//!
//! Rules that hold in every world, whatever happens to the network:
//! 1. What an end reads is what belongs to that place of that stream: no byte lost, doubled or moved.
//! 2. Nothing is read that was not written; an orderly end comes behind the last byte and nowhere else.
//! 3. A caller that saw an orderly end was right: the called end has everything.
//! 4. A talk may fail, but then both ends hear of it within [`KNOWN_AFTER`]. The one that spoke last cannot know
//!    whether it was heard: a called end that is through may have a caller that failed.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use samovar::destination::{I2pStream, Session};
use samovar::sim::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::content;

/// How long an end may take to notice that its stream is dead: idle time, then a question without answers.
pub(crate) const KNOWN_AFTER: Duration = Duration::from_secs(300);
/// Most pieces of a talk that takes its time, unless its bytes need more.
const PIECES_MAX: u64 = 32;
/// Largest piece that is written at once.
const PIECE: u64 = 16 * 1024;
/// Mark, number, bytes up, bytes down, milliseconds for the bytes down.
const HEADER: usize = 16 + 4 * 8;

/// What a talk shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    /// Bytes from the caller.
    pub(crate) up: u64,
    /// Bytes to the caller.
    pub(crate) down: u64,
    /// Time over which they are spread.
    pub(crate) over: Duration,
}

impl Talk {
    /// So many bytes each way, as fast as can be.
    pub(crate) const fn of(up: u64, down: u64) -> Self {
        Self { up, down, over: Duration::ZERO }
    }

    /// The same spread over a while.
    pub(crate) const fn over(self, over: Duration) -> Self {
        Self { over, ..self }
    }
}

/// How an end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Wrote and read everything, up to the other's orderly end.
    Through,
    Failed(io::ErrorKind),
}

/// What one end knows.
#[derive(Clone, Copy, Debug)]
struct Side {
    wrote: u64,
    read: u64,
    end: End,
}

const FRESH: Side = Side { wrote: 0, read: 0, end: End::Open };

/// One talk.
#[derive(Clone, Debug)]
struct Entry {
    talk: Talk,
    /// Where it happens, for messages.
    what: String,
    caller: Side,
    /// None until its header has arrived.
    called: Option<Side>,
}

#[derive(Default)]
struct Books {
    talks: Vec<Entry>,
    wrong: Vec<String>,
    /// Streams that ended before their header was there, and how many are still waited at.
    headless: u64,
    waiting: usize,
}

/// The books of a world. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ledger {
    world: World,
    books: Arc<Mutex<Books>>,
}

/// What has become of the talks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) talks: usize,
    /// Callers that saw the orderly end.
    pub(crate) through: usize,
    pub(crate) failed: usize,
    pub(crate) open: usize,
    /// Content that was read, both ways.
    pub(crate) bytes: u64,
}

impl Ledger {
    pub(crate) fn new(world: &World) -> Self {
        world.secret(&content::MARK);
        Self { world: world.clone(), books: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self, what: String) {
        self.lock().wrong.push(format!("at {:?}: {what}", self.world.now()));
    }

    /// Takes every stream that comes to this session, to the session's end.
    pub(crate) fn serve(&self, session: &Session) {
        let (ledger, session) = (self.clone(), session.clone());
        self.world.spawn(async move {
            while let Ok(incoming) = session.accept().await {
                let own = ledger.clone();
                ledger.world.spawn(async move { own.answer(incoming.stream).await });
            }
        });
    }

    /// Calls and talks, beside the scenario. Answers the talk's number.
    pub(crate) fn call(&self, from: &Session, to: &Session, talk: Talk) -> usize {
        let id = {
            let mut books = self.lock();
            let what = format!("{} to {}", from.nickname(), to.nickname());
            books.talks.push(Entry { talk, what, caller: FRESH, called: None });
            books.talks.len() - 1
        };
        let (ledger, from, target) = (self.clone(), from.clone(), to.destination().clone());
        self.world.spawn(async move {
            match from.connect(target).await {
                Ok(stream) => ledger.talk(id, stream, talk).await,
                Err(error) => {
                    tracing::debug!(id, %error, "no stream");
                    ledger.end(id, true, End::Failed(io::ErrorKind::NotConnected));
                }
            }
        });
        id
    }

    /// The caller's end.
    async fn talk(&self, id: usize, mut stream: I2pStream, talk: Talk) {
        let mut header = content::MARK.to_vec();
        for n in [id as u64, talk.up, talk.down, talk.over.as_millis() as u64] {
            header.extend_from_slice(&n.to_be_bytes());
        }
        let done = match stream.write_all(&header).await {
            Ok(()) => self.both_ways(id, true, stream, talk).await,
            Err(error) => Err(error),
        };
        self.end(id, true, done.err().map_or(End::Through, |e| End::Failed(e.kind())));
    }

    /// The called end.
    async fn answer(&self, mut stream: I2pStream) {
        let mut header = [0; HEADER];
        self.lock().waiting += 1;
        let got = stream.read_exact(&mut header).await;
        let Some((id, talk)) = self.arrived(got.is_ok(), &header) else { return };
        let done = self.both_ways(id, false, stream, talk).await;
        self.end(id, false, done.err().map_or(End::Through, |e| End::Failed(e.kind())));
    }

    /// Finds the talk that a header names.
    fn arrived(&self, whole: bool, header: &[u8; HEADER]) -> Option<(usize, Talk)> {
        let mut books = self.lock();
        books.waiting -= 1;
        if !whole {
            books.headless += 1;
            return None;
        }
        let (mark, numbers) = header.split_at(16);
        let n: Vec<u64> =
            numbers.chunks(8).map(|n| u64::from_be_bytes(n.try_into().expect("eight"))).collect();
        let (id, talk) = (n[0] as usize, Talk::of(n[1], n[2]).over(Duration::from_millis(n[3])));
        let same = |t: Talk| (t.up, t.down) == (talk.up, talk.down) && mark == content::MARK;
        match books.talks.get_mut(id).filter(|entry| same(entry.talk)) {
            None => books.wrong.push(format!("a header that nobody wrote: {header:?}")),
            Some(entry) if entry.called.is_some() => books.wrong.push(format!("talk {id} arrived twice")),
            Some(entry) => {
                entry.called = Some(FRESH);
                return Some((id, talk));
            }
        }
        None
    }

    /// Writes and reads side by side. The first error of either ends both, as in a program.
    async fn both_ways(&self, id: usize, caller: bool, stream: I2pStream, talk: Talk) -> io::Result<()> {
        let (mut reader, mut writer) = stream.into_split();
        let (own, theirs) = if caller { (talk.up, talk.down) } else { (talk.down, talk.up) };
        let key = |up: bool| self.world.seed() << 32 ^ (id as u64) << 1 ^ u64::from(up);
        let all_read = tokio::sync::Notify::new();
        let write = async {
            // One in four seconds, and few: worlds are there to see what happens, not to be busy.
            let spread = (talk.over.as_secs() / 4).min(PIECES_MAX);
            let pieces = own.div_ceil(PIECE).max(spread).max(1);
            let (size, pause) = (own.div_ceil(pieces), talk.over / u32::try_from(pieces).expect("few"));
            let mut at = 0;
            while at < own {
                let piece = content::bytes(key(caller), at, size.min(own - at) as usize);
                // Counted before it is handed over: the other end may be quicker than we are.
                at += piece.len() as u64;
                self.side(id, caller, |side| side.wrote = at);
                writer.write_all(&piece).await?;
                if !pause.is_zero() {
                    self.world.sleep(pause).await;
                }
            }
            if !caller {
                all_read.notified().await;
            }
            writer.shutdown().await
        };
        let read = async {
            let (mut at, mut buffer) = (0, vec![0; 8192]);
            loop {
                let n = reader.read(&mut buffer).await?;
                if n == 0 {
                    break;
                }
                if let Some(place) = content::first_wrong(key(!caller), at, &buffer[..n]) {
                    self.wrong(format!(
                        "talk {id}: byte {place} of {theirs} is wrong (caller reads: {caller})"
                    ));
                    return Err(io::ErrorKind::InvalidData.into());
                }
                at += n as u64;
                self.side(id, caller, |side| side.read = at);
            }
            if at != theirs {
                self.wrong(format!(
                    "talk {id}: ended in order at byte {at} of {theirs} (caller reads: {caller})"
                ));
            }
            all_read.notify_one();
            Ok(())
        };
        tokio::try_join!(write, read).map(|_| ())
    }

    fn side(&self, id: usize, caller: bool, change: impl FnOnce(&mut Side)) {
        let mut books = self.lock();
        let Some(entry) = books.talks.get_mut(id) else { return };
        if caller {
            change(&mut entry.caller);
        } else if let Some(called) = &mut entry.called {
            change(called);
        }
    }

    fn end(&self, id: usize, caller: bool, end: End) {
        tracing::debug!(id, caller, ?end, "talk");
        self.side(id, caller, |side| side.end = end);
        self.world.note("talk", id as u64, [u64::from(caller), u64::from(end == End::Through), 0]);
    }

    /// Where everything stands.
    pub(crate) fn tally(&self) -> Tally {
        let books = self.lock();
        let mut tally = Tally { talks: books.talks.len(), ..Tally::default() };
        for entry in &books.talks {
            match entry.caller.end {
                End::Open => tally.open += 1,
                End::Through => tally.through += 1,
                End::Failed(_) => tally.failed += 1,
            }
            tally.bytes += entry.caller.read + entry.called.map_or(0, |s| s.read);
        }
        tally
    }

    /// Why talks failed, for messages.
    pub(crate) fn failures(&self) -> Vec<String> {
        let books = self.lock();
        let failed = books.talks.iter().enumerate().filter(|(_, e)| matches!(e.caller.end, End::Failed(_)));
        failed.map(|(id, e)| format!("talk {id}, {}: {:?}, {:?}", e.what, e.caller, e.called)).collect()
    }

    /// These must be through.
    pub(crate) fn must(&self, talks: &[usize], what: &str) {
        let books = self.lock();
        for id in talks {
            let entry = &books.talks[*id];
            let (near, far) = (entry.caller, entry.called);
            assert!(near.end == End::Through, "{what}: talk {id}, {}: {near:?}, {far:?}", entry.what);
        }
    }

    /// Waits until every end has ended, for so long at most, and checks the books. What is open then does not know
    /// that it is dead.
    pub(crate) async fn settle(&self, limit: Duration) -> Tally {
        self.world.wait_for(limit, || self.open().is_empty()).await;
        let open = self.open();
        assert!(open.is_empty(), "ends that know nothing after {limit:?}: {open:?}");
        self.check();
        self.tally()
    }

    fn open(&self) -> Vec<String> {
        let books = self.lock();
        let mut open = Vec::new();
        for (id, entry) in books.talks.iter().enumerate() {
            let called = entry.called.is_some_and(|s| s.end == End::Open);
            if entry.caller.end == End::Open || called {
                open.push(format!("talk {id}, {}: {:?}, {:?}", entry.what, entry.caller, entry.called));
            }
        }
        if books.waiting > 0 {
            open.push(format!("{} streams without their header", books.waiting));
        }
        open
    }

    /// Checks the rules as far as they can be by now.
    pub(crate) fn check(&self) {
        let books = self.lock();
        assert!(books.wrong.is_empty(), "streams: {}", books.wrong.join("; "));
        for (id, entry) in books.talks.iter().enumerate() {
            let (near, far) = (entry.caller, entry.called.unwrap_or(FRESH));
            let say =
                || format!("talk {id}, {}: caller {near:?}, called {far:?}, {:?}", entry.what, entry.talk);
            assert!(
                near.read <= far.wrote && far.read <= near.wrote,
                "read more than was written: {}",
                say()
            );
            if near.end == End::Through {
                let all = near.read == entry.talk.down && far.read == entry.talk.up;
                assert!(all, "an orderly end before everything had arrived: {}", say());
            }
            if far.end == End::Through {
                assert_eq!(far.read, entry.talk.up, "{}", say());
            }
        }
    }
}
