//! The operator's monotonic clock, as the pure parts know it: the time since this process started.

use std::sync::LazyLock;
use std::time::Instant;

use rototo_protocol::fleet::Moment;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The present moment.
#[must_use]
pub fn now() -> Moment {
    moment(Instant::now())
}

/// The moment of an instant. What lies before the first use of this clock is its beginning.
#[must_use]
pub fn moment(instant: Instant) -> Moment {
    instant.saturating_duration_since(*START)
}
