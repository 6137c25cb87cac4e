//! Tests of the publisher: patches whose answers are lost, stages, requests, and gates.

use std::time::Duration;

use rototo_api::fleet::{Degradation, Preparation, PreparationState, ProcessState, Report};
use rototo_api::marker::Stage;

use super::*;
use crate::analysis::Measurements;
use crate::fleet::{Container, FleetStart, Pod, PodIdentity, PodObjectState, Pods};
use crate::plan::MarkerEntry;
use crate::stage::WHOLE;
use crate::windows::HEARTBEAT;

const NOW: Moment = Duration::from_secs(1000);

fn publish() -> Publish {
    let fingerprint = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    Publish { fingerprint, updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap() }
}

fn other() -> Publish {
    Publish { fingerprint: format!("sha256:{}", "b".repeat(64)).parse().unwrap(), ..publish() }
}

/// A patch is sent one second after the change was detected.
fn patched() -> (Publisher, Fleet) {
    let fleet = Fleet::new(FleetStart::New, HEARTBEAT, NOW);
    let detected = NOW.saturating_sub(Duration::from_secs(1));
    let detection = Detection { detected, fetched: NOW, linted: NOW };
    let mut publisher = Publisher::default();
    let reason = WriteReason::ContentChanged;
    publisher.begin_patch(publish().into(), &MapVersion::Missing, reason, Some(detection), &fleet, NOW);
    (publisher, fleet)
}

fn map(marker: MarkerEntry) -> MarkerMap {
    MarkerMap::Ours { resource_version: "8".to_owned(), addressed: true, marker }
}

#[test]
fn a_patch_whose_answer_was_lost_is_a_publish_once_the_map_shows_it() {
    let (mut publisher, mut fleet) = patched();
    assert!(publisher.map_observed(&MarkerMap::Missing, &mut fleet, NOW).is_none());
    assert!(publisher.map_observed(&map(MarkerEntry::Nothing), &mut fleet, NOW).is_none());
    let accepted = publisher.map_observed(&map(MarkerEntry::Published(publish().into())), &mut fleet, NOW).unwrap();
    assert_eq!((accepted.publish, publisher.published()), (publish(), Some(publish())));
    // It is one publish, however often the map shows it.
    assert!(publisher.map_observed(&map(MarkerEntry::Published(publish().into())), &mut fleet, NOW).is_none());
}

#[test]
fn the_time_of_a_publish_counts_from_its_detection() {
    let (mut publisher, mut fleet) = patched();
    let accepted = publisher.accepted(&mut fleet, NOW + Duration::from_secs(2)).unwrap();
    let taken = accepted.times.published.saturating_sub(accepted.times.detected);
    assert_eq!(taken, Duration::from_secs(3));
}

#[test]
fn content_is_published_once_its_rehearsal_has_passed() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let next = Publish { updated_at: UpdatedAt::after(Some(publish().updated_at), Timestamp::UNIX_EPOCH), ..other() };
    let marked = Marked { next: Some(next), ..publish().into() };
    publisher.begin_patch(marked, &MapVersion::Missing, WriteReason::Announcement, None, &fleet, NOW);
    assert!(publisher.accepted(&mut fleet, NOW).is_none());
    let rehearsal = RehearsalRules { mode: RehearsalMode::Require, ..RehearsalRules::default() };
    let facts =
        PublishInput { accepted: Some(next.fingerprint), polled_at: Some(NOW), rehearsal, ..Default::default() };
    let mut report = Report { process: "p".to_owned(), state: ProcessState::Applied, ..Report::default() };
    report.fingerprint = Some(publish().fingerprint.to_string());
    report.updated_at = Some(publish().updated_at);
    fleet.report(&report, None, NOW, 1.0).unwrap();
    let map = || map(MarkerEntry::Published(marked));
    let waits = publisher.decide(&fleet, map(), facts, NOW, Timestamp::UNIX_EPOCH);
    assert_eq!(waits, MarkerPlan::Keep(marked));
    let (fingerprint, updated_at) = (next.fingerprint.to_string(), next.updated_at);
    report.next = Some(Preparation { fingerprint, updated_at, state: PreparationState::Prepared, reason: None });
    fleet.report(&report, None, NOW, 1.0).unwrap();
    let passes = publisher.decide(&fleet, map(), facts, NOW, Timestamp::UNIX_EPOCH);
    assert!(matches!(passes, MarkerPlan::Write { marked, .. } if marked == next.into()), "{passes:?}");
}

