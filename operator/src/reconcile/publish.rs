//! Makes the marker name what the source has: decides, writes, and decides again when the map has changed meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rototo_api::UpdatedAt;
use rototo_api::condition::reason;
use rototo_api::marker::{Gate, Stage};
use rototo_api::rollout::RequestStatus;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::analysis::AnalysisRun;
use rototo_protocol::plan::{MapVersion, MarkerMap, MarkerPlan, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, PublishInput};
use rototo_protocol::rollout::{Action, Request, Step};
use rototo_protocol::{Marked, Publish};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::fleet::clock;
use crate::marker::map::WriteError;
use crate::marker::markers::UnansweredWrite;
use crate::marker::problem::PublishProblem;
use crate::reconcile::analysis::runs;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::hold::hold_if_shrunk;
use crate::reconcile::recover::recover_if_lost;
use crate::reconcile::rehearsal::{is_published_anyway, rules};
use crate::reconcile::rollout::{is_rejected, parse, queues, request, steps};
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::status::events::WorkspaceEvent;
use crate::workspace_key::WorkspaceKey;

/// The number of decisions on one map that keeps changing.
const ATTEMPTS: u32 = 5;
/// The time for which a reconcile waits for its turn, before it goes on with what needs none.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// Writes the marker if it does not name what the source has. `term` is the lease term in which this reconcile began:
/// in another one, nothing is written.
pub(crate) async fn publish(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) {
    let publishing = Publishing { workspace, shared, context, key: WorkspaceKey::of(workspace) };
    // All workspaces of a namespace share one map: taking turns costs less than conflicts.
    let turn = context.markers().turn(&publishing.key.namespace);
    let tenure = context.leadership().tenure();
    if !context.markers().is_taken_over(&publishing.key.namespace, tenure) {
        let Some(_turn) = publishing.wait_for(&turn).await else { return };
        let leads = || context.leadership().term(Instant::now()) == Some(term);
        if let Err(problem) = context.markers().take_over(&publishing.key.namespace, tenure, leads).await {
            return publishing.failed(problem);
        }
    }
    hold_if_shrunk(workspace, shared, context).await;
    publishing.copy_to_replicas().await;
    let events = {
        let Some(_turn) = publishing.wait_for(&turn).await else { return };
        publishing.take_turn(term).await
    };
    publishing.complete_claim().await;
    context.statuses().send_events(workspace, events);
}

/// One workspace while its marker is decided and written.
struct Publishing<'a> {
    workspace: &'a RototoWorkspace,
    shared: &'a SharedRecord,
    context: &'a Arc<OperatorContext>,
    key: WorkspaceKey,
}

/// The outcome of one attempt to write the marker.
enum Attempt {
    /// Nothing more is to be done now. A write that happened may have an Event.
    Ended(Option<WorkspaceEvent>),
    /// The map shows what has become of the write, so the decision is made again.
    Unclear,
}

