//! Shows what is known of a workspace: as status and conditions, as Events, and as metrics.
//!
//! [`status()`] derives the status from its input, and [`events::events`] the Events from two statuses; both are pure.
//! `conditions` has one function for each condition, and derives `Ready`, which nothing else does;
//! `docs/reference/conditions.md` explains their reasons. [`write`] writes what they return.

pub(crate) mod command;
mod conditions;
pub(crate) mod events;
pub(crate) mod input;
pub(crate) mod metrics;
pub(crate) mod record;
mod short;
pub(crate) mod write;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rototo_api::UpdatedAt;
use rototo_api::analysis::AnalysisStatus;
use rototo_api::condition::{STALLED, reason};
use rototo_api::marker::Gate;
use rototo_api::names::ANNOTATION_ROLLOUT;
use rototo_api::rollout::{RequestStatus, RolloutStatus};
use rototo_api::workspace::{
    CommitStatus, FleetMillis, FleetStatus, HeldStatus, HistoryEntry, PublishedStatus, RejectedDiagnostic,
    RejectedStatus, RototoWorkspaceStatus, SourceLayer, SourceStatus, StatusColumns, WorkspaceStatus,
};
use rototo_protocol::fleet::{FleetView, Millis, RehearsalVerdict, StageCount};
use rototo_source::CommitInfo;

use crate::source::candidate::{Candidate, LintVerdict};
use crate::source::seen_revisions::{REVISIONS, SeenRevisions};
use crate::status::input::{HeldReason, RolloutInput, StatusInput, SteeringInput};
use crate::status::short::{
    AUTHOR, FINDING, LAYER, MESSAGE, REQUEST, REVISION, SUBJECT, bounded, short_fingerprint, short_revision,
};

/// The number of publishes that a status remembers.
const HISTORY: usize = 10;

/// Derives the status of a workspace.
#[must_use]
pub fn status(input: &StatusInput<'_>) -> RototoWorkspaceStatus {
    let source = source(input);
    let published = published(input, &source);
    let history = history(input, published.as_ref());
    // A figure that was shown stays as it is. One from before a restart of the operator is still true for the same
    // publish.
    let converged_millis = history.first().filter(|_| published.is_some()).and_then(|newest| newest.converged_millis);
    let summary = StatusColumns {
        revision: published
            .as_ref()
            .and_then(|published| published.revision.as_deref())
            .map(|revision| bounded(&short_revision(revision), REVISION)),
        fingerprint: published.as_ref().map(|published| short_fingerprint(&published.fingerprint)),
        fleet: Some(fleet_summary(input.fleet)),
        converged_in: converged_millis.map(|millis| format!("{millis}ms")),
    };
    let accepted_candidate = input.source.candidate.filter(|candidate| candidate.verdict == LintVerdict::Accepted);
    let mut status = RototoWorkspaceStatus {
        observed_generation: observed_generation(input),
        conditions: Vec::new(),
        last_handled_reconcile_at: input
            .handled_request
            .map(|request| bounded(request, REQUEST))
            .or_else(|| input.previous.last_handled_reconcile_at.clone()),
        rollout: input.rollout.as_ref().map(|under_way| rollout(under_way, input.source.seen, &source, input.previous)),
        last_announced: last_announced(input, published.as_ref()),
        source: Some(source),
        history,
        workspace: match (accepted_candidate, &published) {
            (Some(candidate), Some(published)) if candidate.fingerprint.to_string() == published.fingerprint => {
                Some(WorkspaceStatus { expired: candidate.expired(input.now), ..candidate.contents })
            }
            _ => input.previous.workspace,
        },
        published,
        rejected: rejected(input),
        held: held(input),
        request: input.steering.request.as_ref().map(request),
        fleet: Some(fleet(input.fleet, input.now)),
        summary: Some(summary),
    };
    status.conditions = conditions::conditions(input, &status);
    status
}

