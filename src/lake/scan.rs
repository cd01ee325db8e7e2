//! One pass over the files of a table for any number of consumers.
//!
//! Files are decoded in parallel and handed on in order of their paths, so that results do not depend on timing and the
//! first copy of a record is always the same one. A broken file costs itself only.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use futures::Stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::config::Format;
use super::consumer::{CompiledConsumer, Survivors};
use super::decoded::{Block, DecodePlan};
use super::file_report::{FileReport, Progress, SharedReport};
use super::parquet::Handles;
use super::row_groups::OpenFile;
use super::table::{DataFile, Listing};
use super::{ndjson, parquet};
use crate::store::{Reading, Stop, Stopper};

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
    pub consumers: Vec<CompiledConsumer>,
    /// Which files.
    pub listing: Arc<Listing>,
    /// Files decoded at a time.
    pub parallel: usize,
    /// Counters for the terminal.
    pub progress: Arc<Progress>,
}

struct Running {
    rows: mpsc::Receiver<Delivery>,
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
    opening: VecDeque<SpawnedTask<Open>>,
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
                    Some(delivery) => return Ok(Some(delivery)),
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
            let open = SpawnedTask::spawn(async move { open(&pass, index, &reading).await });
            self.opening.push_back(open);
        }
        let Some(open) = self.opening.pop_front() else {
            return;
        };
        let (sender, rows) = mpsc::channel(16);
        let stop = self.reading.stop.clone();
        let task = start(Arc::clone(&self.pass), self.next, open, stop, slot, sender);
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

/// Opens a file: a local one at once, one of a bucket with its first bytes on the way.
async fn open(pass: &Pass, index: usize, reading: &Reading) -> Open {
    let file = &pass.listing.files[index];
    match pass.plan.table.format {
        Format::Parquet => match OpenFile::open(&pass.plan, file, reading).await {
            Ok(open) => Open::Parquet(Box::new(open)),
            Err(error) => Open::Lost(format!("cannot read the footer: {error}")),
        },
        // Tables of events are never CSV; `Lake::open` says so.
        Format::Ndjson | Format::Csv => {
            let location = &pass.plan.table.location;
            match location.open_object(&file.object, reading).await {
                Ok(reader) => Open::Lines(reader),
                Err(error) => Open::Lost(error.message().to_owned()),
            }
        }
    }
}

/// Ends a file in its middle when nobody wants its rows any more, even where none of them is in the window.
struct Stoppable<R> {
    reader: R,
    stop: Stop,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.reader.read(buffer)
    }
}

/// Decodes one file on a thread of its own; the slot is free again when it is read.
fn start(
    pass: Arc<Pass>,
    index: usize,
    open: SpawnedTask<Open>,
    stop: Stop,
    slot: OwnedSemaphorePermit,
    sender: mpsc::Sender<Delivery>,
) -> SpawnedTask<FileReport> {
    SpawnedTask::spawn(async move {
        let file = pass.listing.files[index].clone();
        let mut report = FileReport::new(&file);
        let _slot = slot;
        let open = match open.join().await {
            Ok(Open::Lost(reason)) => {
                report.lost = Some(reason);
                return report;
            }
            Ok(open) => open,
            Err(error) => {
                report.lost = Some(format!("the reader crashed: {error}"));
                return report;
            }
        };
        let runtime = Handle::current();
        let lost = report.clone();
        let done = SpawnedTask::spawn_blocking(move || {
            let mut failed = vec![false; pass.consumers.len()];
            let mut sink = |block: Block, report: &mut FileReport| {
                deliver(&pass, &file, &block, &mut failed, report, &sender)
            };
            let (plan, progress) = (&pass.plan, &pass.progress);
            match open {
                Open::Lost(reason) => report.lost = Some(reason),
                Open::Lines(reader) => {
                    report.bytes = file.object.size;
                    let reader = Box::new(Stoppable { reader, stop });
                    ndjson::read(plan, &file, reader, progress, &mut report, &mut sink);
                }
                Open::Parquet(open) => {
                    let handles = Handles {
                        runtime: &runtime,
                        progress,
                        stop: &stop,
                    };
                    parquet::read(plan, &file, *open, &handles, &mut report, &mut sink);
                }
            }
            report
        })
        .join()
        .await;
        done.unwrap_or_else(|error| FileReport {
            lost: Some(format!("the reader crashed: {error}")),
            ..lost
        })
    })
}

/// Gives a block to every consumer; false when nobody listens any more.
fn deliver(
    pass: &Pass,
    file: &DataFile,
    block: &Block,
    failed: &mut [bool],
    report: &mut FileReport,
    sender: &mpsc::Sender<Delivery>,
) -> bool {
    if sender.is_closed() {
        return false;
    }
    let batch = match pass.plan.assemble(file, block) {
        Ok(batch) => batch,
        Err(error) => {
            report.lose(error.to_string());
            return false;
        }
    };
    for (consumer, compiled) in pass.consumers.iter().enumerate() {
        if failed[consumer] {
            continue;
        }
        let rows = match compiled.apply(&batch, block) {
            Ok(None) => continue,
            Ok(Some(survivors)) => Ok(survivors),
            Err(error) => {
                failed[consumer] = true;
                Err(error)
            }
        };
        if sender.blocking_send(Delivery { consumer, rows }).is_err() {
            return false;
        }
    }
    true
}
