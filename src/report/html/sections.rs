//! The parts of the page that need no script: what was asked, the verdict, incidents, hunts, what was read, notes; and the
//! empty table that the script fills with alerts.

use std::fmt::Write as _;

use super::text;
use crate::hunt::attack;
use crate::report::figures::{amount, bytes, count, grouped, instant, span};
use crate::report::story::Story;
use crate::report::{Answer, HuntReport, HuntState, Report, TableReport, WORST_FIRST};

/// Incidents shown before the rest is folded.
const INCIDENTS_SHOWN: usize = 12;
/// Lost files, and reasons of hunts, shown before all else.
const LIMITS_SHOWN: usize = 12;
/// Lost files and type conflicts shown of a table.
const ITEMS_SHOWN: usize = 20;

pub(super) fn head(page: &mut String, story: &Story<'_>) {
    let report = story.report;
    let _ = write!(
        page,
        "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header>\n<div class=\"bar\">\
         <p class=\"brand\"><strong>{}</strong> <span>{}</span></p>\n\
         <nav aria-label=\"Sections\"><a href=\"#incidents\">Incidents</a><a href=\"#alerts\">Alerts</a><a href=\"#trends\">Trends</a><a href=\"#hunts\">Hunts</a><a href=\"#data-read\">Data</a></nav>\n\
         <div class=\"tools\"><button type=\"button\" id=\"theme\" hidden>Theme: system</button><button type=\"button\" id=\"print\" hidden>Print</button></div>\
         </div>\n</header>\n",
        text(&report.job),
        text(&format!(
            "{} to {}",
            instant(report.window_start),
            instant(report.window_end)
        )),
    );
}

/// The answer in one line, the levels as filters, and what limits the answer: before anything else.
pub(super) fn verdict(page: &mut String, story: &Story<'_>) {
    let report = story.report;
    let _ = write!(
        page,
        "<h1>{}</h1>\n<div class=\"levels\" role=\"group\" aria-label=\"New alerts by level\">",
        text(&report.verdict())
    );
    for level in WORST_FIRST {
        let new = report.new_alerts(level);
        let zero = if new == 0 { " zero" } else { "" };
        let _ = write!(
            page,
            "<button type=\"button\" class=\"level-count{zero}\" data-level=\"{0}\"><span class=\"count\">{1}</span> <span class=\"badge {0}\">{0}</span></button>",
            level.as_str(),
            grouped(new as u64),
        );
    }
    let risk: i64 = report.incidents.iter().map(|incident| incident.risk).sum();
    let _ = writeln!(
        page,
        "<p class=\"level-count plain\"><span class=\"count\">{}</span> risk of new alerts</p></div>",
        grouped(risk.unsigned_abs())
    );
    limits(page, report);
}

/// Why "nothing found" may not mean that nothing is there.
fn limits(page: &mut String, report: &Report) {
    let named = |name: &str| format!("<code>{}</code>", text(name));
    let lost: Vec<String> = report
        .tables
        .iter()
        .flat_map(|table| &table.lost)
        .map(|lost| limit("lost", &named(&lost.file), &lost.reason))
        .collect();
    let hunts: Vec<String> = report
        .limited_hunts()
        .iter()
        .filter_map(|one| match one.state {
            HuntState::Failed => Some(limit("failed", &one.named(named), one.reason)),
            HuntState::Partial => Some(limit("partial", &one.named(named), one.reason)),
            HuntState::Complete | HuntState::Skipped => None,
        })
        .collect();
    let blind = report.hunts_that(Answer::NoData);
    if lost.is_empty() && hunts.is_empty() && blind == 0 {
        return;
    }
    page.push_str("<div class=\"limits\" role=\"note\" aria-label=\"What limits this answer\"><h2>Not everything was seen</h2><ul>\n");
    for (items, what) in [
        (&lost, "lost: see what was read"),
        (&hunts, "hunts: see the list"),
    ] {
        for item in items.iter().take(LIMITS_SHOWN) {
            page.push_str(item);
        }
        if items.len() > LIMITS_SHOWN {
            let more = grouped((items.len() - LIMITS_SHOWN) as u64);
            let _ = writeln!(page, "<li>and {more} more {what} below</li>");
        }
    }
    if blind > 0 {
        let blind = report.hunts.iter();
        let blind = blind.filter(|hunt| hunt.answer() == Answer::NoData);
        let names: Vec<String> = blind.map(|hunt| named(&hunt.name)).collect();
        let _ = writeln!(
            page,
            "<li><span class=\"state blind\">no data</span> {}: without an event in the window, silence says nothing</li>",
            names.join(", ")
        );
    }
    page.push_str("</ul></div>\n");
}

