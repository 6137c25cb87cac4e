//! The reasons why a poll fails, with their codes, and whether a later poll may succeed.

use std::time::Duration;

use rototo_api::condition::reason;
use rototo_engine::Digest;
use rototo_source::{InvalidSource, SignaturePolicy, SourceError, SourceFault, StoreError};

use crate::source::credentials::SecretError;
use crate::source::disk::DiskFull;

/// The reason why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The text of the spec names no source.
    #[error("spec.source: {0}")]
    Invalid(InvalidSource),
    /// The Secret that opens it can't be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source lacks a signature that this policy asks for.
    #[error("{error}")]
    Unverified {
        /// The fault.
        #[source]
        error: Box<SourceError>,
        /// The digest of the policy.
        policy: Digest,
    },
    /// The source did not answer in the time that the spec gives it.
    #[error("the source did not answer within {0:?} (spec.timeout)")]
    TimedOut(Duration),
    /// The poll still waited for a turn at the end of the time that the spec gives it.
    #[error("the poll waited for its turn among {0} until {1:?} had passed since its beginning (spec.timeout)")]
    WaitedForTurn(&'static str, Duration),
    /// Lint, which runs the custom rules, did not end in the time that the spec gives the poll.
    #[error("lint, which runs the custom rules, did not end within {0:?} of the beginning of the poll (spec.timeout)")]
    LintTimedOut(Duration),
    /// The tests of the workspace did not end in the time that the spec gives the poll.
    #[error("the tests of the workspace did not end within {0:?} of the beginning of the poll (spec.timeout)")]
    TestsTimedOut(Duration),
    /// The source is slow, and others waited for its place.
    #[error(
        "the source had not answered after {0:?}, and others waited for its place among the polls (--polls, limits.polls), or \
         among large workspaces; it is read again once one of the places for slow sources is free"
    )]
    Displaced(Duration),
    /// Too many polls wait for a turn.
    #[error("too many {0} wait for a turn, in this namespace or in all namespaces together; the operator tries again")]
    Crowded(&'static str),
    /// The namespace has used up its share of the disk.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// The namespace has too many workspaces.
    #[error(
        "this namespace has more than {0} RototoWorkspaces, and this one is younger than those: the operator does not read \
         its source (--workspaces-per-namespace, limits.workspacesPerNamespace); remove others, or raise the limit"
    )]
    TooManyWorkspaces(usize),
    /// The snapshot could not be written.
    #[error("the snapshot could not be kept: {0}")]
    Store(#[from] StoreError),
    /// The work was ended from outside, as when the process ends.
    #[error("the poll of the source was interrupted")]
    Interrupted,
}

impl PollError {
    /// Notes the policy by which signatures were verified.
    pub(super) fn verified_by(self, policy: Option<&SignaturePolicy>) -> Self {
        match (self, policy) {
            (Self::Source(error), Some(policy)) if matches!(root(&error), SourceFault::Signature(_)) => {
                Self::Unverified { error: Box::new(error), policy: policy.digest() }
            }
            (other, _) => other,
        }
    }

    /// Returns the fault for which the source could not be read, below the layers through which it was found.
    pub(super) fn fault(&self) -> Option<&SourceFault> {
        match self {
            Self::Source(error) => Some(root(error)),
            Self::Unverified { error, .. } => Some(root(error)),
            _ => None,
        }
    }

    /// Returns a code for the failure, for metrics and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_source",
            Self::Secret(_) => "secret_unusable",
            Self::Source(error) => error.code(),
            Self::Unverified { error, .. } => error.code(),
            Self::TimedOut(_) => "timed_out",
            Self::WaitedForTurn(..) => "turn_timed_out",
            Self::LintTimedOut(_) => "lint_timed_out",
            Self::TestsTimedOut(_) => "tests_timed_out",
            Self::Crowded(_) => "crowded",
            Self::Displaced(_) => "slow_source",
            Self::DiskFull(full) => full.code(),
            Self::TooManyWorkspaces(_) => "workspaces_of_namespace",
            Self::Store(_) => "snapshot_not_kept",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the reason that `SourceReady` has.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Secret(SecretError::Forbidden { .. } | SecretError::OtherHost { .. }) => reason::SECRET_FORBIDDEN,
            Self::Source(error) if matches!(error.fault(), SourceFault::Signature(_)) => reason::SIGNATURE_INVALID,
            Self::Unverified { error, .. } if matches!(error.fault(), SourceFault::Signature(_)) => {
                reason::SIGNATURE_INVALID
            }
            Self::DiskFull(_) | Self::TooManyWorkspaces(_) | Self::Displaced(_) => reason::LIMIT_REACHED,
            _ if self.is_transient() => reason::SOURCE_UNAVAILABLE,
            _ => reason::SOURCE_REFUSED,
        }
    }

    /// Returns the time that the host asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Source(error) => error.retry_after(),
            Self::Unverified { error, .. } => error.retry_after(),
            _ => None,
        }
    }

    /// Returns whether the same poll may succeed later without a change of the spec.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::Source(error) => error.is_transient(),
            Self::Unverified { error, .. } => error.is_transient(),
            // A Secret that is created or mended does not change the spec.
            Self::Secret(_)
            | Self::TimedOut(_)
            | Self::WaitedForTurn(..)
            | Self::LintTimedOut(_)
            | Self::TestsTimedOut(_)
            | Self::Displaced(_)
            | Self::Crowded(_)
            | Self::DiskFull(_)
            | Self::TooManyWorkspaces(_)
            | Self::Store(_)
            | Self::Interrupted => true,
        }
    }
}

/// Returns the fault of a source, below the layers through which it was found.
fn root(error: &SourceError) -> &SourceFault {
    let mut fault = error.fault();
    while let SourceFault::Parent { fault: parent, .. } = fault {
        fault = parent;
    }
    fault
}
