//! A proxy on this machine for one run of git: it opens each connection that git asks for, if the address is allowed.
//!
//! Git can be told the address of one host, and not what to do with a redirect to another. A proxy sees each of them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::http::uri::{Authority, Scheme};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::egress::route::{Routes, read_header};
use crate::error::EgressFault;
use crate::hosts::{charged_to, owner};

/// A proxy that ends when it is dropped, with its connections.
pub(super) struct Tunnel {
    port: u16,
    fault: Arc<Mutex<Option<EgressFault>>>,
    task: AbortHandle,
}

impl Tunnel {
    pub(super) async fn start(routes: Arc<Routes>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let fault = Arc::<Mutex<Option<EgressFault>>>::default();
        let task = tokio::spawn(charged_to(owner(), accept(listener, routes, fault.clone()))).abort_handle();
        Ok(Self { port, fault, task })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the fault of the last connection that could not be made.
    pub(super) fn fault(&self) -> Option<EgressFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, routes: Arc<Routes>, fault: Arc<Mutex<Option<EgressFault>>>) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(charged_to(owner(), serve(client, routes.clone(), fault.clone())));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, routes: Arc<Routes>, fault: Arc<Mutex<Option<EgressFault>>>) -> io::Result<()> {
    let request = read_header(&mut client).await?.unwrap_or_default();
    let target = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(to) = target.and_then(|target| target.parse::<Authority>().ok()) else {
        return client.write_all(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    };
    match routes.connect(Scheme::HTTPS, &to, proxy_tls).await {
        Ok(mut server) => {
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
        }
        Err(failed) => {
            *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
            client.write_all(b"HTTP/1.1 502 Not connected\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await
        }
    }
}

/// Returns the settings for a proxy that speaks TLS: it is of this machine's network, so its authorities decide.
fn proxy_tls() -> Result<Arc<ClientConfig>, EgressFault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| EgressFault::Unreachable(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
