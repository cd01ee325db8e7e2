//! Which tiles of a job are done, and what the others lack: the ledgers of a job against its hunts and its lake as they
//! are now.
//!
//! Reads what runs left and lists tables; reads no data and runs nothing.

mod looks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Duration, Utc};
use futures::StreamExt;
use serde::Serialize;

use super::second::{Digests, Second};
use crate::error::Result;
use crate::lake::Lake;
use crate::lake::table::{DataFile, Listing};
use crate::output::ledger::{HuntRecord, ObjectRecord, State, TableRecord};
use crate::output::{Ledger, Output};
use crate::store::Object;
use crate::time::Window;
use looks::Expected;

/// Ledgers read at a time.
const READ_AT_ONCE: usize = 16;

/// How often a hunt that failed, or an object that was lost, is tried again without being asked.
const MOST_ATTEMPTS: u64 = 3;

/// How a tile stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Every hunt saw everything there is.
    Done,
    /// Every hunt ran to its end; the lake had no event for any of them.
    Empty,
    /// A hunt ran, but something it should have read could not be read.
    Partial,
    /// What it was made from is no longer what there is.
    Stale,
    /// A hunt did not run to its end.
    Failed,
    /// It was never run.
    Missing,
}

impl Standing {
    /// All of them, the best first.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Empty,
        Self::Partial,
        Self::Stale,
        Self::Failed,
        Self::Missing,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Empty => "no data",
            Self::Partial => "partial",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// What became of an object since a tile read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there.
    New,
    /// It is another version.
    Changed,
    /// It is there no more.
    Vanished,
}

/// Why hunts of a tile have to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Reason {
    /// The tile has no ledger.
    NotRun,
    /// Its ledger cannot be read.
    Unreadable {
        /// What is wrong with it.
        error: String,
    },
    /// The hunt is new to the tile.
    NewHunt {
        /// Which.
        hunt: String,
    },
    /// The hunt's logic is another.
    ChangedHunt {
        /// Which.
        hunt: String,
    },
    /// It did not run to its end.
    Failed {
        /// Which.
        hunt: String,
        /// Why.
        reason: String,
    },
    /// It could not read everything.
    Partial {
        /// Which.
        hunt: String,
        /// Why.
        reason: String,
    },
    /// A lookup holds something else.
    Lookup {
        /// Which.
        lookup: String,
    },
    /// What it looks at of earlier results is not what it saw.
    Results {
        /// Which.
        hunt: String,
    },
    /// A run of other hunts saw another version of what it read.
    Behind {
        /// Which.
        hunt: String,
    },
    /// An object of a table is not what was read.
    Object {
        /// The table.
        table: String,
        /// Path relative to the table's location.
        path: String,
        /// What became of it.
        change: Change,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun => write!(f, "it was not run"),
            Self::Unreadable { error } => write!(f, "{error}"),
            Self::NewHunt { hunt } => write!(f, "{hunt} is new"),
            Self::ChangedHunt { hunt } => write!(f, "{hunt} has changed"),
            Self::Failed { hunt, reason } => write!(f, "{hunt} failed: {reason}"),
            Self::Partial { hunt, reason } => write!(f, "{hunt} is partial: {reason}"),
            Self::Lookup { lookup } => write!(f, "lookup {lookup} has changed"),
            Self::Results { hunt } => {
                write!(
                    f,
                    "{hunt} saw other results of this tile and those before it"
                )
            }
            Self::Behind { hunt } => write!(f, "{hunt} read an older version of its objects"),
            Self::Object {
                table,
                path,
                change,
            } => match change {
                Change::New => write!(f, "{table}: {path} is new"),
                Change::Changed => write!(f, "{table}: {path} has changed"),
                Change::Vanished => write!(f, "{table}: {path} is gone"),
            },
        }
    }
}

/// What is to be said of one tile.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// How it stands.
    pub standing: Standing,
    /// The hunts that have to run.
    pub hunts: BTreeSet<String>,
    /// Why, each once.
    pub reasons: BTreeSet<Reason>,
    /// New and changed objects whose times nobody knows: until they are read they decide nothing.
    pub unread: Vec<(String, DataFile)>,
}

