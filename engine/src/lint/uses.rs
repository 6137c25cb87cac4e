//! How often something is named by a document of another kind, kept up to date one document at a time.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::document::shared::SharedMap;
use crate::document::tree::DocumentKind;
use crate::parse::{Field, Parse, Parsed, stem, target};

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

    /// What is used once the documents at `changed` are those of `now` instead of those of `before`.
    pub(super) fn after(&self, before: &Parsed, now: &Parsed, changed: &[Arc<str>]) -> Self {
        let mut counted = UseCounts::default();
        let had_documents = before.summary().documents > 0;
        for path in changed {
            if had_documents {
                counted.count(before, path, -1);
            }
            counted.count(now, path, 1);
        }
        let mut uses = self.clone();
        counted.qualifiers.into_iter().for_each(|(id, more)| add(&mut uses.qualifiers, id, more));
        counted.schemas.into_iter().for_each(|(path, more)| add(&mut uses.schemas, &path, more));
        uses
    }

    /// Whether the same is used, however often.
    pub(super) fn are_of_the_same(&self, before: &Self) -> bool {
        let any = |_: &usize, _: &usize| true;
        self.qualifiers.changed_since(&before.qualifiers, any).is_empty()
            && self.schemas.changed_since(&before.schemas, any).is_empty()
    }
}

/// How many more uses there are than before.
#[derive(Default)]
struct UseCounts<'a> {
    qualifiers: HashMap<&'a str, isize, FixedState>,
    schemas: HashMap<String, isize, FixedState>,
}

impl<'a> UseCounts<'a> {
    fn count(&mut self, parsed: &'a Parsed, path: &str, more: isize) {
        let schema = match DocumentKind::at(path) {
            Some(DocumentKind::Variable) => {
                let Some(variable) = parsed.variables.get(stem(path)).and_then(Parse::content) else { return };
                for id in variable.rules().iter().filter_map(|rule| rule.qualifier.value()) {
                    *self.qualifiers.entry(id).or_default() += more;
                }
                &variable.schema
            }
            Some(DocumentKind::Resource) => match parsed.resources.get(stem(path)).and_then(Parse::content) {
                Some(resource) => &resource.schema,
                None => return,
            },
            _ => return,
        };
        if let Some(schema) = schema_path(path, schema) {
            *self.schemas.entry(schema).or_default() += more;
        }
    }
}

/// The path of the schema that a document names.
pub(super) fn schema_path(path: &str, reference: &Field<Arc<str>>) -> Option<String> {
    reference.value().and_then(|reference| target(path, reference))
}

fn add(counts: &mut SharedMap<usize>, name: &str, more: isize) {
    let known = counts.get(name).copied().unwrap_or_default();
    match known.saturating_add_signed(more) {
        count if count == known => {}
        0 => drop(counts.remove(name)),
        count => drop(counts.insert(name.into(), count)),
    }
}
