//! What an application resolves from right now, and how that came about: one writer, any number of readers.

pub(crate) mod change_listeners;
pub(crate) mod counters;
pub(crate) mod refresh_request;
pub(crate) mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use rototo_api::fleet::ProcessState;
use tokio::sync::watch;

use crate::current::status::RefreshStatus;
use crate::error::Error;
use crate::workspace::Workspace;

/// The workspace that was swapped in last. Reading it takes no lock and never waits for a swap.
pub(crate) struct Current {
    workspace: ArcSwapOption<Workspace>,
    swaps: watch::Sender<Option<Arc<Workspace>>>,
    status: watch::Sender<RefreshStatus>,
    closed: AtomicBool,
}

impl Current {
    pub(crate) fn new(status: RefreshStatus) -> Self {
        Self {
            workspace: ArcSwapOption::empty(),
            swaps: watch::Sender::new(None),
            status: watch::Sender::new(status),
            closed: AtomicBool::new(false),
        }
    }

    /// The workspace, or why there is none yet.
    pub(crate) fn workspace(&self) -> Result<Arc<Workspace>, Error> {
        self.workspace.load_full().ok_or_else(|| self.not_loaded())
    }

    /// Whether a workspace is loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.workspace.load().is_some()
    }

    /// Resolves from `workspace` from now on, and tells who waits for changes.
    pub(crate) fn swap(&self, workspace: Arc<Workspace>) {
        self.workspace.store(Some(workspace.clone()));
        self.set_status(|status| status.counters.swaps += 1);
        self.swaps.send_replace(Some(workspace));
    }

    /// The same content is known under another name, which is no change to who resolves from it.
    pub(crate) fn rename(&self, workspace: Arc<Workspace>) {
        self.workspace.store(Some(workspace));
    }

    /// Nothing is resolved from it any more. Called when nothing is swapped in any more, either.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.workspace.store(None);
        self.set_status(|status| status.state = ProcessState::Draining);
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Each workspace that is swapped in from now on.
    pub(crate) fn swaps(&self) -> watch::Receiver<Option<Arc<Workspace>>> {
        self.swaps.subscribe()
    }

    pub(crate) fn status(&self) -> RefreshStatus {
        self.status.borrow().clone()
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut RefreshStatus)) {
        self.status.send_modify(change);
    }

    fn not_loaded(&self) -> Error {
        let RefreshStatus { source, last_error, .. } = self.status();
        if self.is_closed() {
            return Error::ShutDown(source);
        }
        Error::NotLoaded { source_name: source, reason: last_error.unwrap_or_else(|| "it is being loaded".to_owned()) }
    }
}
