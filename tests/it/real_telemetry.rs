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

mod run;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use lakehunt::hunt::{Hunt, Library, front_matter};
use serde_json::{Map, Value};

use run::{Run, content, data_folder, lines, run};
use truth::{Session, Truth};

/// nxlog's `@timestamp` is when the collector got the event. That comes after the event, and in all of these within:
const MOST_INGEST_LAG: TimeDelta = TimeDelta::minutes(1);
/// Each file of nxlog is one attack as it was recorded, minutes long; less than any two time zones are apart.
const LONGEST_RECORDING: TimeDelta = TimeDelta::minutes(30);

/// Hunts of these tests alone: they ride on the same pass, and show what the views make of every record.
const OURS: [(&str, &str); 5] = [
    (
        "processes",
        "SELECT event_time, event_type, process_name, original_file_name, command_line, process_id, parent_process_name,
                parent_process_id, _table, _file, _row FROM process_creation",
    ),
    (
        "zeek",
        "SELECT event_time, _table, _file, _row FROM zeek_conn WHERE id_resp_p IN (135, 5985, 5986)",
    ),
    (
        "crowdstrike_wmic",
        r"SELECT event_time, _table, _file, _row FROM crowdstrike
          WHERE base_name(ImageFileName) ILIKE 'wmic.exe' AND CommandLine ILIKE '%process call create%'",
    ),
    (
        "defender_processes",
        "SELECT event_time, _table, _file, _row FROM defender WHERE CreatedProcessName IS NOT NULL",
    ),
    (
        "sentinel_processes",
        "SELECT event_time, _table, _file, _row FROM sentinel WHERE EventID = 4688",
    ),
];

type Row = Map<String, Value>;
/// A letter of the definitions, as a question to a row of the view.
type Matches<'a> = &'a dyn Fn(&Row) -> bool;

/// A line of a file of the telemetry, as the answers name it: the path from the folder of all, and the line from 1.
type Place = (String, u64);

