//! The announced publish: prepared beside what runs, swapped in without a fetch, and dropped when it is superseded.

use rototo_api::fleet::PreparationState;

use super::*;

/// A process that runs a@1, holds b@2, and has reported that.
fn prepared() -> TestProcess {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["hold b", "report Applied a@1 next b@2 Prepared"]);
    process.check(answered("a@1 next b@2"), &[]);
    process
}

/// A process that runs a@1, refuses b@2 beforehand, and has reported that.
fn refusing() -> TestProcess {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(refused("b"), &["report Applied a@1 next b@2 Refused not_compiled"]);
    process.check(answered("a@1 next b@2"), &[]);
    process
}

#[test]
fn a_prepared_publish_is_swapped_in_without_a_fetch() {
    let mut process = prepared();
    assert_eq!((process.state.running(), process.state.held()), (Some(publish("a@1")), Some(fingerprint("b"))));
    process.check(changed("b@2"), &["swap b@2", "report Applied b@2"]);
    assert_eq!(process.state.held(), None);
}

#[test]
fn nothing_resolves_from_an_announced_publish() {
    let mut process = prepared();
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1 next b@2 Prepared"]);
    process.check(hydrated("a@1 next b@2"), &[]);
    process.check(FollowerEvent::Timer, &[]);
    assert_eq!(process.state.running(), Some(publish("a@1")));
}

#[test]
fn a_fetch_that_is_under_way_serves_the_publish_once_the_marker_names_it() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(changed("b@2"), &[]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn content_that_is_superseded_or_withdrawn_is_dropped() {
    let mut process = prepared();
    process.check(changed("a@1 next c@3"), &["fetch c on a"]);
    assert_eq!(process.state.held(), None);
    process.check(loaded("c"), &["hold c", "report Applied a@1 next c@3 Prepared"]);
    process.check(answered("a@1 next c@3"), &[]);
    process.check(changed("a@1"), &[]);
    assert_eq!(process.state.held(), None);
    for (lost, report) in [
        ("removed@5", "report Orphaned a@1"),
        ("no map", "report Orphaned a@1"),
        ("unreadable", "report Rejected marker_version_unknown"),
    ] {
        let mut process = prepared();
        process.check(changed(lost), &[report]);
        assert_eq!((process.state.held(), process.state.running()), (None, Some(publish("a@1"))), "{lost}");
    }
    let mut process = prepared();
    process.check(changed("c@3 next b@4"), &["fetch c on a"]);
    assert_eq!(process.state.held(), Some(fingerprint("b")), "the marker still announces it");
}

#[test]
fn a_fetch_of_a_superseded_announcement_is_cancelled() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(changed("a@1"), &["cancel"]);
    process.check(loaded("b"), &[]);
    assert_eq!(process.state.held(), None);
}

#[test]
fn the_desired_publish_is_fetched_before_the_announced_one() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1 next b@2"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "fetch b on a", "report Applied a@1"]);
    process.check(loaded("b"), &["hold b"]);
    process.check(answered("a@1 next b@2"), &["report Applied a@1 next b@2 Prepared"]);
    // A publish that supersedes both takes the place of the fetch.
    process.check(changed("c@3 next d@4"), &["fetch c on a"]);
    process.check(loaded("c"), &["swap c@3", "fetch d on c"]);
}

#[test]
fn a_refusal_beforehand_leaves_the_reported_state_as_it_is_and_holds_when_it_is_published_all_the_same() {
    let mut process = refusing();
    assert_eq!(process.state.trouble(), None);
    assert!(process.state.is_at_rest());
    process.check(changed("b@2"), &["report Rejected b@2 not_compiled"]);
}

#[test]
fn a_refused_announcement_is_tried_again_when_a_refresh_is_requested() {
    let mut process = refusing();
    process.check_but_reports(FollowerEvent::RefreshRequested, &["fetch b on a"]);
}

#[test]
fn a_process_says_whether_it_prepares() {
    let process = TestProcess::running("a@1");
    assert!(process.state.prepares() && process.state.reported(process.now).prepares);
    let state = process.state.without_preparing();
    assert!(!state.prepares() && !state.reported(process.now).prepares);
}

