//! The reasons why a marker is not what it should be.

use std::fmt;

use rototo_api::names::MARKERS;
use rototo_engine::Fingerprint;

/// The reason why the marker could not be written, or can't be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublishProblem {
    /// The map belongs to another install, or to none.
    Foreign {
        /// The install that its annotation names, if any.
        owner: Option<String>,
        /// The command that lets this install take it over.
        claim: String,
    },
    /// The API server refuses the write, in its own words.
    Refused(String),
    /// The API server could not be asked, or did not answer.
    Unavailable(String),
    /// The disk no longer has the content that the marker was to name. It is read from the source again.
    NotKept {
        /// The fingerprint of the content.
        fingerprint: Fingerprint,
    },
    /// The marker stands, and its content is not on the operator's disk.
    Lost,
}

impl fmt::Display for PublishProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { owner: Some(owner), .. } => {
                write!(f, "the ConfigMap {MARKERS} belongs to the install {owner}")
            }
            Self::Foreign { owner: None, .. } => {
                write!(f, "the ConfigMap {MARKERS} belongs to no install of the operator")
            }
            Self::Refused(message) | Self::Unavailable(message) => f.write_str(message),
            Self::NotKept { fingerprint } => write!(f, "the snapshot {fingerprint} is not on the operator's disk"),
            Self::Lost => f.write_str("the published content is not on the operator's disk"),
        }
    }
}
