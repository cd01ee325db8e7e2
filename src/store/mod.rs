//! Where bytes live: one face over local disk (and, by the same `object_store` trait, buckets). Lists prefixes, opens
//! objects, knows nothing of tables and times.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Serialize;

use crate::error::{Error, Result};

/// Buckets come with a later version; until then a URL must not become a folder of that name.
///
/// # Errors
/// A configuration error for anything of the form `scheme://...`.
pub fn refuse_url(location: &str, what: &str) -> Result<()> {
    match location.split_once(":/") {
        Some((scheme, _)) if scheme.len() > 1 && scheme.chars().all(char::is_alphanumeric) => {
            Err(Error::configuration(format!("the {what} {location} is on a `{scheme}` store; this version knows local folders only"))
                .hint("name a local folder, or mount the store"))
        }
        _ => Ok(()),
    }
}

/// One object below a location, as a listing saw it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Object {
    /// Path relative to the location, with `/` between the parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change, as the store says.
    pub modified: DateTime<Utc>,
}

/// One level of a listing.
#[derive(Debug, Default)]
pub struct Level {
    /// Names of the folders on this level.
    pub folders: Vec<String>,
    /// The objects on this level.
    pub objects: Vec<Object>,
}

/// The folder of one table.
#[derive(Debug, Clone)]
pub struct Location {
    shown: PathBuf,
    store: Arc<dyn ObjectStore>,
}

impl Location {
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
            store: Arc::new(store),
        })
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
            .store
            .list_with_delimiter(Some(&prefix_path))
            .await
            .map_err(|e| self.failed("list", prefix, &e))?;
        Ok(Level {
            folders: listed
                .common_prefixes
                .iter()
                .filter_map(|path| path.filename().map(str::to_owned))
                .collect(),
            objects: listed.objects.into_iter().map(object).collect(),
        })
    }

    /// All objects below a prefix, however deep.
    pub async fn list_all(&self, prefix: &str) -> Result<Vec<Object>> {
        let prefix_path = object_path(prefix);
        let mut objects: Vec<Object> = self
            .store
            .list(Some(&prefix_path))
            .map_ok(object)
            .try_collect()
            .await
            .map_err(|e| self.failed("list", prefix, &e))?;
        self.add_dead_ends(prefix, &mut objects);
        Ok(objects)
    }

    /// Links to nothing and empty folders are left out of the store's listing; here they are objects that cannot be
    /// opened, so that one with the name of a data file is reported as lost and not passed over.
    fn add_dead_ends(&self, prefix: &str, objects: &mut Vec<Object>) {
        let mut open = vec![self.shown.join(prefix)];
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
                    let inside = path.strip_prefix(&self.shown).unwrap_or(&path);
                    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                    objects.push(Object {
                        path: parts.join("/"),
                        size: 0,
                        modified: DateTime::UNIX_EPOCH,
                    });
                }
            }
        }
    }

    /// Opens an object for reading from its start. Reading blocks.
    pub async fn open(&self, path: &str) -> Result<Box<dyn std::io::Read + Send>> {
        let result = self
            .store
            .get(&object_path(path))
            .await
            .map_err(|e| self.failed("open", path, &e))?;
        match result.payload {
            GetResultPayload::File(file, _) => Ok(Box::new(file)),
            GetResultPayload::Stream(stream) => {
                let mut bytes = Vec::new();
                let mut stream = stream;
                while let Some(chunk) = stream
                    .try_next()
                    .await
                    .map_err(|e| self.failed("read", path, &e))?
                {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Box::new(std::io::Cursor::new(bytes)))
            }
        }
    }

    fn failed(&self, what: &str, path: &str, error: &object_store::Error) -> Error {
        Error::failure(format!(
            "cannot {what} {}: {error}",
            self.display(path).display()
        ))
    }
}

/// The path of an object by its name as a listing gave it: taken as it is, where `Path::from` would encode it again.
pub fn object_path(name: &str) -> Path {
    Path::parse(name).unwrap_or_else(|_| Path::from(name))
}

fn object(meta: ObjectMeta) -> Object {
    Object {
        path: meta.location.to_string(),
        size: meta.size,
        modified: meta.last_modified,
    }
}
