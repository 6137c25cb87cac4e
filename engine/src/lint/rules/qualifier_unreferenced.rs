//! Nothing uses a qualifier.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, References};

pub(super) const CHECKS: &[Check] = &[Check::References(check)];

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    let referenced = references.referenced();
    for (number, (id, document)) in references.parsed.qualifiers.iter().enumerate() {
        let refers_to_itself = references.edges.get(number).is_some_and(|to| to.contains(&number));
        if document.content().is_some() && !referenced.contains(&number) && !refers_to_itself {
            let message = format!("nothing uses qualifier `{id}`");
            findings.add(Finding::new(Entity::qualifier(id), &document.path, None, message));
        }
    }
}
