//! `answers.json`: what is planted and where it lies, what is broken, what was delivered twice, and how much there is.
//! It knows nothing of how any of it is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The mark by which a folder is known to hold a lake of this generator.
pub const MADE_BY: &str = "lakehunt sample";

/// A hunt that the sample lake has answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hunt {
    /// `cmd /Q /c` whose output goes to `\\127.0.0.1\<share>\__<5 to 10 digits>[.<1 to 7 digits>]`, with at least two
    /// distinct commands and two distinct processes a host and file.
    WmiexecSharedOutputFile,
    /// wmic, by image or original file name, with `node` anywhere in its command line, without regard to case.
    RemoteWmiCommandAttempt,
    /// wmic, by image or original file name, with a valid address in its command line that is not a loopback one.
    WmicRemoteIp,
    /// wmic, by image or original file name, with `format` anywhere in its command line, without regard to case.
    WmicFormat,
    /// `cmd /Q /c <command> 1> \\<any host>\<share>\<file> 2>&1`, every start.
    CommandOutputRedirectedToShare,
    /// The same with `\\127.0.0.1\<share>\__<5 digits>`, as a child of mmc.exe or explorer.exe.
    DcomexecCommand,
    /// A child of services.exe that writes a command and `\__output` into a `.bat` and runs it.
    SmbexecCommand,
    /// `cmd.exe /C <command> > <Windows>\Temp\<8 letters>.tmp 2>&1`.
    AtexecCommand,
    /// `cmd.exe /Q /c` whose output goes to `\Windows\Temp\<6 letters>` or six letters on another host's share, or with
    /// `C:\windows\temp\<uuid>.txt` in it.
    NetexecCommand,
    /// A child of WmiPrvSE.exe with `cmd /Q /c` and no `1> <file> 2>&1`.
    WmiexecNoOutput,
    /// wmic with `/node:`, loopback hosts included.
    WmicRemoteNode,
    /// wmic with `process call create`.
    WmicProcessCallCreate,
    /// wmic with `.xsl`, or `format:` and an address, share or path.
    WmicXslScript,
    /// wmic, powershell, wbemtool, wmiprvse, wmiadap or scrcons, with `process call create`, `shadowcopy delete`, `process
    /// start` or `createobject`.
    WmiCommandExecution,
    /// wmic `shadowcopy … delete`, vssadmin `delete shadows`, powershell `Win32_ShadowCopy … delete`.
    ShadowCopyDeletion,
    /// Every child of WmiPrvSE.exe.
    WmiProviderChildProcess,
    /// Every connection, of either direction and by any sensor, to port 135, 5985 or 5986.
    RemoteWmiConnection,
    /// wmic's own outbound connection to port 135, 5985, 5986 or a dynamic one, PowerShell's to the first three, and the start of
    /// that process.
    WmiClientConnection,
    /// A child of WmiPrvSE.exe from 1 s before to 15 s after an inbound connection to port 135, 5985 or 5986, and the later
    /// children of the same WmiPrvSE process: the connection and all of these.
    WmiChildAfterInboundConnection,
    /// wmic loads `jscript*.dll` or `vbscript.dll`.
    WmicScriptDllLoad,
    /// Sysmon 19, 20, 21 and 5861. Windows' own `SCM Event Log Filter` is a hit that says so.
    WmiEventSubscription,
    /// Every 5859 and 5860.
    WmiTemporarySubscription,
    /// Every 5857, wherever its provider lies.
    WmiProviderLoad,
    /// Every 5858.
    WmiClientFailure,
    /// PowerShell 4103, 4104 or 800 with `Invoke-WmiMethod`, `Get-WmiObject`, `gwmi` or `Win32_Process`, every one.
    PowershellWmiCall,
    /// PowerShell with `Invoke-WmiMethod`, `Invoke-CimMethod`, `Get-WmiObject` or `Win32_Process` on its command line.
    PowershellWmiCommandLine,
    /// Security 5145 on `ADMIN$` or `C$` for a file named `__<digits>[.<digits>]`.
    ImpacketOutputFileOverSmb,
    /// Zeek `dce_rpc` calls of `IWbemLevel1Login`, `IWbemServices` or `IRemUnknown2`.
    WmiRpcCall,
}

/// Whether the hunt reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The hunt reports it.
    Hit,
    /// It looks like what the hunt asks for, and the hunt must not report it.
    NearMiss,
}

/// Where one raw event lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The table's name in `lake.yaml`.
    pub table: String,
    /// The file, relative to the table's location.
    pub file: String,
    /// 1-based line, or 1-based row of a Parquet file.
    pub row: u64,
}

/// One planted activity and one hunt: an activity that several hunts ask for has an entry for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// Unique in the lake: `p001`.
    pub id: String,
    /// The hunt that this is an answer for.
    pub hunt: Hunt,
    /// Hit or near miss.
    pub kind: Kind,
    /// UTC day of the last event: a finding counts in the tile that holds its `last_seen`.
    pub day: String,
    /// Host name as in the raw events; CrowdStrike's id of the host, as FDR has no names; the server's address where only the
    /// network sensor saw it.
    pub host: String,
    /// Table of the first event; process creations of another table are the same processes seen by a second sensor.
    pub table: String,
    /// First and last time, RFC 3339: what the raw event says of when it happened (`UtcTime`, `ContextTimeStamp`, `Timestamp`,
    /// `time`, `ts`), else of when it was logged (`TimeCreated`, `EventTime`, `TimeGenerated`).
    pub first_seen: String,
    /// See `first_seen`.
    pub last_seen: String,
    /// What makes it one activity, by column name.
    pub key: BTreeMap<String, String>,
    /// Command lines, in order of time, each once a process.
    pub commands: Vec<String>,
    /// Every raw event that belongs to it.
    pub events: Vec<Place>,
    /// Why it is a hit or none.
    pub why: String,
}

/// A line that cannot be read as meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The table's name in `lake.yaml`.
    pub table: String,
    /// The file, relative to the table's location.
    pub file: String,
    /// 1-based line.
    pub line: u64,
    /// `truncated`, `garbage`, `invalid_utf8`, `no_time` or `type_conflict`.
    pub reason: String,
    /// Whether a row remains: a value of the wrong type costs that value only.
    pub row_kept: bool,
}

/// A record that was delivered twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// The table's name in `lake.yaml`.
    pub table: String,
    /// The file of the second copy, relative to the table's location.
    pub file: String,
    /// 1-based line of the second copy.
    pub row: u64,
    /// Where the first copy lies.
    pub of: Place,
}

/// How much a table has for a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Lines (or Parquet rows) in the files whose path names the day, broken ones and second copies included.
    pub lines: u64,
    /// Distinct readable events that happened on this UTC day, whatever day their path names.
    pub events: u64,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// [`MADE_BY`].
    pub made_by: String,
    /// The options the lake was made with.
    pub seed: u64,
    /// First day, `2026-01-01`.
    pub start: String,
    /// Number of UTC days.
    pub days: u32,
    /// Distinct readable events in the lake.
    pub events: u64,
    /// Asked share of distinct command lines.
    pub distinct: f64,
    /// What is planted, in order of planting.
    pub planted: Vec<Planted>,
    /// Lines that cannot be read as meant.
    pub broken: Vec<Broken>,
    /// Records delivered twice.
    pub duplicates: Vec<Duplicate>,
    /// Table, then day.
    pub rows: BTreeMap<String, BTreeMap<String, Rows>>,
    /// Every data file, relative to the folder of `lake.yaml`.
    pub files: Vec<String>,
}
