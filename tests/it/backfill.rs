//! A range of tiles filled: planned, resumed, shared, and the same as if it had been run night by night.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::cli::shown;
use crate::due::{hit, hours, told};
use crate::workspace::{JOB, Workspace};

const ALL: [&str; 6] = [
    "backfill",
    "jobs/night.yaml",
    "--from",
    "2026-01-01",
    "--to",
    "2026-01-01T06:00:00Z",
];

#[test]
fn a_range_is_planned_then_filled_then_done() {
    let workspace = hours();
    shown(
        "backfill_plan",
        &workspace,
        &[&ALL[..], &["--plan"]].concat(),
    );
    let plan = workspace.succeed(&[&ALL[..], &["--plan", "--format", "json"]].concat());
    let plan = plan.json();
    assert_eq!(plan["windows"].as_array().unwrap().len(), 6);
    assert_eq!(plan["tables"]["events"]["distinct_files"], 6);
    assert_eq!(
        plan["tables"]["events"]["files"], 6,
        "the hours share one pass over the folder of their day: {plan}"
    );
    assert_eq!(
        plan["lists"], 2,
        "the neighbours share their folders: {plan}"
    );
    assert!(workspace.published("out").is_empty());
    shown("backfill", &workspace, &ALL);
    let before = workspace.hashes("out");
    let again = workspace.succeed(&ALL);
    assert!(
        again.stdout.contains("0 windows filled, 6 as"),
        "{}",
        again.stdout
    );
    assert_eq!(before, workspace.hashes("out"));
    shown(
        "backfill_again_plan",
        &workspace,
        &[&ALL[..], &["--plan"]].concat(),
    );
}

#[test]
fn a_new_hunt_runs_where_it_is_missing() {
    let workspace = hours();
    workspace.succeed(&ALL);
    let before = workspace.published("out");
    let own = "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- ---\nSELECT event_time, process_id AS number FROM process_creation\n";
    workspace.write("sql/hunts/own.sql", own);
    let part = [
        "--from",
        "2026-01-01T02:00:00Z",
        "--to",
        "2026-01-01T04:00:00Z",
    ];
    let only = [&["backfill", "jobs/night.yaml", "--hunt", "own"][..], &part].concat();
    workspace.succeed(&only);
    let after = workspace.published("out");
    let new: BTreeSet<&String> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    assert_eq!(new.len(), 4, "{new:?}");
    for (path, hash) in &before {
        let of_part = ["/20260101T02", "/20260101T03"]
            .iter()
            .any(|tile| path.contains(tile));
        let is_touched = path.starts_with("ledger/") && of_part;
        assert_eq!(after.get(path) != Some(hash), is_touched, "{path}");
    }
    // It does not hide what the job's own hunt found.
    let summary = workspace.json("out/summary/night/20260101T020000Z_20260101T030000Z.json");
    assert_eq!(summary["hunts"].as_array().unwrap().len(), 2);
    assert_eq!(summary["alerts"].as_array().unwrap().len(), 2);
    assert!(workspace.succeed(&only).stdout.contains("0 windows filled"));
}

