//! Keeps a directory or a git source current by asking for it now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rototo_protocol::backoff::Backoff;
use rototo_source::{Access, PinnedSource, Reader};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::current::Current;
use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::error::Result;
use crate::reading::file_watcher::FileWatcher;
use crate::reading::{self, LoadRequirements};

/// What to ask for, and how often.
pub(crate) struct PollConfig {
    pub(crate) access: Access,
    pub(crate) reader: Reader,
    pub(crate) requirements: LoadRequirements,
    pub(crate) period: Option<Duration>,
    /// The directory whose files ring.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) backoff: Backoff,
}

/// Polls until `stop`.
pub(crate) async fn poll(
    plan: PollConfig,
    current: Arc<Current>,
    mut refresh_requests: mpsc::Receiver<RefreshRequest>,
    stop: CancellationToken,
) {
    let mut waiting: Vec<RefreshRequest> = Vec::new();
    let mut failures = 0;
    let mut file_watcher = FileWatcher::new(plan.directory.clone());
    let mut changed = false;
    // What runs, by the versions of its layers.
    let mut loaded = None;
    loop {
        // Before the look: what changes during it rings.
        if !changed {
            file_watcher.start();
        }
        let outcome = tokio::select! {
            outcome = poll_once(&plan, &current, &mut loaded) => outcome,
            () = stop.cancelled() => return,
        };
        failures = if outcome.is_err() { failures + 1 } else { 0 };
        let delay = plan.delay(&current, failures);
        record_outcome(&outcome, &current);
        // Whoever asked gets the error itself; the others only hear that there was one.
        answer(outcome, waiting.drain(..));
        let due = delay.map(|delay| Instant::now() + delay);
        tokio::select! {
            () = until(due) => changed = false,
            () = file_watcher.changed() => changed = true,
            Some(ask) = refresh_requests.recv() => {
                changed = false;
                waiting.push(ask);
            }
            () = stop.cancelled() => return,
        }
    }
}

impl PollConfig {
    /// The wait until the next look; `None` when only the application asks.
    fn delay(&self, current: &Current, failures: u32) -> Option<Duration> {
        let status = current.status();
        if failures > 0 && (self.period.is_some() || !current.is_loaded()) {
            return Some(self.backoff.delay(failures, fastrand::f64()));
        }
        self.period.filter(|_| !status.immutable)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn poll_once(plan: &PollConfig, current: &Current, loaded: &mut Option<PinnedSource>) -> Result<RefreshOutcome> {
    current.poll_started(Timestamp::now());
    let pinned = plan.reader.pin(&plan.access).await?;
    if loaded.as_ref().is_some_and(|loaded| pinned.is_same_content(loaded)) {
        return Ok(if pinned.immutable() { RefreshOutcome::Immutable } else { RefreshOutcome::Unchanged });
    }
    let running = current.workspace().ok();
    let base = running.as_ref().map(|running| running.content().clone());
    let (workspace, pinned) = reading::load(&plan.reader, &pinned, plan.requirements.clone(), base).await?;
    *loaded = Some(pinned);
    let workspace = Arc::new(workspace);
    if running.is_some_and(|running| running.fingerprint() == workspace.fingerprint()) {
        current.rename(workspace);
        return Ok(RefreshOutcome::Unchanged);
    }
    current.swap(workspace, Timestamp::now());
    Ok(RefreshOutcome::Refreshed)
}

fn record_outcome(outcome: &Result<RefreshOutcome>, current: &Current) {
    match outcome {
        Ok(_) => current.poll_succeeded(Timestamp::now()),
        Err(error) => current.poll_failed(error),
    }
    match outcome {
        Ok(RefreshOutcome::Refreshed) => {
            tracing::info!(source = current.status().source, "resolving from a new version of the workspace")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(source = current.status().source, "keeping the workspace as it is: {error}"),
    }
}

fn answer(outcome: Result<RefreshOutcome>, mut waiting: impl Iterator<Item = RefreshRequest>) {
    let copy = outcome.as_ref().ok().copied();
    // An error can be given to one only; a second asker in the same moment is told to look at the status.
    if let Some(first) = waiting.next() {
        drop(first.done.send(outcome));
    }
    if let Some(outcome) = copy {
        waiting.for_each(|ask| drop(ask.done.send(Ok(outcome))));
    }
}
