//! Bad hunts: the message names the file, the line and the column, and what was meant; nothing is half written.

use std::fs;

use crate::bad_input::{RUN, no_faults, refused, with_job};
use crate::workspace::{JOB, Workspace, event_at, repository};

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
    workspace.write("jobs/night.yaml", JOB.replace("wmic_format", "zcopy"));
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
            "bad_unclosed",
            "SELECT event_time\nFROM process_creation WHERE (user = 1\n-- the end",
            &["sql/hunts/broken.sql:9:38", "found: the end"][..],
        ),
        (
            "bad_column",
            "SELECT event_time, host_name\nFROM process_creation\nWHERE comand_line = 'x'",
            &["sql/hunts/broken.sql:10:7", "comand_line", "command_line"],
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
            &["sql/hunts/broken.sql:8:"],
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
            &["sql/hunts/broken.sql", "hint"],
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

/// A hunt costs itself: one that does not plan, one whose front matter is broken, one that is no text.
#[test]
fn broken_hunts_cost_themselves() {
    let workspace =
        with_hunt("SELECT event_time, comand_line FROM process_creation WHERE comand_line > ''");
    let job = JOB.replace("{names: [wmic_format]}", "{status: [stable], level: [low]}");
    workspace.write("jobs/night.yaml", job);
    workspace.write(
        "sql/hunts/no_level.sql",
        "-- ---\n-- level: lo\n-- ---\nSELECT 1\n",
    );
    workspace.write("sql/hunts/no_text.sql", b"-- \xff\xfe\n".as_slice());
    workspace.write(
        "sql/hunts/marked.sql",
        format!("\u{feff}{}", {
            let text = fs::read_to_string(
                workspace.path("sql/hunts/windows/process_creation/wmic_format.sql"),
            )
            .unwrap();
            let id = text
                .lines()
                .find(|line| line.starts_with("-- id: "))
                .unwrap()
                .to_owned();
            text.replace(&id, "-- id: 00000000-0000-4000-8000-000000000002")
        }),
    );
    let printed = workspace.run(&["run", "jobs/night.yaml", "--format", "json"]);
    assert_eq!(printed.code, 1, "{}", printed.stderr);
    for said in [
        "unknown column `comand_line`",
        "no_level.sql",
        "no_text.sql",
    ] {
        assert!(printed.stderr.contains(said), "{said}: {}", printed.stderr);
    }
    let report = printed.json();
    let state = |name: &str| {
        let mut hunts = report["hunts"].as_array().unwrap().iter();
        hunts.find(|hunt| hunt["name"] == name).unwrap()["state"].clone()
    };
    assert_eq!(state("broken"), "failed");
    assert_eq!(state("wmic_format"), "complete");
    assert_eq!(
        state("marked"),
        "complete",
        "a mark at the start of a file is none of its text"
    );
    assert_eq!(
        report["notes"].as_array().unwrap().len(),
        2,
        "{}",
        report["notes"]
    );
    // What others need of the library goes on too.
    workspace.succeed(&["hunts", "show", "wmic_format"]);
    let printed = workspace.succeed(&["hunts", "list"]);
    assert!(
        printed.stderr.contains("no_level.sql"),
        "{}",
        printed.stderr
    );
    let printed = workspace.run(&["run", "jobs/night.yaml", "--hunt", "no_text"]);
    assert_eq!(printed.code, 2, "{}", printed.stderr);
}
