//! An object of a bucket as a blocking reader: fetched in pieces, the next ones while this one is used, never more than a
//! few in memory.
//!
//! Pieces, because one long answer would time out when its reader is slow, and because each is tried again by itself.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::sync::mpsc;

use super::bucket::told;

/// Bytes of one request.
pub(super) const PIECE: u64 = 8 * 1024 * 1024;

/// Requests of one object under way.
const AHEAD: usize = 2;

/// The reader's side.
pub(super) struct ReadAhead {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// One range of the version of an object that a listing saw.
pub(super) async fn range(
    store: &dyn ObjectStore,
    path: &Path,
    e_tag: Option<&str>,
    range: Range<u64>,
) -> object_store::Result<Bytes> {
    let expected = range.end - range.start;
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        if_match: e_tag.map(str::to_owned),
        ..GetOptions::default()
    };
    let fetch = async { store.get_opts(path, options).await?.bytes().await };
    let bytes = fetch.await.map_err(|error| object_store::Error::Generic {
        store: "S3",
        source: told(&error).into(),
    })?;
    if bytes.len() as u64 != expected {
        return Err(object_store::Error::Generic {
            store: "S3",
            source: format!("{} bytes came where {expected} were asked for", bytes.len()).into(),
        });
    }
    Ok(bytes)
}

impl ReadAhead {
    /// Starts to fetch an object of a size. Must be called on the async runtime, and read off it.
    pub(super) fn start(
        store: Arc<dyn ObjectStore>,
        path: Path,
        e_tag: Option<String>,
        size: u64,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let starts = (0..size).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX));
            let fetches = starts.map(|start| {
                let wanted = start..size.min(start + PIECE);
                range(store.as_ref(), &path, e_tag.as_deref(), wanted).boxed()
            });
            let mut fetched = futures::stream::iter(fetches).buffered(AHEAD);
            while let Some(piece) = fetched.next().await {
                let failed = piece.is_err();
                let piece = piece.map_err(io::Error::other);
                if sender.send(piece).await.is_err() || failed {
                    break;
                }
            }
        });
        Self {
            pieces,
            piece: Bytes::new(),
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece?,
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
