//! `regexp_like(text, pattern [, flags])`, also behind `~`, `~*`, `!~` and `!~*`: a regular expression that means what
//! Rust's `regex` crate says. It replaces `DataFusion`'s, which turns simple patterns into LIKE and there reads a literal
//! backslash as an escape. It must not know how a pattern is matched.

use std::sync::LazyLock;

use datafusion::logical_expr::ScalarUDF;
use datafusion::scalar::ScalarValue;

use super::documentation::Entry;
use super::matcher::{REGEX_FLAGS, Syntax};
use super::text_predicate::{self, Kind};

static KIND: Kind = Kind {
    name: "regexp_like",
    syntax: "regexp_like(text, pattern [, flags])",
    option: "flags",
    option_is_text: true,
    resolve,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "Whether a regular expression of Rust's regex crate is found in the text. NULL when an argument is NULL. A bad literal pattern is an error while planning.",
            syntax: "regexp_like(text, pattern [, flags])",
            example: r"SELECT regexp_like('C:\Windows\x', 'C:\\Windows');  -- true",
            arguments: &[
                ("text", "The text to search."),
                ("pattern", "The regular expression; a literal is compiled once per query."),
                (
                    "flags",
                    "i case-insensitive, m multi-line, s dot matches newline, U swap greed, x ignore blanks, R CRLF line ends.",
                ),
            ],
        }
        .build()
    }),
};

fn resolve(flags: Option<&ScalarValue>) -> Result<Syntax, String> {
    let flags = flags
        .and_then(|value| value.try_as_str().flatten())
        .unwrap_or_default();
    match flags.chars().find(|flag| !REGEX_FLAGS.contains(*flag)) {
        Some(flag) => Err(format!(
            "unknown flag '{flag}' (hint: the flags are {REGEX_FLAGS})"
        )),
        None => Ok(Syntax::Regex {
            flags: flags.to_owned(),
        }),
    }
}

/// The function: Boolean, NULL when an argument is NULL.
pub(super) fn udf() -> ScalarUDF {
    text_predicate::udf(&KIND)
}
