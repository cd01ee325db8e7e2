//! Sets of rows of one block.

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::buffer::BooleanBuffer;

/// Some rows of a block, a bit a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    rows: usize,
}

impl RowSet {
    /// None of so many rows.
    pub fn none(rows: usize) -> Self {
        Self {
            words: vec![0; rows.div_ceil(64)],
            rows,
        }
    }

    /// All of so many rows.
    pub fn all(rows: usize) -> Self {
        let mut words = vec![u64::MAX; rows.div_ceil(64)];
        if let (Some(last), rest) = (words.last_mut(), rows % 64)
            && rest > 0
        {
            *last = (1 << rest) - 1;
        }
        Self { words, rows }
    }

    /// The rows for which something holds.
    pub fn of(rows: usize, holds: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::none(rows);
        for row in 0..rows {
            if holds(row) {
                set.insert(row);
            }
        }
        set
    }

    /// Adds a row.
    pub fn insert(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Whether it holds a row.
    pub fn contains(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many rows the block has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        let counts = self.words.iter().map(|word| word.count_ones() as usize);
        counts.sum()
    }

    /// Whether it holds all rows of the block.
    pub fn is_all(&self) -> bool {
        self.len() == self.rows
    }

    /// Keeps what another holds too.
    pub fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds what another holds.
    pub fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Drops what another holds.
    pub fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Its rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.words.iter().enumerate();
        words.flat_map(|(index, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (word != 0).then(|| {
                    word &= word - 1;
                    index * 64 + bit
                })
            })
        })
    }

    /// As a mask for Arrow's filters.
    pub fn mask(&self) -> BooleanArray {
        BooleanArray::new(
            BooleanBuffer::collect_bool(self.rows, |row| self.contains(row)),
            None,
        )
    }
}
