//! The client: a number of connections, each with one request at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use rototo_benches::figures::{processor_millis, resident_megabytes};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::servers::Server;

/// A request, as bytes.
pub(crate) struct Request {
    pub(crate) path: String,
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(key: &str, body: &Value) -> Self {
        let (path, body) = (format!("/ofrep/v1/evaluate/flags/{key}"), body.to_string());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self { path, bytes: (head + &body).into_bytes() }
    }
}

/// The load of one turn.
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

/// The figures of one turn.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// The processor time of the server, in seconds.
    pub(crate) processor: f64,
    /// In milliseconds.
    pub(crate) latencies: Vec<f64>,
    pub(crate) memory: f64,
}

impl Load {
    pub(crate) async fn run(&self, server: &Server, requests: &[Request]) -> anyhow::Result<Measured> {
        let connections = try_join_all((0..self.connections).map(|_| Connection::open(server))).await?;
        let next = AtomicUsize::new(0);
        let before = processor_millis(&[server.id()]);
        let begin = Instant::now();
        let work = connections.into_iter().map(|mut connection| {
            let next = &next;
            async move {
                let mut latencies = Vec::with_capacity(self.requests / self.connections * 2);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= self.requests {
                        return anyhow::Ok(latencies);
                    }
                    let sent = Instant::now();
                    connection.exchange(&requests[number % requests.len()]).await?;
                    latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                }
            }
        });
        let latencies = try_join_all(work).await?.concat();
        let seconds = begin.elapsed().as_secs_f64();
        let processor = (processor_millis(&[server.id()]) - before) / 1000.0;
        Ok(Measured { seconds, processor, latencies, memory: resident_megabytes(server.id())? })
    }
}

/// Returns the answer to one request.
pub(crate) async fn once(server: &Server, request: &Request) -> anyhow::Result<Value> {
    let mut connection = Connection::open(server).await?;
    let body = connection.exchange(request).await?;
    serde_json::from_slice(body).context("the answer is JSON")
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(server: &Server) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 16 << 10] })
    }

    /// Sends a request, and returns the body of the answer.
    async fn exchange(&mut self, request: &Request) -> anyhow::Result<&[u8]> {
        self.stream.write_all(&request.bytes).await?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            if count == 0 {
                bail!("{} was not answered", request.path);
            }
            filled += count;
            let Some((head, length)) = head(&self.buffer[..filled])? else { continue };
            if filled >= head + length {
                return Ok(&self.buffer[head..head + length]);
            }
        }
    }
}

/// Returns the length of the header and that of the body, as soon as the header is complete.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("a request was answered with {head}");
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((end + 4, length.context("the answer has no length")?)))
}
