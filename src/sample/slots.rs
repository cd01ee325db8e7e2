//! How files are laid out: which path an event's file has. Each layout cuts time into slots of its own. It knows nothing of
//! what files hold.

use super::event::Event;
use super::falcon::put_uuid;
use super::forms::Shape;
use super::rng::spread;
use super::text::{DAY, SECOND, new_york_offset, put_date, put_padded, text_of};

const HOUR: i64 = 3600 * SECOND;
/// How long a batch of replicated data gathers.
const BATCH: i64 = 6 * HOUR;

/// A layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slots {
    /// `day=2026-01-03/`, UTC.
    Days,
    /// `2026/01/03/`, the day of New York, from the event's own local time.
    NewYork,
    /// `data/<uuid>/part-00000`, by receipt: the path says nothing of time.
    Batches,
    /// `<before>/y=2026/m=01/d=03/h=14/m=00/PT1H.json`, by arrival.
    Hours(&'static str),
    /// `2026-01-03/conn-0000.log`.
    Logs,
}

impl Slots {
    pub(crate) fn of_shape(shape: Shape) -> Self {
        match shape {
            Shape::Flat => Self::Days,
            Shape::Nxlog => Self::NewYork,
            Shape::Falcon => Self::Batches,
            Shape::Sentinel => Self::Hours(
                "WorkspaceResourceId=/subscriptions/7d1f9b60-41c3-4e0a-8f52-0b9c6a3de871/resourcegroups/corp-soc/providers/microsoft.operationalinsights/workspaces/corp-law",
            ),
            Shape::Defender => Self::Hours("insights-logs-advancedhunting-deviceprocessevents"),
            Shape::Zeek => Self::Logs,
        }
    }

    /// The slot that an event's file is for.
    pub(crate) fn of(self, event: &Event<'_>) -> i64 {
        match self {
            Self::Days | Self::Logs => event.at.div_euclid(DAY),
            Self::NewYork => (event.logged + new_york_offset(event.logged)).div_euclid(DAY),
            Self::Batches => event.logged.div_euclid(BATCH),
            Self::Hours(_) => event.logged.div_euclid(HOUR),
        }
    }

    /// The day that a slot belongs to.
    pub(crate) fn day(self, slot: i64) -> i64 {
        match self {
            Self::Days | Self::NewYork | Self::Logs => slot,
            Self::Batches => slot.div_euclid(DAY / BATCH),
            Self::Hours(_) => slot.div_euclid(DAY / HOUR),
        }
    }

    /// Folder and name, without the ending of a compression. Without a part: what is delivered again.
    pub(crate) fn path(self, slot: i64, stem: &str, part: Option<u32>) -> (String, String) {
        let padded = |width| {
            part.map_or("redelivered".to_owned(), |part| {
                text_of(|out| put_padded(out, u64::from(part), width))
            })
        };
        let date = text_of(|out| put_date(out, self.day(slot)));
        match self {
            Self::Days => (
                format!("day={date}"),
                format!("{stem}-{}.ndjson", padded(4)),
            ),
            Self::NewYork => (
                date.replace('-', "/"),
                format!("{stem}-{}.ndjson", padded(4)),
            ),
            Self::Logs => (date, format!("{stem}-{}.log", padded(4))),
            Self::Batches => {
                let mut state = slot.unsigned_abs();
                let (high, low) = (spread(&mut state), spread(&mut state));
                let batch = text_of(|out| put_uuid(out, high, low));
                (format!("data/{batch}"), format!("part-{}", padded(5)))
            }
            Self::Hours(before) => {
                let hour = slot.rem_euclid(DAY / HOUR);
                let mut pieces = date.splitn(3, '-');
                let mut piece = || pieces.next().unwrap_or("");
                let (year, month, day) = (piece(), piece(), piece());
                let folder = format!("{before}/y={year}/m={month}/d={day}/h={hour:02}/m=00");
                let name = match part {
                    Some(0) => "PT1H.json".to_owned(),
                    Some(part) => format!("PT1H_{part}.json"),
                    None => "PT1H_redelivered.json".to_owned(),
                };
                (folder, name)
            }
        }
    }

    /// The empty file that says a batch is complete, beside the file given.
    pub(crate) fn marker(self, file: &str) -> Option<String> {
        let (folder, _) = file.rsplit_once('/')?;
        (self == Self::Batches).then(|| format!("{folder}/_SUCCESS"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_products() {
        let hour = 20_456 * 24 + 14;
        let hours = Slots::Hours("x");
        assert_eq!(hours.day(hour), 20_456);
        let (folder, name) = hours.path(hour, "law", Some(0));
        assert_eq!(folder, "x/y=2026/m=01/d=03/h=14/m=00");
        assert_eq!(name, "PT1H.json");
        assert_eq!(hours.path(hour, "law", Some(2)).1, "PT1H_2.json");
        let (folder, name) = Slots::Batches.path(20_456 * 4 + 1, "fdr", Some(0));
        assert_eq!((folder.len(), name.as_str()), (5 + 36, "part-00000"));
        assert_eq!(folder.as_bytes()[5 + 14], b'4', "a random UUID: {folder}");
        assert_eq!(
            Slots::Batches.marker("data/a/part-00000.gz").unwrap(),
            "data/a/_SUCCESS"
        );
        assert_eq!(Slots::Days.marker("day=2026-01-03/x"), None);
        let (folder, name) = Slots::Logs.path(20_456, "conn", Some(0));
        assert_eq!(
            (folder.as_str(), name.as_str()),
            ("2026-01-03", "conn-0000.log")
        );
    }
}
