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
use rototo_api::marker::{Gate, Marker};
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
    /// The name of the last publish according to the status.
    pub last_published_name: Option<UpdatedAt>,
    /// The newest publish that a process reports and that this process does not know.
    pub reported: Option<UpdatedAt>,
    /// True if new content is announced before it is published.
    pub rehearses: bool,
    /// The announced publish that this process knows, and whether it has passed its rehearsal.
    pub announced: Option<(Publish, Rehearsed)>,
    /// The decision about the rollout of the announced publish, where it has steps and has passed its rehearsal.
    pub rollout: Option<RolloutDecision>,
    /// The publish that was taken back, as this process knows the marker, or by its write that may have happened.
    pub known_held: Option<(Publish, Gate)>,
    /// The name of the publish that was taken back and that a person wants to be tried again.
    pub retried: Option<UpdatedAt>,
    /// True if the source has answered this process, or is not asked. Before that, what the marker announces stays.
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
    // An earlier leader has published what it had announced, and this one read the marker of before.
    let promoted = published.filter(|published| observed.announced.is_some_and(|(next, _)| next == *published));
    let right = accepted.or(promoted.or(known).map(|right| right.fingerprint));
    let adopted = right.filter(|right| !observed.is_kept_back(*right, marked));
    let tampered = known.is_some_and(|known| !says(published, known, adopted)) || observed.unknown(published).is_some();
    if tampered && !observed.verified_again {
        return MarkerPlan::VerifyAgain;
    }
    // When lint refuses the candidate, the content that was published before is still right.
    let lost = observed.remembered;
    let lost = lost.filter(|_| known.is_none() && marked.is_none() && !matches!(found, MarkerEntry::Removed(_)));
    let right = right.or(lost.map(|lost| lost.fingerprint));
    let right = right.or(published.filter(|_| tampered).map(|published| published.fingerprint));
    let before = known.or(lost).map(|before| before.fingerprint);
    let namer = Namer { observed: &observed, found, at: &at };
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
            let publish = Publish { fingerprint, updated_at: namer.of_publish(fingerprint) };
            let held = observed.held(marked).filter(|(held, _)| held.fingerprint != fingerprint);
            MarkerPlan::Write { marked: Marked { held, ..publish.into() }, at, reason }
        }
        (_, Some(marked)) if observed.source_known && right_beside(marked, &observed) != marked => {
            let marked = right_beside(marked, &observed);
            MarkerPlan::Write { marked, at, reason: WriteReason::Announcement }
        }
        (_, Some(marked)) if addressed => MarkerPlan::Keep(marked),
        (_, Some(marked)) => MarkerPlan::Readdress { marked, at },
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
    match (&observed.rollout, announced) {
        (Some(RolloutDecision::TakeBack(failure)), Some(next)) => {
            return announces(Marked { held: Some((next, failure.gate())), ..marked.publish.into() });
        }
        // Where somebody else changed the announcement, it is announced anew first, under a later name.
        (Some(RolloutDecision::Enter(stage)), Some(next))
            if observed.has_passed(fingerprint) && found == Some(next) =>
        {
            return announces(Marked { next: Some(next), stage: Some(*stage), ..marked.publish.into() });
        }
        _ => {}
    }
    if observed.may_publish(fingerprint) {
        let passed = announced.filter(|_| observed.has_passed(fingerprint));
        let name = passed.or(found).map(|next| next.updated_at);
        // Somebody else may have put a later name into the marker.
        let name = name.filter(|name| *name > marked.publish.updated_at);
        let name = name.filter(|name| marked.next.is_none_or(|next| *name >= next.updated_at));
        let updated_at = name.unwrap_or_else(|| namer.of_publish(fingerprint));
        let marked = Publish { fingerprint, updated_at }.into();
        return MarkerPlan::Write { marked, at, reason: WriteReason::ContentChanged };
    }
    if found.is_some_and(|found| announced.is_none_or(|next| next == found)) {
        return MarkerPlan::Keep(marked);
    }
    let next = Publish { fingerprint, updated_at: namer.of_announcement(fingerprint) };
    announces(Marked { next: Some(next), ..marked.publish.into() })
}

/// Names publishes: each under a later name than all that the operator knows.
struct Namer<'a> {
    observed: &'a PlanInput,
    found: MarkerEntry,
    at: &'a MapVersion,
}

