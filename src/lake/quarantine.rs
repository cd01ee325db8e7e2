//! What could not be read, with its place and reason. Nothing is dropped without a record here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Bytes kept of one bad record; the full length is always said.
pub const KEPT_BYTES: usize = 64 * 1024;
/// Bad records kept per file; all are counted.
pub const KEPT_RECORDS: usize = 10_000;

/// Text kept of the bad records of one file; of later ones the place, the reason and the length.
pub const KEPT_FILE_TEXT: usize = 8 * 1024 * 1024;
/// Text kept of the bad records of one pass over a table.
pub const KEPT_TEXT: usize = 64 * 1024 * 1024;

/// One record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BadRecord {
    /// The file, relative to its table's location.
    pub file: String,
    /// Line in NDJSON, element in a JSON array, row in Parquet; 1-based.
    pub line: u64,
    /// Offset of its first byte in the (decompressed) file; 0 for Parquet.
    pub offset: u64,
    /// `no_time`, `not_json`, `not_utf8`, `too_long`, `not_an_object`.
    pub reason: &'static str,
    /// What the reader said.
    pub detail: String,
    /// Bytes of the record, all of them.
    pub length: u64,
    /// Time of the good record before it, microseconds: when it probably happened.
    #[serde(skip)]
    pub near: Option<i64>,
    /// The record's text, where it is text; its first 64 KiB. Absent where a file has too much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The record's bytes in base64, where they are not UTF-8; the first 64 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl BadRecord {
    /// Bytes of text it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let kept = [&self.text, &self.base64].into_iter().flatten();
        kept.map(String::len).sum()
    }

    /// Keeps place, reason and length only.
    pub(super) fn forget(&mut self) {
        self.text = None;
        self.base64 = None;
    }

    /// A record of a bad line.
    pub fn line(
        file: &str,
        line: u64,
        offset: u64,
        reason: &'static str,
        detail: impl Into<String>,
        bytes: &[u8],
    ) -> Self {
        let kept = &bytes[..bytes.len().min(KEPT_BYTES)];
        let (text, base64) = match std::str::from_utf8(kept) {
            Ok(text) => (Some(text.to_owned()), None),
            // A cut in the middle of a character is our doing, not the record's.
            Err(error) if error.error_len().is_none() && kept.len() < bytes.len() => {
                let whole = &kept[..error.valid_up_to()];
                (Some(String::from_utf8_lossy(whole).into_owned()), None)
            }
            Err(_) => (None, Some(STANDARD.encode(kept))),
        };
        Self {
            file: file.to_owned(),
            line,
            offset,
            reason,
            detail: detail.into(),
            length: bytes.len() as u64,
            near: None,
            text,
            base64,
        }
    }
}
