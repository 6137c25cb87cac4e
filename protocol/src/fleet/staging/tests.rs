//! Tests of stages: who should run what, and what counts as evidence for it.

use rototo_api::fleet::{Degradation, Report};

use super::*;
use crate::fleet::Verdict;
use crate::fleet::tests::{A, B, History, publish, straggler};
use crate::stage::WHOLE;

fn next() -> Publish {
    publish(B, 20)
}

fn able() -> Report {
    Report { prepares: true, ..Report::default() }
}

impl History {
    fn runs_now(&mut self, process: &str, publish: Publish) -> Option<Publish> {
        self.reports(process, ProcessState::Applied, Some(publish), able()).intended
    }

    /// B is announced, and the pods whose hash is lower than this run it.
    fn stages(&mut self, below: u64) -> &mut Self {
        let stage = Some(Stage { step: 0, since: self.wall(), below });
        self.fleet.announcement_observed(Some(next()), self.now);
        self.fleet.staged(stage, self.now);
        self
    }

    fn facts(&self) -> StageFacts {
        self.fleet.stage_facts(self.fleet.marked().and_then(|marked| marked.stage), self.now)
    }
}

/// Returns the hashes of the pods `p` and `q`.
fn hashes() -> [u64; 2] {
    ["p", "q"].map(|pod| pod_hash(next().fingerprint, pod))
}

