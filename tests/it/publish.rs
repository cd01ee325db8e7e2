//! The publish protocol as a reader of the output meets it: same bytes on every way to a tile, the layout, the ledger,
//! and what is a repeat.

use std::fs;

use serde_json::Value;

use crate::workspace::{JOB, Workspace, event, event_at, events, parquet};

pub(crate) const RUN: [&str; 2] = ["run", "jobs/night.yaml"];
pub(crate) const FIRST: &str = "20260101T000000Z_20260102T000000Z";

/// The repository's hunts and job, and a small lake of three days.
pub(crate) fn with_sample() -> Workspace {
    let workspace = Workspace::of_repository();
    workspace.succeed(&["sample", "lake", "--events", "4000", "--seed", "7"]);
    workspace
}

/// The nightly job over that lake, into `output`.
pub(crate) fn nightly(workspace: &Workspace, output: &str, flags: &[&str]) {
    let arguments = [
        "run",
        "jobs/nightly.yaml",
        "--lake",
        "lake/lake.yaml",
        "--output",
        output,
    ];
    workspace.succeed(&[&arguments[..], flags].concat());
}

#[test]
fn a_rerun_leaves_the_same_bytes() {
    let workspace = with_sample();
    nightly(&workspace, "out", &[]);
    let first = workspace.hashes("out");
    assert!(first.len() > 8, "{first:?}");
    nightly(&workspace, "out", &[]);
    assert_eq!(first, workspace.hashes("out"));
    nightly(&workspace, "elsewhere", &[]);
    assert_eq!(first, workspace.hashes("elsewhere"));
}

#[test]
fn any_order_of_tiles_leaves_the_same_bytes() {
    let workspace = with_sample();
    let days = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"];
    nightly(
        &workspace,
        "in_order",
        &["--from", days[0], "--to", days[3]],
    );
    for day in (0..3).rev() {
        nightly(
            &workspace,
            "reversed",
            &["--from", days[day], "--to", days[day + 1]],
        );
    }
    // Hunts over results saw less in this order, which their tiles know: what is due then mends it.
    nightly(&workspace, "reversed", &["--due"]);
    let in_order = workspace.published("in_order");
    let ledgers = in_order.keys().filter(|path| path.starts_with("ledger/"));
    assert_eq!(ledgers.count(), 3);
    assert_eq!(in_order, workspace.published("reversed"));
}

#[test]
fn files_lie_where_the_design_says() {
    let workspace = with_sample();
    nightly(&workspace, "out", &[]);
    let tile = "20260103T000000Z_20260104T000000Z";
    let mut expected = vec![
        format!("ledger/nightly/{tile}.json"),
        format!("quarantine/job=nightly/date=2026-01-03/table=security/{tile}.ndjson"),
        format!("summary/nightly/{tile}.html"),
        format!("summary/nightly/{tile}.json"),
        format!("summary/nightly/{tile}.md"),
    ];
    let ledger = workspace.json(&format!("out/ledger/nightly/{tile}.json"));
    let hunts = ledger["hunts"].as_object().unwrap().iter();
    let found: Vec<_> = hunts
        .filter(|(_, record)| record["findings"] != 0)
        .collect();
    assert!(found.len() > 15, "{}", found.len());
    for (hunt, _) in found {
        for kind in ["alerts", "findings"] {
            expected.push(format!(
                "{kind}/job=nightly/date=2026-01-03/hunt={hunt}/{tile}.parquet"
            ));
        }
    }
    expected.sort();
    let mut files = workspace.hashes("out");
    files.retain(|path, _| !path.starts_with(".locks/"));
    assert_eq!(
        files.into_keys().collect::<Vec<_>>(),
        expected,
        "nothing else, no temporary file"
    );
}

