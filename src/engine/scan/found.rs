//! What a pass found for one scan of a hunt: in memory, and on disk where that has no room, until the hunt runs; or handed
//! on to a hunt that runs already.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile};
use datafusion::physical_plan::ExecutionPlan;

use super::feed::Feed;
use crate::engine::kept_rows::{KeptRows, spill_manager};
use crate::lake::consumer::{Deduplicator, Survivors};

/// The rows that a pass found for one scan.
pub(super) struct Found {
    schema: SchemaRef,
    seen: Deduplicator,
    /// Rows in memory; those on disk come before them.
    batches: Vec<RecordBatch>,
    bytes: usize,
    disk: Vec<Arc<dyn SpillFile>>,
    /// Where rows go when the hunt runs already.
    feed: Option<Feed>,
    /// Bytes on disk of those that went there.
    fed: u64,
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            seen: Deduplicator::default(),
            batches: Vec::new(),
            bytes: 0,
            disk: Vec::new(),
            feed: None,
            fed: 0,
        }
    }

    /// Takes rows that were not there before.
    pub(super) fn add(&mut self, rows: Survivors) -> Result<()> {
        let Some(batch) = self.seen.keep_first(rows)? else {
            return Ok(());
        };
        if let Some(feed) = &self.feed {
            return feed.put(batch);
        }
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        Ok(())
    }

    /// Hands the rows on from here, at most so many bytes of them waiting in memory.
    pub(super) fn feed(
        &mut self,
        runtime: &Arc<RuntimeEnv>,
        most: usize,
    ) -> Result<SendableRecordBatchStream> {
        self.fed = self.spilled();
        let feed = Feed::new(&self.schema, runtime, most);
        feed.put_files(std::mem::take(&mut self.disk));
        self.bytes = 0;
        for batch in std::mem::take(&mut self.batches) {
            feed.put(batch)?;
        }
        let rows = feed.rows();
        self.feed = Some(feed);
        Ok(rows)
    }

    /// Waits a little for a hunt that takes the rows.
    pub(super) async fn has_room(&self) {
        if let Some(feed) = &self.feed {
            feed.has_room().await;
        }
    }

    /// Tells the hunt that takes the rows, if one does, that there are no more.
    pub(super) fn end_feed(&mut self) {
        if let Some(feed) = self.feed.take() {
            self.fed += feed.spilled();
        }
    }

    /// Bytes of the rows in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of what tells copies of records.
    pub(super) fn identity_bytes(&self) -> usize {
        self.seen.bytes()
    }

    /// Bytes that went to disk.
    pub(super) fn spilled(&self) -> u64 {
        let disk = self.disk.iter().filter_map(|file| file.size());
        disk.sum::<u64>() + self.fed
    }

    /// Writes the rows in memory to disk.
    fn spill(&mut self, runtime: &Arc<RuntimeEnv>) -> Result<()> {
        let manager = spill_manager(runtime, &self.schema);
        let file = manager.spill_record_batch_and_finish(&self.batches, "rows of a scan")?;
        self.disk.extend(file);
        self.batches = Vec::new();
        self.bytes = 0;
        Ok(())
    }

    /// Forgets what tells copies: the pass is over.
    pub(super) fn close(&mut self) {
        self.seen = Deduplicator::default();
    }

    /// Forgets the rows.
    pub(super) fn clear(&mut self) {
        *self = Self::new(Arc::clone(&self.schema));
    }

    /// The leaf of a plan that gives the rows.
    pub(super) fn into_plan(self) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = KeptRows {
            schema: self.schema,
            disk: self.disk,
            memory: self.batches,
        };
        rows.into_plan()
    }
}

/// How much memory the rows of all scans of a run may take until their hunts have run.
pub(super) struct Room {
    reservation: MemoryReservation,
    runtime: Arc<RuntimeEnv>,
    /// Of rows: what is more goes to disk.
    rows: usize,
    /// Of identities: what needs more fails.
    identities: usize,
    held_rows: usize,
    held_identities: usize,
}

impl Room {
    /// A quarter of the memory for rows, half for identities while a pass runs; the hunts' plans have what is left.
    pub(super) fn new(runtime: &Arc<RuntimeEnv>, memory: usize) -> Self {
        let consumer = MemoryConsumer::new("rows of shared scans");
        Self {
            reservation: consumer.register(&runtime.memory_pool),
            runtime: Arc::clone(runtime),
            rows: memory / 4,
            identities: memory / 2,
            held_rows: 0,
            held_identities: 0,
        }
    }

    /// Counts what changed while something was done to the rows of a scan.
    pub(super) fn counted<T>(
        &mut self,
        found: &mut Found,
        work: impl FnOnce(&mut Found) -> T,
    ) -> T {
        self.held_rows -= found.bytes();
        self.held_identities -= found.identity_bytes();
        let done = work(found);
        self.held_rows += found.bytes();
        self.held_identities += found.identity_bytes();
        done
    }

    /// Whether too many rows are in memory, so that some must be spilled.
    pub(super) fn lacks_rows(&self) -> bool {
        self.held_rows > self.rows || (self.held_rows > 0 && self.reserve().is_err())
    }

    /// Whether telling copies takes too much.
    pub(super) fn lacks_identities(&self) -> bool {
        self.held_identities > self.identities
            || (self.held_rows == 0 && self.held_identities > 0 && self.reserve().is_err())
    }

    /// Spills the rows of a scan.
    pub(super) fn spill(&mut self, found: &mut Found) -> Result<()> {
        let runtime = Arc::clone(&self.runtime);
        self.counted(found, |found| found.spill(&runtime))
    }

    /// So many bytes of rows are gone.
    pub(super) fn release(&mut self, rows: usize) {
        self.held_rows -= rows;
        // It shrinks, which never fails.
        let _ = self.reserve();
    }

    /// Tells the pool what is held.
    pub(super) fn reserve(&self) -> Result<()> {
        self.reservation
            .try_resize(self.held_rows + self.held_identities)
    }
}
