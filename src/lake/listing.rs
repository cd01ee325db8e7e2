//! Which files a window needs: asks a store for as little as the layout allows.
//!
//! On local disk every level is looked at. On a bucket, where each look is a request: folders whose names follow from the
//! time are asked for by name; below them, and where no name says a time, one request lists however deep; and where ids
//! stand in front of the time, all is listed once a run and pruned by what the store says of the last change.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use chrono::Duration;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::layout::{PathValues, Segment};
use super::named::Named;
use super::table::{DataFile, Listing, Table};
use crate::error::Result;
use crate::store::{Level, Object};
use crate::time::Window;

/// Requests for lists under way at a time, of one table.
const LISTS_AT_ONCE: usize = 16;

/// More folders than one answer of a bucket holds are ids, not names: nobody lists below each of them.
const MOST_FOLDERS: usize = 1000;

/// An object holds no event that is later than its last change by more than this, or the table's `slack`: clocks of hosts
/// run ahead.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// What a store said, or why it said nothing.
type Known<T> = Result<Arc<T>>;

/// What was listed in this run. A window that is asked for again sees the same; the windows of a backfill share what they
/// have in common. What failed has failed for all who ask, until [`Table::forget_failures`].
#[derive(Debug, Default)]
pub(super) struct Listed {
    windows: Mutex<HashMap<Option<Window>, Known<Listing>>>,
    /// By prefix, and whether it was listed however deep.
    prefixes: StdMutex<HashMap<(String, bool), Known<Level>>>,
    lists: AtomicU64,
}

/// What stands below a prefix and fits the layout.
enum Entries {
    Files(Vec<(Object, PathValues)>),
    Folders(Vec<Named>),
}

impl Table {
    /// The files that may hold events of a window (all files for `None`), listed once per window.
    ///
    /// # Errors
    /// When the location cannot be listed.
    pub async fn list(&self, window: Option<Window>) -> Result<Arc<Listing>> {
        let mut listings = self.listed.windows.lock().await;
        if let Some(listing) = listings.get(&window) {
            return listing.clone();
        }
        let listing = self.walk(window).await.map(Arc::new);
        let listing = listing.map_err(|e| e.about(format!("table `{}`", self.name)));
        listings.insert(window, listing.clone());
        listing
    }

    /// Lets those ask again who come later than what failed: the next tile, the next query of a shell.
    pub(super) async fn forget_failures(&self) {
        let mut windows = self.listed.windows.lock().await;
        windows.retain(|_, listing| listing.is_ok());
        let prefixes = self.listed.prefixes.lock();
        let mut prefixes = prefixes.unwrap_or_else(PoisonError::into_inner);
        prefixes.retain(|_, level| level.is_ok());
    }

    /// Requests for lists so far, pages not counted.
    pub fn lists(&self) -> u64 {
        self.listed.lists.load(Ordering::Relaxed)
    }

