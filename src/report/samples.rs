//! Small pieces of a report for the tests of this room, and one report that has everything.

use chrono::{DateTime, Utc};

use crate::report::{
    AlertReport, Entity, EvidenceRow, FORMAT_VERSION, HuntReport, HuntState, Level, LostFile,
    Report, TableReport,
};

pub(in crate::report) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(in crate::report) fn empty() -> Report {
    Report {
        format_version: FORMAT_VERSION,
        lakehunt_version: "0.1.0".to_owned(),
        job: "nightly".to_owned(),
        lake: "../data/lake.yaml".to_owned(),
        window_start: time("2026-01-03T00:00:00Z"),
        window_end: time("2026-01-04T00:00:00Z"),
        hunts: Vec::new(),
        alerts: Vec::new(),
        incidents: Vec::new(),
        tables: Vec::new(),
        notes: Vec::new(),
    }
}

pub(in crate::report) fn hunt(name: &str) -> HuntReport {
    HuntReport {
        name: name.to_owned(),
        title: format!("Title of {name}"),
        level: Level::High,
        status: "stable".to_owned(),
        state: HuntState::Complete,
        reason: None,
        tables: vec!["sysmon".to_owned()],
        no_data: false,
        findings: 0,
        alerts_new: 0,
        alerts_repeat: 0,
        alerts_excepted: 0,
        truncated: false,
    }
}

pub(in crate::report) fn alert(id: &str) -> AlertReport {
    AlertReport {
        alert_id: id.to_owned(),
        group_id: format!("group-{id}"),
        hunt: "wmiexec".to_owned(),
        title: "Suspected WMIExec abuse".to_owned(),
        level: Level::High,
        risk_score: Some(64),
        risk_sum: None,
        story: Vec::new(),
        message: r"5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01".to_owned(),
        entities: vec![
            Entity {
                kind: "host".to_owned(),
                value: "WS-01".to_owned(),
            },
            Entity {
                kind: "user".to_owned(),
                value: r"CORP\anna".to_owned(),
            },
        ],
        first_seen: time("2026-01-03T10:00:00Z"),
        last_seen: time("2026-01-03T10:05:00.25Z"),
        event_count: 5,
        finding_count: 1,
        evidence: vec![EvidenceRow {
            table: "sysmon".to_owned(),
            file: "day=2026-01-03/a.ndjson.gz".to_owned(),
            row: 12,
        }],
        evidence_total: 5,
        evidence_truncated: false,
        techniques: vec!["T1047".to_owned(), "T1021.002".to_owned()],
        tactics: vec!["execution".to_owned(), "lateral-movement".to_owned()],
        repeat: false,
        excepted_by: None,
    }
}

pub(in crate::report) fn table(name: &str) -> TableReport {
    TableReport {
        name: name.to_owned(),
        files_total: 4,
        files_read: 3,
        bytes_read: 1_572_864,
        rows_read: 120_000,
        rows_in_window: 40_000,
        rows_matched: 17,
        quarantined: 0,
        type_conflicts: std::collections::BTreeMap::new(),
        no_data: false,
        newest_event: Some(time("2026-01-03T23:59:58Z")),
        lost: Vec::new(),
    }
}

/// Something of everything: a new alert, a repeat, an excepted one, every state of a hunt, a table without data, a lost file.
pub(in crate::report) fn full() -> Report {
    let mut report = empty();
    report.hunts = vec![
        HuntReport {
            findings: 1_203,
            alerts_new: 1,
            alerts_repeat: 1,
            alerts_excepted: 1,
            ..hunt("wmiexec")
        },
        HuntReport {
            level: Level::Medium,
            ..hunt("quiet")
        },
        HuntReport {
            tables: vec!["dns".to_owned()],
            ..hunt("tunnel")
        },
        HuntReport {
            state: HuntState::Failed,
            reason: Some("over the limit of 2 GiB".to_owned()),
            ..hunt("wide_join")
        },
        HuntReport {
            state: HuntState::Partial,
            reason: Some("1 file of sysmon was lost".to_owned()),
            tables: vec!["dns".to_owned(), "sysmon".to_owned()],
            ..hunt("logons")
        },
    ];
    report.alerts = vec![
        AlertReport {
            excepted_by: Some("backup server".to_owned()),
            ..alert("c3")
        },
        AlertReport {
            repeat: true,
            level: Level::Medium,
            risk_score: None,
            ..alert("b2")
        },
        AlertReport {
            level: Level::Critical,
            ..alert("a1")
        },
    ];
    report.tables = vec![
        TableReport {
            quarantined: 3,
            type_conflicts: [("process_id".to_owned(), 7)].into(),
            lost: vec![LostFile {
                file: "day=2026-01-03/b.parquet".to_owned(),
                reason: "no footer".to_owned(),
            }],
            ..table("sysmon")
        },
        TableReport {
            files_total: 0,
            files_read: 0,
            bytes_read: 0,
            rows_read: 0,
            rows_in_window: 0,
            rows_matched: 0,
            no_data: true,
            newest_event: None,
            ..table("dns")
        },
    ];
    report.notes = vec!["the store refuses conditional puts".to_owned()];
    report.arrange();
    report
}

/// Telemetry as an attacker would like it to be shown: terminal escapes, a forged line, reversed and invisible text,
/// Markdown, HTML, a table cell's end.
pub(in crate::report) const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n# All clear\u{202e}gpj.exe\u{200b}\u{9b}31m\u{0}`rm -rf`|<script>alert(1)</script>[x](http://evil.example)@everyone\u{e0041}";

/// The full report with hostile text in every field that telemetry or the outside reaches.
pub(in crate::report) fn hostile() -> Report {
    let mut report = full();
    let bad = || HOSTILE.to_owned();
    for alert in &mut report.alerts {
        alert.alert_id = bad();
        alert.group_id = bad();
        alert.title = bad();
        alert.hunt = bad();
        alert.message = bad();
        alert.story = vec![bad()];
        alert.entities.push(Entity {
            kind: bad(),
            value: bad(),
        });
        alert.evidence.push(EvidenceRow {
            table: bad(),
            file: bad(),
            row: 1,
        });
        alert.techniques = vec![bad()];
        alert.tactics = vec![bad()];
        if alert.excepted_by.is_some() {
            alert.excepted_by = Some(bad());
        }
    }
    for hunt in &mut report.hunts {
        hunt.name = bad();
        hunt.title = bad();
        hunt.status = bad();
        hunt.reason = Some(bad());
        hunt.tables = vec![bad()];
    }
    for table in &mut report.tables {
        table.name = bad();
        table.type_conflicts = [(bad(), 1)].into();
        table.lost = vec![LostFile {
            file: bad(),
            reason: bad(),
        }];
    }
    report.job = bad();
    report.lake = bad();
    report.lakehunt_version = bad();
    report.notes = vec![bad()];
    report.arrange();
    report
}