#[test]
fn alerts_have_the_shared_columns() {
    let workspace = Workspace::with_one_table();
    workspace.succeed(&RUN);
    let file =
        |kind| format!("out/{kind}/job=night/date=2026-01-01/hunt=wmic_format/{FIRST}.parquet");
    let alerts = parquet(&workspace.path(&file("alerts")));
    let schema = alerts[0].schema();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(
        columns,
        [
            "alert_id",
            "group_id",
            "title",
            "level",
            "risk_score",
            "message",
            "tags",
            "tactics",
            "techniques",
            "entities",
            "first_seen",
            "last_seen",
            "event_count",
            "finding_count",
            "finding",
            "evidence",
            "evidence_truncated",
            "window_start",
            "window_end",
            "logic_hash",
            "excepted_by",
        ]
    );
    let findings = parquet(&workspace.path(&file("findings")));
    for partition_key in ["job", "date", "hunt"] {
        assert!(findings[0].column_by_name(partition_key).is_none());
    }
    let alert = &workspace.alerts("out")[0];
    assert_eq!(alert["window_start"], "2026-01-01T00:00:00Z");
    assert_eq!(alert["window_end"], "2026-01-02T00:00:00Z");
    assert_eq!(
        alert["tactics"],
        serde_json::json!(["execution", "defense-evasion"])
    );
    assert_eq!(alert["techniques"], serde_json::json!(["T1047", "T1220"]));
    assert_eq!(
        alert["entities"],
        serde_json::json!([{"kind": "host", "value": "WS-1.corp.example"}, {"kind": "user", "value": r"CORP\ann"}])
    );
    assert_eq!(
        alert["evidence"],
        serde_json::json!([{"table": "events", "file": "day=2026-01-01/good.ndjson", "row": 1}])
    );
    let finding: Value = serde_json::from_str(alert["finding"].as_str().unwrap()).unwrap();
    assert_eq!(finding["format_target"], "csv");
}

#[test]
fn the_ledger_says_what_was_read_and_what_came_out() {
    let workspace = Workspace::with_one_table();
    let mut text = events(0..11);
    text.push_str("bad\n");
    workspace.write("lake/events/day=2026-01-01/good.ndjson", &text);
    workspace.write(
        "lake/events/day=2026-01-02/next.ndjson",
        event_at("2026-01-02 10:00:00", 99, "wmic"),
    );
    workspace.succeed(&RUN);
    let ledger = workspace.json(&format!("out/ledger/night/{FIRST}.json"));
    assert_eq!(ledger["format_version"], 2);
    assert_eq!(ledger["job"], "night");
    assert_eq!(ledger["window_start"], "2026-01-01T00:00:00Z");
    assert_eq!(ledger["window_end"], "2026-01-02T00:00:00Z");
    let table = &ledger["tables"]["events"];
    assert_eq!(table["rows_read"], 11);
    assert_eq!(table["rows_in_window"], 11);
    assert_eq!(table["rows_rejected"], 1);
    assert_eq!(table["rows_matched"], 2);
    assert_eq!(table["newest_event"], "2026-01-01T10:00:10Z");
    let objects = table["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 1, "the next day is not read: {objects:?}");
    assert_eq!(objects[0]["path"], "day=2026-01-01/good.ndjson");
    assert_eq!(objects[0]["size"], text.len());
    assert_eq!(objects[0]["rows"], 11);
    assert_eq!(objects[0]["rejected"], 1);
    assert_eq!(objects[0]["oldest_event"], "2026-01-01T10:00:00Z");
    assert_eq!(objects[0]["newest_event"], "2026-01-01T10:00:10Z");
    let hunt = &ledger["hunts"]["wmic_format"];
    assert_eq!(hunt["state"], "complete");
    assert_eq!(hunt["findings"], 2);
    assert_eq!(hunt["alerts"], 2);
    assert_eq!(hunt["tables"], serde_json::json!(["events"]));
    assert_eq!(hunt["logic_hash"].as_str().unwrap().len(), 64);
    assert_eq!(hunt["logic_hash"], workspace.alerts("out")[0]["logic_hash"]);
    outputs_are_right(&workspace);
}

/// The ledger lists every file of the tile with its hash and size, and no other.
fn outputs_are_right(workspace: &Workspace) {
    let ledger = workspace.json(&format!("out/ledger/night/{FIRST}.json"));
    let mut published = workspace.published("out");
    published.retain(|path, _| !path.starts_with("ledger/"));
    let outputs = ledger["outputs"].as_object().unwrap();
    assert_eq!(outputs.len(), published.len(), "{outputs:?} {published:?}");
    for (path, hash) in &published {
        assert_eq!(
            outputs[path]["sha256"],
            Value::from(hash.as_str()),
            "{path}"
        );
        let size = fs::metadata(workspace.path("out").join(path))
            .unwrap()
            .len();
        assert_eq!(outputs[path]["size"], size, "{path}");
    }
}

#[test]
fn what_is_no_longer_found_is_removed() {
    let workspace = Workspace::with_one_table();
    let file = "lake/events/day=2026-01-01/good.ndjson";
    workspace.write(file, events(0..3) + "bad\n");
    workspace.succeed(&RUN);
    assert_eq!(workspace.published("out").len(), 4);
    workspace.write(file, event(1));
    workspace.succeed(&RUN);
    let left = workspace.published("out");
    assert_eq!(
        left.into_keys().collect::<Vec<_>>(),
        [format!("ledger/night/{FIRST}.json")]
    );
    outputs_are_right(&workspace);
    let ledger = workspace.json(&format!("out/ledger/night/{FIRST}.json"));
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "complete");
    assert_eq!(ledger["hunts"]["wmic_format"]["findings"], 0);
}

