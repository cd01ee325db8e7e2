//! What a plan over the lake is going to read, as plain numbers and in words. What it cost when it ran is for [`crate::stats`].

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;

use super::Planned;
use crate::lake::LakeScanExec;
use crate::time::Window;

/// One scan of a table.
#[derive(Debug, Clone)]
pub struct Read {
    /// The table.
    pub table: String,
    /// The window that it is scoped to.
    pub window: Option<Window>,
    /// Files that may hold events of the window, and their bytes.
    pub files: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Files that were passed over by the time in their paths.
    pub files_pruned: u64,
    /// Folders that were passed over.
    pub folders_pruned: u64,
    /// Columns that are wanted of it.
    pub columns: Vec<String>,
    /// Conditions that rows must meet before they leave the scan.
    pub filters: Vec<String>,
    /// Rows that met them, as far as it has run.
    pub passed: u64,
}

/// All scans of a plan.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// From left to right.
    pub scans: Vec<Read>,
}

impl Reads {
    /// What a plan reads.
    pub fn of(planned: &Planned) -> Self {
        let mut scans = Vec::new();
        let walked = planned.plan.apply(|node: &Arc<dyn ExecutionPlan>| {
            if let Some(scan) = node.downcast_ref::<LakeScanExec>() {
                scans.push(Read::of(scan));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok(), "nothing fails");
        Self { scans }
    }

    /// Files and bytes in all.
    pub fn total(&self) -> (u64, u64) {
        let files = self.scans.iter().map(|scan| scan.files).sum();
        (files, self.scans.iter().map(|scan| scan.bytes).sum())
    }

    /// In words, a paragraph a scan; how many rows left it too where it `ran`.
    pub fn words(&self, ran: bool) -> String {
        if self.scans.is_empty() {
            return "reads no files of the lake\n".to_owned();
        }
        let mut text = String::new();
        for scan in &self.scans {
            scan.say(&mut text, ran);
        }
        text
    }
}

impl Read {
    fn of(scan: &LakeScanExec) -> Self {
        let listing = &scan.listing;
        let passed = scan.metrics().as_ref().and_then(MetricsSet::output_rows);
        let fields = scan.schema();
        let fields = fields.fields().iter();
        Self {
            table: scan.table.name.clone(),
            window: scan.consumer.window,
            files: listing.files.len() as u64,
            bytes: listing.files.iter().map(|file| file.object.size).sum(),
            files_pruned: listing.files_pruned as u64,
            folders_pruned: listing.folders_pruned as u64,
            columns: fields.map(|field| field.name().clone()).collect(),
            filters: scan
                .consumer
                .filters
                .iter()
                .map(ToString::to_string)
                .collect(),
            passed: passed.unwrap_or_default() as u64,
        }
    }

    fn say(&self, text: &mut String, ran: bool) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: {} of {}{}",
            self.table,
            super::count(self.files, "file"),
            size(self.bytes),
            match self.window {
                Some(window) => format!(", for {window}"),
                None => ", of all time".to_owned(),
            }
        );
        if self.files_pruned + self.folders_pruned > 0 {
            let _ = writeln!(
                text,
                "  passed over by the time in their paths: {}, {}",
                super::count(self.folders_pruned, "folder"),
                super::count(self.files_pruned, "file")
            );
        }
        let _ = writeln!(text, "  columns: {}", self.columns.join(", "));
        for filter in &self.filters {
            let _ = writeln!(text, "  rows leave it only where: {filter}");
        }
        if ran {
            let _ = writeln!(text, "  {} left it", super::count(self.passed, "row"));
        }
    }
}

/// Bytes as people say them, with one decimal.
fn size(bytes: u64) -> String {
    let mut tenths = u128::from(bytes) * 10;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if tenths < 10_240 {
            return match unit {
                "B" => format!("{bytes} B"),
                _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
            };
        }
        tenths /= 1024;
    }
    format!("{}.{} TiB", tenths / 10, tenths % 10)
}
