//! What `lakehunt test` says: text for people, JSON for programs, `JUnit` XML for CI.
//!
//! Pure: outcomes in, text out.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hunt::Status;
use crate::hunt::fixture::Problem;
use crate::report::visible::{is_active, neutral};

/// What became of one hunt and its fixture.
#[derive(Debug)]
pub struct Outcome {
    /// The path of the hunt and of its fixture: `hunts/windows/process_creation/wmic_format`.
    pub inside: String,
    /// The folder of the fixture.
    pub fixture: Option<PathBuf>,
    /// Of the hunt, where there is one.
    pub status: Option<Status>,
    /// How it ended.
    pub verdict: Verdict,
    /// Events of the fixture.
    pub events: usize,
    /// What the hunt found in them.
    pub findings: usize,
    /// Whether the expected findings were written anew.
    pub accepted: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// How a fixture ended.
#[derive(Debug)]
pub enum Verdict {
    /// The hunt finds what it should.
    Passed,
    /// It does not, for these reasons.
    Failed(Vec<Problem>),
    /// There is nothing to run.
    NoFixture,
}

impl Verdict {
    /// Whether it makes the command fail.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NoFixture => "no fixture",
        }
    }
}

impl Outcome {
    /// The name of the hunt.
    fn hunt(&self) -> &str {
        self.inside.rsplit('/').next().unwrap_or(&self.inside)
    }

    /// Product and category of the hunt: `windows.process_creation`.
    fn class(&self) -> String {
        let inside = self.inside.strip_prefix("hunts/").unwrap_or(&self.inside);
        let folders = inside.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.replace('/', ".")
    }

    fn problems(&self) -> &[Problem] {
        match &self.verdict {
            Verdict::Failed(problems) => problems,
            _ => &[],
        }
    }
}

/// How many there are of each.
struct Counts {
    passed: usize,
    failed: usize,
    without: usize,
    accepted: usize,
}

impl Counts {
    fn of(outcomes: &[Outcome]) -> Self {
        let count = |what: fn(&Outcome) -> bool| outcomes.iter().filter(|one| what(one)).count();
        Self {
            passed: count(|one| matches!(one.verdict, Verdict::Passed)),
            failed: count(|one| one.verdict.is_failed()),
            without: count(|one| matches!(one.verdict, Verdict::NoFixture)),
            accepted: count(|one| one.accepted),
        }
    }
}

