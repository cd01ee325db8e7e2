//! What `lakehunt evaluate` says: text for people, JSON for programs, Markdown for pages.
//!
//! Pure: scores in, text out.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::score::{Difference, Score};
use crate::report::visible::neutral;

/// How many unexplained missed and extra events of a hunt are listed when not all are asked for.
const SHOWN: usize = 10;

const HEADINGS: [&str; 8] = [
    "hunt",
    "labelled",
    "found",
    "missed",
    "extra",
    "explained",
    "recall",
    "precision",
];

/// A share as people read it. Only all is 100 %: what is nearly all is rounded down.
fn percent(share: Option<f64>) -> String {
    match share {
        None => "-".to_owned(),
        Some(share) => {
            let tenths = (share * 1000.0 + 1e-9).floor() / 10.0;
            format!("{tenths} %")
        }
    }
}

fn cells(score: &Score) -> [String; 8] {
    let labelled = |count: usize| match score.labelled {
        Some(_) => count.to_string(),
        None => "-".to_owned(),
    };
    [
        score.hunt.clone(),
        labelled(score.labelled.unwrap_or(0)),
        labelled(score.found),
        labelled(score.missed.len()),
        score.extra.len().to_string(),
        score.explained().to_string(),
        percent(score.recall()),
        percent(score.precision()),
    ]
}

/// For people: the table, then what is missed and extra, hunt by hunt.
pub(super) fn text(scores: &[Score], all: bool, color: bool) -> String {
    let head = HEADINGS.map(str::to_uppercase);
    let rows: Vec<_> = std::iter::once(head)
        .chain(scores.iter().map(cells))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let paint = |text: String, code: &str| {
        if color && !code.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text
        }
    };
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let code = match index.checked_sub(1).map(|index| &scores[index]) {
            None => "2",
            Some(score) if score.is_failed() => "31",
            Some(_) => "",
        };
        let (name, numbers) = (&row[0], &row[1..]);
        let mut line = format!("{name:width$}", width = widths[0]);
        for (cell, width) in numbers.iter().zip(&widths[1..]) {
            let _ = write!(line, "  {cell:>width$}");
        }
        let _ = writeln!(text, "{}", paint(line, code));
    }
    for score in scores {
        details(&mut text, score, all);
    }
    text
}

fn details(text: &mut String, score: &Score, all: bool) {
    let mut lines = Vec::new();
    if let Some(failure) = &score.failure {
        lines.push(format!("failed: {failure}"));
    }
    lines.extend(score.note.iter().cloned());
    if score.truncated > 0 {
        lines.push(format!(
            "{} of {} findings rest on more events than evidence() keeps: some of the missed may be found",
            score.truncated, score.findings
        ));
    }
    for (word, list) in [("missed", &score.missed), ("extra", &score.extra)] {
        if all {
            lines.extend(list.iter().map(|one| difference(word, one)));
            continue;
        }
        let open: Vec<_> = list.iter().filter(|one| one.why.is_none()).collect();
        lines.extend(open.iter().take(SHOWN).map(|one| difference(word, one)));
        if let Some(more) = open.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            lines.push(format!("{word:6}  ... and {more} more (--verbose)"));
        }
        // What is explained is a sentence about many.
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for why in list.iter().filter_map(|one| one.why.as_deref()) {
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why, 1)),
            }
        }
        let reasons = reasons.into_iter();
        lines.extend(reasons.map(|(why, count)| format!("{word:6}  {count} explained: {why}")));
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{}", score.hunt);
    }
    for line in lines {
        let _ = writeln!(text, "  {}", neutral(&line));
    }
}

fn difference(word: &str, one: &Difference) -> String {
    let place = &one.place;
    let why = one.why.as_deref().map(|why| format!("  ({why})"));
    format!(
        "{word:6}  {} {}:{}{}",
        place.table,
        place.file,
        place.row,
        why.unwrap_or_default()
    )
}

