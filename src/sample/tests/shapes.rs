//! The raw shapes of each product, as their documentation and real samples have them.

use super::*;

fn of_table(table: &str) -> impl Iterator<Item = &'static Row> {
    let rows = usual().rows.iter();
    rows.filter(move |row| row.place.table == table)
}

/// Seconds with a fraction as microseconds.
fn micros(seconds: &str) -> i64 {
    let (whole, millis) = seconds.split_once('.').unwrap();
    whole.parse::<i64>().unwrap() * 1_000_000 + millis.parse::<i64>().unwrap() * 1000
}

#[test]
fn fdr_has_texts_only_and_tells_its_receipt() {
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut named, mut local, mut late) = (BTreeSet::new(), 0, 0);
    for row in of_table("fdr") {
        let value = row.value.as_ref().unwrap().as_object().unwrap();
        assert!(value.values().all(Value::is_string));
        *kinds.entry(row.kind()).or_default() += 1;
        let happened = row.first(&["/ContextTimeStamp", "/ProcessStartTime"]);
        let receipt = row.number(&["/timestamp"]).unwrap();
        let lag = i64::try_from(receipt).unwrap() * 1000 - micros(happened);
        assert!((0..60_000_000).contains(&lag), "{lag}");
        late += u32::from(lag > 5_000_000);
        if row.kind() == "WmiCreateProcess" {
            named.insert(value.contains_key("FileName"));
            local += u32::from(row.text("RemoteAddressIP4") == Some("N/A"));
        } else {
            assert!(!value.contains_key("FileName"));
        }
    }
    let expected = [
        "DnsRequest",
        "NetworkConnectIP4",
        "NetworkReceiveAcceptIP4",
        "ProcessRollup2",
        "WmiCreateProcess",
    ];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), expected);
    assert!(late > 100 && local == 2, "{late} {local}");
    assert!(!named.is_empty());
}

#[test]
fn a_batch_is_marked_complete() {
    let lake = usual();
    let folders: BTreeSet<&str> = (lake.answers.files.iter())
        .filter_map(|file| file.strip_prefix("fdr/data/")?.split('/').next())
        .collect();
    assert_eq!(folders.len(), 12);
    for folder in folders {
        let folder = lake.dir.path().join("fdr/data").join(folder);
        assert_eq!(fs::read(folder.join("_SUCCESS")).unwrap(), b"");
        assert!(folder.join("part-00000.gz").is_file());
    }
}

#[test]
fn wmi_create_process_and_rollup_tell_one_process() {
    let id = |row: &Row| row.text("TargetProcessId").unwrap().to_owned();
    let rollups: BTreeSet<String> = of_table("fdr")
        .filter(|row| row.kind() == "ProcessRollup2")
        .map(id)
        .collect();
    let created: Vec<String> = of_table("fdr")
        .filter(|row| row.kind() == "WmiCreateProcess")
        .map(id)
        .collect();
    assert!(created.len() > 5 && created.iter().all(|id| rollups.contains(id)));
}

#[test]
fn azure_paths_name_the_hour_of_arrival() {
    let mut seen = 0;
    for row in of_table("defender").chain(of_table("sentinel")) {
        let (_, path) = row.place.file.split_once("/y=").unwrap();
        let pieces: Vec<&str> = path.split(['/', '=']).collect();
        let hour = format!("{}-{}-{}T{}", pieces[0], pieces[2], pieces[4], pieces[6]);
        let arrived = row.first(&["/time", "/TimeGenerated"]);
        // A late line stays in the file that is open.
        let apart =
            moment(&format!("{hour}:00:00Z")) - moment(&format!("{}:00:00Z", &arrived[..13]));
        assert!((0..=3_600_000_000).contains(&apart), "{hour} {arrived}");
        assert!(row.place.file.ends_with("/m=00/PT1H.json"));
        seen += 1;
    }
    assert!(seen > 300);
}

