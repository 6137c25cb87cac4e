//! Tests of the publisher during a rehearsal and a rollout: stages, requests, and gates.

use std::time::Duration;

use rototo_api::fleet::{Degradation, Preparation, PreparationState, ProcessState, Report};
use rototo_api::marker::Stage;

use super::super::*;
use super::{NOW, map, other, patched, plan_for, pod, publish, report, reports, staged};
use crate::analysis::Measurements;
use crate::fleet::{Container, FleetStart, Pod, PodIdentity, PodObjectState, Pods};
use crate::plan::MarkerEntry;
use crate::windows::HEARTBEAT;

/// An operator knows from the marker that the content which [`staged`] announces is at its stage.
fn rolling() -> (Publisher, Fleet, Marked) {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    publisher.marker_confirmed(Some(staged()), &mut fleet, NOW);
    (publisher, fleet, staged())
}

/// Decides about a marker where the source has the content that [`staged`] announces.
fn decides(publisher: &Publisher, fleet: &Fleet, map: MarkerMap) -> Marked {
    let accepted = Some(other().fingerprint);
    let facts = PublishInput { accepted, polled_at: Some(NOW), ..Default::default() };
    match publisher.decide(fleet, map, facts, NOW, Timestamp::UNIX_EPOCH) {
        MarkerPlan::Write { marked, .. } => marked,
        other => panic!("the plan should be a write, but is {other:?}"),
    }
}

#[test]
fn a_stage_that_refuses_takes_the_content_back_although_the_steps_were_removed() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let marked = staged();
    let next = marked.next.unwrap();
    // The refusal came before this operator knew that there is a stage.
    fleet.announcement_observed(Some(next), NOW);
    reports(&mut fleet, next, ProcessState::Rejected);
    let taken_back = Marked { held: Some((next, Gate::Refused)), ..publish().into() };
    assert_eq!(decides(&publisher, &fleet, map(MarkerEntry::Published(marked))), taken_back);
    reports(&mut fleet, next, ProcessState::Applied);
    assert_eq!(decides(&publisher, &fleet, map(MarkerEntry::Published(marked))), next.into());
}

#[test]
fn a_stage_that_refuses_takes_the_content_back_at_the_first_decision_of_an_operator() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    reports(&mut fleet, next, ProcessState::Rejected);
    assert!(publisher.map_observed(&map(MarkerEntry::Published(marked)), &mut fleet, NOW).is_none());
    let taken_back = Marked { held: Some((next, Gate::Refused)), ..publish().into() };
    assert_eq!(decides(&publisher, &fleet, map(MarkerEntry::Published(marked))), taken_back);
}

#[test]
fn what_was_taken_back_without_an_answer_stays_away_although_somebody_removes_the_marker() {
    let (mut publisher, mut fleet, marked) = rolling();
    let next = marked.next.unwrap();
    reports(&mut fleet, next, ProcessState::Rejected);
    let taken_back = decides(&publisher, &fleet, map(MarkerEntry::Published(marked)));
    assert_eq!(taken_back.held, Some((next, Gate::Refused)));
    let at = MapVersion::Version("8".to_owned());
    publisher.begin_patch(taken_back, &at, WriteReason::Announcement, None, &fleet, NOW);
    // As long as the map is as it was, that has not happened, and is decided anew.
    reports(&mut fleet, next, ProcessState::Applied);
    assert_eq!(decides(&publisher, &fleet, map(MarkerEntry::Published(marked))), next.into());
    assert!(publisher.doubt(NOW));
    let put_back = decides(&publisher, &fleet, MarkerMap::Missing);
    assert_eq!((put_back.publish.fingerprint, put_back.held), (publish().fingerprint, taken_back.held));
}

