//! Tests of the follower as tables: an event on the left, the expected actions on the right.

use rototo_api::UpdatedAt;
use rototo_api::fleet::{ProcessState, ReportResponse};
use rototo_engine::Fingerprint;

use super::*;

/// A process in a test: it takes events, and turns actions into short texts.
struct TestProcess {
    state: FollowerState,
    now: Duration,
}

impl TestProcess {
    fn new() -> Self {
        Self { state: FollowerState::new(None, DiskCache::None), now: Duration::ZERO }
    }

    /// A process that runs the publish `content@time`, and has reported it.
    fn running(publish: &str) -> Self {
        let mut process = Self::new();
        let content = publish.split('@').next().unwrap();
        process.check(hydrated(publish), &[&format!("fetch {content}")]);
        process.check(loaded(content), &[&format!("swap {publish}"), &format!("report Applied {publish}")]);
        process.check(answered(publish), &[]);
        process
    }

    #[track_caller]
    fn check(&mut self, event: FollowerEvent, expected: &[&str]) {
        let (state, actions) = step(self.state.clone(), event.clone(), StepTime { now: self.now, chance: 1.0 });
        self.state = state;
        let actions: Vec<String> = actions.iter().map(text).collect();
        assert_eq!(actions, expected, "after {event:?}");
    }

    /// Lets time pass until the next step is due.
    #[track_caller]
    fn wait(&mut self, seconds: f64) {
        let due = self.state.wake_at(self.now).expect("a step should be due");
        assert_eq!(
            (due.saturating_sub(self.now)).as_secs_f64(),
            seconds,
            "the next step is due after this many seconds"
        );
        self.now = due;
    }

    /// Does the same as `check`, where a heartbeat may be due at the same moment.
    #[track_caller]
    fn check_but_reports(&mut self, event: FollowerEvent, expected: &[&str]) {
        let (state, actions) = step(self.state.clone(), event.clone(), StepTime { now: self.now, chance: 1.0 });
        self.state = state;
        let reports = actions.iter().any(|action| matches!(action, FollowerAction::Report(_)));
        let others = actions.iter().filter(|action| !matches!(action, FollowerAction::Report(_)));
        assert_eq!(others.map(text).collect::<Vec<_>>(), expected, "after {event:?}");
        if reports {
            let shown = self.state.reported(self.now).publish.as_ref().map(name).unwrap();
            let (state, _) = step(self.state.clone(), answered(&shown), StepTime { now: self.now, chance: 1.0 });
            self.state = state;
        }
    }

    fn stands(&self) -> String {
        reported(&self.state.reported(self.now))
    }
}

fn fingerprint(content: &str) -> Fingerprint {
    format!("sha256:{}", content.repeat(64)).parse().unwrap()
}

fn time(second: &str) -> UpdatedAt {
    format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap()
}

/// `a@1`: content a, published at second 1.
fn publish(text: &str) -> Publish {
    let (content, second) = text.split_once('@').unwrap();
    Publish { fingerprint: fingerprint(content), updated_at: time(second) }
}

fn marker(text: &str) -> ObservedMarker {
    match text {
        "no map" => ObservedMarker::NoMap,
        "no marker" => ObservedMarker::NoMarker,
        "unreadable" => ObservedMarker::Unreadable(Fault::persistent("marker_version_unknown", "too new")),
        removed if removed.starts_with("removed@") => ObservedMarker::Removed(time(&removed[8..])),
        published => ObservedMarker::Published(publish(published)),
    }
}

fn hydrated(text: &str) -> FollowerEvent {
    FollowerEvent::Hydrated(marker(text))
}

fn changed(text: &str) -> FollowerEvent {
    FollowerEvent::Changed(marker(text))
}

fn loaded(content: &str) -> FollowerEvent {
    FollowerEvent::Loaded(fingerprint(content), ContentSource::Current)
}

fn refused(content: &str) -> FollowerEvent {
    FollowerEvent::Refused(fingerprint(content), Fault::persistent("not_compiled", "no"))
}

fn failed(code: &'static str) -> FollowerEvent {
    FollowerEvent::FetchFailed(Fault::transient(code, "no answer"))
}

/// The operator answers that this is published, was verified just now, and becomes stale after 60 s.
fn answered(text: &str) -> FollowerEvent {
    FollowerEvent::Answered(answer(text))
}

