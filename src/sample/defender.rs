//! Microsoft Defender's advanced hunting tables as its streaming API writes them: an envelope with the moment of arrival, and
//! the row below `properties`. It knows nothing of files.

use super::event::{Body, Endpoint, Event, Integrity, Running};
use super::falcon::base_name;
use super::members::Members;
use super::rng::spread;
use super::text::{put_escaped, put_hex, put_iso};

/// The invented tenant.
pub(crate) const TENANT: &str = "3c0e5a71-88d2-4f0b-9d36-6f2a1be7c405";

/// Appends one event as a JSON object.
pub(crate) fn put(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let network = matches!(event.body, Body::Network { .. });
    let mut row = Members::begin(out);
    moment(&mut row, "time", event.logged);
    row.text("tenantId", TENANT);
    row.text("operationName", "Publish");
    row.text(
        "category",
        if network {
            "AdvancedHunting-DeviceNetworkEvents"
        } else {
            "AdvancedHunting-DeviceProcessEvents"
        },
    );
    row.object("properties", |row| properties(row, event, record));
    row.end();
}

fn properties(row: &mut Members<'_>, event: &Event<'_>, record: u64) {
    moment(row, "Timestamp", event.at);
    let mut state = u64::from(event.host.mark);
    row.written("DeviceId", |out| {
        for width in [16, 16, 8] {
            put_hex(out, spread(&mut state), width, false);
        }
    });
    row.written("DeviceName", |out| put_lower(out, &event.host.name));
    match event.body {
        Body::Process { process, parent } => {
            row.text("ActionType", "ProcessCreated");
            created(row, event, process);
            initiating(row, event, parent);
        }
        Body::Network {
            process,
            initiated,
            udp,
            source,
            destination,
        } => {
            let (action, near, far) = if initiated {
                ("ConnectionSuccess", source, destination)
            } else {
                ("InboundConnectionAccepted", destination, source)
            };
            row.text("ActionType", action);
            end(row, ["RemoteIP", "RemotePort", "RemoteIPType"], far);
            row.text("RemoteUrl", "");
            end(row, ["LocalIP", "LocalPort", "LocalIPType"], near);
            row.text("Protocol", if udp { "Udp" } else { "Tcp" });
            initiating(row, event, process);
        }
        _ => {}
    }
    row.number("ReportId", record);
    row.bare("AppGuardContainerId", |out| out.extend_from_slice(b"null"));
    row.bare("AdditionalFields", |out| out.extend_from_slice(b"null"));
}

/// The service tells times in units of 100 nanoseconds.
fn moment(row: &mut Members<'_>, name: &str, at: i64) {
    row.written(name, |out| {
        put_iso(out, at);
        out.pop();
        out.extend_from_slice(b"0Z");
    });
}

fn end(row: &mut Members<'_>, [address, port, kind]: [&str; 3], endpoint: Endpoint) {
    row.address(address, endpoint.address);
    row.number(port, u64::from(endpoint.port));
    let private = endpoint.address[0] == 10;
    row.text(kind, if private { "Private" } else { "Public" });
}

fn put_lower(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    put_escaped(out, text);
    out[start..].make_ascii_lowercase();
}

fn integrity(process: &Running) -> [&'static str; 2] {
    match process.integrity {
        Integrity::Medium => ["Medium", "TokenElevationTypeLimited"],
        Integrity::High => ["High", "TokenElevationTypeFull"],
        Integrity::System => ["System", "TokenElevationTypeDefault"],
    }
}

fn sha256(process: &Running) -> String {
    let mut hashes = process.program.hashes().split(',');
    let value = hashes.find_map(|each| each.strip_prefix("SHA256="));
    value.unwrap_or("").to_lowercase()
}

fn created(row: &mut Members<'_>, event: &Event<'_>, process: &Running) {
    let (program, account) = (process.program, &event.accounts[process.account]);
    let [level, elevation] = integrity(process);
    row.text("FileName", base_name(process.image()));
    row.text("FolderPath", process.image());
    row.text("SHA256", &sha256(process));
    row.text("ProcessVersionInfoCompanyName", program.company);
    row.text("ProcessVersionInfoOriginalFileName", program.original_name);
    row.number("ProcessId", u64::from(process.process_id));
    row.text("ProcessCommandLine", &process.command_line);
    row.text("ProcessIntegrityLevel", level);
    row.text("ProcessTokenElevation", elevation);
    moment(row, "ProcessCreationTime", process.started);
    row.written("AccountDomain", |out| put_lower(out, account.domain));
    row.written("AccountName", |out| put_lower(out, &account.name));
    row.text("AccountSid", &account.sid);
    row.number("LogonId", account.logon);
}

/// The parent of a start, and who opened or accepted a connection.
fn initiating(row: &mut Members<'_>, event: &Event<'_>, process: &Running) {
    let account = &event.accounts[process.account];
    let [level, _] = integrity(process);
    row.written("InitiatingProcessAccountDomain", |out| {
        put_lower(out, account.domain);
    });
    row.written("InitiatingProcessAccountName", |out| {
        put_lower(out, &account.name);
    });
    row.text("InitiatingProcessAccountSid", &account.sid);
    row.text("InitiatingProcessIntegrityLevel", level);
    row.text("InitiatingProcessSHA256", &sha256(process));
    row.written("InitiatingProcessFileName", |out| {
        put_escaped(out, base_name(process.image()));
    });
    row.number("InitiatingProcessId", u64::from(process.process_id));
    row.text("InitiatingProcessCommandLine", &process.command_line);
    moment(row, "InitiatingProcessCreationTime", process.started);
    row.written("InitiatingProcessFolderPath", |out| {
        put_lower(out, process.image());
    });
}