#[test]
fn what_a_hunt_found_stays_while_it_fails() {
    let workspace = Workspace::with_own_hunts();
    let hunt = |column: &str| {
        format!(
            "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, {column} AS number FROM process_creation\n"
        )
    };
    workspace.write("sql/hunts/own.sql", hunt("process_id"));
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("[wmic_format]", "[own, wmic_format]"),
    );
    workspace.succeed(&RUN);
    let before = workspace.published("out");
    assert_eq!(before.len(), 5);
    workspace.write("sql/hunts/own.sql", hunt("CAST(command_line AS BIGINT)"));
    let printed = workspace.run(&RUN);
    assert_eq!(printed.code, 1, "{}", printed.stdout);
    assert!(
        printed.stdout.contains("own") && printed.stdout.contains("failed"),
        "{}",
        printed.stdout
    );
    let mut after = workspace.published("out");
    let ledger = format!("ledger/night/{FIRST}.json");
    assert_ne!(
        after
            .insert(ledger.clone(), before[&ledger].clone())
            .as_ref(),
        before.get(&ledger)
    );
    assert_eq!(before, after, "one hunt's error costs that hunt");
    outputs_are_right(&workspace);
    let ledger = workspace.json(&format!("out/{ledger}"));
    assert_eq!(ledger["hunts"]["own"]["state"], "failed");
    assert!(
        ledger["hunts"]["own"]["reason"]
            .as_str()
            .unwrap()
            .contains("wmic process")
    );
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "complete");
}

/// The same hit on the first and second day.
fn twice(suppress: &str) -> Workspace {
    let workspace = Workspace::with_one_table();
    for (day, hour) in [(1, 10), (2, 9)] {
        let time = format!("2026-01-0{day} {hour:02}:00:00.000");
        let line = event_at(&time, day, "wmic os get /format:csv");
        workspace.write(&format!("lake/events/day=2026-01-0{day}/good.ndjson"), line);
    }
    workspace.write(
        "jobs/night.yaml",
        JOB.to_owned() + &format!("suppress: {suppress}\n"),
    );
    workspace
}

/// Whether the one alert of a day is a repeat.
fn is_repeat(workspace: &Workspace, from: &str, to: &str) -> bool {
    let arguments = [
        "--from",
        from,
        "--to",
        to,
        "--at",
        "2026-01-05",
        "--format",
        "json",
    ];
    let report = workspace.succeed(&[&RUN[..], &arguments].concat()).json();
    assert_eq!(report["alerts"].as_array().unwrap().len(), 1);
    report["alerts"][0]["repeat"].as_bool().unwrap()
}

