//! Bytes to documents as they were written: every field with its place, faults kept beside what is right.
//!
//! [`parse`] never fails. A document that cannot be read is a [`Fault`] in its place, which lint reports.

mod field;
mod locate;
mod manifest;
mod outcome;
mod qualifier;
mod reference;
mod resource;
mod schema;
mod toml;
mod types;
mod variable;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use field::{Field, Spanned};
pub(crate) use locate::{Step, locate};
pub use manifest::{Extends, Manifest};
pub use outcome::{Fault, Parse};
pub use qualifier::{BucketRange, Op, Predicate, Predicates, Qualifier};
pub use reference::BadReference;
pub use resource::{Object, Resource};
pub use schema::{InvalidSchema, Schema};
pub use types::{Primitive, Type};
pub use variable::{NamedValue, Resolve, Rule, Rules, Values, Variable};

use crate::fingerprint::Fingerprint;
use crate::tree::{Document, DocumentKind, Tree};

/// The schema that describes the context of every resolution.
pub const CONTEXT_SCHEMA: &str = "schemas/context.schema.json";

/// Documents of one kind by id: the file's stem, or for schemas the path.
pub type ById<T> = BTreeMap<Arc<str>, Parse<T>>;

/// A workspace that has been read.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    tree: Tree,
    /// `rototo-workspace.toml`
    pub manifest: Option<Parse<Manifest>>,
    /// Variables by id.
    pub variables: ById<Variable>,
    /// Qualifiers by id.
    pub qualifiers: ById<Qualifier>,
    /// Resources by id.
    pub resources: ById<Resource>,
    /// Objects by resource and key.
    pub objects: BTreeMap<Arc<str>, ById<Object>>,
    /// Schemas by path.
    pub schemas: ById<Schema>,
    /// Paths of custom rules.
    pub custom_lints: Vec<Arc<str>>,
}

/// How much there is in a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many variables.
    pub variables: usize,
    /// How many qualifiers.
    pub qualifiers: usize,
    /// How many resources.
    pub resources: usize,
    /// How many documents of any kind.
    pub documents: usize,
}

/// Reads every document of `tree`.
///
/// ```
/// use rototo_engine::{Tree, parse};
///
/// let tree: Tree = [("rototo-workspace.toml".to_owned(), b"schema_version = 1".to_vec())].into_iter().collect();
/// assert_eq!(parse(tree).summary().documents, 1);
/// ```
#[must_use]
pub fn parse(tree: Tree) -> Parsed {
    parse_after(&Parsed::default(), tree)
}

/// Reads `tree`, and takes from `previous` what has the same bytes at the same path.
#[must_use]
pub fn parse_after(previous: &Parsed, tree: Tree) -> Parsed {
    let mut parsed = Parsed::default();
    let no_objects = ById::default();
    for (path, document) in tree.iter() {
        let bytes = &*document.bytes;
        let id = Arc::from(stem(path));
        match document.kind {
            DocumentKind::Manifest => {
                let read = || toml::parse(bytes, Manifest::of);
                parsed.manifest = Some(Parse::after(previous.manifest.as_ref(), path, document.digest, read));
            }
            DocumentKind::Variable => {
                let read = || toml::parse(bytes, Variable::of);
                keep(&mut parsed.variables, &previous.variables, id, path, document, read);
            }
            DocumentKind::Qualifier => {
                let read = || toml::parse(bytes, Qualifier::of);
                keep(&mut parsed.qualifiers, &previous.qualifiers, id, path, document, read);
            }
            DocumentKind::Resource => {
                let read = || toml::parse(bytes, Resource::of);
                keep(&mut parsed.resources, &previous.resources, id, path, document, read);
            }
            DocumentKind::ResourceObject => {
                let resource = resource_of(path);
                let before = previous.objects.get(resource).unwrap_or(&no_objects);
                let objects = parsed.objects.entry(Arc::from(resource)).or_default();
                keep(objects, before, id, path, document, || toml::parse(bytes, Object::of));
            }
            DocumentKind::Schema => {
                let read = || Schema::parse(bytes);
                keep(&mut parsed.schemas, &previous.schemas, Arc::clone(path), path, document, read);
            }
            DocumentKind::CustomLint => parsed.custom_lints.push(Arc::clone(path)),
        }
    }
    parsed.tree = tree;
    parsed
}

fn keep<T>(
    documents: &mut ById<T>,
    before: &ById<T>,
    id: Arc<str>,
    path: &Arc<str>,
    document: &Document,
    read: impl FnOnce() -> Result<T, Fault>,
) {
    let parse = Parse::after(before.get(&id), path, document.digest, read);
    documents.insert(id, parse);
}

/// `variables/limit.toml` → `limit`
fn stem(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// `resources/plan-objects/basic.toml` → `plan`
fn resource_of(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.strip_prefix("resources/").and_then(|name| name.strip_suffix("-objects")).unwrap_or(folder)
}

impl Parsed {
    /// The documents it was read from.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The name of its content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.tree.fingerprint()
    }

    /// How much there is in it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            variables: self.variables.len(),
            qualifiers: self.qualifiers.len(),
            resources: self.resources.len(),
            documents: self.tree.iter().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_documents_are_not_read_again() {
        let tree = |limit: &str| -> Tree {
            let files = [("variables/a.toml", "type = \"int\""), ("variables/b.toml", limit)];
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let before = parse(tree("type = \"int\""));
        let after = parse_after(&before, tree("type = \"bool\""));
        let same = |id| match (before.variables.get(id), after.variables.get(id)) {
            (Some(before), Some(after)) => Arc::ptr_eq(&before.outcome, &after.outcome),
            _ => false,
        };
        assert!(same("a") && !same("b"));
    }
}
