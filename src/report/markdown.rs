//! The report as Markdown (GitHub's), for a person who reads it in a ticket.
//!
//! Everything that telemetry or the outside reaches stands in code spans: there it keeps its backslashes, mentions
//! nobody, links nowhere and formats nothing, and can be copied out as it is. Tables hold our own words and numbers only.
//! Nothing here may depend on where or when it is made: the file must be the same after a rerun.

mod incidents;

use super::escape::{code, prose, technique};
use super::figures::{amount, bytes, count, grouped, instant, span};
use super::{AlertReport, Answer, Entity, HuntReport, HuntState, Report, TableReport};

/// How many alerts a ticket shows; the rest is in the JSON form beside it. A hundred stay below what trackers accept.
const ALERTS_SHOWN: usize = 100;
/// How many lost files and columns with type conflicts are listed for each table.
const ITEMS_SHOWN: usize = 20;

/// The report as Markdown: a heading, the verdict, the alerts (worst first), the hunts, what was read, the notes.
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    page.line(&format!(
        "# {}: {} to {}",
        prose(&report.job),
        instant(report.window_start),
        instant(report.window_end)
    ));
    page.line("");
    page.line(&format!("**{}.**", report.verdict()));
    page.line("");
    page.line(&format!(
        "Lake {}, lakehunt {}.",
        code(&report.lake),
        prose(&report.lakehunt_version)
    ));
    incidents::section(&mut page, report);
    alerts(&mut page, report);
    hunts(&mut page, report);
    tables(&mut page, report);
    notes(&mut page, report);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(heading);
        self.line("");
    }

    fn row(&mut self, cells: &[String]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }
}

fn alerts(page: &mut Page, report: &Report) {
    page.heading("## Alerts");
    if report.alerts.is_empty() {
        page.line("None.");
        return;
    }
    for (index, alert) in report.alerts.iter().take(ALERTS_SHOWN).enumerate() {
        if index > 0 {
            page.line("");
        }
        one_alert(page, index + 1, alert);
    }
    let more = report.alerts.len().saturating_sub(ALERTS_SHOWN);
    if more > 0 {
        page.line("");
        page.line(&format!(
            "And {} more: in the JSON form of this summary.",
            grouped(more as u64)
        ));
    }
}

fn one_alert(page: &mut Page, number: usize, alert: &AlertReport) {
    page.line(&format!(
        "### {number}. {}: {} ({})",
        alert.level.as_str().to_uppercase(),
        prose(&alert.title),
        alert.standing()
    ));
    page.line("");
    page.line(&format!("- Message: {}", code(&alert.message)));
    for (label, kinds) in [
        ("Who", Kinds::Actor),
        ("Where", Kinds::Place),
        ("What", Kinds::Other),
    ] {
        let entities: Vec<String> = alert
            .entities
            .iter()
            .filter(|entity| Kinds::of(entity) == kinds)
            .map(|entity| format!("{} {}", prose(&entity.kind), code(&entity.value)))
            .collect();
        if !entities.is_empty() {
            page.line(&format!("- {label}: {}", entities.join(", ")));
        }
    }
    page.line(&format!(
        "- When: {} ({}, {})",
        span(alert.first_seen, alert.last_seen),
        amount(alert.event_count, "event"),
        amount(alert.finding_count, "finding")
    ));
    match (alert.risk_score, alert.risk_sum) {
        (Some(score), _) => page.line(&format!("- Risk: {score}")),
        (None, Some(sum)) => page.line(&format!("- Risk: {sum}, of other alerts")),
        (None, None) => {}
    }
    if !alert.techniques.is_empty() {
        let links: Vec<String> = alert.techniques.iter().map(|id| technique(id)).collect();
        page.line(&format!("- Techniques: {}", links.join(", ")));
    }
    if let Some(exception) = &alert.excepted_by {
        page.line(&format!("- Excepted by: {}", code(exception)));
    }
    if !alert.story.is_empty() {
        page.line("- Story:");
        for line in alert.story.iter().take(ITEMS_SHOWN) {
            page.line(&format!("  - {}", code(line)));
        }
        let more = alert.story.len().saturating_sub(ITEMS_SHOWN);
        if more > 0 {
            page.line(&format!("  - and {} more", grouped(more as u64)));
        }
    }
    evidence(page, alert);
    page.line(&format!(
        "- Hunt {}, alert {}, group {}",
        code(&alert.hunt),
        code(&alert.alert_id),
        code(&alert.group_id)
    ));
}

