//! `decode_powershell(command_line)`: the script in an encoded command of PowerShell. It must not know what a script does,
//! nor the shells that a command line went through.
//!
//! Which switches there are, and how they may be written, is PowerShell's own parser of its command line
//! (`CommandLineParameterParser` of its console host): one or two dashes of four kinds, or a slash; any case; every prefix
//! of `EncodedCommand`, and `ec`. What is looser here: the padding of the base64 may be missing.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use datafusion::arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use super::documentation::Entry;
use super::text_function::{self, Kind};

static KIND: Kind = Kind {
    name: "decode_powershell",
    argument: "command_line",
    syntax: "decode_powershell(command_line)",
    return_type: || DataType::Utf8View,
    partial: true,
    evaluate,
    documentation: LazyLock::new(|| {
        Entry {
            section: "Text",
            description: "The script (Utf8View) given to powershell or pwsh as an encoded command, base64 of UTF-16LE: the value of the first -EncodedCommand that decodes, anywhere after a word whose base name is powershell, powershell.exe, pwsh or pwsh.exe. The switch is any prefix of it from -e, or -ec, in any case, after -, --, / or a typographic dash. Decoded once: a script that carries another is given as it is. NULL when there is no such switch, when its value is empty, no base64 (padding may be missing) or no UTF-16, and for NULL.",
            syntax: "decode_powershell(command_line)",
            example: "SELECT decode_powershell('powershell.exe -NoP -enc dwBoAG8AYQBtAGkA');  -- whoami",
            arguments: &[(
                "command_line",
                "The command line of a process, or of one that starts PowerShell: cmd /c powershell -enc ...",
            )],
        }
        .build()
    }),
};

/// As .NET decodes: bits left over are ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const QUOTES: [char; 2] = ['"', '\''];

fn evaluate(command_lines: &StringViewArray) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(command_lines.len());
    for command_line in command_lines {
        builder.append_option(command_line.and_then(script));
    }
    Arc::new(builder.finish())
}

/// The script of the first encoded command that decodes.
fn script(command_line: &str) -> Option<String> {
    let mut rest = command_line;
    let mut in_powershell = false;
    loop {
        // Quotes separate words too: a command line inside a command line is quoted, and a quoted path with blanks
        // still has its base name in its last word.
        rest = rest.trim_start_matches(ends_word);
        if rest.is_empty() {
            return None;
        }
        let (word, after) = rest.split_at(rest.find(ends_word).unwrap_or(rest.len()));
        if is_powershell(word) {
            in_powershell = true;
        } else if in_powershell
            && is_encoded_command(word)
            && let Some(script) = decode(value(after))
        {
            return Some(script);
        }
        rest = after;
    }
}

/// Blanks, quotes, and what separates commands in cmd and in PowerShell; none of them is in base64 but `=`.
fn ends_word(character: char) -> bool {
    character == '=' || ends_value(character)
}

fn ends_value(character: char) -> bool {
    character.is_whitespace() || QUOTES.contains(&character) || ",;&|<>(){}@".contains(character)
}

