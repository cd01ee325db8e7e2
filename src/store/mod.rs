//! Where bytes live: one face over local disk and buckets. Lists prefixes, opens objects, puts them whole; knows nothing of
//! tables and times.

mod address;
mod bucket;
mod profile;
mod read_ahead;
mod write;

pub use address::Address;
pub use write::{Put, Stored, Version};

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetResultPayload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, ObjectStoreExt,
    coalesce_ranges,
};
use serde::Serialize;

use crate::credentials::Credentials;
use crate::error::{Error, Result};

/// One object below a location, as a listing saw it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Object {
    /// Path relative to the location, with `/` between the parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change, as the store says.
    pub modified: DateTime<Utc>,
    /// The version that a bucket listed, so that no other is read; none on local disk.
    #[serde(skip)]
    pub e_tag: Option<String>,
}

/// One level of a listing.
#[derive(Debug, Default)]
pub struct Level {
    /// Names of the folders on this level.
    pub folders: Vec<String>,
    /// The objects on this level.
    pub objects: Vec<Object>,
}

/// How often a request is made that `object_store` does not repeat by itself.
const ATTEMPTS: u32 = 4;

/// A folder or a prefix of a bucket.
#[derive(Clone)]
pub struct Location {
    shown: PathBuf,
    /// On local disk.
    folder: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
}

/// By hand, because a store knows its keys.
impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Location").field(&self.shown).finish()
    }
}

impl Location {
    /// Opens what an address names. A bucket is not asked for anything yet.
    ///
    /// # Errors
    /// A configuration error when a local folder does not exist or is a file, or the credentials do not go together.
    pub fn open(address: &Address, credentials: Option<&Credentials>) -> Result<Self> {
        match (address, credentials) {
            (Address::Local(folder), None) => Self::local(folder),
            (Address::Local(folder), Some(_)) => Err(Error::configuration(format!(
                "`credentials` have no meaning for the folder {}",
                folder.display()
            ))
            .hint("they are for s3://")),
            (Address::Bucket { bucket, prefix }, credentials) => Ok(Self {
                shown: address.shown(),
                folder: None,
                store: match credentials {
                    Some(credentials) => bucket::open(bucket, prefix, credentials)?,
                    None => bucket::open(bucket, prefix, &Credentials::default())?,
                },
            }),
        }
    }

