//! The reasons why the operator does not start.

use std::net::SocketAddr;

use rototo_connection::{ConfigError, api_error};
use rototo_source::SourceError;

use crate::http::tls::TlsError;
use crate::outbound::telemetry::CollectorError;

/// The reason why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No kubeconfig and no pod's environment names an API server.
    #[error("no API server is configured (give --kubeconfig, or run in a pod): {0}")]
    NoCluster(#[from] ConfigError),
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
    /// Traces can't be sent.
    #[error("--otlp-endpoint can't be used: {0}")]
    Collector(#[from] CollectorError),
    /// The operator can't listen on an address.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
}
