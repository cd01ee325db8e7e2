//! What is due: tiles that were never run, and those whose objects, hunts or lookups are others by now; and only those.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use crate::workspace::{JOB, LAKE, Printed, Workspace, event_at};

/// A hit of `wmic_format` at a time.
pub(crate) fn hit(time: &str, number: u64) -> String {
    event_at(&format!("{time}.000"), number, "wmic os get /format:csv")
}

/// A job over hours of one day, whose files all lie in the folder of the day: one for each of the first six hours.
pub(crate) fn hours() -> Workspace {
    let workspace = Workspace::with_own_hunts();
    std::fs::remove_dir_all(workspace.path("lake/events/day=2026-01-01")).unwrap();
    for hour in 0..6 {
        let line = hit(&format!("2026-01-01 0{hour}:30:00"), hour);
        workspace.write(&format!("lake/events/day=2026-01-01/{hour}.ndjson"), line);
    }
    workspace.write(
        "jobs/night.yaml",
        JOB.replace(
            r#"{cron: "0 2 * * *", earliest: "-1d@d", latest: "@d"}"#,
            r#"{cron: "0 * * * *", earliest: "-1h@h", latest: "@h"}"#,
        )
        .replace("at: 2026-01-02T02:00", "at: 2026-01-01T06:01"),
    );
    workspace
}

pub(crate) fn due(workspace: &Workspace) -> Printed {
    workspace.succeed(&["run", "jobs/night.yaml", "--due"])
}

/// The windows that a run told of, in the order it did: their first hours and days.
pub(crate) fn told(printed: &Printed) -> Vec<String> {
    let heads = printed.stdout.lines();
    let heads = heads.filter_map(|line| line.strip_prefix("night  "));
    heads.map(|line| line[..13].to_owned()).collect()
}

/// The tiles whose published files are not what they were, by the hour of their start.
pub(crate) fn changed(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let paths = paths.into_iter();
    let others = paths.filter(|path| before.get(*path) != after.get(*path));
    others
        .map(|path| path.rsplit('/').next().unwrap()[..11].to_owned())
        .collect()
}

#[test]
fn a_week_off_is_caught_up_oldest_first() {
    let workspace = Workspace::with_one_table();
    for day in 1..=7 {
        let line = hit(&format!("2026-01-0{day} 10:00:00"), day);
        workspace.write(&format!("lake/events/day=2026-01-0{day}/good.ndjson"), line);
    }
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("at: 2026-01-02T02", "at: 2026-01-08T02"),
    );
    let printed = due(&workspace);
    let days: Vec<_> = (1..=7).map(|day| format!("2026-01-0{day}T00")).collect();
    assert_eq!(told(&printed), days);
    assert_eq!(workspace.alerts("out").len(), 7);
    let before = workspace.hashes("out");
    let again = due(&workspace);
    assert_eq!(again.stdout, "");
    assert!(again.stderr.contains("nothing is due"), "{}", again.stderr);
    assert_eq!(before, workspace.hashes("out"));
    let json = workspace.succeed(&["run", "jobs/night.yaml", "--due", "--format", "json"]);
    assert_eq!(json.json(), serde_json::json!([]));
    // A day in between that was lost is found too.
    let lost = "out/ledger/night/20260103T000000Z_20260104T000000Z.json";
    std::fs::remove_file(workspace.path(lost)).unwrap();
    assert_eq!(told(&due(&workspace)), ["2026-01-03T00"]);
    assert_eq!(before, workspace.hashes("out"));
}

#[test]
fn a_tile_is_due_when_its_firing_has_come_and_it_has_settled() {
    let workspace = hours();
    workspace.write("lake/lake.yaml", LAKE.to_owned() + "    settle: 15m\n");
    for (at, tiles) in [
        ("2026-01-01T01:15:00Z", 0),
        ("2026-01-01T01:15:01Z", 1),
        ("2026-01-01T01:59:59Z", 0),
        ("2026-01-01T03:20:00Z", 2),
    ] {
        let printed = workspace.succeed(&["run", "jobs/night.yaml", "--due", "--at", at]);
        assert_eq!(told(&printed).len(), tiles, "{at}");
    }
}