#[test]
fn a_patch_that_happened_after_the_next_one_was_sent_is_a_publish() {
    let (mut publisher, mut fleet) = patched();
    let detection = Some(Detection { detected: NOW, fetched: NOW, linted: NOW });
    let next = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..other() };
    let changed = WriteReason::ContentChanged;
    publisher.begin_patch(next.into(), &MapVersion::Missing, changed, detection, &fleet, NOW);
    // The API server took the first patch meanwhile, so the second one is for a version that is no more.
    publisher.refused();
    let shown = map(MarkerEntry::Published(publish().into()));
    let accepted = publisher.map_observed(&shown, &mut fleet, NOW).unwrap();
    assert_eq!((accepted.publish, accepted.reason), (publish(), changed));
    assert_eq!(accepted.times.detected, NOW.saturating_sub(Duration::from_secs(1)));
    let facts = PublishInput { accepted: Some(next.fingerprint), polled_at: Some(NOW), ..Default::default() };
    let follows = publisher.decide(&fleet, shown, facts, NOW, Timestamp::UNIX_EPOCH);
    assert!(matches!(follows, MarkerPlan::Write { reason, .. } if reason == changed), "{follows:?}");
}

#[test]
fn a_patch_that_happened_after_its_change_was_taken_back_is_a_publish() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let before = map(MarkerEntry::Published(publish().into()));
    let at = before.version().unwrap();
    let next = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..other() };
    assert!(publisher.map_observed(&before, &mut fleet, NOW).is_none());
    publisher.begin_patch(next.into(), &at, WriteReason::ContentChanged, None, &fleet, NOW);
    // The source has what is published again, and the map does not show the patch yet.
    publisher.marker_confirmed(Some(publish().into()), &mut fleet, NOW);
    let shown = MarkerMap::Ours {
        resource_version: "9".to_owned(),
        addressed: true,
        marker: MarkerEntry::Published(next.into()),
    };
    let accepted = publisher.map_observed(&shown, &mut fleet, NOW).unwrap();
    assert_eq!((accepted.publish, accepted.reason), (next, WriteReason::ContentChanged));
    let facts = PublishInput { accepted: Some(publish().fingerprint), polled_at: Some(NOW), ..Default::default() };
    let follows = publisher.decide(&fleet, shown, facts, NOW, Timestamp::UNIX_EPOCH);
    let back = |marked: Marked| marked.publish.fingerprint == publish().fingerprint;
    assert!(
        matches!(follows, MarkerPlan::Write { marked, reason: WriteReason::ContentChanged, .. } if back(marked)),
        "{follows:?}"
    );
}

#[test]
fn a_patch_for_an_earlier_version_of_the_map_is_forgotten_once_the_marker_is_correct() {
    let (mut publisher, mut fleet) = patched();
    let shown = map(MarkerEntry::Published(other().into()));
    assert!(publisher.map_observed(&shown, &mut fleet, NOW).is_none());
    publisher.marker_confirmed(Some(other().into()), &mut fleet, NOW);
    assert_eq!(publisher.attempted().count(), 0);
}

#[test]
fn processes_that_report_before_the_answer_are_counted_unless_a_stage_made_them_run_it() {
    let (mut publisher, mut fleet) = patched();
    reports(&mut fleet, publish(), ProcessState::Applied);
    assert_eq!(publisher.accepted(&mut fleet, NOW).unwrap().applied, 1);
    let next = staged().next.unwrap();
    publisher.begin_patch(staged(), &MapVersion::Missing, WriteReason::Announcement, None, &fleet, NOW);
    assert!(publisher.accepted(&mut fleet, NOW).is_none());
    reports(&mut fleet, next, ProcessState::Applied);
    publisher.begin_patch(next.into(), &MapVersion::Missing, WriteReason::ContentChanged, None, &fleet, NOW);
    assert_eq!(publisher.accepted(&mut fleet, NOW).unwrap().applied, 0);
}

/// The marker of a rollout that has begun in every pod.
fn staged() -> Marked {
    let next = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..other() };
    let stage = Stage { step: 0, since: Timestamp::UNIX_EPOCH, below: WHOLE };
    Marked { next: Some(next), stage: Some(stage), ..publish().into() }
}

