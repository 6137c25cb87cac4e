//! The work of checking all values of a workspace against their schemas, which has a limit.
//!
//! The work of each document depends only on the document and its schema. So the sum is kept up to date one document at a
//! time, and the verdict is the same however the workspace came to be.
//!
//! The patterns of all schemas have a limit, too: compiled, they take memory. Beyond it no schema is compiled.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::document::shared::SharedMap;
use crate::lint::WorkspaceIndex;
use crate::lint::entry::CheckedDocument;
use crate::parse::{ById, Parse, Parsed, Schema};

/// The most work of a workspace beyond that which is usual for its size: about ten seconds, or a minute with patterns whose
/// automaton grows.
const MOST: u64 = 1_000_000_000;

/// The message about the document that takes the most work of those counted, if all together take too much.
pub(super) const TOO_MUCH_WORK: &str = "checking all values of the workspace against their schemas takes too much work, so none was checked; of those \
     counted before the limit, this document takes the most: give its schema fewer parts and simpler patterns (lookaround such as `(?=…)` takes most)";

/// The message about the schema with the heaviest patterns, if those of all schemas together are too large.
pub(super) const TOO_MANY_PATTERNS: &str = "the patterns of all schemas of the workspace are too large together, and those of this schema are the largest; no \
     schema was checked: repeat less with `{n}`, or use fewer of them";

/// Returns the path of the schema with the heaviest patterns, the first of several, if those of all schemas
/// together are too large.
pub(super) fn heaviest_schema(parsed: &Parsed) -> Option<&Arc<str>> {
    if !parsed.has_too_many_patterns() {
        return None;
    }
    let weight = |schema: &Parse<Schema>| schema.content().map(Schema::compiled_patterns);
    parsed.schemas.iter().min_by_key(|(_, schema)| Reverse(weight(schema))).map(|(path, _)| path)
}

/// Adds all documents to those to check again, if their schemas are compiled now and were not before, or the other way
/// round.
pub(super) fn affected_by_patterns(before: &Parsed, now: &Parsed, mut again: Vec<Arc<str>>) -> Vec<Arc<str>> {
    if before.has_too_many_patterns() != now.has_too_many_patterns() {
        again.extend(now.tree().iter().map(|(path, _)| Arc::clone(path)));
        again.sort();
        again.dedup();
    }
    again
}

/// The work of the values of a workspace.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckingWork {
    /// The work of each document, by path; documents whose work is usual for their size have no entry.
    by_document: SharedMap<u64>,
    sum: u64,
    /// The path of the document that takes the most, if the sum exceeds the limit; the rest is not known then.
    too_much: Option<Arc<str>>,
}

impl CheckingWork {
    /// The path of the document that takes the most work, if all together take too much.
    pub(super) fn too_much(&self) -> Option<&str> {
        self.too_much.as_deref()
    }

    /// Returns the work after the documents at `again` are those of `now`.
    pub(super) fn after(&self, now: &Parsed, again: &[Arc<str>]) -> Self {
        if self.too_much.is_some() {
            return Self::of(now);
        }
        let mut work = self.clone();
        for path in again {
            if let Some(known) = work.by_document.remove(path) {
                work.sum = work.sum.saturating_sub(known);
            }
        }
        let workspace = WorkspaceIndex::new(now);
        for path in again {
            work.add(&workspace, path);
            if work.sum > MOST {
                return Self::of(now);
            }
        }
        work
    }

    /// Counts from the beginning, in the order of the paths, until the limit.
    fn of(now: &Parsed) -> Self {
        let (mut work, workspace) = (Self::default(), WorkspaceIndex::new(now));
        for path in with_values(now) {
            work.add(&workspace, path);
            if work.sum > MOST {
                let entries = work.by_document.iter();
                let most = entries.fold(None, |most: Option<(&Arc<str>, &u64)>, entry| {
                    most.filter(|(_, most)| *most >= entry.1).or(Some(entry))
                });
                let too_much = most.map(|(path, _)| Arc::clone(path));
                return Self { too_much, ..Self::default() };
            }
        }
        work
    }

    /// Returns the paths of the documents to check again: those at `again`, and all with values if the limit is exceeded now
    /// and was not before, or the other way round.
    pub(super) fn affected(&self, before: &Self, now: &Parsed, mut again: Vec<Arc<str>>) -> Vec<Arc<str>> {
        if self.too_much.is_some() != before.too_much.is_some() {
            again.extend(with_values(now).cloned());
            again.sort();
            again.dedup();
        }
        again
    }

    fn add(&mut self, workspace: &WorkspaceIndex<'_>, path: &Arc<str>) {
        let left = MOST.saturating_sub(self.sum);
        let work = match workspace.document(path) {
            Some(CheckedDocument::Object((resource, _, _, object))) => workspace
                .schema_of_objects(resource)
                .and_then(|schema| Some(schema.content()?.unusual_work(&object.value, left))),
            Some(CheckedDocument::Variable((_, path, variable))) => {
                workspace.schema_of_values(path, variable).and_then(Parse::content).map(|schema: &Schema| {
                    variable.inline_values().fold(0, |sum: u64, (_, named)| {
                        if sum > left {
                            return sum;
                        }
                        sum.saturating_add(schema.unusual_work(&named.value, left - sum))
                    })
                })
            }
            _ => None,
        };
        if let Some(work) = work.filter(|work| *work > 0) {
            self.sum = self.sum.saturating_add(work);
            self.by_document.insert(Arc::clone(path), work);
        }
    }
}

/// The paths of the documents with values, in order.
fn with_values(parsed: &Parsed) -> impl Iterator<Item = &Arc<str>> {
    let objects = parsed.objects.values().flat_map(ById::values).map(|object| &object.path);
    objects.chain(parsed.variables.values().map(|variable| &variable.path))
}
