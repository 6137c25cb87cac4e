//! Decides what the operator must write so that the marker names the content that should run. The entry point is
//! [`plan`], a pure function from [`PlanInput`] to [`MarkerPlan`].
//!
//! - Only content moves a marker. If the marker already names the fingerprint of the accepted candidate, nothing is
//!   written, whatever commit the candidate came from.
//! - The marker is the record of what is published. A marker that an earlier operator process wrote is as good as one
//!   that this process wrote.
//! - Content that is rehearsed is announced first, beside what is published. It is published under the name under which
//!   it was announced. A change of the marker by somebody else publishes nothing that is rehearsed.
//! - A write whose answer was lost is repeated under the same name, so that one change has one name, whichever answers
//!   arrive.

use jiff::{SignedDuration, Timestamp};
use rototo_api::UpdatedAt;
use rototo_api::marker::{Gate, Marker, Stage};
use rototo_engine::Fingerprint;

use crate::rollout::RolloutDecision;
use crate::{Marked, Publish};

/// The longest time by which the name of a reported publish may lie in the future. A name beyond that counts as made
/// up.
const FUTURE: SignedDuration = SignedDuration::from_hours(1);

/// The ConfigMap with the markers, as one workspace sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is mostly the large one")]
pub enum MarkerMap {
    /// The ConfigMap does not exist.
    Missing,
    /// It belongs to another install, so this install never writes it.
    Foreign {
        /// The install that its annotation names, if there is one.
        owner: Option<String>,
    },
    /// It belongs to this install.
    Ours {
        /// The resourceVersion that the map must still have when a write arrives.
        resource_version: String,
        /// True if its labels and annotations are correct.
        addressed: bool,
        /// The marker of this workspace.
        marker: MarkerEntry,
    },
}

impl MarkerMap {
    /// Returns what the marker of this workspace says, if the map belongs to this install and the marker names a
    /// publish.
    #[must_use]
    pub fn marked(&self) -> Option<Marked> {
        match self {
            Self::Ours { marker: MarkerEntry::Published(marked), .. } => Some(*marked),
            Self::Ours { .. } | Self::Missing | Self::Foreign { .. } => None,
        }
    }

    /// Returns whether the map has no marker of this workspace that can be read, also none that says that it was removed.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Ours { marker, .. } => matches!(marker, MarkerEntry::Nothing | MarkerEntry::Unreadable),
            Self::Foreign { .. } => false,
        }
    }

    /// Returns the version that a write is for, if this install writes the map.
    pub(crate) fn version(&self) -> Option<MapVersion> {
        match self {
            Self::Missing => Some(MapVersion::Missing),
            Self::Ours { resource_version, .. } => Some(MapVersion::Version(resource_version.clone())),
            Self::Foreign { .. } => None,
        }
    }
}

/// The marker of one workspace in its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerEntry {
    /// The map has no key for this workspace.
    Nothing,
    /// The marker names a publish, and may announce another.
    Published(Marked),
    /// The marker says that the workspace was removed at this time.
    Removed(UpdatedAt),
    /// The value is no marker that this version reads.
    Unreadable,
}

impl MarkerEntry {
    /// Reads the value of the key; `None` means that the map has no such key.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        match text.map(Marker::parse) {
            None => Self::Nothing,
            Some(Ok(Marker::Removed { updated_at })) => Self::Removed(updated_at),
            Some(Ok(Marker::Published { fingerprint, updated_at, next, held })) => match fingerprint.parse() {
                Ok(fingerprint) => {
                    let publish = Publish { fingerprint, updated_at };
                    Self::Published(Marked::read(publish, next.as_ref(), held.as_ref()))
                }
                Err(_) => Self::Unreadable,
            },
            Some(Err(_)) => Self::Unreadable,
        }
    }
}

