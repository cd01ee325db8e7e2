//! The Security log as a Log Analytics workspace exports its table `SecurityEvent`: the event's fields beside columns of the
//! service's own. It knows nothing of files.

use super::defender::TENANT;
use super::event::{Body, Endpoint, Event, Running};
use super::falcon::base_name;
use super::members::Members;
use super::text::{put_escaped, put_hex_id, put_iso};
use super::world::Account;

/// Appends one event as a JSON object.
pub(crate) fn put(out: &mut Vec<u8>, event: &Event<'_>, record: u64) {
    let mut row = Members::begin(out);
    row.text("TenantId", TENANT);
    row.written("TimeGenerated", |out| {
        put_iso(out, event.logged);
        out.pop();
        out.extend_from_slice(b"0Z");
    });
    row.text("SourceSystem", "OpsManager");
    row.text("Computer", &event.host.name);
    row.text("EventSourceName", "Microsoft-Windows-Security-Auditing");
    row.text("Channel", "Security");
    row.number("Task", event.body.task());
    row.text("Level", "8");
    row.number("EventID", event.body.event_id());
    match event.body {
        Body::Audit { process, parent } => created(&mut row, event, process, parent),
        Body::Logon {
            account,
            kind,
            logon,
            from,
        } => logged_on(&mut row, &event.accounts[account], kind, logon, from),
        _ => {}
    }
    row.digits("EventRecordId", record);
    row.text("Type", "SecurityEvent");
    row.end();
}

fn created(row: &mut Members<'_>, event: &Event<'_>, process: &Running, parent: &Running) {
    let account = &event.accounts[process.account];
    let machine = account.logon == 0x3e7;
    let (domain, name) = if machine {
        ("CORP", format!("{}$", event.host.short_name))
    } else {
        (account.domain, account.name.clone())
    };
    row.text("Activity", "4688 - A new process has been created.");
    row.written("Account", |out| put_account(out, domain, &name));
    row.text("AccountType", if machine { "Machine" } else { "User" });
    row.text("CommandLine", &process.command_line);
    row.text("MandatoryLabel", process.integrity.label());
    row.written("NewProcessId", |out| {
        put_hex_id(out, u64::from(process.process_id));
    });
    row.text("NewProcessName", process.image());
    row.text("ParentProcessName", parent.image());
    row.text("Process", base_name(process.image()));
    row.written("ProcessId", |out| {
        put_hex_id(out, u64::from(parent.process_id));
    });
    row.written("SubjectAccount", |out| put_account(out, domain, &name));
    row.text("SubjectDomainName", domain);
    row.written("SubjectLogonId", |out| put_hex_id(out, account.logon));
    row.text("SubjectUserName", &name);
    row.text("SubjectUserSid", &account.sid);
    row.text("TargetAccount", r"-\-");
    row.text("TargetDomainName", "-");
    row.text("TargetLogonId", "0x0");
    row.text("TargetUserName", "-");
    row.text("TargetUserSid", "S-1-0-0");
    row.text("TokenElevationType", "%%1936");
}

fn logged_on(row: &mut Members<'_>, account: &Account, kind: u8, logon: u64, from: Endpoint) {
    row.text("Activity", "4624 - An account was successfully logged on.");
    row.written("Account", |out| {
        put_account(out, account.domain, &account.name);
    });
    row.text("AccountType", "User");
    row.address("IpAddress", from.address);
    row.digits("IpPort", u64::from(from.port));
    row.number("LogonType", u64::from(kind));
    row.text("LogonTypeName", "3 - Network");
    row.text("SubjectLogonId", "0x0");
    row.text("SubjectUserName", "-");
    row.text("SubjectUserSid", "S-1-0-0");
    row.text("TargetDomainName", account.domain);
    row.written("TargetLogonId", |out| put_hex_id(out, logon));
    row.text("TargetUserName", &account.name);
    row.text("TargetUserSid", &account.sid);
}

fn put_account(out: &mut Vec<u8>, domain: &str, name: &str) {
    put_escaped(out, domain);
    out.extend_from_slice(b"\\\\");
    put_escaped(out, name);
}
