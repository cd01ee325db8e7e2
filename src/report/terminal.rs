//! The report as terminal text: what `run` prints when it is done. Aligned, coloured by level where colour is on.
//!
//! It must not know whether there is a terminal: colour and width come in as [`Style`]. The colours are the only escape
//! sequences in it; those of telemetry are shown, not sent.

use std::time::Duration;

pub use super::layout::Style;

use super::figures::{amount, bytes, count, grouped, instant, span};
use super::layout::{Grid, Paint, Text};
use super::{AlertReport, Answer, HuntReport, HuntState, Report, TableReport, WORST_FIRST};

/// How many alerts are printed; the summary files have more.
const ALERTS_SHOWN: usize = 20;
/// Below this many columns the layout makes no sense; the terminal wraps it then.
const LEAST_WIDTH: usize = 40;
/// How many lost files of a table are printed.
const LOST_SHOWN: usize = 5;

/// What the run knows and the model must not: it differs between two runs over the same tile.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// How long the run took.
    pub elapsed: Duration,
    /// The most memory it had, in bytes, where that is known.
    pub peak: Option<u64>,
    /// Where the summary files are, for the reader to open.
    pub summary: Option<&'a str>,
    /// The exit code the process will end with ([`Report::exit_code`]).
    pub exit_code: u8,
}

/// The report as text, with a line end.
///
/// ```text
/// nightly  2026-01-03T00:00:00Z to 2026-01-04T00:00:00Z  lake ../data/lake.yaml
/// 1 new alert (1 high)
/// ```
pub fn render(report: &Report, style: Style, ending: Ending<'_>) -> String {
    let width = style.width.max(LEAST_WIDTH);
    let mut text = Text::new(Style { width, ..style });
    text.line(&[
        (report.job.as_str(), Paint::Bold),
        (
            &format!(
                "  {} to {}  lake {}",
                instant(report.window_start),
                instant(report.window_end),
                report.lake
            ),
            Paint::Plain,
        ),
    ]);
    text.whole(&report.verdict(), verdict_paint(report));
    alerts(&mut text, report, ending);
    hunts(&mut text, report);
    tables(&mut text, report);
    if !report.notes.is_empty() {
        text.blank();
    }
    for note in &report.notes {
        text.wrapped(&format!("note: {note}"));
    }
    text.blank();
    ending_lines(&mut text, report, ending);
    text.finish()
}

fn alerts(text: &mut Text, report: &Report, ending: Ending<'_>) {
    for alert in report.alerts.iter().take(ALERTS_SHOWN) {
        text.blank();
        one_alert(text, alert);
    }
    let more = report.alerts.len().saturating_sub(ALERTS_SHOWN);
    if more > 0 {
        text.blank();
        let place = ending.summary.unwrap_or("the JSON form of this report");
        text.whole(
            &format!("and {} more: see {place}", grouped(more as u64)),
            Paint::Plain,
        );
    }
}

fn one_alert(text: &mut Text, alert: &AlertReport) {
    let mut tail = format!("  {}", alert.standing());
    if let Some(exception) = &alert.excepted_by {
        tail = format!("{tail} by {exception}");
    }
    if let Some(score) = alert.shown_risk() {
        tail = format!("  risk {score}{tail}");
    }
    text.line(&[
        (
            &format!("{:<8}  ", alert.level.as_str().to_uppercase()),
            Paint::Level(alert.level),
        ),
        (&alert.title, Paint::Bold),
        (&tail, Paint::Dim),
    ]);
    let entities: Vec<String> = alert
        .entities
        .iter()
        .map(|entity| format!("{} {}", entity.kind, entity.value))
        .collect();
    if !entities.is_empty() {
        text.indented(&entities.join(", "));
    }
    text.indented(&alert.message);
    text.indented(&format!(
        "{}, {}, hunt {}",
        span(alert.first_seen, alert.last_seen),
        amount(alert.event_count, "event"),
        alert.hunt
    ));
}

