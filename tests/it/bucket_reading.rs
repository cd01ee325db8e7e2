//! What a bucket is asked for: how many requests for a day of years, how many at a time, how many bytes of a wide Parquet
//! file, and that nothing is asked for when nobody waits any more. Counts, never times.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::NaiveDate;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::bucket::{Fault, Rule, Server};
use crate::lake::gzip;
use crate::workspace::{Printed, Workspace};

const TABLE: &str = "schema: {at: text, n: int}, time: [{column: at, format: iso8601}]";

const PARQUET: &str = "format: parquet, layout: \"**\", schema: {at: int, n: int}, time: [{column: at, format: unix_ms}]";

/// A workspace whose lake has the table `t` in the bucket.
fn lake(server: &Server, options: &str) -> Workspace {
    let workspace = Workspace::empty();
    fs::create_dir_all(server.path("t")).unwrap();
    let schema = if options.contains("schema") {
        ""
    } else {
        TABLE
    };
    let lake =
        |location: &str| format!("tables:\n  t: {{location: {location}, {options}, {schema}}}\n");
    workspace.write("lake.yaml", lake("s3://lake/t"));
    workspace.write("local.yaml", lake(&server.path("t").to_string_lossy()));
    workspace
}

/// A query over the bucket, and what it cost.
fn ask(server: &Server, workspace: &Workspace, sql: &str, window: &[&str]) -> (Printed, Value) {
    let query = [
        "sql",
        sql,
        "--lake",
        "lake.yaml",
        "--format",
        "ndjson",
        "--stats",
    ];
    let printed = server.run(workspace, &[&query, window].concat());
    assert_eq!(printed.code, 0, "{}\n{}", printed.stdout, printed.stderr);
    let stats = printed.stderr.lines().last().unwrap();
    let stats = serde_json::from_str(stats).unwrap();
    (printed, stats)
}

fn lines(day: NaiveDate, numbers: std::ops::Range<i64>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        let (hour, second) = (number % 24, number / 24 % 60);
        let _ = writeln!(
            text,
            "{{\"at\":\"{day}T{hour:02}:00:{second:02}Z\",\"n\":{number}}}"
        );
        text
    })
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn small_files_are_fetched_many_at_a_time_and_give_the_same() {
    let server = Server::start();
    let workspace = lake(&server, "format: ndjson, layout: \"{time:%Y-%m-%d}/**\"");
    for number in 0..60 {
        let text = lines(day("2026-01-03"), number * 10..number * 10 + 10);
        server.write(&format!("t/2026-01-03/{number:02}.json.gz"), gzip(&text));
    }
    server.wait(Duration::from_millis(20));
    let sql = "SELECT n, _file, _row FROM t ORDER BY n, _file";
    let window = ["--from", "2026-01-03", "--to", "2026-01-04"];
    let (printed, stats) = ask(&server, &workspace, sql, &window);
    let local = ["sql", sql, "--lake", "local.yaml", "--format", "ndjson"];
    let local = workspace.succeed(&[&local[..], &window].concat());
    assert_eq!(printed.stdout.lines().count(), 600);
    assert_eq!(printed.stdout, local.stdout);
    assert_eq!(server.requests("GET /lake/t/").len(), 60);
    // One file after the other would be two at a time, on two cores.
    assert!(server.most_at_once() >= 12, "{}", server.most_at_once());
    let requests = &stats["requests"]["s3://lake"];
    assert_eq!(
        (&requests["get"], &requests["list"]),
        (&60.into(), &2.into())
    );
    assert_eq!(stats["tables"]["t"]["rows"], 600);
}

