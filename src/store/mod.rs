//! Where bytes live: one face over local disk and buckets. Lists prefixes, opens objects, puts them whole; knows nothing of
//! tables and times.

mod address;
mod bucket;
mod client;
mod clouds;
mod fault;
mod folder;
mod login;
mod profile;
mod read_ahead;
mod steps;
mod tags;
mod traffic;
mod wire;
mod write;

pub use address::Address;
pub use read_ahead::{Ahead, Budget, Fetched, GAP, Reading, Stop, Stopper};
pub use steps::step;
pub use tags::Earlier;
pub use traffic::{Traffic, traffic};
pub use write::{ASIDE, Put, Stored, Version, private_folder};

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Serialize;

use self::tags::{Check, Tags};
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

/// A folder or a prefix of a bucket.
#[derive(Clone)]
pub struct Location {
    shown: PathBuf,
    /// On local disk.
    folder: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    /// What is known of the tags of its bucket.
    tags: Arc<Tags>,
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
            .hint("they are for s3://, az:// and gs://")),
            (Address::Bucket { bucket, prefix }, credentials) => {
                let (store, tags) = match credentials {
                    Some(credentials) => bucket::open(bucket, prefix, credentials)?,
                    None => bucket::open(bucket, prefix, &Credentials::default())?,
                };
                Ok(Self {
                    shown: address.shown(),
                    folder: None,
                    store,
                    tags,
                })
            }
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
            tags: Arc::default(),
        })
    }

    /// A folder that is not there yet, and so has nothing.
    pub fn empty(folder: &FilePath) -> Self {
        Self {
            shown: folder.to_owned(),
            folder: None,
            store: Arc::new(InMemory::new()),
            tags: Arc::default(),
        }
    }

    /// Objects of ours in memory, in the place of those with their names; and what a listing would say of them.
    ///
    /// # Errors
    /// When one cannot be held, which would be a bug.
    pub async fn with(&self, contents: Vec<(&Object, Bytes)>) -> Result<(Self, Vec<Object>)> {
        let held = InMemory::new();
        let mut objects = Vec::new();
        for (object, bytes) in contents {
            objects.push(Object {
                path: object.path.clone(),
                size: bytes.len() as u64,
                modified: object.modified,
                e_tag: None,
            });
            let put = held.put(&object_path(&object.path), bytes.into()).await;
            put.map_err(|error| self.failed("hold", &object.path, &error))?;
        }
        let location = Self {
            shown: self.shown.clone(),
            folder: None,
            tags: Arc::default(),
            store: Arc::new(held),
        };
        Ok((location, objects))
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
        if self.folder.is_some() {
            return self.list_folder(prefix, folder::level).await;
        }
        let prefix_path = object_path(prefix);
        let listed = self.store.list_with_delimiter(Some(&prefix_path)).await;
        let listed = listed.map_err(|e| self.failed("list", prefix, &e))?;
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
        if self.folder.is_some() {
            return self.list_folder(prefix, folder::all).await;
        }
        let prefix_path = object_path(prefix);
        let listed = self.store.list(Some(&prefix_path));
        let listed = listed.map_ok(|meta| self.object(meta)).try_collect().await;
        let objects: Vec<Object> = listed.map_err(|e| self.failed("list", prefix, &e))?;
        Ok(objects)
    }

    /// Lists on local disk.
    async fn list_folder<T: Send + 'static>(
        &self,
        prefix: &str,
        list: fn(&FilePath, &str) -> std::io::Result<T>,
    ) -> Result<T> {
        let folder = self.folder.clone().unwrap_or_default();
        let below = prefix.to_owned();
        let listed = tokio::task::spawn_blocking(move || list(&folder, &below)).await;
        let listed = listed
            .map_err(std::io::Error::other)
            .and_then(|listed| listed);
        listed.map_err(|error| {
            let shown = self.display(prefix);
            Error::failure(format!("cannot list {}: {error}", shown.display()))
        })
    }

    /// Opens an object as a listing saw it, for reading from its start. Reading blocks, and must not be done on the async
    /// runtime. An object of a bucket that comes in pieces is checked against its tag at its end; `earlier` is what it
    /// said when it was read before, so that a bit that flipped on the way is told from one that lies there.
    ///
    /// # Errors
    /// When it cannot be opened. What a bucket does not give shows when it is read.
    pub async fn open_object(
        &self,
        object: &Object,
        reading: &Reading,
        earlier: &Earlier,
    ) -> Result<Box<dyn std::io::Read + Send>> {
        let path = object_path(&object.path);
        if self.folder.is_some() {
            let opened = self.store.get(&path).await;
            let opened = opened.map_err(|error| self.failed("open", &object.path, &error))?;
            if let GetResultPayload::File(file, _) = opened.payload {
                return Ok(Box::new(file));
            }
        }
        // What comes as one piece is checked where it comes in.
        let check = (object.size > read_ahead::PIECE).then(|| {
            let tag = object.e_tag.as_deref();
            Check::of(&self.tags, tag, object.size, earlier)
        });
        Ok(Box::new(read_ahead::ReadAhead::start(
            self.object_store(),
            path,
            object.e_tag.clone(),
            object.size,
            reading.clone(),
            check.flatten(),
        )))
    }

    /// The whole of an object.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        let object = object_path(path);
        let read = async { self.store.get(&object).await?.bytes().await };
        read.await
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
        let e_tag = object.e_tag.as_deref();
        read_ahead::ranges(self.store.as_ref(), &path, e_tag, ranges).await
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

/// The path of an object by its name as a listing gave it: taken as it is, where `Path::from` would encode it again.
pub fn object_path(name: &str) -> Path {
    Path::parse(name).unwrap_or_else(|_| {
        let part = |part: &str| {
            if part.is_empty() {
                wire::EMPTY.to_owned()
            } else {
                part.to_owned()
            }
        };
        let parts: Vec<_> = name.split('/').map(part).collect();
        Path::parse(parts.join("/")).unwrap_or_else(|_| Path::from(name))
    })
}