/// Returns the generation of the spec that the status describes; `None` if it described one that was refused, and that
/// fails in another way since, or is not polled yet by a process that has just started.
fn observed_generation(input: &StatusInput<'_>) -> Option<i64> {
    let before = input.previous.observed_generation;
    let refused = input.source.error.is_some() || input.previous.is(STALLED, "True");
    match input.source.current {
        true => input.generation,
        false => before.filter(|_| !refused || before != input.generation),
    }
}

fn source(input: &StatusInput<'_>) -> SourceStatus {
    let known = &input.source;
    let before = input.previous.source.clone().unwrap_or_default();
    let revisions = match known.candidate {
        Some(candidate) => revisions_of(candidate, known.seen, &before),
        None => before.revisions,
    };
    let revision = known.candidate.and_then(|candidate| candidate.revision.as_ref());
    SourceStatus {
        revision: revision.map(ToString::to_string).or(before.revision),
        revisions,
        fingerprint: known.candidate.map_or(before.fingerprint, |candidate| Some(candidate.fingerprint.to_string())),
        commit: known.candidate.map_or(before.commit, |candidate| candidate.commit.as_ref().map(words)),
        layers: known.candidate.map_or(before.layers, |candidate| candidate.layers.iter().map(layer).collect()),
        immutable: known.candidate.map_or(before.immutable, |candidate| candidate.immutable),
        signer: match known.candidate {
            Some(candidate) => candidate.signature.as_ref().map(|signature| signature.signer.clone()),
            None => before.signer,
        },
        last_success: known.last_success.map(Time).or(before.last_success),
        consecutive_failures: known.failures,
        last_error: known.error.as_ref().map(|error| bounded(&error.message, MESSAGE)),
    }
}

/// Returns the revisions that were seen to have the newest content. Commits that change nothing in the workspace follow each
/// other, and somebody may wait for any of them.
fn revisions_of(candidate: &Candidate, seen: &SeenRevisions, before: &SourceStatus) -> Vec<String> {
    let newest = candidate.revision.as_ref().map(ToString::to_string);
    let same = before.fingerprint == Some(candidate.fingerprint.to_string());
    let seen = seen.of(candidate.fingerprint);
    distinct(newest.iter().chain(seen).chain(before.revisions.iter().filter(|_| same)))
}

/// Returns these revisions without repetition, the newest first, as many as a status names.
fn distinct<'a>(newest_first: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut revisions = Vec::new();
    for revision in newest_first {
        if revisions.len() < REVISIONS && !revisions.contains(revision) {
            revisions.push(revision.clone());
        }
    }
    revisions
}

fn words(commit: &CommitInfo) -> CommitStatus {
    CommitStatus { author: bounded(&commit.author, AUTHOR), subject: bounded(&commit.subject, SUBJECT) }
}

fn layer(layer: &SourceLayer) -> SourceLayer {
    SourceLayer { source: bounded(&layer.source, LAYER), commit: layer.commit.clone() }
}

fn published(input: &StatusInput<'_>, source: &SourceStatus) -> Option<PublishedStatus> {
    let Some(publish) = input.published else {
        return input.previous.published.clone().filter(|_| !input.marker_is_known);
    };
    let candidate = input.source.candidate.filter(|candidate| candidate.fingerprint == publish.fingerprint);
    let fingerprint = publish.fingerprint.to_string();
    let before = input.previous.published.as_ref().filter(|before| before.fingerprint == fingerprint);
    // The source may have newer content already that waited for the end of the rollout.
    let rolled_out = input.previous.rollout.as_ref();
    let rolled_out = rolled_out.filter(|rollout| rollout.announced_as == Some(publish.updated_at));
    let seen = input.source.seen.of(publish.fingerprint);
    let revision = candidate
        .and_then(|candidate| candidate.revision.as_ref().map(ToString::to_string))
        .or_else(|| before.and_then(|before| before.revision.clone()))
        // A source without commits is rolled out by its fingerprint, which is no revision.
        .or_else(|| rolled_out.map(|rollout| rollout.revision.clone()).filter(|revision| *revision != fingerprint))
        // No status has named it.
        .or_else(|| seen.first().cloned());
    let lists = [
        Some(&source.revisions).filter(|_| source.fingerprint.as_ref() == Some(&fingerprint)),
        rolled_out.map(|rollout| &rollout.revisions),
        before.map(|before| &before.revisions),
    ];
    let revisions = distinct(seen.iter().chain(&revision).chain(lists.into_iter().flatten().flatten()));
    let commit = match candidate {
        Some(candidate) => candidate.commit.as_ref().map(words),
        None => before.and_then(|before| before.commit.clone()),
    };
    Some(PublishedStatus { fingerprint, revisions, revision, commit, updated_at: publish.updated_at })
}

