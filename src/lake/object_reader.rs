//! Ranges of an object for the Parquet reader, and what of them is already here.
//!
//! Knows one object's path and size, nothing of tables.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::store::{GAP, Location, Object};

/// The end of a file that is fetched first, in the hope that it holds the whole footer: a hundred columns and a hundred
/// row groups fit.
const FOOTER: u64 = 64 * 1024;

/// A part of an object: where it begins, and its bytes.
pub type Part = (u64, Bytes);

/// One object of a location.
#[derive(Debug, Clone)]
pub struct ObjectReader {
    location: Location,
    object: Object,
    /// What was fetched before it was asked for.
    parts: Vec<Part>,
}

impl ObjectReader {
    /// A reader of an object as a listing saw it.
    pub fn new(location: &Location, object: &Object) -> Self {
        Self {
            location: location.clone(),
            object: object.clone(),
            parts: Vec::new(),
        }
    }

    /// The same with more of the object at hand.
    #[must_use]
    pub fn with(&self, parts: Vec<Part>) -> Self {
        let mut reader = self.clone();
        reader.parts.extend(parts);
        reader
    }

    /// The same with nothing at hand.
    #[must_use]
    pub fn without(&self) -> Self {
        Self::new(&self.location, &self.object)
    }

    /// Whether it is in a bucket, so that another try may give other bytes.
    pub fn is_remote(&self) -> bool {
        self.location.folder().is_none()
    }

    /// Fetches the end of the object, or all of a small one, so that the footer, and often more, is here.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn fetch_end(&mut self) -> object_store::Result<()> {
        let size = self.object.size;
        let length = if size <= GAP { size } else { FOOTER };
        if length > 0 {
            let end = size - length..size;
            self.parts = self.fetch(vec![end]).await?;
        }
        Ok(())
    }

    /// Which of some ranges are not here yet.
    pub fn missing(&self, ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
        let ranges = ranges.into_iter();
        ranges.filter(|range| self.held(range).is_none()).collect()
    }

    /// Fetches ranges, near ones as one.
    ///
    /// # Errors
    /// When one cannot be fetched in full.
    pub async fn fetch(&self, ranges: Vec<Range<u64>>) -> object_store::Result<Vec<Part>> {
        let bytes = self.location.ranges(&self.object, &ranges).await?;
        let starts = ranges.iter().map(|range| range.start);
        Ok(starts.zip(bytes).collect())
    }

    /// A range, where it is here.
    fn held(&self, range: &Range<u64>) -> Option<Bytes> {
        self.parts.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
            let to = from.checked_add(length)?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let mut bytes = self.get_byte_ranges(vec![range]).await?;
            bytes
                .pop()
                .ok_or_else(|| ParquetError::EOF("no bytes came".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let held = ranges.iter().map(|range| self.held(range));
            let held: Vec<_> = held.collect();
            let missing = self.missing(ranges);
            let fetched = if missing.is_empty() {
                Vec::new()
            } else {
                let fetched = self.location.ranges(&self.object, &missing).await;
                fetched.map_err(external)?
            };
            let mut fetched = fetched.into_iter();
            let bytes = held.into_iter().map(|held| held.or_else(|| fetched.next()));
            let whole: Option<Vec<_>> = bytes.collect();
            whole.ok_or_else(|| ParquetError::General("a range did not come".to_owned()))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.object.size;
            let here = self.parts.last().map_or(0, |(_, bytes)| bytes.len());
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(here));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
