//! What a source holds and may not, whatever kind of source it is.

/// What a source holds and may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// The directories that hold documents have too many entries.
    #[error("it has more than {limit} entries in the directories of its documents")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// The documents are too large together.
    #[error("its documents are larger than {limit} bytes together: keep what is no configuration elsewhere")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A link, device, or directory where a document would stand.
    #[error("`{path}` is {what}: a document is a plain file, and links are not followed")]
    NotAFile {
        /// The path in the workspace.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A name that is no text.
    #[error("`{path}` has a name that is not UTF-8: rename it")]
    NotUtf8 {
        /// The path in the workspace, with replacement characters.
        path: String,
    },
    /// An entry of an archive that points out of it.
    #[error("`{path}` is absolute or climbs: an archive holds only what stands below its root")]
    Unsafe {
        /// The path in the archive.
        path: String,
    },
    /// The directory is not there.
    #[error("there is no directory `{path}` in it (links and submodules are not followed)")]
    NoDirectory {
        /// The directory.
        path: String,
    },
}

impl ContentFault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "unsafe_path",
            Self::TooManyEntries { .. } => "too_many_entries",
            Self::TooLarge { .. } => "too_large",
            Self::NotAFile { .. } => "not_a_file",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NoDirectory { .. } => "no_directory",
        }
    }
}
