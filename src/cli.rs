//! The command line: clap types, help and examples. No behaviour.

mod alerts;
mod ask;
mod hunts;

pub use alerts::{
    AlertsArgs, AlertsCommand, AlertsListArgs, AlertsRiskArgs, AlertsShowArgs, OutputArgs,
    TableFormat,
};
pub use ask::{IocArgs, RowFormat, SqlArgs};
pub use hunts::{CoverageFormat, HuntsCommand, NewArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Threat hunts, written as SQL, over a data lake of Parquet and NDJSON.
#[derive(Debug, Parser)]
#[command(
    name = "lakehunt",
    version,
    about,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  lakehunt run jobs/nightly.yaml             run the newest complete tile of a job\n  lakehunt run jobs/nightly.yaml --due       run what is due: for a timer\n  lakehunt run jobs/nightly.yaml --last 24h  look at the last day, off the grid\n  lakehunt status jobs/nightly.yaml          which tiles are done\n  lakehunt hunts list                        all hunts\n  lakehunt tables --lake data/lake.yaml      what the lake holds\n  lakehunt sample /tmp/lake --days 3         a lake to play with\n\nExit codes: 0 ran (with or without findings), 1 something failed or is partial, 2 usage or configuration,\n3 alerts at or above --fail-on."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing but data and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Colour: `NO_COLOR` and `CLICOLOR_FORCE` are heeded by `auto`.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job: its hunts over the newest complete tile, or over a window.
    Run(Box<RunArgs>),
    /// Fill a range of a job's tiles: what was not run, and what is stale.
    Backfill(Box<BackfillArgs>),
    /// Show which tiles of a job are done, stale, partial, failed or missing.
    Status(StatusArgs),
    /// Show a job's next tiles; print a timer for it.
    Schedule(ScheduleArgs),
    /// Remove a job's old tiles.
    Prune(PruneArgs),
    /// Compare what a hunt finds with what it found before a change.
    Diff(Box<DiffArgs>),
    /// List and show hunts; what they cover.
    #[command(
        subcommand,
        after_help = "Examples:\n  lakehunt hunts list --tag attack.t1047\n  lakehunt hunts show wmic_format"
    )]
    Hunts(HuntsCommand),
    /// List and filter stored alerts, show one with its raw events, add up risk.
    Alerts(Box<AlertsArgs>),
    /// Find what is wrong with hunts, views and forms, without running anything.
    Check(CheckArgs),
    /// Run hunts over their fixtures: events, and the findings they must give.
    Test(TestArgs),
    /// Hold hunts against a labelled lake: recall and precision.
    Evaluate(EvaluateArgs),
    /// Ask the lake: a shell, or SQL that runs and ends.
    Sql(SqlArgs),
    /// Look for indicators in all of a lake: hashes, addresses, domains, names.
    Ioc(IocArgs),
    /// Show the tables of a lake: files, bytes, time range, columns.
    Tables(TablesArgs),
    /// Write a sample lake with planted attacks and their answers.
    Sample(SampleArgs),
    /// Start a project: lake file, hunts, views, a job.
    Init(InitArgs),
    /// Print JSON Schemas: of front matter, job, lake, form, view and exceptions for editors, of the summary for programs.
    Schema(SchemaArgs),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  lakehunt completions bash > /etc/bash_completion.d/lakehunt"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Output for people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// Markdown, for tickets.
    Markdown,
}

/// A job, and what of it is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct JobArgs {
    /// The job file.
    pub job: PathBuf,
    /// Another lake than the job's.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Another output than the job's: a folder, or an address such as `s3://bucket/prefix`.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Only this hunt; may be given several times. It need not be among the job's.
    #[arg(long = "hunt", value_name = "NAME")]
    pub hunts: Vec<String>,
}

