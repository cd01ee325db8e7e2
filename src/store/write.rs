//! Writing: every object whole, and, in buckets, only over the version that was seen.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use super::{Location, object_path};
use crate::error::{Error, Result};

/// Where files are written before they are renamed into place.
const ASIDE: &str = ".tmp";

/// What a writer last saw of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// Nothing.
    Absent,
    /// The version with this entity tag.
    Tagged(String),
}

/// An object that was read for its version too.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its version.
    pub version: Version,
    /// Last change, by the clock of the store.
    pub modified: DateTime<Utc>,
}

/// How a conditional put ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Written, and this is its version.
    Written(Version),
    /// Somebody else had written.
    Conflict,
}

impl Location {
    /// The whole of an object, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find(&self, path: &str) -> Result<Option<Stored>> {
        let object = object_path(path);
        let read = || async {
            let found = self.store.get(&object).await?;
            let meta = found.meta.clone();
            Ok((meta, found.bytes().await?))
        };
        match self.again(read).await {
            Ok((meta, bytes)) => Ok(Some(Stored {
                bytes,
                version: Version::Tagged(meta.e_tag.unwrap_or_default()),
                modified: meta.last_modified,
            })),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, &error)),
        }
    }

    /// Puts one object whole. On local disk: written aside, synced, renamed, and its folder synced.
    ///
    /// # Errors
    /// A failure that names it.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        if let Some(folder) = self.folder() {
            return put_local(folder, path, &bytes);
        }
        let object = object_path(path);
        let put = || self.store.put(&object, bytes.clone().into());
        self.again(put)
            .await
            .map(|_| ())
            .map_err(|error| self.failed("write", path, &error))
    }

    /// Whether a local folder can be written, found out by writing.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn probe(&self) -> std::io::Result<()> {
        let Some(root) = self.folder() else {
            return Ok(());
        };
        // A name of its own: many runs may start at once.
        let probe = root
            .join(ASIDE)
            .join(format!("probe-{}", std::process::id()));
        fs::create_dir_all(root.join(ASIDE))?;
        private(&probe)?.write_all(b"lakehunt")?;
        fs::remove_file(&probe)
    }

    /// Puts one object of a bucket over the version that was seen, and over no other.
    ///
    /// # Errors
    /// When it cannot be written, or it is not known whether it was.
    pub async fn put_over(&self, path: &str, bytes: Bytes, seen: &Version) -> Result<Put> {
        let object = object_path(path);
        let mode = match seen {
            Version::Absent => PutMode::Create,
            Version::Tagged(tag) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.clone()),
                version: None,
            }),
        };
        let options = PutOptions::from(mode);
        let put = self
            .store
            .put_opts(&object, bytes.clone().into(), options)
            .await;
        let error = match put {
            Ok(written) => {
                let tag = written.e_tag.unwrap_or_default();
                return Ok(Put::Written(Version::Tagged(tag)));
            }
            Err(error) => error,
        };
        // An answer that was lost may have been a yes, and its repetition by a layer below a no: what is there says which.
        match self.find(path).await? {
            Some(stored) if stored.bytes == bytes => Ok(Put::Written(stored.version)),
            _ if matches!(
                error,
                StoreError::AlreadyExists { .. }
                    | StoreError::Precondition { .. }
                    | StoreError::NotFound { .. }
            ) =>
            {
                Ok(Put::Conflict)
            }
            _ => Err(self.failed("write", path, &error)),
        }
    }

    /// Removes an object; one that is not there is removed.
    ///
    /// # Errors
    /// A failure that names it.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let object = object_path(path);
        match self.again(|| self.store.delete(&object)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", path, &error)),
        }
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        let object = object_path(path);
        match self.again(|| self.store.head(&object)).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look at", path, &error)),
        }
    }
}

fn put_local(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let target = root.join(path);
    let folder = target.parent().unwrap_or(root);
    let aside = root.join(ASIDE);
    let temporary = aside.join(format!("{}-{}", std::process::id(), path.replace('/', "~")));
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::create_dir_all(&aside)?;
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