#[test]
fn a_refused_announcement_is_tried_again_after_a_while_and_at_once_under_a_new_name() {
    let mut process = refusing();
    process.check(changed("a@1 next b@3"), &["fetch b on a"]);
    process.check(refused("b"), &["report Applied a@1 next b@3 Refused not_compiled"]);
    process.check(answered("a@1 next b@3"), &[]);
    process.wait(15.0);
    process.check_but_reports(FollowerEvent::Timer, &[]);
    process.wait(15.0);
    process.check_but_reports(FollowerEvent::Timer, &["fetch b on a"]);
    process.check(loaded("b"), &["hold b", "report Applied a@1 next b@3 Prepared"]);
    process.check(answered("a@1 next b@3"), &[]);
    process.check(changed("b@3"), &["swap b@3", "report Applied b@3"]);
}

#[test]
fn a_failed_fetch_of_the_announcement_is_reported_beside_the_state() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(failed("operator_busy"), &["report Applied a@1 next b@2 Pending operator_busy"]);
    assert_eq!((process.state.failures(), process.state.trouble(), process.state.is_at_rest()), (0, None, false));
    process.check(answered("a@1 next b@2"), &[]);
    process.wait(0.2);
    process.check(FollowerEvent::Timer, &["fetch b on a"]);
}

#[test]
fn content_that_runs_already_is_prepared_without_a_fetch() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1 next a@2"), &["report Applied a@1 next a@2 Prepared"]);
    process.check(answered("a@1 next a@2"), &[]);
    process.check(changed("a@2"), &["rename a@2", "report Applied a@2"]);
}

#[test]
fn a_process_without_memory_for_two_versions_prepares_nothing() {
    let mut process = TestProcess::new();
    process.state = process.state.without_preparing();
    process.check(hydrated("a@1 next b@2"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1 next b@2"), &[]);
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("a@1 next b@2"), &[]);
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(answered("a@1 next b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
}

#[test]
fn a_response_that_announces_what_the_watch_has_not_shown_makes_the_process_list() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(answered("a@1 next b@2"), &[]);
    process.wait(2.0);
    process.check(FollowerEvent::Timer, &["restart watch"]);
    // An operator of before announces nothing, and that shows nothing.
    let mut process = prepared();
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1 next b@2 Prepared"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1 next b@2 Prepared"]);
}

