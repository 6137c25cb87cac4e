//! Tests of the fleet. Each test is a history of reports and pods, on a clock that only the test moves.

use std::sync::Arc;

use rototo_api::convergence::Straggler;
use rototo_api::fleet::Testimony;

use super::*;
use crate::windows::HEARTBEAT;

pub(super) const A: char = 'a';
pub(super) const B: char = 'b';

/// A history: the test makes events happen to a fleet, and asks for its view.
pub(super) struct History {
    pub(super) fleet: Fleet,
    pub(super) pods: Pods,
    pub(super) now: Moment,
}

pub(super) fn publish(content: char, second: u32) -> Publish {
    let updated_at = format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap();
    Publish { fingerprint: format!("sha256:{}", content.to_string().repeat(64)).parse().unwrap(), updated_at }
}

pub(super) fn straggler(name: &str, state: &str) -> Straggler {
    Straggler { name: name.to_owned(), state: state.to_owned(), reason: None }
}

impl History {
    /// A new workspace, whose operator receives reports.
    pub(super) fn new() -> Self {
        let now = Duration::from_secs(1000);
        Self { fleet: Fleet::new(FleetStart::New, HEARTBEAT, now), pods: Pods::default(), now }
    }

    /// The operator restarts and finds this publish; the status has this number of processes.
    pub(super) fn restarts(&mut self, goal: Publish, processes: usize) -> &mut Self {
        self.fleet = Fleet::new(FleetStart::Known { processes, counted_ago: Duration::ZERO }, HEARTBEAT, self.now);
        for pod in self.pods.by_uid.values_mut() {
            Arc::make_mut(pod).seen_running = None;
        }
        self.fleet.observe(self.pods.clone());
        self.fleet.adopt(goal, self.now);
        self
    }

    pub(super) fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    pub(super) fn pod(&mut self, name: &str) -> &mut Self {
        let container = Container { name: "app".to_owned(), running: true, expected: true, ended: None };
        let pod = Pod {
            name: name.to_owned(),
            selected: true,
            terminating: false,
            seen_running: Some(self.now),
            containers: vec![container],
            passing: Vec::new(),
            object_state: PodObjectState::Exists,
        };
        self.pods.by_uid.insert(name.into(), pod.into());
        self.observed()
    }

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Pod)) -> &mut Self {
        change(Arc::make_mut(self.pods.by_uid.get_mut(name).unwrap()));
        self.observed()
    }

    /// The kubelet reports that all containers of the pod have ended.
    pub(super) fn pod_ends(&mut self, name: &str) -> &mut Self {
        let seen = self.now;
        self.change(name, |pod| {
            pod.containers[0].running = false;
            pod.object_state = PodObjectState::Ended { seen };
        })
    }

    /// The kubelet restarts the container of the pod.
    pub(super) fn container_restarts(&mut self, name: &str) -> &mut Self {
        let end = ContainerEnd { at: self.wall(), seen: self.now, grace_from: Some(self.now) };
        self.change(name, |pod| pod.containers[0].ended = Some(end))
    }

    /// The watch of the pods fails, or runs again.
    pub(super) fn misses_pods(&mut self, incomplete: bool) -> &mut Self {
        self.pods.incomplete = incomplete;
        self.observed()
    }

    fn observed(&mut self) -> &mut Self {
        self.fleet.observe(self.pods.clone());
        self
    }

    pub(super) fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_000_000 + i64::try_from(self.now.as_secs()).unwrap()).unwrap()
    }

    pub(super) fn publishes(&mut self, publish: Publish) -> &mut Self {
        let now = self.now;
        let times = PublishTimes { detected: now, fetched: now, linted: now, published: now };
        let known = self.fleet.known(now);
        self.fleet.published(publish, times, known, now);
        self
    }

    /// A report of `POD` or `POD/PROCESS`; `-/PROCESS` is bound to no pod.
    pub(super) fn reports(
        &mut self,
        process: &str,
        state: ProcessState,
        runs: Option<Publish>,
        more: Report,
    ) -> ReportOutcome {
        self.tries_to_report(process, state, runs, more).unwrap()
    }

    pub(super) fn tries_to_report(
        &mut self,
        process: &str,
        state: ProcessState,
        runs: Option<Publish>,
        more: Report,
    ) -> Result<ReportOutcome, NoRoom> {
        let pod = process.split('/').next().unwrap();
        let report = Report {
            process: process.to_owned(),
            fingerprint: runs.map(|publish| publish.fingerprint.to_string()),
            updated_at: runs.map(|publish| publish.updated_at),
            state,
            ..more
        };
        let pod = PodIdentity { name: pod.to_owned(), uid: pod.to_owned() };
        self.fleet.report(&report, Some(pod).filter(|pod| pod.name != "-"), self.now, 1.0)
    }

    pub(super) fn says(&mut self, process: &str, state: ProcessState, runs: Publish) -> &mut Self {
        self.reports(process, state, Some(runs), Report::default());
        self
    }

    pub(super) fn applied(&mut self, process: &str, publish: Publish) -> &mut Self {
        self.says(process, ProcessState::Applied, publish)
    }

    /// Each of `processes` reports every ten seconds, for this long, that it runs the publish.
    pub(super) fn all_run_for(&mut self, seconds: u64, processes: &[&str], publish: Publish) -> &mut Self {
        for _ in 0..seconds.div_ceil(10) {
            self.after(10_000);
            for process in processes {
                self.applied(process, publish);
            }
        }
        self
    }

    pub(super) fn view(&mut self) -> FleetView {
        self.fleet.view(self.now)
    }

    pub(super) fn verdict(&mut self) -> Verdict {
        self.view().verdict
    }

    pub(super) fn is_progressing(&mut self) -> bool {
        matches!(self.verdict(), Verdict::Progressing { .. })
    }
}

