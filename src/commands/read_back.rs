//! Raw events read back from the lake by their place: as the views have them, and as the sensor wrote them. Only the files
//! that hold them are read, and of those not more than a bound, so that a look at alerts never costs another scan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use serde_json::Value;

use crate::engine::{Engine, Session, SqlSource};
use crate::error::{Error, Result};
use crate::lake::config::Format;
use crate::lake::raw_event;
use crate::lake::table::{DataFile, FILE_COLUMN, Listing, ROW_COLUMN, TABLE_COLUMN, Table};
use crate::output::alert::Evidence;
use crate::output::ledger::TableRecord;
use crate::output::value;
use crate::report::story::Event;
use crate::store::Object;

/// Bytes of files, as stored, that are read for one page.
pub(super) const PAGE_BYTES: u64 = 256 << 20;

/// What of a view's row says in one line what happened: the first that holds something.
const TELLING: [&str; 13] = [
    "command_line",
    "script_block_text",
    "text",
    "payload",
    "query",
    "filter",
    "operation",
    "relative_target_name",
    "image_loaded",
    "provider_path",
    "name",
    "image",
    "process_name",
];

/// Columns that are said elsewhere, or say nothing to people.
const SAID: [&str; 6] = [
    "event_time",
    "record_id",
    "source",
    TABLE_COLUMN,
    FILE_COLUMN,
    ROW_COLUMN,
];

/// Events by their place.
pub(super) type Events = BTreeMap<Evidence, Event>;

/// Reads events back. `wanted` are places, what matters most first; `tables` says which objects the tile had read, so
/// that nothing is listed. What could not be read is said in `problems`.
pub(super) async fn read_back(
    engine: &Engine,
    tables: &BTreeMap<String, TableRecord>,
    wanted: &[&Evidence],
    bytes: u64,
    problems: &mut Vec<String>,
) -> Events {
    let mut files = hold(engine, files(tables, wanted, bytes, problems), problems).await;
    let mut events = Events::new();
    for place in wanted {
        let is_read = files
            .get(&place.table)
            .is_some_and(|files| files.objects.contains_key(&place.file));
        if is_read {
            let event = Event {
                table: place.table.clone(),
                file: place.file.clone(),
                row: place.row,
                ..Event::default()
            };
            events.insert((*place).clone(), event);
        }
    }
    if events.is_empty() {
        return events;
    }
    add_raw(&mut files, &mut events, problems).await;
    if let Err(error) = add_views(engine, &files, &mut events).await {
        problems.push(format!(
            "the views of raw events cannot be read back: {}",
            error.in_one_line()
        ));
    }
    events
}

/// Objects by path, by table.
type Files = BTreeMap<String, BTreeMap<String, Object>>;

/// A table and the objects of it that hold the places.
struct Held {
    table: Arc<Table>,
    objects: BTreeMap<String, Object>,
}

/// Fetches the Parquet files of buckets once, where they are not too much to be held: several views and the raw events are
/// read of them. Lines are read once as they are.
async fn hold(engine: &Engine, files: Files, problems: &mut Vec<String>) -> BTreeMap<String, Held> {
    let mut all = BTreeMap::new();
    for (name, mut objects) in files {
        let Some(table) = engine.lake().tables.get(&name) else {
            continue;
        };
        let mut table = Arc::clone(table);
        let wanted: Vec<Object> = objects.values().cloned().collect();
        let size: u64 = wanted.iter().map(|object| object.size).sum();
        if table.format != Format::Ndjson && size <= PAGE_BYTES {
            let (held, lost) = table.hold(&wanted).await;
            table = Arc::new(held);
            for (path, error) in lost {
                objects.remove(&path);
                problems.push(error.in_one_line());
            }
        }
        all.insert(name, Held { table, objects });
    }
    all
}

