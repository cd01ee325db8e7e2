//! The command line as a user meets it: help, listings, runs, streams and colour.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use insta_cmd::assert_cmd_snapshot;
use serde_json::Value;

use crate::workspace::{BINARY, Workspace};

/// The command ends with this code, and prints what the snapshot says.
pub(crate) fn shown(snapshot: &str, workspace: &Workspace, arguments: &[&str]) {
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!(snapshot, workspace.command(arguments)));
}

#[test]
fn help_has_examples_everywhere() {
    let workspace = Workspace::empty();
    let mut without = Vec::new();
    for (snapshot, arguments) in [
        ("help", &["--help"][..]),
        ("help_run", &["run", "--help"]),
        ("help_backfill", &["backfill", "--help"]),
        ("help_status", &["status", "--help"]),
        ("help_schedule", &["schedule", "--help"]),
        ("help_prune", &["prune", "--help"]),
        ("help_diff", &["diff", "--help"]),
        ("help_hunts", &["hunts", "--help"]),
        ("help_hunts_list", &["hunts", "list", "--help"]),
        ("help_hunts_show", &["hunts", "show", "--help"]),
        ("help_hunts_new", &["hunts", "new", "--help"]),
        ("help_hunts_coverage", &["hunts", "coverage", "--help"]),
        ("help_alerts", &["alerts", "--help"]),
        ("help_alerts_list", &["alerts", "list", "--help"]),
        ("help_alerts_show", &["alerts", "show", "--help"]),
        ("help_alerts_risk", &["alerts", "risk", "--help"]),
        ("help_check", &["check", "--help"]),
        ("help_init", &["init", "--help"]),
        ("help_schema", &["schema", "--help"]),
        ("help_tables", &["tables", "--help"]),
        ("help_sample", &["sample", "--help"]),
        ("help_completions", &["completions", "--help"]),
    ] {
        let printed = workspace.succeed(arguments);
        assert_eq!(printed.stderr, "");
        shown(snapshot, &workspace, arguments);
        if !printed.stdout.contains("Example") {
            without.push(snapshot);
        }
    }
    assert!(without.is_empty(), "no example in {without:?}");
}

#[test]
fn help_keeps_the_window_flags_together() {
    let help = Workspace::empty().succeed(&["run", "--help"]).stdout;
    let (options, window) = help.split_once("\nWindow:\n").unwrap();
    for flag in ["--fail-on", "--memory", "--explain", "--format"] {
        assert!(
            options.contains(&format!("\n      {flag} "))
                || options.contains(&format!("\n      {flag}\n")),
            "{flag} is no window flag:\n{window}"
        );
    }
}

#[test]
fn version() {
    shown("version", &Workspace::empty(), &["--version"]);
}

#[test]
fn hunts_are_listed() {
    let workspace = Workspace::of_repository();
    shown("hunts_list", &workspace, &["hunts", "list"]);
    shown(
        "hunts_list_markdown",
        &workspace,
        &["hunts", "list", "--format", "markdown"],
    );
    shown(
        "hunts_list_json",
        &workspace,
        &["hunts", "list", "--format", "json"],
    );
    shown(
        "hunts_list_tag",
        &workspace,
        &["hunts", "list", "--tag", "attack.t1220"],
    );
    let listed = workspace
        .succeed(&["hunts", "list", "--format", "json"])
        .json();
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|hunt| hunt["name"].as_str().unwrap())
        .collect();
    assert!(
        names.is_sorted() && names.contains(&"wmiexec_logscale"),
        "{names:?}"
    );
}

#[test]
fn a_hunt_is_shown() {
    let workspace = Workspace::of_repository();
    shown("hunts_show", &workspace, &["hunts", "show", "wmic_format"]);
    shown(
        "hunts_show_source",
        &workspace,
        &["hunts", "show", "wmiexec_logscale", "--source"],
    );
    let shown = workspace
        .succeed(&["hunts", "show", "wmic_format", "--format", "json"])
        .json();
    assert_eq!(shown["name"], "wmic_format");
    assert_eq!(shown["front_matter"]["key"][0], "host_id");
    let sql = shown["sql"].as_str().unwrap();
    assert!(
        sql.contains("FROM process_creation") && !sql.contains("-- ---"),
        "{sql}"
    );
    let source = [
        "hunts",
        "show",
        "wmiexec_logscale",
        "--source",
        "--format",
        "json",
    ];
    assert_eq!(workspace.succeed(&source).json()["language"], "LogScale");
}

