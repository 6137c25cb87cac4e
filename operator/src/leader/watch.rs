//! Sees at once that the Lease has another holder: one that took it by force, or none because the last one gave it up.
//! Without the watch a process notices that when its next request for the Lease is due.

use std::convert::Infallible;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tracing::debug;

use crate::leader::{Leadership, LeaseConfig};

/// Watches the Lease, and has it read whenever its holder has changed. Nothing depends on the watch: it may lag or fail.
pub(crate) async fn watch_holder(client: Client, config: &LeaseConfig, leadership: &Leadership) -> Infallible {
    let leases: Api<Lease> = Api::namespaced(client, &config.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={}", config.name));
    let mut events = watcher(leases, only).default_backoff().touched_objects().boxed();
    let mut holder = None;
    loop {
        match events.next().await {
            Some(Ok(lease)) => {
                let now = lease.spec.and_then(|spec| spec.holder_identity);
                if holder.replace(now.clone()).is_some_and(|before| before != now) {
                    leadership.holder_changed();
                }
            }
            Some(Err(error)) => debug!(%error, lease = config.name, "the Lease can't be watched"),
            // The stream has no end.
            None => std::future::pending().await,
        }
    }
}
