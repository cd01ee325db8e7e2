//! One pass over the files of a table for any number of consumers.
//!
//! Files are decoded in parallel and handed on in order of their paths, so that results do not depend on timing and the
//! first copy of a record is always the same one. A broken file costs itself only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use futures::Stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::Format;
use super::consumer::{BlockColumns, Consumers, Predicates, Survivors};
use super::decoded::{Block, DecodePlan};
use super::file_report::{FileReport, Progress, SharedReport};
use super::held::{Inlet, Outlet};
use super::index::{IndexMemory, Look, RowSet};
use super::parquet::{Handles, Readers};
use super::row_groups::OpenFile;
use super::table::{DataFile, Listing};
use super::{ndjson, parquet};
use crate::store::{Earlier, Reading, Stop, Stopper};

/// Files of a bucket that are on their way before they are decoded: at 20 ms a request, 1,600 small files a second.
const FILES_AHEAD: usize = 32;

/// One message of a pass: some rows for one consumer, or its failure.
#[derive(Debug)]
pub struct Delivery {
    /// Index of the consumer.
    pub consumer: usize,
    /// Its rows, or why it ends here.
    pub rows: Result<Survivors>,
}

/// Everything a pass needs.
#[derive(Debug)]
pub struct Pass {
    /// What to decode.
    pub plan: DecodePlan,
    /// For whom.
    pub consumers: Consumers,
    /// Which files.
    pub listing: Arc<Listing>,
    /// Files decoded at a time.
    pub parallel: usize,
    /// Counters for the terminal.
    pub progress: Arc<Progress>,
}

struct Running {
    rows: Inlet,
    task: SpawnedTask<FileReport>,
}

/// A file that is ready to be decoded, or why it is not.
enum Open {
    Lines(Box<dyn Read + Send>),
    Parquet(Box<OpenFile>),
    Lost(String),
}

struct State {
    pass: Arc<Pass>,
    /// The file that is decoded next.
    next: usize,
    /// That file and those behind it, on their way.
    opening: VecDeque<(SpawnedTask<Open>, Earlier)>,
    reading: Reading,
    running: VecDeque<Running>,
    /// Dropped with the stream, and with it all readers end.
    _stopper: Stopper,
    slots: Arc<Semaphore>,
    report: SharedReport,
}

impl Pass {
    /// Runs the pass: deliveries in order of the files' paths and of the rows in them. The report is complete when the
    /// stream has ended. Dropping the stream stops the readers.
    pub fn run(self, report: SharedReport) -> impl Stream<Item = Result<Delivery>> + Send {
        let stopper = Stopper::new();
        let state = State {
            slots: Arc::new(Semaphore::new(self.parallel.max(1))),
            reading: Reading {
                budget: Arc::clone(&self.plan.table.read_ahead),
                stop: stopper.stop(),
            },
            _stopper: stopper,
            pass: Arc::new(self),
            next: 0,
            opening: VecDeque::new(),
            running: VecDeque::new(),
            report,
        };
        futures::stream::unfold(state, |mut state| async move {
            let delivery = state.next_delivery().await.transpose()?;
            Some((delivery, state))
        })
    }
}

impl State {
    /// Files are started in order, each with a slot in hand: the front one can always go on, whatever those behind it
    /// wait for. (With slots taken by the tasks themselves, two full ones behind the front would hold both for ever.)
    async fn next_delivery(&mut self) -> Result<Option<Delivery>> {
        loop {
            let more = self.next < self.pass.listing.files.len();
            // More files are open than decoded at a time, so that a big one at the front does not idle the others.
            let room = self.running.len() < self.pass.parallel.max(1) * 4;
            let Some(front) = self.running.front_mut() else {
                if !more {
                    return Ok(None);
                }
                self.start_next().await?;
                continue;
            };
            tokio::select! {
                biased;
                slot = Arc::clone(&self.slots).acquire_owned(), if more && room => {
                    let slot = slot.map_err(|e| DataFusionError::External(Box::new(e)))?;
                    self.start_with(slot);
                }
                delivery = front.rows.recv() => match delivery {
                    Some((delivery, _room)) => return Ok(Some(delivery)),
                    None => self.finish_front().await?,
                },
            }
        }
    }

