//! The references between the parts of a workspace: the mentions of the engine, of parts that exist, and of attributes.

use std::collections::BTreeSet;

use rototo_engine::mention::{Form, Mention, Name, in_document};
use rototo_engine::{Entity, Parsed};
use serde::Serialize;

/// All references with an existing target, or one in the context.
pub(super) struct References(Vec<Mention>);

/// A direct or indirect dependency.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Dependencies {
    pub(super) qualifiers: BTreeSet<String>,
    pub(super) context_paths: BTreeSet<String>,
    pub(super) schemas: BTreeSet<String>,
    pub(super) resources: BTreeSet<String>,
}

/// A part that depends on the subject.
#[derive(Debug, Serialize)]
pub(crate) struct Consumer {
    kind: &'static str,
    pub(super) label: String,
}

impl References {
    pub(super) fn of(parsed: &Parsed) -> Self {
        let paths = parsed.tree().iter().map(|(path, _)| path);
        let mentions = paths.flat_map(|path| in_document(parsed, path));
        Self(mentions.filter(|mention| exists(parsed, &mention.name)).collect())
    }

    /// Returns every part that depends on `target`.
    pub(super) fn consumers(&self, target: &Name) -> Vec<Consumer> {
        self.0.iter().filter(|mention| mention.name == *target).map(Consumer::of).collect()
    }

    pub(super) fn of_variable(&self, id: &str) -> Dependencies {
        let mut found = Dependencies::default();
        let own = |by: &Entity| matches!(by, Entity::Rule { variable, .. } | Entity::Variable { id: variable } if variable == id);
        self.collect(own, &mut found);
        found
    }

    pub(super) fn of_qualifier(&self, id: &str) -> Dependencies {
        let mut found = Dependencies::default();
        self.collect(|by| matches!(by, Entity::Predicate { qualifier, .. } if qualifier == id), &mut found);
        found.qualifiers.remove(id);
        found
    }

    pub(super) fn of_resource(&self, id: &str) -> Dependencies {
        let mut found = Dependencies::default();
        self.collect(|by| matches!(by, Entity::Resource { id: resource } if resource == id), &mut found);
        found
    }

    /// Returns the targets of the references that `own` picks, and of those of the qualifiers on the way.
    fn collect(&self, own: impl Fn(&Entity) -> bool, found: &mut Dependencies) {
        let mut open: Vec<&Name> =
            self.0.iter().filter(|mention| own(&mention.by)).map(|mention| &mention.name).collect();
        while let Some(target) = open.pop() {
            let text = target.text().to_string();
            match target {
                Name::Attribute { .. } => drop(found.context_paths.insert(text)),
                Name::Resource { .. } => drop(found.resources.insert(text)),
                Name::Schema { .. } => drop(found.schemas.insert(text)),
                Name::Qualifier { id } => {
                    if found.qualifiers.insert(text) {
                        let of_it =
                            |by: &Entity| matches!(by, Entity::Predicate { qualifier, .. } if **qualifier == **id);
                        let mentions = self.0.iter().filter(|mention| of_it(&mention.by));
                        open.extend(mentions.map(|mention| &mention.name));
                    }
                }
                Name::Variable { .. } | Name::Object { .. } | Name::Value { .. } => {}
            }
        }
    }
}

/// Returns whether a mentioned part exists. An attribute is one of the context, and a value is no part of its own.
fn exists(parsed: &Parsed, name: &Name) -> bool {
    match name {
        Name::Qualifier { id } => parsed.qualifiers.contains_key(id),
        Name::Resource { id } => parsed.resources.contains_key(id),
        Name::Schema { path } => parsed.schemas.contains_key(path),
        Name::Attribute { .. } => true,
        Name::Variable { .. } | Name::Object { .. } | Name::Value { .. } => false,
    }
}

impl Consumer {
    fn of(mention: &Mention) -> Self {
        let schema = if mention.form == Form::RelativePath { " schema" } else { "" };
        let (kind, label) = match &mention.by {
            Entity::Predicate { qualifier, index } => {
                ("qualifier", format!("qualifier {qualifier} predicate[{index}]"))
            }
            Entity::Rule { variable, index } => ("variable", format!("variable {variable} resolve.rule[{index}]")),
            Entity::Variable { id } => ("variable", format!("variable {id}{schema}")),
            Entity::Resource { id } => ("resource", format!("resource {id}{schema}")),
            _ => ("workspace", mention.path.to_string()),
        };
        Self { kind, label }
    }
}
