//! Reads the keys of webhooks from their Secrets, and remembers them for a moment.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use rototo_engine::Digest;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::http::webhook::WebhookRefusal;
use crate::load::lasting::Lasting;
use crate::load::remembered::Remembered;
use crate::load::turns::{TurnLimits, Turns};
use crate::source::credentials;
use crate::workspace_key::WorkspaceKey;

/// The beginning of the names of keys in the Secret. Other values there are no keys, such as a user name or a
/// certificate, which strangers may know.
const KEY_NAMES: &str = "webhook";
/// The shortest key, in bytes.
pub(super) const SHORTEST_KEY: usize = 16;
/// The largest number of keys of one webhook: each of them is computed over each body.
const KEYS: usize = 8;
/// The time for which keys, or the failure to read them, are remembered. A call is checked with keys that are no older,
/// because its body is not there for a second check.
const KEYS_LAST: Duration = Duration::from_secs(5);
/// The longest time that reading the Secret may take.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// The number of Secrets whose keys are remembered, and their bytes.
const REMEMBERED: (usize, usize) = (4_096, 4 * 1024 * 1024);
/// The Secrets that are read at once. The calls that need the same one wait for one read.
const READS: TurnLimits = TurnLimits { at_once: 32, per_key: 1, waiting: 4_096, waiting_per_key: 512 };

/// The keys of one webhook.
pub(super) type Keys = Arc<Vec<Vec<u8>>>;

/// The keys of all webhooks.
pub(super) struct WebhookKeys {
    client: Client,
    known: Remembered<Result<Keys, Arc<str>>>,
    reads: Turns<Digest>,
    /// The Secrets whose keys can't be read.
    failing: Lasting<Digest>,
}

impl WebhookKeys {
    pub(super) fn new(client: Client) -> Self {
        let known = Remembered::new(REMEMBERED.0, REMEMBERED.1);
        Self { client, known, reads: Turns::new(READS), failing: Lasting::default() }
    }

    /// Returns the keys in a Secret of the workspace.
    pub(super) async fn read(&self, key: &WorkspaceKey, secret: &str) -> Result<Keys, WebhookRefusal> {
        let name = Digest::of(format!("{}/{secret}", key.namespace).as_bytes());
        let keys = match self.known.get(&name, Instant::now()) {
            Some(known) => known,
            None => self.read_once(name, key, secret).await,
        };
        keys.map_err(|why| WebhookRefusal::NoKeys { secret: secret.to_owned(), why: why.to_string() })
    }

    /// Reads a Secret for all calls that wait for it.
    async fn read_once(&self, name: Digest, key: &WorkspaceKey, secret: &str) -> Result<Keys, Arc<str>> {
        let _turn = self.reads.take(&name).await.map_err(|_| Arc::from("too many calls wait for their Secrets"))?;
        if let Some(known) = self.known.get(&name, Instant::now()) {
            return known;
        }
        let read: Result<Keys, Arc<str>> = self.read_now(key, secret).await.map_err(Arc::from);
        self.log(&name, &read, key, secret);
        let bytes = match &read {
            Ok(keys) => keys.iter().map(Vec::len).sum(),
            Err(why) => why.len(),
        };
        self.known.put(name, read.clone(), bytes, Instant::now() + KEYS_LAST);
        read
    }

    async fn read_now(&self, key: &WorkspaceKey, secret: &str) -> Result<Keys, String> {
        let reading = credentials::read(&self.client, key, "spec.webhook.secretRef", secret);
        Err(match timeout(READ_WITHIN, reading).await {
            Ok(Ok(found)) => match keys(found) {
                none if none.is_empty() => format!(
                    "the Secret {secret} of spec.webhook.secretRef has no value of at least {SHORTEST_KEY} bytes under a \
                     name that begins with `{KEY_NAMES}`"
                ),
                keys => return Ok(Arc::new(keys)),
            },
            // Of a Secret that it may not read, this names the command that grants it.
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("reading the Secret {secret} got no answer within {READ_WITHIN:?}"),
        })
    }

    /// Logs once that the keys of a Secret can't be read, however many strangers call, and the end of that.
    fn log(&self, id: &Digest, read: &Result<Keys, Arc<str>>, key: &WorkspaceKey, secret: &str) {
        let WorkspaceKey { namespace, name } = key;
        match read {
            Ok(_) if self.failing.has_ended(id) => {
                info!(namespace, name, secret, "the keys of a webhook can be read again");
            }
            Ok(_) => {}
            Err(why) if self.failing.is_new(id, why) => {
                warn!(error = &**why, namespace, name, secret, "the keys of a webhook can't be read");
            }
            Err(why) => debug!(error = &**why, namespace, name, secret, "the keys of a webhook can still not be read"),
        }
    }
}

fn keys(secret: Secret) -> Vec<Vec<u8>> {
    let named = secret.data.unwrap_or_default().into_iter().filter(|(name, _)| name.starts_with(KEY_NAMES));
    // A key that was saved with an editor ends with a line feed that the host does not know of.
    let trimmed = named.map(|(_, value)| value.0.trim_ascii_end().to_vec());
    trimmed.filter(|key| key.len() >= SHORTEST_KEY).take(KEYS).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::http::{Request, Response};
    use k8s_openapi::ByteString;
    use kube::client::Body;

    use super::*;
    use crate::load::logged::Logged;

    #[tokio::test(start_paused = true)]
    async fn keys_that_stay_unreadable_are_logged_once_and_so_is_their_end() {
        static READABLE: AtomicBool = AtomicBool::new(false);
        let api = async |_: Request<Body>| {
            let answer = match READABLE.load(Ordering::SeqCst) {
                true => {
                    r#"{"kind":"Secret","apiVersion":"v1","metadata":{},"data":{"webhook":"MDEyMzQ1Njc4OWFiY2RlZg=="}}"#
                }
                false => r#"{"kind":"Secret","apiVersion":"v1","metadata":{}}"#,
            };
            Ok::<_, Infallible>(Response::new(Body::from(answer.as_bytes().to_vec())))
        };
        let keys = WebhookKeys::new(Client::new(tower::service_fn(api), "default"));
        let key = WorkspaceKey { namespace: "team".to_owned(), name: "config".to_owned() };
        let logged = Logged::start();
        for readable in [false, false, false, true, true] {
            READABLE.store(readable, Ordering::SeqCst);
            assert_eq!(keys.read(&key, "hook").await.is_ok(), readable);
            tokio::time::advance(KEYS_LAST).await;
        }
        assert_eq!(logged.levels_of("the keys of a webhook"), ["WARN", "DEBUG", "DEBUG", "INFO"]);
    }

    #[test]
    fn only_long_values_under_names_of_webhooks_are_keys() {
        let long = "0123456789abcdef";
        let data = [
            ("username", long),
            ("ca.crt", long),
            ("webhook", long),
            ("webhook-old", "0123456789abcdef-old\n"),
            ("webhook-short", "0123456789abcde\n"),
        ];
        let data = data.map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())));
        let found = keys(Secret { data: Some(data.into()), ..Secret::default() });
        assert_eq!(found, [long.as_bytes().to_vec(), b"0123456789abcdef-old".to_vec()]);
    }
}
