//! The publish protocol: one writer a tile, each file put whole, the ledger last.
//!
//! On local disk an OS file lock keeps other writers out; in a bucket a lease does, and each file is put only over the
//! version that was seen when it was taken. A reader sees all of a file or nothing, whenever the process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::lease::{Dropped, Lease, nonce};
use super::ledger::{Ledger, OutputRecord};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::store::{ASIDE, Address, Location, Put, Version, private_folder, step};
use crate::time::Window;

const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// The output of a job: a folder, or a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct Output {
    root: PathBuf,
    location: Location,
    dropped: Dropped,
}

/// The right to write one tile, held until it is dropped or, in a bucket, released.
#[derive(Debug)]
pub enum TileLock {
    /// On local disk.
    File(File),
    /// In a bucket, with the versions of the tile's files that were there when it was taken; none where the store tells
    /// none.
    Lease(Lease, BTreeMap<String, Option<Version>>),
}

impl TileLock {
    /// Gives the right back with nothing written.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(self) -> Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Lease(lease, _) => lease.release().await,
        }
    }
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
                dropped: Dropped::default(),
            };
            let probed = output.probe().await;
            probed.map_err(|error| unwritable(&error.message()))?;
            return Ok(output);
        };
        // With what is written aside, which says sooner that a file is in the way.
        private_folder(&folder.join(".tmp")).map_err(|error| unwritable(&error))?;
        let output = Self {
            root: folder.clone(),
            location: Location::open(&address, credentials)?,
            dropped: Dropped::default(),
        };
        output
            .location
            .probe()
            .map_err(|error| unwritable(&error))?;
        Ok(output)
    }

    /// Opens an output that is only read: nothing is made, and nothing is tried.
    ///
    /// # Errors
    /// A configuration error that names it: there is no such folder, or the credentials do not go together.
    pub fn open_for_reading(root: &Path, credentials: Option<&Credentials>) -> Result<Self> {
        let address = Address::parse(&root.to_string_lossy(), "output")?;
        if let Address::Local(folder) = &address
            && !folder.is_dir()
        {
            return Err(
                Error::configuration(format!("there is no output {}", folder.display()))
                    .hint("run a job first, or name its output with --output"),
            );
        }
        Ok(Self {
            root: address.shown(),
            location: Location::open(&address, credentials)?,
            dropped: Dropped::default(),
        })
    }

    /// Opens an output as it is, to be looked at before anything ran: nothing is made, and a folder that is not there yet
    /// is empty.
    ///
    /// # Errors
    /// Those of [`Self::open_for_reading`], but for a folder that is not there.
    pub fn as_it_is(root: &Path, credentials: Option<&Credentials>) -> Result<Self> {
        match Address::parse(&root.to_string_lossy(), "output")? {
            Address::Local(folder) if !folder.exists() => Ok(Self {
                location: Location::empty(&folder),
                root: folder,
                dropped: Dropped::default(),
            }),
            _ => Self::open_for_reading(root, credentials),
        }
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
            let Some(lease) = Lease::take(&self.location, &path, &self.dropped).await? else {
                return Ok(None);
            };
            let ledger = ledger_path(job, tile);
            let mut seen: BTreeMap<_, _> = self.objects_of(job, tile).await?.collect();
            if let Some(stored) = self.location.find(&ledger).await? {
                seen.insert(ledger, Some(stored.version));
            }
            return Ok(Some(TileLock::Lease(lease, seen)));
        };
        let folder = root.join(".locks");
        let path = folder.join(format!("{job}_{}.lock", tile.file_stem()));
        let failed = |error: std::io::Error| {
            Error::failure(format!("cannot lock {}: {error}", path.display()))
        };
        private_folder(&folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(TileLock::File(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Gives back what runs that broke off had taken, so that the next one need not wait until it expires. Takes half a
    /// second at most: nobody who interrupts a run waits for a store that is silent.
    pub async fn abandon(&self) {
        let _ = tokio::time::timeout(HALF_A_SECOND, self.dropped.release()).await;
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
        Ledger::from_bytes(&stored.bytes)
            .map(Some)
            .map_err(|error| error.in_file(self.root.join(path)))
    }

    /// The tiles of a job that were committed: one listing, nothing is read.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub async fn tiles(&self, job: &str) -> Result<BTreeSet<Window>> {
        let files = self.files_in(&format!("ledger/{job}")).await?;
        let tiles = files.iter().filter_map(|path| {
            let name = path.rsplit('/').next()?;
            Window::from_file_stem(name.strip_suffix(".json")?).ok()
        });
        Ok(tiles.collect())
    }

    /// Publishes a tile: its files, then away with those that are no longer its, then the ledger, which it returns as it
    /// was written.
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
    ) -> Result<Ledger> {
        let taken = || {
            Error::failure(format!(
                "{tile}: another run took this tile over; its results stand"
            ))
        };
        if let TileLock::Lease(lease, _) = lock
            && !lease.is_held().await?
        {
            return Err(taken());
        }
        self.sweep(job, tile).await?;
        for (path, bytes) in files {
            if self.put_locked(lock, path, bytes).await? == Put::Conflict {
                return Err(taken());
            }
            ledger.outputs.insert(path.clone(), OutputRecord::of(bytes));
        }
        for path in stale.iter().filter(|path| !files.contains_key(*path)) {
            self.location.delete(path).await?;
            step();
        }
        let bytes = ledger.to_bytes()?;
        let path = ledger_path(job, tile);
        if self.put_locked(lock, &path, &bytes).await? == Put::Conflict {
            return Err(taken());
        }
        match lock {
            TileLock::File(_) => {}
            TileLock::Lease(lease, _) => {
                step();
                lease.release().await?;
            }
        }
        Ok(ledger)
    }

    /// Puts one file of a tile: in a bucket only over the version that was there when the tile was taken, so that a run
    /// that slept while another did its work overwrites nothing.
    async fn put_locked(&self, lock: &TileLock, path: &str, bytes: &[u8]) -> Result<Put> {
        let seen = match lock {
            TileLock::File(_) => None,
            TileLock::Lease(_, seen) => seen.get(path).cloned().unwrap_or(Some(Version::Absent)),
        };
        let Some(seen) = seen else {
            self.put(path, bytes).await?;
            return Ok(Put::Written(Version::Absent));
        };
        let bytes = Bytes::copy_from_slice(bytes);
        self.location.put_over(path, bytes, &seen).await
    }

    /// Removes what killed runs of this tile wrote aside: whoever holds the tile is alone with it.
    async fn sweep(&self, job: &str, tile: Window) -> Result<()> {
        if self.location.folder().is_none() {
            return Ok(());
        }
        let file = format!("~{}.", tile.file_stem());
        let kinds = [format!("~job={job}~"), format!("-ledger~{job}~")];
        for path in self.files_in(ASIDE).await? {
            if path.contains(&file) && kinds.iter().any(|kind| path.contains(kind)) {
                self.remove(&path).await?;
            }
        }
        Ok(())
    }

    /// Puts one file whole.
    ///
    /// # Errors
    /// A failure that names the file.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.location
            .put(path, Bytes::copy_from_slice(bytes))
            .await?;
        step();
        Ok(())
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        self.location.read(path).await
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// A failure that names the file.
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.location.delete(path).await
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

    /// The files below a folder, however deep, relative to the output; none where there is no folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn files_below(&self, folder: &str) -> Result<Vec<String>> {
        let objects = self.location.list_all(folder).await?;
        Ok(objects.into_iter().map(|object| object.path).collect())
    }

    /// Every file of a job's tiles that is there now, whatever its ledger says: tile, path and bytes.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub async fn all_files(&self, job: &str) -> Result<Vec<(Window, String, u64)>> {
        let mut found = Vec::new();
        for folder in ["findings", "alerts", "quarantine"]
            .map(|kind| format!("{kind}/job={job}"))
            .into_iter()
            .chain(["ledger", "summary", "deliver"].map(|kind| format!("{kind}/{job}")))
        {
            for object in self.location.list_all(&folder).await? {
                let name = object.path.rsplit('/').next().unwrap_or_default();
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                if let Ok(tile) = Window::from_file_stem(stem) {
                    found.push((tile, object.path, object.size));
                }
            }
        }
        Ok(found)
    }

    /// Every file of a tile that is there now, below findings, alerts and quarantine, relative to the output.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub async fn files_of(&self, job: &str, tile: Window) -> Result<BTreeSet<String>> {
        let objects = self.objects_of(job, tile).await?;
        Ok(objects.map(|(path, _)| path).collect())
    }

    /// The same with their versions.
    async fn objects_of(
        &self,
        job: &str,
        tile: Window,
    ) -> Result<impl Iterator<Item = (String, Option<Version>)>> {
        let mut found = Vec::new();
        for kind in ["findings", "alerts", "quarantine"] {
            let day = format!("{kind}/{}", day_folder(job, tile));
            found.extend(self.location.list_all(&day).await?);
        }
        let own = tile.file_stem();
        let objects = found.into_iter().filter(move |object| {
            let name = object.path.rsplit('/').next().unwrap_or_default();
            let stem = name
                .strip_suffix(".parquet")
                .or(name.strip_suffix(".ndjson"));
            stem == Some(own.as_str())
        });
        Ok(objects.map(|object| (object.path, object.e_tag.map(Version::listed))))
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

/// `ledger/<job>/<start>_<end>.json`
pub fn ledger_path(job: &str, tile: Window) -> String {
    format!("ledger/{job}/{}.json", tile.file_stem())
}
