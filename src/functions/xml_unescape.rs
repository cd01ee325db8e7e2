//! `xml_unescape(text)`: entities in event XML back to characters. It must not know XML beyond references.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "xml_unescape",
    argument: "text",
    syntax: "xml_unescape(text)",
    return_type: || DataType::Utf8View,
    partial: false,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "The text (Utf8View) with the five entities of XML and numeric character references resolved, once; other references stay as they are. NULL for NULL.",
            syntax: "xml_unescape(text)",
            example: "SELECT xml_unescape('a &amp;&amp; b &#62; c');  -- a && b > c",
            arguments: &[("text", "Text taken out of an XML document.")],
        }
        .build()
    }),
};

/// The bytes of the longest reference looked for, leading zeros included.
const LONGEST: usize = 32;

fn evaluate(texts: &StringViewArray) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    for text in texts {
        builder.append_option(text.map(unescape));
    }
    Arc::new(builder.finish())
}

fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else {
        return Cow::Borrowed(text);
    };
    let (before, mut rest) = text.split_at(first);
    let mut plain = String::with_capacity(text.len());
    plain.push_str(before);
    while let Some(start) = rest.find('&') {
        let (before, reference) = rest.split_at(start);
        plain.push_str(before);
        // Looking no further than the longest reference keeps a text of nothing but `&` linear.
        let end = reference
            .bytes()
            .take(LONGEST)
            .position(|byte| byte == b';');
        let known = end.and_then(|end| Some((end, character(&reference[1..end])?)));
        if let Some((end, character)) = known {
            plain.push(character);
            rest = &reference[end + 1..];
        } else {
            plain.push('&');
            rest = &reference[1..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => {}
    }
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = match digits.strip_prefix('x') {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (digits, 10),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    // XML has no character 0.
    char::from_u32(code).filter(|character| *character != '\0')
}

/// The function: `Utf8View`, NULL for NULL.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn references_become_characters() {
        assert_eq!(
            unescape("&lt;a b=&quot;1&quot; c=&apos;2&apos;&gt;"),
            r#"<a b="1" c='2'>"#
        );
        assert_eq!(unescape("a&#10;b&#xA;c&#x1F600;"), "a\nb\nc😀");
        assert_eq!(unescape("&amp;lt;"), "&lt;", "once, not twice");
        assert_eq!(unescape("ö &amp; ü"), "ö & ü");
    }

    #[test]
    fn what_is_no_reference_stays() {
        for text in [
            "", "a & b", "&nbsp;", "&#xD800;", "&#0;", "&#;", "&#x;", "&#+1;", "&", "&amp", "&;",
        ] {
            assert_eq!(unescape(text), text);
        }
        assert_eq!(unescape("& &lt;"), "& <");
    }
}
