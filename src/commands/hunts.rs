//! `lakehunt hunts list` and `lakehunt hunts show`; `new` and `coverage` have files of their own.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::data;
use crate::cli::{Format, HuntsCommand};
use crate::error::{Error, Result};
use crate::hunt::{Content, Hunt, Library};
use crate::printer::Printer;

pub(super) fn run(command: &HuntsCommand, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let content = Content::beside(None)?;
    let library = Library::load(&content);
    if let HuntsCommand::List { .. } = command {
        for error in library.broken().flat_map(|(_, errors)| errors) {
            printer.error(&error.to_string(), error.hint_text());
        }
    }
    match command {
        HuntsCommand::List { tags, format } => list(&library, tags, *format, printer)?,
        HuntsCommand::Show {
            name,
            source,
            format,
        } => show(library.get(name)?, *source, *format, printer)?,
        HuntsCommand::Coverage { status, format } => {
            super::coverage::run(&library, status, *format, printer)?;
        }
        HuntsCommand::New(arguments) => {
            super::hunts_new::run(arguments, &content, &library, printer, now)?;
        }
    }
    Ok(0)
}

fn list(library: &Library, tags: &[String], format: Format, printer: &Printer) -> Result<()> {
    let chosen: Vec<_> = library
        .iter()
        .filter(|hunt| {
            tags.is_empty() || tags.iter().any(|tag| hunt.front_matter.tags.contains(tag))
        })
        .collect();
    if format == Format::Json {
        let rows: Vec<_> = chosen.iter().map(|hunt| as_json(hunt)).collect();
        return super::json(printer, &rows);
    }
    let width =
        |cell: &dyn Fn(&Hunt) -> usize| chosen.iter().map(|hunt| cell(hunt)).max().unwrap_or(0);
    let names = width(&|hunt| hunt.name.len()).max(4);
    let mut text = String::new();
    if format == Format::Markdown {
        text.push_str("| hunt | level | status | title |\n| --- | --- | --- | --- |\n");
    } else {
        let _ = writeln!(
            text,
            "{:names$}  {:13}  {:12}  TITLE",
            "HUNT", "LEVEL", "STATUS"
        );
    }
    for hunt in &chosen {
        let front = &hunt.front_matter;
        let (level, status) = (front.level.as_str(), front.status.as_str());
        let _ = match format {
            Format::Markdown => writeln!(
                text,
                "| {} | {level} | {status} | {} |",
                hunt.name, front.title
            ),
            _ => writeln!(
                text,
                "{:names$}  {level:13}  {status:12}  {}",
                hunt.name, front.title
            ),
        };
    }
    data(printer, &text)
}

fn show(hunt: &Hunt, source: bool, format: Format, printer: &Printer) -> Result<()> {
    let front = &hunt.front_matter;
    if source {
        let Some(source) = &front.source else {
            return Err(Error::configuration(format!(
                "hunt `{}` is not a port: it has no `source`",
                hunt.name
            )));
        };
        if format == Format::Json {
            return super::json(printer, source);
        }
        return data(
            printer,
            &format!(
                "{} ({})\n\n{}\n",
                source.document,
                source.language,
                source.query.trim_end()
            ),
        );
    }
    if format == Format::Json {
        let mut value = as_json(hunt);
        value["description"] = front.description.clone().into();
        value["front_matter"] =
            serde_json::to_value(front).map_err(|error| Error::failure(error.to_string()))?;
        value["sql"] = sql(hunt).into();
        return super::json(printer, &value);
    }
    let mut text = format!("# {}\n\n", front.title);
    let _ = writeln!(
        text,
        "{} · {} · {}",
        hunt.name,
        front.level.as_str(),
        front.status.as_str()
    );
    let _ = writeln!(
        text,
        "{}\n\n{}",
        hunt.path.display(),
        front.description.trim_end()
    );
    let mut section = |title: &str, items: &[String]| {
        if !items.is_empty() {
            let _ = writeln!(text, "\n## {title}\n");
            for item in items {
                let _ = writeln!(text, "- {item}");
            }
        }
    };
    section("What to do when it fires", &front.response);
    section("False positives", &front.falsepositives);
    section("Tags", &front.tags);
    section("References", &front.references);
    let parameters: Vec<_> = front
        .params
        .iter()
        .map(|(name, value)| format!("${name} = {value}"))
        .collect();
    section("Parameters", &parameters);
    let _ = writeln!(text, "\n## SQL\n\n```sql\n{}\n```", sql(hunt).trim());
    data(printer, &text)
}

fn as_json(hunt: &Hunt) -> serde_json::Value {
    let front = &hunt.front_matter;
    json!({
        "name": hunt.name,
        "id": front.id,
        "title": front.title,
        "level": front.level,
        "status": front.status,
        "tags": front.tags,
        "path": hunt.path.display().to_string(),
    })
}

/// The text after the front matter.
pub(super) fn sql(hunt: &Hunt) -> String {
    let mut fences = 0;
    let body = hunt.sql.lines().skip_while(|line| {
        let inside = fences < 2;
        fences += usize::from(line.trim_end() == "-- ---");
        inside
    });
    body.collect::<Vec<_>>().join("\n")
}
