//! A job's alerts on their way: which tiles, which targets, what each is sent, and what is said when it does not work.

use std::collections::BTreeSet;
use std::path::Path;

use super::run_tile::TileRun;
use crate::deliver::{self, Sender, Sent};
use crate::error::{Error, Result};
use crate::history::stored::{self, StoredAlert};
use crate::job::Job;
use crate::job::deliver::{Format, Target};
use crate::output::Output;
use crate::output::publish::summary_path;
use crate::printer::Printer;
use crate::report::json::harmless;
use crate::report::{messages, ocsf};
use crate::time::Window;

/// Alerts of a tile that a channel of people gets one by one; the rest is one message.
const MOST_MESSAGES: usize = 20;

/// Marks a tile before it is committed, so that no alert that is published can be forgotten.
///
/// # Errors
/// When the mark cannot be written.
pub(super) async fn mark(run: &TileRun<'_>) -> Result<()> {
    if run.job.deliver.is_empty() || !run.delivers {
        return Ok(());
    }
    deliver::mark(run.output, &run.job.name, run.tile).await
}

/// Sends what is marked: of this run, and what earlier runs could not send. Gives the exit code: 1 when something did not
/// leave.
///
/// # Errors
/// When the output cannot be read or written.
pub(super) async fn deliver(job: &Job, output: &Output, printer: &Printer) -> Result<u8> {
    if job.deliver.is_empty() {
        return Ok(0);
    }
    let mut all_left = true;
    for tile in deliver::pending(output, &job.name).await? {
        // A mark without a ledger: the run died before its commit, and its next run will come by here again.
        if output.ledger(&job.name, tile).await?.is_none() {
            continue;
        }
        let alerts = alerts_of(job, output, tile, printer).await?;
        let mut tile_left = true;
        for (name, target) in &job.deliver {
            if let Err(error) = to_target(job, output, tile, name, target, &alerts).await {
                tile_left = false;
                printer.error(
                    &format!(
                        "{tile}: alerts for `{name}` did not all leave: {}",
                        error.message()
                    ),
                    Some(
                        error
                            .hint_text()
                            .unwrap_or("the next run of the job sends them"),
                    ),
                );
            }
        }
        if tile_left {
            deliver::settle(output, &job.name, tile).await?;
        }
        all_left &= tile_left;
    }
    Ok(u8::from(!all_left))
}

async fn alerts_of(
    job: &Job,
    output: &Output,
    tile: Window,
    printer: &Printer,
) -> Result<Vec<StoredAlert>> {
    let mut problems = Vec::new();
    let suppress = |_: &str| job.suppress;
    let mut alerts = stored::alerts(output, Some(tile), &suppress, &mut problems).await?;
    for problem in problems {
        printer.warn(&problem);
    }
    alerts.retain(|alert| alert.job == job.name && alert.window_start == tile.start);
    alerts.sort_by(|a, b| {
        let place = |alert: &StoredAlert| (alert.level, alert.shown_risk(), alert.last_seen);
        place(b)
            .cmp(&place(a))
            .then_with(|| a.alert_id.cmp(&b.alert_id))
    });
    Ok(alerts)
}

/// Sends the alerts of a tile that a target wants and has not got.
async fn to_target(
    job: &Job,
    output: &Output,
    tile: Window,
    name: &str,
    target: &Target,
    alerts: &[StoredAlert],
) -> Result<()> {
    let wanted = |alert: &&StoredAlert| {
        alert.excepted_by.is_none()
            && (target.repeats || alert.status == "new")
            && target.level.is_none_or(|least| alert.level >= least)
    };
    let wanted: Vec<&StoredAlert> = alerts.iter().filter(wanted).collect();
    let mut left = deliver::left(output, &job.name, name, tile).await?;
    let open: Vec<&StoredAlert> = wanted
        .iter()
        .filter(|alert| !left.contains(&alert.alert_id))
        .copied()
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let sent = if let Some(folder) = &target.folder {
        // The whole tile again: the file is replaced.
        let sent = to_folder(folder, tile, target.format, &wanted).await;
        sent.map(|()| left.extend(ids(&wanted)))
    } else if let Some(file) = &target.file {
        deliver::append(file, &lines(target.format, &open)?).map(|()| left.extend(ids(&open)))
    } else {
        let summary = output.root().join(summary_path(&job.name, tile, "html"));
        to_webhook(target, tile, &open, &summary, &mut left).await
    };
    // What did leave is kept, whatever became of the rest.
    deliver::keep(output, &job.name, name, tile, left).await?;
    sent
}

