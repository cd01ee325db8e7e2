//! A panic of the query engine costs the hunt that brought it about, not the run.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// What a future gives, or what it said when it panicked.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    // What it worked on is dropped with it: nothing half done is seen again.
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("without a word").to_owned()
    })
}
