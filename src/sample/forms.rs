//! The raw shapes of a line: flat EVTX and nxlog. Field names and the spelling of values are those of the real collectors:
//! flat EVTX has `EventRecordID`, numbers as numbers and GUIDs without braces; nxlog has `RecordNumber`, `EventTime` in
//! the host's own time, and event data as text. It knows nothing of files.

use super::event::{Body, Endpoint, Event, Running};
use super::text::{
    SECOND, new_york_offset, put_escaped, put_hex, put_hex_id, put_iso, put_number, put_padded,
    put_seconds, put_utc_time,
};
use super::world::Account;

pub(crate) const SYSMON_CHANNEL: &str = "Microsoft-Windows-Sysmon/Operational";

/// The raw shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Flat,
    Nxlog,
}

/// Appends one event as a JSON line, without the line end.
pub(crate) fn put_line(out: &mut Vec<u8>, shape: Shape, event: &Event<'_>, record: u64) {
    match shape {
        Shape::Flat => put_flat_head(out, event, record),
        Shape::Nxlog => put_nxlog_head(out, event, record),
    }
    let mut fields = Fields { out, shape };
    if event.body.is_security() {
        security(&mut fields, event);
    } else {
        sysmon(&mut fields, event);
    }
    out.push(b'}');
}

fn put_flat_head(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let security = event.body.is_security();
    out.extend_from_slice(b"{\"EventRecordID\":");
    put_number(out, record);
    out.extend_from_slice(if security {
        b",\"Channel\":\"Security\",\"Provider\":\"Microsoft-Windows-Security-Auditing\",\"EventID\":"
    } else {
        b",\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Provider\":\"Microsoft-Windows-Sysmon\",\"EventID\":"
    });
    put_number(out, event.body.event_id());
    out.extend_from_slice(b",\"Version\":");
    put_number(out, event.body.version());
    out.extend_from_slice(if security {
        b",\"Level\":0,\"Task\":"
    } else {
        b",\"Level\":4,\"Task\":"
    });
    put_number(out, event.body.task());
    out.extend_from_slice(b",\"Opcode\":0,\"TimeCreated\":\"");
    put_iso(out, event.logged);
    out.extend_from_slice(b"\",\"Computer\":\"");
    out.extend_from_slice(event.host.name.as_bytes());
    out.extend_from_slice(b"\",\"ExecutionProcessID\":");
    put_number(out, u64::from(writer_process(event)));
    out.extend_from_slice(b",\"ExecutionThreadID\":");
    put_number(out, u64::from(writer_process(event)) + 24);
    out.extend_from_slice(if security {
        b",\"SecurityUserID\":null"
    } else {
        b",\"SecurityUserID\":\"S-1-5-18\""
    });
}

fn put_nxlog_head(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let security = event.body.is_security();
    let local = event.logged + new_york_offset(event.logged);
    out.extend_from_slice(b"{\"EventTime\":\"");
    put_seconds(out, local, b' ');
    out.extend_from_slice(b"\",\"Hostname\":\"");
    out.extend_from_slice(event.host.name.as_bytes());
    out.extend_from_slice(if security {
        b"\",\"Keywords\":-9214364837600034816,\"EventType\":\"AUDIT_SUCCESS\",\"SeverityValue\":2,\"Severity\":\"INFO\",\"EventID\":"
    } else {
        b"\",\"Keywords\":-9223372036854775808,\"EventType\":\"INFO\",\"SeverityValue\":2,\"Severity\":\"INFO\",\"EventID\":"
    });
    put_number(out, event.body.event_id());
    out.extend_from_slice(if security {
        b",\"SourceName\":\"Microsoft-Windows-Security-Auditing\",\"ProviderGuid\":\"{54849625-5478-4994-A5BA-3E3B0328C30D}\",\"Version\":"
    } else {
        b",\"SourceName\":\"Microsoft-Windows-Sysmon\",\"ProviderGuid\":\"{5770385F-C22A-43E0-BF4C-06F5698FFBD9}\",\"Version\":"
    });
    put_number(out, event.body.version());
    out.extend_from_slice(b",\"Task\":");
    put_number(out, event.body.task());
    out.extend_from_slice(b",\"OpcodeValue\":0,\"RecordNumber\":");
    put_number(out, record);
    out.extend_from_slice(b",\"ExecutionProcessID\":");
    put_number(out, u64::from(writer_process(event)));
    out.extend_from_slice(b",\"ThreadID\":");
    put_number(out, u64::from(writer_process(event)) + 24);
    out.extend_from_slice(if security {
        b",\"Channel\":\"Security\""
    } else {
        b",\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Domain\":\"NT AUTHORITY\",\"AccountName\":\"SYSTEM\",\"UserID\":\"S-1-5-18\",\"AccountType\":\"User\""
    });
    out.extend_from_slice(b",\"Category\":\"");
    out.extend_from_slice(category(&event.body).as_bytes());
    out.extend_from_slice(b"\",\"Opcode\":\"Info\",\"EventReceivedTime\":\"");
    put_seconds(out, local + SECOND, b' ');
    out.extend_from_slice(
        b"\",\"SourceModuleName\":\"eventlog\",\"SourceModuleType\":\"im_msvistalog\"",
    );
}