    async fn start_next(&mut self) -> Result<()> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        self.start_with(slot.map_err(|e| DataFusionError::External(Box::new(e)))?);
        Ok(())
    }

    fn start_with(&mut self, slot: OwnedSemaphorePermit) {
        // The files behind it too: the first bytes of a small file take as long to come as those of a large one.
        let is_local = self.pass.plan.table.location.folder().is_some();
        let ahead = if is_local { 1 } else { FILES_AHEAD };
        let files = self.pass.listing.files.len();
        while self.opening.len() < ahead && self.next + self.opening.len() < files {
            let index = self.next + self.opening.len();
            let (pass, reading) = (Arc::clone(&self.pass), self.reading.clone());
            let earlier = Earlier::default();
            let known = earlier.clone();
            let open =
                SpawnedTask::spawn(async move { open(&pass, index, &reading, &known).await });
            self.opening.push_back((open, earlier));
        }
        let Some((open, earlier)) = self.opening.pop_front() else {
            return;
        };
        let is_lines = self.pass.plan.table.format != Format::Parquet;
        let (outlet, rows) = Outlet::new(Handle::current(), !is_local && is_lines);
        let decoding = Decoding {
            pass: Arc::clone(&self.pass),
            index: self.next,
            reading: self.reading.clone(),
            earlier,
        };
        let task = start(decoding, open, slot, outlet);
        self.running.push_back(Running { rows, task });
        self.next += 1;
    }

    async fn finish_front(&mut self) -> Result<()> {
        let Some(done) = self.running.pop_front() else {
            return Ok(());
        };
        let file = done
            .task
            .join()
            .await
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        self.pass.progress.files.fetch_add(1, Ordering::Relaxed);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.add(file);
        Ok(())
    }
}

/// Opens a file: a local one at once, one of a bucket with its first bytes on the way. `earlier` is what it said when it was
/// read before.
async fn open(pass: &Pass, index: usize, reading: &Reading, earlier: &Earlier) -> Open {
    let file = &pass.listing.files[index];
    match pass.plan.table.format {
        Format::Parquet => match OpenFile::open(&pass.plan, &pass.consumers, file, reading).await {
            Ok(open) => Open::Parquet(Box::new(open)),
            Err(error) => Open::Lost(format!("cannot read the footer: {error}")),
        },
        // Tables of events are never CSV; `Lake::open` says so.
        Format::Ndjson | Format::Csv => {
            let location = &pass.plan.table.location;
            match location.open_object(&file.object, reading, earlier).await {
                Ok(reader) => Open::Lines(reader),
                Err(error) => Open::Lost(error.message().to_owned()),
            }
        }
    }
}

/// Ends a file in its middle when nobody wants its rows any more, even where none of them is in the window; and knows
/// whether the bytes came, whatever they say.
struct Stoppable<R> {
    reader: R,
    stop: Stop,
    broke_off: Arc<AtomicBool>,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let read = self.reader.read(buffer);
        let is_broken = |error: &io::Error| error.kind() != io::ErrorKind::InvalidData;
        if read.as_ref().is_err_and(is_broken) {
            self.broke_off.store(true, Ordering::Relaxed);
        }
        read
    }
}

/// One file that is decoded.
struct Decoding {
    pass: Arc<Pass>,
    index: usize,
    reading: Reading,
    earlier: Earlier,
}

/// Decodes one file on a thread of its own; the slot is free again when it is read.
fn start(
    decoding: Decoding,
    open: SpawnedTask<Open>,
    slot: OwnedSemaphorePermit,
    outlet: Outlet,
) -> SpawnedTask<FileReport> {
    SpawnedTask::spawn(async move {
        let report = FileReport::new(&decoding.pass.listing.files[decoding.index]);
        let _slot = slot;
        let open = match open.join().await {
            Ok(open) => open,
            Err(error) => Open::Lost(format!("the reader crashed: {error}")),
        };
        let runtime = Handle::current();
        let done = SpawnedTask::spawn_blocking(move || decoding.decode(open, &runtime, outlet));
        done.join().await.unwrap_or_else(|error| FileReport {
            lost: Some(format!("the reader crashed: {error}")),
            ..report
        })
    })
}

impl Decoding {
    /// Reads the file. One of a bucket whose bytes came and make no sense is read once more: a bit may have flipped on the
    /// way. Row groups of Parquet are read again one by one.
    fn decode(&self, opened: Open, runtime: &Handle, mut outlet: Outlet) -> FileReport {
        let pass = &self.pass;
        let (mut report, came) = self.decode_once(opened, runtime, &mut outlet);
        let is_spoilt = report.lost.is_some() && came && !self.reading.stop.is_stopped();
        if is_spoilt && outlet.take_back() {
            let again = open(pass, self.index, &self.reading, &self.earlier);
            let again = runtime.block_on(again);
            (report, _) = self.decode_once(again, runtime, &mut outlet);
        }
        outlet.flush();
        report
    }