#[test]
fn a_late_object_reopens_the_tiles_of_its_events_only() {
    let workspace = hours();
    due(&workspace);
    let before = workspace.published("out");
    // Nobody has read it: its times are not known before it is.
    workspace.write(
        "lake/events/day=2026-01-01/late.ndjson",
        hit("2026-01-01 02:10:00", 90) + &hit("2026-01-01 03:10:00", 91),
    );
    assert_eq!(told(&due(&workspace)), ["2026-01-01T02", "2026-01-01T03"]);
    let after = workspace.published("out");
    assert_eq!(
        changed(&before, &after),
        ["20260101T02", "20260101T03"].map(str::to_owned).into()
    );
    assert_eq!(
        workspace.alerts("out").len(),
        6,
        "one key, one alert a tile"
    );
    assert_eq!(due(&workspace).stdout, "");

    // One that changes concerns the tiles of what it held and of what it holds.
    workspace.write(
        "lake/events/day=2026-01-01/late.ndjson",
        hit("2026-01-01 03:10:00", 91) + &hit("2026-01-01 04:10:00", 92),
    );
    let tiles = told(&due(&workspace));
    assert_eq!(tiles, ["2026-01-01T02", "2026-01-01T03", "2026-01-01T04"]);
    assert_eq!(due(&workspace).stdout, "");

    std::fs::remove_file(workspace.path("lake/events/day=2026-01-01/late.ndjson")).unwrap();
    let tiles = told(&due(&workspace));
    assert_eq!(tiles, ["2026-01-01T03", "2026-01-01T04"]);
    let back: BTreeSet<_> = workspace.published("out").into_iter().collect();
    let alerts = |path: &str| path.starts_with("alerts/") || path.starts_with("findings/");
    let (back, before): (Vec<_>, Vec<_>) = (
        back.into_iter().filter(|(path, _)| alerts(path)).collect(),
        before
            .into_iter()
            .filter(|(path, _)| alerts(path))
            .collect(),
    );
    assert_eq!(back, before, "as if it had never been");
}

#[test]
fn an_object_of_the_lookback_concerns_the_hunts_that_look_back() {
    let workspace = hours();
    let hunt = |name: &str, lookback: &str| {
        let id = if name == "long" { 1 } else { 2 };
        let text = format!(
            "-- ---\n-- id: 00000000-0000-4000-8000-00000000000{id}\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n{lookback}-- ---\nSELECT host_id, count(*) AS n, max(event_time) AS last_seen FROM process_creation GROUP BY host_id\n"
        );
        workspace.write(&format!("sql/hunts/{name}.sql"), text);
    };
    hunt("long", "-- lookback: 2h\n");
    hunt("short", "");
    let job = std::fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    workspace.write(
        "jobs/night.yaml",
        job.replace("[wmic_format]", "[long, short]"),
    );
    due(&workspace);
    let before = workspace.published("out");
    workspace.write(
        "lake/events/day=2026-01-01/late.ndjson",
        hit("2026-01-01 01:10:00", 90),
    );
    due(&workspace);
    let after = workspace.published("out");
    let hunts: BTreeSet<String> = after
        .iter()
        .filter(|(path, hash)| path.starts_with("findings/") && before.get(*path) != Some(hash))
        .map(|(path, _)| {
            let hunt = path.split("hunt=").nth(1).unwrap();
            hunt.replace('/', " ")[..16].to_owned()
        })
        .collect();
    assert_eq!(
        hunts,
        [
            "long 20260101T01",
            "long 20260101T02",
            "long 20260101T03",
            "short 20260101T0"
        ]
        .map(str::to_owned)
        .into()
    );
    let fresh = workspace.succeed(&["run", "jobs/night.yaml", "--due", "--output", "fresh"]);
    assert_eq!(told(&fresh).len(), 6);
    let mut fresh = workspace.published("fresh");
    let mut after = after;
    // The ledgers of tiles that it did not concern still say what they read.
    let reads = |path: &String| {
        let tiles = ["T00", "T04", "T05"];
        let ledger = path.strip_prefix("ledger/night/20260101");
        !ledger.is_some_and(|tile| tiles.iter().any(|hour| tile.starts_with(hour)))
    };
    fresh.retain(|path, _| reads(path));
    after.retain(|path, _| reads(path));
    assert!(after == fresh, "the ledgers too");
}

#[test]
fn what_is_older_than_late_is_left_to_a_backfill() {
    let workspace = hours();
    workspace.write("lake/lake.yaml", LAKE.to_owned() + "    late: 3h\n");
    due(&workspace);
    for hour in [1, 4] {
        let line = hit(&format!("2026-01-01 0{hour}:40:00"), 90 + hour);
        workspace.write(
            &format!("lake/events/day=2026-01-01/late{hour}.ndjson"),
            line,
        );
    }
    assert_eq!(told(&due(&workspace)), ["2026-01-01T04"]);
    assert_eq!(due(&workspace).stdout, "");
}

