//! Sends one request over a connection of its own.

use std::pin::pin;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Sends a request, and returns what `read` makes of the response while the connection is driven.
pub(crate) async fn exchange<S, B, F, T>(
    stream: S,
    request: Request<B>,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future<Output = T>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        Ok(read(response).await)
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => return answer,
        // Bytes that arrived before the connection ended are still to be read, and the exchange reports the fault.
        _ = &mut connection => {}
    }
    exchange.await
}
