//! Bad arguments: refused with what to write instead, before anything is read or written.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bad_input::{RUN, no_faults, refused};
use crate::workspace::{LAKE, Workspace};

#[test]
fn bad_window_flags() {
    let mut faults = Vec::new();
    let workspace = Workspace::with_one_table();
    for (snapshot, flags, words) in [
        (
            "bad_from",
            &["--from", "2026-13-01", "--to", "2026-01-02"][..],
            &["--from", "2026-13-01"][..],
        ),
        (
            "bad_from_without_to",
            &["--from", "2026-01-01"],
            &["--from needs --to"],
        ),
        (
            "bad_to_without_from",
            &["--to", "2026-01-01"],
            &["--to needs --from"],
        ),
        (
            "bad_latest_alone",
            &["--latest", "@d"],
            &["--latest needs --earliest"],
        ),
        (
            "bad_last_with_from",
            &["--last", "24h", "--from", "2026-01-01"],
            &["--last", "--from"],
        ),
        (
            "bad_from_after_to",
            &["--from", "2026-01-02", "--to", "2026-01-01"],
            &["2026-01-02"],
        ),
        ("bad_last", &["--last", "a while"], &["--last", "a while"]),
        (
            "bad_earliest_flag",
            &["--earliest", "-1w@w9"],
            &["--earliest", "-1w@w9"],
        ),
        ("bad_at", &["--at", "noon"], &["--at", "noon"]),
        (
            "bad_memory_flag",
            &["--memory", "lots"],
            &["--memory", "lots"],
        ),
        (
            "bad_fail_on",
            &["--fail-on", "severe"],
            &["--fail-on", "severe", "critical"],
        ),
        ("bad_flag", &["--huntt", "x"], &["--hunt"]),
    ] {
        faults.push(refused(
            snapshot,
            &workspace,
            &[&RUN[..], flags].concat(),
            words,
        ));
    }
    no_faults(faults);
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_scan() {
    let workspace = Workspace::with_one_table();
    workspace.write("taken", "a file where the folder should be");
    // A file that cannot be read would be reported if the scan had begun.
    symlink(
        "nowhere",
        workspace.path("lake/events/day=2026-01-01/dangling.ndjson"),
    )
    .unwrap();
    let arguments = ["run", "jobs/night.yaml", "--output", "taken"];
    no_faults([refused(
        "bad_output",
        &workspace,
        &arguments,
        &["taken", "hint"],
    )]);
    let arguments = ["run", "jobs/night.yaml", "--output", "taken/below"];
    no_faults([refused(
        "bad_output_below_a_file",
        &workspace,
        &arguments,
        &["taken/below", "hint"],
    )]);
    assert_eq!(
        fs::read_to_string(workspace.path("taken")).unwrap(),
        "a file where the folder should be"
    );
}

#[test]
fn a_bucket_is_no_folder() {
    let workspace = Workspace::with_one_table();
    let arguments = ["run", "jobs/night.yaml", "--output", "hdfs://bucket/out"];
    // Never a folder named `hdfs:` in the working folder, and "published".
    no_faults([refused(
        "bad_output_bucket",
        &workspace,
        &arguments,
        &["hdfs://bucket/out"],
    )]);
    assert!(!workspace.path("hdfs:").exists());
    workspace.write(
        "lake/lake.yaml",
        LAKE.replace("events/", "hdfs://bucket/events/"),
    );
    no_faults([refused(
        "bad_location_bucket",
        &workspace,
        &RUN,
        &["lake/lake.yaml:", " hdfs://bucket/events/", "hint"],
    )]);
}

#[test]
fn bad_arguments_of_other_verbs() {
    let mut faults = Vec::new();
    let workspace = Workspace::with_one_table();
    workspace.write("full/notes.txt", "mine");
    for (snapshot, arguments, words) in [
        (
            "bad_tables_no_lake",
            &["tables"][..],
            &["lake.yaml", "--lake"][..],
        ),
        (
            "bad_tables_table",
            &["tables", "evnets", "--lake", "lake/lake.yaml"],
            &["lake/lake.yaml", "did you mean `events`?"],
        ),
        ("bad_sample_full", &["sample", "full"], &["full"]),
        (
            "bad_sample_file",
            &["sample", "full/notes.txt"],
            &["full/notes.txt", "is a file"],
        ),
        (
            "bad_sample_days",
            &["sample", "new", "--days", "0"],
            &["days"],
        ),
        (
            "bad_sample_distinct",
            &["sample", "new", "--distinct", "1.5"],
            &["distinct"],
        ),
        ("bad_verb", &["hunt", "list"], &["hunts"]),
        ("bad_no_verb", &[], &["Usage"]),
    ] {
        if snapshot == "bad_no_verb" {
            // Help instead of an error: nobody who types the bare name has made a mistake yet.
            let printed = workspace.run(arguments);
            assert_eq!(printed.code, 2);
            assert!(printed.stderr.contains(words[0]), "{}", printed.stderr);
            continue;
        }
        faults.push(refused(snapshot, &workspace, arguments, words));
    }
    no_faults(faults);
    assert_eq!(
        fs::read_to_string(workspace.path("full/notes.txt")).unwrap(),
        "mine"
    );
    assert!(!workspace.path("new").exists());
}
