//! Every hunt against its fixture: `tests/hunts/<path of the hunt>/events.ndjson` are raw events in the form
//! `windows_event`, `expected.ndjson` the findings they must give, in the order of findings, with the columns that are
//! worth comparing. `evidence_rows` are the lines of the events that a finding rests on.
//!
//! Each event says in `_note` what it is, `hit: why` or `near miss: why`, and that is held against the evidence.
//!
//! `LAKEHUNT_ACCEPT=1 cargo test --test it fixtures` writes the findings into `expected.ndjson`, with the columns it had;
//! read the difference before keeping it.

mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use lakehunt::engine::Engine;
use lakehunt::hunt::{Content, Hunt, Library, Parameter, Status};
use lakehunt::lake::Lake;
use lakehunt::output::{Findings, value};
use lakehunt::time::{Window, parse_duration};
use serde_json::{Map, Value};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Row = Map<String, Value>;

/// Says where the events of a finding are, in place of what the engine gives for it.
const EVIDENCE_ROWS: &str = "evidence_rows";
/// Columns that say where a finding was read; of a temporary lake, so never compared.
const PLACES: [&str; 4] = ["evidence", "_table", "_file", "_row"];
const LAKE: &str = "tables:\n  events: {location: events/, form: windows_event, format: ndjson}\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn content() -> Outcome<Content> {
    Ok(Content::read(&root().join("sql"))?)
}

/// The folder of a hunt's fixture, as `sql/` has it: `hunts/windows/process_creation/wmic_format`.
fn fixture_of(hunt: &Hunt) -> &str {
    hunt.inside.strip_suffix(".sql").unwrap_or(&hunt.inside)
}

/// Fixtures by their folder below `tests/`.
fn fixtures(tests: &Path) -> Outcome<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut open = vec![tests.join("hunts")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name == "events.ndjson") {
                let inside = folder.strip_prefix(tests)?.iter();
                let parts: Vec<_> = inside.map(|part| part.to_string_lossy()).collect();
                found.insert(parts.join("/"), folder.clone());
            }
        }
    }
    Ok(found)
}

fn read_rows(file: &Path) -> Outcome<Vec<Row>> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let rows = text.lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line)
            .map_err(|e| format!("{}:{}: {e}", file.display(), index + 1).into())
    });
    rows.collect()
}

/// The findings of one hunt over one file of events, all of whose columns are kept, and `evidence_rows`.
async fn run(
    content: &Content,
    hunt: &Hunt,
    events: &Path,
    overrides: &BTreeMap<String, Parameter>,
) -> Outcome<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("events"))?;
    fs::copy(events, folder.path().join("events/events.ndjson"))?;
    fs::write(folder.path().join("lake.yaml"), LAKE)?;
    let lake = Lake::open(&folder.path().join("lake.yaml"), content)?;
    let engine = Engine::new(Arc::new(lake), None)?;
    let window = Window::new(
        "2000-01-01T00:00:00Z".parse()?,
        "2100-01-01T00:00:00Z".parse()?,
    )?;
    let lookback = parse_duration(hunt.front_matter.lookback.as_deref().unwrap_or("0s"))?;
    let scope = window.extended(lookback, chrono::Duration::zero());
    let session = Arc::new(engine.session(Some(scope), Some(window)).await?);
    let mut parameters = hunt.front_matter.params.clone();
    parameters.extend(overrides.clone());
    let planned = session
        .plan_hunt(hunt, engine.lake(), lookback, &parameters)
        .await?;
    let schema = Arc::clone(&planned.schema);
    let session_of = |_| Arc::clone(&session);
    let minute = Duration::from_mins(1);
    let (outcomes, scans) = engine
        .run(&session_of, &[planned], window, minute, &|_, _| {})
        .await?;
    // An event that is no event, or a copy of another, would pass for a near miss.
    for file in scans.values().flat_map(|scan| &scan.files) {
        if let Some(bad) = file.bad_records.first() {
            return Err(format!("not an event: {bad:?}").into());
        }
        if !file.conflicts.is_empty() {
            return Err(format!("values of a wrong type: {:?}", file.conflicts).into());
        }
    }
    let outcome = outcomes.into_iter().next().ok_or("the hunt did not run")?;
    let findings = Findings::of_tile(&schema, &outcome.rows?, window)?;
    Ok((0..findings.rows.num_rows())
        .map(|row| finding(&findings.rows, row))
        .collect())
}

fn finding(batch: &RecordBatch, row: usize) -> Row {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let mut cells: Row = names
        .zip(batch.columns())
        .map(|(name, column)| (name, value::json(column.as_ref(), row)))
        .collect();
    let rows = match (cells.get("evidence"), cells.get("_row")) {
        (Some(Value::Array(places)), _) => {
            places.iter().map(|place| place["row"].clone()).collect()
        }
        (_, Some(line)) => vec![line.clone()],
        _ => Vec::new(),
    };
    cells.insert(EVIDENCE_ROWS.to_owned(), rows.into());
    cells
}