fn is_powershell(word: &str) -> bool {
    let name = word.rsplit(['\\', '/']).next().unwrap_or(word);
    ["powershell", "powershell.exe", "pwsh", "pwsh.exe"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn is_encoded_command(word: &str) -> bool {
    // Hyphen, en dash, em dash, horizontal bar.
    let dashes = ['-', '\u{2013}', '\u{2014}', '\u{2015}'];
    let Some(name) = word.strip_prefix(dashes).or_else(|| word.strip_prefix('/')) else {
        return false;
    };
    let name = name.strip_prefix(dashes).unwrap_or(name);
    if name.eq_ignore_ascii_case("ec") {
        return true;
    }
    let prefix = "encodedcommand".get(..name.len());
    !name.is_empty() && prefix.is_some_and(|prefix| name.eq_ignore_ascii_case(prefix))
}

/// The base64 that follows a switch: to the quote that closes it, or to the end of the word.
fn value(after: &str) -> &str {
    // A backslash here escapes a quote. A comma stands between the elements of an argument list.
    let between = |character: char| {
        character.is_whitespace() || QUOTES.contains(&character) || matches!(character, '\\' | ',')
    };
    let value = after.trim_start_matches(between);
    let skipped = &after[..after.len() - value.len()];
    let quote = skipped
        .chars()
        .next_back()
        .filter(|last| QUOTES.contains(last));
    let end = match quote {
        Some(quote) => value.find(quote),
        None => value.find(ends_value),
    };
    value[..end.unwrap_or(value.len())].trim_end_matches('\\')
}

fn decode(base64: &str) -> Option<String> {
    // .NET skips blanks within base64, which a quoted value may have.
    let compact: String = base64.split_whitespace().collect();
    let bytes = BASE64.decode(compact).ok()?;
    let (pairs, odd) = bytes.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return None;
    }
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}

/// The function: `Utf8View`, NULL where there is no encoded command.
pub(super) fn udf() -> ScalarUDF {
    text_function::udf(&KIND)
}

#[cfg(test)]
mod tests {
    use super::{BASE64, script};
    use base64::Engine as _;
    use proptest::prelude::*;

    /// `whoami`.
    const WHOAMI: &str = "dwBoAG8AYQBtAGkA";

    fn encode(text: &str) -> String {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        BASE64.encode(bytes)
    }

    fn is_whoami(before: &str, after: &str) {
        let command_line = format!("{before}{WHOAMI}{after}");
        let found = script(&command_line);
        assert_eq!(found.as_deref(), Some("whoami"), "{command_line}");
    }

    #[test]
    fn every_way_to_write_the_switch() {
        for end in 1..="EncodedCommand".len() {
            let name = &"EncodedCommand"[..end];
            for dash in ["-", "--", "/", "\u{2013}", "\u{2014}", "\u{2015}"] {
                is_whoami(&format!("powershell {dash}{name} "), "");
                is_whoami(&format!("powershell {dash}{} ", name.to_lowercase()), "");
                is_whoami(&format!("powershell {dash}{} ", name.to_uppercase()), "");
            }
        }
        is_whoami("powershell -ec ", "");
        is_whoami("powershell -EC ", "");
    }

    #[test]
    fn other_switches_are_not_it() {
        for name in [
            "-ExecutionPolicy",
            "-ex",
            "-exec",
            "-ep",
            "-ea",
            "-EncodedArguments",
            "-encodeda",
            "-EncodedCommands",
            "-enc:",
            "-",
            "--",
            "/",
            "---e",
            "e",
            "enc",
            "-ё",
            "−e",
        ] {
            let command_line = format!("powershell {name} {WHOAMI}");
            assert_eq!(script(&command_line), None, "{command_line}");
        }
    }

    #[test]
    fn wherever_powershell_is_started() {
        is_whoami("POWERSHELL.EXE -nop -w hidden -ep bypass -enc ", "");
        is_whoami("pwsh -e ", " -NoExit");
        is_whoami(r#""C:\Program Files\PowerShell\7\pwsh.exe" -e "#, "");
        is_whoami(
            r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -e ",
            "",
        );
        is_whoami("/usr/bin/pwsh -e ", "");
        is_whoami("cmd /c powershell -enc ", "");
        is_whoami(r#"cmd.exe /c "powershell -enc "#, r#"""#);
        is_whoami("cmd /c echo 1&powershell -enc ", "&exit");
        is_whoami("cmd /c @powershell -enc ", ">out.txt");
        is_whoami("%COMSPEC% /c start /b C:/x/PowerShell -enc ", "|more");
        is_whoami("powershell -c powershell -e ", "");
        is_whoami(
            "powershell \"Start-Process powershell -ArgumentList '-enc','",
            "'\"",
        );
    }

    #[test]
    fn quoted_or_not() {
        is_whoami("powershell -e \"", "\"");
        is_whoami("powershell -e '", "' x");
        is_whoami("powershell -e \"", "");
        is_whoami("powershell \"-e\" \"", "\"");
        is_whoami("powershell \"-e\" ", " x");
        is_whoami("cmd /c \"powershell -e \\\"", "\\\"\"");
        is_whoami("powershell -e\t\n ", "\r\n");
        assert_eq!(
            script("powershell -e \"dwBoAG8A YQBtAGkA\"").as_deref(),
            Some("whoami"),
            "blanks within quotes"
        );
    }

    #[test]
    fn padding_may_be_missing() {
        for text in ["a", "ab", "abc", "abcd"] {
            let padded = encode(text);
            let bare = padded.trim_end_matches('=');
            assert_eq!(script(&format!("pwsh -e {padded}")).as_deref(), Some(text));
            assert_eq!(script(&format!("pwsh -e {bare}")).as_deref(), Some(text));
        }
        assert_eq!(
            script("pwsh -e YQB="),
            script("pwsh -e YQA="),
            "bits left over"
        );
    }

    #[test]
    fn what_does_not_decode() {
        for text in [
            "",
            "powershell",
            "powershell -e",
            "powershell -e \"\"",
            "powershell -e ====",
            "powershell -e dwBoA",
            "powershell -e dw!oAG8A",
            "powershell -e dwBoAG8A-_8A",
            // An odd number of bytes; a high surrogate alone; a low one alone.
            "powershell -e dwBo",
            "powershell -e ANg=",
            "powershell -e ANw=",
            "powershell -e ключ",
            "notpowershell -e dwBoAG8AYQBtAGkA",
            "powershell_ise -e dwBoAG8AYQBtAGkA",
            r"C:\powershell\x.exe -e dwBoAG8AYQBtAGkA",
            "x.exe -e dwBoAG8AYQBtAGkA powershell",
        ] {
            assert_eq!(script(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_that_decodes() {
        let second = encode("второй");
        let command_line = format!("powershell -e -e !!! -enc {second} -enc {WHOAMI}");
        assert_eq!(script(&command_line).as_deref(), Some("второй"));
    }

    proptest! {
        #[test]
        fn every_script_comes_back(text in ".{1,40}") {
            prop_assert_eq!(script(&format!("powershell -enc {}", encode(&text))), Some(text));
        }

        #[test]
        fn any_text_is_survived(text in r#"(powershell|-e|/|[ "'\\,=&ö–]|[A-Z]){0,40}"#) {
            script(&text);
        }
    }
}
