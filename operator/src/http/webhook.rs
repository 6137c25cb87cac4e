//! Checks the calls of a git host after a push. A valid call only makes polls due: one at once, and more shortly after,
//! because hosts call before the commit can be read everywhere. Nothing in the call is trusted.
//!
//! [`Webhooks::check`] is the entry point. Its checks come in the order of their cost: the shape of the signature, then
//! a place among the few calls that are read at once, the length, the signature. So a flood costs little, and can't
//! take the places of processes. A refused call loses nothing: the operator polls at each interval anyway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::HeaderMap;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use ring::hmac;
use tokio::sync::Semaphore;

use crate::http::body::{self, BodyError, LASTS};
use crate::workspace_key::WorkspaceKey;

/// The largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// The number of bodies that are read at once.
const AT_ONCE: usize = 8;
/// The time for which keys are used before the Secret is read again.
const KEYS_LAST: Duration = Duration::from_secs(60);
/// The shortest time between two reads of the Secret. A signature that fits no key may belong to a new one.
const KEYS_AT_LEAST: Duration = Duration::from_secs(5);

/// The headers in which hosts send the HMAC-SHA256 of the body, in hexadecimal digits, and the prefix of the digits.
const SIGNATURES: [(&str, &str); 5] = [
    ("x-hub-signature-256", "sha256="),
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-hub-signature", "sha256="),
    ("x-rototo-signature", "sha256="),
];
/// The header in which GitLab sends the key itself.
const TOKEN: &str = "x-gitlab-token";

/// The reason why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// The workspace has no webhook.
    #[error("this workspace takes no webhook calls: spec.webhook is not set")]
    NotConfigured,
    /// Too many calls came at once.
    #[error("too many calls at once; try again")]
    TooMany,
    /// The call has no signature of a known form.
    #[error("the call is not signed: send X-Hub-Signature-256: sha256=<HMAC-SHA256 of the body>")]
    Unsigned,
    /// The body is too long.
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    TooLong,
    /// The body did not arrive whole and in time.
    #[error("the body did not arrive whole within {LASTS:?}")]
    Incomplete,
    /// The signature fits no key.
    #[error("the signature fits none of the keys in the Secret of spec.webhook")]
    WrongSignature,
    /// The keys can't be read.
    #[error("the Secret `{0}` with the webhook's keys can't be read; try again")]
    NoKeys(String),
}

/// Checks the calls of git hosts.
pub struct Webhooks {
    client: Client,
    places: Semaphore,
    keys: Mutex<HashMap<(String, String), WebhookKeys>>,
}

#[derive(Clone)]
struct WebhookKeys {
    keys: Arc<Vec<Vec<u8>>>,
    read: Instant,
}

/// The proof in a call that its sender knows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    Hmac(Vec<u8>),
    Token(Vec<u8>),
}

