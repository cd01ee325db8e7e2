//! Rows on their way from a pass to a hunt that runs while the pass does. The pass waits a little where the hunt is slower
//! than it, and no longer: what has no room then waits on disk. What waits in memory is little, and not counted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SpillFile;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::Notify;

use crate::engine::kept_rows::spill_manager;

/// How long a pass waits for a hunt before it puts more rows: a few times what making them took. Cores that compute for the
/// hunt are not idle meanwhile, and what goes to disk costs more.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// Where a pass puts rows; dropped when there are no more.
pub(super) struct Feed(Arc<Shared>);

struct Shared {
    schema: SchemaRef,
    runtime: Arc<RuntimeEnv>,
    /// Bytes that may wait in memory.
    most: usize,
    waiting: Mutex<Waiting>,
    /// There are rows, or there will be no more.
    changed: Notify,
    /// There are fewer.
    taken: Notify,
}

struct Waiting {
    /// Older than all in memory.
    disk: VecDeque<Arc<dyn SpillFile>>,
    memory: VecDeque<RecordBatch>,
    bytes: usize,
    /// Bytes that went to disk so far.
    spilled: u64,
    /// There will be no more.
    is_closed: bool,
    /// Nobody takes them any more.
    is_left: bool,
}

/// Some rows that waited.
enum Taken {
    Batch(RecordBatch),
    File(Arc<dyn SpillFile>),
    End,
}

impl Feed {
    /// Nothing waits yet; at most so many bytes will do so in memory.
    pub(super) fn new(schema: &SchemaRef, runtime: &Arc<RuntimeEnv>, most: usize) -> Self {
        let waiting = Waiting {
            disk: VecDeque::new(),
            memory: VecDeque::new(),
            bytes: 0,
            spilled: 0,
            is_closed: false,
            is_left: false,
        };
        Self(Arc::new(Shared {
            schema: Arc::clone(schema),
            runtime: Arc::clone(runtime),
            most,
            waiting: Mutex::new(waiting),
            changed: Notify::new(),
            taken: Notify::new(),
        }))
    }

    /// Puts rows that lie on disk, before any others.
    pub(super) fn put_files(&self, files: Vec<Arc<dyn SpillFile>>) {
        self.0.waiting().disk.extend(files);
        self.0.changed.notify_one();
    }

    /// Puts some rows.
    ///
    /// # Errors
    /// When they have to wait on disk and cannot be written.
    pub(super) fn put(&self, batch: RecordBatch) -> Result<()> {
        let mut waiting = self.0.waiting();
        if waiting.is_left {
            return Ok(());
        }
        waiting.bytes += batch.get_array_memory_size();
        waiting.memory.push_back(batch);
        if waiting.bytes <= self.0.most {
            drop(waiting);
        } else {
            let batches = waiting.take_memory();
            // Written without the lock; what is taken meanwhile is older, and nothing is put meanwhile.
            drop(waiting);
            let manager = spill_manager(&self.0.runtime, &self.0.schema);
            let file = manager.spill_record_batch_and_finish(&batches, "rows of a scan")?;
            let mut waiting = self.0.waiting();
            waiting.spilled += file.as_ref().and_then(|file| file.size()).unwrap_or(0);
            waiting.disk.extend(file);
        }
        self.0.changed.notify_one();
        Ok(())
    }

    /// Waits until the hunt has taken some of what waits in memory, if there is much, but not for long.
    pub(super) async fn has_room(&self) {
        let room = async {
            while self.0.waiting().bytes > self.0.most / 2 {
                self.0.taken.notified().await;
            }
        };
        // What it does not take in time goes to disk.
        let _ = tokio::time::timeout(LONGEST_WAIT, room).await;
    }

    /// Bytes that went to disk so far.
    pub(super) fn spilled(&self) -> u64 {
        self.0.waiting().spilled
    }

    /// The rows as the hunt takes them: each once.
    pub(super) fn rows(&self) -> SendableRecordBatchStream {
        let taker = Taker(Arc::clone(&self.0));
        let manager = spill_manager(&self.0.runtime, &self.0.schema);
        let pieces = futures::stream::unfold(taker, |taker| async move {
            match taker.take().await {
                Taken::End => None,
                taken => Some((taken, taker)),
            }
        });
        let rows = pieces.flat_map(move |taken| match taken {
            Taken::Batch(batch) => futures::stream::iter([Ok(batch)]).boxed(),
            Taken::File(file) => match manager.read_spill_as_stream(file, None) {
                Ok(rows) => rows,
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            },
            Taken::End => futures::stream::empty().boxed(),
        });
        let schema = Arc::clone(&self.0.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take_memory(&mut self) -> Vec<RecordBatch> {
        self.bytes = 0;
        std::mem::take(&mut self.memory).into()
    }
}

/// The hunt's end.
struct Taker(Arc<Shared>);

impl Taker {
    async fn take(&self) -> Taken {
        loop {
            {
                let mut waiting = self.0.waiting();
                if let Some(file) = waiting.disk.pop_front() {
                    return Taken::File(file);
                }
                if let Some(batch) = waiting.memory.pop_front() {
                    waiting.bytes -= batch.get_array_memory_size();
                    self.0.taken.notify_one();
                    return Taken::Batch(batch);
                }
                if waiting.is_closed {
                    return Taken::End;
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_left = true;
        waiting.disk.clear();
        waiting.take_memory();
        self.0.taken.notify_one();
    }
}
