//! The data of Security events in the shapes of Windows collectors. It knows nothing of the System part around it.

use super::event::{Body, Endpoint, Event};
use super::forms::Fields;
use super::members::put_address;
use super::text::{put_hex_id, put_padded};

/// Appends the fields of a process start, a logon or a look at a share.
pub(crate) fn put(fields: &mut Fields<'_>, event: &Event<'_>) {
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