/// For pages: the table alone.
pub(super) fn markdown(scores: &[Score]) -> String {
    let mut text = format!("| {} |\n| ---", HEADINGS.join(" | "));
    text.push_str(&" | ---:".repeat(HEADINGS.len() - 1));
    text.push_str(" |\n");
    for score in scores {
        let mut cells = cells(score);
        cells[0] = format!("`{}`", cells[0]);
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// For programs: all of it.
pub(super) fn json(scores: &[Score]) -> Value {
    let differences = |list: &[Difference]| -> Vec<Value> {
        let one = |one: &Difference| {
            let place = &one.place;
            json!({"table": place.table, "file": place.file, "row": place.row, "why": one.why})
        };
        list.iter().map(one).collect()
    };
    let hunts = scores.iter().map(|score| {
        json!({
            "hunt": score.hunt,
            "status": score.status,
            "findings": score.findings,
            "labelled": score.labelled,
            "found": score.found,
            "recall": score.recall(),
            "precision": score.precision(),
            "near_misses": score.near_misses,
            "near_misses_found": score.near_misses_found,
            "truncated": score.truncated,
            "failure": score.failure,
            "note": score.note,
            "missed": differences(&score.missed),
            "extra": differences(&score.extra),
        })
    });
    json!({"hunts": hunts.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::super::answers::Place;
    use super::*;
    use crate::hunt::Status;

    fn difference(row: u64, why: Option<&str>) -> Difference {
        Difference {
            place: Place {
                table: "t".to_owned(),
                file: "a/\u{1b}.ndjson".to_owned(),
                row,
            },
            why: why.map(str::to_owned),
        }
    }

    fn scores() -> Vec<Score> {
        let mut extra: Vec<_> = (1..=12).map(|row| difference(row, None)).collect();
        extra.extend([difference(13, Some("so")), difference(14, Some("so"))]);
        let first = Score {
            hunt: "first".to_owned(),
            status: Status::Stable,
            findings: 3,
            labelled: Some(3),
            found: 2,
            missed: vec![difference(7, Some("odd\u{1b}"))],
            extra,
            near_misses: 4,
            near_misses_found: 1,
            truncated: 1,
            failure: None,
            note: None,
        };
        let second = Score {
            hunt: "second_of_them".to_owned(),
            labelled: None,
            found: 0,
            missed: Vec::new(),
            extra: Vec::new(),
            truncated: 0,
            failure: Some("too slow".to_owned()),
            note: Some("the lake has no table for dce_rpc".to_owned()),
            ..first.clone()
        };
        vec![first, second]
    }

    #[test]
    fn people_see_a_table_and_what_is_wrong() {
        let text = text(&scores(), false, false);
        let head = "\
HUNT            LABELLED  FOUND  MISSED  EXTRA  EXPLAINED  RECALL  PRECISION
first                  3      2       1     14          3  66.6 %     12.5 %
second_of_them         -      -       -      0          0       -          -

first
  1 of 3 findings rest on more events than evidence() keeps: some of the missed may be found
  missed  1 explained: odd\\x1b
  extra   t a/\\x1b.ndjson:1
";
        assert!(text.starts_with(head), "{text}");
        let end = "\
  extra   t a/\\x1b.ndjson:10
  extra   ... and 2 more (--verbose)
  extra   2 explained: so

second_of_them
  failed: too slow
  the lake has no table for dce_rpc
";
        assert!(text.ends_with(end), "{text}");
        let all = super::text(&scores(), true, true);
        assert!(all.contains("ndjson:14  (so)"), "{all}");
        assert!(
            !all.contains("--verbose") && !all.contains("explained:"),
            "{all}"
        );
        assert!(all.contains("\u{1b}[31msecond"), "{all}");
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(Some(1.0)), "100 %");
        assert_eq!(percent(Some(0.9999)), "99.9 %");
        assert_eq!(percent(Some(0.29)), "29 %");
        assert_eq!(percent(Some(0.0)), "0 %");
        assert_eq!(percent(None), "-");
    }

    #[test]
    fn pages_and_programs() {
        assert_eq!(
            markdown(&scores()),
            "| hunt | labelled | found | missed | extra | explained | recall | precision |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n\
             | `first` | 3 | 2 | 1 | 14 | 3 | 66.6 % | 12.5 % |\n\
             | `second_of_them` | - | - | - | 0 | 0 | - | - |\n"
        );
        let json = json(&scores());
        let first = &json["hunts"][0];
        assert_eq!(first["missed"][0]["row"], 7);
        assert_eq!(first["extra"][0]["why"], Value::Null);
        assert_eq!(first["extra"][13]["why"], "so");
        assert_eq!(json["hunts"][1]["labelled"], Value::Null);
    }
}