#[test]
fn a_person_publishes_what_a_process_of_the_stage_refuses() {
    let (publisher, mut fleet, marked) = rolling();
    let next = marked.next.unwrap();
    reports(&mut fleet, next, ProcessState::Rejected);
    let steps = [Step::Pods(1), Step::Pause(None)];
    let facts = PublishInput { accepted: Some(next.fingerprint), steps: &steps, ..PublishInput::default() };
    let decides = |anyway| {
        let facts = PublishInput { anyway, ..facts };
        publisher.decide(&fleet, map(MarkerEntry::Published(marked)), facts, NOW, Timestamp::UNIX_EPOCH)
    };
    let MarkerPlan::Write { marked: back, .. } = decides(false) else { panic!("the gate should hold") };
    assert_eq!(back.held, Some((next, Gate::Refused)));
    // The step is over, although the process that refuses it does not run it.
    let MarkerPlan::Write { marked: entered, .. } = decides(true) else { panic!("the step should be over") };
    assert_eq!((entered.next, entered.stage.map(|stage| stage.step)), (Some(next), Some(1)));
}

#[test]
fn newer_content_waits_for_the_end_of_a_rollout_where_it_is_to() {
    let (publisher, mut fleet, marked) = rolling();
    let next = marked.next.unwrap();
    reports(&mut fleet, next, ProcessState::Applied);
    let newer: Fingerprint = format!("sha256:{}", "c".repeat(64)).parse().unwrap();
    let steps = [Step::Pods(1), Step::Pause(None)];
    let decides = |publisher: &Publisher, fleet: &Fleet, shown: Marked, facts: PublishInput<'_>| {
        let facts = PublishInput { steps: &steps, polled_at: Some(NOW), candidate_known: true, ..facts };
        publisher.decide(fleet, map(MarkerEntry::Published(shown)), facts, NOW, Timestamp::UNIX_EPOCH)
    };
    let announced = |plan: &MarkerPlan| match plan {
        MarkerPlan::Write { marked, .. } => marked.next.map(|next| next.fingerprint),
        _ => None,
    };
    let pushed = PublishInput { accepted: Some(newer), ..PublishInput::default() };
    assert_eq!(announced(&decides(&publisher, &fleet, marked, pushed)), Some(newer));
    let queued = PublishInput { queues: true, ..pushed };
    let MarkerPlan::Write { marked: goes_on, .. } = decides(&publisher, &fleet, marked, queued) else {
        panic!("the next step should begin")
    };
    assert_eq!((goes_on.next, goes_on.stage.map(|stage| stage.step)), (Some(next), Some(1)));
    // Also if lint refuses the newer content, and not if the workspace is suspended.
    let refused = PublishInput { accepted: None, ..queued };
    assert_eq!(announced(&decides(&publisher, &fleet, marked, refused)), Some(next.fingerprint));
    let suspended = PublishInput { suspended: true, ..queued };
    assert_eq!(announced(&decides(&publisher, &fleet, marked, suspended)), None);
    // What somebody else announces is no rollout, and neither is a rehearsal, nor what was taken back.
    let announces = |fingerprint| Marked { next: Some(Publish { fingerprint, ..next }), ..marked };
    let foreign: Fingerprint = format!("sha256:{}", "d".repeat(64)).parse().unwrap();
    let rehearsed = Marked { stage: None, ..marked };
    let held = Marked { held: Some((next, Gate::Aborted)), ..publish().into() };
    for shown in [announces(foreign), announces(publish().fingerprint), rehearsed, held] {
        assert_eq!(announced(&decides(&publisher, &fleet, shown, queued)), Some(newer), "{shown:?}");
    }
}

#[test]
fn a_request_counts_for_the_announcement_that_it_names() {
    let (publisher, mut fleet, marked) = rolling();
    let next = marked.next.unwrap();
    reports(&mut fleet, next, ProcessState::Pending);
    let steps = [Step::Pause(None)];
    let decides = |of| {
        let request = Some(Request { action: Action::Promote, of });
        let facts =
            PublishInput { accepted: Some(next.fingerprint), steps: &steps, request, ..PublishInput::default() };
        publisher.decide(&fleet, map(MarkerEntry::Published(marked)), facts, NOW, Timestamp::UNIX_EPOCH)
    };
    assert_eq!(decides(publish().updated_at), MarkerPlan::Keep(marked));
    assert!(matches!(decides(next.updated_at), MarkerPlan::Write { marked, .. } if marked == next.into()));
}

