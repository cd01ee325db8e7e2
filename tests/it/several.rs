//! Files that are not one record a line: several on a line, arrays and envelopes of events, events over many lines,
//! compression that the name does not tell. Nothing whole is lost, and what is broken has its place.

use crate::damage::damaged;
use crate::lake::{OneTable, gzip, line};

fn one(n: i64) -> String {
    line(n).trim_end().to_owned()
}

fn list(numbers: std::ops::Range<i64>) -> String {
    let elements: Vec<_> = numbers.map(one).collect();
    format!("[{}]", elements.join(","))
}

#[test]
fn a_line_end_that_is_missing_costs_nothing() {
    for between in [
        "", " ", ",", ", ", "\r", "\r\r", "\n\u{1e}", "\u{1e}", ",\n",
    ] {
        let text = [one(0), one(1), one(2), one(3), one(4)].join(between);
        damaged("a.ndjson", text.as_bytes()).has(&[0, 1, 2, 3, 4], &[]);
    }
    // What follows that is none has its own place.
    let text = format!("{}{} rubbish\n{}", one(0), one(1), line(2));
    let place = (one(0) + &one(1)).len() as u64 + 1;
    damaged("a.ndjson", text.as_bytes()).has(&[0, 1, 2], &[(1, place, "not_json")]);
    let text = format!("{} 12 {}\n{}", one(0), one(1), line(2));
    let place = one(0).len() as u64 + 1;
    damaged("a.ndjson", text.as_bytes()).has(&[0, 2], &[(1, place, "not_an_object")]);
    // Nothing is looked for inside of what is broken: who can write a text must not be able to write an event.
    let text = format!("{{\"s\": \"torn {}\n{}", one(0), line(1));
    damaged("a.ndjson", text.as_bytes()).has(&[1], &[(1, 0, "not_json")]);
}

#[test]
fn zeros_of_a_crash_cost_themselves() {
    let zeros = "\0".repeat(4096);
    let text = format!("{}{zeros}{}{}", line(0), line(1), line(2));
    let place = line(0).len() as u64;
    damaged("a.ndjson", text.as_bytes()).has(&[0, 1, 2], &[(2, place, "not_json")]);
    let text = format!("{}{zeros}", one(0));
    damaged("a.ndjson", text.as_bytes()).has(&[0], &[(1, place - 1, "not_json")]);
}

#[test]
fn arrays_and_envelopes_on_lines_are_taken_apart() {
    let text = format!("{}\n{}\n", list(0..2), list(2..4));
    damaged("a.json", text.as_bytes()).has(&[0, 1, 2, 3], &[]);
    let text = list(0..2) + &list(2..4);
    damaged("a.json", text.as_bytes()).has(&[0, 1, 2, 3], &[]);
    let envelope = |numbers, key: &str| format!("{{\"x\":[1],\"{key}\": {}}}", list(numbers));
    let text = format!(
        "{}\n{}\n{}\n",
        envelope(0..2, "records"),
        one(2),
        envelope(3..5, "Records")
    );
    damaged("a.json", text.as_bytes()).has(&[0, 1, 2, 3, 4], &[]);
    damaged("a.json.gz", &gzip(&text)).has(&[0, 1, 2, 3, 4], &[]);
    let text = format!("[{}]", envelope(0..2, "records"));
    damaged("a.json", text.as_bytes()).has(&[0, 1], &[]);
    // What is no event in it has its own place, in the bytes of the file.
    let text = format!("{{\"records\":[{},7,{{\"n\":1}}]}}\n{}", one(0), line(1));
    let place = 12 + one(0).len() as u64 + 1;
    let bad = [(1, place, "not_an_object"), (1, place + 2, "no_time")];
    damaged("a.json", text.as_bytes()).has(&[0, 1], &bad);
    let wide: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let bad = bad.map(|(line, place, reason)| (line, 2 + 2 * place, reason));
    damaged("a.json", &wide).has(&[0, 1], &bad);
    // One that has a time is an event, whatever it holds.
    let text = one(0).replace("\"s\":\"x\"", &format!("\"records\":{}", list(1..3)));
    damaged("a.json", text.as_bytes()).has(&[0], &[]);
}

#[test]
fn a_record_is_the_same_however_it_is_wrapped() {
    let table = OneTable::new(crate::lake::INLINE);
    table.write("1.json", line(0) + &line(1));
    table.write("2.json", one(0) + &one(1));
    table.write("3.json", format!("{{\"records\":{}}}", list(0..2)));
    table.write("4.json", list(0..2));
    let (numbers, _) = table.numbers("SELECT count(*) AS a, sum(n) AS b FROM t");
    assert_eq!(numbers, [2, 1]);
    let sql = "SELECT count(*) AS a FROM t WHERE raw() LIKE '{%}'";
    assert_eq!(table.numbers(sql).0, [2]);
}

#[test]
fn an_envelope_of_many_events_is_handed_on_in_blocks() {
    let text = format!("{{\"records\":{}}}", list(0..20_000));
    let mut file = damaged("a.json", text.as_bytes());
    // They have one line, and so no order among them.
    file.numbers.sort_unstable();
    assert!(file.numbers.iter().copied().eq(0..20_000));
    assert_eq!((file.report.rows, file.report.rejected), (20_000, 0));
}

#[test]
fn a_name_need_not_tell_the_compression() {
    let text = line(0) + &line(1);
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, bytes) in [
        ("a.ndjson", gzip(&text)),
        ("a.json", zstd.clone()),
        ("a.ndjson.gz", zstd),
        ("a.ndjson.gz", text.clone().into_bytes()),
        ("a.ndjson.zst", gzip(&text)),
        ("a.json.zst", list(0..2).into_bytes()),
    ] {
        damaged(name, &bytes).has(&[0, 1], &[]);
    }
}

#[test]
fn zeros_behind_a_gzip_are_padding() {
    let text = line(0) + &line(1);
    let padded = |zeros: usize| [gzip(&text), vec![0; zeros]].concat();
    for zeros in [1, 7, 511, 300_000] {
        damaged("a.ndjson.gz", &padded(zeros)).has(&[0, 1], &[]);
    }
    let members = [padded(5), gzip(&line(2)), vec![0; 9]].concat();
    damaged("a.ndjson.gz", &members).has(&[0, 1, 2], &[]);
    let file = damaged("a.ndjson.gz", &[padded(5), b"x".to_vec()].concat());
    assert_eq!(file.numbers, [0, 1]);
    file.is_lost("");
}
