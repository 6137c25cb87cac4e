//! The state as tables: what happens on the left, what is done on the right.

use rototo_api::UpdatedAt;
use rototo_api::fleet::{Answer, ProcessState};
use rototo_engine::Fingerprint;

use super::*;

/// A process in a test: events go in, and what is to be done comes out as short texts.
struct Process {
    state: State,
    now: Duration,
}

impl Process {
    fn new() -> Self {
        Self { state: State::new(None, Disk::None), now: Duration::ZERO }
    }

    /// A process that runs the publish `content@time`, and has told so.
    fn running(publish: &str) -> Self {
        let mut process = Self::new();
        let content = publish.split('@').next().unwrap();
        process.check(hydrated(publish), &[&format!("fetch {content}")]);
        process.check(loaded(content), &[&format!("swap {publish}"), &format!("report Applied {publish}")]);
        process.check(answered(publish), &[]);
        process
    }

    #[track_caller]
    fn check(&mut self, event: Event, expected: &[&str]) {
        let (state, actions) = step(self.state.clone(), event.clone(), Tick { now: self.now, chance: 1.0 });
        self.state = state;
        let actions: Vec<String> = actions.iter().map(text).collect();
        assert_eq!(actions, expected, "after {event:?}");
    }

    /// Lets time pass up to the next thing that is due.
    #[track_caller]
    fn wait(&mut self, seconds: f64) {
        let due = self.state.wake_at(self.now).expect("something is due");
        assert_eq!((due.saturating_sub(self.now)).as_secs_f64(), seconds, "due in seconds");
        self.now = due;
    }

    /// As `check`, where a heartbeat may or may not be due at the same moment.
    #[track_caller]
    fn check_but_reports(&mut self, event: Event, expected: &[&str]) {
        let (state, actions) = step(self.state.clone(), event.clone(), Tick { now: self.now, chance: 1.0 });
        self.state = state;
        let reports = actions.iter().any(|action| matches!(action, Action::Report(_)));
        let others = actions.iter().filter(|action| !matches!(action, Action::Report(_)));
        assert_eq!(others.map(text).collect::<Vec<_>>(), expected, "after {event:?}");
        if reports {
            let told = self.state.standing(self.now).publish.as_ref().map(name).unwrap();
            let (state, _) = step(self.state.clone(), answered(&told), Tick { now: self.now, chance: 1.0 });
            self.state = state;
        }
    }

