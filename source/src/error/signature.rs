//! Faults of signatures.

use std::fmt;

use crate::spec::Commit;

/// The object whose signature is missing, or does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UntrustedObject {
    /// A commit.
    Commit(Commit),
    /// The tag object of this name.
    Tag(String),
}

impl fmt::Display for UntrustedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "the commit {commit}"),
            Self::Tag(name) => write!(f, "the tag `{name}`"),
        }
    }
}

/// The reason why a source does not count as signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is no signature.
    #[error(
        "{0} is not signed, and spec.verify asks for a signature: sign it, or publish an older one again by `git revert`"
    )]
    Unsigned(UntrustedObject),
    /// There is a signature, and it does not count.
    #[error(
        "{object} has no valid signature of a trusted signer ({reason}): sign it with a key in the Secret of spec.verify, or add the signer"
    )]
    NotTrusted {
        /// The commit or tag.
        object: UntrustedObject,
        /// The words of the program that verifies.
        reason: String,
    },
    /// The source names no annotated tag.
    #[error(
        "`{0}` is no annotated tag, and spec.verify asks for a signed one: name a tag that was made with `git tag -s`"
    )]
    NoTag(String),
    /// A branch has the name of the tag, and the source means the branch.
    #[error("`{0}` is both a branch and a tag, and the branch comes first: write `refs/tags/{0}` in the source")]
    Ambiguous(String),
    /// The tag object was made for another name.
    #[error("the tag `{asked}` is the signed tag object of `{signed}`: somebody moved a signature to another name")]
    OtherTag {
        /// The name in the source.
        asked: String,
        /// The name in the signed object.
        signed: String,
    },
    /// The layers of the source are not known, because it was only pinned.
    #[error("its layers are not known before it has been read, and every layer has to be signed")]
    NotRead,
    /// The source has no commits.
    #[error("it has no signatures: spec.verify works with git sources alone")]
    NoGit,
}

impl SignatureFault {
    #[expect(clippy::unused_self, reason = "all of them are one fault for metrics and conditions")]
    pub(super) fn code(&self) -> &'static str {
        "signature_invalid"
    }
}
