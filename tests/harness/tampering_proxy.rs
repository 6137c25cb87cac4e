//! A TLS server in place of the operator's endpoint, with a certificate of its own, that damages snapshots as a disk, a
//! cache, or an attacker might. It passes everything else on unchanged.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;

use super::tls_front::TlsFront;

/// The largest body. Requests and snapshots of tests are smaller.
const LARGEST: usize = 16 * 1024 * 1024;

/// A change of the bytes of a snapshot.
type Alteration = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// A proxy that alters or withholds snapshots.
#[derive(Debug)]
pub struct TamperingProxy(TlsFront<SharedState>);

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
        let state = |operator| SharedState { operator, state: Mutex::new(TamperMode::Honest) };
        let routes = |state| Router::new().fallback(pass).with_state(state);
        Ok(Self(TlsFront::start("tampering-proxy", &format!("https://{address}"), state, routes)?))
    }

    /// Returns the URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Returns the certificate against which the certificate of the proxy is checked.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.0.certificate()
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
        *self.0.state().state.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedState").finish_non_exhaustive()
    }
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
