//! Decides whether a fleet has reached the target of a wait, from the facts of one moment. Pure.

use rototo_api::condition::{LINT_PASSED, PUBLISHED, READY, SOURCE_READY, reason};
use rototo_api::convergence::{Convergence, Straggler};
use rototo_api::names::{ANNOTATION_ROLLOUT, workspace_label};
use rototo_api::rollout::{RequestState, RolloutStatus};
use rototo_api::workspace::{HeldStatus, RejectedStatus, RototoWorkspace, RototoWorkspaceStatus};
use rototo_engine::Fingerprint;
use rototo_source::{Commit, Revision};

use crate::cluster::claim::{Claim, ClaimSource, ConvergedCondition};
use crate::cluster::freshness::Freshness;
use crate::terminal::wording::plain;

/// The target of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitTarget {
    /// The newest content of the source runs everywhere.
    Newest,
    /// This commit, of any ref, runs everywhere.
    Commit(Commit),
    /// This commit of this ref runs everywhere.
    Revision(Revision),
    /// This content, of any source, runs everywhere.
    Fingerprint(Fingerprint),
}

/// The facts about a workspace at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitInput<'a> {
    pub(crate) workspace: &'a RototoWorkspace,
    /// The operator's last answer, if there is one.
    pub(crate) answer: Option<&'a Convergence>,
    /// The freshness of the status of `workspace`.
    pub(crate) status: Freshness,
    /// Nothing newer than the answer comes about a refusal: the operator was asked after a request for a reconcile was
    /// denied.
    pub(crate) answer_is_last: bool,
}

/// The state of a wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WaitVerdict {
    /// Every process runs the target.
    Converged(Claim),
    /// The status says that every process runs the target, and it is unknown whether that still holds.
    Unconfirmed(Claim),
    /// The rollout of the target has reached the step that is waited for. Where the status is not fresh, the rollout may be
    /// over since.
    Staged(RolloutStatus, Freshness),
    /// Lint refuses the target, so it will never run. Where the status is not fresh, the layers of the target may have
    /// been mended since.
    Refused(RejectedStatus, Freshness),
    /// The target is held until a person allows it. Where the status is not fresh, somebody may have allowed it since.
    Held(HeldStatus, Freshness),
    /// The target will not be published while the workspace is suspended; with the way out.
    Suspended(&'static str),
    /// The target is not reached yet.
    Pending(Pending),
}

/// The step that a pending wait is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The operator has not seen the target: the reason, or the revision that it has seen instead.
    Unseen(String),
    /// The target is not published: the message of the operator.
    Unpublished(String),
    /// The target is published, and some processes do not run it yet.
    Moving {
        /// The number of processes that run it.
        applied: u32,
        /// The number of processes that should.
        total: u32,
        /// The stragglers, the first ten.
        behind: Vec<Straggler>,
        /// The message of the operator.
        says: String,
    },
    /// The target is published, and it is unknown whether every process runs it.
    Unknown {
        /// The silent ones, the first ten.
        behind: Vec<Straggler>,
        /// The message of the operator, and the way out.
        says: String,
    },
}

const NEWEST_OF_SUSPENDED: &str = "the workspace is suspended, so its source is not asked for anything newer: unset \
    spec.suspend, or name what is published with --revision or --fingerprint";
const NEVER_PUBLISHED: &str =
    "it is not published, and the workspace is suspended, so it will not be: unset spec.suspend first";

impl WaitVerdict {
    /// Returns whether the verdict ends a wait.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Pending(_)) && !self.is_unconfirmed()
    }

    /// Returns whether the verdict is that of a status that may be old, and would end the wait if it were not.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        use Freshness::Unknown;
        let dated = matches!(self, Self::Staged(_, Unknown) | Self::Refused(_, Unknown) | Self::Held(_, Unknown));
        dated || matches!(self, Self::Unconfirmed(_))
    }
}