#[test]
fn the_decision_about_a_rollout_is_that_of_its_steps() {
    let (publisher, fleet, marked) = rolling();
    let rehearsal = fleet.rehearsal(RehearsalRules::default(), NOW).unwrap();
    let rollout = |publisher: &Publisher, steps: &[Step], request| {
        let facts = PublishInput { accepted: Some(other().fingerprint), steps, request, ..Default::default() };
        publisher.rollout(&fleet, &rehearsal, &facts, NOW, Timestamp::UNIX_EPOCH)
    };
    assert_eq!(rollout(&publisher, &[Step::Pause(None)], None), Some(RolloutDecision::Stay { until: None }));
    assert_eq!(rollout(&publisher, &[], None), Some(RolloutDecision::Publish), "the steps were removed");
    let aborted = rollout(
        &publisher,
        &[Step::Pause(None)],
        Some(Request { action: Action::Abort, of: marked.next.unwrap().updated_at }),
    );
    assert!(matches!(aborted, Some(RolloutDecision::TakeBack(_))), "{aborted:?}");
    assert_eq!(rollout(&Publisher::default(), &[Step::Pause(None)], None), None);
}

#[test]
fn what_was_taken_back_is_tried_again_for_the_request_that_names_it_alone() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let next = staged().next.unwrap();
    let held = Marked { held: Some((next, Gate::Refused)), ..publish().into() };
    publisher.marker_confirmed(Some(held), &mut fleet, NOW);
    let asked = |request| PublishInput {
        accepted: Some(next.fingerprint),
        polled_at: Some(NOW),
        candidate_known: true,
        request,
        ..Default::default()
    };
    let about = |action, of| Some(Request { action, of });
    let (hold, other) = (about(Action::Hold, next.updated_at), about(Action::Retry, publish().updated_at));
    for request in [None, hold, other] {
        assert_eq!(plan_for(&publisher, &fleet, held, asked(request)), MarkerPlan::Keep(held), "{request:?}");
    }
    let again = plan_for(&publisher, &fleet, held, asked(about(Action::Retry, next.updated_at)));
    assert!(
        matches!(&again, MarkerPlan::Write { marked, .. } if marked.publish.fingerprint == next.fingerprint),
        "{again:?}"
    );
}

/// An operator knows a stage whose only process is in this state, and decides about it.
fn decides_about_a_stage(report: &dyn Fn(&mut Fleet, Publish), facts: PublishInput<'_>) -> MarkerPlan {
    let (publisher, mut fleet, marked) = rolling();
    let next = marked.next.unwrap();
    report(&mut fleet, next);
    let steps = [Step::Pods(1), Step::Pause(None)];
    let facts = PublishInput { accepted: Some(next.fingerprint), steps: &steps, ..facts };
    publisher.decide(&fleet, map(MarkerEntry::Published(marked)), facts, NOW, Timestamp::UNIX_EPOCH)
}

/// Returns the gate for which a plan takes content back, if it does.
fn gate(plan: &MarkerPlan) -> Option<Gate> {
    match plan {
        MarkerPlan::Write { marked, .. } => marked.held.map(|(_, gate)| gate),
        _ => None,
    }
}