#[test]
fn a_hunt_is_shown_as_it_is_written() {
    let workspace = Workspace::of_repository();
    let printed = workspace.succeed(&["hunts", "show", "wmiexec_shared_output_file"]);
    for text in [
        "\n- $min_commands = 2\n",
        "\nsql/hunts/windows/process_creation/wmiexec_shared_output_file.sql\n",
    ] {
        assert!(
            printed.stdout.contains(text),
            "{text} is missing in\n{}",
            printed.stdout
        );
    }
}

#[test]
fn without_a_sql_folder_the_shipped_hunts_are_there() {
    let printed = Workspace::empty().succeed(&["hunts", "list"]);
    assert!(printed.stdout.contains("wmic_format"), "{}", printed.stdout);
}

#[test]
fn tables_of_the_sample_lake() {
    let workspace = Workspace::of_repository();
    shown("tables", &workspace, &["tables"]);
    shown(
        "tables_one",
        &workspace,
        &["tables", "nxlog", "--lake", "data/lake.yaml"],
    );
    let tables = workspace
        .succeed(&["tables", "--format", "json", "--quiet"])
        .json();
    let answers = workspace.json("data/answers.json");
    let tables = tables.as_array().unwrap();
    assert_eq!(tables.len(), answers["rows"].as_object().unwrap().len());
    for table in tables {
        let days = answers["rows"][table["name"].as_str().unwrap()]
            .as_object()
            .unwrap();
        let lines: u64 = days
            .values()
            .map(|day| day["lines"].as_u64().unwrap())
            .sum();
        let read = table["events"].as_u64().unwrap() + table["rejected"].as_u64().unwrap();
        let twice = if table["name"] == "sysmon" {
            answers["duplicates"].as_array().unwrap().len() as u64
        } else {
            0
        };
        // Later copies of a record are no events.
        assert!(
            read == lines || read + twice == lines,
            "{table}: {read} of {lines}"
        );
        assert!(!table["columns"].as_array().unwrap().is_empty());
    }
}

#[test]
fn tables_as_markdown() {
    let workspace = Workspace::with_one_table();
    let arguments = ["tables", "--lake", "lake/lake.yaml", "--format", "markdown"];
    let printed = workspace.succeed(&arguments);
    assert!(
        printed.stdout.starts_with("| table |"),
        "{}",
        printed.stdout
    );
    shown("tables_markdown", &workspace, &arguments);
}

#[test]
fn the_nightly_job() {
    let workspace = Workspace::of_repository();
    shown("run_nightly", &workspace, &["run", "jobs/nightly.yaml"]);
    let summary = "out/summary/nightly/20260103T000000Z_20260104T000000Z.";
    let report = workspace.json(&format!("{summary}json"));
    assert!(
        fs::read_to_string(workspace.path(&format!("{summary}md")))
            .unwrap()
            .starts_with('#')
    );
    let printed = workspace.succeed(&["run", "jobs/nightly.yaml", "--quiet"]);
    assert_eq!(printed.stderr, "", "quiet says nothing");
    // The terminal shows the worst of them.
    for alert in report["alerts"].as_array().unwrap().iter().take(20) {
        // First and last seen to the second: a time that is cut is of no use.
        for time in ["first_seen", "last_seen"] {
            let time = alert[time].as_str().unwrap();
            let clock = &time["2026-01-01T".len().."2026-01-01T00:00:00".len()];
            assert!(
                printed.stdout.contains(clock),
                "{time} is not shown:\n{}",
                printed.stdout
            );
        }
    }
}

