//! Planted records of WMI's and PowerShell's own logs: subscriptions, providers, failures, scripts, and what looks like them. It
//! knows nothing of raw shapes or files.

use super::answers::{Hunt, Kind};
use super::event::Record;
use super::planned::Scene;
use super::programs::{SVCHOST, WBEMPROX};
use super::records::{self, Client, Console};
use super::stories::{HOUR, MILLISECOND, MINUTE, Stage};
use super::text::SECOND;
use super::world::{Route, SERVERS, STOLEN};

/// Plants what begins on the nth day (from 0) of so many.
pub(crate) fn plant(stage: &mut Stage<'_>, midnight: i64, nth: u32, days: u32) {
    let chosen = |wanted: u32| nth == wanted % days;
    everyday(stage, midnight, nth);
    if chosen(0) {
        windows_own(stage, midnight + 5 * HOUR + 2 * MINUTE);
        invoke(stage, scene(0, 5), midnight + 10 * HOUR + 20 * MINUTE);
    }
    if chosen(1) {
        subscription(stage, scene(0, 2), midnight + 11 * HOUR, true);
        remote_provider(stage, midnight + 12 * HOUR + 40 * MINUTE);
    }
    if chosen(2) {
        subscription(stage, scene(3, 2), midnight + 13 * HOUR, false);
        invoke(stage, scene(4, 0), midnight + 15 * HOUR + 10 * MINUTE);
    }
}

fn scene(collector: usize, nth: usize) -> Scene {
    Scene { collector, nth }
}

/// Notes a record that is a hit, with what else than the host tells it from others.
fn hit(
    stage: &mut Stage<'_>,
    (hunt, host): (Hunt, usize),
    at: i64,
    key: (&str, &str),
    why: &str,
    record: Record,
) {
    let name = stage.world.hosts[host].raw_name(stage.route_of(host));
    let story = stage.group((hunt, &name, key), key.1, at, why);
    stage.note(host, at, record, &[story]);
}

fn near_miss(
    stage: &mut Stage<'_>,
    (hunt, host): (Hunt, usize),
    at: i64,
    key: (&str, &str),
    why: &str,
    record: Record,
) {
    let story = stage.begin(hunt, Kind::NearMiss, host, key, why);
    stage.note(host, at, record, &[story]);
}

/// The process of the WMI service, as far as the logs tell one.
fn service(stage: &Stage<'_>, host: usize) -> u32 {
    stage.long_running(host, &SVCHOST).process_id
}

/// A filter, a consumer and their binding, as Sysmon and as WMI itself report them. A program that starts with the system,
/// or a script at every logon.
fn subscription(stage: &mut Stage<'_>, scene: Scene, start: i64, command: bool) {
    let host = stage.host_at(scene);
    let (sensor, user) = (stage.world.hosts[host].sensor_process, stage.user(STOLEN));
    let (filter, consumer, class, kind) = if command {
        (
            "UpdaterFilter",
            "UpdaterConsumer",
            "CommandLineEventConsumer",
            "Command Line",
        )
    } else {
        (
            "LogonFilter",
            "LogonConsumer",
            "ActiveScriptEventConsumer",
            "Script",
        )
    };
    let query = if command {
        "SELECT * FROM __InstanceModificationEvent WITHIN 60 WHERE TargetInstance ISA 'Win32_PerfFormattedData_PerfOS_System' AND TargetInstance.SystemUpTime >= 240"
    } else {
        "select * from __InstanceCreationEvent within 5 where TargetInstance Isa 'Win32_LogonSession'"
    };
    let destination = if command {
        r"C:\\Users\\Public\\updater.exe -q"
    } else {
        r#"Set shell = CreateObject(\"WScript.Shell\")\r\nshell.Run \"C:\\Users\\Public\\logon.cmd\", 0"#
    };
    let definition = if command {
        format!("\tCommandLineTemplate = \"{destination}\";\n")
    } else {
        format!("\tScriptingEngine = \"VBScript\";\n\tScriptText = \"{destination}\";\n")
    };
    let why =
        "a permanent subscription: a filter, a consumer that runs code, and the binding of both";
    let bound = format!("{filter} to {consumer}");
    let steps = [
        (
            0,
            filter,
            records::filter(sensor, &user, r"root/cimv2", filter, query),
        ),
        (
            30,
            consumer,
            records::consumer(sensor, &user, consumer, kind, destination),
        ),
        (
            90,
            bound.as_str(),
            records::binding(sensor, &user, class, consumer, filter),
        ),
    ];
    let hunt = Hunt::WmiEventSubscription;
    for (after, name, record) in steps {
        let at = start + after * MILLISECOND;
        hit(stage, (hunt, host), at, ("name", name), why, record);
    }
    let service = service(stage, host);
    let at = start + 120 * MILLISECOND;
    let asked = records::notification(service, &user, query);
    let key = ("query", query);
    let told = "the filter's query is handed to WMI";
    hit(
        stage,
        (Hunt::WmiTemporarySubscription, host),
        at,
        key,
        told,
        asked,
    );
    let waits = (filter, r"root\\cimv2", query);
    let record = records::permanent(service, waits, (class, consumer), &definition);
    let key = ("name", bound.as_str());
    hit(stage, (hunt, host), at + MILLISECOND, key, why, record);
}