#[test]
fn a_publish_converges_when_the_last_process_has_applied_it() {
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
    history.publishes(publish(B, 2));
    let published = history.now;
    let view = history.after(20).applied("p1", publish(B, 2)).view();
    assert_eq!(view.verdict, Verdict::Progressing { since: published });
    assert_eq!((view.applied, view.expected), (1, Some(2)));
    assert_eq!(view.behind, [straggler("p2", "pending")]);
    let view = history.after(40).applied("p2", publish(B, 2)).view();
    assert_eq!(view.verdict, Verdict::Converged);
    let millis = view.millis.unwrap();
    assert_eq!((millis.first, millis.p50, millis.p99, millis.all), (Some(20), Some(20), Some(60), Some(60)));
}

#[test]
fn the_figure_counts_when_a_process_applied_a_publish_and_not_when_it_reported_that() {
    let mut history = History::new();
    history.applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2)).after(100);
    let ago = |ago| Report { applied_ms_ago: Some(ago), ..Report::default() };
    history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), ago(70));
    // A process can't have applied it before it was published, whatever it reports.
    history.reports("p2", ProcessState::Applied, Some(publish(B, 2)), ago(u64::MAX));
    let millis = history.view().millis.unwrap();
    assert_eq!((millis.first, millis.all), (Some(0), Some(30)));
}

#[test]
fn a_process_can_not_have_applied_a_publish_before_the_api_server_had_accepted_it() {
    let mut history = History::new();
    history.applied("p1", publish(A, 1)).after(1_000);
    let detected = history.now.saturating_sub(Duration::from_secs(1));
    let times = PublishTimes { detected, fetched: detected, linted: detected, published: history.now };
    let known = history.fleet.known(history.now);
    history.fleet.published(publish(B, 2), times, known, history.now);
    let early = Report { applied_ms_ago: Some(500), ..Report::default() };
    let outcome = history.after(100).reports("p1", ProcessState::Applied, Some(publish(B, 2)), early);
    assert_eq!(outcome.applied_first, Some(Duration::from_secs(1)));
}

#[test]
fn the_time_to_apply_is_measured_once_for_each_process_that_was_there() {
    let mut history = History::new();
    history.pod("p1").pod("p2").pod("p3").pod("p4").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
    history.publishes(publish(B, 2)).after(100);
    let mut applies = |process, runs, started| {
        let report = Report { started_ms_ago: Some(started), ..Report::default() };
        history.reports(process, ProcessState::Applied, Some(runs), report).applied_first.map(|time| time.as_millis())
    };
    assert_eq!(applies("p1", publish(B, 2), 3_600_000), Some(100));
    assert_eq!(applies("p1", publish(A, 1), 3_600_000), None);
    assert_eq!(applies("p1", publish(B, 2), 3_600_000), None, "it went back in between");
    // Their pods were there at the publish, and had not reported.
    assert_eq!(applies("p3", publish(B, 2), 3_600_000), Some(100));
    assert_eq!(applies("p4", publish(B, 2), 10), None, "this process has started since");
}

