//! Qualifiers read the context, and nothing says what is in it.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, References};
use crate::parse::CONTEXT_SCHEMA;

pub(super) const CHECKS: &[Check] = &[Check::References(check)];

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    if references.parsed.schemas.contains_key(CONTEXT_SCHEMA) || references.has_early_errors {
        return;
    }
    let Some(manifest) = &references.parsed.manifest else { return };
    let referenced = references.referenced();
    for (number, (_, document)) in references.parsed.qualifiers.iter().enumerate() {
        let Some(qualifier) = document.content().filter(|_| referenced.contains(&number)) else { continue };
        let reader = qualifier.predicates().iter().find_map(|predicate| Some((predicate, predicate.context_path()?)));
        if let Some((predicate, attribute)) = reader {
            let message = format!("qualifiers read `{attribute}` and more, but there is no {CONTEXT_SCHEMA}");
            let finding = Finding::new(Entity::Manifest, &manifest.path, None, message);
            findings.add(finding.related(&document.path, predicate.attribute.span(), "read here"));
            return;
        }
    }
}
