//! Bad jobs and lakes: one clear error that names the file and what to do, the right exit code, and no half-written
//! output.
//!
//! The snapshots are the messages as a user reads them. Beside each stands what it must say whatever its words are.

use insta_cmd::assert_cmd_snapshot;

use crate::workspace::{JOB, LAKE, Workspace};

pub(crate) const RUN: [&str; 2] = ["run", "jobs/night.yaml"];

/// The run is refused: exit code 2, one error that says all of `words`, no data, nothing published, and the words of the
/// snapshot. What is wrong with it otherwise, so that one test shows the faults of all its cases.
#[must_use]
pub(crate) fn refused(
    snapshot: &str,
    workspace: &Workspace,
    arguments: &[&str],
    words: &[&str],
) -> Option<String> {
    let printed = workspace.run(arguments);
    let mut faults = Vec::new();
    if printed.code != 2 {
        faults.push(format!("exit code {}", printed.code));
    }
    if !printed.stdout.is_empty() {
        faults.push(format!("data on stdout:\n{}", printed.stdout));
    }
    for word in words {
        if !printed.stderr.contains(word) {
            faults.push(format!("`{word}` is missing"));
        }
    }
    let errors = printed
        .stderr
        .lines()
        .filter(|line| line.starts_with("error"));
    if errors.count() != 1 {
        faults.push("it is not one error".to_owned());
    }
    if printed.stderr.contains("(hint:") {
        faults.push("a hint is a line of its own".to_owned());
    }
    let mut left = workspace.hashes("out");
    left.retain(|path, _| !path.starts_with(".locks/"));
    if !left.is_empty() {
        faults.push(format!("it left {:?}", left.keys()));
    }
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!(snapshot, workspace.command(arguments)));
    (!faults.is_empty()).then(|| {
        format!(
            "{snapshot}, lakehunt {}: {}\n{}",
            arguments.join(" "),
            faults.join("; "),
            printed.stderr
        )
    })
}

