//! The damage matrix: what lakes really hold. Each kind of damage costs itself only, is counted and located, and decides
//! the exit code as the design says: a bad record is put aside, a file or row group that is lost makes results partial.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use lakehunt::lake::FileReport;

use crate::damage_parquet::{PARQUET, good_parquet};
use crate::lake::{INLINE, OneTable, gzip, line};
use crate::workspace::{Workspace, event, events, parquet};

/// One file of a table of its own, beside a good one.
pub(crate) struct Damaged {
    /// The `n` of its rows that could be read, in order.
    pub(crate) numbers: Vec<i64>,
    pub(crate) report: FileReport,
}

/// The row of the good file.
const GOOD: i64 = 1_000_059;

/// Reads a file with these bytes beside a good file, which must not be hurt.
pub(crate) fn damaged(name: &str, bytes: &[u8]) -> Damaged {
    let table = OneTable::new(INLINE);
    table.write(name, bytes);
    table.write("z_good.ndjson", line(GOOD));
    let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY _file, _row");
    let (last, numbers) = numbers.split_last().unwrap();
    assert_eq!(*last, GOOD, "the other file is read");
    let mut reports = report.files.into_iter();
    Damaged {
        numbers: numbers.to_vec(),
        report: reports.rfind(|file| file.object.path == name).unwrap(),
    }
}

impl Damaged {
    /// These rows, and these bad records by line, offset and reason; nothing is lost.
    pub(crate) fn has(&self, numbers: &[i64], bad: &[(u64, u64, &str)]) {
        assert_eq!(self.numbers, numbers, "{:?}", self.report);
        let records = self.report.bad_records.iter();
        let found: Vec<_> = records
            .map(|bad| (bad.line, bad.offset, bad.reason))
            .collect();
        assert_eq!(found, bad);
        assert_eq!(self.report.rejected, bad.len() as u64);
        assert_eq!(self.report.rows, numbers.len() as u64);
        assert_eq!(self.report.lost, None);
    }

    /// The file, or the rest of it, is lost, for a reason that says this.
    pub(crate) fn is_lost(&self, word: &str) {
        let reason = self.report.lost.as_deref().unwrap_or("nothing is lost");
        assert!(reason.contains(word), "{reason}");
    }
}

fn lines(numbers: std::ops::Range<i64>) -> String {
    numbers.map(line).collect()
}

#[test]
fn a_last_line_that_is_cut_off() {
    let whole = lines(0..3);
    let cut = &whole.as_bytes()[..whole.len() - 10];
    let start = lines(0..2).len() as u64;
    damaged("a.ndjson", cut).has(&[0, 1], &[(3, start, "not_json")]);
    let file = damaged("a.ndjson.gz", &gzip(&whole[..whole.len() - 10]));
    file.has(&[0, 1], &[(3, start, "not_json")]);
}

#[test]
fn garbage_in_the_middle() {
    let first = line(0).len() as u64;
    for (garbage, reason) in [
        (&b"<<< HEAD"[..], "not_json"),
        (b"{\"at\": \"2026-01-01\", \"n\": }", "not_json"),
        (b"\"text\"", "not_an_object"),
        (b"{\"at\":\"\xff\xfe\"}", "not_utf8"),
        (&[0; 4096], "not_json"),
        (b"{\"n\": 7}", "no_time"),
    ] {
        let bytes = [line(0).as_bytes(), garbage, b"\n", line(1).as_bytes()].concat();
        damaged("a.ndjson", &bytes).has(&[0, 1], &[(2, first, reason)]);
    }
}

#[test]
fn what_only_looks_like_damage() {
    let text = format!(
        "\u{feff}{}\n\r\n  \n{}",
        line(0).replace('\n', "\r\n"),
        line(1)
    );
    damaged("a.ndjson", text.as_bytes()).has(&[0, 1], &[]);
    for (name, bytes) in [
        ("empty.ndjson", vec![]),
        ("blank.ndjson", b"\n\n \n".to_vec()),
        ("mark.ndjson", b"\xef\xbb\xbf".to_vec()),
        ("marks.ndjson", b"\xef\xbb\xbf\xef\xbb\xbf\n".to_vec()),
        ("wide.ndjson", b"\xff\xfe".to_vec()),
        ("array.json", b"[]".to_vec()),
        ("empty.ndjson.gz", vec![]),
        ("nothing.ndjson.gz", gzip("")),
        ("empty.ndjson.zst", vec![]),
    ] {
        damaged(name, &bytes).has(&[], &[]);
    }
}

