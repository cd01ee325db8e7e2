//! Lists of indicators as people are sent them: a line each, CSV, STIX 2.1, MISP. Defanged ones are put right.
//!
//! Texts in, values with kinds out; what is no indicator is counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

/// What an indicator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// MD5, SHA-1, SHA-256 or SHA-512, or an import hash.
    Hash,
    /// IPv4 or IPv6.
    Address,
    /// A domain; its subdomains are found too.
    Domain,
    /// A URL, without its scheme.
    Url,
    /// The name or path of a file, a process, a service, a pipe.
    Name,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Name => "name",
        }
    }
}

/// What a file gave: indicators in small letters, in order, and how many values were none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Value to kind.
    pub values: BTreeMap<String, Kind>,
    /// Values that are no indicators.
    pub others: usize,
}

impl List {
    fn add(&mut self, value: &str, kind: Option<Kind>) {
        let refanged = refang(value);
        match kind.or_else(|| kind_of(&refanged)) {
            Some(kind) if !refanged.is_empty() => {
                let value = match kind {
                    Kind::Url => without_scheme(&refanged).to_owned(),
                    Kind::Domain => refanged
                        .trim_start_matches("*.")
                        .trim_end_matches('.')
                        .to_owned(),
                    Kind::Name => refanged.replace("\\\\", "\\"),
                    _ => refanged,
                };
                self.values.insert(value.to_lowercase(), kind);
            }
            _ if refanged.is_empty() => {}
            _ => self.others += 1,
        }
    }
}

/// Reads a list in whatever format it is.
///
/// # Errors
/// A text that begins like JSON and is none.
pub fn read(text: &str) -> Result<List, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut list = List::default();
    if text.trim_start().starts_with(['{', '[']) {
        let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        for document in &mut documents {
            walk(
                &document.map_err(|error| format!("it is no JSON: {error}"))?,
                &mut list,
            );
        }
        return Ok(list);
    }
    let lines = || {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
    };
    let first = lines().next().unwrap_or_default();
    let separator = [',', ';', '\t']
        .into_iter()
        .find(|separator| first.contains(*separator));
    match separator {
        Some(separator) => csv(lines(), separator, &mut list),
        None => {
            for line in lines() {
                // What follows a blank and a # is a remark.
                let value = line.split(" #").next().unwrap_or(line);
                list.add(
                    value,
                    kind_of(&refang(value)).or_else(|| is_name(value).then_some(Kind::Name)),
                );
            }
        }
    }
    Ok(list)
}

/// Columns that hold the indicator, in CSV with a header.
const VALUES: [&str; 9] = [
    "indicator",
    "value",
    "ioc",
    "observable",
    "indicator_value",
    "ioc_value",
    "hash",
    "ip",
    "domain",
];

fn csv<'a>(mut lines: impl Iterator<Item = &'a str>, separator: char, list: &mut List) {
    let Some(head) = lines.next() else { return };
    let names: Vec<String> = cells(head, separator)
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let wanted: Vec<usize> = (0..names.len())
        .filter(|index| VALUES.contains(&names[*index].as_str()))
        .collect();
    let kinds = names
        .iter()
        .position(|name| ["type", "indicator_type", "ioc_type", "kind"].contains(&name.as_str()));
    let mut take = |line: &str| {
        let cells = cells(line, separator);
        let kind = kinds
            .and_then(|index| cells.get(index))
            .and_then(|word| kind_by_word(word));
        if wanted.is_empty() {
            // Without a header that tells, what looks like an indicator is one; names look like anything.
            let found = cells.iter().filter(|cell| kind_of(&refang(cell)).is_some());
            for cell in found.collect::<Vec<_>>() {
                list.add(cell, None);
            }
            return;
        }
        for cell in wanted.iter().filter_map(|index| cells.get(*index)) {
            let kind = kind_of(&refang(cell)).or(kind);
            list.add(cell, kind.or_else(|| is_name(cell).then_some(Kind::Name)));
        }
    };
    if wanted.is_empty() {
        take(head);
    }
    lines.for_each(take);
}

