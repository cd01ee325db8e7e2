//! The damage matrix of Parquet: files that differ in types, columns and case, torn files, corrupt pages. Each costs itself.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataWriter};
use datafusion::parquet::file::properties::WriterProperties;

use crate::lake::OneTable;

pub(crate) const PARQUET: &str =
    "format: parquet, schema: {at: text, n: int, s: text}, time: [{column: at, format: iso8601}]";

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

const TIMES: [&str; 4] = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:01Z",
    "2026-01-01T00:00:02Z",
    "2026-01-01T00:00:03Z",
];

/// A Parquet file with row groups of two rows.
fn parquet_file(batch: &RecordBatch) -> (Vec<u8>, ParquetMetaData) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .set_dictionary_enabled(false)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    let metadata = writer.close().unwrap();
    (bytes, metadata)
}

fn numbered(numbers: ArrayRef) -> RecordBatch {
    batch(vec![("at", texts(&TIMES)), ("n", numbers)])
}

pub(crate) fn good_parquet() -> (Vec<u8>, ParquetMetaData) {
    parquet_file(&numbered(Arc::new(Int64Array::from(vec![1, 2, 3, 4]))))
}

#[test]
fn parquet_files_may_differ_in_types_columns_and_case() {
    let table = OneTable::new(PARQUET);
    let files = [
        numbered(Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        numbered(Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        numbered(texts(&["1", "0x2", "3", "four"])),
        batch(vec![("at", texts(&TIMES))]),
        batch(vec![
            ("AT", texts(&TIMES)),
            (
                "N",
                Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef,
            ),
            ("extra", texts(&TIMES)),
        ]),
        batch(vec![
            (
                "at",
                Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3, 4])) as ArrayRef,
            ),
            (
                "n",
                Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef,
            ),
        ]),
    ];
    for (index, file) in files.iter().enumerate() {
        table.write(&format!("{index}.parquet"), parquet_file(file).0);
    }
    let (text, report) = table
        .query(
            None,
            "SELECT _file, count(*), count(n), sum(n) FROM t GROUP BY _file ORDER BY _file",
        )
        .unwrap();
    insta::assert_snapshot!(text, @r"
    +-----------+----------+------------+----------+
    | _file     | count(*) | count(t.n) | sum(t.n) |
    +-----------+----------+------------+----------+
    | 0.parquet | 4        | 4          | 10       |
    | 1.parquet | 4        | 4          | 10       |
    | 2.parquet | 4        | 3          | 6        |
    | 3.parquet | 4        | 0          |          |
    | 4.parquet | 4        | 4          | 10       |
    | 5.parquet | 4        | 4          | 10       |
    +-----------+----------+------------+----------+
    ");
    assert!(report.files.iter().all(|file| file.lost.is_none()));
    assert_eq!(report.files[2].conflicts["n"], 1);
}

#[test]
fn a_torn_parquet_file_costs_itself() {
    let (whole, _) = good_parquet();
    let mut footer = whole.clone();
    let length = footer.len();
    footer[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut thrift = whole.clone();
    thrift[length - 60..length - 8].fill(0xff);
    let zeros = vec![0; whole.len()];
    for (name, bytes) in [
        ("half", &whole[..whole.len() / 2]),
        ("one byte short", &whole[..whole.len() - 1]),
        ("empty", &[]),
        ("magic only", b"PAR1"),
        ("bad length", &footer),
        ("bad footer", &thrift),
        ("zeros", &zeros),
    ] {
        let table = OneTable::new(PARQUET);
        table.write("a.parquet", bytes);
        table.write("b.parquet", &whole);
        let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY n");
        assert_eq!(numbers, [1, 2, 3, 4], "{name}");
        let lost = report.files[0].lost.as_deref().unwrap_or_default();
        assert!(lost.contains("footer"), "{name}: {lost}");
        assert_eq!(report.files[1].lost, None, "{name}");
    }
}

#[test]
fn a_corrupt_page_costs_its_row_group() {
    let (whole, metadata) = good_parquet();
    let group = metadata.row_group(0);
    let (start, length) = group.column(1).byte_range();
    let range = usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap();
    for fill in [0x00, 0x15, 0xff] {
        let mut bytes = whole.clone();
        bytes[range.clone()].fill(fill);
        let table = OneTable::new(PARQUET);
        table.write("a.parquet", &bytes);
        let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY n");
        assert_eq!(numbers, [3, 4], "{fill:x}");
        let lost = report.files[0].lost.as_deref().unwrap_or_default();
        let end = start + length;
        for word in ["row group 0 (rows 1 to 2, bytes 4 to ", &format!("{end})")] {
            assert!(lost.contains(word), "{word} in {lost}");
        }
    }
    // One flipped byte, anywhere: never a crash, and the other file is read.
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x41;
        let table = OneTable::new(PARQUET);
        table.write("a.parquet", &bytes);
        table.write("b.parquet", &whole);
        let sql = "SELECT count(*) FILTER (WHERE _file = 'b.parquet') AS n FROM t";
        assert_eq!(table.numbers(sql).0, [4], "byte {place}");
    }
}

/// A file of two row groups of 32 rows, plain and not compressed, whose pages have checksums.
pub(crate) const WITH_CHECKSUMS: &[u8] = include_bytes!("damage_parquet/page_checksums.parquet");

/// Where in it a value of `n` in the second row group lies.
pub(crate) const IN_SECOND_GROUP: usize = 2000;

#[test]
fn a_page_that_is_not_what_its_checksum_says_costs_its_row_group() {
    let sql = "SELECT n FROM t ORDER BY n";
    let table = OneTable::new(PARQUET);
    table.write("a.parquet", WITH_CHECKSUMS);
    assert_eq!(table.numbers(sql).0, (1..65).collect::<Vec<_>>());
    let mut bytes = WITH_CHECKSUMS.to_vec();
    bytes[IN_SECOND_GROUP] ^= 4;
    table.write("a.parquet", bytes);
    let (numbers, report) = table.numbers(sql);
    assert_eq!(numbers, (1..33).collect::<Vec<_>>());
    let lost = report.files[0].lost.as_deref().unwrap_or_default();
    for word in ["row group 1 (rows 33 to 64, ", "CRC"] {
        assert!(lost.contains(word), "{word} in {lost}");
    }
}

#[test]
fn a_footer_that_counts_other_rows_than_there_are_is_told() {
    let (whole, metadata) = good_parquet();
    let said = |rows: i64| {
        let groups = metadata.row_groups().iter().enumerate();
        let groups = groups.map(|(index, group)| {
            let rows = if index == 0 { rows } else { 2 };
            let group = group.clone().into_builder().set_num_rows(rows);
            group.build().unwrap()
        });
        let told = metadata.clone().into_builder();
        let told = told.set_row_groups(groups.collect()).build();
        let end = metadata.row_group(1).column(1).byte_range();
        let mut bytes = whole[..usize::try_from(end.0 + end.1).unwrap()].to_vec();
        ParquetMetaDataWriter::new(&mut bytes, &told)
            .finish()
            .unwrap();
        bytes
    };
    for (rows, expected) in [(2, vec![1, 2, 3, 4]), (3, vec![3, 4]), (1, vec![1, 3, 4])] {
        let table = OneTable::new(PARQUET);
        table.write("a.parquet", said(rows));
        let (numbers, report) = table.numbers("SELECT n FROM t ORDER BY n");
        let lost = report.files[0].lost.as_deref().unwrap_or_default();
        assert_eq!(lost.contains("row group 0"), rows != 2, "{rows}: {lost}");
        assert_eq!(numbers, expected, "{rows}: {lost}");
    }
}
