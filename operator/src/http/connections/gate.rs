//! The entrance of a listener: [`Gate`] serves a new connection if there is a place for it.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;

use axum::Router;
use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::connections::activity::Activity;
use crate::http::connections::drain::DrainPlaces;
use crate::http::connections::open::{Connections, Peer};
use crate::http::connections::service::GuardedService;
use crate::http::connections::stream::GuardedStream;
use crate::http::connections::{ConnectionLimits, Refused};
use crate::load::metrics::LoadMetrics;

/// The entrance of a listener.
#[derive(Clone)]
pub(super) struct Gate {
    name: &'static str,
    limits: Arc<ConnectionLimits>,
    load: LoadMetrics,
    refused: Refused,
    connections: Arc<Connections>,
    drains: DrainPlaces,
}

impl Gate {
    /// Makes the entrance of the listener that is called `name` in metrics. It calls `refused` for each connection that it
    /// refuses.
    pub(super) fn new(name: &'static str, limits: Arc<ConnectionLimits>, load: LoadMetrics, refused: Refused) -> Self {
        Self { name, limits, load, refused, connections: Arc::default(), drains: DrainPlaces::default() }
    }

    fn enter(&self, stream: TcpStream, routes: Router) -> io::Result<(GuardedStream, GuardedService)> {
        let peer = Peer::at(stream.peer_addr()?.ip());
        let activity = Arc::new(Activity::new(Instant::now()));
        let counted = || self.load.connected(self.name);
        let place = self.connections.take(peer, &activity, &self.limits, counted).map_err(|full| {
            self.load.connection_refused(self.name, full.name());
            (self.refused)();
            io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections")
        })?;
        // An answer is one write or a few large ones: waiting for more to send would only delay its end.
        let _ = stream.set_nodelay(true);
        let service = GuardedService::new(routes, activity.clone(), peer, self.limits.sent_within, self.drains.clone());
        let (load, name) = (self.load.clone(), self.name);
        let closed = move |reason| load.connection_refused(name, reason);
        Ok((GuardedStream::new(stream, activity, self.limits.clone(), place, closed), service))
    }
}

impl Accept<TcpStream, Router> for Gate {
    type Stream = GuardedStream;
    type Service = GuardedService;
    type Future = Ready<io::Result<(GuardedStream, GuardedService)>>;

    fn accept(&self, stream: TcpStream, routes: Router) -> Self::Future {
        ready(self.enter(stream, routes))
    }
}
