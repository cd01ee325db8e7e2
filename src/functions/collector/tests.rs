//! The collector against the plain way of sorting and cutting, whatever way the rows take.

use super::*;
use datafusion::arrow::array::Int64Array;
use proptest::prelude::*;

fn collector(limit: usize, distinct: bool) -> Collector {
    Collector::new(Shape {
        item: DataType::Int64,
        limit,
        distinct,
        flagged: true,
        column: |values| Ok(ArrayRef::clone(&values[0])),
    })
    .unwrap()
}

fn column(values: &[Option<i64>]) -> Vec<ArrayRef> {
    vec![Arc::new(Int64Array::from(values.to_vec()))]
}

/// A group's values and whether there were more, worked out the plain way.
fn plain(mut values: Vec<i64>, limit: usize, distinct: bool) -> (Vec<i64>, bool) {
    values.sort_unstable();
    if distinct {
        values.dedup();
    }
    let truncated = values.len() > limit;
    values.truncate(limit);
    (values, truncated)
}

fn answers(results: &ArrayRef) -> Vec<(Vec<i64>, bool)> {
    use datafusion::arrow::datatypes::Int64Type;
    let results = results.as_struct();
    let lists = results.column(0).as_list::<i32>();
    let truncated = results.column(1).as_boolean();
    (0..results.len())
        .map(|row| {
            let values = lists.value(row);
            let values = values.as_primitive::<Int64Type>().values().to_vec();
            (values, truncated.value(row))
        })
        .collect()
}

proptest! {
    /// However the rows are spread over batches and partitions, and whichever way a partition hands its rows on, the
    /// answer is the plain one.
    #[test]
    fn the_way_does_not_matter(
        rows in prop::collection::vec((0_usize..3, prop::option::of(0_i64..8)), 0..60),
        limit in 1_usize..6,
        distinct: bool,
        batch in 1_usize..20,
    ) {
        let mut whole = collector(limit, distinct);
        let mut merged = collector(limit, distinct);
        merged.reserve(3);
        for (number, rows) in rows.chunks(batch).enumerate() {
            let groups: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
            let values: Vec<Option<i64>> = rows.iter().map(|(_, value)| *value).collect();
            let values = column(&values);
            whole.update_batch(&values, &groups, None, 3).unwrap();
            if number % 2 == 0 {
                let states = merged.convert_to_state(&values, None).unwrap();
                merged.merge_batch(&states, &groups, 3).unwrap();
            } else {
                let mut part = collector(limit, distinct);
                part.update_batch(&values, &groups, None, 3).unwrap();
                let first = part.state(EmitTo::First(1)).unwrap();
                merged.merge_batch(&first, &[0], 3).unwrap();
                let rest = part.state(EmitTo::All).unwrap();
                merged.merge_batch(&rest, &[1, 2], 3).unwrap();
                prop_assert_eq!(part.bytes, 0);
            }
        }
        whole.reserve(3);
        let expected: Vec<_> = (0..3)
            .map(|group| {
                let values = rows.iter().filter(|row| row.0 == group).filter_map(|row| row.1);
                plain(values.collect(), limit, distinct)
            })
            .collect();
        prop_assert_eq!(answers(&whole.evaluate(EmitTo::All).unwrap()), expected.clone());
        prop_assert_eq!(answers(&merged.evaluate(EmitTo::All).unwrap()), expected);
        prop_assert_eq!((whole.bytes, merged.bytes), (0, 0));
    }
}

#[test]
fn memory_is_bounded_by_the_limit() {
    let mut collector = collector(10, true);
    let mut largest = 0;
    for start in (0..10_000).rev().step_by(100) {
        let values: Vec<Option<i64>> = (start..start + 100).map(Some).collect();
        collector
            .update_batch(&column(&values), &[0; 100], None, 1)
            .unwrap();
        largest = largest.max(collector.bytes);
    }
    assert!(largest <= 10 * (9 + ENTRY), "{largest}");
}

#[test]
fn filtered_rows_are_not_seen() {
    let values = column(&[Some(1), Some(2), None]);
    let wanted = BooleanArray::from(vec![Some(false), Some(true), None]);
    let mut direct = collector(5, false);
    direct
        .update_batch(&values, &[0, 0, 0], Some(&wanted), 1)
        .unwrap();
    let mut handed_on = collector(5, false);
    let states = handed_on.convert_to_state(&values, Some(&wanted)).unwrap();
    handed_on.merge_batch(&states, &[0, 0, 0], 1).unwrap();
    for mut collector in [direct, handed_on] {
        let result = collector.evaluate(EmitTo::All).unwrap();
        assert_eq!(answers(&result), [(vec![2], false)]);
    }
}
