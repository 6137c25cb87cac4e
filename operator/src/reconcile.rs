//! The story of one workspace, told again whenever something may have changed: look at the source, publish what it
//! says, report what became of it. Each step compares what is with what should be; none depends on why it was called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event as KubeEvent, EventType};
use kube::{Api, Resource, ResourceExt};
use rototo_api::names::{ANNOTATION_RECONCILE, OPERATOR};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec, RototoWorkspaceStatus};
use rototo_source::{Access, Source};
use serde_json::json;
use tracing::{Instrument, info, info_span, warn};

use crate::context::{Context, Key, SharedRecord};
use crate::fleet::Publish;
use crate::head::{Head, Look, LookError, Verdict};
use crate::markers::{self, WriteError};
use crate::plan::{Because, MarkerMap, Observed, Plan, plan};
use crate::record::{Cause, Record, Verified};
use crate::status::{self, Event, Facts, PublishProblem, Severity, SourceFacts, SourceProblem};
use crate::{recover, secrets};

/// How often a decision is made again because the map has changed under it.
const ATTEMPTS: u32 = 5;
/// A status that still moves is written at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Another operator writes: how long to wait before asking whether that is still so. Gaining the Lease rings.
const UNTIL_LEADING: Duration = Duration::from_secs(30);
/// How often it is tried to get lost content from git again.
const RECOVER_EVERY: Duration = Duration::from_secs(30);
/// How long a reconcile that nobody asks for is put off at most.
const AT_LEAST_EVERY: Duration = Duration::from_secs(300);

/// Why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status of {namespace}/{name} could not be written: {source}")]
    Status {
        /// The workspace's namespace.
        namespace: String,
        /// The workspace's name.
        name: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
}

/// Brings one workspace forward, and says when to come back at the latest.
pub async fn reconcile(workspace: Arc<RototoWorkspace>, context: Arc<Context>) -> Result<Action, Error> {
    let now = Instant::now();
    if !context.leadership.is_held(now) {
        context.records.clear();
        return Ok(Action::requeue(UNTIL_LEADING));
    }
    let record = context.records.of(&workspace, now);
    look_if_due(&workspace, &record, &context, now);
    publish(&workspace, &record, &context).await;
    let next = report(&workspace, &record, &context).await?;
    Ok(Action::requeue(next.saturating_duration_since(Instant::now())))
}

/// Starts a look at the source, which rings again when it is through. So a host that hangs holds up nothing else.
fn look_if_due(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>, now: Instant) {
    let spec = &workspace.spec;
    let cause = Cause {
        generation: workspace.metadata.generation,
        request: workspace.annotations().get(ANNOTATION_RECONCILE).cloned(),
    };
    let mut record = shared.lock();
    record.stale_after = spec.stale_after();
    record.webhook = spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.clone());
    if spec.suspend || !record.source.is_due(&cause, now) {
        return;
    }
    let key = Key::of(workspace);
    let span = info_span!("look", namespace = key.namespace, name = key.name);
    let known = record.source.head.clone();
    let spec = spec.clone();
    let (context, shared, interval) = (context.clone(), shared.clone(), spec.interval());
    // Whoever asks wants to know what is there now; at the interval, a neighbour's answer of late will do.
    let asked = record.source.is_asked(&cause, now);
    let age = if asked { Duration::ZERO } else { interval / 2 };
    let task = async move {
        let result = look(&spec, age, known, &context, &key).await;
        log_look(&result);
        let verified = Verified { at: Instant::now(), time: Timestamp::now() };
        context.metrics.looked(&key, &result, verified.time);
        shared.lock().source.looked(result, verified, interval, fastrand::f64());
        context.ring(&key);
    };
    record.source.looks(tokio::spawn(task.instrument(span)).abort_handle(), cause, now);
}

async fn look(
    spec: &RototoWorkspaceSpec,
    age: Duration,
    known: Option<Arc<Head>>,
    context: &Context,
    key: &Key,
) -> Result<Arc<Head>, LookError> {
    let access = access(spec, &spec.source, context, key).await?;
    let look = Look { access, age, timeout: spec.timeout(), fail_on: spec.fail_on(), known };
    look.take(&context.reader, context.snapshots.store(key)?).await
}

