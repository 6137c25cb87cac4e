//! Looks run beside the reconciler: each is a task of its own that rings when it is through. So a host that hangs holds up
//! nothing else, neither the counting of the fleet nor the repair of a marker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
use rototo_source::{Access, Source};
use tracing::{Instrument, debug, info_span, warn};

use crate::context::Context;
use crate::head::{Look, LookError, Seen, Verdict};
use crate::record::Verified;
use crate::records::{Key, SharedRecord};
use crate::schedule::{Cause, Due};
use crate::secrets;

/// Starts a look at the source if one is due.
pub(crate) fn look_if_due(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>, now: Instant) {
    let spec = &workspace.spec;
    let cause = Cause {
        generation: workspace.metadata.generation,
        request: workspace.annotations().get(ANNOTATION_RECONCILE).cloned(),
    };
    let mut record = shared.lock();
    record.stale_after = spec.stale_after();
    record.suspended = spec.suspend;
    record.webhook = spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.clone());
    record.source.notice_end();
    if spec.suspend {
        return;
    }
    let Some(due) = record.source.schedule.due(&cause, now) else { return };
    let key = Key::of(workspace);
    let span = info_span!("look", namespace = key.namespace, name = key.name);
    let known = record.source.head.clone().zip(record.source.pinned.clone());
    let known = known.map(|(head, pinned)| Seen { head, pinned, linted: record.source.linted.clone() });
    let (spec, context, shared) = (spec.clone(), context.clone(), shared.clone());
    // A neighbour's failure of late is no answer: whoever retries asks anew.
    let age = if due == Due::Interval && record.source.failures == 0 { spec.interval() / 2 } else { Duration::ZERO };
    let task = async move {
        let result = look(&spec, age, known, &context, &key).await;
        log_look(&result);
        let verified = Verified { at: Instant::now(), time: Timestamp::now() };
        context.metrics.looked(&key, &result, verified.time);
        shared.lock().source.looked(now, result, verified, spec.interval(), fastrand::f64());
        context.ring(&key);
    };
    record.source.looks(tokio::spawn(task.instrument(span)).abort_handle(), cause, now);
}

async fn look(
    spec: &RototoWorkspaceSpec,
    age: Duration,
    known: Option<Seen>,
    context: &Context,
    key: &Key,
) -> Result<Seen, LookError> {
    let source = spec.source.parse().map_err(LookError::Invalid)?;
    let access = access(spec, source, context, key).await?;
    let own_rules = context.own_rules.clone();
    let look = Look { access, age, timeout: spec.timeout(), fail_on: spec.fail_on(), own_rules, known };
    look.take(&context.reader, context.snapshots.store(key)?).await
}

/// A source, and what opens it for this workspace.
pub(crate) async fn access(
    spec: &RototoWorkspaceSpec,
    source: Source,
    context: &Context,
    key: &Key,
) -> Result<Access, LookError> {
    let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
    Ok(Access::new(source, secrets::credentials(&context.client, &key.namespace, secret).await?))
}

fn log_look(result: &Result<Seen, LookError>) {
    match result {
        Ok(Seen { head, .. }) => {
            let revision = head.revision.as_ref().map(ToString::to_string);
            let accepted = head.verdict == Verdict::Accepted;
            debug!(revision, fingerprint = %head.fingerprint, accepted, "looked at the source");
        }
        Err(error) => warn!(code = error.code(), %error, "the source could not be read"),
    }
}
