//! Selects the documents of one workspace from the entries of an archive. Pure.
//!
//! Archives of repositories have one directory around everything, and sources leave out its name. So a workspace is at
//! the root, or in the only directory of the root; a subdirectory is relative to either.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rototo_engine::Tree;

use crate::error::{ArchiveFault, ContentFault, SourceFault};
use crate::limits::layout::{PathEntry, ReadScope, Visit, visit};
use crate::workspace_part::WorkspacePart;

/// The document that makes a directory a workspace.
const MANIFEST: &str = "rototo-workspace.toml";

/// The documents found at the two places where the workspace may be.
pub(super) struct ArchiveEntries<'a> {
    part: &'a WorkspacePart,
    /// The directories of the root, two at most.
    tops: BTreeSet<String>,
    at_root: DocumentLocation,
    below_top: DocumentLocation,
}

#[derive(Default)]
struct DocumentLocation {
    exists: bool,
    tree: Tree,
    /// The first entry that must not stand here. It counts only if the workspace is here: who packs a whole repository
    /// has not chosen what else is in it.
    fault: Option<ContentFault>,
    /// The same of the manifest, without which nobody knows that the workspace is here.
    manifest_fault: Option<ContentFault>,
}

impl DocumentLocation {
    /// Notes an entry whose name is relative to this place, and returns whether it is a document to read.
    fn note(&mut self, name: &str, kind: PathEntry, scope: ReadScope, path: &str) -> bool {
        // A link in place of the workspace's directory is no directory.
        self.exists |= !name.is_empty() || kind == PathEntry::Directory;
        match visit(name, kind, scope) {
            Ok(visit) => visit == Visit::Read,
            Err(ContentFault::NotAFile { what, .. }) => {
                self.refuse(name, ContentFault::NotAFile { path: path.to_owned(), what });
                false
            }
            Err(fault) => {
                self.refuse(name, fault);
                false
            }
        }
    }

    fn refuse(&mut self, name: &str, fault: ContentFault) {
        let kept = if name == MANIFEST { &mut self.manifest_fault } else { &mut self.fault };
        kept.get_or_insert(fault);
    }

    fn has_manifest(&self) -> bool {
        self.tree.get(MANIFEST).is_some()
    }

    fn into_tree(self) -> Result<Tree, SourceFault> {
        match self.manifest_fault.or(self.fault) {
            Some(fault) => Err(fault.into()),
            None => Ok(self.tree),
        }
    }
}

impl<'a> ArchiveEntries<'a> {
    pub(super) fn new(part: &'a WorkspacePart) -> Self {
        Self {
            part,
            tops: BTreeSet::new(),
            at_root: DocumentLocation::default(),
            below_top: DocumentLocation::default(),
        }
    }

    /// Checks the next entry, and returns its path if its bytes are needed.
    pub(super) fn admit(&mut self, path: &[u8], kind: PathEntry) -> Result<Option<String>, ContentFault> {
        let text = String::from_utf8_lossy(path);
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(ContentFault::Unsafe { path: text.into_owned() });
        }
        let is_utf8 = matches!(text, Cow::Borrowed(_));
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let path = parts.join("/");
        if is_of_a_file_manager(&path) {
            return Ok(None);
        }
        match *parts {
            [top, _, ..] => self.note_top(top),
            [top] if kind == PathEntry::Directory => self.note_top(top),
            _ => {}
        }
        let (root, below) = self.names(&path);
        for (name, place) in [(root, &mut self.at_root), (below, &mut self.below_top)] {
            if let Some(name) = name {
                place.tree.notice(name, kind.kind());
            }
        }
        let scope = self.part.scope;
        let at_root = root.is_some_and(|name| self.at_root.note(name, kind, scope, &path));
        let below_top = below.is_some_and(|name| self.below_top.note(name, kind, scope, &path));
        if !is_utf8 {
            self.refuse_document(&path, kind, || ContentFault::NotUtf8 { path: path.clone() });
            return Ok(None);
        }
        if path.contains('\\') {
            let fault = || ContentFault::Backslashes { path: path.clone() };
            self.refuse_document(&path.replace('\\', "/"), kind, fault);
        }
        Ok((at_root || below_top).then_some(path))
    }

    /// Notes a directory of the root. The number of them matters only up to two, and an archive may have very many.
    fn note_top(&mut self, top: &str) {
        if self.tops.len() < 2 && !self.tops.contains(top) {
            self.tops.insert(top.to_owned());
        }
    }

    /// Refuses an entry whose name is unusable, if it would be a document under the name `path`.
    fn refuse_document(&mut self, path: &str, kind: PathEntry, fault: impl Fn() -> ContentFault) {
        let (root, below) = self.names(path);
        let scope = self.part.scope;
        for (name, place) in [(root, &mut self.at_root), (below, &mut self.below_top)] {
            if let Some(name) = name.filter(|name| visit(name, kind, scope) == Ok(Visit::Read)) {
                place.refuse(name, fault());
            }
        }
    }

    /// Takes the bytes of an entry whose path [`Self::admit`] returned.
    pub(super) fn keep(&mut self, path: &str, bytes: Vec<u8>) {
        let (root, below) = self.names(path);
        let (root, below) = (root.map(str::to_owned), below.map(str::to_owned));
        let bytes: std::sync::Arc<[u8]> = bytes.into();
        if let Some(root) = root {
            self.at_root.tree.insert(root, bytes.clone());
        }
        if let Some(below) = below {
            self.below_top.tree.insert(below, bytes);
        }
    }

    /// Returns the documents of the place where the workspace is.
    pub(super) fn choose(self) -> Result<Tree, SourceFault> {
        let Self { part, tops, at_root, below_top, .. } = self;
        let one_top = tops.len() <= 1;
        match &part.subdirectory {
            None if at_root.has_manifest() => at_root.into_tree(),
            None if one_top && below_top.has_manifest() => below_top.into_tree(),
            None => Err(at_root
                .manifest_fault
                .or(below_top.manifest_fault.filter(|_| one_top))
                .map_or_else(|| ArchiveFault::NoWorkspace.into(), SourceFault::from)),
            Some(_) if at_root.exists => at_root.into_tree(),
            Some(_) if one_top && below_top.exists => below_top.into_tree(),
            Some(path) => Err(at_root
                .manifest_fault
                .or(below_top.manifest_fault)
                .unwrap_or_else(|| ContentFault::NoDirectory { path: path.to_string() })
                .into()),
        }
    }

    /// Returns the name of `path` in a workspace at the root, and in one in a directory of the root.
    fn names<'p>(&self, path: &'p str) -> (Option<&'p str>, Option<&'p str>) {
        let subdirectory = &self.part.subdirectory;
        let within = |path: &'p str| match subdirectory {
            None => Some(path),
            Some(subdirectory) => path.strip_prefix(subdirectory.as_str())?.strip_prefix('/').or_else(|| {
                // The directory itself.
                (path == subdirectory.as_str()).then_some("")
            }),
        };
        (within(path), path.split_once('/').and_then(|(_, below)| within(below)))
    }
}