async fn access(spec: &RototoWorkspaceSpec, source: &str, context: &Context, key: &Key) -> Result<Access, LookError> {
    let source = source.parse::<Source>().map_err(LookError::Invalid)?;
    let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
    Ok(Access::new(source, secrets::credentials(&context.client, &key.namespace, secret).await?))
}

/// Gets what the marker names from git again, in the background, when this disk does not have it.
fn recover_if_lost(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>, publish: &Publish) {
    let key = Key::of(workspace);
    if context.snapshots.has(&key, &publish.fingerprint) {
        return;
    }
    let now = Instant::now();
    let mut record = shared.lock();
    if record.source.head.as_ref().is_none_or(|head| head.fingerprint.to_string() == publish.fingerprint) {
        // The look that is on its way, or the next one, brings it.
        return if record.source.head.is_some() {
            record.source.lost(now)
        };
    }
    record.problem = Some(PublishProblem::Lost);
    if record.next_recovery.is_some_and(|next| now < next) {
        return;
    }
    record.next_recovery = Some(now + RECOVER_EVERY);
    let published = record.written.as_ref().and_then(|(status, _)| status.published.clone());
    let published = published.or_else(|| workspace.status.as_ref()?.published.clone());
    let revision = published.filter(|published| published.fingerprint == publish.fingerprint);
    let Some(revision) = revision.and_then(|published| published.revision) else { return };
    let (spec, context, fingerprint) = (workspace.spec.clone(), context.clone(), publish.fingerprint.clone());
    tokio::spawn(async move {
        let recovered = async {
            let Some(source) = recover::at_revision(&spec.source, &revision) else { return Ok(false) };
            let access = access(&spec, &spec.source, &context, &key).await?;
            let access = Access::new(source, access.credentials().clone());
            recover::recover(access, &fingerprint, &context.reader, context.snapshots.store(&key)?).await
        };
        match recovered.await {
            Ok(true) => info!(revision, fingerprint, "got the published content from git again"),
            Ok(false) => {
                warn!(revision, fingerprint, "the published commit does not have the published content any more")
            }
            Err(error) => warn!(revision, %error, "the published content could not be got from git again"),
        }
        context.ring(&key);
    });
}

fn log_look(result: &Result<Arc<Head>, LookError>) {
    match result {
        Ok(head) => {
            let revision = head.revision.as_ref().map(ToString::to_string);
            let accepted = head.verdict == Verdict::Accepted;
            tracing::debug!(revision, fingerprint = %head.fingerprint, accepted, "looked at the source");
        }
        Err(error) => warn!(code = error.code(), %error, "the source could not be read"),
    }
}

/// Writes the marker if it does not say what the source says.
async fn publish(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>) {
    let Key { namespace, name } = Key::of(workspace);
    for _ in 0..ATTEMPTS {
        if !context.leadership.is_held(Instant::now()) {
            return;
        }
        let map = context.maps.newest(&namespace);
        let map = context.address.read(map.as_deref(), &name);
        let plan = plan(observe(&shared.lock(), workspace, map));
        let (publish, at, because) = match plan {
            Plan::Wait => return shared.lock().saw_published(None, Instant::now()),
            Plan::Keep(publish) => {
                shared.lock().saw_published(Some(publish.clone()), Instant::now());
                return recover_if_lost(workspace, shared, context, &publish);
            }
            Plan::Forbidden { owner } => {
                shared.lock().problem = Some(PublishProblem::Foreign { owner });
                return;
            }
            Plan::AskAgain => {
                if shared.lock().source.ask_again() {
                    context.ring(&Key::of(workspace));
                }
                return;
            }
            Plan::Readdress { publish, at } => (publish, at, None),
            Plan::Write { publish, at, because } => {
                // The disk is not ours alone: what can't be had must not be named.
                if !context.snapshots.has(&Key::of(workspace), &publish.fingerprint) {
                    shared.lock().source.lost(Instant::now());
                    let gone = WriteError::Unavailable(format!("the snapshot {} is gone", publish.fingerprint));
                    return failed(shared, context, &gone);
                }
                (publish, at, Some(because))
            }
        };
        let data = markers::published(&name, &publish);
        match context.address.write(&context.client, &namespace, data, &at).await {
            Ok(map) => {
                let now = Instant::now();
                context.maps.saw(&namespace, Some(Arc::new(map)));
                if let Some(because) = because {
                    rang(workspace, shared, context, &publish, now);
                    told(workspace, context, &publish, because).await;
                }
                shared.lock().saw_published(Some(publish), now);
                return forget_old_snapshots(workspace, shared, context).await;
            }
            Err(WriteError::Conflict) => match markers::get(&context.client, &namespace).await {
                Ok(map) => context.maps.saw(&namespace, map.map(Arc::new)),
                Err(error) => return failed(shared, context, &error),
            },
            Err(error) => {
                // The write may have happened although its answer got lost: what is there is asked for.
                if let (WriteError::Unavailable(_), Ok(map)) = (&error, markers::get(&context.client, &namespace).await)
                {
                    context.maps.saw(&namespace, map.map(Arc::new));
                    continue;
                }
                return failed(shared, context, &error);
            }
        }
    }
    failed(shared, context, &WriteError::Conflict);
}

