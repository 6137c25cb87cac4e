//! Stands in front of the API server, as a TLS server with a certificate of its own, and holds chosen requests for ever.
//! Everything else it passes on as it is, watches included.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{Method, Response, StatusCode};
use axum_server::Handle;
use axum_server::tls_rustls::from_tcp_rustls;
use serde_json::json;
use tokio::sync::Notify;

use super::cluster::write_kubeconfig;
use super::{Cluster, scratch, tampering_proxy};

/// More than any request of a test has.
const LARGEST: usize = 16 * 1024 * 1024;

/// Decides whether a request is held, by its method and its path with the query.
type RequestFilter = Box<dyn Fn(&Method, &str) -> bool + Send + Sync>;

/// A way to the API server on which requests can get stuck.
pub struct Gate {
    url: String,
    directory: PathBuf,
    line: Arc<SharedState>,
    handle: Handle<std::net::SocketAddr>,
}

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
    /// Begins to pass on requests to the API server of `cluster`.
    pub fn before(cluster: &Cluster) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a gate")?;
        listener.set_nonblocking(true).context("listen as a gate")?;
        let url = format!("https://{}", listener.local_addr().context("ask where the gate listens")?);
        let (tls, certificate) = tampering_proxy::certificate()?;
        let directory = scratch::directory("gate")?;
        fs::write(directory.join("ca.crt"), certificate).context("write the gate's certificate")?;

        let target = cluster.url().to_owned();
        let handle = Handle::new();
        let serving = handle.clone();
        let (ready, made) = std::sync::mpsc::channel();
        // A runtime of its own: tests block theirs while they wait.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let line = line_to(&target).map(Arc::new);
                let routes = line.as_ref().ok().map(|line| Router::new().fallback(pass).with_state(Arc::clone(line)));
                drop(ready.send(line));
                if let (Some(routes), Ok(server)) = (routes, from_tcp_rustls(listener, tls)) {
                    // It ends with its owner, and whoever is connected then sees that.
                    let _ = server.handle(serving).serve(routes.into_make_service()).await;
                }
            });
        });
        let line = made.recv().context("start the gate")??;
        Ok(Self { url, directory, line, handle })
    }

    /// A kubeconfig that leads through the gate, for whoever the token in `file` is.
    pub fn kubeconfig_for_token_file(&self, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join("kubeconfig");
        write_kubeconfig(path, &self.url, &self.directory.join("ca.crt"), &json!({ "tokenFile": file }), namespace)
    }

    /// Holds each request from now on that `choice` names. It is not answered unless it is [released](Self::release).
    pub fn hold(&self, choice: impl Fn(&Method, &str) -> bool + Send + Sync + 'static) {
        self.line.state().choice = Box::new(choice);
    }

    /// Passes all requests on that come from now on.
    pub fn open(&self) {
        self.hold(|_, _| false);
    }

    /// Passes on what is held, and all requests that come from now on.
    pub fn release(&self) {
        self.open();
        self.line.released.notify_waiters();
    }

    /// The number of requests that were held so far.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.state().held
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.handle.shutdown();
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

fn line_to(api_server: &str) -> anyhow::Result<SharedState> {
    let mut config = kube::Config::new(api_server.parse()?);
    // Whether the API server is the API server is proven elsewhere; here it is whoever listens there.
    config.accept_invalid_certs = true;
    config.default_retry = false;
    let api_server = kube::Client::try_from(config).context("make a client of the API server")?;
    Ok(SharedState {
        api_server,
        state: Mutex::new(Holding { choice: Box::new(|_, _| false), held: 0 }),
        released: Notify::new(),
    })
}

async fn pass(State(line): State<Arc<SharedState>>, request: Request) -> Result<Response<Body>, StatusCode> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = axum::body::to_bytes(body, LARGEST).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    if line.holds(&head.method, &path) {
        line.released.notified().await;
    }
    // What is for this server alone: the client of the API server sets its own.
    head.uri = path.parse().unwrap_or_default();
    head.headers.remove(HOST);
    let answer = line.api_server.send(Request::from_parts(head, body.to_vec().into())).await;
    let (mut head, body) = answer.map_err(|_| StatusCode::BAD_GATEWAY)?.into_parts();
    for own in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(own);
    }
    Ok(Response::from_parts(head, Body::new(body)))
}