fn limit(kind: &str, name: &str, reason: &str) -> String {
    format!(
        "<li><span class=\"state {kind}\">{kind}</span> {name} {}</li>\n",
        text(reason)
    )
}

pub(super) fn incidents(page: &mut String, report: &Report) {
    page.push_str("<section id=\"incidents\" aria-labelledby=\"incidents-title\">\n<h2 id=\"incidents-title\">Incidents</h2>\n");
    if report.incidents.is_empty() {
        page.push_str("<p>None.</p>\n</section>\n");
        return;
    }
    page.push_str(
        "<p class=\"hint\">Alerts about one entity, no more than four hours apart.</p>\n",
    );
    let (shown, folded) = report
        .incidents
        .split_at(report.incidents.len().min(INCIDENTS_SHOWN));
    incident_table(page, shown, "Incidents, the worst first");
    if !folded.is_empty() {
        let _ = write!(
            page,
            "<details><summary>{} more</summary>",
            grouped(folded.len() as u64)
        );
        incident_table(page, folded, "More incidents");
        page.push_str("</details>\n");
    }
    page.push_str("</section>\n");
}

fn incident_table(page: &mut String, incidents: &[crate::report::Incident], caption: &str) {
    let _ = writeln!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table class=\"incidents sortable\"><caption class=\"unseen\">{caption}</caption><thead><tr>\
         <th scope=\"col\">level</th><th scope=\"col\" class=\"number\">risk</th><th scope=\"col\">entity</th><th scope=\"col\" class=\"number\">new</th><th scope=\"col\" class=\"number\">alerts</th><th scope=\"col\">tactics</th><th scope=\"col\">hunts</th><th scope=\"col\">when</th></tr></thead><tbody>"
    );
    for incident in incidents {
        let _ = writeln!(
            page,
            "<tr><td data-sort=\"{}\"><span class=\"badge {1}\">{1}</span></td><td class=\"number\">{2}</td><td><button type=\"button\" class=\"link\" data-incident=\"{3}\">{4} <code>{5}</code></button></td><td class=\"number\">{6}</td><td class=\"number\">{7}</td><td>{8}</td><td class=\"names\">{9}</td><td class=\"when\" data-sort=\"{10}\">{11}</td></tr>",
            incident.level as u8,
            incident.level.as_str(),
            grouped(incident.risk.unsigned_abs()),
            text(&incident.incident_id),
            text(&incident.kind),
            text(&incident.entity),
            grouped(incident.alerts_new),
            grouped(incident.alert_ids.len() as u64),
            text(&incident.tactics.join(", ")),
            text(&incident.hunts.join(", ")),
            incident.first_seen.timestamp_micros(),
            text(&span(incident.first_seen, incident.last_seen)),
        );
    }
    page.push_str("</tbody></table></div>\n");
}

/// The frame that the script fills.
pub(super) fn alerts(page: &mut String, story: &Story<'_>) {
    let report = story.report;
    page.push_str("<section id=\"alerts\" aria-labelledby=\"alerts-title\">\n<h2 id=\"alerts-title\">Alerts</h2>\n");
    if report.alerts.is_empty() {
        page.push_str("<p>None.</p>\n</section>\n");
        return;
    }
    page.push_str("<noscript><p>The alerts are listed by a script, which is off. They are in the Markdown file beside this one, and in its JSON.</p></noscript>\n");
    page.push_str("<form id=\"filters\" role=\"search\" aria-label=\"Filter alerts\" hidden>\n<p><label for=\"search\">Text</label><input id=\"search\" type=\"search\" placeholder=\"message, command, host, file …\" autocomplete=\"off\" spellcheck=\"false\"></p>\n<p><label for=\"hunt\">Hunt</label><select id=\"hunt\"><option value=\"\">all</option></select></p>\n<p><label for=\"entity\">Entity</label><input id=\"entity\" list=\"entities\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"host, user, ip\"><datalist id=\"entities\"></datalist></p>\n<fieldset><legend>Level</legend>");
    for level in WORST_FIRST {
        let _ = write!(
            page,
            "<label><input type=\"checkbox\" name=\"level\" value=\"{0}\"> {0}</label>",
            level.as_str()
        );
    }
    page.push_str("</fieldset>\n<fieldset><legend>Show</legend>");
    for standing in ["new", "repeat", "excepted"] {
        let number = report
            .alerts
            .iter()
            .filter(|alert| alert.standing() == standing)
            .count();
        let _ = write!(
            page,
            "<label><input type=\"checkbox\" name=\"standing\" value=\"{standing}\"{}> {standing} ({})</label>",
            if standing == "new" { " checked" } else { "" },
            grouped(number as u64)
        );
    }
    page.push_str("</fieldset>\n<p><button type=\"reset\">Reset</button></p>\n</form>\n<p class=\"hint\"><span id=\"shown\" role=\"status\"></span> <span id=\"keys\" hidden>Keys: <kbd>/</kbd> search, <kbd>j</kbd> <kbd>k</kbd> next and previous, <kbd>Enter</kbd> open or close.</span></p>\n<div class=\"scroll\"><table id=\"alert-table\" class=\"alerts\" hidden><caption class=\"unseen\">Alerts</caption><thead><tr>");
    for (key, label, class) in [
        ("level", "level", ""),
        ("risk", "risk", "number"),
        ("title", "what", ""),
        ("entity", "about", ""),
        ("last", "last seen", ""),
    ] {
        let _ = write!(
            page,
            "<th scope=\"col\" class=\"{class}\" data-key=\"{key}\"><button type=\"button\" class=\"sort\">{label}</button></th>"
        );
    }
    page.push_str("</tr></thead></table></div>\n<p><button type=\"button\" id=\"more\" hidden>Show more</button></p>\n</section>\n");
}

