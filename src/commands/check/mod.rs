//! `lakehunt check`: all that is wrong with hunts, views and forms, and with job, lake and exceptions files, at once.
//!
//! Gathers diagnostics and prints them; what is wrong is found by `hunts` and `files` below, and by the rooms.

mod files;
mod hunts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::cli::{CheckArgs, TestFormat};
use crate::engine::check::Checker;
use crate::error::{Error, Result};
use crate::hunt::library::{Examined, examine};
use crate::hunt::{Content, Library, Parameter};
use crate::lake::Form;
use crate::printer::Printer;

/// One thing that is wrong.
#[derive(Debug, Clone)]
struct Diagnostic {
    is_error: bool,
    /// The hunt it is about.
    hunt: Option<String>,
    error: Error,
}

/// A hunt to check, with the values that its parameters have.
struct Target<'a> {
    examined: &'a Examined,
    parameters: BTreeMap<String, Parameter>,
}

/// What is checked, and what was found.
struct Check<'a> {
    content: &'a Content,
    examined: &'a [Examined],
    library: &'a Library,
    checker: Arc<Checker>,
    forms: BTreeMap<String, Arc<Form>>,
    /// Forms and views that do not parse: what follows from that is no error of its own.
    broken: Vec<String>,
    found: Vec<Diagnostic>,
    notes: Vec<String>,
}

pub(super) fn run(arguments: &CheckArgs, printer: &Printer) -> Result<u8> {
    let is_file = |name: &&String| {
        let suffix = Path::new(name).extension();
        suffix.is_some_and(|suffix| suffix == "yaml" || suffix == "yml")
    };
    let (files, names): (Vec<_>, Vec<_>) = arguments.names.iter().partition(is_file);
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let content = Content::beside(
        files
            .first()
            .or(arguments.lake.as_ref())
            .map(PathBuf::as_path),
    )?;
    let examined = examine(&content);
    let library = Library::of(&examined);
    let mut found = Vec::new();
    let mut broken = Vec::new();
    let forms = files::forms(&content, &mut found, &mut broken);
    let views = files::views(&content, &mut found, &mut broken);
    let mut check = Check {
        content: &content,
        examined: &examined,
        library: &library,
        checker: Arc::new(Checker::new(views)?),
        forms,
        broken,
        found,
        notes: Vec::new(),
    };
    let checked = super::runtime()?.block_on(async {
        if files.is_empty() && names.is_empty() {
            check.selects().await;
        }
        let mut checked = 0;
        for file in &files {
            checked += check.file(file).await?;
        }
        if files.is_empty() || !names.is_empty() {
            checked += check.hunts(&names, arguments.lake.as_deref()).await?;
        }
        Ok::<_, Error>(checked)
    })?;
    let Check {
        mut found, notes, ..
    } = check;
    for diagnostic in &mut found {
        diagnostic.is_error |= arguments.deny_warnings;
    }
    arrange(&mut found);
    print(&found, arguments.format, printer)?;
    for note in &notes {
        printer.note(note);
    }
    let errors = found.iter().filter(|found| found.is_error).count();
    let files = match files.len() {
        0 => String::new(),
        count => format!("{} and ", counted(count, "file")),
    };
    printer.conclude(&format!(
        "{files}{} checked, {}, {}",
        counted(checked, "hunt"),
        counted(errors, "error"),
        counted(found.len() - errors, "warning")
    ));
    Ok(if errors > 0 { 2 } else { 0 })
}

/// `1 hunt`, `2 hunts`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

impl Check<'_> {
    fn error(&mut self, hunt: Option<&str>, error: Error) {
        self.found.push(Diagnostic {
            is_error: true,
            hunt: hunt.map(str::to_owned),
            error,
        });
    }

    fn warning(&mut self, hunt: Option<&str>, error: Error) {
        self.found.push(Diagnostic {
            is_error: false,
            hunt: hunt.map(str::to_owned),
            error,
        });
    }
}

/// In order of files and places; what is said of one place twice, once.
fn arrange(found: &mut Vec<Diagnostic>) {
    let key = |diagnostic: &Diagnostic| {
        let place = diagnostic.error.place().cloned();
        let place = place.map(|place| (place.file, place.line, place.column));
        let message = diagnostic.error.message().to_owned();
        (place, !diagnostic.is_error, message)
    };
    found.sort_by_key(key);
    found.dedup_by_key(|diagnostic| key(diagnostic));
}

fn print(found: &[Diagnostic], format: TestFormat, printer: &Printer) -> Result<()> {
    if format == TestFormat::Json {
        let rows: Vec<_> = found.iter().map(as_json).collect();
        return super::json(printer, &rows);
    }
    for diagnostic in found {
        let error = diagnostic.error.clone().underlined();
        printer.diagnostic(diagnostic.is_error, &error.to_string(), error.hint_text());
    }
    Ok(())
}

fn as_json(diagnostic: &Diagnostic) -> serde_json::Value {
    let error = &diagnostic.error;
    let place = error.place();
    let known = |number: usize| (number > 0).then_some(number);
    json!({
        "file": place.map(|place| place.file.display().to_string()),
        "line": place.and_then(|place| known(place.line)),
        "column": place.and_then(|place| known(place.column)),
        "severity": if diagnostic.is_error { "error" } else { "warning" },
        "message": error.message(),
        "hint": error.hint_text(),
        "hunt": diagnostic.hunt,
    })
}