    fn stands(&self) -> String {
        standing(&self.state.standing(self.now))
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

fn bell(text: &str) -> Bell {
    match text {
        "no map" => Bell::NoMap,
        "no marker" => Bell::NoMarker,
        "unreadable" => Bell::Unreadable(Fault::persistent("marker_version_unknown", "too new")),
        removed if removed.starts_with("removed@") => Bell::Removed(time(&removed[8..])),
        published => Bell::Published(publish(published)),
    }
}

fn hydrated(text: &str) -> Event {
    Event::Hydrated(bell(text))
}

fn changed(text: &str) -> Event {
    Event::Changed(bell(text))
}

fn loaded(content: &str) -> Event {
    Event::Loaded(fingerprint(content), Supply::Living)
}

fn refused(content: &str) -> Event {
    Event::Refused(fingerprint(content), Fault::persistent("not_compiled", "no"))
}

fn failed(code: &'static str) -> Event {
    Event::FetchFailed(Fault::transient(code, "no answer"))
}

/// The operator says that this is published, was verified just now, and goes stale after 60 s.
fn answered(text: &str) -> Event {
    Event::Answered(answer(text))
}

fn answer(text: &str) -> Answer {
    let publish = publish(text);
    Answer {
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

fn text(action: &Action) -> String {
    match action {
        Action::Fetch { fingerprint, base: None } => format!("fetch {}", letter(fingerprint)),
        Action::Fetch { fingerprint, base: Some(base) } => format!("fetch {} on {}", letter(fingerprint), letter(base)),
        Action::CancelFetch => "cancel".to_owned(),
        Action::Swap(publish) => format!("swap {}", name(publish)),
        Action::Rename { publish, revision: None } => format!("rename {}", name(publish)),
        Action::Rename { publish, revision: Some(revision) } => format!("rename {} {revision}", name(publish)),
        Action::Report(report) => format!("report {}", standing(report)),
        Action::RestartWatch => "restart watch".to_owned(),
        Action::Recall => "recall".to_owned(),
    }
}

fn standing(standing: &Standing) -> String {
    let state = Some(format!("{:?}", standing.state));
    let parts = [state, standing.publish.as_ref().map(name), standing.reason.map(str::to_owned)];
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
fn a_start_fetches_what_is_published_and_reports_it_applied() {
    let mut process = Process::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    assert_eq!(process.stands(), "Pending");
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.stands(), "Applied a@1");
    assert!(process.state.is_at_rest());
}

#[test]
fn a_missing_map_and_a_missing_marker_are_waited_for() {
    for absent in ["no map", "no marker"] {
        let mut process = Process::new();
        process.check(hydrated(absent), &[]);
        assert_eq!((process.stands().as_str(), process.state.absence()), ("Starting", Some(&bell(absent))));
        process.check(changed("a@1"), &["fetch a"]);
    }
}

#[test]
fn a_start_that_gets_stuck_is_reported_after_a_second() {
    let mut process = Process::new();
    process.check(hydrated("no marker"), &[]);
    process.wait(1.0);
    process.check(Event::Timer, &["report Starting"]);
}

#[test]
fn a_change_is_fetched_on_the_base_of_what_runs() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    assert_eq!(process.stands(), "Pending a@1");
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn the_same_marker_again_rings_nothing() {
    let mut process = Process::running("a@1");
    process.check(changed("a@1"), &[]);
    process.check(hydrated("a@1"), &[]);
}

#[test]
fn there_and_back_again_are_three_publishes_and_one_fetch_less() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("a@3"), &["cancel", "rename a@3", "report Applied a@3"]);
    process.check(loaded("b"), &[]);
    assert_eq!(process.stands(), "Applied a@3");
}

#[test]
fn a_new_publish_of_the_content_that_is_being_fetched_goes_on_with_the_fetch() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("b@3"), &[]);
    process.check(loaded("b"), &["swap b@3", "report Applied b@3"]);
}

#[test]
fn work_on_a_superseded_publish_is_replaced() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("c@3"), &["fetch c on a"]);
    process.check(loaded("b"), &[]);
    process.check(loaded("c"), &["swap c@3", "report Applied c@3"]);
}