/// The cells of a line of CSV.
fn cells(line: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cells.last_mut().into_iter().for_each(|cell| cell.push('"'));
            }
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => cells.push(String::new()),
            _ => cells
                .last_mut()
                .into_iter()
                .for_each(|cell| cell.push(character)),
        }
    }
    cells
        .into_iter()
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// Takes the indicators out of STIX objects and MISP attributes, wherever they stand.
fn walk(document: &Value, list: &mut List) {
    match document {
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) => {
                        list.add(
                            text,
                            kind_of(&refang(text)).or_else(|| is_name(text).then_some(Kind::Name)),
                        );
                    }
                    other => walk(other, list),
                }
            }
        }
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            match (text("type"), text("pattern"), text("value")) {
                (Some("indicator"), Some(pattern), _) => stix_pattern(pattern, list),
                (Some("file"), None, None) => {
                    let hashes = members.get("hashes").and_then(Value::as_object);
                    for hash in hashes.iter().flat_map(|hashes| hashes.values()) {
                        list.add(hash.as_str().unwrap_or_default(), Some(Kind::Hash));
                    }
                    if let Some(name) = text("name") {
                        list.add(name, Some(Kind::Name));
                    }
                }
                (Some(word), None, Some(value)) => {
                    // MISP writes `filename|sha256`, and `ip-dst|port`.
                    let words: Vec<&str> = word.split('|').collect();
                    for (word, value) in words.iter().zip(value.splitn(words.len(), '|')) {
                        if let Some(kind) = kind_by_word(word) {
                            list.add(value, Some(kind_of(&refang(value)).unwrap_or(kind)));
                        } else if !["port", "comment", "text", "datetime", "link"].contains(word) {
                            list.others += 1;
                        }
                    }
                }
                _ => members.values().for_each(|value| {
                    if value.is_array() || value.is_object() {
                        walk(value, list);
                    }
                }),
            }
        }
        _ => {}
    }
}

/// The constants of a STIX pattern: `[file:hashes.'SHA-256' = '...' OR ipv4-addr:value = '...']`.
fn stix_pattern(pattern: &str, list: &mut List) {
    let mut rest = pattern;
    while let Some(at) = rest.find('=') {
        let (path, after) = rest.split_at(at);
        let path = path
            .rsplit(['[', '(', ' '])
            .find(|word| word.contains(':'))
            .unwrap_or_default();
        let Some((_, quoted)) = after.split_once('\'') else {
            break;
        };
        let Some(end) = end_of_quote(quoted) else {
            break;
        };
        let value = quoted[..end].replace("\\'", "'").replace("\\\\", "\\");
        let kind = match path.split(':').next().unwrap_or_default() {
            "ipv4-addr" | "ipv6-addr" => Some(Kind::Address),
            "domain-name" => Some(Kind::Domain),
            "url" => Some(Kind::Url),
            _ if path.contains("hashes") => Some(Kind::Hash),
            "file" | "process" | "windows-registry-key" | "mutex" | "directory" => Some(Kind::Name),
            _ => None,
        };
        match kind {
            Some(kind) => list.add(&value, Some(kind)),
            None => list.others += 1,
        }
        rest = &quoted[end + 1..];
    }
}

fn end_of_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let ends = character == '\'' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// What other people's words for kinds mean.
fn kind_by_word(word: &str) -> Option<Kind> {
    let word = word.trim().to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    if has(&[
        "md5", "sha1", "sha-1", "sha2", "sha-2", "sha5", "sha-5", "imphash", "hash",
    ]) {
        Some(Kind::Hash)
    } else if word == "ip" || has(&["ip-", "ipv4", "ipv6", "ip_", "address"]) {
        Some(Kind::Address)
    } else if has(&["domain", "hostname", "fqdn"]) {
        Some(Kind::Domain)
    } else if has(&["url", "uri"]) {
        Some(Kind::Url)
    } else if has(&["file", "process", "named pipe", "mutex", "service", "name"]) {
        Some(Kind::Name)
    } else {
        None
    }
}

