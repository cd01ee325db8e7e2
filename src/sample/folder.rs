//! The folder around the data: whether it may be written, `lake.yaml`, and `answers.json`, which is written last and marks a
//! complete lake. It knows nothing of events.

use std::fs;
use std::io;
use std::path::{Component, Path};

use super::answers::{Answers, MADE_BY};
use super::{SampleError, Summary};

const ANSWERS: &str = "answers.json";
const LAKE: &str = "lake.yaml";

const HEAD: &str = "\
# Sample lake, made by `lakehunt sample`; answers.json says what is planted.
tables:
";

const LINES: &str = "  # Workstations: Sysmon as flattened EVTX, a folder for each UTC day.
  sysmon:
    location: sysmon/
    form: windows_event
    format: ndjson
    layout: \"day={time:%Y-%m-%d}/**\"
  # Their Security, WMI-Activity and PowerShell logs, and the servers'.
  security:
    location: security/
    form: windows_event
    format: ndjson
    layout: \"day={time:%Y-%m-%d}/**\"
  # The New York branch: all logs through nxlog. EventTime and the folders are in its local time, hence the slack.
  nxlog:
    location: nxlog/
    form: nxlog
    format: ndjson
    timezone: America/New_York
    layout: \"{time:%Y}/{time:%m}/{time:%d}/**\"
    slack: 1d
";

const OTHERS: &str = "  # CrowdStrike hosts, as Falcon Data Replicator delivers: batches whose paths tell no time.
  fdr:
    location: fdr/
    form: crowdstrike_fdr
    format: ndjson
    layout: \"data/{batch}/part-*.gz\"
  # Defender hosts: processes and connections, a container each, by the hour of arrival.
  defender:
    location: defender/
    form: defender
    format: ndjson
    layout: \"insights-logs-advancedhunting-*/y={time:%Y}/m={time:%m}/d={time:%d}/h={time:%H}/m=00/*.json\"
    slack: 1h
  # Hosts of a Sentinel workspace: their Security log alone.
  sentinel:
    location: sentinel/
    form: sentinel
    format: ndjson
    layout: \"WorkspaceResourceId=/subscriptions/*/resourcegroups/*/providers/*/workspaces/{workspace}/y={time:%Y}/m={time:%m}/d={time:%d}/h={time:%H}/m=00/*.json\"
    slack: 1h
  # Laboratory hosts in a Security Lake: a class of OCSF events a table.
  ocsf_process:
    location: ocsf_process/
    form: ocsf
    format: parquet
    layout: \"ext/*/region={region}/accountId={account}/eventDay={time:%Y%m%d}/*.parquet\"
  ocsf_network:
    location: ocsf_network/
    form: ocsf
    format: parquet
    layout: \"ext/*/region={region}/accountId={account}/eventDay={time:%Y%m%d}/*.parquet\"
  # The network sensor: conn and dce_rpc.
  zeek:
    location: zeek/
    form: zeek
    format: ndjson
    layout: \"{time:%Y-%m-%d}/*.log.gz\"
";

const COLUMNS: &str =
    "  # Servers: Sysmon as Parquet, sorted by time, a row group for each six hours.
  sysmon_servers:
    location: sysmon_servers/
    form: windows_event
    format: parquet
    layout: \"day={time:%Y-%m-%d}/**\"
";

/// Makes the folder if it is missing. If it holds a lake of ours, removes exactly the files of that lake; anything else
/// in it stays. A folder with other things in it and no lake of ours is refused.
pub(crate) fn prepare(dir: &Path) -> Result<(), SampleError> {
    let read = |source: io::Error| SampleError::Read {
        path: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(|source| SampleError::write(dir, source))?;
    if fs::read_dir(dir).map_err(read)?.next().is_none() {
        return Ok(());
    }
    let not_ours = || SampleError::NotOurs {
        path: dir.to_owned(),
    };
    let text = fs::read(dir.join(ANSWERS)).map_err(|_| not_ours())?;
    let answers: Answers = serde_json::from_slice(&text).map_err(|_| not_ours())?;
    if answers.made_by != MADE_BY {
        return Err(not_ours());
    }
    // A path that leaves the folder is not ours, whatever answers.json says.
    let inside = |file: &String| {
        let mut components = Path::new(file).components();
        components.all(|component| matches!(component, Component::Normal(_)))
    };
    for file in answers.files.iter().filter(|file| inside(file)) {
        let path = dir.join(file);
        remove(&path)?;
        // Folders that are left empty would look like days without data; one that is not empty refuses, and stays.
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != dir) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    remove(&dir.join(LAKE))?;
    remove(&dir.join(ANSWERS))
}

fn remove(path: &Path) -> Result<(), SampleError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SampleError::write(path, source))
        }
        _ => Ok(()),
    }
}

/// Writes `lake.yaml` and then `answers.json`, and adds everything up.
pub(crate) fn finish(
    dir: &Path,
    parquet_only: bool,
    answers: &Answers,
) -> Result<Summary, SampleError> {
    let (lines, others) = if parquet_only {
        ("", "")
    } else {
        (LINES, OTHERS)
    };
    let lake = format!("{HEAD}{lines}{COLUMNS}{others}");
    let path = dir.join(LAKE);
    fs::write(&path, &lake).map_err(|source| SampleError::write(&path, source))?;
    let path = dir.join(ANSWERS);
    let mut text = serde_json::to_vec_pretty(answers)
        .map_err(|error| SampleError::write(&path, error.into()))?;
    text.push(b'\n');
    fs::write(&path, &text).map_err(|source| SampleError::write(&path, source))?;
    let mut bytes = (lake.len() + text.len()) as u64;
    for file in &answers.files {
        let path = dir.join(file);
        bytes += fs::metadata(&path)
            .map_err(|source| SampleError::Read {
                path: path.clone(),
                source,
            })?
            .len();
    }
    Ok(Summary {
        files: answers.files.len() as u64 + 2,
        bytes,
        events: answers.events,
        planted: answers.planted.len() as u64,
    })
}
