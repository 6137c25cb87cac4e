//! Each test tells a story of reports and pods on a clock that only the test moves.

use rototo_api::fleet::ProcessState;

use super::process::straggler;
use super::*;

const A: &str = "sha256:aa";
const B: &str = "sha256:bb";

struct Story {
    fleet: Fleet,
    pods: Pods,
    now: Instant,
}

fn publish(fingerprint: &str, second: u32) -> Publish {
    let updated_at = format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap();
    Publish { fingerprint: fingerprint.to_owned(), updated_at }
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        Self { fleet: Fleet::new(now), pods: Pods::default(), now }
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    fn pod(&mut self, name: &str) -> &mut Self {
        self.pods.running.insert(name.to_owned());
        self.pods.selected.insert(name.to_owned(), name.to_owned());
        self
    }

    fn pod_ends(&mut self, name: &str) -> &mut Self {
        self.pods.running.remove(name);
        self.pods.selected.remove(name);
        self
    }

    fn publishes(&mut self, publish: Publish) -> &mut Self {
        let now = self.now;
        let times = PublishTimes { detected: now, fetched: now, linted: now, published: now };
        self.fleet.published(publish, times, &self.pods, now);
        self
    }

    fn says(&mut self, process: &str, state: ProcessState, runs: Option<Publish>) -> &mut Self {
        self.says_late(process, state, runs, None);
        self
    }

    fn says_late(
        &mut self,
        process: &str,
        state: ProcessState,
        runs: Option<Publish>,
        applied_ms_ago: Option<u64>,
    ) -> Taken {
        let pod = process.split('/').next().unwrap();
        let report = Report {
            process: process.to_owned(),
            version: "0".to_owned(),
            engine_level: 1,
            fingerprint: runs.as_ref().map(|publish| publish.fingerprint.clone()),
            updated_at: runs.map(|publish| publish.updated_at),
            state,
            applied_ms_ago,
            reason: None,
        };
        let pod = PodIdentity { name: pod.to_owned(), uid: pod.to_owned() };
        self.fleet.report(&report, Some(pod), self.now, 1.0)
    }

    fn applied(&mut self, process: &str, publish: Publish) -> &mut Self {
        self.says(process, ProcessState::Applied, Some(publish))
    }

    fn view(&mut self) -> FleetView {
        self.fleet.view(&self.pods, self.now)
    }
}

#[test]
fn a_publish_converges_when_the_last_process_has_applied_it() {
    let mut story = Story::new();
    story.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
    story.publishes(publish(B, 2)).after(20).applied("p1", publish(B, 2));
    let view = story.view();
    assert_eq!(view.convergence, Convergence::Progressing(Some(Duration::from_millis(20))));
    assert_eq!((view.applied, view.expected), (1, Some(2)));
    assert_eq!(view.behind, [straggler("p2", "pending", None)]);
    let view = story.after(40).applied("p2", publish(B, 2)).view();
    assert_eq!(view.convergence, Convergence::Converged);
    let millis = view.millis.unwrap();
    assert_eq!((millis.first, millis.p50, millis.p99, millis.all), (Some(20), Some(20), Some(60), Some(60)));
}

#[test]
fn what_counts_is_when_a_process_applied_and_not_when_it_told_so() {
    let mut story = Story::new();
    story.applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2)).after(100);
    story.says_late("p1", ProcessState::Applied, Some(publish(B, 2)), Some(70));
    // Nobody has applied it before it was published, whatever a process says.
    story.says_late("p2", ProcessState::Applied, Some(publish(B, 2)), Some(u64::MAX));
    let millis = story.view().millis.unwrap();
    assert_eq!((millis.first, millis.all), (Some(0), Some(30)));
}

#[test]
fn a_large_fleet_has_more_time_to_tell_of_a_change() {
    let mut story = Story::new();
    let mut within = |fleet: u32| {
        let says = |number| {
            let runs = Some(publish(A, 1));
            story.says_late(&format!("p{number}"), ProcessState::Applied, runs, None).applied_within.as_millis()
        };
        (0..fleet).map(says).last().unwrap()
    };
    assert_eq!([1, 12, 300, 10_000].map(&mut within), [0, 0, 150, 250]);
}

#[test]
fn a_report_for_an_older_publish_of_the_same_content_does_not_count() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).publishes(publish(A, 3));
    story.applied("p1", publish(A, 1));
    assert_eq!(story.view().applied, 0);
    assert_eq!(story.applied("p1", publish(A, 3)).view().convergence, Convergence::Converged);
}

#[test]
fn a_refusal_is_not_an_application() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    let view = story.says("p1", ProcessState::Rejected, Some(publish(B, 2))).view();
    assert_eq!((view.applied, view.rejected, view.convergence), (0, 1, Convergence::Rejected));
}

#[test]
fn the_refusal_of_an_older_publish_says_nothing_about_its_mend() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    story.says("p1", ProcessState::Rejected, Some(publish(B, 2))).publishes(publish(A, 3));
    let view = story.view();
    assert_eq!((view.rejected, view.convergence), (0, Convergence::Progressing(Some(Duration::ZERO))));
}