/// Begins to count who has the publish that the API server has just accepted.
fn rang(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context, publish: &Publish, now: Instant) {
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    if let Some(times) = record.publish_times(now) {
        record.fleet.published(publish.clone(), times, &pods, now);
        context.metrics.published(&times);
    }
}

async fn forget_old_snapshots(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context) {
    let kept = {
        let record = shared.lock();
        // What a look is just keeping is not known here yet; the next publish tidies up as well.
        if record.source.looking.is_some() {
            return;
        }
        record.kept()
    };
    if let Err(error) = context.snapshots.retain(&Key::of(workspace), kept).await {
        warn!(%error, "old snapshots could not be deleted");
    }
}

async fn told(workspace: &RototoWorkspace, context: &Context, publish: &Publish, because: Because) {
    let Key { namespace, name } = Key::of(workspace);
    let fingerprint = &publish.fingerprint;
    match because {
        Because::ContentChanged => info!(namespace, name, fingerprint, "published"),
        Because::PutBack => {
            warn!(namespace, name, fingerprint, "put back a marker that somebody else had changed");
            context.metrics.put_back();
            tell(workspace, context, Event::marker_put_back(fingerprint)).await;
        }
    }
}

fn observe(record: &Record, workspace: &RototoWorkspace, map: MarkerMap) -> Observed {
    let head = record.source.head.as_ref().filter(|head| head.verdict == Verdict::Accepted && !workspace.spec.suspend);
    Observed {
        accepted: head.map(|head| head.fingerprint.to_string()),
        map,
        known: record.published.clone(),
        asked_again: record.source.was_asked_again(),
        now: Timestamp::now(),
    }
}

fn failed(shared: &SharedRecord, context: &Context, error: &WriteError) {
    warn!(%error, "the marker could not be written");
    context.metrics.publish_refused();
    let mut record = shared.lock();
    record.publish_failures = record.publish_failures.saturating_add(1);
    record.problem = Some(match error {
        WriteError::Refused(message) => PublishProblem::Refused(message.clone()),
        WriteError::Conflict | WriteError::Unavailable(_) => PublishProblem::Unavailable(error.to_string()),
    });
}

/// Writes the status if it says anything new, and answers when it may change by itself.
async fn report(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context) -> Result<Instant, Error> {
    let now = Instant::now();
    let pods = context.pods(workspace);
    let (previous, next, mut wake, wrote) = {
        let mut record = shared.lock();
        let wrote = record.written.as_ref().map(|(_, at)| *at);
        let previous = match &record.written {
            Some((status, _)) => status.clone(),
            None => workspace.status.clone().unwrap_or_default(),
        };
        let fleet = record.fleet.view(&pods, now);
        let next = status::status(&facts(workspace, &record, &fleet, &previous, now));
        context.metrics.fleet(&Key::of(workspace), &fleet);
        (previous, next, next_wake(workspace, &record, &fleet, now), wrote)
    };
    if !status::worth_writing(&previous, &next) {
        return Ok(wake);
    }
    // A status that comes to rest is written at once; one that moves, or moves on from rest, about once a second.
    let comes_to_rest = status::settled(&next) && !status::settled(&previous);
    if let Some(earliest) = wrote.map(|wrote| wrote + STATUS_EVERY).filter(|earliest| *earliest > now && !comes_to_rest)
    {
        wake = wake.min(earliest);
        return Ok(wake);
    }
    write_status(workspace, context, &next).await?;
    for event in status::events(&previous, &next) {
        tell(workspace, context, event).await;
    }
    shared.lock().written = Some((next, Instant::now()));
    Ok(wake)
}

