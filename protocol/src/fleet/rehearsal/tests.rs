//! Tests of rehearsals. Each test is a history of reports about the announced publish.

use rototo_api::fleet::{Preparation, ProcessState};

use super::*;
use crate::fleet::tests::{A, B, History, publish, straggler};
use crate::windows::HEARTBEAT;

const BEST_EFFORT: RehearsalRules =
    RehearsalRules { mode: RehearsalMode::BestEffort, within: Duration::from_millis(500), min_prepared: 100 };
const REQUIRE: RehearsalRules = RehearsalRules { mode: RehearsalMode::Require, ..BEST_EFFORT };

fn next() -> Publish {
    publish(B, 20)
}

/// A report about the announced publish.
fn says(state: PreparationState) -> Report {
    let reason = (state == PreparationState::Refused).then(|| "check_failed".to_owned());
    let next = next();
    let fingerprint = next.fingerprint.to_string();
    let preparation = Preparation { fingerprint, updated_at: next.updated_at, state, reason };
    Report { next: Some(preparation), ..able() }
}

fn able() -> Report {
    Report { prepares: true, ..Report::default() }
}

impl History {
    /// A report of a process that runs A.
    fn runs(&mut self, process: &str, more: Report) -> bool {
        self.runs_as(process, publish(A, 10), more)
    }

    fn runs_as(&mut self, process: &str, publish: Publish, more: Report) -> bool {
        self.reports(process, ProcessState::Applied, Some(publish), more).decides
    }

    fn announces(&mut self) -> &mut Self {
        self.fleet.announced(next(), self.now);
        self
    }

    fn rehearsal(&self, rules: RehearsalRules) -> RehearsalView {
        self.fleet.rehearsal(rules, self.now).expect("a publish should be announced")
    }

    #[track_caller]
    fn check(&self, rules: RehearsalRules, verdict: RehearsalVerdict, prepared: u32, expected: u32) -> &Self {
        let view = self.rehearsal(rules);
        assert_eq!((view.verdict, view.prepared, view.expected), (verdict, prepared, expected), "{view:?}");
        self
    }
}

/// Two pods run A, and B is announced.
fn two() -> History {
    let mut history = History::new();
    history.pod("p").pod("q").publishes(publish(A, 10));
    history.runs("p/1", able());
    history.runs("q/1", able());
    history.announces();
    history
}

#[test]
fn a_publish_passes_once_everybody_who_could_prepare_it_has() {
    let mut history = two();
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
    assert!(!history.runs("p/1", says(PreparationState::Prepared)), "the answer is the same as before");
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2).check(REQUIRE, RehearsalVerdict::Waiting, 1, 2);
    assert!(history.runs("q/1", says(PreparationState::Prepared)), "the last one decides");
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 2).check(REQUIRE, RehearsalVerdict::Passed, 2, 2);
}

#[test]
fn a_refusal_holds_the_publish_until_the_process_changes_its_mind_or_leaves() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    assert!(history.runs("q/1", says(PreparationState::Refused)));
    for rules in [BEST_EFFORT, REQUIRE] {
        history.check(rules, RehearsalVerdict::Refused, 1, 2);
        let refused = Straggler { reason: Some("check_failed".to_owned()), ..straggler("q", "refused") };
        assert_eq!(history.rehearsal(rules).refused, [refused]);
    }
    // Time alone releases nothing.
    history.after(60_000).check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
    let mut changed = History { fleet: history.fleet.clone(), pods: history.pods.clone(), now: history.now };
    assert!(changed.runs("q/1", says(PreparationState::Prepared)));
    assert_eq!(changed.rehearsal(BEST_EFFORT).verdict, RehearsalVerdict::Passed);
    history.pod_ends("q").check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 1);
}

#[test]
fn a_refusal_of_content_holds_under_each_name_until_the_process_says_otherwise() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    history.fleet.announced(publish(B, 40), history.now);
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
    history.fleet.announced(publish('c', 41), history.now);
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
}

