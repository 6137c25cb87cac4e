//! Nothing of a workspace is there at all.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if facts.parsed.tree().iter().next().is_none() {
        findings.add(Finding::new(Entity::Workspace, "", None, "there is no document of a workspace here"));
    }
}
