//! Records of a byte stream with their place: 1-based number and offset. A record is a line, or an element of the JSON
//! array that a file begins with. Long ones are reported, not kept.
//!
//! Knows nothing of what a record says.

use std::io::{self, Read};

use super::elements::{Opening, Scanner, opening};
use super::encoding::Encoding;

/// A line longer than this is not kept in memory.
pub const MAX_LINE: usize = 64 * 1024 * 1024;
const START_BUFFER: usize = 256 * 1024;
/// What is kept of a record that is too long.
const HEAD: usize = 4096;
/// White space in front of a file that is looked through for an array.
const MAX_OPENING: usize = 4096;

/// Splits a stream into lines. `\n` and `\r\n` end a line; the last line may lack its end. Where the stream begins with a
/// JSON array of objects, its elements come first, counted as lines are, and what follows it is lines.
pub struct Lines<R> {
    reader: R,
    encoding: Encoding,
    phase: Phase,
    is_cut_off: bool,
    /// The first bytes of an element that is too long.
    head: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    line: u64,
    finished: bool,
    limit: usize,
}

/// What a stream is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not known yet.
    Start,
    /// Elements of an array.
    Array,
    /// Objects that are laid out over several lines.
    Laid,
    /// Lines.
    Lines,
}

/// One line, or element, with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// 1-based number.
    pub number: u64,
    /// Offset of its first byte in the file, as the file is encoded.
    pub offset: u64,
    /// Its bytes as UTF-8, without the line end; the first part only when `too_long`.
    pub bytes: &'a [u8],
    /// Its length in the file, without the line end.
    pub length: u64,
    /// Its whole length when it was longer than the limit.
    pub too_long: Option<u64>,
}

impl<R: Read> Lines<R> {
    /// Records of a reader of UTF-8, which was encoded otherwise in the file.
    pub fn new(reader: R, encoding: Encoding) -> Self {
        Self::with_limit(reader, encoding, MAX_LINE)
    }

    fn with_limit(reader: R, encoding: Encoding, limit: usize) -> Self {
        Self {
            reader,
            encoding,
            phase: Phase::Start,
            is_cut_off: false,
            head: Vec::new(),
            buffer: vec![0; START_BUFFER.min(limit.max(16) * 2)],
            start: 0,
            end: 0,
            offset: encoding.mark(),
            line: 0,
            finished: false,
            limit,
        }
    }

