//! A directory inside a source: always relative, and never outside.

use std::fmt;

/// The longest path, in bytes. It fits into one line of the requests to git.
const MAX_BYTES: usize = 1024;

/// The path of a directory below the root of a source, as `a/b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdirectory(String);

/// A path that could leave the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubdirectory {
    /// `/etc`
    #[error("the subdirectory `{0}` is absolute: write it relative to the root of the source")]
    Absolute(String),
    /// `a/../../b`
    #[error("the subdirectory `{0}` climbs with `..`: write the path from the root of the source")]
    Climbing(String),
    /// A path that is too long.
    #[error("the subdirectory is longer than {limit} bytes: move it up, or shorten the names above it")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

impl Subdirectory {
    /// Parses a relative path; an empty one, or `.`, is the root.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, InvalidSubdirectory> {
        if text.starts_with('/') {
            return Err(InvalidSubdirectory::Absolute(text.to_owned()));
        }
        if text.split('/').any(|part| part == "..") {
            return Err(InvalidSubdirectory::Climbing(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        Self::of(&parts)
    }

    /// Resolves a relative path from `base`, which may climb, and must not leave the source.
    pub(crate) fn resolve(base: Option<&Self>, path: &str) -> Result<Option<Self>, InvalidSubdirectory> {
        let mut parts: Vec<&str> = base.map(|base| base.0.split('/').collect()).unwrap_or_default();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| InvalidSubdirectory::Climbing(path.to_owned()))?;
                }
                part => parts.push(part),
            }
        }
        Self::of(&parts)
    }

    fn of(parts: &[&str]) -> Result<Option<Self>, InvalidSubdirectory> {
        let path = parts.join("/");
        if path.len() > MAX_BYTES {
            return Err(InvalidSubdirectory::TooLong { limit: MAX_BYTES });
        }
        Ok((!path.is_empty()).then_some(Self(path)))
    }

    /// Returns the directory above, which is empty for the root of the source, and the name of this one.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// Returns the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subdirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
