//! The one engine behind every text match: a pattern in one of three languages becomes a [`Matcher`], compiled once.
//! It must not know Arrow, plans or SQL.

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

/// The language of a pattern, with its options.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Syntax {
    /// What Rust's `regex` crate says; found anywhere in the text unless anchored.
    Regex {
        /// Any of [`REGEX_FLAGS`].
        flags: String,
    },
    /// SQL LIKE over the whole text: `%` is any run of characters, `_` one character (Unicode scalar).
    Like {
        /// The character that makes the next one literal. Without one a backslash is just a backslash.
        escape: Option<char>,
        /// ILIKE: case is folded as `(?i)` of Rust's `regex` folds it.
        case_insensitive: bool,
    },
    /// `*` is any run of characters, `?` one character; the whole text; nothing else is special.
    Wildcard {
        /// Whether `A` and `a` differ.
        case_sensitive: bool,
    },
}

/// The flags a regular expression may carry: case-insensitive, multi-line, dot matches newline, swap greed,
/// ignore blanks and comments, CRLF line ends.
pub(super) const REGEX_FLAGS: &str = "imsUxR";

/// A compiled pattern. The literal shapes exist because they are several times faster than the regex they equal.
#[derive(Debug, Clone)]
pub(super) enum Matcher {
    Everything,
    Equals(String),
    Prefix(String),
    Suffix(String),
    Contains(Box<Finder<'static>>),
    /// An ASCII literal at an edge, without regard to case. Only on ASCII text is that a comparison of bytes: in Unicode
    /// `k` folds with the Kelvin sign and `s` with the long s, so other text goes to the regex.
    CaselessEdge {
        edge: Edge,
        literal: String,
        regex: Regex,
    },
    /// ASCII literals one behind the other, whatever is between them, without regard to case; on ASCII text, as above.
    CaselessInOrder {
        literals: Vec<String>,
        /// Whether the first is to be at the start, and the last at the end.
        edges: [bool; 2],
        regex: Regex,
    },
    Regex(Regex),
}

/// Where a literal sits in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Whole,
    Start,
    End,
}

/// A part of a LIKE or wildcard pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    One,
    Many,
}

impl Matcher {
    /// Compiles a pattern. The error says what is wrong with it, without the pattern, in one line.
    pub(super) fn compile(pattern: &str, syntax: &Syntax) -> Result<Self, String> {
        match syntax {
            Syntax::Regex { flags } => {
                if flags.is_empty() && regex::escape(pattern) == pattern {
                    return Ok(contains(pattern));
                }
                regex(pattern, flags).map(Matcher::Regex)
            }
            Syntax::Like {
                escape,
                case_insensitive,
            } => from_pieces(&like_pieces(pattern, *escape)?, *case_insensitive),
            Syntax::Wildcard { case_sensitive } => {
                from_pieces(&wildcard_pieces(pattern), !*case_sensitive)
            }
        }
    }

    /// Whether the text matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Matcher::Everything => true,
            Matcher::Equals(literal) => text == literal,
            Matcher::Prefix(literal) => text.starts_with(literal.as_str()),
            Matcher::Suffix(literal) => text.ends_with(literal.as_str()),
            Matcher::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Matcher::CaselessEdge {
                edge,
                literal,
                regex,
            } => {
                if !text.is_ascii() {
                    return regex.is_match(text);
                }
                let (text, literal) = (text.as_bytes(), literal.as_bytes());
                let Some(rest) = text.len().checked_sub(literal.len()) else {
                    return false;
                };
                let part = match edge {
                    Edge::Whole if rest != 0 => return false,
                    Edge::Whole => text,
                    Edge::Start => &text[..literal.len()],
                    Edge::End => &text[rest..],
                };
                part.eq_ignore_ascii_case(literal)
            }
            Matcher::CaselessInOrder {
                literals,
                edges,
                regex,
            } => {
                if !text.is_ascii() {
                    return regex.is_match(text);
                }
                are_in_order(text.as_bytes(), literals, *edges)
            }
            Matcher::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether literals are in a text one behind the other. Each is taken where it is first, which leaves the most behind it.
fn are_in_order(text: &[u8], literals: &[String], edges: [bool; 2]) -> bool {
    let mut rest = text;
    for (place, literal) in literals.iter().enumerate() {
        let literal = literal.as_bytes();
        if edges[1] && place + 1 == literals.len() {
            let before = rest.len().checked_sub(literal.len());
            return before.is_some_and(|before| rest[before..].eq_ignore_ascii_case(literal));
        }
        let found = if edges[0] && place == 0 {
            let start = rest.get(..literal.len());
            start.and_then(|start| start.eq_ignore_ascii_case(literal).then_some(0))
        } else {
            find_caseless(rest, literal)
        };
        match found {
            Some(at) => rest = &rest[at + literal.len()..],
            None => return false,
        }
    }
    true
}

fn find_caseless(text: &[u8], literal: &[u8]) -> Option<usize> {
    let first = literal.first()?;
    let starts = text.get(..(text.len() + 1).checked_sub(literal.len())?)?;
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, starts)
        .find(|at| text[*at..*at + literal.len()].eq_ignore_ascii_case(literal))
}

