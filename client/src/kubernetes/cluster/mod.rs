//! The connection to a cluster: doorbells and operator connections, which all followers of this process share.
//!
//! The entry point is [`Cluster`]. There is at most one doorbell per runtime and namespace.

pub(crate) mod access;
pub(crate) mod doorbell;
pub(crate) mod endpoint;
pub(crate) mod endpoint_overrides;
pub(crate) mod token;
pub(crate) mod watch_cache;

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use rototo_connection::{Address, api_error, api_server, with_causes};
use rototo_protocol::follower::fault::Fault;
use tokio::runtime::{Handle, Id};

use crate::kubernetes::cluster::doorbell::Doorbell;
use crate::kubernetes::cluster::endpoint::Endpoint;

/// The API server whose markers are followed.
///
/// Clones share one watch per namespace. It may be shared between threads and runtimes; a watch that was started on one
/// runtime is not shared with another, because it ends with its runtime.
///
/// ```
/// use rototo::Cluster;
///
/// // The default: the cluster of `KUBECONFIG` if there is one, else the pod's own service account.
/// let cluster = Cluster::inferred();
/// let options = rototo::RefreshOptions::new().with_cluster(cluster);
/// ```
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    config: Option<kube::Config>,
    doorbells: Registry<(Id, String), Doorbell>,
    endpoints: Registry<(Id, Address, PathBuf), Endpoint>,
}

/// A namespace of a cluster, and the doorbell that watches its markers.
pub(crate) struct NamespaceWatch {
    /// The URL of the API server.
    pub(in crate::kubernetes) cluster: String,
    pub(in crate::kubernetes) namespace: String,
    pub(in crate::kubernetes) doorbell: Arc<Doorbell>,
}

/// The longest silence on a connection. One that is silent for longer than a watch lasts is dead.
const IDLE: Duration = Duration::from_secs(doorbell::WATCH_LIMIT_SECONDS as u64 + 15);

static INFERRED: LazyLock<Cluster> = LazyLock::new(|| Cluster::new(None));

impl Cluster {
    /// Returns the cluster that the environment names. The environment is read when the cluster is first used.
    #[must_use]
    pub fn inferred() -> Self {
        INFERRED.clone()
    }

    /// Makes a cluster from a configuration of the application. Its default namespace is that of
    /// `kubernetes:///<workspace>`.
    #[must_use]
    pub fn with_config(config: kube::Config) -> Self {
        Self::new(Some(config))
    }

    fn new(config: Option<kube::Config>) -> Self {
        Self(Arc::new(Shared { config, doorbells: Registry::default(), endpoints: Registry::default() }))
    }

    /// Returns the doorbell of `namespace`, or of the pod's own namespace.
    ///
    /// # Errors
    ///
    /// `cluster_unusable`: the environment names no cluster, or its configuration can't be used.
    pub(crate) async fn doorbell(&self, namespace: Option<&str>) -> Result<NamespaceWatch, Fault> {
        let config = match &self.0.config {
            Some(config) => config.clone(),
            None => rototo_connection::config(None, None).await.map_err(|error| unusable(&with_causes(&error)))?,
        };
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let (cluster, key) = (config.cluster_url.to_string(), (Handle::current().id(), namespace.clone()));
        let doorbell = self.0.doorbells.share(key, || {
            let client = api_server(config, IDLE).map_err(|error| unusable(&api_error(&error)))?;
            Ok::<_, Fault>(Doorbell::start(doorbell::Namespace { client, name: namespace.clone() }))
        })?;
        Ok(NamespaceWatch { cluster, namespace, doorbell })
    }

    /// Returns the connection to the operator at `address`.
    ///
    /// # Errors
    ///
    /// `endpoint_unusable`: no connection can be made to such an address.
    pub(crate) fn endpoint(&self, address: &Address, token_file: &Path) -> Result<Arc<Endpoint>, Fault> {
        let key = (Handle::current().id(), address.clone(), token_file.to_owned());
        self.0.endpoints.share(key, || Endpoint::open(address, token_file.to_owned()))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.0.config.as_ref().map(|config| config.cluster_url.to_string());
        f.debug_tuple("Cluster").field(&url.as_deref().unwrap_or("inferred")).finish()
    }
}

fn unusable(reason: &str) -> Fault {
    Fault::persistent(
        "cluster_unusable",
        format!("finding the Kubernetes API failed (KUBECONFIG, then the pod's service account): {reason}"),
    )
}

/// Values that are shared as long as somebody holds them. Keys contain the runtime: a task that was started on a
/// runtime ends with it.
struct Registry<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Registry<K, V> {
    fn share<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        // A panic while the lock is held leaves no half-made entry, so a poisoned lock may be used.
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = entries.get(&key).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let made = Arc::new(make()?);
        entries.retain(|_, entry| entry.strong_count() > 0);
        entries.insert(key, Arc::downgrade(&made));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_somebody_holds_is_shared_and_any_other_is_made_anew() {
        let registry = Registry::<&str, u8>::default();
        let made = |value: u8| move || Ok::<_, ()>(value);
        let first = registry.share("a", made(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &registry.share("a", made(2)).unwrap()));
        drop(first);
        assert_eq!(*registry.share("a", made(3)).unwrap(), 3);
        assert_eq!(registry.share("b", || Err::<u8, _>("no")).unwrap_err(), "no");
        assert_eq!(*registry.share("b", made(4)).unwrap(), 4);
    }

    fn local() -> Cluster {
        // Nobody listens there. A doorbell that can't watch still exists.
        Cluster::with_config(kube::Config::new("http://127.0.0.1:9".parse().unwrap()))
    }

    #[tokio::test]
    async fn there_is_one_doorbell_per_namespace() {
        let cluster = local();
        let first = cluster.doorbell(Some("prod")).await.unwrap();
        let second = cluster.clone().doorbell(Some("prod")).await.unwrap();
        assert_eq!((first.namespace.as_str(), first.cluster.as_str()), ("prod", "http://127.0.0.1:9/"));
        assert!(Arc::ptr_eq(&first.doorbell, &second.doorbell));
        let other = cluster.doorbell(None).await.unwrap();
        assert_eq!(other.namespace, "default");
        assert!(!Arc::ptr_eq(&first.doorbell, &other.doorbell));
    }
}
