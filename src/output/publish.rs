//! The publish protocol: one writer a tile, each file put whole, the ledger last.
//!
//! On local disk an OS file lock keeps other writers out; in a bucket a lease does, and the ledger is put only over the
//! version that was seen when it was taken. A reader sees all of a file or nothing, whenever the process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::lease::{Lease, nonce};
use super::ledger::{Ledger, OutputRecord};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::store::{Address, Location, Put, Version};
use crate::time::Window;

/// The output of a job: a folder, or a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct Output {
    root: PathBuf,
    location: Location,
}

/// The right to write one tile, held until it is dropped or, in a bucket, released.
#[derive(Debug)]
pub enum TileLock {
    /// On local disk.
    File(File),
    /// In a bucket, with the version of the ledger that was there when it was taken.
    Lease(Lease, Version),
}

impl Output {
    /// Opens the output, making a folder where it is missing, and finds out now whether it can be written.
    ///
    /// # Errors
    /// A configuration error that names it: it cannot be written, or it is a bucket that ignores conditions.
    pub async fn open(root: &Path, credentials: Option<&Credentials>) -> Result<Self> {
        let unwritable = |error: &dyn std::fmt::Display| {
            Error::configuration(format!(
                "the output {} cannot be written: {error}",
                root.display()
            ))
            .hint("choose another folder with --output, or change its permissions")
        };
        let address = Address::parse(&root.to_string_lossy(), "output")?;
        let Address::Local(folder) = &address else {
            let output = Self {
                root: address.shown(),
                location: Location::open(&address, credentials)?,
            };
            let probed = output.probe().await;
            probed.map_err(|error| unwritable(&error.message()))?;
            return Ok(output);
        };
        // With what is written aside, which says sooner that a file is in the way.
        fs::create_dir_all(folder.join(".tmp")).map_err(|error| unwritable(&error))?;
        let output = Self {
            root: folder.clone(),
            location: Location::open(&address, credentials)?,
        };
        output
            .location
            .probe()
            .map_err(|error| unwritable(&error))?;
        Ok(output)
    }

    /// Finds out whether a bucket can be written and heeds conditions: without them two runs could write one tile.
    async fn probe(&self) -> Result<()> {
        let path = format!(".locks/probe-{}", nonce());
        let put = |text: &'static str| {
            let bytes = Bytes::from_static(text.as_bytes());
            self.location.put_over(&path, bytes, &Version::Absent)
        };
        let (first, second) = (put("one").await?, put("two").await?);
        self.location.delete(&path).await?;
        match (first, second) {
            (Put::Written(_), Put::Conflict) => Ok(()),
            _ => Err(Error::configuration(
                "the store ignores `If-None-Match`, so that two runs could write one tile",
            )),
        }
    }

    /// The folder or URL.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a tile for writing; `None` while another run has it.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub async fn lock(&self, job: &str, tile: Window) -> Result<Option<TileLock>> {
        let Some(root) = self.location.folder() else {
            let path = format!(".locks/{job}_{}.lease", tile.file_stem());
            let Some(lease) = Lease::take(&self.location, &path).await? else {
                return Ok(None);
            };
            let ledger = self.location.find(&ledger_path(job, tile)).await?;
            let seen = ledger.map_or(Version::Absent, |stored| stored.version);
            return Ok(Some(TileLock::Lease(lease, seen)));
        };
        let folder = root.join(".locks");
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
            Ok(()) => Ok(Some(TileLock::File(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The ledger of a tile, if it was committed.
    ///
    /// # Errors
    /// When there is one that cannot be read; the tile is then as if it had not run.
    pub async fn ledger(&self, job: &str, tile: Window) -> Result<Option<Ledger>> {
        let path = ledger_path(job, tile);
        let Some(stored) = self.location.find(&path).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&stored.bytes)
            .map(Some)
            .map_err(|error| {
                Error::failure(format!("the ledger does not parse: {error}"))
                    .in_file(self.root.join(path))
            })
    }

    /// Publishes a tile: its files, then away with those that are no longer its, then the ledger.
    ///
    /// # Errors
    /// The first file that cannot be written, or a lease that was lost; the ledger then still says what it said before.
    pub async fn publish(
        &self,
        lock: &TileLock,
        job: &str,
        tile: Window,
        files: &BTreeMap<String, Vec<u8>>,
        stale: &BTreeSet<String>,
        mut ledger: Ledger,
    ) -> Result<()> {
        let taken = || {
            Error::failure(format!(
                "{tile}: another run took this tile over; its results stand"
            ))
        };
        if let TileLock::Lease(lease, _) = lock
            && !lease.is_held()
        {
            return Err(taken());
        }
        for (path, bytes) in files {
            self.put(path, bytes).await?;
            let record = OutputRecord {
                sha256: crate::hex(&Sha256::digest(bytes)),
                size: bytes.len() as u64,
            };
            ledger.outputs.insert(path.clone(), record);
        }
        for path in stale.iter().filter(|path| !files.contains_key(*path)) {
            self.location.delete(path).await?;
        }
        let mut bytes = serde_json::to_vec_pretty(&ledger)
            .map_err(|error| Error::failure(error.to_string()))?;
        bytes.push(b'\n');
        let path = ledger_path(job, tile);
        match lock {
            TileLock::File(_) => self.put(&path, &bytes).await,
            TileLock::Lease(lease, seen) => {
                let put = self.location.put_over(&path, bytes.into(), seen).await?;
                if put == Put::Conflict {
                    return Err(taken());
                }
                lease.release().await
            }
        }
    }

    /// Puts one file whole.
    ///
    /// # Errors
    /// A failure that names the file.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.location.put(path, Bytes::copy_from_slice(bytes)).await
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        self.location.read(path).await
    }

    /// Whether a file is there.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        self.location.exists(path).await
    }

    /// The files directly in a folder, relative to the output; none where there is no folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn files_in(&self, folder: &str) -> Result<Vec<String>> {
        let level = self.location.list_level(folder).await?;
        Ok(level
            .objects
            .into_iter()
            .map(|object| object.path)
            .collect())
    }

    /// Every file of a tile that is there now, below findings, alerts and quarantine, relative to the output.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub async fn files_of(&self, job: &str, tile: Window) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for kind in ["findings", "alerts", "quarantine"] {
            let day = format!("{kind}/{}", day_folder(job, tile));
            let objects = self.location.list_all(&day).await?;
            found.extend(
                objects
                    .into_iter()
                    .map(|object| object.path)
                    .filter(|path| {
                        let name = path.rsplit('/').next().unwrap_or_default();
                        let stem = name
                            .strip_suffix(".parquet")
                            .or(name.strip_suffix(".ndjson"));
                        stem == Some(tile.file_stem().as_str())
                    }),
            );
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