/// The observations that a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanInput {
    /// The fingerprint of the newest content that lint accepted, if that content is to be published.
    pub accepted: Option<Fingerprint>,
    /// The map as it was read last.
    pub map: MarkerMap,
    /// The publish that this process knows, from its own write or from its first reading of the map.
    pub known: Option<Publish>,
    /// A write of this process whose answer was lost, and the version of the map that the write was for.
    pub attempted: Option<(Marked, MapVersion)>,
    /// The last publish according to the status, if its content can still be served.
    pub remembered: Option<Publish>,
    /// The announced publish and its stage according to the status, if its content can still be served, and the marker is
    /// lost.
    pub remembered_rollout: Option<(Publish, Stage)>,
    /// The name of the last publish according to the status.
    pub last_published_name: Option<UpdatedAt>,
    /// The newest publish that a process reports and that this process does not know.
    pub reported: Option<UpdatedAt>,
    /// True if new content is announced before it is published.
    pub rehearses: bool,
    /// The announced publish that this process knows, and whether it has passed its rehearsal.
    pub announced: Option<(Publish, Rehearsed)>,
    /// The stage of that publish, as this process knows the marker.
    pub known_stage: Option<Stage>,
    /// The decision about the rollout of the announced publish, where it has steps and has passed its rehearsal.
    pub rollout: Option<RolloutDecision>,
    /// The publish that was taken back, as this process knows the marker, or by its write that may have happened.
    pub known_held: Option<(Publish, Gate)>,
    /// The name of the publish that was taken back and that a person wants to be tried again.
    pub retried: Option<UpdatedAt>,
    /// True if it is known what the source has under the present spec, or if the source is not asked. Before that, what the
    /// marker announces stays as it is, or is taken back.
    pub source_known: bool,
    /// True if source and map were read again since the map, or a process, contradicted the known publish.
    pub verified_again: bool,
    /// The time on the operator's clock.
    pub now: Timestamp,
}

/// The outcome of a rehearsal so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// The publish waits, or is held.
    NotYet,
    /// The publish may be published.
    Passed,
}

/// The decision about the marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerPlan {
    /// Nothing is published, and there is nothing to publish.
    Wait,
    /// The map belongs to another install, and is not written.
    Forbidden {
        /// The install that its annotation names, if there is one.
        owner: Option<String>,
    },
    /// The marker or a report contradicts the known publish. The source must be polled, and the map read, before the
    /// marker is put back.
    VerifyAgain,
    /// The marker is correct, and says this.
    Keep(Marked),
    /// The marker is correct, and the map's labels and annotations must be written.
    Readdress {
        /// The content of the marker.
        marked: Marked,
        /// The version of the map that the decision is based on.
        at: MapVersion,
    },
    /// The marker must be written, which notifies every process.
    Write {
        /// The content to write.
        marked: Marked,
        /// The version of the map that the decision is based on.
        at: MapVersion,
        /// The reason for the write.
        reason: WriteReason,
    },
}

/// The reason for which a marker is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteReason {
    /// The source has other content.
    ContentChanged,
    /// Somebody has changed or removed the marker.
    PutBack,
    /// New content is announced, or no longer announced. What is published stays.
    Announcement,
}

/// The version of the map that a write is for. When the map has another version, the write is refused and the decision
/// is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapVersion {
    /// The map does not exist.
    Missing,
    /// The map has this resourceVersion.
    Version(String),
}

