//! The folder a test of the binary works in, what it may hold, and the filters that make what is printed the same on
//! every run.
//!
//! A workspace of the repository holds links to its `data`, `jobs` and `sql`: the sample lake is read in place, arguments
//! and messages have the paths a user would see, and what a job writes lands beside the links, in the workspace.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use lakehunt::hunt::Hunt;
use lakehunt::output::value;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lakehunt");

/// What of the environment changes what is printed.
const ENVIRONMENT: [&str; 6] = [
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "TERM",
    "RUST_BACKTRACE",
];

/// What a run printed, and how it ended.
pub(crate) struct Printed {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Printed {
    /// Runs a command.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "not one JSON document: {error}\n{}\n{}",
                self.stdout, self.stderr
            )
        })
    }
}

/// A temporary folder, gone when it is dropped.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder with links to the repository's `data`, `jobs` and `sql`.
    pub(crate) fn of_repository() -> Self {
        let workspace = Self::empty();
        for part in ["data", "jobs", "sql"] {
            symlink(repository().join(part), workspace.path(part)).unwrap();
        }
        workspace
    }

    /// A folder with a job over a lake of one table `events` in `lake/events`, and the repository's `sql`.
    pub(crate) fn with_one_table() -> Self {
        let workspace = Self::empty();
        symlink(repository().join("sql"), workspace.path("sql")).unwrap();
        workspace.write("jobs/night.yaml", JOB);
        workspace.write("lake/lake.yaml", LAKE);
        workspace.write("lake/events/day=2026-01-01/good.ndjson", events(0..3));
        workspace
    }

    /// The same with a copy of `sql` instead of a link, for hunts to be added.
    pub(crate) fn with_own_hunts() -> Self {
        let workspace = Self::with_one_table();
        fs::remove_file(workspace.path("sql")).unwrap();
        copy(&repository().join("sql"), &workspace.path("sql"));
        workspace
    }

    /// A path inside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, inside: &str, content: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The binary, to be started in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.current_dir(self.folder.path()).args(arguments);
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Printed {
        Printed::of(&mut self.command(arguments))
    }

    /// Runs the binary, which must end with 0.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert_eq!(
            printed.code, 0,
            "{arguments:?}\n{}\n{}",
            printed.stdout, printed.stderr
        );
        printed
    }

    /// The files below a folder by their paths relative to it, with the SHA-256 of their bytes.
    pub(crate) fn hashes(&self, folder: &str) -> BTreeMap<String, String> {
        hashes_of(&self.path(folder))
    }

    /// The hashes of what a run publishes: findings, alerts, quarantine and the ledger.
    pub(crate) fn published(&self, output: &str) -> BTreeMap<String, String> {
        let mut all = self.hashes(output);
        all.retain(|path, _| {
            ["findings/", "alerts/", "quarantine/", "ledger/"]
                .iter()
                .any(|kind| path.starts_with(kind))
        });
        all
    }

    /// The hashes of the summaries that say nothing but their tile: the page also shows what had run when it was made.
    pub(crate) fn summaries(&self, output: &str) -> BTreeMap<String, String> {
        let mut all = self.hashes(&format!("{output}/summary"));
        all.retain(|path, _| path.rsplit('.').next() != Some("html"));
        all
    }

    /// Every alert below an output folder, with `job`, `date` and `hunt` from its path.
    pub(crate) fn alerts(&self, output: &str) -> Vec<Map<String, Value>> {
        let mut alerts = Vec::new();
        for path in self.published(output).keys() {
            if !path.starts_with("alerts/") {
                continue;
            }
            for batch in parquet(&self.path(output).join(path)) {
                for row in 0..batch.num_rows() {
                    let mut alert = Map::new();
                    for piece in path.split('/').filter_map(|piece| piece.split_once('=')) {
                        alert.insert(piece.0.to_owned(), piece.1.into());
                    }
                    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                        let column: &dyn Array = column.as_ref();
                        alert.insert(field.name().clone(), value::json(column, row));
                    }
                    alerts.push(alert);
                }
            }
        }
        alerts
    }

    /// A JSON file.
    pub(crate) fn json(&self, inside: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(inside)).unwrap()).unwrap()
    }

    /// The records of all quarantine files, each with its `table` from the path.
    pub(crate) fn quarantine(&self, output: &str) -> Vec<Value> {
        let mut records = Vec::new();
        for path in self.published(output).keys() {
            if !path.starts_with("quarantine/") {
                continue;
            }
            let table = path
                .split('/')
                .find_map(|piece| piece.strip_prefix("table="));
            for line in fs::read_to_string(self.path(output).join(path))
                .unwrap()
                .lines()
            {
                let mut record: Value = serde_json::from_str(line).unwrap();
                record["table"] = table.unwrap().into();
                records.push(record);
            }
        }
        records
    }

    /// Binds the filters for what differs from run to run.
    pub(crate) fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        let folder = self.folder.path().to_string_lossy();
        settings.add_filter(&regex::escape(&folder), "[FOLDER]");
        settings.add_filter(
            r"took [^,]+, peak memory [\d.]+ \w+",
            "took [TIME], peak memory [MEMORY]",
        );
        settings.add_filter(r"took [\d.]+ ?m?s\b", "took [TIME]");
        settings.add_filter(r"files of [\d.]+ [KM]iB", "files of [SIZE]");
        settings.add_filter(&regex::escape(env!("CARGO_PKG_VERSION")), "[VERSION]");
        settings
    }
}

