//! Hunts over what other hunts found: they see the tiles that they look back at, in whatever order those ran, go stale with
//! them, and say where something is missing.

use std::collections::BTreeMap;
use std::process::Stdio;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::due::{due, told};
use crate::workspace::{JOB, Workspace, event_at};

/// A hunt of a word in the command line, one alert for each process.
fn word_hunt(number: usize, word: &str) -> String {
    format!(
        "-- ---\n-- id: 00000000-0000-4000-8000-00000000000{number}\n-- title: {word}\n-- status: test\n-- level: low\n\
         -- description: D\n-- tags: [attack.execution]\n-- entities: {{host: host_name}}\n-- key: [process_id]\n\
         -- risk: {{score: 40, message: \"{word} on {{host_name}}\"}}\n-- ---\n\
         SELECT event_time, host_name, process_id, _table, _file, _row FROM process_creation WHERE command_line LIKE '%{word}%'\n"
    )
}

/// How many alerts each hunt of the job has had, as a hunt over alerts counts them.
const COUNTS: &str = "-- ---\n-- id: 00000000-0000-4000-8000-000000000009\n-- title: Counts\n-- status: test\n-- level: low\n\
    -- description: D\n-- lookback: 2d\n-- key: [hunt]\n-- ---\n\
    SELECT hunt, count(*) AS alert_count, count(DISTINCT status) AS statuses, max(last_seen) AS last_seen FROM alerts GROUP BY hunt\n";

const WORDS: [&str; 3] = ["alpha", "beta", "gamma"];

/// A job of three hunts over the lake and two over what they find, over some days, each with its commands.
fn days(commands: &[&[&str]]) -> Workspace {
    let workspace = Workspace::with_own_hunts();
    std::fs::remove_dir_all(workspace.path("lake/events")).unwrap();
    for (day, commands) in (1..).zip(commands) {
        let events = (0..).zip(*commands).map(|(number, command)| {
            let time = format!("2026-01-{day:02} 1{}:00:00.000", number % 10);
            event_at(&time, day * 100 + number, command)
        });
        let path = format!("lake/events/day=2026-01-{day:02}/good.ndjson");
        workspace.write(&path, events.collect::<String>());
    }
    for (number, word) in (1..).zip(WORDS) {
        workspace.write(&format!("sql/hunts/{word}.sql"), word_hunt(number, word));
    }
    workspace.write("sql/hunts/counts.sql", COUNTS);
    job(
        &workspace,
        "alpha, beta, gamma, counts, risk_threshold",
        commands.len(),
    );
    workspace
}

fn job(workspace: &Workspace, hunts: &str, days: usize) {
    let job = JOB.replace("wmic_format", hunts).replace(
        "at: 2026-01-02T02",
        &format!("at: 2026-01-{:02}T02", days + 1),
    );
    workspace.write("jobs/night.yaml", job);
}

fn at(day: usize) -> String {
    format!("2026-01-{:02}T02:00:00Z", day + 1)
}

fn night(workspace: &Workspace, day: usize, output: &str) {
    workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--at",
        &at(day),
        "--output",
        output,
    ]);
}

fn backfill(workspace: &Workspace, days: usize, output: &str, more: &[&str]) {
    let to = format!("2026-01-{:02}", days + 1);
    let all = [
        "backfill",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        &to,
    ];
    workspace.succeed(&[&all[..], &["--output", output], more].concat());
}

/// The alerts of a hunt by their days.
fn alerts_of(workspace: &Workspace, output: &str, hunt: &str) -> BTreeMap<String, Value> {
    let alerts = workspace.alerts(output).into_iter();
    let alerts = alerts.filter(|alert| alert["hunt"] == hunt);
    alerts
        .map(|alert| (alert["date"].as_str().unwrap().to_owned(), alert.into()))
        .collect()
}

fn ledger(workspace: &Workspace, day: usize) -> Value {
    let next = day + 1;
    workspace.json(&format!(
        "out/ledger/night/202601{day:02}T000000Z_202601{next:02}T000000Z.json"
    ))
}

const STORY: [&[&str]; 5] = [
    &["alpha"],
    &["beta"],
    &["x", "gamma"],
    &["x"],
    &["alpha", "alpha"],
];

