//! The hunts over real telemetry of real attacks, against the answers that come with it. The telemetry lies in a folder
//! beside the project and is read in place, once for all tests; where it is not there, each test says so and passes.
//!
//! The answers are computed from `ground_truth.json`, which a program in another language made: nothing of it is
//! written down here.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helps a test fails as a test does"
)]

pub(crate) mod mapping;
pub(crate) mod run;
pub(crate) mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use lakehunt::hunt::{Hunt, Library, Status, front_matter};
use serde_json::{Map, Value};

use mapping::Mapping;
use run::{Run, content, data_folder, lines, run};
use truth::{Session, Truth, line_of};

use crate::workspace::is_of_attacks;

/// nxlog's `@timestamp` is when the collector got the event. That comes after the event, and in all of these within:
const MOST_INGEST_LAG: TimeDelta = TimeDelta::minutes(1);
/// Each file of nxlog is one attack as it was recorded, minutes long; less than any two time zones are apart.
const LONGEST_RECORDING: TimeDelta = TimeDelta::minutes(30);

/// Hunts of these tests alone: they ride on the same pass, and show what the views make of every record.
const OURS: [(&str, &str); 2] = [
    (
        "processes",
        "SELECT event_time, event_type, process_name, original_file_name, command_line, process_id, parent_process_name,
                parent_process_id, _table, _file, _row FROM process_creation",
    ),
    (
        "connections",
        "SELECT event_time, event_type, _table, _file, _row FROM network_connection",
    ),
];

type Row = Map<String, Value>;
/// A line of a file of the telemetry, as the answers name it: the path from the folder of all, and the line from 1.
pub(crate) type Place = (String, u64);

static RUN: LazyLock<Option<(Run, Truth)>> = LazyLock::new(|| {
    let folder = data_folder()?;
    let library = Library::load(&content());
    let mut hunts: Vec<Hunt> = library
        .iter()
        .filter(|hunt| is_of_attacks(hunt))
        .cloned()
        .collect();
    hunts.extend(OURS.iter().enumerate().map(|(index, (name, select))| {
        let sql = format!(
            "-- ---\n-- id: 00000000-0000-4000-8000-00000000000{index}\n-- title: {name}\n-- status: test\n\
             -- level: informational\n-- description: Of this test.\n-- ---\n{select}\n"
        );
        let path = PathBuf::from(format!("{name}.sql"));
        Hunt {
            name: (*name).to_owned(),
            inside: format!("hunts/{name}.sql"),
            front_matter: front_matter::parse(&path, &sql).unwrap(),
            path,
            sql,
        }
    }));
    Some((run("real_telemetry.yaml", &hunts), Truth::read(&folder)))
});

/// The shared run, or a word to the reader. Written past the test harness, which would keep it to itself.
fn shared(test: &str) -> Option<&'static (Run, Truth)> {
    if RUN.is_none() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{test} skipped: ../shared/data is not there").unwrap();
    }
    RUN.as_ref()
}

fn instant(value: &Value) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(value.as_str().unwrap())
        .unwrap()
        .into()
}

fn text(row: &Row, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_lowercase()
}

#[test]
fn every_file_is_read_whole() {
    let Some((run, truth)) = shared("every_file_is_read_whole") else {
        return;
    };
    let read: BTreeMap<String, u64> = run.files().map(|(name, file)| (name, file.rows)).collect();
    let written: BTreeMap<String, u64> = truth
        .files()
        .iter()
        .map(|(name, answers)| (name.clone(), answers["events"].as_u64().unwrap()))
        .collect();
    assert_eq!(read, written);
    assert_eq!(read.values().sum::<u64>(), truth.events());
    for (name, file) in run.files() {
        assert_eq!(file.lost, None, "{name}");
        assert!(
            file.bad_records.is_empty(),
            "{name}: {:?}",
            file.bad_records
        );
        assert_eq!(
            file.in_window, file.rows,
            "{name}: a time outside this century"
        );
    }
}

