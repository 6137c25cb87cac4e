//! The operator's HTTPS endpoint: where it is, how its certificate is checked, and one kept-alive connection to it.
//!
//! The connection is a `kube::Client` whose "cluster" is the operator. So a process has one HTTP and one TLS stack, with
//! one set of proxies, roots, and crypto provider, and nothing new to audit. The token is put in here and not by that
//! client's own file support, as this takes a file that ends with a line feed, exists only later, or was just rotated.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Builder;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use rototo_api::names;
use rototo_api::snapshot::ErrorBody;
use rototo_protocol::follower::fault::{Fault, FaultKind};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::Instant;

use super::access::causes;

/// Where the operator serves, and what its certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) ca: Trust,
}

/// The certificates that a server's certificate has to come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// Those of the system.
    System,
    /// These, as PEM.
    Pem(String),
    /// Those in this PEM file, read again now and then.
    File(PathBuf),
}

impl Address {
    /// What the map of the markers says.
    pub(crate) fn of(map: &ConfigMap) -> Option<Self> {
        let annotations = map.metadata.annotations.as_ref()?;
        let url = annotations.get(names::ANNOTATION_SNAPSHOTS)?.clone();
        let ca = annotations.get(names::ANNOTATION_CA).map_or(Trust::System, |pem| Trust::Pem(pem.clone()));
        Some(Self { url, ca })
    }
}

/// An open way to the operator.
pub(crate) struct Endpoint {
    client: kube::Client,
    url: Uri,
    token_file: PathBuf,
    /// What was read there last, and when.
    token: Mutex<Option<(HeaderValue, Instant)>>,
}

/// How long a token is used before its file is read again. The kubelet writes a new one long before the old one ends.
const TOKEN_FRESH: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Larger than any answer that the limits on a workspace allow.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

impl Endpoint {
    /// Prepares the connection; nothing is sent yet.
    pub(crate) fn open(address: &Address, token_file: PathBuf) -> Result<Self, Fault> {
        let url = checked(&address.url)?;
        let mut config = kube::Config::new(url.clone());
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.default_retry = false;
        match &address.ca {
            Trust::System => {}
            Trust::Pem(pem) => config.root_cert = Some(certificates(pem)?),
            Trust::File(path) => config.root_cert_file = Some(path.clone()),
        }
        let client = kube::Client::try_from(config).map_err(|error| {
            Fault::persistent(
                "endpoint_unusable",
                format!("connecting to {} can't be prepared: {}", shown(&url), causes(&error)),
            )
        })?;
        Ok(Self { client, url, token_file, token: Mutex::default() })
    }

    /// The body of a successful answer. `what` is what the request does, as in "`what` failed".
    pub(crate) async fn send(
        &self,
        what: &str,
        request: Builder,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Fault> {
        // The token file may be on a disk that hangs, too.
        match tokio::time::timeout(limit, self.answer(what, request, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(what, &format!("no answer in {} s", limit.as_secs()))),
        }
    }

    async fn answer(&self, what: &str, request: Builder, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let request = request
            .header(AUTHORIZATION, self.bearer().await?)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Body::from(body))
            .map_err(|error| {
                Fault::persistent("endpoint_unusable", format!("{what} is no possible request: {error}"))
            })?;
        let answer = self.client.send(request).await.map_err(|error| self.unreachable(what, &causes(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| self.unreachable(what, &causes(&*error)))?.to_bytes();
        if head.status.is_success() {
            return Ok(body.to_vec());
        }
        if head.status == StatusCode::UNAUTHORIZED {
            // The file may have another by now.
            *self.token() = None;
        }
        let after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(refusal(head.status, after.map(Duration::from_secs), &body, &format!("{what} at {}", shown(&self.url))))
    }

    /// From the file, or as it was there a moment ago: a change that has rung does not wait for a disk. A token that was
    /// refused is read anew.
    async fn bearer(&self) -> Result<HeaderValue, Fault> {
        let known = self.token().clone().filter(|(_, read)| read.elapsed() < TOKEN_FRESH);
        if let Some((header, _)) = known {
            return Ok(header);
        }
        let header = self.read_bearer().await?;
        *self.token() = Some((header.clone(), Instant::now()));
        Ok(header)
    }

    fn token(&self) -> MutexGuard<'_, Option<(HeaderValue, Instant)>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_bearer(&self) -> Result<HeaderValue, Fault> {
        let unreadable = |reason: String| {
            let file = self.token_file.display();
            Fault::persistent(
                "token_unreadable",
                format!(
                    "reading the token file {file} failed: {reason}; the pod needs a projected token with audience `{}` there, see ROTOTO_TOKEN_FILE",
                    names::AUDIENCE
                ),
            )
        };
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(|error| unreadable(error.to_string()))?;
        let header = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut header = header.map_err(|_| unreadable("it does not hold a token".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn unreachable(&self, what: &str, reason: &str) -> Fault {
        Fault::transient("operator_unreachable", format!("{what} at {} failed: {reason}", shown(&self.url)))
    }
}

/// A token must not travel in the clear, whatever an annotation says; loopback never leaves the machine.
fn checked(url: &str) -> Result<Uri, Fault> {
    let bad = |reason: &str| Fault::persistent("endpoint_unusable", format!("the operator's address `{url}` {reason}"));
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    let local = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match uri.scheme_str() {
        _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            Err(Fault::persistent("endpoint_unusable", "the operator's address has a user name in it"))
        }
        Some("https") => Ok(uri),
        Some("http") if local => Ok(uri),
        _ => Err(bad("is not an https:// URL")),
    }
}

fn shown(url: &Uri) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        Fault::persistent(
            "endpoint_unusable",
            "the certificates given for the operator's address are no PEM certificates",
        )
    })
}

