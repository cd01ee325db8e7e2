//! The last weeks: a heat map of hunts by day, and alerts and risk by day. Plain tables and SVG without script, so that
//! they are there for everybody; colour never says what is not also said in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, Weekday};

use super::text;
use crate::history::trend::{Cell, Day, Outcome};
use crate::report::figures::{count, grouped};
use crate::report::story::Story;
use crate::report::{Answer, HuntState, Level, Report, WORST_FIRST};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 150;
/// Room for the labels of an axis.
const LEFT: u32 = 44;
const BOTTOM: u32 = 22;
const TOP: u32 = 8;

/// The section, with this run as the last day.
pub(super) fn trends(page: &mut String, story: &Story<'_>) {
    let days = with_this_run(story);
    page.push_str("<section id=\"trends\" aria-labelledby=\"trends-title\">\n<h2 id=\"trends-title\">The last weeks</h2>\n");
    if days.len() < 2 {
        page.push_str("<p>There is no earlier run in this output.</p>\n");
    }
    let counts: Vec<_> = days.iter().map(|day| by_level(day, story)).collect();
    let risks: Vec<u64> = days.iter().map(|day| risk(day, story)).collect();
    page.push_str("<div class=\"plots\">\n");
    alerts_plot(page, &days, &counts);
    risk_plot(page, &days, &risks);
    page.push_str("</div>\n");
    numbers(page, &days, &counts, &risks);
    heat_map(page, story, &days);
    page.push_str("</section>\n");
}

/// The days of the story from the first on which anything ran, with this run added to the last.
fn with_this_run(story: &Story<'_>) -> Vec<Day> {
    let report = story.report;
    let mut days = story.days.clone();
    let today = report.window_start.date_naive();
    if days.last().is_none_or(|day| day.date != today) {
        days.push(Day::empty(today));
    }
    if let Some(day) = days.last_mut() {
        for (hunt, cell) in this_run(report) {
            day.add(&hunt, cell);
        }
    }
    let first = days.iter().position(|day| !day.hunts.is_empty());
    days.split_off(first.unwrap_or(0))
}

fn this_run(report: &Report) -> impl Iterator<Item = (String, Cell)> {
    report.hunts.iter().map(|hunt| {
        let outcome = match (hunt.state, hunt.answer()) {
            (HuntState::Failed, _) => Outcome::Failed,
            (HuntState::Skipped, _) => Outcome::Skipped,
            (HuntState::Partial, _) => Outcome::Partial,
            (HuntState::Complete, Answer::NoData) => Outcome::NoData,
            (HuntState::Complete, _) => Outcome::Complete,
        };
        let alerts = hunt.alerts_new + hunt.alerts_repeat + hunt.alerts_excepted;
        (hunt.name.clone(), Cell { outcome, alerts })
    })
}

fn by_level(day: &Day, story: &Story<'_>) -> BTreeMap<Level, u64> {
    let mut counts = BTreeMap::new();
    for (name, cell) in &day.hunts {
        if let Some(level) = story.hunts.get(name).and_then(|hunt| hunt.level) {
            *counts.entry(level).or_default() += cell.alerts;
        }
    }
    counts
}

fn risk(day: &Day, story: &Story<'_>) -> u64 {
    let of_hunt = |(name, cell): (&String, &Cell)| {
        let score = story.hunts.get(name).and_then(|hunt| hunt.risk);
        cell.alerts * score.unwrap_or(0).unsigned_abs()
    };
    day.hunts.iter().map(of_hunt).sum()
}

