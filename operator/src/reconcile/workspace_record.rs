//! The memory of one workspace, while the operator runs. Nothing in it is the truth: git, the marker, and the next
//! reports of its processes have all of it.
//!
//! [`WorkspaceRecord`] keeps the parts under one lock. Each part changes itself, through methods that name what
//! happened; the methods here are those that need several parts at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use opentelemetry::trace::SpanContext;
use rototo_api::UpdatedAt;
use rototo_api::condition::reason;
use rototo_api::convergence::Straggler;
use rototo_api::evidence::FleetEvidence;
use rototo_api::fleet::{Report, ReportResponse};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::{
    Fleet, FleetView, Moment, NoRoom, PodIdentity, Pods, RehearsalRules, RehearsalView, ReportOutcome, StageCounts,
};
use rototo_protocol::plan::{MapVersion, MarkerMap, MarkerPlan, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, Detection, PublishInput};
use rototo_protocol::rollout::{RolloutDecision, StageFacts};
use rototo_protocol::windows::Windows;
use rototo_protocol::{Marked, Publish};

use crate::fleet::clock;
use crate::fleet::process_count::FleetCount;
use crate::load::owned_task::OwnedTask;
use crate::marker::record::MarkerRecord;
use crate::outbound::analysis::record::AnalysisRecord;
use crate::outbound::notify::outbox::{Destination, Outbox};
use crate::outbound::notify::state::CommitState;
use crate::outbound::telemetry::{Announcement, Change, ChangeTraces, Refusal, WallClock};
use crate::reconcile::hold_record::{Held, HoldRecord};
use crate::source::candidate::{Candidate, LintVerdict, PollTimes};
use crate::source::record::SourceRecord;
use crate::status::record::StatusRecord;
use crate::workspace_key::WorkspaceKey;

/// One workspace.
#[derive(Debug)]
pub(crate) struct WorkspaceRecord {
    /// The UID of the object: a namesake created later starts from nothing.
    uid: String,
    /// The source and what the polls found.
    pub(super) source: SourceRecord,
    /// The marker and the write under way.
    pub(super) marker: MarkerRecord,
    /// The accepted content that is held.
    pub(super) hold: HoldRecord,
    /// The measurements of the rollout.
    pub(super) analysis: AnalysisRecord,
    /// The states of commits, and what their git host has of them.
    pub(super) outbox: Outbox,
    /// The request that reports about a commit.
    pub(super) commit_status: OwnedTask,
    /// The attempt to read lost content again.
    pub(super) recovery: OwnedTask,
    /// The publish that was taken back last, and the processes for which it was.
    taken_back: Option<(Publish, Vec<Straggler>)>,
    /// The announced publish that was accepted by other rules than those of the last answer, and not by these.
    outdated: Option<Publish>,
    /// The evidence of who runs what.
    fleet: Fleet,
    /// The status as it was written last.
    pub(super) status: StatusRecord,
    /// The traces of changes; empty where none are sent.
    pub(super) traces: ChangeTraces,
    /// `spec.staleAfter`, for requests over HTTP.
    stale_after: Duration,
    /// `spec.suspend`: what is published stays published, without being confirmed.
    suspended: bool,
    /// A report has said something new, and a reconcile is about to be asked for.
    requeue_pending: bool,
    /// The evidence was passed on to the next leader, which takes the reports from now on.
    handed_over: bool,
    /// The part of the fleet in the count of all fleets.
    count: FleetCount,
}

/// The answer to a report, and what has to be done about it.
pub(crate) struct ReportReceipt {
    pub(crate) answer: ReportResponse,
    /// The time at which a reconcile has to be asked for.
    pub(crate) requeue: RequeueTime,
    /// The time since the detection of a publish that this process applied first with this report.
    pub(crate) applied_first: Option<Duration>,
}

/// The time at which a report makes a reconcile necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequeueTime {
    /// The report says nothing new, or a reconcile is about to be asked for.
    Never,
    /// Soon, for all reports that arrive together.
    TogetherWithOthers,
    /// At once: a publish waits for it.
    Now,
}

/// One record, shared between the reconciler and requests over HTTP. It is locked for moments only, never across an
/// await.
#[derive(Clone)]
pub(crate) struct SharedRecord(Arc<Mutex<WorkspaceRecord>>);

