//! What Tab offers: tables and views after FROM, columns of what the statement names, functions, keywords, and the words of
//! dot commands.
//!
//! Reads text up to the cursor; it need not be a statement yet.

use super::highlight::{KEYWORDS, Piece, pieces};
use crate::engine::adhoc::Relation;

/// All words of a session.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) relations: Vec<Relation>,
    pub(super) functions: Vec<String>,
    pub(super) table_functions: Vec<String>,
    pub(super) hunts: Vec<String>,
}

/// The dot commands, with what they do.
pub(super) const COMMANDS: [(&str, &str, &str); 19] = [
    (".help", "[COMMAND]", "this"),
    (
        ".tables",
        "",
        "tables, lookups, views and what runs left behind",
    ),
    (".schema", "[NAME]", "the columns of a table or view"),
    (
        ".functions",
        "[WORD]",
        "functions whose name has the word, and how they are called",
    ),
    (
        ".hunts",
        "[WORD]",
        "hunts whose name, title or tags have the word",
    ),
    (
        ".window",
        "[EARLIEST [LATEST]]",
        "what time the tables show: `-7d@d now`, `24h`, two dates, `all`, `last`",
    ),
    (
        ".mode",
        "[FORMAT]",
        "table, vertical, csv, json, ndjson, markdown, parquet",
    ),
    (
        ".output",
        "[FILE]",
        "write the results into a file; without one, back to the terminal",
    ),
    (".wide", "on|off", "all columns and whole values"),
    (
        ".rows",
        "N",
        "stop a query after so many rows; 0 for the default",
    ),
    (
        ".timeout",
        "DURATION",
        "stop a query after this time; 0 for never",
    ),
    (".timer", "on|off", "say how long a query took"),
    (
        ".explain",
        "on|off|QUERY",
        "say what a query would read, in words, instead of running it",
    ),
    (".stats", "on|off", "say what a query read, in words"),
    (".pager", "on|off", "show long results in $PAGER"),
    (".read", "FILE", "run the statements of a file"),
    (
        ".save",
        "NAME",
        "turn the last query into a hunt with a fixture",
    ),
    (".history", "", "where what was typed is kept"),
    (".quit", "", "leave; Ctrl-D does too"),
];

/// Where the word under the cursor begins, and what it can become.
pub(super) fn complete(before: &str, words: &Words) -> (usize, Vec<String>) {
    if before.starts_with('.') {
        return command(before, words);
    }
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '.' && c != '"')
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    let word = &before[start..];
    if let Some((qualifier, _)) = word.rsplit_once('.') {
        let relation = named(before, qualifier, words);
        let columns = relation.iter().flat_map(|relation| &relation.columns);
        let offered = columns.map(|column| format!("{qualifier}.{}", written(column)));
        return (start, matching(word, offered));
    }
    if wants_relation(before, start) {
        let relations = words
            .relations
            .iter()
            .map(|relation| written(&relation.name));
        let functions = words.table_functions.iter().map(|name| format!("{name}("));
        return (start, matching(word, relations.chain(functions)));
    }
    let mentioned = words
        .relations
        .iter()
        .filter(|relation| mentions(before, &relation.name));
    let mut columns: Vec<String> = mentioned
        .flat_map(|relation| relation.columns.iter().map(|column| written(column)))
        .collect();
    if columns.is_empty() {
        // The SELECT list is typed before FROM is: the columns of views are what is meant.
        let views = words
            .relations
            .iter()
            .filter(|relation| relation.kind == "view");
        columns = views
            .flat_map(|relation| relation.columns.iter().map(|column| written(column)))
            .collect();
    }
    let functions = words.functions.iter().map(|name| format!("{name}("));
    let is_lower = word.chars().any(char::is_lowercase);
    let keywords = KEYWORDS.iter().map(|keyword| {
        if is_lower {
            keyword.to_lowercase()
        } else {
            (*keyword).to_owned()
        }
    });
    let relations = words
        .relations
        .iter()
        .map(|relation| written(&relation.name));
    if word.is_empty() {
        return (start, Vec::new());
    }
    let all = columns
        .into_iter()
        .chain(keywords)
        .chain(relations)
        .chain(functions);
    (start, matching(word, all))
}