pub(super) fn hunts(page: &mut String, report: &Report) {
    page.push_str("<section id=\"hunts\" aria-labelledby=\"hunts-title\">\n<h2 id=\"hunts-title\">Hunts</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"hunts-title\"><table class=\"sortable\"><thead><tr><th scope=\"col\">hunt</th><th scope=\"col\">level</th><th scope=\"col\">answer</th><th scope=\"col\" class=\"number\">findings</th><th scope=\"col\" class=\"number\">new</th><th scope=\"col\" class=\"number\">repeat</th><th scope=\"col\" class=\"number\">excepted</th><th scope=\"col\">tables</th><th scope=\"col\">remarks</th></tr></thead><tbody>\n");
    for hunt in &report.hunts {
        one_hunt(page, report, hunt);
    }
    page.push_str("</tbody></table></div>\n</section>\n");
}

fn one_hunt(page: &mut String, report: &Report, hunt: &HuntReport) {
    let (class, mut words) = match hunt.answer() {
        Answer::Found => ("found", "findings".to_owned()),
        Answer::NothingFound => ("clean", "no findings".to_owned()),
        Answer::NothingFoundButPartial => ("partial", hunt.answer().as_str().to_owned()),
        Answer::NoData => ("blind", "no data".to_owned()),
        Answer::Failed => ("failed", "failed".to_owned()),
        Answer::Skipped => ("blind", "skipped".to_owned()),
    };
    if hunt.state == HuntState::Partial && hunt.findings > 0 {
        words.push_str(", partial");
    }
    let mut remarks: Vec<String> = hunt.reason.iter().cloned().collect();
    if hunt.truncated {
        remarks.push("more findings than the job's limit; the rest was cut".to_owned());
    }
    let blind = report.blind_on(hunt);
    if !blind.is_empty() {
        remarks.push(format!("no data in {}", blind.join(", ")));
    }
    let answered = !matches!(
        hunt.answer(),
        Answer::NoData | Answer::Failed | Answer::Skipped
    );
    // A zero beside "no data" would be read as an answer.
    let number = |value: u64| {
        if answered {
            grouped(value)
        } else {
            "n/a".to_owned()
        }
    };
    let _ = writeln!(
        page,
        "<tr><th scope=\"row\"><button type=\"button\" class=\"link\" data-hunt=\"{0}\">{0}</button><br><span class=\"hint\">{1}</span></th><td data-sort=\"{2}\"><span class=\"badge {3}\">{3}</span></td><td><span class=\"state {class}\">{words}</span></td><td class=\"number\">{4}</td><td class=\"number\">{5}</td><td class=\"number\">{6}</td><td class=\"number\">{7}</td><td class=\"names\">{8}</td><td>{9}</td></tr>",
        text(&hunt.name),
        text(&hunt.title),
        hunt.level as u8,
        hunt.level.as_str(),
        number(hunt.findings),
        number(hunt.alerts_new),
        number(hunt.alerts_repeat),
        number(hunt.alerts_excepted),
        text(&hunt.tables.join(", ")),
        text(&remarks.join("; ")),
    );
}

