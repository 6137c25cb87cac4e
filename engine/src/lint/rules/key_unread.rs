//! Nothing reads a key, and it is no note for people. A list of names that promise an effect is never complete, so
//! each key is reported that is not in the list of [`notes`].

use crate::diagnostic::Entity;
use crate::lint::similar::resembling;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{KeyPlace, OWNERSHIP_KEYS, Op, Predicate, Qualifier, Resource, UnreadKey, Variable};

mod notes;
mod remedies;

use notes::is_misplaced;
pub(in crate::lint) use notes::is_note;
use remedies::remedy;

pub(super) const CHECKS: &[Check] = &[
    Check::Variable(check_variable),
    Check::Qualifier(check_qualifier),
    Check::Resource(check_resource),
    Check::Workspace(check_manifest),
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
    let name = &*key.name;
    let is_misplaced = is_misplaced(key.place, name);
    if is_note(name) && !is_misplaced || !findings.has_room() {
        return;
    }
    let known = key.place.keys();
    let place = key.place.name();
    if is_misplaced {
        let message = format!("{place} does not read `{name}`{}", where_it_belongs(key.place, name));
        return findings.add(Finding::new(entity, path, Some(key.span), message).key(name));
    }
    let decisive: Vec<&str> = known.iter().copied().filter(|key| !OWNERSHIP_KEYS.contains(key)).collect();
    let meant = resembling(name, &decisive);
    let message = if let Some(meant) = meant {
        format!("{place} does not read `{name}`; is `{meant}` meant?")
    } else {
        let known = known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let remedy = remedy(key.place, name).map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{place} does not read `{name}`, only {known}{remedy}")
    };
    let fix = meant.map(str::to_owned);
    findings.add(Finding::new(entity, path, Some(key.span), message).key(name).fix(Some(key.span), fix));
}

/// Returns where an owner or an expiry belongs, in words that follow the message about it at a place that is too deep.
fn where_it_belongs(place: KeyPlace, name: &str) -> String {
    match place {
        KeyPlace::Predicate(_) => {
            ", only a variable and a rule do; a note about the qualifier stands at the top of the file".to_owned()
        }
        _ => format!("; `{name}` stands at the top of the file, or in a rule"),
    }
}
