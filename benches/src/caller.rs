//! A caller of the operator's endpoint with an address of its own, as each pod of a cluster has one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rototo_api::names::{ANNOTATION_CA, ANNOTATION_SNAPSHOTS};
use rototo_tests::harness::Namespace;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// The operator's endpoint, and the way to it.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    /// Returns the endpoint that the marker map in `namespace` names.
    pub async fn of(namespace: &Namespace) -> anyhow::Result<Self> {
        let map = namespace.markers().await?.context("the namespace has no marker map")?;
        let annotations = map.metadata.annotations.unwrap_or_default();
        let annotation = |name: &str| annotations.get(name).with_context(|| format!("the map has no {name}"));
        let address = annotation(ANNOTATION_SNAPSHOTS)?.trim_start_matches("https://").parse().context("an address")?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(annotation(ANNOTATION_CA)?.as_bytes()) {
            roots.add(certificate.context("read an authority")?).context("trust an authority")?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }
}

/// A caller with one connection, which it opens again when it was closed.
pub struct Caller {
    target: Target,
    from: Ipv4Addr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Caller {
    /// Makes a caller with this address of the loopback interface.
    #[must_use]
    pub fn new(target: &Target, from: Ipv4Addr) -> Self {
        Self { target: target.clone(), from, connection: None }
    }

    /// Sends a request with a token. Returns the status of the answer.
    pub async fn call(&mut self, method: Method, path: &str, token: &str, body: String) -> anyhow::Result<u16> {
        self.send(method, path, ("authorization", &format!("Bearer {token}")), body).await
    }

    /// Sends a request with a header. Returns the status of the answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        (name, value): (&str, &str),
        body: String,
    ) -> anyhow::Result<u16> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = Request::builder().method(method).uri(path).header("host", "operator");
        let request = request.header(name, value).body(Full::new(body.into()))?;
        connection.ready().await.context("the connection was closed")?;
        let answer = connection.send_request(request).await.context("send a request")?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.context("read an answer")?;
        self.connection = Some(connection);
        Ok(status)
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let socket = TcpSocket::new_v4().context("open a socket")?;
        socket.bind((self.from, 0).into()).context("take an address")?;
        let stream = socket.connect(self.target.address).await.context("connect")?;
        stream.set_nodelay(true).context("set up a connection")?;
        let name = ServerName::from(self.target.address.ip());
        let stream = self.target.tls.connect(name, stream).await.context("begin TLS")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("begin HTTP")?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