/// Rows in groups of some hundred, in order of time, one group an hour: two narrow columns, and a wide one between.
fn wide(rows: i64, groups: i64) -> Vec<u8> {
    let start = 1_767_398_400_000_i64;
    let at = (0..rows).map(|row| start + row * groups * 3_600_000 / rows);
    let noise = (0..rows).map(|row| {
        let words = (0..250_i64).map(|word| format!("{:016x}", blake(row * 1000 + word)));
        words.collect::<String>()
    });
    let batch = RecordBatch::try_from_iter(vec![
        ("at", Arc::new(at.collect::<Int64Array>()) as ArrayRef),
        (
            "noise",
            Arc::new(noise.map(Some).collect::<StringArray>()) as ArrayRef,
        ),
        ("n", Arc::new((0..rows).collect::<Int64Array>()) as ArrayRef),
    ])
    .unwrap();
    let groups = usize::try_from(rows / groups).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(groups))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Digits that do not compress.
fn blake(seed: i64) -> u64 {
    let seed = seed.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seed ^ seed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[test]
fn of_a_parquet_file_only_what_is_needed_is_fetched() {
    let server = Server::start();
    let workspace = lake(&server, PARQUET);
    let bytes = wide(6000, 10);
    let size = bytes.len() as u64;
    assert!(size > 20 << 20, "{size}");
    server.write("t/wide.parquet", bytes);
    server.wait(Duration::from_millis(20));
    let window = [
        "--from",
        "2026-01-03T02:00:00Z",
        "--to",
        "2026-01-03T09:00:00Z",
    ];
    let (printed, stats) = ask(
        &server,
        &workspace,
        "SELECT count(*), sum(n) FROM t",
        &window,
    );
    let expected: i64 = (1200..5400).sum();
    assert_eq!(
        printed.stdout.trim(),
        format!("{{\"count(*)\":4200,\"sum(t.n)\":{expected}}}")
    );
    // The footer; and for seven hours the two narrow columns, which the wide one parts by more than a megabyte.
    let gets = server.requests("GET /lake/t/wide");
    assert_eq!(gets.len(), 1 + 7 * 2, "{gets:#?}");
    assert!(server.most_at_once() >= 8, "{}", server.most_at_once());
    let table = &stats["tables"]["t"];
    assert_eq!(
        (&table["row_groups_read"], &table["row_groups_pruned"]),
        (&7.into(), &3.into())
    );
    let fetched = stats["requests"]["s3://lake"]["bytes"].as_u64().unwrap();
    assert!(fetched < size / 50, "{fetched} of {size}");
}

#[test]
fn a_small_parquet_file_is_one_get() {
    let server = Server::start();
    let workspace = lake(&server, PARQUET);
    for number in 0..40 {
        server.write(&format!("t/{number}.parquet"), wide(200, 4));
    }
    server.wait(Duration::from_millis(20));
    let (printed, _) = ask(&server, &workspace, "SELECT count(*) AS c FROM t", &[]);
    // Rows without a number of their own are told apart by their place.
    assert_eq!(printed.stdout.trim(), "{\"c\":8000}");
    assert_eq!(server.requests("GET /lake/t/").len(), 40);
    assert!(server.most_at_once() >= 12, "{}", server.most_at_once());
}

/// The files that a window needs, from the bucket and from its folder.
fn files(server: &Server, workspace: &Workspace, window: &[&str]) -> [BTreeSet<String>; 2] {
    let sql = "SELECT DISTINCT _file FROM t";
    let (printed, _) = ask(server, workspace, sql, window);
    let local = ["sql", sql, "--lake", "local.yaml", "--format", "ndjson"];
    let local = workspace.succeed(&[&local[..], window].concat());
    [printed.stdout, local.stdout].map(|text| text.lines().map(str::to_owned).collect())
}

#[test]
fn every_layout_gives_the_files_of_the_folder() {
    let server = Server::start();
    let first = day("2025-12-28");
    for (layout, slack, path) in [
        ("day={time:%Y-%m-%d}/**", "0s", "day=%Y-%m-%d/x/a.json"),
        ("day={time:%Y-%m-%d}/**", "1d", "day=%Y-%-m-%-d/x/a.json"),
        (
            "{time:%Y/%m/%d}/{time:%H}/*.json",
            "5h",
            "%Y/%m/%d/11/a.json",
        ),
        (
            "r={region}/y={time:%Y}/m={time:%m}/d={time:%d}/h={time:%H}/**",
            "0s",
            "r=eu/y=%Y/m=%-m/d=%-d/h=7/x/a.json",
        ),
        (
            "r={region}/day={time:%Y%m%d}/{host}/*.json",
            "2d",
            "r=eu/day=%Y%m%d/ws1/a.json",
        ),
        ("y={time:%Y}/*/d={time:%j}/**", "0s", "y=%Y/z/d=%j/x.json"),
        ("a/b/{host}/*.json", "0s", "a/b/%j/x.json"),
        ("a/{host}/{time:%Y%m%dT%H}.json", "3h", "a/b/%Y%m%dT14.json"),
    ] {
        let options = format!("format: ndjson, layout: \"{layout}\", slack: {slack}");
        let _ = fs::remove_dir_all(server.path("t"));
        let workspace = lake(&server, &options);
        for (number, day) in (0..12).zip(first.iter_days()) {
            let path = format!("t/{}", day.format(path));
            let numbers = number * 24..number * 24 + 24;
            // Events of the days around: the path is by arrival.
            let days = [day.pred_opt().unwrap(), day, day.succ_opt().unwrap()];
            let text: String = days.map(|day| lines(day, numbers.clone())).concat();
            server.write(&path, text);
        }
        server.write("t/elsewhere/x.json", lines(first, 0..24));
        for window in [
            ["--from", "2026-01-03", "--to", "2026-01-04"],
            [
                "--from",
                "2025-12-31T10:30:00Z",
                "--to",
                "2026-01-01T02:00:00Z",
            ],
            [
                "--from",
                "2026-01-03T11:00:00Z",
                "--to",
                "2026-01-03T11:30:00Z",
            ],
        ] {
            let [bucket, folder] = files(&server, &workspace, &window);
            assert!(!folder.is_empty() || slack != "1d", "{layout} {window:?}");
            assert_eq!(bucket, folder, "{layout} {window:?}");
        }
    }
}

#[test]
fn names_in_front_of_the_time_are_listed_and_ids_are_walked_once() {
    let server = Server::start();
    let layout = "format: ndjson, layout: \"region={r}/account={a}/day={time:%Y%m%d}/*.json\"";
    let workspace = lake(&server, layout);
    for account in 0..6 {
        for day in day("2025-12-01").iter_days().take(60) {
            let path = format!(
                "t/region=eu/account={account}/day={}/a.json",
                day.format("%Y%m%d")
            );
            server.write(&path, lines(day, 0..3));
        }
    }
    let window = ["--from", "2026-01-03", "--to", "2026-01-04"];
    let (printed, _) = ask(&server, &workspace, "SELECT count(*) AS c FROM t", &window);
    assert_eq!(printed.stdout.trim(), "{\"c\":3}");
    // Regions, accounts, and one day of each.
    assert_eq!(server.requests("list-type=2").len(), 1 + 1 + 6);
    // The replicator's batches: an id, then the hour; three days of a backfill are one walk of one page.
    let server = Server::start();
    let workspace = Workspace::with_one_table();
    for batch in 0..40 {
        let folder = format!(
            "t/data/batch={batch:02}/year=2026/month=01/day={:02}/hour=05",
            1 + batch % 4
        );
        server.write(
            &format!("{folder}/part-0.json"),
            lines(day("2026-01-01"), 0..3),
        );
        server.write(&format!("t/data/batch={batch:02}/_SUCCESS"), "");
    }
    workspace.write("lake/lake.yaml", "tables:\n  events:\n    location: s3://lake/t\n    form: windows_event\n    format: ndjson\n    complete: _SUCCESS\n    layout: \"data/batch={batch}/year={time:%Y}/month={time:%m}/day={time:%d}/hour={time:%H}/**\"\n");
    let run = [
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-04",
    ];
    let printed = server.run(&workspace, &[&run[..], &["--at", "2026-01-05"]].concat());
    assert_ne!(printed.code, 2, "{}\n{}", printed.stdout, printed.stderr);
    let lists = server.requests("list-type=2");
    // What stands beside `data`, and the walk.
    assert_eq!(lists.len(), 2, "{lists:#?}");
    assert_eq!(server.requests("GET /lake/t/data/batch").len(), 30);
}

#[test]
fn what_was_written_before_the_window_is_not_read() {
    let server = Server::start();
    let workspace = lake(
        &server,
        "format: ndjson, layout: \"{batch}/*.gz\", complete: _SUCCESS",
    );
    let window = 1_767_398_400_i64;
    for (number, (batch, offset)) in
        (0..).zip([("early", -3 * 3600), ("skewed", -1800), ("late", 90_000)])
    {
        let key = format!("t/{batch}/part-00000.gz");
        server.write(&key, gzip(&lines(day("2026-01-03"), number..number + 1)));
        server.write(&format!("t/{batch}/_SUCCESS"), "");
        let changed = Duration::from_secs((window + offset).unsigned_abs());
        File::options()
            .append(true)
            .open(server.path(&key))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + changed)
            .unwrap();
    }
    let range = ["--from", "2026-01-03", "--to", "2026-01-04"];
    let [bucket, folder] = files(&server, &workspace, &range);
    // Of a folder anybody can set the time, and copies keep it.
    assert_eq!((bucket.len(), folder.len()), (2, 3), "{bucket:?}");
    assert!(
        !bucket.iter().any(|file| file.contains("early")),
        "{bucket:?}"
    );
    let (_, stats) = ask(&server, &workspace, "SELECT n FROM t", &range);
    let table = &stats["tables"]["t"];
    assert_eq!(
        (&table["files_listed"], &table["files_pruned"]),
        (&3.into(), &1.into())
    );
}

