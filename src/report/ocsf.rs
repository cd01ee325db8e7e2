//! A stored alert as an OCSF Detection Finding (class 2004, schema 1.5.0): <https://schema.ocsf.io/1.5.0/classes/detection_finding>.

use serde_json::{Value, json};

use crate::history::stored::StoredAlert;
use crate::hunt::{Level, attack};

/// The version of OCSF.
const VERSION: &str = "1.5.0";

/// The finding. A repeat is an update of a finding, an excepted alert a suppressed one. `time`, when the finding came to be,
/// is the end of its window: the first instant at which all of it could be known.
pub fn finding(alert: &StoredAlert) -> Value {
    let (activity_id, activity) = if alert.status == "repeat" {
        (2, "Update")
    } else {
        (1, "Create")
    };
    let (status_id, status) = if alert.excepted_by.is_some() {
        (3, "Suppressed")
    } else {
        (1, "New")
    };
    let (severity_id, severity) = match alert.level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    };
    let attacks: Vec<Value> = alert.techniques.iter().flat_map(|id| attacks(id)).collect();
    let observables: Vec<Value> = alert
        .entities
        .iter()
        .map(|entity| {
            let (type_id, kind) = observable(&entity.kind);
            json!({"name": format!("entities.{}", entity.kind), "type": kind, "type_id": type_id, "value": entity.value})
        })
        .collect();
    let evidences: Vec<Value> = alert
        .evidence
        .iter()
        .map(|place| {
            json!({
                "uid": format!("{}/{}#{}", place.table, place.file, place.row),
                "data": {"table": place.table, "file": place.file, "row": place.row},
            })
        })
        .collect();
    json!({
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200_400 + activity_id,
        "type_name": format!("Detection Finding: {activity}"),
        "time": alert.window_end.timestamp_millis(),
        "start_time": alert.first_seen.timestamp_millis(),
        "end_time": alert.last_seen.timestamp_millis(),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": alert.message,
        "count": alert.finding_count,
        "risk_score": alert.risk_score,
        "is_alert": alert.excepted_by.is_none(),
        "metadata": {
            "uid": alert.alert_id,
            "version": VERSION,
            "product": {"name": "lakehunt", "vendor_name": "lakehunt", "version": env!("CARGO_PKG_VERSION")},
            "log_name": alert.job,
        },
        "finding_info": {
            "uid": alert.alert_id,
            "title": alert.title,
            "desc": alert.message,
            "created_time": alert.window_end.timestamp_millis(),
            "first_seen_time": alert.first_seen.timestamp_millis(),
            "last_seen_time": alert.last_seen.timestamp_millis(),
            "related_events_count": alert.event_count,
            "analytic": {"name": alert.hunt, "uid": alert.hunt, "type_id": 1, "type": "Rule", "version": alert.logic_hash},
            "attacks": attacks,
            "types": alert.tags,
        },
        "evidences": evidences,
        "observables": observables,
        "unmapped": {
            "group_id": alert.group_id,
            "window_start": alert.window_start,
            "window_end": alert.window_end,
            "excepted_by": alert.excepted_by,
            "evidence_truncated": alert.evidence_truncated,
            "finding": serde_json::from_str::<Value>(&alert.finding).unwrap_or_default(),
        },
    })
}

/// A technique for each tactic that it serves; one that the table does not know, without.
fn attacks(id: &str) -> Vec<Value> {
    let known = attack::technique(id);
    let name = known.map(|found| found.name);
    let (main, is_part) = id
        .split_once('.')
        .map_or((id, false), |(main, _)| (main, true));
    let technique = json!({"uid": main, "name": attack::technique(main).map(|found| found.name)});
    let with = |tactic: Option<&str>| {
        let mut one = json!({"technique": technique, "version": attack::version()});
        if is_part {
            one["sub_technique"] = json!({"uid": id, "name": name});
        }
        if let Some(tactic) = tactic {
            one["tactic"] = json!({"uid": attack::tactic_id(tactic), "name": tactic});
        }
        one
    };
    let tactics = known.map_or(&[][..], |found| &found.tactics);
    if tactics.is_empty() {
        return vec![with(None)];
    }
    tactics.iter().map(|tactic| with(Some(tactic))).collect()
}

/// OCSF's type of an observable.
fn observable(kind: &str) -> (u32, &'static str) {
    match kind {
        "host" | "device" | "domain" => (1, "Hostname"),
        "ip" | "source_ip" | "destination_ip" => (2, "IP Address"),
        "user" | "account" => (4, "User Name"),
        "file" => (7, "File Name"),
        "hash" => (8, "Hash"),
        "process" => (9, "Process Name"),
        _ => (99, "Other"),
    }
}
