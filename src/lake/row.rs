//! One JSON line into typed slots: only the wanted paths are kept, whatever their case, nested or flat.
//!
//! A line fills scratch slots first and reaches the columns only when it is whole, so that a broken line leaves nothing
//! behind. Knows nothing of files and times.

use std::borrow::Cow;
use std::fmt;

use datafusion::common::HashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::form::{ColumnType, FormColumn};
use super::quick_json;
use super::written::unescape;

/// Spellings of keys, and places of keys, remembered per object; more than any real log has.
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
    /// The columns whose value this is, each with the place of this path among its paths.
    slots: Vec<(usize, u16)>,
}

/// What one line says of one wanted path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Missing,
    Null,
    /// A text, as a range of the line.
    Text(usize, usize),
    /// A text with escapes, as a range of the line.
    Escaped(usize, usize),
    /// A number as it is written: no digit is lost before the column's type is known.
    Number(usize, usize),
    Bool(bool),
    /// A value that no scalar type can hold.
    Conflict,
}

impl Slot {
    /// The kinds of values, as a report of drift names them.
    pub(super) const KINDS: [&'static str; 4] = ["text", "number", "bool", "nested"];

    /// Which of [`Slot::KINDS`] a value is; `None` for no value. The JSON of a column that takes any is text.
    pub(super) fn kind(self) -> Option<usize> {
        match self {
            Self::Missing | Self::Null => None,
            Self::Text(..) | Self::Escaped(..) => Some(0),
            Self::Number(..) => Some(1),
            Self::Bool(_) => Some(2),
            Self::Conflict => Some(3),
        }
    }
}

/// Scratch space for one line.
#[derive(Debug)]
pub struct Row {
    pub(super) slots: Vec<Slot>,
    /// Those of them that the line says something of.
    pub(super) said: Vec<usize>,
    /// How good the key was that filled a slot: see [`rank`].
    ranks: Vec<u16>,
    /// The address of the line: slots are places in it.
    origin: usize,
    /// By node.
    keys: Vec<Keys>,
}

/// The keys of an object that were seen before.
#[derive(Debug, Default)]
struct Keys {
    known: Vec<Key>,
    by_text: HashMap<Box<str>, usize>,
    /// Which key came at each place: most lines of a log have them in one order.
    order: Vec<usize>,
}

/// A key that was seen before.
#[derive(Debug)]
struct Key {
    /// As it stands in front of a value where nothing has to be escaped; empty where something has.
    written: Box<str>,
    child: Option<Child>,
}

/// A wanted key of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    pub(super) node: usize,
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
            for (place, path) in (0..).zip(&column.paths) {
                for keys in spellings(path) {
                    shape.insert(keys, slot, place);
                }
            }
        }
        shape
    }

    fn insert(&mut self, keys: Vec<&str>, slot: usize, place: u16) {
        let mut node = 0;
        for key in keys {
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
        let slots = &mut self.nodes[node].slots;
        if slots.iter().all(|(other, _)| *other != slot) {
            slots.push((slot, place));
        }
    }

    /// Scratch space for lines of this shape.
    pub fn row(&self) -> Row {
        Row {
            slots: vec![Slot::Missing; self.types.len()],
            said: Vec::new(),
            ranks: vec![0; self.types.len()],
            origin: 0,
            keys: self.nodes.iter().map(|_| Keys::default()).collect(),
        }
    }
}

/// The ways to cut a dotted path into keys: a shipper may write all of it, or a part, as one flat key. The empty path is
/// the object itself.
fn spellings(path: &str) -> Vec<Vec<&str>> {
    if path.is_empty() {
        return vec![Vec::new()];
    }
    let dots: Vec<usize> = path.match_indices('.').map(|(dot, _)| dot).collect();
    // Real paths have up to five keys; of longer ones just the nested and the flat spelling.
    if dots.len() > 5 {
        return vec![path.split('.').collect(), vec![path]];
    }
    let cuts = (0..1_usize << dots.len()).rev();
    cuts.map(|cut| {
        let mut keys = Vec::new();
        let mut start = 0;
        for (_, dot) in (0..).zip(&dots).filter(|(bit, _)| cut >> bit & 1 == 1) {
            keys.push(&path[start..*dot]);
            start = dot + 1;
        }
        keys.push(&path[start..]);
        keys
    })
    .collect()
}

/// Of several keys for one column, that with the lowest rank counts: the place of its path, then the form's own spelling.
fn rank(place: u16, exact: bool) -> u16 {
    place * 2 + u16::from(!exact)
}

