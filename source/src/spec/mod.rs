//! The grammar of a source string, which names the place of a workspace's files.
//!
//! ```
//! use rototo_source::Source;
//!
//! let source: Source = "git+https://git.example.com/acme/runtime-config.git#main:workspaces/prod".parse().unwrap();
//! let Source::Git(git) = &source else { unreachable!() };
//! assert_eq!(git.reference().to_string(), "main");
//!
//! // A part that may be a secret belongs to the source, and not to its text.
//! let source: Source = "git+https://token@git.example.com/acme/runtime-config.git".parse().unwrap();
//! assert_eq!(source.to_string(), "git+https://git.example.com/acme/runtime-config.git");
//! ```

mod archive;
mod fragment;
mod git;
mod reference;
mod remote_url;
mod subdirectory;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rototo_api::source_scheme::{self, SourceScheme};

pub use crate::spec::archive::{ArchiveFormat, ArchiveSource};
pub use crate::spec::git::GitSource;
pub use crate::spec::reference::{Commit, GitReference, InvalidCommit, InvalidReference, InvalidRevision, Revision};
pub(crate) use crate::spec::remote_url::Scheme;
pub use crate::spec::remote_url::{InvalidUrl, RemoteUrl};
pub use crate::spec::subdirectory::{InvalidSubdirectory, Subdirectory};

/// The place of a workspace's files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A directory of this machine: a bare path, or `file:///path`.
    Local(PathBuf),
    /// A commit, branch or tag of a git repository: `git+https://`, `git+ssh://`, `git+file://`, with
    /// `#ref:subdirectory`.
    Git(GitSource),
    /// An archive: `https://….tar.gz`, `.tgz` or `.zip`, with `#:subdirectory`.
    Archive(ArchiveSource),
    /// A published workspace: `kubernetes://namespace/workspace`, or `kubernetes:///workspace`.
    Kubernetes {
        /// `None` means the namespace of the process itself.
        namespace: Option<String>,
        /// The name of the `RototoWorkspace`.
        workspace: String,
    },
}

impl Source {
    /// Returns the host of the source; `None` for a directory, and for a repository on this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Git(git) => Some(git.remote().host()).filter(|host| !host.is_empty()),
            Self::Archive(archive) => Some(archive.url().host()),
            Self::Local(_) | Self::Kubernetes { .. } => None,
        }
    }

    /// Returns the address of a source on another machine.
    pub(crate) fn url(&self) -> Option<&RemoteUrl> {
        match self {
            Self::Git(git) => Some(git.remote()).filter(|url| url.scheme() != Scheme::File),
            Self::Archive(archive) => Some(archive.url()),
            Self::Local(_) | Self::Kubernetes { .. } => None,
        }
    }

    /// Returns the source that a relative path names inside this one. A path that leaves the source fails, and any path
    /// if a source of this kind has no inside.
    pub(crate) fn inside(&self, path: &str) -> Result<Self, InvalidSubdirectory> {
        match self {
            Self::Git(git) => Ok(Self::Git(git.at(Subdirectory::resolve(git.subdirectory(), path)?))),
            Self::Archive(archive) => {
                Ok(Self::Archive(archive.at(Subdirectory::resolve(archive.subdirectory(), path)?)))
            }
            Self::Local(_) | Self::Kubernetes { .. } => Err(InvalidSubdirectory::Climbing(path.to_owned())),
        }
    }

    /// Returns whether the source is on this machine's disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Git(git) => git.remote().scheme() == Scheme::File,
            Self::Archive(_) | Self::Kubernetes { .. } => false,
        }
    }
}

