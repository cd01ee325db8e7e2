//! Ranges of an object for the Parquet reader.
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

use crate::store::{Location, Object};

/// The end of a file that is fetched first, in the hope that it holds the whole footer.
const FOOTER_HINT: usize = 64 * 1024;

/// One object of a location.
#[derive(Debug, Clone)]
pub struct ObjectReader {
    location: Location,
    object: Object,
}

impl ObjectReader {
    /// A reader of an object as a listing saw it.
    pub fn new(location: &Location, object: &Object) -> Self {
        Self {
            location: location.clone(),
            object: object.clone(),
        }
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
            let fetched = self.location.ranges(&self.object, &ranges).await;
            fetched.map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.object.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_HINT));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
