//! What texts a pattern requires: of each group of literals, every text that matches holds at least one, without regard
//! to ASCII case. Thousands of patterns can then be ruled out by one search for all their literals.
//! It must not know Arrow, plans or SQL.

use std::collections::BTreeSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::matcher::{Piece, Syntax, like_pieces, wildcard_pieces};

/// Shorter literals are in every other text: searching for them costs more than it saves.
const SHORTEST: usize = 3;
/// Groups kept of one pattern: the first rules out most texts, the others most of what is left.
const GROUPS: usize = 3;
/// Alternatives of one group; more would swell the automaton for one pattern.
const ALTERNATIVES: usize = 64;

/// Groups of literals, in lower case where they are ASCII. Empty when the pattern requires nothing that is worth a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Required {
    /// The most telling first.
    pub groups: Vec<Vec<String>>,
    /// Whether case is ignored beyond ASCII: `s` is then met by `ſ` and `k` by the Kelvin sign, which no search for the
    /// literals finds. Texts with these two are to be matched in full.
    pub folds: bool,
}

impl Required {
    /// What a pattern requires.
    pub(super) fn of(pattern: &str, syntax: &Syntax) -> Self {
        let (groups, folds) = match syntax {
            Syntax::Like {
                escape,
                case_insensitive,
            } => {
                let pieces = like_pieces(pattern, *escape).unwrap_or_default();
                (pieces_groups(&pieces, *case_insensitive), *case_insensitive)
            }
            Syntax::Wildcard { case_sensitive } => {
                let pieces = wildcard_pieces(pattern);
                (pieces_groups(&pieces, !case_sensitive), !case_sensitive)
            }
            Syntax::Regex { flags } => {
                let Some(hir) = parse(pattern, flags) else {
                    return Self::default();
                };
                let mut walk = Walk { folds: false };
                let groups = walk.need(&hir).into_groups();
                (groups, walk.folds)
            }
        };
        Self {
            groups: best(groups),
            folds,
        }
    }
}

/// The most telling groups, each literal once.
fn best(mut groups: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for group in &mut groups {
        *group = std::mem::take(group)
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
    }
    groups.retain(|group| shortest(group) >= SHORTEST && group.len() <= ALTERNATIVES);
    groups.sort_by_key(|group| (usize::MAX - shortest(group), group.len()));
    groups.dedup();
    groups.truncate(GROUPS);
    groups
}

fn shortest(group: &[String]) -> usize {
    group.iter().map(String::len).min().unwrap_or(0)
}

fn pieces_groups(pieces: &[Piece], case_insensitive: bool) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    for piece in pieces {
        let Piece::Literal(literal) = piece else {
            continue;
        };
        if case_insensitive {
            // Only ASCII folds within ASCII.
            let runs = literal.split(|c: char| !c.is_ascii());
            groups.extend(runs.map(|run| vec![run.to_ascii_lowercase()]));
        } else {
            groups.push(vec![literal.to_ascii_lowercase()]);
        }
    }
    groups
}

fn parse(pattern: &str, flags: &str) -> Option<Hir> {
    let mut builder = ParserBuilder::new();
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'U' => builder.swap_greed(true),
            'x' => builder.ignore_whitespace(true),
            'R' => builder.crlf(true),
            _ => return None,
        };
    }
    builder.build().parse(pattern).ok()
}

/// What a part of a pattern requires.
#[derive(Default)]
struct Need {
    /// The only text that it matches, but for ASCII case.
    exact: Option<String>,
    groups: Vec<Vec<String>>,
}

impl Need {
    fn exact(text: String) -> Self {
        Self {
            exact: Some(text),
            groups: Vec::new(),
        }
    }

    fn into_groups(self) -> Vec<Vec<String>> {
        match self.exact {
            Some(text) => vec![vec![text]],
            None => self.groups,
        }
    }
}

struct Walk {
    folds: bool,
}

