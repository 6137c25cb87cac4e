//! The operator's HTTPS endpoint, used as a process uses it: with the address and the certificates that the marker map
//! names.

use std::time::Duration;

use anyhow::Context;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, Request};
use rototo_api::snapshot::ErrorBody;
use rototo_connection::{Address, Trust};

use super::Namespace;

/// A request of a test ends after this time.
const LIMIT: Duration = Duration::from_secs(60);
/// The largest body. Snapshots of tests are smaller.
const LARGEST: usize = 64 * 1024 * 1024;

/// A client of the operator's endpoint.
pub struct Endpoint(rototo_connection::Endpoint);

/// A response of the operator.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Endpoint {
    /// Returns the endpoint that the marker map in `namespace` names.
    pub async fn of(namespace: &Namespace) -> anyhow::Result<Self> {
        let map = namespace.markers().await?.context("the namespace has no marker map")?;
        Self::open(&Address::of(&map).context("the map names no address of the operator")?)
    }

    /// Returns the endpoint at `url`, whose certificate is checked against `certificates`.
    pub fn at(url: &str, certificates: &str) -> anyhow::Result<Self> {
        Self::open(&Address { url: url.to_owned(), ca: Trust::Pem(certificates.to_owned()) })
    }

    fn open(address: &Address) -> anyhow::Result<Self> {
        Ok(Self(rototo_connection::Endpoint::open(address)?))
    }

    /// Sends a GET request for `path` with a token.
    pub async fn get(&self, path: &str, token: &str) -> anyhow::Result<Reply> {
        self.send(Method::GET, path, &[(AUTHORIZATION.as_str(), &format!("Bearer {token}"))], "").await
    }

    /// Sends a POST request with `body` and a token.
    pub async fn post(&self, path: &str, token: &str, body: &str) -> anyhow::Result<Reply> {
        self.send(Method::POST, path, &[(AUTHORIZATION.as_str(), &format!("Bearer {token}"))], body).await
    }

    /// Sends a request with exactly these headers.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Reply> {
        let asked = format!("{method} {path}");
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value));
        let request = request.body(body.as_bytes().to_vec()).with_context(|| format!("ask {asked}"))?;
        let answer = self.0.send(request, LIMIT, LARGEST).await.with_context(|| format!("{asked} of the operator"))?;
        let (head, body) = answer.into_parts();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_vec() })
    }
}

impl Reply {
    /// Returns the code and message of an error response. Fails if its body is not `{code, message}`.
    pub fn error(&self) -> anyhow::Result<ErrorBody> {
        let body = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).with_context(|| format!("{}: read the error in `{body}`", self.status))
    }
}
