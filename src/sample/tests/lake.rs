//! The lake as a whole: readable, counted, repeatable, and safe to make again.

use super::*;

#[test]
fn lines_are_json_apart_from_the_listed_ones() {
    let lake = usual();
    let unreadable: BTreeSet<At> = (lake.rows.iter())
        .filter(|row| row.value.is_none())
        .map(|row| at(&row.place))
        .collect();
    let listed: BTreeSet<At> = (lake.answers.broken.iter())
        .filter(|broken| !["no_time", "type_conflict"].contains(&broken.reason.as_str()))
        .map(|broken| (broken.table.clone(), broken.file.clone(), broken.line))
        .collect();
    assert_eq!(unreadable, listed);
    let mut reasons: Vec<&str> = (lake.answers.broken.iter())
        .map(|broken| broken.reason.as_str())
        .collect();
    reasons.sort_unstable();
    let all = [
        "garbage",
        "invalid_utf8",
        "no_time",
        "truncated",
        "type_conflict",
    ];
    assert_eq!(reasons, all);
    for broken in &lake.answers.broken {
        let place = (broken.table.clone(), broken.file.clone(), broken.line);
        let row = lake
            .rows
            .iter()
            .find(|row| at(&row.place) == place)
            .unwrap();
        match broken.reason.as_str() {
            "no_time" => assert_eq!(row.text("TimeCreated"), Some("-")),
            "type_conflict" => {
                assert!(row.value.as_ref().unwrap()["CommandLine"].is_object());
                assert!(row.text("UtcTime").is_some());
            }
            _ => {}
        }
    }
}

#[test]
fn duplicates_are_the_same_bytes() {
    let lake = usual();
    assert_eq!(lake.answers.duplicates.len(), 10);
    let line = |table: &str, file: &str, row: u64| {
        let bytes = decoded(&lake.dir.path().join(table).join(file));
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        lines[usize::try_from(row).unwrap() - 1].to_vec()
    };
    for copy in &lake.answers.duplicates {
        assert_eq!(
            line(&copy.table, &copy.file, copy.row),
            line(&copy.of.table, &copy.of.file, copy.of.row)
        );
        assert!(copy.file > copy.of.file, "a later copy sorts later");
    }
    let planted: BTreeSet<At> = (lake.answers.planted.iter())
        .flat_map(|planted| planted.events.iter().map(at))
        .collect();
    let copied = lake.answers.duplicates.iter();
    assert!(copied.clone().any(|copy| planted.contains(&at(&copy.of))));
    assert!(copied.clone().any(|copy| !planted.contains(&at(&copy.of))));
}

#[test]
fn counts_add_up() {
    for events in [0, 700, 5000] {
        let lake = make(&options(events, 4));
        let rows = firsts(&lake);
        assert_eq!(rows.len() as u64, lake.answers.events);
        assert!(lake.answers.events >= events);
        assert!(events < 5000 || lake.answers.events == events);
    }
    let lake = usual();
    assert_eq!(lake.summary.events, 20_000);
    assert_eq!(lake.summary.planted, lake.answers.planted.len() as u64);
    let mut lines: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in &lake.rows {
        if let Some(day) = day_of_path(&row.place.file) {
            *lines.entry((row.place.table.clone(), day)).or_default() += 1;
        }
    }
    // The paths of batches tell no day.
    let batched = lake.rows.iter().filter(|row| row.place.table == "fdr");
    let named: u64 = lake.answers.rows["fdr"]
        .values()
        .map(|rows| rows.lines)
        .sum();
    assert_eq!(batched.count() as u64, named);
    let mut events: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in firsts(lake) {
        let day = told(row)[..10].to_owned();
        *events.entry((row.place.table.clone(), day)).or_default() += 1;
    }
    for (table, days) in &lake.answers.rows {
        for (day, rows) in days {
            let key = (table.clone(), day.clone());
            if table != "fdr" {
                assert_eq!(lines.remove(&key).unwrap_or(0), rows.lines, "{key:?}");
            }
            assert_eq!(events.remove(&key).unwrap_or(0), rows.events, "{key:?}");
        }
    }
    assert!(
        lines.is_empty() && events.is_empty(),
        "{lines:?} {events:?}"
    );
    assert!(lake.answers.rows["nxlog"].contains_key("2025-12-31"));
}

