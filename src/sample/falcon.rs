//! CrowdStrike's events as Falcon Data Replicator writes them: flat JSON whose values are all texts, no name of a host, paths
//! of devices, `timestamp` as the moment of receipt. It knows nothing of files.

use super::event::{Body, Endpoint, Event, Integrity, Running};
use super::members::Members;
use super::rng::spread;
use super::text::{put_escaped, put_hex, put_number, put_padded};

const CUSTOMER: &str = "5f0b7d1c9a3e4c62b8d4e7a1903c56f2";

/// Appends one event as a JSON object.
pub(crate) fn put(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let mut row = Members::begin(out);
    let name = match event.body {
        Body::Process { process, parent } => rollup(&mut row, event, process, parent),
        Body::WmiCreate {
            process,
            provider_host,
            client,
        } => wmi_create(&mut row, event, process, provider_host, client),
        Body::Network {
            process,
            initiated,
            udp,
            source,
            destination,
        } => {
            let (near, far) = if initiated {
                (source, destination)
            } else {
                (destination, source)
            };
            network(&mut row, event, process, (initiated, udp), near, far)
        }
        Body::Dns { process, name } => {
            context(&mut row, event, process);
            row.text("DomainName", name);
            row.text("RequestType", "1");
            ("DnsRequest", "DnsRequestV4")
        }
        _ => ("", ""),
    };
    row.text("ConfigBuild", "1007.3.0018207.1");
    row.text("ConfigStateHash", "2713450918");
    row.text("EffectiveTransmissionClass", "2");
    row.text("Entitlements", "15");
    row.text("aid", &event.host.sensor_id());
    row.text("aip", "203.0.113.10");
    row.text("cid", CUSTOMER);
    row.text("event_platform", "Win");
    row.text("event_simpleName", name.0);
    let mut state = u64::from(event.host.mark) << 32 ^ record;
    let (high, low) = (spread(&mut state), spread(&mut state));
    row.written("id", |out| put_uuid(out, high, low));
    row.text("name", name.1);
    row.written("timestamp", |out| {
        put_number(out, u64::try_from(event.logged / 1000).unwrap_or(0));
    });
    row.end();
}

/// Appends a random (version 4) UUID made of 128 bits.
pub(crate) fn put_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    put_hex(out, high >> 32, 8, false);
    out.push(b'-');
    put_hex(out, high >> 16, 4, false);
    out.extend_from_slice(b"-4");
    put_hex(out, high, 3, false);
    out.push(b'-');
    put_hex(out, 0x8000 | (low >> 48 & 0x3fff), 4, false);
    out.push(b'-');
    put_hex(out, low, 12, false);
}

/// The sensor's own number of a process, which is not its process id.
fn unique_id(process: &Running) -> u64 {
    let seconds = u64::try_from(process.started.div_euclid(1_000_000)).unwrap_or(0);
    (seconds & 0xffff_ffff) << 20 | (process.sequence & 0xf_ffff)
}

fn seconds(row: &mut Members<'_>, name: &str, at: i64) {
    row.written(name, |out| {
        let millis = u64::try_from(at.div_euclid(1000)).unwrap_or(0);
        put_number(out, millis / 1000);
        out.push(b'.');
        put_padded(out, millis % 1000, 3);
    });
}

fn image(row: &mut Members<'_>, process: &Running) {
    row.written("ImageFileName", |out| {
        put_escaped(out, r"\Device\HarddiskVolume3");
        put_escaped(out, process.image().strip_prefix("C:").unwrap_or(""));
    });
}

/// What names the acting process of an event that is no start.
fn context(row: &mut Members<'_>, event: &Event<'_>, process: &Running) {
    row.digits("ContextProcessId", unique_id(process));
    row.text("ContextThreadId", "0");
    seconds(row, "ContextTimeStamp", event.at);
}

