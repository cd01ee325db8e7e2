//! What is planted: the hunts find it and nothing else, and the answers say where it lies.

use super::*;

#[test]
fn the_hunts_find_what_the_answers_say_and_nothing_else() {
    check_hunts(usual());
    let hits = (usual().answers.planted.iter())
        .filter(|each| each.hunt == Hunt::WmiexecSharedOutputFile && each.kind == Kind::Hit);
    assert_eq!(hits.count(), 11);
}

#[test]
fn other_seeds_lengths_and_starts_hold_too() {
    for seed in 2..6 {
        check_hunts(&make(&options(1500, seed)));
    }
    let long = SampleOptions {
        days: 8,
        start: NaiveDate::from_ymd_opt(2026, 3, 5).unwrap(),
        ..options(4000, 9)
    };
    check_hunts(&make(&long));
    let short = SampleOptions {
        days: 1,
        ..options(3000, 9)
    };
    check_hunts(&make(&short));
    let crowded = SampleOptions {
        days: 2,
        hosts: Some(20),
        ..options(3000, 11)
    };
    check_hunts(&make(&crowded));
}

#[test]
fn answers_point_at_lines_that_hold_their_commands() {
    let lake = usual();
    let rows: HashMap<At, &Row> = lake.rows.iter().map(|row| (at(&row.place), row)).collect();
    let mut identifiers = BTreeSet::new();
    for planted in &lake.answers.planted {
        assert!(identifiers.insert(&planted.id));
        assert!(!planted.events.is_empty() && !planted.why.is_empty());
        let mut commands = BTreeSet::new();
        for place in &planted.events {
            let row = rows[&at(place)];
            assert_eq!(row.host(), planted.host, "{planted:?}");
            if row.is_process() {
                commands.insert(row.command().to_owned());
            }
        }
        let expected: BTreeSet<String> = planted.commands.iter().cloned().collect();
        assert_eq!(commands, expected, "{planted:?}");
        let times: Vec<String> = (planted.events.iter())
            .map(|place| told(rows[&at(place)]))
            .collect();
        assert_eq!(times.iter().min(), Some(&planted.first_seen));
        assert_eq!(times.iter().max(), Some(&planted.last_seen));
        assert!(planted.last_seen.starts_with(&planted.day));
    }
}

#[test]
fn one_session_crosses_midnight_and_counts_on_its_last_day() {
    let crossing: Vec<&Planted> = (usual().answers.planted.iter())
        .filter(|each| each.first_seen.get(..10) != each.last_seen.get(..10))
        .collect();
    let hunts: Vec<Hunt> = crossing.iter().map(|each| each.hunt).collect();
    let expected = [
        Hunt::WmiexecSharedOutputFile,
        Hunt::WmiChildAfterInboundConnection,
    ];
    assert_eq!(hunts, expected);
    for each in crossing {
        assert_eq!(each.day, "2026-01-03");
        assert!(each.first_seen.starts_with("2026-01-02T23:1"));
        let days: BTreeSet<&str> = (each.events.iter())
            .map(|place| place.file.split('/').next().unwrap())
            .collect();
        assert_eq!(days.len(), 2);
    }
}

#[test]
fn every_hunt_has_a_hit_and_a_near_miss() {
    let mut kinds: BTreeMap<Hunt, BTreeSet<bool>> = BTreeMap::new();
    for planted in &usual().answers.planted {
        let hit = planted.kind == Kind::Hit;
        kinds.entry(planted.hunt).or_default().insert(hit);
    }
    assert_eq!(kinds.len(), 28);
    assert!(kinds.values().all(|kinds| kinds.len() == 2), "{kinds:?}");
}

#[test]
fn wmiexec_is_seen_by_every_kind_of_sensor() {
    let tables: BTreeSet<&str> = (usual().answers.planted.iter())
        .filter(|each| each.hunt == Hunt::WmiexecSharedOutputFile && each.kind == Kind::Hit)
        .flat_map(|each| each.events.iter().map(|place| place.table.as_str()))
        .collect();
    let expected = [
        "defender",
        "fdr",
        "nxlog",
        "ocsf_process",
        "security",
        "sentinel",
        "sysmon",
        "sysmon_servers",
    ];
    assert_eq!(tables.into_iter().collect::<Vec<_>>(), expected);
}
