//! What the last weeks looked like: per day and hunt how far it came and how many alerts it gave, read from the ledgers of
//! earlier tiles.
//!
//! Knows ledgers, not how they are shown. The same tiles before a tile give the same days, whenever they are read.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::files;
use crate::error::Result;
use crate::output::Output;
use crate::output::ledger::State;
use crate::time::Window;

/// Ledgers read at most, the newest first: an hourly job has many, and each is a request in a bucket.
const MOST_LEDGERS: usize = 400;
/// Requests under way at a time.
const AT_ONCE: usize = 16;

/// How far a hunt came on a day, the worst of its tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The lake has nothing for it to read.
    Skipped,
    /// There was no event to read.
    NoData,
    /// It saw everything.
    Complete,
    /// It ran over a part.
    Partial,
    /// It did not run to its end.
    Failed,
}

/// One hunt on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The worst of its tiles.
    pub outcome: Outcome,
    /// Alerts: new, repeated and excepted.
    pub alerts: u64,
}

/// All hunts on one day (UTC, of the tile's start).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// By hunt; a hunt that was not run is not there.
    pub hunts: BTreeMap<String, Cell>,
}

impl Day {
    /// A day without runs.
    pub fn empty(date: NaiveDate) -> Self {
        Self {
            date,
            hunts: BTreeMap::new(),
        }
    }

    /// Adds what a hunt did in a tile of this day.
    pub fn add(&mut self, hunt: &str, cell: Cell) {
        let own = self.hunts.entry(hunt.to_owned()).or_insert(Cell {
            outcome: cell.outcome,
            alerts: 0,
        });
        own.outcome = own.outcome.max(cell.outcome);
        own.alerts += cell.alerts;
    }
}

/// What of a ledger counts here; the lists of objects are skipped.
#[derive(Deserialize)]
struct Read {
    tables: BTreeMap<String, ReadTable>,
    hunts: BTreeMap<String, ReadHunt>,
}

#[derive(Deserialize)]
struct ReadTable {
    rows_in_window: u64,
}

#[derive(Deserialize)]
struct ReadHunt {
    state: State,
    tables: Vec<String>,
    /// What a hunt over results saw; it reads no table.
    #[serde(default)]
    results: Option<IgnoredAny>,
    alerts: u64,
}

impl Read {
    fn cell(&self, hunt: &ReadHunt) -> Cell {
        let has_data = |table: &String| {
            let table = self.tables.get(table);
            table.is_some_and(|table| table.rows_in_window > 0)
        };
        let outcome = match hunt.state {
            State::Skipped => Outcome::Skipped,
            State::Failed => Outcome::Failed,
            State::Partial => Outcome::Partial,
            State::Complete if hunt.results.is_some() || hunt.tables.iter().any(has_data) => {
                Outcome::Complete
            }
            State::Complete => Outcome::NoData,
        };
        Cell {
            outcome,
            alerts: hunt.alerts,
        }
    }
}

/// The days up to the one on which a tile starts, oldest first, each with what the tiles before this one did; days on
/// which nothing ran are empty. A ledger that cannot be read is as if its tile had not run.
///
/// # Errors
/// When the folder of ledgers cannot be listed.
pub async fn days(output: &Output, job: &str, tile: Window, count: u64) -> Result<Vec<Day>> {
    let last = tile.start.date_naive();
    let first = last.checked_sub_days(Days::new(count.saturating_sub(1)));
    let first = first.unwrap_or(last);
    let mut tiles: Vec<_> = files(output, &format!("ledger/{job}"), ".json")
        .await?
        .into_iter()
        .filter(|(window, _)| window.start < tile.start && window.start.date_naive() >= first)
        .collect();
    tiles.sort();
    let newest = tiles.split_off(tiles.len().saturating_sub(MOST_LEDGERS));
    let mut days: BTreeMap<NaiveDate, Day> = first
        .iter_days()
        .take_while(|date| *date <= last)
        .map(|date| (date, Day::empty(date)))
        .collect();
    let reads: Vec<_> = newest
        .into_iter()
        .map(|(window, path)| async move {
            let text = output.read(&path).await.ok()?;
            let read: Read = serde_json::from_slice(&text).ok()?;
            Some((window, read))
        })
        .collect();
    let mut reads = futures::stream::iter(reads).buffered(AT_ONCE);
    while let Some(read) = reads.next().await {
        let Some((window, ledger)) = read else {
            continue;
        };
        if let Some(day) = days.get_mut(&window.start.date_naive()) {
            for (name, hunt) in &ledger.hunts {
                day.add(name, ledger.cell(hunt));
            }
        }
    }
    Ok(days.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_over_results_reads_no_table_and_is_not_blind() {
        let ledger = r#"{"tables": {"events": {"rows_in_window": 0}}, "hunts": {
            "risk": {"state": "complete", "tables": [], "results": {"relations": ["risk"], "digest": "0"}, "alerts": 3},
            "blind": {"state": "complete", "tables": ["events"], "alerts": 0}}}"#;
        let ledger: Read = serde_json::from_str(ledger).unwrap();
        let cell = |hunt: &str| ledger.cell(&ledger.hunts[hunt]);
        let seen = Cell {
            outcome: Outcome::Complete,
            alerts: 3,
        };
        assert_eq!(cell("risk"), seen);
        assert_eq!(cell("blind").outcome, Outcome::NoData);
    }
}
