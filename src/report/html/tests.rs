//! The page as text: what is in it, and what can never be in it. How it looks and moves is looked at in a browser.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::history::trend::{Cell, Day, Outcome};
use crate::report::samples::{alert, full, hostile, time};
use crate::report::story::{AlertStory, Event, HuntText, Quarantined};
use crate::report::visible::is_active;
use crate::report::{AlertReport, HuntReport, Level, Report};

fn story(report: &Report) -> Story<'_> {
    Story {
        report,
        hunts: BTreeMap::new(),
        alerts: BTreeMap::new(),
        quarantine: BTreeMap::new(),
        days: Vec::new(),
        again: "run jobs/nightly.yaml".to_owned(),
        problems: Vec::new(),
    }
}

/// What the script reads.
fn island_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

/// The names of all tags in their order, and all attributes; found as a browser does, outside style and script.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let mut end = start;
        let mut quoted = false;
        for (at, byte) in rest.bytes().enumerate().skip(start) {
            match byte {
                b'"' => quoted = !quoted,
                b'>' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let tag = &rest[start + 1..end];
        tags.push(tag.to_owned());
        rest = &rest[end + 1..];
        let name = tag.split(' ').next().unwrap_or_default();
        if ["script", "style"].contains(&name) {
            rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
        }
    }
    tags
}

/// Whether a tag has an attribute that runs something: `on...` outside of quotes.
fn has_handler(tag: &str) -> bool {
    tag.split('"').step_by(2).any(|names| names.contains(" on"))
}

#[test]
fn it_loads_nothing_and_allows_only_its_own_script() {
    let report = full();
    let page = render(&story(&report));
    assert_eq!(render(&story(&report)), page);
    let tags = tags(&page);
    let scripts: Vec<_> = tags
        .iter()
        .filter(|tag| tag.starts_with("script"))
        .collect();
    assert_eq!(
        scripts,
        ["script type=\"application/json\" id=\"data\"", "script"]
    );
    for tag in &tags {
        for loads in [
            "src=", "link ", "iframe", "object", "embed", "style=", "@import",
        ] {
            assert!(!tag.contains(loads) || tag.starts_with("meta"), "{tag}");
        }
    }
    assert!(!tags.iter().any(|tag| has_handler(tag)));
    assert!(!STYLE.contains("url(") && !SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    let policy = tags
        .iter()
        .find(|tag| tag.contains("Content-Security-Policy"))
        .unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    assert!(policy.contains(&format!("script-src 'sha256-{hash}'")));
    let (_, script) = page.rsplit_once("<script>").unwrap();
    assert_eq!(
        script.split_once("</script>").unwrap().0,
        SCRIPT,
        "what is hashed is what is there"
    );
}

#[test]
fn it_is_usable_without_eyes_and_mouse() {
    let report = full();
    let page = render(&story(&report));
    for part in [
        "<html lang=\"en\">",
        "<a class=\"skip\" href=\"#main\">",
        "<main id=\"main\"",
        "<header>",
        "<nav aria-label=",
        "<footer>",
        "role=\"search\"",
        "role=\"status\"",
        "<noscript>",
        "role=\"img\" aria-label=\"Alerts a day",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<h1>").count(), 1);
    let tags = tags(&page);
    // The corner of a heat map's legend apart, every head says what it heads.
    for tag in tags
        .iter()
        .filter(|tag| tag.starts_with("th ") || *tag == "th")
    {
        assert!(tag.contains("scope="), "{tag}");
    }
    let ids: Vec<_> = page
        .match_indices(" id=\"")
        .map(|(at, start)| page[at + start.len()..].split('"').next().unwrap())
        .collect();
    // A control of this name would hide the form's own method from the script.
    for method in ["reset", "submit", "elements", "length"] {
        assert!(!ids.contains(&method), "{method}");
    }
    let once: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), once.len(), "{ids:?}");
    for target in page
        .split("href=\"#")
        .skip(1)
        .chain(page.split("aria-labelledby=\"").skip(1))
    {
        let id = target.split('"').next().unwrap();
        assert!(ids.contains(&id), "{id}");
    }
}

