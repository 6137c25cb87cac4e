//! Counters of a process that follows a workspace, for whichever metrics library the application uses.

use serde::Serialize;

/// Counts since the start, from [`RefreshStatus::counters`](crate::RefreshStatus::counters).
/// [`RefreshStatus::metrics`](crate::RefreshStatus::metrics) has the same under names that Prometheus knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// The number of requests for content, to the operator, a repository, or a directory.
    pub polls: u64,
    /// The number of requests that brought no content.
    pub poll_failures: u64,
    /// The number of versions that lint, the compiler, or the application's own checks refused.
    pub refusals: u64,
    /// The number of versions that were swapped in.
    pub swaps: u64,
    /// The number of reports to the operator.
    pub reports: u64,
    /// The number of reports that the operator did not take.
    pub report_failures: u64,
}