pub(crate) fn no_faults(faults: impl IntoIterator<Item = Option<String>>) {
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A workspace whose job has `change` done to it.
pub(crate) fn with_job(change: impl Fn(&str) -> String) -> Workspace {
    let workspace = Workspace::with_one_table();
    let job = change(JOB);
    assert_ne!(job, JOB, "the test changes nothing");
    workspace.write("jobs/night.yaml", job);
    workspace
}

#[test]
fn a_job_that_is_not_there() {
    let workspace = Workspace::with_one_table();
    no_faults([refused(
        "bad_job_missing",
        &workspace,
        &["run", "jobs/nihgt.yaml"],
        &["jobs/nihgt.yaml", "hint"],
    )]);
}

#[test]
fn a_folder_as_a_job() {
    let workspace = Workspace::with_one_table();
    no_faults([refused(
        "bad_job_is_a_folder",
        &workspace,
        &["run", "jobs"],
        &["jobs", "hint"],
    )]);
}

#[test]
fn a_job_that_is_not_yaml() {
    let workspace = with_job(|job| job.replace("grid: {", "grid: {{"));
    no_faults([refused(
        "bad_job_not_yaml",
        &workspace,
        &RUN,
        &["jobs/night.yaml:3:"],
    )]);
}

#[test]
fn a_job_that_is_not_text() {
    let workspace = Workspace::with_one_table();
    workspace.write("jobs/night.yaml", b"\xff\xfe\x00");
    no_faults([refused(
        "bad_job_not_text",
        &workspace,
        &RUN,
        &["jobs/night.yaml", "UTF-8"],
    )]);
    workspace.write("jobs/night.yaml", "");
    no_faults([refused(
        "bad_job_empty",
        &workspace,
        &RUN,
        &["jobs/night.yaml"],
    )]);
    workspace.write("jobs/night.yaml", "x");
    no_faults([refused(
        "bad_job_word",
        &workspace,
        &RUN,
        &["jobs/night.yaml", "keys and values", "grid"],
    )]);
}

#[test]
fn a_job_without_a_grid() {
    let workspace = with_job(|_| "lake: ../lake/lake.yaml\noutput: ../out\n".to_owned());
    no_faults([refused(
        "bad_job_no_grid",
        &workspace,
        &RUN,
        &["jobs/night.yaml", "grid"],
    )]);
}

#[test]
fn an_unknown_key_in_a_job() {
    let workspace = with_job(|job| job.replace("since:", "sicne:"));
    no_faults([refused(
        "bad_job_unknown_key",
        &workspace,
        &RUN,
        &["jobs/night.yaml:4:1", "sicne", "did you mean `since`?"],
    )]);
}

#[test]
fn an_unknown_key_inside_the_grid() {
    let workspace = with_job(|job| job.replace("latest:", "lastest:"));
    no_faults([refused(
        "bad_grid_unknown_key",
        &workspace,
        &RUN,
        &["jobs/night.yaml:3:", "lastest", "did you mean `latest`?"],
    )]);
}

#[test]
fn a_lake_that_is_not_there() {
    let workspace = with_job(|job| job.replace("../lake/lake.yaml", "../lake/like.yaml"));
    no_faults([refused(
        "bad_lake_missing",
        &workspace,
        &RUN,
        &["lake/like.yaml", "hint"],
    )]);
    no_faults([refused(
        "bad_lake_flag_missing",
        &workspace,
        &["run", "jobs/night.yaml", "--lake", "nowhere.yaml"],
        &["nowhere.yaml", "hint"],
    )]);
}

#[test]
fn a_location_that_is_not_there() {
    let workspace = Workspace::with_one_table();
    workspace.write("lake/lake.yaml", LAKE.replace("events/", "evnets/"));
    no_faults([refused(
        "bad_location_missing",
        &workspace,
        &RUN,
        &["lake/lake.yaml:", "lake/evnets", "hint"],
    )]);
}

#[test]
fn a_location_that_is_a_file() {
    let workspace = Workspace::with_one_table();
    workspace.write("lake/lake.yaml", LAKE.replace("events/", "lake.yaml"));
    no_faults([refused(
        "bad_location_is_a_file",
        &workspace,
        &RUN,
        &["lake/lake.yaml:", "lake/lake.yaml", "hint"],
    )]);
}

#[test]
fn mistakes_in_a_lake() {
    let mut faults = Vec::new();
    let workspace = Workspace::with_one_table();
    for (snapshot, from, to, words) in [
        (
            "bad_lake_unknown_form",
            "windows_event",
            "windows_evnet",
            ["lake/lake.yaml:2:3", "did you mean `windows_event`?"],
        ),
        (
            "bad_lake_unknown_key",
            "layout:",
            "layuot:",
            ["lake/lake.yaml:6:5", "did you mean `layout`?"],
        ),
        (
            "bad_lake_format",
            "ndjson",
            "nsjson",
            ["lake/lake.yaml:5:13", "nsjson"],
        ),
        (
            "bad_lake_layout",
            "{time:%Y-%m-%d}",
            "{time:%Y-%m-%d",
            ["lake/lake.yaml:", "layout"],
        ),
    ] {
        workspace.write("lake/lake.yaml", LAKE.replace(from, to));
        faults.push(refused(snapshot, &workspace, &RUN, &words));
    }
    no_faults(faults);
}

#[test]
fn bad_times_in_a_job() {
    let mut faults = Vec::new();
    for (snapshot, from, to, words) in [
        (
            "bad_cron",
            "0 2 * * *",
            "0 25 * * *",
            ["jobs/night.yaml:3:", "0 25 * * *"],
        ),
        (
            "bad_earliest",
            "-1d@d",
            "-1dd@d",
            ["jobs/night.yaml:3:", "-1dd@d"],
        ),
        (
            "bad_latest",
            "\"@d\"",
            "\"@fortnight\"",
            ["jobs/night.yaml:3:", "@fortnight"],
        ),
        (
            "bad_timezone",
            "latest: \"@d\"",
            "latest: \"@d\", timezone: Mars/Base",
            ["jobs/night.yaml:3:", "Mars/Base"],
        ),
        (
            "bad_overlapping_grid",
            "-1d@d",
            "-2d@d",
            ["jobs/night.yaml:3:", "overlap"],
        ),
        (
            "bad_grid_with_gaps",
            "-1d@d",
            "-12h@h",
            ["jobs/night.yaml:3:", "hint"],
        ),
        (
            "bad_since",
            "2026-01-01T00:00:00Z",
            "yesterday",
            ["jobs/night.yaml:4:", "hint"],
        ),
        (
            "bad_suppress",
            "output:",
            "suppress: 24 moons\noutput:",
            ["jobs/night.yaml:6:", "24 moons"],
        ),
        (
            "bad_memory",
            "output:",
            "limits: {memory: 2 elephants}\noutput:",
            ["jobs/night.yaml:6:", "hint: write it as 2GiB"],
        ),
    ] {
        let workspace = with_job(|job| job.replace(from, to));
        faults.push(refused(snapshot, &workspace, &RUN, &words));
    }
    no_faults(faults);
}

#[test]
fn the_place_of_a_bad_time_is_its_own_line() {
    let workspace = with_job(|job| {
        job.replace(
            "grid: {cron: \"0 2 * * *\", earliest: \"-1d@d\", latest: \"@d\"}",
            "grid:\n  cron: \"0 2 * * *\"\n  earliest: \"-1dd@d\"\n  latest: \"@d\"",
        )
    });
    no_faults([refused(
        "bad_earliest_in_a_block",
        &workspace,
        &RUN,
        &["jobs/night.yaml:5:"],
    )]);
}

#[test]
fn nothing_complete_yet() {
    let workspace = with_job(|job| job.replace("at: 2026-01-02", "at: 2026-01-01"));
    no_faults([refused(
        "bad_no_complete_tile",
        &workspace,
        &RUN,
        &["jobs/night.yaml", "hint"],
    )]);
}
