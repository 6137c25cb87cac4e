//! Serves connections within limits: how many there are, from one address and in all, and how long a peer may take.
//!
//! [`Listener`] is the entry point, for HTTPS and for the plain port of the probes. axum-server accepts connections and
//! hyper speaks HTTP; [`gate`] decides which connections are served, [`activity`] is the state of one connection and its
//! deadline, [`stream`] closes a connection whose deadline has passed, [`service`] notes its requests and answers, and [`drain`] reads the rest of a request after its answer.
//!
//! A connection never waits for a peer without an end: a request header, the next request, and the reading of an answer
//! have a deadline each. A handler that works has none here; it has its own.

mod activity;
mod drain;
mod gate;
mod open;
mod service;
mod stream;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};

use crate::http::connections::gate::Gate;
use crate::load::metrics::LoadMetrics;

pub(crate) use crate::http::connections::open::Peer;
pub(crate) use crate::http::connections::service::KeptUntilSent;

/// The longest request header, in bytes, with its path. A usual one has some 2,000, of which the token takes most.
const HEADER_BYTES: usize = 16 * 1024;
/// The largest number of requests at a time on one connection of HTTP/2.
const STREAMS: u32 = 64;
/// The bytes that a peer may send ahead, for each request over HTTP/2: so much waits in memory for a handler.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The bytes that a peer may send ahead on one connection of HTTP/2.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// The bytes of an answer that wait for each request over HTTP/2.
const SEND_BUFFER: usize = 64 * 1024;

/// The limits of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The largest number of connections. A connection takes some 40 KB. When all are taken, a new one takes the place
    /// of one that waits for a request, of the address that has the most.
    pub(crate) connections: usize,
    /// The largest number of connections of one address. Several pods may share an address behind a proxy. Beyond it,
    /// a new connection takes the place of one of the address that waits for a request.
    pub(crate) per_address: usize,
    /// The longest time from the first byte of a request to the end of its header, and the longest time for the TLS
    /// handshake.
    pub(crate) request_header: Duration,
    /// The longest time between two requests. Processes report every 15 seconds, and rarely less often than this.
    pub(crate) idle: Duration,
    /// The longest time that a peer may take to read an answer.
    pub(crate) sent_within: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            per_address: 256,
            request_header: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            sent_within: Duration::from_secs(30),
        }
    }
}

impl ConnectionLimits {
    /// Returns the limits of the port of probes and metrics, which a kubelet and a few scrapers use.
    pub(crate) fn of_metrics() -> Self {
        Self { connections: 64, per_address: 16, ..Self::default() }
    }
}

/// Serves connections within limits.
pub(crate) struct Listener {
    name: &'static str,
    limits: ConnectionLimits,
    load: LoadMetrics,
    refused: Refused,
}

/// Is called when a connection is refused.
type Refused = Arc<dyn Fn() + Send + Sync>;

impl Listener {
    /// Creates a listener that is called `name` in metrics.
    pub(crate) fn new(name: &'static str, limits: ConnectionLimits, load: LoadMetrics) -> Self {
        Self { name, limits, load, refused: Arc::new(|| {}) }
    }

    /// Calls `refused` for each connection that is refused.
    pub(crate) fn noting_refusals(mut self, refused: impl Fn() + Send + Sync + 'static) -> Self {
        self.refused = Arc::new(refused);
        self
    }

    /// Serves `routes` over TLS until `handle` ends it.
    pub(crate) fn serve_tls(
        self,
        listener: TcpListener,
        tls: RustlsConfig,
        handle: Handle<SocketAddr>,
        routes: Router,
    ) -> io::Result<impl Future<Output = io::Result<()>> + use<>> {
        let handshake = self.limits.request_header;
        let gate = self.gate();
        let acceptor = RustlsAcceptor::new(tls).handshake_timeout(handshake).acceptor(gate);
        Ok(server(listener)?.acceptor(acceptor).handle(handle).serve(routes.into_make_service()))
    }

    /// Serves `routes` without TLS until `handle` ends it.
    pub(crate) fn serve(
        self,
        listener: TcpListener,
        handle: Handle<SocketAddr>,
        routes: Router,
    ) -> io::Result<impl Future<Output = io::Result<()>> + use<>> {
        Ok(server(listener)?.acceptor(self.gate()).handle(handle).serve(routes.into_make_service()))
    }

    fn gate(self) -> Gate {
        Gate::new(self.name, Arc::new(self.limits), self.load, self.refused)
    }
}

fn server(listener: TcpListener) -> io::Result<Server<SocketAddr>> {
    let mut server = axum_server::from_tcp(listener)?;
    let builder = server.http_builder();
    // The time limits are those of `activity`: hyper's would also close a connection between two heartbeats.
    builder.http1().header_read_timeout(None).max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    Ok(server)
}
