//! `lakehunt schedule`: a job's next tiles, and timers that run them.

use std::fmt::Write as _;

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use super::data;
use super::setup::Setup;
use crate::cli::{JobArgs, ScheduleArgs, ScheduleFormat};
use crate::error::{Error, Result};
use crate::printer::Printer;
use crate::time::{Timer, Window, format_duration, format_instant};

/// Firings that are looked at for how long tiles take to settle: more than a year of days.
const LOOKED_AT: usize = 400;

/// A tile to come.
#[derive(Debug, Serialize)]
struct Next {
    #[serde(flatten)]
    window: Window,
    /// When the grid fires for it.
    fires: DateTime<Utc>,
    /// When it has settled: `run --due` takes it from then on.
    due: DateTime<Utc>,
}

/// When a timer has to go off, in five fields, and what is left to wait then.
struct Timing {
    timer: Timer,
    /// Seconds that five fields cannot say.
    sleep: i64,
}

pub(super) fn run(arguments: &ScheduleArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let of = JobArgs {
        job: arguments.job.clone(),
        lake: arguments.lake.clone(),
        ..JobArgs::default()
    };
    let setup = Setup::open(&of, None, arguments.at.as_deref(), printer, now)?;
    let text = match arguments.format {
        ScheduleFormat::Text => text(&setup, &next(&setup, arguments.next)),
        ScheduleFormat::Json => {
            super::json(printer, &next(&setup, arguments.next))?;
            return Ok(0);
        }
        ScheduleFormat::Crontab => crontab(&setup, &command(arguments)?)?,
        ScheduleFormat::Systemd => systemd(&setup, &command(arguments)?)?,
        ScheduleFormat::Kubernetes => kubernetes(&setup, arguments)?,
    };
    data(printer, &text)?;
    Ok(0)
}

fn next(setup: &Setup, count: usize) -> Vec<Next> {
    let tiles = setup.job.grid.next_tiles(setup.now, count);
    let next = tiles.into_iter().map(|(fires, window)| Next {
        window,
        fires,
        due: fires.max(window.end + setup.settle()),
    });
    next.collect()
}

fn text(setup: &Setup, next: &[Next]) -> String {
    let zone = setup.job.grid.timezone();
    let mut text = format!("{}  {}", setup.job.name, setup.job.grid);
    let settle = setup.settle();
    if !settle.is_zero() {
        let _ = write!(text, ", settled {} after its end", format_duration(settle));
    }
    text.push_str("\n\n");
    if next.is_empty() {
        text.push_str("no tile follows\n");
        return text;
    }
    let is_utc = zone == chrono_tz::Tz::UTC;
    let width = if is_utc { 20 } else { 25 };
    let _ = writeln!(text, "{:<width$}  window", "due");
    for tile in next {
        let due = if is_utc {
            format_instant(tile.due)
        } else {
            tile.due.with_timezone(&zone).to_rfc3339()
        };
        let _ = writeln!(
            text,
            "{due:<width$}  {}  {}",
            tile.window,
            format_duration(tile.window.length())
        );
    }
    text
}

/// When timers go off: when the grid fires, and later where a tile has not settled by then.
fn timing(setup: &Setup) -> Result<Timing> {
    let grid = &setup.job.grid;
    let tiles = grid.next_tiles(setup.now, LOOKED_AT);
    let waits = tiles
        .iter()
        .map(|(fires, tile)| tile.end + setup.settle() - *fires);
    let wait = waits
        .max()
        .unwrap_or(Duration::zero())
        .max(Duration::zero());
    let minutes = u32::try_from((wait.num_seconds() + 59) / 60).unwrap_or(u32::MAX);
    let timer = Timer::parse(grid.cron()).map_err(|error| {
        let message = format!("the grid's cron is for no other timer: {error}");
        setup.job.error_at("cron", message)
    })?;
    Ok(match timer.later(minutes) {
        Some(timer) => Timing { timer, sleep: 0 },
        None => Timing {
            timer,
            sleep: i64::from(minutes) * 60,
        },
    })
}

