//! One file of lines and how it is compressed. It knows nothing of what the lines say.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::SampleError;

/// How lines are compressed. At a fixed level and without a time, so that bytes repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Zstd,
}

impl Codec {
    /// What a file's name ends with, the dot included.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

enum Encoder {
    Plain(File),
    Gzip(GzEncoder<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl Encoder {
    fn new(file: File, codec: Codec, level: u32) -> io::Result<Self> {
        Ok(match codec {
            Codec::Plain => Self::Plain(file),
            Codec::Gzip => Self::Gzip(
                GzBuilder::new()
                    .mtime(0)
                    .operating_system(255)
                    .write(file, Compression::new(level)),
            ),
            Codec::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(
                file,
                i32::try_from(level).unwrap_or(3),
            )?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<File> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// One open file.
pub(crate) struct LineFile {
    path: PathBuf,
    /// Its path below the table's folder.
    pub(crate) relative: String,
    /// What its path names.
    pub(crate) slot: i64,
    pub(crate) rows: u64,
    pub(crate) second_member: bool,
    encoder: Option<Encoder>,
    pending: Vec<u8>,
}

const PENDING: usize = 1 << 18;
impl LineFile {
    /// Makes the file and its folder. `root` is the table's folder.
    pub(crate) fn create(
        root: &Path,
        (folder, name): (&str, &str),
        slot: i64,
        codec: Codec,
        level: u32,
    ) -> Result<Self, SampleError> {
        let path = root.join(folder).join(name);
        let failed = |source| SampleError::write(&path, source);
        fs::create_dir_all(root.join(folder)).map_err(failed)?;
        let encoder = File::create(&path)
            .and_then(|file| Encoder::new(file, codec, level))
            .map_err(failed)?;
        Ok(Self {
            relative: format!("{folder}/{name}"),
            path,
            slot,
            rows: 0,
            second_member: false,
            encoder: Some(encoder),
            pending: Vec::with_capacity(PENDING + 8192),
        })
    }

    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), SampleError> {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.rows += 1;
        if self.pending.len() >= PENDING {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SampleError> {
        if let Some(encoder) = &mut self.encoder {
            encoder
                .write(&self.pending)
                .map_err(|source| SampleError::write(&self.path, source))?;
        }
        self.pending.clear();
        Ok(())
    }

    pub(crate) fn end_member(&mut self) -> Result<Option<File>, SampleError> {
        self.flush()?;
        let Some(encoder) = self.encoder.take() else {
            return Ok(None);
        };
        encoder
            .finish()
            .map(Some)
            .map_err(|source| SampleError::write(&self.path, source))
    }

    pub(crate) fn next_member(&mut self, codec: Codec, level: u32) -> Result<(), SampleError> {
        if let Some(file) = self.end_member()? {
            let encoder = Encoder::new(file, codec, level)
                .map_err(|source| SampleError::write(&self.path, source))?;
            self.encoder = Some(encoder);
        }
        Ok(())
    }
}