fn ids(alerts: &[&StoredAlert]) -> Vec<String> {
    alerts.iter().map(|alert| alert.alert_id.clone()).collect()
}

async fn to_folder(
    folder: &Path,
    tile: Window,
    format: Format,
    alerts: &[&StoredAlert],
) -> Result<()> {
    let (suffix, bytes) = if format == Format::OcsfParquet {
        let findings: Vec<_> = alerts.iter().map(|alert| ocsf::finding(alert)).collect();
        ("parquet", deliver::parquet::bytes(&findings)?)
    } else {
        ("ndjson", lines(format, alerts)?.into_bytes())
    };
    let name = format!("{}.{suffix}", tile.file_stem());
    deliver::put(folder, &name, bytes).await
}

/// A line an alert.
fn lines(format: Format, alerts: &[&StoredAlert]) -> Result<String> {
    let lines = alerts.iter().map(|alert| Ok(body(format, alert)? + "\n"));
    lines.collect()
}

fn body(format: Format, alert: &StoredAlert) -> Result<String> {
    let text = match format {
        Format::Json => serde_json::to_string(alert),
        Format::Slack => serde_json::to_string(&messages::slack(alert)),
        Format::Teams => serde_json::to_string(&messages::teams(alert)),
        Format::Ocsf | Format::OcsfParquet => serde_json::to_string(&ocsf::finding(alert)),
    };
    let text = text.map_err(|error| Error::failure(error.to_string()))?;
    Ok(harmless(&text))
}

/// One request an alert, so that its id is the key by which the receiver knows it again; for channels of people no more
/// than they can read, and one that says how many more there are.
async fn to_webhook(
    target: &Target,
    tile: Window,
    alerts: &[&StoredAlert],
    summary: &Path,
    left: &mut BTreeSet<String>,
) -> Result<()> {
    let sender = sender(target)?;
    let is_channel = matches!(target.format, Format::Slack | Format::Teams);
    let single = if is_channel {
        MOST_MESSAGES
    } else {
        alerts.len()
    };
    let (single, more) = alerts.split_at(single.min(alerts.len()));
    let mut refused = None;
    for alert in single {
        match sender
            .send(&alert.alert_id, &body(target.format, alert)?)
            .await
        {
            Sent::Taken => {
                left.insert(alert.alert_id.clone());
            }
            Sent::Refused(why) => refused = Some(why),
            Sent::Failed(why) => return Err(Error::failure(why)),
        }
    }
    if !more.is_empty() {
        let summary = summary.display().to_string();
        let message = match target.format {
            Format::Teams => messages::teams_more(more.len(), &summary),
            _ => messages::slack_more(more.len(), &summary),
        };
        let key = format!("{}-more", tile.file_stem());
        match sender.send(&key, &message.to_string()).await {
            Sent::Taken => left.extend(ids(more)),
            Sent::Refused(why) | Sent::Failed(why) => return Err(Error::failure(why)),
        }
    }
    refused.map_or(Ok(()), |why| {
        Err(Error::failure(format!("the receiver refused some: {why}")))
    })
}

fn sender(target: &Target) -> Result<Sender> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            Error::configuration(format!("the environment variable {name} is not set"))
                .hint("it holds a secret that has no place in the job file; the next run sends what is waiting")
        })
    };
    let url = match (&target.url, &target.url_env) {
        (Some(url), _) => url.clone(),
        (None, Some(name)) => variable(name)?,
        (None, None) => return Err(Error::configuration("it has no address")),
    };
    let token = target.token_env.as_deref().map(variable).transpose()?;
    Sender::new(&url, token.as_deref())
}
