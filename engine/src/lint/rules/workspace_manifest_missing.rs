//! The workspace has documents, but no manifest.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if workspace.parsed.manifest.is_none() && workspace.parsed.tree().iter().next().is_some() {
        findings.add(Finding::new(
            Entity::Workspace,
            "rototo-workspace.toml",
            None,
            "rototo-workspace.toml is missing",
        ));
    }
}
