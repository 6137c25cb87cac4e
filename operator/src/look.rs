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

use crate::context::{Context, Key, SharedRecord};
use crate::head::{Head, Look, LookError, Verdict};
use crate::record::{Cause, Verified};
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

/// The source that the spec names, and what opens it.
pub(crate) async fn access(
    spec: &RototoWorkspaceSpec,
    source: &str,
    context: &Context,
    key: &Key,
) -> Result<Access, LookError> {
    let source = source.parse::<Source>().map_err(LookError::Invalid)?;
    let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
    Ok(Access::new(source, secrets::credentials(&context.client, &key.namespace, secret).await?))
}

fn log_look(result: &Result<Arc<Head>, LookError>) {
    match result {
        Ok(head) => {
            let revision = head.revision.as_ref().map(ToString::to_string);
            let accepted = head.verdict == Verdict::Accepted;
            debug!(revision, fingerprint = %head.fingerprint, accepted, "looked at the source");
        }
        Err(error) => warn!(code = error.code(), %error, "the source could not be read"),
    }
}
