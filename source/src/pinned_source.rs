//! The exact version of a source, and of each of its layers, at one time.

use std::fmt;

use rototo_engine::Digest;

use crate::credentials::Access;
use crate::spec::{Commit, GitReference, Revision, Source};

/// A source with its version at one time: for git a commit, for an archive its digest and the server's validator, for
/// a directory none. It holds the versions of all workspaces that the source extends, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedSource {
    own: Layer,
    /// The layers that the source extends, the base first; `None` until the workspace has been read.
    parents: Option<Vec<Layer>>,
}

/// One source of those that a workspace consists of, with its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    access: Access,
    version: Option<Version>,
}

/// The name that a source has for its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// A commit of a git repository.
    Commit(Commit),
    /// The validator of an archive's server, its `ETag`, with the digest of the archive.
    Validator(String),
    /// The digest of an archive whose server sends no `ETag`.
    Content(Digest),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "sha1:{commit}"),
            Self::Validator(validator) => f.write_str(validator),
            Self::Content(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

impl Layer {
    pub(crate) fn new(access: Access, version: Option<Version>) -> Self {
        Self { access, version }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.access.source()
    }

    /// Returns the version; `None` for a directory.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Returns the commit, if the source is a git repository.
    #[must_use]
    pub fn commit(&self) -> Option<&Commit> {
        match &self.version {
            Some(Version::Commit(commit)) => Some(commit),
            Some(Version::Validator(_) | Version::Content(_)) | None => None,
        }
    }

    /// Returns the same version of the whole repository.
    pub(crate) fn at_root(&self) -> Self {
        let source = match self.source() {
            Source::Git(git) => Source::Git(git.at(None)),
            other => other.clone(),
        };
        Self::new(Access::new(source, self.access.credentials().clone()), self.version.clone())
    }

    fn immutable(&self) -> bool {
        matches!(self.source(), Source::Git(git) if matches!(git.reference(), GitReference::Commit(_)))
    }
}

impl PinnedSource {
    pub(crate) fn new(own: Layer, parents: Option<Vec<Layer>>) -> Self {
        Self { own, parents }
    }

    pub(crate) fn own(&self) -> &Layer {
        &self.own
    }

    pub(crate) fn parents(&self) -> Option<&[Layer]> {
        self.parents.as_deref()
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.own.source()
    }

    /// Returns the version of the source itself, without its layers; `None` for a directory.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.own.version()
    }

    /// Returns the ref and its commit; `None` for sources without a history.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        let Source::Git(git) = self.source() else { return None };
        Some(Revision::new(git.reference().clone(), self.own.commit()?.clone()))
    }

    /// Returns all layers, the base first, the source itself last. Until the workspace has been read, the source is the
    /// only known layer.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.parents.iter().flatten().chain([&self.own])
    }

    /// Returns whether every known layer names its commit, so that the source can't change.
    #[must_use]
    pub fn immutable(&self) -> bool {
        self.layers().all(Layer::immutable)
    }

    /// Returns whether `other` is certainly the same content: all layers are known, and each has the same version.
    #[must_use]
    pub fn is_same_content(&self, other: &Self) -> bool {
        self.parents.is_some() && self == other && self.layers().all(|layer| layer.version.is_some())
    }
}
