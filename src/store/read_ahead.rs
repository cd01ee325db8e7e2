//! Fetching before it is asked for: pieces of an object, or whatever else comes in an order, while the one before is used.
//!
//! One budget of bytes for all that a process holds in advance. What a reader waits for, and the one behind it, is always
//! fetched; what lies further ahead, and the files that nobody reads yet, only while the budget has room: so nothing can
//! wait for ever, a reader never waits while it could fetch, and memory is the budget and two items a reader.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::{Buf, Bytes};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, coalesce_ranges};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::bucket::told;
use super::tags::Check;

/// Bytes of one request.
pub(super) const PIECE: u64 = 8 * 1024 * 1024;

/// A gap between two wanted ranges that is fetched too, and the size of an object that is fetched whole: at 20 ms a request
/// and 50 MB/s, these bytes cost no more than another request.
pub const GAP: u64 = 1024 * 1024;

/// Pieces of one object that are under way or ready, besides the one that is read.
const PIECES_AHEAD: usize = 4;

/// Bytes that a process holds in advance: a second of a fast network. Less where that is not a small part of its memory.
const BUDGET: u64 = 128 * 1024 * 1024;

/// The part of the memory that may be held in advance at most.
const SHARE: u64 = 8;

static OF_PROCESS: LazyLock<Arc<Budget>> = LazyLock::new(|| Arc::new(Budget::new(BUDGET)));

/// How many bytes may be held before somebody asks for them.
#[derive(Debug)]
pub struct Budget {
    room: Arc<Semaphore>,
    /// In units of the semaphore.
    total: AtomicU32,
    held: AtomicU64,
    peak: AtomicU64,
}

/// Room in a budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    bytes: u64,
    /// None where a reader waited and the budget had none.
    _permit: Option<OwnedSemaphorePermit>,
}

/// What a semaphore counts: bytes would not fit its permits.
const UNIT: u64 = 1024;

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1)
}

/// What a process with so much memory may hold in advance. One piece goes on whatever the budget is, so that little memory
/// makes a scan slower, and stops none.
fn share_of(memory: u64) -> u64 {
    (memory / SHARE).min(BUDGET)
}