impl Webhooks {
    /// Reads keys with `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, places: Semaphore::new(AT_ONCE), keys: Mutex::default() }
    }

    /// Checks that the sender of a call knows a key of the workspace. The keys are in `secret`.
    pub async fn check(
        &self,
        key: &WorkspaceKey,
        secret: Option<String>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(), WebhookRefusal> {
        let secret = secret.ok_or(WebhookRefusal::NotConfigured)?;
        let proof = proof(headers).ok_or(WebhookRefusal::Unsigned)?;
        let _place = self.places.try_acquire().map_err(|_| WebhookRefusal::TooMany)?;
        let body = body::read(body, BODY_LIMIT).await.map_err(|why| match why {
            BodyError::TooLong => WebhookRefusal::TooLong,
            BodyError::Incomplete => WebhookRefusal::Incomplete,
        })?;
        let keys = self.keys(&key.namespace, &secret, KEYS_LAST).await?;
        if proof.fits(&keys.keys, &body) {
            return Ok(());
        }
        let newer = self.keys(&key.namespace, &secret, KEYS_AT_LEAST).await?;
        if newer.read != keys.read && proof.fits(&newer.keys, &body) {
            Ok(())
        } else {
            Err(WebhookRefusal::WrongSignature)
        }
    }

    async fn keys(&self, namespace: &str, secret: &str, last: Duration) -> Result<WebhookKeys, WebhookRefusal> {
        let name = (namespace.to_owned(), secret.to_owned());
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(known) = known.filter(|known| known.read.elapsed() < last) {
            return Ok(known);
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = secrets.get(secret).await.map_err(|error| {
            tracing::warn!(
                error = rototo_connection::api_error(&error),
                namespace,
                secret,
                "the keys of a webhook can't be read"
            );
            WebhookRefusal::NoKeys(secret.to_owned())
        })?;
        // A key that was saved with an editor ends with a line feed that the host does not know of.
        let trimmed = |value: Vec<u8>| value.trim_ascii_end().to_vec();
        let keys = found.data.unwrap_or_default().into_values().map(|value| trimmed(value.0));
        let keys = WebhookKeys { keys: Arc::new(keys.filter(|key| !key.is_empty()).collect()), read: Instant::now() };
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(name, keys.clone());
        Ok(keys)
    }
}

fn proof(headers: &HeaderMap) -> Option<Proof> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let signature = SIGNATURES.iter().find_map(|(name, prefix)| text(name)?.strip_prefix(prefix).and_then(bytes));
    signature.map(Proof::Hmac).or_else(|| text(TOKEN).map(|token| Proof::Token(token.as_bytes().to_vec())))
}

/// Returns 64 hexadecimal digits as 32 bytes.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32).map(|index| u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()).collect()
}

impl Proof {
    /// Returns whether a key fits. It takes as long for a wrong key as for a right one.
    fn fits(&self, keys: &[Vec<u8>], body: &[u8]) -> bool {
        let fits = |key: &Vec<u8>| match self {
            Self::Hmac(signature) => hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), body, signature).is_ok(),
            // Compared as signatures under a key that nobody knows, so that the time it takes gives nothing away.
            Self::Token(token) => {
                let blind = hmac::Key::new(hmac::HMAC_SHA256, body);
                hmac::verify(&blind, token, hmac::sign(&blind, key).as_ref()).is_ok()
            }
        };
        keys.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    fn key(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    // GitHub's documentation on validating deliveries has this example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_documented_signature_of_github_is_accepted() {
        let proof = proof(&headers("x-hub-signature-256", &format!("sha256={SIGNATURE}"))).unwrap();
        assert!(proof.fits(&[key(SECRET)], BODY));
        assert!(!proof.fits(&[key(SECRET)], b"Hello, world!"));
        assert!(!proof.fits(&[key("another")], BODY));
        assert!(!proof.fits(&[], BODY));
    }

    #[test]
    fn while_a_key_is_rotated_both_are_accepted() {
        let proof = proof(&headers("x-gitea-signature", SIGNATURE)).unwrap();
        assert!(proof.fits(&[key("new"), key(SECRET)], BODY));
    }

    #[test]
    fn a_token_of_gitlab_is_the_key_itself() {
        let proof = proof(&headers(TOKEN, "hush")).unwrap();
        assert!(proof.fits(&[key("hush")], BODY));
        assert!(!proof.fits(&[key("hush!"), key("")], BODY));
    }

    #[test]
    fn a_call_without_a_valid_signature_is_refused_before_the_body_is_read() {
        for value in ["sha256=", "sha256=00", "sha1=757107ea", &"0".repeat(64), &format!("sha256={}", "ü".repeat(32))]
        {
            let Ok(value) = value.parse() else { continue };
            let headers = HeaderMap::from_iter([("x-hub-signature-256".parse().unwrap(), value)]);
            assert_eq!(proof(&headers), None, "{headers:?}");
        }
        assert_eq!(proof(&HeaderMap::new()), None);
    }
}