/// Returns the state of a wait for `target`. Only a recent claim ends the wait with success, and only a recent status
/// ends it because the target is refused or held; an old claim may still show that the target is not reached.
pub(crate) fn verdict(known: &WaitInput<'_>, target: &WaitTarget) -> WaitVerdict {
    let suspended = known.workspace.spec.suspend;
    if suspended && *target == WaitTarget::Newest {
        return WaitVerdict::Suspended(NEWEST_OF_SUSPENDED);
    }
    let (status, claim) = (known.status(), known.claim());
    let generation = known.workspace.metadata.generation;
    if claim.observed_generation != generation {
        return WaitVerdict::Pending(Pending::Unseen("the operator has not reconciled the current spec".to_owned()));
    }
    // The status holds only the newest refused revision, so an old refusal says nothing about another commit.
    let rejected = status.rejected.as_ref().filter(|_| status.observed_generation == generation);
    if let Some(rejected) = rejected.filter(|rejected| target.is_content_of(rejected.revision.as_deref(), &status)) {
        return WaitVerdict::Refused(rejected.clone(), known.refusal(rejected.revision.as_deref()));
    }
    let held = status.held.as_ref().filter(|_| status.observed_generation == generation);
    if let Some(held) = held.filter(|held| target.is_held(held, &status)) {
        return WaitVerdict::Held(held.clone(), known.refusal(Some(&held.revision)));
    }
    if !target.is_published(&claim) {
        let pending = unpublished(known.workspace, &status, &claim, target);
        return if suspended { WaitVerdict::Suspended(NEVER_PUBLISHED) } else { WaitVerdict::Pending(pending) };
    }
    if let Some(pending) = hindrance(known, &status, &claim, target) {
        return WaitVerdict::Pending(pending);
    }
    match (claim.by, known.status) {
        (ClaimSource::Operator, _) | (ClaimSource::Status, Freshness::Fresh) => WaitVerdict::Converged(claim),
        (ClaimSource::Status, Freshness::Unknown) => WaitVerdict::Unconfirmed(claim),
    }
}

/// Returns the rollout of `target` by the current spec, if it has reached this step.
pub(crate) fn at_stage(workspace: &RototoWorkspace, target: &WaitTarget, stage: u32) -> Option<RolloutStatus> {
    let status = workspace.status.as_ref()?;
    let rollout = status.rollout.as_ref().filter(|_| status.observed_generation == workspace.metadata.generation)?;
    (target.is_rolled_out(rollout, status) && rollout.step >= stage).then(|| rollout.clone())
}

/// Returns the person who holds this rollout. The annotation counts before the operator has seen it.
pub(crate) fn held_by(workspace: &RototoWorkspace, rollout: &RolloutStatus) -> Option<String> {
    let request = workspace.status.as_ref().and_then(|status| status.request.as_ref());
    let holds = |text: &str| text.split_whitespace().next() == Some("hold");
    let in_force = request.filter(|request| request.state == RequestState::InForce && holds(&request.request));
    let asked = || {
        let asked = workspace.metadata.annotations.as_ref()?.get(ANNOTATION_ROLLOUT)?;
        let of = format!("of={}", rollout.announced_as?);
        let names_it = asked.split_whitespace().any(|word| word == of);
        (holds(asked) && names_it).then(|| "unverified".to_owned())
    };
    in_force.map(|request| request.by.clone()).or_else(asked)
}

impl WaitInput<'_> {
    fn status(&self) -> RototoWorkspaceStatus {
        self.workspace.status.clone().unwrap_or_default()
    }

    /// Returns the operator's answer, if it is about this very object: one that was deleted and created anew has
    /// another UID.
    fn answer(&self) -> Option<&Convergence> {
        let uid = self.workspace.metadata.uid.as_deref();
        self.answer.filter(|answer| uid == Some(&answer.uid))
    }

    fn claim(&self) -> Claim {
        self.answer().map_or_else(|| Claim::of_status(&self.status()), Claim::of_operator)
    }

    /// Returns the freshness of the status's word that this revision will not be published. Where nobody can request a
    /// reconcile, an answer confirms it that says that the revision is settled, and not published.
    fn refusal(&self, revision: Option<&str>) -> Freshness {
        let publishes = |answer: &Convergence| match (&answer.source_fingerprint, revision) {
            (Some(newest), _) => answer.fingerprint.as_ref() == Some(newest),
            (None, Some(newest)) => answer.revisions.iter().any(|published| published == newest),
            (None, None) => false,
        };
        let confirms = |answer: &&Convergence| {
            answer.settled && answer.source_revision.as_deref() == revision && !publishes(answer)
        };
        let confirmed = self.answer().filter(|_| self.answer_is_last).filter(confirms);
        if confirmed.is_some() { Freshness::Fresh } else { self.status }
    }
}

