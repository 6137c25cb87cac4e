//! Responses of the operator to reports.

use super::*;

#[test]
fn a_response_that_names_another_publish_makes_the_process_list_the_markers_once() {
    // A report response alone fetches nothing, whether it names a later or an earlier publish.
    for other in ["c@3", "a@1"] {
        let mut process = TestProcess::running("b@2");
        process.wait(15.0);
        process.check(FollowerEvent::Timer, &["report Applied b@2"]);
        process.check(answered(other), &[]);
        process.wait(2.0);
        process.check(FollowerEvent::Timer, &["restart watch"]);
        process.check(FollowerEvent::Timer, &[]);
        // The list shows the same marker as before: the response was late, or the next one repeats it.
        process.check(hydrated("b@2"), &[]);
        process.wait(13.0);
        process.check(FollowerEvent::Timer, &["report Applied b@2"]);
        process.check(answered(other), &[]);
        process.wait(2.0);
        process.check(FollowerEvent::Timer, &["restart watch"]);
        assert_eq!(process.state.running(), Some(publish("b@2")));
    }
}

#[test]
fn a_watch_that_shows_what_the_response_named_is_not_restarted() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    process.wait(15.0);
}

#[test]
fn a_refresh_waits_until_the_watch_shows_what_the_response_named() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    assert!(!process.state.is_at_rest());
    process.wait(2.0);
    process.check(FollowerEvent::Timer, &["restart watch"]);
    assert!(!process.state.is_at_rest(), "the list is under way");
    process.check(hydrated("b@2"), &["fetch b on a"]);
    assert!(!process.state.is_at_rest());
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert!(process.state.is_at_rest());
    // The response was late, and the list shows the same marker.
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied b@2"]);
    process.check(answered("a@1"), &[]);
    process.check(hydrated("b@2"), &[]);
    assert!(process.state.is_at_rest());
    // Nothing shows the marker while the watch is lost.
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied b@2"]);
    process.check(answered("c@3"), &[]);
    process.check(FollowerEvent::WatchLost(Fault::transient("api_unreachable", "gone")), &[]);
    assert!(process.state.is_at_rest());
}

#[test]
fn a_refresh_waits_for_the_response_to_a_report_that_began_after_it() {
    let mut process = TestProcess::running("a@1");
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(FollowerEvent::RefreshRequested, &[]);
    process.check(answered("a@1"), &["report Applied a@1"]);
    assert!(!process.state.is_at_rest());
    process.check(answered("a@1"), &[]);
    assert!(process.state.is_at_rest());
    // A failure answers the request too.
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(FollowerEvent::RefreshRequested, &[]);
    process.check(FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "gone")), &[]);
    assert!(process.state.is_at_rest());
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
}

#[test]
fn a_response_that_agrees_with_the_marker_ends_the_doubt() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
}

#[test]
fn a_response_that_names_another_publish_does_not_confirm_what_runs() {
    let mut process = TestProcess::running("a@1");
    process.now += Duration::from_secs(50);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.now += Duration::from_secs(10);
    assert!(process.state.is_stale(process.now));
    process.check(FollowerEvent::Timer, &["restart watch", "report Stale a@1"]);
}

#[test]
fn a_response_before_the_first_list_fetches_nothing_and_does_not_restart_the_list() {
    let mut process = TestProcess::new();
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Starting"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
    process.check(hydrated("a@1"), &["fetch a", "report Pending"]);
}

#[test]
fn a_missing_marker_is_listed_again_when_the_operator_names_a_publish() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("no marker"), &["report Orphaned a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(2.0);
    process.check(FollowerEvent::Timer, &["restart watch"]);
    process.check(hydrated("a@1"), &["report Applied a@1"]);
}

#[test]
fn a_watch_that_is_known_to_be_lost_is_not_restarted() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::WatchLost(Fault::transient("api_unreachable", "gone")), &[]);
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.wait(2.0);
    process.check(FollowerEvent::Timer, &[]);
}

#[test]
fn a_question_about_siblings_is_answered_a_second_later() {
    let sibling = rototo_api::fleet::Pid { pid: 7, started: 1, namespace: 1 };
    let asks = || FollowerEvent::Answered(ReportResponse { siblings: vec![sibling], ..answer("a@1") });
    let mut process = TestProcess::running("a@1");
    process.check(asks(), &[]);
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    // The wait is the same however often the operator asks.
    process.check(asks(), &[]);
    process.wait(1.0);
}

