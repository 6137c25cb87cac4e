//! What a source was at one time: the exact version of each of its layers.

use std::fmt;

use rototo_engine::Digest;

use crate::credentials::Access;
use crate::spec::{Commit, GitReference, Revision, Source};

/// What a source was at one time: for git a commit, for an archive what its server calls the version, for a directory
/// just itself. With it, the same of all workspaces that it extends, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedSource {
    own: Layer,
    /// Those it extends, the base first; `None` until the workspace has been read.
    parents: Option<Vec<Layer>>,
}

/// One source of those that a workspace consists of, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    access: Access,
    version: Option<Version>,
}

/// The name that a source has for what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// A commit of a git repository.
    Commit(Commit),
    /// What the server of an archive says: its `ETag`, else its `Last-Modified`.
    Validator(String),
    /// The digest of an archive whose server says nothing.
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

    /// The source.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.access.source()
    }

    /// What it was; `None` for a directory.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// The commit, if it is in a repository.
    #[must_use]
    pub fn commit(&self) -> Option<&Commit> {
        match &self.version {
            Some(Version::Commit(commit)) => Some(commit),
            Some(Version::Validator(_) | Version::Content(_)) | None => None,
        }
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

    /// The source.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.own.source()
    }

    /// What the source itself was, without those it extends; `None` for a directory.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.own.version()
    }

    /// The ref and its commit; `None` for sources that have no history.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        let Source::Git(git) = self.source() else { return None };
        Some(Revision::new(git.reference().clone(), self.own.commit()?.clone()))
    }

    /// All layers, the base first, the source itself last. As long as nobody has read the workspace, the source is the
    /// only one that is known.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.parents.iter().flatten().chain([&self.own])
    }

    /// Whether every layer that is known names its commit, so that there is never news of it.
    #[must_use]
    pub fn immutable(&self) -> bool {
        self.layers().all(Layer::immutable)
    }

    /// Whether `other` is certainly the same content: all layers are known, and each has the same version.
    #[must_use]
    pub fn is_same_content(&self, other: &Self) -> bool {
        self.parents.is_some() && self == other && self.layers().all(|layer| layer.version.is_some())
    }
}
