//! A schema checks nothing.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, References};
use crate::parse::CONTEXT_SCHEMA;

pub(super) const CHECKS: &[Check] = &[Check::References(check)];

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    if references.parsed.has_too_many_patterns() {
        return;
    }
    for (path, _, schema) in references.schemas() {
        if &**path != CONTEXT_SCHEMA && !references.uses.names_schema(path) && schema.validator().is_ok() {
            let message = format!("nothing uses {path}");
            findings.add(Finding::new(Entity::schema(path), path, None, message));
        }
    }
}
