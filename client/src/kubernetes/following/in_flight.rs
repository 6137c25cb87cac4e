//! Room for one thing under way.

use std::future::{Future, pending};
use std::pin::Pin;

/// Room for one thing under way. Putting another in its place cancels it.
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

    /// What comes of it; waits forever while nothing is under way. Loses nothing when it is dropped meanwhile.
    pub(crate) async fn next(&mut self) -> T {
        let Some(work) = &mut self.0 else { return pending().await };
        let result = work.await;
        self.0 = None;
        result
    }
}
