//! The grammar of an archive: `https://host/file.tar.gz#:subdirectory`.

use std::fmt;

use crate::spec::fragment::{self, Fragment};
use crate::spec::{InvalidSource, RemoteUrl, Subdirectory};

/// One workspace in an archive behind an HTTPS address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveSource {
    url: RemoteUrl,
    format: ArchiveFormat,
    subdirectory: Option<Subdirectory>,
}

impl ArchiveSource {
    /// Parses the address of the archive, and `#:subdirectory`.
    pub(super) fn parse(url: RemoteUrl, fragment: Option<&str>) -> Result<Self, InvalidSource> {
        let path = url.path().to_ascii_lowercase();
        let format = if path.ends_with(".tar.gz") || path.ends_with(".tgz") {
            ArchiveFormat::TarGz
        } else if path.ends_with(".zip") {
            ArchiveFormat::Zip
        } else {
            return Err(InvalidSource::NotAnArchive);
        };
        let Fragment { reference, subdirectory } = Fragment::parse(fragment);
        if !reference.is_empty() {
            return Err(InvalidSource::ArchiveReference(reference.to_owned()));
        }
        Ok(Self { url, format, subdirectory: fragment::below(subdirectory)? })
    }

    /// Returns the address of the archive.
    #[must_use]
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// Returns the format, which the ending of the path decides.
    #[must_use]
    pub fn format(&self) -> ArchiveFormat {
        self.format
    }

    /// Returns the source of another directory of the same archive.
    pub(crate) fn at(&self, subdirectory: Option<Subdirectory>) -> Self {
        Self { subdirectory, ..self.clone() }
    }

    /// Returns the directory of the workspace in the archive.
    #[must_use]
    pub fn subdirectory(&self) -> Option<&Subdirectory> {
        self.subdirectory.as_ref()
    }
}

/// The format of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// `.tar.gz` and `.tgz`
    TarGz,
    /// `.zip`
    Zip,
}

impl fmt::Display for ArchiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subdirectory {
            None => self.url.fmt(f),
            Some(subdirectory) => write!(f, "{}#:{subdirectory}", self.url),
        }
    }
}