impl SharedRecord {
    /// Shares a record.
    pub(super) fn new(record: WorkspaceRecord) -> Self {
        Self(Arc::new(Mutex::new(record)))
    }

    /// Locks the record. A panic elsewhere while it was locked leaves facts behind that are still facts.
    pub(crate) fn lock(&self) -> MutexGuard<'_, WorkspaceRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkspaceRecord {
    /// Creates the record of a workspace of which no process has reported yet.
    pub(super) fn new(uid: String, spec: &RototoWorkspaceSpec, fleet: Fleet) -> Self {
        Self {
            uid,
            source: SourceRecord::default(),
            marker: MarkerRecord::default(),
            hold: HoldRecord::default(),
            analysis: AnalysisRecord::default(),
            outbox: Outbox::default(),
            commit_status: OwnedTask::default(),
            recovery: OwnedTask::default(),
            taken_back: None,
            outdated: None,
            fleet,
            status: StatusRecord::default(),
            traces: ChangeTraces::default(),
            stale_after: spec.stale_after(),
            suspended: spec.suspend,
            requeue_pending: false,
            handed_over: false,
            count: FleetCount::default(),
        }
    }

    /// Counts the processes of its fleet in this count, beside those of others.
    pub(super) fn counted_in(mut self, count: FleetCount) -> Self {
        self.count = count;
        self.count.count(self.fleet.size());
        self
    }

    /// Returns whether this is the record of the object with this UID.
    pub(super) fn is_of(&self, uid: &str) -> bool {
        self.uid == uid
    }

    /// Takes the spec of the workspace.
    pub(crate) fn follow(&mut self, spec: &RototoWorkspaceSpec) {
        self.source.follow(spec, Instant::now());
        self.stale_after = spec.stale_after();
        self.suspended = spec.suspend;
    }

    /// Ends everything that runs for the workspace, because it is forgotten. Each of these tasks holds the record, which
    /// would not go before them.
    pub(super) fn end_tasks(&mut self) {
        self.source.abort_poll();
        self.analysis.abort();
        self.commit_status.end();
        self.recovery.end();
    }

    /// Begins to send the newest state of a commit that is due, if none is being sent.
    pub(super) fn begin_commit_status(&mut self, now: Instant) -> Option<(Destination, CommitState)> {
        if !self.commit_status.runs() {
            self.outbox.abandon();
        }
        self.outbox.begin(now)
    }

    /// Returns whether to read lost content again now. One attempt runs at a time, and the next one waits.
    pub(super) fn begin_recovery(&mut self, now: Instant) -> bool {
        !self.recovery.runs() && self.marker.begin_recovery(now)
    }

    /// Records that an attempt to read lost content again has ended.
    pub(super) fn recovery_ended(&mut self, now: Instant) {
        self.recovery.ended();
        self.marker.recovery_ended(now);
    }

    /// Takes a reading of the map. Returns the publish of an earlier write whose answer was lost, if the map shows that
    /// it happened.
    pub(super) fn map_observed(&mut self, map: &MarkerMap) -> Option<AcceptedPublish> {
        let announcement = self.announcement();
        let accepted = self.marker.map_observed(map, &mut self.fleet, clock::now())?;
        self.traces.published(&accepted, announcement);
        Some(accepted)
    }

    /// Decides what to do about the marker.
    pub(super) fn decide(&self, map: MarkerMap, input: PublishInput<'_>) -> MarkerPlan {
        self.marker.publisher().decide(&self.fleet, map, input, clock::now(), Timestamp::now())
    }

    /// Records that the marker is correct and says this, or nothing.
    pub(super) fn marker_confirmed(&mut self, marked: Option<Marked>) {
        self.marker.confirmed(marked, &mut self.fleet, clock::now());
        if let Some(marked) = marked {
            self.traces.confirmed(&marked.publish);
        }
        self.note_variables();
    }

