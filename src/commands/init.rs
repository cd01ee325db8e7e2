//! `lakehunt init`: a new project, in which the first commands that somebody types make sense.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use super::data;
use crate::cli::InitArgs;
use crate::error::{Error, Result};
use crate::hunt::{Content, content, yaml};
use crate::printer::Printer;

/// The form of the table that is not commented out.
const FIRST_FORM: &str = "windows_event";

pub(super) fn run(arguments: &InitArgs, printer: &Printer) -> Result<u8> {
    let folder = &arguments.folder;
    refuse_used(folder)?;
    let mut files = content::shipped_files();
    files.insert("lake.yaml".to_owned(), lake(&Content::shipped())?);
    for (path, text) in [
        ("README.md", README),
        ("jobs/nightly.yaml", JOB),
        (".gitignore", GITIGNORE),
        ("telemetry/windows/README.md", TELEMETRY),
    ] {
        files.insert(path.to_owned(), text.to_owned());
    }
    for (inside, text) in &files {
        let path = folder.join(inside);
        let wrong = |error: std::io::Error| {
            Error::failure(format!("cannot write the file: {error}")).in_file(&path)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(wrong)?;
        }
        std::fs::write(&path, text).map_err(wrong)?;
    }
    let hunts = files
        .keys()
        .filter(|path| path.starts_with("sql/hunts/"))
        .count();
    let shown = folder.display();
    data(
        printer,
        &format!("{shown}: {} files, {hunts} hunts\n", files.len()),
    )?;
    printer.note(&format!(
        "next: cd {shown} && lakehunt check && lakehunt test; README.md says what comes after"
    ));
    Ok(0)
}

fn refuse_used(folder: &Path) -> Result<()> {
    let wrong = |message: &str| Error::configuration(format!("{} {message}", folder.display()));
    if folder.exists() && !folder.is_dir() {
        return Err(wrong("is a file").hint("name a folder; it is made where it is missing"));
    }
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(wrong("is not empty").hint("a project begins in a folder of its own")),
    }
}

#[derive(Deserialize)]
struct Described {
    description: Option<String>,
}

/// A lake file with a table for each form, all but one commented out.
fn lake(content: &Content) -> Result<String> {
    let mut forms: BTreeMap<&str, String> = BTreeMap::new();
    for (inside, text) in content.below("forms") {
        let Some(name) = inside
            .strip_prefix("forms/")
            .and_then(|file| file.strip_suffix(".yaml"))
        else {
            continue;
        };
        let path = content.display_path(inside);
        let described: Described = yaml::parse(text, &path, 1, 0, text)?;
        let description = described.description.unwrap_or_default();
        forms.insert(name, comment(&description));
    }
    let mut text = LAKE_HEAD.to_owned();
    for (form, description) in forms.iter().filter(|(form, _)| **form != FIRST_FORM) {
        let (format, layout) = usual(form);
        let _ = write!(
            text,
            "\n{description}  # {form}:\n  #   location: telemetry/{form}/\n  #   form: {form}\n  #   format: {format}\n  #   layout: \"{layout}\"\n"
        );
    }
    Ok(text)
}

/// The first sentence of a description as lines of comment.
fn comment(description: &str) -> String {
    const WIDTH: usize = 110;
    let mut lines = vec![String::from("  #")];
    for word in description.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + 1 + word.chars().count() > WIDTH {
            lines.push(String::from("  #"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
        if word.ends_with('.') {
            break;
        }
    }
    lines.join("\n") + "\n"
}

/// How the files of a form usually lie.
fn usual(form: &str) -> (&'static str, &'static str) {
    match form {
        // Amazon Security Lake.
        form if form.starts_with("ocsf") => (
            "parquet",
            "region={region}/accountId={account}/eventDay={time:%Y%m%d}/**",
        ),
        // Batches without a time in their paths.
        form if form.starts_with("crowdstrike") => ("ndjson", "data/**"),
        _ => ("ndjson", "day={time:%Y-%m-%d}/**"),
    }
}

const LAKE_HEAD: &str = r#"# The tables of this lake: where files lie and what their rows look like. `lakehunt schema lake` explains every key,
# `lakehunt tables` shows what is found. Remove the comment signs of the tables you have.
tables:
  # Sysmon, Security and other Windows logs as flat exports write them: one JSON object an event.
  windows:
    location: telemetry/windows/            # a folder, relative to this file
    form: windows_event                     # the shape of the rows: a file in sql/forms
    format: ndjson                          # .ndjson .jsonl .json, plain, .gz or .zst; or parquet
    layout: "day={time:%Y-%m-%d}/**"        # what time a path holds: days outside a window are not listed
    slack: 1d                               # paths are by arrival: list a day wider, filter on the event's own time
    settle: 10m                             # a day is complete this long after its end
    # timezone: Europe/Berlin               # for times that are written without a zone
    # max_bad_ratio: 0.01                   # more bad lines than this (and than 100) make results partial
"#;

const JOB: &str = r#"# All stable hunts over whole UTC days, two hours after midnight. `lakehunt schema job` explains every key.
lake: ../lake.yaml
hunts: {status: [stable]}               # or names: [...], tags: [attack.t1047], level: [high, critical]
grid: {cron: "0 2 * * *", earliest: "-1d@d", latest: "@d", timezone: UTC}
# since: 2026-01-01T00:00:00Z           # where the grid begins
output: ../out
suppress: 24h                           # an alert whose group alerted within this time is a repeat
limits: {memory: 2GiB, hunt_timeout: 10m, max_findings: 10000}
"#;

const README: &str = r"# Threat hunts

1. `lakehunt check` and `lakehunt test` pass as they are: `sql/hunts` holds the hunts, `tests/hunts` what they must find.
2. To look around, `lakehunt sample sample` writes three days of telemetry with attacks in it; then
   `lakehunt run jobs/nightly.yaml --lake sample/lake.yaml --at 2026-01-04T02:00:00Z`.
3. Say in `lake.yaml` where your own telemetry lies and what shape it has; `lakehunt tables` shows what is found.
4. `lakehunt run jobs/nightly.yaml` hunts through yesterday. Findings, alerts and a summary are in `out/`.
5. `lakehunt hunts new my_hunt` writes a hunt with its fixture. Edit both; `lakehunt check` and `lakehunt test` again.
6. `lakehunt schema --output schemas` lets editors complete and check the YAML files.
";

const GITIGNORE: &str = "/out/\n/sample/\n/telemetry/**/day=*/\n";

const TELEMETRY: &str = r"Files of the table `windows` belong here, in a folder for each day: `day=2026-01-31/anything.ndjson.gz`.
Where yours lie elsewhere, say so in `lake.yaml`: `location` and `layout`.
";
