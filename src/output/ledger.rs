//! The ledger: one JSON record per job and tile, written last. It is the commit point and the certificate of what was
//! read: for every hunt its tables, for every table its objects, each once, with the time its events are of.
//!
//! Holds facts of one run; reading many of them is `history`'s business.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::store::Object;
use crate::time::Window;

/// The version of this format.
pub const FORMAT_VERSION: u32 = 2;

/// Containers deeper than this are written on one line: an object of a table is one line.
const DEEPEST_PRETTY: usize = 4;

/// The record of one tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`FORMAT_VERSION`]
    pub format_version: u32,
    /// The version that wrote it.
    pub lakehunt_version: String,
    /// The job.
    pub job: String,
    /// Start of the tile.
    pub window_start: DateTime<Utc>,
    /// End of the tile.
    pub window_end: DateTime<Utc>,
    /// What was read, by table.
    pub tables: BTreeMap<String, TableRecord>,
    /// SHA-256 of what each lookup of the lake held, hex.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub lookups: BTreeMap<String, String>,
    /// What came out, by hunt.
    pub hunts: BTreeMap<String, HuntRecord>,
    /// How many findings each exception covered, of those in force.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub exceptions: BTreeMap<String, u64>,
    /// The files of this tile, by path relative to the output.
    pub outputs: BTreeMap<String, OutputRecord>,
}

/// What was read of one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Every object that was read.
    pub objects: Vec<ObjectRecord>,
    /// Objects of the table's listing, read or not.
    #[serde(default)]
    pub files_total: u64,
    /// Bytes fetched, as stored.
    #[serde(default)]
    pub bytes_read: u64,
    /// Records read.
    pub rows_read: u64,
    /// Records inside the tile.
    pub rows_in_window: u64,
    /// Records that could not be read.
    pub rows_rejected: u64,
    /// Records in this tile's quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// Records that a hunt's filters let through.
    pub rows_matched: u64,
    /// Values of another type than the form declares, by column: they were read as NULL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub type_conflicts: BTreeMap<String, u64>,
    /// The newest event.
    pub newest_event: Option<DateTime<Utc>>,
    /// How long after its end a tile of the table is taken for complete, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_seconds: Option<i64>,
}

impl Ledger {
    /// The tile.
    ///
    /// # Errors
    /// When the record is of no window at all.
    pub fn tile(&self) -> Result<Window> {
        Window::new(self.window_start, self.window_end)
            .map_err(|error| Error::failure(error.to_string()))
    }

    /// The record as the bytes of its file: pretty, but for the objects of a table, which are one line each.
    ///
    /// # Errors
    /// When it does not serialize, which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Lines::default());
        self.serialize(&mut serializer)
            .map_err(|error| Error::failure(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// When they are no ledger, or one of another format: the tile is then as if it had not run.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let ledger: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::failure(format!("the ledger does not parse: {error}")))?;
        if ledger.format_version != FORMAT_VERSION {
            return Err(Error::failure(format!(
                "the ledger has format {}, this version of lakehunt has {FORMAT_VERSION}",
                ledger.format_version
            )));
        }
        Ok(ledger)
    }

    /// Adds what an earlier run left of hunts that this run did not have. The tile then depends on what both read; a
    /// hunt that was not run again falls behind where this run saw another version of what it reads.
    pub fn merge(&mut self, earlier: Self) {
        for (name, mut hunt) in earlier.hunts {
            if self.hunts.contains_key(&name) {
                continue;
            }
            let scope = hunt.scope(&self.window_start, &self.window_end);
            let is_new = |table: &String| {
                let (Some(now), before) = (self.tables.get(table), earlier.tables.get(table))
                else {
                    return false;
                };
                now.objects.iter().any(|object| {
                    let known = before.and_then(|before| before.object(&object.path));
                    let is_same = known.is_some_and(|known| known.is_version_of(object));
                    let reach = |object: &ObjectRecord| object.may_touch(scope.0, scope.1);
                    !is_same && (reach(object) || known.is_some_and(reach))
                })
            };
            let has_changed = |lookup: &String| {
                let (now, before) = (self.lookups.get(lookup), earlier.lookups.get(lookup));
                now.is_some() && now != before
            };
            hunt.behind |= hunt.tables.iter().any(is_new) || hunt.lookups.iter().any(has_changed);
            self.hunts.insert(name, hunt);
        }
        for (table, record) in earlier.tables {
            self.tables.entry(table).or_default().merge(record);
        }
        for (exception, covered) in earlier.exceptions {
            self.exceptions.entry(exception).or_insert(covered);
        }
        self.count_matched();
    }

    /// The record as a run will publish it, with these files: what an earlier run left of other hunts and tables is in it.
    #[must_use]
    pub fn as_published(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        earlier: Option<&Self>,
        is_part: bool,
    ) -> Self {
        let mut whole = self.clone();
        for (path, bytes) in files {
            let record = OutputRecord::of(bytes);
            whole.outputs.insert(path.clone(), record);
        }
        let Some(earlier) = earlier else {
            return whole;
        };
        let stays = |path: &str| {
            let mut parts = path.split('/');
            let of = |part: &str, key: &str| part.strip_prefix(key).map(str::to_owned);
            let own = parts.find_map(|part| {
                let hunt = of(part, "hunt=").map(|hunt| match self.hunts.get(&hunt) {
                    Some(record) => record.state == State::Failed,
                    None => is_part,
                });
                let table =
                    of(part, "table=").map(|table| is_part && !self.tables.contains_key(&table));
                hunt.or(table)
            });
            own.unwrap_or(false)
        };
        for (path, record) in earlier.outputs.iter().filter(|(path, _)| stays(path)) {
            whole
                .outputs
                .entry(path.clone())
                .or_insert_with(|| record.clone());
        }
        if is_part {
            whole.merge(earlier.clone());
        }
        whole
    }

    /// Sets the rows that filters let through, over the hunts that the record has.
    pub fn count_matched(&mut self) {
        for (name, table) in &mut self.tables {
            let matched = self
                .hunts
                .values()
                .filter_map(|hunt| hunt.matched.get(name));
            table.rows_matched = matched.sum();
        }
    }
}

impl TableRecord {
    /// The object with a path.
    pub fn object(&self, path: &str) -> Option<&ObjectRecord> {
        let at = self
            .objects
            .binary_search_by(|object| object.path.as_str().cmp(path));
        at.ok().map(|at| &self.objects[at])
    }