/// How far a look goes.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Now.
    pub now: DateTime<Utc>,
    /// Also objects of tables whose `late` is over.
    pub beyond_late: bool,
    /// Also what was tried often enough.
    pub retry: bool,
    /// Where the newest complete tile ends and has settled: what came after that is for the next tile to read first.
    pub settled: Option<DateTime<Utc>>,
}

/// The ledgers of a job, its hunts and its lake.
#[derive(Debug)]
pub struct Coverage<'a> {
    lake: &'a Lake,
    output: &'a Output,
    job: &'a str,
    /// Hunt to what decides its rerun; empty where that cannot be told.
    wanted: BTreeMap<String, String>,
    /// What lookups hold now.
    lookups: BTreeMap<String, String>,
    /// The tiles with a ledger.
    run: BTreeSet<Window>,
    ledgers: RwLock<BTreeMap<Window, std::result::Result<Arc<Ledger>, String>>>,
    /// Objects that were looked at for their times alone.
    probed: RwLock<HashMap<(String, String), ObjectRecord>>,
    /// Hunts that look at results.
    second: Option<&'a Second>,
    digests: Digests,
    expected: Mutex<Expected>,
    /// Up to when tiles are gone on purpose.
    pruned: Option<DateTime<Utc>>,
    /// Tiles whose hunts of stage one are still to run.
    open: RwLock<BTreeSet<Window>>,
}

impl<'a> Coverage<'a> {
    /// Lists the ledgers of a job. `wanted` has the hash of each of its hunts.
    ///
    /// # Errors
    /// When the ledgers cannot be listed.
    pub async fn open(
        lake: &'a Lake,
        output: &'a Output,
        job: &'a str,
        wanted: BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut lookups = BTreeMap::new();
        for (name, lookup) in &lake.lookups {
            // One that is lost fails the hunts that read it.
            if let Ok(rows) = lookup.rows().await {
                lookups.insert(name.clone(), rows.sha256.clone());
            }
        }
        Ok(Self {
            run: output.tiles(job).await?,
            lake,
            output,
            job,
            wanted,
            lookups,
            ledgers: RwLock::default(),
            probed: RwLock::default(),
            second: None,
            digests: Digests::default(),
            expected: Mutex::default(),
            pruned: None,
            open: RwLock::default(),
        })
    }

    /// The tiles that have a ledger.
    pub const fn run_tiles(&self) -> &BTreeSet<Window> {
        &self.run
    }

    /// Reads the ledgers of some tiles, and of those before that their hunts look at.
    pub async fn read(&self, tiles: impl IntoIterator<Item = Window>) {
        let mut tiles: BTreeSet<Window> = tiles.into_iter().collect();
        self.add_before(&self.run, &mut tiles);
        self.read_all(tiles.intersection(&self.run).copied()).await;
    }

    async fn read_all(&self, tiles: impl Iterator<Item = Window>) {
        let read = futures::stream::iter(tiles.map(|tile| {
            let (output, job) = (self.output.clone(), self.job.to_owned());
            // A task of its own, so that they are parsed on all cores.
            let task = tokio::spawn(async move { output.ledger(&job, tile).await });
            async move { (tile, task.await) }
        }));
        let mut read = read.buffer_unordered(READ_AT_ONCE);
        while let Some((tile, result)) = read.next().await {
            match result {
                Ok(Ok(Some(ledger))) => self.learn(tile, Ok(ledger)),
                Ok(Err(error)) => self.learn(tile, Err(error.message().to_owned())),
                Ok(Ok(None)) | Err(_) => {}
            }
        }
    }

    /// Takes in what is known of a tile.
    pub fn learn(&self, tile: Window, ledger: std::result::Result<Ledger, String>) {
        let mut ledgers = self.ledgers.write().unwrap_or_else(PoisonError::into_inner);
        ledgers.insert(tile, ledger.map(Arc::new));
        self.digests.forget(tile);
    }

    /// Takes in the times of an object.
    pub fn learn_object(&self, table: &str, object: ObjectRecord) {
        let mut probed = self.probed.write().unwrap_or_else(PoisonError::into_inner);
        probed.insert((table.to_owned(), object.path.clone()), object);
    }

    /// The ledger of a tile, if it was read.
    pub fn ledger(&self, tile: Window) -> Option<std::result::Result<Arc<Ledger>, String>> {
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        ledgers.get(&tile).cloned()
    }

