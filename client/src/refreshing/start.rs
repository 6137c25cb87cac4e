//! Starts the one task that keeps a workspace current: a poller, or a follower of the marker.

use std::sync::Arc;

use rototo_protocol::backoff::Backoff;
use rototo_source::{Reader, Source};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::current::Current;
use crate::current::refresh_request::RefreshRequest;
#[cfg(not(feature = "kubernetes"))]
use crate::error::Error;
use crate::error::Result;
use crate::reading::options::LoadOptions;
use crate::reading::polling::{self, PollConfig};
use crate::reading::{self, LoadRequirements};
use crate::refreshing::follow_guard::FollowGuard;
use crate::refreshing::options::RefreshOptions;

/// Starts the task that keeps a workspace current.
///
/// # Errors
///
/// This build can't follow `source`, or the options can't be used.
pub(super) fn follow(
    source: Source,
    load: LoadOptions,
    options: &RefreshOptions,
    current: Arc<Current>,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    guard: &FollowGuard,
) -> Result<JoinHandle<()>> {
    let source = match source {
        #[cfg(feature = "kubernetes")]
        Source::Kubernetes { namespace, workspace } => {
            return follow_marker(namespace, workspace, load, options, current, refresh_requests, guard);
        }
        #[cfg(not(feature = "kubernetes"))]
        Source::Kubernetes { .. } => return Err(Error::FeatureMissing(current.status().source)),
        source => source,
    };
    // A directory that is polled only on request is not watched either.
    let directory = match &source {
        Source::Local(directory) if options.period().is_some() => Some(directory.clone()),
        _ => None,
    };
    let config = PollConfig {
        reader: Reader::new(load.reader().clone())?,
        access: reading::access(source, load.auth())?,
        directory,
        requirements: LoadRequirements { lint: load.lint(), checks: options.checks().clone() },
        period: options.period(),
        backoff: Backoff { first: options.min_failure_backoff(), cap: options.max_failure_backoff() },
    };
    Ok(tokio::spawn(polling::poll(config, current, refresh_requests, guard.stopped())))
}

#[cfg(feature = "kubernetes")]
fn follow_marker(
    namespace: Option<String>,
    workspace: String,
    load: LoadOptions,
    options: &RefreshOptions,
    current: Arc<Current>,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    guard: &FollowGuard,
) -> Result<JoinHandle<()>> {
    let direct = options.direct_source().map(|source| direct(&source, &load)).transpose()?;
    let target = crate::kubernetes::FollowTarget {
        cluster: options.cluster().clone(),
        namespace,
        workspace,
        source: current.status().source,
        endpoint_overrides: options.endpoint_overrides(),
        token_file: options.token_file(),
        cache_dir: options.cache_dir(),
        stale_after: options.max_staleness(),
        prepares: options.prepares()?,
        checks: options.checks().clone(),
        direct: direct.map(Arc::new),
        registration: guard.registration().clone(),
    };
    Ok(tokio::spawn(crate::kubernetes::follow(target, current, refresh_requests, guard.stopped())))
}

/// Prepares the source that is read when the operator's endpoint does not give the content.
#[cfg(feature = "kubernetes")]
fn direct(source: &str, load: &LoadOptions) -> Result<crate::kubernetes::Direct> {
    let source = reading::with_files(source.parse()?)?;
    let (reader, access) = (Reader::new(load.reader().clone())?, reading::access(source, load.auth())?);
    Ok(crate::kubernetes::Direct::new(reader, access))
}