#[test]
fn a_large_fleet_has_more_time_to_report_a_change() {
    let mut history = History::new();
    let mut within = |fleet: u32| {
        let says = |number| {
            let taken =
                history.reports(&format!("p{number}"), ProcessState::Applied, Some(publish(A, 1)), Report::default());
            taken.applied_within.as_millis()
        };
        (0..fleet).map(says).last().unwrap()
    };
    assert_eq!([1, 12, 20, 300, 10_000].map(&mut within), [0, 0, 10, 150, 250]);
}

#[test]
fn a_report_for_an_older_publish_of_the_same_content_does_not_count() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).publishes(publish(A, 3));
    history.applied("p1", publish(A, 1));
    assert_eq!(history.view().applied, 0);
    assert_eq!(history.applied("p1", publish(A, 3)).verdict(), Verdict::Converged);
}

#[test]
fn a_process_that_refuses_a_publish_has_not_applied_it() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    let view = history.says("p1", ProcessState::Rejected, publish(B, 2)).view();
    assert_eq!((view.applied, view.rejected, view.verdict), (0, 1, Verdict::Refused));
}

#[test]
fn the_refusal_of_an_older_publish_does_not_count_against_its_fix() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    history.says("p1", ProcessState::Rejected, publish(B, 2)).publishes(publish(A, 3));
    assert_eq!(history.view().rejected, 0);
    assert!(history.is_progressing());
}

#[test]
fn a_pod_that_never_reported_keeps_the_publish_from_converging_until_it_is_seen_to_end() {
    let mut history = History::new();
    history.pod("p1").pod("mute").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
    let view = history.view();
    assert_eq!((view.applied, view.expected), (1, Some(2)));
    assert_eq!(view.behind, [straggler("mute", "missing")]);
    assert_eq!(history.fleet.roster(history.now), [straggler("p1", "running"), straggler("mute", "missing")]);
    let view = history.pod_ends("mute").view();
    assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, None));
}

#[test]
fn a_pod_that_starts_after_the_publish_counts_once_its_grace_is_over() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2)).after(1000);
    history.pod("late");
    let view = history.view();
    assert_eq!((view.verdict, view.applied, view.expected), (Verdict::Converged, 1, Some(2)));
    assert_eq!(history.all_run_for(50, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
    let view = history.all_run_for(20, &["p1"], publish(B, 2)).view();
    assert!(matches!(view.verdict, Verdict::Progressing { .. }), "{view:?}");
    assert_eq!(history.applied("late", publish(B, 2)).verdict(), Verdict::Converged);
}

#[test]
fn a_process_that_has_just_started_and_runs_nothing_does_not_end_convergence() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2)).after(1000);
    let young = Report { started_ms_ago: Some(10), ..Report::default() };
    history.pod("late").reports("late", ProcessState::Starting, None, young.clone());
    assert_eq!(history.verdict(), Verdict::Converged);
    // A process that runs something else contradicts, however young it is.
    history.reports("late", ProcessState::Stale, Some(publish(A, 1)), young);
    assert!(history.is_progressing());
}

#[test]
fn a_draining_process_does_not_delay_the_verdict_and_leaves_no_figure() {
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
    let view = history.applied("p1", publish(B, 2)).says("p2", ProcessState::Draining, publish(A, 1)).view();
    assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, None));
}

#[test]
fn a_process_is_silent_after_three_missed_reports_and_stays_behind() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    assert_eq!(history.after(44_000).view().silent, 0);
    let view = history.after(2_000).view();
    assert_eq!((view.silent, view.applied), (1, 0));
    assert_eq!(view.behind, [straggler("p1", "silent")]);
    assert!(history.is_progressing());
}

