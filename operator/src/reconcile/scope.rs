//! The namespaces that one set of watches covers.

use std::fmt;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// The namespaces of one set of watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchScope {
    /// All of them.
    Cluster,
    /// One.
    Namespace(String),
}

impl WatchScope {
    /// Returns the scopes of `--watch-namespace`.
    pub(crate) fn of(namespaces: &[String]) -> Vec<Self> {
        if namespaces.is_empty() {
            return vec![Self::Cluster];
        }
        namespaces.iter().cloned().map(Self::Namespace).collect()
    }

    /// Returns whether the scope covers a namespace.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(own) => own == namespace,
        }
    }

    /// Returns the name of the namespace; none if the scope is all of them.
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Cluster => "",
            Self::Namespace(own) => own,
        }
    }

    /// Returns the API of a resource in this scope.
    pub(crate) fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, client: &Client) -> Api<K> {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

impl fmt::Display for WatchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster"),
            Self::Namespace(own) => write!(f, "the namespace {own}"),
        }
    }
}
