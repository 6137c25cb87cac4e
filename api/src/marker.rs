//! The marker of a workspace, which the operator writes into the ConfigMap [`crate::names::MARKERS`] and every process
//! watches.
//!
//! The map has one key per workspace. The value is compact JSON that names content and never holds any.
//!
//! ```
//! use rototo_api::marker::Marker;
//!
//! let text = r#"{"schema_version":1,"fingerprint":"sha256:9f2c","updated_at":"2026-11-20T18:40:00.123456Z"}"#;
//! let marker = Marker::parse(text).unwrap();
//! assert!(matches!(&marker, Marker::Published { fingerprint, .. } if fingerprint == "sha256:9f2c"));
//! assert_eq!(marker.to_json(), text);
//! ```

use serde::{Deserialize, Serialize};

use crate::UpdatedAt;

/// The only version of the marker so far. A reader refuses any other and keeps what it has.
pub const SCHEMA_VERSION: u64 = 1;

/// The marker of one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// This content should run.
    Published {
        /// `sha256:` and 64 hexadecimal digits: the digest of the content.
        fingerprint: String,
        /// The name of this publish.
        updated_at: UpdatedAt,
    },
    /// The workspace is gone. The operator writes this for a moment before it removes the key, so that a watch gets an
    /// event.
    Removed {
        /// The time of the removal.
        updated_at: UpdatedAt,
    },
}

/// The reason for which a marker can't be followed. The reader keeps what it has and reports that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// A newer operator wrote it.
    #[error(
        "the marker has schema_version {0}, and this process reads only {SCHEMA_VERSION}: update rototo in this process"
    )]
    UnknownVersion(u64),
    /// The text is no marker.
    #[error("the marker is not readable ({0}): the operator puts it back at its next reconcile")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    updated_at: UpdatedAt,
}

#[derive(Deserialize)]
struct VersionOnly {
    schema_version: u64,
}

impl Marker {
    /// Parses a value of the map. Unknown fields are ignored; an unknown version is refused.
    pub fn parse(text: &str) -> Result<Self, MarkerError> {
        let malformed = |error: serde_json::Error| MarkerError::Malformed(error.to_string());
        let VersionOnly { schema_version } = serde_json::from_str(text).map_err(malformed)?;
        if schema_version != SCHEMA_VERSION {
            return Err(MarkerError::UnknownVersion(schema_version));
        }
        let Wire { fingerprint, removed, updated_at, .. } = serde_json::from_str(text).map_err(malformed)?;
        match (fingerprint, removed) {
            (_, true) => Ok(Self::Removed { updated_at }),
            (Some(fingerprint), false) => Ok(Self::Published { fingerprint, updated_at }),
            (None, false) => Err(MarkerError::Malformed("it has neither `fingerprint` nor `removed`".to_owned())),
        }
    }

    /// Returns the value of the map as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let wire = match self.clone() {
            Self::Published { fingerprint, updated_at } => {
                Wire { schema_version: SCHEMA_VERSION, fingerprint: Some(fingerprint), removed: false, updated_at }
            }
            Self::Removed { updated_at } => {
                Wire { schema_version: SCHEMA_VERSION, fingerprint: None, removed: true, updated_at }
            }
        };
        // Strings, numbers, and booleans always have a JSON text.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Returns the name of the publish, or of the removal.
    #[must_use]
    pub fn updated_at(&self) -> UpdatedAt {
        match self {
            Self::Published { updated_at, .. } | Self::Removed { updated_at } => *updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-20T18:40:00.123456Z";

    #[test]
    fn unknown_fields_of_a_marker_are_ignored() {
        let text = format!(r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{TIME}","later":[1]}}"#);
        assert!(matches!(Marker::parse(&text), Ok(Marker::Published { .. })));
    }

    #[test]
    fn another_version_is_refused_even_when_nothing_else_is_readable() {
        let error = Marker::parse(r#"{"schema_version":2,"content":"…"}"#).unwrap_err();
        assert_eq!(error, MarkerError::UnknownVersion(2));
    }

    #[test]
    fn a_text_that_is_no_marker_is_refused() {
        for text in
            ["", "{}", "null", r#"{"schema_version":1}"#, &format!(r#"{{"schema_version":1,"updated_at":"{TIME}"}}"#)]
        {
            assert!(matches!(Marker::parse(text), Err(MarkerError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_removal_is_distinguished_from_a_publish() {
        let removed = Marker::Removed { updated_at: TIME.parse().unwrap() };
        let text = removed.to_json();
        assert_eq!(text, format!(r#"{{"schema_version":1,"removed":true,"updated_at":"{TIME}"}}"#));
        assert_eq!(Marker::parse(&text).unwrap(), removed);
    }
}
