//! Tests of the follower as tables: an event on the left, the expected actions on the right.

mod disk;
mod marker;
mod refusal;
mod report;
mod response;
mod standby;

use rototo_api::UpdatedAt;
use rototo_api::fleet::{ProcessState, ReportResponse};
use rototo_api::marker::Stage;
use rototo_engine::Fingerprint;

use super::*;
use crate::Marked;

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
        published => ObservedMarker::Published(marked(published)),
    }
}

/// `a@1`, or `a@1 next b@2`, or `a@1 next b@2 stage 4294967296`.
fn marked(text: &str) -> Marked {
    match text.split_once(" next ") {
        Some((published, next)) => match next.split_once(" stage ") {
            Some((next, below)) => {
                let since = "2026-11-20T18:40:00Z".parse().unwrap();
                let stage = Some(Stage { step: 0, since, below: below.parse().unwrap() });
                Marked { next: Some(publish(next)), stage, ..publish(published).into() }
            }
            None => Marked { next: Some(publish(next)), ..publish(published).into() },
        },
        None => publish(text).into(),
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
    let Marked { publish, next, .. } = marked(text);
    ReportResponse {
        fingerprint: Some(publish.fingerprint.to_string()),
        updated_at: Some(publish.updated_at),
        revision: None,
        verified_ms_ago: Some(0),
        stale_after_ms: 60_000,
        next_report_in_ms: 15_000,
        report_applied_within_ms: 0,
        siblings: Vec::new(),
        next: next.map(Publish::to_next),
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
        FollowerAction::Hold(fingerprint) => format!("hold {}", letter(fingerprint)),
        FollowerAction::Report(report) => format!("report {}", reported(report)),
        FollowerAction::RestartWatch => "restart watch".to_owned(),
        FollowerAction::Recall => "recall".to_owned(),
    }
}

fn reported(reported: &ReportedState) -> String {
    let state = Some(format!("{:?}", reported.state));
    let next = reported.next.map(|next| {
        let reason = next.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        format!("next {} {:?}{reason}", name(&next.publish), next.state)
    });
    let parts = [state, reported.publish.as_ref().map(name), reported.reason.map(str::to_owned), next];
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
        let publish = (!named.is_empty()).then(|| publish(named));
        ReportedState { publish, reason, prepares: true, ..ReportedState::without_content(state) }
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