#[test]
fn a_changed_hunt_runs_again_and_no_other() {
    let workspace = hours();
    let hunt = |column: &str| {
        format!(
            "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, {column} AS number FROM process_creation\n"
        )
    };
    let job = std::fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    workspace.write("sql/hunts/own.sql", hunt("process_id"));
    due(&workspace);
    let before = workspace.published("out");
    // It joins the job: it runs in every tile, and what the other found stays as it is.
    workspace.write(
        "jobs/night.yaml",
        job.replace("[wmic_format]", "[own, wmic_format]"),
    );
    let printed = due(&workspace);
    assert_eq!(told(&printed).len(), 6);
    assert!(
        printed.stdout.contains("wmic /format:") || printed.stdout.matches("wmic").count() > 5,
        "the summary tells of both:\n{}",
        printed.stdout
    );
    let after = workspace.published("out");
    for (path, hash) in before
        .iter()
        .filter(|(path, _)| !path.starts_with("ledger/"))
    {
        assert_eq!(after.get(path), Some(hash), "{path}");
    }
    let summary = workspace.json("out/summary/night/20260101T000000Z_20260101T010000Z.json");
    assert_eq!(summary["hunts"].as_array().unwrap().len(), 2);
    assert_eq!(summary["alerts"].as_array().unwrap().len(), 2);
    let whole = ["run", "jobs/night.yaml", "--due", "--output", "whole"];
    workspace.succeed(&whole);
    assert_eq!(
        after,
        workspace.published("whole"),
        "as if both had run at once"
    );
    assert_eq!(
        workspace.hashes("out/summary"),
        workspace.hashes("whole/summary")
    );
    workspace.write("sql/hunts/own.sql", hunt("parent_process_id"));
    due(&workspace);
    for (path, hash) in workspace.published("out") {
        let of_own = path.contains("hunt=own/") || path.starts_with("ledger/");
        assert_eq!(of_own, after.get(&path) != Some(&hash), "{path}");
    }
    assert_eq!(due(&workspace).stdout, "");
}

#[test]
fn a_lookup_that_changes_makes_its_readers_due() {
    let workspace = hours();
    workspace.write(
        "lake/lake.yaml",
        LAKE.to_owned() + "  assets: {location: assets.csv, format: csv, time: none}\n",
    );
    workspace.write("lake/assets.csv", "host,tier\nWS-1.corp.example,1\n");
    workspace.write(
        "sql/hunts/own.sql",
        "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, tier FROM process_creation JOIN assets ON host_name = host\n",
    );
    let job = std::fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    workspace.write(
        "jobs/night.yaml",
        job.replace("[wmic_format]", "[own, wmic_format]"),
    );
    due(&workspace);
    let before = workspace.published("out");
    workspace.write("lake/assets.csv", "host,tier\nWS-1.corp.example,2\n");
    assert_eq!(told(&due(&workspace)).len(), 6);
    for (path, hash) in workspace.published("out") {
        let is_other = path.contains("hunt=wmic_format/");
        assert!(!is_other || before.get(&path) == Some(&hash), "{path}");
    }
    assert_eq!(due(&workspace).stdout, "");
}

#[test]
fn a_hunt_that_fails_is_tried_three_times() {
    let workspace = hours();
    workspace.write(
        "sql/hunts/own.sql",
        "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, CAST(command_line AS BIGINT) AS n FROM process_creation\n",
    );
    let job = std::fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    workspace.write(
        "jobs/night.yaml",
        job.replace("[wmic_format]", "[own, wmic_format]"),
    );
    let run = [
        "run",
        "jobs/night.yaml",
        "--due",
        "--at",
        "2026-01-01T01:00:01Z",
    ];
    for attempt in 1..=3 {
        let printed = workspace.run(&run);
        assert_eq!(printed.code, 1, "{attempt}: {}", printed.stderr);
        assert_eq!(told(&printed).len(), 1, "{attempt}");
    }
    let printed = workspace.succeed(&run);
    assert_eq!(told(&printed).len(), 0, "it would fail for ever");
}

#[test]
fn a_tile_that_another_run_writes_is_left_to_it() {
    let workspace = hours();
    let lock = "out/.locks/night_20260101T010000Z_20260101T020000Z.lock";
    workspace.write(lock, "");
    let held = File::open(workspace.path(lock)).unwrap();
    held.try_lock().unwrap();
    let printed = due(&workspace);
    assert_eq!(told(&printed).len(), 5);
    assert!(printed.stderr.contains("another run"), "{}", printed.stderr);
    drop(held);
    assert_eq!(told(&due(&workspace)), ["2026-01-01T01"]);
}

#[test]
fn another_grid_over_the_same_tiles_is_refused() {
    let workspace = hours();
    due(&workspace);
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("at: 2026-01-02T02", "at: 2026-01-04T02"),
    );
    for arguments in [
        &["run", "jobs/night.yaml", "--due"][..],
        &["run", "jobs/night.yaml"],
    ] {
        let printed = workspace.run(arguments);
        assert_eq!(printed.code, 2, "{}", printed.stderr);
        assert!(
            printed.stderr.contains("no tile of the grid"),
            "{}",
            printed.stderr
        );
    }
    // A grid that begins later has nothing against what was before it.
    let later = JOB
        .replace("since: 2026-01-01", "since: 2026-01-02")
        .replace("at: 2026-01-02T02", "at: 2026-01-04T02");
    workspace.write("jobs/night.yaml", later);
    assert_eq!(told(&due(&workspace)), ["2026-01-02T00", "2026-01-03T00"]);
}
