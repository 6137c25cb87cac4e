//! Faults of the content of a source, of any kind of source.

/// Content that a source must not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// The directories of documents have too many entries.
    #[error("it has more than {limit} entries in the directories of its documents")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// The listings of the directories of documents are too large.
    #[error(
        "the listings of its directories are larger than {limit} bytes together: use fewer directories of resource \
         objects, or shorter names"
    )]
    ListingsTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The documents together are too large.
    #[error("its documents are larger than {limit} bytes together: keep what is no configuration elsewhere")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A document is a link, a device, or a directory.
    #[error("`{path}` is {what}: a document is a plain file, and links are not followed{}", instead_of(what))]
    NotAFile {
        /// The path in the workspace.
        path: String,
        /// The kind of the entry.
        what: &'static str,
    },
    /// An object of a git repository is not what the directory above it says, or is not written as git writes one.
    #[error("`{path}` is garbled in the repository: `git fsck` tells more")]
    Garbled {
        /// The path in the workspace, or the name of the object.
        path: String,
    },
    /// A name is not text.
    #[error("`{path}` has a name that is not UTF-8: rename it")]
    NotUtf8 {
        /// The path in the workspace, with replacement characters.
        path: String,
    },
    /// An entry of an archive points out of it.
    #[error("`{path}` is absolute or climbs: an archive holds only what stands below its root")]
    Unsafe {
        /// The path in the archive.
        path: String,
    },
    /// A document of an archive has `\` in its name in place of `/`.
    #[error("`{path}` is packed with backslashes as separators, so it is in no directory: pack the archive with `/`")]
    Backslashes {
        /// The path in the archive.
        path: String,
    },
    /// The source has no such directory.
    #[error("there is no directory `{path}` in it{}", separators(path))]
    NoDirectory {
        /// The directory.
        path: String,
    },
    /// The directory of a repository is a link or a submodule.
    #[error("`{path}` is {what}, and links and submodules are not followed: name the directory that it leads to")]
    LinkedDirectory {
        /// The directory.
        path: String,
        /// The kind of the entry.
        what: &'static str,
    },
    /// There is no such directory on this machine.
    #[error("`{path}` {what}{}", separators(path))]
    NoLocalDirectory {
        /// The directory.
        path: String,
        /// The rest of the sentence.
        what: &'static str,
    },
}

/// Returns the remedy for a path that has the separators of Windows.
fn separators(path: &str) -> &'static str {
    if path.contains('\\') { ": write `/` in place of `\\`" } else { "" }
}

/// Returns the way to what people make links for.
fn instead_of(what: &str) -> &'static str {
    if what == "a link" { "; documents that workspaces share belong in a layer, which `extends` names" } else { "" }
}

impl ContentFault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "unsafe_path",
            Self::Backslashes { .. } => "backslashes",
            Self::TooManyEntries { .. } => "too_many_entries",
            Self::ListingsTooLarge { .. } => "listings_too_large",
            Self::TooLarge { .. } => "too_large",
            Self::NotAFile { .. } => "not_a_file",
            Self::Garbled { .. } => "garbled",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NoDirectory { .. } | Self::LinkedDirectory { .. } | Self::NoLocalDirectory { .. } => "no_directory",
        }
    }
}
