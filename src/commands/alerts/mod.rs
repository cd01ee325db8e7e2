//! `lakehunt alerts`: stored alerts listed and filtered, one with its raw events, risk added up.

mod list;
mod risk;
mod rows;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::cli::{AlertsArgs, AlertsCommand, OutputArgs, WindowArgs};
use crate::error::{Error, Result};
use crate::history::SUPPRESS;
use crate::history::stored::{self, StoredAlert};
use crate::job::Job;
use crate::output::Output;
use crate::printer::Printer;
use crate::time::{Window, parse_instant, resolve_range};

pub(super) fn run(arguments: &AlertsArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    match &arguments.command {
        None => list::run(&arguments.list, printer, now)?,
        Some(AlertsCommand::List(list)) => list::run(list, printer, now)?,
        Some(AlertsCommand::Show(arguments)) => show::run(arguments, printer)?,
        Some(AlertsCommand::Risk(arguments)) => risk::run(arguments, printer, now)?,
    }
    Ok(0)
}

/// An output, and the jobs that are known to write there.
struct Place {
    output: Output,
    jobs: BTreeMap<String, Job>,
}

impl Place {
    fn of(arguments: &OutputArgs) -> Result<Self> {
        let jobs = match &arguments.job {
            Some(path) => vec![Job::read(path)?],
            // A job that does not parse is no reason not to look at alerts; `check` tells of it.
            None => job_files()?
                .iter()
                .filter_map(|path| Job::read(path).ok())
                .collect(),
        };
        let root = match (&arguments.output, jobs.first()) {
            (Some(root), _) => root.clone(),
            (None, Some(job)) => job.output.clone(),
            (None, None) => {
                return Err(Error::configuration(
                    "there is no job here whose output could be read",
                )
                .hint("name a job with --job FILE, or the output with --output FOLDER"));
            }
        };
        if arguments.output.is_none()
            && let Some(other) = jobs.iter().find(|job| job.output != root)
        {
            return Err(Error::configuration(format!(
                "the jobs here write to several outputs, such as {} and {}",
                root.display(),
                other.output.display()
            ))
            .hint("name a job with --job FILE, or the output with --output FOLDER"));
        }
        let own = jobs.iter().find(|job| job.output == root);
        let credentials = own.and_then(|job| job.credentials.as_ref());
        Ok(Self {
            output: Output::open_for_reading(&root, credentials)?,
            jobs: jobs
                .into_iter()
                .map(|job| (job.name.clone(), job))
                .collect(),
        })
    }

    /// The time that the jobs of the output take for now, where all say one (`at:` of sample jobs): the latest.
    fn now(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let said: Option<Vec<_>> = self.jobs.values().map(|job| job.at).collect();
        said.and_then(|said| said.into_iter().max()).unwrap_or(now)
    }

    /// The alerts of a window, and all that could not be read, said.
    async fn alerts(&self, window: Option<Window>, printer: &Printer) -> Result<Vec<StoredAlert>> {
        let suppress = |job: &str| {
            let job = self.jobs.get(job);
            job.map_or(SUPPRESS, |job| job.suppress)
        };
        let mut problems = Vec::new();
        let alerts = stored::alerts(&self.output, window, &suppress, &mut problems).await?;
        for problem in problems {
            printer.warn(&problem);
        }
        Ok(alerts)
    }
}

/// The job files in `jobs/`, here or in a folder above, in order of their names.
fn job_files() -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir()
        .map_err(|error| Error::failure(format!("no working folder: {error}")))?;
    let Some(folder) = here
        .ancestors()
        .map(|folder| folder.join("jobs"))
        .find(|folder| folder.is_dir())
    else {
        return Ok(Vec::new());
    };
    let folder = folder
        .strip_prefix(&here)
        .map_or(folder.clone(), Path::to_owned);
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        Error::configuration(format!("cannot list the folder: {error}")).in_file(&folder)
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "yaml"))
        .collect();
    files.sort();
    Ok(files)
}

/// The window of the flags.
fn window(arguments: &WindowArgs, now: DateTime<Utc>) -> Result<Option<Window>> {
    let usage = |error: crate::time::TimeError| Error::configuration(error.to_string());
    let now = match &arguments.at {
        Some(at) => parse_instant(at, Tz::UTC).map_err(|error| usage(error).about("--at"))?,
        None => now,
    };
    resolve_range(
        arguments.from.as_deref(),
        arguments.to.as_deref(),
        arguments.last.as_deref(),
        arguments.earliest.as_deref(),
        arguments.latest.as_deref(),
        now,
        Tz::UTC,
    )
    .map_err(usage)
}
