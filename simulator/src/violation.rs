//! The invariants. `claims` checks those of what an operator says, `rest` those of a world that has come to rest.

use rototo_protocol::fleet::Moment;
use rototo_protocol::{Marked, Publish};

use crate::contents::number;

/// Something that must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// A claim of convergence holds of every handle of every process that counts.
    TrueClaim,
    /// A claim of convergence needs somebody who has applied the publish.
    SomebodyApplied,
    /// A process that an earlier operator counted, and that hangs, is not forgotten by a restart.
    Accounted,
    /// A report that names other content never turns a verdict into converged.
    ReportsOnlyContradict,
    /// A restart or a change of leader turns no verdict into converged.
    RestartClaimsNothing,
    /// A figure that was shown never changes.
    FrozenFigure,
    /// A figure is not less than what a member needed, not more than what anybody needed and one delivery, and absent where a
    /// member left before it had applied.
    TrueFigure,
    /// Names of publishes grow, and so do those of announcements: a publish has the announced name, or a later one.
    NamesGrow,
    /// One change of content has one name, as long as nobody edits the marker.
    OneName,
    /// A process that lives counts from its first report until it drains, or nobody can see its end for too long.
    LeavesByEvidence,
    /// A process counts as one that runs what is published only if its last report says so.
    TrueCount,
    /// A reachable process that ran something of an earlier object of the name has reported before a claim.
    NobodyOverlooked,
    /// A write of an operator in an earlier term is kept only if it is right.
    OldTermsLeaveNoTrace,
    /// A process that nothing is in the way of follows; one with a direct source needs no operator for what its source has.
    UndisturbedFollow,
    /// When everything rests, the marker names what the source has.
    SourceIsPublished,
    /// When everything rests, every process wants what the marker names.
    EveryoneFollows,
    /// When everything rests and everyone runs what is published, that is claimed.
    RestIsClaimed,
    /// What everyone runs is claimed within the recount window and a heartbeat, or within the forget window where nobody can
    /// see an end, and stays claimed.
    ClaimedInTime,
    /// When everything rests, status says what the operator knows.
    StatusRepaired,
    /// The stored status is what the operator claims, within the time of a reconcile and a write, whoever wrote it.
    StatusInTime,
    /// A marker is put back only if somebody else than the operator that leads wrote it.
    PutBackAfterAnEdit,
    /// A marker is removed only if its workspace was gone when that was decided.
    SweptOnceGone,
    /// No handle resolves from content before a marker names it as published, or names a stage with its pod.
    AnnouncedNeverRuns,
    /// Content that is rehearsed is not published while a process refuses it that lives, is selected, and runs what is
    /// published: unless a later report of it, its end, or a person says otherwise. Restarts, changes of the leader, and
    /// handovers do not end a refusal of a process that can reach the operator.
    RefusalHolds,
    /// Where a rehearsal is required, the required part of the processes that the operator knows has prepared the content
    /// when it is published.
    RequiredPrepare,
    /// Content that nobody refuses waits no longer than the time limit of a best-effort rehearsal and a recount, whoever
    /// hangs.
    RehearsalEnds,
    /// A stage loses no pod while its rollout goes on.
    StageGrows,
    /// A step takes as many pods as it says, if there are as many: none too many, and one at least.
    StepTakesItsPods,
    /// No step begins before the one before is over or a person promotes it, and nothing is published before the last one is:
    /// whatever restarts, and whoever edits the marker or removes the status. A process of the stage that refuses, or a
    /// container of it that ends, ends the rollout.
    GateHolds,
    /// Content is taken back for a refusal, an end, or a request, and for nothing else.
    TakenBackForReason,
    /// Content that was taken back comes back only for another content of the source or a request of a person, as long
    /// as nobody removes it from the marker while no operator looks.
    TakenBackStays,
    /// A process that ran what is published, and then the content of its stage, holds the former and fetches it for no other
    /// reason than another marker.
    GoesBackAtOnce,
    /// A rollout that ends well publishes under the announced name.
    PromotedUnderItsName,
    /// Newer content waits for the end of a rollout, where it is to.
    NewerContentWaits,
    /// What is announced stays announced while the source has it, until it is published or taken back: also where a poll ends
    /// between judgement and decision.
    AnnouncementStays,
    /// Nothing new is announced, no step begins, and nothing is published before the rules of the present spec have accepted
    /// the content, nor once they refuse it.
    OnlyWhatTheSpecAccepts,
    /// A marker that somebody has removed is put back with its rollout, under the announced name.
    PutBackKeepsTheRollout,
    /// A pause ends when its time is over, unless a person holds it.
    RolloutGoesOn,
    /// A rollout is not converged.
    RolloutIsNoConvergence,
    /// When everything rests, the marker announces nothing but what the source has, and nobody holds anything else.
    NothingHeld,
    /// A publish that everybody who was there has applied has a figure.
    FigureShown,
}

/// An invariant that a history breaks.
#[derive(Clone, Debug)]
pub struct InvariantViolation {
    pub invariant: Invariant,
    pub at: Moment,
    pub what: String,
}

/// Returns a publish for people: the content and its name, in seconds.
pub fn name(publish: Publish) -> String {
    let content = char::from(b'A' + number(publish.fingerprint));
    format!("{content}@{}", publish.updated_at.timestamp().as_millisecond() % 1_000_000_000)
}

/// Returns the content of a marker for people.
pub fn marker(marked: Marked) -> String {
    let Marked { publish, next, stage, held } = marked;
    let mut text = name(publish);
    if let Some(next) = next {
        text.push_str(&format!(", announces {}", name(next)));
    }
    if let Some(stage) = stage {
        text.push_str(&format!(" at step {} below {:#x}", stage.step, stage.below));
    }
    if let Some((held, gate)) = held {
        text.push_str(&format!(", has taken back {} by {gate:?}", name(held)));
    }
    text
}