impl Budget {
    /// A budget of some bytes.
    pub fn new(bytes: u64) -> Self {
        let total = units(bytes);
        Self {
            room: Arc::new(Semaphore::new(total as usize)),
            total: AtomicU32::new(total),
            held: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    /// The one that all tables of a process share: a process is one run.
    pub fn of_process() -> Arc<Self> {
        Arc::clone(&OF_PROCESS)
    }

    /// Makes it what a process with so much memory may hold in advance. What is held already is given back as it is used.
    pub fn fit(&self, memory: u64) {
        let total = units(share_of(memory));
        let before = self.total.swap(total, Ordering::Relaxed);
        if total >= before {
            self.room.add_permits((total - before) as usize);
        } else {
            self.room.forget_permits((before - total) as usize);
        }
    }

    /// The most bytes that were held at a time.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Bytes that are held now.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Waits for room. What is larger than the budget takes all of it.
    async fn room(self: &Arc<Self>, bytes: u64) -> Room {
        let wanted = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let total = self.total.load(Ordering::Relaxed);
        let permit = Arc::clone(&self.room).acquire_many_owned(wanted.min(total));
        // The semaphore is never closed.
        self.take(bytes, permit.await.ok())
    }

    fn take(self: &Arc<Self>, bytes: u64, permit: Option<OwnedSemaphorePermit>) -> Room {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
        Room {
            budget: Arc::clone(self),
            bytes,
            _permit: permit,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Ends everything that was started with its [`Stop`] when it is dropped.
#[derive(Debug)]
pub struct Stopper(watch::Sender<()>);

/// Says whether the work is still wanted.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<()>);

impl Stopper {
    /// For work that is wanted as long as this lives.
    pub fn new() -> Self {
        Self(watch::channel(()).0)
    }

    /// What tells the work.
    pub fn stop(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Default for Stopper {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Whether nobody wants the result any more.
    pub fn is_stopped(&self) -> bool {
        self.0.has_changed().is_err()
    }

    async fn stopped(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// What reading needs besides the object: how much may be held in advance, and for how long it is wanted.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Of all readers together.
    pub budget: Arc<Budget>,
    /// Of this pass.
    pub stop: Stop,
}

/// A task that ends with its handle.
#[derive(Debug)]
struct Running<T>(JoinHandle<object_store::Result<Fetched<T>>>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Something that was fetched, and the room it takes until it is dropped.
#[derive(Debug)]
pub struct Fetched<T> {
    /// What came.
    pub value: T,
    _room: Room,
}

/// Jobs that are carried out ahead of their use, and used in their order.
#[derive(Debug)]
pub struct Ahead<T> {
    started: mpsc::Receiver<Running<T>>,
    /// How many were asked for.
    wanted: watch::Sender<u64>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts jobs, each with the bytes it will hold; at most so many besides the one in use. Must be called on the async
    /// runtime. Dropping it, or the stopper, ends what is under way.
    pub fn start<J, F>(
        reading: Reading,
        jobs: impl Iterator<Item = (u64, J)> + Send + 'static,
        at_once: usize,
        fetch: impl Fn(J) -> F + Send + 'static,
    ) -> Self
    where
        J: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (sender, started) = mpsc::channel(at_once.max(1));
        let (wanted, mut asked) = watch::channel(0_u64);
        let start = async move {
            for (index, (bytes, job)) in (1..).zip(jobs) {
                let Ok(place) = sender.reserve().await else {
                    return;
                };
                let room = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    room = reading.budget.room(bytes) => room,
                    is_asked = asked.wait_for(|asked| *asked > 0 && *asked + 1 >= index) => match is_asked {
                        Ok(_) => reading.budget.take(bytes, None),
                        Err(_) => return,
                    },
                };
                let (fetch, stop) = (fetch(job), reading.stop.clone());
                place.send(Running(tokio::spawn(async move {
                    tokio::select! {
                        fetched = fetch => fetched.map(|value| Fetched { value, _room: room }),
                        () = stop.stopped() => Err(failed("nobody waits for it any more")),
                    }
                })));
            }
        };
        tokio::spawn(start);
        Self { started, wanted }
    }

    /// The next one. The one before should be dropped by now.
    pub async fn next(&mut self) -> Option<object_store::Result<Fetched<T>>> {
        self.wanted.send_modify(|wanted| *wanted += 1);
        let mut running = self.started.recv().await?;
        let ended = (&mut running.0).await;
        Some(ended.unwrap_or_else(|error| Err(failed(&error.to_string()))))
    }
}

fn failed(why: &str) -> object_store::Error {
    object_store::Error::Generic {
        store: "bucket",
        source: why.into(),
    }
}

/// One range of the version of an object that a listing saw.
pub(super) async fn range(
    store: &dyn ObjectStore,
    path: &Path,
    e_tag: Option<&str>,
    range: Range<u64>,
) -> object_store::Result<Bytes> {
    let expected = range.end - range.start;
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        if_match: e_tag.map(str::to_owned),
        ..GetOptions::default()
    };
    let fetch = async { store.get_opts(path, options).await?.bytes().await };
    let bytes = fetch.await.map_err(|error| failed(&told(&error)))?;
    if bytes.len() as u64 != expected {
        return Err(failed(&format!(
            "{} bytes came where {expected} were asked for",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// Ranges of that version: near ones as one, large ones in pieces, several at a time.
pub(super) async fn ranges(
    store: &dyn ObjectStore,
    path: &Path,
    e_tag: Option<&str>,
    wanted: &[Range<u64>],
) -> object_store::Result<Vec<Bytes>> {
    let fetch = |merged: Range<u64>| {
        async move {
            let mut pieces = futures::stream::iter(pieces(merged.clone()))
                .map(|piece| range(store, path, e_tag, piece).boxed())
                .buffered(PIECES_AHEAD);
            let first = pieces.next().await.unwrap_or(Ok(Bytes::new()))?;
            if first.len() as u64 == merged.end - merged.start {
                return Ok(first);
            }
            let length = usize::try_from(merged.end - merged.start).unwrap_or(0);
            let mut whole = Vec::with_capacity(length);
            whole.extend_from_slice(&first);
            while let Some(piece) = pieces.next().await {
                whole.extend_from_slice(&piece?);
            }
            Ok(Bytes::from(whole))
        }
        .boxed()
    };
    coalesce_ranges(wanted, fetch, GAP).await
}

/// A range in pieces of at most [`PIECE`].
fn pieces(whole: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send {
    let step = usize::try_from(PIECE).unwrap_or(usize::MAX);
    let end = whole.end;
    whole
        .step_by(step)
        .map(move |start| start..end.min(start + PIECE))
}

/// An object as a blocking reader. Pieces, because one long answer would time out when its reader is slow, and because
/// each is tried again by itself.
pub(super) struct ReadAhead {
    pieces: Ahead<Bytes>,
    piece: Option<Fetched<Bytes>>,
    check: Option<Check>,
    /// Nothing is read behind a piece that did not come.
    failed: Option<String>,
}

impl ReadAhead {
    /// Starts to fetch an object of a size. Must be called on the async runtime, and read off it.
    pub(super) fn start(
        store: Arc<dyn ObjectStore>,
        path: Path,
        e_tag: Option<String>,
        size: u64,
        reading: Reading,
        check: Option<Check>,
    ) -> Self {
        let jobs = pieces(0..size).map(|piece| (piece.end - piece.start, piece));
        let fetch = move |piece| {
            let (store, path, e_tag) = (Arc::clone(&store), path.clone(), e_tag.clone());
            async move { range(store.as_ref(), &path, e_tag.as_deref(), piece).await }
        };
        Self {
            pieces: Ahead::start(reading, jobs, PIECES_AHEAD, fetch),
            piece: None,
            check,
            failed: None,
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(why) = &self.failed {
            return Err(io::Error::other(why.clone()));
        }
        loop {
            if let Some(piece) = &mut self.piece
                && !piece.value.is_empty()
            {
                let length = buffer.len().min(piece.value.len());
                piece.value.copy_to_slice(&mut buffer[..length]);
                return Ok(length);
            }
            self.piece = None;
            match futures::executor::block_on(self.pieces.next()) {
                None => return Ok(0),
                Some(Ok(piece)) => {
                    let check = self.check.as_mut();
                    if check.is_some_and(|check| !check.takes(&piece.value)) {
                        let why = "its bytes are not those of its tag";
                        self.failed = Some(why.to_owned());
                        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                    }
                    self.piece = Some(piece);
                }
                Some(Err(error)) => {
                    self.failed = Some(error.to_string());
                    return Err(io::Error::other(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use tokio::runtime::Runtime;

    use super::*;

    const SIZE: usize = 200 << 20;

    /// A store with an object of 200 MB that says where each of its bytes is.
    fn store(runtime: &Runtime) -> (Arc<dyn ObjectStore>, Path) {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("long"));
        let mut bytes = Vec::with_capacity(SIZE);
        for word in 0..SIZE as u64 / 8 {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        runtime.block_on(store.put(&path, bytes.into())).unwrap();
        (store, path)
    }

    #[test]
    fn many_readers_share_a_budget_and_none_waits_for_ever() {
        let runtime = Runtime::new().unwrap();
        let (store, path) = store(&runtime);
        let budget = Arc::new(Budget::new(20 << 20));
        let stopper = Stopper::new();
        let reading = Reading {
            budget: Arc::clone(&budget),
            stop: stopper.stop(),
        };
        let start = || {
            let _guard = runtime.enter();
            ReadAhead::start(
                Arc::clone(&store),
                path.clone(),
                None,
                SIZE as u64,
                reading.clone(),
                None,
            )
        };
        // They fill the budget, and are read last.
        let readers: Vec<_> = (0..6).map(|_| start()).collect();
        let mut seen = vec![0; 1 << 16];
        for mut reader in readers.into_iter().rev() {
            let mut at = 0_usize;
            loop {
                let length = reader.read(&mut seen).unwrap();
                if length == 0 {
                    break;
                }
                let word = at / 8 * 8;
                if at.is_multiple_of(8) && length >= 8 {
                    assert_eq!(seen[..8], (word as u64 / 8).to_le_bytes());
                }
                at += length;
            }
            assert_eq!(at, SIZE);
        }
        // The budget, and of the one that is read its piece and the next.
        assert!(budget.peak() <= (20 << 20) + 2 * PIECE, "{}", budget.peak());
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn little_memory_makes_the_budget_small() {
        let mebi = |count: u64| count << 20;
        for (memory, expected) in [(2048, 128), (1024, 128), (512, 64), (64, 8), (16, 2)] {
            assert_eq!(share_of(mebi(memory)), mebi(expected), "{memory}");
        }
        let budget = Budget::new(BUDGET);
        for (memory, expected) in [(512, 64), (64, 8), (2048, 128)] {
            budget.fit(mebi(memory));
            let room = budget.room.available_permits() as u64 * UNIT;
            assert_eq!(room, mebi(expected));
        }
    }

    #[test]
    fn a_reader_that_is_dropped_or_stopped_holds_nothing() {
        let runtime = Runtime::new().unwrap();
        let (store, path) = store(&runtime);
        let budget = Arc::new(Budget::new(100 << 20));
        let stopper = Stopper::new();
        let reading = Reading {
            budget: Arc::clone(&budget),
            stop: stopper.stop(),
        };
        let guard = runtime.enter();
        let size = SIZE as u64;
        let mut first = ReadAhead::start(
            Arc::clone(&store),
            path.clone(),
            None,
            size,
            reading.clone(),
            None,
        );
        let mut second = ReadAhead::start(store, path, None, size, reading.clone(), None);
        drop(guard);
        first.read_exact(&mut [0; 100]).unwrap();
        drop(first);
        drop(stopper);
        assert!(reading.stop.is_stopped());
        let error = io::copy(&mut second, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("nobody"), "{error}");
        // And says so again.
        assert!(second.read(&mut [0; 100]).is_err());
        drop(second);
        for _ in 0..1000 {
            if budget.held() == 0 {
                return;
            }
            std::thread::yield_now();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("{} bytes are held", budget.held());
    }
}