/// Compiles a regular expression with flags; also what the capturing functions use.
pub(super) fn regex(pattern: &str, flags: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'U' => builder.swap_greed(true),
            'x' => builder.ignore_whitespace(true),
            'R' => builder.crlf(true),
            other => {
                return Err(format!(
                    "unknown flag '{other}' (hint: the flags are {REGEX_FLAGS})"
                ));
            }
        };
    }
    builder.build().map_err(|error| {
        // The crate draws a picture over several lines; the last one says what is wrong.
        let drawing = error.to_string();
        let reason = drawing.lines().last().unwrap_or_default().trim();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        let hint = if pattern.contains('\\') {
            r" (hint: a literal backslash is written \\)"
        } else {
            ""
        };
        format!("{reason}{hint}")
    })
}

fn contains(literal: &str) -> Matcher {
    if literal.is_empty() {
        Matcher::Everything
    } else {
        Matcher::Contains(Box::new(Finder::new(literal).into_owned()))
    }
}

fn push_character(pieces: &mut Vec<Piece>, character: char) {
    if let Some(Piece::Literal(literal)) = pieces.last_mut() {
        literal.push(character);
    } else {
        pieces.push(Piece::Literal(character.to_string()));
    }
}

fn push_many(pieces: &mut Vec<Piece>) {
    if pieces.last() != Some(&Piece::Many) {
        pieces.push(Piece::Many);
    }
}

pub(super) fn like_pieces(pattern: &str, escape: Option<char>) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let Some(escaped) = characters.next() else {
                return Err(format!("it ends with its escape character '{character}'"));
            };
            push_character(&mut pieces, escaped);
        } else {
            match character {
                '%' => push_many(&mut pieces),
                '_' => pieces.push(Piece::One),
                other => push_character(&mut pieces, other),
            }
        }
    }
    Ok(pieces)
}

pub(super) fn wildcard_pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for character in pattern.chars() {
        match character {
            '*' => push_many(&mut pieces),
            '?' => pieces.push(Piece::One),
            other => push_character(&mut pieces, other),
        }
    }
    pieces
}

fn from_pieces(pieces: &[Piece], case_insensitive: bool) -> Result<Matcher, String> {
    use Piece::{Literal, Many};
    let case_insensitive = case_insensitive && pieces.iter().any(has_case);
    let edge = |edge: Edge, literal: &str| -> Result<Matcher, String> {
        if case_insensitive {
            let regex = pieces_regex(pieces, true)?;
            if literal.is_ascii() {
                let literal = literal.to_owned();
                return Ok(Matcher::CaselessEdge {
                    edge,
                    literal,
                    regex,
                });
            }
            return Ok(Matcher::Regex(regex));
        }
        let literal = literal.to_owned();
        Ok(match edge {
            Edge::Whole => Matcher::Equals(literal),
            Edge::Start => Matcher::Prefix(literal),
            Edge::End => Matcher::Suffix(literal),
        })
    };
    match pieces {
        [] => Ok(Matcher::Equals(String::new())),
        [Many] => Ok(Matcher::Everything),
        [Literal(literal)] => edge(Edge::Whole, literal),
        [Literal(literal), Many] => edge(Edge::Start, literal),
        [Many, Literal(literal)] => edge(Edge::End, literal),
        [Many, Literal(literal), Many] if !case_insensitive => Ok(contains(literal)),
        _ => {
            let regex = pieces_regex(pieces, case_insensitive)?;
            let literals = pieces.iter().filter(|piece| **piece != Many);
            let literals = literals.map(|piece| match piece {
                Literal(literal) if literal.is_ascii() => Some(literal.clone()),
                _ => None,
            });
            Ok(match literals.collect() {
                Some(literals) if case_insensitive => Matcher::CaselessInOrder {
                    literals,
                    edges: [pieces.first() != Some(&Many), pieces.last() != Some(&Many)],
                    regex,
                },
                _ => Matcher::Regex(regex),
            })
        }
    }
}

