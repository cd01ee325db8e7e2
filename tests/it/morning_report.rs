//! The page that a run writes beside its summary: the raw events behind the alerts, read back from the lake.

use std::fs;

use serde_json::Value;

use crate::workspace::{JOB, Workspace, event_at};

const DAY: &str = "20260101T000000Z_20260102T000000Z";

/// What the script of a page reads.
fn island(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn page(workspace: &Workspace, job: &str, window: &str) -> String {
    let path = workspace.path(&format!("out/summary/{job}/{window}.html"));
    fs::read_to_string(path).unwrap()
}

#[test]
fn an_alert_has_its_raw_events_and_the_hunt_that_fired() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/events/day=2026-01-01/more.ndjson",
        event_at(
            "2026-01-01 11:00:00.000",
            77,
            "wmic os get /format:\"<script>alert(1)</script>\u{202e}.xsl\"",
        ),
    );
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let page = page(&workspace, "night", DAY);
    let data = island(&page);
    let alerts = data["alerts"].as_array().unwrap();
    let hostile = alerts
        .iter()
        .find(|alert| alert["message"].as_str().unwrap().contains("<script>"))
        .unwrap();
    let event = &hostile["story"][0];
    assert_eq!(event["view"], "process_creation");
    assert_eq!(event["time"], "2026-01-01T11:00:00Z");
    assert_eq!(event["row"], 1);
    assert_eq!(event["host"], "WS-1.corp.example");
    assert!(
        event["what"]
            .as_str()
            .unwrap()
            .contains(r"</script>\u{202e}.xsl"),
        "{event}"
    );
    let raw = event["raw"].as_str().unwrap();
    assert!(raw.starts_with("{\"EventRecordID\":77,"), "{raw}");
    assert!(
        data["hunts"]["wmic_format"]["sql"]
            .as_str()
            .unwrap()
            .contains("FROM process_creation")
    );
    assert!(!page.contains("alert(1)</script>"));
    // A second run, and a rebuild, write the same page.
    workspace.succeed(&["run", "jobs/night.yaml"]);
    assert_eq!(self::page(&workspace, "night", DAY), page);
    workspace.succeed(&["run", "jobs/night.yaml", "--rebuild"]);
    assert_eq!(self::page(&workspace, "night", DAY), page);
}

#[test]
fn raw_events_come_from_compressed_lines_and_from_parquet() {
    let workspace = Workspace::of_repository();
    let job = "\
lake: data/lake.yaml
hunts: {names: [shadow_copy_deletion]}
grid: {cron: \"0 2 * * *\", earliest: \"-1d@d\", latest: \"@d\"}
since: 2026-01-01T00:00:00Z
at: 2026-01-04T02:00:00Z
output: out
";
    workspace.write("one.yaml", job);
    workspace.succeed(&["run", "one.yaml"]);
    let data = island(&page(
        &workspace,
        "one",
        "20260103T000000Z_20260104T000000Z",
    ));
    let story = data["alerts"][0]["story"].as_array().unwrap();
    let tables: Vec<_> = story
        .iter()
        .map(|event| event["table"].as_str().unwrap())
        .collect();
    assert!(
        tables.contains(&"security") && tables.contains(&"sysmon_servers"),
        "{tables:?}"
    );
    for event in story {
        let raw: Value = serde_json::from_str(event["raw"].as_str().unwrap()).unwrap();
        assert!(
            raw["CommandLine"].as_str().unwrap().contains("vssadmin"),
            "{raw}"
        );
        assert!(!raw["EventRecordID"].is_null(), "{raw}");
    }
}

#[test]
fn a_file_that_is_gone_costs_its_raw_events_only() {
    let workspace = Workspace::with_one_table();
    workspace.succeed(&["run", "jobs/night.yaml"]);
    fs::remove_file(workspace.path("lake/events/day=2026-01-01/good.ndjson")).unwrap();
    workspace.succeed(&["run", "jobs/night.yaml", "--rebuild"]);
    let page = page(&workspace, "night", DAY);
    assert_eq!(island(&page)["alerts"][0]["story"][0]["raw"], Value::Null);
    assert!(page.contains("cannot be read back"), "the page says why");
}

#[test]
fn the_page_shows_the_days_before() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("2026-01-02T02", "2026-01-03T02"),
    );
    workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
    ]);
    let page = page(&workspace, "night", "20260102T000000Z_20260103T000000Z");
    assert!(page.contains("title=\"2026-01-01: 1 alert\""));
    assert!(page.contains("title=\"2026-01-02: no data\""));
    assert!(page.contains("<code>wmic_format</code>: without an event in the window"));
}

#[test]
fn raw_events_of_arrays_and_of_utf16_are_what_their_rows_say() {
    let workspace = Workspace::with_one_table();
    let event = |number: u64| {
        let command = format!("wmic os get /format:\"a{number}.xsl\"");
        event_at("2026-01-01 11:00:00.000", number, &command)
    };
    let array = format!("[\n{},\n{}]\n", event(1).trim(), event(2).trim());
    workspace.write("lake/events/day=2026-01-01/array.json", array);
    let lines = format!("\u{feff}{}{}", event(3), event(4));
    let utf16: Vec<u8> = lines.encode_utf16().flat_map(u16::to_le_bytes).collect();
    workspace.write("lake/events/day=2026-01-01/utf16.json", utf16);
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let data = island(&page(&workspace, "night", DAY));
    let mut found = Vec::new();
    for alert in data["alerts"].as_array().unwrap() {
        let event = &alert["story"][0];
        let raw: Value = serde_json::from_str(event["raw"].as_str().unwrap()).unwrap();
        found.push((
            event["file"].as_str().unwrap().to_owned(),
            event["row"].as_u64().unwrap(),
            raw["EventRecordID"].as_u64().unwrap(),
        ));
    }
    found.sort();
    let file = |name: &str| format!("day=2026-01-01/{name}");
    assert_eq!(
        found,
        [
            (file("array.json"), 1, 1),
            (file("array.json"), 2, 2),
            (file("good.ndjson"), 1, 0),
            (file("utf16.json"), 1, 3),
            (file("utf16.json"), 2, 4),
        ]
    );
}

#[test]
fn what_was_kept_of_the_scan_is_what_is_read_back() {
    let workspace = Workspace::with_one_table();
    let event = |number: u64| {
        let command = format!("wmic os get /format:\"a{number}.xsl\"");
        event_at("2026-01-01 11:00:00.000", number, &command)
    };
    let (one, two, three) = (event(1), event(2), event(3));
    let in_one_line = format!("{}{}\n{three}", one.trim(), two.trim());
    workspace.write("lake/events/day=2026-01-01/two.ndjson", in_one_line);
    let after_an_empty_line = format!(
        "\u{feff}\r\n{}\r\n \r\n{}\r\n",
        event(4).trim(),
        event(5).trim()
    );
    workspace.write(
        "lake/events/day=2026-01-01/crlf.ndjson",
        after_an_empty_line,
    );
    let laid: Value = serde_json::from_str(&event(6)).unwrap();
    let laid = serde_json::to_string_pretty(&[laid]).unwrap();
    workspace.write("lake/events/day=2026-01-01/laid.json", laid);
    workspace.succeed(&["run", "jobs/night.yaml"]);
    let kept = page(&workspace, "night", DAY);
    let alerts = island(&kept);
    let alerts = alerts["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 7);
    for alert in alerts {
        assert!(alert["story"][0]["raw"].is_string(), "{alert}");
    }
    workspace.succeed(&["run", "jobs/night.yaml", "--rebuild"]);
    assert_eq!(page(&workspace, "night", DAY), kept);
}
