//! Bytes to documents as they were written: every field with its place, faults kept beside what is right.
//!
//! [`parse`] never fails. A document that cannot be read is a [`Fault`] in its place, which lint reports.

mod field;
mod locate;
mod manifest;
mod qualifier;
mod resource;
mod schema;
mod toml;
mod variable;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use field::{Field, Spanned};
pub(crate) use locate::{Step, locate};
pub use manifest::{Extends, Manifest};
pub use qualifier::{BucketRange, Op, Predicate, Predicates, Qualifier};
pub use resource::{Object, Resource};
pub use schema::{InvalidSchema, Schema};
pub use variable::{NamedValue, Primitive, Resolve, Rule, Rules, Type, Values, Variable};

use crate::fingerprint::{Digest, Fingerprint};
use crate::text::Span;
use crate::tree::{DocumentKind, Tree};

/// The schema that describes the context of every resolution.
pub const CONTEXT_SCHEMA: &str = "schemas/context.schema.json";

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where; `None` for the document as a whole.
    pub span: Option<Span>,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into() }
    }
}

/// A document of one kind: where it stands, and what was read there.
#[derive(Debug)]
pub struct Parse<T> {
    /// Its path in the workspace.
    pub path: Arc<str>,
    digest: Digest,
    outcome: Arc<Result<T, Fault>>,
}

impl<T> Parse<T> {
    /// What was read, if it could be read.
    #[must_use]
    pub fn content(&self) -> Option<&T> {
        self.outcome.as_ref().as_ref().ok()
    }

    /// Why it could not be read.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.outcome.as_ref().as_ref().err()
    }

    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<T> Clone for Parse<T> {
    fn clone(&self) -> Self {
        Self { path: Arc::clone(&self.path), digest: self.digest, outcome: Arc::clone(&self.outcome) }
    }
}

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
    for (path, document) in tree.iter() {
        let (bytes, digest) = (&*document.bytes, document.digest);
        let id = || Arc::from(stem(path));
        match document.kind {
            DocumentKind::Manifest => {
                parsed.manifest =
                    Some(reuse(previous.manifest.as_ref(), path, digest, || toml::parse(bytes, Manifest::of)));
            }
            DocumentKind::Variable => {
                let (id, read) = (id(), || toml::parse(bytes, Variable::of));
                let document = reuse(previous.variables.get(&id), path, digest, read);
                parsed.variables.insert(id, document);
            }
            DocumentKind::Qualifier => {
                let (id, read) = (id(), || toml::parse(bytes, Qualifier::of));
                let document = reuse(previous.qualifiers.get(&id), path, digest, read);
                parsed.qualifiers.insert(id, document);
            }
            DocumentKind::Resource => {
                let (id, read) = (id(), || toml::parse(bytes, Resource::of));
                let document = reuse(previous.resources.get(&id), path, digest, read);
                parsed.resources.insert(id, document);
            }
            DocumentKind::ResourceObject => {
                let (resource, id): (Arc<str>, _) = (Arc::from(resource_of(path)), id());
                let before = previous.objects.get(&resource).and_then(|objects| objects.get(&id));
                let object = reuse(before, path, digest, || toml::parse(bytes, Object::of));
                parsed.objects.entry(resource).or_default().insert(id, object);
            }
            DocumentKind::Schema => {
                let schema = reuse(previous.schemas.get(path), path, digest, || Schema::parse(bytes));
                parsed.schemas.insert(Arc::clone(path), schema);
            }
            DocumentKind::CustomLint => parsed.custom_lints.push(Arc::clone(path)),
        }
    }
    parsed.tree = tree;
    parsed
}

fn reuse<T>(
    before: Option<&Parse<T>>,
    path: &Arc<str>,
    digest: Digest,
    read: impl FnOnce() -> Result<T, Fault>,
) -> Parse<T> {
    match before {
        Some(before) if before.digest == digest => before.clone(),
        _ => Parse { path: Arc::clone(path), digest, outcome: Arc::new(read()) },
    }
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

    /// The schema at `reference`, relative to the document at `path`.
    ///
    /// # Errors
    /// When the reference leaves the workspace, or nothing of that name is there.
    pub fn schema_at(&self, path: &str, reference: &str) -> Result<&Parse<Schema>, BadReference> {
        let target = relative(path, reference).ok_or(BadReference::Outside)?;
        self.schemas.get(&*target).ok_or(BadReference::NotFound(target))
    }
}

/// Why a reference from one document to a schema leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadReference {
    /// It is empty, absolute, or climbs out of the workspace.
    Outside,
    /// There is no schema at this path.
    NotFound(String),
}

/// The path in the workspace that `reference` means in the document at `path`.
fn relative(path: &str, reference: &str) -> Option<String> {
    if reference.is_empty() || reference.starts_with('/') {
        return None;
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_relative_to_their_document_and_stay_inside() {
        let check = |reference, target: Option<&str>| {
            assert_eq!(relative("resources/plan.toml", reference).as_deref(), target, "{reference}");
        };
        check("../schemas/plan.json", Some("schemas/plan.json"));
        check("./x.json", Some("resources/x.json"));
        check("../../etc/passwd", None);
        check("/schemas/plan.json", None);
        check("", None);
        check("..", None);
    }

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