#[test]
fn what_limits_the_answer_stands_before_the_alerts() {
    let report = full();
    let page = render(&story(&report));
    let limits = page.find("Not everything was seen").unwrap();
    assert!(limits < page.find("id=\"alerts\"").unwrap());
    for part in [
        "over the limit of 2 GiB",
        "no footer",
        "<code>tunnel</code>: without an event",
    ] {
        assert!(page[limits..].contains(part), "{part}");
    }
    let clean = crate::report::samples::empty();
    assert!(!render(&story(&clean)).contains("Not everything was seen"));
}

/// The same elements whatever the telemetry says, and no character that acts.
#[test]
fn hostile_text_adds_no_element_and_does_not_act() {
    let kind = full();
    let bad = hostile();
    let names = |report: &Report| -> Vec<String> {
        let name = |tag: &String| tag.split(' ').next().unwrap_or_default().to_owned();
        tags(&render(&story(report))).iter().map(name).collect()
    };
    let page = render(&story(&bad));
    // Names that repeat are one in a map of the page, and the order of equal names may differ: counts decide.
    let count =
        |report: &Report, tag: &str| names(report).iter().filter(|name| *name == tag).count();
    for tag in [
        "script", "/script", "style", "img", "svg", "iframe", "a", "form", "input", "meta", "base",
    ] {
        assert_eq!(count(&kind, tag), count(&bad, tag), "{tag}");
    }
    assert!(!page.replace(['\n', '\r'], "").contains(is_active));
    assert!(!page.contains("<script>alert"));
    assert!(
        island_of(&page)["alerts"][0]["title"]
            .as_str()
            .unwrap()
            .contains("<script>alert(1)</script>")
    );
}

