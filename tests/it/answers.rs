//! The sample lake against its answers: every planted attack is found, once, with its raw events; no look-alike is;
//! broken lines are put aside at their places; records that came twice count once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::workspace::Workspace;

/// The place of a raw event: table, file, row.
type Place = (String, String, u64);

fn place(value: &Value, row: &str) -> Place {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    (text("table"), text("file"), value[row].as_u64().unwrap())
}

fn places(list: &Value) -> BTreeSet<Place> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| place(item, "row"))
        .collect()
}

/// A time as both sides write it.
fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// All stable hunts over whole days.
const JOB: &str = "\
hunts: {status: [stable]}
grid: {cron: \"0 2 * * *\", earliest: \"-1d@d\", latest: \"@d\"}
since: 2026-01-01T00:00:00Z
at: 2026-01-04T02:00:00Z
output: ../out
";

/// Runs all stable hunts over all three days of the lake in `lake`, and compares with its answers.
fn compare(workspace: &Workspace, lake: &str) {
    workspace.write("all/all.yaml", format!("lake: ../{lake}/lake.yaml\n{JOB}"));
    let range = ["--from", "2026-01-01", "--to", "2026-01-04"];
    workspace.succeed(&[&["run", "all/all.yaml"][..], &range].concat());
    let answers = workspace.json(&format!("{lake}/answers.json"));
    let planted: Vec<_> = answers["planted"].as_array().unwrap().iter().collect();
    let mut alerts = workspace.alerts("out");
    // Hunts over what others found have no events of their own.
    let is_of_attacks = |tags: &Value| {
        let mut tags = tags.as_array().unwrap().iter().filter_map(Value::as_str);
        !tags.any(|tag| tag.starts_with("lakehunt."))
    };
    alerts.retain(|alert| is_of_attacks(&alert["tags"]));
    let faults = [
        hits_without_an_alert(&planted, &alerts),
        alerts_without_a_hit(&planted, &alerts),
        near_misses_in_alerts(&planted, &alerts),
        quarantine_against(&answers["broken"], &workspace.quarantine("out")),
    ]
    .concat();
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
    let hunts: BTreeSet<_> = planted
        .iter()
        .filter(|planted| planted["kind"] == "hit")
        .map(|planted| &planted["hunt"])
        .map(Value::as_str)
        .collect();
    let listed = workspace
        .succeed(&["hunts", "list", "--format", "json"])
        .json();
    let stable: BTreeSet<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|hunt| hunt["status"] == "stable" && is_of_attacks(&hunt["tags"]))
        .map(|hunt| hunt["name"].as_str())
        .collect();
    assert_eq!(hunts, stable, "every stable hunt has a hit");
    duplicates_are_planted(&answers, &planted);
}

fn is_of_host(alert: &Map<String, Value>, hit: &Value) -> bool {
    let entities = alert["entities"].as_array().unwrap();
    entities
        .iter()
        // On the wire a host is its address.
        .any(|entity| entity["kind"] != "user" && entity["value"] == hit["host"])
}

/// The planted of one hunt and kind that share a key are one activity a day, and so one alert: by hunt, host and key.
fn hits_without_an_alert(planted: &[&Value], alerts: &[Map<String, Value>]) -> Vec<String> {
    let mut faults = Vec::new();
    for hit in planted.iter().filter(|planted| planted["kind"] == "hit") {
        let expected = places(&hit["events"]);
        let found: Vec<_> = alerts
            .iter()
            .filter(|alert| {
                alert["hunt"] == hit["hunt"]
                    && alert["date"] == hit["day"]
                    && is_of_host(alert, hit)
            })
            .filter(|alert| !places(&alert["evidence"]).is_disjoint(&expected))
            .collect();
        let [alert] = found[..] else {
            faults.push(format!("{} alerts for {hit}", found.len()));
            continue;
        };
        let mut differs = |what: &str, is: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            faults.push(format!(
                "{} of {}: {what} is {is:?}, not {expected:?}",
                hit["id"], hit["hunt"]
            ));
        };
        if time(&alert["first_seen"]) != time(&hit["first_seen"]) {
            differs("first_seen", &alert["first_seen"], &hit["first_seen"]);
        }
        if time(&alert["last_seen"]) != time(&hit["last_seen"]) {
            differs("last_seen", &alert["last_seen"], &hit["last_seen"]);
        }
        if places(&alert["evidence"]) != expected {
            differs("evidence", &places(&alert["evidence"]), &expected);
        }
        // Records that came twice are not counted twice.
        if alert["event_count"] != expected.len() {
            differs("event_count", &alert["event_count"], &expected.len());
        }
    }
    faults
}

fn alerts_without_a_hit(planted: &[&Value], alerts: &[Map<String, Value>]) -> Vec<String> {
    let mut hits: BTreeMap<&str, BTreeSet<Place>> = BTreeMap::new();
    for hit in planted.iter().filter(|planted| planted["kind"] == "hit") {
        hits.entry(hit["hunt"].as_str().unwrap())
            .or_default()
            .extend(places(&hit["events"]));
    }
    let is_planted = |alert: &&Map<String, Value>| {
        let evidence = places(&alert["evidence"]);
        !evidence.is_empty()
            && hits
                .get(alert["hunt"].as_str().unwrap())
                .is_some_and(|planted| evidence.is_subset(planted))
    };
    let others = alerts.iter().filter(|alert| !is_planted(alert));
    others
        .map(|alert| {
            format!(
                "not planted: {} {} {}",
                alert["hunt"], alert["message"], alert["evidence"]
            )
        })
        .collect()
}

fn near_misses_in_alerts(planted: &[&Value], alerts: &[Map<String, Value>]) -> Vec<String> {
    let mut faults = Vec::new();
    for miss in planted
        .iter()
        .filter(|planted| planted["kind"] == "near_miss")
    {
        let rows = places(&miss["events"]);
        for alert in alerts.iter().filter(|alert| alert["hunt"] == miss["hunt"]) {
            if !places(&alert["evidence"]).is_disjoint(&rows) {
                faults.push(format!(
                    "a near miss is an alert: {} {}",
                    miss["id"], miss["why"]
                ));
            }
        }
    }
    faults
}

fn quarantine_against(broken: &Value, records: &[Value]) -> Vec<String> {
    let mut expected: Vec<_> = broken
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["row_kept"] == false)
        .map(|line| place(line, "line"))
        .collect();
    assert!(!expected.is_empty(), "the sample has broken lines");
    let mut found: Vec<_> = records.iter().map(|record| place(record, "line")).collect();
    expected.sort();
    found.sort();
    if expected == found {
        Vec::new()
    } else {
        vec![format!("quarantined {found:?}, not {expected:?}")]
    }
}

/// A test of what came twice is one only where something of a hit did.
fn duplicates_are_planted(answers: &Value, planted: &[&Value]) {
    let hits: BTreeSet<Place> = planted
        .iter()
        .filter(|planted| planted["kind"] == "hit")
        .flat_map(|hit| places(&hit["events"]))
        .collect();
    let duplicates = answers["duplicates"].as_array().unwrap();
    assert!(
        duplicates
            .iter()
            .any(|copy| hits.contains(&place(&copy["of"], "row")))
    );
}

#[test]
fn of_the_committed_sample() {
    compare(&Workspace::of_repository(), "data");
}

#[test]
fn of_another_seed() {
    let workspace = Workspace::of_repository();
    workspace.succeed(&["sample", "lake", "--seed", "7", "--events", "6000"]);
    compare(&workspace, "lake");
}