#[test]
fn a_process_that_starts_later_does_not_count_as_a_slow_one() {
    let mut story = Story::new();
    story
        .pod("p1")
        .applied("p1", publish(A, 1))
        .publishes(publish(B, 2))
        .applied("p1", publish(B, 2))
        .after(86_400_000);
    story.pod("late");
    let report = Report {
        process: "late".to_owned(),
        version: "0".to_owned(),
        engine_level: 1,
        fingerprint: Some(B.to_owned()),
        updated_at: Some(publish(B, 2).updated_at),
        state: ProcessState::Applied,
        applied_ms_ago: None,
        reason: None,
    };
    let pod = PodIdentity { name: "late".to_owned(), uid: "late".to_owned() };
    assert_eq!(story.fleet.report(&report, Some(pod), story.now, 1.0).applied_first, None);
}

#[test]
fn a_pod_that_never_reported_keeps_the_publish_from_converging_until_it_goes() {
    let mut story = Story::new();
    story.pod("p1").pod("mute").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
    let view = story.view();
    assert_eq!((view.applied, view.expected), (1, Some(2)));
    assert_eq!(view.behind, [straggler("mute", "missing", None)]);
    assert_eq!(story.pod_ends("mute").view().convergence, Convergence::Converged);
}

#[test]
fn one_that_starts_after_the_publish_shows_in_the_counts_only() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
    let view = story.pod("late").says("late", ProcessState::Starting, None).view();
    assert_eq!(view.convergence, Convergence::Converged);
    assert_eq!((view.applied, view.expected), (1, Some(2)));
}

#[test]
fn a_draining_process_is_not_waited_for() {
    let mut story = Story::new();
    story.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
    story.applied("p1", publish(B, 2)).says("p2", ProcessState::Draining, Some(publish(A, 1)));
    assert_eq!(story.view().convergence, Convergence::Converged);
}

#[test]
fn a_process_is_silent_after_three_missed_reports_and_stays_behind() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    assert_eq!(story.after(44_000).view().silent, 0);
    let view = story.after(2_000).view();
    assert_eq!((view.silent, view.applied), (1, 0));
    assert_eq!(view.behind, [straggler("p1", "silent", None)]);
    assert!(matches!(view.convergence, Convergence::Progressing(_)));
}

#[test]
fn the_view_says_when_silence_would_change_it() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1));
    let now = story.now;
    assert_eq!(story.view().next_change, Some(now + Duration::from_secs(45)));
}

#[test]
fn a_container_that_was_killed_is_replaced_by_its_successor_at_the_next_missed_report() {
    let mut story = Story::new();
    story.pod("p1").publishes(publish(A, 1)).applied("p1/old", publish(A, 1));
    story.after(1_000).applied("p1/new", publish(A, 1));
    assert_eq!(story.view().expected, Some(2));
    let view = story.after(15_000).applied("p1/new", publish(A, 1)).after(1_500).view();
    assert_eq!((view.expected, view.applied, view.silent), (Some(1), 1, 0));
}

#[test]
fn several_processes_of_one_pod_all_count() {
    let mut story = Story::new();
    story.pod("p1").applied("p1/a", publish(A, 1)).after(5).applied("p1/b", publish(A, 1)).publishes(publish(B, 2));
    story.applied("p1/a", publish(B, 2));
    assert!(matches!(story.view().convergence, Convergence::Progressing(_)));
    assert_eq!(story.applied("p1/b", publish(B, 2)).view().expected, Some(2));
    assert_eq!(story.view().convergence, Convergence::Converged);
}

#[test]
fn after_a_restart_nothing_is_claimed_before_every_pod_has_reported() {
    let mut story = Story::new();
    story.pod("p1").pod("p2");
    let now = story.now;
    story.fleet.recount(publish(A, 1), now);
    assert_eq!(story.applied("p1", publish(A, 1)).view().convergence, Convergence::Recounting);
    let view = story.applied("p2", publish(A, 1)).view();
    assert_eq!((view.convergence, view.millis), (Convergence::Converged, None));
}

#[test]
fn a_recount_ends_after_the_silence_window_and_names_who_is_missing() {
    let mut story = Story::new();
    story.pod("p1").pod("p2");
    let now = story.now;
    story.fleet.recount(publish(A, 1), now);
    story.after(46_000).applied("p1", publish(A, 1));
    let view = story.view();
    assert_eq!(view.convergence, Convergence::Progressing(None));
    assert_eq!(view.behind, [straggler("p2", "missing", None)]);
}

#[test]
fn a_converged_publish_stays_converged_when_a_process_falls_silent_later() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
    assert_eq!(story.view().convergence, Convergence::Converged);
    let view = story.after(60_000).view();
    assert_eq!((view.convergence, view.silent), (Convergence::Converged, 1));
}

#[test]
fn a_report_that_overtakes_the_answer_to_the_patch_counts() {
    let mut story = Story::new();
    story.pod("p1").applied("p1", publish(A, 1)).applied("p1", publish(B, 2)).publishes(publish(B, 2));
    assert_eq!(story.view().convergence, Convergence::Converged);
}

#[test]
fn ten_thousand_processes_report_every_fifty_seconds() {
    let mut story = Story::new();
    for index in 0..10_000 {
        story.applied(&format!("p{index}"), publish(A, 1));
    }
    assert_eq!(story.fleet.report_every(), Duration::from_secs(50));
}
