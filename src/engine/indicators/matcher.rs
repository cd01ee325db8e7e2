//! All indicators in one automaton, and the function that filters rows with it inside the scan.
//!
//! An indicator counts only where it stands by itself: `10.0.0.1` is not in `110.0.0.12`.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::read::{Kind, List};

/// Indicators, ready to be looked for.
#[derive(Debug)]
pub struct Matcher {
    automaton: AhoCorasick,
    values: Vec<(String, Kind)>,
}

impl Matcher {
    /// Builds the automaton; case is ignored, of ASCII.
    pub(super) fn new(list: &List) -> Result<Self, String> {
        let values: Vec<_> = list
            .values
            .iter()
            .map(|(value, kind)| (value.clone(), *kind))
            .collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(values.iter().map(|(value, _)| value))
            .map_err(|error| format!("too many indicators: {error}"))?;
        Ok(Self { automaton, values })
    }

    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        self.values.iter().map(|(_, kind)| *kind).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn value(&self, index: usize) -> (&str, Kind) {
        let (value, kind) = &self.values[index];
        (value, *kind)
    }

    /// Gives every indicator that stands in a text, as often as it does.
    pub(super) fn each(&self, text: &str, found: &mut dyn FnMut(usize, Kind)) {
        for hit in self.automaton.find_overlapping_iter(text) {
            let index = hit.pattern().as_usize();
            let kind = self.values[index].1;
            let before = text[..hit.start()].chars().next_back();
            let after = text[hit.end()..].chars().next();
            if stands_alone(kind, before, after, &text[hit.end()..]) {
                found(index, kind);
            }
        }
    }

    fn is_in(&self, text: &str) -> bool {
        let mut found = false;
        self.each(text, &mut |_, _| found = true);
        found
    }
}

/// Whether what stands around a hit leaves it a thing of its own.
fn stands_alone(kind: Kind, before: Option<char>, after: Option<char>, rest: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match kind {
        Kind::Address => {
            let digit_after_dot = rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            let part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            // `::ffff:10.0.0.1` is 10.0.0.1, and a port may follow.
            !part(before) && before != Some('.') && !part(after) && !digit_after_dot
        }
        Kind::Domain => {
            let goes_on = rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
            // A subdomain is the domain's.
            !is_word(before)
                && before != Some('-')
                && !is_word(after)
                && after != Some('-')
                && !goes_on
        }
        Kind::Url => !is_word(before) && before != Some('-') && before != Some('.'),
        Kind::Hash | Kind::Name => !is_word(before) && !is_word(after),
    }
}

/// `has_indicator(column, ...)`: whether any of the columns holds one; never NULL.
pub(super) fn udf(matcher: Arc<Matcher>) -> ScalarUDF {
    ScalarUDF::new_from_impl(HasIndicator {
        matcher,
        signature: Signature::variadic(vec![DataType::Utf8View], Volatility::Immutable),
    })
}

struct HasIndicator {
    matcher: Arc<Matcher>,
    signature: Signature,
}

impl fmt::Debug for HasIndicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HasIndicator({})", self.matcher.len())
    }
}

impl PartialEq for HasIndicator {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.matcher, &other.matcher)
    }
}

impl Eq for HasIndicator {}

impl Hash for HasIndicator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.matcher).hash(state);
    }
}

impl ScalarUDFImpl for HasIndicator {
    fn name(&self) -> &'static str {
        "has_indicator"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut holds = vec![false; arguments.number_rows];
        for column in &arguments.args {
            let column = column.to_array(arguments.number_rows)?;
            let Some(texts) = column.as_string_view_opt() else {
                return exec_err!("has_indicator takes texts");
            };
            // Values of a column repeat: programs, hosts, accounts.
            let mut last: Option<(&str, bool)> = None;
            for (row, held) in holds.iter_mut().enumerate() {
                if *held || texts.is_null(row) {
                    continue;
                }
                let text = texts.value(row);
                let found = match last {
                    Some((known, found)) if known == text => found,
                    _ => self.matcher.is_in(text),
                };
                last = Some((text, found));
                *held = found;
            }
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::from(holds))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    #[test]
    fn indicators_stand_by_themselves() {
        let list =
            read("10.0.0.1\nbad.example\nnc.exe\nd41d8cd98f00b204e9800998ecf8427e\n2001:db8::1\n")
                .unwrap();
        let matcher = Matcher::new(&list).unwrap();
        for text in [
            "10.0.0.1",
            "to 10.0.0.1:443.",
            "::ffff:10.0.0.1",
            "http://www.BAD.example/x",
            "bad.example.",
            r"C:\tools\NC.EXE -e cmd",
            "MD5=D41D8CD98F00B204E9800998ECF8427E,IMPHASH=",
            "[2001:db8::1]",
        ] {
            assert!(matcher.is_in(text), "{text}");
        }
        for text in [
            "110.0.0.1",
            "10.0.0.12",
            "10.0.0.1.5",
            "notbad.example",
            "bad.example.org",
            "sync.exe",
            "d41d8cd98f00b204e9800998ecf8427e0",
            "",
        ] {
            assert!(!matcher.is_in(text), "{text}");
        }
    }
}