#[test]
fn defender_wraps_a_row_of_its_table() {
    let mut kinds = BTreeSet::new();
    for row in of_table("defender") {
        let network = row.place.file.contains("devicenetworkevents");
        let category = row.text("category").unwrap();
        assert_eq!(category.ends_with("DeviceNetworkEvents"), network);
        let name = row.host();
        assert_eq!(name, name.to_lowercase());
        kinds.insert((network, row.kind()));
        let timestamp = row.first(&["/properties/Timestamp"]);
        assert!(timestamp.len() == 28 && timestamp <= row.text("time").unwrap());
    }
    let expected = [
        (false, "ProcessCreated"),
        (true, "ConnectionSuccess"),
        (true, "InboundConnectionAccepted"),
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn sentinel_has_process_ids_in_hex_and_no_sysmon() {
    let mut ids = BTreeSet::new();
    for row in of_table("sentinel") {
        ids.insert(row.event_id());
        if row.event_id() == 4688 {
            assert!(row.text("NewProcessId").unwrap().starts_with("0x"));
            assert_eq!(row.text("Process").unwrap().to_lowercase(), row.program());
        }
    }
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [4624, 4688]);
}

#[test]
fn ocsf_is_nested_and_numbered_as_its_classes() {
    for (table, class) in [("ocsf_process", 1007), ("ocsf_network", 4001)] {
        let mut last = 0;
        for row in of_table(table) {
            assert_eq!(row.number(&["/class_uid"]), Some(class));
            let activity = row.number(&["/activity_id"]).unwrap();
            assert_eq!(row.number(&["/type_uid"]), Some(class * 100 + activity));
            assert!(!row.first(&["/actor/process/file/path"]).is_empty());
            assert!(!row.first(&["/actor/user/name"]).is_empty());
            let time = row.number(&["/time"]).unwrap();
            assert!(time >= last, "sorted by time");
            last = time;
        }
        assert!(last > 0);
    }
    let hashes = of_table("ocsf_process").next().unwrap().value.as_ref();
    let hashes = hashes.unwrap().pointer("/process/file/hashes").unwrap();
    assert_eq!(hashes.as_array().unwrap().len(), 2);
}

#[test]
fn a_connection_and_its_calls_share_an_id_on_the_wire() {
    let conn: BTreeSet<&str> = of_table("zeek")
        .filter(|row| row.kind() == "conn")
        .filter_map(|row| row.text("uid"))
        .collect();
    let calls: Vec<&Row> = of_table("zeek")
        .filter(|row| row.first(&["/endpoint"]).starts_with("IWbem"))
        .collect();
    assert!(calls.len() > 20);
    for call in calls {
        assert!(conn.contains(call.text("uid").unwrap()));
        assert!(call.value.as_ref().unwrap()["ts"].is_f64());
    }
}

#[test]
fn windows_logs_have_the_fields_of_their_events() {
    let fields: [(u64, &str); 12] = [
        (19, "Query"),
        (20, "Destination"),
        (21, "Filter"),
        (800, "Data"),
        (4103, "Payload"),
        (4104, "ScriptBlockText"),
        (5156, "DestPort"),
        (5857, "ProviderPath"),
        (5858, "ClientMachine"),
        (5859, "NamespaceName"),
        (5860, "MachineName"),
        (5861, "CONSUMER"),
    ];
    for (id, field) in fields {
        let mut flat = (usual().rows.iter())
            .filter(|row| ["sysmon", "security"].contains(&row.place.table.as_str()))
            .filter(|row| row.event_id() == id)
            .peekable();
        assert!(flat.peek().is_some(), "{id}");
        assert!(
            flat.all(|row| row.value.as_ref().unwrap().get(field).is_some()),
            "{id}"
        );
    }
    // Of these logs nxlog keeps the rendered text only.
    for id in [800, 5857, 5858, 5861] {
        let mut rows = of_table("nxlog")
            .filter(|row| row.event_id() == id)
            .peekable();
        assert!(rows.peek().is_some(), "{id}");
        assert!(
            rows.all(|row| row.text("Message").is_some() && row.text("ProviderPath").is_none())
        );
    }
    let quoted = of_table("nxlog").find(|row| row.event_id() == 19).unwrap();
    assert!(quoted.text("Name").unwrap().starts_with(" \""));
    assert_eq!(quoted.text("EventType"), Some("WmiFilterEvent"));
}