/// Each hunt, whether stable or a port, finds the lines of its letters, and what else it finds or misses is explained, in
/// one place. An explanation of what did not happen is wrong too.
#[test]
fn every_hunt_finds_its_letters_and_no_more_than_is_explained() {
    let Some((run, truth)) = shared("every_hunt_finds_its_letters_and_no_more_than_is_explained")
    else {
        return;
    };
    let library = Library::load(&content());
    let mapping = Mapping::read();
    let hunts = library.iter().filter(|hunt| is_of_attacks(hunt));
    let names: BTreeSet<_> = hunts.map(|hunt| hunt.name.as_str()).collect();
    assert_eq!(mapping.hunts(), names, "each hunt needs its answers");
    let mut faults = Vec::new();
    for hunt in library.iter().filter(|hunt| is_of_attacks(hunt)) {
        let name = &hunt.name;
        let labels = mapping.labels(name, truth);
        let (found, twice) = run.all_places(name);
        let wanted = labels.events.unwrap_or_default();
        let missed: BTreeSet<_> = wanted.difference(&found).collect();
        let extra = found.difference(&wanted);
        let extra: BTreeSet<_> = extra
            .filter(|place| !labels.context.contains(*place))
            .collect();
        let explained: BTreeSet<_> = labels.explained.keys().collect();
        let differs: BTreeSet<_> = missed.union(&extra).copied().collect();
        if differs != explained {
            let open: Vec<_> = differs.symmetric_difference(&explained).collect();
            faults.push(format!(
                "{name}: missed, extra or explained alone: {open:?}"
            ));
        }
        if hunt.front_matter.status == Status::Stable && !missed.is_empty() {
            faults.push(format!("{name} is stable and misses {missed:?}"));
        }
        // A connection may precede several processes; nothing else is behind two findings.
        if !twice.is_subset(&labels.context) {
            faults.push(format!("{name}: behind two findings: {twice:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn process_creation_shows_every_process_as_its_line_says() {
    let Some((run, truth)) = shared("process_creation_shows_every_process_as_its_line_says") else {
        return;
    };
    let processes = run.processes();
    let raw = lines(&processes.keys().cloned().collect());
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, process) in &processes {
        *counts.entry(&place.0).or_default() += 1;
        let line = &raw[place];
        let line = line.get("event_data").unwrap_or(line);
        let number = |key: &str| match &line[key] {
            Value::String(text) => lakehunt::functions::parse_int(text),
            value => value.as_i64(),
        };
        let (command, own, parent) = match process["event_type"].as_str().unwrap() {
            "security:4688" => ("CommandLine", number("NewProcessId"), number("ProcessId")),
            "sysmon:1" => {
                // Old nxlog lost the field, see the view; its Message still has it.
                let message = line["Message"].as_str().unwrap_or_default();
                let said = message
                    .lines()
                    .find_map(|line| line.strip_prefix("ProcessId: "));
                let own = number("ProcessId").or_else(|| said?.parse().ok());
                ("CommandLine", own, number("ParentProcessId"))
            }
            // Its ParentProcessId is CrowdStrike's own number.
            "crowdstrike:ProcessRollup2" => ("CommandLine", number("RawProcessId"), None),
            "defender:ProcessCreated" => (
                "CreatedProcessCommandLine",
                number("CreatedProcessId"),
                number("InitiatingProcessId"),
            ),
            other => panic!("{place:?}: {other}"),
        };
        assert_eq!(process["command_line"], line[command], "{place:?}");
        assert_eq!(process["process_id"].as_i64(), own, "{place:?}");
        assert_eq!(process["parent_process_id"].as_i64(), parent, "{place:?}");
    }
    for (file, answers) in truth.files() {
        let kinds = answers["eids"].as_object().unwrap().iter();
        let wanted: u64 = kinds
            .filter(|(kind, _)| kind.starts_with("_proc|"))
            .map(|(_, count)| count.as_u64().unwrap())
            .sum();
        let seen = counts.get(file.as_str()).copied().unwrap_or_default();
        assert_eq!(seen, wanted, "{file}");
    }
}

#[test]
fn every_wmic_is_known_as_such() {
    let Some((run, truth)) = shared("every_wmic_is_known_as_such") else {
        return;
    };
    let processes = run.processes();
    let is_wmic = |row: &&&Row| {
        text(row, "process_name") == "wmic.exe" || text(row, "original_file_name") == "wmic.exe"
    };
    let wmic = processes.values().filter(is_wmic).count() as u64;
    assert_eq!(wmic, truth.total("wmic_all"));
    // Its addresses are all the loopback here: `wmic_remote_ip` has something to leave out, and nothing to find.
    assert_ne!(truth.places("d_any"), BTreeSet::new());
    assert!(run.rows("wmic_remote_ip").is_empty());
    let stylesheets = run.rows("wmic_format").iter();
    let stylesheets = stylesheets.filter(|row| row["is_stylesheet"] == true);
    let stylesheets: BTreeSet<_> = stylesheets.flat_map(|row| run.places(row)).collect();
    assert_eq!(stylesheets, truth.places("c_xsl"));
}

/// The answers have, of each process, how long after the connections to port 135 it began. Those within the hunt's window
/// are behind its finding, and no others.
#[test]
fn processes_after_a_connection_have_the_connections_of_the_answers() {
    let Some((run, truth)) =
        shared("processes_after_a_connection_have_the_connections_of_the_answers")
    else {
        return;
    };
    let processes = run.processes();
    let connections = run.by_place("connections");
    let findings = run.rows("wmi_child_after_inbound_connection");
    let sequences = truth.derived("seq135");
    assert!(!sequences.is_empty());
    for (file, sequence) in sequences {
        let process = (file.to_owned(), line_of(sequence));
        let is_its = |row: &&Row| run.places(row).contains(&process);
        let own: Vec<_> = findings.iter().filter(is_its).collect();
        let [finding] = own[..] else {
            panic!("{process:?} is in {} findings", own.len());
        };
        let started = instant(&processes[&process]["event_time"]);
        let places = run.places(finding);
        let behind = places.iter().filter_map(|place| connections.get(place));
        // The Security log reports the same connections once more.
        let behind = behind.filter(|row| row["event_type"] == "sysmon:3");
        let mut after: Vec<_> = behind
            .map(|row| (started - instant(&row["event_time"])).num_milliseconds())
            .collect();
        after.sort_unstable();
        let said = sequence["inbound"].as_array().unwrap().iter();
        #[expect(clippy::cast_possible_truncation, reason = "less than a minute")]
        let said: Vec<_> = said
            .map(|seconds| (seconds.as_f64().unwrap() * 1000.0).round() as i64)
            .filter(|after| (-1000..=15000).contains(after))
            .collect();
        assert_eq!(after, said, "{process:?}");
        assert_eq!(
            text(finding, "host_name"),
            text(sequence.as_object().unwrap(), "host")
        );
        assert_eq!(
            finding["total_processes"], 1,
            "{process:?}: two sensors, one process"
        );
    }
}

/// What the telemetry taught: the published hunt's exclusions are the tool's own commands, and all there is of these
/// sessions. It reports none; the corrected one reports each, once, however many sensors saw it.
#[test]
fn the_corrected_hunt_reports_each_wmiexec_session_once() {
    let Some((run, truth)) = shared("the_corrected_hunt_reports_each_wmiexec_session_once") else {
        return;
    };
    assert_eq!(truth.groups("a_group"), BTreeMap::new());
    assert!(run.rows("wmiexec_logscale").is_empty());

    let hunt = "wmiexec_shared_output_file";
    let processes = run.processes();
    let mut sessions = BTreeMap::new();
    for row in run.rows(hunt) {
        let places = run.places(row);
        let times: BTreeSet<_> = places
            .iter()
            .map(|place| instant(&processes[place]["event_time"]))
            .collect();
        assert_eq!(Some(&instant(&row["first_seen"])), times.first());
        assert_eq!(Some(&instant(&row["last_seen"])), times.last());
        // The file is named after the attacker's clock: these two were right to a few seconds.
        let lag = instant(&row["first_seen"]) - instant(&row["tool_started"]);
        assert!(lag.abs() < TimeDelta::hours(1), "{lag}");
        let count = |key: &str| row[key].as_u64().unwrap();
        let key = (text(row, "host_id"), text(row, "redirect_file"));
        let session = (places, count("total_commands"), count("total_processes"));
        assert_eq!(
            sessions.insert(key, session),
            None,
            "a session is reported once"
        );
    }
    assert_eq!(sessions, truth.groups("a_group_noex"));
    let sensors = |(places, ..): &Session| {
        let types = places
            .iter()
            .map(|place| text(processes[place], "event_type"));
        types.collect::<BTreeSet<_>>().len()
    };
    let seen_by: Vec<_> = sessions.values().map(sensors).collect();
    assert!(
        seen_by.contains(&2),
        "one session is Sysmon's and the Security log's: {seen_by:?}"
    );
}

/// Of every hit: the line at that number is the one the answers mean, and its time is the answers' time in UTC.
#[test]
fn hits_are_at_their_lines_and_times() {
    let Some((run, truth)) = shared("hits_are_at_their_lines_and_times") else {
        return;
    };
    let processes = run.processes();
    for letter in ["a", "b_node_any", "c", "d_any"] {
        let hits = truth.hits(letter);
        let raw = lines(&hits.keys().cloned().collect());
        for (place, hit) in hits {
            let said = hit["v"].as_str().unwrap();
            let command = raw[&place]["CommandLine"].as_str().unwrap();
            assert_eq!(command, said, "{place:?}");
            let process = processes[&place];
            assert_eq!(process["command_line"].as_str(), Some(said), "{place:?}");

            let table = &run.table_of(&place.0).table;
            let written = hit["t"].as_str().unwrap();
            let is_utc = written.ends_with('Z');
            let local = written.trim_end_matches('Z').replace('T', " ");
            let local = NaiveDateTime::parse_from_str(&local, "%Y-%m-%d %H:%M:%S%.f").unwrap();
            // Sysmon's UtcTime has no zone and is UTC; a Security time without one is its host's.
            let zone = if is_utc || text(process, "event_type") == "sysmon:1" {
                chrono_tz::UTC
            } else {
                table.zone
            };
            let answer = zone.from_local_datetime(&local).unwrap().to_utc();
            let lag = answer - instant(&process["event_time"]);
            // nxlog's Security events have no time with a zone but @timestamp, which is ingest; the event came before.
            let most = if is_utc && table.form.name == "nxlog" {
                MOST_INGEST_LAG
            } else {
                TimeDelta::zero()
            };
            assert!(
                lag >= TimeDelta::zero() && lag <= most,
                "{place:?}: {lag} too early"
            );
        }
    }
}

/// A table's zone cannot be checked against itself. Sysmon's times are UTC whatever the table says: where it and the
/// Security log saw one process, their times are one time, to the second that nxlog's `EventTime` has.
#[test]
fn a_wrong_time_zone_would_be_seen() {
    let Some((run, _)) = shared("a_wrong_time_zone_would_be_seen") else {
        return;
    };
    let mut pairs: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let processes = run.processes();
    let seen_by = |sensor: &'static str| {
        let rows = processes.iter();
        rows.filter(move |(_, row)| row["event_type"] == sensor)
    };
    for (place, security) in seen_by("security:4688") {
        let mut other = seen_by("sysmon:1").filter(|(elsewhere, sysmon)| {
            // One lab's nxlog dropped Sysmon's process ids.
            let id = &sysmon["process_id"];
            elsewhere.0 == place.0
                && (id.is_null() || *id == security["process_id"])
                && sysmon["command_line"] == security["command_line"]
        });
        let (all, agreed) = pairs.entry(place.0.clone()).or_default();
        *all += 1;
        if let Some((_, sysmon)) = other.next() {
            let apart = instant(&security["event_time"]) - instant(&sysmon["event_time"]);
            assert!(apart.abs() <= TimeDelta::seconds(2), "{place:?}: {apart}");
            *agreed += 1;
        }
    }
    for (table, scan) in &run.scans {
        if !["nxlog", "winlogbeat"].contains(&scan.table.form.name.as_str()) {
            continue;
        }
        for file in &scan.files {
            let name = run.named(table, &file.object.path);
            let (all, agreed) = pairs.get(&name).copied().unwrap_or_default();
            assert_eq!(agreed, all, "{name}: seen by both sensors");
            // Rows with a zone (UtcTime) and rows without lie in one recording. Not so in winlogbeat's: Sysmon stamped the
            // connections of one host, which had slept, eleven days early.
            let span = file.newest_event().unwrap() - file.oldest_event().unwrap();
            let is_nxlog = scan.table.form.name == "nxlog";
            assert!(!is_nxlog || span < LONGEST_RECORDING, "{name}: {span}");
        }
    }
}

#[test]
fn every_value_fits_its_type() {
    let Some((run, _)) = shared("every_value_fits_its_type") else {
        return;
    };
    let conflicts: BTreeMap<String, BTreeMap<String, u64>> = run
        .files()
        .filter(|(_, file)| !file.conflicts.is_empty())
        .map(|(name, file)| (name, file.conflicts.clone()))
        .collect();
    // One field is an int here, a decimal or a hex text there. All of those fit, and nothing else is in the columns that
    // all hunts together read.
    assert!(conflicts.is_empty(), "{conflicts:?}");
}

/// Files in an encoding, or a shape, that breaks a naive reader are read as others are.
#[test]
fn traps_are_read_and_hurt_nobody() {
    let Some(folder) = data_folder() else {
        shared("traps_are_read_and_hurt_nobody");
        return;
    };
    let library = Library::load(&content());
    let hunt = "wmiexec_shared_output_file";
    let run = run(
        "real_telemetry_traps.yaml",
        &[library.get(hunt).unwrap().clone()],
    );
    let traps: BTreeMap<_, _> = run.files().collect();
    let array = std::fs::read(folder.join("traps/json_array.json")).unwrap();
    let array: Vec<serde_json::Value> = serde_json::from_slice(&array).unwrap();
    let wide = std::fs::read(folder.join("traps/utf16le_bom.ndjson")).unwrap();
    let lines = wide.chunks(2).filter(|unit| *unit == b"\n\0").count();
    for (name, records) in [
        ("traps/json_array.json", array.len()),
        ("traps/utf16le_bom.ndjson", lines),
    ] {
        let report = traps[name];
        assert_eq!(
            (report.rows, report.rejected, &report.lost),
            (records as u64, 0, &None),
            "{name}"
        );
    }
    assert_eq!(traps.len(), 3, "{:?}", traps.keys());
    let [session] = run.rows(hunt) else {
        panic!("{:?}", run.rows(hunt))
    };
    assert_eq!(session["event_count"], 2);
}
