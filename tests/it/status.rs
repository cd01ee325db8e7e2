//! How a job stands, when it runs next, and what is left when its past is pruned.

use std::fs;

use crate::cli::shown;
use crate::due::{due, hit, hours, told};
use crate::workspace::{JOB, LAKE, Workspace};

const STATUS: [&str; 2] = ["status", "jobs/night.yaml"];

/// Hours in every standing: done, no data, partial, stale, failed and missing.
fn mixed() -> Workspace {
    let workspace = hours();
    let own = "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, CAST(process_id AS INT) / CAST(parent_process_id AS INT) AS n FROM process_creation WHERE parent_process_id IS NOT NULL\n";
    workspace.write("sql/hunts/own.sql", own);
    let job = fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    workspace.write(
        "jobs/night.yaml",
        job.replace("[wmic_format]", "[own, wmic_format]"),
    );
    fs::remove_file(workspace.path("lake/events/day=2026-01-01/1.ndjson")).unwrap();
    let line = hit("2026-01-01 04:20:00", 44)
        .replace("\"ProcessId\"", "\"ParentProcessId\":0,\"ProcessId\"");
    workspace.write("lake/events/day=2026-01-01/fails.ndjson", line);
    workspace
}

#[test]
fn a_look_writes_nothing() {
    let workspace = mixed();
    let range = ["--from", "2026-01-01", "--to", "2026-01-01T06:00"];
    let looks: [&[&str]; 4] = [
        &STATUS,
        &["run", "jobs/night.yaml", "--due", "--plan"],
        &[
            "backfill",
            "jobs/night.yaml",
            range[0],
            range[1],
            range[2],
            range[3],
            "--plan",
        ],
        &[
            "prune",
            "jobs/night.yaml",
            "--older-than",
            "1d",
            "--dry-run",
        ],
    ];
    for look in looks {
        workspace.succeed(look);
        assert!(!workspace.path("out").exists(), "{look:?}");
    }
}

