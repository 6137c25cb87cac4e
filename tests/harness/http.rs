//! A minimal client for plain HTTP to a local server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// The time limit of a request: longer than any answer takes, and shorter than any test waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The response of a server.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl HttpResponse {
    /// Parses the body as JSON. Fails unless the status is 200.
    pub fn json(&self) -> anyhow::Result<Value> {
        if self.status != 200 {
            bail!("the answer is {}: {}", self.status, self.body);
        }
        serde_json::from_str(&self.body).with_context(|| format!("read the answer {}", self.body))
    }
}

/// Sends a GET request for `path` to `address`.
pub fn get(address: &str, path: &str) -> anyhow::Result<HttpResponse> {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
        .with_context(|| format!("GET http://{address}{path}"))
}

/// Sends a POST request with a JSON body.
pub fn post(address: &str, path: &str, body: &Value) -> anyhow::Result<HttpResponse> {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    ask(address, &request).with_context(|| format!("POST http://{address}{path}"))
}

/// Sends a request. With HTTP/1.0 the server neither keeps the connection open nor sends the body in chunks.
fn ask(address: &str, request: &str) -> anyhow::Result<HttpResponse> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.set_read_timeout(Some(PATIENCE)).context("limit the time to read")?;
    stream.set_write_timeout(Some(PATIENCE)).context("limit the time to write")?;
    stream.write_all(request.as_bytes()).context("send the request")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("receive the answer")?;
    parse(&String::from_utf8_lossy(&answer))
}

fn parse(answer: &str) -> anyhow::Result<HttpResponse> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("`{answer}` is not an answer"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("`{head}` has no status code"))?;
    Ok(HttpResponse { status, body: body.to_owned() })
}

/// Returns a query whose values are percent-encoded.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
            encoded
        })
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 503 Service Unavailable\r\nretry-after: 1\r\n\r\nlater\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "later\r\n\r\n"));
        assert!(parse("").is_err() && parse("HTTP/1.0\r\n\r\n").is_err());
    }

    #[test]
    fn a_query_encodes_any_value() {
        assert_eq!(query(&[("a", "x y&z=ü"), ("b", "")]), "a=x%20y%26z%3D%C3%BC&b=");
    }
}
