//! Texts as they are encoded: UTF-8, or UTF-16 that a byte order mark announces, which Windows tools write.
//!
//! Knows bytes and characters, nothing of lines.

use std::io::{self, Cursor, Read};

/// How the bytes of a stream were encoded before they became UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Utf8,
    /// With a byte order mark of two bytes in front.
    Utf16,
}

impl Encoding {
    /// Bytes in front of the first character.
    pub fn mark(self) -> u64 {
        match self {
            Self::Utf8 => 0,
            Self::Utf16 => 2,
        }
    }

    /// How many bytes of the file a piece of decoded text was. What could not be decoded became one U+FFFD for each of
    /// its units, so that this holds for broken text too.
    pub fn width(self, text: &[u8]) -> u64 {
        match self {
            Self::Utf8 => text.len() as u64,
            Self::Utf16 => text
                .iter()
                .map(|byte| match byte {
                    // The rest of a character counts with its first byte.
                    0x80..=0xbf => 0,
                    0xf0..=0xff => 4,
                    _ => 2,
                })
                .sum(),
        }
    }
}

/// The stream as UTF-8, and what it was.
///
/// # Errors
/// What the reader says of its first bytes.
pub fn decode(mut reader: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, Encoding)> {
    let mut mark = [0; 2];
    let mut filled = 0;
    while filled < mark.len() {
        match reader.read(&mut mark[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let is_big_endian = match mark[..filled] {
        [0xff, 0xfe] => false,
        [0xfe, 0xff] => true,
        _ => {
            let front = Cursor::new(mark).take(filled as u64);
            return Ok((Box::new(front.chain(reader)), Encoding::Utf8));
        }
    };
    let decoder = Utf16 {
        reader,
        is_big_endian,
        raw: vec![0; 64 * 1024],
        odd: None,
        high: None,
        text: String::new(),
        given: 0,
        finished: false,
    };
    Ok((Box::new(decoder), Encoding::Utf16))
}

struct Utf16<R> {
    reader: R,
    is_big_endian: bool,
    raw: Vec<u8>,
    /// The first byte of a unit whose second is not there yet.
    odd: Option<u8>,
    /// The first unit of a pair whose second is not there yet.
    high: Option<u16>,
    text: String,
    given: usize,
    finished: bool,
}

impl<R: Read> Utf16<R> {
    fn refill(&mut self) -> io::Result<()> {
        let read = self.reader.read(&mut self.raw)?;
        self.text.clear();
        self.given = 0;
        if read == 0 {
            self.finished = true;
            if self.odd.take().is_some() | self.high.take().is_some() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
            return Ok(());
        }
        for index in 0..read {
            let byte = self.raw[index];
            match self.odd.take() {
                None => self.odd = Some(byte),
                Some(first) if self.is_big_endian => self.unit(u16::from_be_bytes([first, byte])),
                Some(first) => self.unit(u16::from_le_bytes([first, byte])),
            }
        }
        Ok(())
    }

    fn unit(&mut self, unit: u16) {
        if let Some(high) = self.high.take() {
            if (0xdc00..0xe000).contains(&unit) {
                let pair = char::decode_utf16([high, unit]).next();
                self.text.push(
                    pair.and_then(Result::ok)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
                return;
            }
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
        } else {
            let alone = char::from_u32(u32::from(unit));
            self.text.push(alone.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if self.finished {
                return Ok(0);
            }
            self.refill()?;
        }
        let rest = &self.text.as_bytes()[self.given..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slowly(Cursor<Vec<u8>>);

    impl Read for Slowly {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    fn read(bytes: Vec<u8>) -> (String, Encoding) {
        let (mut reader, encoding) = decode(Box::new(Slowly(Cursor::new(bytes)))).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (text, encoding)
    }

    #[test]
    fn both_byte_orders_are_read() {
        let text = "a\u{e4}\u{20ac}\u{1f600}\n";
        let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big] {
            let length = bytes.len() as u64;
            let (read, encoding) = read(bytes);
            assert_eq!((read.as_str(), encoding), (text, Encoding::Utf16));
            assert_eq!(encoding.width(text.as_bytes()) + encoding.mark(), length);
        }
        for text in ["", "x", "{}"] {
            assert_eq!(read(text.into()), (text.to_owned(), Encoding::Utf8));
        }
    }

    #[test]
    fn half_a_pair_and_half_a_unit_are_marked() {
        let bytes = [0xff, 0xfe, 0x00, 0xd8, 0x41, 0x00, 0x00, 0xdc, 0x42];
        assert_eq!(read(bytes.to_vec()).0, "\u{fffd}A\u{fffd}\u{fffd}");
    }
}
