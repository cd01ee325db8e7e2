//! The lake: tables over files as they are. Listing by the path's time, reading Parquet and NDJSON, flattening,
//! quarantine of what cannot be read, one clock, one identity, and views over many raw shapes.
//!
//! Knows nothing of hunts, jobs and output. What is needed to scan a table is plain data.

pub mod columns;
pub mod config;
pub mod consumer;
mod convert;
pub mod decoded;
mod decoder;
pub(crate) mod decompress;
mod elements;
pub mod encoding;
pub mod exec;
mod facts;
pub mod file_report;
pub mod fixture;
pub mod form;
mod held;
pub mod index;
pub mod kept_lines;
mod late;
pub mod layout;
pub mod lines;
pub mod listing;
pub mod lookup;
mod named;
pub mod ndjson;
pub mod object_reader;
pub mod parquet;
mod pieces;
pub mod provider;
pub mod quarantine;
mod quick_json;
pub mod raw;
pub mod raw_event;
pub mod row;
pub mod row_groups;
pub mod scan;
pub mod table;
pub mod view;
mod written;

pub use config::LakeFile;
pub use exec::LakeScanExec;
pub use file_report::{ColumnSeen, FileReport, Progress, ScanReport, SharedReport};
pub use form::{ColumnType, Form};
pub use lookup::Lookup;
pub use provider::WindowedTable;
pub use quarantine::BadRecord;
pub use raw::RawField;
pub use table::Table;
pub use view::View;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Result, did_you_mean};
use crate::hunt::Content;
use config::{Clock, Format};
use view::TellsOf;

/// One lake: its tables, and the views that its forms make possible.
#[derive(Debug, Clone)]
pub struct Lake {
    /// The lake file.
    pub path: PathBuf,
    /// Tables by name.
    pub tables: BTreeMap<String, Arc<Table>>,
    /// Lookups by name.
    pub lookups: BTreeMap<String, Arc<Lookup>>,
    /// Views by name, whether this lake has a table for them or not.
    pub views: BTreeMap<String, Arc<View>>,
}

impl Lake {
    /// Reads `lake.yaml`, opens its locations, and loads forms and views from the `sql/` content.
    ///
    /// # Errors
    /// A configuration error with file and place: the lake file cannot be read or has unknown keys, a table names an
    /// unknown form, a location does not exist, a layout does not parse.
    pub fn open(path: &Path, content: &Content) -> Result<Self> {
        let lake_file = LakeFile::read(path)?;
        let forms = form::load(content)?;
        let views = view::load(content)?;
        let mut tables = BTreeMap::new();
        let mut lookups = BTreeMap::new();
        for (name, config) in &lake_file.tables {
            if views.contains_key(name) {
                return Err(lake_file
                    .error_at(name, format!("table `{name}` has the name of a view"))
                    .hint("rename the table; views are named after categories of events"));
            }
            if config.time == Some(Clock::None) {
                let lookup = Lookup::open(name, config, &lake_file)?;
                lookups.insert(name.clone(), Arc::new(lookup));
                continue;
            }
            if config.format == Format::Csv {
                return Err(lake_file
                    .error_at(name, format!("table `{name}`: CSV is for lookups"))
                    .hint("add `time: none`, or keep events as Parquet or NDJSON"));
            }
            let form = match (&config.form, &config.schema, &config.time) {
                (Some(form), None, None) => forms.get(form).cloned().ok_or_else(|| {
                    lake_file
                        .error_at(name, format!("table `{name}`: unknown form `{form}`"))
                        .maybe_hint(
                            did_you_mean(form, forms.keys().map(String::as_str)).or_else(|| {
                                Some(format!(
                                    "known forms: {}",
                                    forms.keys().cloned().collect::<Vec<_>>().join(", ")
                                ))
                            }),
                        )
                })?,
                (None, Some(schema), Some(Clock::Sources(time))) => Arc::new(
                    Form::inline(name, schema.clone(), time.clone(), config.identity.clone())
                        .map_err(|e| lake_file.error_at(name, format!("table `{name}`: {e}")))?,
                ),
                _ => {
                    return Err(lake_file
                        .error_at(
                            name,
                            format!(
                                "table `{name}` needs a `form`, or `time` and `schema` of its own"
                            ),
                        )
                        .hint(format!(
                            "known forms: {}",
                            forms.keys().cloned().collect::<Vec<_>>().join(", ")
                        )));
                }
            };
            let table = Table::open(name, config, form, &lake_file)?;
            tables.insert(name.clone(), Arc::new(table));
        }
        Ok(Self {
            path: path.to_owned(),
            tables,
            lookups,
            views,
        })
    }

    /// Lets tables be asked again that could not be listed; what was listed stays as it was.
    pub async fn forget_failures(&self) {
        for table in self.tables.values() {
            table.forget_failures().await;
        }
    }

    /// The views that tell what happened, fed or not: where to look for events without the name of a view.
    pub fn activities(&self) -> impl Iterator<Item = &Arc<View>> {
        let views = self.views.values();
        views.filter(|view| view.tells_of == TellsOf::Activities)
    }

    /// The tables of this lake that feed a view, with each SELECT of their form, in order of their names.
    pub fn sources<'a>(
        &'a self,
        view: &'a View,
    ) -> impl Iterator<Item = (&'a Arc<Table>, &'a view::FormSql)> {
        self.tables.values().flat_map(|table| {
            let selects = view.selects(&table.form).iter();
            selects.map(move |sql| (table, sql))
        })
    }
}