    /// Adds what an earlier run of other hunts read of the same table. Of an object in two versions the later stays.
    fn merge(&mut self, earlier: Self) {
        for object in earlier.objects {
            let own = self.objects.iter_mut().find(|own| own.path == object.path);
            match own {
                None => self.objects.push(object),
                Some(own) if own.is_version_of(&object) => own.merge(object),
                Some(_) => {}
            }
        }
        self.objects.sort_by(|a, b| a.path.cmp(&b.path));
        self.rows_read = self.objects.iter().map(|object| object.rows).sum();
        self.rows_rejected = self.objects.iter().map(|object| object.rejected).sum();
        self.rows_in_window = self.rows_in_window.max(earlier.rows_in_window);
        self.files_total = self.files_total.max(earlier.files_total);
        self.bytes_read = self.bytes_read.max(earlier.bytes_read);
        self.quarantined = self.quarantined.max(earlier.quarantined);
        for (column, count) in earlier.type_conflicts {
            let own = self.type_conflicts.entry(column).or_default();
            *own = (*own).max(count);
        }
        self.newest_event = self.newest_event.max(earlier.newest_event);
        self.settle_seconds = self.settle_seconds.or(earlier.settle_seconds);
    }
}

/// One object as it was when it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Path relative to the table's location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub modified: DateTime<Utc>,
    /// The version that a bucket gave it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    /// Records read.
    pub rows: u64,
    /// Records that could not be read.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rejected: u64,
    /// No event in it is older; what was not read included, as statistics say, which may be wider than the events are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_event: Option<DateTime<Utc>>,
    /// No event in it is newer. Without both it holds no events, unless it is `lost`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest_event: Option<DateTime<Utc>>,
    /// Values of another type than declared, by column: they were read as NULL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub type_conflicts: BTreeMap<String, u64>,
    /// Columns that hunts read and the file does not have (Parquet only: a line of JSON has what it says).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub absent: Vec<String>,
    /// Why it, or a part of it, could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<String>,
}

impl ObjectRecord {
    /// Whether this is the version of the object that a listing saw.
    pub fn is_of(&self, listed: &Object) -> bool {
        self.size == listed.size
            && match (&self.etag, &listed.e_tag) {
                (Some(own), Some(listed)) => own == listed,
                _ => self.modified == listed.modified,
            }
    }

    fn is_version_of(&self, other: &Self) -> bool {
        self.size == other.size
            && match (&self.etag, &other.etag) {
                (Some(own), Some(other)) => own == other,
                _ => self.modified == other.modified,
            }
    }

