//! Killed between any two steps, or at any time; a disk that is full; a folder that cannot be written: the next run ends
//! in the same bytes, and nobody who reads meanwhile sees half a file or a finding twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::due::hit;
use crate::publish::RUN;
use crate::workspace::{BINARY, JOB, Workspace, copy, events, hashes_of};

const FILE: &str = "lake/events/day=2026-01-01/good.ndjson";

/// A lake in its first state: three keys, one bad line. The job has no timer to wait for.
fn first() -> Workspace {
    let workspace = Workspace::with_one_table();
    workspace.write(FILE, events(0..31) + "bad\n");
    workspace
}

/// Its second state: other findings, and nothing in quarantine.
fn second(workspace: &Workspace) {
    workspace.write(FILE, events(10..51) + &hit("2026-01-01 11:00:00", 99));
}

/// Runs and lets the run kill itself at a step; whether it came so far.
fn killed_at(workspace: &Workspace, step: u32) -> bool {
    let mut command = workspace.command(&RUN);
    command.env("LAKEHUNT_KILL_AT_STEP", step.to_string());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_none_or(|code| code == 0), "{said}");
    output.status.code().is_none()
}

/// That every file is as one of some states has it.
fn whole(workspace: &Workspace, states: &[&BTreeMap<String, String>], step: &str) {
    for (path, hash) in workspace.published("out") {
        let known = states.iter().any(|state| state.get(&path) == Some(&hash));
        assert!(known, "{path} is half at step {step}");
    }
}

#[test]
fn killed_at_any_step_of_publishing() {
    let workspace = first();
    workspace.succeed(&RUN);
    let before = workspace.published("out");
    assert_eq!(before.len(), 4);
    copy(&workspace.path("out"), &workspace.path("old"));
    second(&workspace);
    workspace.succeed(&RUN);
    let after = workspace.published("out");
    let summaries = workspace.summaries("out");
    assert_eq!(after.len(), 3, "what was bad is mended");
    let mut points = 0;
    loop {
        fs::remove_dir_all(workspace.path("out")).unwrap();
        copy(&workspace.path("old"), &workspace.path("out"));
        if !killed_at(&workspace, points + 1) {
            break;
        }
        points += 1;
        whole(&workspace, &[&before, &after], &points.to_string());
        // A ledger vouches for what is there, or is the old one of a tile that will run again.
        let ledger = "ledger/night/20260101T000000Z_20260102T000000Z.json";
        let now = workspace.published("out");
        if now.get(ledger) == after.get(ledger) {
            assert_eq!(now, after, "step {points}");
        }
        workspace.succeed(&RUN);
        assert_eq!(workspace.published("out"), after, "step {points}");
        assert_eq!(workspace.summaries("out"), summaries, "step {points}");
    }
    // Two files, one that goes, the ledger, three summaries: four steps and one more each.
    assert_eq!(points, 31);
}

#[test]
fn killed_at_any_step_of_the_first_run() {
    let workspace = first();
    workspace.succeed(&[&RUN[..], &["--output", "alone"]].concat());
    let alone = workspace.published("alone");
    let mut points = 0;
    while killed_at(&workspace, points + 1) {
        points += 1;
        whole(&workspace, &[&alone], &points.to_string());
    }
    assert_eq!(points, 35);
    assert_eq!(workspace.published("out"), alone);
    let left = workspace.hashes("out/.tmp").into_keys();
    let left: Vec<_> = left.filter(|path| !path.contains("-summary~")).collect();
    assert!(
        left.is_empty(),
        "a run takes away what the killed left: {left:?}"
    );
}

