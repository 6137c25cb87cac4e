//! Makes the client of the API server. Each request is tried once: whoever needs the answer comes back by itself.

use std::path::Path;
use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::layer::layer_fn;
use tower::{BoxError, ServiceBuilder};

use crate::controller::WATCH_LASTS;
use crate::limits::Limited;
use crate::run::StartError;

/// The time for a connection to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection on which nothing comes for longer than any watch lasts is dead.
const READ: Duration = Duration::from_secs(*WATCH_LASTS.end() as u64 + 15);
/// A quiet connection is probed after this time, and given up when this many probes had no answer.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// Makes the client that a kubeconfig describes; by default the one that kubectl would use, then that of a pod.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, StartError> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    Ok(client(tuned(config))?)
}

fn tuned(mut config: Config) -> Config {
    // Up to 15 tries, and a wait as long as a Retry-After says: a caller would be held for minutes.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.reset_reader_on_write = true;
    config
}

/// [`Client::try_from`] with TCP keepalive and [`Limited`].
fn client(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        // Kube knows which proxies it was built for, and refuses the others.
        return Ok(ClientBuilder::try_from(config)?.with_layer(&layer_fn(Limited)).build());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(Limited(service), config.default_namespace))
}