/// Decides what the operator does about the marker.
#[must_use]
pub fn plan(observed: PlanInput) -> MarkerPlan {
    let (at, addressed, found) = match &observed.map {
        MarkerMap::Foreign { owner } => return MarkerPlan::Forbidden { owner: owner.clone() },
        MarkerMap::Missing => (MapVersion::Missing, true, MarkerEntry::Nothing),
        MarkerMap::Ours { resource_version, addressed, marker } => {
            (MapVersion::Version(resource_version.clone()), *addressed, *marker)
        }
    };
    let marked = observed.map.marked();
    let published = marked.map(|marked| marked.publish);
    let PlanInput { accepted, known, .. } = observed;
    let promoted = observed.promoted(published);
    let right = accepted.or(promoted.or(known).map(|right| right.fingerprint));
    let adopted = right.filter(|right| !observed.is_kept_back(*right, marked));
    let edited = promoted.is_none() && known.is_some_and(|known| !says(published, known, adopted));
    let tampered = edited || observed.unknown(published).is_some();
    if tampered && !observed.verified_again {
        return MarkerPlan::VerifyAgain;
    }
    // When lint refuses the candidate, the content that was published before is still right.
    let lost = observed.remembered;
    let lost = lost.filter(|_| known.is_none() && marked.is_none() && !matches!(found, MarkerEntry::Removed(_)));
    let right = right.or(lost.map(|lost| lost.fingerprint));
    let right = right.or(published.filter(|_| tampered).map(|published| published.fingerprint));
    let before = known.or(lost).map(|before| before.fingerprint);
    let namer = Namer { observed: &observed, found, at: &at, beside: None };
    match (right, marked) {
        (Some(fingerprint), Some(marked)) if !tampered && marked.publish.fingerprint != fingerprint => {
            change(fingerprint, marked, &observed, &namer)
        }
        (Some(right), marked) if tampered || marked.is_none() => {
            // What was published is put back: a change of the marker by somebody else publishes nothing that is rehearsed.
            let back = !observed.may_publish(right) || observed.is_kept_back(right, marked);
            let fingerprint = before.filter(|_| back).unwrap_or(right);
            let put_back = tampered || accepted != Some(fingerprint);
            let reason = if put_back { WriteReason::PutBack } else { WriteReason::ContentChanged };
            // What says that a workspace was removed ends the rollout of that workspace.
            let rollout = observed.kept_rollout().filter(|_| !matches!(found, MarkerEntry::Removed(_)));
            let rollout = rollout.filter(|(next, _)| next.fingerprint != fingerprint);
            let (next, stage) = (rollout.map(|(next, _)| next), rollout.and_then(|(_, stage)| stage));
            let name = |next| namer.of_put_back(fingerprint, next);
            let updated_at = next.map_or_else(|| namer.of_publish(fingerprint), name);
            let other = |content: Option<Publish>, held: Publish| {
                content.is_none_or(|content| content.fingerprint != held.fingerprint)
            };
            let publish = Publish { fingerprint, updated_at };
            let held = observed.held(marked).filter(|(held, _)| other(Some(publish), *held) && other(next, *held));
            MarkerPlan::Write { marked: Marked { publish, next, stage, held }, at, reason }
        }
        (_, Some(marked)) if observed.source_known && right_beside(marked, &observed) != marked => {
            let marked = right_beside(marked, &observed);
            MarkerPlan::Write { marked, at, reason: WriteReason::Announcement }
        }
        (_, Some(marked)) => {
            if let Some(marked) = observed.taken_back(marked) {
                return MarkerPlan::Write { marked, at, reason: WriteReason::Announcement };
            }
            // What was taken back is written into the marker again once the source has answered.
            let held = if observed.source_known { marked.held } else { observed.held(Some(marked)) };
            let marked = Marked { held, ..marked };
            if addressed { MarkerPlan::Keep(marked) } else { MarkerPlan::Readdress { marked, at } }
        }
        (_, None) => MarkerPlan::Wait,
    }
}

/// Returns the marker without an announcement, and with what was taken back: also where somebody has removed that.
fn right_beside(marked: Marked, observed: &PlanInput) -> Marked {
    let held = observed.held(Some(marked)).filter(|held| !observed.outdates(Some(*held)));
    let held = held.filter(|(held, _)| held.fingerprint != marked.publish.fingerprint);
    Marked { held, ..marked.publish.into() }
}

/// Decides how content that differs from what is published comes into the marker: at once, or after a rehearsal.
fn change(fingerprint: Fingerprint, marked: Marked, observed: &PlanInput, namer: &Namer<'_>) -> MarkerPlan {
    let at = namer.at.clone();
    let same = |next: &Publish| next.fingerprint == fingerprint;
    let announces = |marked| MarkerPlan::Write { marked, at: at.clone(), reason: WriteReason::Announcement };
    if let Some(held) = observed.held_back(fingerprint, Some(marked)) {
        let right = Marked { held: Some(held), ..marked.publish.into() };
        return if marked == right { MarkerPlan::Keep(marked) } else { announces(right) };
    }
    let announced = observed.announced.map(|(next, _)| next).filter(same);
    let found = marked.next.filter(same);
    if let Some(taken_back) = announced.and_then(|next| observed.take_back(next, marked.publish)) {
        return announces(taken_back);
    }
    // Where somebody else changed the announcement, it is put back first.
    if let (Some(RolloutDecision::Enter(stage)), Some(next)) = (&observed.rollout, announced)
        && observed.has_passed(fingerprint)
        && found == Some(next)
    {
        return announces(Marked { next: Some(next), stage: Some(*stage), ..marked.publish.into() });
    }
    if observed.may_publish(fingerprint) {
        let passed = announced.filter(|_| observed.has_passed(fingerprint));
        let name = passed.or(found).map(|next| next.updated_at);
        // Somebody else may have put a later name into the marker, or the marker back that was there before a later publish.
        let last = Some(marked.publish.updated_at).max(observed.last_published_name);
        let name = name.filter(|name| Some(*name) > last);
        let name = name.filter(|name| marked.next.is_none_or(|next| *name >= next.updated_at));
        let updated_at = name.unwrap_or_else(|| namer.of_publish(fingerprint));
        let marked = Publish { fingerprint, updated_at }.into();
        return MarkerPlan::Write { marked, at, reason: WriteReason::ContentChanged };
    }
    if found.is_some_and(|found| announced.is_none_or(|next| next == found)) {
        return MarkerPlan::Keep(marked);
    }
    // An announcement that somebody else changed keeps its name and its stage: requests of people name it.
    let own = announced.filter(|next| next.updated_at != marked.publish.updated_at);
    let next = own.unwrap_or_else(|| Publish { fingerprint, updated_at: namer.of_announcement(fingerprint) });
    announces(Marked {
        next: Some(next),
        stage: observed.known_stage.filter(|_| own.is_some()),
        ..marked.publish.into()
    })
}

