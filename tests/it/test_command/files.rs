//! The files of a fixture: raw events of several forms, rows of a view, parameters, lookups, and what is wrong with them.

use super::{HUNTS, PLAIN, empty, event, expect, expected, fails, fixture, hunt, with_plain};
use crate::workspace::Workspace;

/// A hunt over two views, whose evidence is of both.
const JOIN: &str = "\
WITH both AS (
  SELECT p.host_id, p.event_time, p._table, p._file, p._row FROM process_creation p
  JOIN network_connection n ON p.process_guid = n.process_guid WHERE n.destination_port = 135
  UNION ALL
  SELECT n.host_id, n.event_time, n._table, n._file, n._row FROM process_creation p
  JOIN network_connection n ON p.process_guid = n.process_guid WHERE n.destination_port = 135
)
SELECT host_id, max(event_time) AS last_seen, count(*) AS event_count, evidence(_table, _file, _row) AS evidence
FROM both GROUP BY host_id";

/// A hunt over two views, processes from the Windows log and connections from a file of this name and text.
fn with_join(file: &str, text: &str) -> Workspace {
    let workspace = empty();
    workspace.write(&format!("{HUNTS}/join.sql"), hunt(3, "stable", "", JOIN));
    let processes = event(1, "a.exe", "hit: connects") + &event(2, "b.exe", "near miss: does not");
    fixture(&workspace, "join", "events.ndjson", &processes);
    fixture(&workspace, "join", file, text);
    workspace
}

#[test]
fn events_that_are_none_are_told_by_file_and_line() {
    let workspace = with_plain();
    let hit = event(2, "wmic.exe", "hit: wmic");
    let cases = [
        (
            "{\"a\": \n".to_owned(),
            "not a JSON object: EOF while parsing a value",
        ),
        (
            "{\"_note\": \"near miss: x\"}\n".to_owned(),
            "events.ndjson:2: no_time: none of At holds a time",
        ),
        (
            event(2, "cmd.exe", "near miss: a copy"),
            "events.ndjson:2: the same record as line 1, so it is dropped",
        ),
        (
            event(3, "cmd.exe", "near miss: x").replace("\"Pid\":3", "\"Pid\":\"three\""),
            "events.ndjson:2: `Pid` has a value of a wrong type",
        ),
    ];
    for (line, wanted) in cases {
        fixture(
            &workspace,
            "plain",
            "events.ndjson",
            &format!("{hit}{line}"),
        );
        let printed = fails(&workspace, &[]).stdout;
        assert!(printed.contains(wanted), "{line}: {printed}");
        assert!(printed.contains("events.ndjson:2"), "{line}: {printed}");
    }
    // A column that the hunt does not read is no matter.
    let line = event(3, "cmd.exe", "near miss: x").replace("\"Guid\":\"g3\"", "\"Guid\":{}");
    fixture(
        &workspace,
        "plain",
        "events.ndjson",
        &format!("{hit}{line}"),
    );
    expect(&workspace, "plain", "{\"evidence_rows\":[1]}\n");
    workspace.succeed(&["test"]);
}

#[test]
fn several_files_are_one_lake() {
    let zeek = concat!(
        r#"{"_note": "near miss: another port", "ts": 1767225600, "host": "A", "guid": "g1", "port": 80}"#,
        "\n",
        r#"{"_note": "hit: to the endpoint mapper", "ts": 1767225600.5, "host": "A", "guid": "g1", "port": 135}"#,
        "\n",
    );
    let workspace = with_join("events.zeek.ndjson", zeek);
    let rows = "{\"evidence_rows\":[\"events:1\",\"zeek:2\"]}\n";
    expect(&workspace, "join", rows);
    workspace.succeed(&["test"]);
    // The notes of both files are held against the evidence.
    let (hit, miss) = ("hit: to", "near miss: to");
    fixture(
        &workspace,
        "join",
        "events.zeek.ndjson",
        &zeek.replace(hit, miss),
    );
    let printed = fails(&workspace, &[]).stdout;
    assert!(
        printed.contains("events.zeek.ndjson:2: is evidence"),
        "{printed}"
    );
}

