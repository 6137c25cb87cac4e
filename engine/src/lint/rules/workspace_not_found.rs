//! Nothing of a workspace is there at all.

use super::super::{Check, Finding, Findings, WorkspaceIndex};
use crate::diagnostic::Entity;

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if facts.parsed.tree().iter().next().is_none() {
        findings.add(Finding::new(Entity::Workspace, "", None, "there is no document of a workspace here"));
    }
}
