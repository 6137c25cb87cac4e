//! Makes clients of the API server, whose requests end and whose dead connections are noticed.

use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body as HttpBody;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, Service, ServiceBuilder};

use crate::limits::{Limited, TimeLimits};
use crate::plugin::Plugin;
use crate::token_file::{Authorized, TokenFile};

/// The time limit for making a connection, TLS included.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// TCP probes a connection that has been quiet for this long, and closes it when this many probes get no answer.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// Makes the client that `config` describes. The client tries every request once, with a time limit. TCP keepalive
/// closes a connection whose other side is gone. A connection that receives nothing for `idle` is closed too, because
/// its other side hangs; `idle` must be longer than a watch lasts.
///
/// A connection through an HTTP proxy is probed as far as the proxy. Clones of the client share
/// connections and may be used from any thread. Dropping a request's future cancels the request.
///
/// # Errors
///
/// `config` names credentials, certificates, or a proxy that can't be used.
pub fn api_server(mut config: Config, idle: Duration) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(idle);
    config.reset_reader_on_write = true;
    client(config, TimeLimits::ByKind)
}

/// Builds the stack of [`Client::try_from`] with TCP keepalive and [`Limited`], and without its retries (up to 15, each
/// after the time in a Retry-After, so a caller would wait for minutes), its tracing, and the expiration of credentials
/// of an exec plugin.
pub(crate) fn client(config: Config, limits: TimeLimits) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    let Some(proxy) = config.proxy_url.clone() else { return client_over(tcp, config, limits) };
    // The matcher reads the login in the address.
    let matcher = Matcher::builder().all(proxy.to_string()).build();
    match matcher.intercept(&config.cluster_url) {
        Some(way) if proxy.scheme_str() == Some("https") => {
            let tcp = config.rustls_https_connector_with_connector(tcp)?;
            client_over(tunnel(&way, tcp), config, limits)
        }
        Some(way) if matches!(proxy.scheme_str(), Some("http") | None) => {
            client_over(tunnel(&way, tcp), config, limits)
        }
        _ => Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(without_login(&proxy)) }),
    }
}

fn tunnel<C>(way: &Intercept, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(way.uri().clone(), connector);
    match way.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    }
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

/// Makes a client whose connections `connector` opens.
fn client_over<C>(connector: C, mut config: Config, limits: TimeLimits) -> Result<Client, kube::Error>
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
    let token = TokenFile::take_from(&mut config.auth_info)?;
    let plugin = Plugin::of(&config.auth_info);
    if !config.headers.iter().any(|(name, _)| *name == USER_AGENT) {
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("rototo/", env!("CARGO_PKG_VERSION")))));
    }
    let auth = config.auth_layer().map_err(|error| plugin.without_secrets(error))?;
    let service = ServiceBuilder::new()
        .map_err(move |error| plugin.without_secrets_in(error))
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let service = Authorized { service, token };
    Ok(Client::new(Limited { service, limits }, config.default_namespace))
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
    Client::new(Limited { service, limits: TimeLimits::ByKind }, namespace)
}

#[cfg(test)]
mod token_tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;

    /// Returns the lines of a request's header. The user has a token file, and this token.
    async fn header_lines_with(own_token: Option<&str>) -> Vec<String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let header_lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            header_lines
        });
        let path = std::env::temp_dir().join(format!("rototo-api-token-{}", std::process::id()));
        std::fs::write(&path, "secret\n").unwrap();
        let mut config = Config::new(url.parse().unwrap());
        config.auth_info.token_file = path.to_str().map(str::to_owned);
        config.auth_info.token = own_token.map(|token| token.to_owned().into());
        let client = api_server(config, Duration::from_secs(300)).unwrap();
        let answer = client.request_text(Request::get("/version").body(Vec::new()).unwrap()).await;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(answer.unwrap(), "{}");
        server.join().unwrap()
    }

    #[tokio::test]
    async fn a_request_has_the_token_of_a_file_that_ends_in_a_newline() {
        for own_token in [None, Some("inline")] {
            let header_lines = header_lines_with(own_token).await;
            let tokens: Vec<_> = header_lines.iter().filter(|line| line.starts_with("authorization: ")).collect();
            assert_eq!(tokens, ["authorization: Bearer secret"], "{header_lines:?}");
            assert!(header_lines.iter().any(|line| line.starts_with("user-agent: rototo/")), "{header_lines:?}");
        }
    }
}

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
