//! `lakehunt sql`: ad-hoc SQL over a lake; rows to stdout or a file, or the shell.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::cli::{RowFormat, SqlArgs, WindowArgs};
use crate::engine::adhoc::{Console, Extra};
use crate::engine::{Engine, SqlSource};
use crate::error::{Error, Result};
use crate::history::tables::{RunOutput, RunTables};
use crate::hunt::Content;
use crate::job::{Job, parse_bytes};
use crate::lake::Lake;
use crate::printer::Printer;
use crate::shell::{Ended, Interrupts, Place, Settings, Shell, interact, window};
use crate::stats::Stats;
use crate::time::{Window, format_instant, parse_duration, parse_instant, resolve_range};

/// What a query may need of stack: people type chains of thousands of terms, and planners recurse.
const STACK: usize = 512 << 20;
/// The same for the threads that run it.
const WORKER_STACK: usize = 64 << 20;
/// How long a query may take to stop after Ctrl-C before it is left to itself.
const GRACE: Duration = Duration::from_secs(5);
/// The exit code of what somebody interrupted: 128 and SIGINT.
const INTERRUPTED: u8 = 130;

pub(super) fn run(arguments: &SqlArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let is_shell = arguments.query.is_none()
        && arguments.file.is_none()
        && std::io::stdin().is_terminal()
        && printer.screen().is_some();
    let talk = printer.clone();
    let (arguments, printer) = (arguments.clone(), printer.clone());
    let (sender, mut done) = tokio::sync::oneshot::channel();
    let work = move || {
        // Whoever waited may have left.
        drop(sender.send(session(&arguments, &printer, now, is_shell)));
    };
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| Error::failure(format!("cannot start a thread: {error}")))?;
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("cannot start the async runtime: {error}")))?;
    waiting.block_on(async {
        loop {
            tokio::select! {
                result = &mut done => {
                    return result.unwrap_or_else(|_| Err(Error::failure("the query engine crashed")));
                }
                // The shell hears it itself; heard here too, it never ends the process.
                _ = tokio::signal::ctrl_c() => if !is_shell {
                    // It hears of it too, and ends in order where it can.
                    if let Ok(Ok(result)) = tokio::time::timeout(GRACE, done).await {
                        return result;
                    }
                    talk.warn("interrupted");
                    return Ok(INTERRUPTED);
                }
            }
        }
    })
}

/// The whole of it, on a thread with a stack for anything that is typed.
fn session(
    arguments: &SqlArgs,
    printer: &Printer,
    now: DateTime<Utc>,
    is_shell: bool,
) -> Result<u8> {
    let stats = Stats::start();
    let settings = settings(arguments, printer, is_shell)?;
    let text = if is_shell {
        None
    } else {
        Some(source(arguments)?)
    };
    let path = super::lake_file(arguments.lake.as_ref())?;
    let content = Content::beside(Some(&path))?;
    let lake = Arc::new(Lake::open(&path, &content)?);
    let memory = arguments.memory.as_deref().map(parse_bytes).transpose();
    let memory = memory.map_err(|error| error.about("--memory"))?;
    let engine = Arc::new(Engine::new(Arc::clone(&lake), memory)?);
    let now = at(&arguments.window, now)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK)
        .build()
        .map_err(|error| Error::failure(format!("cannot start the async runtime: {error}")))?;
    let outputs = outputs(arguments.output.as_deref(), &path);
    let opened = runtime.block_on(async {
        let window = chosen(&arguments.window, &lake, now, printer).await?;
        let runs: Arc<dyn Extra> = Arc::new(RunTables::new(outputs.clone(), window));
        let console = Console::new(engine, window, Some(runs)).await?;
        Ok::<_, Error>((console, Interrupts::listen()?))
    });
    let (console, interrupts) = opened?;
    let place = Place {
        content,
        outputs,
        now,
    };
    let mut shell = Shell::new(settings, console, printer, place, interrupts);
    if !is_shell {
        stats.stage("open");
        shell.count_with(stats);
    }
    let ended = match (text, &arguments.save_hunt) {
        (Some(text), None) => runtime.block_on(shell.run_text(&text)),
        (Some(text), Some(name)) => {
            let saved = runtime.block_on(shell.save(name, &text));
            saved.map(|()| Ended::Done)
        }
        (None, _) => interact(&mut shell, &runtime).map(|()| Ended::Done),
    };
    // Work that was cut off may still be on its way to notice.
    runtime.shutdown_background();
    match ended? {
        Ended::Done | Ended::Unread => Ok(0),
        Ended::Interrupted => {
            printer.warn("interrupted");
            Ok(INTERRUPTED)
        }
    }
}

