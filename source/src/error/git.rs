//! Faults of git repositories.

use std::time::Duration;

use crate::error::egress::{EgressFault, PROXY_DENIED, RefusedAddress, lookups_full};
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
    /// The host denies access to a bearer token, which may be a valid one.
    #[error(
        "the host refused the token as a bearer token: GitHub, GitLab, Bitbucket, and others take a token only as a password. \
         In a Secret, put it into `password`, with a `username`, in place of `bearerToken`; without a Secret, give it to \
         git's credential helper, or write https://NAME:TOKEN@HOST/ in the source ({0})"
    )]
    BearerRefused(String),
    /// The host does not prove its identity.
    #[error("the host's identity could not be verified: check its certificate or host key ({0})")]
    NotTrusted(String),
    /// The host redirects to another address, which is not followed.
    #[error("the host redirects to another address, which is not followed: write that address in the source ({0})")]
    Redirected(String),
    /// The repository does not exist, or is hidden from these credentials.
    #[error("there is no such repository, or these credentials may not see it ({0})")]
    NoRepository(String),
    /// The answer is none of git, such as a page to sign in.
    #[error("the host answered with something that is not git: check the address, and the credentials ({0})")]
    NotGit(String),
    /// The repository has no branch.
    #[error("the repository has no branch yet: push a first commit")]
    EmptyRepository,
    /// The repository's `HEAD` names a branch that does not exist.
    #[error("the repository's HEAD names a branch that does not exist: name a branch after `#`")]
    NoDefaultBranch,
    /// The repository names its objects with SHA-256.
    #[error("the repository names its objects with SHA-256, which is not supported: use one with SHA-1 names")]
    ObjectFormat,
    /// The repository on this machine belongs to another user, and git does not trust it.
    #[error("the repository belongs to another user of this machine: name it in git's setting `safe.directory` ({0})")]
    ForeignOwner(String),
    /// The user of this process has no name, which ssh needs.
    #[error("this process's user has no line in /etc/passwd, which ssh needs: add one to the image ({0})")]
    UnknownUser(String),
    /// The branch or tag does not exist.
    #[error("it has no branch or tag named exactly `{0}`{hint}", hint = hint(.0))]
    NoReference(GitReference),
    /// The commit does not exist, or not any more.
    #[error("the commit {0} is not in the repository (any more): the next poll of the ref finds the current one")]
    NoCommit(Commit),
    /// The commit that the source itself names does not exist. There is no ref that could name another one.
    #[error("the commit {0} is not in the repository: push it, or name another commit")]
    NoPinnedCommit(Commit),
    /// The host does not send the commit that the source itself names by its name, and everything that it has was fetched
    /// not long ago.
    #[error(
        "the host did not send the commit {0} by its name, and all of the repository is fetched only once in a while: the commit \
         is searched again within ten minutes"
    )]
    NotSearched(Commit),
    /// The ref is a tag of a directory or a file.
    #[error("`{0}` names no commit, but a directory or a file: name a branch, or a tag of a commit")]
    NotACommit(GitReference),
    /// The transfer exceeds the limit.
    #[error("the transfer is larger than {limit} bytes: keep workspaces in a small repository")]
    TransferTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A git process needed more memory than it may have.
    #[error("git needed more than {limit} bytes of memory: an object or the listing of refs is too large")]
    OutOfMemory {
        /// The limit.
        limit: u64,
    },
    /// The listing of refs exceeds the limit.
    #[error(
        "the listing of its refs is larger than {limit} bytes: delete old branches and tags, or use a smaller repository"
    )]
    TooManyReferences {
        /// The limit.
        limit: u64,
    },
    /// No source may have the address of the host.
    #[error("{0}")]
    AddressRefused(RefusedAddress),
    /// The name of the host was not looked up, because too many lookups are under way. It says nothing about that host.
    #[error("{}", lookups_full(.0))]
    LookupsFull(String),
    /// The host, or the way to it, is down.
    #[error("the host could not be reached ({0})")]
    Unreachable(String),
    /// The host failed, or the connection broke, during the transfer.
    #[error("the host failed, or the connection to it broke ({0})")]
    Interrupted(String),
    /// The host asks for a wait.
    #[error("the host is overloaded and asks for a later request ({0})")]
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
    match text.len() {
        length if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || length < 7 => "",
        ..40 => "; a commit is written with all its 40 digits",
        64 => "; commits with names of 64 digits (SHA-256) are not supported",
        _ => "",
    }
}