#[test]
fn a_process_that_refuses_and_hangs_still_holds_the_publish() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    history.after(60_000);
    assert!(history.fleet.rehearses(BEST_EFFORT, history.now), "nobody is live, and somebody refuses");
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
}

#[test]
fn a_refusal_holds_while_the_same_content_is_published_under_another_name() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    // Somebody changed the marker, and it was put back.
    history.publishes(publish(A, 30));
    history.fleet.announcement_observed(None, history.now);
    history.fleet.announced(publish(B, 31), history.now);
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
}

#[test]
fn a_report_that_says_nothing_about_an_announcement_takes_no_refusal_back() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    history.fleet.announcement_observed(None, history.now);
    history.runs("q/1", able());
    history.fleet.announced(publish(B, 31), history.now);
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
    history.runs("q/1", says(PreparationState::Prepared));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 2);
}

#[test]
fn a_process_that_runs_what_it_had_refused_no_longer_refuses_it() {
    let mut history = two();
    history.runs("q/1", says(PreparationState::Refused));
    // A person publishes it anyway, and the process tries again.
    history.publishes(publish(B, 20));
    history.fleet.announcement_observed(None, history.now);
    history.reports("q/1", ProcessState::Rejected, Some(publish(B, 20)), able());
    history.publishes(publish(A, 30));
    history.fleet.announced(publish(B, 31), history.now);
    history.runs_as("q/1", publish(A, 30), able());
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 0, 2);
    history.publishes(publish(B, 31));
    history.fleet.announcement_observed(None, history.now);
    history.runs_as("q/1", publish(B, 31), able());
    history.publishes(publish(A, 40));
    history.fleet.announced(publish(B, 41), history.now);
    history.runs_as("q/1", publish(A, 40), able());
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
}

#[test]
fn only_a_selected_pod_that_runs_what_is_published_holds_it() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Prepared));
    history.runs("-/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 3);
    history.pod("other").change("other", |pod| pod.selected = false);
    history.runs("other/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 4);
    history.pod("behind").reports("behind/1", ProcessState::Pending, None, says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 5);
    let missing: Vec<_> = history.rehearsal(REQUIRE).missing.into_iter().map(|one| one.name).collect();
    assert_eq!(missing, ["-/1", "behind", "other"], "they are shown");
}

#[test]
fn a_process_that_hangs_delays_a_publish_by_the_time_limit_at_most() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    let until = history.now + BEST_EFFORT.within;
    assert_eq!(history.rehearsal(BEST_EFFORT).next_change, Some(until));
    history.after(499).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.after(1).check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 2);
    history.check(REQUIRE, RehearsalVerdict::Incomplete, 1, 2);
    assert_eq!(history.rehearsal(REQUIRE).missing, [straggler("q", "pending")]);
    // Once it counts as silent, the next announcement does not wait for it at all.
    history.after(60_000).runs("p/1", able());
    history.announces().runs("p/1", says(PreparationState::Prepared));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 2);
    assert_eq!(history.rehearsal(REQUIRE).missing, [straggler("q", "silent")]);
}

#[test]
fn what_a_person_publishes_anyway_passes_although_a_process_refuses_it() {
    let mut history = two();
    history.runs("q/1", says(PreparationState::Refused));
    history.check(RehearsalRules::default(), RehearsalVerdict::Passed, 0, 2);
}

#[test]
fn a_process_that_ends_is_not_awaited() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.pod_ends("q").check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 1);
}

#[test]
fn processes_that_cannot_prepare_are_not_awaited_and_count_as_unprepared() {
    let mut history = History::new();
    history.pod("p").pod("q").publishes(publish(A, 10));
    history.runs("p/1", Report::default());
    assert!(!history.fleet.rehearses(BEST_EFFORT, history.now), "nobody can prepare");
    assert!(history.fleet.rehearses(REQUIRE, history.now));
    assert!(!history.fleet.rehearses(RehearsalRules::default(), history.now));
    history.runs("q/1", able());
    assert!(history.fleet.rehearses(BEST_EFFORT, history.now));
    history.announces().runs("q/1", says(PreparationState::Prepared));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 2);
    history.after(500).check(REQUIRE, RehearsalVerdict::Incomplete, 1, 2);
    assert_eq!(history.rehearsal(REQUIRE).missing, [straggler("p", "unable")]);
    let half = RehearsalRules { min_prepared: 50, ..REQUIRE };
    history.check(half, RehearsalVerdict::Passed, 1, 2);
}