/// The objects that hold the places, as far as the bytes reach.
fn files(
    tables: &BTreeMap<String, TableRecord>,
    wanted: &[&Evidence],
    bytes: u64,
    problems: &mut Vec<String>,
) -> Files {
    let mut files = Files::new();
    let mut left_out = BTreeSet::new();
    let mut room = bytes;
    for place in wanted {
        let taken = files.entry(place.table.clone()).or_default();
        if taken.contains_key(&place.file) {
            continue;
        }
        let record = tables.get(&place.table);
        let object = record.and_then(|table| {
            let mut objects = table.objects.iter();
            objects.find(|object| object.path == place.file)
        });
        let Some(object) = object else { continue };
        if object.size > room {
            left_out.insert(&place.file);
            continue;
        }
        room -= object.size;
        let object = Object {
            path: object.path.clone(),
            size: object.size,
            modified: object.modified,
            e_tag: None,
        };
        taken.insert(place.file.clone(), object);
    }
    if !left_out.is_empty() {
        problems.push(format!(
            "raw events of {} large files were not read back: `lakehunt alerts show ID` does it for one alert",
            left_out.len()
        ));
    }
    files
}

/// Adds the events as the sensor wrote them. Where they are lines, the views are then read of these lines alone, and not
/// of their files once more.
async fn add_raw(
    files: &mut BTreeMap<String, Held>,
    events: &mut Events,
    problems: &mut Vec<String>,
) {
    for (name, held) in files {
        let mut found = BTreeMap::new();
        for (path, object) in &held.objects {
            let of_file = events
                .keys()
                .filter(|place| place.table == *name && place.file == *path);
            let rows: BTreeSet<i64> = of_file.map(|place| place.row).collect();
            let raw = match raw_event::read(&held.table, object, &rows).await {
                Ok(raw) => raw,
                Err(error) => {
                    problems.push(error.in_one_line());
                    continue;
                }
            };
            for (row, text) in &raw {
                let place = Evidence {
                    table: name.clone(),
                    file: path.clone(),
                    row: *row,
                };
                if let Some(event) = events.get_mut(&place) {
                    event.raw = Some(text.clone());
                }
            }
            found.insert(path.clone(), (object.clone(), raw));
        }
        match held.table.of_lines(&found).await {
            Ok(None) => {}
            Ok(Some((table, objects))) => {
                let objects = objects.into_iter();
                held.table = Arc::new(table);
                held.objects = objects
                    .map(|object| (object.path.clone(), object))
                    .collect();
            }
            Err(error) => problems.push(error.in_one_line()),
        }
    }
}

/// What the views say of the events; of those that are in no view, what their table says.
async fn add_views(
    engine: &Engine,
    files: &BTreeMap<String, Held>,
    events: &mut Events,
) -> Result<()> {
    let listings = files.iter().map(|(name, held)| {
        let files = held.objects.values().map(|object| DataFile {
            object: object.clone(),
            time: None,
            partitions: Vec::new(),
        });
        let listing = Listing {
            files: files.collect(),
            ..Listing::default()
        };
        (name.clone(), (Arc::clone(&held.table), listing))
    });
    let session = engine.session_of_files(listings.collect()).await?;
    let lake = engine.lake();
    for view in lake.activities() {
        let is_fed = lake
            .sources(view)
            .any(|(table, _)| files.contains_key(&table.name));
        if is_fed {
            add_relation(&session, &view.name, true, events).await?;
        }
    }
    for table in files.keys() {
        let is_open =
            |(place, event): (&Evidence, &Event)| place.table == *table && event.time.is_none();
        if events.iter().any(is_open) {
            add_relation(&session, table, false, events).await?;
        }
    }
    Ok(())
}

