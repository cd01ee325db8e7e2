//! Alerts as messages for people's channels: Slack and Teams. Telemetry goes only where the receiver takes plain text, and
//! is made visible first, so that nobody is mentioned, nothing is linked and no reader is misled.

use serde_json::{Value, json};

use super::visible::{neutral, shorten_counting};
use crate::history::stored::StoredAlert;

/// Columns of a value in a message; Slack takes 3,000 in a block.
const WIDTH: usize = 600;

/// One alert for an incoming webhook of Slack.
pub fn slack(alert: &StoredAlert) -> Value {
    let plain = |text: String| json!({"type": "plain_text", "text": text, "emoji": false});
    let fields: Vec<Value> = facts(alert)
        .into_iter()
        .map(|(name, value)| plain(format!("{name}: {value}")))
        // Slack takes ten.
        .take(10)
        .collect();
    json!({
        // What a notification shows; Slack reads markup here.
        "text": format!("{}: {}", alert.level.as_str().to_uppercase(), escaped(&alert.title)),
        "blocks": [
            {"type": "section", "text": plain(title(alert))},
            {"type": "section", "text": plain(shown(&alert.message))},
            {"type": "section", "fields": fields},
        ],
    })
}

/// One alert as an adaptive card for a webhook of Teams.
pub fn teams(alert: &StoredAlert) -> Value {
    // Rich text takes runs as they are; a TextBlock would read Markdown.
    let line = |text: String, weight: &str| json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, "weight": weight}]});
    let mut body = vec![
        line(title(alert), "Bolder"),
        line(shown(&alert.message), "Default"),
    ];
    body.extend(
        facts(alert)
            .into_iter()
            .map(|(name, value)| line(format!("{name}: {value}"), "Default")),
    );
    card(&body)
}

/// How many more there are, for Slack.
pub fn slack_more(more: usize, summary: &str) -> Value {
    json!({"text": escaped(&more_text(more, summary))})
}

/// How many more there are, for Teams.
pub fn teams_more(more: usize, summary: &str) -> Value {
    let text = more_text(more, summary);
    card(&[
        json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": shown(&text)}]}),
    ])
}

fn more_text(more: usize, summary: &str) -> String {
    let plural = if more == 1 { "" } else { "s" };
    format!("and {more} more alert{plural}: see {summary}")
}

fn card(body: &[Value]) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

fn title(alert: &StoredAlert) -> String {
    let risk = alert
        .shown_risk()
        .map_or(String::new(), |risk| format!(" (risk {risk})"));
    format!(
        "{}: {}{risk}",
        alert.level.as_str().to_uppercase(),
        shown(&alert.title)
    )
}

fn facts(alert: &StoredAlert) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = alert
        .entities
        .iter()
        .take(5)
        .map(|entity| (shown(&entity.kind), shown(&entity.value)))
        .collect();
    let seen = |time: &chrono::DateTime<chrono::Utc>| super::figures::instant(*time);
    facts.push((
        "seen".to_owned(),
        format!("{} to {}", seen(&alert.first_seen), seen(&alert.last_seen)),
    ));
    if !alert.techniques.is_empty() {
        facts.push(("techniques".to_owned(), shown(&alert.techniques.join(", "))));
    }
    facts.push(("hunt".to_owned(), shown(&alert.hunt)));
    facts.push((
        "show".to_owned(),
        format!("lakehunt alerts show {}", shown(&alert.alert_id)),
    ));
    facts
}

fn shown(text: &str) -> String {
    shorten_counting(&neutral(text), WIDTH).into_owned()
}

/// Slack's markup needs these three.
fn escaped(text: &str) -> String {
    shown(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
