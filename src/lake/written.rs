//! The texts of a column as the lines of a block have them, escapes and all. They become an array when somebody asks, of
//! all rows or of some: most columns of most rows nobody looks at.
//!
//! Knows the content of JSON strings, nothing of lines, keys and types.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringViewBuilder, new_null_array};
use datafusion::arrow::datatypes::DataType;
use serde::de::{Deserializer, Visitor};

/// Texts under construction, or of a whole block.
#[derive(Debug, Default)]
pub struct Written {
    text: String,
    /// By row, up to the last that has a value.
    values: Vec<Value>,
    rows: usize,
    whole: OnceCell<ArrayRef>,
}

/// Where a value ends, which begins where the one before it ends.
#[derive(Debug, Clone, Copy)]
struct Value {
    end: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Null,
    Plain,
    Escaped,
}

impl Written {
    /// Adds the text of a row, which is the next or one behind: those between them have none.
    pub(super) fn push(&mut self, row: usize, content: &str, has_escapes: bool) {
        let null = Value {
            end: self.text.len(),
            kind: Kind::Null,
        };
        self.values.resize(row, null);
        self.text.push_str(content);
        self.values.push(Value {
            end: self.text.len(),
            kind: if has_escapes {
                Kind::Escaped
            } else {
                Kind::Plain
            },
        });
    }

    /// The texts of so many rows.
    pub(super) fn finish(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// None at all, with the room of these.
    pub(super) fn cleared(mut self) -> Self {
        self.text.clear();
        self.values.clear();
        Self {
            text: self.text,
            values: self.values,
            ..Self::default()
        }
    }

    /// How many rows have none.
    pub(super) fn null_count(&self) -> usize {
        let values = self.values.iter();
        self.rows - values.filter(|value| value.kind != Kind::Null).count()
    }

    /// The text that all rows have, if they are written alike.
    pub(super) fn same(&self) -> Option<Cow<'_, str>> {
        let first = self.content(0)?;
        let mut rows = 1..self.rows;
        let is_one = rows.all(|row| self.content(row) == Some(first));
        is_one.then(|| self.text(0)).flatten()
    }

    /// As it is written.
    fn content(&self, row: usize) -> Option<(&str, bool)> {
        let Value { end, kind } = self.values.get(row)?;
        let start = row.checked_sub(1).map_or(0, |last| self.values[last].end);
        let content = &self.text[start..*end];
        (*kind != Kind::Null).then_some((content, *kind == Kind::Escaped))
    }

    /// The text of a row.
    pub(super) fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        let (content, has_escapes) = self.content(row)?;
        if !has_escapes {
            return Some(Cow::Borrowed(content));
        }
        let mut text = String::with_capacity(content.len());
        unescape(content, &mut text);
        Some(Cow::Owned(text))
    }

    /// All of them, `Utf8View`.
    pub(super) fn whole(&self) -> &ArrayRef {
        self.whole.get_or_init(|| self.array(0..self.rows))
    }

    /// Those of some rows, `Utf8View`, which do not keep the others alive.
    pub(super) fn array(&self, rows: impl ExactSizeIterator<Item = usize>) -> ArrayRef {
        if self.values.is_empty() {
            return new_null_array(&DataType::Utf8View, rows.len());
        }
        let mut texts = StringViewBuilder::with_capacity(rows.len());
        let mut unescaped = String::new();
        for row in rows {
            match self.content(row) {
                None => texts.append_null(),
                Some((content, false)) => texts.append_value(content),
                Some((content, true)) => {
                    unescaped.clear();
                    unescape(content, &mut unescaped);
                    texts.append_value(&unescaped);
                }
            }
        }
        Arc::new(texts.finish())
    }
}

/// Adds the content of a JSON string, which is given without its quotes. A lone surrogate, which attackers can write into
/// any field, becomes U+FFFD for each of its bytes.
pub(super) fn unescape(content: &str, text: &mut String) {
    let before = text.len();
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let plain = match rest.as_bytes().get(at + 1) {
            Some(plain @ (b'\\' | b'"' | b'/')) => char::from(*plain),
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            // A code unit, which may be one of two.
            _ => {
                text.truncate(before);
                text.push_str(&with_code_units(content));
                return;
            }
        };
        text.push_str(&rest[..at]);
        text.push(plain);
        rest = &rest[at + 2..];
    }
    text.push_str(rest);
}

/// The content of a JSON string with any escapes.
fn with_code_units(content: &str) -> Cow<'_, str> {
    let raw = format!("\"{content}\"");
    let mut deserializer = serde_json::Deserializer::from_str(&raw);
    deserializer
        .deserialize_bytes(Bytes)
        .map_or(Cow::Borrowed(content), Cow::Owned)
}

/// Takes a JSON string as bytes, in which a lone surrogate is three bytes that are no UTF-8.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON string")
    }
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;

    use super::*;

    #[test]
    fn texts_are_what_was_written_of_all_rows_and_of_some() {
        let mut column = Written::default();
        column.push(1, r"C:\\Windows", true);
        column.push(2, "", false);
        column.push(4, "ü", false);
        let texts = column.finish(6);
        let all = [None, Some(r"C:\Windows"), Some(""), None, Some("ü"), None];
        let whole = texts.whole().as_string_view();
        assert_eq!(whole.iter().collect::<Vec<_>>(), all);
        let some = texts.array([5, 1].into_iter());
        let some = some.as_string_view();
        assert_eq!(some.iter().collect::<Vec<_>>(), [all[5], all[1]]);
        let single: Vec<_> = (0..6).map(|row| texts.text(row)).collect();
        assert_eq!(single, all.map(|text| text.map(Cow::Borrowed)));
        assert_eq!((texts.null_count(), texts.same()), (3, None));
        let mut column = texts.cleared();
        column.push(0, r"\u0041", true);
        column.push(1, r"\u0041", true);
        let texts = column.finish(2);
        assert_eq!(
            (texts.null_count(), texts.same().as_deref()),
            (0, Some("A"))
        );
        let none = texts.cleared().finish(3);
        assert_eq!((none.null_count(), none.same()), (3, None));
        assert_eq!(none.whole().null_count(), 3);
    }
}
