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
use rototo_api::marker::{Gate, Stage};
use rototo_engine::Fingerprint;

use crate::analysis::{self, AnalysisRun, MeasuredStep};
use crate::fleet::{
    Fleet, KnownMembers, Moment, PublishTimes, RehearsalMode, RehearsalRules, RehearsalVerdict, RehearsalView,
};
use crate::plan::{MapVersion, MarkerMap, MarkerPlan, PlanInput, Rehearsed, WriteReason, plan};
use crate::rollout::{self, Action, Request, RolloutDecision, Step};
use crate::{Marked, Publish};

/// The largest number of patches without an answer that are remembered.
const ATTEMPTS: usize = 16;

/// The known publish of a workspace, and the patches that have no answer.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    marked: Option<Marked>,
    /// The patches without an answer, the newest last. All are for one version of the map, so at most one happens.
    attempts: Vec<PatchAttempt>,
    /// The version of the map as it was read last.
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
    /// The number of processes whose report that they run it came before the answer of the API server.
    pub applied: usize,
}

/// The state of source, status, and disk at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishInput<'a> {
    /// The fingerprint of the newest content that lint accepted, if that content is to be published.
    pub accepted: Option<Fingerprint>,
    /// The last publish according to the status, if its content can still be served.
    pub remembered: Option<Publish>,
    /// The publish that was taken back, according to the status. It counts where the marker is lost, together with
    /// `remembered`.
    pub remembered_held: Option<(Publish, Gate)>,
    /// The announced publish and its stage, according to the status, if its content can still be served. It counts where
    /// the marker is lost, together with `remembered`.
    pub remembered_rollout: Option<(Publish, Stage)>,
    /// The name of the last publish according to the status.
    pub last_published_name: Option<UpdatedAt>,
    /// The start of the last poll of the source that has ended.
    pub polled_at: Option<Moment>,
    /// True if this process knows what the source has under the present spec, and has judged it, whatever came of that.
    /// Otherwise nothing goes on, and an announcement stays until it is taken back.
    pub candidate_known: bool,
    /// True if the source is not polled. Then the known publish stays.
    pub suspended: bool,
    /// The rules by which new content is rehearsed.
    pub rehearsal: RehearsalRules,
    /// The steps by which new content reaches the fleet; none if it reaches everybody at once.
    pub steps: &'a [Step],
    /// The analyses that each step has to pass, and their measurements.
    pub analyses: &'a [AnalysisRun],
    /// The request of a person about one announced publish.
    pub request: Option<Request>,
    /// True if a person has the content of the announcement published whatever processes report about it.
    pub anyway: bool,
    /// True if newer content waits for the end of a rollout, and that of the present one can still be served.
    pub queues: bool,
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
        input: &PublishInput<'_>,
        now: Moment,
        wall: Timestamp,
    ) -> Option<RolloutDecision> {
        rollout_of(fleet, &self.marked?, rehearsal, input, now, wall)
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
        input: PublishInput<'_>,
        now: Moment,
        wall: Timestamp,
    ) -> MarkerPlan {
        let rehearsal = fleet.rehearsal(input.rehearsal, now);
        let marked = map.marked();
        let announced = rehearsal.as_ref().map(|view| {
            // What a stage runs has passed its rehearsal. From then on its gates count.
            let staged = marked.is_some_and(|marked| marked.stage.is_some() && marked.next == Some(view.next));
            let passed =
                view.verdict == RehearsalVerdict::Passed || staged && view.verdict != RehearsalVerdict::Waiting;
            (view.next, if passed { Rehearsed::Passed } else { Rehearsed::NotYet })
        });
        let rollout = marked.zip(rehearsal.as_ref());
        let rollout = rollout.and_then(|(marked, view)| rollout_of(fleet, &marked, view, &input, now, wall));
        // Content that has steps is never published past them, whatever the map says.
        let asked = rehearsal.as_ref().zip(input.request);
        let asked = asked.and_then(|(view, request)| request.about(view.next.updated_at));
        // A person can hold what has no steps, too.
        let stays = !input.steps.is_empty() || asked == Some(Action::Hold);
        let rollout = rollout.or(stays.then_some(RolloutDecision::Stay { until: None }));
        let shown = marked.or(self.marked.filter(|_| map.is_lost()));
        let rolling = shown.filter(|marked| input.queues && self.rolls_out(marked)).and_then(|marked| marked.next);
        let accepted = rolling.map(|next| next.fingerprint).or(input.accepted);
        let asked = self.doubted_since.is_some_and(|since| input.polled_at.is_some_and(|asked| asked >= since));
        plan(PlanInput {
            accepted: accepted.filter(|_| !input.suspended),
            known: self.published(),
            attempted: self.attempts.last().map(|attempt| (attempt.marked, attempt.at.clone())),
            remembered: input.remembered,
            remembered_rollout: input.remembered_rollout.filter(|_| self.has_lost(&map, &input)),
            last_published_name: input.last_published_name,
            reported: fleet.unknown_publish(),
            rehearses: !input.steps.is_empty() || fleet.rehearses(input.rehearsal, now),
            announced,
            known_stage: self.marked.and_then(|marked| marked.stage),
            rollout,
            known_held: self.held(&map, &input),
            map,
            retried: match input.request {
                Some(Request { action: Action::Retry, of }) => Some(of),
                _ => None,
            },
            source_known: input.suspended || input.candidate_known,
            verified_again: self.doubted_since.is_some() && (input.suspended || asked),
            now: wall,
        })
    }

    /// Returns whether a part of the fleet runs what `marked` announces, and this process knows that announcement. Nobody
    /// queues content behind an announcement that somebody else wrote.
    fn rolls_out(&self, marked: &Marked) -> bool {
        let changes = marked.next.is_some_and(|next| next.fingerprint != marked.publish.fingerprint);
        changes && marked.stage.is_some() && self.marked.is_some_and(|known| known.next == marked.next)
    }

    /// Returns what was taken back: by a patch without an answer that may have happened, as the map has changed since, or
    /// else as the known marker says, or the status if there is no marker.
    fn held(&self, map: &MarkerMap, input: &PublishInput<'_>) -> Option<(Publish, Gate)> {
        let attempted = self.attempts.last().filter(|attempt| map.version().as_ref() != Some(&attempt.at));
        let known = attempted.and_then(|attempt| attempt.marked.held).or_else(|| self.marked?.held);
        known.or(input.remembered_held.filter(|_| self.has_lost(map, input)))
    }

    /// Returns whether the marker is lost that an earlier operator process wrote, and the status remembers it.
    fn has_lost(&self, map: &MarkerMap, input: &PublishInput<'_>) -> bool {
        self.marked.is_none() && map.is_lost() && input.remembered.is_some()
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
        let PatchAttempt { marked, reason, detection, known, .. } = attempt;
        let publish = marked.publish;
        // The map has another version now, so no other patch for the earlier one happens.
        self.attempts.clear();
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
        let applied = fleet.published(publish, times, known, now);
        if reason == WriteReason::PutBack {
            fleet.dealt_with_unknown_publish(now);
        }
        self.marker_confirmed(Some(marked), fleet, now);
        Some(AcceptedPublish { publish, reason, times, applied })
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
    /// earlier versions of the map. One for the present version may still happen.
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
        self.attempts.retain(|attempt| Some(&attempt.at) == self.version.as_ref());
        self.doubted_since = None;
    }
}

