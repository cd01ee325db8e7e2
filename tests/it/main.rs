//! The one integration-test binary: every test target links a whole DataFusion.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, in its helpers too"
)]

mod alerts;
mod answers;
mod backfill;
mod bad_arguments;
mod bad_files;
mod bad_hunts;
mod bad_input;
mod bucket;
mod bucket_reading;
mod check;
mod cli;
mod clouds;
mod damage;
mod damage_parquet;
mod deliver;
mod diff;
mod drift;
mod due;
mod evaluate;
mod exceptions;
mod fixtures;
mod form_views;
mod init;
mod isolation;
mod killed;
mod lake;
mod layouts;
mod ministack;
mod morning_report;
mod one_scan;
mod predicate_index;
mod publish;
mod published_vectors;
mod racing;
mod raw;
mod real_telemetry;
mod recall;
mod s3;
mod s3_faults;
mod s3_users;
mod schema;
mod several;
mod shell;
mod slt;
mod sql;
mod stage_two;
mod status;
mod test_command;
mod tidy;
mod windows;
mod workspace;
