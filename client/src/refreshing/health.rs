//! The verdict of an application about itself.

use std::fmt;
use std::str::FromStr;

/// The longest code, in bytes.
const LONGEST: usize = 64;

/// The verdict of an application about itself, for
/// [`RefreshingWorkspace::report_health`](crate::RefreshingWorkspace::report_health).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does what it should.
    Ok,
    /// It runs, and not as it should.
    Degraded(HealthReason),
}

/// A code that says why an application is degraded, such as `error_rate`. People read it in the status of the workspace, so
/// it holds no value and no secret.
///
/// ```
/// use rototo::HealthReason;
///
/// let reason: HealthReason = "error_rate".parse()?;
/// assert_eq!(reason.as_str(), "error_rate");
/// assert!("too many errors".parse::<HealthReason>().is_err());
/// # Ok::<(), rototo::InvalidHealthReason>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReason(String);

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to {LONGEST} letters, digits, `_`, `-`, `.`, or `+`")]
pub struct InvalidHealthReason;

impl HealthReason {
    /// Returns the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HealthReason {
    type Err = InvalidHealthReason;

    fn from_str(text: &str) -> Result<Self, InvalidHealthReason> {
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_code);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidHealthReason) }
    }
}

impl fmt::Display for HealthReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_short_code() {
        let longest = "x".repeat(LONGEST);
        for text in ["error_rate", "p99-latency.v2", "a", &longest] {
            assert_eq!(text.parse::<HealthReason>().unwrap().as_str(), text);
        }
        for text in ["", "error rate", "erreur\u{e9}", "a\n", &format!("{longest}x")] {
            assert_eq!(text.parse::<HealthReason>(), Err(InvalidHealthReason), "{text}");
        }
    }
}
