//! Why git did not deliver.

use std::time::Duration;

use crate::spec::{Commit, GitReference};

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
    pub(super) fn is_transient(&self) -> bool {
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

    pub(crate) fn code(&self) -> &'static str {
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