/// Decides about the steps of the announced publish. `None` if it has none, or has not passed its rehearsal.
fn rollout_of(
    fleet: &Fleet,
    marked: &Marked,
    rehearsal: &RehearsalView,
    input: &PublishInput<'_>,
    now: Moment,
    wall: Timestamp,
) -> Option<RolloutDecision> {
    let stage = marked.stage.filter(|_| marked.next == Some(rehearsal.next));
    let decides = stage.is_some() || rehearsal.verdict == RehearsalVerdict::Passed;
    let asked = input.request.and_then(|request| request.about(rehearsal.next.updated_at));
    let aborts = asked == Some(Action::Abort);
    // The steps may have been removed since the stage began, and then its gates still count.
    if !aborts && (!decides || input.steps.is_empty() && stage.is_none()) {
        return None;
    }
    let mut observed = fleet.stage_facts(stage, now);
    if let Some(stage) = stage {
        observed.analysis = analysis::state(input.analyses, MeasuredStep { publish: rehearsal.next, stage });
    }
    if input.anyway {
        observed.refused.clear();
        observed.converged = observed.others_converged;
    } else if stage.is_some() && input.rehearsal.mode != RehearsalMode::Off {
        observed.refused.extend(rehearsal.refused.iter().cloned());
    }
    Some(rollout::decide(input.steps, stage, &observed, asked, wall))
}

#[cfg(test)]
mod tests;
