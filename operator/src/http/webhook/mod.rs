//! Checks the calls of a git host after a push. A valid call only makes polls due: one at once, and more shortly after,
//! because hosts call before the commit can be read everywhere. Nothing in the call is trusted.
//!
//! [`Webhooks::check`] is the entry point. Its checks come in the order of their cost: the form of the proof, the keys,
//! and the body, which goes through the HMAC piece by piece and is not kept. All callers may share the address of an
//! Ingress, so a call with a body of at most [`SHORT`] bytes is checked whatever others of its address do, as long as
//! fewer than 256 bodies of this address arrive at a time. Only a longer body needs a place among the few that are
//! read at once, by workspace and address, and a budget of wrong calls that is not spent. A call that shows the key
//! itself needs no budget. A refused call loses nothing: the operator polls at each interval anyway.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use futures::StreamExt;
use kube::Client;
use rototo_engine::Digest;
use tokio::time::{Instant, timeout};

use crate::http::body::{self, BodyError, LASTS};
use crate::http::connections::Peer;
use crate::http::webhook::keys::{SHORTEST_KEY, WebhookKeys};
use crate::http::webhook::proof::{Proof, Verifier, proof};
use crate::load::budgets::Budgets;
use crate::load::remembered::Remembered;
use crate::load::turns::{TurnLimits, Turns};
use crate::workspace_key::WorkspaceKey;

mod keys;
mod proof;

/// The largest body that is read, in bytes: that of GitHub.
pub(crate) const BODY_LIMIT: usize = 25 * 1024 * 1024;
/// The largest body, in bytes, that is checked whatever others of its address do. That of a push of one commit has some
/// 8,000.
const SHORT: usize = 64 * 1024;
/// The bodies that are read at once, by address. None of them is kept.
const BODIES: TurnLimits = TurnLimits { at_once: 1_024, per_key: 256, waiting: 0, waiting_per_key: 0 };
/// The longer bodies that are read at once, in all and of one workspace from one address. Others are asked to come back.
const LONG_BODIES: TurnLimits = TurnLimits { at_once: 32, per_key: 2, waiting: 0, waiting_per_key: 0 };
/// The longer bodies that are read at once from one address.
const LONG_OF_ADDRESS: TurnLimits = TurnLimits { at_once: usize::MAX, per_key: 8, waiting: 0, waiting_per_key: 0 };
/// The number of wrong calls after which longer bodies from one address for one workspace are refused for a while.
const WRONG_CALLS: u32 = 20;
/// The time after which it may make one more.
const WRONG_CALL_EACH: Duration = Duration::from_secs(1);
/// The time for which a delivery of a git host is known, whose body names the commits. The same one does nothing
/// meanwhile.
const DELIVERY: Duration = Duration::from_secs(60);
/// The number of deliveries that are known.
const DELIVERIES: usize = 4_096;

/// The reason why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// The workspace has no webhook.
    #[error("this workspace takes no webhook calls: spec.webhook is not set")]
    NotConfigured,
    /// Too many calls came at once.
    #[error("too many calls at once; try again")]
    TooMany,
    /// Too many wrong calls came from one address.
    #[error(
        "too many calls without a valid proof came from this address for this workspace: a body of more than {SHORT} \
         bytes has to wait"
    )]
    TooManyWrong,
    /// The call has no proof of a known form.
    #[error(
        "the call is not signed: send X-Hub-Signature-256: sha256=<HMAC-SHA256 of the body>, the key itself in \
         X-Gitlab-Token, or the key as the password of Basic authentication"
    )]
    Unsigned,
    /// The header for the proof has another form.
    #[error("the header `{0}` does not have the form {1}")]
    Malformed(&'static str, &'static str),
    /// The body is too long.
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    TooLong,
    /// The body did not arrive whole and in time.
    #[error("the body was not complete within {LASTS:?}")]
    Incomplete,
    /// The proof fits no key.
    #[error(
        "the proof in the header `{0}` fits none of the keys in the Secret of spec.webhook: its keys are the values of \
         at least {SHORTEST_KEY} bytes under names that begin with `webhook`"
    )]
    WrongProof(&'static str),
    /// The keys can't be read.
    #[error("the Secret `{secret}` with the webhook's keys can't be used; try again")]
    NoKeys {
        /// The name of the Secret.
        secret: String,
        /// The reason, which strangers are not told.
        why: String,
    },
}

