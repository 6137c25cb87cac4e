//! Faults of git repositories.

use std::time::Duration;

use crate::error::egress::{EgressFault, RefusedAddress};
use crate::spec::{Commit, GitReference};

/// A failure to read a git repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitFault {
    /// This machine has no git.
    #[error("the program `git` is not installed or not on PATH")]
    NoGit,
    /// The run exceeded its time limit and was ended.
    #[error("git took longer than {} s and was stopped", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The credentials are for another kind of source.
    #[error("the credentials do not open it: {0}")]
    UnusableCredentials(&'static str),
    /// The host denies access.
    #[error("the host refused access: check the credentials, and that they may read this repository ({0})")]
    AccessDenied(String),
    /// The host does not prove its identity.
    #[error("the host's identity could not be verified: check its certificate or host key ({0})")]
    NotTrusted(String),
    /// The host redirects to another address, which is not followed.
    #[error("the host redirects to another address, which is not followed: write that address in the source ({0})")]
    Redirected(String),
    /// The repository does not exist, or is hidden from these credentials.
    #[error("there is no such repository, or these credentials may not see it ({0})")]
    NoRepository(String),
    /// The branch or tag does not exist.
    #[error("it has no branch or tag named exactly `{0}`{hint}", hint = hint(.0))]
    NoReference(GitReference),
    /// The commit does not exist, or not any more.
    #[error("the commit {0} is not in the repository (any more): the next poll of the ref finds the current one")]
    NoCommit(Commit),
    /// The transfer exceeds the limit.
    #[error("the transfer is larger than {limit} bytes: keep workspaces in a small repository")]
    TransferTooLarge {
        /// The limit.
        limit: u64,
    },
    /// No source may have the address of the host.
    #[error("{0}")]
    AddressRefused(RefusedAddress),
    /// The host, or the way to it, is down.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The host failed, or the connection broke, during the transfer.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The host asks for a wait.
    #[error("the host has too much to do and wants to be asked later ({0})")]
    Throttled(String),
    /// The host failed for another workspace a moment ago, and its backoff is not over.
    #[error("the host failed a moment ago, and no request is sent to it until its backoff is over")]
    LeftAlone,
    /// The cached repository on this machine's disk is damaged. It is removed.
    #[error("the kept copy of the repository is not usable ({0})")]
    KeptCopy(String),
    /// Any other failure, in git's words.
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

impl From<EgressFault> for GitFault {
    fn from(fault: EgressFault) -> Self {
        match fault {
            EgressFault::Refused(refused) => Self::AddressRefused(refused),
            EgressFault::Unreachable(reason) => Self::Unreachable(reason),
            EgressFault::ProxyDenied => Self::AccessDenied("the proxy asks who we are".to_owned()),
        }
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
            | Self::AddressRefused(_)
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
            Self::AddressRefused(_) => "address_refused",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::KeptCopy(_) => "kept_copy_damaged",
            Self::Other(_) => "git_failed",
        }
    }
}