/// The day that a path names, as `2026-01-03`.
fn day_of_path(path: &str) -> Option<String> {
    static DATE: OnceLock<regex::Regex> = OnceLock::new();
    let date = r"(?:day=|eventDay=|y=|^)(\d{4})(?:-|/m=|/|)(\d\d)(?:-|/d=|/|)(\d\d)";
    let found = DATE.get_or_init(|| regex::Regex::new(date).unwrap());
    let found = found.captures(path)?;
    Some(format!("{}-{}-{}", &found[1], &found[2], &found[3]))
}

#[test]
fn the_usual_lake_is_small() {
    let lake = usual();
    let size: usize = files_of(lake).values().map(Vec::len).sum();
    assert_eq!(size as u64, lake.summary.bytes);
    assert_eq!(files_of(lake).len() as u64, lake.summary.files);
    assert!(size < 3_400_000, "{size} bytes");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = files_of(&make(&options(2000, 5)));
    assert!(first == files_of(&make(&options(2000, 5))));
    let other = files_of(&make(&options(2000, 6)));
    let same = (first.iter())
        .filter(|(name, _)| !name.ends_with("/_SUCCESS"))
        .filter(|(name, bytes)| other.get(*name) == Some(*bytes));
    assert_eq!(
        same.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["lake.yaml"]
    );
}

#[test]
fn the_share_of_distinct_command_lines_is_as_asked() {
    for asked in [0.0, 0.4, 0.9] {
        let lake = make(&SampleOptions {
            distinct: asked,
            ..options(12_000, 3)
        });
        let commands: Vec<&str> = (lake.rows.iter())
            .filter(|row| row.event_id() == 1)
            .map(Row::command)
            .collect();
        let distinct: BTreeSet<&str> = commands.iter().copied().collect();
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let share = distinct.len() as f64 / commands.len() as f64;
        assert!((share - asked).abs() < 0.09, "asked {asked}, got {share}");
        assert!(commands.len() > 12_000 * 2 / 10, "{}", commands.len());
    }
}

#[test]
fn record_numbers_rise_by_host_and_channel() {
    let mut last: HashMap<(String, String), Vec<(u64, String)>> = HashMap::new();
    for row in firsts(usual()) {
        let value = row.value.as_ref().unwrap();
        let record = value
            .get("EventRecordID")
            .or_else(|| value.get("RecordNumber"));
        let Some(record) = record else {
            continue;
        };
        let channel = row.text("Channel").unwrap().to_owned();
        last.entry((row.host().to_owned(), channel))
            .or_default()
            .push((record.as_u64().unwrap(), told(row)));
    }
    for records in last.values_mut() {
        records.sort();
        assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0));
        // Days follow each other: within a day, sensors may report a few seconds late.
        assert!(
            records
                .windows(2)
                .all(|pair| pair[0].1[..10] <= pair[1].1[..10])
        );
    }
}

#[test]
fn two_sensors_agree_on_one_process() {
    let rows = firsts(usual());
    let mut seen: HashMap<(&str, u64, &str), Vec<String>> = HashMap::new();
    for row in rows.iter().filter(|row| row.event_id() == 1) {
        seen.entry((row.host(), row.process_id(), row.command()))
            .or_default()
            .push(told(row));
    }
    let mut pairs = 0;
    for row in rows.iter().filter(|row| row.event_id() == 4688) {
        let Some(times) = seen.get(&(row.host(), row.process_id(), row.command())) else {
            // Its Sysmon line is one of the broken ones.
            continue;
        };
        let security = told(row);
        let near = times.iter().any(|time| {
            // nxlog tells whole seconds.
            (moment(&security) - moment(time)).abs() < 1_010_000
        });
        assert!(near, "{security} {times:?}");
        pairs += 1;
    }
    assert!(pairs > 2000, "{pairs}");
}

#[test]
fn nxlog_tells_the_time_of_new_york() {
    let mut checked = 0;
    for row in usual().rows.iter().filter(|row| row.place.table == "nxlog") {
        let local = row.text("EventTime").unwrap();
        if row.event_id() == 1 {
            let utc = row.text("UtcTime").unwrap();
            let utc = chrono::NaiveDateTime::parse_from_str(utc, "%Y-%m-%d %H:%M:%S%.3f").unwrap();
            let local = chrono::NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M:%S").unwrap();
            let apart = utc - local - chrono::TimeDelta::hours(5);
            assert!(apart.abs() < chrono::TimeDelta::seconds(1));
            checked += 1;
        }
    }
    assert!(checked > 500);
}