impl From<EgressFault> for GitFault {
    fn from(fault: EgressFault) -> Self {
        match fault {
            EgressFault::Refused(refused) => Self::AddressRefused(refused),
            EgressFault::Unreachable(reason) => Self::Unreachable(reason),
            EgressFault::LookupsFull(host) => Self::LookupsFull(host),
            EgressFault::ProxyDenied => Self::AccessDenied(PROXY_DENIED.to_owned()),
        }
    }
}

impl GitFault {
    /// Returns the fault of a commit that is not there. `reference` is where it was found.
    pub(crate) fn no_commit(commit: &Commit, reference: &GitReference) -> Self {
        match reference {
            GitReference::Commit(_) => Self::NoPinnedCommit(commit.clone()),
            GitReference::Default | GitReference::Name(_) => Self::NoCommit(commit.clone()),
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::NoCommit(_)
            | Self::NotSearched(_)
            | Self::LookupsFull(_)
            | Self::Unreachable(_)
            | Self::Interrupted(_)
            | Self::Throttled(_)
            | Self::LeftAlone
            | Self::KeptCopy(_)
            | Self::Other(_) => true,
            Self::NoGit
            | Self::UnusableCredentials(_)
            | Self::AccessDenied(_)
            | Self::BearerRefused(_)
            | Self::NotTrusted(_)
            | Self::Redirected(_)
            | Self::NoRepository(_)
            | Self::NotGit(_)
            | Self::EmptyRepository
            | Self::NoDefaultBranch
            | Self::ObjectFormat
            | Self::ForeignOwner(_)
            | Self::UnknownUser(_)
            | Self::NoReference(_)
            | Self::NoPinnedCommit(_)
            | Self::NotACommit(_)
            | Self::OutOfMemory { .. }
            | Self::TooManyReferences { .. }
            | Self::AddressRefused(_)
            | Self::TransferTooLarge { .. } => false,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoGit => "no_git",
            Self::TimedOut(_) => "git_timed_out",
            Self::UnusableCredentials(_) => "credentials_unusable",
            Self::AccessDenied(_) | Self::BearerRefused(_) => "access_denied",
            Self::NotTrusted(_) => "host_not_trusted",
            Self::Redirected(_) => "redirected",
            Self::NoRepository(_) => "no_repository",
            Self::NotGit(_) => "not_git",
            Self::EmptyRepository => "empty_repository",
            Self::NoDefaultBranch => "no_default_branch",
            Self::ObjectFormat => "object_format",
            Self::ForeignOwner(_) => "foreign_owner",
            Self::UnknownUser(_) => "unknown_user",
            Self::NoReference(_) => "no_reference",
            Self::OutOfMemory { .. } => "git_out_of_memory",
            Self::TooManyReferences { .. } => "too_many_references",
            Self::NoCommit(_) | Self::NoPinnedCommit(_) | Self::NotSearched(_) => "no_commit",
            Self::NotACommit(_) => "not_a_commit",
            Self::TransferTooLarge { .. } => "transfer_too_large",
            Self::AddressRefused(_) => "address_refused",
            Self::LookupsFull(_) => "lookups_full",
            Self::Unreachable(_) => "unreachable",
            Self::Interrupted(_) => "interrupted",
            Self::Throttled(_) => "throttled",
            Self::LeftAlone => "host_left_alone",
            Self::KeptCopy(_) => "kept_copy_damaged",
            Self::Other(_) => "git_failed",
        }
    }
}
