//! Asks the operator itself whether a publish has converged.
//!
//! The request has a token for the operator. It never has the credentials of the kubeconfig: an operator must not get a
//! token for the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Arg, Args};
use futures::{Stream, stream};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, StatusCode};
use rototo_api::convergence::Convergence;
use rototo_api::names;
use rototo_connection::{Address, Endpoint, Trust, error_message};
use tokio::time::{Instant, sleep};

use crate::cluster::NamespaceClient;

/// The address of the operator, and the credentials for it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Operator", mut_args = without_empty)]
pub(crate) struct OperatorOptions {
    /// The operator's address; by default the one in the ConfigMap rototo-markers of the namespace
    #[arg(long, value_name = "URL", env = "ROTOTO_SNAPSHOTS_URL")]
    operator_url: Option<String>,

    /// PEM certificates that the certificate of the operator's address is checked against
    #[arg(long, value_name = "FILE", env = "ROTOTO_SNAPSHOTS_CA_FILE")]
    operator_ca_file: Option<PathBuf>,

    /// A token with audience `rototo` to ask the operator with; by default /var/run/secrets/rototo/token, if it is
    /// there. The credentials of the kubeconfig are never sent to the operator
    #[arg(long, value_name = "FILE", env = "ROTOTO_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// Several clusters are asked. A token is for one of them, so none is sent.
    #[arg(skip)]
    several: bool,
}

/// Takes an empty variable of the environment as one that is not given, as charts write it.
fn without_empty(argument: Arg) -> Arg {
    let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|text| text.is_empty());
    if is_empty { argument.env(None::<&'static str>) } else { argument }
}

const TOKEN_FILE: &str = "/var/run/secrets/rototo/token";
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// The interval of requests to an operator that answers.
const ASKED_EVERY: Duration = Duration::from_millis(500);
/// The interval of requests to an operator that does not answer.
const TRIED_EVERY: Duration = Duration::from_secs(5);
/// The largest answer.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Returns the operator's answers, one after the other, or the failures; each with the time of its request.
pub(crate) fn answers<'a>(
    cluster: &'a NamespaceClient,
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
            let answer = ask(&endpoint, &names::convergence_path(&cluster.namespace, workspace), token).await?;
            anyhow::Ok((answer, endpoint))
        };
        Some(match asked.await {
            Ok((answer, endpoint)) => ((at, Ok(answer)), (Some(endpoint), ASKED_EVERY)),
            // The address may be different by then.
            Err(error) => ((at, Err(error)), (None, TRIED_EVERY)),
        })
    })
}

impl OperatorOptions {
    /// Returns the options for several clusters, whose operators are not asked: the operator of one cluster could use the
    /// token for the operator of another.
    ///
    /// # Errors
    ///
    /// Fails if an option names one operator.
    pub(crate) fn for_several(self) -> Result<Self, String> {
        let named = [
            (self.operator_url.as_ref().is_some_and(|url| !url.is_empty()), "--operator-url"),
            (self.operator_ca_file.is_some(), "--operator-ca-file"),
            (self.token_file.is_some(), "--token-file"),
        ];
        if let Some((_, option)) = named.into_iter().find(|(given, _)| *given) {
            return Err(format!(
                "{option} is for one operator, and several clusters are named: leave it out, or name one --context"
            ));
        }
        Ok(Self { several: true, ..self })
    }

    async fn address(&self, cluster: &NamespaceClient) -> anyhow::Result<Address> {
        let given = self.operator_url.as_ref().filter(|url| !url.is_empty());
        let address = match given {
            Some(url) => Address { url: url.clone(), ca: Trust::System },
            None => cluster.operator_address().await.context("give its address with --operator-url")?,
        };
        Ok(match &self.operator_ca_file {
            Some(file) => Address { ca: Trust::File(file.clone()), ..address },
            None => address,
        })
    }

    /// Reads the token for each request, as the kubelet replaces it.
    async fn token(&self) -> anyhow::Result<HeaderValue> {
        ensure!(!self.several, "several clusters are named, and a token is for the operator of one");
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

/// Sends a request for `path` to the operator.
async fn ask(endpoint: &Endpoint, path: &str, token: HeaderValue) -> anyhow::Result<Convergence> {
    let request = Request::get(path).header(AUTHORIZATION, token).body(Vec::new())?;
    let answer = endpoint.send(request, ANSWERS_WITHIN, LARGEST_ANSWER).await;
    let answer = answer.with_context(|| format!("{} does not answer", endpoint.url()))?;
    understood(answer.status(), answer.body()).with_context(|| endpoint.url())
}

fn understood(status: StatusCode, body: &[u8]) -> anyhow::Result<Convergence> {
    if status.is_success() {
        return serde_json::from_slice(body).context("the answer can't be understood");
    }
    bail!("it answers with {}: {}", status.as_u16(), error_message(body))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_token_is_one_line_that_is_never_shown() {
        assert_eq!(bearer("secret\n").unwrap(), "Bearer secret");
        assert!(!format!("{:?}", bearer("secret").unwrap()).contains("secret"));
        for text in ["", " \n", "a\nb"] {
            assert!(bearer(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_answer_with_an_error_shows_the_operators_message() {
        let body = br#"{"code":"forbidden","message":"grant get on rototoworkspaces"}"#;
        let error = understood(StatusCode::FORBIDDEN, body).unwrap_err().to_string();
        assert_eq!(error, "it answers with 403: grant get on rototoworkspaces");
        assert!(understood(StatusCode::NOT_FOUND, b"<html>").unwrap_err().to_string().contains("404"));
        assert!(understood(StatusCode::OK, b"{}").is_err());
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
        let (request, answer) = tokio::join!(server, ask(&endpoint, &path, bearer("secret").unwrap()));
        assert!(
            request.starts_with("get /v1/namespaces/prod/workspaces/degradation/convergence http/1.1\r\n"),
            "{request}"
        );
        assert_eq!(request.matches("authorization").count(), 1, "{request}");
        assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
        assert!(format!("{:#}", answer.unwrap_err()).ends_with("it answers with 404: it is not served here"));
    }
}
