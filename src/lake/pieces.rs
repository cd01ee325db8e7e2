//! Lines that hold several records, though a line should be one: values without a line end between them, an array of
//! events, an envelope `{"records": [...]}` as event hubs and trails of clouds write them.
//!
//! Asked only for a line that is no event itself. Takes a text apart; whether a piece is an event is the reader's business.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep envelopes may lie in each other.
pub(super) const DEEPEST: usize = 3;

/// What stands around values that are written one after the other: blanks, commas, and the record separators of RFC 7464.
const BETWEEN: [char; 6] = [' ', '\t', '\r', '\n', ',', '\u{1e}'];

/// The pieces of a text, in order; false, and none, when it is a whole that is not to be taken apart. What is left where
/// no value begins is one piece.
pub(super) fn pieces(text: &str, each: &mut dyn FnMut(&str)) -> bool {
    let inner = text.trim_matches(BETWEEN);
    let Some((first, length)) = first_value(inner) else {
        // A file system that lost its last blocks leaves zeros, and the next event is written behind them.
        let behind = inner.trim_start_matches('\0');
        let zeros = inner.len() - behind.len();
        if zeros == 0 || behind.is_empty() {
            return false;
        }
        each(&inner[..zeros]);
        each(behind);
        return true;
    };
    if length < inner.len() {
        each(first);
        let mut rest = inner[length..].trim_matches(BETWEEN);
        while let Some((value, length)) = first_value(rest) {
            each(value);
            rest = rest[length..].trim_start_matches(BETWEEN);
        }
        if !rest.is_empty() {
            each(rest);
        }
        return true;
    }
    if inner.len() < text.trim_ascii().len() {
        // Only what stood around it was in the way.
        each(inner);
        return true;
    }
    let mut deserializer = serde_json::Deserializer::from_str(first);
    let is_list = first.starts_with('[');
    let mut list = List { each, found: false };
    // It is JSON, or it would have no first value: the rest of it holds no error.
    let _ = if is_list {
        deserializer.deserialize_seq(&mut list)
    } else {
        deserializer.deserialize_map(Envelope(&mut list))
    };
    list.found
}

/// The JSON value that a text begins with, and where it ends.
fn first_value(text: &str) -> Option<(&str, usize)> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let value = values.next()?.ok()?;
    Some((value.get(), values.byte_offset()))
}

/// Gives the elements of a list whose first one is an object.
struct List<'f> {
    each: &'f mut dyn FnMut(&str),
    found: bool,
}

impl<'de> Visitor<'de> for &mut List<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            if !self.found && !element.get().starts_with('{') {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            }
            self.found = true;
            (self.each)(element.get());
        }
        Ok(())
    }
}

/// Gives the elements of the list at `records`.
struct Envelope<'l, 'f>(&'l mut List<'f>);

impl<'de> Visitor<'de> for Envelope<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope of events")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value: &RawValue = map.next_value()?;
            if key.get().eq_ignore_ascii_case("\"records\"") && value.get().starts_with('[') {
                let mut deserializer = serde_json::Deserializer::from_str(value.get());
                let _ = deserializer.deserialize_seq(&mut *self.0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_where_it_holds_several() {
        let all = |text: &str| {
            let mut found = Vec::new();
            let is_apart = pieces(text, &mut |piece| found.push(piece.to_owned()));
            assert_eq!(is_apart, !found.is_empty(), "{text}");
            found
        };
        for (text, expected) in [
            (r#"{"a":1}{"a":2}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
            (
                r#"{"a":"}{"} , {"a":2}{"#,
                vec![r#"{"a":"}{"}"#, r#"{"a":2}"#, "{"],
            ),
            (r#"{"a":1},"#, vec![r#"{"a":1}"#]),
            ("\u{1e}{}", vec!["{}"]),
            ("\0\0{}", vec!["\0\0", "{}"]),
            ("{}\0\0", vec!["{}", "\0\0"]),
            (r#"[{"a":1}, 2]"#, vec![r#"{"a":1}"#, "2"]),
            (
                r#"{"Records": [{"a":1},{"a":2}], "x": 0}"#,
                vec![r#"{"a":1}"#, r#"{"a":2}"#],
            ),
            ("[1, {}]", vec![]),
            (r#"{"records": {}}"#, vec![]),
            (r#"{"a": {"records": [{}]}}"#, vec![]),
            (r#"{"a": [{}"#, vec![]),
            ("{}", vec![]),
            ("\0\0", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }
}
