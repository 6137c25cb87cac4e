//! Asks the operator itself whether a change runs everywhere.
//!
//! The connection is a `kube::Client` whose "cluster" is the operator, as in the client library: one HTTP and one TLS stack.
//! It is given a token for the operator and nothing of the kubeconfig, as an operator must not get tokens for the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use futures::{Stream, stream};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use rototo_api::convergence::Convergence;
use rototo_api::names;
use rototo_api::snapshot::ErrorBody;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::{Instant, sleep, timeout};

use super::Cluster;

/// The way to the operator.
#[derive(Debug, Args)]
#[command(next_help_heading = "Operator")]
pub(crate) struct OperatorOptions {
    /// The operator's address; by default the one in the ConfigMap rototo-markers of the namespace
    #[arg(long, value_name = "URL", env = "ROTOTO_SNAPSHOTS_URL")]
    operator_url: Option<String>,

    /// PEM certificates that the certificate of the operator's address is checked against
    #[arg(long, value_name = "FILE", env = "ROTOTO_SNAPSHOTS_CA_FILE")]
    operator_ca_file: Option<PathBuf>,

    /// A token with audience `rototo` to ask the operator with; by default /var/run/secrets/rototo/token, if it is there.
    /// The credentials of the kubeconfig are never sent to the operator
    #[arg(long, value_name = "FILE", env = "ROTOTO_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

const TOKEN_FILE: &str = "/var/run/secrets/rototo/token";
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How soon an operator that answers is asked again.
const ASKED_EVERY: Duration = Duration::from_millis(500);
/// How soon one that does not is tried again.
const TRIED_EVERY: Duration = Duration::from_secs(5);
/// Larger than any answer is.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Where the operator serves, and what its certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    url: String,
    ca: Trust,
}

/// The certificates that a server's certificate has to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trust {
    System,
    Pem(String),
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

/// What the operator says, again and again, or why it can't be asked; and when it was asked.
pub(crate) fn answers<'a>(
    cluster: &'a Cluster,
    options: &'a OperatorOptions,
    workspace: &'a str,
) -> impl Stream<Item = (Instant, anyhow::Result<Convergence>)> + 'a {
    stream::unfold((None, Duration::ZERO), async move |(known, pause): (Option<Endpoint>, Duration)| {
        sleep(pause).await;
        let at = Instant::now();
        let asked = async {
            let token = options.token().await?;
            let endpoint = match known {
                Some(endpoint) => endpoint,
                None => Endpoint::open(&options.address(cluster).await?)?,
            };
            let answer = endpoint.ask(&names::convergence_path(&cluster.namespace, workspace), token).await?;
            anyhow::Ok((answer, endpoint))
        };
        Some(match asked.await {
            Ok((answer, endpoint)) => ((at, Ok(answer)), (Some(endpoint), ASKED_EVERY)),
            // The address may be another by then.
            Err(error) => ((at, Err(error)), (None, TRIED_EVERY)),
        })
    })
}

impl OperatorOptions {
    async fn address(&self, cluster: &Cluster) -> anyhow::Result<Address> {
        let given = self.operator_url.as_ref().filter(|url| !url.is_empty());
        let told = match given {
            Some(url) => Address { url: url.clone(), ca: Trust::System },
            None => cluster.operator_address().await.context("give its address with --operator-url")?,
        };
        Ok(match &self.operator_ca_file {
            Some(file) => Address { ca: Trust::File(file.clone()), ..told },
            None => told,
        })
    }

    /// Read anew each time, as the kubelet replaces it.
    async fn token(&self) -> anyhow::Result<HeaderValue> {
        let file = self.token_file.as_deref().unwrap_or(Path::new(TOKEN_FILE));
        let shown = file.display();
        let text = match tokio::fs::read_to_string(file).await {
            Ok(text) => text,
            Err(_) if self.token_file.is_none() => {
                bail!("there is no token for it: give one with audience `{}` by --token-file", names::AUDIENCE)
            }
            Err(error) => bail!("the token file {shown} can't be read: {error}"),
        };
        bearer(&text).with_context(|| format!("the token file {shown} holds no token"))
    }
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    ensure!(!token.trim().is_empty(), "it is empty");
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// A way to the operator.
struct Endpoint {
    client: kube::Client,
    url: Uri,
}

impl Endpoint {
    fn open(address: &Address) -> anyhow::Result<Self> {
        let url = checked(&address.url)?;
        let mut config = kube::Config::new(url.clone());
        config.connect_timeout = Some(CONNECTS_WITHIN);
        config.default_retry = false;
        match &address.ca {
            Trust::System => {}
            Trust::Pem(pem) => config.root_cert = Some(certificates(pem)?),
            Trust::File(path) => config.root_cert_file = Some(path.clone()),
        }
        let client = kube::Client::try_from(config)
            .map_err(|error| anyhow!("a connection to {url} can't be prepared: {}", causes(&error)))?;
        Ok(Self { client, url })
    }

