//! `extract_ips(text)`: the IP addresses somewhere in a text. It must not know what the text is.
//!
//! What is an address is decided by `std::net`; what is decided here is where one may begin and end, so that versions,
//! times and C++ names are left alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "extract_ips",
    argument: "text",
    syntax: "extract_ips(text)",
    return_type: || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true))),
    partial: false,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "The distinct IPv4 and IPv6 addresses in the text, in the order they first appear, in their canonical writing; ports, brackets and zones are left out. A List of Utf8View, empty where there is none, NULL for NULL.",
            syntax: "extract_ips(text)",
            example: "SELECT extract_ips('wmic /node:10.0.0.5,127.0.0.1');  -- [10.0.0.5, 127.0.0.1]",
            arguments: &[("text", "Any text, for example a command line.")],
        }
        .build()
    }),
};

fn evaluate(texts: &StringViewArray) -> ArrayRef {
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for text in texts {
        if let Some(text) = text {
            for address in addresses(text) {
                builder.values().append_value(address.to_string());
            }
        }
        builder.append(text.is_some());
    }
    Arc::new(builder.finish())
}

/// The distinct addresses in order of first appearance.
fn addresses(text: &str) -> Vec<IpAddr> {
    let bytes = text.as_bytes();
    let mut found: Vec<IpAddr> = Vec::new();
    // A set beside the list only where there are many: texts with more than a few addresses are rare, but are data too.
    let mut seen = std::collections::HashSet::new();
    let mut position = 0;
    while position < bytes.len() {
        if !is_address_byte(bytes[position]) {
            position += 1;
            continue;
        }
        let start = position;
        while position < bytes.len() && is_address_byte(bytes[position]) {
            position += 1;
        }
        let mut report = |address: IpAddr| {
            if seen.insert(address) {
                found.push(address);
            }
        };
        if let Some(address) = ipv6(text, start, position) {
            report(IpAddr::V6(address));
        } else {
            ipv4s(text, start, position, &mut report);
        }
    }
    found
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

/// Whether a neighbouring byte would make an address part of a longer word.
fn is_word_byte(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The run `start..end` as one IPv6 address, after what surrounds it is taken off.
fn ipv6(text: &str, start: usize, end: usize) -> Option<Ipv6Addr> {
    let bytes = text.as_bytes();
    let mut run = &text[start..end];
    let before = start.checked_sub(1).and_then(|index| bytes.get(index));
    if is_word_byte(before) {
        // `/node:fe80::1`: the letters before the first colon belong to the word, `de` here.
        run = &run[run.find(':')? + 1..];
    }
    if is_word_byte(bytes.get(end)) {
        run = &run[..run.rfind(':')?];
    }
    run = run.trim_end_matches('.');
    if run.ends_with(':') && !run.ends_with("::") {
        run = &run[..run.len() - 1];
    }
    if run.starts_with(':') && !run.starts_with("::") {
        run = &run[1..];
    }
    if run.bytes().filter(|byte| *byte == b':').count() < 2 {
        return None;
    }
    // `::` is punctuation unless it stands alone, and `a::b` is a C++ name more often than an address.
    if run == "::" {
        let alone = |byte: Option<&u8>| {
            byte.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'[](),;=".contains(byte))
        };
        if run.len() != end - start || !alone(before) || !alone(bytes.get(end)) {
            return None;
        }
    } else if !run.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    run.parse().ok()
}

/// Every IPv4 address in the run `start..end` that is not part of a longer word or dotted number.
fn ipv4s(text: &str, start: usize, end: usize, report: &mut impl FnMut(IpAddr)) {
    let bytes = text.as_bytes();
    let is_dotted = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let mut position = start;
    while position < end {
        if !is_dotted(bytes[position]) {
            position += 1;
            continue;
        }
        let from = position;
        while position < end && is_dotted(bytes[position]) {
            position += 1;
        }
        let before = from.checked_sub(1).and_then(|index| bytes.get(index));
        if is_word_byte(before) || is_word_byte(bytes.get(position)) {
            continue;
        }
        // Dots around it end a sentence or lead on from one.
        let token = text[from..position].trim_matches('.');
        if let Ok(address) = token.parse::<Ipv4Addr>() {
            report(IpAddr::V4(address));
        }
    }
}

/// The function: List of `Utf8View`, NULL for NULL.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::addresses;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<String> {
        addresses(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_where_they_stand() {
        assert_eq!(found("/node:10.0.0.5,127.0.0.1"), ["10.0.0.5", "127.0.0.1"]);
        assert_eq!(found("10.0.0.5:443 then 10.0.0.5."), ["10.0.0.5"]);
        assert_eq!(found("[2001:DB8::1]:80"), ["2001:db8::1"]);
        assert_eq!(found("fe80::1%12 fe80::2%eth0"), ["fe80::1", "fe80::2"]);
        assert_eq!(found("::ffff:10.0.0.1"), ["::ffff:10.0.0.1"]);
        assert_eq!(found("/node:fe80::1"), ["fe80::1"]);
        assert_eq!(found("from 2001:db8::1: refused"), ["2001:db8::1"]);
        assert_eq!(found("::1/128 and (::1)"), ["::1"]);
        assert_eq!(found(r"\\10.1.2.3\C$\ö"), ["10.1.2.3"]);
        assert_eq!(
            found("http://10.1.2.3/x?y=172.16.0.1&z"),
            ["10.1.2.3", "172.16.0.1"]
        );
        assert_eq!(found("地址10.0.0.1。"), ["10.0.0.1"]);
        assert_eq!(found("listening on :: port 80"), ["::"]);
        assert_eq!(
            found("0.0.0.0-255.255.255.255"),
            ["0.0.0.0", "255.255.255.255"]
        );
    }

    #[test]
    fn what_only_looks_like_one() {
        for text in [
            "",
            "999.1.1.1",
            "1270.0.0.1",
            "1.2.3.45678",
            "10.0.19041.1",
            "6.3.960.1",
            "6.3.960.1.5",
            "4.8.4084.0",
            "1.2.3.4.5",
            "12:30:45",
            "2020-10-18 02:17:06.330",
            "std::vector<int>",
            "a::b",
            "Foo::bar()",
            "::",
            "x ::y",
            "00:11:22:33:44:55",
            "v10.0.0.1",
            "10.0.0.1a",
            "10.0.0.1.nip.io",
            "01.2.3.4",
            "_1.2.3.4",
        ] {
            if text == "::" {
                assert_eq!(found(text), ["::"], "it stands alone");
            } else {
                assert_eq!(found(text), Vec::<String>::new(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_address_is_found_between_blanks(bits: u128, word: u32) {
            let six = std::net::Ipv6Addr::from(bits | (1 << 124)).to_string();
            let four = std::net::Ipv4Addr::from(word).to_string();
            prop_assert_eq!(found(&format!("a {four} b {six} c")), [four, six]);
        }

        #[test]
        fn any_text_is_survived(text in r"[0-9a-g:.%ö ]{0,40}") {
            found(&text);
        }
    }
}