    /// Judges a tile by the ledger that was read.
    ///
    /// # Errors
    /// When a table cannot be listed.
    pub async fn verdict(&self, tile: Window, reach: Reach) -> Result<Verdict> {
        match self.ledger(tile) {
            Some(Ok(ledger)) => self.verdict_of(tile, Some(&ledger), reach).await,
            Some(Err(error)) => Ok(self.not_run(Reason::Unreadable { error })),
            None => self.verdict_of(tile, None, reach).await,
        }
    }

    /// Judges a tile by a ledger.
    ///
    /// # Errors
    /// When a table cannot be listed.
    pub async fn verdict_of(
        &self,
        tile: Window,
        ledger: Option<&Ledger>,
        reach: Reach,
    ) -> Result<Verdict> {
        let Some(ledger) = ledger else {
            return Ok(self.not_run(Reason::NotRun));
        };
        let mut verdict = Verdict {
            standing: Standing::Empty,
            hunts: BTreeSet::new(),
            reasons: BTreeSet::new(),
            unread: Vec::new(),
        };
        let mut current = BTreeMap::new();
        for (name, hash) in &self.wanted {
            match ledger.hunts.get(name) {
                Some(record) if record.logic_hash == *hash => {
                    self.judge_hunt(name, record, ledger, reach, &mut verdict);
                    current.insert(name.as_str(), record);
                }
                Some(_) => {
                    let hunt = name.clone();
                    verdict.run(name, Standing::Stale, Reason::ChangedHunt { hunt });
                }
                None => {
                    let hunt = name.clone();
                    verdict.run(name, Standing::Stale, Reason::NewHunt { hunt });
                }
            }
        }
        for (name, record) in &current {
            self.judge_second(tile, name, record, ledger, &mut verdict);
        }
        for (name, record) in &ledger.tables {
            self.judge_table(tile, name, record, ledger, &current, reach, &mut verdict)
                .await?;
        }
        let has_rows = ledger.tables.values().any(|table| table.rows_in_window > 0);
        if verdict.standing == Standing::Empty && (has_rows || ledger.tables.is_empty()) {
            verdict.standing = Standing::Done;
        }
        Ok(verdict)
    }

    fn not_run(&self, reason: Reason) -> Verdict {
        Verdict {
            standing: Standing::Missing,
            hunts: self.wanted.keys().cloned().collect(),
            reasons: BTreeSet::from([reason]),
            unread: Vec::new(),
        }
    }

    /// What a hunt's own record says.
    fn judge_hunt(
        &self,
        name: &str,
        record: &HuntRecord,
        ledger: &Ledger,
        reach: Reach,
        verdict: &mut Verdict,
    ) {
        let hunt = name.to_owned();
        let reason = record.reason.clone().unwrap_or_default();
        let again = reach.retry || record.attempts < MOST_ATTEMPTS;
        match record.state {
            State::Failed => {
                verdict.note(Standing::Failed, Reason::Failed { hunt, reason });
                if again {
                    verdict.hunts.insert(name.to_owned());
                }
            }
            State::Partial => {
                let tables = record.tables.iter();
                let lost = tables
                    .filter_map(|table| ledger.tables.get(table))
                    .any(|table| table.objects.iter().any(|object| object.lost.is_some()));
                verdict.note(Standing::Partial, Reason::Partial { hunt, reason });
                // Bad lines stay bad; what was lost may have been lost on the way.
                if again && lost {
                    verdict.hunts.insert(name.to_owned());
                }
            }
            State::Complete | State::Skipped => {}
        }
        if record.behind {
            let hunt = name.to_owned();
            verdict.run(name, Standing::Stale, Reason::Behind { hunt });
        }
        for lookup in &record.lookups {
            if self.lookups.get(lookup) != ledger.lookups.get(lookup) {
                let lookup = lookup.clone();
                verdict.run(name, Standing::Stale, Reason::Lookup { lookup });
            }
        }
    }