#[test]
fn rows_of_a_view_feed_that_view() {
    let row = |note: &str, guid: &str, more: &str| {
        format!(
            "{{\"_note\": \"{note}\", \"event_time\": \"2026-01-01T00:00:00Z\", \"host_id\": \"B\", \"process_guid\": \"{guid}\"{more}}}\n"
        )
    };
    let hit = row(
        "hit: to the endpoint mapper",
        "g1",
        ", \"destination_port\": 135",
    );
    let miss = row("near miss: no port", "g1", "");
    let workspace = with_join("events.network_connection.ndjson", &(hit.clone() + &miss));
    workspace.succeed(&["test", "--accept"]);
    assert_eq!(
        expected(&workspace, "join"),
        "{\"host_id\":\"A\",\"last_seen\":\"2026-01-01T00:00:01Z\",\"event_count\":1,\"evidence_rows\":[\"events:1\"]}\n\
         {\"host_id\":\"B\",\"last_seen\":\"2026-01-01T00:00:00Z\",\"event_count\":1,\"evidence_rows\":[\"network_connection:1\"]}\n"
    );
    workspace.succeed(&["test"]);
    let wrong = |line: &str, wanted: &str| {
        let text = hit.clone() + line;
        fixture(
            &workspace,
            "join",
            "events.network_connection.ndjson",
            &text,
        );
        let printed = fails(&workspace, &[]).stdout;
        assert!(printed.contains(wanted), "{printed}");
        assert!(
            printed.contains("events.network_connection.ndjson:2"),
            "{printed}"
        );
    };
    wrong(
        &row("x", "g", ", \"destination_prot\": 1"),
        "did you mean `destination_port`?",
    );
    wrong(
        "{\"host_id\": \"A\"}\n",
        "a row of a view needs an `event_time`",
    );
    wrong("{\"event_time\": \"yesterday\"}\n", "no_time");
    // Even in a column that the hunt does not read.
    wrong(
        &row("near miss: x", "g", ", \"initiated\": \"perhaps\""),
        "`initiated` has a value of a wrong type",
    );
}

#[test]
fn rows_of_a_view_have_all_its_columns() {
    let workspace = empty();
    let select = "SELECT event_time, event_type, host_name, source, record_id, initiated, destination_port, _table, _file, _row FROM network_connection WHERE destination_port > 0";
    workspace.write(&format!("{HUNTS}/all.sql"), hunt(4, "test", "", select));
    let rows = concat!(
        r#"{"_note": "hit: all", "event_time": "2026-01-01T00:00:00.5Z", "event_type": "t", "host_name": "h", "source": "s", "record_id": "r", "initiated": true, "destination_port": "0x10"}"#,
        "\n",
        r#"{"_note": "hit: few", "event_time": "2026-01-02T00:00:00Z", "destination_port": 1}"#,
        "\n",
        r#"{"_note": "near miss: none", "event_time": "2026-01-02T00:00:00Z"}"#,
        "\n",
    );
    fixture(&workspace, "all", "events.network_connection.ndjson", rows);
    workspace.succeed(&["test", "--accept"]);
    let found = expected(&workspace, "all");
    let (all, few) = found.split_once('\n').unwrap();
    assert_eq!(
        all,
        r#"{"event_time":"2026-01-01T00:00:00.500Z","event_type":"t","host_name":"h","source":"s","record_id":"r","initiated":true,"destination_port":16,"evidence_rows":[1]}"#
    );
    assert!(few.contains("\"event_type\":null,\"host_name\":null,\"source\":\"events_network_connection\",\"record_id\":\""), "{few}");
    assert!(
        few.contains("\"initiated\":null,\"destination_port\":1"),
        "{few}"
    );
}

#[test]
fn a_file_that_the_hunt_does_not_read_fails() {
    let workspace = with_plain();
    fixture(
        &workspace,
        "plain",
        "events.zeek.ndjson",
        "{\"ts\": 1767225600}\n",
    );
    let printed = fails(&workspace, &[]).stdout;
    let wanted = "events.zeek.ndjson: the hunt reads nothing that events of the shape `zeek` feed";
    assert!(printed.contains(wanted), "{printed}");
    fixture(&workspace, "plain", "events.zeek.ndjson", "");
    fixture(&workspace, "plain", "events.zeke.ndjson", "{}\n");
    let printed = fails(&workspace, &[]).stdout;
    assert!(
        printed.contains("`zeke` is neither a form nor a view"),
        "{printed}"
    );
    assert!(printed.contains("did you mean `zeek`?"), "{printed}");
}

#[test]
fn a_fixture_may_have_other_parameters() {
    let workspace = with_plain();
    fixture(&workspace, "plain", "params.yaml", "least: 1\n");
    let printed = fails(&workspace, &[]).stdout;
    assert!(
        printed.contains("events.ndjson:1: is evidence"),
        "{printed}"
    );
    fixture(&workspace, "plain", "params.yaml", "leest: 1\n");
    let printed = fails(&workspace, &[]).stdout;
    assert!(printed.contains("did you mean `least`?"), "{printed}");
}

#[test]
fn a_fixture_may_have_lookups() {
    let workspace = with_plain();
    let select = PLAIN.replace("WHERE image", "JOIN admins ON host = host_id WHERE image");
    workspace.write(
        &format!("{HUNTS}/plain.sql"),
        hunt(1, "stable", "-- params: {least: 2}\n", &select),
    );
    let printed = fails(&workspace, &[]).stdout;
    assert!(printed.contains("admins"), "{printed}");
    fixture(&workspace, "plain", "lookups/admins.csv", "host\nA\n");
    workspace.succeed(&["test"]);
    fixture(&workspace, "plain", "lookups/admins.csv", "host\nB\n");
    let printed = fails(&workspace, &[]).stdout;
    assert!(printed.contains("no hit"), "{printed}");
}
