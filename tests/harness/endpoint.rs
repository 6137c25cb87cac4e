//! The operator's HTTPS endpoint, used as a process uses it: with the address and the certificates that the marker map
//! names.

use std::fs;

use anyhow::Context;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use rototo_api::names;
use rototo_api::snapshot::ErrorBody;

use super::{Namespace, scratch};

/// A client of the operator's endpoint.
pub struct Endpoint {
    client: kube::Client,
}

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
        let annotation = |name: &str| {
            let annotations = map.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get(name)).with_context(|| format!("the map has no annotation {name}"))
        };
        let url = annotation(names::ANNOTATION_SNAPSHOTS)?;
        Self::at(url, annotation(names::ANNOTATION_CA)?)
    }

    /// Returns the endpoint at `url`, whose certificate is checked against `certificates`.
    pub fn at(url: &str, certificates: &str) -> anyhow::Result<Self> {
        let authority = scratch::directory("endpoint")?.join("ca.pem");
        fs::write(&authority, certificates).context("write the operator's certificates")?;
        // A `kube::Client` is an HTTPS client that accepts custom certificates. Nothing in it is specific to
        // Kubernetes.
        let mut config = kube::Config::new(url.parse().with_context(|| format!("`{url}` is not a URL"))?);
        config.root_cert_file = Some(authority);
        config.default_retry = false;
        Ok(Self { client: kube::Client::try_from(config).context("prepare a connection to the operator")? })
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
        let request = request.body(Body::from(body.as_bytes().to_vec())).with_context(|| format!("ask {asked}"))?;
        let answer = self.client.send(request).await.with_context(|| format!("{asked} of the operator"))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.with_context(|| format!("receive the answer to {asked}"))?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes().to_vec() })
    }
}

impl Reply {
    /// Returns the code and message of an error response. Fails if its body is not `{code, message}`.
    pub fn error(&self) -> anyhow::Result<ErrorBody> {
        let body = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).with_context(|| format!("{}: read the error in `{body}`", self.status))
    }
}