#[test]
fn what_the_watch_shows_counts_however_old_its_name_is() {
    let mut process = Process::running("b@2");
    process.check(changed("a@1"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.check(hydrated("b@0"), &["fetch b on a"]);
    process.check(changed("removed@0"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn a_marker_that_was_edited_by_hand_and_put_back_is_followed_back() {
    // History F9.
    let mut process = Process::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@9", "report Applied a@9"]);
    process.check(answered("b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_marker_that_was_edited_and_put_back_during_the_fetch_costs_no_swap() {
    let mut process = Process::running("b@2");
    process.check(changed("a@9"), &["fetch a on b"]);
    process.check(changed("b@2"), &["cancel"]);
    process.check(loaded("a"), &[]);
    assert_eq!(process.stands(), "Applied b@2");
}

#[test]
fn a_workspace_that_is_recreated_under_an_earlier_clock_is_followed() {
    // History S2: of `removed`, no marker, and b@1, a watch that resumes shows only the last.
    let mut process = Process::running("a@5");
    process.check(changed("b@1"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@1", "report Applied b@1"]);
}

#[test]
fn a_marker_that_is_gone_orphans_the_process_which_runs_on() {
    for gone in ["removed@2", "no marker", "no map"] {
        let mut process = Process::running("a@1");
        process.check(changed(gone), &["report Orphaned a@1"]);
        assert_eq!(process.state.running(), Some(publish("a@1")));
        process.check(answered("a@1"), &[]);
        assert_eq!(process.stands(), "Orphaned a@1", "{gone}: the answer was on its way already");
    }
}

#[test]
fn after_a_removal_a_publish_of_any_time_counts() {
    let mut process = Process::running("b@2");
    process.check(changed("no marker"), &["report Orphaned b@2"]);
    process.check(changed("b@1"), &["rename b@1"]);
    process.check(answered("b@1"), &["report Applied b@1"]);
}

#[test]
fn a_removal_cancels_what_is_under_way() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(changed("removed@3"), &["cancel", "report Orphaned a@1"]);
}

#[test]
fn a_marker_that_can_not_be_read_is_refused_and_nothing_else_changes() {
    let mut process = Process::running("a@1");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    assert_eq!(process.state.running(), Some(publish("a@1")));
    process.check(answered("b@2"), &[]);
    process.check(changed("a@1"), &["report Applied a@1"]);
}

#[test]
fn an_older_publish_after_an_unreadable_marker_is_followed() {
    let mut process = Process::running("b@2");
    process.check(changed("unreadable"), &["report Rejected marker_version_unknown"]);
    process.check(changed("a@1"), &["fetch a on b"]);
}

/// A process that runs a@1, refuses b@2, and has told so.
fn refusing() -> Process {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(refused("b"), &["report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    process
}

#[test]
fn content_that_is_refused_is_reported_and_replaces_nothing() {
    let mut process = refusing();
    assert_eq!(
        (process.stands().as_str(), process.state.running()),
        ("Rejected b@2 not_compiled", Some(publish("a@1")))
    );
    assert_eq!(process.state.trouble().map(|fault| fault.code), Some("not_compiled"));
    process.check(Event::Timer, &[]);
    process.check(hydrated("b@2"), &[]);
    // Other content is not refused by that.
    process.check(changed("c@4"), &["fetch c on a"]);
    assert_eq!(process.stands(), "Pending a@1");
}

#[test]
fn refused_content_is_asked_for_again_under_a_new_name() {
    // History S9.
    let mut process = refusing();
    process.check(changed("b@3"), &["fetch b on a"]);
    assert_eq!(process.stands(), "Pending a@1");
    process.check(loaded("b"), &["swap b@3", "report Applied b@3"]);
    process.check(answered("b@3"), &[]);
    assert_eq!((process.stands().as_str(), process.state.trouble()), ("Applied b@3", None));
}

#[test]
fn refused_content_is_asked_for_again_when_the_application_asks_to_look() {
    // History S9. Until the check has passed, the process refuses.
    let mut process = refusing();
    process.check(Event::RefreshAsked, &["fetch b on a", "report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    // Neither the marker again nor time ends the attempt that is under way.
    process.check(hydrated("b@2"), &[]);
    process.check(Event::RefreshAsked, &["report Rejected b@2 not_compiled"]);
    process.check(answered("b@2"), &[]);
    assert!(!process.state.is_at_rest());
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    assert_eq!((process.stands().as_str(), process.state.trouble()), ("Applied b@2", None));
}

#[test]
fn refused_content_is_asked_for_again_at_leisure() {
    // History S9: 30 s after the first refusal, and up to 300 s after later ones.
    let mut process = refusing();
    for seconds in [30, 60, 120, 240, 300, 300] {
        let due = process.now + Duration::from_secs(seconds);
        while process.state.wake_at(process.now).unwrap() < due {
            process.now = process.state.wake_at(process.now).unwrap();
            process.check(Event::Timer, &["report Rejected b@2 not_compiled"]);
            process.check(answered("b@2"), &[]);
        }
        process.now = due;
        process.check_but_reports(Event::Timer, &["fetch b on a"]);
        assert_eq!(process.stands(), "Rejected b@2 not_compiled", "while it asks");
        process.check_but_reports(refused("b"), &[]);
    }
}

#[test]
fn a_fetch_that_fails_at_the_next_attempt_leaves_the_refusal_as_it_is() {
    let mut process = refusing();
    process.check(Event::RefreshAsked, &["fetch b on a", "report Rejected b@2 not_compiled"]);
    process.check(failed("operator_unreachable"), &[]);
    process.check(answered("b@2"), &[]);
    assert_eq!(process.stands(), "Rejected b@2 not_compiled");
    process.wait(0.2);
    process.check(Event::Timer, &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_marker_that_returns_to_what_is_refused_does_not_hasten_the_next_attempt() {
    let mut process = refusing();
    process.check(changed("c@3"), &["fetch c on a"]);
    process.check(changed("b@2"), &["cancel"]);
    assert_eq!(process.stands(), "Rejected b@2 not_compiled");
}

#[test]
fn a_swap_without_content_is_reported_and_made_good() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(Event::NotSwapped(Some(publish("a@1"))), &[]);
    assert_eq!(process.stands(), "Pending a@1 not_swapped");
    process.check(answered("b@2"), &["report Pending a@1 not_swapped"]);
    process.check(answered("b@2"), &[]);
    process.wait(10.0);
    process.check(Event::Timer, &["fetch b"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn a_first_swap_without_content_leaves_the_process_with_nothing() {
    let mut process = Process::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(Event::NotSwapped(None), &[]);
    assert_eq!((process.stands().as_str(), process.state.running()), ("Pending not_swapped", None));
}

#[test]
fn a_failed_fetch_is_retried_later_and_later() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(failed("operator_unreachable"), &["report Pending a@1 operator_unreachable"]);
    process.check(answered("b@2"), &[]);
    for (seconds, after) in
        [(0.2, "first"), (0.4, "second"), (0.8, "third"), (1.6, "fourth"), (3.2, "fifth"), (5.0, "sixth")]
    {
        process.wait(seconds);
        process.check(Event::Timer, &["fetch b on a"]);
        process.check(failed("operator_unreachable"), &[]);
        assert_eq!(process.state.trouble().map(|fault| fault.code), Some("operator_unreachable"), "{after}");
    }
    assert_eq!(process.state.failures(), 7);
}

#[test]
fn what_failed_for_good_is_asked_for_without_a_base() {
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process
        .check(Event::FetchFailed(Fault::persistent("snapshot_damaged", "")), &["report Pending a@1 snapshot_damaged"]);
    process.check(answered("b@2"), &[]);
    process.wait(10.0);
    process.check(Event::Timer, &["fetch b"]);
}

#[test]
fn a_server_that_says_when_to_come_back_is_left_alone_until_then() {
    let busy = |seconds| Fault {
        code: "operator_unavailable",
        message: String::new(),
        kind: FaultKind::Busy(Duration::from_secs(seconds)),
    };
    let mut process = Process::running("a@1");
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(Event::FetchFailed(busy(2)), &["report Pending a@1 operator_unavailable"]);
    process.check(answered("b@2"), &[]);
    process.wait(2.2);
    process.check(Event::Timer, &["fetch b on a"]);
    // An hour is more than a fleet should be sent away for, and none at all is no licence to hurry.
    process.check(Event::FetchFailed(busy(0)), &[]);
    process.wait(0.4);
}

#[test]
fn an_answer_that_names_another_publish_makes_the_process_list_the_markers_once() {
    // History C5. An answer alone fetches nothing, whether it names a later or an earlier publish.
    for other in ["c@3", "a@1"] {
        let mut process = Process::running("b@2");
        process.wait(15.0);
        process.check(Event::Timer, &["report Applied b@2"]);
        process.check(answered(other), &[]);
        process.wait(2.0);
        process.check(Event::Timer, &["restart watch"]);
        process.check(Event::Timer, &[]);
        // The list shows what it showed before: the answer was late, or the next one says it again.
        process.check(hydrated("b@2"), &[]);
        process.wait(13.0);
        process.check(Event::Timer, &["report Applied b@2"]);
        process.check(answered(other), &[]);
        process.wait(2.0);
        process.check(Event::Timer, &["restart watch"]);
        assert_eq!(process.state.running(), Some(publish("b@2")));
    }
}

#[test]
fn a_watch_that_shows_what_the_answer_told_is_not_doubted() {
    let mut process = Process::running("a@1");
    process.check(Event::RefreshAsked, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
    process.check(answered("b@2"), &[]);
    process.wait(15.0);
}

#[test]
fn an_answer_that_agrees_ends_the_doubt() {
    let mut process = Process::running("a@1");
    process.check(Event::RefreshAsked, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.check(Event::RefreshAsked, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
}

#[test]
fn an_answer_that_names_something_else_does_not_confirm_what_runs() {
    let mut process = Process::running("a@1");
    process.now += Duration::from_secs(50);
    process.check(Event::Timer, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.now += Duration::from_secs(10);
    assert!(process.state.is_stale(process.now));
    process.check(Event::Timer, &["restart watch", "report Stale a@1"]);
}

#[test]
fn an_answer_before_the_first_list_fetches_nothing_and_leaves_the_list_alone() {
    let mut process = Process::new();
    process.wait(1.0);
    process.check(Event::Timer, &["report Starting"]);
    process.check(answered("a@1"), &[]);
    process.wait(15.0);
    process.check(hydrated("a@1"), &["fetch a", "report Pending"]);
}

#[test]
fn a_marker_that_is_gone_while_the_operator_names_a_publish_is_listed_anew() {
    let mut process = Process::running("a@1");
    process.check(changed("no marker"), &["report Orphaned a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(2.0);
    process.check(Event::Timer, &["restart watch"]);
    process.check(hydrated("a@1"), &["report Applied a@1"]);
}

#[test]
fn a_watch_that_is_known_to_be_lost_is_left_to_resume() {
    let mut process = Process::running("a@1");
    process.check(Event::WatchLost(Fault::transient("api_unreachable", "gone")), &[]);
    process.wait(15.0);
    process.check(Event::Timer, &["report Applied a@1"]);
    process.check(answered("b@2"), &[]);
    process.wait(2.0);
    process.check(Event::Timer, &[]);
}

#[test]
fn a_question_about_siblings_is_answered_a_second_later() {
    let sibling = rototo_api::fleet::Pid { pid: 7, started: 1, namespace: 1 };
    let asks = || Event::Answered(Answer { siblings: vec![sibling], ..answer("a@1") });
    let mut process = Process::running("a@1");
    process.check(asks(), &[]);
    process.wait(1.0);
    process.check(Event::Timer, &["report Applied a@1"]);
    // However often it asks.
    process.check(asks(), &[]);
    process.wait(1.0);
}

#[test]
fn an_answer_without_a_publish_changes_nothing() {
    let mut process = Process::running("a@1");
    let nothing = Answer { fingerprint: None, updated_at: None, verified_ms_ago: None, ..answer("a@1") };
    process.check(Event::Answered(nothing), &[]);
    let nonsense = Answer { fingerprint: Some("latest".to_owned()), ..answer("b@2") };
    process.check(Event::Answered(nonsense), &[]);
    assert_eq!(process.stands(), "Applied a@1");
}

#[test]
fn a_revision_is_learned_from_the_answer_and_forgotten_with_the_publish() {
    let mut process = Process::running("a@1");
    let known = Answer { revision: Some("main@sha1:1".to_owned()), ..answer("a@1") };
    process.check(Event::Answered(known.clone()), &["rename a@1 main@sha1:1"]);
    process.check(Event::Answered(known), &[]);
    process.check(changed("a@2"), &["rename a@2", "report Applied a@2"]);
    process.check(
        Event::Answered(Answer { revision: Some("main@sha1:1".to_owned()), ..answer("a@2") }),
        &["rename a@2 main@sha1:1"],
    );
}

#[test]
fn a_report_waits_for_the_one_before_and_tells_the_newest() {
    let mut process = Process::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.check(changed("a@3"), &["fetch a on b"]);
    process.check(loaded("a"), &["swap a@3"]);
    process.check(answered("a@3"), &["report Applied a@3"]);
}

#[test]
fn a_report_that_failed_is_repeated_with_spread_and_a_new_one_goes_out_at_once() {
    let mut process = Process::new();
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    let lost = || Event::ReportFailed(Fault::transient("operator_unreachable", ""));
    process.check(lost(), &[]);
    process.wait(0.5);
    process.check(Event::Timer, &["report Applied a@1"]);
    process.check(lost(), &[]);
    process.check(changed("a@2"), &["rename a@2", "report Applied a@2"]);
    process.check(lost(), &[]);
    process.wait(2.0);
}

#[test]
fn a_heartbeat_comes_when_the_operator_asked_for_it_within_reason() {
    for (asked, seconds) in [(15_000, 15.0), (0, 1.0), (u64::MAX, 3600.0)] {
        let mut process = Process::running("a@1");
        process.check(Event::Answered(Answer { next_report_in_ms: asked, ..answer("a@1") }), &[]);
        process.wait(seconds);
    }
}

#[test]
fn a_healthy_process_is_never_stale_between_two_reports() {
    // History N2: `staleAfter: 10s` with an interval of 5 s, and a heartbeat of 15 s.
    let answer = || Event::Answered(Answer { verified_ms_ago: Some(5_000), stale_after_ms: 10_000, ..answer("a@1") });
    let mut process = Process::running("a@1");
    process.check(answer(), &[]);
    for _ in 0..3 {
        process.wait(15.0);
        assert!(!process.state.is_stale(process.now));
        process.check(Event::Timer, &["report Applied a@1"]);
        process.check(answer(), &[]);
    }
}

#[test]
fn in_a_large_fleet_a_change_is_told_a_moment_after_it_was_applied() {
    let answer = |text| Event::Answered(Answer { report_applied_within_ms: 150, ..answer(text) });
    let mut process = Process::running("a@1");
    process.check(answer("a@1"), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.wait(0.15);
    process.check(Event::Timer, &["report Applied b@2"]);
    process.check(answer("b@2"), &[]);
    // What stops a change is told at once.
    process.check(changed("c@3"), &["fetch c on b"]);
    process.check(refused("c"), &["report Rejected c@3 not_compiled"]);
}

#[test]
fn what_was_to_be_told_and_is_no_longer_so_wakes_nobody() {
    let mut process = Process::running("a@1");
    process.check(Event::Answered(Answer { report_applied_within_ms: 150, ..answer("a@1") }), &[]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(loaded("b"), &["swap b@2"]);
    process.check(changed("c@3"), &["fetch c on b"]);
    // The next that is due is the heartbeat, and not the report of b.
    process.wait(15.0);
}

#[test]
fn what_is_not_confirmed_for_too_long_is_stale_until_it_is() {
    let mut process = Process::running("a@1");
    let old = Answer { verified_ms_ago: Some(50_000), ..answer("a@1") };
    process.check(Event::Answered(old), &[]);
    process.wait(10.0);
    assert!(process.state.is_stale(process.now));
    process.check(Event::Timer, &["report Stale a@1"]);
    process.check(answered("a@1"), &["report Applied a@1"]);
    assert!(!process.state.is_stale(process.now));
}

#[test]
fn one_more_silent_operator_makes_it_stale_too() {
    let mut process = Process::running("a@1");
    process.now += Duration::from_secs(60);
    process.check(Event::ReportFailed(Fault::transient("operator_unreachable", "")), &["report Stale a@1"]);
}

#[test]
fn a_stale_process_still_reports_a_new_publish_as_applied() {
    let mut process = Process::running("a@1");
    process.now += Duration::from_secs(60);
    process.check(Event::Timer, &["report Stale a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(Event::ReportFailed(Fault::transient("operator_unreachable", "")), &[]);
    process.check(loaded("b"), &["swap b@2", "report Applied b@2"]);
}

#[test]
fn the_application_may_say_itself_when_it_counts_as_stale() {
    let mut process = Process { state: State::new(Some(Duration::from_secs(5)), Disk::None), now: Duration::ZERO };
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(loaded("a"), &["swap a@1", "report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    process.wait(5.0);
    assert!(process.state.is_stale(process.now));
}

#[test]
fn a_lost_watch_is_trouble_until_it_is_restored_or_rings() {
    let lost = || Event::WatchLost(Fault::transient("api_unreachable", "gone"));
    let mut process = Process::running("a@1");
    process.check(lost(), &[]);
    assert_eq!(process.state.trouble().map(|fault| fault.code), Some("api_unreachable"));
    assert_eq!(process.stands(), "Applied a@1", "it runs on");
    process.check(Event::WatchRestored, &[]);
    assert_eq!(process.state.trouble(), None);
    process.check(lost(), &[]);
    process.check(changed("a@1"), &[]);
    assert_eq!(process.state.trouble(), None);
}

#[test]
fn a_start_that_may_not_watch_says_so() {
    let mut process = Process::new();
    process.check(
        Event::WatchLost(Fault::persistent("watch_forbidden", "grant it")),
        &["report Starting watch_forbidden"],
    );
    assert_eq!(process.state.trouble().map(|fault| fault.message.as_str()), Some("grant it"));
}

fn starting_with_a_disk() -> Process {
    let mut process = Process { state: State::new(None, Disk::Given), now: Duration::ZERO };
    process.wait(1.0);
    process.check(Event::Timer, &["report Starting"]);
    process.check(Event::ReportFailed(Fault::transient("no_address", "")), &[]);
    process.now = Duration::from_secs(3);
    process.check(Event::Timer, &["recall", "report Starting"]);
    process
}

#[test]
fn a_start_at_which_nobody_answers_uses_what_is_on_the_disk_as_stale() {
    let mut process = starting_with_a_disk();
    process.check(Event::Recalled(publish("a@1")), &["swap a@1"]);
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
    let mut process = Process { state: State::new(None, Disk::Given), now: Duration::ZERO };
    process.check(hydrated("a@1"), &["fetch a"]);
    process.check(Event::Loaded(fingerprint("a"), Supply::Disk), &["swap a@1", "report Applied a@1"]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    let unreachable = || Event::ReportFailed(Fault::transient("operator_unreachable", "no route"));
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Stale);
    process.wait(0.5);
    process.check(Event::Timer, &["report Applied a@1"]);
    process.check(answered("a@1"), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied);
    process.wait(15.0);
    process.check(Event::Timer, &["report Applied a@1"]);
    process.check(unreachable(), &[]);
    assert_eq!(process.state.shown(process.now), ProcessState::Applied, "what was confirmed lasts a while");
}

#[test]
fn what_is_from_the_disk_stays_stale_until_the_marker_was_seen_whatever_the_operator_answers() {
    for told in ["a@1", "b@2"] {
        let mut process = starting_with_a_disk();
        process.check(Event::Recalled(publish("a@1")), &["swap a@1"]);
        process.check(answered(told), &["report Stale a@1"]);
        process.check(answered(told), &[]);
        assert!(process.state.is_stale(process.now));
        process.check(hydrated("a@1"), &["report Applied a@1"]);
        process.check(answered("a@1"), &[]);
        assert!(!process.state.is_stale(process.now));
    }
}

#[test]
fn once_a_marker_was_seen_nothing_on_the_disk_replaces_what_it_names() {
    let mut process = starting_with_a_disk();
    process.check(hydrated("b@2"), &["fetch b"]);
    process.check(Event::Recalled(publish("a@1")), &[]);
    assert_eq!(process.state.running(), None);
    let mut process = Process { state: State::new(None, Disk::Given), now: Duration::ZERO };
    process.check(hydrated("no marker"), &[]);
    process.now = Duration::from_secs(9);
    process.check(Event::Timer, &["report Starting"]);
}

#[test]
fn being_asked_to_look_reports_and_retries_at_once() {
    let mut process = Process::running("a@1");
    process.check(Event::RefreshAsked, &["report Applied a@1"]);
    process.check(changed("b@2"), &["fetch b on a"]);
    process.check(answered("b@2"), &[]);
    process.check(failed("operator_unreachable"), &["report Pending a@1 operator_unreachable"]);
    process.check(answered("b@2"), &[]);
    process.check(Event::RefreshAsked, &["fetch b on a", "report Pending a@1 operator_unreachable"]);
}

fn standings(texts: &[&str]) -> Vec<Standing> {
    let standing = |text: &&str| {
        let (state, named) = text.split_once(' ').unwrap_or((text, ""));
        let state = ProcessState::from(state.to_lowercase());
        let reason = (state == ProcessState::Rejected).then_some("not_compiled");
        Standing { state, publish: (!named.is_empty()).then(|| publish(named)), reason }
    };
    texts.iter().map(standing).collect()
}

#[test]
fn a_process_stands_where_the_worst_of_its_handles_does() {
    // History F13.
    for (handles, expected) in [
        (&["Applied b@2"] as &[_], "Applied b@2"),
        (&["Applied b@2", "Applied b@2"], "Applied b@2"),
        // A refusal wins, whatever the other handles say, and in whatever order.
        (&["Rejected b@2", "Applied b@2"], "Rejected b@2 not_compiled"),
        (&["Applied b@2", "Rejected b@2"], "Rejected b@2 not_compiled"),
        (&["Rejected b@2", "Starting"], "Rejected b@2 not_compiled"),
        // The oldest publish that any of them resolves.
        (&["Pending a@1", "Applied b@2"], "Pending a@1"),
        (&["Applied b@2", "Pending a@1"], "Pending a@1"),
        // Handles that differ run no publish together, whichever of the names is the newer.
        (&["Applied a@1", "Applied b@2"], "Pending a@1"),
        (&["Applied b@2", "Stale a@9"], "Pending b@2"),
        // One that has just been opened resolves nothing.
        (&["Applied b@2", "Starting"], "Starting"),
        (&["Starting", "Pending a@1"], "Starting"),
        (&["Applied b@2", "Pending"], "Pending"),
        (&["Stale b@2", "Applied b@2"], "Stale b@2"),
        (&["Orphaned b@2", "Stale b@2"], "Orphaned b@2"),
        // One that has left speaks for nobody.
        (&["Draining a@1", "Applied b@2"], "Applied b@2"),
        (&["Draining a@1"], "Draining"),
    ] {
        let together = together(&standings(handles)).unwrap();
        assert_eq!(standing(&together), expected, "{handles:?}");
    }
    assert_eq!(together(&[]), None);
}

#[test]
fn no_order_of_events_removes_what_runs_or_leaves_two_fetches() {
    let events = || {
        let bells = ["a@1", "b@2", "c@3", "a@4", "removed@5", "no marker", "no map", "unreadable"];
        let mut events: Vec<Event> = bells.iter().flat_map(|text| [changed(text), hydrated(text)]).collect();
        events.extend([
            loaded("a"),
            loaded("b"),
            refused("c"),
            failed("operator_unreachable"),
            answered("b@6"),
            Event::Timer,
        ]);
        events.extend([Event::RefreshAsked, Event::WatchRestored, Event::ReportFailed(Fault::transient("x", ""))]);
        events
    };
    // A small deterministic walk: every event after every other, in many mixtures.
    let mut seed = 1_u64;
    let mut process = Process::running("a@1");
    let mut fetching: Option<Fingerprint> = None;
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let all = events();
        let event = all[(seed >> 33) as usize % all.len()].clone();
        // A fetch answers only for what is under way.
        match &event {
            Event::Loaded(content, _) | Event::Refused(content, _) if fetching != Some(*content) => continue,
            Event::FetchFailed(_) if fetching.is_none() => continue,
            Event::Loaded(..) | Event::Refused(..) | Event::FetchFailed(_) => fetching = None,
            _ => {}
        }
        process.now += Duration::from_millis(seed >> 54);
        let (state, actions) = step(process.state.clone(), event, Tick { now: process.now, chance: 0.5 });
        for action in &actions {
            match action {
                Action::Fetch { fingerprint, .. } => fetching = Some(*fingerprint),
                Action::CancelFetch => assert!(fetching.take().is_some(), "cancelled what was not under way"),
                _ => {}
            }
        }
        assert!(state.running().is_some());
        process.state = state;
    }
}
