//! What is wrong with what a workspace extends.

use crate::spec::InvalidSource;

/// Why what a workspace extends can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerFault {
    /// An entry of `extends` that can't be one.
    #[error("entry {number} of `extends` is no source: {reason}")]
    NoSource {
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: InvalidSource,
    },
    /// A parent outside of what was fetched.
    #[error("it extends `{0}`, which leaves the source: name a directory of the same source, or an address")]
    Leaves(String),
    /// A `kubernetes://` parent.
    #[error("it extends {0}, which has no files: name the source that is published there")]
    Followed(String),
    /// A workspace below itself.
    #[error("it extends itself: {0}")]
    Cycle(String),
    /// More than anybody can follow.
    #[error("it consists of more than {limit} layers")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl LayerFault {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoSource { .. } => "extends_no_source",
            Self::Leaves(_) => "extends_leaves_source",
            Self::Followed(_) => "not_readable",
            Self::Cycle(_) => "extends_itself",
            Self::TooMany { .. } => "too_many_layers",
        }
    }
}
