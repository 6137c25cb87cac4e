//! Calendar days, as in `expires`. Nothing here knows which day it is.

use std::fmt;
use std::str::FromStr;

use toml::value::{Date as TomlDate, Datetime};

/// A day of the calendar.
///
/// ```
/// use rototo_engine::Date;
///
/// let day: Date = "2026-12-31".parse()?;
/// assert!(day < "2027-01-01".parse()?);
/// assert!("2026-02-30".parse::<Date>().is_err() && "2026-12-31T12:00:00Z".parse::<Date>().is_err());
/// # Ok::<(), rototo_engine::InvalidDate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(TomlDate);

/// The text is no day of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date is a day of the calendar, such as 2026-12-31")]
pub struct InvalidDate;

/// A full date of RFC 3339, so a year of four digits, a month, and a day that the month has.
impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        match text.parse() {
            Ok(Datetime { date: Some(date), time: None, offset: None }) => Ok(Self(date)),
            _ => Err(InvalidDate),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
