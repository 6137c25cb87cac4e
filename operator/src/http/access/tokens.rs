//! Finds out who shows a token, and remembers it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::Client;
use rototo_api::names::AUDIENCE;
use rototo_engine::Digest;
use rototo_protocol::fleet::PodIdentity;
use tokio::time::Instant;

use crate::http::access::{
    Account, ApprovalWindow, Caller, Denied, REFUSAL_EACH, REFUSALS, REMEMBERED, REVIEWS, RefusalBudget, post, turn,
};
use crate::http::connections::Peer;
use crate::load::budgets::Budgets;
use crate::load::remembered::Remembered;
use crate::load::turns::Turns;

/// The time for which a token without an expiry is believed.
const UNDATED: Duration = Duration::from_secs(120);
/// The time for which a bad token is known to be bad.
pub(crate) const BAD_TOKEN: Duration = Duration::from_secs(5);
/// The number of subjects of one address that may spend their budgets of bad tokens before others of it are refused.
const SUBJECTS: u32 = 4;
/// The memory of approved tokens, in bytes.
const REMEMBERED_BYTES: usize = 32 * 1024 * 1024;
/// The largest number of bad tokens that are remembered.
const BAD_TOKENS: usize = 4_096;
/// The longest explanation of the API server that is passed on, in characters.
const EXPLANATION: usize = 300;

/// The owners of tokens, and the tokens that are known to be bad.
pub(super) struct Tokens {
    client: Client,
    known: Remembered<Caller>,
    bad: Remembered<String>,
    turns: Turns<Peer>,
    refusals: Budgets<Peer>,
    refusals_of_subject: Budgets<(Peer, Digest)>,
}

impl Tokens {
    /// Asks with `client`.
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Remembered::new(REMEMBERED, REMEMBERED_BYTES),
            bad: Remembered::new(BAD_TOKENS, BAD_TOKENS * 2 * EXPLANATION),
            turns: Turns::new(REVIEWS),
            refusals: Budgets::new(REFUSALS * SUBJECTS, REFUSAL_EACH / SUBJECTS),
            refusals_of_subject: Budgets::new(REFUSALS, REFUSAL_EACH),
        }
    }

    /// Returns the owner of a token that `peer` shows.
    pub(super) async fn caller(&self, peer: Peer, token: &str, remembered: ApprovalWindow) -> Result<Caller, Denied> {
        // The token itself is not kept.
        let digest = Digest::of(token.as_bytes());
        let known = |margin| match self.bad.get(&digest, Instant::now()) {
            Some(reason) => Some(Err(Denied::BadToken(reason))),
            None => self.known.get(&digest, Instant::now() + margin).map(Ok),
        };
        if let Some(known) = known(remembered.margin) {
            return known;
        }
        let claimed = (peer, claimed_subject(token));
        let reviewed = async {
            self.may_be_reviewed(&claimed, &digest)?;
            let _turn = turn(&self.turns, &peer).await?;
            // Another request may have shown the same token meanwhile, and others of this address bad ones.
            if let Some(known) = known(remembered.margin) {
                return known;
            }
            self.may_be_reviewed(&claimed, &digest)?;
            let reviewed = self.review_token(token).await;
            if let Err(Denied::BadToken(reason)) = &reviewed {
                let now = Instant::now();
                self.refusals.spend(&peer, now);
                self.refusals_of_subject.spend(&claimed, now);
                self.known.forget(&digest);
                self.bad.put(digest, reason.clone(), reason.len(), now + BAD_TOKEN);
            }
            reviewed
        };
        let caller = match reviewed.await {
            // An approval that still lasts for a moment also holds while the API server does not answer.
            Err(unavailable @ (Denied::Unavailable(_) | Denied::Crowded | Denied::TooManyRefusals { .. })) => {
                return known(Duration::ZERO).unwrap_or(Err(unavailable));
            }
            reviewed => reviewed?,
        };
        let until = caller.expires.min(Instant::now() + remembered.lasts);
        self.known.put(digest, caller.clone(), caller.account.bytes, until);
        Ok(caller)
    }

    /// Returns an error if an address has shown too many bad tokens, in all or for one subject. A token that was good a
    /// moment ago is reviewed all the same: pods behind one address must not lose what they have because of one of them.
    fn may_be_reviewed(&self, claimed: &(Peer, Digest), token: &Digest) -> Result<(), Denied> {
        let now = Instant::now();
        let wait = self.refusals.wait(&claimed.0, now).max(self.refusals_of_subject.wait(claimed, now));
        match wait.filter(|_| self.known.get(token, now).is_none()) {
            Some(wait) => Err(Denied::TooManyRefusals { budget: RefusalBudget::BadTokens, wait }),
            None => Ok(()),
        }
    }

    /// Returns the number of tokens that are reviewed, or wait for it.
    #[cfg(test)]
    pub(super) fn reviews(&self) -> usize {
        self.turns.taken() + self.turns.waiting()
    }

    async fn review_token(&self, token: &str) -> Result<Caller, Denied> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = post(&self.client, &review).await?;
        let status = review.status.unwrap_or_default();
        // An API server that does not know audiences leaves them out, and would accept a token for any of them.
        let meant = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        match status.user {
            Some(user) if status.authenticated == Some(true) && meant => {
                let (pod, expires) = (pod(&user), Instant::now() + lives_for(token));
                Ok(Caller::of(Account::of(user), pod, expires))
            }
            _ => {
                let reason = status.error.unwrap_or_else(|| "it is for another audience".to_owned());
                Err(Denied::BadToken(reason.chars().take(EXPLANATION).collect()))
            }
        }
    }
}

fn pod(user: &UserInfo) -> Option<PodIdentity> {
    let extra: &BTreeMap<_, _> = user.extra.as_ref()?;
    let first = |name: &str| extra.get(&format!("authentication.kubernetes.io/{name}"))?.first().cloned();
    Some(PodIdentity { name: first("pod-name")?, uid: first("pod-uid")? })
}

/// Returns the digest of the subject that an unknown token claims. Nothing is believed of it: a pod that shows its token of
/// yesterday again and again spends its own budget first, and not that of others behind the same address.
fn claimed_subject(token: &str) -> Digest {
    let subject = || payload(token)?.get("sub")?.as_str().map(|subject| Digest::of(subject.as_bytes()));
    subject().unwrap_or_else(|| Digest::of(b""))
}

/// Returns the payload of a token that is a JWT.
fn payload(token: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

/// Returns the time that a reviewed token has left, by its own `exp`; [`UNDATED`] for one without.
fn lives_for(token: &str) -> Duration {
    let expires = || payload(token)?.get("exp")?.as_i64();
    let left = expires().map(|expires| expires.saturating_sub(Timestamp::now().as_second()));
    left.map_or(UNDATED, |left| Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_never_outlives_the_token() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{}}}"#, Timestamp::now().as_second() + 7));
        let lives = lives_for(&format!("h.{payload}.s"));
        assert!(lives <= Duration::from_secs(7), "{lives:?}");
        let expired = BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#);
        assert_eq!(lives_for(&format!("h.{expired}.s")), Duration::ZERO);
    }

    #[test]
    fn a_token_that_is_no_jwt_is_asked_about_again_soon() {
        for token in ["", "opaque", "a.b.c", "a.e30.c"] {
            assert_eq!(lives_for(token), UNDATED, "{token}");
        }
    }
}
