//! The reasons why a marker is not what it should be.

/// The reason why the marker could not be written, or can't be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublishProblem {
    /// The map belongs to another install, or to none.
    Foreign {
        /// The install that its annotation names, if any.
        owner: Option<String>,
    },
    /// The API server refuses the write, in its own words.
    Refused(String),
    /// The API server could not be asked, or did not answer.
    Unavailable(String),
    /// The marker stands, and its content is not on the operator's disk.
    Lost,
}