/// A process of the stage reports this state of the announced publish.
fn reports(fleet: &mut Fleet, next: Publish, state: ProcessState) {
    let pod = PodIdentity { name: "p".to_owned(), uid: "p".to_owned() };
    let report = Report {
        process: "1".to_owned(),
        prepares: true,
        state,
        fingerprint: Some(next.fingerprint.to_string()),
        updated_at: Some(next.updated_at),
        ..Report::default()
    };
    fleet.report(&report, Some(pod), NOW, 1.0).unwrap();
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
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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
    let forged = Marked { next: Some(Publish { fingerprint: publish().fingerprint, ..next }), ..marked };
    let rehearsed = Marked { stage: None, ..marked };
    let held = Marked { held: Some((next, Gate::Aborted)), ..publish().into() };
    for shown in [forged, rehearsed, held] {
        assert_eq!(announced(&decides(&publisher, &fleet, shown, queued)), Some(newer), "{shown:?}");
    }
}

#[test]
fn a_request_counts_for_the_announcement_that_it_names() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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

/// The plan for a marker that stays as it is, or is written.
fn plan_for(publisher: &Publisher, fleet: &Fleet, marker: Marked, facts: PublishInput<'_>) -> MarkerPlan {
    publisher.decide(fleet, map(MarkerEntry::Published(marker)), facts, NOW, Timestamp::UNIX_EPOCH)
}

#[test]
fn what_the_marker_says_is_known_once_it_is_confirmed() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    assert_eq!(publisher.marked(), None);
    publisher.marker_confirmed(Some(staged()), &mut fleet, NOW);
    assert_eq!((publisher.marked(), publisher.published()), (Some(staged()), Some(publish())));
    assert!(fleet.is_staged());
    publisher.marker_confirmed(None, &mut fleet, NOW);
    assert_eq!((publisher.marked(), publisher.published(), fleet.is_staged()), (None, None, false));
}

#[test]
fn the_decision_about_a_rollout_is_that_of_its_steps() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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

#[test]
fn an_announcement_stays_until_the_source_has_answered_or_is_not_asked() {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let next = staged().next;
    let announced = Marked { next, ..publish().into() };
    publisher.marker_confirmed(Some(announced), &mut fleet, NOW);
    let facts = |candidate_known, suspended| PublishInput { candidate_known, suspended, ..Default::default() };
    assert_eq!(plan_for(&publisher, &fleet, announced, facts(false, false)), MarkerPlan::Keep(announced));
    for (candidate_known, suspended) in [(true, false), (false, true)] {
        let withdrawn = plan_for(&publisher, &fleet, announced, facts(candidate_known, suspended));
        assert!(matches!(&withdrawn, MarkerPlan::Write { marked, .. } if *marked == publish().into()), "{withdrawn:?}");
    }
}

#[test]
fn a_contradiction_is_settled_by_a_poll_that_began_after_it_or_at_once_while_suspended() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let later = NOW + Duration::from_secs(5);
    let edited: Marked = Publish { updated_at: "2026-11-20T18:40:09.000000Z".parse().unwrap(), ..other() }.into();
    let facts = |polled_at, suspended| PublishInput {
        accepted: Some(publish().fingerprint),
        candidate_known: true,
        polled_at,
        suspended,
        ..Default::default()
    };
    let plan = |publisher: &Publisher, facts| plan_for(publisher, &fleet, edited, facts);
    let puts_back = |plan: &MarkerPlan| matches!(plan, MarkerPlan::Write { reason: WriteReason::PutBack, .. });
    assert_eq!(plan(&publisher, facts(Some(later), false)), MarkerPlan::VerifyAgain, "nobody has doubted it");
    assert_eq!(plan(&publisher, facts(Some(later), true)), MarkerPlan::VerifyAgain, "nobody has doubted it");
    assert!(publisher.doubt(later));
    assert!(!publisher.doubt(later + Duration::from_secs(1)), "it is known already");
    let early = later - Duration::from_millis(1);
    assert_eq!(plan(&publisher, facts(Some(early), false)), MarkerPlan::VerifyAgain);
    assert_eq!(plan(&publisher, facts(None, false)), MarkerPlan::VerifyAgain);
    assert!(puts_back(&plan(&publisher, facts(Some(later), false))));
    assert!(puts_back(&plan(&publisher, facts(None, true))));
}

