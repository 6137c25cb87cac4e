//! The name of a publish: a time that grows with every publish, whatever the clocks do.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The time at which a publish was decided, which is also its name. Its text is UTC with exactly six fractional digits
/// and a `Z`.
///
/// ```
/// use rototo_api::UpdatedAt;
///
/// let first: UpdatedAt = "2026-11-20T18:40:00.123456Z".parse().unwrap();
/// // A clock that went back does not take the name of a later publish.
/// let second = UpdatedAt::after(Some(first), "2026-11-20T18:39:00Z".parse().unwrap());
/// assert_eq!(second.to_string(), "2026-11-20T18:40:00.123457Z");
/// assert!(second > first);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdatedAt(Timestamp);

impl UpdatedAt {
    /// Returns the name of a publish that is decided at `now`, after the one named `previous`: `now`, or one
    /// microsecond after `previous` where that is later.
    #[must_use]
    pub fn after(previous: Option<Self>, now: Timestamp) -> Self {
        let micros = SignedDuration::from_micros(1);
        let earliest = previous.and_then(|previous| previous.0.checked_add(micros).ok());
        let now = truncate_to_micros(now);
        Self(earliest.map_or(now, |earliest| earliest.max(now)))
    }

    /// Returns the time.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

fn truncate_to_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

impl fmt::Display for UpdatedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

/// A text that is not a time with exactly six fractional digits and a `Z`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-11-20T18:40:00.123456Z (UTC, six fractional digits)")]
pub struct InvalidUpdatedAt(String);

impl FromStr for UpdatedAt {
    type Err = InvalidUpdatedAt;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.parse().ok().map(Self);
        // Only the canonical text is accepted, so that equal names are equal texts.
        parsed.filter(|time| time.to_string() == text).ok_or_else(|| InvalidUpdatedAt(text.to_owned()))
    }
}

impl Serialize for UpdatedAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UpdatedAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_six_fractional_digits_even_when_they_are_zero() {
        let time = UpdatedAt::after(None, "2026-11-20T18:40:00Z".parse().unwrap());
        assert_eq!(time.to_string(), "2026-11-20T18:40:00.000000Z");
    }

    #[test]
    fn any_other_spelling_is_refused() {
        for text in ["2026-11-20T18:40:00Z", "2026-11-20T18:40:00.123Z", "2026-11-20T18:40:00.123456+00:00", "now", ""]
        {
            assert!(text.parse::<UpdatedAt>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_follows_the_clock_when_the_clock_is_ahead() {
        let first = UpdatedAt::after(None, "2026-11-20T18:40:00Z".parse().unwrap());
        let second = UpdatedAt::after(Some(first), "2026-11-20T18:41:00.000001999Z".parse().unwrap());
        assert_eq!(second.to_string(), "2026-11-20T18:41:00.000001Z");
    }
}