fn settings(arguments: &SqlArgs, printer: &Printer, is_shell: bool) -> Result<Settings> {
    let timeout = parse_duration(&arguments.timeout)
        .map_err(|error| Error::configuration(format!("--timeout: {error}")))?;
    let format = arguments.format;
    let by_suffix = || RowFormat::of_file(arguments.out.as_ref()?);
    Ok(Settings {
        format: format.or_else(by_suffix).unwrap_or(RowFormat::Table),
        out: arguments.out.clone(),
        wide: arguments.wide,
        max_rows: arguments.max_rows,
        timeout: timeout.to_std().ok().filter(|timeout| !timeout.is_zero()),
        timer: is_shell,
        explain: arguments.explain,
        stats: arguments.stats,
        pager: is_shell && printer.screen().is_some(),
    })
}

/// The statements as they were typed, read from a file, or from stdin.
fn source(arguments: &SqlArgs) -> Result<SqlSource> {
    if let Some(file) = &arguments.file {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::configuration(format!("cannot read the query: {error}")).in_file(file)
        })?;
        return Ok(SqlSource {
            path: file.clone(),
            text,
        });
    }
    let mut text = arguments.query.clone().unwrap_or_default();
    if arguments.query.as_deref().is_none_or(|query| query == "-") {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Error::configuration(format!("cannot read stdin: {error}")))?;
    }
    Ok(SqlSource {
        path: PathBuf::from("query"),
        text,
    })
}

/// The time that is taken for now.
pub(super) fn at(arguments: &WindowArgs, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let Some(at) = &arguments.at else {
        return Ok(now);
    };
    parse_instant(at, Tz::UTC).map_err(|error| Error::configuration(format!("--at: {error}")))
}

/// The window that was asked for, else the last 24 hours of the data, which is said.
pub(super) async fn chosen(
    arguments: &WindowArgs,
    lake: &Lake,
    now: DateTime<Utc>,
    printer: &Printer,
) -> Result<Option<Window>> {
    let given = resolve_range(
        arguments.from.as_deref(),
        arguments.to.as_deref(),
        arguments.last.as_deref(),
        arguments.earliest.as_deref(),
        arguments.latest.as_deref(),
        now,
        Tz::UTC,
    )
    .map_err(|error| Error::configuration(error.to_string()))?;
    if given.is_some() {
        return Ok(given);
    }
    let window = window::last_day(lake, now).await?;
    match window {
        Some(window) => printer.note(&format!(
            "the last 24 hours of the data: {} to {}; --last, --from or --earliest choose another window",
            format_instant(window.start),
            format_instant(window.end)
        )),
        None => printer.note(
            "all time, because no path of this lake tells one; --last, --from or --earliest choose a window",
        ),
    }
    Ok(window)
}

/// Where runs wrote: the folder that was named, else those of the jobs beside the lake that read it.
fn outputs(named: Option<&Path>, lake: &Path) -> Vec<RunOutput> {
    // What is not there, or in a bucket, is itself.
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut outputs: Vec<RunOutput> = Vec::new();
    let found = |outputs: &[RunOutput], root: &Path| {
        let root = real(root);
        outputs.iter().position(|known| real(&known.root) == root)
    };
    outputs.extend(named.map(|root| RunOutput {
        root: root.to_owned(),
        credentials: None,
        suppress: BTreeMap::new(),
    }));
    for job in jobs_beside(lake) {
        let index = match found(&outputs, &job.output) {
            Some(index) => index,
            None if named.is_some() || real(&job.lake) != real(lake) => continue,
            None => {
                outputs.push(RunOutput {
                    root: job.output.clone(),
                    credentials: job.credentials.clone(),
                    suppress: BTreeMap::new(),
                });
                outputs.len() - 1
            }
        };
        let output = &mut outputs[index];
        output.credentials = output.credentials.take().or(job.credentials);
        output.suppress.insert(job.name, job.suppress);
    }
    outputs
}

/// The jobs in `jobs/` beside the lake, in the folder above it, and here.
fn jobs_beside(lake: &Path) -> Vec<Job> {
    let above = std::path::absolute(lake).unwrap_or_else(|_| lake.to_owned());
    let folders = above.ancestors().skip(1).take(2);
    let folders = folders.map(|folder| folder.join("jobs"));
    let mut jobs = Vec::new();
    for folder in folders.chain([PathBuf::from("jobs")]) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> = entries.collect();
        files.sort();
        // A job that does not parse is for `check` to say.
        jobs.extend(files.iter().filter_map(|file| Job::read(file).ok()));
    }
    jobs
}
