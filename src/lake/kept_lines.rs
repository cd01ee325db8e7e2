//! Lines that a pass handed on, kept for the page of the run: their files, which may be in a bucket, need not be read once
//! more to show the raw events of alerts.
//!
//! Only as many as fit: where hunts want more, nothing is kept, and the few that are shown are read back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes of lines that are kept: more than the alerts of a night have.
const MOST_KEPT: usize = 32 << 20;

/// Kept lines of all tables.
#[derive(Debug, Default)]
pub struct KeptLines {
    lines: Mutex<Held>,
    is_full: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    /// By table and file, then by number.
    files: HashMap<(String, String), BTreeMap<i64, String>>,
    bytes: usize,
}

impl KeptLines {
    /// Forgets all lines, and keeps anew.
    pub fn clear(&self) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = Held::default();
        self.is_full.store(false, Ordering::Relaxed);
    }

    /// Whether no more lines are kept.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn add<'l>(
        &self,
        table: &str,
        file: &str,
        lines: impl Iterator<Item = (i64, &'l str)>,
    ) {
        let mut held = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = held.bytes;
        let place = (table.to_owned(), file.to_owned());
        let of_file = held.files.entry(place).or_default();
        for (number, line) in lines {
            bytes += line.len();
            if bytes > MOST_KEPT {
                self.is_full.store(true, Ordering::Relaxed);
                *held = Held::default();
                return;
            }
            of_file.insert(number, line.to_owned());
        }
        held.bytes = bytes;
    }

    /// Some lines of a file, if all of them are there.
    pub fn all(
        &self,
        table: &str,
        file: &str,
        numbers: &BTreeSet<i64>,
    ) -> Option<BTreeMap<i64, String>> {
        let held = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let of_file = held.files.get(&(table.to_owned(), file.to_owned()))?;
        let lines = numbers.iter();
        lines
            .map(|number| Some((*number, of_file.get(number)?.clone())))
            .collect()
    }
}

/// The lines of a block, one after the other.
#[derive(Debug, Default)]
pub struct BlockLines {
    text: String,
    ends: Vec<usize>,
}

impl BlockLines {
    /// Adds the line of the next row.
    pub(super) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.ends.push(self.text.len());
    }

    /// Forgets all of them, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// The line of a row.
    pub(super) fn line(&self, row: usize) -> &str {
        let from = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[from..self.ends[row]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_while_there_is_room() {
        let kept = KeptLines::default();
        kept.add("t", "a", [(3, "x"), (7, "y")].into_iter());
        let both = kept.all("t", "a", &[3, 7].into());
        assert_eq!(both.unwrap().into_values().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(kept.all("t", "a", &[3, 4].into()), None);
        assert_eq!(kept.all("t", "b", &[3].into()), None);
        let long = "x".repeat(MOST_KEPT);
        kept.add("t", "b", [(1, long.as_str())].into_iter());
        assert!(kept.is_full());
        assert_eq!(kept.all("t", "a", &[3].into()), None);
        kept.clear();
        assert!(!kept.is_full());
    }

    #[test]
    fn a_block_knows_the_line_of_each_row() {
        let mut lines = BlockLines::default();
        for line in ["{}", "", "{\"a\": 1}"] {
            lines.push(line);
        }
        assert_eq!(
            [0, 1, 2].map(|row| lines.line(row)),
            ["{}", "", "{\"a\": 1}"]
        );
    }
}
