//! Indicators in all tables of a lake: hashes, addresses, domains, names; one pass a table, one automaton for all of them.
//!
//! Which columns can hold which kind is told by their names; texts such as command lines can hold all of them.

mod matcher;
pub mod read;

pub use matcher::Matcher;
pub use read::{Kind, List};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};

use super::adhoc::{Console, Planned};
use crate::error::{Error, Result};
use crate::lake::table::{EVENT_TIME, FILE_COLUMN, RECORD_ID, ROW_COLUMN, TABLE_COLUMN};

/// What is known of one indicator.
#[derive(Debug, Clone, Default)]
struct Sighting {
    events: i64,
    hosts: BTreeSet<String>,
    first: Option<i64>,
    last: Option<i64>,
    tables: BTreeSet<String>,
    columns: BTreeSet<String>,
    /// One event, to look at.
    example: Option<String>,
}

/// What was found of a list so far.
#[derive(Debug)]
pub struct Sightings {
    matcher: Arc<Matcher>,
    seen: BTreeMap<usize, Sighting>,
}

/// The pass over one table.
#[expect(missing_debug_implementations, reason = "a plan is no text")]
pub struct TablePass {
    /// The table.
    pub table: String,
    /// To be run.
    pub planned: Planned,
}

/// Where hosts are named in raw tables, the best first.
const HOSTS: [&str; 10] = [
    "Computer",
    "ComputerName",
    "DeviceName",
    "device_hostname",
    "Hostname",
    "host_name",
    "host",
    "aid",
    "DeviceId",
    "id.orig_h",
];

/// The kinds that a column can hold, by its name.
fn kinds_of(column: &str) -> Vec<Kind> {
    let name = column.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if [EVENT_TIME, RECORD_ID, TABLE_COLUMN, FILE_COLUMN, ROW_COLUMN].contains(&column) {
        return Vec::new();
    }
    let all = vec![
        Kind::Hash,
        Kind::Address,
        Kind::Domain,
        Kind::Url,
        Kind::Name,
    ];
    if has(&[
        "command",
        "script",
        "message",
        "payload",
        "data",
        "context",
        "consumer",
        "query",
        "text",
        "details",
        "body",
        "raw",
        "description",
        "content",
        "arguments",
        "properties",
        "answers",
    ]) {
        return all;
    }
    let mut kinds = Vec::new();
    if has(&["hash", "md5", "sha1", "sha256", "sha512", "fingerprint"]) {
        kinds.push(Kind::Hash);
    }
    // SourceIp, RemoteIP, LocalAddressIP4, src_endpoint.ip, id.orig_h
    let is_ip = column.contains("Ip")
        || column.contains("IP")
        || name.split(['_', '.']).any(|part| part == "ip");
    if is_ip || has(&["addr"]) || name.ends_with("_h") {
        kinds.push(Kind::Address);
    }
    if has(&[
        "host",
        "computer",
        "device",
        "domain",
        "dns",
        "server",
        "url",
        "uri",
        "referrer",
        "sni",
        "destination",
    ]) {
        kinds.extend([Kind::Domain, Kind::Url]);
    }
    if has(&[
        "image",
        "file",
        "path",
        "process",
        "name",
        "service",
        "task",
        "module",
        "program",
        "filter",
        "target",
        "pipe",
        "application",
        "object",
    ]) {
        kinds.push(Kind::Name);
    }
    kinds
}

impl Sightings {
    /// Nothing found yet.
    ///
    /// # Errors
    /// When there are more indicators than an automaton takes.
    pub fn of(list: &List) -> Result<Self> {
        Ok(Self {
            matcher: Arc::new(Matcher::new(list).map_err(Error::failure)?),
            seen: BTreeMap::new(),
        })
    }

    /// Plans the pass over each table of the lake.
    ///
    /// # Errors
    /// When a table does not plan.
    pub async fn passes(&self, console: &mut Console, all_columns: bool) -> Result<Vec<TablePass>> {
        let wanted = self.matcher.kinds();
        console.register_function(matcher::udf(Arc::clone(&self.matcher)));
        let tables: Vec<_> = console.engine().lake().tables.values().cloned().collect();
        let mut passes = Vec::new();
        for table in tables {
            let schema = table.schema();
            let fields = schema.fields().iter();
            let texts = fields.filter(|field| *field.data_type() == DataType::Utf8View);
            let columns: Vec<&str> = texts
                .map(|field| field.name().as_str())
                .filter(|name| {
                    let kinds = kinds_of(name);
                    if all_columns {
                        ![RECORD_ID, TABLE_COLUMN, FILE_COLUMN].contains(name)
                    } else {
                        kinds.iter().any(|kind| wanted.contains(kind))
                    }
                })
                .collect();
            if columns.is_empty() {
                continue;
            }
            let quoted: Vec<_> = columns
                .iter()
                .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
                .collect();
            let hosts = HOSTS
                .iter()
                .filter(|host| schema.field_with_name(host).is_ok());
            let hosts: Vec<_> = hosts
                .map(|host| format!("CAST(\"{host}\" AS VARCHAR)"))
                .collect();
            let host = match hosts.as_slice() {
                [] => "CAST(NULL AS VARCHAR)".to_owned(),
                [one] => one.clone(),
                several => format!("coalesce({})", several.join(", ")),
            };
            let columns = quoted.join(", ");
            // One argument a column: a filter over bare columns goes down into the scan.
            let text = format!(
                "SELECT {EVENT_TIME} AS \"_at\", {host} AS \"_host\", {FILE_COLUMN} AS \"_in\", {ROW_COLUMN} AS \"_line\", \
                 {columns} FROM \"{}\" WHERE has_indicator({columns})",
                table.name
            );
            passes.push(TablePass {
                table: table.name.clone(),
                planned: console.planned_text(&text).await?,
            });
        }
        Ok(passes)
    }