#[test]
fn values_and_keys_that_change() {
    let table = OneTable::new(INLINE);
    let at = "\"at\":\"2026-01-01\"";
    table.write(
        "a.ndjson",
        format!(
            "{{{at},\"n\":1,\"s\":\"x\"}}\n{{{at},\"n\":\"2\",\"s\":{{\"k\":1}}}}\n{{{at},\"N\":3,\"new\":0}}\n{{{at},\"n\":\"four\"}}\n"
        ),
    );
    let (numbers, report) =
        table.numbers("SELECT count(*) AS a, sum(n) AS b, count(s) AS c FROM t");
    assert_eq!(numbers, [4, 6, 1]);
    let conflicts = &report.files[0].conflicts;
    assert_eq!((conflicts["n"], conflicts["s"]), (1, 1));
}

#[test]
fn lines_of_20_and_50_megabytes_are_read_and_longer_ones_are_told() {
    let long = |length: usize| {
        let text = "x".repeat(length);
        line(7).replace("\"x\"", &format!("\"{text}\""))
    };
    for length in [20_000_000, 50_000_000] {
        let text = line(0) + &long(length) + &line(1);
        damaged("a.ndjson", text.as_bytes()).has(&[0, 7, 1], &[]);
    }
    let text = line(0) + &long(70_000_000) + &line(1);
    let file = damaged("a.ndjson", text.as_bytes());
    file.has(&[0, 1], &[(2, line(0).len() as u64, "too_long")]);
    let bad = &file.report.bad_records[0];
    assert_eq!(bad.length, long(70_000_000).len() as u64 - 1);
    assert!(bad.text.as_ref().is_some_and(|text| text.len() < 100_000));
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(unit).collect()
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read() {
    let text = line(0).replace("\"x\"", "\"\u{e4}\u{1f600}\"") + "garbage \u{1f600}\n" + &line(1);
    let offset = 2 + 2 * (line(0).encode_utf16().count() as u64 + 2);
    for unit in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes = utf16(&text, unit);
        let file = damaged("a.ndjson", &bytes);
        file.has(&[0, 1], &[(2, offset, "not_json")]);
        let bad = &file.report.bad_records[0];
        assert_eq!(
            (bad.text.as_deref(), bad.length),
            (Some("garbage \u{1f600}"), 20)
        );
        // Cut in the middle of a character.
        let file = damaged("a.ndjson", &bytes[..bytes.len() - 7]);
        assert_eq!(
            (file.numbers.as_slice(), file.report.rejected),
            (&[0][..], 2)
        );
    }
}

#[test]
fn a_json_array_is_read_element_by_element() {
    let elements: Vec<_> = (0..3).map(|n| line(n).trim_end().to_owned()).collect();
    for text in [
        format!("[{}]", elements.join(",")),
        format!("\u{feff}[\n{}\n]\n", elements.join(",\n")),
        format!("[\r\n  {}\r\n]", elements.join("\r\n  , ")),
    ] {
        damaged("a.json", text.as_bytes()).has(&[0, 1, 2], &[]);
        let file = damaged("a.json.gz", &gzip(&text));
        file.has(&[0, 1, 2], &[]);
        let wide = utf16(text.trim_start_matches('\u{feff}'), u16::to_le_bytes);
        damaged("a.json", &wide).has(&[0, 1, 2], &[]);
    }
    // Rows are elements, and what is no event is put aside with its place.
    let broken = "{\"at\": \"2026-01-01\", \"n\": \"no end}";
    let text = format!("[{},\n12,\n{broken},\n{}]", elements[0], elements[1]);
    let first = elements[0].len() as u64 + 3;
    let bad = [(2, first, "not_an_object"), (3, first + 4, "not_json")];
    damaged("a.json", text.as_bytes()).has(&[0, 1], &bad);
    // Two arrays after each other, as a shipper that appends writes them.
    let text = format!("[{}]\n{}\n", elements[0], elements[1]);
    damaged("a.json", text.as_bytes()).has(&[0, 1], &[]);
}

/// As `jq` and consoles write them.
#[test]
fn objects_over_several_lines_are_read_one_by_one() {
    let laid = |n: i64| {
        let value: serde_json::Value = serde_json::from_str(&line(n)).unwrap();
        let mut text = serde_json::to_string_pretty(&value).unwrap();
        text.insert_str(
            text.len() - 2,
            ",\n  \"more\": [\n    {\n      \"}\": \"{\"\n    }\n  ]",
        );
        text + "\n"
    };
    let text = laid(0) + &laid(1) + "\n" + laid(2).trim_end() + &line(3) + &laid(4);
    damaged("a.json", text.as_bytes()).has(&[0, 1, 2, 3, 4], &[]);
    damaged("a.json", text.replace('\n', "\r\n").as_bytes()).has(&[0, 1, 2, 3, 4], &[]);
    damaged("a.json.gz", &gzip(&text)).has(&[0, 1, 2, 3, 4], &[]);
    // One that breaks off ends where the next begins.
    let torn = &laid(1)[..30];
    let text = format!("{}{torn}\n{}", laid(0), laid(2));
    let place = laid(0).len() as u64;
    damaged("a.json", text.as_bytes()).has(&[0, 2], &[(2, place, "not_json")]);
    let text = laid(0) + torn;
    damaged("a.json", text.as_bytes()).has(&[0], &[(2, place, "not_json")]);
    // A line that was cut behind its first byte makes no such file.
    let text = format!("{{\n{}", lines(0..3));
    damaged("a.ndjson", text.as_bytes()).has(&[0, 1, 2], &[(1, 0, "not_json")]);
}

