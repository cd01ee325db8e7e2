//! `lakehunt test` as a user meets it: what passes, what a difference looks like, what `--accept` writes, what is wrong
//! with a fixture, and the reports for programs and CI.
//!
//! Over a small `sql/` folder of its own, so that no shipped hunt decides what is tested here.

mod files;

use std::fs;

use insta_cmd::assert_cmd_snapshot;
use serde_json::json;

use crate::workspace::{Printed, Workspace};

const WINDOWS_EVENT: &str = "\
time: [{column: At, format: iso8601}]
identity: {host: Host, record: Number}
columns: {At: text, Host: text, Number: int, Image: text, Guid: text, Pid: int}
";
const ZEEK: &str = "\
time: [{column: ts, format: unix_s}]
columns: {ts: float, host: text, guid: text, port: int}
";
const COMMON: &str = "\
description: A view.
columns:
  - {name: event_time, type: \"Timestamp(us, UTC)\", meaning: m}
  - {name: event_type, type: Utf8View, meaning: m}
  - {name: host_id, type: Utf8View, meaning: m}
  - {name: host_name, type: Utf8View, meaning: m}
  - {name: source, type: Utf8View, meaning: m}
  - {name: record_id, type: Utf8View, meaning: m}
  - {name: process_guid, type: Utf8View, meaning: m}
";

/// The front matter of a hunt, and its SELECT.
fn hunt(number: u32, status: &str, more: &str, select: &str) -> String {
    format!(
        "-- ---\n-- id: 00000000-0000-4000-8000-{number:012}\n-- title: T\n-- status: {status}\n-- level: low\n-- description: D\n{more}-- ---\n{select}\n"
    )
}

/// A hunt over one view, with two fixtures' worth of columns to compare.
const PLAIN: &str = "SELECT event_time, host_id, process_id, source, _table, _file, _row FROM process_creation\nWHERE image LIKE '%wmic.exe' AND process_id >= $least";
const HUNTS: &str = "sql/hunts/windows/process_creation";
const FIXTURES: &str = "tests/hunts/windows/process_creation";

/// One event of the form `windows_event`.
fn event(number: u32, image: &str, note: &str) -> String {
    let event = json!({
        "_note": note, "At": format!("2026-01-01T00:00:{number:02}Z"), "Host": "A", "Number": number,
        "Image": format!(r"C:\{image}"), "Guid": format!("g{number}"), "Pid": number,
    });
    format!("{event}\n")
}

/// A `sql/` folder with two views, without hunts.
fn empty() -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("sql/forms/windows_event.yaml", WINDOWS_EVENT);
    workspace.write("sql/forms/zeek.yaml", ZEEK);
    let view = |name: &str, more: &str| {
        workspace.write(
            &format!("sql/views/{name}/schema.yaml"),
            format!("{COMMON}{more}"),
        );
    };
    view(
        "process_creation",
        "  - {name: image, type: Utf8View, meaning: m}\n  - {name: process_id, type: Int64, meaning: m}\n",
    );
    view(
        "network_connection",
        "  - {name: destination_port, type: Int64, meaning: m}\n  - {name: initiated, type: Boolean, meaning: m}\n",
    );
    workspace.write(
        "sql/views/process_creation/windows_event.sql",
        "SELECT \"Host\" AS host_id, \"Image\" AS image, \"Pid\" AS process_id, \"Guid\" AS process_guid FROM source",
    );
    workspace.write(
        "sql/views/network_connection/zeek.sql",
        "SELECT \"host\" AS host_id, \"guid\" AS process_guid, \"port\" AS destination_port FROM source",
    );
    fs::create_dir_all(workspace.path(HUNTS)).unwrap();
    workspace
}

/// One stable hunt `plain` with a fixture that passes.
fn with_plain() -> Workspace {
    let workspace = empty();
    workspace.write(
        &format!("{HUNTS}/plain.sql"),
        hunt(1, "stable", "-- params: {least: 2}\n", PLAIN),
    );
    let events = [
        event(1, "wmic.exe", "near miss: a low process id"),
        event(2, "wmic.exe", "hit: wmic"),
        event(3, "cmd.exe", "near miss: another program"),
    ];
    fixture(&workspace, "plain", "events.ndjson", &events.concat());
    expect(
        &workspace,
        "plain",
        "{\"host_id\":\"A\",\"process_id\":2,\"evidence_rows\":[2]}\n",
    );
    workspace
}

fn fixture(workspace: &Workspace, hunt: &str, file: &str, text: &str) {
    workspace.write(&format!("{FIXTURES}/{hunt}/{file}"), text);
}

fn expect(workspace: &Workspace, hunt: &str, text: &str) {
    fixture(workspace, hunt, "expected.ndjson", text);
}

fn expected(workspace: &Workspace, hunt: &str) -> String {
    fs::read_to_string(workspace.path(&format!("{FIXTURES}/{hunt}/expected.ndjson"))).unwrap()
}

