//! Starts the operator, and ends it in order.
//!
//! [`run()`] is the entry point: everything is made in `start`, begins in `operate`, and ends on one signal, within
//! [`ENDS_WITHIN`].

mod certificate;
mod connect;
mod error;
pub(crate) mod log;
pub mod options;
mod standby;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use futures::FutureExt;
use futures::future::join_all;
use jiff::Timestamp;
use kube::Client;
use rototo_source::{Egress, EgressRules, FileSources, GitSetup, HttpClient, Limits, Reader, ReaderOptions};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::http;
use crate::http::connections::{ConnectionLimits, Listener};
use crate::http::endpoints::Endpoints;
use crate::http::probes::Health;
use crate::http::tls::Certificates;
use crate::leader;
use crate::leader::peers::Peers;
use crate::load::metrics::LoadMetrics;
use crate::marker::map::MapMetadata;
use crate::marker::markers::Markers;
use crate::outbound::analysis::prometheus::Prometheus;
use crate::outbound::notify::sender::CommitStatuses;
use crate::outbound::telemetry::Telemetry;
use crate::reconcile::context::{ContextParts, OperatorContext};
use crate::reconcile::progress::Progress;
use crate::reconcile::requests_policy::RequestsPolicy;
use crate::reconcile::scope::WatchScope;
use crate::reconcile::watches::Watches;
use crate::run::connect::{ApiServer, connect};
use crate::run::options::Options;
use crate::source::custom_rules::CustomRules;
use crate::source::programs;
use crate::source::snapshots::Snapshots;
use crate::source::sources::Sources;

pub use crate::run::error::StartError;

/// The wait before the API server is asked again at the start.
const START_AGAIN: Duration = Duration::from_secs(2);
/// The time for which begun reconciles may go on when the operator ends. Then the Lease is given up.
const LAST_DECISIONS: Duration = Duration::from_millis(500);
/// The time, from the signal on, by which the evidence has to be passed on to the other replicas.
const LAST_HANDOVER: Duration = Duration::from_millis(850);
/// The time for which the requests that are being answered then may still take.
const LAST_ANSWERS: Duration = Duration::from_millis(250);
/// The time for sending the last spans after that.
const LAST_SPANS: Duration = Duration::from_millis(250);
/// The longest time that the end may take in all: a little longer than its parts. An operator that is done ends earlier.
pub const ENDS_WITHIN: Duration = LAST_HANDOVER
    .saturating_add(leader::GIVING_UP)
    .saturating_add(LAST_ANSWERS)
    .saturating_add(LAST_SPANS)
    .saturating_add(Duration::from_millis(50));

/// Runs the operator until `shutdown`, and ends within [`ENDS_WITHIN`] of it.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), StartError> {
    let (health, handle) = (Arc::new(Health::new(Instant::now())), Handle::new());
    let load = LoadMetrics::default();
    // The probes have a task of their own: they have to answer above all when everything else stands still.
    let health_server = AbortOnDropHandle::new(tokio::spawn(serve_health(&options, &health, &handle, &load)?));
    let started = tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            info!("ended before the start");
            return Ok(());
        }
        started = start(&options, &health, &load) => started?,
    };
    health.started(started.context.clone());
    Box::pin(operate(&options, started, &handle, &shutdown)).await?;
    note_end("health", health_server.await);
    info!("ended");
    Ok(())
}

/// The parts of the operator before it begins to work.
struct Started {
    context: Arc<OperatorContext>,
    watches: Vec<Watches>,
    certificates: Certificates,
    serving: RustlsConfig,
}

async fn start(options: &Options, health: &Health, load: &LoadMetrics) -> Result<Started, StartError> {
    let progress = health.progress();
    programs(health).await;
    let ApiServer { client, hosts } = connect(options.kubeconfig.as_deref()).await?;
    let host = advertised_host(&options.advertise_url)?;
    std::fs::create_dir_all(&options.data_dir).map_err(StartError::DataDir)?;
    let egress = egress(options.allows_loopback(), hosts);
    let prometheus = Prometheus::new(client.clone(), HttpClient::new(egress.clone(), None));
    let commit_statuses = CommitStatuses::new(client.clone(), HttpClient::new(egress.clone(), None));
    let sources = sources(&client, options, egress, load.clone())?;
    let certificates = first_certificates(&client, options, &host, progress).await?;
    let identity = certificates.identity();
    let serving = certificate::serving(&identity).await.map_err(|error| StartError::Listen(options.listen, error))?;
    let watches: Vec<_> = WatchScope::of(&options.watch_namespaces).into_iter().map(Watches::new).collect();
    let caches: Vec<_> = watches.iter().map(|watches| watches.caches().clone()).collect();
    let metadata = MapMetadata {
        install: options.install(),
        snapshots: options.advertise_url.trim_end_matches('/').to_owned(),
        ca: identity.authorities.clone(),
    };
    let maps = caches.iter().map(|caches| caches.maps().clone()).collect();
    let markers = Markers::new(client.clone(), metadata, maps);
    let heartbeat = Duration::from_secs(options.heartbeat_seconds.into());
    let peers = options.peer_host.as_ref().map(|_| Peers::new(host, certificate::proofs(&identity)));
    let telemetry = Telemetry::new(options.otlp_endpoint.as_ref(), &options.lease().identity)?;
    let context = OperatorContext::new(ContextParts {
        client,
        sources,
        prometheus,
        commit_statuses,
        markers,
        caches,
        peers,
        heartbeat,
        progress: progress.clone(),
        requests_policy: RequestsPolicy::named(options.requests_policy.clone()),
        telemetry,
    });
    Ok(Started { context: Arc::new(context), watches, certificates, serving })
}

