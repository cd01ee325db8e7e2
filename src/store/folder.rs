//! Listing of local folders. What cannot be listed or opened (a folder without permission, a link to nothing, a name that
//! is no text) is an object that cannot be read: it is lost by itself, and not the whole listing with it.
//!
//! Blocking. Knows names, nothing of what is in the files.

use std::fs::{Metadata, read_dir};
use std::io;
use std::path::{Path as FilePath, PathBuf};

use chrono::{DateTime, Utc};
use object_store::path::Path;

use super::{Level, Object};

/// All files below a prefix of a folder, however deep. Links are followed, but not back to where they are in.
///
/// # Errors
/// When the folder itself cannot be listed; one that is not there is empty.
pub(super) fn all(root: &FilePath, prefix: &str) -> io::Result<Vec<Object>> {
    let top = root.join(prefix);
    let mut objects = Vec::new();
    // Each folder with those that it is in, as links see them.
    let mut open = vec![(top.clone(), Vec::<PathBuf>::new())];
    while let Some((folder, mut above)) = open.pop() {
        let entries = match read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if folder == top => return missing_is(objects, error),
            Err(_) => {
                // No object of a store ends so.
                let path = relative(root, &folder) + "/";
                objects.push(unreadable(path));
                continue;
            }
        };
        above.extend(folder.canonicalize());
        let mut is_empty = true;
        for entry in entries {
            let path = entry?.path();
            is_empty = false;
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => {
                    let is_loop = path.is_symlink()
                        && path
                            .canonicalize()
                            .is_ok_and(|target| above.contains(&target));
                    if !is_loop {
                        open.push((path, above.clone()));
                    }
                }
                metadata => objects.extend(object(root, &path, metadata)),
            }
        }
        if is_empty && folder != top {
            objects.push(unreadable(relative(root, &folder)));
        }
    }
    Ok(objects)
}

/// Folders and files directly below a prefix of a folder.
///
/// # Errors
/// When it cannot be listed; one that is not there is empty.
pub(super) fn level(root: &FilePath, prefix: &str) -> io::Result<Level> {
    let mut level = Level::default();
    let entries = match read_dir(root.join(prefix)) {
        Ok(entries) => entries,
        Err(error) => return missing_is(level, error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        match (path.metadata(), name.to_str()) {
            (Ok(metadata), Some(name)) if metadata.is_dir() && Path::parse(name).is_ok() => {
                level.folders.push(name.to_owned());
            }
            (metadata, _) => level.objects.extend(object(root, &path, metadata)),
        }
    }
    level.folders.sort_unstable();
    Ok(level)
}

/// What is not there is empty; any other failure is one.
fn missing_is<T>(empty: T, error: io::Error) -> io::Result<T> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(empty),
        _ => Err(error),
    }
}

/// A file, or what stands where one should be; `None` for what holds no data, such as a pipe, and for files that
/// `object_store` is still writing.
fn object(root: &FilePath, path: &FilePath, metadata: io::Result<Metadata>) -> Option<Object> {
    let text = relative(root, path);
    let is_named = path.to_str().is_some() && Path::parse(&text).is_ok();
    match metadata {
        Ok(metadata) if metadata.is_file() && is_named => {
            let stem = text.rsplit_once('#');
            let is_part = |(_, number): (&str, &str)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            };
            (!stem.is_some_and(is_part)).then(|| Object {
                size: metadata.len(),
                modified: metadata
                    .modified()
                    .map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from),
                ..unreadable(text)
            })
        }
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => Some(unreadable(text)),
        Ok(_) => None,
        Err(_) => Some(unreadable(text)),
    }
}

/// What cannot be opened: one with the name of a data file is reported as lost, and not passed over.
fn unreadable(path: String) -> Object {
    Object {
        path,
        size: 0,
        modified: DateTime::UNIX_EPOCH,
        e_tag: None,
    }
}

fn relative(root: &FilePath, path: &FilePath) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