#[test]
fn a_refused_patch_never_was() {
    let (mut publisher, mut fleet) = patched();
    publisher.refused();
    assert_eq!(publisher.published(), None);
    // Another operator process has published the same.
    assert!(publisher.map_observed(&map(MarkerEntry::Published(publish().into())), &mut fleet, NOW).is_none());
}

/// An operator knows a stage whose only process is in this state, and decides about it.
fn decides_about_a_stage(report: &dyn Fn(&mut Fleet, Publish), facts: PublishInput<'_>) -> MarkerPlan {
    let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
    let marked = staged();
    let next = marked.next.unwrap();
    publisher.marker_confirmed(Some(marked), &mut fleet, NOW);
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
    let step = marked.next.zip(marked.stage);
    let of_step = |step, measurements| AnalysisRun { failure_limit: 1, step, measurements, ..AnalysisRun::default() };
    let decides = |run| decides_about_a_stage(&applied, PublishInput { analyses: &[run], ..PublishInput::default() });
    let measured = |successful, failed, inconclusive| Measurements { successful, failed, inconclusive };
    assert_eq!(gate(&decides(of_step(step, measured(5, 2, 0)))), Some(Gate::Analysis));
    assert_eq!(gate(&decides(of_step(step, measured(5, 0, 2)))), Some(Gate::Analysis));
    // Measurements of another step decide nothing.
    let earlier = step.map(|(next, stage)| (next, Stage { step: 9, ..stage }));
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
        object_state: PodObjectState::Exists,
    };
    fleet.observe(Pods { by_uid: [("p".to_owned(), selected)].into() });
    let report = Report {
        process: "1".to_owned(),
        prepares: true,
        state: ProcessState::Applied,
        fingerprint: Some(publish().fingerprint.to_string()),
        updated_at: Some(publish().updated_at),
        next: Some(Preparation {
            fingerprint: announced.fingerprint.to_string(),
            updated_at: announced.updated_at,
            state: PreparationState::Refused,
            reason: None,
        }),
        ..Report::default()
    };
    let pod = PodIdentity { name: "p".to_owned(), uid: "p".to_owned() };
    fleet.report(&report, Some(pod), NOW, 1.0).unwrap();
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
    let unprepared = Report {
        process: "2".to_owned(),
        prepares: true,
        state: ProcessState::Applied,
        fingerprint: Some(publish().fingerprint.to_string()),
        updated_at: Some(publish().updated_at),
        ..Report::default()
    };
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

#[test]
fn a_marker_that_is_put_back_has_no_detected_change() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let before = NOW.saturating_sub(Duration::from_secs(60));
    let detection = Some(Detection { detected: before, fetched: before, linted: before });
    let back = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..publish() };
    publisher.begin_patch(back.into(), &MapVersion::Missing, WriteReason::PutBack, detection, &fleet, NOW);
    assert_eq!(publisher.accepted(&mut fleet, NOW).unwrap().times.detected, NOW);
}

#[test]
fn so_many_patches_without_an_answer_are_remembered() {
    let (mut publisher, fleet) = patched();
    let named = |second: usize| Publish {
        updated_at: format!("2026-11-20T18:41:{second:02}.000000Z").parse().unwrap(),
        ..other()
    };
    for second in 0..2 * ATTEMPTS {
        let reason = WriteReason::ContentChanged;
        publisher.begin_patch(named(second).into(), &MapVersion::Missing, reason, None, &fleet, NOW);
    }
    let attempted: Vec<Publish> = publisher.attempted().map(|marked| marked.publish).collect();
    assert_eq!(attempted, (ATTEMPTS..2 * ATTEMPTS).map(named).collect::<Vec<_>>());
}

#[test]
fn a_name_that_was_put_back_is_not_noted_again() {
    let (mut publisher, mut fleet) = patched();
    publisher.accepted(&mut fleet, NOW).unwrap();
    let made_up = Publish { updated_at: "2027-11-20T18:40:00.000000Z".parse().unwrap(), ..other() };
    reports(&mut fleet, made_up, ProcessState::Applied);
    assert_eq!(fleet.unknown_publish(), Some(made_up.updated_at));
    let back = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..publish() };
    publisher.begin_patch(back.into(), &MapVersion::Missing, WriteReason::PutBack, None, &fleet, NOW);
    publisher.accepted(&mut fleet, NOW).unwrap();
    reports(&mut fleet, made_up, ProcessState::Applied);
    assert_eq!(fleet.unknown_publish(), None);
}