pub(super) fn tables(page: &mut String, story: &Story<'_>) {
    let report = story.report;
    page.push_str("<section id=\"data-read\" aria-labelledby=\"data-title\">\n<h2 id=\"data-title\">What was read</h2>\n");
    if report.tables.is_empty() {
        page.push_str("<p>Nothing.</p>\n</section>\n");
        return;
    }
    page.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"data-title\"><table class=\"sortable\"><thead><tr><th scope=\"col\">table</th><th scope=\"col\" class=\"number\">files read</th><th scope=\"col\" class=\"number\">of</th><th scope=\"col\" class=\"number\">bytes</th><th scope=\"col\" class=\"number\">rows</th><th scope=\"col\" class=\"number\">in the window</th><th scope=\"col\" class=\"number\">wanted by a hunt</th><th scope=\"col\" class=\"number\">quarantined</th><th scope=\"col\" class=\"number\">lost files</th><th scope=\"col\">newest event</th></tr></thead><tbody>\n");
    for table in &report.tables {
        let in_window = if table.no_data {
            "<span class=\"state blind\">no data</span>".to_owned()
        } else {
            grouped(table.rows_in_window)
        };
        let newest = table
            .newest_event
            .map_or_else(|| "none".to_owned(), instant);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\" data-sort=\"{}\">{}</td><td class=\"number\">{}</td><td class=\"number\">{in_window}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"when\">{newest}</td></tr>",
            text(&table.name),
            grouped(table.files_read),
            grouped(table.files_total),
            table.bytes_read,
            bytes(table.bytes_read),
            grouped(table.rows_read),
            grouped(table.rows_matched),
            grouped(table.quarantined),
            grouped(table.lost.len() as u64),
        );
    }
    page.push_str("</tbody></table></div>\n");
    for table in &report.tables {
        put_aside(page, story, table);
    }
    page.push_str("</section>\n");
}

/// What of a table could not be read: files, records, values.
fn put_aside(page: &mut String, story: &Story<'_>, table: &TableReport) {
    let name = text(&table.name);
    if !table.lost.is_empty() {
        let _ = write!(
            page,
            "<details open><summary>{} of <code>{name}</code> could not be read</summary><ul>",
            count(table.lost.len(), "file")
        );
        for lost in table.lost.iter().take(ITEMS_SHOWN) {
            let _ = write!(
                page,
                "<li><code>{}</code>: {}</li>",
                text(&lost.file),
                text(&lost.reason)
            );
        }
        page.push_str("</ul></details>\n");
    }
    if let Some(bad) = story.quarantine.get(&table.name)
        && !bad.reasons.is_empty()
    {
        let reasons: Vec<String> = bad
            .reasons
            .iter()
            .map(|(reason, number)| format!("{reason} {}", grouped(*number)))
            .collect();
        let _ = write!(
            page,
            "<details><summary>Quarantined of <code>{name}</code>: {}</summary><ul>",
            text(&reasons.join(", "))
        );
        for (file, line, detail) in bad.first.iter().take(ITEMS_SHOWN) {
            let _ = write!(
                page,
                "<li><code>{}</code>, record {}: {}</li>",
                text(file),
                grouped(*line),
                text(detail)
            );
        }
        page.push_str("</ul></details>\n");
    }
    if !table.type_conflicts.is_empty() {
        let _ = write!(
            page,
            "<details><summary>Values of <code>{name}</code> that did not have the declared type and were read as NULL</summary><ul>"
        );
        for (column, number) in table.type_conflicts.iter().take(ITEMS_SHOWN) {
            let _ = write!(
                page,
                "<li><code>{}</code>: {}</li>",
                text(column),
                grouped(*number)
            );
        }
        page.push_str("</ul></details>\n");
    }
}

pub(super) fn notes(page: &mut String, story: &Story<'_>) {
    let notes = || story.report.notes.iter().chain(&story.problems);
    if notes().next().is_none() {
        return;
    }
    page.push_str("<section id=\"notes\" aria-labelledby=\"notes-title\">\n<h2 id=\"notes-title\">Notes</h2>\n<ul>\n");
    for note in notes() {
        let _ = writeln!(page, "<li>{}</li>", text(note));
    }
    page.push_str("</ul>\n</section>\n");
}

pub(super) fn foot(page: &mut String, story: &Story<'_>) {
    let report = story.report;
    let _ = write!(
        page,
        "<footer><p>lakehunt {}, lake <code>{}</code>, {}, {}. Again: <code>lakehunt {}</code></p>\n<p>All times are UTC. Tactics and techniques: MITRE ATT&amp;CK {}. Control characters and characters that hide or turn text are shown as escapes; long values are cut in the middle and say so. The JSON beside this file has everything exactly.</p></footer>\n",
        text(&report.lakehunt_version),
        text(&report.lake),
        count(report.hunts.len(), "hunt"),
        amount(
            report.tables.iter().map(|table| table.rows_in_window).sum(),
            "event"
        ),
        text(&story.again),
        attack::version(),
    );
}