#[test]
fn a_calendar_says_how_every_tile_stands() {
    let workspace = mixed();
    shown("status_nothing_run", &workspace, &STATUS);
    assert_eq!(workspace.run(&[&STATUS[..], &["--check"]].concat()).code, 1);
    workspace.run(&["run", "jobs/night.yaml", "--due"]);
    fs::remove_file(workspace.path("out/ledger/night/20260101T050000Z_20260101T060000Z.json"))
        .unwrap();
    workspace.write(
        "lake/events/day=2026-01-01/2.ndjson",
        hit("2026-01-01 02:31:00", 2) + &hit("2026-01-01 02:32:00", 3),
    );
    shown("status", &workspace, &STATUS);
    shown(
        "status_check",
        &workspace,
        &[&STATUS[..], &["--check", "--by-hunt"]].concat(),
    );
    let json = workspace
        .succeed(&[&STATUS[..], &["--format", "json"]].concat())
        .json();
    let standings: Vec<_> = json["tiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| tile["standing"].as_str().unwrap())
        .collect();
    assert_eq!(
        standings,
        ["done", "empty", "stale", "done", "failed", "missing"]
    );
    assert_eq!(json["tiles"][2]["reasons"][0]["change"], "changed");
    assert_eq!(
        json["tiles"][2]["reasons"][0]["path"],
        "day=2026-01-01/2.ndjson"
    );
    workspace.run(&["run", "jobs/night.yaml", "--due"]);
    assert_eq!(
        workspace.run(&[&STATUS[..], &["--check"]].concat()).code,
        0,
        "failed is not missing"
    );
}

#[test]
fn one_hunt_may_be_asked_after() {
    let workspace = mixed();
    workspace.run(&["run", "jobs/night.yaml", "--due"]);
    let json =
        workspace.succeed(&[&STATUS[..], &["--hunt", "wmic_format", "--format", "json"]].concat());
    assert_eq!(
        json.json()["counts"],
        serde_json::json!({"done": 5, "no data": 1})
    );
}

#[test]
fn an_object_that_nobody_read_is_said() {
    let workspace = hours();
    due(&workspace);
    workspace.write(
        "lake/events/day=2026-01-01/late.ndjson",
        hit("2026-01-01 03:10:00", 90),
    );
    let printed = workspace.succeed(&STATUS);
    assert!(
        printed.stdout.contains(
            "1 new or changed object of unknown times, such as day=2026-01-01/late.ndjson"
        ),
        "{}",
        printed.stdout
    );
    assert_eq!(told(&due(&workspace)), ["2026-01-01T03"]);
    assert!(
        workspace
            .succeed(&STATUS)
            .stdout
            .contains("6 tiles: 6 done\n")
    );
}

#[test]
fn verify_looks_at_everything() {
    let workspace = hours();
    workspace.write("lake/lake.yaml", LAKE.to_owned() + "    late: 1h\n");
    due(&workspace);
    workspace.write(
        "lake/events/day=2026-01-01/0.ndjson",
        hit("2026-01-01 00:20:00", 90),
    );
    let count = |flags: &[&str]| {
        let printed = workspace.succeed(&[&STATUS[..], &["--format", "json"], flags].concat());
        printed.json()["counts"].clone()
    };
    assert_eq!(count(&[]), serde_json::json!({"done": 6}));
    assert_eq!(
        count(&["--verify"]),
        serde_json::json!({"done": 5, "stale": 1})
    );
    let alerts = "out/alerts/job=night/date=2026-01-01/hunt=wmic_format/20260101T040000Z_20260101T050000Z.parquet";
    workspace.write(alerts, "torn");
    assert_eq!(
        count(&["--verify"]),
        serde_json::json!({"done": 4, "stale": 2})
    );
    let printed = workspace.succeed(&[&STATUS[..], &["--verify"]].concat());
    assert!(
        printed.stdout.contains("is not what the ledger says"),
        "{}",
        printed.stdout
    );
}

#[test]
fn timers_are_printed() {
    let workspace = Workspace::with_one_table();
    let schedule = |name: &str, format: &str, at: &str| {
        let arguments = [
            "schedule",
            "jobs/night.yaml",
            "--format",
            format,
            "--at",
            at,
        ];
        shown(name, &workspace, &arguments);
    };
    for format in ["text", "json", "crontab", "systemd", "kubernetes"] {
        schedule(
            &format!("schedule_{format}"),
            format,
            "2026-01-30T12:00:00Z",
        );
    }
    // In Berlin, over the night that the clocks go forward, and with tables that settle late.
    workspace.write("lake/lake.yaml", LAKE.to_owned() + "    settle: 150m\n");
    let berlin = JOB.replace("latest: \"@d\"", "latest: \"@d\", timezone: Europe/Berlin");
    workspace.write("jobs/night.yaml", berlin);
    for format in ["text", "crontab", "systemd", "kubernetes"] {
        schedule(
            &format!("schedule_{format}_berlin"),
            format,
            "2026-03-27T12:00:00Z",
        );
    }
    // What five fields cannot say is waited for.
    let weekly = JOB
        .replace("0 2 * * *", "0 22 * * SUN")
        .replace("-1d@d", "-1w@h")
        .replace("\"@d\"", "\"@h\"");
    workspace.write("jobs/night.yaml", weekly);
    for format in ["crontab", "systemd", "kubernetes"] {
        schedule(
            &format!("schedule_{format}_weekly"),
            format,
            "2026-01-30T12:00:00Z",
        );
    }
}

#[test]
fn old_tiles_are_pruned_and_not_missed() {
    let workspace = hours();
    due(&workspace);
    let before = workspace.hashes("out");
    let prune = ["prune", "jobs/night.yaml", "--older-than", "3h"];
    shown(
        "prune_dry_run",
        &workspace,
        &[&prune[..], &["--dry-run"]].concat(),
    );
    assert_eq!(before, workspace.hashes("out"));
    shown("prune", &workspace, &prune);
    let mut left = workspace.hashes("out");
    left.retain(|path, _| !path.starts_with(".locks/"));
    assert!(left.remove("ledger/night/pruned.json").is_some());
    assert_eq!(left.len(), 18, "{left:?}");
    assert!(
        left.keys()
            .all(|path| ["T03", "T04", "T05"].iter().any(|hour| path.contains(hour)))
    );
    assert_eq!(due(&workspace).stdout, "", "what was pruned is not due");
    assert!(
        workspace
            .succeed(&STATUS)
            .stdout
            .contains("3 tiles: 3 done\n")
    );
    assert!(
        workspace
            .succeed(&prune)
            .stdout
            .contains("nothing ended before")
    );
}