    /// Records that a write of the marker is about to be sent to a fleet with these pods. Returns `false` if that has
    /// to wait, because the same write has just failed.
    pub(super) fn begin_write(&mut self, marked: Marked, at: &MapVersion, reason: WriteReason, pods: Pods) -> bool {
        if !self.marker.may_write(&marked, Instant::now()) {
            return false;
        }
        let candidate = self.source.candidate_of(marked.publish.fingerprint);
        let detection = candidate.map(|candidate| detection(candidate.times));
        self.fleet.observe(pods);
        self.marker.begin_write(marked, at, reason, detection, &self.fleet, clock::now());
        true
    }

    /// Records that the API server has accepted the write that was sent, and the fleet has these pods. Returns the
    /// publish, if the write was one.
    pub(super) fn accepted(&mut self, pods: Pods) -> Option<AcceptedPublish> {
        self.fleet.observe(pods);
        let announcement = self.announcement();
        let accepted = self.marker.accepted(&mut self.fleet, clock::now());
        self.note_variables();
        if let Some(accepted) = &accepted {
            self.traces.published(accepted, announcement);
        }
        accepted
    }

    /// Returns the announcement that the marker has now. A publish ends it.
    fn announcement(&self) -> Option<Announcement> {
        Some(Announcement { since: self.fleet.announced_since()?, staged: self.fleet.is_staged() })
    }

    /// Records that a poll has ended. Begins the trace of a change if it found one.
    pub(super) fn trace_change(&mut self, workspace: &WorkspaceKey) {
        let Some(candidate) = self.source.candidate() else { return };
        let refusal = match &candidate.verdict {
            LintVerdict::Accepted => None,
            LintVerdict::Refused(refusal) => Some(Refusal { errors: refusal.errors, warnings: refusal.warnings }),
        };
        let change = Change {
            workspace: workspace.clone(),
            revision: candidate.revision.as_ref().map(ToString::to_string),
            fingerprint: candidate.fingerprint,
            detection: detection(candidate.times),
        };
        let published = self.marker.publisher().published().map(|publish| publish.fingerprint);
        let clock = WallClock { moment: clock::now(), time: SystemTime::now() };
        self.traces.polled(change, refusal, published, clock);
    }

    /// Notes the variables of what is published while its content is in memory.
    fn note_variables(&mut self) {
        let published = self.marker.publisher().published().map(|publish| publish.fingerprint);
        let published = published.filter(|published| self.source.candidate_of(*published).is_some());
        if let (Some(published), Some(tree)) = (published, self.source.tree()) {
            self.hold.published(published, tree);
        }
    }

    /// Returns the fingerprint of the newest content, if lint accepts it, and it was judged and is not held.
    pub(super) fn released(&self) -> Option<Fingerprint> {
        let accepted = self.source.accepted().filter(|accepted| self.hold.releases(accepted));
        accepted.map(|candidate| candidate.fingerprint)
    }

    /// Returns the fingerprint of the newest content, if it may be published: it is [released](Self::released), and the source
    /// has confirmed it under the spec as it is now.
    pub(super) fn publishable(&self) -> Option<Fingerprint> {
        self.released().filter(|_| self.source.is_confirmed())
    }

    /// Returns whether it is known what the source has under the spec as it is now, and what is to become of it: lint refuses
    /// it, or it was judged.
    pub(super) fn knows_source(&self) -> bool {
        let is_judged = |newest: &Candidate| newest.verdict != LintVerdict::Accepted || self.hold.has_judged(newest);
        self.source.is_confirmed() && self.source.candidate().is_some_and(is_judged)
    }

    /// Notes that the source has answered by other rules than before: newer content does not wait for the end of a rollout
    /// that these rules have not accepted.
    pub(super) fn note_other_rules(&mut self) {
        let next = self.marker.publisher().marked().and_then(|marked| marked.next);
        self.outdated = next.filter(|next| self.source.candidate_of(next.fingerprint).is_none());
    }

    /// Returns whether newer content may wait for the end of the rollout of `next`: no rule has changed since that was
    /// accepted, as far as this process knows.
    pub(super) fn is_awaited(&self, next: Publish) -> bool {
        self.source.is_confirmed() && self.outdated != Some(next)
    }

    /// Returns the newest content of the source, if it is held.
    pub(super) fn held(&self) -> Option<&Held> {
        self.hold.held(self.source.accepted()?)
    }

    /// Takes the pods of the fleet, before a decision about it.
    pub(super) fn observe(&mut self, pods: Pods) {
        self.fleet.observe(pods);
    }