/// Waits until the programs that every operator needs can be run.
async fn programs(health: &Health) {
    programs::name_this_user();
    let mut shown = None;
    while let Err(missing) = programs::find_git().await {
        if shown.as_ref() != Some(&missing) {
            error!("{missing}; it tries again every {START_AGAIN:?}");
        }
        health.waits_for(Some(missing.to_string()));
        health.progress().touch(Instant::now());
        shown = Some(missing);
        tokio::time::sleep(START_AGAIN).await;
    }
    health.waits_for(None);
    programs::find_others().await;
}

/// Makes the way to the sources, with the data directory for what is read from them.
fn sources(client: &Client, options: &Options, egress: Egress, load: LoadMetrics) -> Result<Sources, StartError> {
    let reader_options = reader_options(options, egress);
    let snapshots = Snapshots::new(options.data_dir.join("snapshots"), reader_options.limits.clone());
    let reader = Reader::new(reader_options)?;
    let custom_rules = if options.no_lua {
        CustomRules::off()
    } else {
        CustomRules::run_by(std::env::current_exe().map_err(StartError::Program)?)
    };
    let limits = options.poll_limits(file_system_bytes(&options.data_dir));
    Ok(Sources::new(client.clone(), reader, custom_rules, snapshots, limits, load))
}

/// Returns the size of the file system that has `directory`; as large as can be if the system does not say.
fn file_system_bytes(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(u64::MAX, |found| found.f_blocks.saturating_mul(found.f_frsize))
}

/// Returns the addresses that sources may have: anybody who may create a RototoWorkspace names sources, and must not
/// reach through the operator what only the operator's pod reaches.
fn egress(allows_loopback: bool, api_server: Vec<(String, u16)>) -> Egress {
    Egress::Checked(EgressRules { loopback: allows_loopback, denied: api_server, ..EgressRules::default() })
}

/// Returns the options with which this operator reads sources, whose authors need not be its administrators.
fn reader_options(options: &Options, egress: Egress) -> ReaderOptions {
    ReaderOptions {
        cache_dir: Some(options.data_dir.join("git")),
        jitter: fastrand::f64,
        git: GitSetup::Isolated,
        egress,
        file_sources: if options.allow_file_sources { FileSources::Allowed } else { FileSources::Refused },
        remembered_bytes: 4 * (u64::from(options.parsed_mib) << 20),
        limits: Limits { unpacked_bytes: u64::from(options.max_document_mib) << 20, ..Limits::default() },
        ..ReaderOptions::default()
    }
}

