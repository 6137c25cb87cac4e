//! The times that every history has in common.

use std::time::Duration;

/// The heartbeat of the simulated fleets: short, so that histories are.
pub const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
/// When the last fault has ended, whatever it was.
pub const QUIET_AT: Duration = Duration::from_secs(70);
/// When everything must have come to rest: after the longest window.
pub const END_AT: Duration = Duration::from_secs(70 + 90);
