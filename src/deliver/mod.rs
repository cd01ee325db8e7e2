//! How alerts leave: requests to webhooks, lines at the end of files, files of their own; and what has left already.
//!
//! At least once: a tile is marked before it is committed, and the mark goes when everything has left. What has left is
//! kept by target and tile, so that a rerun sends nothing twice; should a process die in between, the alert's id, which
//! every delivery carries, tells the receiver. It must not know what a message says.

mod http;
pub mod parquet;

pub use http::{Sender, Sent};

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::output::Output;
use crate::store::{Address, Location};
use crate::time::Window;

/// What of a tile has left for one target.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Left {
    alert_ids: BTreeSet<String>,
}

/// `deliver/<job>/pending/<start>_<end>`
fn pending_path(job: &str, tile: Window) -> String {
    format!("deliver/{job}/pending/{}", tile.file_stem())
}

/// `deliver/<job>/to/<target>/<start>_<end>.json`
fn left_path(job: &str, target: &str, tile: Window) -> String {
    format!("deliver/{job}/to/{target}/{}.json", tile.file_stem())
}

/// Marks a tile before it is committed: its alerts are to leave.
///
/// # Errors
/// When the mark cannot be written.
pub async fn mark(output: &Output, job: &str, tile: Window) -> Result<()> {
    output.put(&pending_path(job, tile), b"").await
}

/// Takes the mark of a tile away: everything has left.
///
/// # Errors
/// When it cannot be removed.
pub async fn settle(output: &Output, job: &str, tile: Window) -> Result<()> {
    output.remove(&pending_path(job, tile)).await
}

/// The tiles of a job that are marked, oldest first.
///
/// # Errors
/// When they cannot be listed.
pub async fn pending(output: &Output, job: &str) -> Result<Vec<Window>> {
    let marks = output.files_in(&format!("deliver/{job}/pending")).await?;
    let stems = marks.iter().filter_map(|path| path.rsplit('/').next());
    let mut tiles: Vec<Window> = stems
        .filter_map(|stem| Window::from_file_stem(stem).ok())
        .collect();
    tiles.sort();
    Ok(tiles)
}

/// The ids of a tile's alerts that have left for a target. A record that cannot be read is none: they leave again.
///
/// # Errors
/// When the store does not say.
pub async fn left(
    output: &Output,
    job: &str,
    target: &str,
    tile: Window,
) -> Result<BTreeSet<String>> {
    let path = left_path(job, target, tile);
    if !output.exists(&path).await? {
        return Ok(BTreeSet::new());
    }
    let read: Option<Left> = serde_json::from_slice(&output.read(&path).await?).ok();
    Ok(read.unwrap_or_default().alert_ids)
}

/// Keeps which alerts of a tile have left for a target.
///
/// # Errors
/// When it cannot be written.
pub async fn keep(
    output: &Output,
    job: &str,
    target: &str,
    tile: Window,
    alert_ids: BTreeSet<String>,
) -> Result<()> {
    let text = serde_json::to_vec(&Left { alert_ids })
        .map_err(|error| Error::failure(error.to_string()))?;
    output.put(&left_path(job, target, tile), &text).await
}

/// Appends lines to a local file, and the folders above it, and waits until they are on disk.
///
/// # Errors
/// A failure that names the file.
pub fn append(path: &Path, lines: &str) -> Result<()> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // In one piece, so that a shipper that reads along sees whole lines.
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    };
    write().map_err(|error: std::io::Error| {
        Error::failure(format!("cannot append alerts: {error}")).in_file(path)
    })
}

/// Puts the file of a tile into a folder or a bucket, whole, over what was there.
///
/// # Errors
/// A failure that names the file.
pub async fn put(folder: &Path, name: &str, bytes: Vec<u8>) -> Result<()> {
    let address = Address::parse(&folder.to_string_lossy(), "folder")?;
    if let Address::Local(folder) = &address {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::failure(format!("cannot make the folder: {error}")).in_file(folder)
        })?;
    }
    let location = Location::open(&address, None)?;
    location.put(name, Bytes::from(bytes)).await
}
