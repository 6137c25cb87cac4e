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

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::document::fingerprint::{Digest, Fingerprint};
pub use crate::document::kind::{DocumentKind, is_test};
use crate::document::shared::SharedMap;
use crate::document::unread::UnreadPaths;
pub use crate::document::unread::{PathKind, resembles_directory};

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
    /// Returns the digest of its bytes.
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
    /// Paths that may be meant as documents. They are no content: neither the fingerprint nor a snapshot holds them.
    unread: Arc<UnreadPaths>,
    /// The files of tests, which are no content either.
    tests: Arc<BTreeMap<Arc<str>, Arc<[u8]>>>,
    /// The names of the layers that have documents and noticed paths, by path. They are no content.
    layers: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

impl Tree {
    /// Adds or replaces the file at `path`, and only [notices](Self::notice) a file that is no document. [`Tree::iter`]
    /// leaves out objects whose resource has no file of its own.
    pub fn insert(&mut self, path: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) {
        let path = path.into();
        self.notice(&path, PathKind::File);
        if self.layers.contains_key(&path) {
            Arc::make_mut(&mut self.layers).remove(&path);
        }
        if is_test(&path) {
            Arc::make_mut(&mut self.tests).insert(path, bytes.into());
        } else if let Some(kind) = DocumentKind::at(&path) {
            let document = Document { kind, bytes: bytes.into(), digest: OnceLock::new() };
            // An equal document stays, with the digest that it may have computed.
            if !self.documents.get(&path).is_some_and(|known| known.is_same(&document)) {
                self.fingerprint = OnceLock::new();
                self.documents.insert(path, document);
            }
        }
    }

    /// Takes note of a path that is no document. If it may be meant as one, lint reports it.
    ///
    /// ```
    /// use rototo_engine::tree::PathKind;
    /// use rototo_engine::{Tree, lint, parse};
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("rototo-workspace.toml", *b"schema_version = 1");
    /// let fingerprint = tree.fingerprint();
    /// tree.notice("Variables/limit.toml", PathKind::File);
    /// assert_eq!(tree.fingerprint(), fingerprint);
    /// let found = lint(&parse(tree)).diagnostics;
    /// assert_eq!(found[0].message, "nothing reads `Variables`: it must be named `variables`");
    /// ```
    pub fn notice(&mut self, path: &str, kind: PathKind) {
        let mut noticed = UnreadPaths::default();
        noticed.notice(path, kind);
        if !noticed.is_empty() {
            Arc::make_mut(&mut self.unread).extend(&noticed);
        }
    }

    /// Returns whether the same paths beside the documents were [noticed](Self::notice), and the same objects have no
    /// resource: lint of equal documents differs if not.
    #[must_use]
    pub fn has_same_unread_paths(&self, other: &Self) -> bool {
        self.unread == other.unread && self.objects_without_resource() == other.objects_without_resource()
    }

    /// Returns the files of tests by path, if they were read. Those of a layer below are left out: they are about that
    /// layer alone.
    ///
    /// ```
    /// use rototo_engine::Tree;
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("tests/limits.toml", *b"schema_version = 1");
    /// assert_eq!(tree.tests().count(), 1);
    /// assert_eq!(tree.fingerprint(), Tree::default().fingerprint());
    /// ```
    pub fn tests(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<[u8]>)> {
        self.tests.iter()
    }

