//! Sends requests to the operator, with the pod's own token.
//!
//! Kube's own support for token files is not used: the file may end with a line feed, may appear only later, or may
//! have been rotated a moment ago.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Builder;
use rototo_api::names;
use rototo_connection::{Address, RequestError, error_message};
use rototo_protocol::follower::fault::{Fault, FaultKind};
use tokio::time::Instant;

use crate::kubernetes::cluster::token;

/// A connection to the operator, and the token that authorizes its requests.
pub(crate) struct Endpoint {
    connection: rototo_connection::Endpoint,
    token_file: PathBuf,
    /// The token that was read last, and the time of the read.
    token: Mutex<Option<(HeaderValue, Instant)>>,
}

/// The time for which a token is used before its file is read again. The kubelet writes a new token long before the old
/// one expires.
const TOKEN_FRESH: Duration = Duration::from_secs(60);
/// The scheme of the header with the token.
const BEARER: &str = "Bearer ";
/// The largest accepted answer, in bytes: more than the limits on a workspace allow.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

impl Endpoint {
    /// Prepares the connection. Nothing is sent yet.
    pub(crate) fn open(address: &Address, token_file: PathBuf) -> Result<Self, Fault> {
        let connection = rototo_connection::Endpoint::open(address)
            .map_err(|error| Fault::persistent("endpoint_unusable", error.to_string()))?;
        Ok(Self { connection, token_file, token: Mutex::default() })
    }

    /// Sends a request, and returns the body of a successful answer. `what` names the operation, as in "`what` failed".
    ///
    /// # Errors
    ///
    /// The token can't be read, no complete answer comes within `limit`, or the operator refuses the request.
    pub(crate) async fn send(
        &self,
        what: &str,
        request: Builder,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let answer = async {
            let request = request
                .header(AUTHORIZATION, self.bearer().await?)
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body)
                .map_err(|error| {
                    Fault::persistent(
                        "endpoint_unusable",
                        format!("{what} can't be sent: the request is invalid: {error}"),
                    )
                })?;
            let answer = self.connection.send(request, limit, LARGEST_ANSWER).await;
            answer.map_err(|error| self.unreachable(what, &error))
        };
        // Reading the token is limited too: its file may be on a disk that hangs.
        let answer = match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.unreachable(what, &RequestError::TimedOut(limit))),
        };
        if answer.status().is_success() {
            return Ok(answer.into_body().into());
        }
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The file may hold another token by now.
            *self.token() = None;
        }
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let what = format!("{what} at {}", self.connection.url());
        Err(refusal(answer.status(), after.map(Duration::from_secs), answer.body(), &what))
    }

    /// Returns the token as it was in the file within the last minute, so that a change does not wait for a disk. A
    /// token that was refused is read anew.
    async fn bearer(&self) -> Result<HeaderValue, Fault> {
        let known = self.token().clone().filter(|(_, read)| read.elapsed() < TOKEN_FRESH);
        if let Some((header, _)) = known {
            return Ok(header);
        }
        let header = self.read_bearer().await?;
        *self.token() = Some((header.clone(), Instant::now()));
        Ok(header)
    }

    /// Returns the UID of the pod of `namespace` that the token of the last request is bound to. `None` if there was no
    /// token yet, or if it is bound to no such pod.
    pub(crate) fn pod_uid(&self, namespace: &str) -> Option<String> {
        let (header, _) = self.token().clone()?;
        token::pod_uid_of(header.to_str().ok()?.strip_prefix(BEARER)?, namespace)
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
                    "reading the token file {file} failed: {reason}; the pod needs a projected token with \
                     audience `{}` there, see ROTOTO_TOKEN_FILE",
                    names::AUDIENCE
                ),
            )
        };
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(|error| unreadable(error.to_string()))?;
        let header = HeaderValue::try_from(format!("{BEARER}{}", token.trim()));
        let mut header = header.map_err(|_| unreadable("it does not hold a token".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn unreachable(&self, what: &str, reason: &RequestError) -> Fault {
        Fault::transient("operator_unreachable", format!("{what} at {} failed: {reason}", self.connection.url()))
    }
}

/// Turns an answer that is not a success into a fault.
pub(crate) fn refusal(status: StatusCode, retry_after: Option<Duration>, body: &[u8], what: &str) -> Fault {
    let (code, kind) = match status {
        StatusCode::UNAUTHORIZED => ("operator_unauthorized", FaultKind::Persistent),
        StatusCode::FORBIDDEN => ("operator_forbidden", FaultKind::Persistent),
        StatusCode::NOT_FOUND => ("unknown_fingerprint", FaultKind::Transient),
        StatusCode::BAD_REQUEST => ("request_malformed", FaultKind::Persistent),
        _ => ("operator_unavailable", FaultKind::Transient),
    };
    let kind = retry_after.map_or(kind, FaultKind::Busy);
    Fault { code, message: format!("{what} was answered with {}: {}", status.as_u16(), error_message(body)), kind }
}

#[cfg(test)]
mod tests {
    use rototo_connection::Trust;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A replica that does not reach the leader ends the connection with its answer. Another replica may answer then.
    #[tokio::test]
    async fn a_request_after_an_answer_that_ends_the_connection_takes_another_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint::open(&Address { url, ca: Trust::System }, token.path().to_owned()).unwrap();
        let server = async {
            let mut open = Vec::new();
            for (status, connection) in [("503 Service Unavailable", "close"), ("200 OK", "keep-alive")] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let answer = format!("HTTP/1.1 {status}\r\nconnection: {connection}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                open.push(stream);
            }
            open
        };
        let send = async || {
            let request = http::Request::get("/v1");
            endpoint.send("asking", request, Vec::new(), Duration::from_secs(20)).await.map_err(|fault| fault.code)
        };
        let requests = async { (send().await, send().await) };
        let (_open, answers) = tokio::join!(server, requests);
        assert_eq!(answers, (Err("operator_unavailable"), Ok(Vec::new())));
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
    fn a_refusal_has_the_operators_message_and_says_whether_waiting_helps() {
        let body = br#"{"code":"forbidden","message":"grant get on rototoworkspaces/snapshot"}"#;
        let fault = refusal(StatusCode::FORBIDDEN, None, body, "https://o/v1");
        assert_eq!((fault.code, fault.kind), ("operator_forbidden", FaultKind::Persistent));
        assert!(fault.message.contains("grant get on rototoworkspaces/snapshot"));
        let busy = refusal(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(2)), b"", "https://o/v1");
        assert_eq!(busy.kind, FaultKind::Busy(Duration::from_secs(2)));
    }
}