#[test]
fn parquet_has_a_row_group_for_each_quarter_in_order_of_time() {
    let lake = usual();
    let file = "sysmon_servers/day=2026-01-01/srv01-0000.parquet";
    let file = File::open(lake.dir.path().join(file)).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(builder.metadata().num_row_groups(), 4);
    let times: Vec<&str> = (lake.rows.iter())
        .filter(|row| row.place.table == "sysmon_servers")
        .filter_map(|row| row.text("UtcTime"))
        .collect();
    assert!(times.len() > 1000 && times.is_sorted());
}

#[test]
fn one_collector_appends_a_second_gzip_member() {
    let path = usual()
        .dir
        .path()
        .join("sysmon/day=2026-01-01/wec02-0000.ndjson.gz");
    let mut first = Vec::new();
    let file = File::open(&path).unwrap();
    GzDecoder::new(file).read_to_end(&mut first).unwrap();
    let all = decoded(&path);
    assert!(first.ends_with(b"\n") && first.len() < all.len());
    assert!(all.starts_with(&first));
}

#[test]
fn parquet_only_has_one_table_with_all_stories() {
    let lake = make(&SampleOptions {
        parquet_only: true,
        ..options(3000, 2)
    });
    check_hunts(&lake);
    assert_eq!(
        lake.answers.rows.keys().collect::<Vec<_>>(),
        ["sysmon_servers"]
    );
    assert_eq!(lake.summary.events, 3000);
    let yaml = fs::read_to_string(lake.dir.path().join("lake.yaml")).unwrap();
    assert!(yaml.contains("sysmon_servers:") && !yaml.contains("nxlog"));
}

#[test]
fn a_lake_of_ours_is_replaced_and_other_things_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    generate(
        path,
        &SampleOptions {
            days: 5,
            ..options(900, 1)
        },
        &mut |_| {},
    )
    .unwrap();
    fs::write(path.join("sysmon/note.txt"), "mine").unwrap();
    generate(path, &options(900, 2), &mut |_| {}).unwrap();
    assert!(!path.join("sysmon/day=2026-01-04").exists());
    assert!(!path.join("nxlog/2026/01/04").exists());
    assert_eq!(fs::read(path.join("sysmon/note.txt")).unwrap(), b"mine");
    let fresh = make(&options(900, 2));
    for (file, bytes) in files_of(&fresh) {
        assert!(fs::read(path.join(&file)).unwrap() == bytes, "{file}");
    }
}

#[test]
fn a_folder_with_other_things_is_refused() {
    for (name, text) in [
        ("notes.txt", "mine"),
        ("answers.json", "{}"),
        ("answers.json", "not JSON"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        let error = generate(dir.path(), &options(10, 1), &mut |_| {}).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, SampleError::NotOurs { .. }), "{message}");
        assert!(message.contains(&dir.path().display().to_string()) && message.contains("hint:"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn errors_name_the_path_or_the_option() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = generate(&file, &options(10, 1), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()));
    let wrong = [
        SampleOptions {
            days: 0,
            ..options(10, 1)
        },
        SampleOptions {
            distinct: 1.5,
            ..options(10, 1)
        },
        SampleOptions {
            distinct: f64::NAN,
            ..options(10, 1)
        },
        SampleOptions {
            hosts: Some(3),
            ..options(10, 1)
        },
        SampleOptions {
            start: NaiveDate::MIN,
            ..options(10, 1)
        },
    ];
    for options in wrong {
        let error = generate(&dir.path().join("new"), &options, &mut |_| {}).unwrap_err();
        assert!(matches!(error, SampleError::Option { .. }), "{error}");
    }
    assert!(!dir.path().join("new").exists());
}

#[test]
fn the_usual_start_is_new_year() {
    assert_eq!(SampleOptions::default().start.to_string(), "2026-01-01");
}

#[test]
fn progress_ends_at_the_total() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    let summary = generate(dir.path(), &options(5000, 1), &mut |events| {
        heard.push(events);
    });
    assert!(heard.is_sorted() && heard.len() > 3);
    assert_eq!(heard.last(), Some(&summary.unwrap().events));
}