fn answer(text: &str) -> ReportResponse {
    let publish = publish(text);
    ReportResponse {
        fingerprint: Some(publish.fingerprint.to_string()),
        updated_at: Some(publish.updated_at),
        revision: None,
        verified_ms_ago: Some(0),
        stale_after_ms: 60_000,
        next_report_in_ms: 15_000,
        report_applied_within_ms: 0,
        siblings: Vec::new(),
    }
}

fn text(action: &FollowerAction) -> String {
    match action {
        FollowerAction::Fetch { fingerprint, base: None } => format!("fetch {}", letter(fingerprint)),
        FollowerAction::Fetch { fingerprint, base: Some(base) } => {
            format!("fetch {} on {}", letter(fingerprint), letter(base))
        }
        FollowerAction::CancelFetch => "cancel".to_owned(),
        FollowerAction::Swap(publish) => format!("swap {}", name(publish)),
        FollowerAction::Rename { publish, revision: None } => format!("rename {}", name(publish)),
        FollowerAction::Rename { publish, revision: Some(revision) } => format!("rename {} {revision}", name(publish)),
        FollowerAction::Report(report) => format!("report {}", reported(report)),
        FollowerAction::RestartWatch => "restart watch".to_owned(),
        FollowerAction::Recall => "recall".to_owned(),
    }
}

fn reported(reported: &ReportedState) -> String {
    let state = Some(format!("{:?}", reported.state));
    let parts = [state, reported.publish.as_ref().map(name), reported.reason.map(str::to_owned)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn letter(fingerprint: &Fingerprint) -> String {
    fingerprint.short().chars().take(1).collect()
}

fn name(publish: &Publish) -> String {
    let time = publish.updated_at.to_string();
    format!("{}@{}", letter(&publish.fingerprint), &time[18..19])
}

#[test]
fn a_new_process_fetches_what_is_published_and_reports_it_as_applied() {
    let mut process = TestProcess::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    assert_eq!(process.stands(), "Pending");
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.stands(), "Applied a@1");
    assert!(process.state.is_at_rest());
}

#[test]
fn a_process_waits_for_a_missing_map_or_marker() {
    for absent in ["no map", "no marker"] {
        let mut process = TestProcess::new();
        process.check(hydrated(absent), &[]);
        assert_eq!((process.stands().as_str(), process.state.absence()), ("Starting", Some(&marker(absent))));
        process.check(changed("a@1"), &["fetch a"]);
    }
}

#[test]
fn a_start_that_hangs_is_reported_after_a_second() {
    let mut process = TestProcess::new();
    process.check(hydrated("no marker"), &[]);
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Starting"]);
}

#[test]
fn a_change_is_fetched_with_the_running_content_as_its_base() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    assert_eq!(process.stands(), "Pending a@1");
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_repeated_marker_changes_nothing() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("a@1"), &[]);
    process.check(hydrated("a@1"), &[]);
}

#[test]
fn a_change_and_its_revert_are_three_publishes_and_need_no_fetch_back() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("a@3"), &["cancel", "rename a@3", "report Applied a@3"]);
    process.check(loaded("b"), &[]);
    assert_eq!(process.stands(), "Applied a@3");
}

#[test]
fn a_new_publish_of_the_content_that_is_being_fetched_continues_the_fetch() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("b@3"), &[]);
    process.check(loaded("b"), &["swap b@3", "report Applied b@3"]);
}

#[test]
fn the_fetch_of_a_superseded_publish_is_replaced() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("c@3"), &["fetch c on a"]);
    process.check(loaded("b"), &[]);
    process.check(loaded("c"), &["swap c@3", "report Applied c@3"]);
}

