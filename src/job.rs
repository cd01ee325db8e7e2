//! A job: which hunts, which lake, which grid of tiles, which output. One YAML file in `jobs/`.
//!
//! Pure: paths are resolved against the job file's folder, nothing is opened but the file itself.

pub mod deliver;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::error::{Error, Result, did_you_mean};
use crate::exceptions::{self, Exception, Exceptions};
use crate::hunt::{Hunt, Parameter, Selection, yaml};
use crate::time::{Grid, parse_duration, parse_instant, parse_timezone};
use deliver::Target;

/// The job file as it is written; unknown keys are errors.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JobFile {
    /// The lake file, relative to the job.
    lake: PathBuf,
    /// Which hunts; all of them by default.
    #[serde(default)]
    hunts: Selection,
    /// Which tiles: windows that follow each other without gap or overlap.
    grid: GridFile,
    /// Where the grid begins: a date, or a time in RFC 3339.
    since: Option<String>,
    /// "As if it were then": for sample jobs.
    at: Option<String>,
    /// The output: a folder, relative to the job, or `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`.
    output: PathBuf,
    /// How to reach the bucket of the output; the environment by default.
    credentials: Option<Credentials>,
    /// Other values for parameters: hunt, parameter, value.
    #[serde(default)]
    params: BTreeMap<String, BTreeMap<String, Parameter>>,
    /// An alert whose group alerted within this time before is a repeat; 24h by default.
    suppress: Option<String>,
    /// Findings that somebody has judged: a file relative to the job, or a list.
    exceptions: Option<Exceptions>,
    /// Where alerts go when they are published: name, target.
    #[serde(default)]
    deliver: BTreeMap<String, Target>,
    /// Limits of one run.
    #[serde(default)]
    limits: LimitsFile,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GridFile {
    /// When it runs: five fields, as cron has them.
    cron: String,
    /// Where the window of a run starts, in Splunk's relative time, such as `-1d@d`.
    earliest: String,
    /// Where it ends, such as `@d`.
    latest: String,
    /// The zone of `cron` and of days; UTC by default.
    timezone: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    /// Memory for the hunts, such as `2GiB`.
    memory: Option<String>,
    /// How long one hunt may take; 10m by default.
    hunt_timeout: Option<String>,
    /// Findings kept per hunt and tile; 10000 by default.
    max_findings: Option<usize>,
}

/// The JSON Schema of a job.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(JobFile)
}

/// Limits of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes the query engine may hold; `None` for the default.
    pub memory: Option<usize>,
    /// How long one hunt may take.
    pub hunt_timeout: Duration,
    /// Findings kept per hunt and tile; more are cut and marked.
    pub max_findings: usize,
}

/// One job, checked.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file stem, such as `nightly`.
    pub name: String,
    /// The job file.
    pub path: PathBuf,
    /// The lake file.
    pub lake: PathBuf,
    /// Which hunts.
    pub hunts: Selection,
    /// Which tiles.
    pub grid: Grid,
    /// A fixed "now", for sample jobs.
    pub at: Option<DateTime<Utc>>,
    /// The output: a folder or a URL.
    pub output: PathBuf,
    /// How to reach the bucket of the output.
    pub credentials: Option<Credentials>,
    /// Hunt to parameter to value.
    pub params: BTreeMap<String, BTreeMap<String, Parameter>>,
    /// An alert whose group alerted within this time before is a repeat.
    pub suppress: Duration,
    /// Findings that somebody has judged, of all hunts.
    pub exceptions: Vec<Exception>,
    /// Where alerts go when they are published.
    pub deliver: BTreeMap<String, Target>,
    /// Limits of one run.
    pub limits: Limits,
    text: String,
}

impl Job {
    /// Reads and checks a job file.
    ///
    /// # Errors
    /// A configuration error with file and place: it cannot be read, has unknown or missing keys, a bad cron, time or
    /// duration, a grid with gaps or overlaps.
    pub fn read(path: &Path) -> Result<Self> {
        let (file, text): (JobFile, String) = yaml::read(path, "job").map_err(|error| {
            if error.message().starts_with("expected keys and values") {
                return error.hint("a job has the keys lake, hunts, grid and output");
            }
            error
        })?;
        let place = |key: &str, message: String| locate(&text, path, key, message);
        let folder = path.parent().unwrap_or(Path::new(""));
        let timezone = file.grid.timezone.as_deref().unwrap_or("UTC");
        let zone = parse_timezone(timezone).map_err(|e| place("timezone", e.to_string()))?;
        let instant = |key: &str, value: &Option<String>| match value {
            Some(value) => parse_instant(value, zone)
                .map(Some)
                .map_err(|e| place(key, format!("{key}: {e}"))),
            None => Ok(None),
        };
        let duration = |key: &str, value: &Option<String>, default: Duration| match value {
            Some(value) => parse_duration(value).map_err(|e| place(key, format!("{key}: {e}"))),
            None => Ok(default),
        };
        let GridFile {
            cron,
            earliest,
            latest,
            ..
        } = &file.grid;
        let grid = Grid::new(cron, earliest, latest, zone, instant("since", &file.since)?)
            .map_err(|error| {
                // The error quotes what is wrong: that key's line, else the grid's.
                let message = error.to_string();
                let keys = [("cron", cron), ("earliest", earliest), ("latest", latest)];
                let quoted = |text: &String| message.contains(&format!("`{text}`"));
                let key = keys.into_iter().find(|(_, text)| quoted(text));
                place(
                    key.map_or("grid", |(key, _)| key),
                    format!("grid: {message}"),
                )
            })?;
        let memory = file.limits.memory.as_deref().map(|value| {
            parse_bytes(value).map_err(|e| {
                place("memory", format!("memory: {}", e.message()))
                    .maybe_hint(e.hint_text().map(str::to_owned))
            })
        });
        let exceptions = match file.exceptions {
            None => Vec::new(),
            Some(Exceptions::File(file)) => exceptions::read(&join(folder, &file), zone)?,
            Some(Exceptions::List(list)) => exceptions::check(list, path, &text, zone)?,
        };
        if let Some((name, message)) = deliver::mistake(&file.deliver) {
            return Err(place(name, message));
        }
        let resolved = file.deliver.into_iter().map(|(name, target)| {
            let at = |path: Option<PathBuf>| path.map(|path| join(folder, &path));
            let target = Target {
                file: at(target.file),
                folder: at(target.folder),
                ..target
            };
            (name, target)
        });
        Ok(Self {
            name: path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path: path.to_owned(),
            lake: join(folder, &file.lake),
            at: instant("at", &file.at)?,
            suppress: duration("suppress", &file.suppress, Duration::hours(24))?,
            limits: Limits {
                memory: memory.transpose()?,
                hunt_timeout: duration(
                    "hunt_timeout",
                    &file.limits.hunt_timeout,
                    Duration::minutes(10),
                )?,
                max_findings: file.limits.max_findings.unwrap_or(10_000),
            },
            exceptions,
            deliver: resolved.collect(),
            hunts: file.hunts,
            grid,
            output: join(folder, &file.output),
            credentials: file.credentials,
            params: file.params,
            text,
        })
    }

