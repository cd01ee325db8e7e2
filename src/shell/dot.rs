//! The commands of the shell that begin with a dot.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::complete::COMMANDS;
use super::prompt::history_file;
use super::{Ended, Shell, window};
use crate::cli::RowFormat;
use crate::engine::SqlSource;
use crate::engine::adhoc::{Extra, READERS};
use crate::engine::pivots::PIVOTS;
use crate::error::{Error, Result, did_you_mean};
use crate::history::tables::RunTables;
use crate::hunt::Library;
use crate::time::{Window, parse_duration, resolve_range};

impl Shell<'_> {
    /// Runs a command; `None` when the user wants to leave.
    ///
    /// # Errors
    /// A word that the command does not know, or what a statement in it says.
    pub fn command<'a>(&'a mut self, text: &'a str) -> LocalBoxFuture<'a, Result<Option<Ended>>> {
        async move {
            let text = text.trim().trim_end_matches(';').trim_end();
            let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let rest = rest.trim();
            match name {
                ".quit" | ".exit" | ".q" => return Ok(None),
                ".help" => self.say(&help(rest))?,
                ".tables" => return self.sql("SHOW TABLES").await,
                ".schema" if rest.is_empty() => return self.sql("SHOW TABLES").await,
                ".schema" => return self.sql(&format!("DESCRIBE {rest}")).await,
                ".functions" => self.say(&self.functions_like(rest))?,
                ".hunts" => self.say(&self.hunts_like(rest))?,
                ".window" => self.choose_window(rest).await?,
                ".mode" => self.choose_mode(rest)?,
                ".output" => self.choose_output(rest),
                ".wide" => self.settings.wide = flag(name, rest, self.settings.wide)?,
                ".timer" => self.settings.timer = flag(name, rest, self.settings.timer)?,
                ".stats" => self.settings.stats = flag(name, rest, self.settings.stats)?,
                ".pager" => self.settings.pager = flag(name, rest, self.settings.pager)?,
                ".explain" if ["", "on", "off"].contains(&rest) => {
                    self.settings.explain = flag(name, rest, self.settings.explain)?;
                }
                ".explain" => {
                    let before = std::mem::replace(&mut self.settings.explain, true);
                    let ran = self.sql(rest).await;
                    self.settings.explain = before;
                    return ran;
                }
                ".rows" => {
                    let rows = rest.parse::<usize>().map_err(|_| {
                        Error::configuration("`.rows` takes a number").hint("0 for the default")
                    })?;
                    self.settings.max_rows = Some(rows).filter(|rows| *rows > 0);
                }
                ".timeout" => {
                    let timeout = parse_duration(rest)
                        .map_err(|error| Error::configuration(format!(".timeout: {error}")))?;
                    self.settings.timeout = timeout.to_std().ok().filter(|time| !time.is_zero());
                }
                ".read" => {
                    let path = PathBuf::from(rest);
                    let text = std::fs::read_to_string(&path).map_err(|error| {
                        Error::configuration(format!("cannot read it: {error}")).in_file(&path)
                    })?;
                    return self.run_text(&SqlSource { path, text }).await.map(Some);
                }
                ".save" => self.save_last(rest).await?,
                ".history" => match history_file() {
                    Some(file) => self.say(&format!("{}\n", file.display()))?,
                    None => self
                        .printer
                        .note("nowhere: neither HOME nor LAKEHUNT_HISTORY is set"),
                },
                _ => {
                    let names = COMMANDS.iter().map(|(name, ..)| *name);
                    let hint = did_you_mean(name, names);
                    return Err(Error::configuration(format!("unknown command `{name}`"))
                        .hint(hint.unwrap_or_else(|| "`.help` lists them".to_owned())));
                }
            }
            Ok(Some(Ended::Done))
        }
        .boxed_local()
    }

    fn say(&self, text: &str) -> Result<()> {
        let said = self.printer.data(text);
        said.map_err(|error| Error::failure(format!("cannot write to stdout: {error}")))
    }

    async fn sql(&mut self, text: &str) -> Result<Option<Ended>> {
        let source = SqlSource {
            path: PathBuf::from("query"),
            text: text.to_owned(),
        };
        self.run_text(&source).await.map(Some)
    }

    /// What the prompt says: the window, to the minute.
    pub(super) fn prompt(&self) -> String {
        let Some(window) = self.console.window() else {
            return "all time> ".to_owned();
        };
        let short = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M");
        format!("{} - {}> ", short(window.start), short(window.end))
    }

    /// The hunts of this lake's content, for completion.
    pub(super) fn hunt_names(&self) -> Vec<String> {
        let library = Library::load(&self.place.content);
        library.iter().map(|hunt| hunt.name.clone()).collect()
    }

    fn functions_like(&self, word: &str) -> String {
        let word = word.to_lowercase();
        let mut text = String::new();
        let mut line = |usage: &str, about: &str| {
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{usage}\n    {about}");
        };
        let ours = READERS.iter().map(|(usage, about)| (*usage, *about));
        let pivots = PIVOTS.iter().map(|about| (about.usage, about.description));
        for (usage, about) in pivots.chain(ours) {
            if usage
                .split('(')
                .next()
                .is_some_and(|name| name.contains(&word))
            {
                line(usage, about);
            }
        }
        let names = self.console.functions();
        if word.is_empty() {
            let _ = writeln!(text, "\n{}", wrapped(&names, 100));
            return text + "`.functions WORD` says how those with the word are called\n";
        }
        for name in names.iter().filter(|name| name.contains(&word)) {
            match self.console.function(name) {
                Some((usage, about)) => line(&usage, &about),
                None => line(&format!("{name}(...)"), ""),
            }
        }
        if text.is_empty() {
            text = format!("no function has `{word}` in its name\n");
        }
        text
    }

    fn hunts_like(&self, word: &str) -> String {
        let word = word.to_lowercase();
        let library = Library::load(&self.place.content);
        let mut text = String::new();
        for hunt in library.iter() {
            let front = &hunt.front_matter;
            let all = format!("{} {} {}", hunt.name, front.title, front.tags.join(" "));
            if all.to_lowercase().contains(&word) {
                let _ = writeln!(text, "{:<42} {}", hunt.name, front.title);
            }
        }
        text + "`lakehunt hunts show NAME` shows one; `findings_NAME` is the table of what it found\n"
    }

    async fn choose_window(&mut self, words: &str) -> Result<()> {
        let words = window_words(words);
        if words.is_empty() {
            let shown = match self.console.window() {
                Some(window) => window.to_string(),
                None => "all time".to_owned(),
            };
            return self.say(&format!("{shown}\n"));
        }
        let window = match words
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["all"] => None,
            ["last"] => {
                let lake = Arc::clone(self.console.engine().lake());
                window::last_day(&lake, self.place.now).await?
            }
            words => Some(self.window_of(words)?),
        };
        let runs: Arc<dyn Extra> = Arc::new(RunTables::new(self.place.outputs.clone(), window));
        self.console = self.console.over(window, Some(runs)).await?;
        Ok(())
    }

    fn window_of(&self, words: &[&str]) -> Result<Window> {
        let (now, zone) = (self.place.now, Tz::UTC);
        let found = match words {
            [one] if parse_duration(one).is_ok() => {
                resolve_range(None, None, Some(one), None, None, now, zone)
            }
            [start, end] => {
                let points = resolve_range(Some(start), Some(end), None, None, None, now, zone);
                match points {
                    Ok(found) => Ok(found),
                    Err(_) => resolve_range(None, None, None, Some(start), Some(end), now, zone),
                }
            }
            [start] => resolve_range(None, None, None, Some(start), None, now, zone),
            _ => {
                return Err(Error::configuration("`.window` takes one or two times").hint(WINDOWS));
            }
        };
        found
            .map_err(|error| Error::configuration(error.to_string()))?
            .ok_or_else(|| Error::configuration("`.window` takes one or two times").hint(WINDOWS))
    }

    fn choose_mode(&mut self, word: &str) -> Result<()> {
        use clap::ValueEnum as _;
        let names = RowFormat::value_variants()
            .iter()
            .filter_map(clap::ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned());
        let names: Vec<_> = names.collect();
        if word.is_empty() {
            let now = self.settings.format.to_possible_value();
            let now = now.map_or_else(String::new, |value| value.get_name().to_owned());
            return self.say(&format!("{now}; there are {}\n", names.join(", ")));
        }
        self.format_before = None;
        self.settings.format = RowFormat::from_str(word, true).map_err(|_| {
            let hint = did_you_mean(word, names.iter().map(String::as_str));
            Error::configuration(format!("unknown format `{word}`"))
                .hint(hint.unwrap_or_else(|| format!("there are {}", names.join(", "))))
        })?;
        Ok(())
    }

    fn choose_output(&mut self, word: &str) {
        if let Some(format) = self.format_before.take() {
            self.settings.format = format;
        }
        if word.is_empty() {
            self.settings.out = None;
            return;
        }
        let path = PathBuf::from(word);
        if let Some(format) = RowFormat::of_file(&path) {
            let before = std::mem::replace(&mut self.settings.format, format);
            self.format_before = Some(before);
        }
        self.printer.note(&format!(
            "each result takes the place of {} until `.output` alone",
            Path::new(word).display()
        ));
        self.settings.out = Some(path);
    }
}

