//! The documents of a workspace as bytes by path, with the digests that identify them. A file that is no document of the
//! format is ignored:
//!
//! ```
//! use rototo_engine::Tree;
//!
//! let mut tree = Tree::default();
//! tree.insert("variables/limit.toml", *b"type = \"int\"");
//! let fingerprint = tree.fingerprint();
//! tree.insert("README.md", *b"Limits of the service");
//! assert_eq!(tree.iter().count(), 1);
//! assert_eq!(tree.fingerprint(), fingerprint);
//! ```

use std::sync::{Arc, OnceLock};

use crate::document::fingerprint::{Digest, Fingerprint};
use crate::document::shared::SharedMap;

/// The kind of a document, which its path decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// `rototo-workspace.toml`
    Manifest,
    /// `variables/<id>.toml`
    Variable,
    /// `qualifiers/<id>.toml`
    Qualifier,
    /// `resources/<id>.toml`
    Resource,
    /// `resources/<resource>-objects/<key>.toml`
    ResourceObject,
    /// `schemas/<name>.json`
    Schema,
    /// `lint/<name>.lua`
    CustomLint,
}

impl DocumentKind {
    /// Returns the kind of the document at `path`, or `None` if the format has no document there.
    ///
    /// ```
    /// use rototo_engine::DocumentKind;
    ///
    /// assert_eq!(DocumentKind::at("variables/limit.toml"), Some(DocumentKind::Variable));
    /// assert_eq!(DocumentKind::at("variables/nested/limit.toml"), None);
    /// assert_eq!(DocumentKind::at("README.md"), None);
    /// ```
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        if path == "rototo-workspace.toml" {
            return Some(Self::Manifest);
        }
        let folders = [
            ("variables/", ".toml", Self::Variable),
            ("qualifiers/", ".toml", Self::Qualifier),
            ("schemas/", ".json", Self::Schema),
            ("lint/", ".lua", Self::CustomLint),
        ];
        for (folder, extension, kind) in folders {
            if let Some(file) = path.strip_prefix(folder) {
                return is_file(file, extension).then_some(kind);
            }
        }
        let below = path.strip_prefix("resources/")?;
        match below.split_once('/') {
            None => is_file(below, ".toml").then_some(Self::Resource),
            Some((folder, file)) => {
                let of_a_resource = folder.strip_suffix("-objects").is_some_and(|resource| !resource.is_empty());
                (of_a_resource && is_file(file, ".toml")).then_some(Self::ResourceObject)
            }
        }
    }
}

/// Returns whether `name` is the name of a file, in no folder, with that extension and a stem.
fn is_file(name: &str, extension: &str) -> bool {
    name.strip_suffix(extension).is_some_and(|stem| !stem.is_empty() && !stem.contains('/'))
}

/// One document: its bytes, shared, and their digest.
#[derive(Clone, Debug)]
pub struct Document {
    /// The kind of the document.
    pub kind: DocumentKind,
    /// The bytes as they stand in the source.
    pub bytes: Arc<[u8]>,
    /// Hashing costs more than comparing, so the digest is computed when it is first needed.
    digest: OnceLock<Digest>,
}

impl Document {
    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self.digest.get(), other.digest.get()) {
            (Some(one), Some(two)) => one == two,
            _ => Arc::ptr_eq(&self.bytes, &other.bytes) || self.bytes == other.bytes,
        }
    }
}

/// All documents of one workspace, by path. Other files are left out, so two trees with the same documents are the same
/// workspace.
///
/// ```
/// use rototo_engine::Tree;
///
/// let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
/// let readme = ("README.md".to_owned(), b"hello".to_vec());
/// let with_readme: Tree = [manifest.clone(), readme].into_iter().collect();
/// let without: Tree = [manifest].into_iter().collect();
/// assert_eq!(with_readme.fingerprint(), without.fingerprint());
/// ```
///
/// Clones share what they have in common, so a tree that differs in a few documents is best made from the one before.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    documents: SharedMap<Document>,
    fingerprint: OnceLock<Fingerprint>,
}

impl Tree {
    /// Adds or replaces the file at `path`, and ignores a file that is no document. [`Tree::iter`] leaves out objects
    /// whose resource has no file of its own.
    pub fn insert(&mut self, path: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) {
        let path = path.into();
        if let Some(kind) = DocumentKind::at(&path) {
            let document = Document { kind, bytes: bytes.into(), digest: OnceLock::new() };
            // An equal document stays, with the digest that it may have computed.
            if !self.documents.get(&path).is_some_and(|known| known.is_same(&document)) {
                self.fingerprint = OnceLock::new();
                self.documents.insert(path, document);
            }
        }
    }

    /// Removes the file at `path`, if it exists.
    pub fn remove(&mut self, path: &str) {
        if self.documents.contains_key(path) {
            self.fingerprint = OnceLock::new();
            self.documents.remove(path);
        }
    }