#[test]
fn a_run_as_json_is_one_document() {
    let workspace = Workspace::with_one_table();
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--format", "json"]);
    let report = printed.json();
    assert_eq!(report["job"], "night");
    assert_eq!(report["alerts"][0]["hunt"], "wmic_format");
    assert_eq!(printed.stderr, "");
    let stored = workspace.json("out/summary/night/20260101T000000Z_20260102T000000Z.json");
    assert_eq!(report, stored, "what is printed is what is stored");
    // Several tiles are still one document.
    let range = [
        "run",
        "jobs/night.yaml",
        "--format",
        "json",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-03",
        "--at",
        "2026-01-05",
    ];
    assert_eq!(
        workspace.succeed(&range).json().as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_run_as_markdown() {
    let workspace = Workspace::with_one_table();
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--format", "markdown"]);
    let stored = workspace.path("out/summary/night/20260101T000000Z_20260102T000000Z.md");
    assert_eq!(printed.stdout, fs::read_to_string(stored).unwrap());
    shown(
        "run_markdown",
        &workspace,
        &["run", "jobs/night.yaml", "--format", "markdown"],
    );
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let workspace = Workspace::with_one_table();
    let run = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = workspace.command(&[&["run", "jobs/night.yaml"], arguments].concat());
        command.envs(variable);
        let output = command.output().unwrap();
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    assert!(!run(&[], None), "a pipe");
    assert!(run(&["--color", "always"], None));
    assert!(run(&[], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!run(&["--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!run(&["--color", "auto"], Some(("NO_COLOR", "1"))));
    assert!(
        run(&["--color", "always"], Some(("NO_COLOR", "1"))),
        "the flag comes first"
    );
    assert!(
        !run(&["--color", "always", "--format", "json"], None),
        "data has no colour"
    );
}

#[test]
fn completions_for_bash() {
    let printed = Workspace::empty().succeed(&["completions", "bash"]);
    assert!(printed.stdout.starts_with("_lakehunt()"));
    assert_eq!(printed.stderr, "");
    for word in ["nightly", "wmic"] {
        assert!(!printed.stdout.contains(word));
    }
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), printed.stdout.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success(), "bash reads it");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let workspace = Workspace::with_one_table();
    for arguments in [
        &["run", "jobs/night.yaml"][..],
        &["run", "jobs/night.yaml", "--format", "json"],
        &["hunts", "list"],
        &["hunts", "show", "wmic_format"],
        &["completions", "bash"],
        &["tables", "--lake", "lake/lake.yaml"],
        &["--help"],
    ] {
        let mut child = workspace
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is written.
        drop(child.stdout.take());
        let mut talk = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut talk)
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            (status.code(), talk.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    assert!(
        workspace.published("out").len() > 2,
        "the tile is published all the same"
    );
    let script =
        format!("'{BINARY}' hunts show wmiexec_logscale | head -1; echo ${{PIPESTATUS[0]}}");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.ends_with("\n0\n"), "{printed}");
}

#[test]
fn a_sample_is_the_same_for_a_seed() {
    let workspace = Workspace::empty();
    let options = ["--events", "1500", "--seed", "5"];
    shown(
        "sample",
        &workspace,
        &[&["sample", "one"][..], &options].concat(),
    );
    workspace.succeed(&[&["sample", "two"][..], &options].concat());
    workspace.succeed(&["sample", "other", "--events", "1500", "--seed", "6"]);
    let one = workspace.hashes("one");
    assert!(one.len() > 20, "{one:?}");
    assert_eq!(one, workspace.hashes("two"));
    assert_ne!(one, workspace.hashes("other"));
    workspace.succeed(&[&["sample", "other"][..], &options].concat());
    assert_eq!(
        one,
        workspace.hashes("other"),
        "a sample is made anew in its folder"
    );
}

#[test]
fn the_committed_sample_is_what_sample_writes() {
    let workspace = Workspace::of_repository();
    workspace.succeed(&[
        "sample", "again", "--days", "3", "--events", "20000", "--seed", "1",
    ]);
    let mut committed = workspace.hashes("data");
    committed.retain(|path, _| !path.starts_with("expected/"));
    let again = workspace.hashes("again");
    let differing: Vec<_> = again
        .iter()
        .filter(|(path, hash)| committed.get(*path) != Some(*hash))
        .collect();
    assert!(
        differing.is_empty() && again.len() == committed.len(),
        "{differing:?}"
    );
}

#[test]
fn fail_on_a_level() {
    let workspace = Workspace::with_one_table();
    for (level, code) in [("informational", 3), ("low", 3), ("medium", 0)] {
        let printed = workspace.run(&["run", "jobs/night.yaml", "--fail-on", level]);
        assert_eq!(printed.code, code, "{level}");
    }
}

#[test]
fn explain_shows_plans_and_writes_nothing() {
    let workspace = Workspace::with_one_table();
    let printed = workspace.succeed(&["run", "jobs/night.yaml", "--explain"]);
    let text = &printed.stdout;
    assert!(text.starts_with("one pass over `"), "{text}");
    assert!(text.contains(" of 1 hunt: wmic_format\n"), "{text}");
    assert!(text.contains("\n\nwmic_format\n"), "{text}");
    assert!(workspace.hashes("out").is_empty());
}

#[test]
fn a_lake_and_an_output_of_the_command_line() {
    let workspace = Workspace::with_one_table();
    fs::rename(workspace.path("lake"), workspace.path("elsewhere")).unwrap();
    let arguments = [
        "run",
        "jobs/night.yaml",
        "--lake",
        "elsewhere/lake.yaml",
        "--output",
        "there/below",
    ];
    let report = workspace
        .succeed(&[&arguments[..], &["--format", "json"]].concat())
        .json();
    assert_eq!(report["lake"], Value::from("elsewhere/lake.yaml"));
    assert_eq!(workspace.alerts("there/below").len(), 1);
    assert!(!workspace.path("out").exists());
}