/// What the service binds whenever it starts, on two servers.
fn windows_own(stage: &mut Stage<'_>, start: i64) {
    for nth in [0, 3] {
        let host = stage.host_at(scene(SERVERS, nth));
        let filter = (
            "SCM Event Log Filter",
            r"root\\cimv2",
            "select * from MSFT_SCMEventLogEvent",
        );
        let consumer = ("NTEventLogEventConsumer", "SCM Event Log Consumer");
        let definition = "\tCategory = 0;\n\tEventType = 1;\n\tNameOfUserSIDProperty = \"sid\";\n\tSourceName = \"Service Control Manager\";\n";
        let record = records::permanent(service(stage, host), filter, consumer, definition);
        let why = "Windows' own subscription, which the hunt tells apart and does not hide";
        let key = ("name", filter.0);
        hit(
            stage,
            (Hunt::WmiEventSubscription, host),
            start,
            key,
            why,
            record,
        );
    }
}

/// Providers, failures and waiting clients as every day has them, on a few hosts.
fn everyday(stage: &mut Stage<'_>, midnight: i64, nth: u32) {
    let turn = usize::try_from(nth).unwrap_or(0);
    for (collector, place) in [(0, turn), (1, turn + 2), (3, turn)] {
        let host = stage.host_at(scene(collector, place));
        let at = midnight + 8 * HOUR + stage.rng.between(0, 7200) * SECOND;
        let provider = stage.provider_host(host).process_id;
        let (name, path) = if collector == 1 {
            ("WmiPerfClass", r"C:\Windows\System32\wbem\WmiPerfClass.dll")
        } else {
            ("CIMWin32", r"%systemroot%\system32\wbem\cimwin32.dll")
        };
        let why = "a provider of Windows' own starts";
        let record = records::provider(provider, name, path);
        let key = ("provider_name", name);
        hit(stage, (Hunt::WmiProviderLoad, host), at, key, why, record);
        let machine = stage.world.hosts[host].short_name.clone();
        let user = r"NT AUTHORITY\SYSTEM";
        let client = Client {
            machine: &machine,
            user,
            process_id: service(stage, host),
        };
        let id = stage.rng.next();
        let operation = r#"Start IWbemServices::DeleteInstance - Root\Rsop\Computer : RSOP_ExtensionStatus.extensionGuid="{35378EAC-683F-11D2-A89A-00C04FBBCFA2}""#;
        let why = "group policy deletes what is not there";
        let record = records::failure(client.process_id, &client, operation, "0x80041002", id);
        let key = ("client_machine", machine.as_str());
        let at = at + MINUTE;
        hit(stage, (Hunt::WmiClientFailure, host), at, key, why, record);
        if collector == 0 {
            let query = "SELECT * FROM __InstanceOperationEvent WITHIN 30 WHERE TargetInstance ISA 'Win32_Service'";
            let record = records::temporary(client.process_id, &client, query);
            let why = "the monitoring product waits for changes of services";
            let at = at + MINUTE;
            let key = ("query", query);
            hit(
                stage,
                (Hunt::WmiTemporarySubscription, host),
                at,
                key,
                why,
                record.clone(),
            );
            let why = "a temporary subscription ends with its client";
            let key = ("name", "5860");
            let at = at + MINUTE;
            let story = stage.begin(Hunt::WmiEventSubscription, Kind::NearMiss, host, key, why);
            let name = stage.world.hosts[host].raw_name(stage.route_of(host));
            let told = (
                Hunt::WmiTemporarySubscription,
                name.as_str(),
                ("query", query),
            );
            let again = stage.group(told, query, at, why);
            stage.note(host, at, record, &[story, again]);
        }
    }
}