#[test]
fn nights_one_by_one_and_backfills_in_any_order_end_in_the_same_bytes() {
    let workspace = days(&STORY);
    for day in 1..=5 {
        night(&workspace, day, "nights");
    }
    let risks = alerts_of(&workspace, "nights", "risk_threshold");
    let days: Vec<&str> = risks.keys().map(String::as_str).collect();
    assert_eq!(
        days,
        ["2026-01-03", "2026-01-05"],
        "the days on which risk came that took it above 100"
    );
    let messages: Vec<&str> = risks
        .values()
        .map(|alert| alert["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            "Risk 120 of host ws-1.corp.example from 3 hunts: alpha, beta, gamma; tactics: execution",
            "Risk 200 of host ws-1.corp.example from 3 hunts: alpha, beta, gamma; tactics: execution",
        ]
    );
    let published = workspace.published("nights");
    for (output, more) in [
        ("forward", &[][..]),
        ("beside", &["--parallel", "2", "--newest-first"]),
        ("backward", &["--newest-first"]),
    ] {
        backfill(&workspace, 5, output, more);
        assert_eq!(published, workspace.published(output), "{output}");
        assert_eq!(
            workspace.summaries("nights"),
            workspace.summaries(output),
            "{output}"
        );
        backfill(&workspace, 5, output, more);
        assert_eq!(published, workspace.published(output), "{output}, again");
    }
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--due", "--output", "due"]);
    assert_eq!(
        told(&printed).len(),
        5,
        "one publish a tile: {}",
        printed.stdout
    );
    assert_eq!(published, workspace.published("due"));
    assert_eq!(published, {
        workspace.succeed(&["run", "jobs/night.yaml", "--due", "--output", "due"]);
        workspace.published("due")
    });
}