impl Namer<'_> {
    fn of_publish(&self, fingerprint: Fingerprint) -> UpdatedAt {
        self.name(fingerprint, |attempted| Some(attempted.publish))
    }

    fn of_announcement(&self, fingerprint: Fingerprint) -> UpdatedAt {
        self.name(fingerprint, |attempted| attempted.next)
    }

    /// Returns the name of `fingerprint`. While the map has the same version, the write without an answer has not
    /// arrived, and may still arrive, so it is repeated under its own name. Once the map has another version, it never
    /// arrives any more, or was overwritten.
    fn name(&self, fingerprint: Fingerprint, part: impl Fn(Marked) -> Option<Publish>) -> UpdatedAt {
        let names = |marked: Marked| {
            let others = marked.next.into_iter().chain(marked.held.map(|(held, _)| held));
            Some(marked.publish.updated_at).max(others.map(|publish| publish.updated_at).max())
        };
        let (seen, published) = match self.found {
            MarkerEntry::Published(marked) => (names(marked), Some(marked.publish)),
            MarkerEntry::Removed(updated_at) => (Some(updated_at), None),
            MarkerEntry::Nothing | MarkerEntry::Unreadable => (None, None),
        };
        let PlanInput { attempted, known, announced, last_published_name, now, .. } = self.observed;
        let reported = self.observed.unknown(published);
        let believable = reported.filter(|reported| reported.timestamp() < *now + FUTURE);
        let announced = announced.map(|(next, _)| next.updated_at);
        let last = seen.max(known.map(|known| known.updated_at)).max(announced);
        let last = last.max(*last_published_name).max(believable);
        let attempted = attempted.as_ref().map(|(attempted, then)| (*attempted, then == self.at));
        let again = attempted.filter(|(_, unanswered)| *unanswered).and_then(|(attempted, _)| part(attempted));
        let again = again.filter(|again| again.fingerprint == fingerprint && Some(again.updated_at) > seen);
        again.map_or_else(
            || UpdatedAt::after(last.max(attempted.and_then(|(attempted, _)| names(attempted))), *now),
            |again| again.updated_at,
        )
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
        // An earlier leader has ended the rollout, and its write arrives late.
        let promoted = marked.is_some_and(|marked| self.announced.is_some_and(|(next, _)| next == marked.publish));
        let rolls_out = self.rollout.is_some() && !promoted && !self.may_publish(fingerprint);
        !published && (rolls_out || self.held_back(fingerprint, marked).is_some())
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

    /// Returns whether content may be published now: it is not rehearsed, or has passed and has no
    /// more steps.
    fn may_publish(&self, fingerprint: Fingerprint) -> bool {
        !self.rehearses || self.has_passed(fingerprint) && matches!(self.rollout, None | Some(RolloutDecision::Publish))
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
mod tests {
    use super::*;

    pub(super) const A: char = 'a';
    pub(super) const B: char = 'b';

    fn content(digit: char) -> Fingerprint {
        format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    fn time(second: u32) -> UpdatedAt {
        format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap()
    }

    pub(super) fn marker(fingerprint: char, second: u32) -> MarkerEntry {
        MarkerEntry::Published(publish(fingerprint, second).into())
    }

    pub(super) fn publish(fingerprint: char, second: u32) -> Publish {
        Publish { fingerprint: content(fingerprint), updated_at: time(second) }
    }

    pub(super) fn ours(marker: MarkerEntry) -> MarkerMap {
        MarkerMap::Ours { resource_version: "7".to_owned(), addressed: true, marker }
    }

    fn check(accepted: Option<char>, map: MarkerMap, expected: &MarkerPlan) {
        assert_eq!(plan(observed(accepted, map)), *expected);
    }

    pub(super) fn observed(accepted: Option<char>, map: MarkerMap) -> PlanInput {
        PlanInput {
            accepted: accepted.map(content),
            map,
            known: None,
            attempted: None,
            remembered: None,
            last_published_name: None,
            reported: None,
            rehearses: false,
            announced: None,
            rollout: None,
            known_held: None,
            retried: None,
            source_known: true,
            verified_again: false,
            now: time(30).timestamp(),
        }
    }

    pub(super) fn written(observed: PlanInput) -> (Publish, WriteReason) {
        match plan(observed) {
            MarkerPlan::Write { marked: Marked { publish, next: None, .. }, reason, .. } => (publish, reason),
            other => panic!("the plan should be a write, but is {other:?}"),
        }
    }

    fn write(publish: Publish, at: MapVersion) -> MarkerPlan {
        MarkerPlan::Write { marked: publish.into(), at, reason: WriteReason::ContentChanged }
    }

    pub(super) fn at_7() -> MapVersion {
        MapVersion::Version("7".to_owned())
    }

    #[test]
    fn the_first_accepted_candidate_is_published_with_or_without_a_map() {
        check(Some(A), MarkerMap::Missing, &write(publish(A, 30), MapVersion::Missing));
        check(Some(A), ours(MarkerEntry::Nothing), &write(publish(A, 30), at_7()));
    }

    #[test]
    fn what_an_earlier_leader_had_announced_and_published_is_adopted_although_the_source_is_not_asked() {
        let found = ours(marker(B, 20));
        let input = PlanInput {
            known: Some(publish(A, 10)),
            announced: Some((publish(B, 20), Rehearsed::Passed)),
            ..observed(None, found)
        };
        assert_eq!(plan(input.clone()), MarkerPlan::Keep(publish(B, 20).into()));
        let announced = Some((publish(B, 21), Rehearsed::Passed));
        assert_eq!(plan(PlanInput { announced, ..input }), MarkerPlan::VerifyAgain);
    }

    #[test]
    fn a_name_that_the_marker_announces_is_no_edit_of_somebody_else() {
        let marked = Marked { next: Some(publish(B, 20)), ..publish(A, 10).into() };
        let reported = |second| PlanInput {
            known: Some(publish(A, 10)),
            reported: Some(time(second)),
            rehearses: true,
            ..observed(Some(B), ours(MarkerEntry::Published(marked)))
        };
        assert_eq!(plan(reported(20)), MarkerPlan::Keep(marked));
        assert_eq!(plan(reported(21)), MarkerPlan::VerifyAgain);
    }

    #[test]
    fn content_that_is_already_published_causes_no_write() {
        check(Some(A), ours(marker(A, 10)), &MarkerPlan::Keep(publish(A, 10).into()));
    }

    #[test]
    fn other_content_is_published_under_a_later_name() {
        check(Some(B), ours(marker(A, 10)), &write(publish(B, 30), at_7()));
    }

    #[test]
    fn a_clock_that_went_back_does_not_publish_under_an_earlier_name() {
        let (publish, _) = written(observed(Some(B), ours(marker(A, 50))));
        assert_eq!(publish.updated_at.to_string(), "2026-11-20T18:40:50.000001Z");
    }

    #[test]
    fn a_marker_that_somebody_else_changed_is_put_back_after_the_source_was_polled_again() {
        let tampered_with = [
            ours(marker(B, 50)),
            ours(marker(A, 30)),
            ours(MarkerEntry::Nothing),
            ours(MarkerEntry::Unreadable),
            MarkerMap::Missing,
        ];
        for map in tampered_with {
            let tampered = PlanInput { known: Some(publish(A, 40)), ..observed(Some(A), map) };
            assert_eq!(plan(tampered.clone()), MarkerPlan::VerifyAgain);
            let (publish, reason) = written(PlanInput { verified_again: true, ..tampered });
            assert_eq!((publish.fingerprint, reason), (content(A), WriteReason::PutBack));
            assert!(publish.updated_at > time(40), "{publish:?}");
        }
    }

    #[test]
    fn a_changed_marker_is_put_back_even_while_the_candidate_is_refused() {
        let known = Some(publish(A, 10));
        let tampered = PlanInput { known, verified_again: true, ..observed(None, ours(marker(B, 20))) };
        assert_eq!(written(tampered).0.fingerprint, content(A));
    }

    #[test]
    fn a_published_marker_stays_when_there_is_no_accepted_candidate() {
        check(None, ours(marker(A, 10)), &MarkerPlan::Keep(publish(A, 10).into()));
        check(None, ours(MarkerEntry::Nothing), &MarkerPlan::Wait);
        check(None, MarkerMap::Missing, &MarkerPlan::Wait);
    }

    #[test]
    fn an_unreadable_marker_is_replaced() {
        check(Some(A), ours(MarkerEntry::Unreadable), &write(publish(A, 30), at_7()));
    }

    #[test]
    fn the_marker_of_a_removed_workspace_of_the_same_name_is_replaced_under_a_later_name() {
        let removed = MarkerEntry::Removed(time(40));
        let (publish, _) = written(observed(Some(A), ours(removed)));
        assert!(publish.updated_at > time(40));
    }

    #[test]
    fn a_foreign_map_is_never_written() {
        let foreign = MarkerMap::Foreign { owner: Some("other/rototo".to_owned()) };
        check(Some(A), foreign, &MarkerPlan::Forbidden { owner: Some("other/rototo".to_owned()) });
    }

    #[test]
    fn an_address_that_changed_is_written_without_a_publish() {
        let map = MarkerMap::Ours { resource_version: "7".to_owned(), addressed: false, marker: marker(A, 10) };
        check(Some(A), map, &MarkerPlan::Readdress { marked: publish(A, 10).into(), at: at_7() });
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_repeated_under_the_same_name() {
        let attempted = |at: &str| Some((publish(B, 40).into(), MapVersion::Version(at.to_owned())));
        let again = PlanInput { attempted: attempted("7"), ..observed(Some(B), ours(marker(A, 10))) };
        assert_eq!(written(again).0, publish(B, 40));
        // The write arrived, and nobody else wrote.
        let happened = PlanInput { attempted: attempted("6"), ..observed(Some(B), ours(marker(B, 40))) };
        assert_eq!(plan(happened), MarkerPlan::Keep(publish(B, 40).into()));
        // The write was overwritten or came too late, so its name is not used again.
        let (later, _) = written(PlanInput { attempted: attempted("6"), ..observed(Some(B), ours(marker(A, 10))) });
        assert!(later.updated_at > time(40));
    }

    #[test]
    fn an_edit_that_was_undone_causes_a_write_under_a_later_name_than_that_of_the_edit() {
        let reported = PlanInput {
            known: Some(publish(B, 10)),
            reported: Some(time(50)),
            ..observed(Some(B), ours(marker(B, 10)))
        };
        assert_eq!(plan(reported.clone()), MarkerPlan::VerifyAgain);
        let (publish, reason) = written(PlanInput { verified_again: true, ..reported });
        assert_eq!((publish.fingerprint, reason), (content(B), WriteReason::PutBack));
        assert!(publish.updated_at > time(50));
    }

    #[test]
    fn the_right_content_under_a_later_name_is_adopted_whoever_wrote_it() {
        let late = |second| PlanInput { known: Some(publish(A, 10)), ..observed(Some(B), ours(marker(B, second))) };
        assert_eq!(plan(late(20)), MarkerPlan::Keep(publish(B, 20).into()));
        assert_eq!(plan(late(10)), MarkerPlan::VerifyAgain, "a name names one publish");
    }

    #[test]
    fn a_report_of_what_is_published_contradicts_nothing() {
        let (known, reported) = (Some(publish(A, 10)), Some(time(10)));
        let reported = PlanInput { known, reported, ..observed(Some(A), ours(marker(A, 10))) };
        assert_eq!(plan(reported), MarkerPlan::Keep(publish(A, 10).into()));
    }

    #[test]
    fn a_reported_name_from_the_far_future_is_ignored() {
        let far: UpdatedAt = "9999-01-01T00:00:00.000000Z".parse().unwrap();
        let verified_again = PlanInput {
            known: Some(publish(B, 10)),
            reported: Some(far),
            verified_again: true,
            ..observed(Some(B), ours(marker(B, 10)))
        };
        assert_eq!(written(verified_again.clone()).0, publish(B, 30));
        let now = time(30).timestamp();
        let first = PlanInput { reported: Some(UpdatedAt::after(None, now + FUTURE)), ..verified_again };
        assert_eq!(written(first).0, publish(B, 30), "the future begins an hour from now");
    }

    #[test]
    fn a_marker_that_was_lost_while_no_operator_watched_is_restored_from_status() {
        for found in [MarkerEntry::Nothing, MarkerEntry::Unreadable] {
            let (remembered, last_published_name) = (Some(publish(A, 20)), Some(time(40)));
            let (publish, reason) =
                written(PlanInput { remembered, last_published_name, ..observed(None, ours(found)) });
            assert_eq!((publish.fingerprint, reason), (content(A), WriteReason::PutBack));
            assert!(publish.updated_at > time(40));
        }
    }

    #[test]
    fn status_restores_nothing_in_place_of_a_marker_that_is_there_or_was_removed() {
        let remembered = Some(publish(A, 20));
        let there = PlanInput { remembered, ..observed(None, ours(marker(B, 10))) };
        assert_eq!(plan(there), MarkerPlan::Keep(publish(B, 10).into()));
        let removed = PlanInput { remembered, ..observed(None, ours(MarkerEntry::Removed(time(25)))) };
        assert_eq!(plan(removed), MarkerPlan::Wait);
    }
}
