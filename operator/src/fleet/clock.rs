//! The operator's monotonic clock, in the form that the pure parts take: the time since this process started.

use std::sync::LazyLock;
use std::time::Instant;

use rototo_protocol::fleet::Moment;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns the present moment.
#[must_use]
pub fn now() -> Moment {
    moment(Instant::now())
}

/// Returns the moment of an instant. An instant before the first use of this clock is its beginning.
#[must_use]
pub fn moment(instant: Instant) -> Moment {
    instant.saturating_duration_since(*START)
}
