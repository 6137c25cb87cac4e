//! Parses bytes into documents as they were written: every field has its place, and faults are kept beside correct
//! parts.
//!
//! [`parse`] never fails. A document that cannot be read has a [`ParseError`] in its place, which lint reports.
//!
//! ```
//! use rototo_engine::{Tree, parse};
//!
//! let mut tree = Tree::default();
//! tree.insert("variables/limit.toml", *b"type = \"int\"\nvalues = 7");
//! tree.insert("variables/broken.toml", *b"type =");
//! let parsed = parse(tree);
//! let limit = parsed.variables.get("limit").and_then(|document| document.content()).unwrap();
//! assert!(limit.value_type().is_some() && limit.inline_values().next().is_none());
//! assert!(parsed.variables.get("broken").unwrap().fault().is_some());
//! ```

mod as_json;
mod duplicate_key;
mod explanation;
mod field;
mod foreign;
pub(crate) mod infer;
mod locate;
mod lookaround;
mod manifest;
mod node;
mod object_reference;
mod ownership;
mod parse_result;
pub(crate) mod pattern;
mod qualifier;
mod reader;
mod recovery;
mod reference;
mod resource;
mod schema;
pub(crate) mod schema_cost;
mod schema_paths;
mod schema_work;
mod test_file;
mod toml;
mod types;
mod unread_key;
mod variable;
pub(crate) mod violation;

use std::sync::Arc;

pub(crate) use crate::parse::as_json::toml_as_json;
pub use crate::parse::field::{Field, Spanned};
pub(crate) use crate::parse::locate::{PathStep, Places};
pub use crate::parse::manifest::{Extends, Manifest, extended_by, manifest_fault};
pub use crate::parse::object_reference::OBJECT_OF;
pub(crate) use crate::parse::object_reference::{ObjectReference, object_references, refers_to_objects};
pub(crate) use crate::parse::ownership::OWNERSHIP_KEYS;
pub use crate::parse::ownership::Ownership;
pub use crate::parse::parse_result::{Parse, ParseError};
pub(crate) use crate::parse::qualifier::QUALIFIER_PREFIX;
pub use crate::parse::qualifier::{BucketRange, Op, Predicate, Predicates, Qualifier};
pub use crate::parse::reference::BadReference;
pub(crate) use crate::parse::reference::target;
pub use crate::parse::resource::{Object, Resource};
pub use crate::parse::schema::{InvalidSchema, Schema};
pub(crate) use crate::parse::test_file::{
    Expected, ExpectedResult, GivenAttribute, TestAttributes, TestCase, TestFile, TestTable,
};
pub use crate::parse::toml::quoted;
pub(crate) use crate::parse::types::RESOURCE_PREFIX;
pub use crate::parse::types::{Primitive, Type};
pub use crate::parse::unread_key::KeyPlace;
pub(crate) use crate::parse::unread_key::UnreadKey;
pub use crate::parse::variable::{NamedValue, NamedValues, Resolve, Rule, Rules, Values, Variable};

use crate::document::fingerprint::Fingerprint;
use crate::document::shared::SharedMap;
use crate::document::tree::{Document, DocumentKind, Tree};

/// The schema that describes the context of every resolution.
pub const CONTEXT_SCHEMA: &str = "schemas/context.schema.json";

/// Documents of one kind by id: the file's stem, or for schemas the path.
pub type ById<T> = SharedMap<Parse<T>>;

/// A parsed workspace.
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
    pub objects: SharedMap<ById<Object>>,
    /// Schemas by path.
    pub schemas: ById<Schema>,
    /// Paths of custom rules.
    pub custom_lints: Vec<Arc<str>>,
    /// The weight of the patterns of all schemas.
    patterns: u64,
}

/// The ids of changed documents that matter for resolving.
#[derive(Debug, Default)]
pub(crate) struct ChangedIds {
    pub(crate) qualifiers: Vec<Arc<str>>,
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) resources: Vec<Arc<str>>,
    /// Objects by resource and key.
    pub(crate) objects: Vec<(Arc<str>, Arc<str>)>,
}

impl ChangedIds {
    /// Returns the ids of the documents at `paths`.
    pub(crate) fn of(paths: &[Arc<str>]) -> Self {
        let mut changes = Self::default();
        for path in paths {
            let id = Arc::from(stem(path));
            match DocumentKind::at(path) {
                Some(DocumentKind::Qualifier) => changes.qualifiers.push(id),
                Some(DocumentKind::Variable) => changes.variables.push(id),
                Some(DocumentKind::Resource) => changes.resources.push(id),
                Some(DocumentKind::ResourceObject) => changes.objects.push((resource_of(path).into(), id)),
                Some(DocumentKind::Manifest | DocumentKind::Schema | DocumentKind::CustomLint) | None => {}
            }
        }
        changes
    }
}

/// The size of a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of variables.
    pub variables: usize,
    /// The number of qualifiers.
    pub qualifiers: usize,
    /// The number of resources.
    pub resources: usize,
    /// The number of documents of any kind.
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

/// Reads `tree`, and takes from `previous` the documents with the same bytes at the same path. The work is proportional
/// to the differences; so is finding them, if `tree` was made from the tree of `previous`.
///
/// ```
/// use rototo_engine::{Tree, parse, parse_after};
///
/// let mut tree = Tree::default();
/// tree.insert("qualifiers/pro.toml", *b"schema_version = 1");
/// let first = parse(tree.clone());
/// tree.insert("qualifiers/max.toml", *b"schema_version = 1");
/// let next = parse_after(&first, tree);
/// let (old, new) = (first.qualifiers.get("pro").unwrap(), next.qualifiers.get("pro").unwrap());
/// assert!(new.is_same(old) && next.qualifiers.len() == 2);
/// ```
#[must_use]
pub fn parse_after(previous: &Parsed, tree: Tree) -> Parsed {
    let mut parsed = previous.clone();
    for path in tree.changed_since(previous.tree()) {
        match tree.counted(&path) {
            Some(document) => parsed.read(&path, document),
            None => parsed.forget(&path),
        }
    }
    parsed.tree = tree;
    parsed
}

