//! The operator's memory of what it has published of one workspace, between a decision and the answer to it.
//!
//! A publish exists once the API server has accepted it: from the answer to the patch on, or from the
//! moment in which the map is seen to have it. A patch whose answer never came is remembered until the map shows what has
//! become of it.

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;

use crate::Publish;
use crate::fleet::{Fleet, KnownMembers, Moment, PublishTimes};
use crate::plan::{MapVersion, MarkerEntry, MarkerMap, MarkerPlan, PlanInput, WriteReason, plan};

/// The known publish, and the write that is under way.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    published: Option<Publish>,
    attempt: Option<PatchAttempt>,
    /// Since when the marker, or a process, says something else than what is known to be published.
    doubted_since: Option<Moment>,
}

/// A patch of the marker whose answer has not come, or never came.
#[derive(Clone, Debug)]
struct PatchAttempt {
    publish: Publish,
    at: MapVersion,
    reason: WriteReason,
    detection: Option<Detection>,
    known: KnownMembers,
}

/// When a change was found, read, and linted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// This operator process first got an answer that names the commit.
    pub detected: Moment,
    /// Its files had been read.
    pub fetched: Moment,
    /// Lint was through.
    pub linted: Moment,
}

/// A publish that the API server has accepted.
#[derive(Clone, Debug)]
pub struct AcceptedPublish {
    /// The known publish.
    pub publish: Publish,
    /// Why.
    pub reason: WriteReason,
    /// When its steps were done.
    pub times: PublishTimes,
}

/// The state of source and disk at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishInput {
    /// The fingerprint of the newest content that lint accepted, if it is to be published.
    pub accepted: Option<Fingerprint>,
    /// The last publish by status, if its content can still be served.
    pub remembered: Option<Publish>,
    /// The name of the last publish, as status has it.
    pub last_published_name: Option<UpdatedAt>,
    /// The beginning of the last look at the source that has ended.
    pub polled_at: Option<Moment>,
    /// The source is not asked: what is known to be published is what shall be.
    pub suspended: bool,
}

impl Publisher {
    /// The known publish.
    #[must_use]
    pub fn published(&self) -> Option<Publish> {
        self.published
    }

    /// The content that a patch without an answer publishes.
    #[must_use]
    pub fn attempted(&self) -> Option<Publish> {
        self.attempt.as_ref().map(|attempt| attempt.publish)
    }

    /// Decides what to do about the marker.
    #[must_use]
    pub fn decide(&self, fleet: &Fleet, map: MarkerMap, facts: PublishInput, now: Timestamp) -> MarkerPlan {
        let asked = self.doubted_since.is_some_and(|since| facts.polled_at.is_some_and(|asked| asked >= since));
        plan(PlanInput {
            accepted: facts.accepted.filter(|_| !facts.suspended),
            map,
            known: self.published,
            attempted: self.attempt.as_ref().map(|attempt| (attempt.publish, attempt.at.clone())),
            remembered: facts.remembered,
            last_published_name: facts.last_published_name,
            reported: fleet.unknown_publish(),
            verified_again: self.doubted_since.is_some() && (facts.suspended || asked),
            now,
        })
    }

    /// The marker, or a process, says something else than what is known. Says whether that is new, so that source and map
    /// have to be asked.
    pub fn doubt(&mut self, now: Moment) -> bool {
        let new = self.doubted_since.is_none();
        self.doubted_since.get_or_insert(now);
        new
    }

    /// A patch is about to be sent, for the map in the state `at`.
    pub fn begin_patch(
        &mut self,
        publish: Publish,
        at: &MapVersion,
        reason: WriteReason,
        detection: Option<Detection>,
        fleet: &Fleet,
        now: Moment,
    ) {
        let detection = detection.filter(|_| reason == WriteReason::ContentChanged);
        let before = self.attempt.take().filter(|attempt| attempt.publish == publish);
        let known = before.map_or_else(|| fleet.known(now), |before| before.known);
        self.attempt = Some(PatchAttempt { publish, at: at.clone(), reason, detection, known });
    }

    /// The API server has refused the patch: it certainly did not happen.
    pub fn refused(&mut self) {
        self.attempt = None;
    }

    /// The API server has accepted the patch.
    pub fn accepted(&mut self, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        let PatchAttempt { publish, reason, detection, known, .. } = self.attempt.take()?;
        // A change that is put back was detected by nobody: its clock runs from here.
        let detection = detection.unwrap_or(Detection { detected: now, fetched: now, linted: now });
        let Detection { detected, fetched, linted } = detection;
        let times = PublishTimes { detected, fetched, linted, published: now };
        fleet.published(publish, times, known, now);
        if reason == WriteReason::PutBack {
            fleet.dealt_with_unknown_publish(now);
        }
        self.marker_confirmed(Some(publish), fleet, now);
        Some(AcceptedPublish { publish, reason, times })
    }

    /// The map was looked at. A patch without an answer that it shows has happened.
    pub fn map_observed(&mut self, map: &MarkerMap, fleet: &mut Fleet, now: Moment) -> Option<AcceptedPublish> {
        let MarkerMap::Ours { marker: MarkerEntry::Published(publish), .. } = map else { return None };
        (self.attempted() == Some(*publish)).then(|| self.accepted(fleet, now))?
    }

    /// The marker is as it should be, and says this.
    pub fn marker_confirmed(&mut self, published: Option<Publish>, fleet: &mut Fleet, now: Moment) {
        match published {
            Some(publish) => fleet.adopt(publish, now),
            None => fleet.unpublished(),
        }
        self.published = published;
        self.attempt = None;
        self.doubted_since = None;
    }
}
