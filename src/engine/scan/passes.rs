//! Which passes serve the scans of some hunts: one a table, or one a table and tile.
//!
//! Lists files, and opens none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Group, Leaf};
use crate::lake::config::Format;
use crate::lake::raw::with_raw;
use crate::lake::table::{Listing, Table};
use crate::time::Window;

/// One pass over a table.
pub(super) struct Planned {
    pub(super) table: Arc<Table>,
    /// The leaves that it serves.
    pub(super) members: Vec<usize>,
    pub(super) window: Option<Window>,
    /// What it reads: the files that any of the groups needs.
    pub(super) listing: Arc<Listing>,
    /// The groups that it serves, and what each of them needs.
    pub(super) groups: Vec<(usize, Arc<Listing>)>,
}

/// Leaves by their table and group.
pub(super) fn by_table(
    leaves: &[Leaf],
    groups: &[Group],
) -> BTreeMap<String, BTreeMap<usize, Vec<usize>>> {
    let mut by_table: BTreeMap<String, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for (index, leaf) in leaves.iter().enumerate() {
        let group = groups
            .iter()
            .position(|group| group.hunts.contains(&leaf.hunt));
        let members = by_table.entry(leaf.scan.table.name.clone()).or_default();
        members.entry(group.unwrap_or(0)).or_default().push(index);
    }
    by_table
}

/// The table of some leaves with all that any of them asks of the records.
pub(super) fn shared_table<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> Option<Arc<Table>> {
    let mut tables = leaves.map(|leaf| &leaf.scan.table);
    let first = Arc::clone(tables.next()?);
    Some(tables.fold(first, |table, other| with_raw(&table, other.raw_fields())))
}

/// Which passes serve some leaves: one a table, but one a tile where a table is Parquet.
/// A table that cannot be listed costs the hunts that read it.
pub(super) async fn plan_passes(leaves: &mut [Leaf], groups: &[Group]) -> Vec<Planned> {
    let mut passes: Vec<Planned> = Vec::new();
    for by_group in by_table(leaves, groups).into_values() {
        let mut shared: Option<Planned> = None;
        for (group, members) in by_group {
            let Some(table) = shared_table(members.iter().map(|index| &leaves[*index])) else {
                continue;
            };
            let windows = members
                .iter()
                .map(|index| leaves[*index].scan.consumer.window);
            let window = hull(windows);
            let listing = match table.list(window).await {
                Ok(listing) => listing,
                Err(error) => {
                    for index in members {
                        leaves[index].failed = Some(error.in_one_line());
                    }
                    continue;
                }
            };
            let own = Planned {
                table,
                members,
                window,
                groups: vec![(group, Arc::clone(&listing))],
                listing,
            };
            match &mut shared {
                Some(shared) if own.table.format != Format::Parquet => shared.join(own),
                before => passes.extend(before.replace(own)),
            }
        }
        passes.extend(shared);
    }
    passes
}

impl Planned {
    /// Serves another group too.
    fn join(&mut self, other: Self) {
        self.table = with_raw(&self.table, other.table.raw_fields());
        self.members.extend(other.members);
        self.groups.extend(other.groups);
        self.window = hull([self.window, other.window].into_iter());
        let mut files = self.listing.files.clone();
        files.extend(other.listing.files.iter().cloned());
        files.sort_by(|a, b| a.object.path.cmp(&b.object.path));
        files.dedup_by(|a, b| a.object.path == b.object.path);
        self.listing = Arc::new(Listing {
            files,
            ..Listing::default()
        });
    }
}

/// The smallest window that holds all of them; all time if one wants all time.
fn hull(windows: impl Iterator<Item = Option<Window>>) -> Option<Window> {
    let mut hull: Option<Window> = None;
    for window in windows {
        let window = window?;
        hull = Some(hull.map_or(window, |hull| Window {
            start: hull.start.min(window.start),
            end: hull.end.max(window.end),
        }));
    }
    hull
}
