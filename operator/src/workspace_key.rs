//! The namespace and name of a workspace, by which every room finds what it has of it.

use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;

/// The namespace and name of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WorkspaceKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl WorkspaceKey {
    /// Returns the key of an object.
    pub(crate) fn of(workspace: &RototoWorkspace) -> Self {
        Self { namespace: workspace.namespace().unwrap_or_default(), name: workspace.name_any() }
    }
}