/// The command that a timer runs, and the folder it runs in.
fn command(arguments: &ScheduleArgs) -> Result<(String, String)> {
    let here = std::env::current_dir()
        .map_err(|error| Error::failure(format!("no working folder: {error}")))?;
    let mut command = format!("lakehunt run {}", quoted(&arguments.job.to_string_lossy()));
    if let Some(lake) = &arguments.lake {
        let _ = write!(command, " --lake {}", quoted(&lake.to_string_lossy()));
    }
    command.push_str(" --due --quiet");
    Ok((here.to_string_lossy().into_owned(), command))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn crontab(setup: &Setup, (here, command): &(String, String)) -> Result<String> {
    let Timing { timer, sleep } = timing(setup)?;
    let zone = setup.job.grid.timezone();
    let mut text = format!("# {}: {}\n", setup.job.name, setup.job.grid);
    if zone != chrono_tz::Tz::UTC {
        text.push_str("# cronie reads CRON_TZ; where cron does not, set the machine's zone.\n");
    }
    let _ = writeln!(text, "CRON_TZ={zone}");
    let wait = match sleep {
        0 => String::new(),
        sleep => format!("sleep {sleep} && "),
    };
    // To cron a percent sign is the end of the line.
    let line = format!("{wait}cd {} && {command}", quoted(here)).replace('%', r"\%");
    let _ = writeln!(text, "{} {line}", timer.crontab());
    Ok(text)
}

fn systemd(setup: &Setup, (here, command): &(String, String)) -> Result<String> {
    let Timing { timer, sleep } = timing(setup)?;
    let (name, zone) = (&setup.job.name, setup.job.grid.timezone());
    let mut text = format!(
        "# /etc/systemd/system/lakehunt-{name}.service\n[Unit]\nDescription=lakehunt: {name}\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\nWorkingDirectory={here}\n"
    );
    if sleep > 0 {
        let _ = writeln!(text, "ExecStartPre=/bin/sleep {sleep}");
    }
    // systemd reads a percent sign as the start of a specifier.
    let command = command.replace('%', "%%");
    let _ = writeln!(text, "ExecStart=/usr/local/bin/{command}");
    let _ = write!(
        text,
        "\n# /etc/systemd/system/lakehunt-{name}.timer\n[Unit]\nDescription=lakehunt: {name}\n\n[Timer]\n"
    );
    for calendar in timer.on_calendar() {
        let _ = writeln!(text, "OnCalendar={calendar} {zone}");
    }
    text.push_str("Persistent=true\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n");
    Ok(text)
}

fn kubernetes(setup: &Setup, arguments: &ScheduleArgs) -> Result<String> {
    let Timing { timer, sleep } = timing(setup)?;
    let (name, zone) = (&setup.job.name, setup.job.grid.timezone());
    let json = |word: &str| serde_json::Value::from(word).to_string();
    let mut words = vec![
        "run".to_owned(),
        arguments.job.to_string_lossy().into_owned(),
    ];
    if let Some(lake) = &arguments.lake {
        words.extend(["--lake".to_owned(), lake.to_string_lossy().into_owned()]);
    }
    words.extend(["--due", "--quiet"].map(str::to_owned));
    let (command, words) = if sleep == 0 {
        (r#"["lakehunt"]"#.to_owned(), words)
    } else {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let line = format!("sleep {sleep} && exec lakehunt {}", words.join(" "));
        (r#"["/bin/sh", "-c"]"#.to_owned(), vec![line])
    };
    let words: Vec<String> = words.iter().map(|word| json(word)).collect();
    Ok(format!(
        "apiVersion: batch/v1
kind: CronJob
metadata:
  name: lakehunt-{}
spec:
  schedule: {}
  timeZone: {}
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: lakehunt
              image: lakehunt:{}  # an image of yours with the binary, the job and its sql
              command: {command}
              args: [{}]
",
        dns_name(name),
        json(&timer.crontab()),
        json(&zone.to_string()),
        env!("CARGO_PKG_VERSION"),
        words.join(", ")
    ))
}

/// A name that Kubernetes takes: lower-case letters, digits and hyphens.
fn dns_name(name: &str) -> String {
    let letters = name.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    });
    letters.collect::<String>().trim_matches('-').to_owned()
}
