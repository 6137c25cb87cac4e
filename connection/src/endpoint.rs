//! The operator's HTTPS endpoint: its address, the check of its certificate, and one kept-alive connection to it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use rototo_api::names;
use rototo_api::snapshot::ErrorBody;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::timeout;

use crate::api_server::{CONNECT, client};
use crate::limits::TimeLimits;
use crate::with_causes;

/// The operator's address, and the certificates that its certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// `https://…`, or `http://` on the loopback interface.
    pub url: String,
    /// The certificate authorities to trust.
    pub ca: Trust,
}

/// The certificate authorities that a server's certificate must come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those of the system.
    System,
    /// These, as PEM.
    Pem(String),
    /// Those in this PEM file, read again now and then.
    File(PathBuf),
}

impl Address {
    /// The address that the operator wrote into the annotations of the marker map.
    #[must_use]
    pub fn of(map: &ConfigMap) -> Option<Self> {
        let annotations = map.metadata.annotations.as_ref()?;
        let url = annotations.get(names::ANNOTATION_SNAPSHOTS)?.clone();
        let ca = annotations.get(names::ANNOTATION_CA).map_or(Trust::System, |pem| Trust::Pem(pem.clone()));
        Some(Self { url, ca })
    }
}

/// An address that no connection can be made to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// It is not a URL.
    #[error("the operator's address `{0}` is not a URL")]
    NotAUrl(String),
    /// Its text is not shown, as a password may stand in it.
    #[error("the operator's address has a user name in it")]
    UserName,
    /// A token must not be sent unencrypted.
    #[error("the operator's address `{0}` is not an https:// URL")]
    Unencrypted(String),
    /// The given text is not PEM, or has no certificate.
    #[error("the certificates given for the operator's address are no PEM certificates")]
    NotCertificates,
    /// The certificates or the proxy of the environment can't be used.
    #[error("connecting to {url} can't be prepared: {reason}")]
    Unprepared {
        /// The address.
        url: String,
        /// What the TLS or HTTP library said.
        reason: String,
    },
}

/// A request that got no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The time limit was reached.
    #[error("no answer in {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection failed, or the body is larger than allowed.
    #[error("{0}")]
    Failed(String),
}

/// A connection to the operator.
pub struct Endpoint {
    client: kube::Client,
    url: Uri,
}

impl Endpoint {
    /// Prepares the connection. It is made with the first request.
    ///
    /// # Errors
    ///
    /// The address can't be used.
    pub fn open(address: &Address) -> Result<Self, InvalidAddress> {
        let url = checked(&address.url)?;
        let mut config = kube::Config::new(url.clone());
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        match &address.ca {
            Trust::System => {}
            Trust::Pem(pem) => config.root_cert = Some(certificates(pem)?),
            Trust::File(path) => config.root_cert_file = Some(path.clone()),
        }
        let client = client(config, TimeLimits::ByCaller)
            .map_err(|error| InvalidAddress::Unprepared { url: shown(&url), reason: with_causes(&error) })?;
        Ok(Self { client, url })
    }

    /// The address, as errors show it.
    #[must_use]
    pub fn url(&self) -> String {
        shown(&self.url)
    }

    /// Sends a request, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// The connection fails, the answer is not complete after `within`, or its body has more than `limit` bytes.
    pub async fn send(
        &self,
        request: Request<Vec<u8>>,
        within: Duration,
        limit: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        let answer = async {
            let answer = self.client.send(request.map(Body::from)).await;
            let (parts, body) = answer.map_err(|error| RequestError::Failed(with_causes(&error)))?.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| RequestError::Failed(with_causes(&*error)))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        timeout(within, answer).await.unwrap_or(Err(RequestError::TimedOut(within)))
    }
}

/// The message in the operator's answer to a request that failed.
#[must_use]
pub fn error_message(body: &[u8]) -> String {
    let message = serde_json::from_slice(body).map(|ErrorBody { message, .. }| message);
    message.unwrap_or_else(|_| "no reason given".to_owned()).chars().take(500).collect()
}

/// Refuses addresses to which a token would travel unencrypted. The loopback interface never leaves the machine.
fn checked(url: &str) -> Result<Uri, InvalidAddress> {
    let uri: Uri = url.parse().map_err(|_| InvalidAddress::NotAUrl(url.to_owned()))?;
    let is_local = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match uri.scheme_str() {
        _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => Err(InvalidAddress::UserName),
        Some("https") => Ok(uri),
        Some("http") if is_local => Ok(uri),
        _ => Err(InvalidAddress::Unencrypted(url.to_owned())),
    }
}

fn shown(url: &Uri) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, InvalidAddress> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(InvalidAddress::NotCertificates)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_sent_over_tls_or_loopback_only() {
        for url in ["https://operator.rototo.svc:8443", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(checked(url).is_ok(), "{url}");
        }
        for url in ["http://operator.rototo.svc", "ftp://a", "operator", "", "https://user:secret@operator"] {
            let error = checked(url).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{url}");
        }
    }

    #[test]
    fn text_that_is_no_pem_certificate_is_refused() {
        assert!(certificates("").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").is_err());
    }

    #[test]
    fn the_annotations_of_the_marker_map_name_the_address() {
        let address = |annotations: serde_json::Value| {
            let map = json!({ "metadata": { "annotations": annotations } });
            Address::of(&serde_json::from_value(map).unwrap())
        };
        assert_eq!(address(json!({})), None);
        let expected = Address { url: "https://o".to_owned(), ca: Trust::Pem("PEM".to_owned()) };
        assert_eq!(address(json!({ "rototo.dev/snapshots": "https://o", "rototo.dev/ca": "PEM" })), Some(expected));
    }

    #[test]
    fn an_error_message_is_what_the_operator_said() {
        assert_eq!(error_message(br#"{"code":"forbidden","message":"grant get"}"#), "grant get");
        assert_eq!(error_message(b"<html>"), "no reason given");
        let long = json!({ "code": "x", "message": "a".repeat(10_000) }).to_string();
        assert_eq!(error_message(long.as_bytes()).len(), 500);
    }
}
