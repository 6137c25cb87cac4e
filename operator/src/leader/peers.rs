//! Connections to the other processes of this install.
//!
//! All processes serve with one certificate and have the same Secret, from which they derive a proof that they show to
//! each other with each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Response};
use ring::hmac;
use rototo_connection::{Address, Endpoint, Trust, error_message};

/// The header with the proof.
const PEER_KEY: &str = "rototo-peer-key";
/// The largest number of connections that are kept. Each process of a rollout has an address of its own.
const CONNECTIONS: usize = 8;
/// The largest packed snapshot, in bytes: more than the limits on a workspace allow. No answer is larger.
pub(crate) const LARGEST_SNAPSHOT: usize = 64 * 1024 * 1024;

/// The way to the other processes of this install.
pub(crate) struct Peers {
    server_name: String,
    proofs: Mutex<PeerProofs>,
    connections: Mutex<HashMap<String, Arc<Endpoint>>>,
}

/// The proofs by which the processes of this install recognize each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerProofs {
    /// The certificates of the authorities that the certificates of the others come from, as PEM.
    pub(crate) authorities: String,
    /// The keys that are accepted. The first one is shown.
    pub(crate) keys: Vec<String>,
}

impl Peers {
    /// Makes connections to processes whose certificate is for `server_name`.
    pub(crate) fn new(server_name: String, proofs: PeerProofs) -> Self {
        Self { server_name, proofs: Mutex::new(proofs), connections: Mutex::default() }
    }

    /// Replaces the proofs by which the processes recognize each other. Requests that were sent go on.
    pub(crate) fn change(&self, proofs: PeerProofs) {
        let mut known = self.proofs();
        if known.authorities != proofs.authorities {
            self.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        *known = proofs;
    }

    fn proofs(&self) -> MutexGuard<'_, PeerProofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether another process of this install has sent a request with these headers.
    pub(crate) fn sent(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = headers.get(PEER_KEY) else { return false };
        // Two authentication codes are compared in constant time, and two keys are not.
        let shown = hmac::Key::new(hmac::HMAC_SHA256, shown.as_bytes());
        let shown = hmac::sign(&shown, b"");
        let is_shown = |own: &String| {
            let own = hmac::Key::new(hmac::HMAC_SHA256, own.as_bytes());
            hmac::verify(&own, b"", shown.as_ref()).is_ok()
        };
        self.proofs().keys.iter().any(is_shown)
    }

    /// Sends a request to the process at `url`. The URI of the request is a path. Returns the reason if no answer comes
    /// within `limit`.
    pub(crate) async fn send(
        &self,
        url: &str,
        request: Builder,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Response<Bytes>, String> {
        let key = self.proofs().keys.first().cloned().unwrap_or_default();
        let request = request.header(PEER_KEY, key).body(body).map_err(|error| error.to_string())?;
        let answer = self.connection(url)?.send(request, limit, LARGEST_SNAPSHOT).await;
        answer.map_err(|error| error.to_string())
    }

    /// Does the same as [`Peers::send`], and returns the body of an answer that is a success. Any other is an error.
    pub(crate) async fn ask(
        &self,
        url: &str,
        request: Builder,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Bytes, String> {
        let answer = self.send(url, request, body, limit).await?;
        success(&answer)?;
        Ok(answer.into_body())
    }

    fn connection(&self, url: &str) -> Result<Arc<Endpoint>, String> {
        // In this order, as in `change`.
        let proofs = self.proofs();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(url) {
            return Ok(connection.clone());
        }
        let address = Address { url: url.to_owned(), ca: Trust::Pem(proofs.authorities.clone()) };
        let connection = Endpoint::open_one_of(&address, &self.server_name).map_err(|error| error.to_string())?;
        if connections.len() >= CONNECTIONS {
            connections.clear();
        }
        Ok(connections.entry(url.to_owned()).or_insert(Arc::new(connection)).clone())
    }
}

/// Returns the body of an answer that is a success. Any other is an error.
pub(crate) fn success(answer: &Response<Bytes>) -> Result<&Bytes, String> {
    match answer.status().is_success() {
        true => Ok(answer.body()),
        false => Err(format!("{}: {}", answer.status(), error_message(answer.body()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shown: Option<&str>, expected: bool) {
        let keys = ["key", "next key"].map(str::to_owned).into();
        let peers = Peers::new("operator".to_owned(), PeerProofs { authorities: String::new(), keys });
        let headers = shown.map(|shown| (PEER_KEY.parse().unwrap(), shown.parse().unwrap()));
        assert_eq!(peers.sent(&headers.into_iter().collect()), expected, "{shown:?}");
    }

    #[test]
    fn only_a_process_that_has_the_secret_is_a_peer() {
        check(None, false);
        check(Some(""), false);
        check(Some("ke"), false);
        check(Some("keys"), false);
        check(Some("key"), true);
        check(Some("next key"), true);
    }
}
