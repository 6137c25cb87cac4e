//! Listening sockets: binding, accepting, and the end.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::connections::activity::Activity;
use crate::connections::address::Address;
use crate::connections::open::{ConnectionLimits, Connections, Place};
use crate::connections::socket_file::{SocketFile, bind_unix};
use crate::connections::stream::Observed;
use crate::metrics::Metrics;

/// The largest header of a request, with its path. It also bounds what a connection buffers.
const LARGEST_HEADER: usize = 32 << 10;
/// The time between two sweeps through all connections.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// The wait after a failure to accept, such as for too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// The time that a connection beyond the largest number has to read its refusal.
const REFUSAL: Duration = Duration::from_secs(1);
/// The largest number of connections that are being refused. Further ones are closed without an answer.
const REFUSALS: usize = 64;
/// The time between two sweeps for requests that are still worked on, at the end.
const END_PERIOD: Duration = Duration::from_millis(10);

const FULL: &str =
    "{\"errorCode\":\"GENERAL\",\"errorDetails\":\"all connections that --connections allows are busy: try again\"}";

/// A socket that listens, and is not served yet.
pub(crate) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Binds an address. `mode` are the permissions of a Unix socket.
    pub(crate) fn new(address: &Address, mode: u32) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => rototo_connection::bind(*address).and_then(TcpListener::from_std).map(Self::Tcp),
            Address::Unix(path) => {
                let (listener, file) = bind_unix(path, mode)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(listener)?, file))
            }
        }
    }

    /// Returns the address, with the port that the kernel chose if none was given.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, file) => Ok(Address::Unix(file.path().to_owned())),
        }
    }
}

/// The connections of some listening sockets, which share their limits.
pub(crate) struct Listeners {
    connections: Arc<Connections>,
    refusing: Arc<tokio::sync::Semaphore>,
    builder: http1::Builder,
}

impl Listeners {
    pub(crate) fn new(limits: ConnectionLimits, metrics: Arc<Metrics>) -> Self {
        let mut builder = http1::Builder::new();
        // The sweeps apply the limits of time; hyper would start a timer for each request.
        builder.header_read_timeout(None).max_buf_size(LARGEST_HEADER);
        Self {
            connections: Arc::new(Connections::new(limits, metrics)),
            refusing: Arc::new(tokio::sync::Semaphore::new(REFUSALS)),
            builder,
        }
    }

    /// Accepts and serves connections until `shutdown`. `service` makes the service of one connection.
    pub(crate) async fn serve<S, B>(
        &self,
        bound: Bound,
        service: impl Fn(Arc<Activity>) -> S,
        shutdown: &CancellationToken,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        loop {
            let accepted = async {
                match &bound {
                    Bound::Tcp(listener) => {
                        let (stream, _) = listener.accept().await?;
                        // An answer is one write, which should not wait for more.
                        stream.set_nodelay(true)?;
                        self.begin(stream, &service);
                    }
                    Bound::Unix(listener, _) => self.begin(listener.accept().await?.0, &service),
                }
                io::Result::Ok(())
            };
            tokio::select! {
                accepted = accepted => if let Err(error) = accepted {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                },
                () = shutdown.cancelled() => break,
            }
        }
        if let Bound::Unix(_, file) = &bound {
            file.remove();
        }
    }

    fn begin<T, S, B>(&self, stream: T, service: &impl Fn(Arc<Activity>) -> S)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let Some((place, activity)) = self.connections.take() else {
            if let Ok(permit) = self.refusing.clone().try_acquire_owned() {
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL, refuse(stream)).await;
                    drop(permit);
                });
            }
            return;
        };
        let io = TokioIo::new(Observed::new(stream, activity.clone()));
        let connection = self.builder.serve_connection(io, service(activity.clone()));
        let task = tokio::spawn(async move {
            let _place: Place = place;
            // A peer that goes away, or sends no HTTP, concerns nobody else.
            let _ = connection.await;
        });
        activity.runs_in(task.abort_handle());
    }

    /// Closes connections that wait too long, for ever.
    pub(crate) async fn keep_sweeping(&self) {
        let mut sweeps = tokio::time::interval(SWEEP_PERIOD);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            sweeps.tick().await;
            self.connections.sweep();
        }
    }

    /// Waits until no request is worked on, for at most `grace`, and closes all connections.
    pub(crate) async fn end(&self, grace: Duration) {
        let none_is_left = async {
            while self.connections.close_idle() > 0 {
                tokio::time::sleep(END_PERIOD).await;
            }
        };
        let _ = tokio::time::timeout(grace, none_is_left).await;
        self.connections.close_all();
    }
}

/// Tells a peer that there is no place for its connection, and reads its request, so that it gets the answer.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{FULL}",
        FULL.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};

    use super::*;

    #[tokio::test]
    async fn any_address_of_ipv6_is_reached_over_ipv4_too() {
        let bound = Bound::new(&Address::Tcp("[::]:0".parse().unwrap()), 0).unwrap();
        let Bound::Tcp(listener) = &bound else { panic!("a TCP address is bound") };
        let bound = listener.local_addr().unwrap();
        let reached = |host: IpAddr| TcpStream::connect((host, bound.port())).is_ok();
        assert!(reached(Ipv4Addr::LOCALHOST.into()));
        assert!(bound.is_ipv4() || reached(Ipv6Addr::LOCALHOST.into()));
    }
}
