//! A predicate is no table, or lacks what every predicate has.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Field, Predicates, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    if let Predicates::Invalid(span) = qualifier.predicates {
        let message = "predicates must be written as [[predicate]] tables";
        findings.add(Finding::new(Entity::qualifier(id), path, Some(span), message).key("predicate"));
    }
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let fields = [("attribute", &predicate.attribute), ("op", &predicate.op)];
        let Some((key, field)) = fields.into_iter().find(|(_, field)| field.value().is_none()) else { continue };
        let message = match field {
            _ if !predicate.is_table => "a predicate must be a table".to_owned(),
            Field::Missing(_) => format!("the predicate has no `{key}`"),
            _ => format!("`{key}` of the predicate must be a string"),
        };
        findings.add(Finding::new(Entity::predicate(id, index), path, field.span(), message).key(key));
    }
}