/// Runs `lakehunt test`, which must end with 1.
fn fails(workspace: &Workspace, arguments: &[&str]) -> Printed {
    let printed = workspace.run(&[&["test"], arguments].concat());
    assert_eq!(printed.code, 1, "{}\n{}", printed.stdout, printed.stderr);
    printed
}

fn shown(snapshot: &str, workspace: &Workspace, arguments: &[&str]) {
    workspace
        .settings()
        .bind(|| assert_cmd_snapshot!(snapshot, workspace.command(arguments)));
}

#[test]
fn help_shows_how() {
    shown("help_test", &Workspace::empty(), &["test", "--help"]);
}

#[test]
fn a_fixture_passes() {
    let workspace = with_plain();
    let printed = workspace.succeed(&["test"]);
    assert_eq!(
        printed.stdout,
        "passed      windows/process_creation/plain\n\n1 passed, 0 failed, 0 without a fixture\n"
    );
    assert_eq!(printed.stderr, "");
    let json = workspace
        .succeed(&["test", "plain", "--format", "json"])
        .json();
    let one = json!({
        "hunt": "plain", "status": "stable", "result": "passed", "fixture": format!("{FIXTURES}/plain"),
        "events": 3, "findings": 1, "rewritten": false, "problems": [],
    });
    assert_eq!(
        json,
        json!({"passed": 1, "failed": 0, "without_fixture": 0, "rewritten": 0, "hunts": [one]})
    );
}

#[test]
fn a_difference_is_shown_and_accepted() {
    let workspace = with_plain();
    let wrong = "{\"host_id\":\"A\",\"process_id\":9}\n{\"host_id\":\"B\",\"process_id\":9}\n";
    expect(&workspace, "plain", wrong);
    shown("test_difference", &workspace, &["test"]);
    let json = fails(&workspace, &["--format", "json"]).json();
    assert_eq!(json["hunts"][0]["result"], "failed");
    let problem = json["hunts"][0]["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("\n  - process_id: 9\n  + process_id: 2\n"),
        "{problem}"
    );
    assert_eq!(
        expected(&workspace, "plain"),
        wrong,
        "nothing is written unasked"
    );
    let printed = workspace.succeed(&["test", "--accept"]);
    assert!(
        printed
            .stdout
            .ends_with("0 without a fixture, 1 rewritten\n"),
        "{}",
        printed.stdout
    );
    assert_eq!(
        expected(&workspace, "plain"),
        "{\"host_id\":\"A\",\"process_id\":2}\n",
        "the columns that were compared before"
    );
    let again = workspace.succeed(&["test", "--accept"]);
    assert!(!again.stdout.contains("rewritten"), "{}", again.stdout);
}

#[test]
fn what_is_accepted_first_has_all_columns_that_can_be_compared() {
    let workspace = with_plain();
    fs::remove_file(workspace.path(&format!("{FIXTURES}/plain/expected.ndjson"))).unwrap();
    let printed = fails(&workspace, &[]);
    assert!(
        printed.stdout.contains("expected.ndjson"),
        "{}",
        printed.stdout
    );
    assert!(printed.stdout.contains("--accept"), "{}", printed.stdout);
    workspace.succeed(&["test", "--accept"]);
    assert_eq!(
        expected(&workspace, "plain"),
        "{\"event_time\":\"2026-01-01T00:00:02Z\",\"host_id\":\"A\",\"process_id\":2,\"source\":\"events\",\"evidence_rows\":[2]}\n"
    );
    workspace.succeed(&["test"]);
}

#[test]
fn a_note_that_is_wrong_fails_even_when_findings_are_accepted() {
    let workspace = with_plain();
    let events = event(1, "wmic.exe", "hit: wmic") + &event(2, "wmic.exe", "near miss: x");
    fixture(&workspace, "plain", "events.ndjson", &events);
    for arguments in [&[][..], &["--accept"]] {
        let printed = fails(&workspace, arguments).stdout;
        for line in [
            "events.ndjson:1: is no evidence, but its note says `hit: wmic`\n",
            "events.ndjson:2: is evidence, but its note says `near miss: x`\n",
        ] {
            assert!(
                printed.contains(&format!("{FIXTURES}/plain/{line}")),
                "{printed}"
            );
        }
    }
}

