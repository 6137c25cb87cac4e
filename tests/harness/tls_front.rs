//! A TLS server on loopback that stands in front of another server, with a certificate of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

use super::scratch;

/// The server, and the state that its handlers share with its owner. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct TlsFront<S> {
    address: SocketAddr,
    directory: PathBuf,
    state: Arc<S>,
    handle: Handle<SocketAddr>,
}

impl<S: Send + Sync + 'static> TlsFront<S> {
    /// Starts the server. `state` gets a client of the server at `target`, an `https://` URL; `routes` gets the state.
    pub(super) fn start(
        name: &'static str,
        target: &str,
        state: impl FnOnce(kube::Client) -> S + Send + 'static,
        routes: impl FnOnce(Arc<S>) -> Router + Send + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").with_context(|| format!("listen as {name}"))?;
        listener.set_nonblocking(true).with_context(|| format!("listen as {name}"))?;
        let address = listener.local_addr().with_context(|| format!("read the address of {name}"))?;
        let (tls, certificate) = certificate()?;
        let directory = scratch::directory(name)?;
        fs::write(directory.join("ca.crt"), certificate).with_context(|| format!("write the certificate of {name}"))?;

        let target = target.to_owned();
        let handle = Handle::new();
        let serving = handle.clone();
        let (ready, made) = std::sync::mpsc::channel();
        // The server has a runtime of its own, because tests block theirs while they wait.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let state = client_of(&target).map(|client| Arc::new(state(client)));
                let routes = state.as_ref().ok().map(|state| routes(Arc::clone(state)));
                drop(ready.send(state));
                if let (Some(routes), Ok(server)) = (routes, from_tcp_rustls(listener, tls)) {
                    // The server ends with its owner, and its clients notice that.
                    let _ = server.handle(serving).serve(routes.into_make_service()).await;
                }
            });
        });
        let state = made.recv().with_context(|| format!("start {name}"))??;
        Ok(Self { address, directory, state, handle })
    }
}

impl<S> TlsFront<S> {
    /// Returns the state that the handlers share.
    pub(super) fn state(&self) -> &S {
        &self.state
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns a directory for files of the owner.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of the certificate against which the certificate of the server is checked.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }
}

impl<S> Drop for TlsFront<S> {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// Returns the TLS configuration of a server on 127.0.0.1, and the certificate against which it is checked.
fn certificate() -> anyhow::Result<(RustlsConfig, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).context("create a certificate")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|tls| tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key));
    let mut tls = tls.context("use the certificate")?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((RustlsConfig::from_config(Arc::new(tls)), made.cert.pem()))
}

fn client_of(target: &str) -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::new(target.parse()?);
    // Other tests check the certificate of the target; this client accepts any server.
    config.accept_invalid_certs = true;
    config.default_retry = false;
    kube::Client::try_from(config).with_context(|| format!("create a client of {target}"))
}
