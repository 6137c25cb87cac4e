//! The client's side of HTTP/1.1: requests as bytes, and connections that exchange them for answers.

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// Returns the answer of the server at this port to one request.
pub(crate) async fn once(port: u16, request: &Request) -> anyhow::Result<Value> {
    let mut connection = Connection::open(port).await?;
    let body = connection.exchange(request).await?;
    serde_json::from_slice(body).context("the answer is JSON")
}

/// A connection, with one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 16 << 10] })
    }

    /// Sends a request, and returns the body of the answer.
    pub(crate) async fn exchange(&mut self, request: &Request) -> anyhow::Result<&[u8]> {
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
