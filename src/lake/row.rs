//! One JSON line into typed slots: only the wanted paths are kept, whatever their case, nested or flat.
//!
//! A line fills scratch slots first and reaches the columns only when it is whole, so that a broken line leaves nothing
//! behind. Knows nothing of files and times.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    Int(i64),
    Float(f64),
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
    pub fn text_of(&self, slot: usize) -> Option<std::borrow::Cow<'_, str>> {
        match self.slots[slot] {
            Slot::Text(from, to) => Some(self.text[from..to].into()),
            Slot::Int(value) => Some(value.to_string().into()),
            Slot::Float(value) => Some(value.to_string().into()),
            _ => None,
        }
    }

    /// The whole number of a slot, written as a number or as text.
    pub fn int_of(&self, slot: usize) -> Option<i64> {
        match self.slots[slot] {
            Slot::Int(value) => Some(value),
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
        let from = self.text.len();
        self.text.push_str(text);
        self.set(slot, Slot::Text(from, self.text.len()), exact);
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
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<Child>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.row.child(self.shape, self.node, key))
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
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.shape.nodes[self.node].slot {
            Some(slot) if self.shape.types[slot] == ColumnType::Json => {
                let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
                let text = raw.get();
                match serde_json::from_str::<String>(text) {
                    Ok(content) => self.row.set_text(slot, &content, self.exact),
                    Err(_) if text == "null" => self.row.set(slot, Slot::Null, self.exact),
                    Err(_) => self.row.set_text(slot, text, self.exact),
                }
                Ok(())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl ValueSeed<'_> {
    fn put(self, value: Slot) {
        if let Some(slot) = self.shape.nodes[self.node].slot {
            self.row.set(slot, value, self.exact);
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some(slot) = self.shape.nodes[self.node].slot {
            self.row.set_text(slot, text, self.exact);
        }
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.put(Slot::Int(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.shape.nodes[self.node].slot) {
            (Ok(value), _) => self.put(Slot::Int(value)),
            // Beyond Int64 only a text column can hold it exactly.
            (Err(_), Some(slot)) => self.row.set_text(slot, &value.to_string(), self.exact),
            (Err(_), None) => {}
        }
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(Slot::Float(value));
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.put(Slot::Bool(value));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(Slot::Null);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let node = &self.shape.nodes[self.node];
        if let Some(slot) = node.slot {
            self.row.set(slot, Slot::Conflict, self.exact);
        }
        visit_object(self.shape, self.row, self.node, map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.put(Slot::Conflict);
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
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
