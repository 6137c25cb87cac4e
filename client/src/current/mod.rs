//! The workspace that an application resolves from right now, and its status.
//!
//! [`Current`] is the one owner of the workspace that was swapped in last and of the status. One task writes it: the
//! poller or the follower. Each write is a method that names what happened, and changes the status in one step, so a
//! reader never sees half of it. Any number of readers read without waiting.

pub(crate) mod change_listeners;
pub(crate) mod counters;
pub(crate) mod refresh_request;
pub(crate) mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rototo_api::fleet::ProcessState;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Error;
use crate::workspace::Workspace;
use status::RefreshStatus;

/// The workspace that was swapped in last, and the status. Reading the workspace takes no lock and never waits for a
/// swap.
pub(crate) struct Current {
    workspace: ArcSwapOption<Workspace>,
    swaps: watch::Sender<Option<Arc<Workspace>>>,
    status: watch::Sender<WrittenStatus>,
    closed: AtomicBool,
}

/// The status as it was written last.
struct WrittenStatus {
    status: RefreshStatus,
    /// The time at which a follower's content becomes stale with time alone, also when the follower does not run any more.
    stale_at: Option<Instant>,
}

/// The state of a follower, as the status shows it.
#[cfg(feature = "kubernetes")]
pub(crate) struct FollowerStatus {
    pub(crate) state: ProcessState,
    pub(crate) stale: bool,
    /// The time at which the content becomes stale, or became stale.
    pub(crate) stale_at: Option<Instant>,
    /// A fetch is in flight.
    pub(crate) refreshing: bool,
    pub(crate) failures: u64,
    pub(crate) trouble: Option<String>,
    /// The number of completed lists of the markers.
    pub(crate) hydrates: u64,
}

/// Returns the message of the log about content that can't be read or used, while a workspace is loaded or not.
pub(crate) fn not_used(is_loaded: bool, reason: &dyn std::fmt::Display) -> String {
    match is_loaded {
        true => format!("keeping the workspace as it is: {reason}"),
        false => format!("no workspace is loaded yet: {reason}; trying again"),
    }
}

impl WrittenStatus {
    /// Returns whether the content is stale by now.
    fn is_stale(&self) -> bool {
        self.status.stale || self.stale_at.is_some_and(|time| Instant::now() >= time)
    }

    /// Returns the status as it is by now.
    fn read(&self) -> RefreshStatus {
        let mut status = self.status.clone();
        if self.is_stale() {
            status.become_stale();
        }
        status
    }
}

impl Current {
    /// Makes the state of a workspace that is not loaded yet. `source` has no credentials.
    pub(crate) fn new(source: String) -> Self {
        Self::with_status(RefreshStatus::starting(source))
    }

    /// Makes the state of a workspace that never changes. It was never swapped in at any time.
    pub(crate) fn fixed(workspace: Workspace) -> Self {
        let mut status = RefreshStatus::starting(workspace.source().to_owned());
        status.show(Some(&workspace));
        status.state = ProcessState::Applied;
        status.immutable = true;
        let current = Self::with_status(status);
        current.replace(Arc::new(workspace), |status| status.counters.swaps += 1);
        current
    }

    fn with_status(status: RefreshStatus) -> Self {
        let written = WrittenStatus { status, stale_at: None };
        Self {
            workspace: ArcSwapOption::empty(),
            swaps: watch::Sender::new(None),
            status: watch::Sender::new(written),
            closed: AtomicBool::new(false),
        }
    }

    /// Returns the workspace.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`] with the reason, or [`Error::ShutDown`].
    pub(crate) fn workspace(&self) -> Result<Arc<Workspace>, Error> {
        self.workspace.load_full().ok_or_else(|| self.not_loaded())
    }

    /// Returns whether a workspace is loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.workspace.load().is_some()
    }

    /// Returns whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns a receiver of each workspace that is swapped in from now on.
    pub(crate) fn swaps(&self) -> watch::Receiver<Option<Arc<Workspace>>> {
        self.swaps.subscribe()
    }

    /// Returns the status as it is by now, whenever it was written.
    pub(crate) fn status(&self) -> RefreshStatus {
        self.status.borrow().read()
    }

    /// Returns whether the content is stale by now, or was confirmed longer ago than `max`.
    pub(crate) fn is_stale(&self, max: Option<Duration>) -> bool {
        let written = self.status.borrow();
        written.is_stale() || written.status.is_stale(max)
    }

    fn not_loaded(&self) -> Error {
        let RefreshStatus { source, last_error, .. } = self.status();
        if self.is_closed() {
            return Error::ShutDown(source);
        }
        Error::NotLoaded { source_name: source, reason: last_error.unwrap_or_else(|| "it is being loaded".to_owned()) }
    }
}