#[test]
fn measurements_of_the_present_step_decide_about_it() {
    let applied = |fleet: &mut Fleet, next| reports(fleet, next, ProcessState::Applied);
    let marked = staged();
    let step = marked.next.zip(marked.stage).map(|(publish, stage)| MeasuredStep { publish, stage });
    let of_step = |step, measurements| AnalysisRun { failure_limit: 1, step, measurements, ..AnalysisRun::default() };
    let decides = |run| decides_about_a_stage(&applied, PublishInput { analyses: &[run], ..PublishInput::default() });
    let measured = |successful, failed, inconclusive| Measurements { successful, failed, inconclusive };
    assert_eq!(gate(&decides(of_step(step, measured(5, 2, 0)))), Some(Gate::Analysis));
    assert_eq!(gate(&decides(of_step(step, measured(5, 0, 2)))), Some(Gate::Analysis));
    // Measurements of another step decide nothing.
    let earlier = step.map(|step| MeasuredStep { stage: Stage { step: 9, ..step.stage }, ..step });
    assert_eq!(gate(&decides(of_step(earlier, measured(5, 2, 0)))), None);
    let MarkerPlan::Write { marked: entered, .. } = decides(of_step(step, measured(1, 1, 0))) else {
        panic!("the next step should begin")
    };
    assert_eq!((entered.held, entered.stage.map(|stage| stage.step)), (None, Some(1)));
}

#[test]
fn an_application_that_is_degraded_since_it_applied_the_content_takes_it_back() {
    let degraded = |since_applied_ms: u64| {
        move |fleet: &mut Fleet, next: Publish| {
            let pod = PodIdentity { name: "p".to_owned(), uid: "p".to_owned() };
            let report = Report {
                process: "1".to_owned(),
                prepares: true,
                state: ProcessState::Applied,
                fingerprint: Some(next.fingerprint.to_string()),
                updated_at: Some(next.updated_at),
                applied_ms_ago: Some(1_000),
                degraded: Some(Degradation { reason: "error_rate".to_owned(), ms_ago: since_applied_ms }),
                ..Report::default()
            };
            fleet.report(&report, Some(pod), NOW, 1.0).unwrap();
        }
    };
    let decides = |report: &dyn Fn(&mut Fleet, Publish)| decides_about_a_stage(report, PublishInput::default());
    assert_eq!(gate(&decides(&degraded(500))), Some(Gate::Degraded));
    // It was degraded before.
    assert_eq!(gate(&decides(&degraded(2_000))), None);
}

/// A process of the only selected pod runs what is published, and refuses what is announced.
fn refuses(fleet: &mut Fleet, announced: Publish) {
    let container = Container { name: "app".to_owned(), running: true, expected: true, ended: None };
    let selected = Pod {
        name: "p".to_owned(),
        selected: true,
        terminating: false,
        seen_running: Some(NOW),
        containers: vec![container],
        passing: Vec::new(),
        object_state: PodObjectState::Exists,
    };
    fleet.observe(Pods { by_uid: [("p".into(), selected.into())].into(), incomplete: false });
    let state = PreparationState::Refused;
    let (fingerprint, updated_at) = (announced.fingerprint.to_string(), announced.updated_at);
    let next = Some(Preparation { fingerprint, updated_at, state, reason: None });
    let report = Report { next, ..report("1", publish(), ProcessState::Applied) };
    fleet.report(&report, Some(pod()), NOW, 1.0).unwrap();
}

/// The API server takes this marker, which announces something.
fn announces(publisher: &mut Publisher, fleet: &mut Fleet, marked: Marked) {
    publisher.begin_patch(marked, &MapVersion::Missing, WriteReason::Announcement, None, fleet, NOW);
    assert!(publisher.accepted(fleet, NOW).is_none());
}

