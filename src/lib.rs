//! lakehunt runs threat hunts, written as SQL, over a data lake of Parquet and NDJSON: nightly, by hand, and over years
//! of history. Built on Apache DataFusion.
//!
//! # The way through
//! Data goes one way: **job → tile → tables → scan → hunts → findings → alerts → report**. Follow it in
//! `commands/run.rs` (which tiles) and `commands/run_tile.rs` (one tile from plan to ledger).
//!
//! # The rooms
//! A room imports only rooms below it in this list; `tests/it/tidy.rs` keeps it so.
//!
//! | room | what it is for |
//! |---|---|
//! | [`commands`] | one file a verb: arguments in, exit code out |
//! | [`shell`] | ad-hoc SQL for people: statements in, rows out in many formats, the interactive prompt |
//! | [`cli`] | clap types, no behaviour |
//! | [`stats`] | what a run or a statement cost: requests, bytes, files, rows, time |
//! | [`printer`] | the only place that writes to stdout or stderr |
//! | [`report`] | pure: one [`report::Report`] in; JSON, Markdown, terminal text and the morning's page out |
//! | [`deliver`] | how alerts leave: webhooks, files, and what has left already |
//! | [`history`] | reads what earlier runs left: which alerts are repeats, what the last weeks looked like |
//! | [`output`] | findings, alerts, quarantine, ledger, and the protocol that publishes them whole and once |
//! | [`engine`] | the only place a `SessionContext` is built: windows, views, names, plans, the shared scan |
//! | [`lake`] | tables over files: listing by time, readers, flattening, quarantine, clock, identity, forms, views |
//! | [`store`] | where bytes live: local disk and buckets behind one face |
//! | [`functions`] | SQL functions, one file each; imports nothing else of the crate |
//! | [`hunt`], [`job`], [`exceptions`], [`credentials`] | hunts, front matter, library; jobs and their grids; judged findings; how to reach a bucket; no query engine |
//! | [`sample`] | the seeded generator of the sample lake; imports nothing else of the crate |
//! | [`time`] | windows, tiles, Splunk's relative time, cron; "now" is passed in |
//! | [`error`] | errors that name file, line, column and a hint |
//!
//! # What holds everywhere
//! 1. A tile's output is a pure function of hunts, lake and tile: the same bytes on every run, in any order of tiles.
//!    No wall clock, no randomness, no result that depends on timing: files are decoded in parallel and handed on in
//!    order of their paths, hunts run on one partition, findings are stored in a total order.
//! 2. One shared scan gives what each hunt gives when it runs alone ([`engine::scan`]): tables take every filter as exact,
//!    so that the leaves of all plans ([`lake::LakeScanExec`]) can be served by one pass.
//! 3. A reader of the output sees whole files or nothing, and the ledger last ([`output::publish`]).
//! 4. A broken line, file or hunt costs itself only, and is counted and located ([`lake::quarantine`]).
//! 5. A regular expression means what the `regex` crate says, LIKE takes `\` literally, whichever rule of the optimizer
//!    runs ([`functions`]); names without quotes ignore case (`engine/names.rs`).
//! 6. Hunts contain no time. The engine scopes every table they read to `[start - lookback, end)`, and a finding counts
//!    in the tile that holds its `last_seen`.
//! 7. "No findings" and "no data" are different answers.
//! 8. A hunt reads the lake, or what the job's hunts over the lake left behind ([`engine::results`]). One of the second kind
//!    runs when the tiles that it looks at are done, and its record in the ledger has a digest of what it saw
//!    ([`history::second`]): where that is another now, the tile is stale.
//!
//! # Adding to it
//! - a hunt: a `.sql` file below `sql/hunts`, no Rust (README, "Write a hunt");
//! - a raw shape: `sql/forms/<form>.yaml`, and `sql/views/<category>/<form>.sql` for each view it can feed, unless it
//!   extends a form that has them;
//! - a SQL function: see [`functions`]; a table function for people who ask: see [`engine::pivots`].

pub mod cli;
pub mod commands;
pub mod credentials;
pub mod deliver;
pub mod engine;
pub mod error;
pub mod exceptions;
pub mod functions;
pub mod history;
pub mod hunt;
pub mod job;
pub mod lake;
pub mod output;
pub mod printer;
pub mod report;
pub mod sample;
pub mod shell;
pub mod stats;
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
