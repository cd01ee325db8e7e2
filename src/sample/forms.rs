//! The raw shapes of a line, and those of Windows' own logs: flat EVTX and nxlog. Field names and the spelling of values are those of the real collectors:
//! flat EVTX has `EventRecordID`, numbers as numbers and GUIDs without braces; nxlog has `RecordNumber`, `EventTime` in
//! the host's own time, and event data as text. It knows nothing of files.

use super::event::{Body, Endpoint, Event, Leaf, Log, Record, Running};
use super::members::put_address;
use super::text::{SECOND, put_escaped, put_hex, put_hex_id, put_number, put_utc_time};
use super::world::Account;
use super::{defender, falcon, heads, security, sentinel, zeek};

/// The raw shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Flat,
    Nxlog,
    Falcon,
    Defender,
    Sentinel,
    Zeek,
}

/// Appends one event as a JSON line, without the line end.
pub(crate) fn put_line(out: &mut Vec<u8>, shape: Shape, event: &Event<'_>, record: u64) {
    match shape {
        Shape::Flat => heads::put_flat(out, event, record),
        Shape::Nxlog => heads::put_nxlog(out, event, record),
        Shape::Falcon => return falcon::put(out, event, record),
        Shape::Defender => return defender::put(out, event, record),
        Shape::Sentinel => return sentinel::put(out, event, record),
        Shape::Zeek => return zeek::put(out, event),
    }
    let mut fields = Fields { out, shape };
    match event.body {
        Body::Record(record) => data_of(&mut fields, event, record),
        Body::Audit { .. } | Body::Logon { .. } | Body::Share { .. } => {
            security::put(&mut fields, event);
        }
        _ => sysmon(&mut fields, event),
    }
    out.push(b'}');
}

/// The event's own data, as it was told. Of logs whose data is no list of names nxlog keeps the rendered text only.
fn data_of(fields: &mut Fields<'_>, event: &Event<'_>, record: &Record) {
    if record.log == Log::Sysmon {
        fields.text("RuleName", "-");
        fields.written("UtcTime", |out| put_utc_time(out, event.at));
    }
    if let (Some(message), Shape::Nxlog) = (&record.message, fields.shape) {
        fields.text("Message", message);
        return;
    }
    for (name, leaf) in &record.fields {
        let name = match (*name, fields.shape) {
            ("ProcessID", Shape::Nxlog) => "ProcessId",
            (name, _) => name,
        };
        match leaf {
            Leaf::Text(text) => fields.text(name, text),
            Leaf::Number(number) => fields.number(name, *number),
            Leaf::List(texts) => {
                fields.name(name);
                fields.out.push(b'[');
                for (index, text) in texts.iter().enumerate() {
                    fields
                        .out
                        .extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
                    put_escaped(fields.out, text);
                    fields.out.push(b'"');
                }
                fields.out.push(b']');
            }
        }
    }
}

/// Appends `"name":value` members; what differs between the shapes is decided here.
pub(crate) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    shape: Shape,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.out.push(b'"');
        put_escaped(self.out, text);
        self.out.push(b'"');
    }

    pub(crate) fn written(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
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

    pub(crate) fn number(&mut self, name: &str, number: u64) {
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

    pub(crate) fn subject(&mut self, event: &Event<'_>, account: &Account) {
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
