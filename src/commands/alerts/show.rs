//! `lakehunt alerts show`: one alert, the raw events behind it read back from the lake, and what is needed to run it again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Place;
use crate::cli::{AlertsShowArgs, TestFormat};
use crate::commands::hunts::sql;
use crate::commands::read_back::read_back;
use crate::commands::read_results::add_results;
use crate::commands::run_tile::lookback;
use crate::commands::summary::{events_of, finding};
use crate::commands::{data, harmless_json, runtime};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::history::stored::StoredAlert;
use crate::hunt::{Content, Hunt, Library, attack};
use crate::job::Job;
use crate::lake::Lake;
use crate::output::alert::Evidence;
use crate::output::ledger::ResultsRead;
use crate::output::value::rfc3339;
use crate::output::{Ledger, Output};
use crate::printer::Printer;
use crate::report::story::Event;
use crate::report::visible::{neutral, shorten_counting};
use crate::time::Window;

/// Columns of a raw event that a terminal shows.
const RAW_WIDTH: usize = 2_000;

/// Everything about one alert.
struct Shown<'a> {
    alert: &'a StoredAlert,
    ledger: Option<Ledger>,
    job: Option<&'a Job>,
    hunt: Option<Hunt>,
    /// What the hunt is today.
    logic_hash: Option<String>,
    events: Vec<Event>,
    /// What could not be read back.
    problems: Vec<String>,
}

pub(super) fn run(arguments: &AlertsShowArgs, printer: &Printer) -> Result<()> {
    let place = Place::of(&arguments.place)?;
    let runtime = runtime()?;
    let alerts = runtime.block_on(place.alerts(None, printer))?;
    let alert = one(&alerts, &arguments.id)?;
    let shown = runtime.block_on(gather(arguments, &place, alert))?;
    for problem in &shown.problems {
        printer.warn(problem);
    }
    if arguments.format == TestFormat::Json {
        return harmless_json(printer, &shown.json(arguments.explain));
    }
    data(printer, &shown.text(arguments.explain))
}

fn one<'a>(alerts: &'a [StoredAlert], id: &str) -> Result<&'a StoredAlert> {
    let mut found = alerts.iter().filter(|alert| alert.alert_id.starts_with(id));
    let hint = "`lakehunt alerts list` lists all of them";
    match (found.next(), found.next()) {
        _ if id.is_empty() => Err(Error::configuration("the id is empty").hint(hint)),
        (Some(alert), None) => Ok(alert),
        (Some(first), Some(second)) => Err(Error::configuration(format!(
            "several alerts begin with `{id}`, such as {} and {}",
            first.alert_id, second.alert_id
        ))
        .hint("write more of the id")),
        (None, _) => {
            Err(Error::configuration(format!("no stored alert begins with `{id}`")).hint(hint))
        }
    }
}

async fn gather<'a>(
    arguments: &AlertsShowArgs,
    place: &'a Place,
    alert: &'a StoredAlert,
) -> Result<Shown<'a>> {
    let job = place.jobs.get(&alert.job);
    let mut shown = Shown {
        alert,
        ledger: None,
        job,
        hunt: None,
        logic_hash: None,
        events: Vec::new(),
        problems: Vec::new(),
    };
    let tile = Window::new(alert.window_start, alert.window_end)
        .map_err(|error| Error::failure(error.to_string()))?;
    match place.output.ledger(&alert.job, tile).await {
        Ok(ledger) => shown.ledger = ledger,
        Err(error) => shown.problems.push(error.in_one_line()),
    }
    let Some(lake) = arguments.lake.clone().or(job.map(|job| job.lake.clone())) else {
        shown.problems.push(format!(
            "no job `{}` is known here: its raw events are not read; name it with --job, or its lake with --lake",
            alert.job
        ));
        return Ok(shown);
    };
    if let Err(error) = shown.read(&lake, &place.output).await {
        shown.problems.push(error.in_one_line());
    }
    Ok(shown)
}

