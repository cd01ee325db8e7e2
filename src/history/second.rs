//! Hunts of stage two: what of earlier tiles they look at, what that was when they looked, and whether it was whole.
//!
//! A tile's results of stage two are a function of the results of stage one in the tiles that it looks at. The digest of
//! those stands in the ledger; where it is another now, the hunt runs again. Reads ledgers, no results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::results::place_of;
use crate::output::Ledger;
use crate::output::ledger::{HuntRecord, ResultsRead, State, TableRecord};
use crate::time::{Grid, Window};

/// Tiles, hunts that are named in a reason; more are counted.
const NAMED: usize = 3;

/// The kinds of output that a relation is made of.
const OUTPUTS: [(&str, &str); 4] = [
    ("alerts", "alerts"),
    ("risk", "alerts"),
    ("findings", "findings"),
    ("quarantine", "quarantine"),
];

/// The hunts of a job by their stage.
#[derive(Debug, Clone)]
pub struct Second {
    /// Those of stage two, and what they look at.
    pub hunts: BTreeMap<String, Look>,
    /// The job's hunts of stage one: only their results count.
    pub first: BTreeSet<String>,
    /// How long an activity is a repeat.
    pub suppress: Duration,
    /// The tiles of the job.
    pub grid: Grid,
}

/// What a hunt of stage two looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Relations of results.
    pub relations: BTreeSet<String>,
    /// How far before the tile.
    pub lookback: Duration,
}

/// The tiles before one that a hunt looks at.
#[derive(Debug, Default)]
pub struct Past {
    /// Those with a ledger, oldest first.
    pub tiles: Vec<(Window, Arc<Ledger>)>,
    /// Those that should have one.
    pub missing: Vec<Window>,
}

/// Digests of tiles, so that what many tiles look at is hashed once.
#[derive(Debug, Default)]
pub struct Digests(Mutex<BTreeMap<String, BTreeMap<Window, [u8; 32]>>>);

impl Look {
    /// Whether it looks at what hunts gave.
    fn is_of_hunts(&self) -> bool {
        let of_hunts = ["alerts", "risk", "findings", "runs"];
        of_hunts.iter().any(|name| self.relations.contains(*name))
    }

    /// The time whose results it sees in a tile.
    pub fn window(&self, tile: Window) -> Window {
        tile.extended(self.lookback, Duration::zero())
    }
}

impl Second {
    /// Whether there is any such hunt.
    pub fn is_empty(&self) -> bool {
        self.hunts.is_empty()
    }

    /// Where the first tile ends at the earliest whose results decide what a hunt finds in a tile: alerts from before what
    /// it sees say which are new.
    pub fn from(&self, look: &Look, tile: Window) -> DateTime<Utc> {
        let tells_new = look.relations.contains("alerts") || look.relations.contains("risk");
        let before = if tells_new {
            self.suppress
        } else {
            Duration::zero()
        };
        look.window(tile).start - before
    }

    /// The earliest [`Self::from`] of any of its hunts.
    pub fn earliest(&self, tile: Window) -> Option<DateTime<Utc>> {
        self.hunts.values().map(|look| self.from(look, tile)).min()
    }

    /// What a hunt saw of a tile and those before it, for the ledger.
    pub fn seen(
        &self,
        look: &Look,
        tile: Window,
        own: &Ledger,
        past: &Past,
        known: &Digests,
    ) -> ResultsRead {
        let mut hasher = Sha256::new();
        hasher.update(self.suppress.num_milliseconds().to_le_bytes());
        for missing in &past.missing {
            hasher.update(missing.file_stem());
        }
        let relations: Vec<String> = look.relations.iter().cloned().collect();
        let mut known = known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(relations.join(",")).or_default();
        for (window, ledger) in &past.tiles {
            hasher.update(window.file_stem());
            let digest = known.entry(*window);
            hasher.update(digest.or_insert_with(|| self.digest(look, ledger)));
        }
        hasher.update(tile.file_stem());
        hasher.update(self.digest(look, own));
        ResultsRead {
            relations,
            digest: crate::hex(&hasher.finalize()),
        }
    }