#[test]
fn the_view_has_the_time_at_which_silence_would_change_it() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1));
    let now = history.now;
    assert_eq!(history.view().next_change, Some(now + Duration::from_secs(45)));
}

#[test]
fn every_process_of_a_pod_counts() {
    let mut history = History::new();
    history.pod("p1").applied("p1/a", publish(A, 1)).after(5).applied("p1/b", publish(A, 1)).publishes(publish(B, 2));
    assert!(history.applied("p1/a", publish(B, 2)).is_progressing());
    assert_eq!(history.applied("p1/b", publish(B, 2)).view().expected, Some(2));
    assert_eq!(history.verdict(), Verdict::Converged);
}

/// Makes up a number of processes of a pod, or of none, that have applied a publish. Returns the last answer.
fn made_up(history: &mut History, pod: &str, number: usize, publish: Publish) -> Option<NoRoom> {
    let report = |history: &mut History, number| {
        let process = format!("{pod}/{number}");
        history.tries_to_report(&process, ProcessState::Applied, Some(publish), Report::default()).err()
    };
    (0..number).map(|number| report(history, number)).last().flatten()
}

#[test]
fn a_pod_has_a_limited_number_of_processes() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(A, 1)).applied("p2", publish(A, 1));
    assert_eq!(made_up(&mut history, "p1", 1_000, publish(A, 1)), Some(NoRoom::Pod));
    assert_eq!(history.view().processes as usize, PROCESSES_PER_POD + 1);
    // The others may exist, and nobody knows what they run.
    assert_eq!(history.verdict(), Verdict::Unprovable);
    assert!(history.view().millis.is_none_or(|millis| millis.all.is_none()), "{:?}", history.view().millis);
    let until = history.view().next_change.unwrap();
    assert!(until > history.now, "the state ends by itself");
    assert_eq!(history.view().no_room, Some(NoRoom::Pod));
    let processes: Vec<_> = (0..PROCESSES_PER_POD).map(|number| format!("p1/{number}")).collect();
    let mut reporting: Vec<&str> = processes.iter().map(String::as_str).collect();
    reporting.push("p2");
    history.all_run_for(60, &reporting, publish(A, 1));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn a_pod_whose_short_processes_drain_has_room_for_the_next_one() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(A, 1)).applied("p1/server", publish(A, 1));
    for number in 0..1_000 {
        let process = format!("p1/{number}");
        for state in [ProcessState::Applied, ProcessState::Draining] {
            history.tries_to_report(&process, state, Some(publish(A, 1)), Report::default()).unwrap();
        }
    }
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn processes_of_one_container_run_leave_room_for_those_of_the_next() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(A, 1));
    for number in 0..PROCESSES_PER_POD {
        history.says(&format!("p1/old-{number}"), ProcessState::Draining, publish(A, 1));
    }
    assert_eq!(made_up(&mut history, "p1", PROCESSES_PER_POD, publish(A, 1)), None);
    // Processes that claim to have left do not make room without end.
    for number in 100..1_000 {
        let process = format!("p1/{number}");
        let _ = history.tries_to_report(&process, ProcessState::Draining, None, Report::default());
    }
    assert_eq!(history.fleet.of_pod(Some("p1")).count(), 2 * PROCESSES_PER_POD);
}

#[test]
fn processes_that_are_made_up_make_nothing_converge_and_stretch_no_heartbeat() {
    let mut history = History::new();
    history.pod("honest").publishes(publish(A, 1)).applied("honest", publish(A, 1)).publishes(publish(B, 2));
    for pod in ["p1", "p2", "-"] {
        made_up(&mut history, pod, 1_000, publish(B, 2));
    }
    assert!(history.is_progressing(), "the honest process is behind, whatever others report");
    let behind = history.view().behind;
    assert_eq!(behind, [straggler("honest", "pending")]);
    assert_eq!(history.fleet.windows().heartbeat, HEARTBEAT);
    assert_eq!(history.view().processes as usize, 1 + 2 * PROCESSES_PER_POD + UNBOUND_PROCESSES);
    assert_eq!(made_up(&mut history, "-", 1_000, publish(B, 2)), Some(NoRoom::Unbound));
}