/// A name as SQL takes it: without quotes where that does.
fn written(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    let reserved = KEYWORDS
        .binary_search(&name.to_uppercase().as_str())
        .is_ok()
        || ["table", "default"].contains(&name);
    if plain && !reserved {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

fn matching(word: &str, offered: impl Iterator<Item = String>) -> Vec<String> {
    // Quotes are put where they belong, typed or not.
    let bare = |text: &str| text.to_lowercase().replace('"', "");
    let word = bare(word);
    let mut found: Vec<String> = offered
        .filter(|offer| bare(offer).starts_with(&word))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether a table is what comes next: after FROM or JOIN, or after a comma behind FROM.
fn wants_relation(before: &str, start: usize) -> bool {
    let pieces = pieces(&before[..start]);
    let told = pieces
        .iter()
        .rev()
        .filter(|(_, text)| !text.trim().is_empty());
    for (step, (piece, text)) in told.enumerate() {
        match piece {
            Piece::Keyword => {
                let text = text.to_uppercase();
                let starts =
                    ["FROM", "JOIN", "DESCRIBE", "DESC", "SUMMARIZE"].contains(&text.as_str());
                return starts
                    && (step == 0 || text == "FROM" && ends_with_comma(&before[..start]));
            }
            _ if step > 8 => return false,
            _ => {}
        }
    }
    false
}

fn ends_with_comma(text: &str) -> bool {
    text.trim_end().ends_with(',')
}

fn mentions(text: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    pieces(text)
        .iter()
        .any(|(_, word)| word.trim_matches('"').to_lowercase() == name)
}

/// The relation that a qualifier is the name or the alias of.
fn named<'a>(text: &str, qualifier: &str, words: &'a Words) -> Option<&'a Relation> {
    let by_name = |name: &str| {
        let mut relations = words.relations.iter();
        relations.find(|relation| relation.name.eq_ignore_ascii_case(name))
    };
    by_name(qualifier).or_else(|| {
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("as"))
            .collect();
        let pairs = words.windows(2);
        pairs
            .filter(|pair| pair[1].eq_ignore_ascii_case(qualifier))
            .find_map(|pair| by_name(pair[0]))
    })
}

fn command(before: &str, words: &Words) -> (usize, Vec<String>) {
    let Some((command, rest)) = before.split_once(char::is_whitespace) else {
        let commands = COMMANDS.iter().map(|(name, arguments, _)| {
            let space = if arguments.is_empty() { "" } else { " " };
            format!("{name}{space}")
        });
        return (0, matching(before, commands));
    };
    let start = before.len() - rest.len();
    let all = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let offered = match command {
        ".schema" => words
            .relations
            .iter()
            .map(|relation| relation.name.clone())
            .collect(),
        ".functions" => words.functions.clone(),
        ".hunts" => words.hunts.clone(),
        ".mode" => all(&[
            "table", "vertical", "csv", "json", "ndjson", "markdown", "parquet",
        ]),
        ".timer" | ".stats" | ".wide" | ".pager" | ".explain" => all(&["on", "off"]),
        ".window" => all(&["-24h", "-7d@d", "-30d@d", "@d", "now", "all", "last"]),
        ".help" => COMMANDS
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .collect(),
        _ => Vec::new(),
    };
    (start, matching(rest, offered.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(before: &str) -> Vec<String> {
        let relation = |name: &str, kind, columns: &[&str]| Relation {
            name: name.to_owned(),
            kind,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        let words = Words {
            relations: vec![
                relation("process_creation", "view", &["event_time", "image", "user"]),
                relation("sysmon", "table", &["Image", "CommandLine"]),
                relation("quarantine", "output", &["table"]),
            ],
            functions: vec!["count".to_owned(), "base_name".to_owned()],
            table_functions: vec!["process_tree".to_owned()],
            hunts: Vec::new(),
        };
        complete(before, &words).1
    }

    #[test]
    fn what_is_offered_depends_on_what_stands_before() {
        assert_eq!(
            offered("SELECT * FROM pro"),
            ["process_creation", "process_tree("]
        );
        assert_eq!(
            offered("SELECT * FROM sysmon, pro"),
            ["process_creation", "process_tree("]
        );
        assert_eq!(offered("SELECT * FROM sysmon WHERE comm"), ["CommandLine"]);
        assert_eq!(offered("SELECT im"), ["image"]);
        assert_eq!(offered("SELECT us"), ["user", "using"]);
        assert_eq!(offered("SELECT * FROM sysmon s WHERE s.im"), ["s.Image"]);
        assert_eq!(offered("SELECT sysmon.c"), ["sysmon.CommandLine"]);
        assert_eq!(offered("SEL"), ["SELECT"]);
        assert_eq!(offered("SELECT bas"), ["base_name("]);
        assert_eq!(offered("SELECT quarantine.ta"), ["quarantine.\"table\""]);
        assert_eq!(offered(".mo"), [".mode "]);
        assert_eq!(offered(".tab"), [".tables"]);
        assert_eq!(offered(".schema sys"), ["sysmon"]);
        assert_eq!(offered("SELECT "), [""; 0]);
    }
}
