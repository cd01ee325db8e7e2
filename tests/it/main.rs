//! The one integration-test binary: every test target links a whole DataFusion.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, in its helpers too"
)]

mod answers;
mod bad_arguments;
mod bad_files;
mod bad_hunts;
mod bad_input;
mod bucket;
mod check;
mod cli;
mod damage;
mod drift;
mod evaluate;
mod exceptions;
mod fixtures;
mod form_views;
mod init;
mod lake;
mod layouts;
mod one_scan;
mod publish;
mod published_vectors;
mod racing;
mod real_telemetry;
mod recall;
mod s3;
mod schema;
mod slt;
mod test_command;
mod tidy;
mod windows;
mod workspace;
