//! Text made fit for Markdown: code spans for what comes from outside, escapes for our own words, links for techniques.
//! It must not know the report.

use super::visible::{neutral, shorten_counting};
use crate::hunt::attack::page;

/// How much of a value is shown, in columns; the middle of longer ones is left out.
const VALUE_WIDTH: usize = 300;

/// A link to the technique's page, if it has the form of a technique; else only what it says.
pub(super) fn technique(id: &str) -> String {
    page(id).map_or_else(|| code(id), |page| format!("[{id}]({page})"))
}

/// A code span: made visible, shortened in the middle, and fenced with more backticks than it contains in a row.
pub fn code(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let shown = neutral(text);
    let shown = shorten_counting(&shown, VALUE_WIDTH);
    let longest = shown
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A renderer takes one space off each end if both have one, so text that begins or ends so gets one more.
    let edge = |character: char| character == '`' || character == ' ';
    let pad = if shown.starts_with(edge) || shown.ends_with(edge) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// Our own words as running text: made visible, and every character that Markdown might take as markup escaped.
pub(super) fn prose(text: &str) -> String {
    let shown = neutral(text);
    let shown: std::borrow::Cow<'_, str> = shorten_counting(&shown, VALUE_WIDTH);
    let mut escaped = String::with_capacity(shown.len() + 8);
    let mut previous = ' ';
    let mut characters = shown.chars().peekable();
    while let Some(character) = characters.next() {
        let inside_word = previous.is_alphanumeric()
            && characters.peek().is_some_and(|next| next.is_alphanumeric());
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A number keeps a renderer from seeing a mention or an address.
            '@' => escaped.push_str("&#64;"),
            ':' if characters.peek() == Some(&'/') => escaped.push_str("&#58;"),
            // snake_case is how hunts are called; an underscore inside a word is no markup.
            '_' if inside_word => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
        previous = character;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::HOSTILE;

    #[test]
    fn code_spans_hold_what_they_are_given() {
        assert_eq!(code(r"C:\a|b"), r"`C:\a|b`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code(" a "), "`  a  `");
        assert_eq!(code("a\nb"), r"`a\nb`");
        assert_eq!(code(""), "(empty)");
        assert!(code(HOSTILE).starts_with("``\\x1b[2J"));
        let long = code(&"x".repeat(10_000));
        assert_eq!(long.len(), 2 + 300 + " … 9700 characters left out … ".len());
    }

    #[test]
    fn our_words_are_escaped_where_markdown_would_act() {
        assert_eq!(
            prose("wmiexec_shared_output_file"),
            "wmiexec_shared_output_file"
        );
        assert_eq!(
            prose("_a_ *b* [c](d) <e> |f| `g`"),
            r"\_a\_ \*b\* \[c\](d) &lt;e&gt; \|f\| \`g\`"
        );
        assert_eq!(
            prose("http://x @y"),
            "http&#58;// &#64;y".replace("// ", "//x ")
        );
    }

    #[test]
    fn only_what_looks_like_a_technique_is_linked() {
        assert_eq!(
            technique("T1047"),
            "[T1047](https://attack.mitre.org/techniques/T1047/)"
        );
        assert_eq!(
            technique("T1021.002"),
            "[T1021.002](https://attack.mitre.org/techniques/T1021/002/)"
        );
        assert_eq!(technique("T1047)[x"), "`T1047)[x`");
        assert_eq!(technique("T104"), "`T104`");
    }
}
