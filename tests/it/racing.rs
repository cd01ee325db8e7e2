//! One writer a tile: runs that race, runs that are killed, and a tile that another run holds.

use std::fs::File;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::publish::{FIRST, RUN, nightly, with_sample};
use crate::workspace::Workspace;

#[test]
fn a_tile_that_another_run_writes_is_skipped() {
    let workspace = Workspace::with_one_table();
    let lock = format!("out/.locks/night_{FIRST}.lock");
    workspace.write(&lock, "");
    let held = File::open(workspace.path(&lock)).unwrap();
    held.try_lock().unwrap();
    let printed = workspace.run(&RUN);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert_eq!(printed.stdout, "");
    assert!(
        printed.stderr.contains("another run") && printed.stderr.contains("2026-01-01T00:00:00Z"),
        "{}",
        printed.stderr
    );
    assert!(workspace.published("out").is_empty());
    assert!(workspace.hashes("out/summary").is_empty());
    // Other tiles are not held up.
    workspace.succeed(
        &[
            &RUN[..],
            &[
                "--from",
                "2026-01-01",
                "--to",
                "2026-01-03",
                "--at",
                "2026-01-05",
            ],
        ]
        .concat(),
    );
    let ledgers = workspace.hashes("out/ledger/night");
    assert_eq!(
        ledgers.into_keys().collect::<Vec<_>>(),
        ["20260102T000000Z_20260103T000000Z.json"]
    );
    drop(held);
    workspace.succeed(&RUN);
    assert_eq!(
        workspace.alerts("out").len(),
        1,
        "a lock file alone holds nobody up"
    );
}

#[test]
fn a_skipped_tile_is_still_one_json_document() {
    let workspace = Workspace::with_one_table();
    let lock = format!("out/.locks/night_{FIRST}.lock");
    workspace.write(&lock, "");
    let held = File::open(workspace.path(&lock)).unwrap();
    held.try_lock().unwrap();
    workspace
        .succeed(&[&RUN[..], &["--format", "json"]].concat())
        .json();
}

#[test]
fn two_runs_racing_leave_one_good_result() {
    let workspace = with_sample();
    nightly(&workspace, "alone", &[]);
    let alone = workspace.published("alone");
    let arguments = [
        "run",
        "jobs/nightly.yaml",
        "--lake",
        "lake/lake.yaml",
        "--output",
        "out",
    ];
    race(&workspace, &arguments, 3);
    assert_eq!(alone, workspace.published("out"));
    assert!(workspace.hashes("out/.tmp").is_empty());
}

#[test]
fn many_runs_may_start_at_once() {
    let workspace = Workspace::with_one_table();
    // An output that nobody has opened yet: its folders, too, are made by several at once. The tile is held, so that
    // starting is all they do.
    for round in 0..6 {
        let output = format!("out/{round}");
        let lock = format!("{output}/.locks/night_{FIRST}.lock");
        workspace.write(&lock, "");
        let held = File::open(workspace.path(&lock)).unwrap();
        held.try_lock().unwrap();
        let arguments = ["run", "jobs/night.yaml", "--output", &output];
        race(&workspace, &arguments, 16);
    }
}

/// Starts several of the same run at once; all must end well.
fn race(workspace: &Workspace, arguments: &[&str], runs: usize) {
    let start = || {
        let mut command = workspace.command(arguments);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let racing: Vec<_> = (0..runs).map(|_| start()).collect();
    for child in racing {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
}

#[test]
fn a_killed_run_leaves_no_half_and_a_rerun_mends_it() {
    let workspace = with_sample();
    nightly(&workspace, "alone", &[]);
    let alone = workspace.published("alone");
    let arguments = [
        "run",
        "jobs/nightly.yaml",
        "--lake",
        "lake/lake.yaml",
        "--output",
        "out",
    ];
    for milliseconds in [60, 150, 300, 450] {
        let mut command = workspace.command(&arguments);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        for (path, hash) in workspace.published("out") {
            assert_eq!(
                alone.get(&path),
                Some(&hash),
                "{path} after {milliseconds} ms"
            );
        }
    }
    nightly(&workspace, "out", &[]);
    assert_eq!(alone, workspace.published("out"));
}
