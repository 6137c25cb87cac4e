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

use jiff::Timestamp;
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
        /// The publish that processes prepare before the marker names it. Processes that do not know this field ignore
        /// it.
        next: Option<NextPublish>,
        /// A publish that was rolled back during its rollout. Its content is not announced again by itself.
        held: Option<HeldPublish>,
    },
    /// The workspace is gone. The operator writes this for a moment before it removes the key, so that a watch gets an
    /// event.
    Removed {
        /// The time of the removal.
        updated_at: UpdatedAt,
    },
}

/// A publish that processes fetch, compile, and check beside what they run. They resolve nothing from it, except in the
/// pods of its stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextPublish {
    /// The digest of the content.
    pub fingerprint: String,
    /// The name under which the content will be published.
    pub updated_at: UpdatedAt,
    /// The part of the fleet that runs it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// A publish that was rolled back during its rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPublish {
    /// The digest of the content.
    pub fingerprint: String,
    /// The name under which it was announced.
    pub updated_at: UpdatedAt,
    /// The gate that it did not pass.
    pub gate: Gate,
}

/// A gate of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A process refused the content.
    Refused,
    /// A container of the stage ended.
    Restarted,
    /// Measurements of an analysis failed, or were inconclusive.
    Analysis,
    /// An application that ran it reported itself as degraded.
    Degraded,
    /// A person took it back.
    Aborted,
    /// A gate of a newer operator.
    #[serde(other)]
    Other,
}

/// The part of a fleet that runs an announced publish, and the step of the rollout that it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stage {
    /// The index in `spec.rollout.steps`, from 0.
    pub step: u32,
    /// The time at which the step began, by the operator's clock.
    pub since: Timestamp,
    /// The pods whose hash is lower than this are in the stage. Hashes have 32 bits, so 4294967296 means all.
    pub below: u64,
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
    /// A value of any shape is read: what a newer operator writes here must not keep a process from the publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<serde_json::Value>,
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
        let Wire { fingerprint, removed, updated_at, next, held, .. } =
            serde_json::from_str(text).map_err(malformed)?;
        match (fingerprint, removed) {
            (_, true) => Ok(Self::Removed { updated_at }),
            (Some(fingerprint), false) => {
                let next = next.and_then(|next| serde_json::from_value(next).ok());
                let held = held.and_then(|held| serde_json::from_value(held).ok());
                Ok(Self::Published { fingerprint, updated_at, next, held })
            }
            (None, false) => Err(MarkerError::Malformed("it has neither `fingerprint` nor `removed`".to_owned())),
        }
    }

    /// Returns the value of the map as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (fingerprint, removed, next, held) = match self {
            Self::Published { fingerprint, next, held, .. } => {
                (Some(fingerprint.clone()), false, next.as_ref(), held.as_ref())
            }
            Self::Removed { .. } => (None, true, None, None),
        };
        // Texts and times always have a JSON value.
        let next = next.and_then(|next| serde_json::to_value(next).ok());
        let held = held.and_then(|held| serde_json::to_value(held).ok());
        let wire =
            Wire { schema_version: SCHEMA_VERSION, fingerprint, removed, updated_at: self.updated_at(), next, held };
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
    fn a_publish_to_prepare_stands_beside_the_publish() {
        let next = r#"{"fingerprint":"sha256:01","updated_at":"2026-11-20T18:41:00.000000Z"}"#;
        let text = format!(r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{TIME}","next":{next}}}"#);
        let marker = Marker::parse(&text).unwrap();
        let Marker::Published { fingerprint, next: Some(next), .. } = &marker else { panic!("{marker:?}") };
        assert_eq!((fingerprint.as_str(), next.fingerprint.as_str()), ("sha256:00", "sha256:01"));
        assert_eq!(marker.to_json(), text);
    }

    #[test]
    fn a_stage_and_what_was_taken_back_stand_in_the_marker() {
        let held = r#"{"fingerprint":"sha256:02","gate":"restarted","updated_at":"2026-11-20T18:30:00.000000Z"}"#;
        let stage = r#"{"below":429496729,"since":"2026-11-20T18:41:30Z","step":1}"#;
        let next =
            format!(r#"{{"fingerprint":"sha256:01","stage":{stage},"updated_at":"2026-11-20T18:41:00.000000Z"}}"#);
        let text = format!(
            r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{TIME}","next":{next},"held":{held}}}"#
        );
        let marker = Marker::parse(&text).unwrap();
        let Marker::Published { next: Some(next), held, .. } = &marker else { panic!("{marker:?}") };
        assert_eq!((next.stage.unwrap().step, held.as_ref().unwrap().gate), (1, Gate::Restarted));
        assert_eq!(marker.to_json(), text);
    }

    #[test]
    fn a_next_publish_of_another_shape_does_not_hide_the_publish() {
        for next in ["7", "[]", r#"{"fingerprint":1}"#, r#"{"updated_at":"soon","fingerprint":"sha256:01"}"#] {
            let text =
                format!(r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{TIME}","next":{next}}}"#);
            assert!(matches!(Marker::parse(&text), Ok(Marker::Published { next: None, .. })), "{next}");
        }
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
