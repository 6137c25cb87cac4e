//! `resolve` is no table.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Resolve, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Resolve::Invalid(span) = variable.resolve {
        let message = "`resolve` must be a table";
        findings.add(Finding::new(Entity::variable(id), path, Some(span), message).key("resolve"));
    }
}
