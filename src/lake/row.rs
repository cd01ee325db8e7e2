//! One JSON line into typed slots: only the wanted paths are kept, whatever their case, nested or flat.
//!
//! A line fills scratch slots first and reaches the columns only when it is whole, so that a broken line leaves nothing
//! behind. Knows nothing of files and times.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::form::{ColumnType, FormColumn};

/// Spellings of keys remembered per object; more than any real log has.
const MEMO: usize = 4096;

/// The wanted paths as a tree of keys.
#[derive(Debug)]
pub struct RowShape {
    nodes: Vec<Node>,
    pub(super) types: Vec<ColumnType>,
}

#[derive(Debug, Default)]
struct Node {
    /// The key as the form spells it.
    key: String,
    /// Keys in lower case: files that differ only in case merge into one column.
    children: HashMap<String, usize>,
    slot: Option<usize>,
}

/// What one line says of one wanted path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Missing,
    Null,
    /// A range of the row's text.
    Text(usize, usize),
    /// A number as it is written: no digit is lost before the column's type is known.
    Number(usize, usize),
    Bool(bool),
    /// A value that no scalar type can hold.
    Conflict,
}

/// Scratch space for one line.
#[derive(Debug)]
pub struct Row {
    pub(super) slots: Vec<Slot>,
    /// Whether a slot's key was spelled as the form spells it.
    exact: Vec<bool>,
    pub(super) text: String,
    memo: Vec<HashMap<String, Option<Child>>>,
}

/// A wanted key of an object.
#[derive(Debug, Clone, Copy)]
struct Child {
    node: usize,
    /// Spelled as the form spells it.
    exact: bool,
}

impl RowShape {
    /// The tree for some columns; slot `i` is the `i`-th of them.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a FormColumn>) -> Self {
        let mut shape = Self {
            nodes: vec![Node::default()],
            types: Vec::new(),
        };
        for (slot, column) in columns.into_iter().enumerate() {
            shape.types.push(column.column_type);
            shape.insert(column.path.split('.'), slot);
            // A shipper may write the dotted path as one flat key.
            shape.insert(std::iter::once(column.path.as_str()), slot);
        }
        shape
    }

    fn insert<'a>(&mut self, path: impl Iterator<Item = &'a str>, slot: usize) {
        let mut node = 0;
        for key in path {
            let folded = key.to_lowercase();
            node = if let Some(child) = self.nodes[node].children.get(&folded) {
                *child
            } else {
                self.nodes.push(Node {
                    key: key.to_owned(),
                    ..Node::default()
                });
                let child = self.nodes.len() - 1;
                self.nodes[node].children.insert(folded, child);
                child
            };
        }
        self.nodes[node].slot = Some(slot);
    }

    /// Scratch space for lines of this shape.
    pub fn row(&self) -> Row {
        Row {
            slots: vec![Slot::Missing; self.types.len()],
            exact: vec![false; self.types.len()],
            text: String::new(),
            memo: vec![HashMap::new(); self.nodes.len()],
        }
    }
}

impl Row {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is not one JSON object; the row is then empty.
    pub fn read(&mut self, shape: &RowShape, line: &str) -> Result<(), serde_json::Error> {
        self.clear();
        let mut deserializer = serde_json::Deserializer::from_str(line);
        let result = ObjectSeed {
            shape,
            row: self,
            node: 0,
        }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn clear(&mut self) {
        self.slots.fill(Slot::Missing);
        self.exact.fill(false);
        self.text.clear();
    }

    /// The text of a slot, for clock and identity: numbers as they are written.
    pub fn text_of(&self, slot: usize) -> Option<&str> {
        match self.slots[slot] {
            Slot::Text(from, to) | Slot::Number(from, to) => Some(&self.text[from..to]),
            _ => None,
        }
    }

    /// The whole number of a slot, written as a number or as text.
    pub fn int_of(&self, slot: usize) -> Option<i64> {
        match self.slots[slot] {
            Slot::Number(from, to) => whole_number(&self.text[from..to]),
            Slot::Text(from, to) => crate::functions::parse_int(&self.text[from..to]),
            _ => None,
        }
    }

    fn set(&mut self, slot: usize, value: Slot, exact: bool) {
        // A key can come twice in two spellings (nxlog's ProcessID and Sysmon's ProcessId): the form's own spelling
        // wins, else the first value that says something.
        let is_better = exact && !self.exact[slot] && value != Slot::Null;
        if is_better || matches!(self.slots[slot], Slot::Missing | Slot::Null) {
            self.slots[slot] = value;
            self.exact[slot] = exact;
        }
    }

    fn set_text(&mut self, slot: usize, text: &str, exact: bool) {
        let (from, to) = self.keep(text);
        self.set(slot, Slot::Text(from, to), exact);
    }

    fn keep(&mut self, text: &str) -> (usize, usize) {
        let from = self.text.len();
        self.text.push_str(text);
        (from, self.text.len())
    }

    fn child(&mut self, shape: &RowShape, node: usize, key: &str) -> Option<Child> {
        if let Some(child) = self.memo[node].get(key) {
            return *child;
        }
        let child = shape.nodes[node].children.get(&key.to_lowercase());
        let child = child.map(|child| Child {
            node: *child,
            exact: shape.nodes[*child].key == key,
        });
        if self.memo[node].len() < MEMO {
            self.memo[node].insert(key.to_owned(), child);
        }
        child
    }
}

struct ObjectSeed<'s> {
    shape: &'s RowShape,
    row: &'s mut Row,
    node: usize,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        visit_object(self.shape, self.row, self.node, map)
    }
}

