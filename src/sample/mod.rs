//! Makes the sample lake: a few days (or years) of invented telemetry of an invented enterprise, in the raw shapes that real
//! collectors write, with attacks and look-alikes planted and the answers beside them. The same options give the same
//! bytes on every machine, a day at a time and without holding it in memory.
//!
//! It imports nothing of the crate: what it writes is checked by everything that reads it. No record is copied from real
//! logs; field names and the spelling of values are theirs, and the command lines are those that the tools emit.
//!
//! What is planted is in `attacks` (sessions), `remote` (other tools), `commands`, `wmic`, `wmi_logs` and `lookalikes`;
//! `answers.json` ([`Answers`]) says where each lies. An event passes from a plan (`planned`, `stories`) or everyday life
//! (`background`, `noise`) as an `event` through `outlets` to a `writer` of lines, `columns` or `nested` columns, and gets its shape
//! in `forms` and the modules named after the shapes.
//! Some lines are broken and some records are delivered twice, on purpose: they are listed as well.

mod answers;
mod attacks;
mod background;
mod columns;
mod commands;
mod damage;
mod defender;
mod event;
mod falcon;
mod folder;
mod forms;
mod heads;
mod line_file;
mod lookalikes;
mod members;
mod nested;
mod network;
mod noise;
mod ocsf;
mod outlets;
mod planned;
mod programs;
mod records;
mod remote;
mod rng;
mod security;
mod sentinel;
mod slots;
mod stories;
#[cfg(test)]
mod tests;
mod text;
mod verdicts;
mod wmi_logs;
mod wmic;
mod world;
mod writer;
mod zeek;

use std::io;
use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate};
use parquet::errors::ParquetError;

pub use answers::{Answers, Broken, Duplicate, Hunt, Kind, MADE_BY, Place, Planted, Rows};

use background::{Background, Shift};
use outlets::Outlets;
use rng::Rng;
use stories::Stage;
use text::{DAY, put_date, text_of};
use world::{SERVERS, World};
use writer::Tally;

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// UTC days, 1 to 3660.
    pub days: u32,
    /// Distinct readable events in the whole lake, exactly, unless the planted ones alone are more.
    pub events: u64,
    /// Another seed, another lake.
    pub seed: u64,
    /// The first day, from 1980 to 2100.
    pub start: NaiveDate,
    /// Share of everyday process creations whose command line comes only once, 0.0 to 1.0.
    pub distinct: f64,
    /// Number of hosts with Windows' own logs, at least 20; by default one for about 250 events a day. Those that other products
    /// watch come on top, a third as many.
    pub hosts: Option<u32>,
    /// Only the Parquet table, with all stories on its hosts: for measurements of the scan alone.
    pub parquet_only: bool,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            days: 3,
            events: 20_000,
            seed: 1,
            start: NaiveDate::from_epoch_days(20_454).unwrap_or_default(),
            distinct: 0.4,
            hosts: None,
            parquet_only: false,
        }
    }
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files, `lake.yaml` and `answers.json` included.
    pub files: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// Distinct readable events.
    pub events: u64,
    /// Entries in `answers.json`.
    pub planted: u64,
}

/// Why no lake could be made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// An option is out of range.
    #[error("sample: {option} is {value}\nhint: {hint}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        hint: &'static str,
    },
    /// The folder holds something that this generator did not make.
    #[error(
        "{path}: the folder is not empty, and holds no sample lake\nhint: name a new or empty folder; a folder is made anew only if its answers.json was made by `lakehunt sample`"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be read.
    #[error(
        "{path}: cannot read: {source}\nhint: check that the path is a folder and that you may read it"
    )]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error(
        "{path}: cannot write: {source}\nhint: check permissions and free space; the lake is incomplete, so empty the folder before the next try"
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A Parquet file could not be written.
    #[error(
        "{path}: cannot write Parquet: {source}\nhint: check permissions and free space; the lake is incomplete, so empty the folder before the next try"
    )]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: ParquetError,
    },
}

