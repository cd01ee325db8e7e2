//! The ledger's own rules: what is written on one line, what an object may touch, what a part of the hunts leaves behind.

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn object(path: &str, version: u64, hours: Option<(u32, u32)>) -> ObjectRecord {
    let hour = |hour: u32| at(&format!("2026-01-01T{hour:02}:00:00Z"));
    ObjectRecord {
        path: path.to_owned(),
        size: version,
        modified: at("2026-01-02T00:00:00Z"),
        etag: None,
        rows: 3,
        rejected: 0,
        oldest_event: hours.map(|hours| hour(hours.0)),
        newest_event: hours.map(|hours| hour(hours.1)),
        type_conflicts: BTreeMap::new(),
        absent: Vec::new(),
        lost: None,
    }
}

/// A tile from 12:00 to 13:00 whose hunts read one table.
fn ledger(hunts: &[(&str, Option<u32>)], objects: Vec<ObjectRecord>) -> Ledger {
    let hunt = |(name, reads_from): &(&str, Option<u32>)| {
        let record = HuntRecord {
            tables: vec!["events".to_owned()],
            reads_from: reads_from.map(|hour| at(&format!("2026-01-01T{hour:02}:00:00Z"))),
            matched: BTreeMap::from([("events".to_owned(), 2)]),
            ..HuntRecord::new("hash".to_owned(), State::Complete, None)
        };
        ((*name).to_owned(), record)
    };
    let table = TableRecord {
        objects,
        ..TableRecord::default()
    };
    Ledger {
        format_version: FORMAT_VERSION,
        lakehunt_version: "0".to_owned(),
        job: "night".to_owned(),
        window_start: at("2026-01-01T12:00:00Z"),
        window_end: at("2026-01-01T13:00:00Z"),
        tables: BTreeMap::from([("events".to_owned(), table)]),
        lookups: BTreeMap::new(),
        hunts: hunts.iter().map(hunt).collect(),
        exceptions: BTreeMap::new(),
        outputs: BTreeMap::new(),
    }
}

#[test]
fn each_object_is_one_line() {
    let objects = vec![object("a", 1, Some((12, 13))), object("b", 1, None)];
    let ledger = ledger(&[("one", None)], objects);
    let bytes = ledger.to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let of_objects = text.lines().filter(|line| line.contains("\"path\""));
    assert_eq!(of_objects.count(), 2, "{text}");
    assert!(
        text.contains("\n        {\"path\": \"b\", \"size\": 1, "),
        "{text}"
    );
    assert_eq!(Ledger::from_bytes(&bytes).unwrap(), ledger);
    let later = Ledger {
        format_version: FORMAT_VERSION + 1,
        ..ledger
    };
    let error = Ledger::from_bytes(&later.to_bytes().unwrap()).unwrap_err();
    assert!(error.to_string().contains("format 3"), "{error}");
}

#[test]
fn an_object_touches_what_its_events_may_be_in() {
    let (start, end) = (at("2026-01-01T12:00:00Z"), at("2026-01-01T13:00:00Z"));
    for (hours, touches) in [
        (Some((10, 11)), false),
        (Some((10, 12)), true),
        (Some((12, 12)), true),
        (Some((13, 14)), false),
        (Some((10, 14)), true),
        (None, false),
    ] {
        let object = object("a", 1, hours);
        assert_eq!(object.may_touch(start, end), touches, "{hours:?}");
        let lost = ObjectRecord {
            lost: Some("torn".to_owned()),
            ..object
        };
        assert!(lost.may_touch(start, end));
    }
    let bad = ObjectRecord {
        rejected: 1,
        ..object("a", 1, None)
    };
    assert!(bad.may_touch(start, end));
}

#[test]
fn what_other_hunts_did_not_see_leaves_them_behind() {
    let before = |objects| ledger(&[("short", None), ("long", Some(9))], objects);
    let rerun = |objects| {
        let mut now = ledger(&[("other", None)], objects);
        now.merge(before(vec![object("a", 1, Some((12, 12)))]));
        now
    };
    let behind = |ledger: &Ledger| {
        let behind = ledger.hunts.iter().filter(|(_, hunt)| hunt.behind);
        behind.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let same = rerun(vec![object("a", 1, Some((12, 12)))]);
    assert_eq!(behind(&same), Vec::<String>::new());
    assert_eq!(same.tables["events"].rows_matched, 6);
    let changed = rerun(vec![object("a", 2, Some((14, 14)))]);
    assert_eq!(
        behind(&changed),
        ["long", "short"],
        "what was read is no more"
    );
    assert_eq!(changed.tables["events"].objects.len(), 1);
    let of_the_lookback = vec![
        object("a", 1, Some((12, 12))),
        object("b", 1, Some((10, 11))),
    ];
    assert_eq!(behind(&rerun(of_the_lookback)), ["long"]);
    let narrower = rerun(Vec::new());
    assert_eq!(
        narrower.tables["events"].objects.len(),
        1,
        "it was read, though not now"
    );
    assert_eq!(behind(&narrower), Vec::<String>::new());
}
