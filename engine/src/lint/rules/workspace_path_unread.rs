//! A file or a directory stands where nothing reads it.

use crate::diagnostic::Entity;
use crate::document::unread::{MOST, UnreadReason};
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let tree = workspace.parsed.tree();
    for (path, reason) in tree.unread().iter() {
        let message = match reason {
            UnreadReason::Resembles(meant) => format!("nothing reads `{path}`; is `{meant}` meant?"),
            UnreadReason::Nested(directory) => {
                format!("nothing reads the directory `{path}`: documents stand in `{directory}` itself")
            }
            UnreadReason::Extension(directory, extension) => {
                format!("nothing reads `{path}`: documents in `{directory}` end in `{extension}`")
            }
            UnreadReason::Misnamed(_) | UnreadReason::TooLong => continue,
        };
        findings.add(Finding::new(Entity::Workspace, path, None, message));
    }
    if tree.unread().has_more {
        let message = format!("nothing reads further paths: this lists {MOST}");
        findings.add(Finding::new(Entity::Workspace, "", None, message));
    }
    for folder in tree.objects_without_resource() {
        let resource = folder.strip_suffix("-objects").unwrap_or(folder);
        let message = format!("nothing reads the objects in `{folder}`: there is no `{resource}.toml`");
        findings.add(Finding::new(Entity::Workspace, folder, None, message));
    }
}
