//! A qualifier has no predicate.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Predicates, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let none = match &qualifier.predicates {
        Predicates::Missing => true,
        Predicates::List(predicates) => predicates.is_empty(),
        Predicates::Invalid(_) => false,
    };
    if none {
        let message = format!("qualifier `{id}` has no predicate");
        findings.add(Finding::new(Entity::qualifier(id), path, None, message));
    }
}
