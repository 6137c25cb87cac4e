//! Qualifiers refer to each other in a circle, or in a chain without a reasonable end.

use std::sync::Arc;

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::graph::MAX_QUALIFIER_CHAIN;
use crate::graph::{depths, is_cycle};
use crate::lint::{Check, Finding, Findings, References};
use crate::parse::{Parse, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::References(check)];

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    let qualifiers: Vec<_> = references.parsed.qualifiers.iter().collect();
    for cycle in references.components.iter().filter(|component| is_cycle(component, &references.edges)) {
        let members: Vec<(&Arc<str>, &Parse<Qualifier>)> =
            cycle.iter().filter_map(|number| qualifiers.get(*number).copied()).collect();
        let names = members.iter().map(|(id, _)| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        for (id, document) in &members {
            let is_member = |to: &str| members.iter().any(|(id, _)| &***id == to);
            let span = reference_to(document, is_member);
            let message = match members.len() {
                1 => format!("qualifier `{id}` refers to itself"),
                _ => format!("these qualifiers refer to each other in a circle: {names}"),
            };
            let others = members.iter().filter(|(other, _)| other != id);
            let finding = Finding::new(Entity::qualifier(id), &document.path, span, message);
            let finding = others.fold(finding, |finding, (other, document)| {
                let span = reference_to(document, is_member);
                finding.related(&document.path, span, format!("`{other}` is part of the circle"))
            });
            findings.add(finding);
        }
    }
    for ((id, document), depth) in qualifiers.iter().zip(depths(&references.edges, &references.components)) {
        if depth == MAX_QUALIFIER_CHAIN + 1 {
            let message = format!("qualifier `{id}` begins a chain of more than {MAX_QUALIFIER_CHAIN} qualifiers");
            findings.add(Finding::new(Entity::qualifier(id), &document.path, None, message));
        }
    }
}

/// Where a qualifier first refers to one that `is_member`.
fn reference_to(document: &Parse<Qualifier>, is_member: impl Fn(&str) -> bool) -> Option<Span> {
    let predicates = document.content().map(Qualifier::predicates).unwrap_or_default();
    let reference = predicates.iter().find(|predicate| predicate.qualifier_reference().is_some_and(&is_member));
    reference.and_then(|predicate| predicate.attribute.span())
}