/// The lines of the events that some finding rests on.
fn evidence(findings: &[Row]) -> BTreeSet<usize> {
    let rows = findings
        .iter()
        .filter_map(|row| row[EVIDENCE_ROWS].as_array());
    rows.flatten()
        .filter_map(|line| usize::try_from(line.as_u64()?).ok())
        .collect()
}

/// What is wrong with a fixture itself: nothing to find, nothing to miss, notes that say otherwise than the findings.
fn check_events(events: &[Row], findings: &[Row]) -> Vec<String> {
    let evidence = evidence(findings);
    let mut wrong = Vec::new();
    if evidence.is_empty() {
        wrong.push("no hit: no event is evidence of a finding".to_owned());
    }
    if evidence.len() >= events.len() {
        wrong.push("no near miss: every event is evidence of a finding".to_owned());
    }
    let mut identities = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let line = index + 1;
        let note = event.get("_note").and_then(Value::as_str).unwrap_or("");
        match (note.split_once(": "), evidence.contains(&line)) {
            (Some(("hit", _)), true) | (Some(("near miss", _)), false) => {}
            (Some(("hit", _)), false) => {
                wrong.push(format!(
                    "line {line} is no evidence, but its note says `{note}`"
                ));
            }
            (Some(("near miss", _)), true) => {
                wrong.push(format!(
                    "line {line} is evidence, but its note says `{note}`"
                ));
            }
            _ => wrong.push(format!(
                "line {line} needs a `_note` of `hit: why` or `near miss: why`, not `{note}`"
            )),
        }
        let keys = ["Computer", "Channel", "EventRecordID"];
        let identity = keys.map(|key| event.get(key).cloned().unwrap_or_default().to_string());
        if let Some(other) = identities.insert(identity, line) {
            wrong.push(format!(
                "lines {other} and {line} are the same record, so one is dropped: give each an EventRecordID"
            ));
        }
    }
    wrong
}

/// How findings differ from what is expected, for people; empty where they do not. Only the columns given count.
fn difference(expected: &[Row], found: &[Row], events: &[Row]) -> String {
    let mut text = String::new();
    for index in 0..expected.len().max(found.len()) {
        let (wanted, given) = (expected.get(index), found.get(index));
        let mut lines = Vec::new();
        match (wanted, given) {
            (Some(wanted), Some(given)) => {
                for (column, value) in wanted {
                    let other = given.get(column);
                    if other != Some(value) {
                        let other = other.map_or("(no such column)".to_owned(), Value::to_string);
                        lines.push(format!("- {column}: {value}"));
                        lines.push(format!("+ {column}: {other}"));
                    }
                }
            }
            (Some(wanted), None) => lines.push(format!("- {}", Value::from(wanted.clone()))),
            (None, Some(given)) => lines.push(format!("+ {}", Value::from(given.clone()))),
            (None, None) => {}
        }
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "finding {} (- expected, + found)", index + 1);
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        for line in evidence(given.map(std::slice::from_ref).unwrap_or_default()) {
            let note = events.get(line - 1).and_then(|event| event.get("_note"));
            let _ = writeln!(text, "  line {line}: {}", note.unwrap_or(&Value::Null));
        }
    }
    text
}