impl Shown<'_> {
    /// Reads the hunt as it is today, and the raw events.
    async fn read(&mut self, lake: &PathBuf, output: &Output) -> Result<()> {
        let beside = self.job.map_or(lake, |job| &job.path);
        let content = Content::beside(Some(beside))?;
        self.hunt = Library::load(&content).get(&self.alert.hunt).ok().cloned();
        let engine = Engine::new(Arc::new(Lake::open(lake, &content)?), None)?;
        if let (Some(hunt), Some(job)) = (&self.hunt, self.job) {
            let asked = [(hunt, lookback(hunt)?, job.parameters(hunt)?)];
            let hash = engine.logic_hashes(&asked).await.pop();
            self.logic_hash = hash.and_then(Result::ok);
        }
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let wanted: Vec<&Evidence> = self.alert.evidence.iter().collect();
        let tables = &ledger.tables;
        let mut events = read_back(&engine, tables, &wanted, u64::MAX, &mut self.problems).await;
        add_results(output, &wanted, &mut events, &mut self.problems).await;
        self.events = events_of(&self.alert.evidence, &events);
        Ok(())
    }

    fn command(&self) -> Option<String> {
        let alert = self.alert;
        let job = self.job?;
        Some(format!(
            "lakehunt run {} --from {} --to {} --hunt {}",
            job.path.display(),
            rfc3339(alert.window_start),
            rfc3339(alert.window_end),
            alert.hunt
        ))
    }

    /// The values that the hunt's parameters have in this job.
    fn parameters(&self) -> BTreeMap<String, String> {
        let values = self.hunt.as_ref().zip(self.job);
        let values = values.and_then(|(hunt, job)| job.parameters(hunt).ok());
        let values = values.unwrap_or_default().into_iter();
        values
            .map(|(name, value)| (name, value.to_string()))
            .collect()
    }

    fn json(&self, explain: bool) -> Value {
        let alert = self.alert;
        let events: Vec<Value> = self
            .events
            .iter()
            .map(|event| {
                let columns: serde_json::Map<String, Value> = event
                    .columns
                    .iter()
                    .map(|(name, text)| (name.clone(), text.clone().into()))
                    .collect();
                json!({
                    "table": event.table, "file": event.file, "row": event.row, "time": event.time,
                    "view": event.view, "columns": columns, "raw": event.raw,
                })
            })
            .collect();
        let record = self
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.hunts.get(&alert.hunt));
        let objects: BTreeMap<&String, Vec<Value>> = record
            .into_iter()
            .flat_map(|record| &record.tables)
            .filter_map(|name| Some((name, self.ledger.as_ref()?.tables.get(name)?)))
            .map(|(name, table)| {
                let objects = table.objects.iter().map(|object| {
                    json!({"path": object.path, "size": object.size, "modified": object.modified})
                });
                (name, objects.collect())
            })
            .collect();
        let mut value = json!({
            "alert": alert,
            "events": events,
            "again": {
                "command": self.command(),
                "sql": self.hunt.as_ref().map(sql),
                "parameters": self.parameters(),
                "lookback": self.hunt.as_ref().and_then(|hunt| hunt.front_matter.lookback.clone()),
                "window_start": alert.window_start,
                "window_end": alert.window_end,
                "logic_hash": alert.logic_hash,
                "logic_hash_now": self.logic_hash,
                "lakehunt_version": self.ledger.as_ref().map(|ledger| &ledger.lakehunt_version),
                "objects": objects,
            },
        });
        if explain {
            value["explanation"] = self.explanation().into();
        }
        value
    }

    fn text(&self, explain: bool) -> String {
        let alert = self.alert;
        let mut text = format!(
            "{}  {}  {}\n{}\n\n",
            alert.level.as_str().to_uppercase(),
            neutral(&alert.title),
            alert.status,
            neutral(&alert.message)
        );
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{name:10}  {}", neutral(value));
            }
        };
        for entity in &alert.entities {
            line(&entity.kind, &entity.value);
        }
        line(
            "when",
            &format!(
                "{} to {}",
                rfc3339(alert.first_seen),
                rfc3339(alert.last_seen)
            ),
        );
        line(
            "risk",
            &alert
                .risk_score
                .map(|risk| risk.to_string())
                .unwrap_or_default(),
        );
        for id in &alert.techniques {
            let name = attack::technique(id).map_or("", |technique| technique.name);
            line("technique", &format!("{id} {name}"));
        }
        line("tactics", &alert.tactics.join(", "));
        line("hunt", &alert.hunt);
        line("alert", &alert.alert_id);
        line("group", &alert.group_id);
        if explain {
            let _ = writeln!(text, "\n## Why it fired\n\n{}", self.explanation());
        }
        let _ = writeln!(text, "\n## The finding\n");
        for (name, values) in finding(&alert.finding) {
            for (index, value) in values.iter().enumerate() {
                let name = if index == 0 { name.as_str() } else { "" };
                let _ = writeln!(text, "{name:20}  {}", shown(value));
            }
        }
        self.events(&mut text);
        self.again(&mut text);
        text
    }

    /// Whether its hunt looked at what others found.
    fn is_second(&self) -> bool {
        self.results().is_some()
    }

    fn results(&self) -> Option<&ResultsRead> {
        let record = self.ledger.as_ref()?.hunts.get(&self.alert.hunt)?;
        record.results.as_ref()
    }

    fn events(&self, text: &mut String) {
        let alert = self.alert;
        let _ = writeln!(
            text,
            "\n## {} ({} of {}{})",
            if self.is_second() {
                "Alerts behind it"
            } else {
                "Raw events"
            },
            self.events.len(),
            alert.evidence.len(),
            if alert.evidence_truncated {
                ", and others that were not kept"
            } else {
                ""
            }
        );
        for event in &self.events {
            let time = event.time.map(rfc3339).unwrap_or_default();
            let _ = writeln!(
                text,
                "\n{time}  {}  {}  {} {} row {}",
                neutral(&event.host),
                neutral(&event.user),
                event.table,
                neutral(&event.file),
                event.row
            );
            let _ = writeln!(text, "  {}", shown(&event.what));
            match &event.raw {
                Some(raw) => {
                    let _ = writeln!(text, "  {}", shown(raw));
                }
                None => text.push_str("  (the record could not be read back)\n"),
            }
        }
    }

    fn again(&self, text: &mut String) {
        let alert = self.alert;
        let _ = writeln!(text, "\n## Again\n");
        if let Some(command) = self.command() {
            let _ = writeln!(text, "{command}");
        }
        if let Some(ledger) = &self.ledger {
            let _ = writeln!(text, "lakehunt {} found it", ledger.lakehunt_version);
        }
        let changed = match &self.logic_hash {
            Some(hash) if *hash == alert.logic_hash => "the hunt is the same today",
            Some(_) => "the hunt is another today: it may find something else",
            None => "the hunt is not known here",
        };
        let _ = writeln!(text, "logic {}: {changed}", alert.logic_hash);
        if let Some(hunt) = &self.hunt {
            let _ = writeln!(text, "\n```sql\n{}\n```", sql(hunt).trim());
        }
    }

    /// Why it fired, in words.
    fn explanation(&self) -> String {
        let alert = self.alert;
        let record = self
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.hunts.get(&alert.hunt));
        let mut words = String::new();
        let (start, end) = (rfc3339(alert.window_start), rfc3339(alert.window_end));
        let read = record.map_or(String::new(), |record| record.tables.join(", "));
        let before = self
            .hunt
            .as_ref()
            .and_then(|hunt| hunt.front_matter.lookback.clone());
        let before = before.map_or(String::new(), |before| format!(", and {before} before"));
        let _ = match self.results() {
            Some(results) => writeln!(
                words,
                "The hunt {} read what the job's other hunts gave from {start} to {end}{before}: {}.",
                alert.hunt,
                results.relations.join(", ")
            ),
            None => writeln!(
                words,
                "The hunt {} read the events of {start} to {end}{before} in {}.",
                alert.hunt,
                if read.is_empty() { "its tables" } else { &read }
            ),
        };
        if let Some(hunt) = &self.hunt {
            let front = &hunt.front_matter;
            let _ = writeln!(
                words,
                "It looks for this: {}",
                first_sentence(front.description.trim())
            );
            if !front.key.is_empty() {
                let columns: BTreeMap<_, _> = finding(&alert.finding).into_iter().collect();
                let key: Vec<String> = front
                    .key
                    .iter()
                    .map(|name| {
                        let values = columns.get(name).map(|values| values.join(", "));
                        format!(
                            "{name} = {}",
                            values.map_or("NULL".to_owned(), |text| shown(&text))
                        )
                    })
                    .collect();
                let _ = writeln!(
                    words,
                    "{} with the key {} made this alert.",
                    number(alert.finding_count, "row"),
                    key.join(", ")
                );
            }
            for (name, value) in self.parameters() {
                let _ = writeln!(words, "Its parameter ${name} was {value}.");
            }
        }
        let _ = writeln!(
            words,
            "Behind it: {}. The last, at {}, is in the window, so the alert counts there and nowhere else.",
            number(
                alert.event_count,
                if self.is_second() {
                    "result"
                } else {
                    "raw event"
                }
            ),
            rfc3339(alert.last_seen)
        );
        let risk = alert
            .risk_score
            .map_or("no risk".to_owned(), |risk| format!("a risk of {risk}"));
        let _ = writeln!(
            words,
            "The hunt gives it the level {} and {risk}.",
            alert.level.as_str()
        );
        let _ = match (alert.status.as_str(), &alert.excepted_by) {
            (_, Some(exception)) => {
                writeln!(words, "The exception `{}` covers it.", neutral(exception))
            }
            ("repeat", _) => writeln!(
                words,
                "It is a repeat: the same activity (group {}) alerted shortly before.",
                alert.group_id
            ),
            _ => writeln!(
                words,
                "It is new: its group had not alerted shortly before, and no exception covers it."
            ),
        };
        words
    }
}

/// Up to the first full stop or colon that ends a word, so that `wmic.exe` does not.
fn first_sentence(text: &str) -> String {
    let ends = text.match_indices(['.', ':']).map(|(at, _)| at + 1);
    let mut ends = ends.filter(|end| text[*end..].chars().next().is_none_or(char::is_whitespace));
    let first = &text[..ends.next().unwrap_or(text.len())];
    first
        .strip_suffix(':')
        .map_or_else(|| first.to_owned(), |words| format!("{words}."))
}

fn number(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn shown(value: &str) -> String {
    shorten_counting(&neutral(value), RAW_WIDTH).into_owned()
}
