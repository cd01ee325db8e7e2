//! `lakehunt evaluate` as a user meets it: what is found, missed and extra, how it ends, and what is wrong with answers.
//! Over the small lake of a workspace: rows 1 and 11 of `good.ndjson` are `wmic_format`'s.

use std::io::Write as _;
use std::process::Stdio;

use insta_cmd::assert_cmd_snapshot;
use serde_json::{Value, json};

use crate::workspace::{Printed, Workspace, event, events};

const FILE: &str = "day=2026-01-01/good.ndjson";

fn place(row: u64) -> Value {
    json!({"table": "events", "file": FILE, "row": row})
}

fn explained(row: u64, why: &str) -> Value {
    json!({"table": "events", "file": FILE, "row": row, "why": why})
}

/// The lake, with these answers beside it.
fn with(answers: &Value) -> Workspace {
    let workspace = Workspace::with_one_table();
    workspace.write(&format!("lake/events/{FILE}"), events(0..12));
    workspace.write("lake/answers.json", answers.to_string());
    workspace
}

fn evaluate(answers: &Value, arguments: &[&str]) -> Printed {
    let arguments = [&["evaluate", "lake/answers.json"], arguments].concat();
    with(answers).run(&arguments)
}

#[test]
fn help_says_what_answers_are() {
    let workspace = Workspace::empty();
    let mut help = workspace.command(&["evaluate", "--help"]);
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!("help_evaluate", help));
}

#[test]
fn all_found_is_success() {
    let printed = evaluate(
        &json!({"hunts": {"wmic_format": [place(1), place(11)]}}),
        &[],
    );
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    assert_eq!(
        printed.stdout,
        "HUNT         LABELLED  FOUND  MISSED  EXTRA  EXPLAINED  RECALL  PRECISION\n\
         wmic_format         2      2       0      0          0   100 %      100 %\n"
    );
}

#[test]
fn a_missed_event_fails_and_an_extra_one_does_not() {
    let printed = evaluate(
        &json!({"hunts": {"wmic_format": [place(1), place(2)]}}),
        &[],
    );
    assert_eq!(printed.code, 1);
    assert_eq!(
        printed.stdout,
        format!(
            "HUNT         LABELLED  FOUND  MISSED  EXTRA  EXPLAINED  RECALL  PRECISION\n\
             wmic_format         2      1       1      1          0    50 %       50 %\n\n\
             wmic_format\n  missed  events {FILE}:2\n  extra   events {FILE}:11\n"
        )
    );
    let printed = evaluate(&json!({"hunts": {"wmic_format": [place(1)]}}), &[]);
    assert_eq!(printed.code, 0);
    assert!(printed.stdout.contains(" 50 %"), "{}", printed.stdout);
}

#[test]
fn what_is_explained_does_not_fail() {
    let labels = json!({
        "events": [place(1), place(2)],
        "explained": [explained(2, "renamed"), explained(11, "a list")],
    });
    let answers = json!({"hunts": {"wmic_format": labels}});
    let printed = evaluate(&answers, &[]);
    assert_eq!(printed.code, 0);
    assert!(
        printed
            .stdout
            .ends_with("\n  missed  1 explained: renamed\n  extra   1 explained: a list\n"),
        "{}",
        printed.stdout
    );
    let verbose = evaluate(&answers, &["--verbose"]).stdout;
    let line = format!("\n  extra   events {FILE}:11  (a list)\n");
    assert!(verbose.ends_with(&line), "{verbose}");
}

#[test]
fn context_counts_neither_way_and_near_misses_are_extra() {
    let labels = json!({"events": [place(1)], "context": [place(11)], "near_misses": [place(2)]});
    let printed = evaluate(
        &json!({"hunts": {"wmic_format": labels}}),
        &["--format", "json"],
    );
    let hunt = printed.json()["hunts"][0].clone();
    assert_eq!(hunt["precision"], 1.0);
    assert_eq!(
        (&hunt["near_misses"], &hunt["near_misses_found"]),
        (&json!(1), &json!(0))
    );
    let labels = json!({"events": [place(1)], "near_misses": [place(11)]});
    let printed = evaluate(
        &json!({"hunts": {"wmic_format": labels}}),
        &["--format", "json"],
    );
    let hunt = printed.json()["hunts"][0].clone();
    assert_eq!(hunt["near_misses_found"], 1);
    assert_eq!(
        hunt["extra"],
        json!([{"table": "events", "file": FILE, "row": 11, "why": null}])
    );
}