impl Publishing<'_> {
    /// Waits for the turn of the namespace. A reconcile that does not get it in time goes on without, so that the fleet is
    /// counted while a write of another workspace hangs, and another reconcile waits again.
    async fn wait_for<'turn>(&self, turn: &'turn Mutex<()>) -> Option<MutexGuard<'turn, ()>> {
        let waited = timeout(TURN_WITHIN, turn.lock()).await;
        if waited.is_err() {
            self.context.cluster().requeue(&self.key);
        }
        waited.ok()
    }

    /// Sends accepted content to the other replicas before its marker is written. Only this workspace waits, and for a
    /// second at most.
    async fn copy_to_replicas(&self) {
        let Some(copies) = self.context.copies() else { return };
        let (accepted, published, announced, alone) = {
            let record = self.shared.lock();
            let marked = record.marker.publisher().marked();
            let announced = marked.and_then(|marked| marked.next).map(|next| next.fingerprint);
            let rolling = announced.filter(|_| queues(self.workspace, &record, self.context));
            let accepted = rolling.or(record.publishable());
            (accepted, marked.map(|marked| marked.publish.fingerprint), announced, record.marker.is_alone())
        };
        let next = accepted.filter(|accepted| Some(*accepted) != published);
        if let Some(next) = next.filter(|next| Some(*next) == announced) {
            // It was sent before it was announced: a publish does not wait for the same replicas twice.
            if copies.is_copied(&self.key, next) {
                self.shared.lock().marker.copied(next, true);
            }
        } else if let Some(next) = next.filter(|next| self.context.sources().snapshots().has(&self.key, next)) {
            let kept = self.shared.lock().kept(self.workspace);
            let copied = copies.copy(&self.key, next, published, kept).await;
            self.shared.lock().marker.copied(next, copied);
        } else if let Some(published) = published.filter(|published| alone && copies.is_copied(&self.key, *published)) {
            self.shared.lock().marker.copied(published, true);
        }
    }

    /// Completes the command that takes over the map of another install. The API server is asked who this process is while
    /// nobody waits for the turn.
    async fn complete_claim(&self) {
        let foreign = |record: &WorkspaceRecord| match record.marker.problem() {
            Some(PublishProblem::Foreign { owner, .. }) => Some(owner.clone()),
            _ => None,
        };
        if foreign(&self.shared.lock()).is_none() {
            return;
        }
        self.context.markers().learn_user().await;
        let mut record = self.shared.lock();
        if let Some(owner) = foreign(&record) {
            record.marker.foreign(owner, self.context.markers().claim(&self.key.namespace));
        }
    }

    /// Decides and writes while [`publish`] has the turn. Returns the Events to write afterwards.
    async fn take_turn(&self, term: u64) -> Vec<WorkspaceEvent> {
        let WorkspaceKey { namespace, name } = &self.key;
        let mut events = Vec::new();
        for _ in 0..ATTEMPTS {
            // The workspace may have been deleted during the wait for the turn. A marker of it would stay until the
            // next sweep.
            if self.context.leadership().term(Instant::now()) != Some(term)
                || !self.context.cluster().still_exists(self.workspace)
            {
                return events;
            }
            let map = self.context.markers().read(namespace, name);
            events.extend(self.landed_before(&map));
            let (marked, at, reason) = match self.decide(map) {
                MarkerPlan::Wait => {
                    self.shared.lock().marker_confirmed(None);
                    return events;
                }
                MarkerPlan::Keep(marked) => {
                    self.shared.lock().marker_confirmed(Some(marked));
                    recover_if_lost(self.workspace, self.shared, self.context, &marked.publish);
                    return events;
                }
                MarkerPlan::Forbidden { owner } => {
                    let claim = self.context.markers().claim(namespace);
                    self.shared.lock().marker.foreign(owner, claim);
                    return events;
                }
                MarkerPlan::VerifyAgain => {
                    if !self.verify_source_and_map().await {
                        return events;
                    }
                    continue;
                }
                MarkerPlan::Readdress { marked, at } => (marked, at, None),
                MarkerPlan::Write { marked, at, reason } => (marked, at, Some(reason)),
            };
            match self.write(marked, &at, reason).await {
                Attempt::Ended(event) => {
                    events.extend(event);
                    return events;
                }
                Attempt::Unclear => {}
            }
        }
        self.failed(PublishProblem::Unavailable(WriteError::Conflict.to_string()));
        events
    }

    /// Writes the marker, if that makes sense now. Without a `reason`, only the contents of the map beside the markers
    /// change.
    async fn write(&self, marked: Marked, at: &MapVersion, reason: Option<WriteReason>) -> Attempt {
        let WorkspaceKey { namespace, name } = &self.key;
        if let Some(UnansweredWrite { until, error }) = self.context.markers().unanswered(namespace) {
            self.shared.lock().marker.waits(PublishProblem::Unavailable(error), until.into_std());
            return Attempt::Ended(None);
        }
        if reason.is_some_and(|reason| !self.begin_write(marked, at, reason)) {
            return Attempt::Ended(None);
        }
        match self.context.markers().publish(namespace, name, marked, at).await {
            Ok(()) => {
                let event = if reason.is_some() {
                    self.accepted()
                } else {
                    self.shared.lock().marker_confirmed(Some(marked));
                    None
                };
                if reason == Some(WriteReason::Announcement) {
                    let announced = marked.next.map(|next| next.fingerprint);
                    debug!(namespace, name, ?announced, "the marker announces something else");
                }
                self.delete_old_snapshots().await;
                Attempt::Ended(event)
            }
            Err(WriteError::Refused(message)) => {
                self.failed(PublishProblem::Refused(message));
                Attempt::Ended(None)
            }
            Err(WriteError::Conflict) => match self.context.markers().refresh(namespace).await {
                Ok(()) => Attempt::Unclear,
                Err(problem) => {
                    self.failed(problem);
                    Attempt::Ended(None)
                }
            },
            Err(WriteError::Unavailable(error)) => {
                // It may have happened all the same, now or later. While the map does not show it, the next reconcile looks
                // again.
                let is_read = self.context.markers().refresh(namespace).await.is_ok();
                if is_read && !is_at(&self.context.markers().read(namespace, name), at) {
                    return Attempt::Unclear;
                }
                self.failed(PublishProblem::Unavailable(error));
                Attempt::Ended(None)
            }
        }
    }

    /// Notices in the map that an earlier write happened whose answer was lost.
    fn landed_before(&self, map: &MarkerMap) -> Option<WorkspaceEvent> {
        let accepted = self.shared.lock().map_observed(map)?;
        self.note(&accepted)
    }

    fn decide(&self, map: MarkerMap) -> MarkerPlan {
        let marked = self.shared.lock().marker.publisher().marked();
        if marked.is_some_and(|marked| marked.next.is_some()) {
            // A step is decided on the pods that the present spec selects.
            let pods = self.context.cluster().pods(self.workspace);
            self.shared.lock().observe(pods);
        }
        let published = marked.map(|marked| marked.publish);
        // Status matters only while nothing is known to be published: otherwise the disk is not asked for its content.
        let remembered = if published.is_none() { self.remembered() } else { None };
        let remembered_held = remembered.and_then(|_| remembered_held(self.workspace));
        let remembered_rollout = remembered.and_then(|_| remembered_rollout(self.workspace));
        let remembered_rollout = remembered_rollout.filter(|(next, _)| self.keeps(next));
        let (record, steps) = (self.shared.lock(), steps(self.workspace));
        let analyses = runs(self.workspace, &record);
        let queues = queues(self.workspace, &record, self.context);
        let input = input(self.workspace, &record, queues, (&steps, &analyses));
        let input = PublishInput { remembered, remembered_held, remembered_rollout, ..input };
        record.decide(map, input)
    }

    /// Returns the last publish by status, if its content is on the disk.
    fn remembered(&self) -> Option<Publish> {
        let published = self.workspace.status.as_ref()?.published.as_ref()?;
        let fingerprint = published.fingerprint.parse().ok()?;
        Some(Publish { fingerprint, updated_at: published.updated_at }).filter(|publish| self.keeps(publish))
    }

    /// Returns whether the content of a publish is on the disk.
    fn keeps(&self, publish: &Publish) -> bool {
        self.context.sources().snapshots().has(&self.key, &publish.fingerprint)
    }

    /// Polls the source and reads the map again before a change of somebody else is undone. Returns whether to decide
    /// again now.
    async fn verify_source_and_map(&self) -> bool {
        {
            let mut record = self.shared.lock();
            if !record.marker.doubt(clock::now()) {
                return false;
            }
            record.source.request_poll(Instant::now());
        }
        self.context.cluster().requeue(&self.key);
        // The watch may lag behind what processes have seen.
        self.context.markers().refresh(&self.key.namespace).await.is_ok()
    }

    /// Notes that a write is about to be sent. Returns `false` if it must not be sent now.
    fn begin_write(&self, marked: Marked, at: &MapVersion, reason: WriteReason) -> bool {
        // Others use the disk too: a marker must not name, or announce, content that can't be served. What it already
        // names stays.
        let written = marked.next.or((reason != WriteReason::Announcement).then_some(marked.publish));
        if let Some(Publish { fingerprint, .. }) = written.filter(|written| !self.keeps(written)) {
            self.shared.lock().source.content_lost(Instant::now());
            self.note_problem(PublishProblem::NotKept { fingerprint });
            return false;
        }
        let pods = self.context.cluster().pods(self.workspace);
        let mut record = self.shared.lock();
        if let Some((taken_back, _)) = marked.held {
            record.note_taken_back(taken_back);
        }
        record.begin_write(marked, at, reason, pods)
    }

    /// Records that the API server has accepted the write: from now on the fleet is counted against this publish.
    fn accepted(&self) -> Option<WorkspaceEvent> {
        let pods = self.context.cluster().pods(self.workspace);
        let accepted = self.shared.lock().accepted(pods)?;
        self.note(&accepted)
    }

    /// Logs and counts a publish. Returns its Event, if it has one.
    fn note(&self, accepted: &AcceptedPublish) -> Option<WorkspaceEvent> {
        let WorkspaceKey { namespace, name } = &self.key;
        let fingerprint = accepted.publish.fingerprint;
        self.context.metrics().applied_early(accepted);
        match accepted.reason {
            WriteReason::ContentChanged => {
                self.context.metrics().published(&accepted.times);
                if self.shared.lock().marker.is_alone() {
                    self.context.metrics().published_without_copy();
                }
                let trace_id = self.shared.lock().trace_of(reason::PUBLISHED);
                info!(namespace, name, %fingerprint, trace_id, "published");
                None
            }
            WriteReason::PutBack => {
                self.context.metrics().put_back();
                warn!(namespace, name, %fingerprint, "put back a marker that somebody else had changed");
                Some(WorkspaceEvent::marker_put_back(&fingerprint.to_string()))
            }
            // An announcement publishes nothing.
            WriteReason::Announcement => None,
        }
    }

    async fn delete_old_snapshots(&self) {
        let kept = {
            let record = self.shared.lock();
            // The record does not know yet what a running poll keeps. The next publish deletes old snapshots as well.
            if record.source.is_polling() {
                return;
            }
            record.kept(self.workspace)
        };
        if let Err(error) = self.context.sources().snapshots().retain(&self.key, kept).await {
            let WorkspaceKey { namespace, name } = &self.key;
            warn!(namespace, name, %error, "old snapshots could not be deleted");
        }
    }

    /// Counts a request to the API server that failed.
    fn failed(&self, problem: PublishProblem) {
        self.context.metrics().publish_failed();
        self.note_problem(problem);
    }

    fn note_problem(&self, problem: PublishProblem) {
        let WorkspaceKey { namespace, name } = &self.key;
        let mut record = self.shared.lock();
        // A failure that lasts is one line, and a condition.
        if record.marker.problem() != Some(&problem) {
            warn!(namespace, name, error = %problem, "the marker could not be written, and is tried again");
        }
        record.marker.write_failed(problem, Instant::now());
    }
}

