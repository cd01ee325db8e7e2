//! The binary: parse, call the library, turn the result into an exit code.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one wall clock; everything else is told the time"
    )]
    let now = chrono::Utc::now();
    lakehunt::commands::main(lakehunt::cli::Cli::parse(), now)
}
