//! The publish protocol on local disk: one writer a tile, each file put whole, the ledger last.
//!
//! A file is written in a folder of its own, synced, and renamed into place, so that a reader sees all of it or nothing,
//! whenever the process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ledger::{Ledger, OutputRecord};
use crate::error::{Error, Result};
use crate::store::refuse_url;
use crate::time::Window;

/// The output folder of a job.
#[derive(Debug, Clone)]
pub struct Output {
    root: PathBuf,
}

/// The right to write one tile, held until it is dropped.
#[derive(Debug)]
pub struct TileLock {
    _file: File,
}

impl Output {
    /// Opens the output folder, making it where it is missing, and finds out now whether it can be written.
    ///
    /// # Errors
    /// A configuration error that names the folder.
    pub fn open(root: &Path) -> Result<Self> {
        refuse_url(&root.to_string_lossy(), "output")?;
        let output = Self {
            root: root.to_owned(),
        };
        // A name of its own: many runs may start at once.
        let probe = output
            .temporary()
            .join(format!("probe-{}", std::process::id()));
        let written = fs::create_dir_all(output.temporary())
            .and_then(|()| private(&probe).and_then(|mut file| file.write_all(b"lakehunt")))
            .and_then(|()| fs::remove_file(&probe));
        written.map_err(|error| {
            Error::configuration(format!(
                "the output {} cannot be written: {error}",
                root.display()
            ))
            .hint("choose another folder with --output, or change its permissions")
        })?;
        Ok(output)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn temporary(&self) -> PathBuf {
        self.root.join(".tmp")
    }

    /// Takes a tile for writing; `None` while another run has it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock(&self, job: &str, tile: Window) -> Result<Option<TileLock>> {
        let folder = self.root.join(".locks");
        let path = folder.join(format!("{job}_{}.lock", tile.file_stem()));
        let failed = |error: std::io::Error| {
            Error::failure(format!("cannot lock {}: {error}", path.display()))
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(TileLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The ledger of a tile, if it was committed.
    ///
    /// # Errors
    /// When there is one that cannot be read; the tile is then as if it had not run.
    pub fn ledger(&self, job: &str, tile: Window) -> Result<Option<Ledger>> {
        let path = self.root.join(ledger_path(job, tile));
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::failure(format!("the ledger does not parse: {error}")).in_file(&path)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Error::failure(format!("cannot read the ledger: {error}")).in_file(&path))
            }
        }
    }

    /// Publishes a tile: its files, then away with those that are no longer its, then the ledger.
    ///
    /// # Errors
    /// The first file that cannot be written; the ledger then still says what it said before.
    pub fn publish(
        &self,
        _lock: &TileLock,
        job: &str,
        tile: Window,
        files: &BTreeMap<String, Vec<u8>>,
        stale: &BTreeSet<String>,
        mut ledger: Ledger,
    ) -> Result<()> {
        for (path, bytes) in files {
            self.put(path, bytes)?;
            let record = OutputRecord {
                sha256: crate::hex(&Sha256::digest(bytes)),
                size: bytes.len() as u64,
            };
            ledger.outputs.insert(path.clone(), record);
        }
        for path in stale.iter().filter(|path| !files.contains_key(*path)) {
            let path = self.root.join(path);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failure(format!(
                        "cannot remove {}: {error}",
                        path.display()
                    )));
                }
                _ => {}
            }
        }
        let mut bytes = serde_json::to_vec_pretty(&ledger)
            .map_err(|error| Error::failure(error.to_string()))?;
        bytes.push(b'\n');
        self.put(&ledger_path(job, tile), &bytes)
    }

    /// Puts one file whole: written aside, synced, renamed, and its folder synced.
    ///
    /// # Errors
    /// A failure that names the file.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let target = self.root.join(path);
        let folder = target.parent().unwrap_or(&self.root);
        let temporary =
            self.temporary()
                .join(format!("{}-{}", std::process::id(), path.replace('/', "~")));
        let put = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            fs::create_dir_all(self.temporary())?;
            let mut file = private(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, &target)?;
            File::open(folder)?.sync_all()
        };
        put().map_err(|error| {
            // What was written aside is of no use to anybody.
            let _ = fs::remove_file(&temporary);
            Error::failure(format!("cannot write {}: {error}", target.display()))
        })
    }

    /// Every file of a tile that is there now, below findings, alerts and quarantine, relative to the output.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn files_of(&self, job: &str, tile: Window) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for kind in ["findings", "alerts", "quarantine"] {
            let day = format!("{kind}/{}", day_folder(job, tile));
            let Ok(folders) = fs::read_dir(self.root.join(&day)) else {
                continue;
            };
            for folder in folders {
                let folder = folder
                    .map_err(|error| Error::failure(format!("cannot list {day}: {error}")))?;
                let folder = folder.file_name().to_string_lossy().into_owned();
                for suffix in ["parquet", "ndjson"] {
                    let path = format!("{day}/{folder}/{}.{suffix}", tile.file_stem());
                    if self.root.join(&path).exists() {
                        found.insert(path);
                    }
                }
            }
        }
        Ok(found)
    }
}

fn day_folder(job: &str, tile: Window) -> String {
    format!("job={job}/date={}", tile.start.format("%Y-%m-%d"))
}

/// `<kind>/job=<job>/date=<day>/hunt=<hunt>/<start>_<end>.parquet`
pub fn hunt_path(kind: &str, job: &str, tile: Window, hunt: &str) -> String {
    format!(
        "{kind}/{}/hunt={hunt}/{}.parquet",
        day_folder(job, tile),
        tile.file_stem()
    )
}

/// `quarantine/job=<job>/date=<day>/table=<table>/<start>_<end>.ndjson`
pub fn quarantine_path(job: &str, tile: Window, table: &str) -> String {
    format!(
        "quarantine/{}/table={table}/{}.ndjson",
        day_folder(job, tile),
        tile.file_stem()
    )
}

/// `summary/<job>/<start>_<end>.<suffix>`
pub fn summary_path(job: &str, tile: Window, suffix: &str) -> String {
    format!("summary/{job}/{}.{suffix}", tile.file_stem())
}

fn ledger_path(job: &str, tile: Window) -> String {
    format!("ledger/{job}/{}.json", tile.file_stem())
}

/// A new file that only its owner can read: command lines hold passwords.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}
