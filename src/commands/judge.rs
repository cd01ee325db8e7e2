//! The exceptions of a job over the findings of a tile: which are covered, by what, and which exceptions have had their day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::run_tile::TileRun;
use crate::engine::SqlSource;
use crate::error::Result;
use crate::exceptions::Exception;
use crate::history;
use crate::hunt::Hunt;
use crate::output::{Alert, Findings, alert};
use crate::time::format_instant;

/// An exception that covers nothing in windows of this length is reported.
const UNUSED_AFTER: Duration = Duration::days(30);

/// What the exceptions of a job say about one tile.
pub(super) struct Judge<'a> {
    run: &'a TileRun<'a>,
    /// Findings that each exception in force covered.
    covered: BTreeMap<String, u64>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(run: &'a TileRun<'a>) -> Self {
        let covered = Self::of(run).filter(|exception| exception.holds_at(run.tile.start));
        Self {
            covered: covered
                .map(|exception| (exception.name.clone(), 0))
                .collect(),
            run,
        }
    }

    /// The exceptions of the hunts that are run.
    fn of(run: &'a TileRun<'a>) -> impl Iterator<Item = &'a Exception> {
        let is_run =
            |exception: &&Exception| run.hunts.iter().any(|hunt| hunt.name == exception.hunt);
        run.job.exceptions.iter().filter(is_run)
    }

    fn in_force(&self, hunt: &Hunt) -> impl Iterator<Item = &'a Exception> + use<'a> {
        let (start, name) = (self.run.tile.start, hunt.name.clone());
        Self::of(self.run)
            .filter(move |exception| exception.hunt == name && exception.holds_at(start))
    }

    /// Whether the conditions of a hunt's exceptions fit its findings, before anything is read.
    ///
    /// # Errors
    /// A configuration error at the condition.
    pub(super) async fn check(&self, hunt: &Hunt, schema: &SchemaRef) -> Result<()> {
        let none = RecordBatch::new_empty(Arc::clone(schema));
        for exception in self.in_force(hunt) {
            self.holds(exception, &none).await?;
        }
        Ok(())
    }

    /// The alerts of some findings, those excepted marked.
    ///
    /// # Errors
    /// When a condition fails on a value.
    pub(super) async fn alerts(
        &mut self,
        hunt: &Hunt,
        findings: &Findings,
        logic_hash: &str,
    ) -> Result<Vec<Alert>> {
        let mut excepted = vec![BTreeSet::new(); findings.rows.num_rows()];
        for exception in self.in_force(hunt) {
            let rows = self.holds(exception, &findings.rows).await?;
            let covered = self.covered.entry(exception.name.clone()).or_default();
            for row in rows {
                excepted[row].insert(exception.name.as_str());
                *covered += 1;
            }
        }
        let tile = self.run.tile;
        Ok(alert::alerts(hunt, findings, tile, logic_hash, &excepted))
    }

    async fn holds(&self, exception: &Exception, rows: &RecordBatch) -> Result<Vec<usize>> {
        let condition = SqlSource {
            path: exception.path.clone(),
            text: exception.condition.clone(),
        };
        let answers = self.run.engine.holds(&condition, rows).await;
        let answers = answers.map_err(|error| exception.error(&error))?;
        Ok((0..answers.len())
            .filter(|row| answers.value(*row))
            .collect())
    }

    /// What each exception covered, and what is to be said of those that expired or are of no use.
    ///
    /// # Errors
    /// When the ledgers of earlier tiles cannot be listed.
    pub(super) async fn conclude(self) -> Result<(BTreeMap<String, u64>, Vec<String>)> {
        let run = self.run;
        let mut notes = Vec::new();
        for exception in Self::of(run).filter(|exception| !exception.holds_at(run.tile.start)) {
            notes.push(format!(
                "exception `{}` of {} expired at {}: what it covered alerts again",
                exception.name,
                exception.hunt,
                format_instant(exception.expires)
            ));
        }
        let unused: BTreeSet<&str> = self
            .covered
            .iter()
            .filter(|(_, covered)| **covered == 0)
            .map(|(name, _)| name.as_str())
            .collect();
        let job = &run.job.name;
        let unused =
            history::unused_exceptions(run.output, job, run.tile, &unused, UNUSED_AFTER).await?;
        for name in unused {
            notes.push(format!(
                "exception `{name}` covered nothing in {} days of windows: it can go",
                UNUSED_AFTER.num_days()
            ));
        }
        Ok((self.covered, notes))
    }
}
