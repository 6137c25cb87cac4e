//! The operator's HTTPS endpoint: its address, the check of its certificate, and one kept-alive connection to it.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use rototo_api::names;
use rototo_api::snapshot::ErrorBody;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::timeout;

use crate::api_error::api_error;
use crate::api_server::{CONNECT, client};
use crate::kubeconfig::proxy_from;
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
    /// The certificate authorities of the system.
    System,
    /// The certificates in this text, as PEM.
    Pem(String),
    /// The certificates in this PEM file, which is read again from time to time.
    File(PathBuf),
}

impl Address {
    /// Returns the address that the operator wrote into the annotations of the marker map; `None` if it wrote none.
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
    /// The text is not a URL.
    #[error("the operator's address `{0}` is not a URL")]
    NotAUrl(String),
    /// The URL has a user name. Its text is not shown, because it may contain a password.
    #[error("the operator's address has a user name in it: remove it")]
    UserName,
    /// The URL is not `https://`, and a token must not travel unencrypted.
    #[error("the operator's address `{0}` is not an https:// URL")]
    Unencrypted(String),
    /// The given text is not PEM, or has no certificate.
    #[error("the certificates given for the operator's address are not PEM certificates")]
    NotCertificates,
    /// The certificates or the proxy of the environment can't be used.
    #[error("connecting to {url} can't be prepared: {reason}")]
    Unprepared {
        /// The address.
        url: String,
        /// The error of the TLS or HTTP library.
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
    /// The server's certificate does not come from a trusted authority, has ended, or is for another host.
    #[error(
        "its certificate is not trusted ({0}): it must name this host, and come from an authority in the marker map, or \
         in the file of authorities that was given instead"
    )]
    Untrusted(String),
}

impl RequestError {
    fn of(error: &(dyn Error + 'static)) -> Self {
        match untrusted(error) {
            Some(reason) => Self::Untrusted(reason.to_string()),
            None => Self::Failed(with_causes(error)),
        }
    }
}

/// Returns why a certificate was refused, if that is the cause of an error.
pub(crate) fn untrusted<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason);
        }
        // The source of an I/O error is that of the error that it wraps, and not that error itself.
        let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
        cause = wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped));
    }
    None
}

/// A connection to the operator, which is kept alive between requests. It may be shared between threads.
///
/// ```
/// use rototo_connection::{Address, Endpoint, Trust};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rototo_connection::InvalidAddress> {
/// let address = Address { url: "https://operator.rototo.svc:8443".to_owned(), ca: Trust::System };
/// let endpoint = Endpoint::open(&address)?;
/// assert_eq!(endpoint.url(), address.url);
/// # Ok(())
/// # }
/// ```
pub struct Endpoint {
    client: kube::Client,
    url: Uri,
}

impl Endpoint {
    /// Prepares the connection, which the first request makes. Must be called on a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] if no connection can be made to `address`.
    pub fn open(address: &Address) -> Result<Self, InvalidAddress> {
        Self::prepare(checked(&address.url)?, &address.ca, None, None)
    }

    /// Does the same as [`Endpoint::open`] for a server whose certificate is for `server_name` and not for the host in
    /// the URL: one of several that have the same certificate.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] if no connection can be made to `address`, or `server_name` is no name of a server.
    pub fn open_one_of(address: &Address, server_name: &str) -> Result<Self, InvalidAddress> {
        Self::prepare(checked(&address.url)?, &address.ca, Some(server_name.to_owned()), None)
    }

    /// Prepares the connection to a server that is no operator and gets no token, so that its address may be `http://…`.
    /// The path of `url` stands before that of each request. The connection goes through the proxy that the environment
    /// names for that server. Must be called on a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] if no connection can be made to `url`.
    pub fn open_other(url: &Uri) -> Result<Self, InvalidAddress> {
        let proxy = proxy_from(|name| std::env::var(name).ok(), url);
        Self::prepare(url.clone(), &Trust::System, None, proxy)
    }

    fn prepare(url: Uri, ca: &Trust, server_name: Option<String>, proxy: Option<Uri>) -> Result<Self, InvalidAddress> {
        let mut config = kube::Config::new(url.clone());
        config.tls_server_name = server_name;
        config.proxy_url = proxy;
        config.connect_timeout = Some(CONNECT);
        match ca {
            Trust::System => {}
            Trust::Pem(pem) => config.root_cert = Some(certificates(pem)?),
            Trust::File(path) => config.root_cert_file = Some(path.clone()),
        }
        let client = client(config, TimeLimits::ByCaller)
            .map_err(|error| InvalidAddress::Unprepared { url: shown(&url), reason: api_error(&error) })?;
        Ok(Self { client, url })
    }

    /// Returns the address as errors show it, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        shown(&self.url)
    }

    /// Sends a request, and reads the whole answer, whatever its status. `limit` is the largest body, in bytes.
    ///
    /// Cancellation safe: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// [`RequestError::TimedOut`] if the answer is not complete after `within`; [`RequestError::Failed`] if the
    /// connection fails or the body is too large.
    pub async fn send(
        &self,
        request: Request<Vec<u8>>,
        within: Duration,
        limit: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        let answer = async {
            let answer = self.client.send(request.map(Body::from)).await;
            let (parts, body) = answer.map_err(|error| RequestError::of(&error))?.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| RequestError::Failed(with_causes(&*error)))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        timeout(within, answer).await.unwrap_or(Err(RequestError::TimedOut(within)))
    }
}

/// Returns the message in the operator's answer to a request that failed, cut to 500 characters.
#[must_use]
pub fn error_message(body: &[u8]) -> String {
    let message = serde_json::from_slice(body).map(|ErrorBody { message, .. }| message);
    message.unwrap_or_else(|_| "no reason given".to_owned()).chars().take(500).collect()
}

/// Parses an address, and refuses one to which a token would travel unencrypted. Traffic on the loopback interface
/// never leaves the machine.
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
#[path = "untrusted_tests.rs"]
mod untrusted_tests;

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
    fn an_error_message_is_the_operators_own() {
        assert_eq!(error_message(br#"{"code":"forbidden","message":"grant get"}"#), "grant get");
        assert_eq!(error_message(b"<html>"), "no reason given");
        let long = json!({ "code": "x", "message": "a".repeat(10_000) }).to_string();
        assert_eq!(error_message(long.as_bytes()).len(), 500);
    }
}
