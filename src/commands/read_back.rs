//! Raw events read back from the lake by their place: as the views have them, and as the sensor wrote them. Only the files
//! that hold them are read, and of those not more than a bound, so that a look at alerts never costs another scan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::common::runtime::SpawnedTask;
use futures::StreamExt;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinError;

use crate::engine::{Engine, Session, SqlSource};
use crate::error::{Error, Result};
use crate::lake::exec::parallelism;
use crate::lake::raw_event;
use crate::lake::table::{DataFile, FILE_COLUMN, Listing, ROW_COLUMN, TABLE_COLUMN, Table};
use crate::output::alert::Evidence;
use crate::output::ledger::TableRecord;
use crate::output::value;
use crate::report::story::Event;
use crate::store::Object;

/// Bytes of files, as stored, that are read for one page.
pub(super) const PAGE_BYTES: u64 = 256 << 20;
/// Files of a bucket that are read at a time.
const AT_ONCE: usize = 8;

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
    let files = files(tables, wanted, bytes, problems);
    let mut events = Events::new();
    for place in wanted {
        let is_known = engine.lake().tables.contains_key(&place.table);
        let files = files.get(&place.table);
        if is_known && files.is_some_and(|files| files.contains_key(&place.file)) {
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
    let small = add_raw(engine, files, &mut events, problems).await;
    if let Err(error) = add_views(engine, small, &mut events).await {
        problems.push(format!(
            "the views of raw events cannot be read back: {}",
            error.in_one_line()
        ));
    }
    events
}

/// Objects by path, by table.
type Files = BTreeMap<String, BTreeMap<String, Object>>;

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

/// Adds the events as the sensor wrote them. The tables are over these events alone then, so that the views do not read
/// their files once more.
async fn add_raw(
    engine: &Engine,
    files: Files,
    events: &mut Events,
    problems: &mut Vec<String>,
) -> BTreeMap<String, (Arc<Table>, Vec<DataFile>)> {
    let mut small = BTreeMap::new();
    for (name, objects) in files {
        let Some(table) = engine.lake().tables.get(&name) else {
            continue;
        };
        let mut rows: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for place in events.keys().filter(|place| place.table == name) {
            rows.entry(&place.file).or_default().insert(place.row);
        }
        let reads = objects.into_values().map(|object| {
            let rows = rows.remove(object.path.as_str()).unwrap_or_default();
            let table = Arc::clone(table);
            let kept = engine.kept_lines.all(&name, &object.path, &rows);
            async move {
                let path = object.path.clone();
                if let Some(lines) = kept {
                    return (path, Ok((object, raw_event::of_lines(lines))));
                }
                // Most of it is decompression: not on a thread that others wait for.
                let runtime = Handle::current();
                let read = SpawnedTask::spawn_blocking(move || {
                    let events = runtime.block_on(raw_event::read(&table, &object, &rows))?;
                    Ok((object, events))
                });
                // A decoder may panic on a broken page.
                let crashed = |error: JoinError| Error::failure(error.to_string());
                (path, read.join().await.map_err(crashed).flatten())
            }
        });
        let reads: Vec<_> = reads.collect();
        let mut found = BTreeMap::new();
        let is_local = table.location.folder().is_some();
        let at_once = if is_local { parallelism(1) } else { AT_ONCE };
        let mut reads = futures::stream::iter(reads).buffered(at_once);
        while let Some((path, read)) = reads.next().await {
            match read {
                Ok(read) => _ = found.insert(path, read),
                Err(error) => problems.push(error.in_one_line()),
            }
        }
        for (path, (_, raw)) in &found {
            for (row, text) in &raw.texts {
                let place = Evidence {
                    table: name.clone(),
                    file: path.clone(),
                    row: *row,
                };
                if let Some(event) = events.get_mut(&place) {
                    event.raw = Some(text.clone());
                }
            }
        }
        match table.of_events(found).await {
            Ok((table, files)) => _ = small.insert(name, (Arc::new(table), files)),
            Err(error) => problems.push(error.in_one_line()),
        }
    }
    small
}

/// What the views say of the events; of those that are in no view, what their table says.
async fn add_views(
    engine: &Engine,
    tables: BTreeMap<String, (Arc<Table>, Vec<DataFile>)>,
    events: &mut Events,
) -> Result<()> {
    let names: BTreeSet<String> = tables.keys().cloned().collect();
    let listings = tables.into_iter().map(|(name, (table, files))| {
        let listing = Listing {
            files,
            ..Listing::default()
        };
        (name, (table, listing))
    });
    let session = engine.session_of_files(listings.collect()).await?;
    let lake = engine.lake();
    for view in lake.activities() {
        let is_fed = lake
            .sources(view)
            .any(|(table, _)| names.contains(&table.name));
        if is_fed {
            add_relation(&session, &view.name, true, events).await?;
        }
    }
    for table in &names {
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