#[test]
fn whoever_reads_meanwhile_sees_whole_files_and_no_finding_twice() {
    let workspace = first();
    workspace.write(
        "jobs/night.yaml",
        JOB.replace("at: 2026-01-02T02", "at: 2026-01-03T02"),
    );
    let arguments = [
        "run",
        "jobs/night.yaml",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
    ];
    let spawn = || {
        let mut command = workspace.command(&arguments);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                looks += usize::from(look(&workspace.path("out")));
            }
            looks
        });
        let mut seed = 7_u64;
        for round in 0..10 {
            if round % 2 == 0 {
                workspace.write(
                    "lake/events/day=2026-01-02/next.ndjson",
                    hit("2026-01-02 10:00:00", round),
                );
            } else {
                workspace.write(FILE, events(round..31 + round));
            }
            // Two that race, killed at any time.
            let mut racing = [spawn(), spawn()];
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sleep(Duration::from_millis(20 + (seed >> 33) % 500));
            for child in &mut racing {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        workspace.succeed(&arguments);
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 3, "it looked");
    });
    workspace.succeed(&[&arguments[..], &["--output", "alone"]].concat());
    assert_eq!(workspace.published("out"), workspace.published("alone"));
}

/// Reads every file below an output, each of which must be whole, and every alert, which must be there once; whether
/// there were any.
fn look(output: &Path) -> bool {
    let mut ids = BTreeSet::new();
    let mut open = vec![
        output.join("alerts"),
        output.join("findings"),
        output.join("ledger"),
    ];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            // One that went since the listing was no half file.
            let Ok(bytes) = fs::read(&path) else { continue };
            if path.extension().is_some_and(|suffix| suffix == "json") {
                serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
                continue;
            }
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
            for batch in reader.unwrap().build().unwrap() {
                let batch = batch.unwrap();
                let Some(column) = batch.column_by_name("alert_id") else {
                    continue;
                };
                for row in 0..batch.num_rows() {
                    let id = lakehunt::output::value::text(column, row);
                    assert!(
                        ids.insert(id),
                        "{}: an alert is there twice",
                        path.display()
                    );
                }
            }
        }
    }
    !ids.is_empty()
}

/// Runs through a shell that limits how long files may be, as a full disk does: writing fails half way.
fn with_room_for(workspace: &Workspace, kibibytes: u32) -> std::process::Output {
    let line = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &line, "bash", BINARY]).args(RUN);
    command.current_dir(workspace.path(""));
    command.output().unwrap()
}

#[test]
fn a_full_disk_costs_the_tile_and_nothing_else() {
    let workspace = first();
    workspace.succeed(&RUN);
    let before = workspace.published("out");
    second(&workspace);
    let output = with_room_for(&workspace, 2);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot write") && said.contains("File too large"),
        "{said}"
    );
    let ledger = "ledger/night/20260101T000000Z_20260102T000000Z.json";
    assert_eq!(workspace.published("out")[ledger], before[ledger]);
    assert!(
        workspace.hashes("out/.tmp").is_empty(),
        "it takes back what it wrote"
    );
    workspace.succeed(&RUN);
    workspace.succeed(&[&RUN[..], &["--output", "alone"]].concat());
    assert_eq!(workspace.published("out"), workspace.published("alone"));
}

#[test]
fn an_output_that_cannot_be_written_half_way_is_mended_by_the_next_run() {
    let workspace = first();
    // A file where a folder has to be: as read-only as it gets, for root too.
    for part in ["findings", "alerts", "quarantine", "ledger", "summary"] {
        let output = format!("out_{part}");
        workspace.write(&format!("{output}/{part}"), "in the way");
        let run = [&RUN[..], &["--output", &output]].concat();
        let printed = workspace.run(&run);
        assert_eq!(printed.code, 1, "{part}: {}", printed.stderr);
        assert!(
            printed.stderr.contains(&format!("{output}/{part}")),
            "{}",
            printed.stderr
        );
        let has_ledger = workspace.path(&format!("{output}/ledger/night")).exists();
        assert_eq!(has_ledger, part == "summary", "{part}");
        fs::remove_file(workspace.path(&format!("{output}/{part}"))).unwrap();
        workspace.succeed(&run);
    }
    let one = hashes_of(&workspace.path("out_ledger"));
    for part in ["findings", "alerts", "quarantine", "summary"] {
        assert_eq!(
            one,
            hashes_of(&workspace.path(&format!("out_{part}"))),
            "{part}"
        );
    }
}
