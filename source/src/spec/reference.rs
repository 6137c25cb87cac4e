//! The reference to a commit of a repository, by a branch or tag that moves or by its name; and the revision that
//! results.

use std::fmt;
use std::str::FromStr;

/// The reference after `#` in a git source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GitReference {
    /// No reference, which means the commit of the repository's `HEAD`.
    Default,
    /// A branch or a tag, by its short name, or any ref by its full name (`refs/…`).
    Name(String),
    /// One commit, by all 40 digits. It never changes, so no request is needed.
    Commit(Commit),
}

/// The longest name of a ref, in bytes. Git keeps a ref as a file, and file systems allow no longer names.
const MAX_BYTES: usize = 255;

/// A name that git does not allow for a ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// The name would be an option to the git program.
    #[error("the ref `{0}` begins with `-`: no ref does")]
    LeadingDash(String),
    /// The name is longer than a ref may be. It has the first characters.
    #[error("the ref `{0}…` is longer than {MAX_BYTES} bytes")]
    TooLong(String),
    /// The name violates git's own rules.
    #[error("`{0}` is not a valid name of a branch or tag")]
    Malformed(String),
}

impl FromStr for GitReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.is_empty() || text == "HEAD" {
            return Ok(Self::Default);
        }
        if text.len() > MAX_BYTES {
            return Err(InvalidReference::TooLong(text.chars().take(32).collect()));
        }
        if text.starts_with('-') {
            return Err(InvalidReference::LeadingDash(text.to_owned()));
        }
        if let Ok(commit) = text.parse() {
            return Ok(Self::Commit(commit));
        }
        if !is_ref_name(text) {
            return Err(InvalidReference::Malformed(text.to_owned()));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// Returns whether git takes this as the name of a ref, by the rules of `git check-ref-format`. They also exclude the
/// characters that `git ls-remote` takes for patterns.
fn is_ref_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let good_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name != "@"
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(good_part)
}

impl fmt::Display for GitReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("HEAD"),
            Self::Name(name) => f.write_str(name),
            Self::Commit(commit) => commit.fmt(f),
        }
    }
}

/// The full name of a commit: 40 hexadecimal digits, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(String);

impl Commit {
    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not 40 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a commit: write all 40 digits of it")]
pub struct InvalidCommit(String);

impl FromStr for Commit {
    type Err = InvalidCommit;

    fn from_str(text: &str) -> Result<Self, InvalidCommit> {
        if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidCommit(text.to_owned()))
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ref and the commit that it named at one time: `<ref>@sha1:<commit>`.
///
/// ```
/// use rototo_source::Revision;
///
/// let revision: Revision = "main@sha1:2f3c4d5e6f708192aabbccddeeff001122334455".parse().unwrap();
/// assert_eq!(revision.reference().to_string(), "main");
/// assert_eq!(revision.to_string(), "main@sha1:2f3c4d5e6f708192aabbccddeeff001122334455");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    reference: GitReference,
    commit: Commit,
}

impl Revision {
    pub(crate) fn new(reference: GitReference, commit: Commit) -> Self {
        Self { reference, commit }
    }

    /// Returns the ref as the source names it; `HEAD` where it names none.
    #[must_use]
    pub fn reference(&self) -> &GitReference {
        &self.reference
    }

    /// Returns the commit.
    #[must_use]
    pub fn commit(&self) -> &Commit {
        &self.commit
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha1:{}", self.reference, self.commit)
    }
}

/// A text that is not `<ref>@sha1:<commit>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a revision: it is written main@sha1:COMMIT, with all 40 digits of the commit")]
pub struct InvalidRevision(String);

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let invalid = || InvalidRevision(text.to_owned());
        let (reference, commit) = text.rsplit_once("@sha1:").ok_or_else(invalid)?;
        if reference.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            reference: reference.parse().map_err(|_| invalid())?,
            commit: commit.parse().map_err(|_| invalid())?,
        })
    }
}
