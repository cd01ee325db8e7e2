//! A JSON object written member by member, for the shapes that are not Windows' own. It knows nothing of events.

use super::event::Endpoint;
use super::text::{put_escaped, put_number};

/// Writes `"name":value` members; the braces are its own.
pub(crate) struct Members<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Members<'a> {
    /// Opens an object.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Closes it.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.written(name, |out| put_escaped(out, text));
    }

    /// A string whose inside is written by the caller.
    pub(crate) fn written(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    /// A value that is no string, written by the caller.
    pub(crate) fn bare(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.out);
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.bare(name, |out| put_number(out, number));
    }

    /// A number as text.
    pub(crate) fn digits(&mut self, name: &str, number: u64) {
        self.written(name, |out| put_number(out, number));
    }

    pub(crate) fn address(&mut self, name: &str, address: [u8; 4]) {
        self.written(name, |out| put_address(out, address));
    }

    /// An object in the object.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Members<'_>)) {
        self.name(name);
        let mut members = Members::begin(self.out);
        write(&mut members);
        members.end();
    }

    /// An object with the address and port of one end of a connection.
    pub(crate) fn endpoint(&mut self, name: &str, endpoint: Endpoint) {
        self.object(name, |end| {
            end.address("ip", endpoint.address);
            end.number("port", u64::from(endpoint.port));
        });
    }
}

pub(crate) fn put_address(out: &mut Vec<u8>, address: [u8; 4]) {
    for (index, octet) in address.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        put_number(out, u64::from(*octet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_nest_and_escape() {
        let mut out = Vec::new();
        let mut members = Members::begin(&mut out);
        members.text("a", "x\"y");
        members.number("n", 7);
        members.digits("d", 7);
        members.object("o", |inner| inner.address("ip", [10, 0, 0, 1]));
        members.object("empty", |_| {});
        members.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"x\"y","n":7,"d":"7","o":{"ip":"10.0.0.1"},"empty":{}}"#
        );
    }
}
