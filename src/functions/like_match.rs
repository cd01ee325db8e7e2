//! `like_match` and `ilike_match`: what LIKE and ILIKE become (see [`super::operators`]). Without ESCAPE a backslash is a
//! backslash, because paths are full of them and no hunter writes `\\\\`; `DataFusion`'s LIKE always escapes with it.
//! It must not know how a pattern is matched.

use std::sync::LazyLock;

use datafusion::logical_expr::ScalarUDF;
use datafusion::scalar::ScalarValue;

use super::documentation::Entry;
use super::matcher::Syntax;
use super::text_predicate::{self, Kind};

static LIKE: Kind = Kind {
    name: "like_match",
    syntax: "text LIKE pattern [ESCAPE character]",
    option: "escape",
    option_is_text: true,
    resolve: |escape| resolve(escape, false),
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "What LIKE means here: % is any run of characters, newlines included, _ one character, anything else itself, a backslash included, unless ESCAPE names a character.",
            syntax: "like_match(text, pattern [, escape])",
            example: r"SELECT 'C:\Windows\x' LIKE 'C:\Windows\%';  -- true",
            arguments: ARGUMENTS,
        }
        .build()
    }),
};

static ILIKE: Kind = Kind {
    name: "ilike_match",
    syntax: "text ILIKE pattern [ESCAPE character]",
    option: "escape",
    option_is_text: true,
    resolve: |escape| resolve(escape, true),
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "What ILIKE means here: LIKE without regard to case, beyond ASCII too, as (?i) of Rust's regex folds it.",
            syntax: "ilike_match(text, pattern [, escape])",
            example: r"SELECT 'C:\WINDOWS\CMD.EXE' ILIKE '%\cmd.exe';  -- true",
            arguments: ARGUMENTS,
        }
        .build()
    }),
};

const ARGUMENTS: &[(&str, &str)] = &[
    ("text", "The text to match as a whole."),
    (
        "pattern",
        "The pattern; a literal is compiled once per query.",
    ),
    (
        "escape",
        "The character that makes the next one literal; none when left out.",
    ),
];

fn resolve(escape: Option<&ScalarValue>, case_insensitive: bool) -> Result<Syntax, String> {
    let escape = escape.and_then(|value| value.try_as_str().flatten());
    let mut characters = escape.unwrap_or_default().chars();
    let escape = characters.next();
    if characters.next().is_some() {
        return Err("ESCAPE takes a single character".to_owned());
    }
    Ok(Syntax::Like {
        escape,
        case_insensitive,
    })
}

/// LIKE: Boolean, NULL when an argument is NULL.
pub(super) fn like() -> ScalarUDF {
    text_predicate::udf(&LIKE)
}

/// ILIKE: Boolean, NULL when an argument is NULL.
pub(super) fn ilike() -> ScalarUDF {
    text_predicate::udf(&ILIKE)
}
