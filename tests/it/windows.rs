//! What a run covers: tiles of the grid, ranges, relative times, windows off the grid, and a part of the hunts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::shown;
use crate::workspace::{JOB, Workspace, event_at};

/// A job over three days with one hit a day.
fn three_days() -> Workspace {
    let workspace = Workspace::with_one_table();
    for day in 1..=3 {
        let line = event_at(
            &format!("2026-01-0{day} 10:00:00.000"),
            day,
            &format!("wmic os get /format:csv {day}"),
        );
        workspace.write(&format!("lake/events/day=2026-01-0{day}/good.ndjson"), line);
    }
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("2026-01-02T02", "2026-01-04T02"),
    );
    workspace
}

/// The windows below an output's ledger.
fn tiles(workspace: &Workspace, output: &str) -> Vec<String> {
    let hashes = workspace.hashes(&format!("{output}/ledger/night"));
    hashes
        .keys()
        .map(|path| path.trim_end_matches(".json").to_owned())
        .collect()
}

const FIRST: &str = "20260101T000000Z_20260102T000000Z";
const SECOND: &str = "20260102T000000Z_20260103T000000Z";
const THIRD: &str = "20260103T000000Z_20260104T000000Z";

#[test]
fn without_a_window_the_newest_complete_tile() {
    let workspace = three_days();
    workspace.succeed(&["run", "jobs/night.yaml"]);
    assert_eq!(tiles(&workspace, "out"), [THIRD]);
    workspace.succeed(&["run", "jobs/night.yaml", "--at", "2026-01-03T12:00:00Z"]);
    assert_eq!(tiles(&workspace, "out"), [SECOND, THIRD]);
}

#[test]
fn a_range_on_the_grid_means_its_tiles() {
    let workspace = three_days();
    let printed = workspace.succeed(&[
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-04",
    ]);
    assert_eq!(tiles(&workspace, "out"), [FIRST, SECOND, THIRD]);
    let heads = printed
        .stdout
        .lines()
        .filter(|line| line.starts_with("night  2026-01-0"));
    assert_eq!(heads.count(), 3, "a summary a tile:\n{}", printed.stdout);
    assert_eq!(workspace.alerts("out").len(), 3);
    assert!(workspace.hashes("out/adhoc").is_empty());
}

#[test]
fn relative_times_and_last_mean_tiles_too() {
    for (flags, expected) in [
        (
            &["--earliest", "-2d@d", "--latest", "@d"][..],
            &[SECOND, THIRD][..],
        ),
        (
            &[
                "--earliest",
                "-1d@d",
                "--latest",
                "@d",
                "--at",
                "2026-01-02T13:00:00Z",
            ],
            &[FIRST],
        ),
        (
            &["--last", "24h", "--at", "2026-01-03T00:00:00Z"],
            &[SECOND],
        ),
        (
            &[
                "--from",
                "2026-01-02T00:00:00Z",
                "--to",
                "2026-01-03T01:00:00+01:00",
            ],
            &[SECOND],
        ),
    ] {
        let workspace = three_days();
        workspace.succeed(&[&["run", "jobs/night.yaml"], flags].concat());
        assert_eq!(tiles(&workspace, "out"), expected, "{flags:?}");
    }
}

#[test]
fn a_range_off_the_grid_is_written_aside() {
    for (flags, window, alerts) in [
        (
            &[
                "--from",
                "2026-01-01T06:00:00Z",
                "--to",
                "2026-01-02T18:00:00Z",
            ][..],
            "20260101T060000Z_20260102T180000Z",
            2,
        ),
        (&["--last", "36h"], "20260102T140000Z_20260104T020000Z", 1),
        (
            &["--earliest", "-2d@d"],
            "20260102T000000Z_20260104T020000Z",
            2,
        ),
    ] {
        let workspace = three_days();
        let printed = workspace.succeed(&[&["run", "jobs/night.yaml"], flags].concat());
        assert!(
            printed.stderr.contains("not a range of tiles"),
            "{}",
            printed.stderr
        );
        let written = workspace.hashes("out");
        assert!(
            !written.is_empty() && written.keys().all(|path| path.starts_with("adhoc/")),
            "{written:?}"
        );
        assert_eq!(tiles(&workspace, "out/adhoc"), [window], "{flags:?}");
        assert_eq!(workspace.alerts("out/adhoc").len(), alerts, "{flags:?}");
    }
    let workspace = three_days();
    shown(
        "run_off_the_grid",
        &workspace,
        &[
            "run",
            "jobs/night.yaml",
            "--from",
            "2026-01-01T06:00:00Z",
            "--to",
            "2026-01-02T18:00:00Z",
        ],
    );
}