/// Writes findings as the expected ones, with the columns that were compared before, or all.
fn accept(file: &Path, found: &[Row]) -> Outcome<()> {
    let before = if file.exists() {
        read_rows(file)?
    } else {
        Vec::new()
    };
    let compared: BTreeSet<&String> = before.iter().flat_map(Map::keys).collect();
    let mut text = String::new();
    for row in found {
        let kept: Row = row
            .iter()
            .filter(|(name, _)| {
                if compared.is_empty() {
                    !PLACES.contains(&name.as_str())
                } else {
                    compared.contains(name)
                }
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let _ = writeln!(text, "{}", Value::from(kept));
    }
    Ok(fs::write(file, text)?)
}

/// Everything that is wrong with one fixture.
async fn check(content: &Content, hunt: &Hunt, folder: &Path) -> Outcome<Vec<String>> {
    let file = folder.join("events.ndjson");
    let events = read_rows(&file)?;
    let found = run(content, hunt, &file, &BTreeMap::new()).await?;
    let mut wrong = check_events(&events, &found);
    let expected = folder.join("expected.ndjson");
    if std::env::var_os("LAKEHUNT_ACCEPT").is_some_and(|value| value == "1") {
        accept(&expected, &found)?;
    } else {
        let difference = difference(&read_rows(&expected)?, &found, &events);
        if !difference.is_empty() {
            wrong.push(difference);
        }
    }
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gives_what_it_says() {
    let content = content().unwrap();
    let library = Library::load(&content).unwrap();
    let hunts: BTreeMap<&str, &Hunt> = library
        .iter()
        .map(|hunt| (fixture_of(hunt), hunt))
        .collect();
    let fixtures = fixtures(&root().join("tests")).unwrap();
    assert!(
        !fixtures.is_empty(),
        "there are no fixtures below tests/hunts"
    );
    let mut wrong = Vec::new();
    for (name, folder) in &fixtures {
        let found = match hunts.get(name.as_str()) {
            Some(hunt) => check(&content, hunt, folder).await,
            None => Err(format!("no hunt sql/{name}.sql belongs to this fixture").into()),
        };
        let found = found.unwrap_or_else(|error| vec![error.to_string()]);
        wrong.extend(found.iter().map(|what| format!("tests/{name}: {what}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The stable hunts without a fixture.
fn without_fixture(library: &Library, fixtures: &BTreeMap<String, PathBuf>) -> Vec<String> {
    let stable = library
        .iter()
        .filter(|hunt| hunt.front_matter.status == Status::Stable);
    stable
        .filter(|hunt| !fixtures.contains_key(fixture_of(hunt)))
        .map(|hunt| format!("tests/{}/events.ndjson", fixture_of(hunt)))
        .collect()
}

#[test]
fn every_stable_hunt_has_a_fixture() {
    let library = Library::load(&content().unwrap()).unwrap();
    let mut fixtures = fixtures(&root().join("tests")).unwrap();
    let missing = without_fixture(&library, &fixtures);
    assert!(missing.is_empty(), "missing: {}", missing.join(", "));
    fixtures.retain(|name, _| !name.ends_with("/wmic_format"));
    let missing = without_fixture(&library, &fixtures);
    assert_eq!(
        missing,
        ["tests/hunts/windows/process_creation/wmic_format/events.ndjson"]
    );
}

fn row(json: &str) -> Row {
    serde_json::from_str(json).unwrap_or_default()
}

#[test]
fn a_difference_is_found_and_shown() {
    let events = [
        row(r#"{"_note":"hit: a"}"#),
        row(r#"{"_note":"near miss: b"}"#),
    ];
    let found = [row(r#"{"host":"A","count":2,"evidence_rows":[1]}"#)];
    let expected = |json| difference(&[row(json)], &found, &events);
    assert_eq!(
        expected(r#"{"host":"A"}"#),
        "",
        "columns that are not given do not count"
    );
    assert_eq!(
        expected(r#"{"host":"A","count":3,"users":null}"#),
        "finding 1 (- expected, + found)\n  - count: 3\n  + count: 2\n  - users: null\n  + users: (no such column)\n  line 1: \"hit: a\"\n"
    );
    let none = "finding 1 (- expected, + found)\n  + {\"host\":\"A\",\"count\":2,\"evidence_rows\":[1]}\n  line 1: \"hit: a\"\n";
    assert_eq!(difference(&[], &found, &events), none);
    assert_eq!(
        difference(&found, &[], &events),
        "finding 1 (- expected, + found)\n  - {\"host\":\"A\",\"count\":2,\"evidence_rows\":[1]}\n"
    );
}

#[test]
fn a_fixture_needs_a_hit_and_a_near_miss_and_true_notes() {
    let events = [
        row(r#"{"_note":"hit: a","EventRecordID":1}"#),
        row(r#"{"_note":"near miss: b","EventRecordID":2}"#),
    ];
    let found = |json: &str| check_events(&events, &[row(json)]).join("; ");
    assert_eq!(found(r#"{"evidence_rows":[1]}"#), "");
    assert_eq!(
        found(r#"{"evidence_rows":[]}"#),
        "no hit: no event is evidence of a finding; line 1 is no evidence, but its note says `hit: a`"
    );
    assert_eq!(
        found(r#"{"evidence_rows":[1,2]}"#),
        "no near miss: every event is evidence of a finding; line 2 is evidence, but its note says `near miss: b`"
    );
    let copies = [row("{}"), row("{}")];
    let said = check_events(&copies, &[row(r#"{"evidence_rows":[1]}"#)]);
    assert_eq!(said.len(), 3, "two without a note, one a copy: {said:?}");
}

#[test]
fn accepting_keeps_the_columns_that_were_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("expected.ndjson");
    let found = [row(
        r#"{"host":"A","count":2,"_row":1,"evidence_rows":[1]}"#,
    )];
    accept(&file, &found).unwrap();
    let all = "{\"host\":\"A\",\"count\":2,\"evidence_rows\":[1]}\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), all);
    fs::write(&file, "{\"count\":1}\n").unwrap();
    accept(&file, &found).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"count\":2}\n");
}
