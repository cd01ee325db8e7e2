//! The report as JSON, for programs. It must lose nothing: telemetry is exact here, unlike in what people read.

use std::fmt::Write as _;

use super::Report;
use super::visible::is_active;

/// The report as indented JSON with a line end. The fields are those of [`Report`], in its order; the same report gives
/// the same bytes.
///
/// Characters that would act on a terminal are written as `\uXXXX`, which JSON reads as the same character: `--format
/// json` is often looked at. An error means a bug here, since every field of the model has a JSON form.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    Ok(harmless(&serde_json::to_string_pretty(report)?) + "\n")
}

/// JSON whose characters that would act on a terminal are written as `\uXXXX`, which reads as the same.
pub fn harmless(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len() + 1);
    // A line feed here is layout: inside a string it is already written `\n`.
    let may_act = |byte: &u8| byte.is_ascii_control() && *byte != b'\n' || !byte.is_ascii();
    let mut rest = plain;
    while let Some(at) = rest.as_bytes().iter().position(may_act) {
        text.push_str(&rest[..at]);
        let mut characters = rest[at..].chars();
        if let Some(character) = characters.next() {
            if is_active(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            } else {
                text.push(character);
            }
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text
}

/// Reads what [`render`] wrote.
pub fn parse(text: &str) -> Result<Report, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{full, hostile};

    #[test]
    fn what_is_written_is_read_back_exactly() {
        for report in [full(), hostile()] {
            let text = render(&report).unwrap();
            assert_eq!(parse(&text).unwrap(), report);
            assert_eq!(render(&report).unwrap(), text);
        }
    }

    #[test]
    fn nothing_in_it_acts_on_a_terminal() {
        let text = render(&hostile()).unwrap();
        assert!(!text.replace('\n', "").contains(is_active));
        assert!(text.contains(r"\u001b[2J"));
        assert!(text.contains(r"\u202egpj.exe"));
        assert!(
            text.contains(r"\udb40\udc41"),
            "above the first plane: two units"
        );
    }

    #[test]
    fn no_data_and_the_window_are_there() {
        let value: serde_json::Value = serde_json::from_str(&render(&full()).unwrap()).unwrap();
        assert_eq!(value["format_version"], 1);
        assert_eq!(value["window_start"], "2026-01-03T00:00:00Z");
        let hunt = |name: &str| {
            value["hunts"]
                .as_array()
                .unwrap()
                .iter()
                .find(|hunt| hunt["name"] == name)
                .unwrap()
                .clone()
        };
        assert_eq!(hunt("tunnel")["no_data"], true);
        assert_eq!(hunt("quiet")["no_data"], false);
        assert_eq!(hunt("wide_join")["state"], "failed");
        assert_eq!(value["alerts"][0]["level"], "critical");
        assert_eq!(value["alerts"][1]["risk_score"], serde_json::Value::Null);
    }
}
