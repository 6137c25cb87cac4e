//! Connects to a host: directly, or through an HTTP proxy.

use std::sync::Arc;

use hyper::http::HeaderValue;
use hyper::http::uri::{Authority, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::ArchiveFault;
use crate::hosts::Proxy;

use crate::archive::tls;

/// The largest header of a proxy's response.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// A connection, with or without TLS.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The proxies of all hosts.
pub(super) struct Routes(Matcher);

impl Routes {
    /// Takes the given proxy, or those of the environment (`HTTPS_PROXY`, `NO_PROXY`, and their like).
    pub(super) fn new(proxy: Option<&Proxy>) -> Self {
        Self(match proxy {
            Some(proxy) => Matcher::builder().all(proxy.with_secrets()).build(),
            None => Matcher::from_env(),
        })
    }

    /// Connects to a host, and checks its certificate.
    pub(super) async fn connect(
        &self,
        to: &Authority,
        host: Arc<ClientConfig>,
        proxy: &Arc<ClientConfig>,
    ) -> Result<TlsStream<Box<dyn Connection>>, ArchiveFault> {
        let target = Uri::builder().scheme("https").authority(to.clone()).path_and_query("/").build();
        let way = target.ok().and_then(|target| self.0.intercept(&target));
        let stream: Box<dyn Connection> = match way {
            None => Box::new(open(to, 443).await?),
            Some(way) => {
                let through =
                    way.uri().authority().cloned().ok_or_else(|| proxy_failed("its address names no host"))?;
                let mut stream: Box<dyn Connection> = match way.uri().scheme_str() {
                    Some("https") => {
                        let stream: Box<dyn Connection> = Box::new(open(&through, 443).await?);
                        Box::new(secure(stream, &through, proxy.clone()).await?)
                    }
                    Some("http") => Box::new(open(&through, 80).await?),
                    _ => return Err(proxy_failed("only http and https proxies are spoken to")),
                };
                tunnel(&mut stream, to, way.basic_auth()).await?;
                stream
            }
        };
        secure(stream, to, host).await
    }
}

async fn open(to: &Authority, port: u16) -> Result<TcpStream, ArchiveFault> {
    let host = to.host().trim_matches(['[', ']']);
    let connecting = TcpStream::connect((host, to.port_u16().unwrap_or(port))).await;
    connecting.map_err(|error| ArchiveFault::Unreachable(format!("{host}: {error}")))
}

async fn secure(
    stream: Box<dyn Connection>,
    to: &Authority,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<Box<dyn Connection>>, ArchiveFault> {
    let host = to.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| ArchiveFault::Unreachable(error.to_string()))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls::failure(&error))
}

/// Asks a proxy for a connection to `to`.
async fn tunnel(
    stream: &mut Box<dyn Connection>,
    to: &Authority,
    login: Option<&HeaderValue>,
) -> Result<(), ArchiveFault> {
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

    // One byte at a time: the bytes after the header belong to the host.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_HEADER_BYTES {
            return Err(proxy_failed("its answer has no end"));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err(ArchiveFault::AccessDenied("the proxy asks who we are".to_owned())),
        Some(status) => Err(proxy_failed(&format!("it answered {status}"))),
        None => Err(proxy_failed("its answer is not HTTP")),
    }
}

fn proxy_failed(reason: &str) -> ArchiveFault {
    ArchiveFault::Unreachable(format!("the proxy did not connect us: {reason}"))
}
