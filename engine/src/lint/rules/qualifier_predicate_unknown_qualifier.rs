//! A predicate reads a qualifier that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::{nearest, question};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{QUALIFIER_PREFIX, Qualifier, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let known = &workspace.parsed.qualifiers;
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(unknown) = predicate.qualifier_reference().filter(|id| !known.contains_key(id)) else { continue };
        let meant = nearest(unknown, known.keys().map(|id| &**id));
        let hint = question(meant);
        let message = format!("there is no qualifier `{unknown}`{hint}");
        let span = predicate.attribute.span();
        let meant = meant.map(|meant| quoted(&format!("{QUALIFIER_PREFIX}{meant}")));
        let finding = Finding::new(Entity::predicate(id, index), path, span, message).key("attribute");
        findings.add(finding.fix(span, meant));
    }
}
