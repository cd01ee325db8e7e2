//! Text from telemetry made harmless to look at: what a reader sees is what is there, and nothing in it acts.
//!
//! An attacker writes command lines, file names and user names. Shown raw, they can move the cursor, clear the screen,
//! forge lines, reverse the reading order or hide. So every control character, every character that changes the
//! direction of text, and every invisible one is shown as an escape: `\n`, `\x1b`, `\u{202e}`. The rest, in any script,
//! stays. It must not know Markdown or colours.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that acts or hides shown as an escape, in one line.
///
/// Backslashes stay single, because Windows paths are full of them; what exactly was there is in the JSON form.
///
/// `"a\tb\u{1b}[0m"` gives `a\tb\x1b[0m`, in visible characters.
pub fn neutral(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if !is_active(character) => shown.push(character),
            // Writing to a String cannot fail.
            _ if character.is_ascii() => {
                let _ = write!(shown, "\\x{:02x}", u32::from(character));
            }
            _ => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown)
}

/// Like [`neutral`], but line ends stay: for our own messages of several lines that carry telemetry.
pub fn neutral_lines(text: &str) -> String {
    text.lines().map(neutral).collect::<Vec<_>>().join("\n")
}

/// Whether a character acts on a terminal or on the reader's eye instead of being seen.
///
/// The sets are Unicode's control characters (Cc), the format characters (Cf) that direct, join or hide text, line and
/// paragraph separators, blanks that are letters (the Hangul fillers), variation selectors and the tag block, in both of
/// which whole messages have been hidden.
pub const fn is_active(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The columns a character takes on a terminal, never less than one: combining marks are counted too, so that a pile of
/// a million of them is shortened like any other text. Two for the wide scripts and emoji (UAX #11, in whole blocks).
pub const fn columns_of(character: char) -> usize {
    match character {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// The columns a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The text, at most `width` columns wide. The middle gives way to `…`: the beginning says what ran, the end where its
/// output went, and both matter more than what is between. The beginning gets the larger half.
///
/// `shorten("abcdefghij", 5)` is `ab…ij`.
pub fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    shorten_with(text, width, |_| "…".to_owned())
}

/// Like [`shorten`], but the mark says how much is missing: `… 1234 characters left out …`. The mark is not counted in
/// `width`.
pub fn shorten_counting(text: &str, width: usize) -> Cow<'_, str> {
    shorten_with(text, width.saturating_add(1), |missing| {
        format!(" … {missing} characters left out … ")
    })
}

fn shorten_with(text: &str, width: usize, mark: impl Fn(usize) -> String) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let head_end = prefix_of(text, room.div_ceil(2));
    let (head, rest) = text.split_at(head_end);
    let tail_start = suffix_of(rest, room - room.div_ceil(2));
    let (middle, tail) = rest.split_at(tail_start);
    Cow::Owned(format!("{head}{}{tail}", mark(middle.chars().count())))
}

/// The byte where a prefix of at most `width` columns ends.
fn prefix_of(text: &str, width: usize) -> usize {
    let mut used = 0;
    for (position, character) in text.char_indices() {
        used += columns_of(character);
        if used > width {
            return position;
        }
    }
    text.len()
}

/// The byte where a suffix of at most `width` columns begins.
fn suffix_of(text: &str, width: usize) -> usize {
    let mut used = 0;
    for (position, character) in text.char_indices().rev() {
        used += columns_of(character);
        if used > width {
            return position + character.len_utf8();
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::HOSTILE;

    #[test]
    fn what_acts_or_hides_is_shown() {
        assert_eq!(neutral("a\tb\r\nc"), r"a\tb\r\nc");
        assert_eq!(neutral("\u{1b}[31m\u{0}\u{7f}"), r"\x1b[31m\x00\x7f");
        assert_eq!(neutral("\u{9b}31m"), r"\u{9b}31m");
        assert_eq!(neutral("annexe\u{202e}gpj.exe"), r"annexe\u{202e}gpj.exe");
        assert_eq!(
            neutral("a\u{200b}b\u{e0041}\u{fe0f}"),
            r"a\u{200b}b\u{e0041}\u{fe0f}"
        );
        assert!(!neutral(HOSTILE).contains(is_active));
        assert!(!neutral(HOSTILE).contains(char::is_control));
    }

    #[test]
    fn what_is_only_text_stays() {
        for text in [
            "",
            r"C:\Windows\System32\cmd.exe /c x",
            "naïve Ünïcode 漢字 🦀 שלום",
        ] {
            assert!(matches!(neutral(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn lines_stay_lines_when_they_are_ours() {
        assert_eq!(neutral_lines("one\ntwo\u{1b}c"), "one\ntwo\\x1bc");
    }

    #[test]
    fn the_middle_gives_way() {
        assert_eq!(shorten("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten("abcdefghij", 9), "abcd…ghij");
        assert_eq!(shorten("abcdefghij", 5), "ab…ij");
        assert_eq!(shorten("abcdefghij", 4), "ab…j");
        assert_eq!(shorten("abcdefghij", 1), "…");
        assert_eq!(shorten("abcdefghij", 0), "…");
        assert_eq!(
            shorten_counting("abcdefghij", 4),
            "ab … 6 characters left out … ij"
        );
        assert_eq!(shorten_counting("abcdefghij", 10), "abcdefghij");
    }

    #[test]
    fn wide_and_piled_up_characters_are_counted() {
        assert_eq!(columns("漢字"), 4);
        assert_eq!(shorten("漢字漢字", 5), "漢…字");
        assert_eq!(shorten("漢字漢字", 4), "漢…");
        let pile = format!("a{}", "\u{301}".repeat(1000));
        assert!(columns(&shorten(&pile, 20)) <= 20);
        for width in 1..40 {
            assert!(columns(&shorten("ab漢字cd🦀ef漢漢漢gh", width)) <= width);
        }
    }
}