    /// What became of the objects that a tile read of a table, and which of its hunts that concerns.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of a tile's state at one table"
    )]
    async fn judge_table(
        &self,
        tile: Window,
        name: &str,
        record: &TableRecord,
        ledger: &Ledger,
        current: &BTreeMap<&str, &HuntRecord>,
        reach: Reach,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let Some(table) = self.lake.tables.get(name) else {
            return Ok(());
        };
        let is_late = reach.now - tile.end > table.late;
        if is_late && !reach.beyond_late {
            return Ok(());
        }
        let readers: Vec<(&str, &HuntRecord)> = current
            .iter()
            .filter(|(_, hunt)| hunt.tables.iter().any(|read| read == name))
            .map(|(name, hunt)| (*name, *hunt))
            .collect();
        if readers.is_empty() {
            return Ok(());
        }
        // As the run listed it: for all hunts of the ledger, whether they are wanted or not.
        let all = ledger.hunts.values();
        let starts = all
            .filter(|hunt| hunt.tables.iter().any(|read| read == name))
            .map(|hunt| hunt.scope(&tile.start, &tile.end).0);
        let start = starts.min().unwrap_or(tile.start);
        let listing = table.list(Some(Window { start, ..tile })).await?;
        let mut touch = |change, path: &str, versions: &[&ObjectRecord], time: Option<Window>| {
            for (hunt, read) in &readers {
                let (start, end) = read.scope(&tile.start, &tile.end);
                let concerns = versions.iter().any(|version| {
                    // Bad lines go to the quarantine of the tile that the path begins in.
                    let is_own = time.is_some_and(|time| tile.contains(time.start));
                    version.may_touch(start, end) || version.rejected > 0 && is_own
                });
                if concerns {
                    let (table, path) = (name.to_owned(), path.to_owned());
                    let reason = Reason::Object {
                        table,
                        path,
                        change,
                    };
                    verdict.run(hunt, Standing::Stale, reason);
                }
            }
        };
        let mut unread = Vec::new();
        for file in &listing.files {
            let object = &file.object;
            let before = record.object(&object.path);
            if before.is_some_and(|before| before.is_of(object)) {
                continue;
            }
            let change = if before.is_some() {
                Change::Changed
            } else {
                Change::New
            };
            touch(change, &object.path, before.as_slice(), file.time);
            match self.known(name, object) {
                Some(known) => touch(change, &object.path, &[&known], file.time),
                None => unread.push(file.clone()),
            }
        }
        for object in &record.objects {
            if !is_listed(&listing, &object.path) {
                touch(Change::Vanished, &object.path, &[object], None);
            }
        }
        for file in unread {
            if !is_awaited(&file, reach, table.slack) {
                verdict.unread.push((name.to_owned(), file));
            }
        }
        Ok(())
    }

    /// What some run, of whatever tile, has found an object to hold.
    fn known(&self, table: &str, object: &Object) -> Option<ObjectRecord> {
        let probed = self.probed.read().unwrap_or_else(PoisonError::into_inner);
        let found = probed.get(&(table.to_owned(), object.path.clone()));
        if let Some(found) = found.filter(|found| found.is_of(object)) {
            return Some(found.clone());
        }
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        // The newest tiles are the likeliest to have read what is new.
        let mut known = ledgers.values().rev().filter_map(|ledger| {
            let record = ledger.as_ref().ok()?.tables.get(table)?;
            record.object(&object.path)
        });
        known.find(|known| known.is_of(object)).cloned()
    }
}

/// Whether an object is one that came when the newest tile had settled, so that the next tile reads it in any case.
fn is_awaited(file: &DataFile, reach: Reach, slack: Duration) -> bool {
    let Some(settled) = reach.settled else {
        return false;
    };
    let arrived = file.object.modified;
    let is_read_next = file.time.is_none_or(|time| time.end + slack > settled);
    arrived > settled && arrived <= reach.now && is_read_next
}

fn is_listed(listing: &Listing, path: &str) -> bool {
    let files = &listing.files;
    files
        .binary_search_by(|file| file.object.path.as_str().cmp(path))
        .is_ok()
}

impl Verdict {
    fn note(&mut self, standing: Standing, reason: Reason) {
        self.standing = self.standing.max(standing);
        self.reasons.insert(reason);
    }

    fn run(&mut self, hunt: &str, standing: Standing, reason: Reason) {
        self.note(standing, reason);
        self.hunts.insert(hunt.to_owned());
    }
}