    /// Returns this workspace on top of `base`, which it extends: whole files by path, and only its own manifest.
    ///
    /// ```
    /// use rototo_engine::Tree;
    ///
    /// let tree = |files: [(&str, &str); 2]| -> Tree {
    ///     files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()
    /// };
    /// let base = tree([("variables/a.toml", "base"), ("variables/b.toml", "base")]);
    /// let own = tree([("variables/b.toml", "own"), ("variables/c.toml", "own")]);
    /// let both = own.over(&base);
    /// assert_eq!(both.iter().count(), 3);
    /// assert_eq!(&*both.get("variables/b.toml").unwrap().bytes, b"own");
    /// ```
    #[must_use]
    pub fn over(mut self, base: &Self) -> Self {
        for (path, document) in base.documents.iter().filter(|(_, document)| document.kind != DocumentKind::Manifest) {
            if !self.documents.contains_key(path) {
                self.fingerprint = OnceLock::new();
                self.documents.insert(path.clone(), document.clone());
            }
        }
        self
    }

    /// Returns the same documents, sharing the common ones with `base`: bytes are kept once, and digests are not
    /// computed again.
    #[must_use]
    pub fn after(self, base: &Self) -> Self {
        let mut tree = base.clone();
        for path in self.documents.changed_since(&base.documents, Document::is_same) {
            tree.fingerprint = OnceLock::new();
            match self.documents.get(path) {
                Some(document) => drop(tree.documents.insert(Arc::clone(path), document.clone())),
                None => drop(tree.documents.remove(path)),
            }
        }
        tree
    }

    /// Removes the files whose paths `keep` rejects.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let gone: Vec<Arc<str>> = self.documents.keys().filter(|path| !keep(path)).cloned().collect();
        gone.iter().for_each(|path| self.remove(path));
    }

    /// The documents in bytewise order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Document)> {
        // The objects of one resource are adjacent.
        let mut last: Option<(&str, bool)> = None;
        self.documents.iter().filter(move |(path, document)| {
            if document.kind != DocumentKind::ResourceObject {
                return true;
            }
            let folder = folder_of(path);
            match last {
                Some((known, has_resource)) if known == folder => has_resource,
                _ => last.insert((folder, self.has_resource(folder))).1,
            }
        })
    }

    /// The document at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Document> {
        self.documents.get(path)
    }

    /// The fingerprint of the content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        *self
            .fingerprint
            .get_or_init(|| Fingerprint::of(self.iter().map(|(path, document)| (&**path, document.digest()))))
    }

    /// The document at `path`, if [`Tree::iter`] yields it.
    pub(crate) fn counted(&self, path: &str) -> Option<&Document> {
        let document = self.documents.get(path)?;
        let counts = document.kind != DocumentKind::ResourceObject || self.has_resource(folder_of(path));
        counts.then_some(document)
    }

    /// The paths whose documents differ from `before`, in order. Shared parts of the trees are skipped.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<Arc<str>> {
        let differing = self.documents.changed_since(&before.documents, Document::is_same);
        let mut changed: Vec<Arc<str>> = differing.into_iter().cloned().collect();
        let resources: Vec<String> =
            changed.iter().filter_map(|path| Some(format!("{}-objects/", resource_stem(path)?))).collect();
        if !resources.is_empty() {
            for folder in resources {
                let objects = self.documents.with_prefix(&folder).chain(before.documents.with_prefix(&folder));
                changed.extend(objects.map(|(path, _)| Arc::clone(path)));
            }
            changed.sort();
            changed.dedup();
        }
        changed
    }

    /// Returns whether the resource of a folder of objects exists.
    fn has_resource(&self, folder: &str) -> bool {
        self.documents.contains_key(&format!("{}.toml", folder.strip_suffix("-objects").unwrap_or(folder)))
    }
}

/// `resources/plan-objects/basic.toml` → `resources/plan-objects`
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// `resources/plan.toml` → `resources/plan`
fn resource_stem(path: &str) -> Option<&str> {
    path.strip_suffix(".toml").filter(|_| DocumentKind::at(path) == Some(DocumentKind::Resource))
}

impl FromIterator<(String, Vec<u8>)> for Tree {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        let mut tree = Self::default();
        for (path, bytes) in files {
            tree.insert(path, bytes);
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn only_the_paths_of_the_format_hold_documents() {
        for path in ["resources/a-objects/x.toml", "schemas/a.schema.json", "lint/a.lua"] {
            assert!(DocumentKind::at(path).is_some(), "{path}");
        }
        for path in [
            "resources/-objects/x.toml",
            "resources/a/b-objects/x.toml",
            "variables/.toml",
            "variables/a.json",
            "schemas/a/b.json",
            "sub/rototo-workspace.toml",
            "lint/a.toml",
        ] {
            assert_eq!(DocumentKind::at(path), None, "{path}");
        }
    }

    #[test]
    fn objects_count_only_beside_their_resource() {
        let lone = tree(&[("resources/a-objects/x.toml", "n = 1")]);
        assert_eq!(lone.iter().count(), 0);
        assert_eq!(lone.fingerprint(), Tree::default().fingerprint());
        let beside = tree(&[("resources/a-objects/x.toml", "n = 1"), ("resources/a.toml", "")]);
        assert_eq!(beside.iter().count(), 2);
    }
}
