//! Events that are only names and values, as Windows writes them: subscriptions and activity of WMI, PowerShell's logs,
//! permitted connections. It knows nothing of why they happen.

use super::event::{Endpoint, Leaf, Log, Record};
use super::falcon::put_uuid;
use super::members::put_address;
use super::rng::spread;
use super::text::{put_number, text_of};
use super::world::{NETWORK_SERVICE, SYSTEM};

fn text(text: impl Into<String>) -> Leaf {
    Leaf::Text(text.into())
}

fn uuid(id: u64) -> String {
    let mut state = id;
    let (high, low) = (spread(&mut state), spread(&mut state));
    text_of(|out| put_uuid(out, high, low))
}

/// Sysmon's WMI events tell texts in quotes and with a blank before them.
fn quoted(inside: &str) -> Leaf {
    Leaf::Text(format!(" \"{inside}\""))
}

fn sysmon(event_id: u64, process_id: u32, fields: Vec<(&'static str, Leaf)>) -> Record {
    Record {
        log: Log::Sysmon,
        event_id,
        account: SYSTEM,
        process_id,
        fields,
        message: None,
    }
}

/// Sysmon 19. `sensor` is the process that writes Sysmon's log.
pub(crate) fn filter(sensor: u32, user: &str, namespace: &str, name: &str, query: &str) -> Record {
    let fields = vec![
        ("EventType", text("WmiFilterEvent")),
        ("Operation", text("Created")),
        ("User", text(user)),
        ("EventNamespace", quoted(namespace)),
        ("Name", quoted(name)),
        ("Query", quoted(query)),
    ];
    sysmon(19, sensor, fields)
}

/// Sysmon 20. `kind` is Sysmon's word, such as `Command Line`.
pub(crate) fn consumer(
    sensor: u32,
    user: &str,
    name: &str,
    kind: &str,
    destination: &str,
) -> Record {
    let fields = vec![
        ("EventType", text("WmiConsumerEvent")),
        ("Operation", text("Created")),
        ("User", text(user)),
        ("Name", quoted(name)),
        ("Type", text(kind)),
        ("Destination", quoted(destination)),
    ];
    sysmon(20, sensor, fields)
}

/// Sysmon 21. `class` is the consumer's.
pub(crate) fn binding(sensor: u32, user: &str, class: &str, name: &str, filter: &str) -> Record {
    let fields = vec![
        ("EventType", text("WmiBindingEvent")),
        ("Operation", text("Created")),
        ("User", text(user)),
        ("Consumer", quoted(&format!(r#"{class}.Name=\"{name}\""#))),
        (
            "Filter",
            quoted(&format!(r#"__EventFilter.Name=\"{filter}\""#)),
        ),
    ];
    sysmon(21, sensor, fields)
}

fn activity(
    event_id: u64,
    account: usize,
    process_id: u32,
    fields: Vec<(&'static str, Leaf)>,
    message: String,
) -> Record {
    Record {
        log: Log::WmiActivity,
        event_id,
        account,
        process_id,
        fields,
        message: Some(message),
    }
}

/// 5857: a provider was loaded.
pub(crate) fn provider(process_id: u32, name: &str, path: &str) -> Record {
    let message = format!(
        "{name} provider started with result code 0x0. HostProcess = wmiprvse.exe; ProcessID = {process_id}; ProviderPath = {path}"
    );
    let fields = vec![
        ("ProviderName", text(name)),
        ("Code", text("0x0")),
        ("HostProcess", text("wmiprvse.exe")),
        ("ProcessID", Leaf::Number(u64::from(process_id))),
        ("ProviderPath", text(path)),
    ];
    activity(5857, NETWORK_SERVICE, process_id, fields, message)
}

/// Who asked WMI for something.
pub(crate) struct Client<'a> {
    pub(crate) machine: &'a str,
    pub(crate) user: &'a str,
    pub(crate) process_id: u32,
}

/// 5858: a client's call failed.
pub(crate) fn failure(
    service: u32,
    client: &Client<'_>,
    operation: &str,
    code: &str,
    id: u64,
) -> Record {
    let id = format!("{{{}}}", uuid(id).to_uppercase());
    let Client {
        machine,
        user,
        process_id,
    } = client;
    let message = format!(
        "Id = {id}; ClientMachine = {machine}; User = {user}; ClientProcessId = {process_id}; Component = Unknown; Operation = {operation}; ResultCode = {code}; PossibleCause = Unknown"
    );
    let fields = vec![
        ("Id", text(id)),
        ("ClientMachine", text(*machine)),
        ("User", text(*user)),
        ("ClientProcessId", Leaf::Number(u64::from(*process_id))),
        ("Component", text("Unknown")),
        ("Operation", text(operation)),
        ("ResultCode", text(code)),
        ("PossibleCause", text("Unknown")),
    ];
    activity(5858, SYSTEM, service, fields, message)
}

/// 5859: a permanent subscription's query was handed to a provider.
pub(crate) fn notification(service: u32, user: &str, query: &str) -> Record {
    let message = format!(
        "Namespace = //./root/cimv2; NotificationQuery = {query}; OwnerName = {user}; HostProcessID = {service}; Provider= WmiEventProv, queryID = 0; PossibleCause = Permanent"
    );
    let fields = vec![
        ("NamespaceName", text("//./root/cimv2")),
        ("Query", text(query)),
        ("User", text(user)),
        ("processid", Leaf::Number(u64::from(service))),
        ("providerName", text("WmiEventProv")),
        ("queryid", Leaf::Number(0)),
        ("PossibleCause", text("Permanent")),
    ];
    activity(5859, SYSTEM, service, fields, message)
}

/// 5860: a client waits for events.
pub(crate) fn temporary(service: u32, client: &Client<'_>, query: &str) -> Record {
    let Client {
        machine,
        user,
        process_id,
    } = client;
    let message = format!(
        r"Namespace = root\cimv2; NotificationQuery = {query}; UserName = {user}; ClientProcessID = {process_id}, ClientMachine = {machine}; PossibleCause = Temporary"
    );
    let fields = vec![
        ("NamespaceName", text(r"root\cimv2")),
        ("Query", text(query)),
        ("User", text(*user)),
        ("processid", Leaf::Number(u64::from(*process_id))),
        ("MachineName", text(*machine)),
        ("PossibleCause", text("Temporary")),
    ];
    activity(5860, SYSTEM, service, fields, message)
}

/// 5861: a filter was bound to a consumer. `definition` is the consumer's, as WMI prints it.
pub(crate) fn permanent(
    service: u32,
    filter: (&str, &str, &str),
    (class, name): (&str, &str),
    definition: &str,
) -> Record {
    let (filter, namespace, query) = filter;
    let bound = format!("{class}=\"{name}\"");
    let cause = format!(
        "Binding EventFilter: \ninstance of __EventFilter\n{{\n\tEventNamespace = \"{namespace}\";\n\tName = \"{filter}\";\n\tQuery = \"{query}\";\n\tQueryLanguage = \"WQL\";\n}};\nPerm. Consumer: \ninstance of {class}\n{{\n\tName = \"{name}\";\n{definition}}};\n"
    );
    let message = format!(
        "Namespace = //./root/subscription; Eventfilter = {filter} (refer to its activate eventid:5859); Consumer = {bound}; PossibleCause = {cause}"
    );
    let fields = vec![
        ("Namespace", text("//./root/subscription")),
        ("ESS", text(filter)),
        ("CONSUMER", text(bound)),
        ("PossibleCause", text(cause)),
    ];
    activity(5861, SYSTEM, service, fields, message)
}

/// Where PowerShell ran what it logs.
pub(crate) struct Console<'a> {
    pub(crate) account: usize,
    pub(crate) user: &'a str,
    pub(crate) process_id: u32,
    pub(crate) application: &'a str,
    pub(crate) id: u64,
}

/// 4103: a command was called; `parameters` are its parameter bindings, name and value.
pub(crate) fn pipeline(
    console: &Console<'_>,
    command: &str,
    parameters: &[(&str, &str)],
) -> Record {
    let context = format!(
        "        Severity = Informational\r\n        Host Name = ConsoleHost\r\n        Host Version = 5.1.19041.3636\r\n        Host ID = {}\r\n        Host Application = {}\r\n        Engine Version = 5.1.19041.3636\r\n        Runspace ID = {}\r\n        Pipeline ID = 12\r\n        Command Name = {command}\r\n        Command Type = Cmdlet\r\n        Script Name = \r\n        Command Path = \r\n        Sequence Number = 18\r\n        User = {}\r\n        Connected User = \r\n        Shell ID = Microsoft.PowerShell\r\n",
        uuid(console.id),
        console.application,
        uuid(console.id ^ 1),
        console.user,
    );
    let fields = vec![
        ("ContextInfo", text(context)),
        ("UserData", text("")),
        ("Payload", text(invocation(command, parameters))),
    ];
    of_console(console, 4103, fields)
}

fn invocation(command: &str, parameters: &[(&str, &str)]) -> String {
    let mut payload = format!("CommandInvocation({command}): \"{command}\"\r\n");
    for (name, value) in parameters {
        payload.push_str("ParameterBinding(");
        payload.push_str(command);
        payload.push_str("): name=\"");
        payload.push_str(name);
        payload.push_str("\"; value=\"");
        payload.push_str(value);
        payload.push_str("\"\r\n");
    }
    payload
}

/// 4104: a script was compiled.
pub(crate) fn script(console: &Console<'_>, script: &str, path: &str) -> Record {
    let fields = vec![
        ("MessageNumber", Leaf::Number(1)),
        ("MessageTotal", Leaf::Number(1)),
        ("ScriptBlockText", text(script)),
        ("ScriptBlockId", text(uuid(console.id ^ 2))),
        ("Path", text(path)),
    ];
    of_console(console, 4104, fields)
}

fn of_console(console: &Console<'_>, event_id: u64, fields: Vec<(&'static str, Leaf)>) -> Record {
    Record {
        log: Log::PowerShell,
        event_id,
        account: console.account,
        process_id: console.process_id,
        fields,
        message: None,
    }
}

/// 800: what a pipeline did. An old-style event: three texts without names.
pub(crate) fn details(
    console: &Console<'_>,
    line: &str,
    command: &str,
    parameters: &[(&str, &str)],
) -> Record {
    let context = format!(
        "\tDetailSequence=1\r\n\tDetailTotal=1\r\n\r\n\tSequenceNumber=17\r\n\r\n\tUserId={}\r\n\tHostName=ConsoleHost\r\n\tHostVersion=5.1.19041.3636\r\n\tHostId={}\r\n\tHostApplication={}\r\n\tEngineVersion=5.1.19041.3636\r\n\tRunspaceId={}\r\n\tPipelineId=12\r\n\tScriptName=\r\n\tCommandLine={line}",
        console.user,
        uuid(console.id),
        console.application,
        uuid(console.id ^ 1),
    );
    let invoked = invocation(command, parameters);
    let message = format!(
        "Pipeline execution details for command line: {line}. \r\n\r\nContext Information: \r\n{context} \r\n\r\nDetails: \r\n{invoked}"
    );
    Record {
        log: Log::WindowsPowerShell,
        event_id: 800,
        account: console.account,
        process_id: 0,
        fields: vec![("Data", Leaf::List(vec![line.to_owned(), context, invoked]))],
        message: Some(message),
    }
}

/// Security 5156: the filtering platform let a connection pass. `application` is its path, or `System`.
pub(crate) fn permitted(
    (process_id, application): (u32, &str),
    inbound: bool,
    source: Endpoint,
    destination: Endpoint,
) -> Record {
    let ip = |end: Endpoint| text(text_of(|out| put_address(out, end.address)));
    let port = |end: Endpoint| text(text_of(|out| put_number(out, u64::from(end.port))));
    let (direction, layer, filter) = if inbound {
        ("%%14592", "%%14610", 44)
    } else {
        ("%%14593", "%%14611", 48)
    };
    let application = match application.strip_prefix("C:") {
        Some(below) => format!(r"\device\harddiskvolume2{}", below.to_lowercase()),
        None => application.to_owned(),
    };
    let fields = vec![
        ("ProcessID", Leaf::Number(u64::from(process_id))),
        ("Application", text(application)),
        ("Direction", text(direction)),
        // The source is who opened the connection, whichever end this host is.
        ("SourceAddress", ip(source)),
        ("SourcePort", port(source)),
        ("DestAddress", ip(destination)),
        ("DestPort", port(destination)),
        ("Protocol", Leaf::Number(6)),
        ("FilterRTID", Leaf::Number(68_867)),
        ("LayerName", text(layer)),
        ("LayerRTID", Leaf::Number(filter)),
        ("RemoteUserID", text("S-1-0-0")),
        ("RemoteMachineID", text("S-1-0-0")),
    ];
    Record {
        log: Log::Security,
        event_id: 5156,
        account: SYSTEM,
        process_id: 4,
        fields,
        message: None,
    }
}