/// A text that is not a source. The message never repeats a part that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// The text is empty.
    #[error("the source is empty: write a directory, or an address such as git+https://host/repository.git#main")]
    Empty,
    /// Whitespace at an end, a line break, or another control character.
    #[error("the source has a control character or surrounding white space in it: remove it")]
    ControlCharacter,
    /// The scheme is not encrypted: `http`, `git+http`, `git`.
    #[error("`{0}` is not encrypted and not authenticated: use https, git+https or git+ssh")]
    Insecure(String),
    /// The scheme is unknown.
    #[error("`{0}` is not a known scheme: use a directory, or one of {schemes}", schemes = schemes())]
    UnknownScheme(String),
    /// The address is valid under a similar scheme.
    #[error("{0}")]
    WrongScheme(&'static str),
    /// The address is invalid.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The part after `#` does not name a ref.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The part after `:` does not name a directory inside the source.
    #[error(transparent)]
    Subdirectory(#[from] InvalidSubdirectory),
    /// `file://path#…` or `kubernetes://…#…`
    #[error("a {0} source takes no `#` part: write the whole path before it")]
    Fragment(&'static str),
    /// `https://….zip#main`
    #[error("an archive has no refs, but `{0}` stands after `#`: write `#:{0}` if it is a directory in the archive")]
    ArchiveReference(String),
    /// `https://…` that ends in something else.
    #[error(
        "an https source is an archive and its path ends in .tar.gz, .tgz or .zip: write git+https:// for a repository"
    )]
    NotAnArchive,
    /// `file://host/path`
    #[error("a {0} source is an absolute path of this machine: write {0}:///path")]
    NotAbsolute(&'static str),
    /// `kubernetes://a/b/c`, or names that Kubernetes does not accept.
    #[error(
        "a kubernetes source is kubernetes://NAMESPACE/WORKSPACE, or kubernetes:///WORKSPACE for the own namespace"
    )]
    Kubernetes,
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if text.is_empty() {
            return Err(InvalidSource::Empty);
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(InvalidSource::ControlCharacter);
        }
        // A path may hold `://` too, further on.
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| !scheme.contains('/')) else {
            return if is_scp_like(text) {
                Err(InvalidSource::WrongScheme("`user@host:path` is not a source: write git+ssh://user@host/path"))
            } else {
                Ok(Self::Local(PathBuf::from(text)))
            };
        };
        let (address, fragment) = match rest.split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (rest, None),
        };
        // The text of a source is read again as the same source, and it leaves out an empty fragment.
        if address.trim_end() != address {
            return Err(InvalidSource::ControlCharacter);
        }
        let scheme = scheme.to_ascii_lowercase();
        match SourceScheme::from_name(&scheme).ok_or_else(|| unknown(scheme))? {
            SourceScheme::File => local(address, fragment),
            SourceScheme::GitHttps => GitSource::parse(RemoteUrl::https(address)?, fragment).map(Self::Git),
            SourceScheme::GitSsh => GitSource::parse(RemoteUrl::ssh(address)?, fragment).map(Self::Git),
            SourceScheme::GitFile if !address.starts_with('/') => Err(InvalidSource::NotAbsolute("git+file")),
            SourceScheme::GitFile => GitSource::parse(RemoteUrl::file(address)?, fragment).map(Self::Git),
            SourceScheme::Https => ArchiveSource::parse(RemoteUrl::https(address)?, fragment).map(Self::Archive),
            SourceScheme::Kubernetes if fragment.is_some() => Err(InvalidSource::Fragment("kubernetes")),
            SourceScheme::Kubernetes => kubernetes(address),
        }
    }
}

/// Returns the fault of a scheme that no source has.
fn unknown(scheme: String) -> InvalidSource {
    match scheme.as_str() {
        "git+git" => InvalidSource::Insecure(scheme),
        _ if source_scheme::UNENCRYPTED.contains(&scheme.as_str()) => InvalidSource::Insecure(scheme),
        "ssh" => InvalidSource::WrongScheme("a repository over ssh is written git+ssh://user@host/path"),
        _ => InvalidSource::UnknownScheme(scheme),
    }
}

/// Lists the schemes of a source for a message.
fn schemes() -> String {
    SourceScheme::ALL.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
}

fn local(address: &str, fragment: Option<&str>) -> Result<Source, InvalidSource> {
    if fragment.is_some() {
        return Err(InvalidSource::Fragment("file"));
    }
    let path = address.strip_prefix("localhost").unwrap_or(address);
    if !path.starts_with('/') {
        return Err(InvalidSource::NotAbsolute("file"));
    }
    Ok(Source::Local(PathBuf::from(path)))
}

fn kubernetes(address: &str) -> Result<Source, InvalidSource> {
    let (namespace, workspace) = address.split_once('/').ok_or(InvalidSource::Kubernetes)?;
    if !(namespace.is_empty() || is_kubernetes_name(namespace)) || !is_kubernetes_name(workspace) {
        return Err(InvalidSource::Kubernetes);
    }
    let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
    Ok(Source::Kubernetes { namespace, workspace: workspace.to_owned() })
}

/// Returns whether this can name a workspace of a cluster. The name is also the value of a label, hence the 63
/// characters.
fn is_kubernetes_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// Returns whether the text is `git@host:path`, which git understands and a source does not.
fn is_scp_like(text: &str) -> bool {
    let Some((before, path)) = text.split_once(':') else { return false };
    let Some((user, host)) = before.split_once('@') else { return false };
    !user.is_empty() && !host.is_empty() && !before.contains('/') && !path.is_empty()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Git(git) => git.fmt(f),
            Self::Archive(archive) => archive.fmt(f),
            Self::Kubernetes { namespace, workspace } => {
                write!(f, "kubernetes://{}/{workspace}", namespace.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests;
