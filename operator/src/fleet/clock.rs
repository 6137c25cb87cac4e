//! The operator's monotonic clock, in the form that the pure parts take.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rototo_protocol::fleet::Moment;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The moment at which this process started. It is no zero, because evidence of an earlier process is older.
const AT_START: Moment = Duration::from_secs(24 * 3600);

/// Returns the present moment.
#[must_use]
pub fn now() -> Moment {
    moment(Instant::now())
}

/// Returns the moment of an instant. An instant before the first use of this clock is the start of the process.
#[must_use]
pub fn moment(instant: Instant) -> Moment {
    AT_START + instant.saturating_duration_since(*START)
}