#[test]
fn the_answer_about_an_announcement_is_not_spread() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    let spread = ReportResponse { report_applied_within_ms: 200, ..answer("a@1") };
    process.check(FollowerEvent::Answered(spread.clone()), &[]);
    process.check(changed("a@1 next b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["hold b", "report Applied a@1 next b@2 Prepared"]);
    let next = Some(publish("b@2").to_next());
    process.check(FollowerEvent::Answered(ReportResponse { next, ..spread }), &[]);
    process.check(changed("b@2"), &["swap b@2"]);
    process.wait(0.2);
    process.check(FollowerEvent::Timer, &["report Applied b@2"]);
}

#[test]
fn a_process_has_prepared_a_publish_once_each_of_its_handles_has() {
    let state = |next| ReportedState { next, ..reported_states(&["Applied a@1"]).remove(0) };
    let next = |text: &str, state| Some(ReportedNext { publish: publish(text), state, reason: None });
    let (prepared, refused) = (next("b@2", PreparationState::Prepared), next("b@2", PreparationState::Refused));
    let pending = next("b@2", PreparationState::Pending);
    let older = next("b@1", PreparationState::Prepared);
    let drained = reported_states(&["Draining"]).remove(0);
    for (handles, expected) in [
        (vec![state(prepared)], prepared),
        (vec![state(prepared), state(prepared)], prepared),
        (vec![state(prepared), state(None)], None),
        (vec![state(older), state(prepared)], None),
        (vec![state(prepared), state(refused)], refused),
        (vec![state(refused), state(None)], refused),
        (vec![state(pending), state(prepared)], pending),
        (vec![state(prepared), drained.clone()], prepared),
    ] {
        assert_eq!(combine(&handles).unwrap().next, expected, "{handles:?}");
        assert_eq!(combine(handles.iter().rev()).unwrap().next, expected, "{handles:?} reversed");
    }
    let off = ReportedState { prepares: false, ..state(None) };
    for (handles, prepares) in [
        (vec![state(None), state(None)], true),
        (vec![state(None), off.clone()], false),
        (vec![off.clone()], false),
        (vec![state(None), ReportedState { prepares: false, ..drained.clone() }], true),
        (vec![drained], false),
    ] {
        assert_eq!(combine(&handles).unwrap().prepares, prepares, "{handles:?}");
    }
}

#[test]
fn a_process_of_which_one_handle_refuses_says_the_same_about_an_announcement_and_its_application() {
    let next = ReportedNext { publish: publish("b@2"), state: PreparationState::Refused, reason: None };
    let (next, degraded) = (Some(next), Some("errors".to_owned()));
    let off = reported_states(&["Applied a@1"]).remove(0);
    let off = ReportedState { prepares: false, next, degraded: degraded.clone(), ..off };
    let refuses = reported_states(&["Rejected c@3"]).remove(0);
    let combined = combine(&[off, refuses]).unwrap();
    assert_eq!((combined.state, combined.prepares, combined.next), (ProcessState::Rejected, false, next));
    assert_eq!(combined.degraded, degraded);
}

/// A process of a pod that runs a@1, and holds b@2.
fn staged() -> TestProcess {
    let mut process = prepared();
    process.state = process.state.in_pod(Some("6a0f".to_owned()));
    process
}

#[test]
fn a_process_of_the_stage_runs_the_announced_publish_and_holds_the_published_one() {
    let mut process = staged();
    process.check(changed("a@1 next b@2 stage 4294967296"), &["swap b@2", "report Applied b@2 next a@1 Prepared"]);
    assert_eq!((process.state.running(), process.state.held()), (Some(publish("b@2")), Some(fingerprint("a"))));
    process.check(answered("b@2 next b@2"), &[]);
    // It is taken back: no request stands between the marker and the swap.
    process.check(changed("a@1"), &["swap a@1", "report Applied a@1"]);
    assert_eq!(process.state.held(), None);
}

#[test]
fn a_process_of_the_stage_has_nothing_to_do_when_the_publish_is_for_all() {
    let mut process = staged();
    process.check(changed("a@1 next b@2 stage 4294967296"), &["swap b@2", "report Applied b@2 next a@1 Prepared"]);
    process.check(answered("b@2 next b@2"), &[]);
    process.check(changed("b@2"), &[]);
    assert_eq!((process.state.running(), process.state.held()), (Some(publish("b@2")), None));
}

#[test]
fn a_process_outside_of_the_stage_runs_what_is_published() {
    let outside = "a@1 next b@2 stage 1";
    let mut process = staged();
    process.check(changed(outside), &[]);
    for uid in [None, Some("6a0f")] {
        let mut process = prepared();
        process.state = process.state.in_pod(uid.map(str::to_owned));
        process.check(changed("a@1 next b@2 stage 0"), &[]);
        assert_eq!(process.state.running(), Some(publish("a@1")), "{uid:?}");
    }
    let mut without_pod = prepared();
    without_pod.check(changed("a@1 next b@2 stage 4294967296"), &[]);
    assert_eq!(without_pod.state.running(), Some(publish("a@1")));
}

#[test]
fn a_process_that_starts_in_the_stage_prepares_both() {
    let mut process = TestProcess::new();
    process.state = process.state.in_pod(Some("6a0f".to_owned()));
    process.check(hydrated("a@1 next b@2 stage 4294967296"), &["fetch b"]);
    process.check(loaded("b"), &["swap b@2", "fetch a on b", "report Applied b@2"]);
    process.check(loaded("a"), &["hold a"]);
    process.check(answered("b@2 next b@2"), &["report Applied b@2 next a@1 Prepared"]);
}

#[test]
fn a_stage_that_grows_takes_the_process_in_and_one_that_is_superseded_takes_it_out() {
    let mut process = staged();
    process.check(changed("a@1 next b@2 stage 1"), &[]);
    process.check(changed("a@1 next b@2 stage 4294967296"), &["swap b@2", "report Applied b@2 next a@1 Prepared"]);
    process.check(answered("b@2 next b@2"), &[]);
    process.check(changed("a@1 next c@3"), &["swap a@1", "fetch c on a", "report Applied a@1"]);
}
