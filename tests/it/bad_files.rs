//! Bad data: a lost file makes results partial, a bad line costs itself; both are located, and the rest is published.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
use insta_cmd::assert_cmd_snapshot;

use crate::bad_input::RUN;
use crate::workspace::{LAKE, Workspace, event, event_at, events, repository};

/// The run goes through with this exit code; its words are those of the snapshot.
fn ran(snapshot: &str, workspace: &Workspace, code: i32, words: &[&str]) {
    let printed = workspace.run(&RUN);
    assert_eq!(printed.code, code, "{}\n{}", printed.stdout, printed.stderr);
    for word in words {
        assert!(
            printed.stdout.contains(word) || printed.stderr.contains(word),
            "`{word}` is missing in:\n{}\n{}",
            printed.stdout,
            printed.stderr
        );
    }
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!(snapshot, workspace.command(&RUN)));
}

/// A gzip file of `text`.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The run is partial, names the file, and has published what the other file holds.
fn partial(snapshot: &str, workspace: &Workspace, file: &str) {
    ran(snapshot, workspace, 1, &[file, "partial"]);
    let alerts = workspace.alerts("out");
    assert!(
        alerts
            .iter()
            .any(|alert| alert["finding"].to_string().contains("format:csv 0")),
        "{alerts:?}"
    );
    let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "partial");
    let objects = ledger["tables"]["events"]["objects"].as_array().unwrap();
    let lost = objects.iter().find(|object| object["path"] == file);
    assert!(
        lost.is_some_and(|object| object["lost"].is_string()),
        "{ledger:#}"
    );
}

#[test]
fn a_folder_where_a_file_should_be() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/folder.ndjson.gz";
    fs::create_dir(workspace.path("lake/events").join(file)).unwrap();
    partial("lost_folder", &workspace, file);
}

#[test]
fn a_link_to_nothing() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/dangling.ndjson";
    symlink("nowhere", workspace.path("lake/events").join(file)).unwrap();
    partial("lost_dangling", &workspace, file);
}

#[test]
fn a_gzip_file_that_breaks_off() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/torn.ndjson.gz";
    // No hit among them, so that the snapshot stays short.
    let misses = (1000..3000).filter(|number| number % 10 != 0).map(event);
    let whole = gzip(&misses.collect::<String>());
    workspace.write(&format!("lake/events/{file}"), &whole[..whole.len() / 2]);
    partial("lost_gzip", &workspace, file);
    let rows: u64 = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json")["tables"]["events"]["rows_read"]
        .as_u64()
        .unwrap();
    assert!(rows > 500, "what came before the break counts: {rows}");
}

#[test]
fn a_file_that_is_not_gzip() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/plain.ndjson.gz";
    // JSON would be read as what it is.
    let text = "#fields ts uid\n".repeat(100);
    workspace.write(&format!("lake/events/{file}"), text);
    partial("lost_not_gzip", &workspace, file);
}

#[test]
fn a_torn_parquet_file() {
    let workspace = Workspace::with_one_table();
    let source = repository().join("data/sysmon_servers/day=2026-01-01/srv01-0000.parquet");
    let whole = fs::read(source).unwrap();
    let lake = LAKE.to_owned()
        + "  servers:\n    location: servers/\n    form: windows_event\n    format: parquet\n    layout: \"day={time:%Y-%m-%d}/**\"\n";
    workspace.write("lake/lake.yaml", lake);
    workspace.write(
        "lake/servers/day=2026-01-01/torn.parquet",
        &whole[..whole.len() / 2],
    );
    ran(
        "lost_parquet",
        &workspace,
        1,
        &["day=2026-01-01/torn.parquet", "partial"],
    );
    assert_eq!(
        workspace.alerts("out").len(),
        1,
        "the other table's alert is there"
    );
    let lost = &workspace.quarantine("out")[0];
    assert_eq!(lost["file"], "day=2026-01-01/torn.parquet");
    assert_eq!(lost["reason"], "lost");
}

#[test]
fn many_bad_lines_make_the_results_partial() {
    let workspace = Workspace::with_one_table();
    let mut text = events(0..11);
    text.push_str(&"not json\n".repeat(101));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    ran("bad_lines_many", &workspace, 1, &["101", "partial"]);
    assert_eq!(workspace.quarantine("out").len(), 101);
    assert_eq!(workspace.alerts("out").len(), 2, "the rest is published");
}

#[test]
fn a_hundred_bad_lines_are_free() {
    let workspace = Workspace::with_one_table();
    let mut text = events(0..3);
    text.push_str(&"not json\n".repeat(100));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    assert_eq!(workspace.succeed(&RUN).code, 0);
}