    /// An error at the line of the job file that holds a key or a name.
    pub fn error_at(&self, word: &str, message: impl Into<String>) -> Error {
        locate(&self.text, &self.path, word, message.into())
    }

    /// The parameters of a hunt with this job's overrides.
    ///
    /// # Errors
    /// An override of a parameter that the hunt does not have, or of another type than its own.
    pub fn parameters(&self, hunt: &Hunt) -> Result<BTreeMap<String, Parameter>> {
        let mut parameters = hunt.front_matter.params.clone();
        for (name, value) in self.params.get(&hunt.name).into_iter().flatten() {
            let about = format!("params: hunt `{}`", hunt.name);
            let Some(parameter) = parameters.get_mut(name) else {
                let hint = did_you_mean(name, parameters.keys().map(String::as_str));
                let message = format!("{about} has no parameter `{name}`");
                return Err(self.error_at(name, message).maybe_hint(hint));
            };
            let fits = match (&*parameter, value) {
                (Parameter::Float(_), Parameter::Int(_)) => true,
                (own, given) => std::mem::discriminant(own) == std::mem::discriminant(given),
            };
            if !fits {
                let message =
                    format!("{about}: `{name}` is {value}, where its default is {parameter}");
                return Err(self
                    .error_at(name, message)
                    .hint("an override has the type of its default: number, text, true or false"));
            }
            *parameter = value.clone();
        }
        Ok(parameters)
    }
}

/// Joins and tidies `a/../b`, because these paths are shown to people.
fn join(folder: &Path, path: &Path) -> PathBuf {
    // A URL is relative to nothing.
    if path.to_string_lossy().contains("://") {
        return path.to_owned();
    }
    let mut joined = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir
                if matches!(
                    joined.components().next_back(),
                    Some(std::path::Component::Normal(_))
                ) =>
            {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined
}

/// An error at the first line that holds a word: as a key, else anywhere.
fn locate(text: &str, path: &Path, word: &str, message: String) -> Error {
    let find = |needle: &str| {
        let mut lines = text.lines().enumerate();
        lines.find_map(|(index, line)| {
            let content = line.split('#').next().unwrap_or_default();
            content.find(needle).map(|at| (index + 1, at + 1))
        })
    };
    let error = Error::configuration(message);
    match find(&format!("{word}:")).or_else(|| find(word)) {
        Some((line, column)) => error.at(path, line, column, text),
        None => error.in_file(path),
    }
}

/// Parses a size such as `2GiB`, `512MB` or `1048576` (bytes).
///
/// ```
/// assert_eq!(lakehunt::job::parse_bytes("2GiB").unwrap(), 2 << 30);
/// assert!(lakehunt::job::parse_bytes("2 elephants").is_err());
/// ```
///
/// # Errors
/// A configuration error that names the text and shows the accepted units.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let error = || {
        Error::configuration(format!("`{text}` is not a size in bytes"))
            .hint("write it as 2GiB, 512MiB, 1.5GB or a plain number of bytes")
    };
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err(error()),
    };
    let bytes = number.parse::<f64>().map_err(|_| error())? * factor;
    if !(1.0..1e15).contains(&bytes) {
        return Err(error());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("512MiB", 512 << 20),
            ("1.5GB", 1_500_000_000),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "-1", "GiB", "0", "1TBB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_tidied() {
        assert_eq!(
            join(Path::new("jobs"), Path::new("../data/lake.yaml")),
            Path::new("data/lake.yaml")
        );
        assert_eq!(
            join(Path::new("../jobs"), Path::new("../out")),
            Path::new("../out")
        );
        assert_eq!(
            join(Path::new("jobs"), Path::new("/abs")),
            Path::new("/abs")
        );
    }
}