#[test]
fn hunts_without_a_fixture_are_listed_and_fail_when_they_are_stable() {
    let workspace = with_plain();
    let select = "SELECT event_time FROM process_creation";
    workspace.write(
        &format!("{HUNTS}/new.sql"),
        hunt(2, "experimental", "", select),
    );
    let printed = workspace.succeed(&["test"]).stdout;
    assert!(
        printed.contains("no fixture  windows/process_creation/new\n"),
        "{printed}"
    );
    assert!(
        printed.ends_with("1 passed, 0 failed, 1 without a fixture\n"),
        "{printed}"
    );
    workspace.write(&format!("{HUNTS}/new.sql"), hunt(2, "stable", "", select));
    let printed = fails(&workspace, &[]).stdout;
    let wanted = format!(
        "failed      windows/process_creation/new\n  no fixture, and a stable hunt needs one: {FIXTURES}/new/events.ndjson\n"
    );
    assert!(printed.contains(&wanted), "{printed}");
    assert!(
        printed.ends_with("1 passed, 1 failed, 0 without a fixture\n"),
        "{printed}"
    );
    let twice = workspace.succeed(&["test", "plain", "plain"]).stdout;
    assert!(
        twice.ends_with("\n1 passed, 0 failed, 0 without a fixture\n"),
        "{twice}"
    );
}

#[test]
fn a_fixture_whose_hunt_is_gone_fails() {
    let workspace = with_plain();
    fixture(&workspace, "gone", "events.ndjson", "{}\n");
    let printed = fails(&workspace, &[]).stdout;
    let wanted = "no hunt sql/hunts/windows/process_creation/gone.sql belongs to this fixture";
    assert!(printed.contains(wanted), "{printed}");
    workspace.succeed(&["test", "plain"]);
}

#[test]
fn a_hunt_that_does_not_plan_costs_itself_only() {
    let workspace = with_plain();
    let select = "SELECT event_time, imag FROM process_creation";
    workspace.write(&format!("{HUNTS}/odd.sql"), hunt(5, "test", "", select));
    fixture(
        &workspace,
        "odd",
        "events.ndjson",
        &event(1, "a", "near miss: x"),
    );
    let printed = fails(&workspace, &[]).stdout;
    assert!(printed.contains("unknown column `imag`"), "{printed}");
    assert!(printed.contains("odd.sql:8:20"), "{printed}");
    assert!(
        printed.ends_with("1 passed, 1 failed, 0 without a fixture\n"),
        "{printed}"
    );
    // Nor does a broken view that the hunt does not read.
    workspace.write(
        "sql/views/network_connection/windows_event.sql",
        "SELECT nonsense",
    );
    workspace.succeed(&["test", "plain"]);
}

#[test]
fn junit_for_ci() {
    let workspace = with_plain();
    workspace.write(
        &format!("{HUNTS}/new.sql"),
        hunt(2, "test", "", "SELECT event_time FROM process_creation"),
    );
    workspace.write(
        &format!("{HUNTS}/bare.sql"),
        hunt(6, "stable", "", "SELECT event_time FROM process_creation"),
    );
    fails(&workspace, &["--junit", "report.xml"]);
    let report = fs::read_to_string(workspace.path("report.xml")).unwrap();
    let time = regex::Regex::new(r#"time="\d+\.\d{3}""#).unwrap();
    let report = time.replace_all(&report, "time=\"T\"");
    assert_eq!(
        report,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"T\">\n  \
             <testsuite name=\"lakehunt test\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"T\">\n    \
             <testcase classname=\"windows.process_creation\" name=\"bare\" time=\"T\"><failure message=\"{needs}\">{needs}</failure></testcase>\n    \
             <testcase classname=\"windows.process_creation\" name=\"new\" time=\"T\"><skipped message=\"no fixture\"/></testcase>\n    \
             <testcase classname=\"windows.process_creation\" name=\"plain\" time=\"T\"/>\n  \
             </testsuite>\n</testsuites>\n",
            needs =
                format!("no fixture, and a stable hunt needs one: {FIXTURES}/bare/events.ndjson"),
        )
    );
}

#[test]
fn mistakes_of_the_user_end_with_2() {
    let workspace = with_plain();
    for (arguments, wanted) in [
        (&["plian"][..], "did you mean `plain`?"),
        (
            &["--junit", "no/such/folder/report.xml"],
            "--junit: cannot write the file",
        ),
        (&["--format", "markdown"], "invalid value 'markdown'"),
    ] {
        let printed = workspace.run(&[&["test"], arguments].concat());
        assert_eq!(printed.code, 2, "{arguments:?}");
        assert!(printed.stderr.contains(wanted), "{}", printed.stderr);
        assert_eq!(printed.stdout, "", "{arguments:?}");
    }
    let printed = Workspace::empty().run(&["test"]);
    assert_eq!(printed.code, 2);
    assert!(
        printed.stderr.contains("there is no folder `sql` here"),
        "{}",
        printed.stderr
    );
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let workspace = with_plain();
    expect(&workspace, "plain", "{\"process_id\":9}\n");
    let coloured = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = workspace.command(&[&["test"], arguments].concat());
        command.envs(variable);
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!coloured(&[], None), "a pipe");
    assert!(coloured(&["--color", "always"], None));
    assert!(!coloured(&[], Some(("NO_COLOR", "1"))));
    assert!(coloured(&[], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!coloured(&["--color", "always", "--format", "json"], None));
}
