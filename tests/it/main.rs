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
mod cli;
mod fixtures;
mod lake;
mod one_scan;
mod publish;
mod racing;
mod real_telemetry;
mod slt;
mod tidy;
mod windows;
mod workspace;