fn hunts(text: &mut Text, report: &Report) {
    if report.hunts.is_empty() {
        return;
    }
    let mut grid = Grid::new(
        &[
            "hunt", "level", "findings", "new", "repeat", "excepted", "answer",
        ],
        &[2, 3, 4, 5],
    );
    for hunt in &report.hunts {
        let answered = matches!(
            hunt.answer(),
            Answer::Found | Answer::NothingFound | Answer::NothingFoundButPartial
        );
        // A zero beside "no data" would be read as an answer.
        let number = |value: u64| {
            if answered {
                grouped(value)
            } else {
                "-".to_owned()
            }
        };
        let findings = if hunt.truncated {
            format!("{}+", grouped(hunt.findings))
        } else {
            number(hunt.findings)
        };
        grid.row(vec![
            (hunt.name.clone(), Paint::Plain),
            (hunt.level.as_str().to_owned(), Paint::Level(hunt.level)),
            (findings, Paint::Plain),
            (number(hunt.alerts_new), Paint::Plain),
            (number(hunt.alerts_repeat), Paint::Plain),
            (number(hunt.alerts_excepted), Paint::Plain),
            answer(hunt),
        ]);
    }
    text.blank();
    text.grid(&grid);
    let limited = report.limited_hunts().into_iter();
    let mut lines: Vec<String> = limited
        .filter(|one| !one.reason.is_empty())
        .map(|one| format!("{}: {}", one.named(str::to_owned), one.reason))
        .collect();
    lines.extend(report.hunts.iter().flat_map(|hunt| remarks(report, hunt)));
    text.section_of(lines);
}

fn answer(hunt: &HuntReport) -> (String, Paint) {
    let answer = hunt.answer();
    let words = answer.as_str().to_owned();
    match answer {
        Answer::Found if hunt.state == HuntState::Partial => {
            (format!("{words}, partial"), Paint::Warning)
        }
        Answer::Found | Answer::NothingFound => (words, Paint::Plain),
        Answer::NothingFoundButPartial | Answer::NoData | Answer::Skipped => {
            (words, Paint::Warning)
        }
        Answer::Failed => (words, Paint::Failure),
    }
}

fn remarks(report: &Report, hunt: &HuntReport) -> Vec<String> {
    let mut lines = Vec::new();
    if hunt.truncated {
        lines.push(format!(
            "{}: more findings than the job's limit; the rest was cut",
            hunt.name
        ));
    }
    let blind = report.blind_on(hunt);
    if !blind.is_empty() {
        lines.push(format!("{}: no data in {}", hunt.name, blind.join(", ")));
    }
    lines
}

fn tables(text: &mut Text, report: &Report) {
    if report.tables.is_empty() {
        return;
    }
    let mut grid = Grid::new(
        &[
            "table",
            "files",
            "bytes",
            "rows",
            "in window",
            "wanted",
            "quarantined",
            "newest event",
        ],
        &[1, 2, 3, 4, 5, 6],
    );
    for table in &report.tables {
        let quarantine = if table.quarantined > 0 {
            Paint::Warning
        } else {
            Paint::Plain
        };
        grid.row(vec![
            (table.name.clone(), Paint::Plain),
            (
                format!(
                    "{}/{}",
                    grouped(table.files_read),
                    grouped(table.files_total)
                ),
                Paint::Plain,
            ),
            (bytes(table.bytes_read), Paint::Plain),
            (grouped(table.rows_read), Paint::Plain),
            if table.no_data {
                ("no data".to_owned(), Paint::Warning)
            } else {
                (grouped(table.rows_in_window), Paint::Plain)
            },
            (grouped(table.rows_matched), Paint::Plain),
            (grouped(table.quarantined), quarantine),
            (
                table
                    .newest_event
                    .map_or_else(|| "none".to_owned(), instant),
                Paint::Plain,
            ),
        ]);
    }
    text.blank();
    text.grid(&grid);
    text.section_of(report.tables.iter().flat_map(losses).collect());
}

fn losses(table: &TableReport) -> Vec<String> {
    let mut lines: Vec<String> = table
        .lost
        .iter()
        .take(LOST_SHOWN)
        .map(|lost| format!("{}: lost {}: {}", table.name, lost.file, lost.reason))
        .collect();
    let more = table.lost.len().saturating_sub(LOST_SHOWN);
    if more > 0 {
        lines.push(format!(
            "{}: and {} more lost",
            table.name,
            count(more, "file")
        ));
    }
    if !table.type_conflicts.is_empty() {
        let columns: Vec<String> = table
            .type_conflicts
            .iter()
            .map(|(column, number)| format!("{column} {}", grouped(*number)))
            .collect();
        lines.push(format!(
            "{}: not of the declared type, read as NULL: {}",
            table.name,
            columns.join(", ")
        ));
    }
    lines
}

