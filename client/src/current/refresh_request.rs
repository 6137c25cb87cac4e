//! The request of an application to refresh now, and its outcome.

use tokio::sync::oneshot;

use crate::error::Result;

/// The outcome of [`RefreshingWorkspace::refresh_now`](crate::RefreshingWorkspace::refresh_now).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The process already runs what its source has.
    Unchanged,
    /// Another version was swapped in.
    Refreshed,
    /// The source names one commit, which never changes.
    Immutable,
}

/// A request of the application to refresh now.
pub(crate) struct RefreshRequest {
    /// Takes the outcome. The application may have stopped waiting for it.
    pub(crate) done: oneshot::Sender<Result<RefreshOutcome>>,
}
