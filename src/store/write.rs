//! Writing: every object whole, and, in buckets, only over the version that was seen.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{Error as StoreError, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use super::{Location, object_path, step};
use crate::error::{Error, Result};

/// Where files are written before they are renamed into place.
pub const ASIDE: &str = ".tmp";

/// What a writer last saw of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// Nothing.
    Absent,
    /// A version.
    Tagged {
        /// Its entity tag, as the store writes it.
        tag: String,
        /// Its number, where the store says one: what Google compares instead of the tag.
        number: Option<String>,
    },
}

impl Version {
    /// A version as a listing saw it.
    pub fn listed(tag: String) -> Self {
        Self::Tagged { tag, number: None }
    }

    /// Whether another look saw the same; a listing knows no numbers.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (
                Self::Tagged { tag, number },
                Self::Tagged {
                    tag: other_tag,
                    number: other_number,
                },
            ) => match (number, other_number) {
                (Some(number), Some(other)) => number == other,
                _ => tag == other_tag,
            },
            _ => false,
        }
    }
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
        let read = async {
            let found = self.store.get(&object).await?;
            let meta = found.meta.clone();
            Ok((meta, found.bytes().await?))
        };
        match read.await {
            Ok((meta, bytes)) => Ok(Some(Stored {
                bytes,
                version: Version::Tagged {
                    tag: meta.e_tag.unwrap_or_default(),
                    number: meta.version,
                },
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
        let put = self.store.put(&object, bytes.into()).await;
        put.map(|_| ())
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
        private_folder(&root.join(ASIDE))?;
        private(&probe)?.write_all(b"lakehunt")?;
        fs::remove_file(&probe)
    }

    /// Puts one object of a bucket over the version that was seen, and over no other.
    ///
    /// # Errors
    /// When it cannot be written, or it is not known whether it was.
    pub async fn put_over(&self, path: &str, bytes: Bytes, seen: &Version) -> Result<Put> {
        let object = object_path(path);
        let mut seen = seen.clone();
        step();
        let mut pause = Duration::from_millis(100);
        for last in [false, false, false, false, false, true] {
            let mode = match &seen {
                Version::Absent => PutMode::Create,
                Version::Tagged { tag, number } => PutMode::Update(UpdateVersion {
                    e_tag: Some(tag.clone()),
                    version: number.clone(),
                }),
            };
            let options = PutOptions::from(mode);
            let put = self.store.put_opts(&object, bytes.clone().into(), options);
            let error = match put.await {
                Ok(written) => {
                    return Ok(Put::Written(Version::Tagged {
                        tag: written.e_tag.unwrap_or_default(),
                        number: written.version,
                    }));
                }
                Err(error) => error,
            };
            if let StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } = error
            {
                return Err(self.failed("write", path, &error));
            }
            // An answer that was lost may have been a yes, and the no to a repetition its echo: what is there says which.
            let now = self.find(path).await?;
            let version = match now {
                Some(stored) if stored.bytes == bytes => return Ok(Put::Written(stored.version)),
                Some(stored) => stored.version,
                None => Version::Absent,
            };
            if !version.is(&seen) {
                return Ok(Put::Conflict);
            }
            // Nothing has happened: the condition still holds, so that it is safe to ask again, by its number.
            if last {
                return Err(self.failed("write", path, &error));
            }
            seen = version;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(Put::Conflict)
    }

    /// Removes an object; one that is not there is removed.
    ///
    /// # Errors
    /// A failure that names it.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let object = object_path(path);
        match self.store.delete(&object).await {
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
        match self.store.head(&object).await {
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
        private_folder(folder)?;
        private_folder(&aside)?;
        let mut file = private(&temporary)?;
        step();
        file.write_all(bytes)?;
        step();
        file.sync_all()?;
        drop(file);
        step();
        fs::rename(&temporary, &target)?;
        step();
        File::open(folder)?.sync_all()
    };
    put().map_err(|error| {
        // What was written aside is of no use to anybody.
        let _ = fs::remove_file(&temporary);
        Error::failure(format!("cannot write {}: {error}", target.display()))
    })
}

/// A folder, with those above it; what is made of them only its owner can look into.
///
/// # Errors
/// Why it cannot be made.
pub fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
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