fn ending_lines(text: &mut Text, report: &Report, ending: Ending<'_>) {
    let sum =
        |of: fn(&TableReport) -> u64| report.tables.iter().map(of).fold(0, u64::saturating_add);
    let peak = ending
        .peak
        .map_or_else(String::new, |peak| format!(", peak memory {}", bytes(peak)));
    text.line(&[(
        &format!(
            "read {}, {}, {} rows; {} quarantined; took {}{peak}",
            amount(sum(|table| table.files_read), "file"),
            bytes(sum(|table| table.bytes_read)),
            grouped(sum(|table| table.rows_read)),
            grouped(sum(|table| table.quarantined)),
            duration(ending.elapsed)
        ),
        Paint::Dim,
    )]);
    if let Some(summary) = ending.summary {
        text.whole(&format!("summary {summary}"), Paint::Dim);
    }
    let (meaning, paint) = match ending.exit_code {
        0 => ("everything ran", Paint::Plain),
        1 => (
            "something failed or was not read in full; the rest was published",
            Paint::Failure,
        ),
        2 => ("usage or configuration", Paint::Failure),
        3 => ("alerts at or above the level of --fail-on", Paint::Warning),
        _ => ("unexpected", Paint::Failure),
    };
    text.whole(&format!("exit {}: {meaning}", ending.exit_code), paint);
}

/// `0.4s`, `12.0s`, `3m 05s`, `2h 00m`.
fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        format!("{seconds}.{}s", elapsed.subsec_millis() / 100)
    } else if seconds < 3600 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

