//! Reads whole sample lakes back, to compare every line with the answers, by matchers that share nothing with the generator.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::OnceLock;

use datafusion::arrow::json::LineDelimitedWriter;
use flate2::read::{GzDecoder, MultiGzDecoder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::*;

mod hunts;
mod lake;
mod shapes;
mod stories;

use hunts::{check_hunts, moment};

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

    /// The text at the first of these JSON pointers that holds one.
    fn first(&self, pointers: &[&str]) -> &str {
        let value = self.value.as_ref();
        let found = pointers.iter().find_map(|at| value?.pointer(at)?.as_str());
        found.unwrap_or("")
    }

    /// The number at the first of these JSON pointers, told as a number, decimal or hex.
    fn number(&self, pointers: &[&str]) -> Option<u64> {
        let value = self.value.as_ref()?;
        pointers.iter().find_map(|at| match value.pointer(at)? {
            Value::String(text) => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
            other => other.as_u64(),
        })
    }

    fn host(&self) -> &str {
        self.first(&[
            "/Computer",
            "/Hostname",
            "/aid",
            "/properties/DeviceName",
            "/device/hostname",
            "/id.resp_h",
        ])
    }

    /// The sensor's own name of the event.
    fn kind(&self) -> &str {
        let all = [
            "/event_simpleName",
            "/properties/ActionType",
            "/class_name",
            "/_path",
        ];
        self.first(&all)
    }

    fn is_process(&self) -> bool {
        let kinds = [
            "ProcessRollup2",
            "WmiCreateProcess",
            "ProcessCreated",
            "Process Activity",
        ];
        [1, 4688].contains(&self.event_id()) || kinds.contains(&self.kind())
    }

    fn command(&self) -> &str {
        self.first(&[
            "/CommandLine",
            "/properties/ProcessCommandLine",
            "/process/cmd_line",
        ])
    }

    fn program(&self) -> String {
        base_name(self.first(&[
            "/Image",
            "/NewProcessName",
            "/ImageFileName",
            "/properties/FolderPath",
            "/process/file/path",
            "/actor/process/file/path",
        ]))
    }

    fn parent(&self) -> String {
        if self.kind() == "WmiCreateProcess" {
            return "wmiprvse.exe".to_owned();
        }
        base_name(self.first(&[
            "/ParentImage",
            "/ParentProcessName",
            "/ParentBaseFileName",
            "/properties/InitiatingProcessFolderPath",
            "/actor/process/file/path",
        ]))
    }

    fn parent_command(&self) -> &str {
        self.first(&[
            "/ParentCommandLine",
            "/properties/InitiatingProcessCommandLine",
            "/actor/process/cmd_line",
        ])
    }

    fn original_name(&self) -> String {
        let all = [
            "/OriginalFileName",
            "/properties/ProcessVersionInfoOriginalFileName",
            "/process/file/internal_name",
        ];
        self.first(&all).to_lowercase()
    }

    fn process_id(&self) -> u64 {
        let all = [
            "/NewProcessId",
            "/TargetProcessId",
            "/properties/ProcessId",
            "/process/pid",
            "/ProcessId",
        ];
        self.number(&all).unwrap()
    }

    fn is_wmic(&self) -> bool {
        self.is_process() && (self.program() == "wmic.exe" || self.original_name() == "wmic.exe")
    }
}

fn base_name(path: &str) -> String {
    path.rsplit('\\').next().unwrap_or("").to_lowercase()
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
    if path.extension().unwrap() == "json" {
        return fs::read(path).unwrap();
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

fn rows_of(dir: &Path, answers: &Answers) -> Vec<Row> {
    let mut rows = Vec::new();
    let data = |path: &&String| !path.ends_with("/_SUCCESS");
    for path in answers.files.iter().filter(data) {
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
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in reader {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let lines = writer.into_inner();
    let lines = lines.strip_suffix(b"\n").unwrap();
    (lines.split(|byte| *byte == b'\n'))
        .map(|line| serde_json::from_slice(line).ok())
        .collect()
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
    // Defender and Sentinel tell seven digits of a second.
    let seven = row.first(&["/TimeGenerated", "/properties/Timestamp"]);
    if !seven.is_empty() {
        return format!("{}Z", &seven[..26]);
    }
    let seconds = row.first(&["/ContextTimeStamp", "/ProcessStartTime"]);
    let seconds = seconds.split_once('.').map(|(whole, millis)| {
        whole.parse::<i64>().unwrap() * 1_000_000 + millis.parse::<i64>().unwrap() * 1000
    });
    let value = row.value.as_ref().unwrap();
    let millis = value
        .get("time")
        .and_then(Value::as_i64)
        .map(|time| time * 1000);
    let wire = value.get("ts").and_then(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970")]
    let wire = wire.map(|time| (time * 1e6).round() as i64);
    if let Some(micros) = seconds.or(millis).or(wire) {
        return text_of(|out| text::put_iso(out, micros));
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