#[test]
fn many_bad_lines_below_the_ratio_are_free() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/lake.yaml",
        LAKE.to_owned() + "    max_bad_ratio: 0.6\n",
    );
    let mut text = events(0..100);
    text.push_str(&"not json\n".repeat(120));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    assert_eq!(workspace.succeed(&RUN).code, 0);
}

#[test]
fn a_few_bad_lines_are_put_aside_with_their_place() {
    let workspace = Workspace::with_one_table();
    let good = event(0);
    let no_time = event_at("-", 1, "x");
    let mut text = good.clone().into_bytes();
    for line in [
        &b"{\"cut\": \n"[..],
        no_time.as_bytes(),
        b"[1]\n",
        b"\xff\xfe{}\n",
        b"\n",
        event(2).as_bytes(),
    ] {
        text.extend_from_slice(line);
    }
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    ran("bad_lines_few", &workspace, 0, &["4 quarantined"]);
    let records = workspace.quarantine("out");
    let places: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["line"].as_u64().unwrap(),
                record["offset"].as_u64().unwrap(),
                record["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let first = good.len() as u64;
    let second = first + 9;
    let third = second + no_time.len() as u64;
    assert_eq!(
        places,
        [
            (2, first, "not_json"),
            (3, second, "no_time"),
            (4, third, "not_an_object"),
            (5, third + 4, "not_utf8"),
        ]
    );
    assert!(
        records
            .iter()
            .all(|record| record["file"] == "day=2026-01-01/good.ndjson")
    );
    assert_eq!(records[0]["text"], "{\"cut\": ");
    assert_eq!(records[1]["text"], no_time.trim_end());
    assert_eq!(records[3]["base64"], "//57fQ==");
    assert_eq!(records[3]["length"], 4);
}

#[test]
fn a_bad_line_belongs_to_the_tile_of_its_neighbours() {
    // The paths say nothing of time: every tile reads the file, one of them reports the line.
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/lake.yaml",
        LAKE.replace("day={time:%Y-%m-%d}/**", "**"),
    );
    let first = event_at("2026-01-01 10:00:00.000", 501, "first");
    let second = event_at("2026-01-02 10:00:00.000", 502, "second");
    let lines = format!("rubbish 1\n{first}rubbish 2\n{second}rubbish 3\n");
    workspace.write("lake/events/day=2026-01-01/good.ndjson", lines);
    let range = [
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
        "--at",
        "2026-01-05",
    ];
    workspace.succeed(&[&RUN[..], &range].concat());
    let read = |day: &str, stem: &str| {
        let path = format!("out/quarantine/job=night/date={day}/table=events/{stem}.ndjson");
        fs::read_to_string(workspace.path(&path)).unwrap()
    };
    let first = read("2026-01-01", "20260101T000000Z_20260102T000000Z");
    let second = read("2026-01-02", "20260102T000000Z_20260103T000000Z");
    assert_eq!(
        (first.lines().count(), second.lines().count()),
        (2, 1),
        "{first}{second}"
    );
    assert!(second.contains("rubbish 3"), "{second}");
}

/// Links that lead back, links to themselves and names that are no text cost themselves, and not the whole listing.
#[test]
fn what_cannot_be_listed_costs_itself() {
    use std::os::unix::ffi::OsStrExt as _;
    let workspace = Workspace::with_one_table();
    let day = workspace.path("lake/events/day=2026-01-01");
    symlink(&day, day.join("loop")).unwrap();
    workspace.write("lake/events/day=2026-01-01/deep/more.ndjson", events(3..6));
    symlink("..", day.join("deep/up")).unwrap();
    let printed = workspace.succeed(&["run", "jobs/night.yaml"]);
    assert!(printed.stdout.contains("2/2"), "{}", printed.stdout);
    symlink("self.ndjson", day.join("self.ndjson")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"no\xff text.ndjson");
    std::fs::write(day.join(name), events(6..8)).unwrap();
    workspace.write("lake/events/day=2026-01-01/two\nlines.ndjson", events(8..9));
    let printed = workspace.run(&["run", "jobs/night.yaml"]);
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    let lost = workspace.quarantine("out");
    let lost: Vec<_> = lost.iter().map(|record| record["file"].as_str()).collect();
    let expected = ["no\u{fffd} text", "self", "two\nlines"];
    let expected = expected.map(|name| format!("day=2026-01-01/{name}.ndjson"));
    assert_eq!(lost, expected.each_ref().map(|name| Some(name.as_str())));
    assert_eq!(workspace.alerts("out").len(), 1);
}