/// `hxxp://evil[.]example` as it was.
fn refang(value: &str) -> String {
    let mut text = value.trim().trim_matches('"').to_owned();
    for (fanged, plain) in [
        ("[.]", "."),
        ("(.)", "."),
        ("[dot]", "."),
        ("[:]", ":"),
        ("[at]", "@"),
        ("[://]", "://"),
    ] {
        text = text.replace(fanged, plain);
    }
    for (fanged, plain) in [("hxxp", "http"), ("hXXp", "http"), ("fxp://", "ftp://")] {
        if let Some(rest) = text.strip_prefix(fanged) {
            text = format!("{plain}{rest}");
        }
    }
    text
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// What a value looks like; a name looks like anything, and so is none here.
fn kind_of(value: &str) -> Option<Kind> {
    let is_hex = value.chars().all(|c| c.is_ascii_hexdigit());
    if is_hex && [32, 40, 64, 128].contains(&value.len()) {
        return Some(Kind::Hash);
    }
    if value.parse::<IpAddr>().is_ok() {
        return Some(Kind::Address);
    }
    if value.contains("://") {
        return Some(Kind::Url);
    }
    let labels: Vec<&str> = value.trim_start_matches("*.").split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    let top = labels.last().copied().unwrap_or_default();
    let is_top = top.len() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    // Endings of files that are no top-level domains.
    let is_file = [
        "exe", "dll", "ps1", "bat", "cmd", "vbs", "js", "hta", "lnk", "zip", "rar", "iso", "img",
        "doc", "docx", "xls", "xlsx", "xlsm", "pdf", "txt", "tmp", "dat", "bin", "sys", "scr",
        "jar", "py", "sh", "msi", "xsl",
    ]
    .contains(&top.to_lowercase().as_str());
    if labels.len() >= 2 && labels.iter().all(is_label) && is_top && !is_file {
        return Some(Kind::Domain);
    }
    if is_file && labels.len() >= 2 || value.contains('\\') {
        return Some(Kind::Name);
    }
    None
}

/// Whether a value of a plain list can be a name: longer than what is everywhere.
fn is_name(value: &str) -> bool {
    value.trim().chars().count() >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(String, &'static str)> {
        let list = read(text).unwrap();
        list.values
            .into_iter()
            .map(|(value, kind)| (value, kind.as_str()))
            .collect()
    }

    fn expected(values: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        let mut values: Vec<_> = values
            .iter()
            .map(|(value, kind)| ((*value).to_owned(), *kind))
            .collect();
        values.sort();
        values
    }

    #[test]
    fn plain_lists() {
        let text = "# feed\nD41D8CD98F00B204E9800998ECF8427E\n10.0.0[.]7 # c2\nhxxps://evil[.]example/a\n\n\
                    *.bad.example\nmimikatz.exe\nC:\\\\Temp\\\\x\n2001:db8::1\nps\n";
        assert_eq!(
            kinds(text),
            expected(&[
                ("d41d8cd98f00b204e9800998ecf8427e", "hash"),
                ("10.0.0.7", "address"),
                ("evil.example/a", "url"),
                ("bad.example", "domain"),
                ("mimikatz.exe", "name"),
                ("c:\\temp\\x", "name"),
                ("2001:db8::1", "address"),
            ])
        );
        assert_eq!(read(text).unwrap().others, 1);
    }

    #[test]
    fn csv_with_and_without_a_header() {
        assert_eq!(
            kinds("type,value,comment\nip,10.0.0.7,\"a, b\"\nfile,payload,x\n"),
            expected(&[("10.0.0.7", "address"), ("payload", "name")])
        );
        assert_eq!(
            kinds("2026-01-01;10.0.0.7;first seen\n2026-01-02;bad.example;x\n"),
            expected(&[("10.0.0.7", "address"), ("bad.example", "domain")])
        );
    }

    #[test]
    fn stix_bundles() {
        let text = r#"{"type": "bundle", "objects": [
            {"type": "indicator", "pattern": "[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f' OR file:name = 'it\\'s.exe']"},
            {"type": "indicator", "pattern": "[ipv4-addr:value = '198.51.100.1'] AND [domain-name:value='bad.example']"},
            {"type": "ipv4-addr", "value": "198.51.100.2"},
            {"type": "file", "name": "x.dll", "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"}}
        ]}"#;
        assert_eq!(
            kinds(text),
            expected(&[
                (
                    "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f",
                    "hash"
                ),
                ("it's.exe", "name"),
                ("198.51.100.1", "address"),
                ("bad.example", "domain"),
                ("198.51.100.2", "address"),
                ("x.dll", "name"),
                ("d41d8cd98f00b204e9800998ecf8427e", "hash"),
            ])
        );
    }

    #[test]
    fn misp_events() {
        let text = r#"{"Event": {"Attribute": [
            {"type": "ip-dst|port", "value": "198.51.100.1|443"},
            {"type": "filename|md5", "value": "x.exe|d41d8cd98f00b204e9800998ecf8427e"},
            {"type": "comment", "value": "hello"}],
            "Object": [{"name": "file", "Attribute": [{"type": "domain", "value": "bad.example"}]}]}}"#;
        assert_eq!(
            kinds(text),
            expected(&[
                ("198.51.100.1", "address"),
                ("x.exe", "name"),
                ("d41d8cd98f00b204e9800998ecf8427e", "hash"),
                ("bad.example", "domain"),
            ])
        );
        assert!(read("{\"a\": ").is_err());
    }
}