#[test]
fn the_required_part_is_never_rounded_down() {
    let mut history = two();
    history.pod("r").runs("r/1", able());
    let half = RehearsalRules { min_prepared: 50, ..REQUIRE };
    history.runs("p/1", says(PreparationState::Prepared));
    history.check(half, RehearsalVerdict::Waiting, 1, 3);
    history.runs("q/1", says(PreparationState::Prepared));
    history.check(half, RehearsalVerdict::Passed, 2, 3);
}

#[test]
fn a_pod_that_has_not_reported_is_missing_in_a_required_rehearsal() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Prepared));
    history.pod("r").after(500).check(REQUIRE, RehearsalVerdict::Incomplete, 2, 3);
    assert_eq!(history.rehearsal(REQUIRE).missing, [straggler("r", "missing")]);
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 3);
}

#[test]
fn a_restarted_operator_that_finds_an_announcement_waits_for_everybody_who_was_counted() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    history.after(100).restarts(publish(A, 10), 2);
    history.fleet.announcement_observed(Some(next()), history.now);
    history.runs("p/1", says(PreparationState::Prepared));
    // The time limit does not count: the process that refused has not reported yet.
    history.after(10_000).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.runs("q/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
    assert!(history.runs("q/1", says(PreparationState::Prepared)));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 2);
}

#[test]
fn a_restarted_operator_waits_for_a_pod_that_was_not_counted() {
    let mut history = two();
    history.after(100).restarts(publish(A, 10), 1);
    history.fleet.announcement_observed(Some(next()), history.now);
    history.runs("p/1", says(PreparationState::Prepared));
    history.after(10_000).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.runs("q/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
}

#[test]
fn a_restarted_operator_waits_for_the_answer_of_a_process_that_sees_no_marker() {
    let mut history = two();
    history.restarts(publish(A, 10), 2);
    history.fleet.announcement_observed(Some(next()), history.now);
    history.runs("p/1", says(PreparationState::Prepared));
    // Somebody has removed the marker, and this process may have refused what it announced.
    history.reports("q/1", ProcessState::Orphaned, Some(publish(A, 10)), able());
    history.after(10_000).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.runs("q/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 1, 2);
}

#[test]
fn a_restarted_operator_without_a_count_waits_for_the_whole_recount() {
    let mut history = two();
    history.after(100).restarts(publish(A, 10), 0);
    history.fleet.announcement_observed(Some(next()), history.now);
    history.runs("p/1", says(PreparationState::Prepared));
    let until = history.now + history.fleet.windows().recount;
    assert_eq!(history.rehearsal(BEST_EFFORT).next_change, Some(until));
    history.after(59_999).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.after(1).check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 2);
}

#[test]
fn a_publish_that_is_announced_during_a_recount_waits_for_the_time_limit() {
    let mut history = two();
    history.restarts(publish(A, 10), 2);
    assert!(history.fleet.rehearses(BEST_EFFORT, history.now), "somebody may be able to");
    history.announces().check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
    history.check(REQUIRE, RehearsalVerdict::Waiting, 0, 2);
    history.after(500).check(BEST_EFFORT, RehearsalVerdict::Passed, 0, 2);
    history.check(REQUIRE, RehearsalVerdict::Waiting, 0, 2);
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Prepared));
    // A fleet that is not known yet can't be complete.
    history.check(REQUIRE, RehearsalVerdict::Waiting, 2, 2);
    history.after(60_000).check(REQUIRE, RehearsalVerdict::Passed, 2, 2);
}

