//! A predicate reads an attribute that the context schema does not declare.

use crate::diagnostic::Entity;
use crate::lint::attributes::{declared, meant};
use crate::lint::similar::question;
use crate::lint::workspace_index::declared_at;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Qualifier, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = workspace.context_schema() else { return };
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(attribute) = predicate.context_path() else { continue };
        let Err(not_followed) = declared_at(&schema.json, attribute) else { continue };
        if !findings.has_room() {
            return;
        }
        let meant = if not_followed.is_none() { meant(attribute, declared(&schema.json)) } else { None };
        let hint = match not_followed {
            Some(keyword) => format!(" (`{keyword}` is not followed here)"),
            None => question(meant.as_deref()),
        };
        let message = format!("the context schema does not declare `{attribute}`{hint}");
        let span = predicate.attribute.span();
        let finding = Finding::new(Entity::predicate(id, index), path, span, message).key("attribute");
        findings.add(finding.fix(span, meant.as_deref().map(quoted)));
    }
}
