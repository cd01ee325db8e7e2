//! The hunts by hand, and what they find held against the answers.

use std::sync::{Arc, Mutex};

use regex::Regex;

use super::*;

/// Microseconds since 1970 of a time in the form of the answers.
pub(super) fn moment(text: &str) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
    time.timestamp_micros()
}

/// What a hunt asks of one event.
type Asks = fn(&Row) -> bool;

/// Hunts that look at one event alone, with what they ask of it.
fn alone() -> Vec<(Hunt, Asks)> {
    vec![
        (Hunt::RemoteWmiCommandAttempt, |row| wmic(row, "node")),
        (Hunt::WmicFormat, |row| wmic(row, "format")),
        (Hunt::WmicRemoteIp, |row| {
            row.is_wmic() && has_remote_address(&row.command().to_lowercase())
        }),
        (Hunt::CommandOutputRedirectedToShare, |row| {
            shell(row, r"(?i)/q /c .* ?1> ?\\\\[^\\]+\\[^\\]+\\\S+ 2>&1$")
        }),
        (Hunt::DcomexecCommand, |row| {
            shell(
                row,
                r"(?i)/q /c .*1> \\\\127\.0\.0\.1\\[^\\]+\\__\d{5} 2>&1$",
            ) && ["mmc.exe", "explorer.exe"].contains(&row.parent().as_str())
        }),
        (Hunt::SmbexecCommand, |row| {
            let service = r"echo .*\^> \\\\.*\\__output_\w{8} 2\^>\^&1 > \S+\.bat &";
            (shell(row, service) && row.parent() == "services.exe")
                || (shell(row, r"(?i)/q /c \S+\.bat$") && matches(service, row.parent_command()))
        }),
        (Hunt::AtexecCommand, |row| {
            shell(
                row,
                r"(?i)^cmd\.exe /c .* > (c:\\windows|%windir%)\\temp\\[a-z]{8}\.tmp 2>&1$",
            )
        }),
        (Hunt::NetexecCommand, |row| {
            let uuid = r"(?i)c:\\windows\\temp\\[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.txt";
            shell(row, r"(?i)/q /c .* 1> \\windows\\temp\\[a-z]{6} 2>&1$")
                || shell(row, r"(?i)/q /c .* 1> \\\\[^\\]+\\[^\\]+\\[a-z]{6} 2>&1$")
                || (row.is_process() && matches(uuid, row.command()))
        }),
        (Hunt::WmiexecNoOutput, |row| {
            shell(row, "(?i)/q /c ")
                && row.parent() == "wmiprvse.exe"
                && !row.command().contains("1> ")
        }),
        (Hunt::WmiProviderChildProcess, |row| {
            row.is_process() && row.parent() == "wmiprvse.exe"
        }),
        (Hunt::WmicRemoteNode, |row| wmic(row, "/node:")),
        (Hunt::WmicProcessCallCreate, |row| {
            wmic(row, "process call create")
        }),
        (Hunt::WmicXslScript, |row| {
            let style = r#"(?i)\.xsl|format:"?(https?:|\\\\|[a-z]:)"#;
            row.is_wmic() && matches(style, row.command())
        }),
        (Hunt::WmiCommandExecution, |row| {
            let tools = r"^(wmic|powershell|wbemtool|wmiprvse|wmiadap|scrcons)\.exe$";
            let words = "(?i)process call create|shadowcopy delete|process start|createobject";
            row.is_process()
                && (matches(tools, &row.program()) || matches(tools, &row.original_name()))
                && matches(words, row.command())
        }),
        (Hunt::ShadowCopyDeletion, |row| {
            let words = "(?i)shadowcopy delete|delete shadows|win32_shadowcopy.*delete";
            row.is_process() && matches(words, row.command())
        }),
        (Hunt::PowershellWmiCommandLine, |row| {
            row.is_process()
                && row.program() == "powershell.exe"
                && matches(
                    r"(?i)invoke-(wmi|cim)method|get-wmiobject|win32_process\b",
                    row.command(),
                )
        }),
        (Hunt::RemoteWmiConnection, |row| {
            remote_wmi(row).is_some() && row.kind() != "dce_rpc"
        }),
        (Hunt::WmicScriptDllLoad, |row| {
            let engine = r"(?i)\\(jscript\w*|vbscript)\.dll$";
            row.event_id() == 7
                && row.program() == "wmic.exe"
                && matches(engine, row.first(&["/ImageLoaded"]))
        }),
        (Hunt::WmiEventSubscription, |row| {
            [19, 20, 21, 5861].contains(&row.event_id())
        }),
        (Hunt::WmiTemporarySubscription, |row| {
            [5859, 5860].contains(&row.event_id())
        }),
        (Hunt::WmiProviderLoad, |row| row.event_id() == 5857),
        (Hunt::WmiClientFailure, |row| row.event_id() == 5858),
        (Hunt::PowershellWmiCall, |row| {
            let words = "(?i)invoke-(wmi|cim)|get-(wmi|cim)|gwmi|win32_process|winmgmts:";
            [800, 4103, 4104].contains(&row.event_id())
                && matches(words, &row.value.as_ref().unwrap().to_string())
        }),
        (Hunt::ImpacketOutputFileOverSmb, |row| {
            row.event_id() == 5145
                && matches(r"\\(ADMIN|C)\$$", row.first(&["/ShareName"]))
                && matches(r"(^|\\)__\d+(\.\d+)?$", row.first(&["/RelativeTargetName"]))
        }),
        (Hunt::WmiRpcCall, |row| {
            row.kind() == "dce_rpc" && matches("^IWbem|^IRemUnknown2", row.first(&["/endpoint"]))
        }),
    ]
}