#[test]
fn the_same_activity_the_day_after_is_a_repeat() {
    let days = ["2026-01-01", "2026-01-02", "2026-01-03"];
    let workspace = twice("24h");
    assert!(!is_repeat(&workspace, days[0], days[1]));
    assert!(is_repeat(&workspace, days[1], days[2]), "23 hours later");
    let alerts = workspace.alerts("out");
    assert_eq!(alerts[0]["group_id"], alerts[1]["group_id"]);
    assert_ne!(alerts[0]["alert_id"], alerts[1]["alert_id"]);
    let printed = workspace.run(
        &[
            &RUN[..],
            &[
                "--from",
                days[1],
                "--to",
                days[2],
                "--at",
                "2026-01-05",
                "--fail-on",
                "low",
            ],
        ]
        .concat(),
    );
    assert_eq!(printed.code, 0, "a repeat is not new");

    let workspace = twice("24h");
    assert!(
        !is_repeat(&workspace, days[1], days[2]),
        "nothing is known of the day before"
    );
    assert!(
        !is_repeat(&workspace, days[0], days[1]),
        "a later tile makes no earlier one a repeat"
    );
    let before = workspace.published("out");
    assert!(
        is_repeat(&workspace, days[1], days[2]),
        "whatever order the tiles ran in"
    );
    assert_eq!(
        before,
        workspace.published("out"),
        "suppression is a reading"
    );

    let workspace = twice("22h");
    assert!(!is_repeat(&workspace, days[0], days[1]));
    assert!(
        !is_repeat(&workspace, days[1], days[2]),
        "longer ago than `suppress`"
    );
}

#[test]
fn a_torn_file_of_another_day_does_not_stop_the_tile() {
    let workspace = twice("24h");
    workspace.succeed(&RUN);
    let earlier = format!("out/alerts/job=night/date=2026-01-01/hunt=wmic_format/{FIRST}.parquet");
    workspace.write(&earlier, "torn");
    let next = [
        "--from",
        "2026-01-02",
        "--to",
        "2026-01-03",
        "--at",
        "2026-01-05",
    ];
    let printed = workspace.run(&[&RUN[..], &next].concat());
    let said = printed.stdout + &printed.stderr;
    assert!(said.contains("alerts/job=night/date=2026-01-01"), "{said}");
    let ledgers = workspace.hashes("out/ledger/night");
    assert_eq!(ledgers.len(), 2, "today's alerts are published:\n{said}");
}

#[test]
fn a_rerun_mends_a_torn_ledger() {
    let workspace = Workspace::with_one_table();
    workspace.succeed(&RUN);
    let before = workspace.published("out");
    workspace.write(&format!("out/ledger/night/{FIRST}.json"), "{\"torn");
    workspace.succeed(&RUN);
    assert_eq!(before, workspace.published("out"));
}

#[test]
fn a_session_across_midnight_is_one_group() {
    let workspace = with_sample();
    let answers = workspace.json("lake/answers.json");
    let planted = answers["planted"].as_array().unwrap().iter();
    let hit = planted
        .filter(|planted| planted["kind"] == "hit")
        .find(|hit| {
            hit["first_seen"].as_str().unwrap()[..10] != hit["last_seen"].as_str().unwrap()[..10]
        })
        .unwrap();
    nightly(
        &workspace,
        "out",
        &["--from", "2026-01-01", "--to", "2026-01-04"],
    );
    let alerts = workspace.alerts("out");
    let of_session: Vec<_> = alerts
        .iter()
        .filter(|alert| {
            alert["hunt"] == hit["hunt"]
                && alert["first_seen"] == hit["first_seen"].as_str().unwrap().replace("000Z", "Z")
        })
        .collect();
    assert_eq!(
        of_session.len(),
        2,
        "one on each side of midnight: {of_session:#?}"
    );
    assert_eq!(of_session[0]["group_id"], of_session[1]["group_id"]);
    assert_eq!(
        of_session[1]["event_count"],
        hit["events"].as_array().unwrap().len()
    );
    let report = workspace.json("out/summary/nightly/20260103T000000Z_20260104T000000Z.json");
    let alerts = report["alerts"].as_array().unwrap();
    let second = alerts
        .iter()
        .find(|alert| alert["alert_id"] == of_session[1]["alert_id"]);
    assert_eq!(second.unwrap()["repeat"], true);
}
