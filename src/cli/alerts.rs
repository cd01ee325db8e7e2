//! The arguments of `lakehunt alerts`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::WindowArgs;

/// `lakehunt alerts`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  lakehunt alerts --level high --last 7d\n  lakehunt alerts list --entity DC01 --status new --format csv > dc01.csv\n  lakehunt alerts show 63185b782b55 --explain\n  lakehunt alerts risk --last 7d\n\nWithout a subcommand, alerts are listed. The output is that of the jobs in jobs/, unless --job or --output names\nanother."
)]
pub struct AlertsArgs {
    /// What to do; `list` by default.
    #[command(subcommand)]
    pub command: Option<AlertsCommand>,
    /// How to list.
    #[command(flatten)]
    pub list: AlertsListArgs,
}

/// What to do with stored alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// List stored alerts, the newest first.
    #[command(
        after_help = "Examples:\n  lakehunt alerts list --level high --last 7d\n  lakehunt alerts list --hunt wmic_format --status repeat\n  lakehunt alerts list --earliest -7d@d --format ndjson | jq -r .message\n\nA window is of when alerts were last seen. CSV: a cell that a spreadsheet would take for a formula begins with '."
    )]
    List(Box<AlertsListArgs>),
    /// One alert with the raw events behind it, and what is needed to run it again.
    #[command(
        after_help = "Examples:\n  lakehunt alerts show 63185b782b552dc19756a571e6158323\n  lakehunt alerts show 63185b78 --explain\n  lakehunt alerts show 63185b78 --format json | jq -r '.events[].raw'\n\nThe raw events are read back from the lake of the job, by file and record, as far as they are still there."
    )]
    Show(AlertsShowArgs),
    /// Add up risk: which hosts, users and addresses have most of it, from how many hunts.
    #[command(
        after_help = "Examples:\n  lakehunt alerts risk --last 7d\n  lakehunt alerts risk --last 7d --above 100 --hunts 3 --format markdown\n\nEvery alert that is no exception and no repeat adds its score to each of its entities. An entity above 100\nfrom three hunts or more within a week is worth a look even where no single alert is."
    )]
    Risk(Box<AlertsRiskArgs>),
}

/// Where alerts are stored.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The job whose output is read.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// The output itself: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// `lakehunt alerts list`.
#[derive(Debug, Args)]
pub struct AlertsListArgs {
    /// Where they are.
    #[command(flatten)]
    pub place: OutputArgs,
    /// Only this level and above.
    #[arg(long, value_name = "LEVEL", value_parser = ["informational", "low", "medium", "high", "critical"])]
    pub level: Option<String>,
    /// Only of this hunt; may be given several times.
    #[arg(long = "hunt", value_name = "NAME")]
    pub hunts: Vec<String>,
    /// Only about an entity whose name contains this, in any case.
    #[arg(long, value_name = "TEXT")]
    pub entity: Option<String>,
    /// Only new ones, repeats, or excepted ones; may be given several times.
    #[arg(long = "status", value_name = "STATUS", value_parser = ["new", "repeat", "excepted"])]
    pub statuses: Vec<String>,
    /// A layer for the ATT&CK Navigator instead of a list: which techniques fired, and how often.
    #[arg(long, conflicts_with = "format")]
    pub navigator: bool,
    /// OCSF Detection Findings (class 2004) instead of a list, a line each.
    #[arg(long, conflicts_with_all = ["format", "navigator"])]
    pub ocsf: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
    // Last, because its heading holds for all that follows.
    /// Which time; all of it by default.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// `lakehunt alerts show`.
#[derive(Debug, Args)]
pub struct AlertsShowArgs {
    /// The alert's id, or its first characters.
    pub id: String,
    /// Where it is.
    #[command(flatten)]
    pub place: OutputArgs,
    /// Another lake than the job's.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Say in words why it fired.
    #[arg(long)]
    pub explain: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = super::TestFormat::Text)]
    pub format: super::TestFormat,
}

/// `lakehunt alerts risk`.
#[derive(Debug, Args)]
pub struct AlertsRiskArgs {
    /// Where alerts are.
    #[command(flatten)]
    pub place: OutputArgs,
    /// Only entities with more risk than this.
    #[arg(long, value_name = "RISK", default_value_t = 0)]
    pub above: i64,
    /// Only entities with alerts of at least so many hunts.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub hunts: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
    // Last, because its heading holds for all that follows.
    /// Which time; all of it by default.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// Rows for people, tickets, programs and spreadsheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// For spreadsheets.
    Csv,
    /// Markdown, for tickets.
    Markdown,
}
