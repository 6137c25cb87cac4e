//! Remembers what this operator process has published of one workspace, and the patch of the marker that has no answer
//! yet.
//!
//! [`Publisher::decide`] is the entry point. The caller carries out the [`MarkerPlan`] that it returns, and records the
//! result with [`Publisher::begin_patch`], [`Publisher::accepted`], [`Publisher::refused`], or
//! [`Publisher::marker_confirmed`]. It passes each reading of the map to [`Publisher::map_observed`].
//!
//! Invariant: a publish exists once the API server has accepted it, and not before. The answer to the patch shows the
//! acceptance, or else the map does. A patch whose answer was lost is remembered until the map shows its outcome, also
//! while a later patch is under way.

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::marker::Gate;
use rototo_engine::Fingerprint;

use crate::analysis::{self, AnalysisRun};
use crate::fleet::{
    Fleet, KnownMembers, Moment, PublishTimes, RehearsalMode, RehearsalRules, RehearsalVerdict, RehearsalView,
};
use crate::plan::{MapVersion, MarkerMap, MarkerPlan, PlanInput, Rehearsed, WriteReason, plan};
use crate::rollout::{self, Request, RolloutDecision, Step};
use crate::{Marked, Publish};

/// The largest number of patches without an answer that are remembered.
const ATTEMPTS: usize = 16;

/// The known publish of a workspace, and the patches that have no answer.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    marked: Option<Marked>,
    /// The patches without an answer, the newest last. All are for one version of the map, so at most one happens.
    attempts: Vec<PatchAttempt>,
    /// The version of the map that was read last: a patch for it may still happen.
    version: Option<MapVersion>,
    /// The time since which the marker, or a report, contradicts the known publish.
    doubted_since: Option<Moment>,
}

/// A patch of the marker that has no answer yet, or whose answer was lost.
#[derive(Clone, Debug)]
struct PatchAttempt {
    marked: Marked,
    at: MapVersion,
    reason: WriteReason,
    detection: Option<Detection>,
    known: KnownMembers,
}

/// The times at which a change was detected, fetched, and linted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The time at which this operator process first got an answer that names the commit.
    pub detected: Moment,
    /// The time at which its files had been read.
    pub fetched: Moment,
    /// The time at which lint ended.
    pub linted: Moment,
}

/// A publish that the API server has accepted.
#[derive(Clone, Debug)]
pub struct AcceptedPublish {
    /// The publish.
    pub publish: Publish,
    /// The reason for the write.
    pub reason: WriteReason,
    /// The times of its steps.
    pub times: PublishTimes,
}

/// The state of source, status, and disk at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishInput<'a> {
    /// The fingerprint of the newest content that lint accepted, if that content is to be published.
    pub accepted: Option<Fingerprint>,
    /// The last publish according to the status, if its content can still be served.
    pub remembered: Option<Publish>,
    /// The name of the last publish according to the status.
    pub last_published_name: Option<UpdatedAt>,
    /// The start of the last poll of the source that has ended.
    pub polled_at: Option<Moment>,
    /// True if this process has read the source, whatever lint says about its content.
    pub candidate_known: bool,
    /// True if the source is not polled. Then the known publish stays.
    pub suspended: bool,
    /// The rules by which new content is rehearsed.
    pub rehearsal: RehearsalRules,
    /// The steps by which new content reaches the fleet; none if it reaches everybody at once.
    pub steps: &'a [Step],
    /// The analyses that each step has to pass, and their measurements.
    pub analyses: &'a [AnalysisRun],
    /// The request of a person about the newest content.
    pub request: Option<Request>,
}

impl Publisher {
    /// Returns the known publish.
    #[must_use]
    pub fn published(&self) -> Option<Publish> {
        self.marked.map(|marked| marked.publish)
    }

    /// Returns what the marker says, as far as this process knows.
    #[must_use]
    pub fn marked(&self) -> Option<Marked> {
        self.marked
    }

    /// Returns the decision about the rollout of the publish that is announced, of whose rehearsal this is the view.
    #[must_use]
    pub fn rollout(
        &self,
        fleet: &Fleet,
        rehearsal: &RehearsalView,
        facts: &PublishInput<'_>,
        now: Moment,
        wall: Timestamp,
    ) -> Option<RolloutDecision> {
        rollout_of(fleet, &self.marked?, rehearsal, facts, now, wall)
    }

    /// Returns the content of the patches that have no answer, the newest last.
    pub fn attempted(&self) -> impl DoubleEndedIterator<Item = Marked> {
        self.attempts.iter().map(|attempt| attempt.marked)
    }