#[test]
fn a_marker_that_the_watch_shows_is_followed_however_old_its_name_is() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@1"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.check(hydrated("b@0"), &["fetch b on a"]);
    process.check(changed("removed@0"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn a_marker_that_was_edited_and_put_back_is_followed_each_time() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@9", "report Applied a@9"]);
    process.check(answered("b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_marker_that_was_edited_and_put_back_during_the_fetch_causes_no_swap() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(changed("b@2"), &["cancel"]);
    process.check(loaded("a"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_workspace_that_is_recreated_under_an_earlier_clock_is_followed() {
    // Of a removal, a missing marker, and b@1, a resumed watch shows only the last.
    let mut process = TestProcess::running("a@5");
    process.check(changed("b@1"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@1", "report Applied b@1"]);
}

#[test]
fn a_process_whose_marker_is_gone_is_orphaned_and_keeps_running_its_content() {
    for gone in ["removed@2", "no marker", "no map"] {
        let mut process = TestProcess::running("a@1");
        process.check(changed(gone), &["report Orphaned a@1"]);
        assert_eq!(process.state.running(), Some(publish("a@1")));
        process.check(answered("a@1"), &[]);
        assert_eq!(process.stands(), "Orphaned a@1", "{gone}: the operator answered before it knew");
    }
}

#[test]
fn a_publish_after_a_removal_is_followed_whatever_its_time() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("no marker"), &["report Orphaned b@2"]);
    process.check(changed("b@1"), &["rename b@1"]);
    process.check(answered("b@1"), &["report Applied b@1"]);
}

#[test]
fn a_removal_cancels_the_fetch_that_is_under_way() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("removed@3"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn an_unreadable_marker_is_refused_and_changes_nothing_else() {
    let mut process = TestProcess::running("a@1");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    assert_eq!(process.state.running(), Some(publish("a@1")));
    process.check(answered("b@2"), &[]);
    process.check(changed("a@1"), &["report Applied a@1"]);
}

#[test]
fn an_older_publish_after_an_unreadable_marker_is_followed() {
    let mut process = TestProcess::running("b@2");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    process.check(changed("a@1"), &["fetch a on b"]);
}

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

fn starting_with_a_disk() -> TestProcess {
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.wait(1.0);
    process.check(FollowerEvent::Timer, &["report Starting"]);
    process.check(FollowerEvent::ReportFailed(Fault::transient("no_address", "")), &[]);
    process.now = Duration::from_secs(3);
    process.check(FollowerEvent::Timer, &["recall", "report Starting"]);
    process
}

#[test]
fn a_start_at_which_nobody_answers_uses_the_disk_cache_and_is_stale() {
    let mut process = starting_with_a_disk();
    process.check(FollowerEvent::Recalled(publish("a@1")), &["swap a@1"]);
    assert!(process.state.is_stale(process.now));
    assert_eq!(process.stands(), "Stale a@1");
    process.check(hydrated("a@1"), &[]);
    process.check(answered("a@1"), &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert!(!process.state.is_stale(process.now));
    process.check(changed("b@2"), &["fetch b on a"]);
}

#[test]
fn a_start_from_the_disk_is_stale_until_the_operator_answers() {
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(FollowerEvent::Loaded(fingerprint("a"), ContentSource::Disk), &["swap a@1", "report Applied a@1"]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    let unreachable = || FollowerEvent::ReportFailed(Fault::transient("operator_unreachable", "no route"));
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    process.wait(0.5);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied);
    process.wait(15.0);
    process.check(FollowerEvent::Timer, &["report Applied a@1"]);
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied, "a confirmation lasts for `staleAfter`");
}

#[test]
fn content_from_the_disk_stays_stale_until_the_marker_was_seen_whatever_the_operator_answers() {
    for shown in ["a@1", "b@2"] {
        let mut process = starting_with_a_disk();
        process.check(FollowerEvent::Recalled(publish("a@1")), &["swap a@1"]);
        process.check(answered(shown), &["report Stale a@1"]);
        process.check(answered(shown), &[]);
        assert!(process.state.is_stale(process.now));
        process.check(hydrated("a@1"), &["report Applied a@1"]);
        process.check(answered("a@1"), &[]);
        assert!(!process.state.is_stale(process.now));
    }
}

#[test]
fn the_disk_cache_replaces_nothing_once_a_marker_was_seen() {
    let mut process = starting_with_a_disk();
    process.check(hydrated("b@2"), &["fetch b"]);
    process.check(FollowerEvent::Recalled(publish("a@1")), &[]);
    assert_eq!(process.state.running(), None);
    let mut process = TestProcess { state: FollowerState::new(None, DiskCache::Enabled), now: Duration::ZERO };
    process.check(hydrated("no marker"), &[]);
    process.now = Duration::from_secs(9);
    process.check(FollowerEvent::Timer, &["report Starting"]);
}

#[test]
fn a_requested_refresh_reports_and_retries_at_once() {
    let mut process = TestProcess::running("a@1");
    process.check(FollowerEvent::RefreshRequested, &["report Applied a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(answered("b@2"), &[]);
    process.check(failed("operator_unreachable"), &["report Pending a@1 operator_unreachable"]);
    process.check(answered("b@2"), &[]);
    process.check(FollowerEvent::RefreshRequested, &["fetch b on a", "report Pending a@1 operator_unreachable"]);
}

fn reported_states(texts: &[&str]) -> Vec<ReportedState> {
    let reported = |text: &&str| {
        let (state, named) = text.split_once(' ').unwrap_or((text, ""));
        let state = ProcessState::from(state.to_lowercase());
        let reason = (state == ProcessState::Rejected).then_some("not_compiled");
        ReportedState { state, publish: (!named.is_empty()).then(|| publish(named)), reason }
    };
    texts.iter().map(reported).collect()
}

#[test]
fn a_process_reports_the_worst_state_of_its_handles() {
    for (handles, expected) in [
        (&["Applied b@2"] as &[_], "Applied b@2"),
        (&["Applied b@2", "Applied b@2"], "Applied b@2"),
        // A refusal prevails over all other states, in any order.
        (&["Rejected b@2", "Applied b@2"], "Rejected b@2 not_compiled"),
        (&["Applied b@2", "Rejected b@2"], "Rejected b@2 not_compiled"),
        (&["Rejected b@2", "Starting"], "Rejected b@2 not_compiled"),
        // The oldest publish counts that any handle resolves.
        (&["Pending a@1", "Applied b@2"], "Pending a@1"),
        (&["Applied b@2", "Pending a@1"], "Pending a@1"),
        // Handles with different publishes run none together, whichever name is the newer.
        (&["Applied a@1", "Applied b@2"], "Pending a@1"),
        (&["Applied b@2", "Stale a@9"], "Pending b@2"),
        // A handle that has just been opened resolves nothing.
        (&["Applied b@2", "Starting"], "Starting"),
        (&["Starting", "Pending a@1"], "Starting"),
        (&["Applied b@2", "Pending"], "Pending"),
        (&["Stale b@2", "Applied b@2"], "Stale b@2"),
        (&["Orphaned b@2", "Stale b@2"], "Orphaned b@2"),
        // A draining handle does not count.
        (&["Draining a@1", "Applied b@2"], "Applied b@2"),
        (&["Draining a@1"], "Draining"),
    ] {
        let combine = combine(&reported_states(handles)).unwrap();
        assert_eq!(reported(&combine), expected, "{handles:?}");
    }
    assert_eq!(combine(&[]), None);
}

#[test]
fn no_order_of_events_removes_the_running_content_or_leaves_two_fetches() {
    let events = || {
        let markers = ["a@1", "b@2", "c@3", "a@4", "removed@5", "no marker", "no map", "unreadable"];
        let mut events: Vec<FollowerEvent> = markers.iter().flat_map(|text| [changed(text), hydrated(text)]).collect();
        events.extend([
            loaded("a"),
            loaded("b"),
            refused("c"),
            failed("operator_unreachable"),
            answered("b@6"),
            FollowerEvent::Timer,
        ]);
        events.extend([
            FollowerEvent::RefreshRequested,
            FollowerEvent::WatchRestored,
            FollowerEvent::ReportFailed(Fault::transient("x", "")),
        ]);
        events
    };
    // A deterministic walk brings every event after every other, in many combinations.
    let mut seed = 1_u64;
    let mut process = TestProcess::running("a@1");
    let mut fetching: Option<Fingerprint> = None;
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let all = events();
        let event = all[(seed >> 33) as usize % all.len()].clone();
        // The result of a fetch comes only while that fetch is under way.
        match &event {
            FollowerEvent::Loaded(content, _) | FollowerEvent::Refused(content, _) if fetching != Some(*content) => {
                continue;
            }
            FollowerEvent::FetchFailed(_) if fetching.is_none() => continue,
            FollowerEvent::Loaded(..) | FollowerEvent::Refused(..) | FollowerEvent::FetchFailed(_) => fetching = None,
            _ => {}
        }
        process.now += Duration::from_millis(seed >> 54);
        let (state, actions) = step(process.state.clone(), event, StepTime { now: process.now, chance: 0.5 });
        for action in &actions {
            match action {
                FollowerAction::Fetch { fingerprint, .. } => fetching = Some(*fingerprint),
                FollowerAction::CancelFetch => {
                    assert!(fetching.take().is_some(), "a fetch was cancelled that was not under way")
                }
                _ => {}
            }
        }
        assert!(state.running().is_some());
        process.state = state;
    }
}