    /// Whether the stream ended inside an array: what else the array held is not known.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// The next line or element, or `None` at the end.
    ///
    /// # Errors
    /// What the reader says; lines before it were whole.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.phase == Phase::Start {
            self.begin()?;
        }
        if self.phase != Phase::Lines
            && let Some((from, to, dropped)) = self.element()?
        {
            return Ok(Some(self.element_line(from, to, dropped)));
        }
        let mut searched = self.start;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                let (from, to) = (self.start, searched + found);
                self.start = to + 1;
                return Ok(Some(self.line(from, to, to + 1)));
            }
            searched = self.end;
            if self.finished {
                if self.start == self.end {
                    return Ok(None);
                }
                let (from, to) = (self.start, self.end);
                self.start = to;
                return Ok(Some(self.line(from, to, to)));
            }
            if self.end - self.start > self.limit {
                return self.skip_long_line();
            }
            searched -= self.start;
            self.fill()?;
            searched += self.start;
        }
    }

    fn line(&mut self, from: usize, to: usize, next: usize) -> Line<'_> {
        self.line += 1;
        let offset = self.offset;
        self.offset += self.encoding.width(&self.buffer[from..next]);
        let bytes = &self.buffer[from..to];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let length = self.encoding.width(bytes);
        // Whether a line is too long must not depend on how much of it one read brings.
        let is_long = bytes.len() > self.limit;
        Line {
            number: self.line,
            offset,
            bytes: if is_long {
                &bytes[..HEAD.min(self.limit)]
            } else {
                bytes
            },
            length,
            too_long: is_long.then_some(length),
        }
    }

    /// Looks whether the stream begins with an array.
    fn begin(&mut self) -> io::Result<()> {
        loop {
            match opening(&self.buffer[self.start..self.end]) {
                Opening::Array(length) => {
                    self.phase = Phase::Array;
                    self.skip(length);
                    return Ok(());
                }
                Opening::Laid(length) => {
                    self.phase = Phase::Laid;
                    self.skip(length);
                    return Ok(());
                }
                Opening::Unknown if !self.finished && self.end < MAX_OPENING => self.fill()?,
                Opening::Lines | Opening::Unknown => {
                    self.phase = Phase::Lines;
                    return Ok(());
                }
            }
        }
    }

    fn skip(&mut self, length: usize) {
        let skipped = &self.buffer[self.start..self.start + length];
        self.offset += self.encoding.width(skipped);
        self.start += length;
    }

    /// Finds the next element: where it is in the buffer, and how long what was dropped of it is. `None` behind the last.
    fn element(&mut self) -> io::Result<Option<(usize, usize, u64)>> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            let separator = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
            let length = rest.iter().take_while(|byte| separator(byte)).count();
            self.skip(length);
            if self.start < self.end {
                break;
            }
            if self.finished {
                self.is_cut_off = self.phase == Phase::Array;
                self.phase = Phase::Lines;
                return Ok(None);
            }
            self.fill()?;
        }
        let is_array = self.phase == Phase::Array;
        if is_array && self.buffer[self.start] == b']' {
            self.phase = Phase::Lines;
            self.skip(1);
            return Ok(None);
        }
        let mut scanner = if is_array {
            Scanner::default()
        } else {
            Scanner::laid()
        };
        let mut searched = self.start;
        let mut dropped = 0;
        self.head.clear();
        loop {
            if let Some(length) = scanner.scan(&self.buffer[searched..self.end]) {
                let (from, to) = (self.start, searched + length);
                self.start = to;
                return Ok(Some((from, to, dropped)));
            }
            if self.finished {
                let (from, to) = (self.start, self.end);
                self.start = to;
                self.phase = Phase::Lines;
                // The array's own end is the last thing of a file whose last element is broken.
                let is_closed = self.buffer[from..to].trim_ascii_end().ends_with(b"]");
                self.is_cut_off = is_array && !(scanner.is_broken() && is_closed);
                return Ok(Some((from, to, dropped)));
            }
            if self.end - self.start > self.limit {
                if self.head.is_empty() {
                    let kept = HEAD.min(self.end - self.start);
                    let head = &self.buffer[self.start..self.start + kept];
                    self.head.extend_from_slice(head);
                }
                dropped += self.encoding.width(&self.buffer[self.start..self.end]);
                self.start = self.end;
            }
            let scanned = self.end - self.start;
            self.fill()?;
            searched = self.start + scanned;
        }
    }

    fn element_line(&mut self, from: usize, to: usize, dropped: u64) -> Line<'_> {
        self.line += 1;
        let offset = self.offset;
        self.offset += dropped + self.encoding.width(&self.buffer[from..to]);
        let rest = self.buffer[from..to].trim_ascii_end();
        let length = dropped + self.encoding.width(rest);
        let is_long = dropped > 0 || rest.len() > self.limit;
        Line {
            number: self.line,
            offset,
            bytes: match (is_long, dropped) {
                (true, 0) => &rest[..HEAD.min(self.limit)],
                (true, _) => &self.head,
                (false, _) => rest,
            },
            length,
            too_long: is_long.then_some(length),
        }
    }

    /// Reads on, moving what is left to the front and growing the buffer when it is full.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let length = self.buffer.len();
            let enough = self.limit.saturating_add(1);
            let longer = (length * 2).min(enough).max(length + HEAD);
            self.buffer.resize(longer, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.finished = true;
                    return Ok(());
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads past the rest of a line that is too long to keep.
    fn skip_long_line(&mut self) -> io::Result<Option<Line<'_>>> {
        // Less than the buffer holds, or there would be no room to read on.
        let kept = HEAD.min((self.end - self.start) / 2);
        let mut length = self.encoding.width(&self.buffer[self.start..self.end]);
        self.buffer.copy_within(self.start..self.start + kept, 0);
        loop {
            self.start = kept;
            self.end = kept;
            self.fill_after(kept)?;
            let fresh = &self.buffer[kept..self.end];
            match memchr::memchr(b'\n', fresh) {
                Some(found) => {
                    length += self.encoding.width(&fresh[..found]);
                    self.start = kept + found + 1;
                    break;
                }
                None if self.finished => {
                    length += self.encoding.width(fresh);
                    self.start = self.end;
                    break;
                }
                None => length += self.encoding.width(fresh),
            }
        }
        self.line += 1;
        let offset = self.offset;
        self.offset += length + self.encoding.width(b"\n");
        Ok(Some(Line {
            number: self.line,
            offset,
            bytes: &self.buffer[..kept],
            length,
            too_long: Some(length),
        }))
    }

    fn fill_after(&mut self, kept: usize) -> io::Result<()> {
        let read = self.reader.read(&mut self.buffer[kept..])?;
        self.end = kept + read;
        self.finished = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], limit: usize) -> Vec<(u64, u64, Vec<u8>, Option<u64>)> {
        let mut lines = Lines::with_limit(text, Encoding::Utf8, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push((line.number, line.offset, line.bytes.to_vec(), line.too_long));
        }
        found
    }

    #[test]
    fn knows_numbers_and_offsets() {
        let lines = all(b"a\r\n\nbcd\ne", 100);
        let expected: Vec<(u64, u64, Vec<u8>, Option<u64>)> = vec![
            (1, 0, b"a".to_vec(), None),
            (2, 3, b"".to_vec(), None),
            (3, 4, b"bcd".to_vec(), None),
            (4, 8, b"e".to_vec(), None),
        ];
        assert_eq!(lines, expected);
        assert_eq!(all(b"", 100), vec![]);
    }

    #[test]
    fn a_long_line_costs_itself_only() {
        let mut text = vec![b'x'; 500];
        text.extend(b"\nshort\n");
        let lines = all(&text, 64);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].3, Some(500));
        assert_eq!(
            (lines[1].0, lines[1].1, lines[1].2.as_slice()),
            (2, 501, b"short".as_slice())
        );
    }

    #[test]
    fn elements_are_found_wherever_their_lines_break() {
        let expected: Vec<(u64, Vec<u8>)> = vec![
            (1, br#"{"a":"],\"{"}"#.to_vec()),
            (2, b"12".to_vec()),
            (3, br#"{"b": [{"c": 1}, 2]}"#.to_vec()),
        ];
        for text in [
            r#"[{"a":"],\"{"},12,{"b": [{"c": 1}, 2]}]"#,
            "\u{feff} [\n{\"a\":\"],\\\"{\"}\n,12,\r\n  {\"b\": [{\"c\": 1}, 2]} ]\n",
        ] {
            let found = all(text.as_bytes(), 100);
            for (_, offset, bytes, _) in &found {
                let offset = usize::try_from(*offset).unwrap();
                assert!(text.as_bytes()[offset..].starts_with(bytes), "{text}");
            }
            let found: Vec<_> = found.into_iter().map(|line| (line.0, line.2)).collect();
            let elements = found.iter().filter(|line| !line.1.is_empty());
            assert_eq!(elements.cloned().collect::<Vec<_>>(), expected, "{text}");
        }
        for text in ["[1]\n[2]", "[x\n{\"a\":1}", "[\n"] {
            assert_eq!(all(text.as_bytes(), 100)[0].0, 1, "{text} is lines");
        }
    }

    #[test]
    fn a_broken_element_costs_itself() {
        let text =
            b"[\n{\"a\":1},\n{\"b\": \"no end},\n \"x\": [1,2]\n},\n{\"c\":3}\n]\n{\"line\": 4}\n";
        let found: Vec<_> = all(text, 200).into_iter().map(|line| line.2).collect();
        assert_eq!(found[0], b"{\"a\":1}");
        assert!(found[1].starts_with(b"{\"b\"") && found[1].ends_with(b"},"));
        assert_eq!(found[2], b"{\"c\":3}");
        assert_eq!(found.last().map(Vec::as_slice), Some(&b"{\"line\": 4}"[..]));
    }

    #[test]
    fn a_long_element_costs_itself_and_a_cut_array_is_told() {
        let long = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(900));
        let found = all(long.as_bytes(), 64);
        assert_eq!(
            (found[0].3, found[1].2.as_slice()),
            (Some(908), &b"{\"b\":1}"[..])
        );
        assert_eq!(found[1].1, 910);
        for (text, expected) in [
            ("[{\"a\":1},{\"b\"", true),
            ("[{\"a\":1},", true),
            ("[{\"a\":1}", true),
            ("[{\"a\":1}]", false),
            ("[]", false),
            ("{\"a\"", false),
        ] {
            let mut lines = Lines::new(text.as_bytes(), Encoding::Utf8);
            while lines.next_line().unwrap().is_some() {}
            assert_eq!(lines.is_cut_off(), expected, "{text}");
        }
    }

    #[test]
    fn lines_longer_than_the_buffer_are_whole() {
        let mut text = vec![b'x'; START_BUFFER * 3];
        text.extend(b"\ny");
        let lines = all(&text, MAX_LINE);
        assert_eq!(lines[0].2.len(), START_BUFFER * 3);
        assert_eq!(lines[1].2, b"y");
    }
}