#[test]
fn a_window_before_all_data_is_no_data() {
    let workspace = three_days();
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("since: 2026-01-01", "since: 2025-01-01"),
    );
    let arguments = [
        "run",
        "jobs/night.yaml",
        "--from",
        "2025-06-01",
        "--to",
        "2025-06-02",
    ];
    shown("run_no_data", &workspace, &arguments);
    assert!(workspace.alerts("out").is_empty());
}

#[test]
fn a_subset_of_hunts_leaves_the_others_alone() {
    let workspace = Workspace::of_repository();
    let ledger_path = "out/ledger/nightly/20260103T000000Z_20260104T000000Z.json";
    workspace.succeed(&["run", "jobs/nightly.yaml"]);
    let mut before = workspace.hashes("out");
    let whole = workspace.json(ledger_path);
    workspace.succeed(&["run", "jobs/nightly.yaml", "--hunt", "wmic_format"]);
    let mut after = workspace.hashes("out");
    let subset = workspace.json(ledger_path);
    for files in [&mut before, &mut after] {
        files.retain(|path, _| !path.starts_with("ledger/"));
    }
    assert_eq!(
        before, after,
        "a rerun of one hunt leaves all results, and the summary"
    );
    assert_eq!(whole["hunts"], subset["hunts"]);
    assert_eq!(whole["outputs"], subset["outputs"]);
    // A hunt that is not among the job's adds its own.
    let more = ["run", "jobs/nightly.yaml", "--hunt", "wmiexec_logscale"];
    workspace.succeed(&more);
    let after = workspace.published("out");
    for (path, hash) in &before {
        let is_result = ["alerts/", "findings/", "quarantine/"]
            .iter()
            .any(|kind| path.starts_with(kind));
        assert!(
            !is_result || after.get(path) == Some(hash),
            "{path} changed"
        );
    }
    let ledger = workspace.json(ledger_path);
    let hunts = |ledger: &Value| ledger["hunts"].as_object().unwrap().len();
    assert_eq!(hunts(&ledger), hunts(&whole) + 1);
    let outputs: BTreeSet<_> = ledger["outputs"].as_object().unwrap().keys().collect();
    let files: BTreeSet<_> = after
        .keys()
        .filter(|path| !path.starts_with("ledger/"))
        .collect();
    assert_eq!(files, outputs, "the ledger lists what is there");
}

#[test]
fn a_subset_of_hunts_does_not_forget_what_the_others_read() {
    let workspace = Workspace::of_repository();
    let ledger_path = "out/ledger/nightly/20260103T000000Z_20260104T000000Z.json";
    let objects = |workspace: &Workspace| {
        let ledger = workspace.json(ledger_path);
        let tables = ledger["tables"].as_object().unwrap();
        let of_table = |(table, record): (&String, &Value)| {
            let objects = record["objects"].as_array().unwrap();
            let paths = objects
                .iter()
                .map(|object| format!("{table} {}", object["path"]));
            paths.collect::<Vec<_>>()
        };
        tables.iter().flat_map(of_table).collect::<BTreeSet<_>>()
    };
    workspace.succeed(&["run", "jobs/nightly.yaml"]);
    let whole = objects(&workspace);
    // This hunt has no lookback; wmiexec_shared_output_file read the day before as well.
    workspace.succeed(&["run", "jobs/nightly.yaml", "--hunt", "wmic_format"]);
    let forgotten: Vec<_> = whole.difference(&objects(&workspace)).cloned().collect();
    assert!(
        forgotten.is_empty(),
        "a change of these would no longer be noticed: {forgotten:#?}"
    );
}
