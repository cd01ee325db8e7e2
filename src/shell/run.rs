//! Running statements: limits that say when they bite, Ctrl-C, progress, and the way of the rows to where they go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::render::{Layout, Writer, table, vertical};
use super::sink::{Parquet, Sink, Target, page};
use super::{Settings, Shell};
use crate::cli::RowFormat;
use crate::engine::SqlSource;
use crate::engine::adhoc::statement::{parse, split};
use crate::engine::adhoc::{Outcome, Planned, Reads, Scanned, Statement, Summary, run_error};
use crate::error::{Error, Result};
use crate::printer::Progress;
use crate::stats::{SCAN, Stats};
use crate::time::format_duration;

/// How long a query is quiet before its progress is shown.
const PATIENCE: Duration = Duration::from_millis(700);

/// What stands for no time limit: longer than anybody waits.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// How statements ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All ran.
    Done,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Nobody reads any more.
    Unread,
}

/// What came of the rows of a query.
struct Fetched {
    rows: usize,
    ended: Ended,
    /// From the beginning of the statement to the last row.
    took: Duration,
    /// The limit that cut them.
    cut: Option<usize>,
}

impl Shell<'_> {
    /// Runs all statements of a text. What does not parse anywhere keeps all of it from running.
    ///
    /// # Errors
    /// The first mistake, at its place, or failure.
    pub async fn run_text(&mut self, source: &SqlSource) -> Result<Ended> {
        let mut statements = Vec::new();
        for piece in split(source) {
            let statement = parse(&piece).map_err(|error| error.showing(&source.text))?;
            statements.push((piece, statement));
        }
        let gives_rows = |statement: &Statement| {
            !matches!(
                statement,
                Statement::CreateView { .. } | Statement::DropView { .. }
            )
        };
        let results = statements
            .iter()
            .filter(|(_, statement)| gives_rows(statement));
        if self.settings.out.is_some() && results.count() > 1 {
            return Err(Error::configuration("one file takes one result")
                .hint("run the statements one by one, each with its file"));
        }
        for (piece, statement) in statements {
            let ran = self.run_statement(&piece, statement).await;
            let ended = ran.map_err(|error| error.showing(&source.text))?;
            if ended != Ended::Done {
                return Ok(ended);
            }
        }
        Ok(Ended::Done)
    }

    async fn run_statement(&mut self, source: &SqlSource, statement: Statement) -> Result<Ended> {
        self.stats = self.begun.take().unwrap_or_else(Stats::from_here);
        if matches!(statement, Statement::Query(_)) {
            self.last = Some(source.clone());
        }
        // Those of a statement that failed are not this one's.
        drop(self.console.notes(&self.console.scanned().await));
        let outcome = tokio::select! {
            outcome = self.console.run(source, statement) => outcome?,
            () = self.interrupts.pressed() => return Ok(Ended::Interrupted),
            // Pivots read while they are planned.
            () = tokio::time::sleep(self.settings.timeout.unwrap_or(NEVER)) => {
                return Err(self.out_of_time());
            }
        };
        self.stats.stage("plan");
        let (ended, ran) = match outcome {
            Outcome::Said(text) => {
                if !text.is_empty() {
                    self.printer.note(&text);
                }
                return Ok(Ended::Done);
            }
            Outcome::Batch(batch) => (self.show_batch(&batch)?, None),
            Outcome::Rows(planned) if self.settings.explain => {
                let mut sink = self.sink()?;
                sink.text(&Reads::of(&planned).words(false))?;
                sink.finish()?;
                (Ended::Done, None)
            }
            Outcome::Summary(planned) => (self.show_summary(&planned).await?, Some(planned)),
            Outcome::Rows(planned) => (self.show_rows(&planned).await?, Some(planned)),
        };
        let scanned = self.console.scanned().await;
        for note in self.console.notes(&scanned) {
            self.printer.warn(&note);
        }
        if let (Some(planned), true) = (ran, self.settings.stats) {
            self.say_stats(&planned, &scanned);
        }
        Ok(ended)
    }

    fn sink(&self) -> Result<Sink<'_>> {
        Ok(match &self.settings.out {
            Some(path) => Sink::File(Target::create(path)?),
            None => Sink::Stdout(self.printer),
        })
    }

    /// Runs a plan to its end and gives all its rows to `each`.
    ///
    /// # Errors
    /// What the query or `each` says.
    pub async fn each(
        &self,
        planned: &Planned,
        each: &mut dyn FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Ended> {
        let all = &mut |batch: &RecordBatch| each(batch).map(|()| true);
        Ok(self.fetch(planned, None, all).await?.ended)
    }

    /// Shows rows that are there already.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn show_batch(&self, batch: &RecordBatch) -> Result<Ended> {
        let schema = batch.schema();
        let batches = std::slice::from_ref(batch);
        if is_for_people(self.settings.format) {
            return self.lay_out(&schema, batches);
        }
        let mut sink = self.sink()?;
        if self.settings.format == RowFormat::Parquet {
            let mut parquet = self.parquet(&schema)?;
            let begin = parquet.rows(batch)?;
            sink.bytes(&begin)?;
            sink.bytes(&parquet.finish()?)?;
        } else {
            let mut writer = Writer::new(self.settings.format);
            let text = writer.begin(&schema) + &writer.rows(batch) + &writer.end();
            sink.text(&text)?;
        }
        sink.finish()?;
        Ok(Ended::Done)
    }

    async fn show_summary(&self, planned: &Planned) -> Result<Ended> {
        let mut summary = Summary::new(Arc::clone(&planned.schema))?;
        let add = &mut |batch: &RecordBatch| summary.add(batch).map(|()| true);
        let fetched = self.fetch(planned, None, add).await?;
        if fetched.ended != Ended::Done {
            return Ok(fetched.ended);
        }
        self.show_batch(&summary.finish()?)
    }

    async fn show_rows(&self, planned: &Planned) -> Result<Ended> {
        let settings = &self.settings;
        let limit = settings.row_limit();
        let schema = &planned.schema;
        let fetched = if is_for_people(settings.format) {
            let mut batches = Vec::new();
            let keep = &mut |batch: &RecordBatch| {
                batches.push(batch.clone());
                Ok(true)
            };
            let fetched = self.fetch(planned, limit, keep).await?;
            if fetched.ended != Ended::Done {
                return Ok(fetched.ended);
            }
            self.lay_out(schema, &batches)?;
            fetched
        } else if settings.format == RowFormat::Parquet {
            let mut sink = self.sink()?;
            let mut parquet = self.parquet(schema)?;
            let write = &mut |batch: &RecordBatch| sink.bytes(&parquet.rows(batch)?);
            let fetched = self.fetch(planned, limit, write).await?;
            if fetched.ended == Ended::Done {
                sink.bytes(&parquet.finish()?)?;
                sink.finish()?;
            }
            fetched
        } else {
            let mut sink = self.sink()?;
            let mut writer = Writer::new(settings.format);
            sink.text(&writer.begin(schema))?;
            let write = &mut |batch: &RecordBatch| sink.text(&writer.rows(batch));
            let fetched = self.fetch(planned, limit, write).await?;
            if fetched.ended == Ended::Done {
                sink.text(&writer.end())?;
                sink.finish()?;
            }
            fetched
        };
        self.conclude(planned, &fetched);
        Ok(fetched.ended)
    }

    /// What is said behind the rows.
    fn conclude(&self, planned: &Planned, fetched: &Fetched) {
        if fetched.ended != Ended::Done {
            return;
        }
        if let Some(limit) = fetched.cut {
            self.printer.warn(&format!(
                "stopped after {limit} rows, and there are more; --max-rows raises the limit, `-o FILE` with a \
                 format for machines has none"
            ));
        }
        let rows = fetched.rows;
        let plural = if rows == 1 { "" } else { "s" };
        let scans = Reads::of(planned).scans;
        let nothing = !scans.is_empty() && scans.iter().all(|scan| scan.files == 0);
        if rows == 0 && nothing {
            let window = self.console.window();
            let window = window.map_or_else(String::new, |window| format!(" for {window}"));
            self.printer.warn(&format!(
                "no rows, because the lake has no files{window}: no data is not the same as no findings"
            ));
        } else {
            let mut took = String::new();
            if self.settings.timer {
                took = format!(", {:.3} s", fetched.took.as_secs_f64());
            }
            self.printer.conclude(&format!("{rows} row{plural}{took}"));
        }
    }

    fn out_of_time(&self) -> Error {
        let after = self.settings.timeout.unwrap_or(NEVER);
        let after = chrono::Duration::from_std(after).map(format_duration);
        Error::failure(format!(
            "stopped after {}, the time limit",
            after.unwrap_or_default()
        ))
        .hint("narrow the window, join on a condition, or raise --timeout")
    }

    /// What the plan reads and what came of it, and what it cost; for machines the cost alone.
    fn say_stats(&self, planned: &Planned, scanned: &[Scanned]) {
        for scan in scanned {
            self.stats.read(&scan.table, &scan.listing, &scan.files);
        }
        let people = is_for_people(self.settings.format);
        if people {
            let words = Reads::of(planned).words(true);
            self.printer.conclude(words.trim_end());
        }
        self.stats.print(self.printer, !people);
    }

    fn parquet(&self, schema: &SchemaRef) -> Result<Parquet> {
        if self.settings.out.is_none() && self.printer.screen().is_some() {
            return Err(Error::configuration("Parquet is nothing for a terminal")
                .hint("-o FILE.parquet writes it"));
        }
        Parquet::new(schema)
    }

    /// Writes rows in a format for people: fitted to the terminal, and through the pager where they are long.
    fn lay_out(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Ended> {
        let settings = &self.settings;
        let screen = self.printer.screen().filter(|_| settings.out.is_none());
        let layout = Layout {
            width: screen.filter(|_| !settings.wide).map(|(width, _)| width),
            color: settings.out.is_none() && self.printer.color(),
        };
        let mut hidden = 0;
        let text = match settings.format {
            RowFormat::Vertical => vertical(schema, batches, 1, layout),
            RowFormat::Markdown => {
                let mut writer = Writer::new(RowFormat::Markdown);
                let rows: String = batches.iter().map(|batch| writer.rows(batch)).collect();
                writer.begin(schema) + &rows
            }
            _ => {
                let (text, left_out) = table(schema, batches, layout);
                hidden = left_out;
                text
            }
        };
        let mut read = true;
        let is_long = screen.is_some_and(|(width, height)| is_long(&text, width, height, settings));
        if !(settings.pager && is_long && page(&text)) {
            let mut sink = self.sink()?;
            read = sink.text(&text)?;
            sink.finish()?;
        }
        if hidden > 0 {
            let all = schema.fields().len();
            self.printer.conclude(&format!(
                "{} of {all} columns have room; --wide or --format vertical shows all",
                all - hidden
            ));
        }
        Ok(if read { Ended::Done } else { Ended::Unread })
    }

    /// Runs a plan and gives its rows to `each`, which answers whether it wants more.
    async fn fetch(
        &self,
        planned: &Planned,
        limit: Option<usize>,
        each: &mut dyn FnMut(&RecordBatch) -> Result<bool>,
    ) -> Result<Fetched> {
        // Before it starts: it counts what is read from now on.
        let mut watch = Watch::new(self, planned);
        let mut stream = planned.stream()?;
        let (sender, mut receiver) = mpsc::channel(2);
        // On a thread of its own: a query that computes for long must not keep Ctrl-C and the clock waiting.
        let running = tokio::spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let timeout = self.settings.timeout;
        let mut clock = Box::pin(tokio::time::sleep(timeout.unwrap_or(NEVER)));
        let mut interrupt = Box::pin(self.interrupts.pressed());
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut fetched = Fetched {
            rows: 0,
            ended: Ended::Done,
            took: Duration::ZERO,
            cut: None,
        };
        let result = loop {
            tokio::select! {
                biased;
                () = &mut interrupt => {
                    fetched.ended = Ended::Interrupted;
                    break Ok(());
                }
                () = &mut clock => {
                    break Err(self.out_of_time());
                }
                _ = tick.tick() => watch.tick(),
                batch = receiver.recv() => match batch {
                    None => break Ok(()),
                    Some(Err(error)) => break Err(run_error(&error)),
                    Some(Ok(batch)) => {
                        watch.pause();
                        self.stats.row();
                        let room = limit.map_or(usize::MAX, |limit| limit - fetched.rows);
                        let taken = batch.slice(0, batch.num_rows().min(room));
                        fetched.rows += taken.num_rows();
                        match each(&taken) {
                            Ok(true) => {}
                            Ok(false) => {
                                fetched.ended = Ended::Unread;
                                break Ok(());
                            }
                            Err(error) => break Err(error),
                        }
                        if batch.num_rows() > room {
                            fetched.cut = limit;
                            break Ok(());
                        }
                    }
                },
            }
        };
        watch.end();
        self.stats.stage(SCAN);
        fetched.took = self.stats.elapsed();
        drop(receiver);
        running.abort();
        if result.is_ok() && fetched.ended == Ended::Done {
            // It has ended by itself, crashed, or ends now that its rows are not wanted; what computes on is left alone.
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, running).await
                && error.is_panic()
            {
                return Err(
                    Error::failure("the query engine crashed").hint("write the query another way")
                );
            }
        }
        result.map(|()| fetched)
    }
}