    /// Counts the fleet, which has these pods. The last report without a known sender was turned away at `turned_away`.
    pub(super) fn count_fleet(&mut self, pods: Pods, turned_away: Moment) -> FleetView {
        self.fleet.turned_away(turned_away);
        self.fleet.observe(pods);
        let view = self.fleet.view(clock::now());
        self.count.count(self.fleet.size());
        self.traces.counted(&view, self.marker.publisher().published(), clock::now());
        view
    }

    /// Returns the newest name that was announced, as far as this process knows.
    pub(super) fn newest_announced(&self) -> Option<UpdatedAt> {
        self.fleet.newest_announced()
    }

    /// Returns the processes of the fleet as it was counted last, one by one.
    pub(super) fn roster(&self) -> Vec<Straggler> {
        self.fleet.roster(clock::now())
    }

    /// Handles that the Lease had run out for a while, and reports were turned away: who runs what is counted anew.
    pub(super) fn lapsed(&mut self) {
        self.fleet.listening_interrupted(clock::now());
    }

    /// Returns the decision about the rollout of the publish that is announced, of whose rehearsal this is the view.
    pub(super) fn rollout(&self, rehearsal: &RehearsalView, input: &PublishInput<'_>) -> Option<RolloutDecision> {
        self.marker.publisher().rollout(&self.fleet, rehearsal, input, clock::now(), Timestamp::now())
    }

    /// Returns the observations about the stage of a rollout.
    pub(super) fn stage_facts(&self) -> StageFacts {
        let stage = self.marker.publisher().marked().and_then(|marked| marked.stage);
        self.fleet.stage_facts(stage, clock::now())
    }

    /// Returns the pods of the stage, by name.
    pub(super) fn stage_pods(&self) -> Vec<String> {
        self.fleet.stage_pods(clock::now())
    }

    /// Records that this publish is about to be taken back. The evidence for it is gone as soon as it is.
    pub(super) fn note_taken_back(&mut self, publish: Publish) {
        if self.taken_back.as_ref().is_none_or(|(before, _)| *before != publish) {
            let StageFacts { refused, degraded, .. } = self.stage_facts();
            self.taken_back = Some((publish, [refused, degraded].concat()));
        }
    }

    /// Returns the processes for which a publish was taken back, as far as this process knows.
    pub(super) fn taken_back_for(&self, publish: Publish) -> Vec<Straggler> {
        let known = self.taken_back.as_ref().filter(|(known, _)| *known == publish);
        known.map(|(_, processes)| processes.clone()).unwrap_or_default()
    }

    /// Returns the counts of both sides of a rollout.
    pub(super) fn stage_counts(&self) -> StageCounts {
        self.fleet.stage_counts(clock::now())
    }

    /// Returns the rehearsal of the announced publish, by these rules.
    pub(super) fn rehearsal(&self, rules: RehearsalRules) -> Option<RehearsalView> {
        self.fleet.rehearsal(rules, clock::now())
    }

    /// Returns the snapshots that must not be deleted: of what the marker names or is about to, of what processes run,
    /// and of what status remembers.
    pub(super) fn kept(&self, workspace: &RototoWorkspace) -> BTreeSet<Fingerprint> {
        let remembered = self.status.history(workspace).iter().filter_map(|entry| entry.fingerprint.parse().ok());
        let marked = self.marker.publisher().marked().into_iter().chain(self.marker.publisher().attempted());
        let publishes = marked.flat_map(|marked| [Some(marked.publish), marked.next]).flatten();
        remembered
            .chain(publishes.map(|publish| publish.fingerprint))
            .chain(self.fleet.named())
            .chain(self.source.candidate().map(|candidate| candidate.fingerprint))
            .collect()
    }

    /// Returns the age of the last confirmation of what is published. Content that can't change, or is not to, never
    /// grows old.
    pub(super) fn verified_ago(&self, now: Instant) -> Option<Duration> {
        if self.suspended { Some(Duration::ZERO) } else { self.source.verified_ago(now) }
    }

    /// Returns the time from which on what is published is stale, if the source does not answer before.
    pub(super) fn stale_at(&self) -> Option<Instant> {
        self.source.confirmed_at().map(|confirmed| confirmed + self.stale_after)
    }

