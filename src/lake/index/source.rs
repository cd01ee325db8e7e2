//! Where the values of tests come from, and how they are looked at: whole numbers by hash, texts by [`Texts`], anything
//! else by evaluating it on the rows that need it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;

use super::atoms::{Atoms, Origin, Test};
use super::rows::RowSet;
use super::texts::{Memory, Texts};
use super::{AtomRows, Columns, physical};

/// One source of values, with all tests of them.
#[derive(Debug)]
pub(super) enum Source {
    Ints {
        column: usize,
        atoms: HashMap<i64, Vec<usize>>,
    },
    Texts {
        value: Value,
        texts: Texts,
        /// The tests as they are written, for people.
        written: HashMap<usize, String>,
    },
    Whole {
        value: Value,
        atom: usize,
        written: String,
        tests_null: bool,
    },
}

/// A column, or something made of columns.
#[derive(Debug)]
pub(super) enum Value {
    Column(usize),
    Made(Made),
}

/// An expression over some columns of a block.
#[derive(Debug)]
pub struct Made {
    schema: SchemaRef,
    columns: Vec<usize>,
    expr: Arc<dyn PhysicalExpr>,
}

impl Made {
    /// Plans an expression over the columns of a scan that it names.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub fn new(expr: &Expr, schema: &SchemaRef) -> Result<Self> {
        let names: HashSet<&str> = expr
            .column_refs()
            .into_iter()
            .map(|column| column.name.as_str())
            .collect();
        let mut columns = names
            .into_iter()
            .map(|name| Ok(schema.index_of(name)?))
            .collect::<Result<Vec<_>>>()?;
        columns.sort_unstable();
        let schema: SchemaRef = Arc::new(schema.project(&columns)?);
        let planned = DFSchema::try_from(Arc::clone(&schema))?;
        Ok(Self {
            expr: physical(expr, &planned)?,
            columns,
            schema,
        })
    }

    /// Its value on some rows of a block, one after the other.
    ///
    /// # Errors
    /// When a column cannot be decoded, or the expression fails on a value.
    pub fn on(&self, block: &dyn Columns, rows: &RowSet) -> Result<ArrayRef> {
        let count = rows.len();
        let is_all = rows.is_all();
        let mask = (!is_all).then(|| rows.mask());
        let columns = self.columns.iter().map(|index| {
            let column = block.column(*index)?;
            Ok(match &mask {
                Some(mask) => filter(&column, mask)?,
                None => column,
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.expr.evaluate(&batch)?.into_array(count)
    }

    /// The rows among some on which a predicate is true, and those on which it is NULL.
    ///
    /// # Errors
    /// As [`Self::on`], and when it is no predicate.
    pub fn holds(&self, block: &dyn Columns, rows: &RowSet) -> Result<(RowSet, RowSet)> {
        let held = self.on(block, rows)?;
        let held = held.as_boolean_opt().ok_or_else(|| {
            DataFusionError::Internal(format!(
                "filter {} gave {} instead of a boolean",
                self.expr,
                held.data_type()
            ))
        })?;
        let (mut truths, mut nulls) = (RowSet::none(rows.rows()), RowSet::none(rows.rows()));
        for (place, row) in rows.iter().enumerate() {
            if held.is_null(place) {
                nulls.insert(row);
            } else if held.value(place) {
                truths.insert(row);
            }
        }
        Ok((truths, nulls))
    }
}

impl Source {
    /// Looks at the values of some rows, and adds what it found to the atoms' rows. Says on which of them it is NULL.
    pub(super) fn evaluate(
        &self,
        block: &dyn Columns,
        needed: &RowSet,
        memory: &mut Memory,
        found: &mut [Option<AtomRows>],
    ) -> Result<RowSet> {
        let rows = block.rows();
        match self {
            Self::Ints { column, atoms } => {
                let column = block.column(*column)?;
                let column = column.as_primitive_opt::<Int64Type>().ok_or_else(|| {
                    DataFusionError::Internal("a column of numbers has none".to_owned())
                })?;
                for row in needed.iter().filter(|row| column.is_valid(*row)) {
                    for atom in atoms.get(&column.value(row)).into_iter().flatten() {
                        let found = found[*atom].get_or_insert_with(|| AtomRows::none(rows));
                        found.truths.insert(row);
                    }
                }
                Ok(null_rows(column.logical_nulls().as_ref(), rows))
            }
            Self::Texts { value, texts, .. } => {
                let column = match value {
                    Value::Column(column) => block.column(*column)?,
                    // Places must be those of the block.
                    Value::Made(made) => made.on(block, &RowSet::all(rows))?,
                };
                texts.evaluate(&column, needed, memory, found)?;
                Ok(null_rows(column.logical_nulls().as_ref(), rows))
            }
            Self::Whole { value, atom, .. } => {
                let Value::Made(made) = value else {
                    return Ok(RowSet::none(rows));
                };
                let (truths, nulls) = made.holds(block, needed)?;
                if !truths.is_empty() || !nulls.is_empty() {
                    found[*atom] = Some(AtomRows {
                        truths,
                        nulls: Some(nulls),
                    });
                }
                Ok(RowSet::none(rows))
            }
        }
    }

    /// The columns it is made of.
    pub(super) fn columns(&self) -> &[usize] {
        match self {
            Self::Ints { column, .. } => std::slice::from_ref(column),
            Self::Texts { value, .. } | Self::Whole { value, .. } => match value {
                Value::Column(column) => std::slice::from_ref(column),
                Value::Made(made) => &made.columns,
            },
        }
    }

    /// The atoms that are NULL where its value is.
    pub(super) fn strict(&self) -> &[usize] {
        match self {
            Self::Texts { texts, .. } => texts.strict(),
            Self::Ints { .. } | Self::Whole { .. } => &[],
        }
    }

    /// How many literals are searched for in it.
    pub(super) fn literals(&self) -> usize {
        match self {
            Self::Texts { texts, .. } => texts.literals(),
            Self::Ints { .. } | Self::Whole { .. } => 0,
        }
    }

    /// The tests that are made on every distinct value, or on every row.
    pub(super) fn unindexed(&self) -> Vec<String> {
        match self {
            Self::Ints { .. } => Vec::new(),
            Self::Texts { texts, written, .. } => texts
                .unindexed()
                .filter_map(|atom| written.get(&atom).cloned())
                .collect(),
            // A bitmap that is there is no search.
            Self::Whole { tests_null, .. } if *tests_null => Vec::new(),
            Self::Whole { written, .. } => vec![written.clone()],
        }
    }

    /// Numbers before texts, texts that are looked up before texts that are searched, columns before what is made of them.
    /// A test for NULL decides little and asks for a column that may else not be needed.
    fn cost(&self) -> usize {
        match self {
            Self::Ints { .. } => 0,
            Self::Whole { tests_null, .. } if *tests_null => 4,
            Self::Whole { value, .. } if is_narrow(value) => 1,
            Self::Texts { value, texts, .. } => {
                2 + usize::from(texts.has_patterns()) + 3 * usize::from(is_made(value))
            }
            Self::Whole { .. } => 7,
        }
    }
}

fn null_rows(nulls: Option<&NullBuffer>, rows: usize) -> RowSet {
    match nulls {
        Some(nulls) if nulls.null_count() > 0 => RowSet::of(rows, |row| nulls.is_null(row)),
        _ => RowSet::none(rows),
    }
}

fn is_made(value: &Value) -> bool {
    matches!(value, Value::Made(_))
}

/// Whether a predicate looks at one column, and not at what a text in it says: a range, a test for NULL.
fn is_narrow(value: &Value) -> bool {
    matches!(value, Value::Made(made) if made.columns.len() <= 1)
}

/// The sources of all atoms in the order in which they are looked at, and the place of each origin in it.
pub(super) fn plan(atoms: &Atoms, schema: &SchemaRef) -> Result<(Vec<Source>, Vec<usize>)> {
    let mut tests: Vec<Vec<usize>> = vec![Vec::new(); atoms.origins.len()];
    for (number, atom) in atoms.all.iter().enumerate() {
        tests[atom.origin].push(number);
    }
    let mut sources = Vec::new();
    for (number, (origin, tests)) in atoms.origins.iter().zip(tests).enumerate() {
        sources.push((number, source(atoms, origin, &tests, schema)?));
    }
    // Stable: sources of one cost stay as the hunts name them.
    sources.sort_by_key(|(_, source)| source.cost());
    let mut places = vec![0; sources.len()];
    for (place, (number, _)) in sources.iter().enumerate() {
        places[*number] = place;
    }
    let sources = sources.into_iter().map(|(_, source)| source).collect();
    Ok((sources, places))
}

fn source(atoms: &Atoms, origin: &Origin, tests: &[usize], schema: &Schema) -> Result<Source> {
    let schema: SchemaRef = Arc::new(schema.clone());
    Ok(match origin {
        Origin::Int(name) => {
            let mut by_number: HashMap<i64, Vec<usize>> = HashMap::new();
            for atom in tests {
                let Test::Ints(numbers) = &atoms.all[*atom].test else {
                    continue;
                };
                let distinct: HashSet<i64> = numbers.iter().copied().collect();
                for number in distinct {
                    by_number.entry(number).or_default().push(*atom);
                }
            }
            Source::Ints {
                column: schema.index_of(name)?,
                atoms: by_number,
            }
        }
        Origin::Text(expr) => {
            let value = match expr {
                Expr::Column(column) => Value::Column(schema.index_of(&column.name)?),
                made => Value::Made(Made::new(made, &schema)?),
            };
            let text_type = expr.get_type(atoms.schema())?;
            let mut written = HashMap::new();
            let mut made = Vec::new();
            for atom in tests {
                if let Test::Text(dress, test) = &atoms.all[*atom].test {
                    made.push((*atom, dress.clone(), test.clone()));
                    written.insert(*atom, atoms.all[*atom].written.clone());
                }
            }
            Source::Texts {
                value,
                texts: Texts::new(&text_type, made)?,
                written,
            }
        }
        Origin::Whole(expr) => Source::Whole {
            value: Value::Made(Made::new(expr, &schema)?),
            atom: tests.first().copied().unwrap_or_default(),
            written: expr.to_string(),
            tests_null: matches!(expr, Expr::IsNull(_) | Expr::IsNotNull(_)),
        },
    })
}
