//! The directory holds no part of a workspace.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if workspace.parsed.tree().iter().next().is_none() {
        findings.add(Finding::new(Entity::Workspace, "", None, "there is no document of a workspace here"));
    }
}
