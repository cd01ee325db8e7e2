//! `wildcard_match(text, pattern [, case_sensitive])`: the wildcards of Sigma, `LogScale` and EQL, over the whole text.
//! It must not know how a pattern is matched.

use std::sync::LazyLock;

use datafusion::logical_expr::ScalarUDF;
use datafusion::scalar::ScalarValue;

use super::documentation::Entry;
use super::matcher::Syntax;
use super::text_predicate::{self, Kind};

static KIND: Kind = Kind {
    name: "wildcard_match",
    syntax: "wildcard_match(text, pattern [, case_sensitive])",
    option: "case_sensitive",
    option_is_text: false,
    resolve,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "Whether the whole text matches: * is any run of characters, newlines included, ? one character, anything else itself. Without regard to case unless told. NULL when an argument is NULL.",
            syntax: "wildcard_match(text, pattern [, case_sensitive])",
            example: r"SELECT wildcard_match('C:\Windows\System32\CMD.EXE', '*\cmd.exe');  -- true",
            arguments: &[
                ("text", "The text to match as a whole."),
                ("pattern", "The pattern; a literal is compiled once per query."),
                ("case_sensitive", "true to tell A from a; false when left out."),
            ],
        }
        .build()
    }),
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "the other predicates' options can be wrong"
)]
fn resolve(case_sensitive: Option<&ScalarValue>) -> Result<Syntax, String> {
    let case_sensitive = matches!(case_sensitive, Some(ScalarValue::Boolean(Some(true))));
    Ok(Syntax::Wildcard { case_sensitive })
}

/// The function: Boolean, NULL when an argument is NULL.
pub(super) fn udf() -> ScalarUDF {
    text_predicate::udf(&KIND)
}