#[test]
fn evidence_that_is_passed_on_has_the_refusals() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.runs("q/1", says(PreparationState::Refused));
    let evidence = history.fleet.evidence(history.now).unwrap();
    let mut fleet = Fleet::inherited(&evidence, HEARTBEAT, history.now);
    fleet.observe(history.pods.clone());
    fleet.adopt(publish(A, 10), history.now);
    fleet.announcement_observed(Some(next()), history.now);
    let view = fleet.rehearsal(BEST_EFFORT, history.now).unwrap();
    assert_eq!((view.verdict, view.prepared), (RehearsalVerdict::Refused, 1));
}

#[test]
fn an_announcement_that_is_withdrawn_has_no_rehearsal() {
    let mut history = two();
    history.fleet.announcement_observed(None, history.now);
    assert_eq!(history.fleet.rehearsal(BEST_EFFORT, history.now), None);
    assert!(!history.runs("p/1", says(PreparationState::Refused)), "it is of no interest any more");
}

#[test]
fn a_report_that_says_nothing_about_an_announcement_takes_a_preparation_back() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Prepared));
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 2);
    history.runs("p/1", able());
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
}

#[test]
fn a_process_that_no_longer_prepares_no_longer_refuses() {
    let mut history = two();
    history.runs("p/1", says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Refused, 0, 2);
    history.runs("p/1", Report::default());
    history.check(BEST_EFFORT, RehearsalVerdict::Waiting, 0, 2);
}

#[test]
fn a_process_that_names_what_is_published_and_does_not_run_it_holds_nothing() {
    let mut history = two();
    history.runs("q/1", says(PreparationState::Prepared));
    history.reports("p/1", ProcessState::Pending, Some(publish(A, 10)), says(PreparationState::Refused));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 1, 2);
}

#[test]
fn the_time_of_an_announcement_is_known_as_long_as_it_stands() {
    let mut history = two();
    let announced = history.now;
    assert_eq!(history.after(5_000).fleet.announced_since(), Some(announced));
    history.fleet.announcement_observed(None, history.now);
    assert_eq!(history.fleet.announced_since(), None);
}

#[test]
fn a_restarted_operator_waits_for_processes_that_are_bound_to_no_pod() {
    let mut history = History::new();
    history.restarts(publish(A, 10), 2);
    history.fleet.announcement_observed(Some(next()), history.now);
    history.runs("-/1", says(PreparationState::Prepared));
    history.after(10_000).check(BEST_EFFORT, RehearsalVerdict::Waiting, 1, 1);
    history.runs("-/2", says(PreparationState::Prepared));
    history.check(BEST_EFFORT, RehearsalVerdict::Passed, 2, 2);
}

#[test]
fn who_reports_during_a_recount_is_awaited_if_it_prepares_and_an_earlier_operator_asked() {
    /// One process of two has answered, and the second reports: it can prepare or can't.
    fn waits(found: bool, restarted: bool, second: Report) -> bool {
        let mut history = two();
        if restarted {
            history.restarts(publish(A, 10), 2);
        }
        if found {
            history.fleet.announcement_observed(None, history.now);
            history.fleet.announcement_observed(Some(next()), history.now);
        } else {
            history.announces();
        }
        history.runs("p/1", says(PreparationState::Prepared));
        history.pod("r").runs("r/1", second);
        history.runs("q/1", says(PreparationState::Prepared));
        history.fleet.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.awaited.iter().any(|id| id.process == "r/1"))
    }
    assert!(waits(true, true, able()));
    assert!(!waits(true, true, Report::default()), "it can't prepare");
    assert!(!waits(true, false, able()), "everybody is known who was asked");
    assert!(!waits(false, true, able()), "this operator asked, and knows whom");
}

#[test]
fn a_required_rehearsal_is_judged_again_each_second() {
    let mut history = two();
    let rules = RehearsalRules { within: Duration::from_secs(10), ..REQUIRE };
    let now = history.now;
    assert_eq!(history.rehearsal(rules).next_change, Some(now + Duration::from_secs(1)));
    history.after(9_500);
    assert_eq!(history.rehearsal(rules).next_change, Some(now + rules.within));
    history.after(1_000).check(rules, RehearsalVerdict::Incomplete, 0, 2);
    let again = history.now + Duration::from_secs(1);
    assert_eq!(history.rehearsal(rules).next_change, Some(again));
}