/// Names publishes: each under a later name than all that the operator knows.
struct Namer<'a> {
    observed: &'a PlanInput,
    found: MarkerEntry,
    at: &'a MapVersion,
    /// The name of an announcement that stays: the next name comes as early before it as others allow.
    beside: Option<UpdatedAt>,
}

impl Namer<'_> {
    fn of_publish(&self, fingerprint: Fingerprint) -> UpdatedAt {
        self.name(fingerprint, |attempted| Some(attempted.publish))
    }

    fn of_announcement(&self, fingerprint: Fingerprint) -> UpdatedAt {
        self.name(fingerprint, |attempted| attempted.next)
    }

    /// Returns the name under which `fingerprint` is put back beside `next`, which keeps its name: an earlier one, unless
    /// somebody has written, or a process has reported, a name that is not earlier than that of `next`.
    fn of_put_back(&self, fingerprint: Fingerprint, next: Publish) -> UpdatedAt {
        let namer = Self { observed: self.observed, found: self.found, at: self.at, beside: Some(next.updated_at) };
        let earlier = namer.of_publish(fingerprint);
        if earlier < next.updated_at { earlier } else { self.of_publish(fingerprint) }
    }

    /// Returns the name of `fingerprint`. While the map has the same version, the write without an answer has not
    /// arrived, and may still arrive, so it is repeated under its own name. Once the map has another version, it never
    /// arrives any more, or was overwritten.
    fn name(&self, fingerprint: Fingerprint, part: impl Fn(Marked) -> Option<Publish>) -> UpdatedAt {
        let other = |name: &UpdatedAt| Some(*name) != self.beside;
        let names = |marked: Marked| {
            let others = marked.next.into_iter().chain(marked.held.map(|(held, _)| held));
            let others = others.map(|publish| publish.updated_at).filter(other);
            Some(marked.publish.updated_at).max(others.max())
        };
        let (seen, published) = match self.found {
            MarkerEntry::Published(marked) => (names(marked), Some(marked.publish)),
            MarkerEntry::Removed(updated_at) => (Some(updated_at), None),
            MarkerEntry::Nothing | MarkerEntry::Unreadable => (None, None),
        };
        let PlanInput { attempted, known, announced, last_published_name, now, .. } = self.observed;
        let reported = self.observed.unknown(published);
        let believable = reported.filter(|reported| reported.timestamp() < *now + FUTURE);
        let announced = announced.map(|(next, _)| next.updated_at).filter(other);
        let last = seen.max(known.map(|known| known.updated_at)).max(announced);
        let last = last.max(*last_published_name).max(believable);
        let attempted = attempted.as_ref().map(|(attempted, then)| (*attempted, then == self.at));
        let again = attempted.filter(|(_, unanswered)| *unanswered).and_then(|(attempted, _)| part(attempted));
        let again = again.filter(|again| again.fingerprint == fingerprint && Some(again.updated_at) > seen);
        let last = last.max(attempted.and_then(|(attempted, _)| names(attempted)));
        let earliest = last.filter(|_| self.beside.is_some()).map_or(*now, UpdatedAt::timestamp);
        again.map_or_else(|| UpdatedAt::after(last, earliest), |again| again.updated_at)
    }
}

