//! A TLS server in front of the API server, with a certificate of its own, that holds chosen requests without an
//! answer. It passes everything else on unchanged, including watches.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::Notify;

use super::Cluster;
use super::cluster::write_kubeconfig;
use super::tls_front::TlsFront;

/// The largest body of a request. Requests of tests are smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// Decides whether a request is held, by its method and its path with the query.
type RequestFilter = Box<dyn Fn(&Method, &str) -> bool + Send + Sync>;

/// A path to the API server on which requests can hang.
pub struct Gate(TlsFront<SharedState>);

struct SharedState {
    api_server: kube::Client,
    state: Mutex<Holding>,
    released: Notify,
}

struct Holding {
    choice: RequestFilter,
    held: usize,
}

impl Gate {
    /// Starts a gate that passes requests on to the API server of `cluster`.
    pub fn before(cluster: &Cluster) -> anyhow::Result<Self> {
        let state = |api_server| SharedState {
            api_server,
            state: Mutex::new(Holding { choice: Box::new(|_, _| false), held: 0 }),
            released: Notify::new(),
        };
        let routes = |state| Router::new().fallback(pass).with_state(state);
        Ok(Self(TlsFront::start("gate", cluster.url(), state, routes)?))
    }

    /// Returns a kubeconfig with the gate as the API server, for the user of the token in `file`.
    pub fn kubeconfig_for_token_file(&self, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.directory().join("kubeconfig");
        let user = json!({ "tokenFile": file });
        write_kubeconfig(path, &self.0.url(), &self.0.certificate(), &user, namespace)
    }

    /// Holds each new request for which `choice` is true. A held request gets no answer until it is
    /// [released](Self::release).
    pub fn hold(&self, choice: impl Fn(&Method, &str) -> bool + Send + Sync + 'static) {
        self.0.state().state().choice = Box::new(choice);
    }

    /// Passes on all new requests.
    pub fn open(&self) {
        self.hold(|_, _| false);
    }

    /// Passes on the held requests and all new ones.
    pub fn release(&self) {
        self.open();
        self.0.state().released.notify_waiters();
    }

    /// Returns the number of requests that were held so far.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.state().state().held
    }
}

impl SharedState {
    fn state(&self) -> std::sync::MutexGuard<'_, Holding> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, method: &Method, path: &str) -> bool {
        let mut state = self.state();
        let holds = (state.choice)(method, path);
        state.held += usize::from(holds);
        holds
    }
}

async fn pass(State(line): State<Arc<SharedState>>, request: Request) -> Result<Response<Body>, StatusCode> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = axum::body::to_bytes(body, LARGEST).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    if line.holds(&head.method, &path) {
        line.released.notified().await;
    }
    // The client of the API server sets its own host.
    head.uri = path.parse().unwrap_or_default();
    head.headers.remove(HOST);
    let answer = line.api_server.send(Request::from_parts(head, body.to_vec().into())).await;
    let (mut head, body) = answer.map_err(|_| StatusCode::BAD_GATEWAY)?.into_parts();
    for own in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(own);
    }
    Ok(Response::from_parts(head, Body::new(body)))
}