#[test]
fn an_array_that_is_cut_off_is_lost_from_there() {
    let elements: Vec<_> = (0..3).map(|n| line(n).trim_end().to_owned()).collect();
    let text = format!("[{}", elements.join(","));
    let file = damaged("a.json", text.as_bytes());
    assert_eq!(file.numbers, [0, 1, 2]);
    file.is_lost("not closed");
    let file = damaged("a.json", &text.as_bytes()[..text.len() - 4]);
    assert_eq!(
        (file.numbers.as_slice(), file.report.rejected),
        (&[0, 1][..], 1)
    );
    file.is_lost("not closed");
}

#[test]
fn a_compressed_file_that_breaks_off_keeps_what_was_whole() {
    let text = lines(0..5000);
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, whole) in [("a.ndjson.gz", gzip(&text)), ("a.ndjson.zst", zstd)] {
        for cut in [whole.len() - 1, whole.len() / 2, 5, 1] {
            let file = damaged(name, &whole[..cut]);
            assert!(file.report.lost.is_some(), "{name} of {cut} bytes");
            assert_eq!(file.numbers.len() as u64, file.report.rows);
        }
    }
    // What follows the last member is none.
    let file = damaged(
        "a.ndjson.gz",
        &[gzip(&line(1)), b"garbage".to_vec()].concat(),
    );
    assert_eq!(file.numbers, [1]);
    file.is_lost("");
}

#[test]
fn a_file_that_is_not_what_its_name_says() {
    damaged("a.ndjson.gz", b"rubbish, and no gzip").is_lost("gzip");
    damaged("a.ndjson.zst", b"rubbish").is_lost("");
}

/// What a process had in memory at most, in MiB.
#[cfg(target_os = "linux")]
fn peak_memory(workspace: &Workspace, arguments: &[&str]) -> (i32, u64) {
    let mut child = workspace
        .command(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) / 1024);
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code().unwrap_or(-1), peak);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Text that a few hundred kilobytes of gzip hold: one line without end, bad lines, and long good ones.
#[cfg(target_os = "linux")]
#[test]
fn a_gzip_bomb_is_bounded_in_memory() {
    let repeated = |piece: &str, times: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..times {
            encoder.write_all(piece.as_bytes()).unwrap();
        }
        encoder.finish().unwrap()
    };
    let workspace = Workspace::with_one_table();
    let baseline = peak_memory(&workspace, &["run", "jobs/night.yaml"]).1;
    let spaces = " ".repeat(100_000);
    let bad = format!("bad {spaces}\n");
    let good = event(1).replace("wmic process", &format!("wmic{}", "x".repeat(100_000)));
    for (name, bytes) in [
        ("line", repeated(&spaces, 4000)),
        ("bad", repeated(&bad, 4000)),
        ("good", repeated(&good, 2000)),
    ] {
        let workspace = Workspace::with_one_table();
        assert!(bytes.len() < 4_000_000, "{name}");
        workspace.write(
            &format!("lake/events/day=2026-01-01/{name}.ndjson.gz"),
            bytes,
        );
        let (code, peak) = peak_memory(&workspace, &["run", "jobs/night.yaml"]);
        assert_eq!(code, i32::from(name == "bad"), "{name}");
        assert!(
            peak < baseline + 250,
            "{name}: {peak} MiB, {baseline} without it"
        );
        assert_eq!(
            workspace.alerts("out").len(),
            1,
            "{name}: the rest is published"
        );
    }
}

/// Changes a table's files after they were listed, and reads them then.
fn changed(
    options: &str,
    files: &[(&str, &[u8])],
    change: impl Fn(&std::path::Path),
) -> (Vec<i64>, Vec<FileReport>) {
    let table = OneTable::new(options);
    for (name, bytes) in files {
        table.write(name, bytes);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let session = table.session(None).await.unwrap();
        let source = lakehunt::engine::SqlSource {
            path: "<query>".into(),
            text: "SELECT n FROM t ORDER BY n".to_owned(),
        };
        let frame = session.query(&source).await.unwrap();
        // The plan knows the files from here on.
        let plan = frame.clone().create_physical_plan().await.unwrap();
        change(&table.folder.path().join("t"));
        let context = Arc::new(frame.task_ctx());
        let rows = datafusion::physical_plan::collect(plan, context)
            .await
            .unwrap();
        let column = |batch: &RecordBatch| {
            let column = batch.column(0).clone();
            let column = column.as_any().downcast_ref::<Int64Array>().unwrap();
            column.values().to_vec()
        };
        let report = session.reports["t"].lock().unwrap().clone();
        (rows.iter().flat_map(column).collect(), report.files)
    })
}