/// Changes of the workspace.
impl Current {
    /// Resolves from `workspace` from now on, and notifies everyone who waits for changes. The swap confirms nothing: a
    /// marker, or a copy on the disk, may be old.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn swap(&self, workspace: Arc<Workspace>, at: Timestamp) {
        self.replace(workspace, |status| {
            status.counters.swaps += 1;
            status.applied_at = Some(at);
        });
    }

    /// Resolves from `workspace`, which is what the source has at this time, from now on, and notifies everyone who waits
    /// for changes.
    pub(crate) fn swap_polled(&self, workspace: Arc<Workspace>, at: Timestamp) {
        self.replace(workspace, |status| {
            status.counters.swaps += 1;
            status.applied_at = Some(at);
            status.last_success = Some(at);
        });
    }

    /// Gives the same content another name, which changes no resolution.
    pub(crate) fn rename(&self, workspace: Arc<Workspace>) {
        self.workspace.store(Some(workspace));
    }

    /// Ends it: nothing resolves from it any more. The caller swaps nothing in afterwards.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.workspace.store(None);
        self.status.send_modify(|written| {
            written.status = written.read();
            written.status.state = ProcessState::Draining;
            // Nothing runs any more that could become stale.
            written.stale_at = None;
        });
    }

    fn replace(&self, workspace: Arc<Workspace>, change: impl FnOnce(&mut RefreshStatus)) {
        self.workspace.store(Some(workspace.clone()));
        self.change(change);
        self.swaps.send_replace(Some(workspace));
    }

    fn change(&self, change: impl FnOnce(&mut RefreshStatus)) {
        self.status.send_modify(|written| change(&mut written.status));
    }
}

/// Events of a source that is polled. A follower's fetches begin with [`poll_started`](Self::poll_started) too.
impl Current {
    /// Records that a poll or a fetch began.
    pub(crate) fn poll_started(&self, at: Timestamp) {
        self.change(|status| {
            status.refreshing = true;
            status.last_attempt = Some(at);
            status.counters.polls += 1;
        });
    }

    /// Records that a poll confirmed that the workspace, which may just have been swapped in, is the newest.
    pub(crate) fn poll_succeeded(&self, at: Timestamp) {
        self.poll_ended(|status| {
            status.state = ProcessState::Applied;
            status.last_success = Some(at);
            status.consecutive_failures = 0;
            status.last_error = None;
        });
    }

    /// Records that a poll got no content, or content that can't be used. The workspace stays as it is.
    pub(crate) fn poll_failed(&self, error: &Error) {
        self.poll_ended(|status| {
            status.consecutive_failures += 1;
            match error.is_refusal() {
                true => status.counters.refusals += 1,
                false => status.counters.poll_failures += 1,
            }
            status.last_error = Some(error.to_string());
        });
    }

    fn poll_ended(&self, change: impl FnOnce(&mut RefreshStatus)) {
        let running = self.workspace.load_full();
        self.change(|status| {
            status.refreshing = false;
            status.show(running.as_deref());
            change(status);
        });
    }
}

/// Events of a workspace whose marker is followed.
#[cfg(feature = "kubernetes")]
impl Current {
    /// Records that the cluster can't be used; `reason` says why. Nothing is followed until it can.
    pub(crate) fn cluster_unusable(&self, reason: String) {
        self.change(|status| status.last_error = Some(reason));
    }

    /// Records that the content could not be fetched.
    pub(crate) fn fetch_failed(&self) {
        self.change(|status| status.counters.poll_failures += 1);
    }

    /// Records that the content was fetched, and can't be used.
    pub(crate) fn content_refused(&self) {
        self.change(|status| status.counters.refusals += 1);
    }

    /// Records that a report was sent.
    pub(crate) fn report_sent(&self) {
        self.change(|status| status.counters.reports += 1);
    }

    /// Records that the operator's response to a report confirms what runs: at this time, the source last had it.
    pub(crate) fn confirmed(&self, at: Timestamp) {
        self.change(|status| status.last_success = Some(at));
    }

    /// Records that the operator did not take a report.
    pub(crate) fn report_failed(&self) {
        self.change(|status| status.counters.report_failures += 1);
    }

    /// Records that the follower took a step.
    pub(crate) fn follower_stepped(&self, follower: FollowerStatus) {
        let running = self.workspace.load_full();
        self.status.send_modify(|WrittenStatus { status, stale_at }| {
            status.state = follower.state;
            status.show(running.as_deref());
            status.stale = follower.stale;
            status.refreshing = follower.refreshing;
            status.consecutive_failures = follower.failures;
            status.last_error = follower.trouble;
            status.hydrates = follower.hydrates;
            *stale_at = follower.stale_at;
        });
    }
}