/// Whether a pattern is found in a text. Each pattern is compiled once.
pub(super) fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<&'static str, Arc<Regex>>> = Mutex::new(BTreeMap::new());
    let compiled = {
        let mut all = COMPILED.lock().unwrap();
        let new = || Arc::new(Regex::new(pattern).unwrap());
        Arc::clone(all.entry(pattern).or_insert_with(new))
    };
    compiled.is_match(text)
}

fn wmic(row: &Row, words: &str) -> bool {
    row.is_wmic() && row.command().to_lowercase().contains(words)
}

fn shell(row: &Row, pattern: &'static str) -> bool {
    row.is_process() && row.program() == "cmd.exe" && matches(pattern, row.command())
}

/// The client of a connection to a port of WMI's, and whether it came in.
fn remote_wmi(row: &Row) -> Option<(String, bool)> {
    let inbound = match row.event_id() {
        3 => !["true"].contains(&row.first(&["/Initiated"])) && !initiated(row),
        5156 => row.first(&["/Direction"]) == "%%14592",
        _ => {
            let accepted = ["NetworkReceiveAcceptIP4", "InboundConnectionAccepted"];
            let nested = row.number(&["/connection_info/direction_id"]) == Some(1);
            accepted.contains(&row.kind()) || nested
        }
    };
    let (port, client): (&[&str], &[&str]) = match row.kind() {
        "NetworkReceiveAcceptIP4" => (&["/LocalPort"], &["/RemoteAddressIP4"]),
        "NetworkConnectIP4" => (&["/RemotePort"], &["/LocalAddressIP4"]),
        "InboundConnectionAccepted" => (&["/properties/LocalPort"], &["/properties/RemoteIP"]),
        "ConnectionSuccess" => (&["/properties/RemotePort"], &["/properties/LocalIP"]),
        _ => (
            &[
                "/DestinationPort",
                "/DestPort",
                "/dst_endpoint/port",
                "/id.resp_p",
            ],
            &[
                "/SourceIp",
                "/SourceAddress",
                "/src_endpoint/ip",
                "/id.orig_h",
            ],
        ),
    };
    let port = row.number(port)?;
    [135, 5985, 5986]
        .contains(&port)
        .then(|| (row.first(client).to_owned(), inbound))
}

fn initiated(row: &Row) -> bool {
    let value = row.value.as_ref().and_then(|value| value.get("Initiated"));
    value.and_then(Value::as_bool).unwrap_or(false)
}

/// Runs all hunts by hand and holds what they find against the answers. A lake of one table has the first four only.
pub(super) fn check_hunts(lake: &Lake) {
    let rows = firsts(lake);
    let whole = lake.answers.rows.len() > 1;
    let alone = alone().into_iter().take(if whole { usize::MAX } else { 3 });
    for (hunt, asks) in alone {
        let found: BTreeSet<At> = (rows.iter())
            .filter(|row| asks(row))
            .map(|row| at(&row.place))
            .collect();
        assert_eq!(found, planted_places(lake, hunt, Kind::Hit), "{hunt:?}");
        assert!(!found.is_empty(), "{hunt:?}");
        let near = planted_places(lake, hunt, Kind::NearMiss);
        assert!(found.is_disjoint(&near) && !near.is_empty(), "{hunt:?}");
    }
    check_sessions(lake, &rows);
    if whole {
        check_children(lake, &rows);
        check_clients(lake, &rows);
    }
}