#[test]
fn a_file_that_vanishes_costs_itself() {
    let (whole, _) = good_parquet();
    for (options, name, bytes) in [
        (INLINE, "a.ndjson", lines(1..5).into_bytes()),
        (PARQUET, "a.parquet", whole),
    ] {
        let other = name.replace('a', "z");
        let other = other.replace("pzrquet", "parquet");
        let files = [(name, bytes.as_slice()), (&other, &bytes)];
        let gone = |folder: &std::path::Path| fs::remove_file(folder.join(name)).unwrap();
        let (numbers, reports) = changed(options, &files, gone);
        assert_eq!((numbers.len(), reports.len()), (4, 2));
        assert!(reports[0].lost.is_some() && reports[1].lost.is_none());
    }
}

#[test]
fn a_file_that_grows_is_read_as_it_was_listed() {
    let text = lines(1..3);
    let grow = |name: &'static str, more: Vec<u8>| {
        move |folder: &std::path::Path| {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(folder.join(name))
                .unwrap();
            file.write_all(&more).unwrap();
        }
    };
    let change = grow("a.ndjson", lines(3..5).into_bytes());
    let (numbers, reports) = changed(INLINE, &[("a.ndjson", text.as_bytes())], change);
    assert_eq!((numbers, reports[0].lost.clone()), (vec![1, 2], None));
    assert_eq!(reports[0].object.size, text.len() as u64);
    let change = grow("a.ndjson.gz", gzip(&lines(3..5)));
    let (numbers, reports) = changed(INLINE, &[("a.ndjson.gz", &gzip(&text))], change);
    assert_eq!((numbers, reports[0].lost.clone()), (vec![1, 2], None));
    // A Parquet file says at its end what it holds: one that was written on has it elsewhere.
    let (whole, _) = good_parquet();
    let change = grow("a.parquet", whole.clone());
    let (numbers, reports) = changed(PARQUET, &[("a.parquet", &whole)], change);
    assert_eq!((numbers, reports[0].lost.clone()), (vec![1, 2, 3, 4], None));
}

#[test]
fn a_file_that_shrinks_is_told() {
    let cut = |folder: &std::path::Path| fs::write(folder.join("a.ndjson"), line(1)).unwrap();
    let (numbers, reports) = changed(INLINE, &[("a.ndjson", lines(1..5).as_bytes())], cut);
    assert_eq!(numbers, [1]);
    let lost = reports[0].lost.as_deref().unwrap_or_default();
    assert!(lost.contains("shrank"), "{lost}");
}

/// By the binary: what is put aside leaves exit code 0, what is lost makes the hunts partial and the code 1, and either
/// way the rest is published and the place is in the quarantine.
#[test]
fn the_exit_code_says_whether_something_is_missing() {
    let torn = gzip(&events(1..9))[..40].to_vec();
    let array = |end: &str| format!("[{}{end}", event(1).trim_end());
    for (name, bytes, code, reason) in [
        ("bad.ndjson", b"rubbish\n".to_vec(), 0, "not_json"),
        (
            "wide.ndjson",
            utf16("rubbish\n", u16::to_le_bytes),
            0,
            "not_json",
        ),
        ("array.json", array(", 1]").into_bytes(), 0, "not_an_object"),
        ("cut.json", array("").into_bytes(), 1, "lost"),
        ("torn.ndjson.gz", torn, 1, "lost"),
    ] {
        let workspace = Workspace::with_one_table();
        let file = format!("day=2026-01-01/{name}");
        workspace.write(&format!("lake/events/{file}"), bytes);
        let printed = workspace.run(&["run", "jobs/night.yaml"]);
        assert_eq!(printed.code, code, "{name}\n{}", printed.stderr);
        let records = workspace.quarantine("out");
        let of_file = records.iter().find(|record| record["file"] == *file);
        assert_eq!(of_file.unwrap()["reason"], reason, "{name}: {records:?}");
        let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
        let state = if code == 0 { "complete" } else { "partial" };
        assert_eq!(ledger["hunts"]["wmic_format"]["state"], state, "{name}");
        assert_eq!(workspace.alerts("out").len(), 1, "{name}");
        let findings = workspace.published("out");
        let findings = findings
            .keys()
            .find(|path| path.starts_with("findings/"))
            .unwrap();
        assert_eq!(parquet(&workspace.path("out").join(findings)).len(), 1);
    }
}
