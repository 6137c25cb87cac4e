//! The part of a source that is one workspace.

use crate::limits::layout::ReadScope;
use crate::spec::Subdirectory;

/// The part of a source that is one workspace, and the files of it that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct WorkspacePart {
    /// The workspace's directory; `None` for the root of the source.
    pub(crate) subdirectory: Option<Subdirectory>,
    pub(crate) scope: ReadScope,
}