fn category(body: &Body<'_>) -> &'static str {
    match body {
        Body::Process { .. } => "Process Create (rule: ProcessCreate)",
        Body::Network { .. } => "Network connection detected (rule: NetworkConnect)",
        Body::ImageLoad { .. } => "Image loaded (rule: ImageLoad)",
        Body::FileCreate { .. } => "File created (rule: FileCreate)",
        Body::Registry { .. } => "Registry value set (rule: RegistryEvent)",
        Body::Audit { .. } => "Process Creation",
        Body::Logon { .. } => "Logon",
        Body::Share { .. } => "Detailed File Share",
    }
}

/// Sysmon's service writes Sysmon's log, the kernel 4688, LSASS the rest.
pub(crate) fn writer_process(event: &Event<'_>) -> u32 {
    match event.body {
        Body::Audit { .. } => 4,
        Body::Logon { .. } | Body::Share { .. } => 692,
        _ => event.host.sensor_process,
    }
}

/// Appends `"name":value` members; what differs between the shapes is decided here.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    shape: Shape,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.out.push(b'"');
        put_escaped(self.out, text);
        self.out.push(b'"');
    }

    fn written(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    /// Event data that is a number or truth value: bare in flat EVTX, text in nxlog.
    fn bare(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        if self.shape == Shape::Nxlog {
            self.out.push(b'"');
        }
        write(self.out);
        if self.shape == Shape::Nxlog {
            self.out.push(b'"');
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.bare(name, |out| put_number(out, number));
    }

    fn truth(&mut self, name: &str, value: bool) {
        self.bare(name, |out| {
            out.extend_from_slice(if value { b"true" } else { b"false" });
        });
    }

    fn guid(&mut self, name: &str, mark: u32, started: i64, sequence: u64) {
        let shape = self.shape;
        self.written(name, |out| {
            if shape == Shape::Nxlog {
                out.push(b'{');
            }
            put_guid(out, mark, started, sequence, shape == Shape::Flat);
            if shape == Shape::Nxlog {
                out.push(b'}');
            }
        });
    }

    fn process(&mut self, event: &Event<'_>, process: &Running) {
        self.guid(
            "ProcessGuid",
            event.host.mark,
            process.started,
            process.sequence,
        );
        self.number("ProcessId", u64::from(process.process_id));
        self.text("Image", process.image());
    }

    fn subject(&mut self, event: &Event<'_>, account: &Account) {
        self.text("SubjectUserSid", &account.sid);
        if account.logon == 0x3e7 {
            self.written("SubjectUserName", |out| {
                put_escaped(out, &event.host.short_name);
                out.push(b'$');
            });
            self.text("SubjectDomainName", "CORP");
        } else {
            self.text("SubjectUserName", &account.name);
            self.text("SubjectDomainName", account.domain);
        }
        self.written("SubjectLogonId", |out| put_hex_id(out, account.logon));
    }
}

/// A Sysmon GUID: machine, start in seconds (low half first), number of the process.
pub(crate) fn put_guid(out: &mut Vec<u8>, mark: u32, started: i64, sequence: u64, upper: bool) {
    let seconds = u64::try_from(started.div_euclid(SECOND)).unwrap_or(0);
    put_hex(out, u64::from(mark), 8, upper);
    out.push(b'-');
    put_hex(out, seconds, 4, upper);
    out.push(b'-');
    put_hex(out, seconds >> 16, 4, upper);
    out.push(b'-');
    put_hex(out, sequence.swap_bytes() >> 48, 4, upper);
    out.push(b'-');
    put_hex(out, sequence >> 16, 8, upper);
    out.extend_from_slice(b"0C00");
}

pub(crate) fn put_user(out: &mut Vec<u8>, account: &Account, separator: &str) {
    out.extend_from_slice(account.domain.as_bytes());
    out.extend_from_slice(separator.as_bytes());
    out.extend_from_slice(account.name.as_bytes());
}

pub(crate) fn put_address(out: &mut Vec<u8>, address: [u8; 4]) {
    for (index, octet) in address.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        put_number(out, u64::from(*octet));
    }
}

