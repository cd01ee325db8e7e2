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