    /// What the file gave, and whether all that was asked for came.
    fn decode_once(&self, open: Open, runtime: &Handle, outlet: &mut Outlet) -> (FileReport, bool) {
        let (pass, stop) = (&self.pass, &self.reading.stop);
        let file = &pass.listing.files[self.index];
        let mut report = FileReport::new(file);
        let predicates = match &open {
            Open::Parquet(open) => Some(Arc::clone(&open.predicates)),
            Open::Lines(_) | Open::Lost(_) => None,
        };
        let taker = Taker {
            failed: RefCell::new(vec![false; pass.consumers.len()]),
            predicates,
            memory: RefCell::default(),
            pass,
            file,
            outlet: RefCell::new(outlet),
        };
        let mut sink = |block: &Block, report: &mut FileReport| taker.take(block, report);
        let mut wanted = |block: &Block, look: Look<'_>| taker.wanted(block, look);
        let (plan, progress) = (&pass.plan, &pass.progress);
        let broke_off = Arc::new(AtomicBool::new(false));
        match open {
            Open::Lost(reason) => {
                report.lost = Some(reason);
                return (report, false);
            }
            Open::Lines(reader) => {
                report.bytes = file.object.size;
                let reader = Box::new(Stoppable {
                    reader,
                    stop: stop.clone(),
                    broke_off: Arc::clone(&broke_off),
                });
                ndjson::read(plan, file, reader, progress, &mut report, &mut sink);
            }
            Open::Parquet(open) => {
                let handles = Handles {
                    runtime,
                    progress,
                    stop,
                };
                let mut readers = Readers {
                    wanted: &mut wanted,
                    sink: &mut sink,
                };
                parquet::read(plan, file, *open, &handles, &mut report, &mut readers);
            }
        }
        taker.remember(None);
        (report, !broke_off.load(Ordering::Relaxed))
    }
}

/// Takes the blocks of one file for all consumers.
struct Taker<'a> {
    pass: &'a Pass,
    file: &'a DataFile,
    /// What is tested on its rows; `None` where each block says it.
    predicates: Option<Arc<Predicates>>,
    failed: RefCell<Vec<bool>>,
    /// Of the predicates that were made last.
    memory: RefCell<Option<(Arc<Predicates>, IndexMemory)>>,
    outlet: RefCell<&'a mut Outlet>,
}

impl Taker<'_> {
    /// The rows of a block that anybody may want; `None` when that cannot be told.
    fn wanted(&self, block: &Block, look: Look<'_>) -> Option<RowSet> {
        let columns = BlockColumns::new(&self.pass.plan, self.file, block);
        let (predicates, mut memory) = self.remembered(block);
        let consumers = &self.pass.consumers;
        let failed = &self.failed.borrow();
        let wanted = consumers.wanted(&predicates, look, &columns, &mut memory, failed);
        self.remember(Some((predicates, memory)));
        wanted.ok()
    }

    /// Gives a block to every consumer; false when nobody listens any more.
    fn take(&self, block: &Block, report: &mut FileReport) -> bool {
        if self.outlet.borrow().is_closed() {
            return false;
        }
        let columns = BlockColumns::new(&self.pass.plan, self.file, block);
        let (predicates, mut memory) = self.remembered(block);
        let given = self.pass.consumers.apply(
            &predicates,
            &columns,
            &mut memory,
            &mut self.failed.borrow_mut(),
            |consumer, rows| {
                let mut outlet = self.outlet.borrow_mut();
                outlet.send(Delivery { consumer, rows })
            },
        );
        self.remember(Some((predicates, memory)));
        match given {
            Ok((goes_on, rows)) => {
                self.keep(block, &rows);
                goes_on
            }
            Err(error) => {
                report.lose(error.to_string());
                false
            }
        }
    }

    /// Keeps the lines of rows that somebody got.
    fn keep(&self, block: &Block, rows: &RowSet) {
        if let (Some(keep), Some(lines)) = (&self.pass.plan.keep, &block.lines)
            && !rows.is_empty()
        {
            let lines = rows.iter().map(|row| (block.rows[row], lines.line(row)));
            let whole = lines.filter(|(_, line)| !line.is_empty());
            let table = &self.pass.plan.table.name;
            keep.add(table, &self.file.object.path, whole);
        }
    }

    /// What is tested on a block, and what is remembered of earlier ones.
    fn remembered(&self, block: &Block) -> (Arc<Predicates>, IndexMemory) {
        let Pass {
            plan, consumers, ..
        } = self.pass;
        let predicates = self.predicates.clone();
        let predicates = predicates.unwrap_or_else(|| consumers.predicates_of_block(plan, block));
        if let Some((last, memory)) = self.memory.take() {
            if Arc::ptr_eq(&last, &predicates) {
                return (predicates, memory);
            }
            last.give_back(memory);
        }
        let memory = predicates.memory();
        (predicates, memory)
    }

    /// Keeps what is remembered, in the place of what was before, which others may have.
    fn remember(&self, memory: Option<(Arc<Predicates>, IndexMemory)>) {
        if let Some((predicates, memory)) = self.memory.replace(memory) {
            predicates.give_back(memory);
        }
    }
}