    /// Opens a local folder.
    ///
    /// # Errors
    /// A configuration error when the folder does not exist or is a file.
    pub fn local(folder: &FilePath) -> Result<Self> {
        if !folder.is_dir() {
            let what = if folder.exists() {
                "is a file, not a folder"
            } else {
                "does not exist"
            };
            return Err(
                Error::configuration(format!("the location {} {what}", folder.display()))
                    .hint("a table's `location` is a folder, relative to its lake file"),
            );
        }
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|e| {
            Error::configuration(format!(
                "cannot open the location {}: {e}",
                folder.display()
            ))
        })?;
        Ok(Self {
            shown: folder.to_owned(),
            folder: Some(folder.to_owned()),
            store: Arc::new(store),
        })
    }

    /// Where it is on local disk, if it is.
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// The path of an object as the user can open it.
    pub fn display(&self, object: &str) -> PathBuf {
        self.shown.join(object)
    }

    /// The store, for readers that fetch ranges.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Folders and objects directly below a prefix (`""` for the location itself).
    pub async fn list_level(&self, prefix: &str) -> Result<Level> {
        let prefix_path = object_path(prefix);
        let listed = self
            .again(|| self.store.list_with_delimiter(Some(&prefix_path)))
            .await
            .map_err(|e| self.failed("list", prefix, &e))?;
        Ok(Level {
            folders: listed
                .common_prefixes
                .iter()
                .filter_map(|path| path.filename().map(str::to_owned))
                .collect(),
            objects: listed
                .objects
                .into_iter()
                .map(|meta| self.object(meta))
                .collect(),
        })
    }

    /// All objects below a prefix, however deep.
    pub async fn list_all(&self, prefix: &str) -> Result<Vec<Object>> {
        let prefix_path = object_path(prefix);
        let list = || {
            let listed = self.store.list(Some(&prefix_path));
            listed.map_ok(|meta| self.object(meta)).try_collect()
        };
        let mut objects: Vec<Object> = self
            .again(list)
            .await
            .map_err(|e| self.failed("list", prefix, &e))?;
        if let Some(folder) = &self.folder {
            add_dead_ends(folder, prefix, &mut objects);
        }
        Ok(objects)
    }

    /// Opens an object as a listing saw it, for reading from its start. Reading blocks, and must not be done on the async
    /// runtime.
    ///
    /// # Errors
    /// When it cannot be opened. What a bucket does not give shows when it is read.
    pub async fn open_object(&self, object: &Object) -> Result<Box<dyn std::io::Read + Send>> {
        let path = object_path(&object.path);
        if self.folder.is_some() {
            let opened = self.store.get(&path).await;
            let opened = opened.map_err(|error| self.failed("open", &object.path, &error))?;
            if let GetResultPayload::File(file, _) = opened.payload {
                return Ok(Box::new(file));
            }
        }
        Ok(Box::new(read_ahead::ReadAhead::start(
            self.object_store(),
            path,
            object.e_tag.clone(),
            object.size,
        )))
    }

    /// The whole of an object.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        let object = object_path(path);
        let read = || async { self.store.get(&object).await?.bytes().await };
        self.again(read)
            .await
            .map_err(|error| self.failed("read", path, &error))
    }

    /// Ranges of an object as a listing saw it; near ones are fetched as one.
    ///
    /// # Errors
    /// When one cannot be read in full, or the object is another by now.
    pub async fn ranges(
        &self,
        object: &Object,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        let path = object_path(&object.path);
        if self.folder.is_some() {
            return self.store.get_ranges(&path, ranges).await;
        }
        let fetch = |wanted| {
            let e_tag = object.e_tag.as_deref();
            read_ahead::range(self.store.as_ref(), &path, e_tag, wanted)
        };
        coalesce_ranges(ranges, fetch, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    /// Repeats what `object_store` does not repeat by itself: a listing whose answer was cut, a body that ended early.
    async fn again<T, F>(&self, attempt: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut pause = Duration::from_millis(100);
        for _ in 1..ATTEMPTS {
            match attempt().await {
                Err(object_store::Error::Generic { .. }) if self.folder.is_none() => {
                    tokio::time::sleep(pause).await;
                    pause *= 4;
                }
                ended => return ended,
            }
        }
        attempt().await
    }

    fn failed(&self, what: &str, path: &str, error: &object_store::Error) -> Error {
        Error::failure(format!(
            "cannot {what} {}: {}",
            self.display(path).display(),
            bucket::told(error)
        ))
    }

    fn object(&self, meta: ObjectMeta) -> Object {
        Object {
            path: meta.location.to_string(),
            size: meta.size,
            modified: meta.last_modified,
            e_tag: meta.e_tag.filter(|_| self.folder.is_none()),
        }
    }
}

/// Links to nothing and empty folders are left out of the store's listing; here they are objects that cannot be
/// opened, so that one with the name of a data file is reported as lost and not passed over.
fn add_dead_ends(root: &FilePath, prefix: &str, objects: &mut Vec<Object>) {
    let mut open = vec![root.join(prefix)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_empty =
                |path| std::fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none());
            if path.is_dir() && !is_empty(&path) {
                open.push(path);
            } else if path.is_dir() || !path.exists() {
                let inside = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                objects.push(Object {
                    path: parts.join("/"),
                    size: 0,
                    modified: DateTime::UNIX_EPOCH,
                    e_tag: None,
                });
            }
        }
    }
}

/// The path of an object by its name as a listing gave it: taken as it is, where `Path::from` would encode it again.
pub fn object_path(name: &str) -> Path {
    Path::parse(name).unwrap_or_else(|_| Path::from(name))
}
