//! The grammar of a git repository: `git+https://host/repository.git#ref:subdirectory`.

use std::fmt;

use crate::spec::fragment::{self, Fragment};
use crate::spec::{GitReference, InvalidSource, InvalidUrl, RemoteUrl, Subdirectory};

/// One workspace in a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GitSource {
    remote: RemoteUrl,
    reference: GitReference,
    subdirectory: Option<Subdirectory>,
}

impl GitSource {
    /// Parses what stands after `git+`: the address of the repository, and `#ref:subdirectory`.
    pub(super) fn parse(remote: RemoteUrl, fragment: Option<&str>) -> Result<Self, InvalidSource> {
        if remote.query().is_some() {
            return Err(InvalidUrl::Query.into());
        }
        let Fragment { reference, subdirectory } = Fragment::parse(fragment);
        // The text of a source is read again as the same source, and it leaves out an empty directory behind a ref.
        if reference.trim_end() != reference {
            return Err(InvalidSource::ControlCharacter);
        }
        let reference = reference.parse()?;
        Ok(Self { remote, reference, subdirectory: fragment::below(subdirectory)? })
    }

    /// Returns the address of the repository.
    #[must_use]
    pub fn remote(&self) -> &RemoteUrl {
        &self.remote
    }

    /// Returns the reference to the commit.
    #[must_use]
    pub fn reference(&self) -> &GitReference {
        &self.reference
    }

    /// Returns the source of another directory of the same repository.
    pub(crate) fn at(&self, subdirectory: Option<Subdirectory>) -> Self {
        Self { subdirectory, ..self.clone() }
    }

    /// Returns the directory of the workspace in the repository; `None` for its root.
    #[must_use]
    pub fn subdirectory(&self) -> Option<&Subdirectory> {
        self.subdirectory.as_ref()
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git+{}", self.remote)?;
        match (&self.reference, &self.subdirectory) {
            (GitReference::Default, None) => Ok(()),
            (GitReference::Default, Some(subdirectory)) => write!(f, "#:{subdirectory}"),
            (reference, None) => write!(f, "#{reference}"),
            (reference, Some(subdirectory)) => write!(f, "#{reference}:{subdirectory}"),
        }
    }
}