    /// Decides what the operator does about the marker `map`, at the time `now` of its monotonic clock, and `wall` of
    /// its wall clock.
    #[must_use]
    pub fn decide(
        &self,
        fleet: &Fleet,
        map: MarkerMap,
        facts: PublishInput<'_>,
        now: Moment,
        wall: Timestamp,
    ) -> MarkerPlan {
        let rehearsal = fleet.rehearsal(facts.rehearsal, now);
        let marked = map.marked();
        let staged = marked.is_some_and(|marked| marked.stage.is_some());
        let announced = rehearsal.as_ref().map(|view| {
            // What a stage runs has passed its rehearsal. From then on its gates count.
            let passed =
                view.verdict == RehearsalVerdict::Passed || staged && view.verdict != RehearsalVerdict::Waiting;
            (view.next, if passed { Rehearsed::Passed } else { Rehearsed::NotYet })
        });
        let rollout = marked.zip(rehearsal.as_ref());
        let rollout = rollout.and_then(|(marked, view)| rollout_of(fleet, &marked, view, &facts, now, wall));
        // Content that has steps is never published past them, whatever the map says.
        let rollout = rollout.or((!facts.steps.is_empty()).then_some(RolloutDecision::Stay { until: None }));
        let asked = self.doubted_since.is_some_and(|since| facts.polled_at.is_some_and(|asked| asked >= since));
        plan(PlanInput {
            accepted: facts.accepted.filter(|_| !facts.suspended),
            known: self.published(),
            attempted: self.attempts.last().map(|attempt| (attempt.marked, attempt.at.clone())),
            remembered: facts.remembered,
            last_published_name: facts.last_published_name,
            reported: fleet.unknown_publish(),
            rehearses: !facts.steps.is_empty() || fleet.rehearses(facts.rehearsal, now),
            announced,
            rollout,
            known_held: self.held(&map),
            map,
            retried: match facts.request {
                Some(Request::Retry(name)) => Some(name),
                _ => None,
            },
            source_known: facts.suspended || facts.candidate_known,
            verified_again: self.doubted_since.is_some() && (facts.suspended || asked),
            now: wall,
        })
    }

    /// Returns what was taken back: by a patch without an answer that may have happened, as the map has changed since, or
    /// else as the known marker says.
    fn held(&self, map: &MarkerMap) -> Option<(Publish, Gate)> {
        let attempted = self.attempts.last().filter(|attempt| map.version().as_ref() != Some(&attempt.at));
        attempted.and_then(|attempt| attempt.marked.held).or_else(|| self.marked?.held)
    }

    /// Records that the marker or a report contradicts the known publish. Returns whether that is new: then the caller
    /// polls the source and reads the map again.
    pub fn doubt(&mut self, now: Moment) -> bool {
        let new = self.doubted_since.is_none();
        self.doubted_since.get_or_insert(now);
        new
    }

    /// Records that a patch is about to be sent for the map of the version `at`. A patch that is repeated keeps the
    /// known members of its first attempt.
    pub fn begin_patch(
        &mut self,
        marked: Marked,
        at: &MapVersion,
        reason: WriteReason,
        detection: Option<Detection>,
        fleet: &Fleet,
        now: Moment,
    ) {
        // The time of a rollout is that of its steps, and not of the publish that ends it.
        let detection = detection.filter(|_| reason == WriteReason::ContentChanged && !fleet.is_staged());
        let before = self.attempts.iter().position(|attempt| attempt.marked == marked);
        let before = before.map(|before| self.attempts.remove(before));
        let known = before.map_or_else(|| fleet.known(now), |before| before.known);
        // A patch for an earlier version of the map can't happen any more.
        self.attempts.retain(|attempt| attempt.at == *at);
        self.attempts.drain(..self.attempts.len().saturating_sub(ATTEMPTS - 1));
        self.attempts.push(PatchAttempt { marked, at: at.clone(), reason, detection, known });
    }

    /// Records that the API server has refused the newest patch, which therefore had no effect.
    pub fn refused(&mut self) {
        self.attempts.pop();
    }

    /// Records that the API server has accepted the newest patch. Returns the publish, or `None` if the patch published
    /// nothing, or if none was under way.
    pub fn accepted(&mut self, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        let attempt = self.attempts.pop()?;
        self.happened(attempt, fleet, now)
    }

    fn happened(&mut self, attempt: PatchAttempt, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        // At most one of them happens.
        self.attempts.clear();
        let PatchAttempt { marked, reason, detection, known, .. } = attempt;
        let publish = marked.publish;
        if let Some(next) = marked.next.filter(|next| fleet.announced_publish() != Some(*next)) {
            fleet.announced(next, now);
        }
        if reason == WriteReason::Announcement {
            self.marker_confirmed(Some(marked), fleet, now);
            return None;
        }
        // A put-back has no detected change, so its time runs from now.
        let detection = detection.unwrap_or(Detection { detected: now, fetched: now, linted: now });
        let Detection { detected, fetched, linted } = detection;
        let times = PublishTimes { detected, fetched, linted, published: now };
        fleet.published(publish, times, known, now);
        if reason == WriteReason::PutBack {
            fleet.dealt_with_unknown_publish(now);
        }
        self.marker_confirmed(Some(marked), fleet, now);
        Some(AcceptedPublish { publish, reason, times })
    }

