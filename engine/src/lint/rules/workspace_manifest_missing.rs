//! There are documents, but no manifest among them.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if facts.parsed.manifest.is_none() && facts.parsed.tree().iter().next().is_some() {
        findings.add(Finding::new(
            Entity::Workspace,
            "rototo-workspace.toml",
            None,
            "rototo-workspace.toml is missing",
        ));
    }
}
