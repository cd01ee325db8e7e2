//! The morning report: one HTML file that opens from disk, needs no network, and holds everything that somebody wants to
//! know about a run. Made for people; programs read the JSON.
//!
//! Style and script are files of their own (`page.css`, `page.js`), put in at build time; the policy in the page's head
//! allows those two by their hashes and nothing else, so that a mistake in escaping would still run nothing. All text goes
//! through `text` or, for the script, `data`: made visible first, then escaped.
//!
//! It must not read anything: the same story gives the same bytes.

mod charts;
mod data;
mod sections;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::figures::instant;
use super::story::Story;
use super::visible::{neutral, shorten_counting};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page, with a line end.
pub fn render(story: &Story<'_>) -> String {
    let report = story.report;
    let mut page = String::with_capacity(256 * 1024);
    let title = format!(
        "{}: {} ({})",
        report.job,
        report.verdict(),
        instant(report.window_start)
    );
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"lakehunt {}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        policy(),
        text(&report.lakehunt_version),
        text(&title),
    );
    sections::head(&mut page, story);
    page.push_str("<main id=\"main\" tabindex=\"-1\">\n");
    sections::verdict(&mut page, story);
    sections::incidents(&mut page, report);
    sections::alerts(&mut page, story);
    charts::trends(&mut page, story);
    sections::hunts(&mut page, report);
    sections::tables(&mut page, story);
    sections::notes(&mut page, story);
    page.push_str("</main>\n");
    sections::foot(&mut page, story);
    let _ = write!(
        page,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        data::island(story)
    );
    page
}

/// What the page may do: its own style and script, and nothing else.
fn policy() -> String {
    let hash = |source: &str| STANDARD.encode(Sha256::digest(source));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// How much of a value is shown outside of raw events, in columns; the middle of longer ones is left out.
const VALUE_WIDTH: usize = 400;

/// Text for the page, between tags or in a quoted attribute: made visible, shortened, escaped.
fn text(value: &str) -> String {
    escape(&shorten_counting(&neutral(value), VALUE_WIDTH))
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
