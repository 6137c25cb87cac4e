//! A predicate reads a qualifier that is not there.

use crate::diagnostic::Entity;
use crate::lint::similar::nearest;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Qualifier;

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(facts: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let known = &facts.parsed.qualifiers;
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(unknown) = predicate.qualifier_reference().filter(|id| !known.contains_key(id)) else { continue };
        let hint = nearest(unknown, known.keys().map(|id| &**id));
        let message = format!("there is no qualifier `{unknown}`{hint}");
        let span = predicate.attribute.span();
        findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key("attribute"));
    }
}
