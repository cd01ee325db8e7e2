//! What published hunts and their corrected forms say of single events, where the events can be made from the table that
//! says it: `wmic_vectors.yaml`, and the client addresses that only CrowdStrike knows. The command lines of the wmiexec
//! hunts are in `fixtures/vectors.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lakehunt::commands::test;
use lakehunt::hunt::fixture::{Fixture, Found};
use lakehunt::hunt::{Content, Library};
use lakehunt::lake::fixture::Shapes;
use serde::Deserialize;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a hunt of the project finds in some events, whose file name says what their shape is.
async fn find(name: &str, file_name: &str, events: &[Value]) -> Vec<Found> {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    fs::write(folder.path().join(file_name), lines.join("\n") + "\n").unwrap();
    let content = Content::read(&root().join("sql")).unwrap();
    let library = Library::load(&content);
    let hunt = library.get(name).unwrap();
    let shapes = Shapes::load(&content).unwrap();
    let fixture = Fixture::read(folder.path()).unwrap();
    let parameters = &hunt.front_matter.params;
    let found = test::find(&shapes, hunt, &fixture, parameters).await;
    found.unwrap().unwrap()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    number: u64,
    file_name: String,
    #[serde(default = "original_file_name")]
    original_file_name: String,
    command_line: String,
    published: Option<String>,
    #[serde(default)]
    corrected: Vec<String>,
    why: Option<String>,
}

fn original_file_name() -> String {
    "wmic.exe".to_owned()
}

fn vectors() -> Vec<Vector> {
    let file = root().join("tests/hunts/windows/process_creation/wmic_vectors.yaml");
    let text = fs::read_to_string(file).unwrap();
    let vectors: Vectors = yaml_serde::from_str(&text).unwrap();
    vectors.vectors
}

/// One event of Sysmon a row, on the line of the row's number.
fn events(vectors: &[Vector]) -> Vec<Value> {
    let event = |vector: &Vector| {
        let original = match vector.file_name.as_str() {
            "ping.exe" => "ping.exe",
            _ => &vector.original_file_name,
        };
        json!({
            "EventRecordID": vector.number,
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Provider": "Microsoft-Windows-Sysmon",
            "EventID": 1,
            "Computer": "ws-0107.corp.example",
            "UtcTime": format!("2026-01-05 09:{:02}:00.250", vector.number),
            "Image": format!("C:\\Windows\\System32\\wbem\\{}", vector.file_name),
            "OriginalFileName": original,
            "CommandLine": vector.command_line,
        })
    };
    vectors.iter().map(event).collect()
}

/// What a column of the findings holds, by the line of the event.
fn by_line(findings: &[Found], column: &str) -> BTreeMap<u64, Value> {
    let lines = findings.iter().flat_map(|found| {
        let value = &found.row[column];
        found
            .places
            .iter()
            .map(move |place| (place.line, value.clone()))
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_wmic_gives_the_addresses_that_the_table_says() {
    let vectors = vectors();
    let events = events(&vectors);
    let published = find("wmic_remote_ip_kql", "events.ndjson", &events).await;
    let corrected = find("wmic_remote_ip", "events.ndjson", &events).await;
    let wanted = vectors.iter().filter_map(|vector| {
        let address = vector.published.as_ref()?;
        Some((vector.number, json!(address)))
    });
    assert_eq!(by_line(&published, "RemoteIP"), wanted.collect());
    let wanted = vectors.iter().filter(|vector| !vector.corrected.is_empty());
    let wanted = wanted.map(|vector| (vector.number, json!(vector.corrected)));
    assert_eq!(by_line(&corrected, "remote_ips"), wanted.collect());
}

#[test]
fn the_lines_of_wmic_are_all_there_and_say_why_they_are_no_finding() {
    let vectors = vectors();
    let numbers: Vec<u64> = vectors.iter().map(|vector| vector.number).collect();
    assert!(numbers.len() >= 19, "the published query has 19 vectors");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    for vector in &vectors {
        let finding_of_both = vector.published.is_some() && !vector.corrected.is_empty();
        assert_eq!(vector.why.is_none(), finding_of_both, "{vector:?}");
    }
}

/// Two commands of one wmiexec session, a minute apart, as CrowdStrike sees them.
fn session(event_type: &str, clients: [Option<&str>; 2]) -> Vec<Value> {
    let event = |index: usize, command: &str| {
        json!({
            "event_time": format!("2023-11-14T22:14:2{index}Z"),
            "event_type": event_type,
            "host_id": "5d1e7c0b9a2f4e6d8c3b1a0f9e8d7c6b",
            "process_name": "cmd.exe",
            "process_guid": format!("8800000{index}"),
            "command_line": format!("cmd.exe /Q /c {command} 1> \\\\127.0.0.1\\ADMIN$\\__1700000000.1234567 2>&1"),
            "source_ip": clients[index],
            "destination_ip": "192.0.2.12",
        })
    };
    vec![event(0, "whoami"), event(1, "cd C:\\Users")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_changes_its_client_is_one_for_the_corrected_hunt_only() {
    let (here, there) = (Some("198.51.100.66"), Some("198.51.100.67"));
    let wmi = "crowdstrike:WmiCreateProcess";
    // What it is, the events, and whether the published hunt and the corrected one find it.
    let cases = [
        ("one client", session(wmi, [here, here]), true, true),
        (
            "two clients are two groups of one command",
            session(wmi, [here, there]),
            false,
            true,
        ),
        (
            "groupBy skips an event without a key",
            session(wmi, [here, None]),
            false,
            true,
        ),
        (
            "the published event is asked for",
            session("crowdstrike:ProcessRollup2", [here, here]),
            false,
            true,
        ),
        (
            "other sensors know no client, which is one group",
            session("sysmon:1", [None, None]),
            true,
            true,
        ),
    ];
    for (why, events, published, corrected) in cases {
        let file = "events.process_creation.ndjson";
        let found = find("wmiexec_logscale", file, &events).await;
        assert_eq!(!found.is_empty(), published, "published: {why}");
        let found = find("wmiexec_shared_output_file", file, &events).await;
        assert_eq!(!found.is_empty(), corrected, "corrected: {why}");
    }
}