const WINDOWS: &str = "`-7d@d now`, `24h`, `2026-01-01 2026-01-04`, `all`, or `last` for the last 24 hours of the data";

/// Times, of which one may be in quotes.
fn window_words(words: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, piece) in words.split('\'').enumerate() {
        if index % 2 == 1 {
            found.push(piece.to_owned());
        } else {
            found.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    found
}

fn flag(name: &str, word: &str, before: bool) -> Result<bool> {
    match word {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        "" => Ok(!before),
        _ => Err(Error::configuration(format!("`{name}` is on or off"))),
    }
}

fn help(name: &str) -> String {
    let name = name.trim_start_matches('.');
    let mut text = String::new();
    for (command, arguments, about) in COMMANDS {
        if name.is_empty() || command.trim_start_matches('.') == name {
            let usage = format!("{command} {arguments}");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{usage:<30} {about}");
        }
    }
    if name.is_empty() {
        text.push_str(
            "\nSQL ends with `;`. DESCRIBE x, SUMMARIZE x, EXPLAIN ..., SHOW TABLES, CREATE VIEW v AS ...\n\
             FROM takes tables, views, 'files*.ndjson.gz', 's3://bucket/*.parquet', process_tree('guid'),\n\
             around('host', 'time', '5m'), prevalence('view', 'column').\n\
             Tab completes, Ctrl-R searches what was typed, Alt-Enter breaks the line, Ctrl-C cancels.\n",
        );
    }
    text
}

fn wrapped(words: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        if used > 0 && used + word.len() + 1 > width {
            text.push('\n');
            used = 0;
        }
        if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.len();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_quoted() {
        assert_eq!(window_words("-7d@d now"), ["-7d@d", "now"]);
        assert_eq!(
            window_words("'2026-01-01 10:00' 2026-01-02"),
            ["2026-01-01 10:00", "2026-01-02"]
        );
    }
}