fn facts<'a>(
    workspace: &'a RototoWorkspace,
    record: &'a Record,
    fleet: &'a crate::fleet::FleetView,
    previous: &'a RototoWorkspaceStatus,
    now: Instant,
) -> Facts<'a> {
    let source = &record.source;
    let looked_for = source.looked_for.as_ref();
    Facts {
        spec: &workspace.spec,
        generation: workspace.metadata.generation,
        now: Timestamp::now(),
        source: SourceFacts {
            head: source.head.as_deref(),
            last_success: source.verified.map(|verified| verified.time),
            verified_ago: source.verified.map(|verified| now.saturating_duration_since(verified.at)),
            failures: source.failures,
            error: source.error.as_ref().map(|failure| SourceProblem {
                code: failure.code,
                message: failure.message.clone(),
                transient: failure.transient,
            }),
            current: workspace.spec.suspend
                || looked_for.is_some_and(|cause| cause.generation == workspace.metadata.generation),
        },
        published: record.published.as_ref(),
        problem: record.problem.as_ref(),
        fleet,
        handled_request: looked_for.and_then(|cause| cause.request.as_deref()),
        previous,
    }
}

/// When the answer may change although nothing happens.
fn next_wake(workspace: &RototoWorkspace, record: &Record, fleet: &crate::fleet::FleetView, now: Instant) -> Instant {
    let within = workspace.spec.converge_within();
    let deadline = match fleet.convergence {
        crate::fleet::Convergence::Progressing(Some(since)) if since <= within => {
            Some(now + (within - since) + Duration::from_millis(1))
        }
        crate::fleet::Convergence::Recounting => Some(now + Duration::from_secs(1)),
        _ => None,
    };
    let stale = record.source.verified.map(|verified| verified.at + record.stale_after);
    let retry = record
        .problem
        .as_ref()
        .map(|_| now + Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(record.publish_failures.min(6))));
    let look = record.source.next_due().filter(|_| !workspace.spec.suspend);
    let wakes = [look, fleet.next_change, deadline, stale, retry];
    let wakes = wakes.into_iter().flatten().filter(|wake| *wake > now);
    wakes.min().unwrap_or(now + AT_LEAST_EVERY).min(now + AT_LEAST_EVERY)
}

async fn write_status(
    workspace: &RototoWorkspace,
    context: &Context,
    status: &RototoWorkspaceStatus,
) -> Result<(), Error> {
    let Key { namespace, name } = Key::of(workspace);
    let workspaces: Api<RototoWorkspace> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": RototoWorkspace::api_version(&()),
        "kind": RototoWorkspace::kind(&()),
        "metadata": { "name": name, "uid": workspace.uid() },
        "status": status,
    });
    // Applied by its one owner, so that what is left out disappears.
    let params = PatchParams::apply(OPERATOR).force();
    match workspaces.patch_status(&name, &params, &Patch::Apply(body)).await {
        Ok(_) => Ok(()),
        // Deleted, or deleted and created again: nothing is left to report on.
        Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(()),
        Err(source) => Err(Error::Status { namespace, name, source: Box::new(source) }),
    }
}

async fn tell(workspace: &RototoWorkspace, context: &Context, event: Event) {
    let event = KubeEvent {
        type_: match event.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        },
        reason: event.reason.to_owned(),
        note: Some(event.message),
        action: event.reason.to_owned(),
        secondary: None,
    };
    // An Event is a courtesy: the status says the same, and stays.
    if let Err(error) = context.recorder.publish(&event, &workspace.object_ref(&())).await {
        warn!(%error, reason = event.reason, "an Event could not be written");
    }
}