/// The subject of a valid call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It has not been taken before. A repeated one is known by this digest, if its body names the commits.
    New(Option<Digest>),
    /// The same call was taken a moment ago.
    Repeated,
}

/// The workspace of a call, and the address that it comes from.
type Sender = (WorkspaceKey, Peer);

/// Checks the calls of git hosts.
pub struct Webhooks {
    keys: WebhookKeys,
    bodies: Turns<Peer>,
    long_bodies: Turns<Sender>,
    long_of_address: Turns<Peer>,
    wrong: Budgets<Sender>,
    deliveries: Remembered<()>,
}

impl Webhooks {
    /// Reads keys with `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            keys: WebhookKeys::new(client),
            bodies: Turns::new(BODIES),
            long_bodies: Turns::new(LONG_BODIES),
            long_of_address: Turns::new(LONG_OF_ADDRESS),
            wrong: Budgets::new(WRONG_CALLS, WRONG_CALL_EACH),
            deliveries: Remembered::new(DELIVERIES, usize::MAX),
        }
    }

    /// Checks that the sender of a call knows a key of the workspace. The keys are in `secret`.
    pub(crate) async fn check(
        &self,
        key: &WorkspaceKey,
        peer: Peer,
        secret: Option<String>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Delivery, WebhookRefusal> {
        let secret = secret.ok_or(WebhookRefusal::NotConfigured)?;
        let proof = proof(headers)?;
        let sender = (key.clone(), peer);
        let checked = self.check_body(&sender, &secret, &proof, headers, body).await;
        if matches!(checked, Err(WebhookRefusal::WrongProof(_) | WebhookRefusal::Incomplete | WebhookRefusal::TooLong))
        {
            self.wrong.spend(&sender, Instant::now());
        }
        let delivery = Some(checked?).filter(|_| proof.names_commits());
        match delivery.filter(|delivery| self.deliveries.get(delivery, Instant::now()).is_some()) {
            Some(_) => Ok(Delivery::Repeated),
            None => Ok(Delivery::New(delivery)),
        }
    }

    /// Notes that a delivery was taken: the same one does nothing for a while.
    pub(crate) fn taken(&self, delivery: Digest) {
        self.deliveries.put(delivery, (), 0, Instant::now() + DELIVERY);
    }

    /// Returns the number of long bodies that are being read.
    #[cfg(test)]
    pub(crate) fn long_bodies(&self) -> usize {
        self.long_bodies.taken()
    }

    /// Returns the digest of the delivery.
    async fn check_body(
        &self,
        sender: &Sender,
        secret: &str,
        proof: &Proof,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Digest, WebhookRefusal> {
        let (key, peer) = sender;
        let declared =
            headers.get(axum::http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > BODY_LIMIT) {
            return Err(WebhookRefusal::TooLong);
        }
        let keys = self.keys.read(key, secret).await?;
        if !proof.may_fit(&keys) {
            return Err(WebhookRefusal::WrongProof(proof.header()));
        }
        let _body = self.bodies.try_take(peer).ok_or(WebhookRefusal::TooMany)?;
        let (mut verifier, mut length, mut place) = (Verifier::new(&keys, key), 0, None);
        let read = async {
            let mut pieces = std::pin::pin!(body::pieces(body, BODY_LIMIT));
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                length += piece.len();
                if length > SHORT && place.is_none() {
                    place = Some(self.place_of_long(sender, proof)?);
                }
                verifier.update(&piece);
            }
            Ok(())
        };
        timeout(LASTS, read).await.unwrap_or(Err(WebhookRefusal::Incomplete))?;
        verifier.verify(proof).ok_or(WebhookRefusal::WrongProof(proof.header()))
    }

    /// Returns the place of a long body.
    fn place_of_long(&self, sender: &Sender, proof: &Proof) -> Result<impl Sized + use<>, WebhookRefusal> {
        if !proof.is_key() && self.wrong.wait(sender, Instant::now()).is_some() {
            return Err(WebhookRefusal::TooManyWrong);
        }
        let of_address = self.long_of_address.try_take(&sender.1).ok_or(WebhookRefusal::TooMany)?;
        let place = self.long_bodies.try_take(sender).ok_or(WebhookRefusal::TooMany)?;
        Ok((of_address, place))
    }
}

impl From<BodyError> for WebhookRefusal {
    fn from(why: BodyError) -> Self {
        match why {
            BodyError::TooLong => Self::TooLong,
            BodyError::Incomplete => Self::Incomplete,
        }
    }
}
