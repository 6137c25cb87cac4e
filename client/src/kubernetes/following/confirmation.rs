//! Decides whether the operator's response to a report confirms what runs.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::{ProcessState, ReportResponse};
use rototo_protocol::Publish;
use rototo_protocol::follower::ReportedState;

/// Returns the time at which the source last confirmed the publish `running`, if this response says so. It has to name that
/// publish, and the marker must not name another one: `FollowerState` takes the age from the same responses. `reported` is
/// the state of the handle at `now`, before it takes the response.
pub(super) fn verified_at(
    response: &ReportResponse,
    running: Publish,
    reported: &ReportedState,
    now: Timestamp,
) -> Option<Timestamp> {
    let age = Duration::from_millis(response.verified_ms_ago?);
    let names_it = response.updated_at == Some(running.updated_at)
        && response.fingerprint.as_ref().is_some_and(|named| *named == running.fingerprint.to_string());
    // An age beyond all times that can be written comes from no working operator.
    (names_it && agrees_with_marker(reported)).then(|| now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Returns whether the marker names what runs, or can't be read, so that the operator's word alone counts.
fn agrees_with_marker(reported: &ReportedState) -> bool {
    match reported.state {
        ProcessState::Applied | ProcessState::Stale => true,
        ProcessState::Rejected => reported.publish.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the publish of content `a` or another digit at second 1 or another.
    fn publish(content: &str, second: u8) -> Publish {
        Publish {
            fingerprint: format!("sha256:{}", content.repeat(64)).parse().unwrap(),
            updated_at: format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap(),
        }
    }

    fn names(publish: Publish) -> ReportResponse {
        ReportResponse {
            fingerprint: Some(publish.fingerprint.to_string()),
            updated_at: Some(publish.updated_at),
            revision: None,
            verified_ms_ago: Some(5_000),
            stale_after_ms: 300_000,
            next_report_in_ms: 15_000,
            report_applied_within_ms: 0,
            siblings: Vec::new(),
            next: None,
        }
    }

    #[test]
    fn a_response_confirms_what_it_names_unless_the_marker_names_something_else() {
        let (a, b) = (publish("a", 1), publish("b", 2));
        let now: Timestamp = "2026-11-20T18:50:00Z".parse().unwrap();
        let earlier: Timestamp = "2026-11-20T18:49:55Z".parse().unwrap();
        let says = |state, publish| ReportedState { publish, ..ReportedState::without_content(state) };
        let applied = says(ProcessState::Applied, Some(a));
        let check = |response: &ReportResponse, reported: &ReportedState, expected: Option<Timestamp>| {
            assert_eq!(verified_at(response, a, reported, now), expected, "{response:?} {reported:?}");
        };
        check(&names(a), &applied, Some(earlier));
        check(&names(a), &says(ProcessState::Stale, Some(a)), Some(earlier));
        check(&names(a), &says(ProcessState::Rejected, None), Some(earlier));
        check(&names(a), &says(ProcessState::Rejected, Some(b)), None);
        check(&names(a), &says(ProcessState::Pending, Some(a)), None);
        check(&names(a), &says(ProcessState::Orphaned, Some(a)), None);
        for other in [b, publish("a", 2), publish("b", 1)] {
            check(&names(other), &applied, None);
        }
        check(&ReportResponse { verified_ms_ago: None, ..names(a) }, &applied, None);
        check(&ReportResponse { fingerprint: None, ..names(a) }, &applied, None);
        let ancient = ReportResponse { verified_ms_ago: Some(u64::MAX), ..names(a) };
        check(&ancient, &applied, Some(Timestamp::UNIX_EPOCH));
    }
}