    /// Returns whether there is a file of tests, or a path that may be meant as one and is not read.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        !self.tests.is_empty() || self.unread.tests().next().is_some()
    }

    /// Returns the file of tests at `path`, if it was read.
    #[must_use]
    pub fn test(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.tests.get(path)
    }

    /// Returns whether both have the same [tests](Self::tests).
    #[must_use]
    pub fn has_same_tests(&self, other: &Self) -> bool {
        self.tests == other.tests
    }

    /// Returns the noticed paths.
    pub(crate) fn unread(&self) -> &UnreadPaths {
        &self.unread
    }

    /// Returns the directories of objects whose resource has no file, in order.
    pub(crate) fn objects_without_resource(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = Vec::new();
        let objects = self.documents.with_prefix("resources/").map(|(path, document)| (&**path, document.kind));
        for (path, _) in objects.filter(|(_, kind)| *kind == DocumentKind::ResourceObject) {
            if folders.last() != Some(&folder_of(path)) {
                folders.push(folder_of(path));
            }
        }
        folders.retain(|folder| !self.has_resource(folder));
        folders
    }

    /// Removes the file at `path`, if it exists.
    pub fn remove(&mut self, path: &str) {
        if self.documents.contains_key(path) {
            self.fingerprint = OnceLock::new();
            self.documents.remove(path);
        }
        if self.tests.contains_key(path) {
            Arc::make_mut(&mut self.tests).remove(path);
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
        let mut taken: Vec<&Arc<str>> = Vec::new();
        for (path, document) in base.documents.iter().filter(|(_, document)| document.kind != DocumentKind::Manifest) {
            if !self.documents.contains_key(path) {
                self.fingerprint = OnceLock::new();
                self.documents.insert(path.clone(), document.clone());
                taken.push(path);
            }
        }
        if !base.unread.is_empty() {
            let known = |path: &Arc<str>| self.unread.iter().any(|(known, _)| known == path);
            taken.extend(base.unread.iter().map(|(path, _)| path).filter(|path| !known(path)));
            Arc::make_mut(&mut self.unread).extend_by_base(&base.unread);
        }
        let layers = taken.into_iter().filter_map(|path| base.layers.get_key_value(path));
        let layers: Vec<_> = layers.map(|(path, layer)| (Arc::clone(path), Arc::clone(layer))).collect();
        if !layers.is_empty() {
            Arc::make_mut(&mut self.layers).extend(layers);
        }
        self
    }

    /// Returns the same documents as those of a layer, which has this name for people. Documents of layers below keep theirs.
    ///
    /// ```
    /// use rototo_engine::Tree;
    ///
    /// let tree = |path: &str| Tree::from_iter([(path.to_owned(), b"schema_version = 1".to_vec())]);
    /// let both = tree("variables/own.toml").over(&tree("variables/below.toml").as_layer("../base"));
    /// assert_eq!(both.layer_of("variables/below.toml").map(|layer| &**layer), Some("../base"));
    /// assert_eq!(both.layer_of("variables/own.toml"), None);
    /// ```
    #[must_use]
    pub fn as_layer(mut self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let paths = self.documents.keys().chain(self.unread.iter().map(|(path, _)| path));
        let own = paths.filter(|path| !self.layers.contains_key(*path));
        let own: Vec<_> = own.map(|path| (Arc::clone(path), Arc::clone(&name))).collect();
        Arc::make_mut(&mut self.layers).extend(own);
        self
    }

    /// Returns the name of the layer that has the document or the noticed path; `None` for those of the workspace itself.
    #[must_use]
    pub fn layer_of(&self, path: &str) -> Option<&Arc<str>> {
        self.layers.get(path)
    }

    /// Returns the same documents, sharing the common ones with `base`: bytes are kept once, and digests are not
    /// computed again.
    #[must_use]
    pub fn after(self, base: &Self) -> Self {
        let (unread, tests, layers) = (Arc::clone(&self.unread), Arc::clone(&self.tests), Arc::clone(&self.layers));
        let mut tree = Self { unread, tests, layers, ..base.clone() };
        for path in self.documents.changed_since(&base.documents, Document::is_same) {
            tree.fingerprint = OnceLock::new();
            match self.documents.get(path) {
                Some(document) => drop(tree.documents.insert(Arc::clone(path), document.clone())),
                None => drop(tree.documents.remove(path)),
            }
        }
        tree
    }

    /// Removes the documents whose paths `keep` rejects.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let gone: Vec<Arc<str>> = self.documents.keys().filter(|path| !keep(path)).cloned().collect();
        gone.iter().for_each(|path| self.remove(path));
    }

    /// Returns the documents in bytewise order of their paths.
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

    /// Returns the document at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Document> {
        self.documents.get(path)
    }

    /// Returns the stored path that equals `path`, if there is a document or a file of tests.
    pub(crate) fn path(&self, path: &str) -> Option<&Arc<str>> {
        let document = self.documents.get_key_value(path).map(|(path, _)| path);
        document.or_else(|| self.tests.get_key_value(path).map(|(path, _)| path))
    }

    /// Returns the fingerprint of the content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        *self
            .fingerprint
            .get_or_init(|| Fingerprint::of(self.iter().map(|(path, document)| (&**path, document.digest()))))
    }

    /// Returns the document at `path`, if [`Tree::iter`] yields it.
    pub(crate) fn counted(&self, path: &str) -> Option<&Document> {
        let document = self.documents.get(path)?;
        let counts = document.kind != DocumentKind::ResourceObject || self.has_resource(folder_of(path));
        counts.then_some(document)
    }

    /// Returns the paths whose documents differ from `before`, in order. Shared parts of the trees are skipped.
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

/// Returns the folder of a path: `resources/plan-objects` for `resources/plan-objects/basic.toml`.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// Returns the path of a resource without its extension: `resources/plan` for `resources/plan.toml`.
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
    fn a_test_is_replaced_and_removed_as_a_document_is() {
        let mut after = tree(&[("tests/a.toml", "1"), ("variables/a.toml", "")]);
        let before = after.clone();
        after.insert("tests/a.toml", *b"2");
        assert_eq!(after.test("tests/a.toml").map(|bytes| &**bytes), Some(&b"2"[..]));
        after.remove("tests/a.toml");
        assert!(after.test("tests/a.toml").is_none() && after.get("variables/a.toml").is_some());
        assert!(after.changed_since(&before).is_empty() && !after.has_same_tests(&before));
        assert_eq!(before.test("tests/a.toml").map(|bytes| &**bytes), Some(&b"1"[..]));
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
