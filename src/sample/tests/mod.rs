//! Reads whole sample lakes back, to compare every line with the answers, by matchers that share nothing with the generator.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::OnceLock;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use flate2::read::{GzDecoder, MultiGzDecoder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::*;

mod lake;
mod stories;

/// One line or Parquet row. A line that is no JSON has no value.
struct Row {
    place: Place,
    value: Option<Value>,
}

impl Row {
    fn text(&self, name: &str) -> Option<&str> {
        self.value.as_ref()?.get(name)?.as_str()
    }

    fn event_id(&self) -> u64 {
        let id = self.value.as_ref().and_then(|value| value.get("EventID"));
        id.and_then(Value::as_u64).unwrap_or(0)
    }

    fn host(&self) -> &str {
        self.text("Computer")
            .or_else(|| self.text("Hostname"))
            .unwrap_or("")
    }

    fn is_process(&self) -> bool {
        [1, 4688].contains(&self.event_id())
    }

    fn command(&self) -> &str {
        self.text("CommandLine").unwrap_or("")
    }

    fn program(&self) -> String {
        let image = self
            .text("Image")
            .or_else(|| self.text("NewProcessName"))
            .unwrap_or("");
        image.rsplit('\\').next().unwrap_or("").to_lowercase()
    }

    fn process_id(&self) -> u64 {
        if let Some(hex) = self.text("NewProcessId") {
            return u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap();
        }
        match self.value.as_ref().unwrap().get("ProcessId").unwrap() {
            Value::String(text) => text.parse().unwrap(),
            other => other.as_u64().unwrap(),
        }
    }

    fn is_wmic(&self) -> bool {
        let original = self.text("OriginalFileName").unwrap_or("").to_lowercase();
        self.is_process() && (self.program() == "wmic.exe" || original == "wmic.exe")
    }

    fn matches(&self, hunt: Hunt) -> bool {
        let command = self.command().to_lowercase();
        match hunt {
            Hunt::RemoteWmiCommandAttempt => self.is_wmic() && command.contains("node"),
            Hunt::WmicFormat => self.is_wmic() && command.contains("format"),
            Hunt::WmicRemoteIp => self.is_wmic() && has_remote_address(&command),
            Hunt::WmiexecSharedOutputFile => redirect_file(self).is_some(),
        }
    }
}

fn has_remote_address(command: &str) -> bool {
    let tokens = command.split(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'));
    tokens.into_iter().any(|token| {
        let six = token.parse::<Ipv6Addr>().is_ok_and(|ip| !ip.is_loopback());
        let four = |piece: &str| piece.parse::<Ipv4Addr>().is_ok_and(|ip| !ip.is_loopback());
        six || token.split(':').any(four)
    })
}

fn redirect_file(row: &Row) -> Option<String> {
    let command = row.command();
    if !row.is_process() || row.program() != "cmd.exe" || !command.contains("/Q /c ") {
        return None;
    }
    let file = command.rsplit_once("1> ")?.1.split(' ').next()?;
    let (share, name) = file.strip_prefix(r"\\127.0.0.1\")?.split_once('\\')?;
    let (whole, part) = match name.strip_prefix("__")?.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (name.strip_prefix("__")?, None),
    };
    let digits = |text: &str, range: std::ops::RangeInclusive<usize>| {
        range.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let fits =
        !share.is_empty() && digits(whole, 5..=10) && part.is_none_or(|part| digits(part, 1..=7));
    fits.then(|| file.to_owned())
}

fn decoded(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap();
    if path.extension().unwrap() == "zst" {
        return zstd::decode_all(file).unwrap();
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

fn rows_of(dir: &Path, answers: &Answers) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in &answers.files {
        let (table, file) = path.split_once('/').unwrap();
        let values = if path.ends_with(".parquet") {
            parquet_values(&dir.join(path))
        } else {
            decoded(&dir.join(path))
                .strip_suffix(b"\n")
                .unwrap()
                .split(|byte| *byte == b'\n')
                .map(|line| serde_json::from_slice(line).ok())
                .collect()
        };
        for (row, value) in (1..).zip(values) {
            let place = Place {
                table: table.to_owned(),
                file: file.to_owned(),
                row,
            };
            rows.push(Row { place, value });
        }
    }
    rows
}

fn parquet_values(path: &Path) -> Vec<Option<Value>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let mut values = Vec::new();
    for batch in reader.map(Result::unwrap) {
        for row in 0..batch.num_rows() {
            let mut object = Map::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if column.is_null(row) {
                    continue;
                }
                let value = match column.as_primitive_opt::<Int64Type>() {
                    Some(numbers) => Value::from(numbers.value(row)),
                    None => Value::from(column.as_string::<i32>().value(row)),
                };
                object.insert(field.name().clone(), value);
            }
            values.push(Some(Value::Object(object)));
        }
    }
    values
}

struct Lake {
    dir: tempfile::TempDir,
    summary: Summary,
    answers: Answers,
    rows: Vec<Row>,
}

fn make(options: &SampleOptions) -> Lake {
    let dir = tempfile::tempdir().unwrap();
    let summary = generate(dir.path(), options, &mut |_| {}).unwrap();
    let text = fs::read(dir.path().join("answers.json")).unwrap();
    let answers: Answers = serde_json::from_slice(&text).unwrap();
    let rows = rows_of(dir.path(), &answers);
    Lake {
        dir,
        summary,
        answers,
        rows,
    }
}

/// The lake that everyone gets by default.
fn usual() -> &'static Lake {
    static LAKE: OnceLock<Lake> = OnceLock::new();
    LAKE.get_or_init(|| make(&SampleOptions::default()))
}