static RUN: LazyLock<Option<(Run, Truth)>> = LazyLock::new(|| {
    let folder = data_folder()?;
    let library = Library::load(&content()).unwrap();
    let mut hunts: Vec<Hunt> = library.iter().cloned().collect();
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
        assert_eq!(file.bad_records, [], "{name}");
        assert_eq!(
            file.in_window, file.rows,
            "{name}: a time outside this century"
        );
    }
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
        assert_eq!(process["command_line"], line["CommandLine"], "{place:?}");
        let number = |key: &str| match &line[key] {
            Value::String(text) => lakehunt::functions::parse_int(text),
            value => value.as_i64(),
        };
        let security = text(process, "event_type") == "security:4688";
        let own = if security {
            number("NewProcessId")
        } else {
            // Old nxlog lost the field, see the view; its Message still has it.
            let message = line["Message"].as_str().unwrap_or_default();
            let said = message
                .lines()
                .find_map(|line| line.strip_prefix("ProcessId: "));
            number("ProcessId").or_else(|| said?.parse().ok())
        };
        let parent = number(if security {
            "ProcessId"
        } else {
            "ParentProcessId"
        });
        assert_eq!(process["process_id"].as_i64(), own, "{place:?}");
        assert_eq!(process["parent_process_id"].as_i64(), parent, "{place:?}");
    }
    for (file, answers) in truth.files() {
        let form = &run.table_of(file).table.form.name;
        if form.starts_with("table:") {
            continue;
        }
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
fn tables_without_a_form_show_theirs() {
    let Some((run, truth)) = shared("tables_without_a_form_show_theirs") else {
        return;
    };
    assert_eq!(run.all_places("zeek"), truth.places("g_zeek"));
    let in_falcon = |place: &Place| place.0.starts_with(&run.folders["crowdstrike"]);
    let created = truth.places("b_pcc").into_iter().filter(in_falcon);
    assert_eq!(run.all_places("crowdstrike_wmic"), created.collect());
    for (hunt, table) in [
        ("defender_processes", "defender"),
        ("sentinel_processes", "sentinel"),
    ] {
        let scan = &run.scans[table];
        let file = run.named(table, &scan.files[0].object.path);
        let wanted = truth.files()[&file]["eids"]["_proc|ok"].as_u64();
        assert_eq!(Some(run.rows(hunt).len() as u64), wanted, "{hunt}");
    }
}

#[test]
fn rows_of_the_wmic_hunts_are_the_answers() {
    let Some((run, truth)) = shared("rows_of_the_wmic_hunts_are_the_answers") else {
        return;
    };
    for (hunt, letter) in [
        ("remote_wmi_command_attempt", "b_node_any"),
        ("wmic_format", "c"),
        // None: wmic's addresses are all the loopback here. That there are such is the next test.
        ("wmic_remote_ip", "d"),
    ] {
        assert_eq!(run.all_places(hunt), truth.places(letter), "{hunt}");
    }
    assert_ne!(truth.places("d_any"), BTreeSet::new());
    assert!(run.rows("wmic_remote_ip").is_empty());
    let stylesheets = run.rows("wmic_format").iter();
    let stylesheets = stylesheets.filter(|row| row["is_stylesheet"] == true);
    let stylesheets: BTreeSet<_> = stylesheets.flat_map(|row| run.places(row)).collect();
    assert_eq!(stylesheets, truth.places("c_xsl"));
}

#[test]
fn the_view_gives_the_answers_that_no_hunt_asks_for_yet() {
    let Some((run, truth)) = shared("the_view_gives_the_answers_that_no_hunt_asks_for_yet") else {
        return;
    };
    let is_wmic = |row: &Row| {
        text(row, "process_name") == "wmic.exe" || text(row, "original_file_name") == "wmic.exe"
    };
    let says = |row: &Row, what: &str| text(row, "command_line").contains(what);
    let node = |row: &Row| is_wmic(row) && says(row, "/node:");
    let call = |row: &Row| is_wmic(row) && says(row, "process call create");
    let from_wmi = |row: &Row| text(row, "parent_process_name") == "wmiprvse.exe";
    let wanted: [(&str, Matches); 4] = [
        ("b_node", &node),
        ("b_pcc", &call),
        ("b", &|row| node(row) || call(row)),
        ("e", &from_wmi),
    ];
    let processes = run.processes();
    for (letter, matches) in wanted {
        let found = processes.iter().filter(|(_, row)| matches(row));
        let found: BTreeSet<Place> = found.map(|(place, _)| place.clone()).collect();
        let answers = truth.places(letter).into_iter();
        // CrowdStrike has no form yet: `tables_without_a_form_show_theirs`.
        let answers = answers.filter(|place| !place.0.starts_with(&run.folders["crowdstrike"]));
        assert_eq!(found, answers.collect(), "{letter}");
    }
    let wmic = processes.values().filter(|row| is_wmic(row)).count() as u64;
    let elsewhere = run.scans["crowdstrike"].files.iter().map(|file| {
        let name = run.named("crowdstrike", &file.object.path);
        truth.files()[&name]["counts"]["wmic_all"].as_u64().unwrap()
    });
    let elsewhere: u64 = elsewhere.sum();
    assert_eq!(wmic + elsewhere, truth.total("wmic_all"));
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
    assert_eq!(run.all_places(hunt), truth.places("a"));
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
    println!("type conflicts: {conflicts:?}");
    // One field is an int here, a decimal or a hex text there. All of those fit, and nothing else is in the columns that
    // are read for these hunts.
    assert_eq!(conflicts, BTreeMap::new());
}

/// A broken file costs itself only, and says what was wrong with which line.
#[test]
fn traps_are_quarantined_and_hurt_nobody() {
    let Some(folder) = data_folder() else {
        shared("traps_are_quarantined_and_hurt_nobody");
        return;
    };
    let library = Library::load(&content()).unwrap();
    let hunt = "wmiexec_shared_output_file";
    let run = run(
        "real_telemetry_traps.yaml",
        &[library.get(hunt).unwrap().clone()],
    );
    let traps: BTreeMap<_, _> = run.files().collect();
    for (name, reasons) in [
        ("traps/json_array.json", vec!["not_an_object"]),
        ("traps/utf16le_bom.ndjson", vec!["not_json", "not_utf8"]),
    ] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty()).count() as u64;
        let report = traps[name];
        assert_eq!(
            (report.rows, report.rejected, &report.lost),
            (0, lines, &None),
            "{name}"
        );
        let found: BTreeSet<_> = report.bad_records.iter().map(|bad| bad.reason).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), reasons, "{name}");
    }
    assert_eq!(traps.len(), 3, "{:?}", traps.keys());
    let [session] = run.rows(hunt) else {
        panic!("{:?}", run.rows(hunt))
    };
    assert_eq!(session["event_count"], 2);
}
