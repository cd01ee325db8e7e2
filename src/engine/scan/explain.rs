//! The shared scans of a run in words: which hunts share which pass, what their predicates become, what could not be
//! indexed.

use std::fmt::Write as _;

use super::passes::{by_table, shared_table};
use super::{Leaf, bind, failed, leaves_of};
use crate::engine::{Engine, PlannedHunt};
use crate::error::Result;
use crate::lake::consumer::Consumer;

/// Hunts and tests named in a line before the rest is counted.
const NAMED: usize = 8;

impl Engine {
    /// The scans that planned hunts share, in words. Nothing is read.
    ///
    /// # Errors
    /// When a scan cannot be set up.
    pub fn explain(&self, hunts: &[PlannedHunt]) -> Result<String> {
        let leaves = leaves_of(hunts)?;
        let mut text = String::new();
        for (name, by_group) in by_table(&leaves, &[]) {
            let members = by_group.into_values().flatten();
            let members: Vec<&Leaf> = members.map(|member| &leaves[member]).collect();
            let Some(table) = shared_table(members.iter().copied()) else {
                continue;
            };
            let consumers: Vec<&Consumer> =
                members.iter().map(|leaf| &leaf.scan.consumer).collect();
            let (plan, bound) = bind(&table, None, &consumers).map_err(failed)?;
            let summary = bound.summary();
            let mut names: Vec<&str> = members
                .iter()
                .map(|leaf| hunts[leaf.hunt].name.as_str())
                .collect();
            names.dedup();
            let _ = writeln!(
                text,
                "one pass over `{name}` for {} of {}: {}",
                counted(members.len(), "scan"),
                counted(names.len(), "hunt"),
                listed(&names)
            );
            let _ = writeln!(
                text,
                "  decodes {}{}",
                counted(plan.form_columns.len(), "column"),
                match bound.early() {
                    None => ", all of every row: a hunt without filters wants them".to_owned(),
                    Some(early) => format!(
                        "; {early} of them decide which rows are wanted, the others are decoded late from Parquet"
                    ),
                }
            );
            let _ = writeln!(
                text,
                "  index: {}, {}, over {}; {} searched for at once",
                counted(summary.conjuncts, "condition"),
                counted(summary.tests, "test"),
                counted(summary.sources, "value"),
                counted(summary.literals, "literal")
            );
            for test in summary.unindexed.iter().take(NAMED) {
                let _ = writeln!(text, "  no literal and no hash for: {test}");
            }
            more(&mut text, summary.unindexed.len(), "test");
            let alone = bound.evaluated_alone();
            for (consumer, place) in alone.iter().take(NAMED) {
                let leaf = members[*consumer];
                let filter = &leaf.scan.consumer.filters[*place];
                let hunt = &hunts[leaf.hunt].name;
                let _ = writeln!(text, "  it may fail, so {hunt} evaluates it last: {filter}");
            }
            more(&mut text, alone.len(), "condition");
        }
        Ok(text)
    }
}

fn more(text: &mut String, all: usize, what: &str) {
    if all > NAMED {
        let _ = writeln!(text, "  and {} more", counted(all - NAMED, what));
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>();
    let shown = shown.join(", ");
    if names.len() > NAMED {
        return format!("{shown} and {} more", names.len() - NAMED);
    }
    shown
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