/// wmiexec and dcomexec by the file that the output goes to.
fn check_sessions(lake: &Lake, rows: &[&Row]) {
    let mut groups: BTreeMap<(String, String), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(file) = redirect_file(row) {
            let key = (row.host().to_owned(), file);
            groups.entry(key).or_default().push(row);
        }
    }
    groups.retain(|_, rows| {
        let commands: BTreeSet<_> = rows.iter().map(|row| row.command()).collect();
        let processes: BTreeSet<_> = rows.iter().map(|row| row.process_id()).collect();
        commands.len() > 1 && processes.len() > 1
    });
    let found: BTreeMap<(String, String), BTreeSet<At>> = (groups.into_iter())
        .map(|(key, rows)| (key, rows.iter().map(|row| at(&row.place)).collect()))
        .collect();
    let hunt = Hunt::WmiexecSharedOutputFile;
    let expected: BTreeMap<(String, String), BTreeSet<At>> = (lake.answers.planted.iter())
        .filter(|planted| planted.hunt == hunt && planted.kind == Kind::Hit)
        .map(|planted| {
            let key = (planted.host.clone(), planted.key["redirect_file"].clone());
            (key, planted.events.iter().map(at).collect())
        })
        .collect();
    assert_eq!(found, expected);
}

fn expected_of(lake: &Lake, hunt: Hunt, key: &str) -> BTreeMap<(String, String), BTreeSet<At>> {
    (lake.answers.planted.iter())
        .filter(|planted| planted.hunt == hunt && planted.kind == Kind::Hit)
        .map(|planted| {
            let key = (planted.host.clone(), planted.key[key].clone());
            (key, planted.events.iter().map(at).collect())
        })
        .collect()
}

/// Children of the provider host after an inbound connection, and what the same provider host starts within eight hours.
fn check_children(lake: &Lake, rows: &[&Row]) {
    let mut found: BTreeMap<(String, String), BTreeSet<At>> = BTreeMap::new();
    let children: Vec<(&&Row, i64)> = (rows.iter())
        .filter(|row| row.is_process() && row.parent() == "wmiprvse.exe")
        .map(|row| (row, moment(&told(row))))
        .collect();
    let mut delays = Vec::new();
    for row in rows {
        let Some((client, true)) = remote_wmi(row) else {
            continue;
        };
        let connected = moment(&told(row));
        let here = || {
            children
                .iter()
                .filter(|(child, _)| child.host() == row.host())
        };
        let delay = here()
            .map(|(_, started)| started - connected)
            .filter(|delay| (-1_000_000..=15_000_000).contains(delay))
            .min();
        let Some(delay) = delay else { continue };
        delays.push(delay);
        let session = found.entry((row.host().to_owned(), client)).or_default();
        session.insert(at(&row.place));
        let later = here().filter(|(_, started)| {
            (-1_000_000..8 * 3_600_000_000).contains(&(started - connected))
        });
        session.extend(later.map(|(child, _)| at(&child.place)));
    }
    let hunt = Hunt::WmiChildAfterInboundConnection;
    assert_eq!(found, expected_of(lake, hunt, "source_ip"));
    assert!(
        delays.iter().any(|delay| *delay < 0) && delays.iter().any(|delay| *delay > 10_000_000)
    );
    let near = planted_places(lake, hunt, Kind::NearMiss);
    assert!(!near.is_empty() && found.values().all(|events| events.is_disjoint(&near)));
}

/// Clients that connect themselves, by the sensor's id of the process.
fn check_clients(lake: &Lake, rows: &[&Row]) {
    let id = |row: &Row| {
        let all = ["/ProcessGuid", "/ContextProcessId", "/TargetProcessId"];
        (row.host().to_owned(), row.first(&all).to_owned())
    };
    let mut starts: HashMap<(String, String), &Row> = HashMap::new();
    for row in rows {
        if row.is_process() && !id(row).1.is_empty() {
            starts.insert(id(row), row);
        }
    }
    let mut found: BTreeMap<(String, String), BTreeSet<At>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_process()) {
        let port = row.number(&["/DestinationPort", "/RemotePort"]);
        let target = row.first(&["/DestinationIp", "/RemoteAddressIP4"]);
        let (Some(port), Some(start)) = (port, starts.get(&id(row))) else {
            continue;
        };
        let asks = match start.program().as_str() {
            "wmic.exe" => port >= 49_152 || [135, 5985, 5986].contains(&port),
            "powershell.exe" => [135, 5985, 5986].contains(&port),
            _ => false,
        };
        if asks {
            let key = (row.host().to_owned(), target.to_owned());
            let events = [at(&row.place), at(&start.place)];
            found.entry(key).or_default().extend(events);
        }
    }
    let hunt = Hunt::WmiClientConnection;
    assert_eq!(found, expected_of(lake, hunt, "destination_ip"));
    let near = planted_places(lake, hunt, Kind::NearMiss);
    assert!(!near.is_empty() && found.values().all(|events| events.is_disjoint(&near)));
}
