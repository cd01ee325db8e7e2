//! A quick look for a few literals in many texts at once: which texts hold one, whatever its case. The others need no look
//! at all.
//!
//! Knows texts and literals, not what they are for.

use aho_corasick::Span;
use aho_corasick::packed::{Config, MatchKind, Searcher};

/// Literals that vector instructions find quickly.
const MOST_LITERALS: usize = 32;
/// Shorter ones are found in too many places.
const SHORTEST: usize = 3;
/// Bytes of texts that are searched at a time: they stay in the cache.
const ROOM: usize = 64 * 1024;
/// Between texts; no byte of UTF-8, so that no literal goes from one text to the next.
const BETWEEN: u8 = 0xff;

/// A few literals to look for.
#[derive(Debug)]
pub(super) struct Prefilter(Searcher);

impl Prefilter {
    /// For literals that are few and long enough, where the processor has the instructions for it.
    pub(super) fn new(literals: &[String]) -> Option<Self> {
        let is_short = |literal: &String| literal.len() < SHORTEST;
        if literals.len() > MOST_LITERALS || literals.iter().any(is_short) {
            return None;
        }
        let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
        for literal in literals {
            builder.add(literal.to_ascii_lowercase());
        }
        builder.build().map(Self)
    }

    /// Which texts hold one of the literals, in any case of ASCII letters.
    pub(super) fn suspects(&self, texts: &[Option<&str>]) -> Vec<bool> {
        let mut suspects = vec![false; texts.len()];
        let mut joined: Vec<u8> = Vec::with_capacity(ROOM);
        let mut ends = Vec::new();
        let mut first = 0;
        for (index, text) in texts.iter().enumerate() {
            joined.extend_from_slice(text.unwrap_or_default().as_bytes());
            joined.push(BETWEEN);
            ends.push(joined.len());
            if joined.len() >= ROOM || index + 1 == texts.len() {
                joined.make_ascii_lowercase();
                self.search(&joined, &ends, &mut suspects[first..]);
                joined.clear();
                ends.clear();
                first = index + 1;
            }
        }
        suspects
    }

    fn search(&self, joined: &[u8], ends: &[usize], suspects: &mut [bool]) {
        let (mut from, mut text) = (0, 0);
        let rest = |start| Span {
            start,
            end: joined.len(),
        };
        while let Some(hit) = self.0.find_in(joined, rest(from)) {
            text += ends[text..].partition_point(|end| *end <= hit.start());
            suspects[text] = true;
            from = ends[text];
            text += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_suspects_those_that_hold_a_literal(
            literals in proptest::collection::vec("[abAB-]{3,5}", 1..12),
            texts in proptest::collection::vec(proptest::option::of("[abABüK -]{0,40}"), 0..4000),
        ) {
            let Some(prefilter) = Prefilter::new(&literals) else { return Ok(()) };
            let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
            let suspects = prefilter.suspects(&texts);
            let literals: Vec<_> = literals.iter().map(|literal| literal.to_ascii_lowercase()).collect();
            for (text, suspect) in texts.iter().zip(suspects) {
                let text = text.unwrap_or_default().to_ascii_lowercase();
                prop_assert_eq!(suspect, literals.iter().any(|literal| text.contains(literal)), "{}", text);
            }
        }
    }
}