    /// What of a tile's results of stage one a hunt can see.
    fn digest(&self, look: &Look, ledger: &Ledger) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let sees = |relation: &str| look.relations.contains(relation);
        for (hunt, record) in &ledger.hunts {
            if !self.first.contains(hunt) || !look.is_of_hunts() {
                continue;
            }
            add(&mut hasher, &(hunt, record.state));
            if sees("runs") {
                let lasting = HuntRecord {
                    attempts: 0,
                    behind: false,
                    ..record.clone()
                };
                add(&mut hasher, &lasting);
            }
        }
        for (path, output) in &ledger.outputs {
            let is_seen = OUTPUTS.iter().any(|(relation, kind)| {
                let of = place_of(path, kind).filter(|_| sees(relation));
                of.is_some_and(|of| *kind == "quarantine" || self.first.contains(of))
            });
            if is_seen {
                add(&mut hasher, &(path, &output.sha256));
            }
        }
        for (table, record) in &ledger.tables {
            if sees("reads") || sees("runs") {
                let sums = TableRecord {
                    objects: Vec::new(),
                    type_conflicts: BTreeMap::new(),
                    files_total: 0,
                    rows_matched: 0,
                    ..record.clone()
                };
                add(&mut hasher, &(table, record.objects.len(), sums));
            }
            if sees("objects") {
                add(
                    &mut hasher,
                    &(table, &record.objects, record.settle_seconds),
                );
            }
        }
        hasher.finalize().into()
    }

    /// Why what a hunt looks at is not all that it should be; nothing where it is.
    pub fn lacks(&self, look: &Look, own: &Ledger, past: &Past) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(first) = past.missing.first() {
            reasons.push(format!(
                "{} before it {} not run, such as {first}",
                counted(past.missing.len(), "tile"),
                if past.missing.len() == 1 {
                    "was"
                } else {
                    "were"
                }
            ));
        }
        if !look.is_of_hunts() {
            return reasons;
        }
        let not_run = self
            .first
            .iter()
            .filter(|hunt| !own.hunts.contains_key(*hunt));
        reasons.extend(told(
            not_run.map(String::as_str),
            "has not run in this tile",
        ));
        let ledgers = || {
            past.tiles
                .iter()
                .map(|(_, ledger)| ledger.as_ref())
                .chain([own])
        };
        for (state, word) in [(State::Failed, "failed"), (State::Partial, "is partial")] {
            let such: BTreeSet<&str> = ledgers()
                .flat_map(|ledger| &ledger.hunts)
                .filter(|(hunt, record)| self.first.contains(*hunt) && record.state == state)
                .map(|(hunt, _)| hunt.as_str())
                .collect();
            reasons.extend(told(
                such.into_iter(),
                &format!("{word} in what it looks at"),
            ));
        }
        reasons
    }
}

impl Digests {
    /// Forgets a tile whose ledger is another now.
    pub fn forget(&self, tile: Window) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_kind in known.values_mut() {
            of_kind.remove(&tile);
        }
    }
}

fn add(hasher: &mut Sha256, what: &impl Serialize) {
    // What the ledger says is JSON already.
    let text = serde_json::to_vec(what).unwrap_or_default();
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text);
}

/// Some hunts in one reason.
fn told<'a>(hunts: impl Iterator<Item = &'a str>, what: &str) -> Option<String> {
    let hunts: Vec<&str> = hunts.collect();
    if hunts.is_empty() {
        return None;
    }
    let named = hunts[..hunts.len().min(NAMED)].join(", ");
    let what = match what.split_once(' ') {
        Some(("is", rest)) if hunts.len() > 1 => format!("are {rest}"),
        Some(("has", rest)) if hunts.len() > 1 => format!("have {rest}"),
        _ => what.to_owned(),
    };
    Some(match hunts.len().saturating_sub(NAMED) {
        0 => format!("{named} {what}"),
        more => format!("{named} and {more} more {what}"),
    })
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_where_one_is() {
        let hunts = ["a", "b", "c", "d", "e", "f", "g"];
        let said = |number: usize| told(hunts[..number].iter().copied(), "is partial in it");
        assert_eq!(said(0), None);
        assert_eq!(said(1).as_deref(), Some("a is partial in it"));
        let many = said(7).unwrap();
        assert!(many.ends_with(" more are partial in it"), "{many}");
    }
}