fn options(events: u64, seed: u64) -> SampleOptions {
    SampleOptions {
        events,
        seed,
        ..SampleOptions::default()
    }
}

fn files_of(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let own = ["lake.yaml".to_owned(), "answers.json".to_owned()];
    (lake.answers.files.iter().chain(&own))
        .map(|file| (file.clone(), fs::read(lake.dir.path().join(file)).unwrap()))
        .collect()
}

type At = (String, String, u64);

fn at(place: &Place) -> At {
    (place.table.clone(), place.file.clone(), place.row)
}

/// Rows that say something for the first time.
fn firsts(lake: &Lake) -> Vec<&Row> {
    let again: BTreeSet<At> = (lake.answers.duplicates.iter())
        .map(|copy| (copy.table.clone(), copy.file.clone(), copy.row))
        .collect();
    let lost: BTreeSet<At> = (lake.answers.broken.iter())
        .filter(|broken| !broken.row_kept)
        .map(|broken| (broken.table.clone(), broken.file.clone(), broken.line))
        .collect();
    (lake.rows.iter())
        .filter(|row| !again.contains(&at(&row.place)) && !lost.contains(&at(&row.place)))
        .collect()
}

fn planted_places(lake: &Lake, hunt: Hunt, kind: Kind) -> BTreeSet<At> {
    (lake.answers.planted.iter())
        .filter(|planted| planted.hunt == hunt && planted.kind == kind)
        .flat_map(|planted| planted.events.iter().map(at))
        .collect()
}

/// The time that a raw event tells, in the form of the answers.
fn told(row: &Row) -> String {
    if let Some(time) = row.text("UtcTime") {
        return format!("{}000Z", time.replace(' ', "T"));
    }
    if let Some(time) = row.text("TimeCreated") {
        return time.to_owned();
    }
    let local =
        chrono::NaiveDateTime::parse_from_str(row.text("EventTime").unwrap(), "%Y-%m-%d %H:%M:%S")
            .unwrap();
    // The lake of these answers is in winter.
    let utc = local + chrono::TimeDelta::hours(5);
    utc.format("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}

/// Runs all four hunts by hand and holds what they find against the answers.
fn check_hunts(lake: &Lake) {
    let rows = firsts(lake);
    for hunt in [
        Hunt::RemoteWmiCommandAttempt,
        Hunt::WmicRemoteIp,
        Hunt::WmicFormat,
    ] {
        let found: BTreeSet<At> = (rows.iter())
            .filter(|row| row.matches(hunt))
            .map(|row| at(&row.place))
            .collect();
        assert_eq!(found, planted_places(lake, hunt, Kind::Hit), "{hunt:?}");
        assert!(!found.is_empty(), "{hunt:?}");
        let near = planted_places(lake, hunt, Kind::NearMiss);
        assert!(found.is_disjoint(&near) && !near.is_empty(), "{hunt:?}");
    }
    let mut groups: BTreeMap<(String, String), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(file) = redirect_file(row) {
            groups
                .entry((row.host().to_owned(), file))
                .or_default()
                .push(row);
        }
    }
    groups.retain(|_, rows| {
        let commands: BTreeSet<_> = rows.iter().map(|row| row.command()).collect();
        let processes: BTreeSet<_> = rows.iter().map(|row| row.process_id()).collect();
        commands.len() > 1 && processes.len() > 1
    });
    let found: BTreeMap<(String, String), BTreeSet<At>> = (groups.into_iter())
        .map(|(key, rows)| (key, rows.iter().map(|row| at(&row.place)).collect()))
        .collect();
    let expected: BTreeMap<(String, String), BTreeSet<At>> = (lake.answers.planted.iter())
        .filter(|planted| {
            planted.hunt == Hunt::WmiexecSharedOutputFile && planted.kind == Kind::Hit
        })
        .map(|planted| {
            let key = (planted.host.clone(), planted.key["redirect_file"].clone());
            (key, planted.events.iter().map(at).collect())
        })
        .collect();
    assert_eq!(found, expected);
}