    /// Takes a reading of the map. A patch without an answer was accepted if the map shows its publish: then that
    /// publish is returned. What the first reading shows is known from then on, before anything is decided: also the gates
    /// of a stage that an earlier operator process began.
    pub fn map_observed(&mut self, map: &MarkerMap, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        self.version = map.version();
        let marked = map.marked()?;
        if self.marked.is_none() && self.attempts.is_empty() {
            self.marker_confirmed(Some(marked), fleet, now);
            return None;
        }
        let shown = self.attempts.iter().position(|attempt| attempt.marked == marked)?;
        let attempt = self.attempts.remove(shown);
        self.happened(attempt, fleet, now)
    }

    /// Records that the marker is correct and says `marked`, or nothing. That ends the contradiction, and the patches for
    /// earlier versions of the map.
    pub fn marker_confirmed(&mut self, marked: Option<Marked>, fleet: &mut Fleet, now: Moment) {
        match marked {
            Some(marked) => fleet.adopt(marked.publish, now),
            None => fleet.unpublished(),
        }
        fleet.announcement_observed(marked.and_then(|marked| marked.next), now);
        fleet.staged(marked.and_then(|marked| marked.stage), now);
        if let Some((held, _)) = marked.and_then(|marked| marked.held) {
            fleet.know_name(held.updated_at);
        }
        self.marked = marked;
        // What is right now may still be overwritten by a patch that is under way.
        self.attempts.retain(|attempt| Some(&attempt.at) == self.version.as_ref());
        self.doubted_since = None;
    }
}

/// Decides about the steps of the announced publish. `None` if it has none, or has not passed its rehearsal.
fn rollout_of(
    fleet: &Fleet,
    marked: &Marked,
    rehearsal: &RehearsalView,
    facts: &PublishInput<'_>,
    now: Moment,
    wall: Timestamp,
) -> Option<RolloutDecision> {
    let stage = marked.stage.filter(|_| marked.next == Some(rehearsal.next));
    let decides = stage.is_some() || rehearsal.verdict == RehearsalVerdict::Passed;
    let aborts = facts.request == Some(Request::Abort);
    // The steps may have been removed since the stage began, and then its gates still count.
    if !aborts && (!decides || facts.steps.is_empty() && stage.is_none()) {
        return None;
    }
    let mut observed = fleet.stage_facts(stage, now);
    if let Some(stage) = stage {
        observed.analysis = analysis::state(facts.analyses, (rehearsal.next, stage));
    }
    if stage.is_some() && facts.rehearsal.mode != RehearsalMode::Off {
        observed.refused.extend(rehearsal.refused.iter().cloned());
    }
    Some(rollout::decide(facts.steps, stage, &observed, facts.request, wall))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rototo_api::fleet::{Preparation, PreparationState, ProcessState, Report};
    use rototo_api::marker::Stage;

    use super::*;
    use crate::fleet::{FleetStart, PodIdentity};
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
        let next =
            Publish { updated_at: UpdatedAt::after(Some(publish().updated_at), Timestamp::UNIX_EPOCH), ..other() };
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
    fn a_patch_that_happens_after_the_source_has_gone_back_is_a_publish() {
        let (mut publisher, mut fleet) = (Publisher::default(), Fleet::new(FleetStart::New, HEARTBEAT, NOW));
        let running = map(MarkerEntry::Published(publish().into()));
        publisher.map_observed(&running, &mut fleet, NOW);
        let next = Publish { updated_at: "2026-11-20T18:40:02.000000Z".parse().unwrap(), ..other() };
        let at = MapVersion::Version("8".to_owned());
        publisher.begin_patch(next.into(), &at, WriteReason::ContentChanged, None, &fleet, NOW);
        // Its answer is lost, and the source has the former content again: the marker is right.
        publisher.map_observed(&running, &mut fleet, NOW);
        let facts = PublishInput { accepted: Some(publish().fingerprint), polled_at: Some(NOW), ..Default::default() };
        assert_eq!(plan_for(&publisher, &fleet, publish().into(), facts), MarkerPlan::Keep(publish().into()));
        publisher.marker_confirmed(Some(publish().into()), &mut fleet, NOW);
        // Then it happens after all.
        let marker = MarkerEntry::Published(next.into());
        let shown = MarkerMap::Ours { resource_version: "9".to_owned(), addressed: true, marker };
        assert_eq!(publisher.map_observed(&shown, &mut fleet, NOW).map(|accepted| accepted.publish), Some(next));
        let follows = publisher.decide(&fleet, shown, facts, NOW, Timestamp::UNIX_EPOCH);
        assert!(matches!(follows, MarkerPlan::Write { reason: WriteReason::ContentChanged, .. }), "{follows:?}");
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
        let aborted = rollout(&publisher, &[Step::Pause(None)], Some(Request::Abort));
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
        for request in [None, Some(Request::Hold), Some(Request::Retry(publish().updated_at))] {
            assert_eq!(plan_for(&publisher, &fleet, held, asked(request)), MarkerPlan::Keep(held), "{request:?}");
        }
        let again = plan_for(&publisher, &fleet, held, asked(Some(Request::Retry(next.updated_at))));
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
            assert!(
                matches!(&withdrawn, MarkerPlan::Write { marked, .. } if *marked == publish().into()),
                "{withdrawn:?}"
            );
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
}