fn evidence(page: &mut Page, alert: &AlertReport) {
    if alert.evidence.is_empty() {
        return;
    }
    page.line("- Evidence:");
    let shown = &alert.evidence[..alert.evidence.len().min(AlertReport::EVIDENCE_SHOWN)];
    for row in shown {
        page.line(&format!(
            "  - {}, file {}, row {}",
            code(&row.table),
            code(&row.file),
            row.row
        ));
    }
    let more = alert.evidence_total.saturating_sub(shown.len() as u64);
    match (more, alert.evidence_truncated) {
        (0, false) => {}
        (0, true) => page.line("  - and more that were not kept"),
        (more, false) => page.line(&format!("  - and {} more in the alert", grouped(more))),
        (more, true) => page.line(&format!(
            "  - and {} more in the alert, and others that were not kept",
            grouped(more)
        )),
    }
}

fn hunts(page: &mut Page, report: &Report) {
    page.heading("## Hunts");
    if report.hunts.is_empty() {
        page.line("None.");
        return;
    }
    page.line("| hunt | level | status | answer | findings | new | repeat | excepted |");
    page.line("| --- | --- | --- | --- | ---: | ---: | ---: | ---: |");
    for hunt in &report.hunts {
        page.row(&[
            prose(&hunt.name),
            hunt.level.as_str().to_owned(),
            prose(&hunt.status),
            answer(hunt),
            findings(hunt),
            grouped(hunt.alerts_new),
            grouped(hunt.alerts_repeat),
            grouped(hunt.alerts_excepted),
        ]);
    }
    let limited = report.limited_hunts().into_iter();
    let mut remarks_on: Vec<String> = limited
        .filter(|one| !one.reason.is_empty())
        .map(|one| {
            let (names, state) = (one.named(prose), state(one.state));
            format!("- {names} ({state}): {}", code(one.reason))
        })
        .collect();
    remarks_on.extend(report.hunts.iter().flat_map(|hunt| remarks(report, hunt)));
    if !remarks_on.is_empty() {
        page.line("");
        for remark in remarks_on {
            page.line(&remark);
        }
    }
}

fn answer(hunt: &HuntReport) -> String {
    let words = hunt.answer().as_str();
    match hunt.answer() {
        Answer::NothingFound => words.to_owned(),
        Answer::Found if hunt.state == HuntState::Complete => words.to_owned(),
        Answer::Found => format!("**{words}, partial**"),
        _ => format!("**{words}**"),
    }
}

/// A number only where there is an answer: a zero beside "no data" would be read as one.
fn findings(hunt: &HuntReport) -> String {
    match hunt.answer() {
        Answer::NoData | Answer::Failed | Answer::Skipped => "n/a".to_owned(),
        _ if hunt.truncated => format!("{} (cut)", grouped(hunt.findings)),
        _ => grouped(hunt.findings),
    }
}

fn remarks(report: &Report, hunt: &HuntReport) -> Vec<String> {
    let mut lines = Vec::new();
    let name = prose(&hunt.name);
    if hunt.truncated {
        lines.push(format!(
            "- {name}: more findings than the job's limit; the rest was cut"
        ));
    }
    let blind = report.blind_on(hunt);
    if !blind.is_empty() {
        let tables: Vec<String> = blind.into_iter().map(code).collect();
        lines.push(format!("- {name}: no data in {}", tables.join(", ")));
    }
    lines
}

const fn state(state: HuntState) -> &'static str {
    match state {
        HuntState::Complete => "complete",
        HuntState::Partial => "partial",
        HuntState::Failed => "failed",
        HuntState::Skipped => "skipped",
    }
}

fn tables(page: &mut Page, report: &Report) {
    page.heading("## What was read");
    if report.tables.is_empty() {
        page.line("Nothing.");
        return;
    }
    page.line("| table | files | bytes | rows | in the window | wanted by a hunt | quarantined | newest event |");
    page.line("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for table in &report.tables {
        page.row(&[
            prose(&table.name),
            format!(
                "{} of {}",
                grouped(table.files_read),
                grouped(table.files_total)
            ),
            bytes(table.bytes_read),
            grouped(table.rows_read),
            if table.no_data {
                "**no data**".to_owned()
            } else {
                grouped(table.rows_in_window)
            },
            grouped(table.rows_matched),
            grouped(table.quarantined),
            table
                .newest_event
                .map_or_else(|| "none".to_owned(), instant),
        ]);
    }
    if report.tables.iter().any(|table| table.quarantined > 0) {
        page.line("");
        page.line(
            "Quarantined lines are in the output's `quarantine/` with their place and the reason.",
        );
    }
    for table in &report.tables {
        lost(page, table);
    }
    for table in &report.tables {
        type_conflicts(page, table);
    }
}

fn lost(page: &mut Page, table: &TableReport) {
    if table.lost.is_empty() {
        return;
    }
    page.line("");
    page.line(&format!(
        "{} of {} could not be read:",
        count(table.lost.len(), "file"),
        code(&table.name)
    ));
    page.line("");
    for file in table.lost.iter().take(ITEMS_SHOWN) {
        page.line(&format!("- {}: {}", code(&file.file), code(&file.reason)));
    }
    and_more(page, table.lost.len());
}

