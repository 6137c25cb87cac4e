//! A bare HTTP server: reads each request with its body, and answers with the same bytes. It is the floor of
//! `cargo xtask bench agent`.

use std::convert::Infallible;

use anyhow::Context;
use http::{HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// As many bytes as a usual answer of the agent has.
const ANSWER: &[u8] = &[b'x'; 240];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).context("the port is the argument")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
                // A body that does not arrive ends its own connection alone.
                let _ = request.into_body().collect().await;
                let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER)));
                answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
                Ok::<_, Infallible>(answer)
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}
