//! Decides which entries of a source are read: the documents, and the directories that hold them.

use rototo_engine::DocumentKind;
use rototo_engine::tree::{PathKind, is_test, resembles_directory};

use crate::error::ContentFault;

/// An entry of a source, in terms that every kind of source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathEntry {
    File,
    Directory,
    Link,
    /// A device, a pipe, a socket, a submodule.
    Special,
}

impl PathEntry {
    /// Returns the kind of the path for the engine, which takes note of skipped entries.
    pub(crate) fn kind(self) -> PathKind {
        match self {
            Self::Directory => PathKind::Directory,
            Self::File | Self::Link | Self::Special => PathKind::File,
        }
    }
}

/// The files of a workspace that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum ReadScope {
    /// The documents.
    #[default]
    Documents,
    /// The documents, and the tests beside them.
    WithTests,
}

/// The decision on an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A document.
    Read,
    /// A directory of documents.
    Descend,
    /// A directory whose author may have meant it for documents. The tree [notes](rototo_engine::Tree::notice) some of
    /// its [files](crate::limits::HINT_ENTRIES) and reads none.
    Peek,
    /// Anything else, of which the tree takes note.
    Skip,
}

/// Decides on the entry at `path`, which is relative to the workspace. A link, or anything else that is not a plain file,
/// is ignored unless it takes the place of a document.
pub(crate) fn visit(path: &str, entry: PathEntry, scope: ReadScope) -> Result<Visit, ContentFault> {
    let reads_tests = scope == ReadScope::WithTests;
    let is_document = DocumentKind::at(path).is_some() || reads_tests && is_test(path);
    let holds_documents = |path: &str| DocumentKind::is_any_in(path) || reads_tests && path == "tests";
    let fault = |what| ContentFault::NotAFile { path: path.to_owned(), what };
    match entry {
        PathEntry::File if is_document => Ok(Visit::Read),
        PathEntry::Directory if holds_documents(path) => Ok(Visit::Descend),
        // A test whose name differs is reported even where no test is read.
        PathEntry::Directory if resembles_directory(path) || path == "tests" => Ok(Visit::Peek),
        PathEntry::Directory if is_document => Err(fault("a directory")),
        PathEntry::Link if is_document || holds_documents(path) => Err(fault("a link")),
        PathEntry::Special if is_document || holds_documents(path) => {
            Err(fault("no plain file (a submodule, a device, or a pipe)"))
        }
        PathEntry::File | PathEntry::Directory | PathEntry::Link | PathEntry::Special => Ok(Visit::Skip),
    }
}

/// Returns whether a directory is [peeked](Visit::Peek) into after all others: it may have very many files, and no variable
/// is lost with them.
pub(crate) fn is_peeked_last(path: &str) -> bool {
    path.eq_ignore_ascii_case("tests")
}

/// Returns the path of `name` in `directory`, where the workspace itself is the empty path.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_their_directories_are_visited_and_others_are_not() {
        for directory in ["variables", "qualifiers", "resources", "resources/a-objects", "schemas", "lint"] {
            assert_eq!(visit(directory, PathEntry::Directory, ReadScope::Documents), Ok(Visit::Descend), "{directory}");
        }
        for directory in ["Variables", "qualifer", "schema"] {
            assert_eq!(visit(directory, PathEntry::Directory, ReadScope::Documents), Ok(Visit::Peek), "{directory}");
            assert_eq!(
                visit(&format!("{directory}/a.toml"), PathEntry::File, ReadScope::Documents),
                Ok(Visit::Skip),
                "{directory}"
            );
        }
        for directory in [".git", "docs", "variables/nested", "resources/a", "resources/a-objects/b", "schemas/x"] {
            assert_eq!(visit(directory, PathEntry::Directory, ReadScope::Documents), Ok(Visit::Skip), "{directory}");
        }
        assert_eq!(visit("rototo-workspace.toml", PathEntry::File, ReadScope::Documents), Ok(Visit::Read));
        assert_eq!(visit("variables/README.md", PathEntry::File, ReadScope::Documents), Ok(Visit::Skip));
    }

    #[test]
    fn tests_are_read_where_they_are_asked_for() {
        let visited = |path: &str, entry| {
            [ReadScope::Documents, ReadScope::WithTests].map(|scope| visit(path, entry, scope).ok())
        };
        let skipped = Some(Visit::Skip);
        assert_eq!(visited("tests", PathEntry::Directory), [Some(Visit::Peek), Some(Visit::Descend)]);
        assert_eq!(visited("tests/a.toml", PathEntry::File), [skipped, Some(Visit::Read)]);
        assert_eq!(visited("tests/a.toml", PathEntry::Link), [skipped, None]);
        for path in ["tests/fixtures", "variables/tests", "tests/a.rs"] {
            assert_eq!(visited(path, PathEntry::Directory), [skipped, skipped], "{path}");
        }
    }

    #[test]
    fn links_are_refused_only_where_a_document_would_stand() {
        for path in ["rototo-workspace.toml", "variables", "variables/a.toml", "resources/a-objects"] {
            assert!(visit(path, PathEntry::Link, ReadScope::Documents).is_err(), "{path}");
            assert!(visit(path, PathEntry::Special, ReadScope::Documents).is_err(), "{path}");
        }
        for path in ["variables/._a.toml", "._rototo-workspace.toml", ".DS_Store", "__MACOSX/a/variables/b.toml"] {
            assert_eq!(visit(path, PathEntry::File, ReadScope::Documents), Ok(Visit::Skip), "{path}");
        }
        for path in ["README.md", "variables/a.md", "docs"] {
            assert_eq!(visit(path, PathEntry::Link, ReadScope::Documents), Ok(Visit::Skip), "{path}");
        }
        assert!(visit("variables/a.toml", PathEntry::Directory, ReadScope::Documents).is_err());
    }
}