fn type_conflicts(page: &mut Page, table: &TableReport) {
    if table.type_conflicts.is_empty() {
        return;
    }
    page.line("");
    page.line(&format!(
        "Values of {} that did not have the declared type and were read as NULL:",
        code(&table.name)
    ));
    page.line("");
    for (column, number) in table.type_conflicts.iter().take(ITEMS_SHOWN) {
        page.line(&format!("- {}: {}", code(column), grouped(*number)));
    }
    and_more(page, table.type_conflicts.len());
}

fn and_more(page: &mut Page, total: usize) {
    let more = total.saturating_sub(ITEMS_SHOWN);
    if more > 0 {
        page.line(&format!("- and {} more", grouped(more as u64)));
    }
}

fn notes(page: &mut Page, report: &Report) {
    if report.notes.is_empty() {
        return;
    }
    page.heading("## Notes");
    for note in &report.notes {
        page.line(&format!("- {}", code(note)));
    }
}

/// A cell of a table that carries telemetry.
pub fn cell(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // A bar ends a cell, in code too.
    code(text).replace('|', "\\|")
}

/// What question of a ticket an entity answers.
#[derive(PartialEq, Eq)]
enum Kinds {
    Actor,
    Place,
    Other,
}

impl Kinds {
    fn of(entity: &Entity) -> Self {
        match entity.kind.to_ascii_lowercase().as_str() {
            "user" | "account" | "identity" | "principal" | "sid" => Self::Actor,
            "host" | "ip" | "device" | "source_ip" | "destination_ip" | "domain" => Self::Place,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{alert, empty, full, hostile, hunt};

    #[test]
    fn a_ticket_reads_from_the_verdict_down() {
        insta::assert_snapshot!(render(&full()), @r#"
        # nightly: 2026-01-03T00:00:00Z to 2026-01-04T00:00:00Z

        **1 new alert (1 critical), 1 repeat, 1 excepted; 1 hunt failed; 1 hunt partial; 1 hunt had no data; 1 file lost.**

        Lake `../data/lake.yaml`, lakehunt 0.1.0.

        ## Incidents

        - host `WS-01`: 2026-01-03T10:00:00Z to 10:05:00Z, 2 alerts (1 critical, 1 medium), 1 new, risk 64

        ## Alerts

        ### 1. CRITICAL: Suspected WMIExec abuse (new)

        - Message: `5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01`
        - Who: user `CORP\anna`
        - Where: host `WS-01`
        - When: 2026-01-03T10:00:00Z to 10:05:00Z (5 events, 1 finding)
        - Risk: 64
        - Techniques: [T1047](https://attack.mitre.org/techniques/T1047/), [T1021.002](https://attack.mitre.org/techniques/T1021/002/)
        - Evidence:
          - `sysmon`, file `day=2026-01-03/a.ndjson.gz`, row 12
          - and 4 more in the alert
        - Hunt `wmiexec`, alert `a1`, group `group-a1`

        ### 2. MEDIUM: Suspected WMIExec abuse (repeat)

        - Message: `5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01`
        - Who: user `CORP\anna`
        - Where: host `WS-01`
        - When: 2026-01-03T10:00:00Z to 10:05:00Z (5 events, 1 finding)
        - Techniques: [T1047](https://attack.mitre.org/techniques/T1047/), [T1021.002](https://attack.mitre.org/techniques/T1021/002/)
        - Evidence:
          - `sysmon`, file `day=2026-01-03/a.ndjson.gz`, row 12
          - and 4 more in the alert
        - Hunt `wmiexec`, alert `b2`, group `group-b2`

        ### 3. HIGH: Suspected WMIExec abuse (excepted)

        - Message: `5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01`
        - Who: user `CORP\anna`
        - Where: host `WS-01`
        - When: 2026-01-03T10:00:00Z to 10:05:00Z (5 events, 1 finding)
        - Risk: 64
        - Techniques: [T1047](https://attack.mitre.org/techniques/T1047/), [T1021.002](https://attack.mitre.org/techniques/T1021/002/)
        - Excepted by: `backup server`
        - Evidence:
          - `sysmon`, file `day=2026-01-03/a.ndjson.gz`, row 12
          - and 4 more in the alert
        - Hunt `wmiexec`, alert `c3`, group `group-c3`

        ## Hunts

        | hunt | level | status | answer | findings | new | repeat | excepted |
        | --- | --- | --- | --- | ---: | ---: | ---: | ---: |
        | logons | high | stable | **no findings in what was read** | 0 | 0 | 0 | 0 |
        | quiet | medium | stable | no findings | 0 | 0 | 0 | 0 |
        | tunnel | high | stable | **no data** | n/a | 0 | 0 | 0 |
        | wide_join | high | stable | **failed** | n/a | 0 | 0 | 0 |
        | wmiexec | high | stable | findings | 1,203 | 1 | 1 | 1 |

        - wide_join (failed): `over the limit of 2 GiB`
        - logons (partial): `1 file of sysmon was lost`
        - logons: no data in `dns`
        - tunnel: no data in `dns`

        ## What was read

        | table | files | bytes | rows | in the window | wanted by a hunt | quarantined | newest event |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
        | dns | 0 of 0 | 0 B | 0 | **no data** | 0 | 0 | none |
        | sysmon | 3 of 4 | 1.5 MiB | 120,000 | 40,000 | 17 | 3 | 2026-01-03T23:59:58Z |

        Quarantined lines are in the output's `quarantine/` with their place and the reason.

        1 file of `sysmon` could not be read:

        - `day=2026-01-03/b.parquet`: `no footer`

        Values of `sysmon` that did not have the declared type and were read as NULL:

        - `process_id`: 7

        ## Notes

        - `the store refuses conditional puts`
        "#);
    }

    #[test]
    fn nothing_found_and_no_data_read_differently() {
        let mut report = empty();
        report.hunts = vec![hunt("quiet")];
        let clean = render(&report);
        report.hunts[0].no_data = true;
        let no_data = render(&report);
        assert!(clean.contains("**No findings in 1 hunt.**"));
        assert!(clean.contains("| no findings | 0 |"));
        assert!(no_data.contains("**No data: 1 hunt read no event in the window.**"));
        assert!(no_data.contains("| **no data** | n/a |"));
        assert!(!no_data.contains("o findings"));
    }

    #[test]
    fn an_alert_of_alerts_tells_their_story_and_the_sum() {
        let mut report = empty();
        report.alerts = vec![AlertReport {
            risk_score: None,
            risk_sum: Some(919),
            story: (0..23).map(|number| format!("+40 `{number}`")).collect(),
            ..alert("a")
        }];
        let page = render(&report);
        assert!(page.contains("\n- Risk: 919, of other alerts\n"));
        assert!(page.contains("\n- Story:\n  - `` +40 `0` ``\n"), "{page}");
        assert!(page.contains("\n  - and 3 more\n"));
        assert!(!page.contains("## Incidents"));
    }

    /// Markdown without its code spans, found by CommonMark's rule: a run of backticks closes at the next run as long.
    fn outside_code(line: &str) -> String {
        let mut outside = String::new();
        let mut rest = line;
        while let Some(start) = rest.find('`') {
            let (before, from) = rest.split_at(start);
            if before.ends_with('\\') {
                outside.push_str(before);
                outside.push('`');
                rest = &from[1..];
                continue;
            }
            outside.push_str(before);
            let length = from.len() - from.trim_start_matches('`').len();
            let body = &from[length..];
            let mut position = 0;
            let mut close = None;
            while let Some(found) = body[position..].find('`') {
                let at = position + found;
                let run = body[at..].len() - body[at..].trim_start_matches('`').len();
                if run == length {
                    close = Some(at + run);
                    break;
                }
                position = at + run;
            }
            rest = &body[close.unwrap_or_else(|| panic!("no end of the code span in {line}"))..];
        }
        outside.push_str(rest);
        outside
    }

    #[test]
    fn telemetry_forms_no_markup_and_no_line() {
        let kind = full();
        let bad = hostile();
        let page = render(&bad);
        assert!(!page.contains("\n# All clear"));
        assert!(
            page.lines()
                .all(|line| !line.contains(crate::report::visible::is_active))
        );
        assert_eq!(
            page.lines().filter(|line| line.starts_with('#')).count(),
            render(&kind)
                .lines()
                .filter(|line| line.starts_with('#'))
                .count()
        );
        for line in page.lines() {
            let outside = outside_code(line);
            for markup in ["<script", "[x](", "@everyone", "http://evil"] {
                assert!(!outside.contains(markup), "{markup} in {line}");
            }
            if line.starts_with('|') {
                let bars = outside
                    .replace("\\\\", "")
                    .replace("\\|", "")
                    .matches('|')
                    .count();
                assert_eq!(bars, 9, "{line}");
            }
        }
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let mut report = empty();
        report.alerts = (0..130).map(|number| alert(&number.to_string())).collect();
        report.alerts[0].evidence_total = 100;
        report.alerts[0].evidence_truncated = true;
        let page = render(&report);
        assert_eq!(page.matches("\n### ").count(), 100);
        assert!(page.contains("And 30 more: in the JSON form of this summary."));
        assert!(page.contains("  - and 99 more in the alert, and others that were not kept"));
    }
}