fn rejected(input: &StatusInput<'_>) -> Option<RejectedStatus> {
    let before = input.previous.rejected.as_ref();
    let Some(candidate) = input.source.candidate else { return before.cloned() };
    let LintVerdict::Refused(refusal) = &candidate.verdict else { return None };
    let revision = candidate.revision.as_ref().map(ToString::to_string);
    let diagnostics: Vec<_> = refusal.findings.iter().map(finding).collect();
    let same = before.filter(|before| before.revision == revision && before.diagnostics == diagnostics);
    Some(RejectedStatus {
        revision,
        time: same.map_or(Time(input.now), |before| before.time.clone()),
        errors: refusal.errors,
        warnings: refusal.warnings,
        diagnostics,
    })
}

fn held(input: &StatusInput<'_>) -> Option<HeldStatus> {
    let before = input.previous.held.as_ref();
    // What an earlier operator process held is held until the source is polled again, and every process has reported.
    let rehearsed = input.rehearsal.filter(|view| view.verdict == RehearsalVerdict::Waiting);
    let rehearsed = rehearsed.map(|view| view.next.fingerprint.to_string());
    let by_rehearsal = |reason: &str| [reason::REFUSED_IN_REHEARSAL, reason::REHEARSAL_INCOMPLETE].contains(&reason);
    let same = before.filter(|before| rehearsed.as_ref() == Some(&before.fingerprint) && by_rehearsal(&before.reason));
    if input.source.candidate.is_none() || same.is_some() {
        return before.cloned();
    }
    let held = input.held.as_ref()?;
    let same = before.filter(|before| before.revision == held.revision && before.reason == held.reason.name());
    // An operator that was restarted knows the gate from the marker, and everything else from the status alone.
    let (removes, processes) = match &held.reason {
        HeldReason::Shrinks(shrink) => (u32::try_from(shrink.removed).unwrap_or(u32::MAX), Vec::new()),
        HeldReason::Refused { processes } | HeldReason::Incomplete { processes, .. } => (0, processes.clone()),
        HeldReason::TakenBack { processes, .. } if processes.is_empty() => {
            (0, same.map(|before| before.processes.clone()).unwrap_or_default())
        }
        HeldReason::TakenBack { processes, .. } => (0, processes.clone()),
    };
    let analysis = match &held.reason {
        HeldReason::TakenBack { gate: Gate::Analysis, analysis, .. } => {
            analysis.as_ref().map(measured).or_else(|| same.and_then(|before| before.analysis.clone()))
        }
        _ => None,
    };
    let announced_as = match &held.reason {
        HeldReason::TakenBack { announced_as, .. } => Some(*announced_as),
        _ => None,
    };
    Some(HeldStatus {
        revision: held.revision.clone(),
        fingerprint: held.fingerprint.clone(),
        reason: held.reason.name().to_owned(),
        removes,
        processes,
        analysis,
        announced_as,
        since: same.map_or(Time(input.now), |before| before.since.clone()),
        release: held.release.clone(),
    })
}

