//! Streams out of their compression: gzip of any number of members, zstd of any number of frames, or nothing.
//!
//! Knows bytes, nothing of lines.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

use super::config::Compression;

/// The decompressed bytes of a stream.
///
/// # Errors
/// When the decoder cannot be made.
pub(crate) fn decompress(
    compression: Compression,
    reader: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::Gzip => Box::new(Gzip {
            member: Some(GzDecoder::new(BufReader::with_capacity(128 * 1024, reader))),
        }),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
        Compression::None => Box::new(reader),
    })
}

/// The same, when a name says how a stream should be compressed and its first bytes may say otherwise: web servers and
/// the tools of clouds undo a compression without telling the name, or keep it under a name that does not tell.
///
/// # Errors
/// What the reader says of its first bytes.
pub(crate) fn decompress_as_found(
    by_name: Compression,
    mut reader: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    let mut front = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut front)?;
    let found = match front.as_slice() {
        [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        // What only JSON begins with; anything else is for the decoder to complain about.
        [b'{' | b'[', ..] => Compression::None,
        _ => by_name,
    };
    decompress(found, Cursor::new(front).chain(reader))
}

/// The members of a gzip file, one after the other. Zeros behind the last one are padding, as tapes and blocks leave it.
struct Gzip<R> {
    /// `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let reader = self.member.take().map(GzDecoder::into_inner);
            self.member = reader.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// A decoder of what follows a member, or `None` when nothing but padding does.
fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let rest = reader.fill_buf()?;
        if rest.is_empty() {
            return Ok(None);
        }
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(Some(GzDecoder::new(reader)));
        }
        reader.consume(zeros);
    }
}
