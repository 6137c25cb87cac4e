//! A predicate reads an attribute that the context schema does not declare.

use crate::diagnostic::Entity;
use crate::lint::workspace_index::declared_at;
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
        if let Err(not_followed) = declared_at(&schema.json, attribute) {
            let hint = not_followed.map_or_else(String::new, |keyword| format!(" (`{keyword}` is not followed here)"));
            let message = format!("the context schema does not declare `{attribute}`{hint}");
            let span = predicate.attribute.span();
            findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key("attribute"));
        }
    }
}
