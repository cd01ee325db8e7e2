//! `lakehunt prune`: a job's old tiles, removed for good and remembered as removed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::data;
use crate::cli::PruneArgs;
use crate::error::{Error, Result};
use crate::history::{Pruned, pruned_before, pruned_path};
use crate::job::Job;
use crate::output::Output;
use crate::printer::Printer;
use crate::report::figures::{amount, bytes};
use crate::time::{Window, format_instant, parse_duration, parse_instant};

pub(super) fn run(arguments: &PruneArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let job = Job::read(&arguments.job)?;
    let usage = |flag: &str, error: crate::time::TimeError| {
        Error::configuration(error.to_string()).about(flag)
    };
    let age =
        parse_duration(&arguments.older_than).map_err(|error| usage("--older-than", error))?;
    let now = match &arguments.at {
        Some(at) => parse_instant(at, job.grid.timezone()).map_err(|error| usage("--at", error))?,
        None => job.at.unwrap_or(now),
    };
    let limit = now.checked_sub_signed(age).ok_or_else(|| {
        Error::configuration(format!(
            "--older-than {} is before all time",
            arguments.older_than
        ))
    })?;
    let root = arguments.output.as_ref().unwrap_or(&job.output);
    let credentials = job.credentials.as_ref();
    let credentials = credentials.filter(|_| arguments.output.is_none());
    super::runtime()?.block_on(async {
        let output = if arguments.dry_run {
            Output::as_it_is(root, credentials)?
        } else {
            Output::open(root, credentials).await?
        };
        prune(&output, &job.name, limit, arguments.dry_run, printer).await
    })?;
    Ok(0)
}

async fn prune(
    output: &Output,
    job: &str,
    limit: DateTime<Utc>,
    dry_run: bool,
    printer: &Printer,
) -> Result<()> {
    let mut old: BTreeMap<Window, Vec<(String, u64)>> = BTreeMap::new();
    for (tile, path, size) in output.all_files(job).await? {
        if tile.end <= limit {
            old.entry(tile).or_default().push((path, size));
        }
    }
    let files = old.values().flatten();
    let (count, size) = files.fold((0, 0), |(count, sum), (_, size)| (count + 1, sum + size));
    let (Some((first, _)), Some((last, _))) = (old.first_key_value(), old.last_key_value()) else {
        data(
            printer,
            &format!("{job}: nothing ended before {}\n", format_instant(limit)),
        )?;
        return Ok(());
    };
    let said = format!(
        "{job}: {} from {} to {}, {} of {}",
        amount(old.len() as u64, "tile"),
        format_instant(first.start),
        format_instant(last.end),
        amount(count, "file"),
        bytes(size)
    );
    if dry_run {
        data(printer, &format!("{said} would go\n"))?;
        return Ok(());
    }
    // First that they are no longer missed, then the ledgers, so that none vouches for what is not there.
    let before = pruned_before(output, job).await?;
    let pruned = Pruned {
        before: before.map_or(last.end, |before| before.max(last.end)),
    };
    let bytes = serde_json::to_vec(&pruned).map_err(|error| Error::failure(error.to_string()))?;
    output.put(&pruned_path(job), &bytes).await?;
    let (ledgers, others): (Vec<_>, Vec<_>) = old
        .into_values()
        .flatten()
        .partition(|(path, _)| path.starts_with("ledger/"));
    for (path, _) in ledgers.iter().chain(&others) {
        output.remove(path).await?;
    }
    data(printer, &format!("{said} removed\n"))?;
    Ok(())
}
