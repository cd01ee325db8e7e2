//! Lines of a byte stream with their place: 1-based number and offset. Long lines are reported, not kept.
//!
//! Knows nothing of JSON.

use std::io::{self, Read};

/// A line longer than this is not kept in memory.
pub const MAX_LINE: usize = 64 * 1024 * 1024;
const START_BUFFER: usize = 256 * 1024;

/// Splits a stream into lines. `\n` and `\r\n` end a line; the last line may lack its end.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    line: u64,
    finished: bool,
    limit: usize,
}

/// One line with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// 1-based number.
    pub number: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// Its bytes without the line end; the first part only when `too_long`.
    pub bytes: &'a [u8],
    /// Its whole length when it was longer than the limit.
    pub too_long: Option<u64>,
}

impl<R: Read> Lines<R> {
    /// Lines of a reader.
    pub fn new(reader: R) -> Self {
        Self::with_limit(reader, MAX_LINE)
    }

    fn with_limit(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: vec![0; START_BUFFER.min(limit.max(16) * 2)],
            start: 0,
            end: 0,
            offset: 0,
            line: 0,
            finished: false,
            limit,
        }
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// What the reader says; lines before it were whole.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.start;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                let (from, to) = (self.start, searched + found);
                self.start = to + 1;
                return Ok(Some(self.line(from, to, (to + 1 - from) as u64)));
            }
            searched = self.end;
            if self.finished {
                if self.start == self.end {
                    return Ok(None);
                }
                let (from, to) = (self.start, self.end);
                self.start = to;
                return Ok(Some(self.line(from, to, (to - from) as u64)));
            }
            if self.end - self.start > self.limit {
                return self.skip_long_line();
            }
            searched -= self.start;
            self.fill()?;
            searched += self.start;
        }
    }

    fn line(&mut self, from: usize, to: usize, consumed: u64) -> Line<'_> {
        self.line += 1;
        let offset = self.offset;
        self.offset += consumed;
        let bytes = &self.buffer[from..to];
        Line {
            number: self.line,
            offset,
            bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes),
            too_long: None,
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
            self.buffer.resize(self.buffer.len() * 2, 0);
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
        let kept = 4096.min((self.end - self.start) / 2);
        self.buffer.copy_within(self.start..self.start + kept, 0);
        let mut length = (self.end - self.start) as u64;
        loop {
            self.start = kept;
            self.end = kept;
            self.fill_after(kept)?;
            let fresh = &self.buffer[kept..self.end];
            match memchr::memchr(b'\n', fresh) {
                Some(found) => {
                    length += found as u64;
                    self.start = kept + found + 1;
                    break;
                }
                None if self.finished => {
                    length += fresh.len() as u64;
                    self.start = self.end;
                    break;
                }
                None => length += fresh.len() as u64,
            }
        }
        self.line += 1;
        let offset = self.offset;
        self.offset += length + 1;
        Ok(Some(Line {
            number: self.line,
            offset,
            bytes: &self.buffer[..kept],
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
        let mut lines = Lines::with_limit(text, limit);
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
    fn lines_longer_than_the_buffer_are_whole() {
        let mut text = vec![b'x'; START_BUFFER * 3];
        text.extend(b"\ny");
        let lines = all(&text, MAX_LINE);
        assert_eq!(lines[0].2.len(), START_BUFFER * 3);
        assert_eq!(lines[1].2, b"y");
    }
}