fn rollout(
    rollout: &RolloutInput,
    seen: &SeenRevisions,
    source: &SourceStatus,
    previous: &RototoWorkspaceStatus,
) -> RolloutStatus {
    let RolloutInput { revision, next, queued, stage, steps, counts, analysis, command } = rollout;
    let count = |side: StageCount| format!("{}/{}", side.applied, side.intended);
    let of = format!("{} of={}", commit(revision), next.updated_at);
    let setting = |value: String| command.setting(ANNOTATION_ROLLOUT, &value);
    let of_source = source.fingerprint == Some(next.fingerprint.to_string());
    let before = previous.rollout.as_ref().filter(|before| before.announced_as == Some(next.updated_at));
    let lists = [Some(&source.revisions).filter(|_| of_source), before.map(|before| &before.revisions)];
    RolloutStatus {
        revision: bounded(revision, REVISION),
        revisions: distinct(seen.of(next.fingerprint).iter().chain(lists.into_iter().flatten().flatten())),
        announced_as: Some(next.updated_at),
        fingerprint: Some(next.fingerprint.to_string()),
        below: Some(stage.below),
        queued: queued.as_deref().map(|queued| bounded(queued, REVISION)),
        step: stage.step,
        steps: u32::try_from(*steps).unwrap_or(u32::MAX),
        since: Time(stage.since),
        next: count(counts.next),
        stable: count(counts.stable),
        analysis: analysis.iter().map(measured).collect(),
        promote: setting(format!("promote {of} step={}", stage.step)),
        abort: setting(format!("abort {of}")),
    }
}

/// Returns the newest name that was announced, while it is later than that of what is published.
fn last_announced(input: &StatusInput<'_>, published: Option<&PublishedStatus>) -> Option<UpdatedAt> {
    let published = published.map(|published| published.updated_at);
    input.newest_announced.filter(|announced| Some(*announced) > published)
}

fn request(request: &RequestStatus) -> RequestStatus {
    let RequestStatus { request, by, state, reason } = request;
    let (request, by) = (bounded(request, REQUEST), bounded(by, REQUEST));
    RequestStatus { request, by, state: *state, reason: reason.clone() }
}

fn measured(analysis: &AnalysisStatus) -> AnalysisStatus {
    let last = analysis.last.as_deref().map(|last| bounded(last, FINDING));
    AnalysisStatus { last, ..analysis.clone() }
}

/// Returns the commit of a revision, or the fingerprint where there is none.
pub(crate) fn commit(revision: &str) -> &str {
    match revision.rsplit_once("@sha1:") {
        Some((_, commit)) => commit,
        None => revision,
    }
}

fn finding(finding: &RejectedDiagnostic) -> RejectedDiagnostic {
    RejectedDiagnostic {
        rule: bounded(&finding.rule, FINDING),
        path: finding.path.as_deref().map(|path| bounded(path, FINDING)),
        line: finding.line,
        message: bounded(&finding.message, MESSAGE),
    }
}

fn fleet(view: &FleetView, now: Timestamp) -> FleetStatus {
    FleetStatus {
        unbound: view.unbound,
        unaccounted: view.unaccounted,
        lost: view.lost,
        as_of: Some(Time(now)),
        claim_seconds: u32::try_from(view.windows.silence.as_secs()).unwrap_or(u32::MAX),
        expected: view.expected,
        processes: view.processes,
        applied: view.applied,
        rejected: view.rejected,
        silent: view.silent,
        millis: view.millis.map(millis),
        behind: view.behind.clone(),
    }
}

fn millis(millis: Millis) -> FleetMillis {
    let Millis { fetched, linted, published, first, p50, p99, all } = millis;
    FleetMillis { fetched, linted, published, first, p50, p99, all }
}

fn fleet_summary(view: &FleetView) -> String {
    match view.expected {
        Some(expected) => format!("{}/{expected}", view.applied),
        None => format!("{} reporting", view.processes),
    }
}

