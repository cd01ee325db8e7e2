//! What stands after FROM and is neither table nor view: files by name, readers with options, pivots. Each becomes a table
//! of this one statement.
//!
//! Knows how they are written; what they read is theirs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Query, TableAlias,
    TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::files::{self, FileOptions, Kind};
use super::{Console, internal};
use crate::engine::pivots::{self, Pivot};
use crate::engine::source::SqlSource;
use crate::error::{Error, ErrorKind, Result};

/// The functions that read files by name.
pub const READERS: [(&str, &str); 3] = [
    (
        "read_ndjson('FILES' [, sample => 1000] [, all_text => true] [, compression => 'gzip'])",
        "Lines of JSON: files, folders, globs, here or in a bucket. Nested fields become columns with dots.",
    ),
    (
        "read_parquet('FILES')",
        "Parquet: files, folders, globs, here or in a bucket. Fields of structs become columns with dots.",
    ),
    (
        "read_csv('FILES')",
        "CSV with a header; all columns are text.",
    ),
];

/// Something after FROM that is to be made a table.
struct Wanted {
    /// The name of that table.
    name: String,
    /// The function, or `files`.
    called: String,
    what: What,
    place: Location,
}

enum What {
    Files(String, FileOptions),
    Pivot(Pivot),
}

impl Console {
    /// Puts tables of this statement in the place of files and functions.
    pub(super) async fn expand(&mut self, source: &SqlSource, query: &mut Query) -> Result<()> {
        let mut finder = Finder {
            source,
            taken: self.temporary.len(),
            wanted: Vec::new(),
        };
        if let ControlFlow::Break(error) = query.visit(&mut finder) {
            return Err(*error);
        }
        for wanted in finder.wanted {
            let place = match &wanted.what {
                // The parser keeps no place of names in single quotes.
                What::Files(pattern, _) if wanted.place.line == 0 => source.place_of(pattern),
                _ => wanted.place,
            };
            let placed = |error: Error| placed(error, source, place);
            let table: Arc<dyn TableProvider> = match &wanted.what {
                What::Files(pattern, options) => {
                    let notes = Arc::clone(&self.notes);
                    let opened = files::open(pattern, options, notes).await;
                    Arc::new(opened.map_err(placed)?)
                }
                What::Pivot(pivot) => {
                    let rows = pivots::rows(self, pivot).await.map_err(placed)?;
                    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]);
                    Arc::new(table.map_err(internal)?)
                }
            };
            self.register(&wanted.name, table)?;
            self.temporary.push(wanted.name);
        }
        Ok(())
    }
}

/// A mistake of the user's, at its place in the text.
pub(super) fn placed(error: Error, source: &SqlSource, place: Location) -> Error {
    if error.kind() != ErrorKind::Configuration || error.place().is_some() {
        return error;
    }
    let placed = source.error_at(place, error.message().to_owned());
    placed.maybe_hint(error.hint_text().map(str::to_owned))
}

struct Finder<'a> {
    source: &'a SqlSource,
    taken: usize,
    wanted: Vec<Wanted>,
}

