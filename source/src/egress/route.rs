//! Connects to a host: directly, or through an HTTP proxy.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::http::HeaderValue;
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rototo_api::no_proxy;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::egress::Egress;
use crate::error::EgressFault;
use crate::hosts::Proxy;

/// The largest header of a proxy's response.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// The time for one address of a host. The time of the whole request is limited too.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The time after which the next address of a host is tried as well, as RFC 8305 recommends.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// A connection, with or without TLS.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The ways to all hosts: the addresses that are allowed, and the proxies.
pub(crate) struct Routes {
    egress: Egress,
    proxies: Matcher,
    /// The hosts that are reached without a proxy. The matcher would read them by other rules.
    no_proxy: String,
}

impl Routes {
    /// Takes the given proxy, or those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, and their like).
    pub(crate) fn new(egress: Egress, proxy: Option<&Proxy>) -> Self {
        match proxy {
            Some(proxy) => {
                let proxies = Matcher::builder().all(proxy.with_secrets()).build();
                Self { egress, proxies, no_proxy: String::new() }
            }
            None => Self::of_environment(egress, |name| std::env::var(name).ok()),
        }
    }

    fn of_environment(egress: Egress, variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |upper, lower| variable(upper).or_else(|| variable(lower)).unwrap_or_default();
        let proxies = Matcher::builder()
            .all(either("ALL_PROXY", "all_proxy"))
            .https(either("HTTPS_PROXY", "https_proxy"))
            .http(either("HTTP_PROXY", "http_proxy"))
            .build();
        Self { egress, proxies, no_proxy: either("NO_PROXY", "no_proxy") }
    }

    /// Returns the scheme of the proxy on the way to a host that speaks TLS.
    pub(crate) fn proxy_scheme(&self, to: &Authority) -> Option<String> {
        self.proxy(Scheme::HTTPS, to).map(|way| way.uri().scheme_str().unwrap_or_default().to_owned())
    }

    fn proxy(&self, scheme: Scheme, to: &Authority) -> Option<Intercept> {
        let port = to.port_u16().unwrap_or(if scheme == Scheme::HTTP { 80 } else { 443 });
        if no_proxy::names(&self.no_proxy, to.host(), port) {
            return None;
        }
        let target = Uri::builder().scheme(scheme).authority(to.clone()).path_and_query("/").build();
        target.ok().and_then(|target| self.proxies.intercept(&target))
    }

    /// Connects to a host, through the proxy for addresses with this scheme, if there is one. Without a port, `to` is at
    /// that of https. `proxy` are the settings for a proxy that speaks TLS itself.
    pub(crate) async fn connect(
        &self,
        scheme: Scheme,
        to: &Authority,
        proxy: impl FnOnce() -> Result<Arc<ClientConfig>, EgressFault>,
    ) -> Result<Box<dyn Connection>, EgressFault> {
        let Some(way) = self.proxy(scheme, to) else { return Ok(Box::new(open(&self.egress, to, 443).await?)) };
        if let Some(rules) = self.egress.rules() {
            // The proxy looks the name up, so only its text can be checked here.
            rules.check_name(host(to), to.port_u16().unwrap_or(443))?;
        }
        let through = way.uri().authority().cloned().ok_or_else(|| proxy_failed("its address names no host"))?;
        // The proxy is of the configuration, and not of a source.
        let mut stream: Box<dyn Connection> = match way.uri().scheme_str() {
            Some("https") => secure(open(&Egress::Anything, &through, 443).await?, &through, proxy()?).await?,
            Some("http") => Box::new(open(&Egress::Anything, &through, 80).await?),
            _ => return Err(proxy_failed("only http and https proxies are spoken to")),
        };
        tunnel(&mut stream, to, way.basic_auth()).await?;
        Ok(stream)
    }
}

/// Returns the host of an address without the brackets of IPv6.
pub(super) fn host(of: &Authority) -> &str {
    of.host().trim_matches(['[', ']'])
}

async fn open(egress: &Egress, to: &Authority, port: u16) -> Result<TcpStream, EgressFault> {
    let host = host(to);
    let addresses = egress.addresses(host, to.port_u16().unwrap_or(port)).await?;
    connect_to_any(host, &addresses).await
}

/// Connects to the address of `host` that accepts first.
pub(super) async fn connect_to_any(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, EgressFault> {
    let attempt = |address: &SocketAddr| {
        let address = *address;
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no connection within {} s", CONNECT_WITHIN.as_secs())),
            }
        })
    };
    let failure = match first_of(addresses.iter().map(attempt)).await {
        Ok(stream) => return Ok(stream),
        Err(failure) => failure.unwrap_or_else(|| "it has no address".to_owned()),
    };
    Err(EgressFault::Unreachable(format!("{host}: {failure}")))
}

/// Runs attempts until one succeeds. The next one begins after a short while, or when one fails, and those before go on.
/// Returns the last failure if all fail.
async fn first_of<T, E, F>(attempts: impl IntoIterator<Item = F>) -> Result<T, Option<E>>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    let (mut attempts, mut running, mut failure) = (attempts.into_iter().fuse(), Vec::new(), None);
    loop {
        running.extend(attempts.next());
        if running.is_empty() {
            return Err(failure);
        }
        match tokio::time::timeout(NEXT_AFTER, any_of(&mut running)).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failed)) => failure = Some(failed),
            Err(_) => {}
        }
    }
}

