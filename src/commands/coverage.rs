//! `lakehunt hunts coverage`: which techniques of ATT&CK the hunts are for, by their tags.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::data;
use crate::cli::CoverageFormat;
use crate::error::Result;
use crate::hunt::{Hunt, Library, attack};
use crate::printer::Printer;
use crate::report::navigator::{Scored, layer};
use crate::report::visible::shorten;

/// One technique and the hunts for it.
struct Covered<'a> {
    id: String,
    name: &'static str,
    tactics: Vec<&'static str>,
    hunts: Vec<&'a str>,
}

pub(super) fn run(
    library: &Library,
    status: &[String],
    format: CoverageFormat,
    printer: &Printer,
) -> Result<()> {
    let hunts = library.iter().filter(|hunt| {
        status.is_empty()
            || status
                .iter()
                .any(|word| word == hunt.front_matter.status.as_str())
    });
    let covered = covered(hunts);
    let text = match format {
        CoverageFormat::Navigator => {
            let techniques = covered.iter().map(|one| {
                let names = one.hunts.iter().map(|name| (*name).to_owned()).collect();
                let score = one.hunts.len() as u64;
                (one.id.clone(), Scored { score, names })
            });
            let words = "Hunts of this library by the techniques they are tagged with. The score is their number.";
            return super::json(
                printer,
                &layer("lakehunt coverage", words, &techniques.collect()),
            );
        }
        CoverageFormat::Json => {
            let rows: Vec<_> = covered
                .iter()
                .map(|one| json!({"technique": one.id, "name": one.name, "tactics": one.tactics, "hunts": one.hunts}))
                .collect();
            return super::json(
                printer,
                &json!({"attack_version": attack::version(), "techniques": rows}),
            );
        }
        CoverageFormat::Markdown => markdown(&covered),
        CoverageFormat::Text => text(&covered),
    };
    data(printer, &text)
}

/// By technique, in order of the ids.
fn covered<'a>(hunts: impl Iterator<Item = &'a Hunt>) -> Vec<Covered<'a>> {
    let mut by_id: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for hunt in hunts {
        for tag in &hunt.front_matter.tags {
            let id = tag
                .strip_prefix("attack.")
                .unwrap_or_default()
                .to_uppercase();
            if attack::page(&id).is_some() {
                by_id.entry(id).or_default().push(&hunt.name);
            }
        }
    }
    let known = |id: &str| attack::technique(id);
    by_id
        .into_iter()
        .map(|(id, hunts)| Covered {
            name: known(&id).map_or("(not in this version of ATT&CK)", |found| found.name),
            tactics: known(&id).map_or(Vec::new(), |found| found.tactics.clone()),
            id,
            hunts,
        })
        .collect()
}

/// Columns of the names of hunts; the other formats have all of them.
const NAMES_WIDTH: usize = 70;

fn text(covered: &[Covered<'_>]) -> String {
    let width = |cell: &dyn Fn(&Covered<'_>) -> usize| covered.iter().map(cell).max().unwrap_or(0);
    let (names, tactics) = (
        width(&|one| one.name.chars().count()),
        width(&|one| one.tactics.join(", ").len()).max(7),
    );
    let mut text = format!(
        "{:9}  {:names$}  {:tactics$}  HUNTS\n",
        "TECHNIQUE", "NAME", "TACTICS"
    );
    for one in covered {
        let _ = writeln!(
            text,
            "{:9}  {:names$}  {:tactics$}  {:>2}: {}",
            one.id,
            one.name,
            one.tactics.join(", "),
            one.hunts.len(),
            shorten(&one.hunts.join(", "), NAMES_WIDTH)
        );
    }
    let _ = writeln!(text, "\nATT&CK {}", attack::version());
    text
}

fn markdown(covered: &[Covered<'_>]) -> String {
    let mut text = "| technique | name | tactics | hunts |\n| --- | --- | --- | --- |\n".to_owned();
    for one in covered {
        let page = attack::page(&one.id).unwrap_or_default();
        let _ = writeln!(
            text,
            "| [{}]({page}) | {} | {} | {} |",
            one.id,
            one.name,
            one.tactics.join(", "),
            one.hunts.join(", ")
        );
    }
    let _ = writeln!(text, "\nATT&CK {}", attack::version());
    text
}
