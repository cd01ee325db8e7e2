//! The one integration-test binary: every test target links a whole DataFusion.

mod slt;
mod tidy;
