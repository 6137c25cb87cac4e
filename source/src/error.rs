//! What can go wrong between a source and its files: which operation failed, on which source, and whether trying again
//! helps. No message carries a secret: addresses are shown without user, password, and query.

use std::time::Duration;

use crate::reference::{Commit, GitReference};
use crate::spec::InvalidSource;

/// A source that could not be pinned or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {at} failed: {fault}")]
pub struct SourceError {
    operation: Operation,
    at: String,
    fault: Fault,
    retry_after: Option<Duration>,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Prepare,
    Pin,
    Fetch,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "making the cache directory",
            Self::Pin => "finding the commit of",
            Self::Fetch => "reading",
        })
    }
}

impl SourceError {
    pub(crate) fn new(operation: Operation, at: &impl ToString, fault: impl Into<Fault>) -> Self {
        Self { operation, at: at.to_string(), fault: fault.into(), retry_after: None }
    }

    /// The same, of a host that is left alone for so long.
    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// The source, as it may be shown.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether the same request may succeed later although nobody changes the source, its content, or the settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    /// How long there is no use in trying again, where that is known: the host said so, or it has failed too often.
    /// Meanwhile it is not asked.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// A short name of the fault, for conditions, metrics, and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }
}

/// What went wrong, apart from where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A path of this machine, where only addresses are allowed.
    #[error("sources on this machine's disk are switched off: the operator reads them only with --allow-file-sources")]
    FileSourcesOff,
    /// A `kubernetes://` source.
    #[error("a kubernetes source is followed by a running process and has no files to read")]
    Followed,
    /// The disk of this machine failed, or does not let us.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: String,
        /// The words of the operating system.
        error: String,
    },
    /// What the source holds is refused.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// Git did not deliver.
    #[error(transparent)]
    Git(#[from] GitFault),
    /// An archive could not be had.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// What the workspace extends can't be followed.
    #[error(transparent)]
    Layers(#[from] LayerFault),
    /// A workspace that it extends could not be read.
    #[error("it extends {at}, and {fault}")]
    Parent {
        /// The source of the parent, as it may be shown.
        at: String,
        /// What is wrong with that.
        fault: Box<Fault>,
    },
}

impl Fault {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Git(fault) => fault.is_transient(),
            Self::Archive(fault) => fault.is_transient(),
            Self::Parent { fault, .. } => fault.is_transient(),
            Self::Disk { .. } => true,
            Self::Content(_) | Self::Layers(_) | Self::FileSourcesOff | Self::Followed => false,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::FileSourcesOff => "file_sources_off",
            Self::Followed => "not_readable",
            Self::Disk { .. } => "disk_failed",
            Self::Content(fault) => fault.code(),
            Self::Git(fault) => fault.code(),
            Self::Archive(fault) => fault.code(),
            Self::Layers(fault) => fault.code(),
            Self::Parent { fault, .. } => fault.code(),
        }
    }
}

/// Why what a workspace extends can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerFault {
    /// An entry of `extends` that can't be one.
    #[error("entry {number} of `extends` is no source: {reason}")]
    NoSource {
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: InvalidSource,
    },
    /// A parent outside of what was fetched.
    #[error("it extends `{0}`, which leaves the source: name a directory of the same source, or an address")]
    Leaves(String),
    /// A `kubernetes://` parent.
    #[error("it extends {0}, which has no files: name the source that is published there")]
    Followed(String),
    /// A workspace below itself.
    #[error("it extends itself: {0}")]
    Cycle(String),
    /// More than anybody can follow.
    #[error("it consists of more than {limit} layers")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl LayerFault {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSource { .. } => "extends_no_source",
            Self::Leaves(_) => "extends_leaves_source",
            Self::Followed(_) => "not_readable",
            Self::Cycle(_) => "extends_itself",
            Self::TooMany { .. } => "too_many_layers",
        }
    }
}

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
    #[error("its documents are larger than {limit} bytes together")]
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

/// Why an archive could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// This build has no HTTP client.
    #[error("archives are left out of this build: the feature `archives` of rototo-source reads them")]
    NotBuilt,
    /// Credentials for something else.
    #[error(
        "the credentials do not open it: https wants username + password, bearerToken, ca.crt, or tls.crt + tls.key"
    )]
    UnusableCredentials,
    /// Certificates that are none.
    #[error("the certificates among the credentials can't be used: {0}")]
    UnusableCertificates(String),
    /// The server does not let us in.
    #[error("the host refused access: check the credentials, and that they may read this archive ({0})")]
    AccessDenied(String),
    /// The server does not prove who it is.
    #[error("the host's identity could not be verified: check its certificate ({0})")]
    NotTrusted(String),
    /// There is no such file.
    #[error("there is no such archive, or these credentials may not see it (it answered {0})")]
    NotThere(u16),
    /// An answer that means nothing to us.
    #[error("the host answered {0}, which is not an archive")]
    Status(u16),
    /// The server points to where we don't go.
    #[error("the host redirects {0}, which is not followed: write the address of the archive itself")]
    Redirected(&'static str),
    /// More than allowed.
    #[error("the archive is larger than {limit} bytes: pack the workspace alone")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The server is not there, or the way to it isn't.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The server failed, or the connection did, in the middle.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The server wants to be left alone.
    #[error("the host has too much to do and wants to be asked later ({0})")]
    Throttled(String),
    /// The server failed for another workspace a moment ago.
    #[error("the host failed a moment ago, and is left alone for a while")]
    LeftAlone,
    /// It took too long.
    #[error("the host took longer than {} s and was given up", .0.as_secs_f32())]
    TimedOut(Duration),
    /// It is another one by now.
    #[error("the archive has changed meanwhile: it heals itself once it is looked up again")]
    Changed,
    /// The disk of this machine failed.
    #[error("the archive could not be kept while it is read: {0}")]
    NotKept(String),
    /// No archive, or a broken one.
    #[error("the archive is damaged, or packed in another way than its name says: {0}")]
    Damaged(String),
    /// No manifest where one could be.
    #[error(
        "there is no rototo-workspace.toml at the root of the archive or in its only directory: name the directory \
         after `#:`"
    )]
    NoWorkspace,
}