async fn add_relation(
    session: &Session,
    relation: &str,
    is_view: bool,
    events: &mut Events,
) -> Result<()> {
    let open = || events.iter().filter(|(_, event)| event.time.is_none());
    let files: BTreeSet<String> = open()
        .map(|(place, _)| format!("'{}'", place.file.replace('\'', "''")))
        .collect();
    let rows: BTreeSet<i64> = open().map(|(place, _)| place.row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<String> = rows.iter().map(i64::to_string).collect();
    let files: Vec<String> = files.into_iter().collect();
    let source = SqlSource {
        path: std::path::PathBuf::from(relation),
        text: format!(
            "SELECT * FROM \"{relation}\" WHERE {FILE_COLUMN} IN ({}) AND {ROW_COLUMN} IN ({})",
            files.join(", "),
            rows.join(", ")
        ),
    };
    let frame = session.query(&source).await?;
    let batches = frame.collect().await;
    let batches = batches.map_err(|error| Error::failure(error.strip_backtrace()))?;
    for batch in &batches {
        for row in 0..batch.num_rows() {
            add_row(batch, row, is_view.then_some(relation), events);
        }
    }
    Ok(())
}

fn add_row(batch: &RecordBatch, row: usize, view: Option<&str>, events: &mut Events) {
    let cell = |name: &str| {
        let array = batch.column_by_name(name);
        array.map_or(Value::Null, |array| value::json(array, row))
    };
    let text = |name: &str| match cell(name) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let place = Evidence {
        table: text(TABLE_COLUMN),
        file: text(FILE_COLUMN),
        row: cell(ROW_COLUMN).as_i64().unwrap_or(0),
    };
    let Some(event) = events.get_mut(&place) else {
        return;
    };
    event.time = batch
        .column_by_name("event_time")
        .and_then(|times| value::time(times, row));
    event.view = view.map(str::to_owned);
    event.host = [text("host_name"), text("host_id")]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    event.user = text("user");
    event.what = what(&text);
    event.columns = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, array)| !SAID.contains(&field.name().as_str()) && !array.is_null(row))
        .map(|(field, array)| (field.name().clone(), value::text(array, row)))
        .filter(|(_, text)| !text.is_empty())
        .collect();
}

/// What happened, in one line.
fn what(text: &impl Fn(&str) -> String) -> String {
    let mut told = TELLING.iter().map(|name| text(name));
    let told = told.find(|text| !text.is_empty()).unwrap_or_default();
    let end = |address: &str, port: &str| match (text(address), text(port)) {
        (address, port) if port.is_empty() => address,
        (address, port) if address.contains(':') => format!("[{address}]:{port}"),
        (address, port) => format!("{address}:{port}"),
    };
    let (from, to) = (
        end("source_ip", "source_port"),
        end("destination_ip", "destination_port"),
    );
    let share = text("share_name");
    match (from.is_empty(), to.is_empty()) {
        (false, false) => format!("{from} to {to}  {told}").trim_end().to_owned(),
        (false, true) if !share.is_empty() => format!("{from} opened {share}\\{told}"),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_one_line() {
        let told = |columns: &[(&str, &str)]| {
            what(&|name: &str| {
                let mut columns = columns.iter();
                let found = columns.find(|(column, _)| *column == name);
                found.map_or(String::new(), |(_, text)| (*text).to_owned())
            })
        };
        assert_eq!(
            told(&[("image", "C:\\cmd.exe"), ("command_line", "cmd /c x")]),
            "cmd /c x"
        );
        assert_eq!(
            told(&[
                ("source_ip", "10.0.0.1"),
                ("source_port", "49152"),
                ("destination_ip", "fe80::1"),
                ("destination_port", "135"),
                ("image", "svchost.exe"),
            ]),
            "10.0.0.1:49152 to [fe80::1]:135  svchost.exe"
        );
        assert_eq!(
            told(&[
                ("source_ip", "10.0.0.1"),
                ("share_name", "\\\\*\\ADMIN$"),
                ("relative_target_name", "__1"),
            ]),
            "10.0.0.1 opened \\\\*\\ADMIN$\\__1"
        );
        assert_eq!(told(&[]), "");
    }
}
