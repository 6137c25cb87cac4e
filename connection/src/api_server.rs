//! Makes clients of the API server, whose requests end and whose dead connections are noticed.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::credentials::{Identity, Source};
use crate::limits::{Limited, TimeLimits, is_watch};
use crate::sessions::{Http, Pace, Session, Sessions};
use crate::watch_ends::{WatchBody, WatchEnds};

/// The time limit for making a connection, TLS included.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// TCP probes a connection that has been quiet for this long, and closes it when this many probes get no answer.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// The port of a SOCKS proxy whose address has none.
const SOCKS_PORT: u16 = 1080;

/// Makes the client that `config` describes. The client tries every request once, with a time limit. TCP keepalive
/// closes a connection whose other side is gone. A connection that receives nothing for `idle` is closed too, because
/// its other side hangs; `idle` must be longer than a watch lasts.
///
/// Credentials that end are renewed, and a request that the API server refuses with 401 is sent once more if there are
/// others by then. A program that makes them runs beside the runtime when the first request needs it.
///
/// A connection through a proxy is probed as far as the proxy. Clones of the client share
/// connections and may be used from any thread. Dropping a request's future cancels the request.
///
/// # Errors
///
/// `config` names credentials, certificates, or a proxy that can't be used.
pub fn api_server(config: Config, idle: Duration) -> Result<Client, kube::Error> {
    client(with_time_limits(config, idle), TimeLimits::ByKind)
}

/// Makes the client as [`api_server()`] does, and its first credentials: where a program makes them, somebody may have to
/// sign in, which takes longer than a request may.
///
/// # Errors
///
/// Those of [`api_server()`], or the program for credentials fails.
pub async fn sign_in(config: Config, idle: Duration) -> Result<Client, kube::Error> {
    let (client, sessions) = prepared(with_time_limits(config, idle), TimeLimits::ByKind, Pace::default())?;
    sessions.begin().await.map_err(kube::Error::Auth)?;
    Ok(client)
}

fn with_time_limits(mut config: Config, idle: Duration) -> Config {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(idle);
    config.reset_reader_on_write = true;
    config
}

/// Makes a client whose requests have these time limits.
pub(crate) fn client(config: Config, limits: TimeLimits) -> Result<Client, kube::Error> {
    prepared(config, limits, Pace::default()).map(|(client, _)| client)
}

/// Builds the stack of [`Client::try_from`] with TCP keepalive, [`Limited`], and credentials that are renewed, and without
/// its retries (up to 15, each after the time in a Retry-After, so a caller would wait for minutes) and its tracing.
fn prepared(mut config: Config, limits: TimeLimits, pace: Pace) -> Result<(Client, Arc<Sessions>), kube::Error> {
    let source = Source::take_from(&mut config.auth_info).map_err(kube::Error::Auth)?;
    if !config.headers.iter().any(|(name, _)| *name == USER_AGENT) {
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("rototo/", env!("CARGO_PKG_VERSION")))));
    }
    let layers = ServiceBuilder::new().layer(config.base_uri_layer()).layer(config.extra_headers_layer()?);
    let namespace = config.default_namespace.clone();
    let connect = move |identity: Option<&Identity>| connect(config.clone(), identity);
    let sessions = Arc::new(Sessions::new(source, Box::new(connect), pace)?);
    let service = layers.service(Authorized { sessions: sessions.clone(), limits, watch_ends: Arc::default() });
    Ok((Client::new(service, namespace), sessions))
}

/// A client's service whose requests have the credentials of a session.
struct Authorized {
    sessions: Arc<Sessions>,
    limits: TimeLimits,
    watch_ends: Arc<WatchEnds>,
}

type Answer = Response<Either<Full<Bytes>, WatchBody<Incoming>>>;

impl Service<Request<Body>> for Authorized {
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(answer(self.sessions.clone(), request, self.limits, self.watch_ends.clone()))
    }
}

async fn answer(
    sessions: Arc<Sessions>,
    request: Request<Body>,
    limits: TimeLimits,
    watch_ends: Arc<WatchEnds>,
) -> Result<Answer, BoxError> {
    let session = sessions.current().await?;
    let (parts, body) = request.into_parts();
    // A body that is a stream can't be sent again.
    let again = body.try_clone().map(|body| Request::from_parts(parts.clone(), body));
    let request = Request::from_parts(parts, body);
    let refused = match send(&session, request, limits, &watch_ends).await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => answer,
        other => return other,
    };
    match (sessions.refused(&session).await?, again) {
        (Some(other), Some(again)) => send(&other, again, limits, &watch_ends).await,
        _ => Ok(refused),
    }
}

/// Begins to send a request. The connections are always ready for one.
fn send(
    session: &Session,
    mut request: Request<Body>,
    limits: TimeLimits,
    watch_ends: &Arc<WatchEnds>,
) -> BoxFuture<'static, Result<Answer, BoxError>> {
    if let Some(header) = &session.credentials.header {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
    }
    Limited { service: session.http.clone(), limits, watch_ends: watch_ends.clone() }.call(request)
}

