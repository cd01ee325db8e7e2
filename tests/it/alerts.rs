//! `lakehunt alerts`: what is stored, listed, shown and added up; and what hunts cover.

use serde_json::Value;

use crate::cli::shown;
use crate::workspace::{JOB, Workspace, event_at, repository};

/// Two nights with the same activity, and an exception on the second.
fn two_nights() -> Workspace {
    let workspace = Workspace::with_one_table();
    let job = JOB.replace("2026-01-02T02", "2026-01-03T02");
    workspace.write("jobs/night.yaml", job);
    for (day, number) in [("01", 50), ("02", 51)] {
        workspace.write(
            &format!("lake/events/day=2026-01-{day}/more.ndjson"),
            event_at(
                &format!("2026-01-{day} 12:00:00.000"),
                number,
                "wmic os get /format:\"=cmd|calc\u{202e}.xsl\",\u{1b}[2J",
            ),
        );
    }
    workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
        "-q",
    ]);
    workspace
}

fn ids(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["alerts"], arguments, &["--format", "json", "-q"]].concat();
    let alerts = workspace.succeed(&arguments).json();
    let alerts = alerts.as_array().unwrap().iter();
    alerts
        .map(|alert| alert["alert_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn alerts_are_listed_and_filtered() {
    let workspace = two_nights();
    let all = ids(&workspace, &[]);
    assert_eq!(all.len(), 3);
    assert_eq!(ids(&workspace, &["list"]), all);
    let new = ids(&workspace, &["--status", "new"]);
    let repeats = ids(&workspace, &["--status", "repeat"]);
    assert_eq!((new.len(), repeats.len()), (2, 1));
    assert_eq!(
        ids(&workspace, &["--from", "2026-01-02", "--to", "2026-01-03"]),
        repeats,
        "what was before still counts"
    );
    assert_eq!(
        ids(&workspace, &["--last", "36h", "--at", "2026-01-03"]).len(),
        2
    );
    assert_eq!(ids(&workspace, &["--entity", "ws-1.CORP"]).len(), 3);
    assert_eq!(ids(&workspace, &["--entity", "DC01"]).len(), 0);
    assert_eq!(
        ids(&workspace, &["--hunt", "wmic_format", "--level", "low"]).len(),
        3
    );
    assert_eq!(ids(&workspace, &["--level", "critical"]).len(), 0);
    shown("alerts_list", &workspace, &["alerts"]);
    for format in ["csv", "markdown", "ndjson"] {
        shown(
            &format!("alerts_list_{format}"),
            &workspace,
            &["alerts", "--status", "repeat", "--format", format],
        );
    }
    shown(
        "alerts_none",
        &workspace,
        &["alerts", "--output", "nowhere"],
    );
}

/// A job says what now is; a window that holds nothing says what there is outside.
#[test]
fn a_window_counts_from_the_time_of_the_job() {
    let workspace = two_nights();
    assert_eq!(ids(&workspace, &["--last", "2d"]).len(), 3);
    let shown = workspace.succeed(&["alerts", "--last", "7d", "--at", "2026-06-01"]);
    for part in [
        "0 of 0 alerts",
        "3 alerts stored outside of this window, the newest of 2026-01-02T12:00:00",
        "with --at",
    ] {
        assert!(shown.stderr.contains(part), "{part}: {}", shown.stderr);
    }
}

#[test]
fn an_alert_is_shown_with_its_raw_events_and_how_to_run_it_again() {
    let workspace = two_nights();
    let id = &ids(&workspace, &["--status", "repeat"])[0];
    let printed = workspace.succeed(&["alerts", "show", &id[..12], "--explain"]);
    workspace
        .settings()
        .bind(|| insta::assert_snapshot!("alerts_show", printed.stdout));
    let alert = workspace.succeed(&["alerts", "show", id, "--format", "json", "--explain"]);
    assert!(!alert.stdout.contains('\u{1b}') && !alert.stdout.contains('\u{202e}'));
    let alert = alert.json();
    let raw: Value = serde_json::from_str(alert["events"][0]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw["EventRecordID"], 51, "as the sensor wrote it");
    assert!(raw["CommandLine"].as_str().unwrap().ends_with("\u{1b}[2J"));
    let again = &alert["again"];
    assert_eq!(again["logic_hash"], again["logic_hash_now"]);
    assert_eq!(
        again["objects"]["events"][0]["path"],
        "day=2026-01-02/more.ndjson"
    );
    assert!(again["sql"].as_str().unwrap().contains("SELECT"));
    assert!(
        alert["explanation"]
            .as_str()
            .unwrap()
            .contains("It is a repeat")
    );
    // What it says runs.
    let command = again["command"].as_str().unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    workspace.succeed(&arguments);
    assert_eq!(&ids(&workspace, &["--status", "repeat"])[0], id);
    let unknown = workspace.run(&["alerts", "show", "zzz"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("no stored alert begins with `zzz`"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn risk_is_added_up_by_entity() {
    let workspace = two_nights();
    let risks = workspace
        .succeed(&["alerts", "risk", "--format", "json"])
        .json();
    let host = risks
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["kind"] == "host")
        .unwrap();
    let listed = workspace
        .succeed(&["alerts", "--status", "new", "--format", "json", "-q"])
        .json();
    let sum: i64 = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["risk_score"].as_i64().unwrap_or(0))
        .sum();
    assert_eq!(host["risk"], sum);
    assert_eq!(host["alerts"], 2, "a repeat adds nothing");
    let none = workspace
        .succeed(&["alerts", "risk", "--hunts", "3", "--format", "json"])
        .json();
    assert_eq!(none, Value::Array(Vec::new()));
    shown(
        "alerts_risk",
        &workspace,
        &["alerts", "risk", "--format", "markdown"],
    );
}

#[test]
fn layers_say_what_is_covered_and_what_fired() {
    let workspace = two_nights();
    let fired = workspace.succeed(&["alerts", "--navigator"]).json();
    assert_eq!(fired["versions"]["layer"], "4.5");
    let techniques = fired["techniques"].as_array().unwrap();
    let wmi = techniques
        .iter()
        .find(|one| one["techniqueID"] == "T1047")
        .unwrap();
    assert_eq!(
        (&wmi["score"], &wmi["comment"]),
        (&3.into(), &"wmic_format: 3".into())
    );
    let coverage = workspace
        .succeed(&[
            "hunts",
            "coverage",
            "--status",
            "stable",
            "--format",
            "navigator",
        ])
        .json();
    let covered = coverage["techniques"].as_array().unwrap();
    assert!(
        covered
            .iter()
            .any(|one| one["techniqueID"] == "T1047" && one["score"].as_u64() > Some(10))
    );
    let repository = Workspace::of_repository();
    shown("hunts_coverage", &repository, &["hunts", "coverage"]);
    let json = repository
        .succeed(&["hunts", "coverage", "--format", "json"])
        .json();
    for technique in json["techniques"].as_array().unwrap() {
        assert!(
            !technique["tactics"].as_array().unwrap().is_empty(),
            "{technique} is unknown to {}",
            json["attack_version"]
        );
    }
    assert!(repository_has_notice());
}

/// The table of techniques says whose it is, as its licence asks.
fn repository_has_notice() -> bool {
    let table = std::fs::read_to_string(repository().join("src/hunt/attack.tsv")).unwrap();
    table.contains("© 2025 The MITRE Corporation")
}

#[test]
fn the_exit_code_tells_of_a_level_and_a_failure_wins() {
    let workspace = Workspace::with_one_table();
    let run = |level: &str| {
        workspace
            .run(&["run", "jobs/night.yaml", "--fail-on", level, "-q"])
            .code
    };
    let level = workspace
        .run(&["run", "jobs/night.yaml", "--format", "json", "-q"])
        .json()["alerts"][0]["level"]
        .clone();
    assert_eq!(run("informational"), 3);
    assert_eq!(run(level.as_str().unwrap()), 3);
    assert_eq!(run("critical"), 0);
    workspace.write("lake/events/day=2026-01-01/broken.ndjson.gz", "no gzip");
    assert_eq!(run("informational"), 1);
}