#[test]
fn a_stage_that_somebody_wrote_for_another_announcement_passes_no_rehearsal() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let announced = Publish { updated_at: "2026-11-20T18:40:03.000000Z".parse().unwrap(), ..other() };
    announces(&mut publisher, &mut fleet, Marked { next: Some(announced), ..publish().into() });
    refuses(&mut fleet, announced);
    // Somebody puts an earlier marker back, in which the same content was in a stage.
    let rehearsal = RehearsalRules { mode: RehearsalMode::BestEffort, ..RehearsalRules::default() };
    let accepted = Some(announced.fingerprint);
    let facts = PublishInput { accepted, polled_at: Some(NOW), rehearsal, ..Default::default() };
    let plan = publisher.decide(&fleet, map(MarkerEntry::Published(staged())), facts, NOW, Timestamp::UNIX_EPOCH);
    let publishes = |marked: &Marked| marked.publish.fingerprint == announced.fingerprint;
    assert!(!matches!(&plan, MarkerPlan::Write { marked, .. } if publishes(marked)), "{plan:?}");
}

#[test]
fn a_rollout_begins_once_its_rehearsal_has_passed_and_a_person_may_take_it_back_before() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let next = staged().next.unwrap();
    announces(&mut publisher, &mut fleet, Marked { next: Some(next), ..publish().into() });
    let rehearsal = RehearsalRules { mode: RehearsalMode::Require, ..RehearsalRules::default() };
    let input = PublishInput { rehearsal, steps: &[Step::Weight(50)], ..Default::default() };
    let view = |verdict| RehearsalView { verdict, ..fleet.rehearsal(rehearsal, NOW).unwrap() };
    let decides = |verdict, input: &PublishInput<'_>| {
        publisher.rollout(&fleet, &view(verdict), input, NOW, Timestamp::UNIX_EPOCH)
    };
    assert_eq!(decides(RehearsalVerdict::Waiting, &input), None);
    assert_eq!(decides(RehearsalVerdict::Refused, &input), None);
    assert!(
        matches!(decides(RehearsalVerdict::Passed, &input), Some(RolloutDecision::Enter(stage)) if stage.step == 0)
    );
    assert_eq!(decides(RehearsalVerdict::Passed, &PublishInput { steps: &[], ..input }), None);
    let request = Some(Request { action: Action::Abort, of: next.updated_at });
    let aborted = Some(RolloutDecision::TakeBack(rollout::GateFailure::Aborted));
    assert_eq!(decides(RehearsalVerdict::Waiting, &PublishInput { request, ..input }), aborted);
}

#[test]
fn a_person_holds_what_has_no_steps() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let next = staged().next.unwrap();
    let marked = Marked { next: Some(next), ..publish().into() };
    announces(&mut publisher, &mut fleet, marked);
    let of_process = Report { next: None, ..report("1", publish(), ProcessState::Applied) };
    let prepared = Preparation {
        fingerprint: next.fingerprint.to_string(),
        updated_at: next.updated_at,
        state: PreparationState::Prepared,
        reason: None,
    };
    fleet.report(&Report { next: Some(prepared), ..of_process }, Some(pod()), NOW, 1.0).unwrap();
    let decides = |map, mode, action| {
        let request = Some(Request { action, of: next.updated_at });
        let rehearsal = RehearsalRules { mode, ..RehearsalRules::default() };
        let accepted = Some(next.fingerprint);
        let facts = PublishInput { accepted, polled_at: Some(NOW), rehearsal, request, ..PublishInput::default() };
        publisher.decide(&fleet, map, facts, NOW, Timestamp::UNIX_EPOCH)
    };
    let shown = || map(MarkerEntry::Published(marked));
    for mode in [RehearsalMode::Off, RehearsalMode::BestEffort, RehearsalMode::Require] {
        assert_eq!(decides(shown(), mode, Action::Hold), MarkerPlan::Keep(marked), "{mode:?}");
        let promoted = decides(shown(), mode, Action::Promote);
        assert!(matches!(&promoted, MarkerPlan::Write { marked, .. } if *marked == next.into()), "{promoted:?}");
    }
    // Also if somebody removes the marker.
    assert!(publisher.doubt(NOW));
    let rehearsal = RehearsalRules::default();
    let request = Some(Request { action: Action::Hold, of: next.updated_at });
    let accepted = Some(next.fingerprint);
    let facts = PublishInput { accepted, polled_at: Some(NOW), rehearsal, request, ..PublishInput::default() };
    let back = publisher.decide(&fleet, MarkerMap::Missing, facts, NOW, Timestamp::UNIX_EPOCH);
    let MarkerPlan::Write { marked: back, .. } = back else { panic!("it should be put back") };
    assert_eq!((back.publish.fingerprint, back.next), (publish().fingerprint, Some(next)));
}

