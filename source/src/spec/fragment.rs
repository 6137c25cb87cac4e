//! The part of a source after `#`.

use crate::spec::{InvalidSource, Subdirectory};

/// The two parts of `ref:subdirectory`. Each is empty where it is not given.
pub(super) struct Fragment<'a> {
    pub(super) reference: &'a str,
    pub(super) subdirectory: &'a str,
}

impl<'a> Fragment<'a> {
    pub(super) fn parse(fragment: Option<&'a str>) -> Self {
        let fragment = fragment.unwrap_or_default();
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        Self { reference, subdirectory }
    }
}

/// Parses the directory of a workspace inside a source; `None` is the root. The text of a source is read again as the
/// same source, so white space at its end is refused, also behind a last `/`.
pub(super) fn below(subdirectory: &str) -> Result<Option<Subdirectory>, InvalidSource> {
    let parsed = Subdirectory::parse(subdirectory)?;
    match &parsed {
        Some(path) if path.as_str().trim_end() != path.as_str() => Err(InvalidSource::ControlCharacter),
        _ => Ok(parsed),
    }
}