/// What an answer that is no success means.
pub(super) fn refusal(status: StatusCode, retry_after: Option<Duration>, body: &[u8], what: &str) -> Fault {
    let said = serde_json::from_slice(body).map(|ErrorBody { message, .. }| message);
    let said: String = said.unwrap_or_else(|_| "no reason given".to_owned()).chars().take(500).collect();
    let (code, kind) = match status {
        StatusCode::UNAUTHORIZED => ("operator_unauthorized", FaultKind::Persistent),
        StatusCode::FORBIDDEN => ("operator_forbidden", FaultKind::Persistent),
        StatusCode::NOT_FOUND => ("unknown_fingerprint", FaultKind::Transient),
        StatusCode::BAD_REQUEST => ("request_malformed", FaultKind::Persistent),
        _ => ("operator_unavailable", FaultKind::Transient),
    };
    let kind = retry_after.map_or(kind, FaultKind::Busy);
    Fault { code, message: format!("{what} was answered with {}: {said}", status.as_u16()), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_over_tls_or_loopback_only() {
        for url in ["https://operator.rototo.svc:8443", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(checked(url).is_ok(), "{url}");
        }
        for url in ["http://operator.rototo.svc", "ftp://a", "operator", "", "https://user:secret@operator"] {
            let fault = checked(url).unwrap_err();
            assert!(!fault.message.contains("secret"), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_read_again_after_a_while() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let address = Address { url: "http://localhost:1".to_owned(), ca: Trust::System };
        let endpoint = Endpoint::open(&address, file.path().to_owned()).unwrap();
        let bearer = async || endpoint.bearer().await.unwrap().to_str().unwrap().to_owned();
        std::fs::write(file.path(), "first\n").unwrap();
        assert_eq!(bearer().await, "Bearer first");
        std::fs::write(file.path(), "second\n").unwrap();
        assert_eq!(bearer().await, "Bearer first");
        tokio::time::sleep(TOKEN_FRESH).await;
        assert_eq!(bearer().await, "Bearer second");
    }

    #[test]
    fn a_refusal_says_what_the_operator_said_and_whether_waiting_helps() {
        let body = br#"{"code":"forbidden","message":"grant get on rototoworkspaces/snapshot"}"#;
        let fault = refusal(StatusCode::FORBIDDEN, None, body, "https://o/v1");
        assert_eq!((fault.code, fault.kind), ("operator_forbidden", FaultKind::Persistent));
        assert!(fault.message.contains("grant get on rototoworkspaces/snapshot"));
        let busy = refusal(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(2)), b"", "https://o/v1");
        assert_eq!(busy.kind, FaultKind::Busy(Duration::from_secs(2)));
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        assert!(certificates("").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").is_err());
    }
}
