//! A key has no effect, but its name promises one.

use crate::diagnostic::Entity;
use crate::lint::similar::resembling;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{KeyPlace, OWNERSHIP_KEYS, Op, Predicate, Qualifier, Resource, UnreadKey, Variable};

pub(super) const CHECKS: &[Check] = &[
    Check::Variable(check_variable),
    Check::Qualifier(check_qualifier),
    Check::Resource(check_resource),
    Check::Workspace(check_manifest),
];

/// Words that promise an effect, at any place: keys of the format at other places, and settings of similar products.
const PROMISES: &[&str] = &[
    "active",
    "all",
    "any",
    "condition",
    "conditions",
    "default",
    "disable",
    "disabled",
    "else",
    "enable",
    "enabled",
    "enum",
    "extend",
    "extends",
    "fallback",
    "if",
    "max",
    "maximum",
    "min",
    "minimum",
    "not",
    "op",
    "override",
    "overrides",
    "percentage",
    "predicate",
    "predicates",
    "priority",
    "qualifier",
    "qualifiers",
    "range",
    "required",
    "resolve",
    "rollout",
    "rule",
    "rules",
    "salt",
    "skip",
    "then",
    "unless",
    "values",
    "variables",
    "weight",
    "when",
];

/// Words that promise an effect on a decision, so in a predicate or a rule.
const DECISIONS: &[&str] = &[
    "attributes",
    "case_sensitive",
    "context",
    "ignore_case",
    "invert",
    "inverted",
    "key",
    "negate",
    "negated",
    "operand",
    "operator",
    "path",
];

fn check_variable(
    _: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    for key in &variable.unread {
        let entity = match key.place {
            KeyPlace::Rule(index) => Entity::rule(id, index),
            _ => Entity::variable(id),
        };
        report(findings, entity, path, key);
    }
}

fn check_qualifier(
    _: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    for key in &qualifier.unread {
        let entity = match key.place {
            KeyPlace::Predicate(index) => Entity::predicate(id, index),
            _ => Entity::qualifier(id),
        };
        report(findings, entity, path, key);
    }
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        for (key, span) in keys_of_a_bucket(predicate) {
            let message = format!("only a `bucket` reads `{key}`");
            findings.add(Finding::new(Entity::predicate(id, index), path, Some(span), message).key(key));
        }
    }
}

/// Returns the keys that only a bucket reads, in a predicate with another operator.
fn keys_of_a_bucket(predicate: &Predicate) -> impl Iterator<Item = (&'static str, crate::document::text::Span)> {
    let is_other = predicate.operator().is_some_and(|op| op != Op::Bucket);
    let salt = predicate.salt.present().map(|salt| ("salt", salt.span));
    let range = predicate.range.as_ref().map(|range| ("range", range.span));
    [salt, range].into_iter().flatten().filter(move |_| is_other)
}

fn check_resource(
    _: &WorkspaceIndex<'_>,
    (id, path, resource): DocumentEntry<'_, Resource>,
    findings: &mut Findings<'_>,
) {
    resource.unread.iter().for_each(|key| report(findings, Entity::resource(id), path, key));
}

fn check_manifest(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = &workspace.parsed.manifest else { return };
    let keys = document.content().into_iter().flat_map(|manifest| &manifest.unread);
    keys.for_each(|key| report(findings, Entity::Manifest, &document.path, key));
}

fn report(findings: &mut Findings<'_>, entity: Entity, path: &str, key: &UnreadKey) {
    let known = key.place.keys();
    let name = &*key.name;
    let place = key.place.name();
    let decisive: Vec<&str> = known.iter().copied().filter(|key| !OWNERSHIP_KEYS.contains(key)).collect();
    let meant = resembling(name, &decisive);
    let message = if let Some(meant) = meant {
        format!("{place} does not read `{name}`; is `{meant}` meant?")
    } else if promises_an_effect(key) {
        let known = known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        format!("{place} does not read `{name}`, only {known}{}", remedy(name))
    } else {
        return;
    };
    let fix = meant.map(str::to_owned);
    findings.add(Finding::new(entity, path, Some(key.span), message).key(name).fix(Some(key.span), fix));
}

fn promises_an_effect(key: &UnreadKey) -> bool {
    let word = key.name.to_ascii_lowercase().replace('-', "_");
    let decides = matches!(key.place, KeyPlace::Rule(_) | KeyPlace::Predicate(_));
    PROMISES.contains(&&*word) || decides && (key.is_bool || DECISIONS.contains(&&*word))
}

fn remedy(name: &str) -> &'static str {
    match name {
        "not" | "negate" | "negated" | "invert" | "inverted" => "; `neq` and `not_in` negate",
        "enabled" | "enable" | "disabled" | "disable" | "active" | "skip" => "; what should not apply must be removed",
        _ => "",
    }
}