fn visit_object<'de, A: MapAccess<'de>>(
    shape: &RowShape,
    row: &mut Row,
    node: usize,
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(child) = map.next_key_seed(KeySeed { shape, row, node })? {
        match child {
            Some(Child { node, exact }) => map.next_value_seed(ValueSeed {
                shape,
                row,
                node,
                exact,
            })?,
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

struct KeySeed<'s> {
    shape: &'s RowShape,
    row: &'s mut Row,
    node: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<Child>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // As bytes: a lone surrogate in a key is no reason to lose the event.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<Child>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        let key = String::from_utf8_lossy(key);
        Ok(self.row.child(self.shape, self.node, &key))
    }
}

struct ValueSeed<'s> {
    shape: &'s RowShape,
    row: &'s mut Row,
    node: usize,
    exact: bool,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();
    /// Every value is first taken whole, wanted or not: which lines are broken does not depend on the columns that are
    /// read, and no number or text is judged before its column's type is known.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.read(raw.get());
        Ok(())
    }
}

impl ValueSeed<'_> {
    fn read(self, raw: &str) {
        let Self {
            shape,
            row,
            node,
            exact,
        } = self;
        let is_object = raw.starts_with('{');
        if let Some(slot) = shape.nodes[node].slot {
            let as_json = shape.types[slot] == ColumnType::Json;
            match raw.as_bytes().first() {
                Some(b'"') => row.set_text(slot, &string(raw), exact),
                Some(b'n') | None => row.set(slot, Slot::Null, exact),
                _ if as_json => row.set_text(slot, raw, exact),
                Some(b't') => row.set(slot, Slot::Bool(true), exact),
                Some(b'f') => row.set(slot, Slot::Bool(false), exact),
                Some(b'{' | b'[') => row.set(slot, Slot::Conflict, exact),
                Some(_) => {
                    let (from, to) = row.keep(raw);
                    row.set(slot, Slot::Number(from, to), exact);
                }
            }
        }
        if is_object && !shape.nodes[node].children.is_empty() {
            let mut deserializer = serde_json::Deserializer::from_str(raw);
            // It has been parsed once as a whole: what is nested deeper than serde_json goes stays NULL.
            let _ = ObjectSeed { shape, row, node }.deserialize(&mut deserializer);
        }
    }
}

/// The content of a JSON string. A lone surrogate, which attackers can write into any field, becomes U+FFFD for each of its bytes.
fn string(raw: &str) -> Cow<'_, str> {
    let inner = &raw[1..raw.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    deserializer
        .deserialize_bytes(Bytes)
        .map_or(Cow::Borrowed(inner), Cow::Owned)
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

/// A JSON number as `i64`: `4688`, and `4688.0`, but nothing that has a fraction or does not fit.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .or_else(|| super::columns::whole(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_leaves_nothing() {
        let shape = RowShape::new(&[FormColumn {
            name: "a".to_owned(),
            path: "a".to_owned(),
            column_type: ColumnType::Text,
        }]);
        let mut row = shape.row();
        for line in [
            r#"{"a": "x", "b"#,
            "[1]",
            "12",
            r#"{"a": "x"} {"#,
            "",
            r#""text""#,
        ] {
            assert!(row.read(&shape, line).is_err(), "{line}");
            assert_eq!(row.text_of(0), None, "{line}");
        }
    }
}
