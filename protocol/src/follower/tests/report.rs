//! Times of reports, and staleness.

use super::*;

#[test]
fn a_report_waits_for_the_one_before_and_has_the_newest_state() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.check(changed("a@3"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@3"]);
    process.check(answered("a@3"), &["report Applied a@3"]);
}

#[test]
fn a_failed_report_is_repeated_after_a_backoff_and_a_new_one_is_sent_at_once() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    let lost = || FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", ""));
    process.check(lost(), &[]);
    process.wait(0.5);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(lost(), &[]);
    process.check(changed("a@2"), &["rename a@2", "report Applied a@2"]);
    process.check(lost(), &[]);
    process.wait(2.0);
}

#[test]
fn a_heartbeat_comes_at_the_time_that_the_operator_asked_for_within_limits() {
    for (asked, seconds) in [(15_000, 15.0), (0, 1.0), (u64::MAX, 3600.0)] {
        let mut process = TestProcess::running("a@1");
        process.check(FollowerEvent::Answered(ReportResponse { next_report_in_ms: asked, ..answer("a@1") }), &[]);
        process.wait(seconds);
    }
}

#[test]
fn a_healthy_process_is_never_stale_between_two_reports() {
    // The case is `staleAfter: 10s` with an interval of 5 s and a heartbeat of 15 s.
    let answer = || {
        FollowerEvent::Answered(ReportResponse {
            verified_ms_ago: Some(5_000),
            stale_after_ms: 10_000,
            ..answer("a@1")
        })
    };
    let mut process = TestProcess::running("a@1");
    process.check(answer(), &[]);
    for _ in 0..3 {
        process.wait(15.0);
        assert!(!process.state.is_stale(process.now));
        process.check(FollowerEvent::Timer, &["report Applied a@1"]);
        process.check(answer(), &[]);
    }
}

#[test]
fn a_change_in_a_large_fleet_is_reported_a_moment_after_it_was_applied() {
    let answer = |text| FollowerEvent::Answered(ReportResponse { report_applied_within_ms: 150, ..answer(text) });
    let mut process = TestProcess::running("a@1");
    process.check(answer("a@1"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.wait(0.15);
    process.check(FollowerEvent::Timer, &["report Applied b@2"]);
    process.check(answer("b@2"), &[]);
    // A refusal is reported at once.
    process.check(changed("c@3"), &["fetch c on b"]);
    process.check(refused("c"), &["report Rejected c@3 not_compiled"]);
}

#[test]
fn a_delayed_report_that_no_longer_holds_causes_no_step() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::Answered(ReportResponse { report_applied_within_ms: 150, ..answer("a@1") }), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.check(changed("c@3"), &["fetch c on b"]);
    // The next step is the heartbeat, and not the report of b.
    process.wait(15.0);
}

#[test]
fn content_that_is_not_confirmed_for_too_long_is_stale_until_it_is_confirmed() {
    let mut process = TestProcess::running("a@1");
    let old = ReportResponse { verified_ms_ago: Some(50_000), ..answer("a@1") };
    process.check(FollowerEvent::Answered(old), &[]);
    process.wait(10.0);
    assert!(process.state.is_stale(process.now));
    process.check(FollowerEvent::Timer, &["report Stale a@1"]);
    process.check(answered("a@1"), &["report Applied a@1"]);
    assert!(!process.state.is_stale(process.now));
}

#[test]
fn a_process_whose_operator_is_unreachable_becomes_stale() {
    let mut process = TestProcess::running("a@1");
    process.now += Duration::from_secs(60);
    process.check(FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "")), &["report Stale a@1"]);
}

#[test]
fn a_stale_process_still_reports_a_new_publish_as_applied() {
    let mut process = TestProcess::running("a@1");
    process.now += Duration::from_secs(60);
    process.check(FollowerEvent::Timer, &["report Stale a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "")), &[]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn the_application_can_set_the_time_after_which_it_counts_as_stale() {
    let mut process =
        TestProcess { state: FollowerState::new(Some(Duration::from_secs(5)), DiskCache::None), now: Duration::ZERO };
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(5.0);
    assert!(process.state.is_stale(process.now));
}

#[test]
fn a_lost_watch_is_a_fault_until_it_is_restored_or_shows_a_marker() {
    let lost = || FollowerEvent::WatchLost(Fault::transient("api_unreachable", "gone"));
    let mut process = TestProcess::running("a@1");
    process.check(lost(), &[]);
    assert_eq!(process.state.trouble().map(|fault| fault.code), Some("api_unreachable"));
    assert_eq!(process.stands(), "Applied a@1", "it keeps running what it has");
    process.check(FollowerEvent::WatchRestored, &[]);
    assert_eq!(process.state.trouble(), None);
    process.check(lost(), &[]);
    process.check(changed("a@1"), &[]);
    assert_eq!(process.state.trouble(), None);
}

#[test]
fn a_new_process_that_may_not_watch_reports_so() {
    let mut process = TestProcess::new();
    process.check(
        FollowerEvent::WatchLost(Fault::persistent("watch_forbidden", "grant it")),
        &["report Starting watch_forbidden"],
    );
    assert_eq!(process.state.trouble().map(|fault| fault.message.as_str()), Some("grant it"));
}

#[test]
fn a_process_whose_reports_fail_tries_again_after_one_heartbeat_at_the_latest() {
    let mut process = TestProcess::running("a@1");
    process.wait(15.0);
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(FollowerEvent::Answered(ReportResponse { next_report_in_ms: 4_000, ..answer("a@1") }), &[]);
    assert_eq!(process.state.report_trouble(), None);
    process.wait(4.0);
    for wait in [0.5, 1.0, 2.0, 4.0, 4.0] {
        process.check(FollowerEvent::Timer, &["report Applied a@1"]);
        process.check(FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "")), &[]);
        assert_eq!(process.state.report_trouble().map(|fault| fault.code), Some("operator_unreachable"));
        process.wait(wait);
    }
}