/// Waits for the end of any of these, and takes it out.
async fn any_of<T>(running: &mut Vec<impl Future<Output = T> + Unpin>) -> T {
    std::future::poll_fn(|context| {
        for at in 0..running.len() {
            if let Some(Poll::Ready(ended)) = running.get_mut(at).map(|attempt| Pin::new(attempt).poll(context)) {
                drop(running.swap_remove(at));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}

async fn secure(
    stream: TcpStream,
    to: &Authority,
    config: Arc<ClientConfig>,
) -> Result<Box<dyn Connection>, EgressFault> {
    let name = ServerName::try_from(host(to).to_owned()).map_err(|error| proxy_failed(&error.to_string()))?;
    let secured = TlsConnector::from(config).connect(name, stream).await;
    Ok(Box::new(secured.map_err(|error| proxy_failed(&error.to_string()))?))
}

/// Asks a proxy for a connection to `to`.
async fn tunnel(
    stream: &mut Box<dyn Connection>,
    to: &Authority,
    login: Option<&HeaderValue>,
) -> Result<(), EgressFault> {
    let broken = |error: std::io::Error| proxy_failed(&error.to_string());
    let port = to.port_u16().unwrap_or(443);
    let target = format!("{}:{port}", to.host());
    let mut header = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(login) = login {
        header.extend_from_slice(b"Proxy-Authorization: ");
        header.extend_from_slice(login.as_bytes());
        header.extend_from_slice(b"\r\n");
    }
    header.extend_from_slice(b"\r\n");
    stream.write_all(&header).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let answer = read_header(stream).await.map_err(broken)?.ok_or_else(|| proxy_failed("its answer has no end"))?;
    match answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(EgressFault::ProxyDenied),
        Some(status) => Err(proxy_failed(&format!("it answered {status}"))),
        None => Err(proxy_failed("its answer is not HTTP")),
    }
}

/// Reads the header of a message; `None` if it has no end within the limit.
pub(super) async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<String>> {
    // One byte at a time: the bytes after the header belong to somebody else.
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        if header.len() >= MAX_HEADER_BYTES {
            return Ok(None);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(Some(String::from_utf8_lossy(&header).into_owned()))
}

fn proxy_failed(reason: &str) -> EgressFault {
    EgressFault::Unreachable(format!("the proxy did not connect us: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs attempts, of which `None` never ends.
    async fn first(attempts: &[Option<Result<u8, u8>>]) -> Option<Result<u8, Option<u8>>> {
        let attempt = |outcome: &Option<Result<u8, u8>>| {
            let outcome = *outcome;
            Box::pin(async move {
                match outcome {
                    Some(outcome) => outcome,
                    None => std::future::pending().await,
                }
            })
        };
        tokio::time::timeout(CONNECT_WITHIN, first_of(attempts.iter().map(attempt))).await.ok()
    }

    /// Returns whether the way to a host leads through the proxy of an environment with this `NO_PROXY`.
    fn has_proxy(no_proxy: &str, scheme: Scheme, to: &str) -> bool {
        let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("http_proxy", "proxy:3129"), ("no_proxy", no_proxy)];
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        Routes::of_environment(Egress::Anything, variable).proxy(scheme, &to.parse().unwrap()).is_some()
    }

    #[test]
    fn no_proxy_names_hosts_by_the_rules_that_hold_for_the_api_server() {
        for (no_proxy, to) in [
            ("*", "git.example.com"),
            ("*", "10.1.2.3"),
            ("a.example, *.example.com", "git.example.com"),
            (".example.com", "git.example.com:8443"),
            ("example.com", "git.example.com"),
            ("GIT.example.com", "git.Example.com"),
            ("git.example.com:8443", "git.example.com:8443"),
            ("git.example.com:443", "git.example.com"),
            ("10.0.0.0/8", "10.1.2.3:8443"),
            ("10.1.2.3:8443", "10.1.2.3:8443"),
            ("fd00::/8", "[fd00::1]"),
            ("[fd00::1]:8443", "[fd00::1]:8443"),
        ] {
            assert!(!has_proxy(no_proxy, Scheme::HTTPS, to), "{no_proxy} {to}");
        }
        for (no_proxy, to) in [
            ("", "git.example.com"),
            ("*.example.com", "example.com"),
            (".example.com", "example.com"),
            ("git.example.com:8443", "git.example.com"),
            ("10.0.0.0/8", "11.1.2.3"),
            ("[fd00::1]:8443", "[fd00::1]"),
        ] {
            assert!(has_proxy(no_proxy, Scheme::HTTPS, to), "{no_proxy} {to}");
        }
        assert!(!has_proxy("git.example.com:80", Scheme::HTTP, "git.example.com"));
        assert!(has_proxy("git.example.com:443", Scheme::HTTP, "git.example.com"));
    }

    #[test]
    fn a_proxy_that_is_given_leads_to_every_host() {
        let proxy: Proxy = "http://proxy:3128".parse().unwrap();
        let routes = Routes::new(Egress::Anything, Some(&proxy));
        assert_eq!(routes.proxy_scheme(&"127.0.0.1".parse().unwrap()).as_deref(), Some("http"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_while_those_before_do_not_answer() {
        assert_eq!(first(&[None, None, Some(Ok(3))]).await, Some(Ok(3)));
        assert_eq!(first(&[None, Some(Err(2)), Some(Ok(3))]).await, Some(Ok(3)));
        assert_eq!(first(&[Some(Err(1)), Some(Err(2))]).await, Some(Err(Some(2))));
        assert_eq!(first(&[Some(Err(1)), None]).await, None);
        assert_eq!(first(&[]).await, Some(Err(None)));
    }
}
