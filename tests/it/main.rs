//! The one integration-test binary: every test target links a whole DataFusion.

mod answers;
mod bad_input;
mod cli;
mod lake;
mod publish;
mod one_scan;
mod slt;
mod tidy;
mod workspace;