/// Watches, reconciles, and serves until `shutdown`.
async fn operate(
    options: &Options,
    started: Started,
    handle: &Handle<SocketAddr>,
    shutdown: &CancellationToken,
) -> Result<(), StartError> {
    let Started { context, watches, certificates, serving } = started;
    let endpoints = Endpoints::new(context.clone());
    let refused = {
        let endpoints = endpoints.clone();
        move || endpoints.connection_refused()
    };
    let https = Listener::new("https", options.connection_limits(), context.load().clone())
        .noting_refusals(refused)
        .serve_tls(bind(options.listen)?, serving.clone(), handle.clone(), http::routes(endpoints, options.ui))
        .map_err(|error| StartError::Listen(options.listen, error))?;
    info!(listen = %options.listen, advertised = options.advertise_url, install = options.install(), "started");

    let watching = join_all(watches.into_iter().map(|watches| watches.run(context.clone(), shutdown.clone())));
    let given_up = CancellationToken::new();
    let deciding = async {
        // The last decisions are written while the Lease is still held.
        let signalled = signalled(shutdown).shared();
        tokio::select! {
            _ = watching => {}
            () = ends_after(signalled.clone(), LAST_DECISIONS) => {
                warn!("a reconcile did not end in time, and was given up");
            }
        }
        // Before the Lease is given up, so that the next leader has the evidence when its term begins.
        tokio::select! {
            () = context.hand_over() => {}
            () = ends_after(signalled, LAST_HANDOVER) => warn!("no replica took the evidence in time"),
        }
        given_up.cancel();
    };
    let terms = options.lease();
    let changed = |change| context.leadership_changed(change);
    let asked = || context.loop_turned();
    // A process that is alone has nobody to leave the Lease to.
    let complete = || context.copies().is_none_or(|copies| copies.is_complete() && context.cluster().is_watching());
    let leading = leader::compete(context.client(), &terms, context.leadership(), &given_up, complete, changed, asked);
    let until_given_up = async {
        tokio::join!(deciding, leading);
        // Processes may still fetch and report while the last decision is written; no operator would answer them
        // afterwards.
        handle.graceful_shutdown(Some(LAST_ANSWERS));
    };
    let renewals = certificate::keep(&context, certificates, &serving, options.authority_overlap());
    let https = tokio::select! {
        (https, ()) = async { tokio::join!(https, until_given_up) } => https,
        never = renewals => match never {},
        never = leader::watch_holder(context.client().clone(), &terms, context.leadership()) => match never {},
        never = standby::announce(&context, &terms) => match never {},
    };
    note_end("endpoint", Ok(https));
    context.end_traces();
    context.telemetry().end(LAST_SPANS).await;
    Ok(())
}

/// Returns the time of `shutdown`.
async fn signalled(shutdown: &CancellationToken) -> tokio::time::Instant {
    shutdown.cancelled().await;
    tokio::time::Instant::now()
}

/// Ends a while after the signal.
async fn ends_after(signalled: impl Future<Output = tokio::time::Instant>, grace: Duration) {
    let end = signalled.await + grace;
    tokio::time::sleep_until(end).await;
}

fn serve_health(
    options: &Options,
    health: &Arc<Health>,
    handle: &Handle<SocketAddr>,
    load: &LoadMetrics,
) -> Result<impl Future<Output = std::io::Result<()>> + use<>, StartError> {
    Listener::new("metrics", ConnectionLimits::of_metrics(), load.clone())
        .serve(bind(options.metrics_listen)?, handle.clone(), health.clone().routes())
        .map_err(|error| StartError::Listen(options.metrics_listen, error))
}

fn note_end(listener: &str, ended: Result<std::io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, listener, "a listener has failed"),
        Err(error) => error!(%error, listener, "a listener has failed"),
    }
}

/// Returns the certificates in the Secret, as soon as the API server answers.
async fn first_certificates(
    client: &Client,
    options: &Options,
    host: &str,
    progress: &Progress,
) -> Result<Certificates, StartError> {
    loop {
        match Certificates::first(client, options.certificate_settings(host), Timestamp::now()).await {
            Err(error) if error.is_transient() => {
                warn!(%error, "the operator can't start yet, and tries again in {START_AGAIN:?}");
            }
            ended => return Ok(ended?),
        }
        progress.touch(Instant::now());
        tokio::time::sleep(START_AGAIN).await;
    }
}

fn advertised_host(url: &str) -> Result<String, StartError> {
    let refused = || StartError::AdvertiseUrl(url.to_owned());
    let parsed: axum::http::Uri = url.parse().map_err(|_| refused())?;
    let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https")).ok_or_else(refused)?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    rototo_connection::bind(address).map_err(|error| StartError::Listen(address, error))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rototo_source::Source;

    use super::*;

    #[tokio::test]
    async fn documents_of_30_mib_are_refused_before_they_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let (workspace, data) = (directory.path().join("workspace"), directory.path().join("data"));
        std::fs::create_dir_all(workspace.join("variables")).unwrap();
        std::fs::write(workspace.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        let file = std::fs::File::create(workspace.join("variables/large.toml")).unwrap();
        file.set_len(30 << 20).unwrap();
        let source: Source = format!("file://{}", workspace.display()).parse().unwrap();
        let code = async |more: &[&str]| {
            let data = format!("--data-dir={}", data.display());
            let own = ["rototo-operator", "--advertise-url=https://h", "--allow-file-sources", &data];
            let options = Options::try_parse_from(own.iter().chain(more)).unwrap();
            let error = Reader::new(reader_options(&options, egress(options.allows_loopback(), Vec::new())))
                .unwrap()
                .read(&source)
                .await
                .err();
            error.map(|error| (error.code(), error.is_transient(), error.to_string()))
        };
        let (refusal, transient, text) = code(&[]).await.unwrap();
        assert_eq!((refusal, transient), ("too_large", false), "{text}");
        assert!(text.contains("larger than 8388608 bytes together"), "{text}");
        assert_eq!(code(&["--max-document-mib=31"]).await, None);
    }
}