/// For people: a line per hunt, what is wrong below it, the counts at the end.
pub(super) fn text(outcomes: &[Outcome], color: bool) -> String {
    let paint = |text: &str, code: &str| {
        if color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let mut text = String::new();
    for outcome in outcomes {
        let word = format!("{:10}", outcome.verdict.word());
        let word = match outcome.verdict {
            Verdict::Passed => paint(&word, "32"),
            Verdict::Failed(_) => paint(&word, "1;31"),
            Verdict::NoFixture => paint(&word, "33"),
        };
        let accepted = if outcome.accepted {
            "  (expected findings rewritten)"
        } else {
            ""
        };
        let inside = outcome.inside.strip_prefix("hunts/");
        let inside = neutral(inside.unwrap_or(&outcome.inside));
        let _ = writeln!(text, "{word}  {inside}{accepted}");
        for problem in outcome.problems() {
            let _ = writeln!(text, "  {}", neutral(&problem.message));
            for line in &problem.details {
                let shown = neutral(line);
                let shown = match line.get(..2) {
                    Some("- ") => paint(&shown, "31"),
                    Some("+ ") => paint(&shown, "32"),
                    _ => shown.into_owned(),
                };
                let _ = writeln!(text, "    {shown}");
            }
        }
    }
    let counts = Counts::of(outcomes);
    if !outcomes.is_empty() {
        text.push('\n');
    }
    let failed = format!("{} failed", counts.failed);
    let _ = write!(
        text,
        "{} passed, {}, {} without a fixture",
        counts.passed,
        if counts.failed > 0 {
            paint(&failed, "1;31")
        } else {
            failed
        },
        counts.without
    );
    if counts.accepted > 0 {
        let _ = write!(text, ", {} rewritten", counts.accepted);
    }
    text.push('\n');
    text
}

/// For programs.
pub(super) fn json(outcomes: &[Outcome]) -> Value {
    let counts = Counts::of(outcomes);
    let hunts: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let problems = outcome.problems().iter().map(ToString::to_string);
            json!({
                "hunt": outcome.hunt(),
                "status": outcome.status,
                "result": outcome.verdict.word().replace(' ', "_"),
                "fixture": outcome.fixture.as_ref().map(|folder| folder.display().to_string()),
                "events": outcome.events,
                "findings": outcome.findings,
                "rewritten": outcome.accepted,
                "problems": problems.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "passed": counts.passed,
        "failed": counts.failed,
        "without_fixture": counts.without,
        "rewritten": counts.accepted,
        "hunts": hunts,
    })
}

/// For CI, as `JUnit` writes it: one suite, one case per hunt, its class the product and category.
pub(super) fn junit(outcomes: &[Outcome]) -> String {
    let counts = Counts::of(outcomes);
    let time: Duration = outcomes.iter().map(|outcome| outcome.elapsed).sum();
    let sums = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
        outcomes.len(),
        counts.failed,
        counts.without,
        time.as_secs_f64()
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {sums}>\n  <testsuite name=\"lakehunt test\" {sums}>\n"
    );
    for outcome in outcomes {
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escaped(&outcome.class()),
            escaped(outcome.hunt()),
            outcome.elapsed.as_secs_f64()
        );
        let _ = match &outcome.verdict {
            Verdict::Passed => writeln!(xml, "/>"),
            Verdict::NoFixture => {
                writeln!(xml, "><skipped message=\"no fixture\"/></testcase>")
            }
            Verdict::Failed(problems) => {
                let first = problems.first().map_or("", |problem| &problem.message);
                let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
                writeln!(
                    xml,
                    "><failure message=\"{}\">{}</failure></testcase>",
                    escaped(first),
                    escaped(&all.join("\n"))
                )
            }
        };
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text as XML holds it. What acts or hides is shown as an escape: most control characters cannot stand in XML at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ if is_active(character) => {
                escaped.push_str(&neutral(character.encode_utf8(&mut [0; 4])));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(inside: &str, verdict: Verdict) -> Outcome {
        Outcome {
            inside: inside.to_owned(),
            fixture: None,
            status: None,
            verdict,
            events: 2,
            findings: 1,
            accepted: false,
            elapsed: Duration::from_millis(1500),
        }
    }

    fn outcomes() -> Vec<Outcome> {
        let problem = Problem {
            message: "a.ndjson:1: odd & <wrong>".to_owned(),
            details: vec!["- a: \"\u{1b}[2J\u{ffff}\"".to_owned(), "+ a: 1".to_owned()],
        };
        vec![
            outcome("hunts/windows/process_creation/one", Verdict::Passed),
            outcome("hunts/network/dce_rpc/two", Verdict::Failed(vec![problem])),
            outcome("hunts/network/dce_rpc/three", Verdict::NoFixture),
        ]
    }

    #[test]
    fn people_see_what_is_wrong_below_the_hunt() {
        assert_eq!(
            text(&outcomes(), false),
            "passed      windows/process_creation/one\n\
             failed      network/dce_rpc/two\n  \
               a.ndjson:1: odd & <wrong>\n    - a: \"\\x1b[2J\u{ffff}\"\n    + a: 1\n\
             no fixture  network/dce_rpc/three\n\n\
             1 passed, 1 failed, 1 without a fixture\n"
        );
        let painted = text(&outcomes(), true);
        assert!(painted.contains("\u{1b}[32m+ a: 1\u{1b}[0m"), "{painted:?}");
        assert!(!painted.contains("\u{1b}[2J"), "{painted:?}");
    }

    #[test]
    fn programs_get_counts_and_words() {
        let json = json(&outcomes());
        assert_eq!(json["without_fixture"], 1);
        assert_eq!(json["hunts"][2]["result"], "no_fixture");
        assert_eq!(json["hunts"][1]["hunt"], "two");
        assert_eq!(json["hunts"][0]["problems"], json!([]));
    }

    #[test]
    fn junit_is_well_formed_whatever_the_events_hold() {
        let sums = "tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"4.500\"";
        let case = "time=\"1.500\"";
        assert_eq!(
            junit(&outcomes()),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                 <testsuites {sums}>\n  <testsuite name=\"lakehunt test\" {sums}>\n    \
                 <testcase classname=\"windows.process_creation\" name=\"one\" {case}/>\n    \
                 <testcase classname=\"network.dce_rpc\" name=\"two\" {case}>\
                 <failure message=\"a.ndjson:1: odd &amp; &lt;wrong&gt;\">a.ndjson:1: odd &amp; &lt;wrong&gt;\n  \
                 - a: &quot;\\x1b[2J\u{fffd}&quot;\n  + a: 1</failure></testcase>\n    \
                 <testcase classname=\"network.dce_rpc\" name=\"three\" {case}>\
                 <skipped message=\"no fixture\"/></testcase>\n  </testsuite>\n</testsuites>\n"
            )
        );
    }
}