/// `lakehunt run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt run jobs/nightly.yaml\n  lakehunt run jobs/nightly.yaml --due\n  lakehunt run jobs/nightly.yaml --from 2026-01-01 --to 2026-01-04\n  lakehunt run jobs/nightly.yaml --hunt wmic_format --earliest -7d@d --latest @d\n  lakehunt run jobs/nightly.yaml --format json | jq '.alerts[].message'\n\nA range whose ends are on the job's grid means its tiles, which are published. Any other range is exploratory:\nprinted, and written under OUTPUT/adhoc/ only.\n\n--due is for a timer: the complete tiles that have no ledger, oldest first, and, as far back as the tables' `late` says,\nthose with an object that is new, has changed or is gone, a hunt that is new or has changed, or one that failed (three\ntimes at most). Only the hunts that have to are run again."
)]
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
pub struct RunArgs {
    /// Which job, and what of it.
    #[command(flatten)]
    pub of: JobArgs,
    /// Exit with 3 when there is a new alert of this level or above.
    #[arg(long, value_name = "LEVEL", value_parser = ["informational", "low", "medium", "high", "critical"])]
    pub fail_on: Option<String>,
    /// Memory for the hunts, such as 2GiB; by default the job's, or half of what this process may use.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Run every complete tile that was not run, and those of late that lack something.
    #[arg(long, conflicts_with_all = ["from", "to", "last", "earliest", "latest", "explain", "rebuild"])]
    pub due: bool,
    /// Say what would be run and read: windows, files, bytes, columns. Lists, and opens no file.
    #[arg(long, conflicts_with_all = ["explain", "rebuild"])]
    pub plan: bool,
    /// Show what the hunts share and their plans instead of running them.
    #[arg(long)]
    pub explain: bool,
    /// Make alerts and summary again from the stored findings, without reading the lake: after a change of title, message, level or exceptions.
    #[arg(long, conflicts_with = "explain")]
    pub rebuild: bool,
    /// Say what it cost: requests, bytes, files, rows, time; on stderr.
    #[arg(long)]
    pub stats: bool,
    /// How to print the summary.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    // Last, because its heading holds for all that follows.
    /// Which time.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// `lakehunt backfill`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt backfill jobs/nightly.yaml --from 2025-01-01 --to 2026-01-01 --plan\n  lakehunt backfill jobs/nightly.yaml --from 2025-01-01 --to 2026-01-01 --parallel 4\n  lakehunt backfill jobs/nightly.yaml --from 2025-10-01 --to 2026-01-01 --hunt wmic_format --newest-first --notify new\n\nThe whole, complete tiles of the range that lack something are run: those without a ledger, those whose objects, lookups\nor hunts are others by now, those that failed or are partial. Only the hunts that have to are run; the files of the\nothers stay as they are. Stop it at any time: the same command goes on from there. Several processes, on several\nmachines, may run it at once.\n\nExit codes: 0 filled, 1 a tile failed or is partial, 2 usage or configuration, 3 new alerts at or above --fail-on."
)]
pub struct BackfillArgs {
    /// Start of the range: a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// End of the range, exclusive.
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// Which job, and what of it.
    #[command(flatten)]
    pub of: JobArgs,
    /// Windows at a time; each has its share of the memory.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// Say what would be run and read: windows, files, bytes, columns. Lists, and opens no file.
    #[arg(long)]
    pub plan: bool,
    /// From the end of the range to its start.
    #[arg(long)]
    pub newest_first: bool,
    /// Which alerts to tell of: they are history.
    #[arg(long, value_enum, default_value_t = Notify::None)]
    pub notify: Notify,
    /// Exit with 3 when there is a new alert of this level or above.
    #[arg(long, value_name = "LEVEL", value_parser = ["informational", "low", "medium", "high", "critical"])]
    pub fail_on: Option<String>,
    /// Memory for the hunts, such as 2GiB.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Run as if it were this time.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub format: TestFormat,
}

/// Which alerts a backfill tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Notify {
    /// None: they are counted.
    None,
    /// Those that are neither repeats nor excepted.
    New,
    /// All of them.
    All,
}

/// `lakehunt status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt status jobs/nightly.yaml\n  lakehunt status jobs/nightly.yaml --check || echo \"the nightly hunts did not run\"\n  lakehunt status jobs/nightly.yaml --hunt wmic_format --verify\n  lakehunt status jobs/nightly.yaml --format json | jq '.tiles[] | select(.standing == \"stale\")'\n\nA tile is done when every hunt of the job saw everything there is for it. It is stale when an object that holds events\nof it is new, has changed or is gone, or a hunt or lookup is another by now; objects are looked for as far back as the\ntables' `late` says, and everywhere with --verify. Nothing is read but ledgers and listings.\n\nExit codes: 0, with --check 1 when a complete tile is missing, 2 usage or configuration."
)]
pub struct StatusArgs {
    /// Which job, and what of it.
    #[command(flatten)]
    pub of: JobArgs,
    /// Count tiles hunt by hunt, too.
    #[arg(long)]
    pub by_hunt: bool,
    /// Exit with 1 when a complete tile is missing.
    #[arg(long)]
    pub check: bool,
    /// Look for changed objects in all tiles, and read the published files: are they what their ledgers say?
    #[arg(long)]
    pub verify: bool,
    /// As if it were this time.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub format: TestFormat,
}

/// `lakehunt schedule`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt schedule jobs/nightly.yaml\n  lakehunt schedule jobs/nightly.yaml --format crontab | crontab -\n  lakehunt schedule jobs/nightly.yaml --format systemd\n  lakehunt schedule jobs/nightly.yaml --format kubernetes | kubectl apply -f -\n\nThe timers run `lakehunt run JOB --due` when a tile has settled, in the grid's time zone. One that comes late, or twice,\ndoes no harm: what is due is run, and nothing else."
)]
pub struct ScheduleArgs {
    /// The job file.
    pub job: PathBuf,
    /// Another lake than the job's: its tables say when a tile has settled.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// How many tiles.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub next: usize,
    /// As if it were this time.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// What to print.
    #[arg(long, value_enum, default_value_t = ScheduleFormat::Text)]
    pub format: ScheduleFormat,
}

