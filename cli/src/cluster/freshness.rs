//! Decides whether a status is recent, without comparing the clocks of two machines. Pure.
//!
//! A [`Mark`] is a moment of the local clock, and the time of the status at the API server after it. A status that has
//! changed since was written after that moment, so it is no older than the time since the mark.

use k8s_openapi::jiff::Timestamp;
use rototo_api::workspace::RototoWorkspaceStatus;
use tokio::time::Instant;

use crate::cluster::claim::{as_of, good_for};

/// The age of a status, compared with the validity of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    Unknown,
}

/// A moment, and the status that was known then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// A moment before the request to the API server.
    pub(crate) at: Instant,
    /// The time of the status in the API server's answer.
    pub(crate) as_of: Option<Timestamp>,
    /// The request for a reconcile that was made then.
    pub(crate) request: Option<String>,
}

/// The last marks. One is made every third of a claim's validity, so older ones prove nothing.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

const KEPT: usize = 8;

impl Marks {
    pub(crate) fn add(&mut self, mark: Mark) {
        self.0.truncate(KEPT - 1);
        self.0.insert(0, mark);
    }

    /// Returns whether some mark proves that `status` is recent.
    pub(crate) fn freshness(&self, status: &RototoWorkspaceStatus, now: Instant) -> Freshness {
        let recent = |mark: &&Mark| now.saturating_duration_since(mark.at) <= good_for(status);
        if self.0.iter().filter(recent).any(|mark| mark.precedes(status)) {
            Freshness::Fresh
        } else {
            Freshness::Unknown
        }
    }
}

impl Mark {
    /// Returns whether `status` was written after this mark. Both times are of the operator's clock. A status without a
    /// time claims nothing.
    fn precedes(&self, status: &RototoWorkspaceStatus) -> bool {
        let handled = self.request.is_some() && self.request == status.last_handled_reconcile_at;
        as_of(status).is_some_and(|now| handled || self.as_of.is_none_or(|before| now > before))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const OLD: &str = "2026-11-20T18:40:00Z";
    const NEW: &str = "2026-11-20T18:40:01Z";

    fn status(as_of: Option<&str>, handled: Option<&str>) -> RototoWorkspaceStatus {
        let fleet =
            json!({ "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of, "claimSeconds": 60 });
        serde_json::from_value(json!({ "fleet": fleet, "lastHandledReconcileAt": handled })).unwrap()
    }

    fn check(mark: (Option<&str>, Option<&str>), status: &RototoWorkspaceStatus, passed: u64, expected: Freshness) {
        let at = Instant::now();
        let mut marks = Marks::default();
        let as_of = mark.0.map(|time| time.parse().unwrap());
        marks.add(Mark { at, as_of, request: mark.1.map(str::to_owned) });
        assert_eq!(marks.freshness(status, at + Duration::from_secs(passed)), expected, "{mark:?} {status:?}");
    }

    #[test]
    fn a_status_is_fresh_only_when_it_has_moved_on_since_a_recent_mark() {
        use Freshness::{Fresh, Unknown};
        check((Some(OLD), None), &status(Some(OLD), None), 0, Unknown);
        check((Some(OLD), None), &status(Some(NEW), None), 1, Fresh);
        check((None, None), &status(Some(NEW), None), 1, Fresh);
        // A status that came late may have been written at any moment of that time.
        check((Some(OLD), None), &status(Some(NEW), None), 60, Fresh);
        check((Some(OLD), None), &status(Some(NEW), None), 61, Unknown);
        // A status from a backup.
        check((Some(NEW), None), &status(Some(OLD), None), 1, Unknown);
    }

    #[test]
    fn a_request_that_was_handled_dates_the_status_also_where_the_clock_went_back() {
        use Freshness::{Fresh, Unknown};
        check((Some(NEW), Some("mine")), &status(Some(OLD), Some("mine")), 1, Fresh);
        check((Some(NEW), Some("mine")), &status(Some(NEW), Some("another's")), 1, Unknown);
        check((Some(NEW), None), &status(Some(NEW), None), 1, Unknown);
        check((Some(NEW), Some("mine")), &status(Some(NEW), Some("mine")), 61, Unknown);
    }

    #[test]
    fn a_status_without_a_date_is_never_fresh() {
        check((None, Some("mine")), &status(None, Some("mine")), 0, Freshness::Unknown);
    }

    #[test]
    fn marks_that_are_too_old_to_matter_are_dropped() {
        let mut marks = Marks::default();
        for _ in 0..100 {
            marks.add(Mark { at: Instant::now(), as_of: None, request: None });
        }
        assert_eq!(marks.0.len(), KEPT);
    }
}