impl VisitorMut for Finder<'_> {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match self.look_at(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Finder<'_> {
    fn look_at(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table {
            name, alias, args, ..
        } = factor
        else {
            return Ok(());
        };
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            return Ok(());
        };
        let place = ident.span.start;
        let (what, called) = match args.take() {
            None if ident.quote_style == Some('\'') => {
                let options = FileOptions::default();
                (
                    What::Files(ident.value.clone(), options),
                    "files".to_owned(),
                )
            }
            None => return Ok(()),
            Some(found) => {
                let called = ident.value.to_lowercase();
                let is_ours = Kind::of_reader(&called).is_some() || pivots::is_pivot(&called);
                if !is_ours {
                    *args = Some(found);
                    return Ok(());
                }
                let given = Arguments::read(&called, &found.args, self.source, place)?;
                let what = match Kind::of_reader(&called) {
                    Some(kind) => given.files(kind, self.source, place)?,
                    None => What::Pivot(given.pivot(&called, self.source, place)?),
                };
                (what, called)
            }
        };
        let number = self.taken + self.wanted.len() + 1;
        let made = format!("_{called}_{number}");
        let same = self.wanted.iter().filter(|other| other.called == called);
        let alias_name = match same.count() {
            0 => called.clone(),
            before => format!("{called}_{}", before + 1),
        };
        *name = ObjectName::from(vec![Ident::with_quote('"', &made)]);
        if alias.is_none() {
            *alias = Some(TableAlias {
                explicit: true,
                name: Ident::new(alias_name),
                columns: Vec::new(),
                at: None,
            });
        }
        self.wanted.push(Wanted {
            name: made,
            called,
            what,
            place,
        });
        Ok(())
    }
}

/// The constants in the brackets of a table function.
struct Arguments {
    called: String,
    plain: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    fn read(
        called: &str,
        given: &[FunctionArg],
        source: &SqlSource,
        place: Location,
    ) -> Result<Self> {
        let mut arguments = Self {
            called: called.to_owned(),
            plain: Vec::new(),
            named: BTreeMap::new(),
        };
        let constant = |argument: &FunctionArgExpr| match argument {
            FunctionArgExpr::Expr(expression) => constant(expression),
            _ => None,
        };
        for argument in given {
            let (name, value) = match argument {
                FunctionArg::Unnamed(value) => (None, constant(value)),
                FunctionArg::Named { name, arg, .. } => {
                    (Some(name.value.to_lowercase()), constant(arg))
                }
                FunctionArg::ExprNamed { name, arg, .. } => {
                    (Some(name.to_string().to_lowercase()), constant(arg))
                }
            };
            let Some(value) = value else {
                return Err(source
                    .error_at(place, format!("{called}() takes constants only"))
                    .hint("texts in single quotes, numbers, true and false"));
            };
            match name {
                None => arguments.plain.push(value),
                Some(name) => {
                    arguments.named.insert(name, value);
                }
            }
        }
        Ok(arguments)
    }

    fn files(mut self, kind: Kind, source: &SqlSource, place: Location) -> Result<What> {
        let called = &self.called;
        let wrong = |message: String| {
            let usage = READERS
                .iter()
                .find(|(usage, _)| usage.starts_with(called.as_str()));
            source
                .error_at(place, message)
                .maybe_hint(usage.map(|(usage, _)| (*usage).to_owned()))
        };
        let mut options = FileOptions::of(kind);
        for (name, value) in std::mem::take(&mut self.named) {
            let understood = options.set(&name, &value);
            understood.map_err(|message| wrong(format!("{called}: {message}")))?;
        }
        match self.plain.as_slice() {
            [pattern] => Ok(What::Files(pattern.clone(), options)),
            _ => Err(wrong(format!("{called} takes one name of files"))),
        }
    }

    fn pivot(self, called: &str, source: &SqlSource, place: Location) -> Result<Pivot> {
        let plain: Vec<&str> = self.plain.iter().map(String::as_str).collect();
        if self.named.is_empty()
            && let Some(pivot) = Pivot::of(called, &plain)
        {
            return Ok(pivot);
        }
        let usage = pivots::PIVOTS
            .iter()
            .find(|about| about.usage.starts_with(called));
        Err(source
            .error_at(place, format!("{called}() is called with other arguments"))
            .maybe_hint(usage.map(|about| about.usage.to_owned())))
    }
}

fn constant(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text.clone()),
            Value::Number(number, _) => Some(number.clone()),
            Value::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => constant(expr).map(|number| format!("-{number}")),
        // A name without quotes, where a text is meant: prevalence(process_creation, image).
        Expr::Identifier(ident) => Some(ident.value.clone()),
        _ => None,
    }
}
