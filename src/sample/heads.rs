//! The System part of Windows events, flat EVTX and nxlog: which log, which record, when, on which host, written by whom. It knows
//! nothing of an event's own data.

use super::event::{Body, Event, Log};
use super::text::{SECOND, new_york_offset, put_iso, put_number, put_seconds};
use super::world::{Account, SYSTEM};

pub(crate) const SYSMON_CHANNEL: &str = "Microsoft-Windows-Sysmon/Operational";

/// What the System part says of each log.
struct Facts {
    channel: &'static str,
    provider: &'static str,
    /// nxlog's way to write the provider's GUID, `""` for the old log, which has none.
    guid: &'static str,
    level: u64,
    keywords: &'static str,
    kind: &'static str,
}

fn facts(log: Log) -> Facts {
    let (channel, provider, guid, level, keywords, kind) = match log {
        Log::Sysmon => (
            SYSMON_CHANNEL,
            "Microsoft-Windows-Sysmon",
            "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
            4,
            "-9223372036854775808",
            "INFO",
        ),
        Log::Security => (
            "Security",
            "Microsoft-Windows-Security-Auditing",
            "{54849625-5478-4994-A5BA-3E3B0328C30D}",
            0,
            "-9214364837600034816",
            "AUDIT_SUCCESS",
        ),
        Log::WmiActivity => (
            "Microsoft-Windows-WMI-Activity/Operational",
            "Microsoft-Windows-WMI-Activity",
            "{1418EF04-B0B4-4623-BF7E-D74AB47BBDAA}",
            0,
            "4611686018427387904",
            "INFO",
        ),
        Log::PowerShell => (
            "Microsoft-Windows-PowerShell/Operational",
            "Microsoft-Windows-PowerShell",
            "{A0C1853B-5C40-4B15-8766-3CF1C58F985A}",
            4,
            "0",
            "INFO",
        ),
        Log::WindowsPowerShell => (
            "Windows PowerShell",
            "PowerShell",
            "",
            4,
            "36028797018963968",
            "INFO",
        ),
    };
    Facts {
        channel,
        provider,
        guid,
        level,
        keywords,
        kind,
    }
}