    async fn ask(&self, path: &str, token: HeaderValue) -> anyhow::Result<Convergence> {
        let request = Request::get(path).header(AUTHORIZATION, token).body(Body::empty())?;
        let answer = timeout(ANSWERS_WITHIN, self.send(request)).await;
        let seconds = ANSWERS_WITHIN.as_secs();
        answer.unwrap_or_else(|_| Err(anyhow!("{} has not answered within {seconds} s", self.url)))
    }

    async fn send(&self, request: Request<Body>) -> anyhow::Result<Convergence> {
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| anyhow!("{} does not answer: {}", self.url, causes(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("{} does not answer: {}", self.url, causes(&*error)))?.to_bytes();
        understood(head.status, &body).with_context(|| self.url.to_string())
    }
}

fn understood(status: StatusCode, body: &[u8]) -> anyhow::Result<Convergence> {
    if status.is_success() {
        return serde_json::from_slice(body).context("the answer can't be understood");
    }
    let said = serde_json::from_slice(body).map(|ErrorBody { message, .. }| message);
    let said: String = said.unwrap_or_else(|_| "no reason given".to_owned()).chars().take(500).collect();
    bail!("it answers with {}: {said}", status.as_u16())
}

/// A token must not travel in the clear, whatever an annotation says; loopback never leaves the machine.
fn checked(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri = url.parse().map_err(|_| anyhow!("its address `{url}` is no URL"))?;
    let local = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match uri.scheme_str() {
        _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            bail!("its address has a user name in it")
        }
        Some("https") => Ok(uri),
        Some("http") if local => Ok(uri),
        _ => bail!("its address `{url}` does not begin with https://"),
    }
}

fn certificates(pem: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| anyhow!("the annotation {} holds no PEM certificates", names::ANNOTATION_CA))
}

/// The text of an error and of what caused it, where that says more.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let deeper = error.to_string();
        if !text.contains(&deeper) {
            text = format!("{text}: {deeper}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
    fn a_token_is_one_line_that_is_never_shown() {
        assert_eq!(bearer("secret\n").unwrap(), "Bearer secret");
        assert!(!format!("{:?}", bearer("secret").unwrap()).contains("secret"));
        for text in ["", " \n", "a\nb"] {
            assert!(bearer(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_answer_that_is_none_says_what_the_operator_said() {
        let body = br#"{"code":"forbidden","message":"grant get on rototoworkspaces"}"#;
        let error = understood(StatusCode::FORBIDDEN, body).unwrap_err().to_string();
        assert_eq!(error, "it answers with 403: grant get on rototoworkspaces");
        assert!(understood(StatusCode::NOT_FOUND, b"<html>").unwrap_err().to_string().contains("404"));
        assert!(understood(StatusCode::OK, b"{}").is_err());
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        assert!(certificates("").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").is_err());
    }

    #[test]
    fn the_map_of_the_markers_names_the_address() {
        let map = |annotations: serde_json::Value| {
            let map = serde_json::json!({ "metadata": { "annotations": annotations } });
            Address::of(&serde_json::from_value(map).unwrap())
        };
        assert_eq!(map(serde_json::json!({})), None);
        let told = map(serde_json::json!({ "rototo.dev/snapshots": "https://o", "rototo.dev/ca": "PEM" }));
        assert_eq!(told, Some(Address { url: "https://o".to_owned(), ca: Trust::Pem("PEM".to_owned()) }));
    }

    #[tokio::test]
    async fn the_operator_is_asked_with_its_own_token_and_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let body = r#"{"code":"unknown_workspace","message":"it is not served here"}"#;
            let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap().to_lowercase()
        };
        let endpoint = Endpoint::open(&Address { url, ca: Trust::System }).unwrap();
        let path = names::convergence_path("prod", "degradation");
        let (request, answer) = tokio::join!(server, endpoint.ask(&path, bearer("secret").unwrap()));
        assert!(
            request.starts_with("get /v1/namespaces/prod/workspaces/degradation/convergence http/1.1\r\n"),
            "{request}"
        );
        assert_eq!(request.matches("authorization").count(), 1, "{request}");
        assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
        assert!(format!("{:#}", answer.unwrap_err()).ends_with("it answers with 404: it is not served here"));
    }
}
