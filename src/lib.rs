//! lakehunt

pub mod cli;
pub mod commands;
pub mod engine;
pub mod error;
pub mod functions;
pub mod history;
pub mod hunt;
pub mod job;
pub mod lake;
pub mod output;
pub mod printer;
pub mod report;
pub mod sample;
pub mod store;
pub mod time;

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