fn history(input: &StatusInput<'_>, published: Option<&PublishedStatus>) -> Vec<HistoryEntry> {
    let mut history = input.previous.history.clone();
    let Some(published) = published else { return history };
    if history.first().is_none_or(|newest| newest.updated_at != published.updated_at) {
        let entry = HistoryEntry {
            fingerprint: published.fingerprint.clone(),
            revision: published.revision.as_deref().map(|revision| bounded(revision, REVISION)),
            commit: published.commit.clone(),
            updated_at: published.updated_at,
            anyway: input.steering.anyway_by.is_some() && was_held_by_rehearsal(input, published),
            by: by(input, published).map(|by| bounded(by, AUTHOR)),
            converged_millis: None,
        };
        history.insert(0, entry);
        history.truncate(HISTORY);
    }
    if let (Some(newest), Some(millis)) = (history.first_mut(), input.fleet.millis) {
        newest.converged_millis = newest.converged_millis.or(millis.all);
    }
    history
}

/// Returns whether processes had refused, or not prepared, what is published now.
fn was_held_by_rehearsal(input: &StatusInput<'_>, published: &PublishedStatus) -> bool {
    was_held(input, published, &[reason::REFUSED_IN_REHEARSAL, reason::REHEARSAL_INCOMPLETE])
}

/// Returns whether what is published now was held for one of these reasons.
fn was_held(input: &StatusInput<'_>, published: &PublishedStatus, reasons: &[&str]) -> bool {
    let held = input.previous.held.as_ref().filter(|held| held.fingerprint == published.fingerprint);
    held.is_some_and(|held| reasons.contains(&held.reason.as_str()))
}

/// Returns the user who had this published past what held it, without a rehearsal, or before its last step.
fn by<'a>(input: &'a StatusInput<'_>, published: &PublishedStatus) -> Option<&'a str> {
    let SteeringInput { promoted_by, anyway_by, shrink_by, .. } = &input.steering;
    let shrank = was_held(input, published, &[reason::SHRINK_HELD]);
    let by = promoted_by.as_ref().or(anyway_by.as_ref()).or(shrink_by.as_ref().filter(|_| shrank));
    by.map(String::as_str)
}

/// Returns whether `next` says anything new. The time of the last verification, and the time that the status speaks of,
/// are worth a write by themselves only every ten minutes: metrics and answers to reports have the first exactly, and
/// the endpoint for convergence has the second.
#[must_use]
pub fn worth_writing(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> bool {
    const DATED_EVERY: Duration = Duration::from_secs(600);
    let mut aligned = next.clone();
    let recent = |before: &Option<Time>, after: &Option<Time>| match (before, after) {
        (Some(before), Some(after)) => after.0.duration_since(before.0).unsigned_abs() < DATED_EVERY,
        _ => false,
    };
    if let (Some(before), Some(after)) = (&previous.source, &mut aligned.source)
        && recent(&before.last_success, &after.last_success)
    {
        after.last_success.clone_from(&before.last_success);
    }
    if let (Some(before), Some(after)) = (&previous.fleet, &mut aligned.fleet)
        && recent(&before.as_of, &after.as_of)
    {
        after.as_of.clone_from(&before.as_of);
    }
    // The number of requests in a row to a host that is away is no news either.
    if let (Some(before), Some(after)) = (&previous.source, &mut aligned.source)
        && before.consecutive_failures > 0
        && after.consecutive_failures > 0
    {
        after.consecutive_failures = before.consecutive_failures;
    }
    aligned != *previous
}

/// Returns whether a status is at rest: nothing in it is expected to change soon.
#[must_use]
pub fn settled(status: &RototoWorkspaceStatus) -> bool {
    use rototo_api::condition::RECONCILING;
    status.conditions.iter().all(|condition| condition.type_ != RECONCILING)
}

#[cfg(test)]
mod tests;