/// What `schedule` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleFormat {
    /// The next tiles, for people.
    Text,
    /// The next tiles, as one JSON document.
    Json,
    /// A line for a crontab.
    Crontab,
    /// A service and a timer for systemd.
    Systemd,
    /// A `CronJob` for Kubernetes.
    Kubernetes,
}

/// `lakehunt prune`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt prune jobs/nightly.yaml --older-than 400d --dry-run\n  lakehunt prune jobs/nightly.yaml --older-than 400d\n\nRemoves findings, alerts, quarantine, ledger and summary of tiles that ended so long ago, and remembers that they are\ngone, so that they are not taken for missing. A backfill of the range makes them again."
)]
pub struct PruneArgs {
    /// The job file.
    pub job: PathBuf,
    /// Tiles that ended longer ago than this.
    #[arg(long, value_name = "DURATION")]
    pub older_than: String,
    /// Say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Another output than the job's.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// As if it were this time.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

/// `lakehunt diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt diff wmic_format --against main --last 30d --format markdown\n  lakehunt diff wmic_format --against /tmp/old.sql --from 2026-01-01 --to 2026-01-04 --lake data/lake.yaml\n  lakehunt diff wmic_format --against HEAD~1 --job jobs/nightly.yaml --last 7d\n\nBoth texts run over each tile of the range, in one pass over the lake: tiles of the job, or whole UTC days without one.\nFindings are compared by the columns that both results have, but for what only says where raw events lie."
)]
pub struct DiffArgs {
    /// The hunt.
    pub hunt: String,
    /// What it was: a file, or a revision that git knows.
    #[arg(long, value_name = "REV_OR_FILE")]
    pub against: String,
    /// The job whose grid, lake and parameters are meant.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// The lake; by default the job's, or the nearest lake.yaml, here, in data/, or in a folder above.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Memory for the hunts, such as 2GiB.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    // Last, because its heading holds for all that follows.
    /// Which time.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// The window flags, the same everywhere.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Window")]
pub struct WindowArgs {
    /// Start, inclusive: a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End, exclusive.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// The time up to now, such as 24h.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub last: Option<String>,
    /// Start in Splunk's relative time, such as -7d@d.
    #[arg(long, value_name = "SPEC", allow_hyphen_values = true)]
    pub earliest: Option<String>,
    /// End in Splunk's relative time, such as @d; now by default.
    #[arg(long, value_name = "SPEC", allow_hyphen_values = true)]
    pub latest: Option<String>,
    /// Run as if it were this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
}

/// `lakehunt check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt check\n  lakehunt check wmic_format --lake data/lake.yaml\n  lakehunt check jobs/nightly.yaml\n  lakehunt check --format json | jq -r '.[] | \"\\(.file):\\(.line): \\(.message)\"'\n\nNAME is a hunt, a hunt's file, or a job, lake or exceptions file (.yaml). Without one, all\nhunts, views and forms are checked. Exit codes: 0 no errors, 2 errors."
)]
pub struct CheckArgs {
    /// Only these hunts or files.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Check the hunts over the tables of this lake too.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// Make warnings errors.
    #[arg(long)]
    pub deny_warnings: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub format: TestFormat,
}

/// `lakehunt init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lakehunt init hunting && cd hunting && lakehunt check\n\nWrites lake.yaml, sql/ (the shipped forms, views and hunts), tests/hunts/, jobs/nightly.yaml and\na README that says what to do next."
)]
pub struct InitArgs {
    /// The folder to write; it must be empty or not there.
    pub folder: PathBuf,
}

/// `lakehunt schema`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt schema                     the kinds of files\n  lakehunt schema job > job.schema.json\n  lakehunt schema --output schemas    one file a kind\n\nTo tell the editor, begin a YAML file with\n  # yaml-language-server: $schema=../schemas/job.schema.json"
)]
pub struct SchemaArgs {
    /// The kind of file.
    #[arg(value_enum, conflicts_with = "output")]
    pub kind: Option<SchemaKind>,
    /// Write all schemas into this folder, as KIND.schema.json.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// The kinds of files that people write, and the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// The front matter of a hunt: sql/hunts/**/*.sql.
    FrontMatter,
    /// A job: jobs/*.yaml.
    Job,
    /// A lake: lake.yaml.
    Lake,
    /// A form: sql/forms/*.yaml.
    Form,
    /// The schema of a view: sql/views/*/schema.yaml.
    View,
    /// Exceptions: a list of its own file.
    Exceptions,
    /// The summary of a run: `OUTPUT/summary/*/*.json`, and `run --format json`.
    Summary,
}

