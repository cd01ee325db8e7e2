//! What every verb over a job begins with: the job, its hunts, its lake, an engine, and what time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use tokio::sync::OnceCell;

use super::run_tile::lookback;
use crate::cli::JobArgs;
use crate::credentials::Credentials;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::history::coverage::{Coverage, Reach};
use crate::history::second::{Look, Second};
use crate::hunt::{Content, Hunt, Library};
use crate::job::{Job, parse_bytes};
use crate::lake::Lake;
use crate::output::Output;
use crate::printer::Printer;
use crate::stats::Stats;
use crate::time::{Window, format_instant, parse_instant};

/// A job, ready to be run or looked at.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) job: Job,
    /// The hunts that are meant.
    pub(super) hunts: Vec<Hunt>,
    /// Those, and the job's others.
    pub(super) all: Vec<Hunt>,
    /// What is wrong with hunts that could not even be read.
    pub(super) broken: Vec<String>,
    pub(super) lake: Arc<Lake>,
    pub(super) engine: Engine,
    /// Bytes that the engine may hold, where somebody says.
    pub(super) memory: Option<usize>,
    /// Where results go.
    pub(super) root: PathBuf,
    pub(super) now: DateTime<Utc>,
    /// What it costs.
    pub(super) stats: Stats,
    credentials: Option<Credentials>,
    /// The names of the hunts that the job selects.
    own: BTreeSet<String>,
    second: OnceCell<Second>,
}

