//! The memory of one workspace's marker: what it names, the write under way, and what keeps it from being right.
//!
//! [`MarkerRecord`] alone changes it. The publisher in it decides, and this adds when a failed write may be tried
//! again. Each method that takes the fleet changes both under the one lock of the workspace's record.

use std::time::{Duration, Instant};

use rototo_engine::Fingerprint;
use rototo_protocol::Marked;
use rototo_protocol::backoff::Backoff;
use rototo_protocol::fleet::{Fleet, Moment};
use rototo_protocol::plan::{MapVersion, MarkerMap, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, Detection, Publisher};

use crate::marker::problem::PublishProblem;

/// The time between two attempts to read lost content from git again.
const RECOVER_EVERY: Duration = Duration::from_secs(30);
/// The wait after which a write that failed may be sent again.
const WRITE_AGAIN: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(32) };
/// The wait after which a reconcile sends it.
const RECONCILE_AGAIN: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(64) };
/// Chooses the longest wait of a backoff: one process writes, so nothing has to be spread.
const LONGEST: f64 = 1.0;

/// The marker of one workspace, as this process has written and seen it.
#[derive(Debug, Default)]
pub(crate) struct MarkerRecord {
    publisher: Publisher,
    /// This process has read the map at least once.
    is_observed: bool,
    problem: Option<PublishProblem>,
    /// The number of failed writes in a row.
    failures: u32,
    /// The earliest time to send a write again that failed.
    next_attempt: Option<Instant>,
    /// The earliest time to read lost content from git again.
    next_recovery: Option<Instant>,
    /// The content that was about to be published when no other replica had a copy of it.
    alone: Option<Fingerprint>,
}

impl MarkerRecord {
    /// Takes a reading of the map. Returns the publish of an earlier write whose answer was lost, if the map shows that
    /// it happened.
    pub(crate) fn map_observed(&mut self, map: &MarkerMap, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        self.is_observed = true;
        self.publisher.map_observed(map, fleet, now)
    }

    /// Returns whether this process has read the map at least once. Until then, what an earlier one has published is known
    /// from the status alone.
    pub(crate) fn is_observed(&self) -> bool {
        self.is_observed
    }

    /// Returns whether anything can be said about the marker: this process has read the map, or knows why it could not.
    pub(crate) fn is_known(&self) -> bool {
        self.is_observed || self.problem.is_some()
    }

    /// Records that the marker is correct and says this, or nothing.
    pub(crate) fn confirmed(&mut self, marked: Option<Marked>, fleet: &mut Fleet, now: Moment) {
        self.publisher.marker_confirmed(marked, fleet, now);
        self.settled();
    }

    /// Records that the API server has accepted the write that was sent. Returns the publish, if it was one.
    pub(crate) fn accepted(&mut self, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        let accepted = self.publisher.accepted(fleet, now);
        self.settled();
        accepted
    }

    fn settled(&mut self) {
        self.problem = None;
        self.failures = 0;
        self.next_attempt = None;
    }

    /// Records that a write of the marker is about to be sent, for the map in the state `at`.
    pub(crate) fn begin_write(
        &mut self,
        marked: Marked,
        at: &MapVersion,
        reason: WriteReason,
        detection: Option<Detection>,
        fleet: &Fleet,
        now: Moment,
    ) {
        self.publisher.begin_patch(marked, at, reason, detection, fleet, now);
    }

    /// Records that a write failed with `problem`. One that the API server refused has certainly not happened.
    pub(crate) fn write_failed(&mut self, problem: PublishProblem, now: Instant) {
        if matches!(problem, PublishProblem::Refused(_)) {
            self.publisher.refused();
        }
        self.failures = self.failures.saturating_add(1);
        self.next_attempt = Some(now + WRITE_AGAIN.delay(self.failures, LONGEST));
        self.problem = Some(problem);
    }

    /// Records that no write is sent before `until`, because another one in the namespace failed with `problem`.
    pub(crate) fn waits(&mut self, problem: PublishProblem, until: Instant) {
        self.next_attempt = Some(until);
        self.problem = Some(problem);
    }

    /// Records that the map belongs to `owner`, and must not be written before somebody runs `claim`.
    pub(crate) fn foreign(&mut self, owner: Option<String>, claim: String) {
        self.problem = Some(PublishProblem::Foreign { owner, claim });
    }

    /// Records that the disk has lost the published content.
    pub(crate) fn content_lost(&mut self) {
        self.problem = Some(PublishProblem::Lost);
    }

    /// Returns whether to read lost content from git now. If so, the next attempt is put off.
    pub(crate) fn begin_recovery(&mut self, now: Instant) -> bool {
        if self.next_recovery.is_some_and(|next| now < next) {
            return false;
        }
        self.recovery_ended(now);
        true
    }

    /// Records that an attempt to read lost content from git has ended: the next one is put off.
    pub(crate) fn recovery_ended(&mut self, now: Instant) {
        self.next_recovery = Some(now + RECOVER_EVERY);
    }

    /// Notes whether another replica has a copy of this content.
    pub(crate) fn copied(&mut self, fingerprint: Fingerprint, copied: bool) {
        if !copied {
            self.alone = Some(fingerprint);
        } else if self.alone == Some(fingerprint) {
            self.alone = None;
        }
    }

    /// Returns whether what is published was published before another replica had a copy of it, and none is known to
    /// have one now.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone.is_some() && self.alone == self.publisher.published().map(|publish| publish.fingerprint)
    }

    /// Records that the marker, or a process, says something else than what is known. Returns whether that is new, so
    /// that source and map have to be read again.
    pub(crate) fn doubt(&mut self, now: Moment) -> bool {
        self.publisher.doubt(now)
    }

    /// Returns the publisher, for its decisions and for what it knows. Only this record changes it.
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Returns the reason why the marker is not what it should be.
    pub(crate) fn problem(&self) -> Option<&PublishProblem> {
        self.problem.as_ref()
    }

    /// Returns whether a write of this content may be sent now. The same content waits after a failure; other content
    /// does not.
    pub(crate) fn may_write(&self, marked: &Marked, now: Instant) -> bool {
        let content = |marked: &Marked| (marked.publish.fingerprint, marked.next.map(|next| next.fingerprint));
        let same =
            self.publisher.attempted().next_back().is_some_and(|attempted| content(&attempted) == content(marked));
        !(same && self.next_attempt.is_some_and(|next| now < next))
    }

    /// Returns the time of a reconcile that tries again what failed. It lies later than the time from which a write may
    /// be sent again, which is counted from the failure.
    pub(crate) fn retry_at(&self, now: Instant) -> Option<Instant> {
        let wait = RECONCILE_AGAIN.delay(self.failures.saturating_add(1), LONGEST);
        self.problem.as_ref().map(|_| self.next_attempt.unwrap_or(now).max(now + wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_an_answer_to_another_write_is_tried_again_as_soon_as_one_may_be_sent() {
        let (mut record, now) = (MarkerRecord::default(), Instant::now());
        assert!(!record.is_known());
        let until = now + Duration::from_secs(10);
        record.waits(PublishProblem::Unavailable("no answer".to_owned()), until);
        assert!(record.is_known());
        assert_eq!(record.retry_at(now), Some(until));
        assert_eq!(record.retry_at(until), Some(until + Duration::from_secs(1)), "the wait does not grow");
    }
}