fn verdict_paint(report: &Report) -> Paint {
    let worst = WORST_FIRST
        .into_iter()
        .find(|level| report.new_alerts(*level) > 0);
    match worst {
        Some(level) => Paint::Level(level),
        None if report.is_incomplete() => Paint::Failure,
        None if report.hunts_that(Answer::NoData) > 0 => Paint::Warning,
        None => Paint::Bold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{alert, empty, full, hostile, hunt};
    use crate::report::visible::columns;

    const PLAIN: Style = Style {
        color: false,
        width: 100,
    };

    fn ending() -> Ending<'static> {
        Ending {
            elapsed: Duration::from_millis(3_250),
            peak: Some(130_023_424),
            summary: Some("out/summary/nightly/20260103T000000Z_20260104T000000Z.md"),
            exit_code: 1,
        }
    }

    #[test]
    fn a_run_reads_from_the_verdict_down() {
        insta::assert_snapshot!(render(&full(), PLAIN, ending()), @r#"
        nightly  2026-01-03T00:00:00Z to 2026-01-04T00:00:00Z  lake ../data/lake.yaml
        1 new alert (1 critical), 1 repeat, 1 excepted; 1 hunt failed; 1 hunt partial; 1 hunt had no data; 1 file lost

        CRITICAL  Suspected WMIExec abuse  risk 64  new
            host WS-01, user CORP\anna
            5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01
            2026-01-03T10:00:00Z to 10:05:00Z, 5 events, hunt wmiexec

        MEDIUM    Suspected WMIExec abuse  repeat
            host WS-01, user CORP\anna
            5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01
            2026-01-03T10:00:00Z to 10:05:00Z, 5 events, hunt wmiexec

        HIGH      Suspected WMIExec abuse  risk 64  excepted by backup server
            host WS-01, user CORP\anna
            5 commands through \\127.0.0.1\ADMIN$\__1767 on WS-01
            2026-01-03T10:00:00Z to 10:05:00Z, 5 events, hunt wmiexec

        hunt       level   findings  new  repeat  excepted  answer
        logons     high           0    0       0         0  no findings in what was read
        quiet      medium         0    0       0         0  no findings
        tunnel     high           -    -       -         -  no data
        wide_join  high           -    -       -         -  failed
        wmiexec    high       1,203    1       1         1  findings

        wide_join: over the limit of 2 GiB
        logons: 1 file of sysmon was lost
        logons: no data in dns
        tunnel: no data in dns

        table   files    bytes     rows  in window  wanted  quarantined  newest event
        dns       0/0      0 B        0    no data       0            0  none
        sysmon    3/4  1.5 MiB  120,000     40,000      17            3  2026-01-03T23:59:58Z

        sysmon: lost day=2026-01-03/b.parquet: no footer
        sysmon: not of the declared type, read as NULL: process_id 7

        note: the store refuses conditional puts

        read 3 files, 1.5 MiB, 120,000 rows; 3 quarantined; took 3.2s, peak memory 124.0 MiB
        summary out/summary/nightly/20260103T000000Z_20260104T000000Z.md
        exit 1: something failed or was not read in full; the rest was published
        "#);
    }

    #[test]
    fn colour_adds_escapes_and_changes_nothing_else() {
        let plain = render(&full(), PLAIN, ending());
        let coloured = render(
            &full(),
            Style {
                color: true,
                ..PLAIN
            },
            ending(),
        );
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains("\u{1b}[1;31mCRITICAL"));
        let mut stripped = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            let shown = if index == 0 {
                part
            } else {
                part.split_once('m').unwrap().1
            };
            stripped.push_str(shown);
        }
        let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }

    #[test]
    fn telemetry_reaches_the_terminal_only_as_text() {
        for width in [1, 40, 80, 300] {
            let text = render(
                &hostile(),
                Style {
                    color: false,
                    width,
                },
                ending(),
            );
            assert!(
                !text
                    .replace('\n', "")
                    .contains(super::super::visible::is_active)
            );
            assert!(!text.contains("\n# All clear"));
        }
        let text = render(
            &hostile(),
            Style {
                color: false,
                width: 300,
            },
            ending(),
        );
        assert!(text.contains(r"\x1b[2J"));
        assert!(text.contains(r"\u{202e}gpj.exe"));
    }

    #[test]
    fn lines_keep_to_the_width() {
        let mut report = full();
        report.alerts[0].message = format!("start {} end", "漢".repeat(5_000));
        report.tables.clear();
        let names: Vec<String> = (0..40).map(|number| format!("hunt_{number}")).collect();
        report.notes = vec![format!("{} and {}", names.join(", "), "漢".repeat(300))];
        for width in [80, 100, 133] {
            let text = render(
                &report,
                Style {
                    color: false,
                    width,
                },
                ending(),
            );
            let whole = ["1 new alert", "summary ", "exit "];
            for line in text
                .lines()
                .filter(|line| !whole.iter().any(|start| line.starts_with(start)))
            {
                assert!(columns(line) <= width, "{line}");
            }
            assert!(text.contains("start 漢") && text.contains("漢 end"));
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
        }
    }

    #[test]
    fn nothing_found_and_no_data_look_different() {
        let mut report = empty();
        report.hunts = vec![hunt("quiet")];
        let done = Ending {
            exit_code: 0,
            ..ending()
        };
        let clean = render(&report, PLAIN, done);
        report.hunts[0].no_data = true;
        let no_data = render(&report, PLAIN, done);
        assert!(clean.contains("No findings in 1 hunt") && clean.contains("  no findings\n"));
        assert!(
            no_data.contains("No data: 1 hunt read no event") && no_data.contains("  no data\n")
        );
        assert!(!no_data.contains("o findings"));
    }

    #[test]
    fn twenty_alerts_are_enough() {
        let mut report = empty();
        report.alerts = (0..1_050)
            .map(|number| alert(&number.to_string()))
            .collect();
        let text = render(&report, PLAIN, ending());
        assert_eq!(text.matches("HIGH  ").count(), 20);
        assert!(text.contains("and 1,030 more: see out/summary/nightly/2026"));
    }

    #[test]
    fn times_are_short() {
        let shown = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        assert_eq!(shown(0.449), "0.4s");
        assert_eq!(shown(59.99), "59.9s");
        assert_eq!(shown(185.0), "3m 05s");
        assert_eq!(shown(7_260.0), "2h 01m");
    }
}
