//! The periods of time by which the operator judges a fleet, all derived from one: the heartbeat, which is the longest
//! time between two reports of a process. The entry point is [`Windows::of`].
//!
//! The heartbeat grows with the fleet, so that an operator receives at most [`REPORTS_PER_SECOND`] reports a second
//! from one fleet. All other windows grow with it and keep their order, in fleets of one process to a million:
//!
//! | window | length | meaning |
//! |---|---|---|
//! | `heartbeat` | max(floor, n / 200 s) | the longest time that the operator lets a process wait between two reports |
//! | `silence` | 3 heartbeats | a process that has not reported for this long is silent |
//! | `grace` | max(4 floors, silence) | a new pod has this long until its first report is due |
//! | `recount` | 4 heartbeats | an operator claims nothing for this long after its start or a lapse of its lease |
//! | `forget` | max(40 floors, 6 heartbeats) | the operator waits this long for a process whose end can't be seen |
//! | `approval` | 2 heartbeats + 60 s | the operator remembers an approval of a token or a grant for this long |
//! | `renewal` | 1.5 heartbeats | a report renews an approval that would expire sooner than this |

use std::time::Duration;

/// The heartbeat of a small fleet.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// The largest number of reports a second that an operator asks of one fleet.
pub const REPORTS_PER_SECOND: u32 = 200;

/// The time after which a process gives up a report without a response.
pub const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The windows of a fleet of a certain size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The longest time that the operator lets a process wait between two reports.
    pub heartbeat: Duration,
    /// A process that has not reported for this long is silent. A claim about a fleet is good for this long.
    pub silence: Duration,
    /// A new pod has this long until its first report is due.
    pub grace: Duration,
    /// An operator claims nothing for this long after its start or a lapse of its lease.
    pub recount: Duration,
    /// The operator waits this long for a process whose end can't be seen.
    pub forget: Duration,
    /// The operator remembers an approval of a token or a grant for this long.
    pub approval: Duration,
    /// A report renews an approval that would expire sooner than this. The time reaches beyond the next report, with
    /// some to spare.
    pub renewal: Duration,
}

impl Windows {
    /// Returns the windows of a fleet of `processes` whose heartbeat is at least `min_heartbeat`: [`HEARTBEAT`], except
    /// in tests.
    #[must_use]
    pub fn of(processes: usize, min_heartbeat: Duration) -> Self {
        let processes = u32::try_from(processes).unwrap_or(u32::MAX);
        let heartbeat = min_heartbeat.max(Duration::from_secs(1) * processes / REPORTS_PER_SECOND);
        let silence = heartbeat * 3;
        Self {
            heartbeat,
            silence,
            grace: silence.max(min_heartbeat * 4),
            recount: heartbeat * 4,
            forget: (min_heartbeat * 40).max(heartbeat * 6),
            approval: heartbeat * 2 + Duration::from_secs(60),
            renewal: heartbeat * 3 / 2,
        }
    }

    /// Returns the age of a verification at which configuration counts as stale, where the user asks for `stale_after`.
    /// It is at least the silence window: a process learns the age of its verification with each report, so with less
    /// than three heartbeats a healthy process would become stale between reports.
    #[must_use]
    pub fn staleness(&self, stale_after: Duration) -> Duration {
        stale_after.max(self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits that the CRD sets to `staleAfter`, and its default, in seconds.
    const STALE_AFTER: [u64; 3] = [10, 300, 168 * 3600];

    fn check(windows: Windows, min_heartbeat: Duration) {
        assert!(windows.heartbeat >= min_heartbeat);
        assert!(windows.heartbeat < windows.silence && windows.silence < windows.recount, "{windows:?}");
        assert!(windows.recount <= windows.forget && windows.silence <= windows.grace, "{windows:?}");
        assert!(windows.grace <= windows.forget, "{windows:?}");
        assert!(windows.heartbeat < windows.renewal && windows.renewal < windows.approval, "{windows:?}");
        for seconds in STALE_AFTER {
            let stale_after = Duration::from_secs(seconds);
            let staleness = windows.staleness(stale_after);
            assert!(windows.heartbeat * 2 < staleness && stale_after <= staleness, "{windows:?}");
        }
    }

    #[test]
    fn the_windows_keep_their_order_for_every_fleet_of_up_to_a_million() {
        for processes in 0..=1_000_000 {
            check(Windows::of(processes, HEARTBEAT), HEARTBEAT);
        }
        let min_heartbeat = Duration::from_secs(1);
        for processes in (0..=1_000_000).step_by(101) {
            check(Windows::of(processes, min_heartbeat), min_heartbeat);
        }
        check(Windows::of(usize::MAX, HEARTBEAT), HEARTBEAT);
    }

    #[test]
    fn windows_grow_with_the_fleet() {
        let of = |processes| {
            let windows = Windows::of(processes, HEARTBEAT);
            [windows.heartbeat, windows.silence, windows.recount, windows.forget].map(|window| window.as_secs())
        };
        assert_eq!(of(12), [15, 45, 60, 600]);
        assert_eq!(of(3_000), [15, 45, 60, 600]);
        assert_eq!(of(10_000), [50, 150, 200, 600]);
        assert_eq!(of(100_000), [500, 1_500, 2_000, 3_000]);
    }
}