impl WaitTarget {
    fn is_revision(&self, revision: Option<&str>) -> bool {
        match self {
            Self::Newest => true,
            Self::Fingerprint(_) => false,
            Self::Revision(target) => revision == Some(target.to_string().as_str()),
            Self::Commit(commit) => {
                let revision = revision.and_then(|revision| revision.parse::<Revision>().ok());
                revision.is_some_and(|revision| revision.commit() == commit)
            }
        }
    }

    /// Returns whether the target names this revision, or another one with the same content. The newest revision of the
    /// source stands for all that follow each other with its content.
    fn is_content_of(&self, revision: Option<&str>, status: &RototoWorkspaceStatus) -> bool {
        let source = status.source.as_ref();
        let source = source.filter(|source| revision.is_some() && source.revision.as_deref() == revision);
        let others = source.map(|source| source.revisions.as_slice()).unwrap_or_default();
        self.is_revision(revision) || self.is_any_of(others)
    }

    fn is_any_of(&self, revisions: &[String]) -> bool {
        revisions.iter().any(|revision| self.is_revision(Some(revision)))
    }

    /// Returns whether the target is what is held.
    fn is_held(&self, held: &HeldStatus, status: &RototoWorkspaceStatus) -> bool {
        match self {
            Self::Fingerprint(fingerprint) => held.fingerprint == fingerprint.to_string(),
            _ => self.is_content_of(Some(&held.revision), status),
        }
    }

    /// Returns whether the target is what is rolled out. The newest content may wait for the end of the rollout of an older
    /// one.
    fn is_rolled_out(&self, rollout: &RolloutStatus, status: &RototoWorkspaceStatus) -> bool {
        let source = status.source.as_ref();
        match self {
            // An older operator names the content of a source without commits alone.
            Self::Fingerprint(fingerprint) => {
                *rollout.fingerprint.as_ref().unwrap_or(&rollout.revision) == fingerprint.to_string()
            }
            Self::Newest => match source.and_then(|source| source.revision.as_ref()) {
                Some(newest) => rollout.revision == *newest || rollout.revisions.contains(newest),
                None => {
                    source.and_then(|source| source.fingerprint.as_ref()).is_none_or(|one| *one == rollout.revision)
                }
            },
            Self::Commit(_) | Self::Revision(_) => {
                self.is_revision(Some(&rollout.revision)) || self.is_any_of(&rollout.revisions)
            }
        }
    }

    /// Returns whether the target's content is published. A newer commit with the same content does not replace an
    /// older one.
    fn is_published(&self, claim: &Claim) -> bool {
        match self {
            Self::Newest => claim.fingerprint.is_some(),
            Self::Fingerprint(fingerprint) => claim.fingerprint == Some(fingerprint.to_string()),
            Self::Commit(_) | Self::Revision(_) => claim.fingerprint.is_some() && self.revision_in(claim).is_some(),
        }
    }

    /// Returns the revision of the published content that the target names.
    pub(crate) fn revision_in<'a>(&self, claim: &'a Claim) -> Option<&'a str> {
        let revisions = claim.revisions.iter().map(String::as_str);
        match self {
            Self::Newest | Self::Fingerprint(_) => claim.revisions.first().map(String::as_str),
            Self::Commit(_) | Self::Revision(_) => {
                revisions.into_iter().find(|revision| self.is_revision(Some(revision)))
            }
        }
    }
}

