//! Arguments of `lakehunt sql` and `lakehunt ioc`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::WindowArgs;

/// Rows for people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// A table, as wide as the terminal.
    #[value(alias = "text")]
    Table,
    /// A line a column, for long values.
    Vertical,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    #[value(alias = "jsonl")]
    Ndjson,
    /// A Markdown table, for tickets.
    #[value(alias = "md")]
    Markdown,
    /// A Parquet file; needs `-o`, or a pipe.
    Parquet,
}

/// `lakehunt sql`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lakehunt sql                                        the shell\n  lakehunt sql \"SELECT host_name, count(*) FROM process_creation GROUP BY 1\" --last 7d\n  lakehunt sql \"SELECT * FROM alerts WHERE level = 'high'\" --earliest -7d@d --format vertical\n  lakehunt sql \"SUMMARIZE sysmon\"; lakehunt sql \"DESCRIBE process_creation\"\n  lakehunt sql \"SELECT * FROM process_tree('{1ab8f1c2-0001}')\"\n  lakehunt sql \"SELECT count(*) FROM 'export/*.ndjson.gz'\"\n  lakehunt sql -f query.sql --format ndjson | jq .command_line\n  lakehunt sql \"SELECT ...\" -o rows.parquet\n\nTables and views show the window only. Without one it is the last 24 hours of the data;\n--earliest 0 is all time up to now.\n\nExit codes: 0 done, 1 a query failed or met a limit, 2 usage, or a mistake in the query,\n130 interrupted."
)]
pub struct SqlArgs {
    /// Statements with `;` between them; without any, a shell, or stdin where that is no terminal. `-` is stdin.
    pub query: Option<String>,
    /// A file with statements.
    #[arg(long, short, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,
    /// The lake; by default the nearest lake.yaml, here, in data/, or in a folder above.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Where runs wrote findings and alerts, for the tables `alerts`, `findings`, `runs`, `quarantine`; by default that of
    /// the jobs beside the lake.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// How to print; by default what the suffix of `-o` says, else a table.
    #[arg(long, value_enum)]
    pub format: Option<RowFormat>,
    /// Write the rows into this file: whole or not at all.
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show all columns and whole values, however wide.
    #[arg(long)]
    pub wide: bool,
    /// Stop after so many rows; for tables 10000 by default.
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
    /// Stop a query after this time; 0 for never.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub timeout: String,
    /// Memory for the query, such as 2GiB; by default half of what this process may use.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Say what the query would read, in words, instead of running it.
    #[arg(long)]
    pub explain: bool,
    /// Say what it cost: requests, bytes, files, rows, time; on stderr.
    #[arg(long)]
    pub stats: bool,
    /// Turn the query into a hunt of this name, with a fixture made from its rows.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["explain", "out"])]
    pub save_hunt: Option<String>,
    // Last, because its heading holds for all that follows.
    /// Which time; the last 24 hours of the data by default.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// `lakehunt ioc`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  lakehunt ioc indicators.txt --last 365d\n  lakehunt ioc bundle.stix.json --earliest -90d@d --format csv -o sightings.csv\n  curl -s https://feed.example/misp.json | lakehunt ioc - --last 30d --format ndjson\n\nFILE is a list with a line each, CSV (a column `value`, `indicator` or `ioc`, else whatever looks\nlike one), a STIX 2.1 bundle, or a MISP event. Defanged values (hxxp, [.]) are put right.\n\nEach table is read once, whatever the list is. Kinds are looked for in the columns whose names can\nhold them, and in texts such as command lines; --all-columns looks into every text. A domain is\nfound in its subdomains.\n\nExit codes: 0 done, 1 a table could not be read, 2 usage, 3 something was found and --fail-on-hit\nwas given."
)]
pub struct IocArgs {
    /// The indicators; `-` for stdin.
    pub file: PathBuf,
    /// The lake; by default the nearest lake.yaml, here, in data/, or in a folder above.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Look into every column of text, whatever its name.
    #[arg(long)]
    pub all_columns: bool,
    /// Exit with 3 when something was found.
    #[arg(long)]
    pub fail_on_hit: bool,
    /// How to print; by default what the suffix of `-o` says, else a table.
    #[arg(long, value_enum)]
    pub format: Option<RowFormat>,
    /// Write the rows into this file: whole or not at all.
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show all columns and whole values, however wide.
    #[arg(long)]
    pub wide: bool,
    // Last, because its heading holds for all that follows.
    /// Which time; the last 24 hours of the data by default.
    #[command(flatten)]
    pub window: WindowArgs,
}
