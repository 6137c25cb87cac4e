//! A predicate reads an attribute that the context schema does not declare.

use crate::diagnostic::Entity;
use crate::lint::workspace_index::context_field;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Qualifier;

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = workspace.context_schema() else { return };
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(attribute) = predicate.context_path() else { continue };
        if context_field(&schema.json, attribute).is_none() {
            let message = format!("the context schema does not declare `{attribute}`");
            let span = predicate.attribute.span();
            findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key("attribute"));
        }
    }
}
