//! What a process counts while it follows a workspace, for whichever metrics library the application uses.

use serde::Serialize;

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Content was asked for: of the operator, a repository, or a directory.
    pub polls: u64,
    /// It could not be had.
    pub poll_failures: u64,
    /// It was had, and can't be used: lint, the compiler, or the application's own types refuse it.
    pub refusals: u64,
    /// Another version was swapped in.
    pub swaps: u64,
    /// The operator was told what runs.
    pub reports: u64,
    /// It did not take it.
    pub report_failures: u64,
}