/// Appends the System part as flat EVTX has it, from the brace on.
pub(crate) fn put_flat(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let facts = facts(event.body.log());
    out.extend_from_slice(b"{\"EventRecordID\":");
    put_number(out, record);
    for (name, text) in [
        (",\"Channel\":\"", facts.channel),
        ("\",\"Provider\":\"", facts.provider),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\",\"EventID\":");
    put_number(out, event.body.event_id());
    out.extend_from_slice(b",\"Version\":");
    put_number(out, event.body.version());
    out.extend_from_slice(b",\"Level\":");
    // A failed client is an error.
    put_number(
        out,
        if event.body.event_id() == 5858 {
            2
        } else {
            facts.level
        },
    );
    out.extend_from_slice(b",\"Task\":");
    put_number(out, event.body.task());
    out.extend_from_slice(b",\"Opcode\":0,\"TimeCreated\":\"");
    put_iso(out, event.logged);
    out.extend_from_slice(b"\",\"Computer\":\"");
    out.extend_from_slice(event.host.name.as_bytes());
    out.extend_from_slice(b"\",\"ExecutionProcessID\":");
    let process = writer_process(event);
    if process == 0 {
        out.extend_from_slice(b"null,\"ExecutionThreadID\":null");
    } else {
        put_number(out, u64::from(process));
        out.extend_from_slice(b",\"ExecutionThreadID\":");
        put_number(out, u64::from(process) + 24);
    }
    out.extend_from_slice(b",\"SecurityUserID\":");
    if let Some(account) = writer_account(event) {
        out.push(b'"');
        out.extend_from_slice(account.sid.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends the System part as nxlog has it, from the brace on.
pub(crate) fn put_nxlog(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let facts = facts(event.body.log());
    let local = event.logged + new_york_offset(event.logged);
    out.extend_from_slice(b"{\"EventTime\":\"");
    put_seconds(out, local, b' ');
    out.extend_from_slice(b"\",\"Hostname\":\"");
    out.extend_from_slice(event.host.name.as_bytes());
    out.extend_from_slice(b"\",\"Keywords\":");
    out.extend_from_slice(facts.keywords.as_bytes());
    // Sysmon's WMI events have a field of that name, and nxlog renames its own: this is its spelling.
    out.extend_from_slice(if matches!(event.body.event_id(), 19..=21) {
        b",\"EventTypeOrignal\":\""
    } else {
        b",\"EventType\":\""
    });
    out.extend_from_slice(facts.kind.as_bytes());
    out.extend_from_slice(b"\",\"SeverityValue\":2,\"Severity\":\"INFO\",\"EventID\":");
    put_number(out, event.body.event_id());
    out.extend_from_slice(b",\"SourceName\":\"");
    out.extend_from_slice(facts.provider.as_bytes());
    if !facts.guid.is_empty() {
        out.extend_from_slice(b"\",\"ProviderGuid\":\"");
        out.extend_from_slice(facts.guid.as_bytes());
    }
    out.extend_from_slice(b"\",\"Version\":");
    put_number(out, event.body.version());
    out.extend_from_slice(b",\"Task\":");
    put_number(out, event.body.task());
    out.extend_from_slice(b",\"OpcodeValue\":0,\"RecordNumber\":");
    put_number(out, record);
    let process = u64::from(writer_process(event));
    out.extend_from_slice(b",\"ExecutionProcessID\":");
    put_number(out, process);
    out.extend_from_slice(b",\"ThreadID\":");
    put_number(out, if process == 0 { 0 } else { process + 24 });
    out.extend_from_slice(b",\"Channel\":\"");
    out.extend_from_slice(facts.channel.as_bytes());
    if let Some(account) = writer_account(event) {
        for (name, text) in [
            ("Domain", account.domain),
            ("AccountName", &account.name),
            ("UserID", &account.sid),
        ] {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(b"\",\"AccountType\":\"User");
    }
    out.extend_from_slice(b"\",\"Category\":\"");
    out.extend_from_slice(category(event.body.event_id()).as_bytes());
    out.extend_from_slice(b"\",\"Opcode\":\"Info\",\"EventReceivedTime\":\"");
    put_seconds(out, local + SECOND, b' ');
    out.extend_from_slice(
        b"\",\"SourceModuleName\":\"eventlog\",\"SourceModuleType\":\"im_msvistalog\"",
    );
}

fn category(event_id: u64) -> &'static str {
    match event_id {
        1 => "Process Create (rule: ProcessCreate)",
        3 => "Network connection detected (rule: NetworkConnect)",
        7 => "Image loaded (rule: ImageLoad)",
        11 => "File created (rule: FileCreate)",
        13 => "Registry value set (rule: RegistryEvent)",
        19 => "WmiEventFilter activity detected (rule: WmiEvent)",
        20 => "WmiEventConsumer activity detected (rule: WmiEvent)",
        21 => "WmiEventConsumerToFilter activity detected (rule: WmiEvent)",
        4688 => "Process Creation",
        4624 => "Logon",
        5145 => "Detailed File Share",
        5156 => "Filtering Platform Connection",
        4103 => "Executing Pipeline",
        4104 => "Execute a Remote Command",
        800 => "Pipeline Execution Details",
        _ => "",
    }
}

/// Who the System part names: nobody in the Security log and in the old log of PowerShell.
fn writer_account<'e>(event: &Event<'e>) -> Option<&'e Account> {
    match event.body {
        Body::Record(record) => match record.log {
            Log::Security | Log::WindowsPowerShell => None,
            _ => event.accounts.get(record.account),
        },
        body => (body.log() == Log::Sysmon).then(|| &event.accounts[SYSTEM]),
    }
}

/// Sysmon's service writes Sysmon's log, the kernel 4688, LSASS the rest.
pub(crate) fn writer_process(event: &Event<'_>) -> u32 {
    match event.body {
        Body::Audit { .. } => 4,
        Body::Logon { .. } | Body::Share { .. } => 692,
        Body::Record(record) => record.process_id,
        _ => event.host.sensor_process,
    }
}