fn rollup(
    row: &mut Members<'_>,
    event: &Event<'_>,
    process: &Running,
    parent: &Running,
) -> (&'static str, &'static str) {
    let account = &event.accounts[process.account];
    row.digits("AuthenticationId", account.logon);
    row.text("CommandLine", &process.command_line);
    // Older sensors say only when the process started.
    if event.host.mark.is_multiple_of(3) {
        seconds(row, "ContextTimeStamp", event.at);
    }
    image(row, process);
    row.text("ImageSubsystem", "3");
    row.text(
        "IntegrityLevel",
        match process.integrity {
            Integrity::Medium => "8192",
            Integrity::High => "12288",
            Integrity::System => "16384",
        },
    );
    let hash = |kind: &str| {
        let hashes = process.program.hashes();
        let value = hashes.split(',').find_map(|each| each.strip_prefix(kind));
        value.unwrap_or("").to_lowercase()
    };
    row.text("MD5HashData", &hash("MD5="));
    row.text("ParentBaseFileName", base_name(parent.image()));
    row.digits("ParentProcessId", unique_id(parent));
    row.text("ProcessCreateFlags", "1024");
    row.text("ProcessEndTime", "");
    seconds(row, "ProcessStartTime", process.started);
    row.digits("RawProcessId", u64::from(process.process_id));
    row.text("SHA1HashData", "0000000000000000000000000000000000000000");
    row.text("SHA256HashData", &hash("SHA256="));
    row.text("SessionId", process.integrity.session());
    row.digits("SourceProcessId", unique_id(parent));
    row.text("SourceThreadId", "0");
    row.digits("TargetProcessId", unique_id(process));
    row.text("TokenType", "1");
    row.text("UserSid", &account.sid);
    ("ProcessRollup2", "ProcessRollup2V19")
}

fn wmi_create(
    row: &mut Members<'_>,
    event: &Event<'_>,
    process: &Running,
    provider_host: &Running,
    client: Option<[u8; 4]>,
) -> (&'static str, &'static str) {
    let account = &event.accounts[process.account];
    row.digits("AuthenticationId", account.logon);
    row.text("CommandLine", &process.command_line);
    context(row, event, provider_host);
    // Not every sensor version has it.
    if event.host.mark.is_multiple_of(2) {
        row.text("FileName", base_name(process.image()));
    }
    image(row, process);
    if let Some(client) = client {
        row.address("LocalAddressIP4", event.host.address);
        row.address("RemoteAddressIP4", client);
        row.text("RpcClientProcessId", "0");
    } else {
        row.text("LocalAddressIP4", "0");
        row.text("RemoteAddressIP4", "N/A");
        row.digits("RpcClientProcessId", unique_id(&event.host.since_boot[1]));
    }
    row.digits("TargetProcessId", unique_id(process));
    row.text("TokenType", "1");
    row.written("UserName", |out| {
        put_escaped(out, account.domain);
        out.extend_from_slice(b"\\\\");
        put_escaped(out, &account.name);
    });
    ("WmiCreateProcess", "WmiCreateProcessV1")
}

fn network(
    row: &mut Members<'_>,
    event: &Event<'_>,
    process: &Running,
    (initiated, udp): (bool, bool),
    near: Endpoint,
    far: Endpoint,
) -> (&'static str, &'static str) {
    row.text("ConnectionDirection", if initiated { "0" } else { "1" });
    row.text("ConnectionFlags", "0");
    context(row, event, process);
    row.text("InContext", "0");
    row.address("LocalAddressIP4", near.address);
    row.digits("LocalPort", u64::from(near.port));
    row.text("Protocol", if udp { "17" } else { "6" });
    row.address("RemoteAddressIP4", far.address);
    row.digits("RemotePort", u64::from(far.port));
    if initiated {
        ("NetworkConnectIP4", "NetworkConnectIP4V12")
    } else {
        ("NetworkReceiveAcceptIP4", "NetworkReceiveAcceptIP4V9")
    }
}

/// What comes after the last backslash.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}