/// Returns whether a map is still in the state that a write was for.
fn is_at(map: &MarkerMap, at: &MapVersion) -> bool {
    match (map, at) {
        (MarkerMap::Missing, MapVersion::Missing) => true,
        (MarkerMap::Ours { resource_version, .. }, MapVersion::Version(version)) => resource_version == version,
        _ => false,
    }
}

/// Returns what a decision about the marker is made from, without what status remembers. `queues` says whether newer content
/// waits for the end of a rollout.
pub(super) fn input<'a>(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    queues: bool,
    (steps, analyses): (&'a [Step], &'a [AnalysisRun]),
) -> PublishInput<'a> {
    PublishInput {
        accepted: record.publishable(),
        remembered: None,
        remembered_held: None,
        remembered_rollout: None,
        last_published_name: last_published_name(workspace),
        polled_at: record.source.last_poll_began().map(clock::moment),
        candidate_known: record.knows_source() || is_rejected(workspace, record),
        suspended: workspace.spec.suspend,
        rehearsal: rules(workspace, record),
        steps,
        analyses,
        request: request(workspace),
        anyway: is_published_anyway(workspace, record),
        queues,
    }
}

/// Returns the publish that was taken back, by status.
fn remembered_held(workspace: &RototoWorkspace) -> Option<(Publish, Gate)> {
    let status = workspace.status.as_ref()?;
    let held = status.held.as_ref().filter(|held| held.reason == reason::HELD_BACK)?;
    let updated_at = held.announced_as?;
    let abort = Request { action: Action::Abort, of: updated_at };
    let aborted = |request: &RequestStatus| parse(&request.request) == Ok(abort);
    let gate = match &held.analysis {
        Some(_) => Gate::Analysis,
        None if status.request.as_ref().is_some_and(aborted) => Gate::Aborted,
        None => Gate::Other,
    };
    Some((Publish { fingerprint: held.fingerprint.parse().ok()?, updated_at }, gate))
}

/// Returns the publish that is rolled out, and its stage, by status. The time at which the step began is in whole seconds
/// there.
fn remembered_rollout(workspace: &RototoWorkspace) -> Option<(Publish, Stage)> {
    let rollout = workspace.status.as_ref()?.rollout.as_ref()?;
    let next = Publish { fingerprint: rollout.fingerprint.as_ref()?.parse().ok()?, updated_at: rollout.announced_as? };
    Some((next, Stage { step: rollout.step, since: rollout.since.0, below: rollout.below? }))
}

/// Returns the last name of a publish that status knows of.
fn last_published_name(workspace: &RototoWorkspace) -> Option<UpdatedAt> {
    let status = workspace.status.as_ref()?;
    let history = status.history.iter().map(|entry| entry.updated_at);
    history.chain(status.published.as_ref().map(|published| published.updated_at)).max()
}

#[cfg(test)]
mod tests;