#[test]
fn a_fleet_has_a_limited_number_of_processes_and_known_ones_may_still_report() {
    let mut history = History::new();
    for pod in 0..PROCESSES {
        history.applied(&format!("p{pod}"), publish(A, 1));
    }
    let new = history.tries_to_report("new", ProcessState::Applied, None, Report::default());
    assert_eq!(new.err(), Some(NoRoom::Fleet));
    assert_eq!(history.fleet.windows().heartbeat, Duration::from_secs(50));
    history.applied("p0", publish(B, 2));
}

#[test]
fn a_report_that_overtakes_the_answer_to_the_patch_counts() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).applied("p1", publish(B, 2)).publishes(publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn ten_thousand_processes_report_every_fifty_seconds() {
    let mut history = History::new();
    for index in 0..10_000 {
        history.applied(&format!("p{index}"), publish(A, 1));
    }
    assert_eq!(history.fleet.windows().heartbeat, Duration::from_secs(50));
}

#[test]
fn a_later_publish_that_a_process_names_is_noticed_once() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(A, 9));
    assert_eq!(history.fleet.unknown_publish(), Some(publish(A, 9).updated_at));
    let now = history.now;
    history.fleet.dealt_with_unknown_publish(now);
    assert_eq!(history.applied("p1", publish(A, 9)).fleet.unknown_publish(), None);
    // Another name has to wait, so that no process makes the operator write again and again.
    assert_eq!(history.applied("p1", publish(A, 10)).fleet.unknown_publish(), None);
    assert_eq!(
        history.after(45_000).applied("p1", publish(A, 11)).fleet.unknown_publish(),
        Some(publish(A, 11).updated_at)
    );
}

#[test]
fn a_silent_process_whose_sibling_says_that_it_is_gone_has_left() {
    let mut history = History::new();
    let pid = |pid| Some(Pid { pid, started: 7, namespace: 1 });
    let with =
        |own: u32, siblings: &[Testimony]| Report { pid: pid(own), siblings: siblings.to_vec(), ..Report::default() };
    history.pod("p1");
    history.reports("p1/a", ProcessState::Applied, Some(publish(A, 1)), with(10, &[]));
    history.reports("p1/b", ProcessState::Applied, Some(publish(A, 1)), with(11, &[]));
    history.publishes(publish(B, 2)).after(46_000);
    let asked = history.reports("p1/b", ProcessState::Applied, Some(publish(B, 2)), with(11, &[]));
    assert_eq!(asked.siblings, [pid(10).unwrap()]);
    assert!(history.is_progressing());
    let says = |fate| Testimony { pid: pid(10).unwrap(), fate };
    history.reports("p1/b", ProcessState::Applied, Some(publish(B, 2)), with(11, &[says(Testified::Alive)]));
    assert!(history.is_progressing());
    history.reports("p1/b", ProcessState::Applied, Some(publish(B, 2)), with(11, &[says(Testified::Gone)]));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn testimony_about_another_pod_or_namespace_is_ignored() {
    let mut history = History::new();
    let pid = |namespace| Some(Pid { pid: 10, started: 7, namespace });
    history.pod("p1").pod("p2");
    history.reports("p1/a", ProcessState::Applied, Some(publish(A, 1)), Report { pid: pid(1), ..Report::default() });
    history.publishes(publish(B, 2)).after(46_000);
    let gone = Testimony { pid: pid(1).unwrap(), fate: Testified::Gone };
    for (witness, namespace) in [("p2/x", 1), ("p1/x", 2)] {
        let own = Some(Pid { pid: 11, started: 7, namespace });
        let report = Report { pid: own, siblings: vec![gone], ..Report::default() };
        history.reports(witness, ProcessState::Applied, Some(publish(B, 2)), report);
    }
    assert!(history.is_progressing());
}

#[test]
fn a_fleet_keeps_the_ends_of_its_own_pods_and_no_others() {
    let mut history = History::new();
    for pod in ["other", "own", "lives"] {
        history.pod(pod).change(pod, |pod| pod.selected = false);
    }
    history.pod("selected").applied("own", publish(A, 1));
    history.pod_ends("other").pod_ends("own").pod_ends("selected");
    let kept: Vec<&str> = history.fleet.pods.by_uid.keys().map(|uid| &**uid).collect();
    assert_eq!(kept, ["lives", "own", "selected"]);
}