#[test]
fn what_is_told_of_history_is_chosen() {
    let workspace = hours();
    let lines = |notify: &str, output: &str| {
        let arguments = ["--notify", notify, "--output", output];
        let printed = workspace.succeed(&[&ALL[..], &arguments].concat());
        let told = printed.stdout.lines();
        told.filter(|line| line.starts_with("2026-01-01T"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(lines("none", "none").is_empty());
    let new = lines("new", "new");
    assert_eq!(
        new.len(),
        1,
        "the same on one host, hour after hour: {new:?}"
    );
    let all = lines("all", "all");
    assert_eq!(all.len(), 6);
    assert_eq!(all[0], new[0]);
    assert!(
        all[1..].iter().all(|line| line.contains("  repeat  ")),
        "{all:?}"
    );
}

#[test]
fn repeats_are_the_same_in_whatever_order_the_tiles_ran() {
    let workspace = hours();
    workspace.succeed(&[&ALL[..], &["--output", "forward"]].concat());
    workspace.succeed(&[&ALL[..], &["--output", "backward", "--newest-first"]].concat());
    workspace.succeed(&[&ALL[..], &["--output", "beside", "--parallel", "3"]].concat());
    let half = |from: &str, to: &str| {
        workspace.succeed(&[
            "backfill",
            "jobs/night.yaml",
            "--from",
            from,
            "--to",
            to,
            "--output",
            "halves",
        ]);
    };
    half("2026-01-01T03:00:00Z", "2026-01-01T06:00:00Z");
    half("2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z");
    let forward = workspace.summaries("forward");
    assert_eq!(forward.len(), 12);
    for other in ["backward", "beside", "halves"] {
        assert_eq!(forward, workspace.summaries(other), "{other}");
        assert_eq!(workspace.published("forward"), workspace.published(other));
    }
}

#[test]
fn the_whole_complete_tiles_of_a_range_are_meant() {
    let workspace = hours();
    let range = |from: &str, to: &str| {
        workspace.run(&["backfill", "jobs/night.yaml", "--from", from, "--to", to])
    };
    let printed = range("2026-01-01T00:30:00Z", "2026-01-01T02:30:00Z");
    assert_eq!(printed.code, 0);
    assert!(
        printed
            .stderr
            .contains("from 2026-01-01T01:00:00Z to 2026-01-01T02:00:00Z"),
        "{}",
        printed.stderr
    );
    assert!(
        printed.stdout.contains("1 window filled"),
        "{}",
        printed.stdout
    );
    let printed = range("2026-01-01T04:00:00Z", "2026-01-02T00:00:00Z");
    assert!(
        printed
            .stderr
            .contains("is the newest tile that is complete"),
        "{}",
        printed.stderr
    );
    assert!(
        printed.stdout.contains("2 windows filled"),
        "{}",
        printed.stdout
    );
    let printed = range("2026-01-01T04:10:00Z", "2026-01-01T04:50:00Z");
    assert_eq!(printed.code, 2);
    assert!(
        printed.stderr.contains("holds no whole tile"),
        "{}",
        printed.stderr
    );
}

#[test]
fn several_processes_share_one_backfill() {
    let workspace = hours();
    workspace.succeed(&[&ALL[..], &["--output", "alone"]].concat());
    let start = || {
        let mut command = workspace.command(&ALL);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..3).map(|_| start()).collect();
    for child in running {
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    }
    assert_eq!(workspace.published("alone"), workspace.published("out"));
}

/// A grid, and when it is run.
#[derive(Debug, Clone)]
struct Case {
    cron: &'static str,
    earliest: &'static str,
    latest: &'static str,
    timezone: &'static str,
    /// Minutes of the first two days of events, each with the host it is of.
    events: Vec<(u32, u8)>,
    parallel: u8,
    newest_first: bool,
    /// The share of the range that is filled first.
    cut: u8,
}

fn cases() -> impl Strategy<Value = Case> {
    let grids = prop_oneof![
        Just(("0 */6 * * *", "-6h@h", "@h", "UTC")),
        Just(("0 2 * * *", "-1d@d", "@d", "America/New_York")),
        Just(("10 0,8,16 * * *", "-490m@m", "-10m@m", "UTC")),
        Just(("0 2 * * *", "-1d@d", "@d", "Europe/Berlin")),
    ];
    let events = proptest::collection::vec((0..2 * 24 * 60_u32, 0..3_u8), 1..40);
    (grids, events, 1..4_u8, any::<bool>(), 0..4_u8).prop_map(
        |((cron, earliest, latest, timezone), events, parallel, newest_first, cut)| Case {
            cron,
            earliest,
            latest,
            timezone,
            events,
            parallel,
            newest_first,
            cut,
        },
    )
}

/// What pairs of events on a host are, up to the lookback apart.
const PAIRS: &str = "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- status: test\n-- level: low\n-- description: D\n-- lookback: 5h\n-- key: [host_id]\n-- ---\nSELECT host_id, count(*) AS n, min(event_time) AS first_seen, max(event_time) AS last_seen FROM process_creation GROUP BY host_id HAVING count(*) > 1\n";

fn workspace_of(case: &Case) -> Workspace {
    let workspace = Workspace::with_own_hunts();
    workspace.write("sql/hunts/pairs.sql", PAIRS);
    let Case {
        cron,
        earliest,
        latest,
        timezone,
        ..
    } = case;
    let grid = format!(
        r#"{{cron: "{cron}", earliest: "{earliest}", latest: "{latest}", timezone: {timezone}}}"#
    );
    let job = JOB
        .replace(
            r#"{cron: "0 2 * * *", earliest: "-1d@d", latest: "@d"}"#,
            &grid,
        )
        .replace("[wmic_format]", "[wmic_format, pairs]")
        .replace("2026-01-02T02:00:00Z", "2026-01-04T12:00:00Z");
    workspace.write("jobs/night.yaml", job);
    std::fs::remove_dir_all(workspace.path("lake/events/day=2026-01-01")).unwrap();
    let mut files: BTreeMap<u32, String> = BTreeMap::new();
    for (number, (minute, host)) in (0..).zip(&case.events) {
        let (day, hour) = (minute / 60 / 24, minute / 60 % 24);
        let time = format!("2026-01-0{} {hour:02}:{:02}:00", day + 1, minute % 60);
        let line = hit(&time, number).replace("WS-1", &format!("WS-{host}"));
        files.entry(day * 4 + hour / 6).or_default().push_str(&line);
    }
    for (part, text) in files {
        workspace.write(
            &format!("lake/events/day=2026-01-0{}/{part}.ndjson", part / 4 + 1),
            text,
        );
    }
    workspace
}

#[test]
fn night_by_night_is_the_same_as_a_backfill() {
    let config = Config {
        cases: 5,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&cases(), |case| {
            let workspace = workspace_of(&case);
            for hour in (0..72).step_by(8) {
                let at = format!("2026-01-0{}T{:02}:30:00Z", 1 + hour / 24, hour % 24);
                workspace.succeed(&["run", "jobs/night.yaml", "--due", "--at", &at, "--quiet"]);
            }
            workspace.succeed(&["run", "jobs/night.yaml", "--due", "--quiet"]);
            let parallel = case.parallel.to_string();
            let mut flags = vec!["--parallel", &parallel, "--output", "filled", "--quiet"];
            if case.newest_first {
                flags.push("--newest-first");
            }
            let range = |from: &str, to: &str| {
                let range = ["backfill", "jobs/night.yaml", "--from", from, "--to", to];
                workspace.run(&[&range[..], &flags].concat())
            };
            let cut = format!("2026-01-0{}", case.cut + 1);
            if case.cut > 0 {
                range("2026-01-01", &cut);
            }
            let printed = range("2026-01-01", "2026-01-05");
            prop_assert_eq!(printed.code, 0, "{}", printed.stderr);
            prop_assert!(
                workspace.published("out") == workspace.published("filled"),
                "{case:?}"
            );
            prop_assert!(workspace.summaries("out") == workspace.summaries("filled"));
            prop_assert_eq!(
                told(&workspace.succeed(&["run", "jobs/night.yaml", "--due"])).len(),
                0
            );
            Ok(())
        })
        .unwrap();
}

/// An activity: three events of one host, the first and the last no further apart than the lookback.
#[test]
fn what_fits_into_the_lookback_is_found_whatever_the_grid() {
    let config = Config {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    // Starts and spans in minutes; five hours is the lookback.
    let activities = proptest::collection::vec((0..40 * 60_u32, 1..=300_u32, any::<bool>()), 1..12);
    TestRunner::new(config)
        .run(&(cases(), activities), |(mut case, activities)| {
            case.events.clear();
            let mut spans = Vec::new();
            for (host, (start, span, middle)) in (0..).zip(activities) {
                let events = [
                    Some(start),
                    middle.then_some(start + span / 2),
                    Some(start + span),
                ];
                case.events
                    .extend(events.into_iter().flatten().map(|minute| (minute, host)));
                spans.push(host);
            }
            let workspace = workspace_of(&case);
            let range = [
                "backfill",
                "jobs/night.yaml",
                "--from",
                "2026-01-01",
                "--to",
                "2026-01-05",
                "--quiet",
            ];
            workspace.succeed(&range);
            let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for alert in workspace.alerts("out") {
                if alert["hunt"] == "pairs" {
                    let host = alert["finding"]
                        .as_str()
                        .unwrap()
                        .split('"')
                        .nth(3)
                        .unwrap()
                        .to_owned();
                    let group = alert["group_id"].as_str().unwrap().to_owned();
                    groups.entry(host).or_default().insert(group);
                }
            }
            // A finding counts in the tile of its last event, and the grid begins with the first whole day of its zone.
            let begins = match case.timezone {
                "America/New_York" => 5 * 60,
                "Europe/Berlin" => 23 * 60,
                _ => 0,
            };
            let is_covered = |host: &u8| {
                let own = case.events.iter().filter(|(_, of)| of == host);
                own.map(|(minute, _)| *minute).max() >= Some(begins)
            };
            for host in spans.iter().filter(|host| is_covered(host)) {
                let name = format!("WS-{host}.corp.example");
                let found = groups.get(&name).map(BTreeSet::len);
                prop_assert_eq!(found, Some(1), "{} in {:?}", name, case);
            }
            Ok(())
        })
        .unwrap();
}