    /// Returns the evidence about the fleet, to be passed on to the next leader, with the UID of the workspace. This
    /// process takes no report afterwards. `None` during a recount. `pods` are those of now.
    pub(crate) fn hand_over(&mut self, pods: Pods, turned_away: Moment) -> Option<(String, FleetEvidence)> {
        self.handed_over = true;
        self.fleet.turned_away(turned_away);
        self.fleet.observe(pods);
        Some((self.uid.clone(), self.fleet.evidence(clock::now())?))
    }

    /// Records that a process has reported, at `received`. `jitter` lies between 0 and 1. `None` after
    /// [`Self::hand_over`], and an error if there is no room for the process.
    pub(crate) fn report(
        &mut self,
        report: &Report,
        pod: Option<PodIdentity>,
        received: Moment,
        jitter: f64,
    ) -> Option<Result<ReportReceipt, NoRoom>> {
        if self.handed_over {
            return None;
        }
        if let Some(full) = self.count.full()
            && self.fleet.turns_away(report, pod.as_ref(), full, received)
        {
            return Some(Err(full));
        }
        let taken = self.fleet.report(report, pod, received, jitter);
        self.count.count(self.fleet.size());
        let taken = match taken {
            Ok(taken) => taken,
            Err(full) => return Some(Err(full)),
        };
        let applied_first = taken.applied_first;
        // A heartbeat that says nothing new is no reason to count anew.
        let requeue = match taken {
            ReportOutcome { decides: true, .. } => RequeueTime::Now,
            ReportOutcome { news: true, .. } if !std::mem::replace(&mut self.requeue_pending, true) => {
                RequeueTime::TogetherWithOthers
            }
            _ => RequeueTime::Never,
        };
        Some(Ok(ReportReceipt { answer: self.answer(taken, Instant::now()), requeue, applied_first }))
    }

    /// Records that the reconcile that a report made necessary is asked for.
    pub(crate) fn requeued(&mut self) {
        self.requeue_pending = false;
    }

    /// Returns the answer to a report: what a process of this workspace should run.
    fn answer(&self, taken: ReportOutcome, now: Instant) -> ReportResponse {
        let published = taken.intended.or(self.marker.publisher().published());
        let candidate = published.and_then(|publish| self.source.candidate_of(publish.fingerprint));
        let revision = candidate.and_then(|candidate| candidate.revision.as_ref()).map(ToString::to_string);
        let remembered = || self.status.revision_of(published?.updated_at).cloned();
        ReportResponse {
            fingerprint: published.map(|publish| publish.fingerprint.to_string()),
            updated_at: published.map(|publish| publish.updated_at),
            revision: revision.or_else(remembered),
            verified_ms_ago: self.verified_ago(now).map(millis),
            stale_after_ms: millis(self.fleet.windows().staleness(self.stale_after)),
            next_report_in_ms: millis(taken.next),
            report_applied_within_ms: millis(taken.applied_within),
            siblings: taken.siblings,
            next: self.fleet.announced_publish().map(Publish::to_next),
        }
    }

    /// Returns the id of the trace that an Event of this reason, or a line of the log, is about.
    pub(super) fn trace_of(&self, reason: &str) -> Option<String> {
        match reason {
            reason::PUBLISHED | reason::CONVERGE_DEADLINE_EXCEEDED => {
                self.traces.id_of(self.marker.publisher().published())
            }
            reason::LINT_REFUSED => self.traces.id_of_refused(),
            _ => None,
        }
    }

    /// Returns the windows of the fleet.
    pub(crate) fn windows(&self) -> Windows {
        self.fleet.windows()
    }

    /// Records that a git host has called, as part of the span of `sender`, if changes have traces.
    pub(crate) fn webhook_called(&mut self, now: Instant, sender: Option<SpanContext>) {
        self.source.webhook_called(now);
        if let Some(sender) = sender {
            self.traces.called(sender, clock::moment(now));
        }
    }
}

fn detection(times: PollTimes) -> Detection {
    let [detected, fetched, linted] = [times.detected, times.fetched, times.linted].map(clock::moment);
    Detection { detected, fetched, linted }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