/// The pods p and q run A, and the one with the lower hash should run B. Returns both, that one first.
fn one_of_two() -> (History, [&'static str; 2]) {
    let mut history = History::new();
    history.pod("p").pod("q").publishes(publish(A, 10));
    history.runs_now("p", publish(A, 10));
    history.runs_now("q", publish(A, 10));
    let [p, q] = hashes();
    history.stages(p.min(q) + 1);
    (history, if p < q { ["p", "q"] } else { ["q", "p"] })
}

#[test]
fn a_process_of_the_stage_counts_against_the_announced_publish() {
    let (mut history, [staged, other]) = one_of_two();
    let counts = history.fleet.stage_counts(history.now);
    assert_eq!(counts.next, StageCount { intended: 1, applied: 0 });
    assert_eq!(counts.stable, StageCount { intended: 1, applied: 1 });
    assert!(history.is_progressing() && !history.facts().converged);
    assert_eq!(history.fleet.stage_pods(history.now), [staged]);
    assert_eq!(history.runs_now(staged, next()), Some(next()));
    assert_eq!(history.runs_now(other, publish(A, 10)), Some(publish(A, 10)));
    let mut roster = history.fleet.roster(history.now);
    roster.sort_by(|one, two| one.state.cmp(&two.state));
    assert_eq!(roster, [straggler(other, "running"), straggler(staged, "running_next")]);
    assert_eq!((history.verdict(), history.facts().converged), (Verdict::Converged, true));
    // What it reports is no edit of somebody else.
    assert_eq!(history.fleet.unknown_publish(), None);
    // A process outside of the stage that runs it contradicts.
    history.runs_now(other, next());
    assert!(history.is_progressing());
}

#[test]
fn a_process_of_the_stage_is_none_of_those_that_run_or_refuse_what_is_published() {
    let (mut history, [staged, other]) = one_of_two();
    history.runs_now(staged, next());
    let view = history.view();
    assert_eq!((view.verdict, view.applied, view.running_next), (Verdict::Converged, 1, 1));
    history.reports(staged, ProcessState::Rejected, Some(next()), able());
    let view = history.view();
    assert_eq!((view.verdict, view.applied, view.rejected), (Verdict::Refused, 1, 0));
    history.reports(other, ProcessState::Rejected, Some(publish(A, 10)), able());
    let view = history.view();
    assert_eq!((view.verdict, view.applied, view.rejected), (Verdict::Refused, 0, 1));
}

#[test]
fn a_stage_that_is_taken_back_counts_its_processes_against_what_is_published() {
    let (mut history, [staged, _]) = one_of_two();
    history.runs_now(staged, next());
    history.fleet.announcement_observed(None, history.now);
    assert!(history.is_progressing());
    assert_eq!(history.runs_now(staged, publish(A, 10)), Some(publish(A, 10)));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn processes_that_do_not_prepare_or_have_no_pod_stay_on_what_is_published() {
    let mut history = History::new();
    history.pod("p").publishes(publish(A, 10));
    history.stages(WHOLE);
    history.reports("p/old", ProcessState::Applied, Some(publish(A, 10)), Report::default());
    let runs = |history: &mut History, process: &str, more| {
        history.reports(process, ProcessState::Applied, Some(publish(A, 10)), more).intended
    };
    assert_eq!(runs(&mut history, "p/old", Report::default()), Some(publish(A, 10)));
    assert_eq!(runs(&mut history, "-/1", able()), Some(publish(A, 10)));
    assert!(history.facts().pods.is_empty(), "nobody can be in a stage");
    assert_eq!(runs(&mut history, "p/new", able()), Some(next()));
    assert_eq!(history.facts().pods, [pod_hash(next().fingerprint, "p")]);
}

#[test]
fn a_stage_has_converged_only_by_live_processes_of_all_its_pods() {
    let mut history = History::new();
    history.pod("p").pod("q").publishes(publish(A, 10));
    history.runs_now("p", publish(A, 10));
    history.stages(WHOLE);
    history.runs_now("p", next());
    assert!(!history.facts().converged, "a pod of the stage has not reported");
    history.runs_now("q", next());
    assert!(history.facts().converged);
    history.after(60_000).runs_now("p", next());
    assert!(!history.facts().converged, "a process of the stage is silent");
}

#[test]
fn a_container_of_the_stage_that_ended_since_the_step_began_is_named() {
    let (mut history, [staged, other]) = one_of_two();
    history.after(2_000).container_restarts(other);
    assert!(history.facts().restarted.is_empty(), "it is not of the stage");
    history.container_restarts(staged);
    assert_eq!(history.facts().restarted, [staged]);
    // The next step begins later.
    history.after(2_000).stages(WHOLE);
    assert!(history.facts().restarted.is_empty());
}

#[test]
fn a_container_that_ended_and_does_not_run_again_is_named_too() {
    let (mut history, [staged, _]) = one_of_two();
    history.after(2_000).container_restarts(staged).change(staged, |pod| pod.containers[0].running = false);
    assert_eq!(history.facts().restarted, [staged]);
    // The end of a pod that is deleted is somebody's will.
    history.change(staged, |pod| pod.terminating = true);
    assert!(history.facts().restarted.is_empty());
}

#[test]
fn a_pod_that_has_not_reported_may_be_chosen_and_one_of_older_clients_not() {
    let mut history = History::new();
    history.pod("p").pod("q").publishes(publish(A, 10));
    history.reports("p/old", ProcessState::Applied, Some(publish(A, 10)), Report::default());
    history.fleet.announced(next(), history.now);
    assert_eq!(history.facts().pods, [pod_hash(next().fingerprint, "q")]);
}

#[test]
fn a_report_of_a_stage_that_is_over_is_no_edit_of_somebody_else() {
    for superseded in [None, Some(publish('c', 30))] {
        let (mut history, [staged, _]) = one_of_two();
        history.runs_now(staged, next());
        match superseded {
            None => history.fleet.announcement_observed(None, history.now),
            Some(newer) => history.fleet.announced(newer, history.now),
        }
        assert!(history.is_progressing(), "it has not returned to what is published: {superseded:?}");
        history.runs_now(staged, next());
        assert_eq!(history.fleet.unknown_publish(), None, "{superseded:?}");
    }
}

#[test]
fn a_process_of_the_stage_that_refuses_is_named() {
    let (mut history, [staged, _]) = one_of_two();
    history.reports(staged, ProcessState::Rejected, Some(next()), able());
    let refused: Vec<_> = history.facts().refused.into_iter().map(|one| one.name).collect();
    assert_eq!(refused, [staged]);
    assert_eq!(history.verdict(), Verdict::Refused);
}

#[test]
fn a_process_of_the_stage_that_became_degraded_after_it_applied_the_content_is_named() {
    let degraded = |degraded_ms, applied_ms| Report {
        degraded: Some(Degradation { reason: "error_rate".to_owned(), ms_ago: degraded_ms }),
        applied_ms_ago: applied_ms,
        ..able()
    };
    let (mut history, [staged, other]) = one_of_two();
    let named = vec![Straggler::degraded(staged.to_owned(), "error_rate")];
    for (process, publish, report, expected) in [
        // It was degraded before.
        (staged, next(), degraded(9_001, Some(9_000)), vec![]),
        // Nobody knows what came first.
        (staged, next(), degraded(1, None), vec![]),
        // It does not run the content yet.
        (staged, publish(A, 10), degraded(1, Some(9_000)), vec![]),
        // It is not in the stage.
        (other, publish(A, 10), degraded(1, Some(9_000)), vec![]),
        (staged, next(), degraded(9_000, Some(9_000)), named),
        // It is well again.
        (staged, next(), able(), vec![]),
    ] {
        let outcome = history.reports(process, ProcessState::Applied, Some(publish), report.clone());
        assert_eq!(history.facts().degraded, expected, "{report:?}");
        assert!(outcome.news || expected.is_empty());
    }
}

#[test]
fn a_restarted_operator_does_not_take_a_stage_for_converged_before_it_knows_everybody() {
    let (mut history, [staged, other]) = one_of_two();
    history.runs_now(staged, next());
    assert!(history.facts().converged);
    let [p, q] = hashes();
    history.restarts(publish(A, 10), 2).stages(p.min(q) + 1);
    history.runs_now(staged, next());
    assert!(!history.facts().converged && history.facts().incomplete);
    history.after(60_000).runs_now(staged, next());
    history.runs_now(other, publish(A, 10));
    history.view();
    assert!(history.facts().converged && !history.facts().incomplete);
}

#[test]
fn a_stage_has_not_converged_while_the_watch_of_the_pods_does_not_run() {
    let (mut history, [staged, _]) = one_of_two();
    history.runs_now(staged, next());
    history.misses_pods(true);
    assert!(!history.facts().converged && history.facts().incomplete);
    history.misses_pods(false);
    assert!(history.facts().converged && !history.facts().incomplete);
}

#[test]
fn a_pod_that_has_not_reported_counts_on_its_side() {
    let (mut history, _) = one_of_two();
    let [p, q] = hashes();
    let mut sides = [0, 0];
    for pod in ["r", "s", "t", "u", "v", "w", "x", "y"] {
        history.pod(pod);
        sides[usize::from(pod_hash(next().fingerprint, pod) <= p.min(q))] += 1;
        let counts = history.fleet.stage_counts(history.now);
        assert_eq!(counts.stable, StageCount { intended: 1 + sides[0], applied: 1 }, "{pod}");
        assert_eq!(counts.next, StageCount { intended: 1 + sides[1], applied: 0 }, "{pod}");
    }
    assert!(sides.iter().all(|pods| *pods > 0), "{sides:?}");
    assert!(history.fleet.is_staged());
    history.fleet.staged(None, history.now);
    assert!(!history.fleet.is_staged());
}