impl Row {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is not one JSON object; the row is then empty.
    pub fn read(&mut self, shape: &RowShape, line: &str) -> Result<(), serde_json::Error> {
        self.begin(line);
        if !quick_json::read(shape, self, line) {
            return self.read_generally(shape, line);
        }
        self.keep_whole(shape, line);
        Ok(())
    }

    pub(super) fn read_generally(
        &mut self,
        shape: &RowShape,
        line: &str,
    ) -> Result<(), serde_json::Error> {
        self.begin(line);
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
        } else {
            self.keep_whole(shape, line);
        }
        result
    }

    /// For columns whose path is the empty one.
    fn keep_whole(&mut self, shape: &RowShape, line: &str) {
        if !shape.nodes[0].slots.is_empty() {
            for (slot, place) in &shape.nodes[0].slots {
                self.set(*slot, Slot::Text(0, line.len()), rank(*place, true));
            }
        }
    }

    /// What is in a slot, in words.
    #[cfg(test)]
    pub(super) fn told(&self, line: &str, slot: usize) -> String {
        let text = self.text_of(line, slot).unwrap_or_default();
        match self.slots[slot] {
            Slot::Text(..) | Slot::Escaped(..) => format!("text {text}"),
            Slot::Number(..) => format!("number {text}"),
            other => format!("{other:?}"),
        }
    }

    fn begin(&mut self, line: &str) {
        self.clear();
        self.origin = line.as_ptr().addr();
    }

    fn clear(&mut self) {
        for slot in self.said.drain(..) {
            self.slots[slot] = Slot::Missing;
            self.ranks[slot] = 0;
        }
    }

    /// The text of a slot, for clock and identity: numbers as they are written.
    pub fn text_of<'l>(&self, line: &'l str, slot: usize) -> Option<Cow<'l, str>> {
        match self.slots[slot] {
            Slot::Text(from, to) | Slot::Number(from, to) => Some(Cow::Borrowed(&line[from..to])),
            Slot::Escaped(from, to) => {
                let mut text = String::new();
                unescape(&line[from..to], &mut text);
                Some(Cow::Owned(text))
            }
            _ => None,
        }
    }

    /// The whole number of a slot, written as a number or as text.
    pub fn int_of(&self, line: &str, slot: usize) -> Option<i64> {
        let text = self.text_of(line, slot)?;
        match self.slots[slot] {
            Slot::Number(..) => whole_number(&text),
            _ => crate::functions::parse_int(&text),
        }
    }

    fn set(&mut self, slot: usize, value: Slot, rank: u16) {
        // A key can come twice in two spellings (nxlog's ProcessID and Sysmon's ProcessId), a value at several paths: the
        // best that says something.
        let says_something = !matches!(value, Slot::Null | Slot::Conflict);
        let is_better = match self.slots[slot] {
            Slot::Missing | Slot::Null => true,
            // An object where a scalar should be is one only where no other path has it.
            Slot::Conflict => says_something,
            _ => says_something && rank < self.ranks[slot],
        };
        if is_better {
            if self.slots[slot] == Slot::Missing {
                self.said.push(slot);
            }
            self.slots[slot] = value;
            self.ranks[slot] = rank;
        }
    }

    /// Where a part of the line is in it.
    fn place(&self, part: &str) -> (usize, usize) {
        let from = part.as_ptr().addr() - self.origin;
        (from, from + part.len())
    }

    /// What a line goes on with, if it is the key that lines before it had at this place: how long it is with quotes and
    /// colon, and whether it is wanted.
    pub(super) fn expected(
        &self,
        node: usize,
        place: usize,
        rest: &str,
    ) -> Option<(usize, Option<Child>)> {
        let keys = &self.keys[node];
        let key = &keys.known[*keys.order.get(place)?];
        let is_it = !key.written.is_empty() && rest.starts_with(&*key.written);
        is_it.then_some((key.written.len(), key.child))
    }

    /// The wanted key that is spelled so, at a place among the keys of its object.
    pub(super) fn child(
        &mut self,
        shape: &RowShape,
        node: usize,
        place: usize,
        key: &str,
    ) -> Option<Child> {
        let keys = &mut self.keys[node];
        let number = if let Some(number) = keys.by_text.get(key) {
            *number
        } else {
            let child = shape.nodes[node].children.get(&key.to_lowercase());
            let child = child.map(|child| Child {
                node: *child,
                exact: shape.nodes[*child].key == key,
            });
            if keys.known.len() >= MEMO {
                return child;
            }
            let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
            let written = if key.bytes().all(is_plain) {
                format!("\"{key}\":")
            } else {
                String::new()
            };
            keys.known.push(Key {
                written: written.into(),
                child,
            });
            keys.by_text.insert(key.into(), keys.known.len() - 1);
            keys.known.len() - 1
        };
        if let Some(at) = keys.order.get_mut(place) {
            *at = number;
        } else if place == keys.order.len() && place < MEMO {
            keys.order.push(number);
        }
        keys.known[number].child
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
    for place in 0.. {
        let key = KeySeed {
            shape,
            row,
            node,
            place,
        };
        let Some(child) = map.next_key_seed(key)? else {
            break;
        };
        match child {
            Some(child) => map.next_value_seed(ValueSeed::new(shape, row, child))?,
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
    place: usize,
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
        let key =
            std::str::from_utf8(key).map_or_else(|_| String::from_utf8_lossy(key), Cow::Borrowed);
        Ok(self.row.child(self.shape, self.node, self.place, &key))
    }
}

/// Where a value goes.
pub(super) struct ValueSeed<'s> {
    shape: &'s RowShape,
    pub(super) row: &'s mut Row,
    child: Child,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();
    /// Every value is first taken whole, wanted or not: which lines are broken does not depend on the columns that are
    /// read, and no number or text is judged before its column's type is known.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.read(raw.get(), raw.get().contains('\\'));
        Ok(())
    }
}

