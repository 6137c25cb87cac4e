//! One operation in flight.

use std::future::{Future, pending};
use std::pin::Pin;

/// At most one operation in flight. Replacing it cancels the operation that was in flight.
pub(crate) struct InFlight<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> InFlight<T> {
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn run(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the result of the operation, or waits forever while none is in flight. Cancellation safe: dropping this
    /// future leaves the operation in flight.
    pub(crate) async fn next(&mut self) -> T {
        let Some(work) = &mut self.0 else { return pending().await };
        let result = work.await;
        self.0 = None;
        result
    }
}
