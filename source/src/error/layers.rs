//! Faults of the layers that a workspace extends.

use crate::spec::InvalidSource;

/// An entry of `extends` that can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerFault {
    /// The entry is not a source.
    #[error("entry {number} of `extends` is no source: {reason}")]
    NoSource {
        /// The number of the entry, from 1.
        number: usize,
        /// The fault of the entry.
        reason: InvalidSource,
    },
    /// The parent is outside of the source.
    #[error("it extends `{0}`, which leaves the source: name a directory of the same source, or an address")]
    Leaves(String),
    /// The parent is a `kubernetes://` source.
    #[error("it extends {0}, which has no files: name the source that is published there")]
    Followed(String),
    /// The parent could not be read without the credentials of the workspace, which are for another owner.
    #[error(
        "it extends {at}, which is of another owner and is read without the credentials of this workspace, and {reason}: \
         extend a repository of the same owner, or name this one in the key `repositories` of the Secret"
    )]
    OtherOwner {
        /// The source of the parent.
        at: String,
        /// The fault of the parent.
        reason: String,
    },
    /// The parent has no document of a workspace.
    #[error("there is no document of a workspace in it: name the directory with its `rototo-workspace.toml`")]
    NoWorkspace,
    /// The manifest of a layer can't be read, so nobody knows what that layer extends.
    #[error("its layer {at} has a `rototo-workspace.toml` that can't be read, and may extend more: {reason}")]
    UnreadableManifest {
        /// The source of the layer.
        at: String,
        /// The fault of the manifest.
        reason: String,
    },
    /// The workspace extends itself, directly or not.
    #[error("it extends itself: {0}")]
    Cycle(String),
    /// The workspace has too many layers.
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
            Self::OtherOwner { .. } => "extends_other_owner",
            Self::NoWorkspace => "extends_no_workspace",
            Self::UnreadableManifest { .. } => "layer_manifest_unreadable",
            Self::Cycle(_) => "extends_itself",
            Self::TooMany { .. } => "too_many_layers",
        }
    }
}
