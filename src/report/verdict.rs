//! What a report comes to: counts, the one-line verdict, the exit code. Made from the model alone.

use super::figures::{count, grouped};
use super::{Answer, HuntReport, HuntState, Level, Report, WORST_FIRST};

impl Report {
    /// Of the tables a hunt reads, those without an event in the window: where the hunt is blind.
    pub fn blind_on<'a>(&self, hunt: &'a HuntReport) -> Vec<&'a str> {
        hunt.tables
            .iter()
            .map(String::as_str)
            .filter(|name| self.table_is_empty(name))
            .collect()
    }

    /// How many hunts give this answer.
    pub fn hunts_that(&self, answer: Answer) -> usize {
        self.hunts
            .iter()
            .filter(|hunt| hunt.answer() == answer)
            .count()
    }

    /// How many new alerts there are of exactly this level.
    pub fn new_alerts(&self, level: Level) -> usize {
        self.alerts
            .iter()
            .filter(|alert| alert.is_new() && alert.level == level)
            .count()
    }

    /// How many files were lost, over all tables.
    pub fn lost_files(&self) -> usize {
        self.tables.iter().map(|table| table.lost.len()).sum()
    }

    /// True when something failed or was not read in full: the run ends with exit code 1.
    pub fn is_incomplete(&self) -> bool {
        self.lost_files() > 0
            || self
                .hunts
                .iter()
                .any(|hunt| matches!(hunt.state, HuntState::Failed | HuntState::Partial))
    }

    /// The exit code of the run: 1 when it is incomplete, else 3 when a new alert is at or above `fail_on`, else 0.
    pub fn exit_code(&self, fail_on: Option<Level>) -> u8 {
        if self.is_incomplete() {
            return 1;
        }
        let reached = fail_on.is_some_and(|least| {
            self.alerts
                .iter()
                .any(|alert| alert.is_new() && alert.level >= least)
        });
        if reached { 3 } else { 0 }
    }

    /// The whole report in one line, without a full stop: alerts first, then what limits the answer.
    pub fn verdict(&self) -> String {
        let mut parts = vec![self.verdict_on_alerts()];
        let failed = self.hunts_that(Answer::Failed);
        if failed > 0 {
            parts.push(format!("{} failed", count(failed, "hunt")));
        }
        let partial = self
            .hunts
            .iter()
            .filter(|hunt| hunt.state == HuntState::Partial)
            .count();
        if partial > 0 {
            parts.push(format!("{} partial", count(partial, "hunt")));
        }
        let skipped = self.hunts_that(Answer::Skipped);
        if skipped > 0 {
            parts.push(format!("{} skipped", count(skipped, "hunt")));
        }
        let without_data = self.hunts_that(Answer::NoData);
        if without_data > 0 && without_data < self.hunts.len() {
            parts.push(format!("{} had no data", count(without_data, "hunt")));
        }
        if self.lost_files() > 0 {
            parts.push(format!("{} lost", count(self.lost_files(), "file")));
        }
        parts.join("; ")
    }

    fn verdict_on_alerts(&self) -> String {
        let new = self.alerts.iter().filter(|alert| alert.is_new()).count();
        let excepted = self
            .alerts
            .iter()
            .filter(|alert| alert.excepted_by.is_some())
            .count();
        let repeats = self.alerts.len() - new - excepted;
        if self.alerts.is_empty() {
            return self.verdict_without_alerts();
        }
        let mut parts = Vec::new();
        if new > 0 {
            let levels: Vec<String> = WORST_FIRST
                .into_iter()
                .map(|level| (self.new_alerts(level), level))
                .filter(|(number, _)| *number > 0)
                .map(|(number, level)| format!("{} {}", grouped(number as u64), level.as_str()))
                .collect();
            parts.push(format!(
                "{} ({})",
                count(new, "new alert"),
                levels.join(", ")
            ));
        } else {
            parts.push("No new alerts".to_owned());
        }
        if repeats > 0 {
            parts.push(count(repeats, "repeat"));
        }
        if excepted > 0 {
            parts.push(format!("{} excepted", grouped(excepted as u64)));
        }
        parts.join(", ")
    }

    fn verdict_without_alerts(&self) -> String {
        let hunts = self.hunts.len();
        let answered =
            self.hunts_that(Answer::NothingFound) + self.hunts_that(Answer::NothingFoundButPartial);
        if self.hunts_that(Answer::Found) > 0 {
            // Findings without an alert do not happen in a run; a hand-made report must not read as clean all the same.
            return "Findings, but no alerts".to_owned();
        }
        if hunts == 0 {
            return "No hunt was run".to_owned();
        }
        if answered > 0 {
            return format!("No findings in {}", count(answered, "hunt"));
        }
        if self.hunts_that(Answer::NoData) == hunts {
            return format!(
                "No data: {} read no event in the window",
                count(hunts, "hunt")
            );
        }
        "No hunt gave an answer".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{alert, empty, hunt, table};
    use crate::report::{AlertReport, LostFile, TableReport};

    #[test]
    fn the_verdict_names_alerts_and_limits() {
        let mut report = empty();
        assert_eq!(report.verdict(), "No hunt was run");
        report.hunts = vec![HuntReport {
            no_data: true,
            ..hunt("a")
        }];
        assert_eq!(
            report.verdict(),
            "No data: 1 hunt read no event in the window"
        );
        report.hunts.push(hunt("b"));
        assert_eq!(
            report.verdict(),
            "No findings in 1 hunt; 1 hunt had no data"
        );
        report.hunts.push(HuntReport {
            state: HuntState::Failed,
            ..hunt("c")
        });
        report.alerts = vec![
            AlertReport {
                level: Level::Critical,
                ..alert("1")
            },
            AlertReport {
                level: Level::Low,
                ..alert("2")
            },
            AlertReport {
                repeat: true,
                ..alert("3")
            },
            AlertReport {
                excepted_by: Some("known".to_owned()),
                repeat: true,
                ..alert("4")
            },
        ];
        assert_eq!(
            report.verdict(),
            "2 new alerts (1 critical, 1 low), 1 repeat, 1 excepted; 1 hunt failed; 1 hunt had no data"
        );
        report.alerts.drain(..2);
        assert!(
            report
                .verdict()
                .starts_with("No new alerts, 1 repeat, 1 excepted; ")
        );
        report.alerts.clear();
        report.hunts = vec![HuntReport {
            state: HuntState::Failed,
            ..hunt("c")
        }];
        assert_eq!(report.verdict(), "No hunt gave an answer; 1 hunt failed");
    }

    #[test]
    fn a_failure_outweighs_an_alert_in_the_exit_code() {
        let mut report = empty();
        report.hunts = vec![hunt("a")];
        assert_eq!(report.exit_code(Some(Level::Low)), 0);
        report.alerts = vec![AlertReport {
            level: Level::Medium,
            ..alert("1")
        }];
        assert_eq!(report.exit_code(None), 0);
        assert_eq!(report.exit_code(Some(Level::High)), 0);
        assert_eq!(report.exit_code(Some(Level::Medium)), 3);
        report.alerts[0].repeat = true;
        assert_eq!(report.exit_code(Some(Level::Medium)), 0);
        report.alerts[0].repeat = false;
        let lost = LostFile {
            file: "x".to_owned(),
            reason: "cut".to_owned(),
        };
        report.tables = vec![TableReport {
            lost: vec![lost],
            ..table("t")
        }];
        assert_eq!(report.exit_code(Some(Level::Medium)), 1);
        report.tables.clear();
        report.hunts[0].state = HuntState::Skipped;
        assert_eq!(
            report.exit_code(None),
            0,
            "a tile somebody else holds is no failure"
        );
    }
}