fn sysmon(fields: &mut Fields<'_>, event: &Event<'_>) {
    fields.text("RuleName", "-");
    if let Body::Registry { .. } = event.body
        && fields.shape == Shape::Flat
    {
        fields.text("EventType", "SetValue");
    }
    fields.written("UtcTime", |out| put_utc_time(out, event.at));
    match event.body {
        Body::Process { process, parent } => process_create(fields, event, process, parent),
        Body::Network {
            process,
            initiated,
            udp,
            source,
            destination,
        } => {
            fields.process(event, process);
            let account = &event.accounts[process.account];
            fields.written("User", |out| put_user(out, account, "\\\\"));
            fields.text("Protocol", if udp { "udp" } else { "tcp" });
            fields.truth("Initiated", initiated);
            endpoint(fields, source, SOURCE);
            endpoint(fields, destination, DESTINATION);
        }
        Body::ImageLoad { process, module } => {
            fields.process(event, process);
            fields.text("ImageLoaded", module.path);
            fields.text("FileVersion", module.version);
            fields.text("Description", module.description);
            fields.text("Product", module.product);
            fields.text("Company", module.company);
            fields.text("OriginalFileName", module.original_name);
            fields.text("Hashes", module.hashes());
            fields.written("Signed", |out| out.extend_from_slice(b"true"));
            fields.text("Signature", "Microsoft Windows");
            fields.text("SignatureStatus", "Valid");
        }
        Body::FileCreate { process, target } => {
            fields.process(event, process);
            fields.text("TargetFilename", target);
            fields.written("CreationUtcTime", |out| put_utc_time(out, event.at));
        }
        Body::Registry {
            process,
            target,
            value,
        } => {
            fields.process(event, process);
            fields.text("TargetObject", target);
            fields.written("Details", |out| put_details(out, value));
        }
        _ => {}
    }
}

pub(crate) fn put_details(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(b"DWORD (0x");
    put_hex(out, u64::from(value), 8, false);
    out.push(b')');
}

fn process_create(fields: &mut Fields<'_>, event: &Event<'_>, process: &Running, parent: &Running) {
    let program = process.program;
    let account = &event.accounts[process.account];
    fields.process(event, process);
    fields.text("FileVersion", program.version);
    fields.text("Description", program.description);
    fields.text("Product", program.product);
    fields.text("Company", program.company);
    fields.text("OriginalFileName", program.original_name);
    fields.text("CommandLine", &process.command_line);
    fields.text("CurrentDirectory", &process.directory);
    fields.written("User", |out| put_user(out, account, "\\\\"));
    let since_boot = event.host.since_boot[0].started;
    fields.guid("LogonGuid", event.host.mark, since_boot, account.logon);
    fields.written("LogonId", |out| put_hex_id(out, account.logon));
    fields.bare("TerminalSessionId", |out| {
        out.extend_from_slice(process.integrity.session().as_bytes());
    });
    fields.text("IntegrityLevel", process.integrity.name());
    fields.text("Hashes", program.hashes());
    fields.guid(
        "ParentProcessGuid",
        event.host.mark,
        parent.started,
        parent.sequence,
    );
    fields.number("ParentProcessId", u64::from(parent.process_id));
    fields.text("ParentImage", parent.image());
    fields.text("ParentCommandLine", &parent.command_line);
}