fn unpublished(
    workspace: &RototoWorkspace,
    status: &RototoWorkspaceStatus,
    claim: &Claim,
    target: &WaitTarget,
) -> Pending {
    let rollout = status.rollout.as_ref().filter(|rollout| target.is_rolled_out(rollout, status));
    let held_by = rollout.and_then(|rollout| held_by(workspace, rollout));
    let holds = held_by.map_or_else(String::new, |by| format!("; a person ({}) holds it", plain(&by)));
    let on_its_way = || Pending::Unpublished(format!("{}{holds}", says(status, &[PUBLISHED, READY])));
    match claim.newest.as_deref() {
        _ if claim.fingerprint.is_none() => Pending::Unpublished(says(status, &[SOURCE_READY, LINT_PASSED, PUBLISHED])),
        _ if rollout.is_some() => on_its_way(),
        Some(newest) if target.is_content_of(Some(newest), status) => on_its_way(),
        Some(newest) => Pending::Unseen(format!("the source is at {newest}{}", source_problem(status))),
        None => Pending::Unseen(says(status, &[SOURCE_READY])),
    }
}

/// Returns the reason why a publish has not converged.
fn hindrance(
    known: &WaitInput<'_>,
    status: &RototoWorkspaceStatus,
    claim: &Claim,
    target: &WaitTarget,
) -> Option<Pending> {
    let newest = *target == WaitTarget::Newest;
    let moving = |says: String| Pending::Moving {
        applied: claim.fleet.applied,
        total: claim.fleet.total(),
        behind: claim.fleet.behind.clone(),
        says,
    };
    let required: &[&str] = if newest { &[PUBLISHED, READY] } else { &[PUBLISHED] };
    let ConvergedCondition { status: converged, reason: why, message } = &claim.converged;
    match converged.as_str() {
        "True" if !required.iter().all(|type_| status.is(type_, "True")) => Some(moving(says(status, required))),
        "True" if newest && !has_newest(status, claim) => {
            Some(moving("the newest revision of the source is not published yet".to_owned()))
        }
        "True" => None,
        "Unknown" => {
            let hint = if why == reason::NO_PROCESSES { label_hint(known.workspace) } else { String::new() };
            Some(Pending::Unknown { behind: claim.fleet.behind.clone(), says: format!("{message}{hint}") })
        }
        _ if message.is_empty() => Some(moving(says(status, required))),
        _ => Some(moving(message.clone())),
    }
}

/// Returns whether the newest content that the operator knows is published. The fingerprints say it: the revision of a
/// layered source stays when a base moves. An older operator answers without that of the newest content: then the revisions
/// say it, and an archive has none.
fn has_newest(status: &RototoWorkspaceStatus, claim: &Claim) -> bool {
    match (&claim.newest_content, claim.by, &claim.newest) {
        (Some(newest), _, _) => claim.fingerprint.as_ref() == Some(newest),
        (None, ClaimSource::Status, _) => true,
        (None, ClaimSource::Operator, Some(newest)) => claim.revisions.contains(newest),
        (None, ClaimSource::Operator, None) => {
            status.published.as_ref().map(|published| &published.fingerprint) == claim.fingerprint.as_ref()
        }
    }
}

fn label_hint(workspace: &RototoWorkspace) -> String {
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    format!("; give the pods that should the label {}: \"\"", workspace_label(name))
}

fn source_problem(status: &RototoWorkspaceStatus) -> String {
    let error = status.source.as_ref().and_then(|source| source.last_error.as_ref());
    error.map_or_else(String::new, |error| format!(", and can't be read now: {error}"))
}

/// Returns the message of the first of these conditions that is not true.
fn says(status: &RototoWorkspaceStatus, types: &[&str]) -> String {
    let hindering =
        types.iter().filter_map(|type_| status.condition(type_)).find(|condition| condition.status != "True");
    hindering.map_or_else(|| "the operator has not said more yet".to_owned(), |condition| condition.message.clone())
}

#[cfg(test)]
mod tests;
