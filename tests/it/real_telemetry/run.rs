//! Hunts over a lake of these tests, in one pass, and where in the telemetry their rows come from.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use lakehunt::engine::{Engine, TableScan};
use lakehunt::hunt::{Content, Hunt};
use lakehunt::lake::{FileReport, Lake, LakeFile};
use lakehunt::output::value;
use lakehunt::time::{Window, parse_duration};
use serde_json::Value;

use super::{Place, Row};

/// The telemetry, as the lake files of these tests write it.
const DATA: &str = "../../../shared/data/";
/// What one run of some hunts gave.
pub(super) struct Run {
    /// Rows by hunt.
    pub(super) rows: BTreeMap<String, Vec<Row>>,
    /// What was read, by table.
    pub(super) scans: BTreeMap<String, TableScan>,
    /// Folder of each table, as the answers write it.
    pub(super) folders: BTreeMap<String, String>,
}

/// The folder of the telemetry, where it is there.
pub(crate) fn data_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lakes")
        .join(DATA);
    folder.is_dir().then_some(folder)
}

/// Hunts, views and forms of this project.
pub(super) fn content() -> Content {
    Content::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).unwrap()
}

/// Runs hunts over a lake of these tests, over all time, in one pass.
pub(super) fn run(lake: &str, hunts: &[Hunt]) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lakes")
        .join(lake);
    let folders = LakeFile::read(&path).unwrap().tables;
    let folders = folders
        .into_iter()
        .map(|(name, table)| (name, table.location.strip_prefix(DATA).unwrap().to_owned()))
        .collect();
    let lake = Arc::new(Lake::open(&path, &content()).unwrap());
    let engine = Engine::new(Arc::clone(&lake), None).unwrap();
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    let all_time = Window::new(year(2000), year(2100)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (outcomes, scans) = runtime.block_on(async {
        let mut sessions = Vec::new();
        let mut planned = Vec::new();
        let mut by_lookback = BTreeMap::new();
        for hunt in hunts {
            let lookback = hunt.front_matter.lookback.as_deref();
            let lookback = lookback.map_or(TimeDelta::zero(), |text| parse_duration(text).unwrap());
            let scope = all_time.extended(lookback, TimeDelta::zero());
            if let Entry::Vacant(entry) = by_lookback.entry(lookback) {
                let session = engine.session(Some(scope), Some(all_time)).await;
                entry.insert(Arc::new(session.unwrap()));
            }
            let session = Arc::clone(&by_lookback[&lookback]);
            let parameters = hunt.front_matter.params.clone();
            let plan = session.plan_hunt(hunt, &lake, lookback, &parameters).await;
            planned.push(plan.unwrap_or_else(|error| panic!("{error}")));
            sessions.push(session);
        }
        engine
            .run(
                &|hunt| Arc::clone(&sessions[hunt]),
                &planned,
                all_time,
                Duration::from_mins(5),
                &|_, _| {},
            )
            .await
            .unwrap()
    });
    let mut rows = BTreeMap::new();
    for outcome in outcomes {
        let name = &hunts[outcome.hunt].name;
        let mut own = Vec::new();
        for batch in outcome
            .rows
            .unwrap_or_else(|error| panic!("{name}: {error}"))
        {
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let fields = schema.fields().iter().zip(batch.columns());
                let fields =
                    fields.map(|(field, column)| (field.name().clone(), value::json(column, row)));
                own.push(fields.collect());
            }
        }
        rows.insert(name.clone(), own);
    }
    Run {
        rows,
        scans,
        folders,
    }
}

impl Run {
    pub(super) fn rows(&self, hunt: &str) -> &[Row] {
        self.rows
            .get(hunt)
            .unwrap_or_else(|| panic!("no hunt {hunt}"))
    }

    /// Each file that was read, by the name the answers have for it.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, &FileReport)> {
        self.scans.iter().flat_map(|(table, scan)| {
            let files = scan.files.iter();
            files.map(|file| (self.named(table, &file.object.path), file))
        })
    }

    pub(super) fn named(&self, table: &str, file: &str) -> String {
        format!("{}{file}", self.folders[table])
    }

    /// The raw events behind a row: of its evidence, or the one it is.
    pub(super) fn places(&self, row: &Row) -> BTreeSet<Place> {
        let place = |event: &Row, [table, file, line]: [&str; 3]| {
            let table = event[table].as_str().unwrap();
            let file = event[file].as_str().unwrap();
            (self.named(table, file), event[line].as_u64().unwrap())
        };
        match row.get("evidence") {
            Some(evidence) => {
                let events = evidence.as_array().unwrap().iter();
                let places: Vec<_> = events
                    .map(|event| place(event.as_object().unwrap(), ["table", "file", "row"]))
                    .collect();
                assert_eq!(
                    row["event_count"],
                    places.len(),
                    "each event is evidence: {row:?}"
                );
                places.into_iter().collect()
            }
            None => BTreeSet::from([place(row, ["_table", "_file", "_row"])]),
        }
    }

    /// The raw events behind all rows of a hunt, and those that are behind two.
    pub(super) fn all_places(&self, hunt: &str) -> (BTreeSet<Place>, BTreeSet<Place>) {
        let mut all = BTreeSet::new();
        let mut twice = BTreeSet::new();
        for row in self.rows(hunt) {
            for place in self.places(row) {
                if !all.insert(place.clone()) {
                    twice.insert(place);
                }
            }
        }
        (all, twice)
    }

    /// What `process_creation` says of each raw event.
    pub(super) fn processes(&self) -> BTreeMap<Place, &Row> {
        self.by_place("processes")
    }

    /// The rows of a hunt whose rows are events, by these events.
    pub(super) fn by_place(&self, hunt: &str) -> BTreeMap<Place, &Row> {
        let rows = self.rows(hunt).iter();
        rows.map(|row| (self.places(row).pop_first().unwrap(), row))
            .collect()
    }

    /// The table that a file is in.
    pub(super) fn table_of(&self, file: &str) -> &TableScan {
        let (table, _) = self
            .scans
            .iter()
            .find(|(table, scan)| {
                scan.files
                    .iter()
                    .any(|read| self.named(table, &read.object.path) == file)
            })
            .unwrap();
        &self.scans[table]
    }
}

/// Some lines of the files, as they are.
pub(super) fn lines(places: &BTreeSet<Place>) -> BTreeMap<Place, Value> {
    let folder = data_folder().unwrap();
    let mut by_file: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (file, line) in places {
        by_file.entry(file).or_default().insert(*line);
    }
    let mut found = BTreeMap::new();
    for (file, wanted) in by_file {
        let mut reader = BufReader::new(flate2::read::MultiGzDecoder::new(
            File::open(folder.join(file)).unwrap(),
        ));
        let mut line = Vec::new();
        for number in 1..=*wanted.last().unwrap() {
            line.clear();
            reader.read_until(b'\n', &mut line).unwrap();
            if wanted.contains(&number) {
                found.insert(
                    (file.to_owned(), number),
                    serde_json::from_slice(&line).unwrap(),
                );
            }
        }
    }
    found
}