impl PlanInput {
    /// Returns the publish of this content if it was taken back, and nobody asks to try it again.
    fn held_back(&self, fingerprint: Fingerprint, marked: Option<Marked>) -> Option<(Publish, Gate)> {
        let held = self.held(marked).filter(|(held, _)| held.fingerprint == fingerprint);
        held.filter(|(held, _)| self.retried != Some(held.updated_at))
    }

    /// Returns whether this content must not run everywhere, whoever wrote it into the marker: it was taken back, or its
    /// rollout is not over.
    fn is_kept_back(&self, fingerprint: Fingerprint, marked: Option<Marked>) -> bool {
        let published = self.known.is_some_and(|known| known.fingerprint == fingerprint);
        let rolls_out = self.rollout.is_some() && !self.may_publish(fingerprint);
        !published && (rolls_out || self.held_back(fingerprint, marked).is_some())
    }

    /// Returns what is published, if this process knows it as announced: an earlier leader has published it, and its write
    /// arrives late, or this process read the marker of before.
    fn promoted(&self, published: Option<Publish>) -> Option<Publish> {
        published.filter(|published| self.announced.is_some_and(|(next, _)| next == *published))
    }

    /// Returns the announcement and its stage that are to stay in a marker that is put back: as this process knows them, or
    /// the status if the marker is lost.
    fn kept_rollout(&self) -> Option<(Publish, Option<Stage>)> {
        let known = self.announced.filter(|_| self.known.is_some()).map(|(next, _)| (next, self.known_stage));
        let remembered = || self.remembered_rollout.map(|(next, stage)| (next, Some(stage)));
        let (next, stage) = known.or_else(remembered)?;
        let stays = if self.source_known { self.accepted == Some(next.fingerprint) } else { true };
        (stays && self.held_back(next.fingerprint, None).is_none()).then_some((next, stage))
    }

    /// Returns the marker that takes the announced publish back, if its rollout has come to that. This needs no answer of
    /// the source.
    fn taken_back(&self, marked: Marked) -> Option<Marked> {
        let next = self.announced.map(|(next, _)| next).filter(|next| marked.next == Some(*next));
        self.take_back(next?, marked.publish)
    }

    fn take_back(&self, next: Publish, publish: Publish) -> Option<Marked> {
        match &self.rollout {
            Some(RolloutDecision::TakeBack(failure)) if next.fingerprint != publish.fingerprint => {
                Some(Marked { held: Some((next, failure.gate())), ..publish.into() })
            }
            _ => None,
        }
    }

    /// Returns the publish that was taken back: as this process knows it, or else as the marker says.
    fn held(&self, marked: Option<Marked>) -> Option<(Publish, Gate)> {
        self.known_held.or_else(|| marked?.held)
    }

    /// Returns whether the source has other content than what was taken back.
    fn outdates(&self, held: Option<(Publish, Gate)>) -> bool {
        let content = held.map(|(held, _)| held.fingerprint);
        content.is_some() && self.accepted.is_some() && content != self.accepted
    }

    /// Returns whether content may be published now: it is not rehearsed, or has passed and has no more steps, and nobody
    /// holds it.
    fn may_publish(&self, fingerprint: Fingerprint) -> bool {
        let stays = !matches!(self.rollout, None | Some(RolloutDecision::Publish));
        let is_announced = self.announced.is_some_and(|(next, _)| next.fingerprint == fingerprint);
        if self.rehearses { self.has_passed(fingerprint) && !stays } else { !(is_announced && stays) }
    }

    fn has_passed(&self, fingerprint: Fingerprint) -> bool {
        self.announced
            .is_some_and(|(next, rehearsed)| next.fingerprint == fingerprint && rehearsed == Rehearsed::Passed)
    }

    /// Returns the name of a reported publish that is later than what the marker names and announces.
    fn unknown(&self, published: Option<Publish>) -> Option<UpdatedAt> {
        let announced = self.map.marked().and_then(|marked| marked.next).map(|next| next.updated_at);
        let reported = self.reported.filter(|reported| announced < Some(*reported));
        reported.filter(|reported| published.is_some_and(|published| *reported > published.updated_at))
    }
}

/// Returns whether the marker names the known publish, or the right content under a later name. The latter is the late
/// write of an operator that died before it had the answer.
fn says(published: Option<Publish>, known: Publish, right: Option<Fingerprint>) -> bool {
    published.is_some_and(|published| {
        published == known || right == Some(published.fingerprint) && published.updated_at > known.updated_at
    })
}

#[cfg(test)]
mod announcements;
#[cfg(test)]
mod tests;
