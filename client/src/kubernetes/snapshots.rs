//! From the name of content to content that can be resolved from: fetch, verify, compile.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use rototo_api::names;
use rototo_engine::Fingerprint;
use rototo_source::Limits;
use rototo_source::snapshot::{self, SnapshotError};

use super::endpoint::Endpoint;
use super::fault::Fault;
use crate::options::Checks;
use crate::reading::{Origin, SourceFingerprint};
use crate::workspace::{Content, Workspace};

/// How long one fetch may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What is to be had, and what it may be built upon.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) namespace: String,
    pub(crate) workspace: String,
    /// How the application wrote it.
    pub(crate) source: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) base: Option<Arc<Content>>,
    pub(crate) checks: Checks,
}

/// Why an order was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The content could not be had. Another attempt may get it.
    Fetch(Fault),
    /// The content was had, and can't run in this process.
    Refused(Fault),
}

/// Fetches the snapshot, checks that its content has the fingerprint that was asked for, and compiles it.
pub(crate) async fn load(endpoint: &Endpoint, order: Order) -> Result<Workspace, Failure> {
    let mut path = names::snapshot_path(&order.namespace, &order.workspace, &order.fingerprint.to_string());
    if let Some(base) = &order.base {
        path = format!("{path}?base={}", base.fingerprint());
    }
    let what = format!("fetching {} of workspace `{}`", order.fingerprint.short(), order.workspace);
    let bytes = endpoint.send(&what, Request::get(path), Vec::new(), LIMIT).await.map_err(Failure::Fetch)?;
    // Unpacking and compiling may take milliseconds, which other tasks of the application should not wait for.
    let built = tokio::task::spawn_blocking(move || build(&bytes, &order)).await;
    built.unwrap_or_else(|_| {
        Err(Failure::Fetch(Fault::transient("load_interrupted", "loading a snapshot was interrupted")))
    })
}

fn build(bytes: &[u8], order: &Order) -> Result<Workspace, Failure> {
    let base = order.base.as_deref();
    let tree = snapshot::unpack(bytes, order.fingerprint, base.map(|base| base.parsed.tree()), &Limits::default());
    let tree = tree.map_err(|error| not_unpacked(&error, order))?;
    let refused = |code, reason: &dyn std::fmt::Display| {
        let name = order.fingerprint.short();
        Failure::Refused(Fault::persistent(
            code,
            format!("using {name} of workspace `{}` failed: {reason}", order.workspace),
        ))
    };
    let content = Content::parse(tree, base).compile().map_err(|error| refused("not_compiled", &error))?;
    let origin = Origin {
        source: order.source.clone(),
        fingerprint: Some(SourceFingerprint::ContentHash(order.fingerprint.to_string())),
        revision: None,
        immutable: false,
    };
    let workspace = Workspace::new(Arc::new(content), origin);
    order.checks.pass(&workspace).map_err(|reason| refused("check_failed", &reason))?;
    Ok(workspace)
}

fn not_unpacked(error: &SnapshotError, order: &Order) -> Failure {
    let message = format!("unpacking {} of workspace `{}` failed: {error}", order.fingerprint.short(), order.workspace);
    match error {
        SnapshotError::EngineTooOld(_) => Failure::Refused(Fault::persistent("engine_too_old", message)),
        SnapshotError::UnknownVersion(_) => Failure::Refused(Fault::persistent("snapshot_version_unknown", message)),
        SnapshotError::Refused(_) => Failure::Refused(Fault::persistent("snapshot_too_large", message)),
        // Bytes that were altered or cut off on the way: others may come next time, and without a base.
        SnapshotError::Damaged(_)
        | SnapshotError::Incomplete(_)
        | SnapshotError::Pack(_)
        | SnapshotError::WrongContent { .. } => Failure::Fetch(Fault::persistent("snapshot_damaged", message)),
    }
}
