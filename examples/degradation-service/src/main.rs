//! A service that resolves its degradation policy for each request.
//!
//! `ROTOTO_WORKSPACE_SOURCE` names the source of the policy: a directory on a laptop, a git address in a job, or
//! `kubernetes://<namespace>/<workspace>` in a pod. The code is the same for all of them.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use rototo::{Health, RefreshOptions, RefreshStatus, RefreshingWorkspace, ResolveContext, Typed, Workspace};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The variable that this service resolves.
const POLICY: &str = "service-degradation-policy";

/// The type that each value of the variable must have. A workspace with a value that does not fit is never swapped in.
#[derive(Serialize, Deserialize)]
struct DegradationPolicy {
    mode: String,
    max_concurrency: u64,
    background_jobs_enabled: bool,
    non_critical_fanout: String,
    fallback_provider: String,
}

/// The state that all requests share.
struct Service {
    workspace: RefreshingWorkspace,
    policy: Typed<DegradationPolicy>,
}

/// The facts that a caller supplies.
#[derive(Deserialize)]
struct PolicyQuery {
    queue_pressure: String,
    #[serde(default)]
    account_id: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Kube logs a refused watch with everything that it knows. The library logs the missing rule, in a sentence.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_runtime::watcher=error"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();

    let options = RefreshOptions::from_env().expecting::<DegradationPolicy>(POLICY).on_change(|change| {
        let (fingerprint, variables) = (change.workspace.fingerprint(), &change.variables);
        tracing::info!(%fingerprint, ?variables, "configuration changed");
    });
    let workspace = RefreshingWorkspace::from_env_with_options(options)?;
    let service = Arc::new(Service { policy: workspace.variable(POLICY), workspace });

    tokio::spawn(report_health(service.clone()));

    // The service listens before anything is loaded, so that the readiness probe can answer that nothing is.
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await.with_context(|| format!("listening on {address} failed"))?;
    println!("listening on http://{}", listener.local_addr()?);

    let app = Router::new()
        .route("/policy", get(policy))
        .route("/state", get(state))
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .with_state(service.clone());
    axum::serve(listener, app).with_graceful_shutdown(terminated()?).await?;

    // The last request is answered. Nothing resolves any more, and the operator need not wait for this process.
    service.workspace.shutdown().await;
    Ok(())
}

async fn policy(
    State(service): State<Arc<Service>>,
    Query(facts): Query<PolicyQuery>,
) -> Result<Response, PolicyError> {
    let context = ResolveContext::from_json(json!({
        "service": {"queue_pressure": facts.queue_pressure},
        "account": {"id": facts.account_id},
    }))?;
    // One view for the whole request: all its resolutions fit together, even if another version is swapped in.
    let view = service.workspace.current()?;
    let policy = service.policy.resolve_in(&view, &context)?;
    Ok(Json(json!({"value_key": *policy.value_key, "policy": *policy.value})).into_response())
}

async fn state(State(service): State<Arc<Service>>) -> Json<RefreshStatus> {
    Json(service.workspace.status())
}

/// Says after each change whether the service can work with its policy. While a revision reaches the fleet by steps, the
/// verdict of one process rolls it back for all. A service with an error rate of its own says more.
async fn report_health(service: Arc<Service>) {
    let mut changes = service.workspace.changes();
    loop {
        if let Ok(health) =
            service.workspace.current().map_err(anyhow::Error::from).and_then(|view| service.health(&view))
        {
            service.workspace.report_health(health);
        }
        if changes.next().await.is_none() {
            return;
        }
    }
}

impl Service {
    fn health(&self, view: &Workspace) -> anyhow::Result<Health> {
        let context = ResolveContext::from_json(json!({"service": {"queue_pressure": "low"}, "account": {"id": ""}}))?;
        let needs = std::env::var("MIN_CONCURRENCY").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let policy = self.policy.resolve_in(view, &context)?;
        let enough = policy.value.max_concurrency >= needs;
        Ok(if enough { Health::Ok } else { Health::Degraded("concurrency_too_low".parse()?) })
    }
}

/// Returns the metrics for Prometheus. A service with a metrics library gives it the same pairs.
async fn metrics(State(service): State<Arc<Service>>) -> String {
    service.workspace.status().metrics().into_iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}

async fn readyz(State(service): State<Arc<Service>>) -> StatusCode {
    if service.workspace.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The reason why there is no policy: none is loaded yet, or these facts don't resolve.
struct PolicyError(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for PolicyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PolicyError {
    fn into_response(self) -> Response {
        let later = self.0.downcast_ref::<rototo::Error>().is_some_and(rototo::Error::is_transient);
        let status = if later { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

/// Returns a future that completes when the kubelet or the person at the terminal ends the process.
fn terminated() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