/// Returns whether a file manager made the file beside the files of a person: macOS packs `._a.toml` with the attributes
/// of `a.toml`, and directories with their looks.
fn is_of_a_file_manager(path: &str) -> bool {
    let mut parts = path.split('/');
    let name = parts.next_back().unwrap_or_default();
    name.starts_with("._") || name == ".DS_Store" || name == "__MACOSX" || parts.any(|part| part == "__MACOSX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Subdirectory;

    fn chosen(subdirectory: &str, paths: &[&str]) -> Result<Vec<String>, &'static str> {
        let part =
            WorkspacePart { subdirectory: Subdirectory::parse(subdirectory).unwrap(), ..WorkspacePart::default() };
        let mut entries = ArchiveEntries::new(&part);
        for path in paths {
            let kind = if path.ends_with('/') { PathEntry::Directory } else { PathEntry::File };
            if let Some(path) = entries.admit(path.as_bytes(), kind).map_err(|fault| fault.code())? {
                entries.keep(&path, Vec::new());
            }
        }
        let tree = entries.choose().map_err(|fault| fault.code())?;
        Ok(tree.iter().map(|(path, _)| path.to_string()).collect())
    }

    const M: &str = "rototo-workspace.toml";

    #[test]
    fn the_workspace_stands_at_the_root_or_in_its_only_directory() {
        let found = Ok(vec![M.to_owned(), "variables/a.toml".to_owned()]);
        assert_eq!(chosen("", &[M, "variables/a.toml", "docs/x.md"]), found);
        assert_eq!(chosen("", &["./", "./rototo-workspace.toml", "./variables/a.toml"]), found);
        assert_eq!(chosen("", &["r-1/", "r-1/rototo-workspace.toml", "r-1/variables/a.toml", "README"]), found);
        assert_eq!(chosen("", &["a/rototo-workspace.toml", "b/x"]), Err("no_workspace"));
        assert_eq!(chosen("", &["README"]), Err("no_workspace"));
    }

    #[test]
    fn a_subdirectory_is_relative_to_the_same_place() {
        let found = Ok(vec![M.to_owned()]);
        assert_eq!(chosen("envs/prod", &["envs/prod/rototo-workspace.toml", "envs/base/rototo-workspace.toml"]), found);
        assert_eq!(chosen("envs/prod", &["r-1/envs/prod/rototo-workspace.toml"]), found);
        assert_eq!(chosen("envs", &["envsx/rototo-workspace.toml"]), Err("no_directory"));
        assert_eq!(chosen("prod", &["a/prod/rototo-workspace.toml", "b/x"]), Err("no_directory"));
        assert_eq!(chosen("prod", &["prod/"]), Ok(Vec::new()));
    }

    #[test]
    fn paths_that_lead_out_are_refused_wherever_they_stand() {
        for path in ["/etc/passwd", "../x", "a/../../x", "docs/.."] {
            assert_eq!(chosen("", &[M, path]), Err("unsafe_path"), "{path}");
        }
        assert!(ArchiveEntries::new(&WorkspacePart::default()).admit(b"../\xff", PathEntry::File).is_err());
    }

    /// Windows packs names in the code page of the machine.
    #[test]
    fn a_name_that_is_no_text_is_refused_only_where_a_document_would_stand() {
        let fault = |paths: &[&[u8]]| {
            let part = WorkspacePart::default();
            let mut entries = ArchiveEntries::new(&part);
            for path in paths {
                if let Some(path) = entries.admit(path, PathEntry::File).unwrap() {
                    entries.keep(&path, Vec::new());
                }
            }
            entries.choose().err().map(|fault| fault.code())
        };
        assert_eq!(fault(&[b"r/rototo-workspace.toml", b"r/docs/caf\x82.md", b"r/caf\x82"]), None);
        assert_eq!(fault(&[b"r/rototo-workspace.toml", b"r/variables/caf\x82.toml"]), Some("not_utf8"));
        assert_eq!(fault(&[b"rototo-workspace.toml", b"variables/caf\x82.toml"]), Some("not_utf8"));
    }
}
