//! `process_tree('guid')`: a process, its ancestors and its descendants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::DataType;

use super::literal;
use crate::engine::adhoc::Console;
use crate::error::{Error, Result};

/// Columns that the tree takes over as they are.
const KEPT: [&str; 10] = [
    "event_time",
    "host_name",
    "process_guid",
    "parent_process_guid",
    "process_id",
    "image",
    "command_line",
    "user",
    "source",
    "record_id",
];

/// The most generations that are followed, up or down: guids that are wrong may go round in circles.
const GENERATIONS: usize = 1000;

pub(super) async fn rows(console: &mut Console, guid: &str) -> Result<RecordBatch> {
    if !console
        .engine()
        .lake()
        .views
        .contains_key("process_creation")
    {
        return Err(Error::configuration(
            "process_tree: there is no view `process_creation`",
        ));
    }
    let sought = literal(&guid.to_lowercase());
    let hosts = console
        .rows_of(&format!(
            "SELECT DISTINCT CAST(host_id AS VARCHAR) AS host_id FROM process_creation \
             WHERE lower(process_guid) = {sought} OR lower(parent_process_guid) = {sought}"
        ))
        .await?;
    let hosts = strings(&hosts, "host_id")?;
    if hosts.is_empty() {
        let window = console.window().map_or_else(
            || "of this lake".to_owned(),
            |window| format!("of {window}"),
        );
        return Err(Error::configuration(format!(
            "process_tree: no process {window} has the guid `{guid}`"
        ))
        .hint("widen the window; `process_guid` is a column of process_creation, and Security 4688 has none"));
    }
    let hosts: Vec<_> = hosts.iter().flatten().map(|host| literal(host)).collect();
    let columns: Vec<_> = KEPT.iter().map(|name| super::quoted(name)).collect();
    let events = console
        .rows_of(&format!(
            "SELECT {}, parent_image, parent_command_line FROM process_creation \
             WHERE host_id IN ({}) ORDER BY event_time, record_id",
            columns.join(", "),
            hosts.join(", ")
        ))
        .await?;
    tree(&events, &guid.to_lowercase())
}

/// One line of the tree: an event, or the parent that an event tells of.
#[derive(Debug, Clone, Copy)]
struct Line {
    depth: i64,
    event: usize,
    is_told_of: bool,
}

fn tree(events: &RecordBatch, guid: &str) -> Result<RecordBatch> {
    let lower = |name: &str| -> Result<Vec<Option<String>>> {
        let texts = strings(events, name)?;
        Ok(texts
            .into_iter()
            .map(|text| text.map(|text| text.to_lowercase()))
            .collect())
    };
    let guids = lower("process_guid")?;
    let parents = lower("parent_process_guid")?;
    let mut by_guid: BTreeMap<&str, usize> = BTreeMap::new();
    let mut children: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for event in 0..events.num_rows() {
        if let Some(own) = &guids[event] {
            by_guid.entry(own).or_insert(event);
        }
        if let Some(parent) = &parents[event] {
            children.entry(parent).or_default().push(event);
        }
    }
    let mut ancestors = Vec::new();
    let mut seen = BTreeSet::from([guid]);
    // A process that is only told of by its children has no parent that is known.
    let mut next = by_guid.get(guid).copied();
    while let Some(event) = next {
        let Some(parent) = parents[event].as_deref() else {
            break;
        };
        if !seen.insert(parent) || ancestors.len() == GENERATIONS {
            break;
        }
        next = by_guid.get(parent).copied();
        ancestors.push((next.unwrap_or(event), next.is_none()));
    }
    let mut lines = Vec::new();
    for (step, (event, is_told_of)) in ancestors.iter().enumerate().rev() {
        lines.push(Line {
            depth: -(step as i64 + 1),
            event: *event,
            is_told_of: *is_told_of,
        });
    }
    let own = by_guid.get(guid).copied();
    let first_child = children.get(guid).and_then(|children| children.first());
    lines.extend(own.or(first_child.copied()).map(|event| Line {
        depth: 0,
        event,
        is_told_of: own.is_none(),
    }));
    let mut open: Vec<(i64, usize)> = Vec::new();
    let push = |open: &mut Vec<(i64, usize)>, depth: i64, of: &str| {
        let born = children.get(of).into_iter().flatten().rev();
        open.extend(born.map(|child| (depth, *child)));
    };
    push(&mut open, 1, guid);
    let mut done = BTreeSet::new();
    while let Some((depth, event)) = open.pop() {
        if !done.insert(event) {
            continue;
        }
        lines.push(Line {
            depth,
            event,
            is_told_of: false,
        });
        if let Some(own) = guids[event].as_deref()
            && depth < GENERATIONS as i64
            && by_guid.get(own) == Some(&event)
        {
            push(&mut open, depth + 1, own);
        }
    }
    batch(events, &lines)
}

fn batch(events: &RecordBatch, lines: &[Line]) -> Result<RecordBatch> {
    let (images, parents) = (strings(events, "image")?, strings(events, "parent_image")?);
    let top = lines.iter().map(|line| line.depth).min().unwrap_or(0);
    let names = lines.iter().map(|line| {
        let image = if line.is_told_of {
            &parents[line.event]
        } else {
            &images[line.event]
        };
        let image = image.as_deref().unwrap_or("?");
        let name = image.rsplit(['\\', '/']).next().unwrap_or(image);
        let indent = usize::try_from(line.depth - top).unwrap_or(0);
        let mark = if line.depth == 0 { " <" } else { "" };
        format!("{}{name}{mark}", "  ".repeat(indent))
    });
    let names: StringArray = names.map(Some).collect();
    let depths: Int64Array = lines.iter().map(|line| Some(line.depth)).collect();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("depth".to_owned(), Arc::new(depths)),
        ("tree".to_owned(), Arc::new(names)),
    ];
    // What is told of a parent stands in its child's event, under other names.
    let told = [
        ("process_guid", "parent_process_guid"),
        ("image", "parent_image"),
        ("command_line", "parent_command_line"),
        ("host_name", "host_name"),
        ("source", "source"),
    ];
    for name in KEPT {
        let of = |told_of: bool, column: &str| -> Result<ArrayRef> {
            let rows: UInt32Array = lines
                .iter()
                .map(|line| {
                    (line.is_told_of == told_of)
                        .then(|| u32::try_from(line.event).ok())
                        .flatten()
                })
                .collect();
            take(found(events, column)?, &rows, None).map_err(arrow)
        };
        let own = of(false, name)?;
        let column = match told.iter().find(|(told, _)| *told == name) {
            Some((_, theirs)) => {
                let theirs = of(true, theirs)?;
                let is_own: datafusion::arrow::array::BooleanArray =
                    lines.iter().map(|line| Some(!line.is_told_of)).collect();
                datafusion::arrow::compute::kernels::zip::zip(&is_own, &own, &theirs)
                    .map_err(arrow)?
            }
            None => own,
        };
        columns.push((name.to_owned(), column));
    }
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .map_err(arrow)
}

fn found<'a>(events: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    events
        .column_by_name(name)
        .ok_or_else(|| Error::failure(format!("process_creation has no `{name}`")))
}

fn strings(events: &RecordBatch, name: &str) -> Result<Vec<Option<String>>> {
    let texts = cast(found(events, name)?, &DataType::Utf8).map_err(arrow)?;
    let texts = texts.as_string::<i32>();
    Ok((0..texts.len())
        .map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned()))
        .collect())
}

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::failure(error.to_string())
}
