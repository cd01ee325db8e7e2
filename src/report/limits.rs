//! Which hunts did not see everything, and why: one reason that many share is said once.

use super::{HuntReport, HuntState, Report};

/// Hunts named before they are only counted.
const NAMED: usize = 3;

/// Hunts that are not complete for one and the same reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Limited<'a> {
    pub(super) state: HuntState,
    pub(super) reason: &'a str,
    /// Their names, in order; never empty.
    pub(super) hunts: Vec<&'a str>,
}

impl Limited<'_> {
    /// The names, each as `shown`; of many only the number.
    pub(super) fn named(&self, shown: impl Fn(&str) -> String) -> String {
        if self.hunts.len() > NAMED {
            return super::figures::count(self.hunts.len(), "hunt");
        }
        let names: Vec<String> = self.hunts.iter().map(|name| shown(name)).collect();
        names.join(", ")
    }
}

impl Report {
    /// What gave a reason: failed hunts, each for itself, then partial and skipped ones by their reasons, those of most
    /// hunts first.
    pub(super) fn limited_hunts(&self) -> Vec<Limited<'_>> {
        let mut limited: Vec<Limited<'_>> = Vec::new();
        for hunt in &self.hunts {
            let HuntReport { state, reason, .. } = hunt;
            let Some(reason) = reason.as_deref().or(no_reason(*state)) else {
                continue;
            };
            let same = limited.iter_mut().find(|other| {
                *state != HuntState::Failed && other.state == *state && other.reason == reason
            });
            match same {
                Some(same) => same.hunts.push(&hunt.name),
                None => limited.push(Limited {
                    state: *state,
                    reason,
                    hunts: vec![&hunt.name],
                }),
            }
        }
        limited.sort_by_key(|one| {
            let place = match one.state {
                HuntState::Failed => 0,
                HuntState::Partial => 1,
                HuntState::Skipped => 2,
                HuntState::Complete => 3,
            };
            (place, std::cmp::Reverse(one.hunts.len()))
        });
        limited
    }
}

/// What failed or is partial is told without a reason, too.
const fn no_reason(state: HuntState) -> Option<&'static str> {
    match state {
        HuntState::Failed | HuntState::Partial => Some(""),
        HuntState::Complete | HuntState::Skipped => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{empty, hunt};

    #[test]
    fn one_reason_of_many_hunts_is_said_once_and_failures_come_first() {
        let mut report = empty();
        let with = |name: &str, state, reason: &str| HuntReport {
            state,
            reason: Some(reason.to_owned()),
            ..hunt(name)
        };
        for name in ["a", "b", "c", "d"] {
            report
                .hunts
                .push(with(name, HuntState::Partial, "1 of 5 files"));
        }
        report.hunts.push(with("e", HuntState::Partial, "cut"));
        report.hunts.push(with("f", HuntState::Failed, "memory"));
        report.hunts.push(with("g", HuntState::Failed, "memory"));
        report.hunts.push(hunt("h"));
        let said: Vec<String> = report
            .limited_hunts()
            .iter()
            .map(|one| format!("{}: {}", one.named(str::to_owned), one.reason))
            .collect();
        assert_eq!(
            said,
            ["f: memory", "g: memory", "4 hunts: 1 of 5 files", "e: cut"]
        );
    }
}