#[test]
fn what_comes_late_makes_those_run_again_that_look_at_it() {
    let workspace = days(&STORY);
    due(&workspace);
    let before = alerts_of(&workspace, "out", "risk_threshold");
    // Another process on the first day, found by nobody: no results change.
    let late = "lake/events/day=2026-01-01/late.ndjson";
    workspace.write(late, event_at("2026-01-01 09:00:00.000", 9, "x"));
    assert_eq!(told(&due(&workspace)), ["2026-01-01T00"]);
    assert_eq!(before, alerts_of(&workspace, "out", "risk_threshold"));
    // One that a hunt finds.
    workspace.write(late, event_at("2026-01-01 09:00:00.000", 9, "beta"));
    let status = workspace
        .succeed(&["status", "jobs/night.yaml", "--format", "json"])
        .json();
    assert_eq!(status["tiles"][0]["standing"], "stale");
    assert_eq!(
        status["tiles"][2]["standing"], "done",
        "until the first day has run"
    );
    let printed = due(&workspace);
    let days: Vec<String> = (1..=5).map(|day| format!("2026-01-0{day}T00")).collect();
    assert_eq!(told(&printed), days);
    let after = alerts_of(&workspace, "out", "risk_threshold");
    assert!(
        after["2026-01-03"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Risk 160"),
        "{after:?}"
    );
    assert_eq!(due(&workspace).stdout, "");
    backfill(&workspace, 5, "anew", &[]);
    assert_eq!(workspace.published("out"), workspace.published("anew"));
    // A part of a tile that runs by itself is seen too.
    std::fs::remove_file(workspace.path(late)).unwrap();
    let first = ["--from", "2026-01-01", "--to", "2026-01-02"];
    workspace.succeed(&[&["run", "jobs/night.yaml", "--hunt", "beta"][..], &first].concat());
    let status = workspace.succeed(&["status", "jobs/night.yaml"]);
    assert!(
        status
            .stdout
            .contains("risk_threshold saw other results of this tile and those before it"),
        "{}",
        status.stdout
    );
    due(&workspace);
    assert_eq!(before, alerts_of(&workspace, "out", "risk_threshold"));
}

#[test]
fn what_is_missing_or_failed_is_said_and_a_young_job_is_whole() {
    let workspace = days(&STORY);
    let record = |day| ledger(&workspace, day)["hunts"]["risk_threshold"].clone();
    night(&workspace, 2, "out");
    assert_eq!(record(2)["state"], "complete", "nothing ran before it");
    let printed = workspace.run(&["run", "jobs/night.yaml", "--at", &at(4)]);
    assert_eq!(printed.code, 1);
    assert_eq!(record(4)["state"], "partial");
    assert_eq!(
        record(4)["reason"],
        "1 tile before it was not run, such as 2026-01-03T00:00:00Z/2026-01-04T00:00:00Z"
    );
    // The job begins on the first day; what it asks for is run, and what looked at less runs again.
    assert_eq!(told(&due(&workspace)).len(), 5);
    assert_eq!(record(4)["state"], "complete");
    backfill(&workspace, 5, "anew", &[]);
    assert_eq!(workspace.published("out"), workspace.published("anew"));
    // A hunt of the job that fails leaves what looks at it in the dark.
    let broken = word_hunt(3, "gamma").replace(
        "process_id, _table",
        "CAST(command_line AS BIGINT) AS n, process_id, _table",
    );
    workspace.write("sql/hunts/gamma.sql", broken);
    let printed = workspace.run(&["run", "jobs/night.yaml", "--at", &at(3)]);
    assert_eq!(printed.code, 1);
    assert_eq!(record(3)["state"], "partial");
    assert_eq!(record(3)["reason"], "gamma failed in what it looks at");
    assert_eq!(ledger(&workspace, 3)["hunts"]["alpha"]["state"], "complete");
}

#[test]
fn it_runs_alone_over_what_is_stored_and_looks_say_what_cannot_be() {
    let workspace = days(&STORY);
    due(&workspace);
    let before = workspace.published("out");
    let third = ["--from", "2026-01-03", "--to", "2026-01-04"];
    let alone = ["run", "jobs/night.yaml", "--hunt", "risk_threshold"];
    workspace.succeed(&[&alone[..], &third].concat());
    assert_eq!(before, workspace.published("out"));
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--explain"]);
    assert!(
        printed.stdout.contains("risk_threshold\n"),
        "{}",
        printed.stdout
    );
    let plan = workspace
        .succeed(&["run", "jobs/night.yaml", "--plan", "--format", "json"])
        .json();
    assert_eq!(plan["windows"][0]["hunts"].as_array().unwrap().len(), 5);
    let diff = workspace.run(&[
        "diff",
        "counts",
        "--against",
        "sql/hunts/counts.sql",
        "--last",
        "3d",
        "--job",
        "jobs/night.yaml",
    ]);
    assert_eq!(diff.code, 2);
    assert!(
        diff.stderr
            .contains("`alerts` is what runs of a job leave behind"),
        "{}",
        diff.stderr
    );
    // Off the grid there are no tiles to look at.
    let printed = workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-03T06:00:00Z",
        "--to",
        "2026-01-03T18:00:00Z",
        "--format",
        "json",
    ]);
    let report = printed.json();
    let hunts = report["hunts"].as_array().unwrap();
    let risk = hunts
        .iter()
        .find(|hunt| hunt["name"] == "risk_threshold")
        .unwrap();
    assert_eq!(risk["state"], "skipped");
    assert_eq!(before, workspace.published("out"));
    workspace.succeed(&[
        "check",
        "source_volume_drop",
        "source_silent_host",
        "--lake",
        "lake/lake.yaml",
    ]);
}