    /// Adds rows of a pass.
    ///
    /// # Errors
    /// Never, as long as they are of [`Self::passes`].
    pub fn add(&mut self, table: &str, rows: &RecordBatch, all_columns: bool) -> Result<()> {
        let wrong = || Error::failure(format!("{table}: rows of another pass"));
        let column = |name: &str| rows.column_by_name(name).ok_or_else(wrong);
        let times = column("_at")?
            .as_primitive_opt::<TimestampMicrosecondType>()
            .ok_or_else(wrong)?;
        let hosts = datafusion::arrow::compute::cast(column("_host")?, &DataType::Utf8)
            .map_err(|error| Error::failure(error.to_string()))?;
        let hosts = hosts.as_string::<i32>();
        let files = column("_in")?.as_string_view_opt().ok_or_else(wrong)?;
        let lines = column("_line")?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(wrong)?;
        let schema = rows.schema();
        let texts: Vec<_> = schema.fields().iter().zip(rows.columns()).skip(4).collect();
        let mut found: BTreeSet<(usize, &str)> = BTreeSet::new();
        for row in 0..rows.num_rows() {
            found.clear();
            for (field, column) in &texts {
                let Some(column) = column
                    .as_string_view_opt()
                    .filter(|column| column.is_valid(row))
                else {
                    continue;
                };
                let kinds = kinds_of(field.name());
                self.matcher
                    .each(column.value(row), &mut |indicator, kind| {
                        if all_columns || kinds.contains(&kind) {
                            found.insert((indicator, field.name().as_str()));
                        }
                    });
            }
            let mut counted = BTreeSet::new();
            for (indicator, column) in &found {
                let sighting = self.seen.entry(*indicator).or_default();
                sighting.columns.insert((*column).to_owned());
                if !counted.insert(*indicator) {
                    continue;
                }
                let time = times.value(row);
                sighting.events += 1;
                sighting.first = Some(sighting.first.map_or(time, |first| first.min(time)));
                sighting.last = Some(sighting.last.map_or(time, |last| last.max(time)));
                sighting.tables.insert(table.to_owned());
                if hosts.is_valid(row) {
                    sighting.hosts.insert(hosts.value(row).to_lowercase());
                }
                if sighting.example.is_none() {
                    sighting.example =
                        Some(format!("{table}:{}:{}", files.value(row), lines.value(row)));
                }
            }
        }
        Ok(())
    }

    /// How many indicators were found, of how many.
    pub fn count(&self) -> (usize, usize) {
        (self.seen.len(), self.matcher.len())
    }

    /// One row an indicator that was found, most hosts first.
    ///
    /// # Errors
    /// Never so far.
    pub fn table(&self) -> Result<RecordBatch> {
        let mut seen: Vec<_> = self.seen.iter().collect();
        seen.sort_by(|a, b| {
            let order = |sighting: &Sighting| (sighting.hosts.len(), sighting.events);
            order(b.1).cmp(&order(a.1)).then_with(|| a.0.cmp(b.0))
        });
        let text = |value: &dyn Fn(usize, &Sighting) -> String| -> ArrayRef {
            let values = seen
                .iter()
                .map(|(index, sighting)| value(**index, sighting));
            Arc::new(StringArray::from(values.collect::<Vec<_>>()))
        };
        let number = |value: &dyn Fn(&Sighting) -> i64| -> ArrayRef {
            Arc::new(
                seen.iter()
                    .map(|(_, sighting)| value(sighting))
                    .collect::<Int64Array>(),
            )
        };
        let time = |value: &dyn Fn(&Sighting) -> Option<i64>| -> ArrayRef {
            let times = seen.iter().map(|(_, sighting)| value(sighting));
            Arc::new(
                times
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            )
        };
        let listed = |names: &BTreeSet<String>| {
            let shown: Vec<_> = names.iter().take(5).map(String::as_str).collect();
            let more = if names.len() > 5 { ", ..." } else { "" };
            shown.join(", ") + more
        };
        let columns: [(&str, ArrayRef); 10] = [
            (
                "indicator",
                text(&|index, _| self.matcher.value(index).0.to_owned()),
            ),
            (
                "kind",
                text(&|index, _| self.matcher.value(index).1.as_str().to_owned()),
            ),
            ("events", number(&|sighting| sighting.events)),
            ("hosts", number(&|sighting| sighting.hosts.len() as i64)),
            ("first_seen", time(&|sighting| sighting.first)),
            ("last_seen", time(&|sighting| sighting.last)),
            ("host_names", text(&|_, sighting| listed(&sighting.hosts))),
            ("tables", text(&|_, sighting| listed(&sighting.tables))),
            ("columns", text(&|_, sighting| listed(&sighting.columns))),
            (
                "example",
                text(&|_, sighting| sighting.example.clone().unwrap_or_default()),
            ),
        ];
        let columns = columns
            .into_iter()
            .map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(columns)
            .map_err(|error| Error::failure(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_kinds_by_their_names() {
        assert!(kinds_of("CommandLine").contains(&Kind::Hash));
        assert_eq!(kinds_of("Hashes"), [Kind::Hash]);
        assert_eq!(kinds_of("SourceIp"), [Kind::Address]);
        assert_eq!(kinds_of("LocalAddressIP4"), [Kind::Address]);
        assert_eq!(kinds_of("src_endpoint_ip"), [Kind::Address]);
        assert_eq!(kinds_of("Image"), [Kind::Name]);
        assert_eq!(kinds_of("Description").len(), 5);
        assert_eq!(kinds_of("_file"), []);
        assert_eq!(kinds_of("LogonId"), []);
    }
}