#[test]
fn nothing_is_fetched_when_nobody_waits_any_more() {
    let server = Server::start();
    let workspace = lake(&server, "format: ndjson, layout: \"**\"");
    for number in 0..300 {
        let text = lines(day("2026-01-03"), number * 20..number * 20 + 20);
        server.write(&format!("t/{number:03}.json"), text);
    }
    server.wait(Duration::from_millis(20));
    let (printed, _) = ask(&server, &workspace, "SELECT n FROM t LIMIT 1", &[]);
    assert_eq!(printed.stdout.trim(), "{\"n\":0}");
    let gets = server.requests("GET /lake/t/").len();
    assert!(gets < 150, "{gets}");
}

#[test]
fn every_request_is_counted() {
    let server = Server::start();
    let workspace = lake(&server, "format: ndjson, layout: \"**\"");
    for number in 0..20 {
        server.write(
            &format!("t/{number:02}.json"),
            lines(day("2026-01-03"), 0..number + 1),
        );
    }
    server.fail(Rule {
        on: "GET ",
        every: 6,
        fault: Fault::SlowDown,
    });
    let (printed, stats) = ask(&server, &workspace, "SELECT max(n) AS m FROM t", &[]);
    assert_eq!(printed.stdout.trim(), "{\"m\":19}");
    let counted = &stats["requests"]["s3://lake"];
    let sum: u64 = ["list", "get", "head", "put", "delete", "other"]
        .iter()
        .map(|kind| counted[kind].as_u64().unwrap())
        .sum();
    assert_eq!(sum, server.requests("").len() as u64);
    assert_eq!(counted["failed"], server.faults());
    assert!(server.faults() >= 3);
    let query = [
        "sql",
        "SELECT max(n) AS m FROM t",
        "--lake",
        "lake.yaml",
        "--stats",
    ];
    let printed = server.run(&workspace, &query);
    let heads = [
        "requests",
        "LIST",
        "failed",
        "files",
        "pruned",
        "rows a second",
    ];
    for word in heads {
        assert!(printed.stderr.contains(word), "{word}\n{}", printed.stderr);
    }
}
