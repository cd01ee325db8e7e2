//! `lakehunt ioc`: a list of indicators, looked for in all tables of a lake, each read once.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::sql::{at, chosen};
use crate::cli::{IocArgs, RowFormat};
use crate::engine::Engine;
use crate::engine::adhoc::Console;
use crate::engine::indicators::{Sightings, read};
use crate::error::{Error, Result};
use crate::hunt::Content;
use crate::lake::Lake;
use crate::printer::Printer;
use crate::shell::{Ended, Interrupts, Place, Settings, Shell};

pub(super) fn run(arguments: &IocArgs, printer: &Printer, now: DateTime<Utc>) -> Result<u8> {
    let text = text(&arguments.file)?;
    let list =
        read::read(&text).map_err(|error| Error::configuration(error).in_file(&arguments.file))?;
    if list.values.is_empty() {
        return Err(Error::configuration("there is no indicator in it")
            .in_file(&arguments.file)
            .hint("a hash, an address, a domain or a name a line; CSV, STIX 2.1 or MISP"));
    }
    if list.others > 0 {
        printer.warn(&format!(
            "{} values are no indicators, and were left out",
            list.others
        ));
    }
    let path = super::lake_file(arguments.lake.as_ref())?;
    let content = Content::beside(Some(&path))?;
    let lake = Arc::new(Lake::open(&path, &content)?);
    let engine = Arc::new(Engine::new(Arc::clone(&lake), None)?);
    let now = at(&arguments.window, now)?;
    let by_suffix = || RowFormat::of_file(arguments.out.as_ref()?);
    let settings = Settings {
        format: arguments
            .format
            .or_else(by_suffix)
            .unwrap_or(RowFormat::Table),
        out: arguments.out.clone(),
        wide: arguments.wide,
        max_rows: Some(usize::MAX),
        timeout: None,
        timer: false,
        explain: false,
        stats: false,
        pager: false,
    };
    super::runtime()?.block_on(async {
        let window = chosen(&arguments.window, &lake, now, printer).await?;
        let console = Console::new(engine, window, None).await?;
        let place = Place {
            content,
            outputs: Vec::new(),
            now,
        };
        let mut shell = Shell::new(settings, console, printer, place, Interrupts::listen()?);
        search(&mut shell, printer, arguments, &list).await
    })
}

async fn search(
    shell: &mut Shell<'_>,
    printer: &Printer,
    arguments: &IocArgs,
    list: &read::List,
) -> Result<u8> {
    let mut sightings = Sightings::of(list)?;
    let all = arguments.all_columns;
    let passes = sightings.passes(&mut shell.console, all).await?;
    let mut failed = false;
    for pass in &passes {
        let ended = shell
            .each(&pass.planned, &mut |rows| {
                sightings.add(&pass.table, rows, all)
            })
            .await;
        match ended {
            Ok(Ended::Done) => {}
            Ok(_) => {
                printer.warn("interrupted");
                return Ok(130);
            }
            // It costs itself.
            Err(error) => {
                failed = true;
                printer.error(&error.about(&pass.table).to_string(), None);
            }
        }
    }
    let scanned = shell.console.scanned().await;
    for note in shell.console.notes(&scanned) {
        printer.warn(&note);
    }
    let rows = sightings.table()?;
    shell.show_batch(&rows)?;
    let (found, of) = sightings.count();
    printer.conclude(&format!(
        "{found} of {of} indicators were seen, looking into {} table{}",
        passes.len(),
        if passes.len() == 1 { "" } else { "s" }
    ));
    Ok(match (failed, found > 0 && arguments.fail_on_hit) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    })
}

fn text(file: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Error::configuration(format!("cannot read the indicators: {error}")).in_file(file)
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