/// A provider from a folder that anyone can write to, and the failed call of a client elsewhere before it.
fn remote_provider(stage: &mut Stage<'_>, start: i64) {
    let host = stage.host_at(scene(SERVERS, 4));
    let user = stage.user(STOLEN);
    let client = Client {
        machine: "WS-0199",
        user: &user,
        process_id: 6412,
    };
    let id = stage.rng.next();
    let operation = r"Start IWbemServices::ExecMethod - root\cimv2 : Win32_Process::Create";
    let service = service(stage, host);
    let record = records::failure(service, &client, operation, "0x80041003", id);
    let why = "a client on another machine may not start a process";
    let key = ("client_machine", client.machine);
    hit(
        stage,
        (Hunt::WmiClientFailure, host),
        start,
        key,
        why,
        record,
    );
    let provider = stage.provider_host(host).process_id;
    let path = r"C:\ProgramData\Drivers\perfprov.dll";
    let record = records::provider(provider, "PerfProv", path);
    let why = "a provider from a folder that anyone can write to";
    let at = start + 3 * MINUTE;
    hit(
        stage,
        (Hunt::WmiProviderLoad, host),
        at,
        ("provider_name", "PerfProv"),
        why,
        record,
    );
    let why = "a provider that starts is no failed call";
    let key = ("provider_name", "PerfMon");
    let record = records::provider(provider, "PerfMon", r"C:\ProgramData\Drivers\perfmon.dll");
    let at = at + MINUTE;
    let name = stage.world.hosts[host].raw_name(stage.route_of(host));
    let started = "another provider from that folder";
    let loaded = stage.group((Hunt::WmiProviderLoad, &name, key), key.1, at, started);
    let miss = stage.begin(Hunt::WmiClientFailure, Kind::NearMiss, host, key, why);
    stage.note(host, at, record, &[loaded, miss]);
    let why = "a module of WMI's in the provider host, as Sysmon sees it: no provider";
    let key = ("image_loaded", WBEMPROX.path);
    let miss = stage.begin(Hunt::WmiProviderLoad, Kind::NearMiss, host, key, why);
    let process = stage.provider_host(host);
    stage.load(host, at + MINUTE, &process, &WBEMPROX, &[miss]);
    let why = "a client that may not wait for events: the subscription was never made";
    let operation = r"Start IWbemServices::ExecNotificationQuery - root\cimv2 : SELECT * FROM Win32_ProcessStartTrace";
    let id = stage.rng.next();
    let record = records::failure(service, &client, operation, "0x80041003", id);
    let key = ("client_machine", client.machine);
    let at = at + 2 * MINUTE;
    let group = (Hunt::WmiClientFailure, name.as_str(), key);
    let failed = stage.group(group, "ExecNotificationQuery", at, why);
    let hunt = Hunt::WmiTemporarySubscription;
    let miss = stage.begin(hunt, Kind::NearMiss, host, key, why);
    stage.note(host, at, record, &[failed, miss]);
}

/// `Invoke-WmiMethod` against another host in all three logs, then a script that only looks like it.
fn invoke(stage: &mut Stage<'_>, scene: Scene, start: i64) {
    let host = stage.host_at(scene);
    let account = stage.account_of(host);
    let user = stage.user(account);
    let console = Console {
        account,
        user: &user,
        process_id: super::world::process_id(&mut stage.rng),
        application: r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        id: stage.rng.next(),
    };
    let line = "Invoke-WmiMethod -ComputerName SRV-APP01 -Class Win32_Process -Name Create -ArgumentList 'cmd.exe /c whoami'";
    let parameters = [
        ("ComputerName", "SRV-APP01"),
        ("Class", "Win32_Process"),
        ("Name", "Create"),
        ("ArgumentList", "cmd.exe /c whoami"),
    ];
    let why = "PowerShell starts a process on another host through WMI";
    let hunt = Hunt::PowershellWmiCall;
    // 4104 names its user by SID alone, so it is an activity of its own, unless the shipper adds the name.
    let alone = if stage.route_of(host) == Route::Nxlog {
        "user"
    } else {
        "4104"
    };
    let steps = [
        (0, alone, records::script(&console, line, "")),
        (
            12,
            "user",
            records::pipeline(&console, "Invoke-WmiMethod", &parameters),
        ),
        (
            13,
            "user",
            records::details(&console, line, "Invoke-WmiMethod", &parameters),
        ),
    ];
    for (after, apart, record) in steps {
        let at = start + after * MILLISECOND;
        let name = stage.world.hosts[host].raw_name(stage.route_of(host));
        let group = (hunt, name.as_str(), ("call", "invoke-wmimethod"));
        let story = stage.group(group, apart, at, why);
        stage.note(host, at, record, &[story]);
    }
    let harmless = "Get-WmiObject Win32_BIOS | Select-Object SerialNumber";
    let record = records::script(&console, harmless, r"C:\Windows\CCM\inventory.ps1");
    let why = "harmless inventory: every call is found";
    let at = start + HOUR;
    hit(
        stage,
        (hunt, host),
        at,
        ("call", "get-wmiobject"),
        why,
        record,
    );
    let service = "Restart-Service -Name winmgmt -Force # the WMI service hangs";
    let record = records::script(&console, service, "");
    let why = "about the WMI service, but no call to WMI";
    let key = ("script_block_text", service);
    near_miss(stage, (hunt, host), at + MINUTE, key, why, record);
}
