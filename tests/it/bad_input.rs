//! Bad input: one clear error that names the file and what to do, the right exit code, and no half-written output.
//!
//! The snapshots are the messages as a user reads them. Beside each stands what it must say whatever its words are.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
use insta_cmd::assert_cmd_snapshot;

use crate::workspace::{JOB, LAKE, Workspace, event, event_at, events, repository};

const RUN: [&str; 2] = ["run", "jobs/night.yaml"];

/// The run is refused: exit code 2, one error that says all of `words`, no data, nothing published, and the words of the
/// snapshot. What is wrong with it otherwise, so that one test shows the faults of all its cases.
#[must_use]
fn refused(
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

fn no_faults(faults: impl IntoIterator<Item = Option<String>>) {
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The run goes through with this exit code; its words are those of the snapshot.
fn ran(snapshot: &str, workspace: &Workspace, code: i32, words: &[&str]) {
    let printed = workspace.run(&RUN);
    assert_eq!(printed.code, code, "{}\n{}", printed.stdout, printed.stderr);
    for word in words {
        assert!(
            printed.stdout.contains(word) || printed.stderr.contains(word),
            "`{word}` is missing in:\n{}\n{}",
            printed.stdout,
            printed.stderr
        );
    }
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!(snapshot, workspace.command(&RUN)));
}

/// A workspace whose job has `change` done to it.
fn with_job(change: impl Fn(&str) -> String) -> Workspace {
    let workspace = Workspace::with_one_table();
    let job = change(JOB);
    assert_ne!(job, JOB, "the test changes nothing");
    workspace.write("jobs/night.yaml", job);
    workspace
}

/// A workspace whose job runs one hunt of its own with this text after the front matter.
fn with_hunt(sql: &str) -> Workspace {
    with_hunt_file(&format!(
        "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: Broken\n-- status: stable\n-- level: low\n-- description: Broken.\n-- ---\n{sql}\n"
    ))
}

fn with_hunt_file(text: &str) -> Workspace {
    let workspace = Workspace::with_own_hunts();
    workspace.write("sql/hunts/broken.sql", text);
    workspace.write("jobs/night.yaml", JOB.replace("wmic_format", "broken"));
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
fn an_unknown_hunt() {
    let workspace = with_job(|job| job.replace("wmic_format", "wmic_fromat"));
    no_faults([refused(
        "bad_hunt_in_job",
        &workspace,
        &RUN,
        &[
            "wmic_fromat",
            "did you mean `wmic_format`?",
            "jobs/night.yaml:2:",
        ],
    )]);
    let workspace = Workspace::with_one_table();
    no_faults([refused(
        "bad_hunt_flag",
        &workspace,
        &["run", "jobs/night.yaml", "--hunt", "wmic_fromat"],
        &["wmic_fromat", "did you mean `wmic_format`?"],
    )]);
    no_faults([refused(
        "bad_hunt_show",
        &workspace,
        &["hunts", "show", "wmic_fromat"],
        &["did you mean `wmic_format`?"],
    )]);
    no_faults([refused(
        "bad_hunt_show_no_source",
        &workspace,
        &["hunts", "show", "wmiexec_shared_output_file", "--source"],
        &["not a port"],
    )]);
}

#[test]
fn a_selection_without_a_hunt() {
    let workspace = with_job(|job| job.replace("names: [wmic_format]", "tags: [attack.t9999]"));
    no_faults([refused(
        "bad_selection_empty",
        &workspace,
        &RUN,
        &["jobs/night.yaml", "hint"],
    )]);
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
            ["jobs/night.yaml:4:8", "hint"],
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
fn bad_front_matter() {
    let mut faults = Vec::new();
    for (snapshot, text, words) in [
        (
            "bad_front_matter_key",
            "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- levle: low\n-- status: stable\n-- description: D\n-- ---\nSELECT event_time FROM process_creation\n",
            &["sql/hunts/broken.sql:4:4", "levle", "did you mean `level`?"][..],
        ),
        (
            "bad_front_matter_level",
            "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- level: severe\n-- status: stable\n-- description: D\n-- ---\nSELECT event_time FROM process_creation\n",
            &["sql/hunts/broken.sql:4:11", "severe", "critical"],
        ),
        (
            "bad_front_matter_none",
            "SELECT 1\n",
            &["sql/hunts/broken.sql:1:1", "hint"],
        ),
        (
            "bad_front_matter_open",
            "-- ---\n-- title: T\nSELECT 1\n",
            &["sql/hunts/broken.sql:3:1", "not closed", "hint"],
        ),
        (
            "bad_front_matter_missing_key",
            "-- ---\n-- title: T\n-- ---\nSELECT 1\n",
            &["sql/hunts/broken.sql", "id"],
        ),
    ] {
        faults.push(refused(snapshot, &with_hunt_file(text), &RUN, words));
    }
    no_faults(faults);
}

#[test]
fn two_hunts_with_one_id() {
    let workspace = Workspace::with_own_hunts();
    let text =
        fs::read_to_string(repository().join("sql/hunts/windows/process_creation/wmic_format.sql"))
            .unwrap();
    workspace.write("sql/hunts/zcopy.sql", text);
    no_faults([refused(
        "bad_hunt_same_id",
        &workspace,
        &RUN,
        &["sql/hunts/zcopy.sql", "wmic_format", "hint"],
    )]);
}

#[test]
fn bad_names_in_a_hunt() {
    let mut faults = Vec::new();
    for (snapshot, sql, words) in [
        (
            "bad_column",
            "SELECT event_time, host_name\nFROM process_creation\nWHERE comand_line = 'x'",
            &["sql/hunts/broken.sql:10:7", "comand_line", "command_line"][..],
        ),
        (
            "bad_table",
            "SELECT event_time\nFROM process_craetion",
            &[
                "sql/hunts/broken.sql:9:6",
                "process_craetion",
                "did you mean `process_creation`?",
            ],
        ),
        (
            "bad_qualified_column",
            "SELECT p.event_time, p.comand_line\nFROM process_creation p",
            &["sql/hunts/broken.sql:8:", "comand_line", "command_line"],
        ),
        (
            "bad_ambiguous_column",
            "SELECT a.event_time, host_name\nFROM process_creation a\nJOIN process_creation b ON a.host_id = b.host_id",
            &[
                "sql/hunts/broken.sql:8:22",
                "host_name",
                "a.host_name",
                "b.host_name",
            ],
        ),
        (
            "bad_function",
            "SELECT event_time, regexp_extrakt(command_line, 'a') AS a\nFROM process_creation",
            &[
                "sql/hunts/broken.sql:8:",
                "regexp_extrakt",
                "did you mean `regexp_extract`?",
            ],
        ),
    ] {
        faults.push(refused(snapshot, &with_hunt(sql), &RUN, words));
    }
    no_faults(faults);
}

#[test]
fn sql_that_a_hunt_may_not_have() {
    let mut faults = Vec::new();
    for (snapshot, sql, words) in [
        (
            "bad_limit",
            "SELECT event_time\nFROM process_creation\nLIMIT 5",
            &["sql/hunts/broken.sql:10:", "LIMIT", "ORDER BY"][..],
        ),
        (
            "bad_now",
            "SELECT event_time\nFROM process_creation\nWHERE event_time > now() - INTERVAL '1 day'",
            &["sql/hunts/broken.sql:10:", "now()", "window_start()"],
        ),
        (
            "bad_random",
            "SELECT event_time, random() AS r\nFROM process_creation",
            &["sql/hunts/broken.sql:8:", "random()"],
        ),
        (
            "bad_two_statements",
            "SELECT event_time FROM process_creation;\nSELECT 1",
            &["sql/hunts/broken.sql:9:"],
        ),
        (
            "bad_statement",
            "DROP TABLE process_creation",
            &["sql/hunts/broken.sql:8:", "SELECT"],
        ),
        (
            "bad_syntax",
            "SELECT event_time\nFORM process_creation",
            // The place is said once.
            &["found: process_creation\n  --> sql/hunts/broken.sql:9:6"],
        ),
        (
            "bad_unclosed_text",
            "SELECT event_time FROM process_creation\nWHERE command_line = 'x",
            &["sql/hunts/broken.sql:9:"],
        ),
    ] {
        faults.push(refused(snapshot, &with_hunt(sql), &RUN, words));
    }
    no_faults(faults);
}

#[test]
fn bad_values_in_a_hunt() {
    let mut faults = Vec::new();
    for (snapshot, sql, words) in [
        (
            "bad_regex",
            "SELECT event_time\nFROM process_creation\nWHERE command_line ~ '(unclosed'",
            &["sql/hunts/broken.sql", "(unclosed", "unclosed group"][..],
        ),
        (
            "bad_regex_function",
            "SELECT event_time, regexp_extract(command_line, '[a-', 1) AS a\nFROM process_creation",
            &["sql/hunts/broken.sql", "[a-", "regexp_extract"],
        ),
        (
            "bad_unit",
            "SELECT event_time, date_diff('fortnight', event_time, event_time) AS a\nFROM process_creation",
            &["sql/hunts/broken.sql", "fortnight"],
        ),
        (
            "bad_types",
            "SELECT event_time\nFROM process_creation\nWHERE event_time > 5 AND host_name + 1 = true",
            &["sql/hunts/broken.sql:10:"],
        ),
        (
            "bad_no_time",
            "SELECT host_name\nFROM process_creation",
            &["sql/hunts/broken.sql", "event_time", "hint"],
        ),
        (
            "bad_parameter_in_sql",
            "SELECT event_time\nFROM process_creation\nWHERE process_id > $least",
            &["sql/hunts/broken.sql:10:", "$least"],
        ),
    ] {
        faults.push(refused(snapshot, &with_hunt(sql), &RUN, words));
    }
    no_faults(faults);
}

#[test]
fn columns_that_the_front_matter_names() {
    let workspace = with_hunt_file(
        "-- ---\n-- id: 00000000-0000-4000-8000-000000000001\n-- title: T\n-- level: low\n-- status: stable\n-- description: D\n-- key: [hostname]\n-- ---\nSELECT event_time, host_name FROM process_creation\n",
    );
    no_faults([refused(
        "bad_key_column",
        &workspace,
        &RUN,
        &[
            "sql/hunts/broken.sql:7:",
            "hostname",
            "did you mean `host_name`?",
        ],
    )]);
}

#[test]
fn parameters_that_a_hunt_does_not_have() {
    let workspace = with_job(|job| {
        job.replace("wmic_format", "wmiexec_shared_output_file")
            + "params:\n  wmiexec_shared_output_file: {min_comands: 2}\n"
    });
    no_faults([refused(
        "bad_parameter",
        &workspace,
        &RUN,
        &[
            "jobs/night.yaml:",
            "min_comands",
            "did you mean `min_commands`?",
        ],
    )]);
    let workspace = with_job(|job| job.to_owned() + "params:\n  wmic_fromat: {a: 2}\n");
    no_faults([refused(
        "bad_parameter_hunt",
        &workspace,
        &RUN,
        &[
            "jobs/night.yaml:",
            "wmic_fromat",
            "did you mean `wmic_format`?",
        ],
    )]);
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
    let arguments = ["run", "jobs/night.yaml", "--output", "s3://bucket/out"];
    // Never a folder named `s3:` in the working folder, and "published".
    no_faults([refused(
        "bad_output_bucket",
        &workspace,
        &arguments,
        &["s3://bucket/out"],
    )]);
    assert!(!workspace.path("s3:").exists());
    workspace.write(
        "lake/lake.yaml",
        LAKE.replace("events/", "s3://bucket/events/"),
    );
    no_faults([refused(
        "bad_location_bucket",
        &workspace,
        &RUN,
        &["lake/lake.yaml:", " s3://bucket/events/", "hint"],
    )]);
}

#[test]
fn a_parameter_of_another_type() {
    let workspace = with_job(|job| {
        job.replace("wmic_format", "wmiexec_shared_output_file")
            + "params:\n  wmiexec_shared_output_file: {min_commands: lots}\n"
    });
    no_faults([refused(
        "bad_parameter_type",
        &workspace,
        &RUN,
        &["jobs/night.yaml:", "min_commands", "lots"],
    )]);
}

#[test]
fn a_limit_costs_the_hunt_that_meets_it() {
    let session = |number: u64| {
        let command =
            format!(r"cmd.exe /Q /c dir {number} 1> \\127.0.0.1\ADMIN$\__1767258598.38 2>&1");
        event_at("2026-01-01 10:00:00.000", number, &command)
    };
    let workspace = Workspace::with_one_table();
    let job = JOB.replace("wmic_format", "wmic_format, wmiexec_shared_output_file");
    workspace.write("jobs/night.yaml", job);
    let lines: String = (100..200).map(session).collect();
    workspace.write("lake/events/day=2026-01-01/session.ndjson", lines);
    let printed = workspace.run(&[&RUN[..], &["--memory", "1KiB"]].concat());
    assert_eq!(printed.code, 1, "{}", printed.stdout);
    assert_eq!(workspace.alerts("out").len(), 1, "the other hunt's alert");
    let reason = printed
        .stdout
        .lines()
        .find(|line| line.starts_with("wmiexec_shared_output_file: "));
    assert!(
        reason.is_some_and(|reason| reason.contains("1 KiB") || reason.contains("1.0 KiB")),
        "it does not say that the memory of 1 KiB is not enough: {reason:?}"
    );
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

/// A gzip file of `text`.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The run is partial, names the file, and has published what the other file holds.
fn partial(snapshot: &str, workspace: &Workspace, file: &str) {
    ran(snapshot, workspace, 1, &[file, "partial"]);
    let alerts = workspace.alerts("out");
    assert!(
        alerts
            .iter()
            .any(|alert| alert["finding"].to_string().contains("format:csv 0")),
        "{alerts:?}"
    );
    let ledger = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json");
    assert_eq!(ledger["hunts"]["wmic_format"]["state"], "partial");
    let objects = ledger["tables"]["events"]["objects"].as_array().unwrap();
    let lost = objects.iter().find(|object| object["path"] == file);
    assert!(
        lost.is_some_and(|object| object["lost"].is_string()),
        "{ledger:#}"
    );
}

#[test]
fn a_folder_where_a_file_should_be() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/folder.ndjson.gz";
    fs::create_dir(workspace.path("lake/events").join(file)).unwrap();
    partial("lost_folder", &workspace, file);
}

#[test]
fn a_link_to_nothing() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/dangling.ndjson";
    symlink("nowhere", workspace.path("lake/events").join(file)).unwrap();
    partial("lost_dangling", &workspace, file);
}

#[test]
fn a_gzip_file_that_breaks_off() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/torn.ndjson.gz";
    // No hit among them, so that the snapshot stays short.
    let misses = (1000..3000).filter(|number| number % 10 != 0).map(event);
    let whole = gzip(&misses.collect::<String>());
    workspace.write(&format!("lake/events/{file}"), &whole[..whole.len() / 2]);
    partial("lost_gzip", &workspace, file);
    let rows: u64 = workspace.json("out/ledger/night/20260101T000000Z_20260102T000000Z.json")["tables"]["events"]["rows_read"]
        .as_u64()
        .unwrap();
    assert!(rows > 500, "what came before the break counts: {rows}");
}

#[test]
fn a_file_that_is_not_gzip() {
    let workspace = Workspace::with_one_table();
    let file = "day=2026-01-01/plain.ndjson.gz";
    workspace.write(&format!("lake/events/{file}"), events(10..20));
    partial("lost_not_gzip", &workspace, file);
}

#[test]
fn a_torn_parquet_file() {
    let workspace = Workspace::with_one_table();
    let source = repository().join("data/sysmon_servers/day=2026-01-01/srv01-0000.parquet");
    let whole = fs::read(source).unwrap();
    let lake = LAKE.to_owned()
        + "  servers:\n    location: servers/\n    form: windows_event\n    format: parquet\n    layout: \"day={time:%Y-%m-%d}/**\"\n";
    workspace.write("lake/lake.yaml", lake);
    workspace.write(
        "lake/servers/day=2026-01-01/torn.parquet",
        &whole[..whole.len() / 2],
    );
    ran(
        "lost_parquet",
        &workspace,
        1,
        &["day=2026-01-01/torn.parquet", "partial"],
    );
    assert_eq!(
        workspace.alerts("out").len(),
        1,
        "the other table's alert is there"
    );
    let lost = &workspace.quarantine("out")[0];
    assert_eq!(lost["file"], "day=2026-01-01/torn.parquet");
    assert_eq!(lost["reason"], "lost");
}

#[test]
fn many_bad_lines_make_the_results_partial() {
    let workspace = Workspace::with_one_table();
    let mut text = events(0..11);
    text.push_str(&"not json\n".repeat(101));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    ran("bad_lines_many", &workspace, 1, &["101", "partial"]);
    assert_eq!(workspace.quarantine("out").len(), 101);
    assert_eq!(workspace.alerts("out").len(), 2, "the rest is published");
}

#[test]
fn a_hundred_bad_lines_are_free() {
    let workspace = Workspace::with_one_table();
    let mut text = events(0..3);
    text.push_str(&"not json\n".repeat(100));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    assert_eq!(workspace.succeed(&RUN).code, 0);
}

#[test]
fn many_bad_lines_below_the_ratio_are_free() {
    let workspace = Workspace::with_one_table();
    workspace.write(
        "lake/lake.yaml",
        LAKE.to_owned() + "    max_bad_ratio: 0.6\n",
    );
    let mut text = events(0..100);
    text.push_str(&"not json\n".repeat(120));
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    assert_eq!(workspace.succeed(&RUN).code, 0);
}

#[test]
fn a_few_bad_lines_are_put_aside_with_their_place() {
    let workspace = Workspace::with_one_table();
    let good = event(0);
    let no_time = event_at("-", 1, "x");
    let mut text = good.clone().into_bytes();
    for line in [
        &b"{\"cut\": \n"[..],
        no_time.as_bytes(),
        b"[1]\n",
        b"\xff\xfe{}\n",
        b"\n",
        event(2).as_bytes(),
    ] {
        text.extend_from_slice(line);
    }
    workspace.write("lake/events/day=2026-01-01/good.ndjson", text);
    ran("bad_lines_few", &workspace, 0, &["4 quarantined"]);
    let records = workspace.quarantine("out");
    let places: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["line"].as_u64().unwrap(),
                record["offset"].as_u64().unwrap(),
                record["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let first = good.len() as u64;
    let second = first + 9;
    let third = second + no_time.len() as u64;
    assert_eq!(
        places,
        [
            (2, first, "not_json"),
            (3, second, "no_time"),
            (4, third, "not_an_object"),
            (5, third + 4, "not_utf8"),
        ]
    );
    assert!(
        records
            .iter()
            .all(|record| record["file"] == "day=2026-01-01/good.ndjson")
    );
    assert_eq!(records[0]["text"], "{\"cut\": ");
    assert_eq!(records[1]["text"], no_time.trim_end());
    assert_eq!(records[3]["base64"], "//57fQ==");
    assert_eq!(records[3]["length"], 4);
}
