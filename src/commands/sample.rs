//! `lakehunt sample`.

use super::data;
use crate::cli::SampleArgs;
use crate::error::{Error, Result};
use crate::printer::Printer;
use crate::sample::{SampleOptions, generate};

pub(super) fn run(arguments: &SampleArgs, printer: &Printer) -> Result<u8> {
    let options = SampleOptions {
        days: arguments.days,
        events: arguments.events,
        seed: arguments.seed,
        start: arguments.start,
        distinct: arguments.distinct,
        hosts: arguments.hosts,
        ..SampleOptions::default()
    };
    if arguments.folder.is_file() {
        return Err(
            Error::configuration(format!("{} is a file", arguments.folder.display()))
                .hint("name a folder; it is made where it is missing"),
        );
    }
    let progress = printer.progress();
    progress.set_total(0, 0);
    let mut before = 0;
    let summary = generate(&arguments.folder, &options, &mut |events| {
        progress.advance(0, 0, events - before);
        before = events;
    })
    .map_err(|error| Error::configuration(error.to_string()))?;
    progress.finish();
    let folder = arguments.folder.display();
    data(
        printer,
        &format!(
            "{folder}: {} events in {} files, {} bytes; {} planted, see {folder}/answers.json\n",
            summary.events, summary.files, summary.bytes, summary.planted
        ),
    )?;
    printer.note(&format!(
        "look at it: lakehunt tables --lake {folder}/lake.yaml"
    ));
    Ok(0)
}
