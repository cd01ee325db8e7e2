//! The techniques of ATT&CK for Enterprise: what they are called, and which tactics they serve. The table ships with the
//! tool (`attack.tsv`), so that a report needs no network; its first lines say of which version it is and whose.
//!
//! Knows names, not hunts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("attack.tsv");

/// The tactics and their ids.
const TACTICS: [(&str, &str); 14] = [
    ("reconnaissance", "TA0043"),
    ("resource-development", "TA0042"),
    ("initial-access", "TA0001"),
    ("execution", "TA0002"),
    ("persistence", "TA0003"),
    ("privilege-escalation", "TA0004"),
    ("defense-evasion", "TA0005"),
    ("credential-access", "TA0006"),
    ("discovery", "TA0007"),
    ("lateral-movement", "TA0008"),
    ("collection", "TA0009"),
    ("command-and-control", "TA0011"),
    ("exfiltration", "TA0010"),
    ("impact", "TA0040"),
];

/// One technique or sub-technique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Technique {
    /// Its name, such as `Windows Management Instrumentation`; of a sub-technique, without that of the technique above.
    pub name: &'static str,
    /// The tactics that it serves, as tags have them.
    pub tactics: Vec<&'static str>,
}

static TECHNIQUES: LazyLock<BTreeMap<&'static str, Technique>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let techniques = lines.filter_map(|line| {
        let mut cells = line.split('\t');
        let (id, tactics, name) = (cells.next()?, cells.next()?, cells.next()?);
        let tactics = tactics.split(',').filter(|tactic| !tactic.is_empty());
        let tactics = tactics.collect();
        Some((id, Technique { name, tactics }))
    });
    techniques.collect()
});

/// The version of ATT&CK that the table is of, such as `17.0`.
pub fn version() -> &'static str {
    let line = TABLE
        .lines()
        .find_map(|line| line.strip_prefix("# version "));
    line.unwrap_or_default()
}

/// A technique by its id, such as `T1047` or `T1021.002`.
pub fn technique(id: &str) -> Option<&'static Technique> {
    TECHNIQUES.get(id)
}

/// The id of a tactic, such as `TA0002` of `execution`.
pub fn tactic_id(tactic: &str) -> Option<&'static str> {
    let known = TACTICS.iter().find(|(name, _)| *name == tactic);
    known.map(|(_, id)| *id)
}

/// The page of a technique; `None` for what is no technique's id, so that nothing else becomes a link.
pub fn page(id: &str) -> Option<String> {
    let digits =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let (main, sub) = match id.strip_prefix('T')?.split_once('.') {
        Some((main, sub)) => (main, Some(sub)),
        None => (id.strip_prefix('T')?, None),
    };
    let is_id = digits(main, 4) && sub.is_none_or(|sub| digits(sub, 3));
    is_id.then(|| {
        format!(
            "https://attack.mitre.org/techniques/{}/",
            id.replace('.', "/")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::tags::misspelled;

    #[test]
    fn the_table_is_whole_and_speaks_of_the_tactics_that_tags_know() {
        assert!(version().split('.').count() == 2 && version().len() >= 3);
        assert!(TECHNIQUES.len() > 600);
        for (id, technique) in TECHNIQUES.iter() {
            assert!(page(id).is_some(), "{id}");
            assert!(
                !technique.name.is_empty() && !technique.tactics.is_empty(),
                "{id}"
            );
            for tactic in &technique.tactics {
                assert_eq!(misspelled(&format!("attack.{tactic}")), None, "{id}");
                assert!(tactic_id(tactic).is_some(), "{id}");
            }
        }
        let wmi = technique("T1047").unwrap();
        assert_eq!(
            (wmi.name, &wmi.tactics[..]),
            ("Windows Management Instrumentation", &["execution"][..])
        );
        assert!(technique("T9999").is_none());
    }

    #[test]
    fn only_what_looks_like_a_technique_has_a_page() {
        assert_eq!(
            page("T1021.002").unwrap(),
            "https://attack.mitre.org/techniques/T1021/002/"
        );
        for id in [
            "",
            "T",
            "T104",
            "T1047)",
            "T1047.02",
            "t1047",
            "S0154",
            "T1047/../x",
        ] {
            assert_eq!(page(id), None, "{id}");
        }
    }
}