/// Whether a part may be written in several cases.
fn has_case(piece: &Piece) -> bool {
    let may_fold = |character: char| !character.is_ascii() || character.is_ascii_alphabetic();
    matches!(piece, Piece::Literal(literal) if literal.contains(may_fold))
}

fn pieces_regex(pieces: &[Piece], case_insensitive: bool) -> Result<Regex, String> {
    // A run at an edge is left unanchored instead of `.*`, so that the regex engine may search for the literal.
    let inner = pieces.strip_prefix(&[Piece::Many]).unwrap_or(pieces);
    let start = if inner.len() == pieces.len() {
        r"\A"
    } else {
        ""
    };
    let (inner, end) = match inner.strip_suffix(&[Piece::Many]) {
        Some(shorter) => (shorter, ""),
        None => (inner, r"\z"),
    };
    let mut pattern = String::from(start);
    for piece in inner {
        match piece {
            Piece::Literal(literal) => pattern.push_str(&regex::escape(literal)),
            Piece::One => pattern.push('.'),
            Piece::Many => pattern.push_str(".*"),
        }
    }
    pattern.push_str(end);
    regex(&pattern, if case_insensitive { "is" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn like(pattern: &str, text: &str) -> bool {
        let syntax = Syntax::Like {
            escape: None,
            case_insensitive: false,
        };
        Matcher::compile(pattern, &syntax).unwrap().is_match(text)
    }

    fn ilike(pattern: &str, text: &str) -> bool {
        let syntax = Syntax::Like {
            escape: None,
            case_insensitive: true,
        };
        Matcher::compile(pattern, &syntax).unwrap().is_match(text)
    }

    #[test]
    fn like_takes_backslashes_literally() {
        assert!(like(r"C:\Windows%", r"C:\Windows\x"));
        assert!(!like(r"C:\Windows%", "C:Windows"));
        assert!(like(r"%\", r"a\"));
        assert!(like(r"\%", r"\anything"));
    }

    #[test]
    fn like_wildcards() {
        assert!(like("a_c", "aöc") && !like("a_c", "ac") && !like("a_c", "abbc"));
        assert!(like("a%c", "a\nc") && like("_", "\n") && like("", "") && !like("", "a"));
        assert!(like("%", "") && like("%%", "x") && like("%b%", "abc") && !like("b%", "abc"));
    }

    #[test]
    fn ilike_folds_as_the_regex_does() {
        assert!(ilike("%MÜLLER", "Herr müller"));
        assert!(ilike("k", "\u{212a}"), "the Kelvin sign folds with k");
        assert!(ilike("s%", "ſx"), "the long s folds with s");
        assert!(ilike(r"%\CMD.exe", r"C:\x\cmd.EXE") && !ilike(r"%\CMD.exe", "cmd.exe"));
    }

    #[test]
    fn an_escape_makes_the_next_character_literal() {
        let syntax = Syntax::Like {
            escape: Some('!'),
            case_insensitive: false,
        };
        let matcher = Matcher::compile("50!%!!", &syntax).unwrap();
        assert!(matches!(&matcher, Matcher::Equals(text) if text == "50%!"));
        let error = Matcher::compile("a!", &syntax).unwrap_err();
        assert_eq!(error, "it ends with its escape character '!'");
    }

    #[test]
    fn bad_regexes_are_explained_in_a_line() {
        let error = regex(r"C:\Temp\y", "").unwrap_err();
        assert_eq!(
            error,
            r"unrecognized escape sequence (hint: a literal backslash is written \\)"
        );
        assert!(regex("a", "g").unwrap_err().contains("unknown flag 'g'"));
    }

    proptest! {
        /// The fast shapes and the regex they stand for agree on every text.
        #[test]
        fn fast_shapes_equal_their_regex(
            pattern in r"[aAkKsSß%_\\.]{0,6}",
            text in "[aAkKsSßſ\u{212a}_%.\\\\\n]{0,8}",
            case_insensitive: bool,
        ) {
            let syntax = Syntax::Like { escape: None, case_insensitive };
            let matcher = Matcher::compile(&pattern, &syntax).unwrap();
            let mut plain = String::from(r"\A");
            for character in pattern.chars() {
                match character {
                    '%' => plain.push_str(".*"),
                    '_' => plain.push('.'),
                    other => plain.push_str(&regex::escape(&other.to_string())),
                }
            }
            plain.push_str(r"\z");
            let slow = regex(&plain, if case_insensitive { "is" } else { "s" }).unwrap();
            prop_assert_eq!(matcher.is_match(&text), slow.is_match(&text));
        }
    }
}