/// The next number of the form 1, 2 or 5 times a power of ten: where an axis ends.
fn ceiling(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5] {
            if step * power >= most {
                return step * power;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// An axis to the left with its end and its middle, and the days below.
fn axes(page: &mut String, days: &[Day], top: u64) {
    let floor = HEIGHT - BOTTOM;
    for (value, y) in [(top, TOP), (top / 2, u32::midpoint(TOP, floor)), (0, floor)] {
        if value == 0 && y != floor {
            continue;
        }
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/><text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6,
            y + 4,
            grouped(value)
        );
    }
    let step = days.len().div_ceil(8).max(1);
    for (index, day) in days.iter().enumerate().rev().step_by(step) {
        let (x, width) = slot(index, days.len());
        let _ = write!(
            page,
            "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + width / 2,
            HEIGHT - 6,
            day.date.format("%d %b")
        );
    }
}

/// Where the day at an index stands, and how wide it is.
fn slot(index: usize, days: usize) -> (u32, u32) {
    let place = |index: usize| {
        let room = (WIDTH - LEFT) as usize;
        LEFT + u32::try_from(room * index / days.max(1)).unwrap_or(0)
    };
    (place(index), place(index + 1) - place(index))
}

fn height(value: u64, top: u64) -> u32 {
    let room = u64::from(HEIGHT - BOTTOM - TOP);
    u32::try_from(value * room / top.max(1)).unwrap_or(0)
}

fn figure(page: &mut String, title: &str, description: &str, body: &str) {
    let _ = writeln!(
        page,
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{body}</svg></figure>",
        text(description)
    );
}

fn alerts_plot(page: &mut String, days: &[Day], counts: &[BTreeMap<Level, u64>]) {
    let totals: Vec<u64> = counts.iter().map(|day| day.values().sum()).collect();
    let most = totals.iter().copied().max().unwrap_or(0);
    let top = ceiling(most.max(1));
    let mut body = String::new();
    axes(&mut body, days, top);
    for (index, (day, levels)) in days.iter().zip(counts).enumerate() {
        let (x, width) = slot(index, days.len());
        // Few days make no wide bars.
        let gap = if width > 6 {
            2.max(width.saturating_sub(40))
        } else {
            0
        };
        let mut y = HEIGHT - BOTTOM;
        for level in WORST_FIRST {
            let alerts = levels.get(&level).copied().unwrap_or(0);
            if alerts == 0 {
                continue;
            }
            let tall = height(alerts, top).max(1);
            y = y.saturating_sub(tall);
            let _ = write!(
                body,
                "<rect class=\"fill-{0}\" x=\"{1}\" y=\"{y}\" width=\"{2}\" height=\"{tall}\"><title>{3}: {4} {0}</title></rect>",
                level.as_str(),
                x + gap / 2,
                width - gap,
                day.date,
                grouped(alerts)
            );
        }
    }
    let today = totals.last().copied().unwrap_or(0);
    let description = format!(
        "Alerts a day, {} to the last, at most {}, {} on the last day",
        days.len(),
        grouped(most),
        grouped(today)
    );
    let keys: Vec<String> = WORST_FIRST
        .into_iter()
        .filter(|level| counts.iter().any(|day| day.contains_key(level)))
        .map(|level| format!(" <span class=\"key key-{0}\">{0}</span>", level.as_str()))
        .collect();
    let caption = format!("Alerts a day{}", keys.concat());
    figure(page, &caption, &description, &body);
}

fn risk_plot(page: &mut String, days: &[Day], risks: &[u64]) {
    let most = risks.iter().copied().max().unwrap_or(0);
    let top = ceiling(most.max(1));
    let mut body = String::new();
    axes(&mut body, days, top);
    let points: Vec<(u32, u32)> = risks
        .iter()
        .enumerate()
        .map(|(index, risk)| {
            let (x, width) = slot(index, days.len());
            (x + width / 2, HEIGHT - BOTTOM - height(*risk, top))
        })
        .collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    let _ = write!(
        body,
        "<polyline class=\"line\" points=\"{}\"/>",
        path.join(" ")
    );
    for ((x, y), (day, risk)) in points.iter().zip(days.iter().zip(risks)) {
        let _ = write!(
            body,
            "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"><title>{}: risk {}</title></circle>",
            day.date,
            grouped(*risk)
        );
    }
    let description = format!(
        "Risk a day over {}: at most {}, {} on the last",
        count(days.len(), "day"),
        grouped(most),
        grouped(risks.last().copied().unwrap_or(0))
    );
    figure(page, "Risk a day (sum of scores)", &description, &body);
}

/// The same as a table, for those who do not see plots.
fn numbers(page: &mut String, days: &[Day], counts: &[BTreeMap<Level, u64>], risks: &[u64]) {
    page.push_str("<details><summary>The numbers</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Alerts and risk a day\"><table><thead><tr><th scope=\"col\">day</th>");
    for level in WORST_FIRST {
        let _ = write!(
            page,
            "<th scope=\"col\" class=\"number\">{}</th>",
            level.as_str()
        );
    }
    page.push_str("<th scope=\"col\" class=\"number\">risk</th></tr></thead><tbody>\n");
    for ((day, levels), risk) in days.iter().zip(counts).zip(risks).rev() {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", day.date);
        for level in WORST_FIRST {
            let alerts = levels.get(&level).copied().unwrap_or(0);
            let _ = write!(page, "<td class=\"number\">{}</td>", grouped(alerts));
        }
        let _ = writeln!(page, "<td class=\"number\">{}</td></tr>", grouped(*risk));
    }
    page.push_str("</tbody></table></div></details>\n");
}

fn heat_map(page: &mut String, story: &Story<'_>, days: &[Day]) {
    let mut hunts: BTreeSet<&String> = days.iter().flat_map(|day| day.hunts.keys()).collect();
    hunts.extend(story.report.hunts.iter().map(|hunt| &hunt.name));
    let mut hunts: Vec<(&String, u64)> = hunts
        .into_iter()
        .map(|hunt| {
            let cells = days.iter().filter_map(|day| day.hunts.get(hunt));
            (hunt, cells.map(|cell| cell.alerts).sum())
        })
        .collect();
    hunts.sort_by_key(|(name, alerts)| (std::cmp::Reverse(*alerts), *name));
    page.push_str("<h3 id=\"heat-title\">Hunts by day</h3>\n<p class=\"legend\">Alerts of each hunt. <span class=\"cell none\">·</span> ran, no alerts <span class=\"cell blind\">–</span> no data <span class=\"cell part\">!</span> partial <span class=\"cell bad\">×</span> failed <span class=\"cell\">&nbsp;</span> did not run</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"heat-title\"><table class=\"heat\"><thead><tr><th scope=\"col\">hunt</th>");
    for day in days {
        day_head(page, day.date);
    }
    page.push_str("<th scope=\"col\" class=\"number\">all</th></tr></thead><tbody>\n");
    for (hunt, total) in hunts {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", text(hunt));
        for day in days {
            heat_cell(page, day.date, day.hunts.get(hunt));
        }
        let _ = writeln!(page, "<td class=\"number\">{}</td></tr>", grouped(total));
    }
    page.push_str("</tbody></table></div>\n");
}

fn day_head(page: &mut String, date: NaiveDate) {
    let weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
    let class = if weekend { " class=\"weekend\"" } else { "" };
    let month = if date.day() == 1 {
        date.format("%b ").to_string()
    } else {
        String::new()
    };
    let _ = write!(
        page,
        "<th scope=\"col\"{class} title=\"{date}\"><span class=\"unseen\">{date}</span><span aria-hidden=\"true\">{month}{}</span></th>",
        date.day()
    );
}

fn heat_cell(page: &mut String, date: NaiveDate, cell: Option<&Cell>) {
    let Some(cell) = cell else {
        page.push_str("<td class=\"cell\"><span class=\"unseen\">did not run</span></td>");
        return;
    };
    let (class, mark, words) = match (cell.outcome, cell.alerts) {
        (Outcome::Failed, _) => ("bad", "×".to_owned(), "failed"),
        (Outcome::Partial, 0) => ("part", "!".to_owned(), "no alerts in what was read"),
        (Outcome::Partial, alerts) => ("part", format!("{}!", grouped(alerts)), "alerts, partial"),
        (Outcome::NoData, _) => ("blind", "–".to_owned(), "no data"),
        (Outcome::Skipped, _) => ("blind", "–".to_owned(), "skipped"),
        (Outcome::Complete, 0) => ("none", "·".to_owned(), "no alerts"),
        (Outcome::Complete, 1) => (heat(1), "1".to_owned(), "alert"),
        (Outcome::Complete, alerts) => (heat(alerts), grouped(alerts), "alerts"),
    };
    let _ = write!(
        page,
        "<td class=\"cell {class}\" title=\"{date}: {}{words}\">{mark}<span class=\"unseen\"> {words}</span></td>",
        if cell.alerts > 0 {
            format!("{} ", grouped(cell.alerts))
        } else {
            String::new()
        }
    );
}

/// Five steps, each three times the one before.
const fn heat(alerts: u64) -> &'static str {
    match alerts {
        0..=1 => "heat1",
        2..=3 => "heat2",
        4..=9 => "heat3",
        10..=29 => "heat4",
        _ => "heat5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let ends: Vec<u64> = [0, 1, 3, 9, 11, 21, 4_999]
            .into_iter()
            .map(ceiling)
            .collect();
        assert_eq!(ends, [1, 1, 5, 10, 20, 50, 5_000]);
    }

    #[test]
    fn the_days_fill_the_width() {
        for days in [1, 7, 28, 90] {
            let (x, width) = slot(days - 1, days);
            assert_eq!(x + width, WIDTH);
            assert_eq!(slot(0, days).0, LEFT);
        }
    }
}
