//! The window of a session where none is given: the last 24 hours of the data.

use chrono::{DateTime, Duration, Utc};

use crate::error::Result;
use crate::lake::Lake;
use crate::time::Window;

/// How far back the newest folder is looked for, step by step, in days.
const STEPS: [i64; 4] = [2, 40, 800, 40_000];

/// The last 24 hours of the data by the times that paths hold, not after `now`; `None` where no path holds one.
///
/// # Errors
/// Never so far: a table that cannot be listed says so when it is asked.
pub async fn last_day(lake: &Lake, now: DateTime<Utc>) -> Result<Option<Window>> {
    let mut timed: Vec<_> = lake.tables.values().collect();
    for days in STEPS {
        let Ok(probe) = Window::new(now - Duration::days(days), now + Duration::days(2)) else {
            continue;
        };
        let mut newest: Option<DateTime<Utc>> = None;
        let mut still = Vec::new();
        for table in timed {
            let Ok(listing) = table.list(Some(probe)).await else {
                continue;
            };
            let times = listing.files.iter().filter_map(|file| file.time);
            let last = times.map(|time| time.end).max();
            newest = newest.max(last);
            // Where files have no time in their paths, looking further back shows the same.
            if last.is_some() || listing.files.is_empty() {
                still.push(table);
            }
        }
        if let Some(end) = newest {
            let end = end.min(now);
            return Ok(Window::new(end - Duration::hours(24), end).ok());
        }
        timed = still;
    }
    Ok(None)
}
