//! Tags as Sigma spells them: a namespace, a dot, a name. What is spelled otherwise is found by nobody who selects by tag.
//!
//! Knows spelling, not which techniques there are: ATT&CK changes twice a year.

use crate::error::did_you_mean;

/// The tactics of ATT&CK for Enterprise, as tags have them.
const TACTICS: [&str; 14] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

/// What is wrong with the spelling of a tag, and what to write instead; `None` where nothing is.
///
/// Sigma's tags specification, <https://github.com/SigmaHQ/sigma-specification>: `attack.t1047`, `attack.t1059.001`,
/// `attack.lateral-movement`, `attack.g0016`, `cve.2021-44228`, `detection.emerging-threats`, `tlp.amber`.
///
/// ```
/// use lakehunt::hunt::tags::misspelled;
/// assert_eq!(misspelled("attack.t1047"), None);
/// let (_, hint) = misspelled("attack.lateral_movement").unwrap();
/// assert_eq!(hint, "did you mean `attack.lateral-movement`?");
/// ```
pub fn misspelled(tag: &str) -> Option<(String, String)> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
    };
    let Some((namespace, name)) = tag.split_once('.') else {
        return Some((
            format!("the tag `{tag}` has no namespace"),
            "write it as Sigma does: attack.t1047, attack.lateral-movement, cve.2021-44228"
                .to_owned(),
        ));
    };
    if tag != tag.to_lowercase() {
        return Some((
            format!("the tag `{tag}` has capital letters"),
            format!("did you mean `{}`?", tag.to_lowercase()),
        ));
    }
    if !is_word(namespace) || !name.split('.').all(is_word) {
        return Some((
            format!("the tag `{tag}` is not spelled as Sigma's are"),
            "small letters, digits and hyphens, with a dot behind the namespace".to_owned(),
        ));
    }
    if namespace != "attack" || is_attack_id(name) || TACTICS.contains(&name) {
        return None;
    }
    let tactic = name.replace('_', "-");
    let near = TACTICS.contains(&tactic.as_str()).then(|| tactic.clone());
    let hint = near.map_or_else(
        || did_you_mean(&tactic, TACTICS).map(|hint| hint.replace("mean `", "mean `attack.")),
        |tactic| Some(format!("did you mean `attack.{tactic}`?")),
    );
    Some((
        format!("`{name}` is neither a tactic nor a technique, group or software of ATT&CK"),
        hint.unwrap_or_else(|| {
            "techniques are t and four digits, such as attack.t1059.001; tactics are attack.execution and the like"
                .to_owned()
        }),
    ))
}

/// `t1047`, `t1059.001`, and groups, software, campaigns, mitigations and data sources by their numbers.
fn is_attack_id(name: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.chars().all(|c| c.is_ascii_digit());
    let numbered = |kinds: &[&str], text: &str| {
        kinds
            .iter()
            .filter_map(|kind| text.strip_prefix(kind))
            .any(|number| digits(number, 4))
    };
    match name.split_once('.') {
        Some((technique, part)) => numbered(&["t"], technique) && digits(part, 3),
        None => numbered(&["t", "g", "s", "c", "m", "ds", "ta"], name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sigma_has_is_fine() {
        for tag in [
            "attack.t1047",
            "attack.t1059.001",
            "attack.defense-evasion",
            "attack.command-and-control",
            "attack.g0016",
            "attack.s0154",
            "cve.2021-44228",
            "detection.emerging-threats",
            "car.2016-04-005",
            "tlp.amber",
        ] {
            assert_eq!(misspelled(tag), None, "{tag}");
        }
    }

    #[test]
    fn what_nobody_would_find_is_not() {
        for (tag, hint) in [
            ("t1047", "attack.t1047"),
            ("attack.T1047", "`attack.t1047`"),
            ("attack.t147", "four digits"),
            ("attack.t1059.1", "attack.t1059.001"),
            ("attack.lateral_movement", "`attack.lateral-movement`"),
            ("attack.defence-evasion", "`attack.defense-evasion`"),
            ("attack.execution ", "small letters"),
            ("attack.", "small letters"),
        ] {
            let (message, given) = misspelled(tag).unwrap();
            assert!(given.contains(hint), "{tag}: {message}: {given}");
        }
    }
}
