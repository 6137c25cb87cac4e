//! Sees at once that the Lease has another holder: one that took it by force, or none because the last one gave it up.
//! Without the watch a process notices that when its next request for the Lease is due.

use std::convert::Infallible;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tracing::debug;

use crate::leader::{Leadership, LeaseConfig};

/// Watches the Lease, and has it read whenever somebody else has changed its holder, or deleted it. Nothing depends on the
/// watch: it may lag or fail.
pub(crate) async fn watch_holder(client: Client, config: &LeaseConfig, leadership: &Leadership) -> Infallible {
    let leases: Api<Lease> = Api::namespaced(client, &config.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={}", config.name));
    let mut events = watcher(leases, only).default_backoff().boxed();
    let mut seen: Option<Lease> = None;
    loop {
        let lease = match events.next().await {
            Some(Ok(Event::Apply(lease) | Event::InitApply(lease))) => Some(lease),
            Some(Ok(Event::Delete(_))) => None,
            Some(Ok(Event::Init | Event::InitDone)) => continue,
            Some(Err(error)) => {
                debug!(%error, lease = config.name, "the Lease can't be watched");
                continue;
            }
            // The stream has no end.
            None => std::future::pending().await,
        };
        let changed = seen.is_some() && holder(lease.as_ref()) != holder(seen.as_ref());
        if changed && holder(lease.as_ref()) != Some(&config.identity) {
            leadership.holder_changed();
        }
        seen = lease;
    }
}

fn holder(lease: Option<&Lease>) -> Option<&str> {
    lease?.spec.as_ref()?.holder_identity.as_deref()
}
