//! A quick reading of the JSON that logs are made of: one object of texts, numbers and a few objects more.
//!
//! It is exact or gives up: what it does not know is left to the general reader, which also says what is wrong with a line.
//! Knows the wanted keys, nothing of files and times.

use serde_json::value::RawValue;

use super::row::{Row, RowShape, ValueSeed};

/// Fills a row with the wanted values of a line; false when it gave up, and the row holds a part.
pub(super) fn read(shape: &RowShape, row: &mut Row, line: &str) -> bool {
    let mut cursor = Cursor {
        line,
        at: 0,
        has_escapes: false,
    };
    let done = cursor.whole(shape, row);
    done.is_some()
}

/// A place in a line. Everything it is asked for is `None` where the line has something else.
struct Cursor<'l> {
    line: &'l str,
    at: usize,
    /// Whether the last string had some.
    has_escapes: bool,
}

impl<'l> Cursor<'l> {
    fn whole(&mut self, shape: &RowShape, row: &mut Row) -> Option<()> {
        self.object(shape, row, 0)?;
        self.space();
        (self.at == self.line.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn object(&mut self, shape: &RowShape, row: &mut Row, node: usize) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        for place in 0.. {
            self.space();
            let child = match row.expected(node, place, &self.line[self.at..]) {
                Some((length, child)) => {
                    self.at += length;
                    child
                }
                None => row.child(shape, node, place, self.key()?),
            };
            self.space();
            match child {
                None => _ = self.value()?,
                Some(child) => {
                    let mut seed = ValueSeed::new(shape, row, child);
                    if seed.goes_on() && self.peek()? == b'{' {
                        let from = self.at;
                        self.object(shape, seed.row, child.node)?;
                        seed.keep(&self.line[from..self.at], false);
                    } else {
                        let value = self.value()?;
                        seed.read(value, self.has_escapes);
                    }
                }
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.take(b'}')
    }

    /// A key, with its colon behind it.
    fn key(&mut self) -> Option<&'l str> {
        let key = self.string()?;
        // A key with escapes is spelled as no form spells it.
        if self.has_escapes {
            return None;
        }
        self.take(b':')?;
        Some(&key[1..key.len() - 1])
    }

    /// A value as it is written.
    fn value(&mut self) -> Option<&'l str> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => {
                let rest = serde_json::Deserializer::from_str(&self.line[self.at..]);
                let value: &'l RawValue = rest.into_iter().next()?.ok()?;
                self.at += value.get().len();
                Some(value.get())
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<&'l str> {
        let rest = &self.line[self.at..];
        rest.starts_with(word).then(|| {
            self.at += word.len();
            &rest[..word.len()]
        })
    }

    /// A string with its quotes, and its escapes as they are written.
    fn string(&mut self) -> Option<&'l str> {
        let bytes = self.line.as_bytes();
        let from = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.has_escapes = false;
        let mut at = from + 1;
        loop {
            at += stop(bytes.get(at..)?)?;
            let step = match (bytes[at], bytes.get(at + 1)) {
                (b'"', _) => break,
                (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
                (b'\\', Some(b'u')) => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
                }
                // A control character, or an escape that is none.
                _ => return None,
            };
            self.has_escapes = true;
            at += step;
        }
        self.at = at + 1;
        Some(&self.line[from..self.at])
    }

    fn number(&mut self) -> Option<&'l str> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        let digits = self.digits();
        if digits == 0 || digits > 1 && first == Some(b'0') {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(&self.line[from..self.at])
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }
}

/// Where the first byte is that a string cannot just go on with: a quote, a backslash, a control character.
fn stop(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let word = |from: usize| {
        bytes
            .get(from..)?
            .first_chunk()
            .map(|eight| u64::from_le_bytes(*eight))
    };
    // Two words at a time: most strings end in the first few.
    while let (Some(first), Some(second)) = (word(at), word(at + 8)) {
        if stops_of(first) | stops_of(second) != 0 {
            break;
        }
        at += 16;
    }
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let stops = stops_of(u64::from_le_bytes(*eight));
        if stops != 0 {
            return Some(at + stops.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let is_stop = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    Some(at + bytes.get(at..)?.iter().position(is_stop)?)
}

/// [`stop`] in eight bytes at once: the lowest bit that is set belongs to the first, those above may be wrong.
///
/// A byte that is 0 borrows when 1 is taken from it, so that its high bit is set where it was not before.
fn stops_of(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes;
    let is = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (is(b'"') | is(b'\\') | below(eight, b' ')) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lake::form::{ColumnType, FormColumn};

    fn shape() -> RowShape {
        let column = |name: &str, column_type| FormColumn {
            name: name.to_owned(),
            paths: name.split('|').map(str::to_owned).collect(),
            column_type,
        };
        RowShape::new(&[
            column("a", ColumnType::Text),
            column("b|n.b", ColumnType::Int),
            column("n.c.d", ColumnType::Text),
            column("n", ColumnType::Json),
        ])
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just(r"\\"),
            Just(r#"\""#),
            Just(r"\/"),
            Just(r"\n"),
            Just(r"\u0041"),
            Just(r"\ud83d\ude00"),
            Just(r"\ud800"),
            Just(r"\u00g0"),
            Just(r"\x"),
            Just("\\"),
            Just("\""),
            Just("\n"),
            Just("\u{1}"),
            Just("ü"),
            Just("C:"),
            Just("x"),
            Just(" "),
        ];
        proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    fn json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            text().prop_map(|text| format!("\"{text}\"")),
            "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
            Just("true".to_owned()),
            Just("false".to_owned()),
            Just("null".to_owned()),
            Just("nul".to_owned()),
            Just(String::new()),
        ];
        scalar.prop_recursive(3, 24, 5, |inner| {
            let key = prop_oneof!["[abcdn]", "[ABn]\\.[bc]", text()];
            let member = (key, inner.clone(), "[ \t\n]?", "[ \r]?")
                .prop_map(|(key, value, before, after)| format!("{before}\"{key}\"{after}:{before}{value}{after}"));
            prop_oneof![
                4 => proptest::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
                1 => proptest::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_says_what_the_general_reader_says(lines in proptest::collection::vec((json(), "[ ,}]?"), 1..4)) {
            let shape = shape();
            let (mut both, mut general) = (shape.row(), shape.row());
            for (line, end) in lines {
                let line = format!("{line}{end}");
                let read = both.read(&shape, &line);
                let meant = general.read_generally(&shape, &line);
                prop_assert_eq!(read.is_ok(), meant.is_ok(), "{}", line);
                for slot in 0..4 {
                    prop_assert_eq!(both.told(&line, slot), general.told(&line, slot), "{}", line);
                }
            }
        }
    }

    #[test]
    fn what_logs_write_is_read_quickly() {
        let shape = shape();
        for line in [
            r#"{"a":"C:\\Windows","b":4688,"x":[1,{"y":2}],"n":{"b":1,"c":{"d":"\u00fc"},"z":null}}"#,
            r#" { "a" : "" , "x" : -1.5e+3 } "#,
            "{}",
        ] {
            assert!(read(&shape, &mut shape.row(), line), "{line}");
        }
    }
}
