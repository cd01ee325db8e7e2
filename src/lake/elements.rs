//! Where the elements of a JSON array end, found byte by byte, so that an array of any size is read one element at a time;
//! and those of a file whose objects are laid out over several lines, one after the other.
//!
//! A broken element costs itself: a line break inside a string, which JSON forbids, says that a quote is missing, and the
//! next line that begins with an object is the next element. Judges no element; that is the reader's business.

/// What a file begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// An array, whose first element is behind this many bytes.
    Array(usize),
    /// Objects over several lines each, of which the first begins behind this many bytes.
    Laid(usize),
    /// Anything else: lines.
    Lines,
    /// Too few bytes to say.
    Unknown,
}

/// What programs on Windows write in front of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What a text begins with. Only `[` before an object, or before `]`, is an array: a line of a log may begin with `[`. Only
/// `{` alone on its line, with a key on the next, is laid out: a line may have been cut behind its first byte.
pub(super) fn opening(text: &[u8]) -> Opening {
    if MARK.starts_with(text) {
        return Opening::Unknown;
    }
    let front = text.strip_prefix(MARK).unwrap_or(text);
    let mut bytes = (text.len() - front.len()..).zip(front);
    let mut next = || bytes.find(|(_, byte)| !byte.is_ascii_whitespace());
    match next() {
        None => Opening::Unknown,
        Some((place, b'{')) => match next() {
            None => Opening::Unknown,
            Some((key, b'"')) if text[place..key].contains(&b'\n') => Opening::Laid(place),
            Some(_) => Opening::Lines,
        },
        Some((place, b'[')) => match next() {
            None => Opening::Unknown,
            Some((_, b'{' | b']')) => Opening::Array(place + 1),
            Some(_) => Opening::Lines,
        },
        Some(_) => Opening::Lines,
    }
}

/// Follows one element to its end.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    depth: usize,
    place: Place,
    /// Nothing stands between elements: each ends with its object, and where a line begins with the next, because those
    /// inside of one are indented.
    is_laid: bool,
    at_line_start: bool,
}

/// Where in an element the scanner stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between values.
    #[default]
    Outside,
    /// In a string.
    InString,
    /// Behind a backslash in a string.
    Escaped,
    /// In an element that lacks a quote, which ends before the next line that begins with an object.
    Broken,
    /// The same, with nothing on its line yet.
    BrokenAtLineStart,
}

impl Scanner {
    /// For objects that are laid out.
    pub(super) fn laid() -> Self {
        Self {
            is_laid: true,
            ..Self::default()
        }
    }

    /// Whether the element turned out to be broken.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.place, Place::Broken | Place::BrokenAtLineStart)
    }

    /// Where the element ends in the next bytes: at a `,` or `]` outside of it. `None` when it goes on.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut index = 0;
        while index < bytes.len() {
            if self.place == Place::InString {
                index += memchr::memchr3(b'"', b'\\', b'\n', &bytes[index..])?;
            }
            let byte = bytes[index];
            if self.is_laid && self.at_line_start && byte == b'{' || self.step(byte) {
                return Some(index);
            }
            self.at_line_start = byte == b'\n';
            index += 1;
            let is_over = self.is_laid && self.depth == 0 && self.place == Place::Outside;
            if is_over && byte == b'}' {
                return Some(index);
            }
        }
        None
    }

    fn step(&mut self, byte: u8) -> bool {
        self.place = match (self.place, byte) {
            (Place::InString | Place::Escaped | Place::Broken, b'\n') => Place::BrokenAtLineStart,
            (Place::BrokenAtLineStart, b'{') => return true,
            (Place::BrokenAtLineStart, b',' | b' ' | b'\t' | b'\r' | b'\n') => self.place,
            (Place::Broken | Place::BrokenAtLineStart, _) => Place::Broken,
            (Place::InString, b'\\') => Place::Escaped,
            (Place::InString, b'"') => Place::Outside,
            (Place::InString | Place::Escaped, _) | (Place::Outside, b'"') => Place::InString,
            (Place::Outside, b',' | b']') if self.depth == 0 && !self.is_laid => return true,
            (Place::Outside, b'{' | b'[') => {
                self.depth += 1;
                Place::Outside
            }
            (Place::Outside, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                Place::Outside
            }
            (Place::Outside, _) => Place::Outside,
        };
        false
    }
}
