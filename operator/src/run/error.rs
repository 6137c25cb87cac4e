//! The reasons why the operator does not start.

use std::net::SocketAddr;

use kube::config::KubeconfigError;
use rototo_connection::api_error;
use rototo_source::SourceError;

use crate::http::tls::TlsError;

/// The reason why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kubeconfig can't be used.
    #[error("the kubeconfig can't be used: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig nor a pod's environment names an API server.
    #[error("no way to an API server was found (give --kubeconfig, or run in a pod): {0}")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// A client could not be made.
    #[error("the API server can't be used: {}", api_error(.0))]
    Client(#[from] kube::Error),
    /// Processes can't use the advertised URL.
    #[error("--advertise-url `{0}` must be https://HOST[:PORT]")]
    AdvertiseUrl(String),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The path of this program is unknown, so it can't be started again for Lua.
    #[error("this program can't be found, to run rules in Lua (--no-lua does without them): {0}")]
    Program(#[source] std::io::Error),
    /// The data directory can't be used.
    #[error("--data-dir can't be used: {0}")]
    DataDir(#[source] std::io::Error),
    /// The git objects in the data directory can't be used.
    #[error("--data-dir can't be used: {0}")]
    Sources(#[from] SourceError),
    /// The operator can't listen on an address.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
}
