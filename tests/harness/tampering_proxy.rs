//! A TLS server in place of the operator's endpoint, with a certificate of its own, that damages snapshots as a disk, a
//! cache, or an attacker might. It passes everything else on unchanged.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

use super::scratch;

/// The largest body. Requests and snapshots of tests are smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// A change of the bytes of a snapshot.
type Alteration = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A proxy that alters or withholds snapshots.
#[derive(Debug)]
pub struct TamperingProxy {
    address: String,
    authority: PathBuf,
    line: Arc<SharedState>,
    handle: Handle<std::net::SocketAddr>,
}

struct SharedState {
    operator: kube::Client,
    state: Mutex<TamperMode>,
}

#[derive(Clone)]
enum TamperMode {
    Honest,
    Altering(Alteration),
    Stalling,
}

impl TamperingProxy {
    /// Starts a proxy in front of the operator at `address`, a `host:port`. At first it alters nothing.
    pub fn before(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a tampering proxy")?;
        listener.set_nonblocking(true).context("listen as a tampering proxy")?;
        let own_address = listener.local_addr().context("read the address of the tampering proxy")?.to_string();
        let (tls, certificate) = certificate()?;
        let authority = scratch::directory("tampering-proxy")?.join("ca.crt");
        fs::write(&authority, certificate).context("write the certificate of the tampering proxy")?;

        let target = format!("https://{address}");
        let handle = Handle::new();
        let serving = handle.clone();
        let (ready, made) = std::sync::mpsc::channel();
        // The proxy has a runtime of its own, because tests block theirs while they wait.
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
        let line = made.recv().context("start the tampering proxy")??;
        Ok(Self { address: own_address, authority, line, handle })
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the certificate against which the certificate of the proxy is checked.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Passes snapshots on unchanged.
    pub fn be_honest(&self) {
        self.turn(TamperMode::Honest);
    }

    /// Passes on the result of `alteration` in place of each snapshot.
    pub fn alter(&self, alteration: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        self.turn(TamperMode::Altering(Arc::new(alteration)));
    }

    /// Sends the first half of each snapshot, and then nothing while the process waits.
    pub fn stall(&self) {
        self.turn(TamperMode::Stalling);
    }

    fn turn(&self, conduct: TamperMode) {
        *self.line.state.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }
}

impl Drop for TamperingProxy {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedState").finish_non_exhaustive()
    }
}

/// Returns the TLS configuration of a server on 127.0.0.1, and the certificate against which it is checked.
pub(super) fn certificate() -> anyhow::Result<(RustlsConfig, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).context("create a certificate")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|tls| tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key));
    let mut tls = tls.context("use the certificate")?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((RustlsConfig::from_config(Arc::new(tls)), made.cert.pem()))
}

fn line_to(operator: &str) -> anyhow::Result<SharedState> {
    let mut config = kube::Config::new(operator.parse()?);
    // Other tests check the certificate of the operator; this client accepts any server.
    config.accept_invalid_certs = true;
    let operator = kube::Client::try_from(config).context("create a client of the operator")?;
    Ok(SharedState { operator, state: Mutex::new(TamperMode::Honest) })
}

async fn pass(State(line): State<Arc<SharedState>>, request: Request) -> Result<Response<Body>, StatusCode> {
    let (mut head, body) = request.into_parts();
    let snapshot = head.uri.path().contains("/snapshots/");
    // The client of the operator sets its own host.
    head.uri = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default().parse().unwrap_or_default();
    head.headers.remove(HOST);
    let body = axum::body::to_bytes(body, LARGEST).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    let answer = line.operator.send(Request::from_parts(head, body.to_vec().into())).await;
    let (head, body) = answer.map_err(|_| StatusCode::BAD_GATEWAY)?.into_parts();
    let body = body.collect().await.map_err(|_| StatusCode::BAD_GATEWAY)?.to_bytes();
    let conduct = line.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let body = match conduct {
        TamperMode::Altering(alteration) if snapshot && head.status.is_success() => {
            Body::from(alteration(body.to_vec()))
        }
        TamperMode::Stalling if snapshot && head.status.is_success() => half_of(&body),
        _ => Body::from(body),
    };
    let mut passed = Response::builder().status(head.status);
    for (name, value) in head.headers.iter().filter(|(name, _)| [CONTENT_TYPE, RETRY_AFTER].contains(name)) {
        passed = passed.header(name, value);
    }
    passed.body(body).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn half_of(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    Body::from_stream(stream::once(async { Ok::<_, std::io::Error>(half) }).chain(stream::pending()))
}
