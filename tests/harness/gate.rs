//! A TLS server in front of the API server, with a certificate of its own, that holds chosen requests without an
//! answer. It passes everything else on unchanged, including watches.

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

/// The largest body of a request. Requests of tests are smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// Decides whether a request is held, by its method and its path with the query.
type RequestFilter = Box<dyn Fn(&Method, &str) -> bool + Send + Sync>;

/// A path to the API server on which requests can hang.
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
    /// Starts a gate that passes requests on to the API server of `cluster`.
    pub fn before(cluster: &Cluster) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a gate")?;
        listener.set_nonblocking(true).context("listen as a gate")?;
        let url = format!("https://{}", listener.local_addr().context("read the address of the gate")?);
        let (tls, certificate) = tampering_proxy::certificate()?;
        let directory = scratch::directory("gate")?;
        fs::write(directory.join("ca.crt"), certificate).context("write the gate's certificate")?;

        let target = cluster.url().to_owned();
        let handle = Handle::new();
        let serving = handle.clone();
        let (ready, made) = std::sync::mpsc::channel();
        // The gate has a runtime of its own, because tests block theirs while they wait.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let line = line_to(&target).map(Arc::new);
                let routes = line.as_ref().ok().map(|line| Router::new().fallback(pass).with_state(Arc::clone(line)));
                drop(ready.send(line));
                if let (Some(routes), Ok(server)) = (routes, from_tcp_rustls(listener, tls)) {
                    // The server ends with its owner, and its clients notice that.
                    let _ = server.handle(serving).serve(routes.into_make_service()).await;
                }
            });
        });
        let line = made.recv().context("start the gate")??;
        Ok(Self { url, directory, line, handle })
    }

    /// Returns a kubeconfig with the gate as the API server, for the user of the token in `file`.
    pub fn kubeconfig_for_token_file(&self, file: &Path, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join("kubeconfig");
        write_kubeconfig(path, &self.url, &self.directory.join("ca.crt"), &json!({ "tokenFile": file }), namespace)
    }

    /// Holds each new request for which `choice` is true. A held request gets no answer until it is
    /// [released](Self::release).
    pub fn hold(&self, choice: impl Fn(&Method, &str) -> bool + Send + Sync + 'static) {
        self.line.state().choice = Box::new(choice);
    }

    /// Passes on all new requests.
    pub fn open(&self) {
        self.hold(|_, _| false);
    }

    /// Passes on the held requests and all new ones.
    pub fn release(&self) {
        self.open();
        self.line.released.notify_waiters();
    }

    /// Returns the number of requests that were held so far.
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
    // Other tests check the certificate of the API server; this client accepts any server.
    config.accept_invalid_certs = true;
    config.default_retry = false;
    let api_server = kube::Client::try_from(config).context("create a client of the API server")?;
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