#[test]
fn an_alert_of_alerts_tells_their_story() {
    let workspace = days(&STORY);
    due(&workspace);
    let alert = alerts_of(&workspace, "out", "risk_threshold")["2026-01-03"].clone();
    assert_eq!(
        alert["entities"],
        serde_json::json!([{"kind": "host", "value": "ws-1.corp.example"}])
    );
    assert_eq!(alert["evidence"].as_array().unwrap().len(), 3);
    let id = alert["alert_id"].as_str().unwrap();
    let shown = workspace.succeed(&[
        "alerts",
        "show",
        id,
        "--explain",
        "--job",
        "jobs/night.yaml",
    ]);
    let at = |text: &str| {
        shown
            .stdout
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", shown.stdout))
    };
    assert!(
        at("## Alerts behind it (3 of 3)") < at("alpha: alpha on WS-1.corp.example"),
        "{}",
        shown.stdout
    );
    assert!(
        at("alpha: alpha on") < at("beta: beta on") && at("beta: beta on") < at("gamma: gamma on")
    );
    at(
        "The hunt risk_threshold read what the job's other hunts gave from 2026-01-03T00:00:00Z to 2026-01-04T00:00:00Z, and 7d before: risk.",
    );
    let page = "out/summary/night/20260103T000000Z_20260104T000000Z.html";
    let page = std::fs::read_to_string(workspace.path(page)).unwrap();
    assert!(page.contains("gamma: gamma on WS-1.corp.example"));
    // Its risk is that of the others: it comes before all that have less, and is in no sum.
    let summary = "out/summary/night/20260103T000000Z_20260104T000000Z";
    let report = workspace.json(&format!("{summary}.json"));
    assert_eq!(report["alerts"][0]["risk_sum"], 120, "{report}");
    assert_eq!(report["incidents"][0]["risk"], 40);
    let markdown = std::fs::read_to_string(workspace.path(&format!("{summary}.md"))).unwrap();
    assert!(
        markdown.contains("- Story:\n  - `2026-01-01 10:00:00Z  +40  alpha  alpha on"),
        "{markdown}"
    );
    let listed = workspace.succeed(&["alerts", "--hunt", "risk_threshold"]);
    assert!(listed.stdout.contains("  120"), "{}", listed.stdout);
    // On the next day the page knows that it ran.
    let page_after = "out/summary/night/20260105T000000Z_20260106T000000Z.html";
    let page_after = std::fs::read_to_string(workspace.path(page_after)).unwrap();
    assert!(page_after.contains("title=\"2026-01-03: 1 alert\""));
    // Risk that is added up is not added again.
    let risk = workspace
        .succeed(&[
            "alerts",
            "risk",
            "--job",
            "jobs/night.yaml",
            "--format",
            "json",
        ])
        .json();
    assert_eq!(risk[0]["risk"], 200, "{risk}");
    let rows = |query: &str| {
        workspace
            .succeed(&[
                "sql",
                query,
                "--lake",
                "lake/lake.yaml",
                "--output",
                "out",
                "--from",
                "2026-01-01",
                "--to",
                "2026-01-06",
                "--format",
                "csv",
            ])
            .stdout
            .replace('\r', "")
    };
    assert_eq!(
        rows(
            "SELECT count(*) AS n, sum(risk_score) AS risk FROM risk WHERE kind = 'host' AND hunt <> 'risk_threshold'"
        ),
        "n,risk\n5,200\n"
    );
    assert_eq!(
        rows("SELECT \"table\", sum(rows_in_window) AS n FROM reads GROUP BY 1"),
        "table,n\nevents,7\n"
    );
    assert_eq!(rows("SELECT count(*) AS n FROM objects"), "n\n5\n");
}

#[test]
fn a_hunt_reads_the_lake_or_results() {
    let workspace = days(&STORY);
    let mixed = COUNTS.replace(
        "FROM alerts",
        "FROM alerts JOIN process_creation USING (last_seen)",
    );
    workspace.write("sql/hunts/counts.sql", mixed);
    let printed = workspace.run(&["check", "counts"]);
    assert_eq!(printed.code, 2);
    assert!(
        printed.stdout.contains("`alerts` is what runs leave behind, `process_creation` is of the lake: a hunt reads one or the other")
            || printed.stderr.contains("`alerts` is what runs leave behind, `process_creation` is of the lake: a hunt reads one or the other"),
        "{}{}", printed.stdout, printed.stderr
    );
    // A lake has its own names.
    workspace.write("sql/hunts/counts.sql", COUNTS);
    let lake = std::fs::read_to_string(workspace.path("lake/lake.yaml")).unwrap();
    workspace.write(
        "lake/lake.yaml",
        lake + "  alerts: {location: alerts.csv, format: csv, time: none}\n",
    );
    workspace.write("lake/alerts.csv", "hunt,status,last_seen\na,b,c\n");
    let printed = workspace.run(&["run", "jobs/night.yaml", "--hunt", "counts"]);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
    assert!(printed.stderr.contains("last_seen"), "{}", printed.stderr);
}