impl SampleError {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn parquet(path: &Path, source: ParquetError) -> Self {
        Self::Parquet {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes a lake in a folder that is new, empty, or holds a lake made by this function, which is then replaced.
/// `progress` hears now and then how many events are written.
///
/// ```
/// use lakehunt::sample::{SampleOptions, generate};
/// let folder = std::env::temp_dir().join("lake");
/// let summary = generate(&folder, &SampleOptions::default(), &mut |_| {})?;
/// assert_eq!(summary.events, 20_000);
/// # Ok::<(), lakehunt::sample::SampleError>(())
/// ```
pub fn generate(
    dir: &Path,
    options: &SampleOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, SampleError> {
    check(options)?;
    folder::prepare(dir)?;
    let first = i64::from(options.start.to_epoch_days());
    let hosts = options.hosts.unwrap_or_else(|| usual_hosts(options));
    let mut world = World::new(options.seed, hosts, first * DAY);
    if options.parquet_only {
        for host in &mut world.hosts {
            host.audited = false;
        }
    }
    let only = options.parquet_only.then_some(SERVERS);
    let collectors: Vec<usize> = (0..world.collectors.len())
        .filter(|index| only.is_none_or(|only| only == *index))
        .collect();
    let mut outlets: Vec<Outlets> = (world.collectors.iter())
        .map(|collector| Outlets::new(dir, collector, options, first))
        .collect();
    let mut tally = Tally::default();
    let mut background = Background::new(options.distinct, !options.parquet_only);
    let mut random: Vec<Rng> = (0..world.collectors.len())
        .map(|index| Rng::new(options.seed, &[0xDA1, index as u64]))
        .collect();
    let mut stage = Stage::new(&mut world, options.seed, only);
    for nth in 0..options.days {
        let day = first + i64::from(nth);
        let midnight = day * DAY;
        attacks::plant(&mut stage, midnight, nth, options.days);
        wmic::plant(&mut stage, midnight, nth, options.days);
        lookalikes::plant(&mut stage, midnight, nth, options.days);
        if stage.is_whole() {
            stage.later(|stage| {
                remote::plant(stage, midnight, nth, options.days);
                commands::plant(stage, midnight, nth, options.days);
                wmi_logs::plant(stage, midnight, nth, options.days);
                lookalikes::plant_on_the_network(stage, midnight, nth, options.days);
            });
        }
        let budgets = budgets(&stage, &collectors, options, day, nth, tally.events);
        for (collector, budget) in collectors.iter().copied().zip(budgets) {
            let planned = stage.take(day, collector);
            let mut shift = Shift {
                collector,
                midnight,
                budget,
                planned: &planned,
                stories: &mut stage.stories,
                outlets: &mut outlets[collector],
                tally: &mut tally,
                progress: &mut *progress,
            };
            background.run(stage.world, &mut random[collector], &mut shift)?;
        }
    }
    for outlet in &mut outlets {
        outlet.finish(&mut tally)?;
    }
    let planted: Vec<Planted> = (stage.stories.into_iter())
        .filter(planned::Story::is_told)
        .enumerate()
        .map(|(number, story)| story.answer(number))
        .collect();
    tally.files.sort();
    let answers = Answers {
        made_by: MADE_BY.to_owned(),
        seed: options.seed,
        start: text_of(|out| put_date(out, first)),
        days: options.days,
        events: tally.events,
        distinct: options.distinct,
        planted,
        broken: tally.broken,
        duplicates: tally.duplicates,
        rows: tally.rows,
        files: tally.files,
    };
    folder::finish(dir, options.parquet_only, &answers)
}

fn check(options: &SampleOptions) -> Result<(), SampleError> {
    let wrong = |option, value: String, hint| {
        Err(SampleError::Option {
            option,
            value,
            hint,
        })
    };
    if !(1..=3660).contains(&options.days) {
        return wrong("days", options.days.to_string(), "use 1 to 3660 days");
    }
    if !(0.0..=1.0).contains(&options.distinct) {
        let hint = "use a share from 0.0 to 1.0";
        return wrong("distinct", options.distinct.to_string(), hint);
    }
    if !(1980..=2100).contains(&options.start.year()) {
        let hint = "use a day from 1980 to 2100";
        return wrong("start", options.start.to_string(), hint);
    }
    if options
        .hosts
        .is_some_and(|hosts| !(world::FEWEST_HOSTS..=100_000).contains(&hosts))
    {
        let value = options.hosts.unwrap_or_default().to_string();
        return wrong(
            "hosts",
            value,
            "use 20 to 100000 hosts: the stories need them",
        );
    }
    Ok(())
}

fn usual_hosts(options: &SampleOptions) -> u32 {
    let wanted = options.events / u64::from(options.days) / 250;
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(24, 5000)
}

/// Thousandths of a day's everyday events that each of the later collectors gets; the rest is for those of Windows' own logs.
const SHARES: [(usize, u64); 5] = [
    (world::FALCON, 60),
    (world::DEFENDER, 15),
    (world::SENTINEL, 14),
    (world::OCSF, 40),
    (world::ZEEK, 60),
];

/// Everyday events that each collector makes on a day: what is left of the total, evenly over the days that are left, by
/// share or number of hosts; the last day makes the total exact.
fn budgets(
    stage: &Stage<'_>,
    collectors: &[usize],
    options: &SampleOptions,
    day: i64,
    nth: u32,
    made: u64,
) -> Vec<u64> {
    let days_left = u64::from(options.days - nth);
    let planted: u64 = (collectors.iter())
        .map(|collector| stage.waiting(day, *collector))
        .sum();
    let left = options.events.saturating_sub(made);
    let today = (left / days_left).saturating_sub(planted);
    let today = if days_left == 1 {
        left.saturating_sub(planted)
    } else {
        today
    };
    let share = |collector: usize| SHARES.iter().find(|(of, _)| *of == collector);
    let shared = |collector: usize| share(collector).map(|(_, share)| today * share / 1000);
    let hosts = |collector: usize| match share(collector) {
        Some(_) => 0,
        None => stage.world.collectors[collector].hosts.len() as u64,
    };
    let all: u64 = collectors.iter().map(|collector| hosts(*collector)).sum();
    let others: u64 = collectors.iter().filter_map(|each| shared(*each)).sum();
    let mut budgets: Vec<u64> = (collectors.iter())
        .map(|each| shared(*each).unwrap_or((today - others) * hosts(*each) / all.max(1)))
        .collect();
    let given: u64 = budgets.iter().sum();
    if let Some(first) = budgets.first_mut() {
        *first += today - given;
    }
    budgets
}