impl<'s> ValueSeed<'s> {
    pub(super) fn new(shape: &'s RowShape, row: &'s mut Row, child: Child) -> Self {
        Self { shape, row, child }
    }

    /// Whether something is wanted of an object in its place.
    pub(super) fn goes_on(&self) -> bool {
        !self.shape.nodes[self.child.node].children.is_empty()
    }

    /// Takes a value, and what is wanted of an object.
    pub(super) fn read(mut self, raw: &str, has_escapes: bool) {
        self.keep(raw, has_escapes);
        let Self { shape, row, child } = self;
        if raw.starts_with('{') && !shape.nodes[child.node].children.is_empty() {
            let mut deserializer = serde_json::Deserializer::from_str(raw);
            let node = child.node;
            // It has been parsed once as a whole: what is nested deeper than serde_json goes stays NULL.
            let _ = ObjectSeed { shape, row, node }.deserialize(&mut deserializer);
        }
    }

    /// Takes a value as a whole. Whether it has escapes is asked of texts only.
    pub(super) fn keep(&mut self, raw: &str, has_escapes: bool) {
        let Self { shape, row, child } = self;
        let node_slots = &shape.nodes[child.node].slots;
        if node_slots.is_empty() {
            return;
        }
        let (from, to) = row.place(raw);
        let scalar = match raw.as_bytes().first() {
            Some(b'"') if has_escapes => Slot::Escaped(from + 1, to - 1),
            Some(b'"') => Slot::Text(from + 1, to - 1),
            Some(b'n') | None => Slot::Null,
            Some(b't') => Slot::Bool(true),
            Some(b'f') => Slot::Bool(false),
            Some(b'{' | b'[') => Slot::Conflict,
            Some(_) => Slot::Number(from, to),
        };
        for (slot, place) in node_slots {
            let is_json = shape.types[*slot] == ColumnType::Json;
            let value = match scalar {
                Slot::Bool(_) | Slot::Conflict if is_json => Slot::Text(from, to),
                other => other,
            };
            row.set(*slot, value, rank(*place, child.exact));
        }
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
    fn strings_are_what_they_say() {
        let shape = RowShape::new(&[FormColumn {
            name: "a".to_owned(),
            paths: vec!["a".to_owned()],
            column_type: ColumnType::Text,
        }]);
        let mut row = shape.row();
        let lines = [
            (
                r#"{"b": "\\", "a": "C:\\Windows\\System32"}"#,
                r"C:\Windows\System32",
            ),
            (r#"{"a": "\\", "b": 1}"#, r"\"),
            (r#"{"a": "", "b": 1}"#, ""),
            (
                r#"{"a": "\"x\" \/ \b\f\n\r\t ü"}"#,
                "\"x\" / \u{8}\u{c}\n\r\t ü",
            ),
            (
                r#"{"x": 1, "a": "n\\u0041 \u00fc\ud83d\ude00\\"}"#,
                "n\\u0041 ü😀\\",
            ),
            (
                r#"{"x": 1, "A": "key \ud800"}"#,
                "key \u{fffd}\u{fffd}\u{fffd}",
            ),
        ];
        for (line, said) in lines {
            row.read(&shape, line).unwrap();
            assert_eq!(row.text_of(line, 0).as_deref(), Some(said), "{line}");
        }
    }

    #[test]
    fn a_broken_line_leaves_nothing() {
        let shape = RowShape::new(&[FormColumn {
            name: "a".to_owned(),
            paths: vec!["a".to_owned()],
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
            assert_eq!(row.text_of(line, 0), None, "{line}");
        }
    }
}