/// The files below a folder by their paths relative to it, with the SHA-256 of their bytes.
pub(crate) fn hashes_of(root: &Path) -> BTreeMap<String, String> {
    let mut found = Vec::new();
    list(root, &mut found);
    let hash = |path: &PathBuf| {
        let digest = Sha256::digest(fs::read(path).unwrap());
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    found
        .iter()
        .map(|path| (relative(path, root), hash(path)))
        .collect()
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The batches of a Parquet file.
pub(crate) fn parquet(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let mut found = Vec::new();
    list(from, &mut found);
    for path in found {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
}

/// A job over whole days with one cheap hunt.
pub(crate) const JOB: &str = "\
lake: ../lake/lake.yaml
hunts: {names: [wmic_format]}
grid: {cron: \"0 2 * * *\", earliest: \"-1d@d\", latest: \"@d\"}
since: 2026-01-01T00:00:00Z
at: 2026-01-02T02:00:00Z
output: ../out
";

/// A lake of one table.
pub(crate) const LAKE: &str = "\
tables:
  events:
    location: events/
    form: windows_event
    format: ndjson
    layout: \"day={time:%Y-%m-%d}/**\"
";

/// Whether a hunt is about attacks that events show, and neither about what other hunts found nor about the sources.
pub(crate) fn is_of_attacks(hunt: &Hunt) -> bool {
    let tags = &hunt.front_matter.tags;
    !tags.iter().any(|tag| tag.starts_with("lakehunt."))
}

/// One Sysmon process creation of 2026-01-01 with a newline; every tenth is a hit of `wmic_format`.
pub(crate) fn event(number: u64) -> String {
    let command = if number.is_multiple_of(10) {
        format!("wmic process list /format:csv {number}")
    } else {
        format!("wmic process {number}")
    };
    event_at(
        &format!(
            "2026-01-01 10:{:02}:{:02}.000",
            number / 60 % 60,
            number % 60
        ),
        number,
        &command,
    )
}

/// One Sysmon process creation of wmic.exe with a newline.
pub(crate) fn event_at(time: &str, number: u64, command: &str) -> String {
    let event = serde_json::json!({
        "EventRecordID": number,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 1,
        "Computer": "WS-1.corp.example",
        "UtcTime": time,
        "ProcessId": 1000 + number,
        "Image": r"C:\Windows\System32\wbem\WMIC.exe",
        "CommandLine": command,
        "User": r"CORP\ann",
    });
    format!("{event}\n")
}

/// Several of [`event`].
pub(crate) fn events(numbers: std::ops::Range<u64>) -> String {
    numbers.map(event).collect()
}