/// One hostile text a case, in every place that telemetry reaches.
#[test]
fn each_hostile_string_is_shown_and_does_nothing() {
    let long = "A".repeat(1 << 20);
    for (bad, shown) in [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("</script><script>alert(1)</script>", "</script><script>"),
        ("<!-- <script> -->", "<!-- <script> -->"),
        ("]]>", "]]>"),
        ("\" onmouseover=\"alert(1)", "\" onmouseover=\"alert(1)"),
        ("' onfocus='alert(1)", "' onfocus='alert(1)"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
        ("exe.\u{202e}gpj", r"exe.\u{202e}gpj"),
        ("\u{1b}[2J\u{1b}[31m", r"\x1b[2J\x1b[31m"),
        ("a\u{0}b\u{feff}c\u{200b}d", r"a\x00b\u{feff}c\u{200b}d"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("{{constructor.constructor('x')()}}", "{{constructor"),
        (long.as_str(), "characters left out"),
    ] {
        let mut report = full();
        report.notes = vec![bad.to_owned()];
        report.job = bad.to_owned();
        let first = &mut report.alerts[0];
        first.message = bad.to_owned();
        first.entities[0].value = bad.to_owned();
        first.techniques = vec![bad.to_owned()];
        report.arrange();
        let mut story = story(&report);
        let event = Event {
            time: Some(time("2026-01-03T10:00:00Z")),
            what: bad.to_owned(),
            host: bad.to_owned(),
            raw: Some(bad.to_owned()),
            columns: vec![(bad.to_owned(), bad.to_owned())],
            ..Event::default()
        };
        let behind = AlertStory {
            finding: vec![(bad.to_owned(), vec![bad.to_owned()])],
            events: vec![event],
            logic_hash: String::new(),
        };
        story
            .alerts
            .insert(report.alerts[0].alert_id.clone(), behind);
        let text = HuntText {
            level: Some(Level::High),
            description: bad.to_owned(),
            references: vec![bad.to_owned()],
            ..HuntText::default()
        };
        story.hunts.insert("wmiexec".to_owned(), text);
        story.quarantine.insert(
            "sysmon".to_owned(),
            Quarantined {
                reasons: [(bad.to_owned(), 1)].into(),
                first: vec![(bad.to_owned(), 1, bad.to_owned())],
            },
        );
        let page = render(&story);
        assert!(page.len() < 512 * 1024, "{} bytes", page.len());
        assert!(!page.replace('\n', "").contains(is_active), "{shown}");
        assert_eq!(page.matches("<script").count(), 2, "{shown}");
        assert_eq!(page.matches("<!--").count(), 0, "{shown}");
        let tags = tags(&page);
        assert!(!tags.iter().any(|tag| tag.contains("=\"javascript:")));
        assert!(!tags.iter().any(|tag| has_handler(tag)), "{shown}");
        let data = island_of(&page);
        let first = &data["alerts"][0];
        for place in [
            &first["message"],
            &first["entities"][0][1],
            &first["story"][0]["what"],
            &first["story"][0]["raw"],
            &first["finding"][0][1][0],
        ] {
            assert!(place.as_str().unwrap().contains(shown), "{shown}: {place}");
        }
        assert_eq!(
            first["techniques"][0][2],
            Value::Null,
            "what is no technique is no link"
        );
    }
}

#[test]
fn the_last_weeks_are_words_as_well_as_colours() {
    let report = full();
    let mut story = story(&report);
    let text = HuntText {
        level: Some(Level::High),
        risk: Some(64),
        ..HuntText::default()
    };
    story.hunts.insert("wmiexec".to_owned(), text);
    let cells = [
        ("2026-01-01", Outcome::Complete, 40),
        ("2026-01-02", Outcome::Failed, 0),
        ("2026-01-03", Outcome::Complete, 0),
    ];
    story.days = cells
        .map(|(date, outcome, alerts)| {
            let mut day = Day::empty(date.parse().unwrap());
            day.add("wmiexec", Cell { outcome, alerts });
            day
        })
        .to_vec();
    let page = render(&story);
    for part in [
        "title=\"2026-01-01: 40 alerts\">40<",
        "title=\"2026-01-02: failed\">×<span class=\"unseen\"> failed</span>",
        // The tile itself on the last day: three alerts.
        "title=\"2026-01-03: 3 alerts\">3<",
        "<title>2026-01-01: risk 2,560</title>",
        "title=\"2026-01-03: no data\">–<",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn lost_files_are_told_before_hunts_and_one_reason_once() {
    let mut report = full();
    for number in 0..30 {
        report.hunts.push(HuntReport {
            name: format!("more_{number}"),
            ..report.hunts[0].clone()
        });
    }
    let page = render(&story(&report));
    let (_, from) = page.split_once("Not everything was seen").unwrap();
    let (limits, _) = from.split_once("</ul>").unwrap();
    let at = |part: &str| {
        let found = limits.find(part);
        found.unwrap_or_else(|| panic!("{part}: {limits}"))
    };
    assert!(at("day=2026-01-03/b.parquet") < at("<code>wide_join</code>"));
    assert!(at("<code>wide_join</code>") < at("31 hunts 1 file of sysmon was lost"));
    assert_eq!(limits.matches("1 file of sysmon was lost").count(), 1);
}

#[test]
fn thousands_of_alerts_stay_a_small_page() {
    let mut report = full();
    report.alerts = (0..5_000)
        .map(|number| AlertReport {
            message: "x".repeat(200),
            ..alert(&number.to_string())
        })
        .collect();
    report.arrange();
    let page = render(&story(&report));
    assert_eq!(island_of(&page)["alerts"].as_array().unwrap().len(), 5_000);
    assert!(page.len() < 6 << 20, "{}", page.len());
    assert!(
        page.matches("<tr").count() < 100,
        "rows are made by the script as they are needed"
    );
}