/// `lakehunt test`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt test\n  lakehunt test wmic_format --accept\n  lakehunt test --junit report.xml\n\nThe fixture of sql/hunts/<path>.sql is the folder tests/hunts/<path>/ with\n  events.ndjson                 raw events in the form windows_event, or\n  events.<form or view>.ndjson  raw events of another form, or rows with the columns of a view\n  expected.ndjson               the findings, with the columns that are worth comparing\n  params.yaml                   other values for the hunt's params, if need be\nEach event has a `_note` of `hit: why` or `near miss: why`; one of each at least.\n\nExit codes: 0 all passed, 1 one failed or a stable hunt has none, 2 usage or configuration."
)]
pub struct TestArgs {
    /// Only these hunts.
    #[arg(value_name = "NAME")]
    pub hunts: Vec<String>,
    /// Write what is found as what is expected, with the columns that were compared before.
    #[arg(long)]
    pub accept: bool,
    /// Write XML for CI too, as `JUnit` does.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub format: TestFormat,
}

/// `lakehunt evaluate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt evaluate data/answers.json\n  lakehunt evaluate answers.json wmic_format --lake lake.yaml --verbose\n  lakehunt evaluate answers.json --format json | jq '.hunts[] | select(.recall < 1).hunt'\n\nANSWERS is what `lakehunt sample` writes as answers.json, or\n  {\"hunts\": {\"<hunt>\": [{\"table\": \"sysmon\", \"file\": \"a.ndjson\", \"row\": 7}, ...]}}\nwith every raw event that the hunt must find: the table's name in the lake file, the file below its\nlocation, and the line from 1. Instead of the list, an object of lists says more:\n  events       as above; without them the hunt is run, and has no recall and precision\n  near_misses  look like those; they are extra when they are found\n  context      may stand beside those in a finding and count neither way: the connection\n               before a process\n  explained    each with \"why\": missed or extra for a reason; they count, and fail nothing\nBeside `hunts`, \"duplicates\": [{\"table\", \"file\", \"row\", \"of\": {...}}] names records that lie there\ntwice: one event each.\n\nAll hunts that the answers name run, over all time, in one scan, with their own parameters. What\ncounts are the raw events behind findings: `evidence`, or `_table`, `_file` and `_row` of plain\nrows. evidence() keeps 101 events of a finding; where there were more, the output says so.\n\nExit codes: 0 nothing is missed, 1 a labelled event is missed and not explained, or a hunt failed,\n2 usage or configuration."
)]
pub struct EvaluateArgs {
    /// The labels: a JSON file; `-` for stdin.
    pub answers: PathBuf,
    /// Only these hunts; the answers need not name them.
    #[arg(value_name = "NAME")]
    pub hunts: Vec<String>,
    /// The lake; by default the lake.yaml beside ANSWERS, else the nearest, here, in data/, or in a folder above.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// List all events that are missed or extra, instead of ten a hunt.
    #[arg(long, short)]
    pub verbose: bool,
    /// Memory for the hunts, such as 2GiB.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Output of verbs that have no Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// `lakehunt tables`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt tables --lake data/lake.yaml\n  lakehunt tables sysmon --lake data/lake.yaml --format json"
)]
pub struct TablesArgs {
    /// One table, with its columns.
    pub table: Option<String>,
    /// The lake; by default the nearest lake.yaml, here, in data/, or in a folder above.
    #[arg(long, value_name = "FILE")]
    pub lake: Option<PathBuf>,
    /// What the files have of each declared column: in which share of files and records, with which types.
    #[arg(long, requires = "table")]
    pub drift: bool,
    /// Say what it cost: requests, bytes, files, rows, time; on stderr.
    #[arg(long)]
    pub stats: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `lakehunt sample`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lakehunt sample /tmp/lake\n  lakehunt sample /tmp/big --days 7 --events 5000000 --seed 7 --distinct 0.1\n\nThe same options give the same bytes on every machine. answers.json says what is planted and where."
)]
pub struct SampleArgs {
    /// The folder to write; it must be empty or hold a sample.
    pub folder: PathBuf,
    /// Days of telemetry.
    #[arg(long, default_value_t = 3)]
    pub days: u32,
    /// Events in all.
    #[arg(long, default_value_t = 20_000)]
    pub events: u64,
    /// Another seed, another lake.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The first day.
    #[arg(long, default_value = "2026-01-01", value_name = "DATE")]
    pub start: chrono::NaiveDate,
    /// Share of command lines that occur once, 0 to 1.
    #[arg(long, default_value_t = 0.4, value_name = "SHARE")]
    pub distinct: f64,
    /// Hosts; by default as many as suit the events.
    #[arg(long)]
    pub hosts: Option<u32>,
}
