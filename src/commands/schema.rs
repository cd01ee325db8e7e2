//! `lakehunt schema`: JSON Schemas of the files that people write, derived from the types that read them, and of
//! the summary that programs read.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::data;
use crate::cli::{SchemaArgs, SchemaKind};
use crate::error::{Error, Result};
use crate::hunt::front_matter;
use crate::lake::{config, form, view};
use crate::printer::Printer;
use crate::{exceptions, job, report};

pub(super) fn run(arguments: &SchemaArgs, printer: &Printer) -> Result<u8> {
    if let Some(folder) = &arguments.output {
        let mut written = String::new();
        for kind in SchemaKind::value_variants() {
            written.push_str(&write(folder, *kind)?);
        }
        data(printer, &written)?;
        return Ok(0);
    }
    match arguments.kind {
        Some(kind) => super::json(printer, &schema(kind))?,
        None => data(printer, &kinds())?,
    }
    Ok(0)
}

/// The name of a kind on the command line and in file names, and what files are of it.
fn described(kind: SchemaKind) -> (&'static str, &'static str) {
    match kind {
        SchemaKind::FrontMatter => ("front-matter", "the YAML at the top of sql/hunts/**/*.sql"),
        SchemaKind::Job => ("job", "jobs/*.yaml"),
        SchemaKind::Lake => ("lake", "lake.yaml"),
        SchemaKind::Form => ("form", "sql/forms/*.yaml"),
        SchemaKind::View => ("view", "sql/views/*/schema.yaml"),
        SchemaKind::Exceptions => ("exceptions", "the file that a job's `exceptions` names"),
        SchemaKind::Summary => ("summary", "summary/*/*.json of an output"),
    }
}

fn kinds() -> String {
    let rows = SchemaKind::value_variants().iter().map(|kind| {
        let (name, files) = described(*kind);
        format!("{name:12}  {files}\n")
    });
    rows.collect()
}

fn schema(kind: SchemaKind) -> Value {
    let schema = match kind {
        SchemaKind::FrontMatter => front_matter::json_schema(),
        SchemaKind::Job => job::json_schema(),
        SchemaKind::Lake => config::json_schema(),
        SchemaKind::Form => form::json_schema(),
        SchemaKind::View => view::json_schema(),
        SchemaKind::Exceptions => exceptions::json_schema(),
        SchemaKind::Summary => report::json_schema(),
    };
    // What the Rust type is called says nothing to those who write the file.
    let (name, files) = described(kind);
    let mut head = json!({"$schema": null, "title": format!("lakehunt {name}: {files}")});
    if let (Value::Object(head), Value::Object(body)) = (&mut head, schema.to_value()) {
        head.extend(body.into_iter().filter(|(key, _)| key != "title"));
    }
    head
}

fn write(folder: &Path, kind: SchemaKind) -> Result<String> {
    let (name, _) = described(kind);
    let path = folder.join(format!("{name}.schema.json"));
    let wrong = |error: std::io::Error| {
        Error::failure(format!("cannot write the schema: {error}")).in_file(&path)
    };
    let text = serde_json::to_string_pretty(&schema(kind))
        .map_err(|error| Error::failure(error.to_string()))?;
    std::fs::create_dir_all(folder).map_err(wrong)?;
    std::fs::write(&path, text + "\n").map_err(wrong)?;
    Ok(format!("{}\n", path.display()))
}