#[test]
fn what_the_status_remembers_as_taken_back_counts_where_the_marker_is_lost() {
    let (publisher, fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let taken_back = (staged().next.unwrap(), Gate::Aborted);
    let accepted = Some(taken_back.0.fingerprint);
    let decides = |map, remembered| {
        let facts = PublishInput { remembered, remembered_held: Some(taken_back), accepted, ..Default::default() };
        match publisher.decide(&fleet, map, facts, NOW, Timestamp::UNIX_EPOCH) {
            MarkerPlan::Write { marked, .. } => (marked.publish.fingerprint, marked.held),
            other => panic!("the plan should be a write, but is {other:?}"),
        }
    };
    for lost in [MarkerMap::Missing, map(MarkerEntry::Nothing), map(MarkerEntry::Unreadable)] {
        assert_eq!(decides(lost, Some(publish())), (publish().fingerprint, Some(taken_back)));
    }
    // A marker that is there is the truth, and without content to go back to there is nothing to hold against.
    let there = map(MarkerEntry::Published(publish().into()));
    assert_eq!(decides(there, Some(publish())), (taken_back.0.fingerprint, None));
    assert_eq!(decides(MarkerMap::Missing, None), (taken_back.0.fingerprint, None));
}

#[test]
fn a_refusal_before_the_stage_ends_the_rollout_where_announcements_are_rehearsed() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    announces(&mut publisher, &mut fleet, staged());
    refuses(&mut fleet, staged().next.unwrap());
    let ends = |mode| {
        let rehearsal = RehearsalRules { mode, ..RehearsalRules::default() };
        let view = fleet.rehearsal(RehearsalRules { mode: RehearsalMode::BestEffort, ..rehearsal }, NOW).unwrap();
        let input = PublishInput { rehearsal, steps: &[Step::Weight(50)], ..Default::default() };
        let decision = publisher.rollout(&fleet, &view, &input, NOW, Timestamp::UNIX_EPOCH);
        matches!(decision, Some(RolloutDecision::TakeBack(_)))
    };
    assert_eq!((ends(RehearsalMode::BestEffort), ends(RehearsalMode::Off)), (true, false));
}

#[test]
fn what_a_stage_runs_has_passed_its_rehearsal_although_somebody_has_not_prepared_it() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    announces(&mut publisher, &mut fleet, staged());
    let next = staged().next.unwrap();
    reports(&mut fleet, next, ProcessState::Applied);
    let unprepared = report("2", publish(), ProcessState::Applied);
    fleet.report(&unprepared, None, NOW, 1.0).unwrap();
    let rehearsal = RehearsalRules { mode: RehearsalMode::Require, ..RehearsalRules::default() };
    // The time of the rehearsal is over.
    let later = NOW + Duration::from_secs(1);
    let view = fleet.rehearsal(rehearsal, later).unwrap();
    assert_eq!(view.verdict, RehearsalVerdict::Incomplete);
    let accepted = Some(next.fingerprint);
    let facts =
        PublishInput { accepted, polled_at: Some(NOW), rehearsal, steps: &[Step::Weight(100)], ..Default::default() };
    let plan = publisher.decide(&fleet, map(MarkerEntry::Published(staged())), facts, later, Timestamp::UNIX_EPOCH);
    assert!(matches!(&plan, MarkerPlan::Write { marked, .. } if *marked == next.into()), "{plan:?}");
}