    async fn walk(&self, window: Option<Window>) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut open = self.narrowed(Named::root(), window);
        let mut complete = BTreeSet::new();
        // Level by level, the prefixes of one level in parallel: on a bucket each is a request.
        while !open.is_empty() {
            // In boxes: the compiler cannot prove a stream of borrowing closures Send.
            let lists: Vec<_> = open
                .iter()
                .map(|prefix| self.entries(prefix).boxed())
                .collect();
            let found: Vec<(Entries, Vec<String>)> = futures::stream::iter(lists)
                .buffered(LISTS_AT_ONCE)
                .try_collect()
                .await?;
            let mut below = Vec::new();
            for (prefix, (entries, completed)) in open.into_iter().zip(found) {
                complete.extend(completed);
                match entries {
                    Entries::Files(files) => {
                        for (object, values) in files {
                            self.take(&mut listing, object, &values, window);
                        }
                    }
                    Entries::Folders(folders) if self.are_ids(&prefix, &folders, window) => {
                        below.push(Named {
                            is_whole: true,
                            ..prefix
                        });
                    }
                    Entries::Folders(folders) => {
                        let (inside, outside): (Vec<_>, Vec<_>) = folders
                            .into_iter()
                            .partition(|folder| self.may_hold(&folder.values, window));
                        listing.folders_pruned += outside.len();
                        let inside = inside.into_iter();
                        below.extend(inside.flat_map(|folder| self.narrowed(folder, window)));
                    }
                }
            }
            open = below;
        }
        if self.complete.is_some() {
            let seen = listing.files.len();
            listing.files.retain(|file| {
                folders_of(&file.object.path).any(|folder| complete.contains(folder))
            });
            listing.files_waiting = seen - listing.files.len();
        }
        listing
            .files
            .sort_by(|a, b| a.object.path.cmp(&b.object.path));
        Ok(listing)
    }

    /// What to ask a bucket for instead of the folders directly below a prefix, where there is something better.
    fn narrowed(&self, prefix: Named, window: Option<Window>) -> Vec<Named> {
        if self.location.folder().is_some() || prefix.is_whole {
            return vec![prefix];
        }
        let range = window.map(|window| (window.start - self.slack, window.end + self.slack));
        // What says that a folder is complete may stand on any level: then each is looked at.
        if self.complete.is_none()
            && let Some(named) = self.layout.named(&prefix, range)
        {
            let below = named.into_iter();
            return below
                .flat_map(|prefix| self.narrowed(prefix, window))
                .collect();
        }
        let segments = &self.layout.segments()[prefix.depth..];
        let is_named = match &segments[0] {
            Segment::Name(name) => name.is_computable(),
            Segment::Rest => false,
        };
        let has_time = self.layout.has_time_below(prefix.depth);
        let is_batch = self.complete.is_some() && window.is_some() && !says_time(&prefix);
        let is_whole = segments.len() > 1 && !is_named && (!has_time || is_batch);
        vec![Named { is_whole, ..prefix }]
    }

    /// Whether there are so many folders in front of the time that one walk costs less than a look into each.
    fn are_ids(&self, prefix: &Named, folders: &[Named], window: Option<Window>) -> bool {
        folders.len() > MOST_FOLDERS
            && window.is_some()
            && self.location.folder().is_none()
            && !folders.first().is_some_and(says_time)
            && self.layout.has_time_below(prefix.depth)
    }

    /// Whether a path's time may hold events of the window: it is by arrival or local day, so the slack widens it.
    fn may_hold(&self, values: &PathValues, window: Option<Window>) -> bool {
        match (window, values.time()) {
            (Some(window), Some(time)) => {
                time.start < window.end + self.slack && time.end > window.start - self.slack
            }
            _ => true,
        }
    }

    /// Whether an object was written before the window, so that it cannot hold its events. Of buckets alone: there nobody
    /// can set the time of the last change, and copies get a later one.
    fn is_older(&self, object: &Object, window: Option<Window>) -> bool {
        let margin = self.slack.max(CLOCK_SKEW);
        self.location.folder().is_none()
            && window.is_some_and(|window| object.modified < window.start - margin)
    }

    /// What stands below a prefix, and the folders that are said to be complete: one LIST.
    async fn entries(&self, prefix: &Named) -> Result<(Entries, Vec<String>)> {
        let segments = self.layout.segments();
        let segment = &segments[prefix.depth];
        let is_deep = prefix.is_whole || matches!(segment, Segment::Rest);
        let level = self.level(&prefix.path, is_deep).await?;
        let completed = level.objects.iter();
        let completed = completed
            .filter_map(|object| self.completes(object))
            .collect();
        let is_last = prefix.depth + 1 == segments.len();
        let name = match segment {
            Segment::Name(name) if !is_deep && !is_last => name,
            _ => {
                let files = level.objects.iter().filter_map(|object| {
                    let path = object.path.strip_prefix(prefix.path.as_str())?;
                    let path = path.trim_start_matches('/');
                    let layout = &self.layout;
                    let values = layout.read_below(prefix.depth, &prefix.values, path)?;
                    Some((object.clone(), values))
                });
                return Ok((Entries::Files(files.collect()), completed));
            }
        };
        let folders = level.folders.iter().filter_map(|folder| {
            Some(Named {
                path: match prefix.path.as_str() {
                    "" => folder.clone(),
                    above => format!("{above}/{folder}"),
                },
                depth: prefix.depth + 1,
                values: prefix.values.with(name, folder)?,
                is_whole: false,
            })
        });
        Ok((Entries::Folders(folders.collect()), completed))
    }

    /// One LIST, made once a run.
    async fn level(&self, prefix: &str, is_deep: bool) -> Result<Arc<Level>> {
        let key = (prefix.to_owned(), is_deep);
        let known = || {
            self.listed
                .prefixes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let before = known().get(&key).cloned();
        if let Some(level) = before {
            return level;
        }
        self.listed.lists.fetch_add(1, Ordering::Relaxed);
        let level = if is_deep {
            let objects = self.location.list_all(prefix).await;
            objects.map(|objects| Level {
                folders: Vec::new(),
                objects,
            })
        } else {
            self.location.list_level(prefix).await
        };
        let level = level.map(Arc::new);
        known().insert(key, level.clone());
        level
    }

    /// The folder that an object says is complete.
    fn completes(&self, object: &Object) -> Option<String> {
        let (folder, name) = object.path.rsplit_once('/').unwrap_or(("", &object.path));
        (self.complete.as_deref() == Some(name)).then(|| folder.to_owned())
    }

    fn take(
        &self,
        listing: &mut Listing,
        object: Object,
        values: &PathValues,
        window: Option<Window>,
    ) {
        let hidden = object
            .path
            .split('/')
            .any(|part| part.starts_with(['.', '_']));
        // A template that names the files says which they are, whatever their suffix.
        let named = !matches!(self.layout.segments().last(), Some(Segment::Rest));
        // A folder that cannot be listed: what is in it nobody knows.
        let is_closed = object.path.ends_with('/');
        if hidden || !(named || is_closed || self.format.takes(&object.path)) {
            return;
        }
        let time = values.time();
        if !self.may_hold(values, window) || time.is_none() && self.is_older(&object, window) {
            listing.files_pruned += 1;
            return;
        }
        listing.files.push(DataFile {
            object,
            time,
            partitions: values.partitions.clone(),
            numbers: None,
        });
    }
}

fn says_time(prefix: &Named) -> bool {
    prefix.values.time().is_some()
}

/// The folder of a file and those above it; the location itself is the empty one.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.rmatch_indices('/').map(|(end, _)| end);
    ends.chain(std::iter::once(0)).map(|end| &path[..end])
}