impl Setup {
    /// Reads everything that is asked for.
    ///
    /// # Errors
    /// Configuration errors with their places. Hunts that are broken are said, and cost themselves.
    pub(super) fn open(
        asked: &JobArgs,
        memory: Option<&str>,
        at: Option<&str>,
        printer: &Printer,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let stats = Stats::start();
        let job = Job::read(&asked.job)?;
        let content = Content::beside(Some(&asked.job))?;
        let library = Library::load(&content);
        let hunts = chosen(&library, &job, &asked.hunts)?;
        let mut all = hunts.clone();
        if !asked.hunts.is_empty() {
            let others = library.select(&job.hunts).unwrap_or_default();
            all.extend(
                others
                    .into_iter()
                    .filter(|hunt| !hunts.contains(hunt))
                    .cloned(),
            );
            all.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let own = library.select(&job.hunts).unwrap_or_default();
        let own = own.into_iter().map(|hunt| hunt.name.clone()).collect();
        let broken = broken(&library, &job, &asked.hunts, printer);
        known(&library, &job)?;
        let lake = Arc::new(Lake::open(
            asked.lake.as_ref().unwrap_or(&job.lake),
            &content,
        )?);
        let memory = memory.map(parse_bytes).transpose();
        let memory = memory
            .map_err(|error| error.about("--memory"))?
            .or(job.limits.memory);
        let engine = Engine::new(Arc::clone(&lake), memory)?;
        let now = match at {
            Some(at) => parse_instant(at, job.grid.timezone())
                .map_err(|error| Error::configuration(error.to_string()).about("--at"))?,
            None => job.at.unwrap_or(now),
        };
        Ok(Self {
            root: asked.output.as_ref().unwrap_or(&job.output).clone(),
            // Those of the job are for its own output.
            credentials: job.credentials.clone().filter(|_| asked.output.is_none()),
            hunts,
            all,
            broken,
            lake,
            engine,
            memory,
            now,
            job,
            stats,
            own,
            second: OnceCell::new(),
        })
    }

    /// Opens a folder or bucket for writing.
    ///
    /// # Errors
    /// Those of [`Output::open`].
    pub(super) async fn output(&self, root: &Path) -> Result<Output> {
        Output::open(root, self.credentials.as_ref()).await
    }

    /// Opens where results go, to be looked at: nothing is written, and what is not there yet is empty.
    ///
    /// # Errors
    /// Those of [`Output::as_it_is`].
    pub(super) fn output_as_it_is(&self) -> Result<Output> {
        Output::as_it_is(&self.root, self.credentials.as_ref())
    }

    /// How long after its end a tile has settled: as long as the slowest table of the lake says.
    pub(super) fn settle(&self) -> Duration {
        let settle = self.lake.tables.values().map(|table| table.settle);
        settle.max().unwrap_or(Duration::zero())
    }

    /// How far back late objects are looked for: as far as the table with the longest memory says.
    pub(super) fn late(&self) -> Duration {
        let late = self.lake.tables.values().map(|table| table.late);
        late.max().unwrap_or(Duration::zero())
    }

    /// The newest tile that is complete.
    pub(super) fn newest(&self) -> Option<Window> {
        self.job.grid.newest_complete(self.now, self.settle())
    }

    /// That there is no complete tile.
    pub(super) fn none_complete(&self) -> Error {
        Error::configuration(format!(
            "no tile of `{}` is complete at {}",
            self.job.name,
            format_instant(self.now)
        ))
        .in_file(&self.job.path)
        .hint("the job's `since` says where its grid begins; --at moves the clock, --from and --to name a range")
    }

    /// What decides a rerun of each hunt; empty for one that cannot be planned, so that it is tried again.
    ///
    /// # Errors
    /// A parameter or lookback that is wrong.
    pub(super) async fn wanted(&self) -> Result<BTreeMap<String, String>> {
        let asked = self.hunts.iter();
        let asked = asked.map(|hunt| Ok((hunt, lookback(hunt)?, self.job.parameters(hunt)?)));
        let asked = asked.collect::<Result<Vec<_>>>()?;
        let hashes = self.engine.logic_hashes(&asked).await;
        let names = self.hunts.iter().map(|hunt| hunt.name.clone());
        let hashes = hashes.into_iter().map(Result::unwrap_or_default);
        Ok(names.zip(hashes).collect())
    }

    /// Which hunts look at results, and what they see: those of the job's other hunts.
    ///
    /// # Errors
    /// A parameter or lookback that is wrong.
    pub(super) async fn second(&self) -> Result<&Second> {
        let look = || async {
            let asked = self.all.iter();
            let asked = asked.map(|hunt| Ok((hunt, self.job.parameters(hunt)?)));
            let asked = asked.collect::<Result<Vec<_>>>()?;
            let read = self.engine.results_read(&asked).await;
            let mut hunts = BTreeMap::new();
            for (hunt, relations) in self.all.iter().zip(read) {
                let lookback = lookback(hunt)?;
                if !relations.is_empty() {
                    let look = Look {
                        relations,
                        lookback,
                    };
                    hunts.insert(hunt.name.clone(), look);
                }
            }
            let first = self.own.iter().filter(|name| !hunts.contains_key(*name));
            Ok(Second {
                first: first.cloned().collect(),
                suppress: self.job.suppress,
                grid: self.job.grid.clone(),
                hunts,
            })
        };
        self.second.get_or_try_init(look).await
    }

    /// The coverage of the job in an output.
    ///
    /// # Errors
    /// A parameter or lookback that is wrong, or ledgers that cannot be listed.
    pub(super) async fn coverage<'a>(&'a self, output: &'a Output) -> Result<Coverage<'a>> {
        let wanted = self.wanted().await?;
        let coverage = Coverage::open(&self.lake, output, &self.job.name, wanted).await?;
        coverage.with_second(self.second().await?).await
    }

    /// How far a look at the coverage goes.
    pub(super) fn reach(&self, beyond_late: bool, retry: bool) -> Reach {
        let newest = self.newest();
        Reach {
            now: self.now,
            beyond_late,
            retry,
            settled: newest.map(|tile| tile.end + self.settle()),
        }
    }
}

pub(super) fn chosen(library: &Library, job: &Job, named: &[String]) -> Result<Vec<Hunt>> {
    if named.is_empty() {
        let chosen = library.select(&job.hunts).map_err(|error| {
            let unknown = job.hunts.names.iter().flatten();
            let mut unknown = unknown.filter(|name| library.get(name).is_err());
            // A broken hunt's error is at its own place.
            match unknown.next() {
                _ if error.place().is_some() => error,
                Some(name) => at_job(job, name, error),
                None => at_job(job, "hunts", error),
            }
        })?;
        return Ok(chosen.into_iter().cloned().collect());
    }
    let mut hunts: Vec<Hunt> = Vec::new();
    for name in named {
        let hunt = library.get(name)?;
        if !hunts.contains(hunt) {
            hunts.push(hunt.clone());
        }
    }
    Ok(hunts)
}

/// Says what is wrong with hunts that the job may mean, for each tile to note: they cost themselves, and the exit code.
fn broken(library: &Library, job: &Job, named: &[String], printer: &Printer) -> Vec<String> {
    if !named.is_empty() {
        return Vec::new();
    }
    let names = job.hunts.names.as_ref();
    let is_meant = |name: &str| names.is_none_or(|names| names.iter().any(|other| other == name));
    let mut notes = Vec::new();
    for (name, errors) in library.broken().filter(|(name, _)| is_meant(name)) {
        for error in errors {
            printer.error(&error.to_string(), error.hint_text());
        }
        let first = errors.first().map(Error::in_one_line).unwrap_or_default();
        notes.push(format!("{name} is broken and was not run: {first}"));
    }
    notes
}

/// That what the job says about hunts is about hunts there are.
fn known(library: &Library, job: &Job) -> Result<()> {
    let is_broken = |name: &str| {
        library
            .get(name)
            .is_err_and(|error| error.place().is_some())
    };
    for name in job.params.keys().filter(|name| !is_broken(name)) {
        let hunt = library
            .get(name)
            .map_err(|error| at_job(job, name, error.about("params")))?;
        job.parameters(hunt)?;
    }
    for exception in job
        .exceptions
        .iter()
        .filter(|found| !is_broken(&found.hunt))
    {
        library
            .get(&exception.hunt)
            .map_err(|error| exception.error_about(&exception.hunt, &error))?;
    }
    Ok(())
}

/// An error about something that the job file says, at its line.
pub(super) fn at_job(job: &Job, word: &str, error: Error) -> Error {
    job.error_at(word, error.message())
        .maybe_hint(error.hint_text().map(str::to_owned))
}