/// Reads only the documents at `paths`.
pub(crate) fn parse_only<'p>(tree: &Tree, paths: impl IntoIterator<Item = &'p Arc<str>>) -> Parsed {
    let mut parsed = Parsed { tree: tree.clone(), ..Parsed::default() };
    for path in paths {
        if let Some(document) = tree.counted(path) {
            parsed.read(path, document);
        }
    }
    parsed
}

/// Returns the id in a path: `limit` in `variables/limit.toml`.
pub(crate) fn stem(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// Returns the id of the resource in the path of an object: `plan` in `resources/plan-objects/basic.toml`.
pub(crate) fn resource_of(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.strip_prefix("resources/").and_then(|name| name.strip_suffix("-objects")).unwrap_or(folder)
}

/// Returns the weight of the patterns that are compiled with a schema.
fn patterns_of(schema: &Parse<Schema>) -> u64 {
    schema.content().map_or(0, Schema::compiled_patterns)
}

impl Parsed {
    fn read(&mut self, path: &Arc<str>, document: &Document) {
        let (id, bytes) = (Arc::from(stem(path)), &*document.bytes);
        match document.kind {
            DocumentKind::Manifest => self.manifest = Some(Parse::new(path, toml::parse(bytes, Manifest::of))),
            DocumentKind::Variable => {
                self.variables.insert(id, Parse::new(path, toml::parse(bytes, Variable::of)));
            }
            DocumentKind::Qualifier => {
                self.qualifiers.insert(id, Parse::new(path, toml::parse(bytes, Qualifier::of)));
            }
            DocumentKind::Resource => {
                self.resources.insert(id, Parse::new(path, toml::parse(bytes, Resource::of)));
            }
            DocumentKind::ResourceObject => {
                let resource = Arc::from(resource_of(path));
                if let Some(objects) = self.objects.get_mut_or_default(&resource) {
                    objects.insert(id, Parse::new(path, toml::parse(bytes, Object::of)));
                }
            }
            DocumentKind::Schema => {
                let schema = Parse::new(path, Schema::parse(bytes));
                self.patterns = self.patterns.saturating_add(patterns_of(&schema));
                if let Some(before) = self.schemas.insert(Arc::clone(path), schema) {
                    self.patterns = self.patterns.saturating_sub(patterns_of(&before));
                }
            }
            DocumentKind::CustomLint => {
                if let Err(place) = self.custom_lints.binary_search(path) {
                    self.custom_lints.insert(place, Arc::clone(path));
                }
            }
        }
    }

    fn forget(&mut self, path: &str) {
        match DocumentKind::at(path) {
            Some(DocumentKind::Manifest) => self.manifest = None,
            Some(DocumentKind::Variable) => drop(self.variables.remove(stem(path))),
            Some(DocumentKind::Qualifier) => drop(self.qualifiers.remove(stem(path))),
            Some(DocumentKind::Resource) => drop(self.resources.remove(stem(path))),
            Some(DocumentKind::ResourceObject) => {
                let resource = resource_of(path);
                let objects = self.objects.get_mut(resource);
                if objects.is_some_and(|objects| objects.remove(stem(path)).is_some() && objects.is_empty()) {
                    self.objects.remove(resource);
                }
            }
            Some(DocumentKind::Schema) => {
                if let Some(schema) = self.schemas.remove(path) {
                    self.patterns = self.patterns.saturating_sub(patterns_of(&schema));
                }
            }
            Some(DocumentKind::CustomLint) => self.custom_lints.retain(|known| &**known != path),
            None => {}
        }
    }

    /// Returns the documents it was read from.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the fingerprint of its content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.tree.fingerprint()
    }

    /// Returns the approximate number of bytes that the patterns of all schemas take once they are compiled.
    #[must_use]
    pub fn pattern_memory(&self) -> u64 {
        self.patterns.min(pattern::MAX_WEIGHT_OF_ALL).saturating_mul(pattern::BYTES_PER_WEIGHT)
    }

    /// Returns whether the patterns of all schemas together are too large to be compiled.
    pub(crate) fn has_too_many_patterns(&self) -> bool {
        self.patterns > pattern::MAX_WEIGHT_OF_ALL
    }

    /// Returns the size of the workspace.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            variables: self.variables.len(),
            qualifiers: self.qualifiers.len(),
            resources: self.resources.len(),
            documents: usize::from(self.manifest.is_some())
                + self.variables.len()
                + self.qualifiers.len()
                + self.resources.len()
                + self.objects.values().map(ById::len).sum::<usize>()
                + self.schemas.len()
                + self.custom_lints.len(),
        }
    }
}

impl Summary {
    /// Returns the size of the workspace of these documents, which need not be parsed.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let mut summary = Self::default();
        for (_, document) in tree.iter() {
            summary.documents += 1;
            match document.kind {
                DocumentKind::Variable => summary.variables += 1,
                DocumentKind::Qualifier => summary.qualifiers += 1,
                DocumentKind::Resource => summary.resources += 1,
                DocumentKind::Manifest
                | DocumentKind::ResourceObject
                | DocumentKind::Schema
                | DocumentKind::CustomLint => {}
            }
        }
        summary
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
            (Some(before), Some(after)) => before.is_same(after),
            _ => false,
        };
        assert!(same("a") && !same("b"));
    }
}
