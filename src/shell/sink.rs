//! Where a result goes: stdout, a file that appears whole or not at all, a pager.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use crate::error::{Error, Result};
use crate::printer::Printer;

/// A file that is being written beside its place.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Target {
    /// Opens a file beside `path`.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.to_string_lossy().contains("://") {
            return Err(Error::configuration(format!(
                "cannot write to {}: results go to local files",
                path.display()
            ))
            .hint("write a file, and copy it into the bucket"));
        }
        let name = path.file_name().ok_or_else(|| {
            Error::configuration(format!("{} is no name of a file", path.display()))
        })?;
        let beside = path.with_file_name(format!(
            ".{}.{}.tmp",
            name.to_string_lossy(),
            std::process::id()
        ));
        let file = File::create(&beside).map_err(|error| failed(path, &error))?;
        Ok(Self {
            file,
            beside,
            path: path.to_owned(),
            done: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| failed(&self.path, &error))
    }

    fn finish(mut self) -> Result<()> {
        let finished = self
            .file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.beside, &self.path));
        finished.map_err(|error| failed(&self.path, &error))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.done {
            // Nothing is left behind by a query that failed.
            drop(std::fs::remove_file(&self.beside));
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::failure(format!("cannot write {}: {error}", path.display()))
}

/// Where text goes.
pub(super) enum Sink<'a> {
    /// To stdout, as it comes.
    Stdout(&'a Printer),
    /// Into a file.
    File(Target),
}

impl Sink<'_> {
    /// Writes text; false when nobody reads any more.
    pub(super) fn text(&mut self, text: &str) -> Result<bool> {
        self.bytes(text.as_bytes())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::File(target) => target.write(bytes).map(|()| true),
            Self::Stdout(printer) => match printer.bytes(bytes) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
                Err(error) => Err(Error::failure(format!("cannot write to stdout: {error}"))),
            },
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::File(target) => target.finish(),
            Self::Stdout(_) => Ok(()),
        }
    }
}

/// Rows as Parquet, in memory until they are done.
pub(super) struct Parquet(ArrowWriter<Vec<u8>>);

impl Parquet {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        ArrowWriter::try_new(Vec::new(), SchemaRef::clone(schema), Some(properties))
            .map(Self)
            .map_err(unwritable)
    }

    /// Adds rows, and gives the bytes that are ready.
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        self.0.write(batch).map_err(unwritable)?;
        Ok(std::mem::take(self.0.inner_mut()))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.0.finish().map_err(unwritable)?;
        Ok(std::mem::take(self.0.inner_mut()))
    }
}

fn unwritable(error: datafusion::parquet::errors::ParquetError) -> Error {
    Error::failure(format!("cannot write Parquet: {error}"))
        .hint("cast the column to a plain type, or write NDJSON")
}

/// Shows a text in the pager; false when there is none.
pub(super) fn page(text: &str) -> bool {
    let pager = std::env::var("PAGER").unwrap_or_default();
    let pager = if pager.trim().is_empty() {
        "less -SRX".to_owned()
    } else {
        pager
    };
    let mut words = pager.split_whitespace();
    let Some(program) = words.next() else {
        return false;
    };
    let started = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever leaves the pager has seen enough.
        drop(stdin.write_all(text.as_bytes()));
    }
    drop(child.wait());
    true
}