impl ArchiveFault {
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Interrupted(_)
            | Self::Throttled(_)
            | Self::LeftAlone
            | Self::TimedOut(_)
            | Self::Changed
            | Self::NotKept(_) => true,
            Self::NotBuilt
            | Self::UnusableCredentials
            | Self::UnusableCertificates(_)
            | Self::AccessDenied(_)
            | Self::NotTrusted(_)
            | Self::NotThere(_)
            | Self::Status(_)
            | Self::Redirected(_)
            | Self::TooLarge { .. }
            | Self::Damaged(_)
            | Self::NoWorkspace => false,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotBuilt => "archives_not_built",
            Self::UnusableCredentials | Self::UnusableCertificates(_) => "credentials_unusable",
            Self::AccessDenied(_) => "access_denied",
            Self::NotTrusted(_) => "host_not_trusted",
            Self::NotThere(_) => "no_archive",
            Self::Status(_) => "unexpected_answer",
            Self::Redirected(_) => "redirected",
            Self::TooLarge { .. } => "transfer_too_large",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::TimedOut(_) => "http_timed_out",
            Self::Changed => "archive_changed",
            Self::NotKept(_) => "disk_failed",
            Self::Damaged(_) => "archive_damaged",
            Self::NoWorkspace => "no_workspace",
        }
    }
}

/// Why git did not deliver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitFault {
    /// No git on this machine.
    #[error("the program `git` is not installed or not on PATH")]
    NoGit,
    /// It took too long and was ended.
    #[error("git took longer than {} s and was stopped", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The credentials that came along are of another kind.
    #[error("the credentials do not open it: {0}")]
    UnusableCredentials(&'static str),
    /// The host does not let us in.
    #[error("the host refused access: check the credentials, and that they may read this repository ({0})")]
    AccessDenied(String),
    /// The host does not prove who it is.
    #[error("the host's identity could not be verified: check its certificate or host key ({0})")]
    NotTrusted(String),
    /// The host points elsewhere, to where we don't go.
    #[error("the host redirects to another address, which is not followed: write that address in the source ({0})")]
    Redirected(String),
    /// There is no such repository, or it is hidden from us.
    #[error("there is no such repository, or these credentials may not see it ({0})")]
    NoRepository(String),
    /// There is no such branch or tag.
    #[error("it has no branch or tag named exactly `{0}`{hint}", hint = hint(.0))]
    NoReference(GitReference),
    /// The commit is not there, or not any more.
    #[error("the commit {0} is not there (any more): it heals itself once the ref is looked up again")]
    NoCommit(Commit),
    /// The transfer exceeds the limit.
    #[error("the transfer is larger than {limit} bytes: keep workspaces in a small repository")]
    TransferTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The host is not there, or the way to it isn't.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The host failed, or the connection did, in the middle.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The host wants to be left alone.
    #[error("the host has too much to do and wants to be asked later ({0})")]
    Throttled(String),
    /// The host failed for another workspace a moment ago.
    #[error("the host failed a moment ago, and is left alone for a while")]
    LeftAlone,
    /// The kept copy on this machine's disk is damaged. It is thrown away.
    #[error("the kept copy of the repository is not usable ({0})")]
    KeptCopy(String),
    /// Anything else, in git's words.
    #[error("git says: {0}")]
    Other(String),
}

fn hint(reference: &GitReference) -> &'static str {
    let text = reference.to_string();
    if (7..40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "; a commit is written with all its 40 digits"
    } else {
        ""
    }
}

impl GitFault {
    fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::NoCommit(_)
            | Self::Unreachable(_)
            | Self::Interrupted(_)
            | Self::Throttled(_)
            | Self::LeftAlone
            | Self::KeptCopy(_)
            | Self::Other(_) => true,
            Self::NoGit
            | Self::UnusableCredentials(_)
            | Self::AccessDenied(_)
            | Self::NotTrusted(_)
            | Self::Redirected(_)
            | Self::NoRepository(_)
            | Self::NoReference(_)
            | Self::TransferTooLarge { .. } => false,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoGit => "no_git",
            Self::TimedOut(_) => "git_timed_out",
            Self::UnusableCredentials(_) => "credentials_unusable",
            Self::AccessDenied(_) => "access_denied",
            Self::NotTrusted(_) => "host_not_trusted",
            Self::Redirected(_) => "redirected",
            Self::NoRepository(_) => "no_repository",
            Self::NoReference(_) => "no_reference",
            Self::NoCommit(_) => "no_commit",
            Self::TransferTooLarge { .. } => "transfer_too_large",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::KeptCopy(_) => "kept_copy_damaged",
            Self::Other(_) => "git_failed",
        }
    }
}
