//! The workspace that a follower follows, and the settings with which it reaches the doorbell and the operator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rototo_protocol::backoff::Backoff;
use tokio::time::sleep;

use crate::current::Current;
use crate::kubernetes::cluster::endpoint_overrides::EndpointOverrides;
use crate::kubernetes::cluster::{Cluster, NamespaceWatch};
use crate::kubernetes::following::direct::Direct;
use crate::kubernetes::reporting::handles::HandleRegistration;
use crate::workspace::checks::Checks;

/// The workspace to follow, and the settings for it.
#[derive(Clone)]
pub(crate) struct FollowTarget {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: Option<String>,
    pub(crate) workspace: String,
    /// The source as the application wrote it.
    pub(crate) source: String,
    pub(crate) endpoint_overrides: EndpointOverrides,
    pub(crate) token_file: PathBuf,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) stale_after: Option<Duration>,
    /// False if announced publishes are not prepared.
    pub(crate) prepares: bool,
    pub(crate) checks: Checks,
    pub(crate) direct: Option<Arc<Direct>>,
    /// The registration of the handle among the handles of this process.
    pub(crate) registration: Arc<HandleRegistration>,
}

/// The wait after an attempt to find the cluster failed.
const JOIN_BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };

impl FollowTarget {
    /// Joins the doorbell of the namespace. Tries again until the cluster is found: a kubeconfig may be written later.
    /// Logs a failure once, until it is another one.
    pub(crate) async fn join(&self, current: &Current) -> NamespaceWatch {
        let (mut failures, mut logged) = (0, None);
        loop {
            match self.cluster.doorbell(self.namespace.as_deref()).await {
                Ok(joined) => return joined,
                Err(fault) => {
                    failures += 1;
                    if logged.as_ref() != Some(&fault.message) {
                        tracing::warn!(source = self.source, code = fault.code, "{}", fault.message);
                        logged = Some(fault.message.clone());
                    }
                    current.cluster_unusable(fault.message);
                    sleep(JOIN_BACKOFF.delay(failures, fastrand::f64())).await;
                }
            }
        }
    }
}
