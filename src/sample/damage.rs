//! How lines are broken on purpose. It knows nothing of files.

use super::event::Body;

/// What to do to a line to break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Truncated,
    Garbage,
    InvalidUtf8,
    NoTime,
    TypeConflict,
}

impl Damage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NoTime => "no_time",
            Self::TypeConflict => "type_conflict",
        }
    }

    pub(crate) fn suits(self, body: &Body<'_>) -> bool {
        match self {
            Self::InvalidUtf8 | Self::TypeConflict => matches!(body, Body::Process { .. }),
            _ => true,
        }
    }

    pub(crate) fn keeps_the_row(self) -> bool {
        self == Self::TypeConflict
    }

    pub(crate) fn apply(self, line: &mut Vec<u8>) {
        match self {
            Self::Truncated => line.truncate(line.len() * 3 / 5),
            Self::Garbage => {
                line.clear();
                line.extend_from_slice(b"forwarder: connection reset by peer, 3 records resent {");
            }
            Self::InvalidUtf8 => {
                if let Some(start) = after(line, b",\"CommandLine\":\"") {
                    line.splice(start..start, [0xC3, 0x28, 0xFF]);
                }
            }
            Self::NoTime => {
                if let Some(start) = after(line, b"\"TimeCreated\":\"") {
                    line.splice(start..start + 27, *b"-");
                }
            }
            Self::TypeConflict => {
                if let Some(start) = after(line, b",\"CommandLine\":")
                    && let Some(end) = find(line, b",\"CurrentDirectory\"")
                {
                    line.splice(start..end, *b"{\"#text\":\"\"}");
                }
            }
        }
    }
}

fn find(line: &[u8], needle: &[u8]) -> Option<usize> {
    line.windows(needle.len())
        .position(|window| window == needle)
}

fn after(line: &[u8], needle: &[u8]) -> Option<usize> {
    find(line, needle).map(|position| position + needle.len())
}