#[test]
fn a_response_without_a_publish_changes_nothing() {
    let mut process = TestProcess::running("a@1");
    let nothing = ReportResponse { fingerprint: None, updated_at: None, verified_ms_ago: None, ..answer("a@1") };
    process.check(FollowerEvent::Answered(nothing), &[]);
    let nonsense = ReportResponse { fingerprint: Some("latest".to_owned()), ..answer("b@2") };
    process.check(FollowerEvent::Answered(nonsense), &[]);
    assert_eq!(process.stands(), "Applied a@1");
}

#[test]
fn a_response_without_a_publish_does_not_confirm_what_runs() {
    let unpublished = || {
        let nothing = ReportResponse { fingerprint: None, updated_at: None, ..answer("a@1") };
        FollowerEvent::Answered(nothing)
    };
    let mut process = TestProcess::running("a@1");
    for _ in 0..3 {
        process.wait(15.0);
        process.check(FollowerEvent::Timer, &["report Applied a@1"]);
        process.check(unpublished(), &[]);
    }
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Stale a@1"]);
    // A process that runs nothing has nothing that grows old.
    let mut waits = TestProcess::new();
    waits.check(hydrated("no marker"), &[]);
    waits.now += Duration::from_secs(600);
    waits.check(FollowerEvent::Timer, &["report Starting"]);
    waits.check(unpublished(), &[]);
    waits.check(changed("a@1"), &["fetch a"]);
    waits.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    assert_eq!((waits.stands().as_str(), waits.state.is_stale(waits.now)), ("Applied a@1", false));
}

#[test]
fn a_revision_comes_from_the_response_and_is_forgotten_with_the_publish() {
    let mut process = TestProcess::running("a@1");
    let known = ReportResponse { revision: Some("main@sha1:1".to_owned()), ..answer("a@1") };
    process.check(FollowerEvent::Answered(known.clone()), &["rename a@1 main@sha1:1"]);
    process.check(FollowerEvent::Answered(known), &[]);
    process.check(changed("a@2"), &["rename a@2", "report Applied a@2"]);
    process.check(
        FollowerEvent::Answered(ReportResponse { revision: Some("main@sha1:1".to_owned()), ..answer("a@2") }),
        &["rename a@2 main@sha1:1"],
    );
}

#[test]
fn a_response_confirms_what_it_names_unless_the_marker_names_something_else() {
    let names_a = ReportResponse { verified_ms_ago: Some(5_000), ..answer("a@1") };
    let confirms = |process: &TestProcess, response: &ReportResponse| process.state.verified_ago(response);
    let after = |event: FollowerEvent| {
        let mut process = TestProcess::running("a@1");
        process.state = step(process.state, event, StepTime { now: process.now, chance: 1.0 }).0;
        process
    };
    let five = Some(Duration::from_secs(5));
    let applied = TestProcess::running("a@1");
    assert_eq!((applied.stands().as_str(), confirms(&applied, &names_a)), ("Applied a@1", five));
    let mut stale = TestProcess::running("a@1");
    stale.now += Duration::from_secs(600);
    assert_eq!((stale.stands().as_str(), confirms(&stale, &names_a)), ("Stale a@1", five));
    let unreadable = after(changed("unreadable"));
    assert_eq!(
        (unreadable.stands().as_str(), confirms(&unreadable, &names_a)),
        ("Rejected marker_version_unknown", five)
    );
    let mut rejected = after(changed("b@2"));
    assert_eq!((rejected.stands().as_str(), confirms(&rejected, &names_a)), ("Pending a@1", None));
    rejected.state = step(rejected.state, refused("b"), StepTime { now: rejected.now, chance: 1.0 }).0;
    assert_eq!((rejected.stands().as_str(), confirms(&rejected, &names_a)), ("Rejected b@2 not_compiled", None));
    let orphaned = after(changed("no marker"));
    assert_eq!((orphaned.stands().as_str(), confirms(&orphaned, &names_a)), ("Orphaned a@1", None));
    for other in ["b@2", "a@2", "b@1"] {
        assert_eq!(confirms(&applied, &answer(other)), None, "{other}");
    }
    for unknown in [
        ReportResponse { verified_ms_ago: None, ..names_a.clone() },
        ReportResponse { fingerprint: None, ..names_a.clone() },
    ] {
        assert_eq!(confirms(&applied, &unknown), None, "{unknown:?}");
    }
    let ancient = ReportResponse { verified_ms_ago: Some(u64::MAX), ..names_a };
    assert_eq!(confirms(&applied, &ancient), Some(Duration::from_millis(u64::MAX)));
}
