//! Content that is refused, lost before the swap, or not fetched.

use super::*;

/// A process that runs a@1, refuses b@2, and has reported that.
fn refusing() -> TestProcess {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(refused("b"), &["report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    process
}

#[test]
fn refused_content_is_reported_and_replaces_nothing() {
    let mut process = refusing();
    assert_eq!(
        (process.stands().as_str(), process.state.running()),
        ("Rejected b@2 not_compiled", Some(publish("a@1")))
    );
    assert_eq!(process.state.trouble().map(|fault| fault.code), Some("not_compiled"));
    process.check(FollowerEvent::Timer, &[]);
    process.check(hydrated("b@2"), &[]);
    // The refusal does not apply to other content.
    process.check(changed("c@4"), &["fetch c on a"]);
    assert_eq!(process.stands(), "Pending a@1");
}

#[test]
fn refused_content_is_fetched_again_under_a_new_name() {
    let mut process = refusing();
    process.check(changed("b@3"), &["fetch b on a"]);
    assert_eq!(process.stands(), "Pending a@1");
    process.check(loaded("b"), &["swap b@3", "report Applied b@3"]);
    process.check(answered("b@3"), &[]);
    assert_eq!((process.stands().as_str(), process.state.trouble()), ("Applied b@3", None));
}

#[test]
fn refused_content_is_fetched_again_when_the_application_requests_a_refresh() {
    // The process refuses until the check has passed.
    let mut process = refusing();
    process.check(FollowerEvent::RefreshRequested, &["fetch b on a", "report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    // Neither a repeated marker nor a repeated request ends the attempt that is under way.
    process.check(hydrated("b@2"), &[]);
    process.check(FollowerEvent::RefreshRequested, &["report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    assert!(!process.state.is_at_rest());
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert_eq!((process.stands().as_str(), process.state.trouble()), ("Applied b@2", None));
}

#[test]
fn refused_content_is_fetched_again_after_a_growing_wait() {
    // The wait is 30 s after the first refusal, and grows to 300 s.
    let mut process = refusing();
    for seconds in [30, 60, 120, 240, 300, 300] {
        let due = process.now + Duration::from_secs(seconds);
        while process.state.wake_at(process.now).unwrap() < due {
            process.now = process.state.wake_at(process.now).unwrap();
            process.check(FollowerEvent::Timer, &["report Rejected b@2 not_compiled"]);
            process.check(answered("b@2"), &[]);
        }
        process.now = due;
        process.check_but_reports(FollowerEvent::Timer, &["fetch b on a"]);
        assert_eq!(process.stands(), "Rejected b@2 not_compiled", "during the next attempt");
        process.check_but_reports(refused("b"), &[]);
    }
}

#[test]
fn a_failed_fetch_of_refused_content_leaves_the_refusal_unchanged() {
    let mut process = refusing();
    process.check(FollowerEvent::RefreshRequested, &["fetch b on a", "report Rejected b@2 not_compiled"]);
    process.check(failed("operator_unreachable"), &[]);
    process.check(answered("b@2"), &[]);
    assert_eq!(process.stands(), "Rejected b@2 not_compiled");
    process.wait(0.2);
    process.check(FollowerEvent::Timer, &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_marker_that_returns_to_refused_content_does_not_hasten_the_next_attempt() {
    let mut process = refusing();
    process.check(changed("c@3"), &["fetch c on a"]);
    process.check(changed("b@2"), &["cancel"]);
    assert_eq!(process.stands(), "Rejected b@2 not_compiled");
}

#[test]
fn a_swap_without_content_is_reported_and_the_content_is_fetched_again() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(FollowerEvent::NotSwapped(Some(publish("a@1"))), &[]);
    assert_eq!(process.stands(), "Pending a@1 not_swapped");
    process.check(answered("b@2"), &["report Pending a@1 not_swapped"]);
    process.check(answered("b@2"), &[]);
    process.wait(10.0);
    process.check(FollowerEvent::Timer, &["fetch b"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_process_whose_first_swap_had_no_content_runs_nothing() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(FollowerEvent::NotSwapped(None), &[]);
    assert_eq!((process.stands().as_str(), process.state.running()), ("Pending not_swapped", None));
}

#[test]
fn a_failed_fetch_is_retried_after_a_growing_wait() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(failed("operator_unreachable"), &["report Pending a@1 operator_unreachable"]);
    process.check(answered("b@2"), &[]);
    for (seconds, after) in
        [(0.2, "first"), (0.4, "second"), (0.8, "third"), (1.6, "fourth"), (3.2, "fifth"), (5.0, "sixth")]
    {
        process.wait(seconds);
        process.check(FollowerEvent::Timer, &["fetch b on a"]);
        process.check(failed("operator_unreachable"), &[]);
        assert_eq!(process.state.trouble().map(|fault| fault.code), Some("operator_unreachable"), "{after}");
    }
    assert_eq!(process.state.failures(), 7);
}

#[test]
fn a_fetch_that_failed_persistently_is_retried_without_a_base() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(
        FollowerEvent::FetchFailed(Fault::persistent("snapshot_damaged", "")),
        &["report Pending a@1 snapshot_damaged"],
    );
    process.check(answered("b@2"), &[]);
    process.wait(10.0);
    process.check(FollowerEvent::Timer, &["fetch b"]);
}

#[test]
fn a_server_that_asks_for_a_wait_gets_no_request_until_it_is_over() {
    let busy = |seconds| Fault {
        code: "operator_unavailable",
        message: String::new(),
        kind: FaultKind::Busy(Duration::from_secs(seconds)),
    };
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(FollowerEvent::FetchFailed(busy(2)), &["report Pending a@1 operator_unavailable"]);
    process.check(answered("b@2"), &[]);
    process.wait(2.2);
    process.check(FollowerEvent::Timer, &["fetch b on a"]);
    // A server that asks for no wait at all is still asked only after the backoff.
    process.check(FollowerEvent::FetchFailed(busy(0)), &[]);
    process.wait(0.4);
}
