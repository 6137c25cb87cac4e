//! How often something is named by a document of another kind, kept up to date one document at a time.

use std::sync::Arc;

use crate::parse::{Field, Parse, Parsed, stem, target};
use crate::shared::SharedMap;
use crate::tree::DocumentKind;

/// What variables and resources name.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    /// How many rules of variables name a qualifier, by its id.
    qualifiers: SharedMap<usize>,
    /// How many documents name a schema, by its path.
    schemas: SharedMap<usize>,
}

impl Uses {
    /// Whether a rule of a variable names the qualifier.
    pub(super) fn selects(&self, qualifier: &str) -> bool {
        self.qualifiers.contains_key(qualifier)
    }

    /// Whether a document names the schema at `path`.
    pub(super) fn names_schema(&self, path: &str) -> bool {
        self.schemas.contains_key(path)
    }

    /// Counts what the document at `path` names.
    pub(super) fn add(&mut self, parsed: &Parsed, path: &str) {
        named(parsed, path, |name| match name {
            Name::Qualifier(id) => increase(&mut self.qualifiers, id),
            Name::Schema(path) => increase(&mut self.schemas, &path.into()),
        });
    }

    /// Takes back what [`Uses::add`] counted.
    pub(super) fn remove(&mut self, parsed: &Parsed, path: &str) {
        named(parsed, path, |name| match name {
            Name::Qualifier(id) => decrease(&mut self.qualifiers, id),
            Name::Schema(path) => decrease(&mut self.schemas, &path),
        });
    }

    /// Whether the same is used, however often.
    pub(super) fn are_of_the_same(&self, before: &Self) -> bool {
        let any = |_: &usize, _: &usize| true;
        self.qualifiers.changed_since(&before.qualifiers, any).is_empty()
            && self.schemas.changed_since(&before.schemas, any).is_empty()
    }
}

enum Name<'a> {
    Qualifier(&'a Arc<str>),
    Schema(String),
}

fn named(parsed: &Parsed, path: &str, mut found: impl FnMut(Name<'_>)) {
    let schema = match DocumentKind::at(path) {
        Some(DocumentKind::Variable) => {
            let Some(variable) = parsed.variables.get(stem(path)).and_then(Parse::content) else { return };
            variable.rules().iter().filter_map(|rule| rule.qualifier.value()).for_each(|id| found(Name::Qualifier(id)));
            &variable.schema
        }
        Some(DocumentKind::Resource) => match parsed.resources.get(stem(path)).and_then(Parse::content) {
            Some(resource) => &resource.schema,
            None => return,
        },
        _ => return,
    };
    if let Some(target) = schema_path(path, schema) {
        found(Name::Schema(target));
    }
}

/// The path of the schema that a document names.
pub(super) fn schema_path(path: &str, reference: &Field<Arc<str>>) -> Option<String> {
    reference.value().and_then(|reference| target(path, reference))
}

fn increase(counts: &mut SharedMap<usize>, name: &Arc<str>) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(Arc::clone(name), 1)),
    }
}

fn decrease(counts: &mut SharedMap<usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(name)),
    }
}