/// Prepares connections that present a certificate, or the one of the configuration.
fn connect(mut config: Config, identity: Option<&Identity>) -> Result<Http, kube::Error> {
    if let Some(identity) = identity {
        identity.put_into(&mut config.auth_info);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    let Some(proxy) = &config.proxy_url else { return http_over(tcp, &config) };
    // The matcher reads the login in the address.
    let matcher = Matcher::builder().all(proxy.to_string()).build();
    let unsupported = || kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(without_login(proxy)) };
    let way = matcher.intercept(&config.cluster_url).ok_or_else(unsupported)?;
    match proxy.scheme_str() {
        Some("https") => {
            let tcp = config.rustls_https_connector_with_connector(tcp)?;
            http_over(tunnel(&way, tcp), &config)
        }
        Some("http") | None => http_over(tunnel(&way, tcp), &config),
        // The proxy looks up the name of the API server in both, as for kubectl.
        Some("socks5" | "socks5h") => {
            let shown = without_login(proxy);
            let failed = move |error| BoxError::from(format!("the proxy {shown} gives no connection: {error}"));
            http_over(socks(&way, tcp).map_err(failed), &config)
        }
        Some(_) => Err(unsupported()),
    }
}

fn tunnel<C>(way: &Intercept, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(way.uri().clone(), connector);
    match way.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    }
}

fn socks<C>(way: &Intercept, connector: C) -> SocksV5<C> {
    let proxy = match way.uri().port() {
        Some(_) => way.uri().clone(),
        None => with_port(way.uri(), SOCKS_PORT).unwrap_or_else(|| way.uri().clone()),
    };
    let socks = SocksV5::new(proxy, connector);
    match way.raw_auth() {
        Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
        None => socks,
    }
}

fn with_port(uri: &Uri, port: u16) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(format!("{}:{port}", uri.host()?).parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Returns the address of a proxy for a message.
fn without_login(proxy: &Uri) -> Uri {
    let bare = || {
        let mut parts = proxy.clone().into_parts();
        let authority = parts.authority.as_ref()?.as_str().rsplit('@').next()?.to_owned();
        parts.authority = Some(authority.parse().ok()?);
        Uri::from_parts(parts).ok()
    };
    bare().unwrap_or_default()
}

/// Prepares connections with TLS over those that `connector` opens.
fn http_over<C>(connector: C, config: &Config) -> Result<Http, kube::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin,
    C::Future: Send,
    C::Error: Into<BoxError>,
{
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: legacy::Client<_, Body> = legacy::Builder::new(TokioExecutor::new()).build(connector);
    Ok(BoxCloneSyncService::new(http.map_err(BoxError::from)))
}

/// Returns a client that calls `begun` whenever a watch begins: from then on the API server shows each change. The watcher of
/// the kube crate resumes a watch without a word.
#[must_use]
pub fn noticing_watches(client: Client, begun: impl Fn() + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, begun, is_watch) = (client.clone(), begun.clone(), is_watch(&request));
        async move {
            let answer = client.send(request).await?;
            if is_watch && answer.status().is_success() {
                begun();
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, namespace)
}

/// Makes a client over any HTTP service, with the time limits of [`api_server()`], for tests of code that uses such a
/// client.
pub fn limited<S, B>(service: S, namespace: &str) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Client::new(Limited { service, limits: TimeLimits::ByKind, watch_ends: Arc::default() }, namespace)
}

#[cfg(all(test, unix))]
#[path = "renewal_tests.rs"]
mod renewal_tests;

#[cfg(all(test, unix))]
#[path = "identity_tests.rs"]
mod identity_tests;

#[cfg(test)]
#[path = "socks_tests.rs"]
mod socks_tests;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use tokio::net::TcpListener;

    use super::*;

    /// Returns whether the kernel probes the connection to `port` in time. The sixth column holds the kind of the
    /// timer, 02 for keepalive, and the time until it expires, in hundredths of a second.
    fn has_keepalive(port: u16) -> bool {
        let is_in_time = |timer: &str| {
            let expires = timer.strip_prefix("02:").and_then(|expires| u64::from_str_radix(expires, 16).ok());
            expires.is_some_and(|expires| expires <= PROBE_AFTER.as_secs() * 100)
        };
        let sockets = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let remote = format!("0100007F:{port:04X}");
        let mut sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        sockets.any(|columns| columns[2] == remote && is_in_time(columns[5]))
    }

    #[tokio::test]
    async fn a_quiet_connection_is_probed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
        let client = api_server(config, Duration::from_secs(300)).unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client, "ns");
        let request = tokio::spawn(async move { maps.get("map").await });
        let (_connection, _) = listener.accept().await.unwrap();
        while !has_keepalive(port) {
            assert!(!request.is_finished());
            tokio::task::yield_now().await;
        }
        request.abort();
    }
}
