//! The events of the provider.

use std::sync::Arc;
use std::time::Duration;

use rototo::{Changes, RefreshingWorkspace, Workspace};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The time between two readings of the status.
const STATUS: Duration = Duration::from_secs(1);

/// An event of the provider, as OpenFeature's specification names them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// There is a first version, or a stale one is confirmed again.
    Ready,
    /// These flags may have other values now.
    ConfigurationChanged {
        /// The ids of the variables, in order.
        flags: Vec<String>,
    },
    /// Nothing has confirmed for too long that the version is still what should run.
    Stale,
}

/// The events of a provider, from [`RototoProvider::events`](crate::RototoProvider::events).
#[derive(Debug)]
pub struct ProviderEvents {
    workspace: Arc<RefreshingWorkspace>,
    changes: Changes,
    known: Option<Arc<Workspace>>,
    stale: bool,
    ticks: Option<Interval>,
}

impl ProviderEvents {
    pub(crate) fn new(workspace: Arc<RefreshingWorkspace>) -> Self {
        let changes = workspace.changes();
        Self { workspace, changes, known: None, stale: false, ticks: None }
    }

    /// Waits for the next event, and returns it; `None` once the workspace was shut down. The first event is
    /// [`Ready`](ProviderEvent::Ready). Where changes come faster than they are read, one event has the flags of all.
    ///
    /// Cancellation safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<ProviderEvent> {
        loop {
            match self.workspace.current() {
                Ok(current) => {
                    if let Some(event) = self.event(current) {
                        return Some(event);
                    }
                }
                Err(rototo::Error::NotLoaded { .. }) => {}
                Err(_) => return None,
            }
            let ticks = self.ticks.get_or_insert_with(|| {
                let mut ticks = interval(STATUS);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                ticks
            });
            tokio::select! {
                Some(_) = self.changes.next() => {}
                _ = ticks.tick() => {}
            }
        }
    }

    /// Returns what the current state adds to the known one.
    fn event(&mut self, current: Arc<Workspace>) -> Option<ProviderEvent> {
        let Some(known) = self.known.replace(current.clone()) else { return Some(ProviderEvent::Ready) };
        if !Arc::ptr_eq(&known, &current) {
            let flags = current.changed_since(&known);
            if !flags.is_empty() {
                return Some(ProviderEvent::ConfigurationChanged { flags });
            }
        }
        let stale = self.workspace.is_stale();
        let changed = std::mem::replace(&mut self.stale, stale) != stale;
        changed.then_some(if stale { ProviderEvent::Stale } else { ProviderEvent::Ready })
    }
}
