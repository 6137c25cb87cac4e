//! Starts everything the operator consists of, and ends it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use futures::future::join_all;
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::runtime::events::Reporter;
use kube::{Client, Config};
use rototo_api::names::OPERATOR;
use rototo_source::{FileSources, Reader, ReaderOptions, SourceError};
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::context::{Bells, Context};
use crate::controller::{Scope, Watches};
use crate::leader::{self, Leadership};
use crate::maps::Maps;
use crate::markers::Address;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::own_rules::OwnRules;
use crate::records::Records;
use crate::serve::Endpoints;
use crate::snapshots::Snapshots;
use crate::tls::{self, Identity, TlsError};

/// How often it is asked whether the certificate has to be renewed.
const RENEWAL_CHECK: Duration = Duration::from_secs(6 * 3600);
/// How long requests that are being answered may take when the operator ends.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kubeconfig can't be used.
    #[error("the kubeconfig can't be used: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// There is no way to an API server.
    #[error("no way to an API server was found (give --kubeconfig, or run in a pod): {0}")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// A client could not be made.
    #[error("the API server can't be used: {0}")]
    Client(#[from] kube::Error),
    /// The advertised URL is not one that processes can use.
    #[error("--advertise-url `{0}` must be https://HOST[:PORT]")]
    AdvertiseUrl(String),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This program can't be found, to be started once more for Lua.
    #[error("this program can't be found, to run rules in Lua (--no-lua does without them): {0}")]
    Program(#[source] std::io::Error),
    /// The data directory can't be used.
    #[error("--data-dir can't be used: {0}")]
    DataDir(#[source] std::io::Error),
    /// The git objects in it can't be used.
    #[error("--data-dir can't be used: {0}")]
    Sources(#[from] SourceError),
    /// An address can't be listened on.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// Runs the operator until `shutdown`.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), StartError> {
    let client = client(&options).await?;
    let host = advertised_host(&options.advertise_url)?;
    std::fs::create_dir_all(&options.data_dir).map_err(StartError::DataDir)?;
    let names = [host];
    let identity = tls::ensure(&client, &options.namespace, &options.tls_secret, &names, Timestamp::now()).await?;
    let serving = serving(&identity).await.map_err(|error| StartError::Listen(options.listen, error))?;

    let (bells, watches): (Vec<_>, Vec<_>) = Scope::of(&options.watch_namespaces)
        .into_iter()
        .map(|scope| {
            let (bell, rings) = unbounded_channel();
            ((scope.clone(), bell), Watches::new(scope, rings))
        })
        .unzip();
    let reader = Reader::new(ReaderOptions {
        cache_dir: Some(options.data_dir.join("git")),
        jitter: fastrand::f64,
        file_sources: if options.allow_file_sources { FileSources::Allowed } else { FileSources::Refused },
        ..ReaderOptions::default()
    })?;
    let own_rules = if options.no_lua {
        OwnRules::off()
    } else {
        OwnRules::run_by(std::env::current_exe().map_err(StartError::Program)?)
    };
    let metrics = Arc::new(Metrics::default());
    let context = Arc::new(Context {
        reporter: Reporter { controller: OPERATOR.to_owned(), instance: None },
        reader,
        own_rules,
        address: Address {
            install: options.install(),
            snapshots: options.advertise_url.trim_end_matches('/').to_owned(),
            ca: identity.authority.clone(),
        },
        snapshots: Arc::new(Snapshots::new(options.data_dir.join("snapshots"))),
        records: Records::default(),
        maps: Maps::new(watches.iter().map(|watches| watches.maps.0.clone()).collect()),
        workspaces: watches.iter().map(|watches| watches.workspaces.0.clone()).collect(),
        pods: watches.iter().map(|watches| watches.pods.clone()).collect(),
        bells: Bells(bells),
        watching: watches.iter().map(|watches| watches.watching.clone()).collect(),
        sweeps: watches.iter().map(|watches| watches.swept.clone()).collect(),
        leadership: Leadership::default(),
        metrics: metrics.clone(),
        client: client.clone(),
    });

    let endpoints = Endpoints::new(context.clone()).routes();
    let handle = Handle::new();
    let https = bind(options.listen)?;
    let https = axum_server::from_tcp_rustls(https, serving.clone())
        .map_err(|error| StartError::Listen(options.listen, error))?
        .handle(handle.clone())
        .serve(endpoints.into_make_service());
    let http = bind(options.metrics_listen)?;
    let http = axum_server::from_tcp(http)
        .map_err(|error| StartError::Listen(options.metrics_listen, error))?
        .handle(handle.clone())
        .serve(health(context.clone()).into_make_service());
    info!(listen = %options.listen, advertised = options.advertise_url, install = options.install(), "started");

    let work = join_all(watches.into_iter().map(|watches| watches.run(context.clone(), shutdown.clone())));
    let terms = options.lease();
    let given_up = CancellationToken::new();
    let leading =
        leader::compete(&client, &terms, &context.leadership, &given_up, || context.begin(), || context.end());
    let work = async {
        // The last decisions are written while the Lease is still held.
        let work = async {
            work.await;
            given_up.cancel();
        };
        tokio::join!(work, leading);
        // Processes may still fetch and report while the last decision is written; afterwards nobody would answer.
        handle.graceful_shutdown(Some(LAST_ANSWERS));
    };
    let renewals = renew(&client, &options, &names, identity, &serving);
    let (https, http, ()) = tokio::select! {
        ended = async { tokio::join!(https, http, work) } => ended,
        never = renewals => match never {},
    };
    for ended in [https, http] {
        if let Err(error) = ended {
            error!(%error, "a listener has failed");
        }
    }
    info!("ended");
    Ok(())
}

async fn client(options: &Options) -> Result<Client, StartError> {
    let config = match &options.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}

fn advertised_host(url: &str) -> Result<String, StartError> {
    let refused = || StartError::AdvertiseUrl(url.to_owned());
    let parsed: http::Uri = url.parse().map_err(|_| refused())?;
    let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https")).ok_or_else(refused)?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let listener = std::net::TcpListener::bind(address);
    let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| StartError::Listen(address, error))
}

async fn serving(identity: &Identity) -> std::io::Result<RustlsConfig> {
    RustlsConfig::from_pem(identity.certificate.clone().into_bytes(), identity.key.clone().into_bytes()).await
}

/// Renews the serving certificate while the operator runs. Processes notice nothing, because the authority stays.
async fn renew(
    client: &Client,
    options: &Options,
    names: &[String],
    mut identity: Identity,
    serving: &RustlsConfig,
) -> Infallible {
    loop {
        tokio::time::sleep(RENEWAL_CHECK).await;
        match tls::ensure(client, &options.namespace, &options.tls_secret, names, Timestamp::now()).await {
            Ok(next) if next == identity => {}
            Ok(next) if next.authority != identity.authority => {
                // Processes trust what stands on the marker maps, and that is written at the start.
                error!("the Secret has another authority now: restart the operator to serve under it");
            }
            Ok(next) => {
                let (certificate, key) = (next.certificate.clone().into_bytes(), next.key.clone().into_bytes());
                match serving.reload_from_pem(certificate, key).await {
                    Ok(()) => info!("the serving certificate was renewed"),
                    Err(error) => error!(%error, "the renewed certificate can't be used; the old one stays"),
                }
                identity = next;
            }
            Err(error) => warn!(%error, "whether the certificate has to be renewed could not be asked"),
        }
    }
}

/// Ready is who writes: the Service leads processes to it and to nobody else.
fn health(context: Arc<Context>) -> Router {
    let counted = context.clone();
    let ready = async move || {
        if !context.leadership.is_held(Instant::now()) {
            (StatusCode::SERVICE_UNAVAILABLE, "another operator holds the Lease")
        } else if !context.is_watching() {
            (StatusCode::SERVICE_UNAVAILABLE, "the first lists have not come yet")
        } else {
            (StatusCode::OK, "ok")
        }
    };
    let text = [(axum::http::header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async move || (text, counted.metrics.text(&counted.reader))))
}