impl Walk {
    fn need(&mut self, hir: &Hir) -> Need {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Need::exact(String::new()),
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => Need::exact(text.to_ascii_lowercase()),
                Err(_) => Need::default(),
            },
            HirKind::Class(class) => match self.letter(class) {
                Some(letter) => Need::exact(letter.to_string()),
                None => Need::default(),
            },
            HirKind::Capture(capture) => self.need(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min == 0 => Need::default(),
            HirKind::Repetition(repetition) => {
                let inner = self.need(&repetition.sub);
                if repetition.min == 1 && repetition.max == Some(1) {
                    return inner;
                }
                Need {
                    exact: None,
                    groups: inner.into_groups(),
                }
            }
            HirKind::Concat(parts) => self.concat(parts),
            HirKind::Alternation(parts) => self.alternation(parts),
        }
    }

    fn concat(&mut self, parts: &[Hir]) -> Need {
        let (mut run, mut groups, mut broken) = (String::new(), Vec::new(), false);
        for part in parts {
            let need = self.need(part);
            if let Some(text) = need.exact {
                run.push_str(&text);
            } else {
                broken = true;
                groups.push(vec![std::mem::take(&mut run)]);
                groups.extend(need.groups);
            }
        }
        if !broken {
            return Need::exact(run);
        }
        groups.push(vec![run]);
        Need {
            exact: None,
            groups,
        }
    }

    fn alternation(&mut self, parts: &[Hir]) -> Need {
        let mut union = Vec::new();
        for part in parts {
            // All of the arms are walked, so that none hides that case folds.
            let groups = best(self.need(part).into_groups());
            match groups.into_iter().next() {
                Some(group) => union.push(group),
                None => union.push(vec![String::new()]),
            }
        }
        Need {
            exact: None,
            groups: vec![union.concat()],
        }
    }

    /// The one ASCII character that a class is, but for case.
    fn letter(&mut self, class: &Class) -> Option<char> {
        let mut characters = Vec::new();
        match class {
            Class::Unicode(class) => {
                for range in class.ranges() {
                    if u32::from(range.end()) - u32::from(range.start()) > 2 {
                        return None;
                    }
                    characters.extend(range.start()..=range.end());
                }
            }
            Class::Bytes(class) => {
                for range in class.ranges() {
                    if range.end() - range.start() > 2 || !range.end().is_ascii() {
                        return None;
                    }
                    characters.extend((range.start()..=range.end()).map(char::from));
                }
            }
        }
        let folded = |c: char| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        };
        let first = folded(*characters.first()?);
        if !first.is_ascii() || characters.iter().any(|c| folded(*c) != first) {
            return None;
        }
        self.folds |= characters.iter().any(|c| !c.is_ascii());
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matcher::Matcher;
    use super::*;
    use proptest::prelude::*;

    fn regex(pattern: &str, flags: &str) -> Vec<Vec<String>> {
        let flags = flags.to_owned();
        Required::of(pattern, &Syntax::Regex { flags }).groups
    }

    #[test]
    fn literals_of_regexes() {
        assert_eq!(
            regex(r"(?i)^cmd[^\r\n]exe /Q /c .*__\d+", ""),
            [["exe /q /c "], ["cmd"]]
        );
        assert_eq!(regex("foobar|quxx", "i"), [["foobar", "quxx"]]);
        assert_eq!(regex("(foo|bar)?x", ""), Vec::<Vec<String>>::new());
        assert_eq!(regex("(?:power)+shell", ""), [["power"], ["shell"]]);
        assert_eq!(regex("foobar|[a-z]+", ""), Vec::<Vec<String>>::new());
        assert_eq!(regex("Straße", "i"), [["stra"]]);
    }

    /// Whether a text has what a pattern requires.
    fn may_match(required: &Required, text: &str) -> bool {
        let has_folding = text.contains(['\u{17f}', '\u{212a}']);
        let lower = text.to_ascii_lowercase();
        let held = |group: &Vec<String>| group.iter().any(|literal| lower.contains(literal));
        (required.folds && has_folding) || required.groups.iter().all(held)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// No text that matches lacks what is required.
        #[test]
        fn what_matches_has_what_is_required(
            pattern in r"(\(\?i\))?([kKsSabßüÜ\u{17f}\u{212a}]{1,4}|[ab][+*?]|\(ask\|bass?k\)|\[kK\]|\.|\^|\$|\\d|(kis){2}|%|_|\*){0,5}",
            text in "[kKsSabßüÜ\u{17f}\u{212a}İi%_1\n]{0,12}",
            which in 0..5_usize,
        ) {
            let syntax = match which {
                0 => Syntax::Regex { flags: String::new() },
                1 => Syntax::Regex { flags: "i".to_owned() },
                2 => Syntax::Like { escape: None, case_insensitive: true },
                3 => Syntax::Like { escape: None, case_insensitive: false },
                _ => Syntax::Wildcard { case_sensitive: false },
            };
            if let Ok(matcher) = Matcher::compile(&pattern, &syntax)
                && matcher.is_match(&text)
            {
                let required = Required::of(&pattern, &syntax);
                prop_assert!(may_match(&required, &text), "{pattern} {text} {required:?}");
            }
        }
    }
}