#[test]
fn any_days_in_any_order_are_what_a_backfill_gives() {
    let words = prop::sample::select(vec!["alpha", "beta", "gamma", "x"]);
    let day = prop::collection::vec(words, 0..4);
    let cases = prop::collection::vec(day, 3..6).prop_flat_map(|days| {
        let order: Vec<usize> = (1..=days.len()).collect();
        (Just(days), Just(order).prop_shuffle(), 0..4_usize)
    });
    let mut runner = TestRunner::new(Config {
        cases: 6,
        ..Config::default()
    });
    let result = runner.run(&cases, |(commands, order, nights)| {
        let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
        let workspace = days(&commands);
        for day in order.iter().take(nights) {
            // Where days before are missing it says so, and ends with 1.
            workspace.run(&["run", "jobs/night.yaml", "--at", &at(*day)]);
        }
        let printed = workspace.run(&["run", "jobs/night.yaml", "--due"]);
        prop_assert_eq!(printed.code, 0, "{}", printed.stderr);
        backfill(
            &workspace,
            commands.len(),
            "anew",
            &["--newest-first", "--parallel", "2"],
        );
        prop_assert_eq!(workspace.published("out"), workspace.published("anew"));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn several_processes_share_a_backfill_of_both_stages() {
    let workspace = days(&STORY);
    backfill(&workspace, 5, "alone", &[]);
    let all = [
        "backfill",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-06",
    ];
    let start = || {
        let mut command = workspace.command(&all);
        let quiet = command.stdout(Stdio::piped()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    };
    let running: Vec<_> = (0..3).map(|_| start()).collect();
    for child in running {
        child.wait_with_output().unwrap();
    }
    // What one left to another that had begun before is done by whoever comes next.
    workspace.succeed(&["run", "jobs/night.yaml", "--due"]);
    assert_eq!(workspace.published("alone"), workspace.published("out"));
}

#[test]
fn limits_cost_the_hunt_that_meets_them() {
    let workspace = days(&[&["alpha", "alpha", "alpha", "beta"]]);
    let job = std::fs::read_to_string(workspace.path("jobs/night.yaml")).unwrap();
    let run = |limits: &str| {
        workspace.write("jobs/night.yaml", format!("{job}limits: {{{limits}}}\n"));
        let printed = workspace.run(&["run", "jobs/night.yaml"]);
        (
            printed.code,
            ledger(&workspace, 1)["hunts"].clone(),
            printed,
        )
    };
    let (code, hunts, printed) = run("max_findings: 2");
    assert_eq!(code, 0);
    assert_eq!(hunts["alpha"]["findings"], 2);
    assert_eq!(hunts["alpha"]["truncated"], true);
    assert_eq!(hunts["beta"]["truncated"], Value::Null);
    assert!(
        printed.stdout.contains("truncated") || printed.stdout.contains("cut"),
        "{}",
        printed.stdout
    );
    // A join of everything with everything meets the time and the memory; the others do not.
    let heavy = word_hunt(2, "beta").replace(
        "SELECT event_time, host_name, process_id, _table, _file, _row FROM process_creation WHERE command_line LIKE '%beta%'",
        "WITH n AS (SELECT * FROM unnest(generate_series(1, 100000)) AS t(v)) SELECT max(e.event_time) AS last_seen, max(e.host_name) AS host_name, max(e.process_id) AS process_id, count(DISTINCT a.v * b.v) AS c FROM process_creation AS e CROSS JOIN n AS a CROSS JOIN n AS b",
    );
    workspace.write("sql/hunts/beta.sql", heavy);
    for (limit, reason) in [
        ("hunt_timeout: 1s", "its limit of 1 s"),
        ("memory: 32MiB, hunt_timeout: 60s", "memory limit of 32 MiB"),
    ] {
        let (code, hunts, printed) = run(limit);
        assert_eq!(code, 1, "{limit}: {}", printed.stderr);
        assert_eq!(hunts["beta"]["state"], "failed", "{limit}");
        assert!(
            hunts["beta"]["reason"].as_str().unwrap().contains(reason),
            "{}",
            hunts["beta"]
        );
        assert_eq!(hunts["alpha"]["state"], "complete", "{limit}");
        assert!(printed.stdout.contains(reason), "{}", printed.stdout);
    }
}