#[test]
fn a_record_that_lies_there_twice_is_one_event() {
    let second = "day=2026-01-01/again.ndjson";
    let copy = json!({"table": "events", "file": second, "row": 1});
    // Either copy may be the labelled one, whichever the lake keeps.
    for (labelled, copied, of) in [
        (place(1), &copy, place(1)),
        (copy.clone(), &place(1), copy.clone()),
    ] {
        let mut duplicate = copied.clone();
        duplicate["of"] = of;
        let workspace = with(&json!({
            "hunts": {"wmic_format": [labelled, place(11)]},
            "duplicates": [duplicate],
        }));
        workspace.write(&format!("lake/events/{second}"), event(0));
        let printed = workspace.succeed(&["evaluate", "lake/answers.json"]).stdout;
        assert!(printed.contains("   2      2       0      0 "), "{printed}");
    }
}

#[test]
fn hunts_without_labels_are_run_and_have_no_shares() {
    let answers = json!({"hunts": {"wmic_remote_node": {}, "wmi_rpc_call": [place(3)]}});
    let printed = evaluate(
        &answers,
        &["wmic_format", "wmic_remote_node", "--format", "markdown"],
    );
    assert_eq!(printed.code, 0, "wmi_rpc_call is not among the named");
    assert_eq!(
        printed.stdout,
        "| hunt | labelled | found | missed | extra | explained | recall | precision |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n\
         | `wmic_format` | - | - | - | 2 | 0 | - | - |\n\
         | `wmic_remote_node` | - | - | - | 0 | 0 | - | - |\n"
    );
    let printed = evaluate(&answers, &[]);
    assert_eq!(printed.code, 1);
    let wanted = "wmi_rpc_call\n  the lake has no table for dce_rpc\n  missed  events ";
    assert!(printed.stdout.contains(wanted), "{}", printed.stdout);
}

#[test]
fn evidence_that_is_cut_is_mentioned() {
    // One command line of one process, a hundred and two times: one finding.
    let event = |number: u64| {
        event(0).replace(
            "\"EventRecordID\":0",
            &format!("\"EventRecordID\":{number}"),
        )
    };
    let hunt = "remote_wmi_command_attempt";
    let rows: Vec<_> = (1..=102).map(place).collect();
    let workspace = with(&json!({"hunts": {hunt: rows}}));
    let lines: String = (0..102).map(event).collect();
    let lines = lines.replace("process list", "/node:A process list");
    workspace.write(&format!("lake/events/{FILE}"), lines);
    let printed = workspace.run(&["evaluate", "lake/answers.json"]);
    let wanted = "1 of 1 findings rest on more events than evidence() keeps";
    assert!(printed.stdout.contains(wanted), "{}", printed.stdout);
    assert!(
        printed.stdout.contains("99 %"),
        "101 of 102: {}",
        printed.stdout
    );
}

#[test]
fn answers_may_come_from_a_pipe() {
    let workspace = with(&json!({}));
    let mut command = workspace.command(&["evaluate", "-", "--lake", "lake/lake.yaml"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = json!({"hunts": {"wmic_format": [place(1), place(11)]}});
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answers.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("100 %"));
}

#[test]
fn mistakes_of_the_user_end_with_2() {
    let elsewhere = json!({"table": "event", "file": FILE, "row": 1});
    for (answers, arguments, wanted) in [
        (
            json!({"hunts": {"wmic_formats": []}}),
            &[][..],
            "did you mean `wmic_format`?",
        ),
        (
            json!({"hunts": {}}),
            &["wmic_formats"],
            "did you mean `wmic_format`?",
        ),
        (
            json!({"hunts": {"wmic_format": [elsewhere]}}),
            &[],
            "did you mean `events`?",
        ),
        (json!({"hunt": {}}), &[], "neither `hunts` nor `planted`"),
        (json!({"hunts": {}}), &["--lake", "no.yaml"], "no.yaml"),
        (json!({"hunts": {}}), &["--memory", "much"], "--memory"),
    ] {
        let printed = evaluate(&answers, arguments);
        assert_eq!(printed.code, 2, "{answers}: {}", printed.stderr);
        assert!(printed.stderr.contains(wanted), "{}", printed.stderr);
        assert_eq!(printed.stdout, "");
    }
    let printed = Workspace::empty().run(&["evaluate", "no.json"]);
    assert_eq!(printed.code, 2);
    assert!(
        printed.stderr.contains("cannot read the answers"),
        "{}",
        printed.stderr
    );
}
