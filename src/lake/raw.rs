//! What a record says before it is given a type: the text of a declared column, of any path, or all of it.
//!
//! A query that asks for such a text reads a table that has it as one column more; others pay nothing for it. Knows
//! tables and columns; that SQL writes it `raw(...)` is the engine's business.

use std::sync::Arc;

use super::form::{ColumnType, Form, FormColumn};
use super::table::Table;

/// One text of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RawField {
    /// The value of a declared column, as it is written.
    Column(String),
    /// The value at a path, declared or not, with dots between nested keys.
    Path(String),
    /// The whole record: the line of NDJSON as it stands, the JSON of a Parquet row.
    Record,
}

impl RawField {
    /// The name of its column, which is also how SQL writes it.
    pub fn name(&self) -> String {
        match self {
            Self::Column(column) => format!("raw({column})"),
            Self::Path(path) => format!("raw('{}')", path.replace('\'', "''")),
            Self::Record => "raw()".to_owned(),
        }
    }

    /// A column that takes any value as text. Of a column that the form lacks there is none.
    fn column(&self, form: &Form) -> Option<FormColumn> {
        let paths = match self {
            Self::Column(name) => {
                let declared = form.columns.iter().find(|column| column.name == *name)?;
                declared.paths.clone()
            }
            Self::Path(path) => vec![path.clone()],
            // The empty path is the record itself.
            Self::Record => vec![String::new()],
        };
        Some(FormColumn {
            name: self.name(),
            paths,
            column_type: ColumnType::Json,
        })
    }
}

/// A table with more texts of its records as columns, behind those of its form.
pub fn with_raw(table: &Arc<Table>, fields: impl IntoIterator<Item = RawField>) -> Arc<Table> {
    let mut all = table.raw.clone();
    all.extend(fields);
    if all.len() == table.raw.len() {
        return Arc::clone(table);
    }
    let mut form = table.form.as_ref().clone();
    form.columns.truncate(form.columns.len() - table.raw.len());
    let columns: Vec<_> = all.iter().filter_map(|field| field.column(&form)).collect();
    form.columns.extend(columns);
    Arc::new(table.with_form(form, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_called_as_sql_writes_it() {
        let names = [
            RawField::Column("EventID".to_owned()),
            RawField::Path("a.'b'.c".to_owned()),
            RawField::Record,
        ];
        let names = names.map(|field| field.name());
        assert_eq!(names, ["raw(EventID)", "raw('a.''b''.c')", "raw()"]);
    }
}
