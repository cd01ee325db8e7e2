//! The verbs, one file each: arguments in, exit code out.
//!
//! The only place that ties the rooms together. Prints through the printer alone.

mod alerts;
mod backfill;
mod blind;
mod calendar;
mod check;
mod coverage;
mod deliver;
mod diff;
mod drift;
mod evaluate;
mod fill;
mod hunts;
mod hunts_new;
mod init;
mod ioc;
mod judge;
mod left_over;
mod plan;
mod prune;
mod read_back;
mod read_results;
mod rebuild_tile;
mod repeats;
mod run;
mod run_tile;
mod sample;
mod schedule;
mod schema;
mod setup;
mod sql;
mod stage_two;
mod status;
mod summary;
mod tables;
pub mod test;
mod test_report;
mod tile_report;
mod tile_results;
mod tile_scan;
mod tile_state;

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::CommandFactory;

use crate::cli::{Cli, Color, Command};
use crate::error::{Error, Result};
use crate::hunt::Level;
use crate::printer::{ColorChoice, Printer};
use crate::report;

/// Runs the command line and gives the process's exit code (DESIGN.md, "Bad input and exit codes").
pub fn main(cli: Cli, now: DateTime<Utc>) -> ExitCode {
    let color = match cli.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let printer = Printer::new(cli.quiet, color);
    let result = match cli.command {
        Command::Run(arguments) => run::run(&arguments, &printer, now),
        Command::Backfill(arguments) => backfill::run(&arguments, &printer, now),
        Command::Status(arguments) => status::run(&arguments, &printer, now),
        Command::Schedule(arguments) => schedule::run(&arguments, &printer, now),
        Command::Prune(arguments) => prune::run(&arguments, &printer, now),
        Command::Diff(arguments) => diff::run(&arguments, &printer, now),
        Command::Hunts(command) => hunts::run(&command, &printer, now),
        Command::Alerts(arguments) => alerts::run(&arguments, &printer, now),
        Command::Check(arguments) => check::run(&arguments, &printer),
        Command::Test(arguments) => test::run(&arguments, &printer),
        Command::Evaluate(arguments) => evaluate::run(&arguments, &printer),
        Command::Sql(arguments) => sql::run(&arguments, &printer, now),
        Command::Ioc(arguments) => ioc::run(&arguments, &printer, now),
        Command::Tables(arguments) => tables::run(&arguments, &printer),
        Command::Sample(arguments) => sample::run(&arguments, &printer),
        Command::Init(arguments) => init::run(&arguments, &printer),
        Command::Schema(arguments) => schema::run(&arguments, &printer),
        Command::Completions { shell } => completions(shell, &printer),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&error.to_string(), error.hint_text());
            ExitCode::from(error.exit_code())
        }
    }
}

fn completions(shell: clap_complete::Shell, printer: &Printer) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lakehunt", &mut script);
    data(printer, &String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints data. A reader that has seen enough (`| head`) is no error.
fn data(printer: &Printer, text: &str) -> Result<()> {
    match printer.data(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::failure(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn json(printer: &Printer, value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::failure(error.to_string()))?;
    data(printer, &(text + "\n"))
}

/// JSON with telemetry in it: characters that would act on a terminal are written as `\uXXXX`.
fn harmless_json(printer: &Printer, value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::failure(error.to_string()))?;
    data(printer, &(report::json::harmless(&text) + "\n"))
}

/// The same, an object a line.
fn ndjson(printer: &Printer, values: &[impl serde::Serialize]) -> Result<()> {
    let mut lines = String::new();
    for value in values {
        let line =
            serde_json::to_string(value).map_err(|error| Error::failure(error.to_string()))?;
        lines.push_str(&report::json::harmless(&line));
        lines.push('\n');
    }
    data(printer, &lines)
}

/// A level by its word.
fn level(word: &str) -> Option<Level> {
    let mut levels = report::WORST_FIRST.into_iter();
    levels.find(|level| level.as_str() == word)
}

/// The async runtime.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("cannot start the async runtime: {error}")))
}

/// The lake file that was named, or the nearest: `lake.yaml` or `data/lake.yaml` in the working folder or one above.
fn lake_file(named: Option<&PathBuf>) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let here = std::env::current_dir()
        .map_err(|error| Error::failure(format!("no working folder: {error}")))?;
    let found = here.ancestors().find_map(|folder| {
        let candidates = [folder.join("lake.yaml"), folder.join("data/lake.yaml")];
        candidates.into_iter().find(|candidate| candidate.is_file())
    });
    let found = found.ok_or_else(|| {
        Error::configuration("there is no lake.yaml here or in a folder above")
            .hint("name one with --lake FILE")
    })?;
    Ok(found
        .strip_prefix(&here)
        .map(PathBuf::from)
        .unwrap_or(found))
}