    /// Whether it may hold something of `[start, end)`: an event, or, where it could not be read in full, anything.
    pub fn may_touch(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        if self.lost.is_some() {
            return true;
        }
        match (self.oldest_event, self.newest_event) {
            (Some(oldest), Some(newest)) => oldest < end && newest >= start,
            // Bad records without a good one beside them may be of any time.
            _ => self.rejected > 0,
        }
    }

    /// Adds what another run read of the same version: of more columns, or of more of its row groups.
    fn merge(&mut self, other: Self) {
        self.rows = self.rows.max(other.rows);
        self.rejected = self.rejected.max(other.rejected);
        for (column, count) in other.type_conflicts {
            let own = self.type_conflicts.entry(column).or_default();
            *own = (*own).max(count);
        }
        self.absent.extend(other.absent);
        self.absent.sort_unstable();
        self.absent.dedup();
    }
}

/// How far a hunt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It saw everything.
    Complete,
    /// It ran, but something it should have read was lost.
    Partial,
    /// It did not run to its end.
    Failed,
    /// The lake has nothing for it to read.
    Skipped,
}

/// What came out of one hunt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HuntRecord {
    /// What the hunt was.
    pub logic_hash: String,
    /// How far it got.
    pub state: State,
    /// Why not further.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The tables it reads.
    pub tables: Vec<String>,
    /// The lookups it reads.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lookups: Vec<String>,
    /// Where what it reads begins, when that is before the tile.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reads_from: Option<DateTime<Utc>>,
    /// What it saw of what runs left behind, where it is a hunt of stage two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub results: Option<ResultsRead>,
    /// Records of each table that its filters let through.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub matched: BTreeMap<String, u64>,
    /// Rows of its result, lookback included.
    pub rows: u64,
    /// Rows of its result without a `last_seen`: they count in no tile.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub timeless: u64,
    /// Findings that count in this tile.
    pub findings: u64,
    /// Alerts.
    pub alerts: u64,
    /// Findings were cut at the limit.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub truncated: bool,
    /// A later run of other hunts saw another version of what it read: it has to run again.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub behind: bool,
    /// How often it was tried with this logic and did not come to a complete end.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub attempts: u64,
}

/// What a hunt of stage two saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsRead {
    /// The relations of results that it reads.
    pub relations: Vec<String>,
    /// SHA-256 over what the ledgers of the tiles it looks at say of those, hex.
    pub digest: String,
}

impl HuntRecord {
    /// The record of a hunt that gave nothing.
    pub fn new(logic_hash: String, state: State, reason: Option<String>) -> Self {
        Self {
            logic_hash,
            state,
            reason,
            tables: Vec::new(),
            lookups: Vec::new(),
            reads_from: None,
            results: None,
            matched: BTreeMap::new(),
            rows: 0,
            timeless: 0,
            findings: 0,
            alerts: 0,
            truncated: false,
            behind: false,
            attempts: 0,
        }
    }

    /// The time that it reads in a tile: its lookback and the tile, `[start, end)`.
    pub fn scope(
        &self,
        tile_start: &DateTime<Utc>,
        tile_end: &DateTime<Utc>,
    ) -> (DateTime<Utc>, DateTime<Utc>) {
        (self.reads_from.unwrap_or(*tile_start), *tile_end)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One file of a tile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl OutputRecord {
    /// The record of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: crate::hex(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
        }
    }
}

/// [`PrettyFormatter`] down to a depth, compact below it.
struct Lines<'a> {
    depth: usize,
    pretty: PrettyFormatter<'a>,
}

impl Default for Lines<'_> {
    fn default() -> Self {
        Self {
            depth: 0,
            pretty: PrettyFormatter::new(),
        }
    }
}

impl Lines<'_> {
    const fn is_pretty(&self) -> bool {
        self.depth <= DEEPEST_PRETTY
    }
}

impl Formatter for Lines<'_> {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_pretty() {
            return self.pretty.begin_array(writer);
        }
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let is_pretty = self.is_pretty();
        self.depth -= 1;
        if is_pretty {
            return self.pretty.end_array(writer);
        }
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.is_pretty() {
            return self.pretty.begin_array_value(writer, first);
        }
        writer.write_all(if first { b"" } else { b", " })
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.is_pretty() {
            return self.pretty.end_array_value(writer);
        }
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_pretty() {
            return self.pretty.begin_object(writer);
        }
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let is_pretty = self.is_pretty();
        self.depth -= 1;
        if is_pretty {
            return self.pretty.end_object(writer);
        }
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.is_pretty() {
            return self.pretty.begin_object_key(writer, first);
        }
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.is_pretty() {
            return self.pretty.end_object_value(writer);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