const SOURCE: [&str; 4] = ["SourceIsIpv6", "SourceIp", "SourceHostname", "SourcePort"];
const DESTINATION: [&str; 4] = [
    "DestinationIsIpv6",
    "DestinationIp",
    "DestinationHostname",
    "DestinationPort",
];

fn endpoint(fields: &mut Fields<'_>, endpoint: Endpoint, names: [&str; 4]) {
    let [version, address, name, port] = names;
    fields.truth(version, false);
    fields.written(address, |out| put_address(out, endpoint.address));
    fields.text(name, "-");
    fields.number(port, u64::from(endpoint.port));
}

fn security(fields: &mut Fields<'_>, event: &Event<'_>) {
    match event.body {
        Body::Audit { process, parent } => {
            fields.subject(event, &event.accounts[process.account]);
            fields.written("NewProcessId", |out| {
                put_hex_id(out, u64::from(process.process_id));
            });
            fields.text("NewProcessName", process.image());
            fields.text("TokenElevationType", "%%1936");
            fields.written("ProcessId", |out| {
                put_hex_id(out, u64::from(parent.process_id));
            });
            fields.text("CommandLine", &process.command_line);
            fields.text("TargetUserSid", "S-1-0-0");
            fields.text("TargetUserName", "-");
            fields.text("TargetDomainName", "-");
            fields.text("TargetLogonId", "0x0");
            fields.text("ParentProcessName", parent.image());
            fields.text("MandatoryLabel", process.integrity.label());
        }
        Body::Logon {
            account,
            kind,
            logon,
            from,
        } => {
            let account = &event.accounts[account];
            fields.text("SubjectUserSid", "S-1-0-0");
            fields.text("SubjectUserName", "-");
            fields.text("SubjectDomainName", "-");
            fields.text("SubjectLogonId", "0x0");
            fields.text("TargetUserSid", &account.sid);
            fields.text("TargetUserName", &account.name);
            fields.text("TargetDomainName", account.domain);
            fields.written("TargetLogonId", |out| put_hex_id(out, logon));
            fields.number("LogonType", u64::from(kind));
            fields.text("LogonProcessName", "Kerberos");
            fields.text("AuthenticationPackageName", "Kerberos");
            fields.text("WorkstationName", "-");
            fields.text("ProcessId", "0x0");
            fields.text("ProcessName", "-");
            address(fields, from);
            fields.text("ImpersonationLevel", "%%1833");
        }
        Body::Share {
            account,
            logon,
            from,
            share,
            target,
        } => {
            let account = &event.accounts[account];
            fields.text("SubjectUserSid", &account.sid);
            fields.text("SubjectUserName", &account.name);
            fields.text("SubjectDomainName", account.domain);
            fields.written("SubjectLogonId", |out| put_hex_id(out, logon));
            fields.text("ObjectType", "File");
            address(fields, from);
            fields.text("ShareName", share);
            fields.text("ShareLocalPath", local_path(share));
            fields.text("RelativeTargetName", target);
            fields.text("AccessMask", "0x1");
            fields.text("AccessList", "%%4416\r\n\t\t\t\t");
            fields.text("AccessReason", "-");
        }
        _ => {}
    }
}

fn address(fields: &mut Fields<'_>, from: Endpoint) {
    fields.written("IpAddress", |out| put_address(out, from.address));
    fields.written("IpPort", |out| put_padded(out, u64::from(from.port), 5));
}

fn local_path(share: &str) -> &'static str {
    match share {
        r"\\*\ADMIN$" => r"\??\C:\Windows",
        r"\\*\SYSVOL" => r"\??\C:\Windows\SYSVOL\sysvol",
        _ => r"\??\D:\Shares\Teams",
    }
}
