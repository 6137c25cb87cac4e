//! Tests of the publisher: patches and their answers, and what contradicts the known publish.

mod rollouts;

use std::time::Duration;

use rototo_api::fleet::{Preparation, PreparationState, ProcessState, Report};
use rototo_api::marker::Stage;

use super::*;
use crate::fleet::{FleetStart, PodIdentity};
use crate::plan::MarkerEntry;
use crate::stage::WHOLE;
use crate::windows::HEARTBEAT;

pub(super) const NOW: Moment = Duration::from_secs(1000);

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

/// Returns the report of a process that prepares announcements and is in this state of a publish.
fn report(process: &str, publish: Publish, state: ProcessState) -> Report {
    Report {
        process: process.to_owned(),
        prepares: true,
        state,
        fingerprint: Some(publish.fingerprint.to_string()),
        updated_at: Some(publish.updated_at),
        ..Report::default()
    }
}

/// Returns the pod of the process.
fn pod() -> PodIdentity {
    PodIdentity { name: "p".to_owned(), uid: "p".to_owned() }
}

/// A process of the stage reports this state of the announced publish.
fn reports(fleet: &mut Fleet, next: Publish, state: ProcessState) {
    fleet.report(&report("1", next, state), Some(pod()), NOW, 1.0).unwrap();
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
