//! Colours for SQL as it is typed. Knows words, not what they mean; text that is not finished is coloured too.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Plain,
    Keyword,
    Text,
    Number,
    Comment,
    Command,
}

/// Words that SQL is made of. Words that are as likely names of columns (`user`, `name`, `path`) are not among them.
pub(super) const KEYWORDS: [&str; 74] = [
    "ALL",
    "AND",
    "ANTI",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CREATE",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXCLUDE",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "QUALIFY",
    "REPLACE",
    "RIGHT",
    "ROWS",
    "SELECT",
    "SEMI",
    "SHOW",
    "SIMILAR",
    "SUMMARIZE",
    "TABLES",
    "THEN",
    "TO",
    "TRUE",
    "TRY_CAST",
    "UNION",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The pieces of a text, in order; together they are the text.
pub(super) fn pieces(text: &str) -> Vec<(Piece, &str)> {
    if text.starts_with('.') {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return vec![(Piece::Command, &text[..end]), (Piece::Plain, &text[end..])];
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = if let Some(quoted) = quoted(rest, '\'') {
            (Piece::Text, quoted)
        } else if let Some(quoted) = quoted(rest, '"') {
            (Piece::Plain, quoted)
        } else if rest.starts_with("--") {
            (Piece::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (
                Piece::Comment,
                rest.find("*/").map_or(rest.len(), |end| end + 2),
            )
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
            let end = end.unwrap_or(rest.len());
            let word = rest[..end].to_uppercase();
            let is_keyword = KEYWORDS.binary_search(&word.as_str()).is_ok();
            (
                if is_keyword {
                    Piece::Keyword
                } else {
                    Piece::Plain
                },
                end,
            )
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            (Piece::Number, end.unwrap_or(rest.len()))
        } else {
            (Piece::Plain, first.len_utf8())
        };
        pieces.push((piece, &rest[..length]));
        rest = &rest[length..];
    }
    pieces
}

/// The length of a quoted text at the start, or of one that is not closed.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let inside = text.strip_prefix(quote)?;
    Some(inside.find(quote).map_or(text.len(), |end| end + 2))
}

/// The text in colours.
pub(super) fn colored(text: &str) -> String {
    let paint = |(piece, text): (Piece, &str)| {
        let code = match piece {
            Piece::Plain => return text.to_owned(),
            Piece::Keyword => "1;34",
            Piece::Text => "32",
            Piece::Number => "35",
            Piece::Comment => "2",
            Piece::Command => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    };
    pieces(text).into_iter().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_in_order() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn pieces_are_the_whole_text() {
        for text in [
            "SELECT count(*), 'it''s' FROM \"a b\" WHERE x = 0x1f -- and\n/* more",
            ".window -7d@d",
            "select 'open",
            "é ünï ; ",
            "",
        ] {
            let together: String = pieces(text).iter().map(|(_, text)| *text).collect();
            assert_eq!(together, text);
        }
        let found = pieces("select a.from 'x");
        assert_eq!(found[0], (Piece::Keyword, "select"));
        assert_eq!(found[2], (Piece::Plain, "a.from"));
        assert_eq!(found[4], (Piece::Text, "'x"));
    }
}
