//! Keeps the workspace of a directory, a git source, or an archive current by polling it.
//!
//! One task per handle polls, swaps, and responds to refresh requests, so polls never overlap.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rototo_protocol::backoff::Backoff;
use rototo_source::{Access, PinnedSource, Reader};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::current::{Current, not_used};
use crate::error::Result;
use crate::reading::file_watcher::FileWatcher;
use crate::reading::{self, LoadRequirements};

/// The source to poll, and the times between polls.
pub(crate) struct PollConfig {
    pub(crate) access: Access,
    pub(crate) reader: Reader,
    pub(crate) requirements: LoadRequirements,
    /// The time between polls; `None` polls only when the application asks.
    pub(crate) period: Option<Duration>,
    /// The directory whose changed files cause a poll.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) backoff: Backoff,
}

/// Polls until `stop`.
pub(crate) async fn poll(
    config: PollConfig,
    current: Arc<Current>,
    mut refresh_requests: mpsc::Receiver<RefreshRequest>,
    stop: CancellationToken,
) {
    let mut waiting: Vec<RefreshRequest> = Vec::new();
    let mut failures = 0;
    let mut file_watcher = FileWatcher::new(config.directory.clone());
    let mut changed = false;
    let mut layers = Layers::default();
    loop {
        // The watch starts before the poll, so that it notices a change during the poll.
        if !changed || file_watcher.has_moved() {
            file_watcher.start();
        }
        let outcome = tokio::select! {
            outcome = poll_once(&config, &current, &mut layers) => outcome,
            () = stop.cancelled() => return,
        };
        failures = if outcome.is_err() { failures + 1 } else { 0 };
        let delay = config.delay(&current, failures);
        record_outcome(&outcome, &current);
        respond(outcome, waiting.drain(..));
        if layers.read.as_ref().is_some_and(|read| file_watcher.follow(read)) {
            changed = true;
            continue;
        }
        let due = delay.map(|delay| Instant::now() + delay);
        tokio::select! {
            () = until(due) => changed = false,
            () = file_watcher.changed() => changed = true,
            Some(request) = refresh_requests.recv() => {
                changed = false;
                waiting.push(request);
            }
            () = stop.cancelled() => return,
        }
    }
}

impl PollConfig {
    /// Returns the wait until the next poll; `None` when only the application asks for one.
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

/// The versions of the layers of a source.
#[derive(Default)]
struct Layers {
    /// Those of the running workspace.
    loaded: Option<PinnedSource>,
    /// Those that were read last, as far as they are known.
    read: Option<PinnedSource>,
}

async fn poll_once(config: &PollConfig, current: &Current, layers: &mut Layers) -> Result<RefreshOutcome> {
    current.poll_started(Timestamp::now());
    let pinned = config.reader.pin(&config.access).await?;
    // Where nothing but the workspace itself was pinned yet, its layers stay as they were.
    if pinned.layers().count() > 1 || layers.read.is_none() {
        layers.read = Some(pinned.clone());
    }
    if layers.loaded.as_ref().is_some_and(|loaded| pinned.is_same_content(loaded)) {
        return Ok(if pinned.immutable() { RefreshOutcome::Immutable } else { RefreshOutcome::Unchanged });
    }
    let running = current.workspace().ok();
    let base = running.as_ref().map(|running| running.content().clone());
    let (workspace, pinned) = reading::load(&config.reader, &pinned, config.requirements.clone(), base).await?;
    layers.read = Some(pinned.clone());
    layers.loaded = Some(pinned);
    let workspace = Arc::new(workspace);
    if running.is_some_and(|running| running.fingerprint() == workspace.fingerprint()) {
        current.rename(workspace);
        return Ok(RefreshOutcome::Unchanged);
    }
    current.swap_polled(workspace, Timestamp::now());
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
        Err(error) => tracing::warn!(source = current.status().source, "{}", not_used(current.is_loaded(), error)),
    }
}

fn respond(outcome: Result<RefreshOutcome>, mut waiting: impl Iterator<Item = RefreshRequest>) {
    let copy = outcome.as_ref().ok().copied();
    // An error can't be cloned, so only the first request gets it. The others find it in the status.
    if let Some(first) = waiting.next() {
        drop(first.done.send(outcome));
    }
    if let Some(outcome) = copy {
        waiting.for_each(|request| drop(request.done.send(Ok(outcome))));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing::Level;

    use crate::logged::Logged;
    use crate::{LoadOptions, RefreshOptions, RefreshingWorkspace};

    #[tokio::test]
    async fn a_failure_is_logged_as_what_it_is_before_and_after_a_workspace_is_loaded() {
        let logged = Logged::new(Level::WARN);
        let _here = tracing::subscriber::set_default(logged.clone());
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("workspace");
        let source = directory.display().to_string();
        let workspace = RefreshingWorkspace::start(source, LoadOptions::new(), RefreshOptions::new()).unwrap();
        workspace.refresh_now().await.unwrap_err();
        let messages = logged.take();
        let begins = |text: &str| messages.iter().all(|message| message.starts_with(text));
        assert!(begins("WARN no workspace is loaded yet: ") && messages[0].ends_with("; trying again"), "{messages:?}");
        fs::create_dir(&directory).unwrap();
        let write = |text: &str| fs::write(directory.join("rototo-workspace.toml"), text).unwrap();
        write("schema_version = 1");
        workspace.refresh_now().await.unwrap();
        logged.take();
        write("schema_version = 2");
        workspace.refresh_now().await.unwrap_err();
        let messages = logged.take();
        let [message] = &*messages else { panic!("{messages:?}") };
        assert!(message.starts_with("WARN keeping the workspace as it is: loading "), "{message}");
        assert!(message.contains("lint finds 1 error, the first at "), "{message}");
    }
}