fn is_for_people(format: RowFormat) -> bool {
    matches!(
        format,
        RowFormat::Table | RowFormat::Vertical | RowFormat::Markdown
    )
}

/// Whether a text is longer than the screen, or wider where it is shown whole.
fn is_long(text: &str, width: usize, height: usize, settings: &Settings) -> bool {
    let is_wide = |line: &str| line.chars().count() > width * if settings.wide { 1 } else { 4 };
    text.lines().count() + 3 > height || text.lines().any(is_wide)
}

/// The progress bar of a slow query.
struct Watch<'a> {
    shell: &'a Shell<'a>,
    total: (u64, u64),
    started: Instant,
    bar: Option<Progress>,
    base: [u64; 3],
    shown: [u64; 3],
}

impl<'a> Watch<'a> {
    fn new(shell: &'a Shell<'a>, planned: &Planned) -> Self {
        let mut watch = Self {
            shell,
            total: Reads::of(planned).total(),
            started: Instant::now(),
            bar: None,
            base: [0; 3],
            shown: [0; 3],
        };
        watch.base = watch.read();
        watch
    }

    fn read(&self) -> [u64; 3] {
        let progress = &self.shell.console.engine().progress;
        [&progress.files, &progress.bytes, &progress.rows]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    fn tick(&mut self) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        let now = self.read();
        let (files, bytes) = self.total;
        let (base, shell) = (self.base, self.shell);
        let shown = &mut self.shown;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = shell.printer.progress();
            bar.set_total(files, bytes);
            *shown = base;
            bar
        });
        bar.advance(now[0] - shown[0], now[1] - shown[1], now[2] - shown[2]);
        *shown = now;
    }

    /// Rows come: they and a bar would be in each other's way.
    fn pause(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}
