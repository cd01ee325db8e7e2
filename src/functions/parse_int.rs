//! `parse_int(text)`: numbers as logs write them, decimal or 0x hexadecimal. It must not know any column.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, Int64Array, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "parse_int",
    argument: "text",
    syntax: "parse_int(text)",
    return_type: || DataType::Int64,
    partial: true,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "The BIGINT that a text writes in decimal, with an optional sign, or in hexadecimal after 0x. Blanks around it are allowed. NULL for anything else, for what does not fit, and for NULL.",
            syntax: "parse_int(text)",
            example: "SELECT parse_int('0x3e7');  -- 999",
            arguments: &[("text", "The number as text.")],
        }
        .build()
    }),
};

fn evaluate(texts: &StringViewArray) -> ArrayRef {
    Arc::new(
        texts
            .iter()
            .map(|text| parse(text?))
            .collect::<Int64Array>(),
    )
}

/// The number that a text writes; what SQL's `parse_int` gives, for readers of raw files.
///
/// ```
/// assert_eq!(lakehunt::functions::parse_int(" 0x3e7"), Some(999));
/// ```
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // from_str_radix takes a sign of its own, which no hexadecimal has.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        return i64::from_str_radix(digits, 16).ok();
    }
    text.parse().ok()
}

/// The function: Int64, NULL where the text is no number.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_as_logs_write_them() {
        assert_eq!(parse("42"), Some(42));
        assert_eq!(parse(" -42\t"), Some(-42));
        assert_eq!(parse("+7"), Some(7));
        assert_eq!(parse("0x3E7"), Some(999));
        assert_eq!(parse("9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse("0x7fffffffffffffff"), Some(i64::MAX));
    }

    #[test]
    fn anything_else_is_null() {
        for text in [
            "", " ", "-", "0x", "0x+1", "-0x1", "1.5", "1e3", "1 2", "９",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("9223372036854775808"), None);
        assert_eq!(parse("0x8000000000000000"), None);
    }
}
