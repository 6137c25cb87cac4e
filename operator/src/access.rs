//! Who may read a snapshot, and who may report: the token is reviewed by the API server, and the grant is ordinary
//! RBAC on `rototoworkspaces/snapshot` (get) and `rototoworkspaces/fleet` (create).
//!
//! An approval is remembered for a while, never longer than the token lives; a refusal is not, so that a new grant works
//! at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use rototo_api::names::{AUDIENCE, GROUP, PLURAL, SUBRESOURCE_FLEET, SUBRESOURCE_SNAPSHOT};
use rototo_engine::Digest;

use crate::context::Key;
use crate::fleet::PodIdentity;

/// How long an approval is remembered at most.
const REMEMBER: Duration = Duration::from_secs(120);
/// How many approvals are remembered at most.
const REMEMBERED: usize = 65_536;

/// What somebody wants to do with a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// `get` on `rototoworkspaces/snapshot`.
    ReadSnapshot,
    /// `create` on `rototoworkspaces/fleet`.
    Report,
}

impl Grant {
    fn verb_and_subresource(self) -> (&'static str, &'static str) {
        match self {
            Self::ReadSnapshot => ("get", SUBRESOURCE_SNAPSHOT),
            Self::Report => ("create", SUBRESOURCE_FLEET),
        }
    }
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No token came along.
    #[error("send the token of a ServiceAccount with audience `{AUDIENCE}` as `Authorization: Bearer …`")]
    NoToken,
    /// The API server does not know the token, or it is for another audience.
    #[error("the token is not valid for audience `{AUDIENCE}`: {0}")]
    BadToken(String),
    /// The token is good, and its owner lacks the grant.
    #[error(
        "{user} may not {verb} {PLURAL}/{subresource} `{name}` in namespace {namespace}: a Role there must allow {verb} on {PLURAL}/{subresource} of group {GROUP} with resourceNames [{name}]"
    )]
    Forbidden {
        /// Who.
        user: String,
        /// What it may not do.
        verb: &'static str,
        /// With what.
        subresource: &'static str,
        /// The workspace's namespace.
        namespace: String,
        /// The workspace's name.
        name: String,
    },
    /// The API server can't be asked.
    #[error("the API server can't be asked who this is; try again: {0}")]
    Unavailable(String),
}

/// Asks the API server, and remembers what it approved.
pub struct Access {
    client: Client,
    tokens: Mutex<HashMap<Digest, Approved<Caller>>>,
    grants: Mutex<HashMap<(Digest, Grant, Key), Approved<()>>>,
}

struct Approved<T> {
    what: T,
    until: Instant,
}

/// Whose token it is.
#[derive(Clone, Debug)]
pub struct Caller {
    user: UserInfo,
    expires: Instant,
    pod: Option<PodIdentity>,
}

impl Caller {
    /// The pod that the token is bound to, if that is one of this namespace: only those are watched and counted there.
    #[must_use]
    pub fn pod_in(&self, namespace: &str) -> Option<PodIdentity> {
        let account = self.user.username.as_ref()?.strip_prefix("system:serviceaccount:")?;
        let (own, _) = account.split_once(':')?;
        self.pod.clone().filter(|_| own == namespace)
    }
}

impl Access {
    /// Asks through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, tokens: Mutex::default(), grants: Mutex::default() }
    }

    /// Who sends this `Authorization` header, provided that it may do this with the workspace.
    pub async fn check(&self, authorization: Option<&str>, grant: Grant, key: &Key) -> Result<Caller, Denied> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
        let token = token.filter(|token| !token.is_empty()).ok_or(Denied::NoToken)?;
        // The token itself is not kept.
        let digest = Digest::of(token.as_bytes());
        let caller = match recall(&self.tokens, &digest) {
            Some(caller) => caller,
            None => {
                let caller = self.review_token(token).await?;
                remember(&self.tokens, digest, caller.clone(), caller.expires);
                caller
            }
        };
        let asked = (digest, grant, key.clone());
        if recall(&self.grants, &asked).is_none() {
            self.review_grant(&caller.user, grant, key).await?;
            remember(&self.grants, asked, (), caller.expires);
        }
        Ok(caller)
    }

    async fn review_token(&self, token: &str) -> Result<Caller, Denied> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review =
            Api::all(self.client.clone()).create(&PostParams::default(), &review).await.map_err(unavailable)?;
        let status = review.status.unwrap_or_default();
        // An API server that does not know audiences leaves them out, and would accept a token for anything.
        let meant = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        match status.user {
            Some(user) if status.authenticated == Some(true) && meant => {
                Ok(Caller { pod: pod(&user), expires: Instant::now() + lives_for(token), user })
            }
            _ => Err(Denied::BadToken(status.error.unwrap_or_else(|| "it is for another audience".to_owned()))),
        }
    }

    async fn review_grant(&self, user: &UserInfo, grant: Grant, key: &Key) -> Result<(), Denied> {
        let (verb, subresource) = grant.verb_and_subresource();
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(GROUP.to_owned()),
                version: Some("*".to_owned()),
                resource: Some(PLURAL.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some(key.namespace.clone()),
                name: Some(key.name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let review =
            Api::all(self.client.clone()).create(&PostParams::default(), &review).await.map_err(unavailable)?;
        if review.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        Err(Denied::Forbidden {
            user: user.username.clone().unwrap_or_default(),
            verb,
            subresource,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
    }
}

fn unavailable(error: kube::Error) -> Denied {
    Denied::Unavailable(error.to_string())
}

fn pod(user: &UserInfo) -> Option<PodIdentity> {
    let extra: &BTreeMap<_, _> = user.extra.as_ref()?;
    let first = |name: &str| extra.get(&format!("authentication.kubernetes.io/{name}"))?.first().cloned();
    Some(PodIdentity { name: first("pod-name")?, uid: first("pod-uid")? })
}

/// How long a reviewed token lives, by its own `exp`; one without is asked about again soon.
fn lives_for(token: &str) -> Duration {
    let expires = || {
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        payload.get("exp")?.as_i64()
    };
    let left = expires().map(|expires| expires.saturating_sub(Timestamp::now().as_second()));
    left.map_or(REMEMBER, |left| Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

fn recall<K: std::hash::Hash + Eq, T: Clone>(approvals: &Mutex<HashMap<K, Approved<T>>>, key: &K) -> Option<T> {
    let approvals = approvals.lock().unwrap_or_else(PoisonError::into_inner);
    let approved = approvals.get(key)?;
    (approved.until > Instant::now()).then(|| approved.what.clone())
}

fn remember<K: std::hash::Hash + Eq, T>(approvals: &Mutex<HashMap<K, Approved<T>>>, key: K, what: T, expires: Instant) {
    let now = Instant::now();
    let mut approvals = approvals.lock().unwrap_or_else(PoisonError::into_inner);
    if approvals.len() >= REMEMBERED {
        approvals.retain(|_, approved| approved.until > now);
    }
    if approvals.len() < REMEMBERED {
        approvals.insert(key, Approved { what, until: expires.min(now + REMEMBER) });
    }
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
            assert_eq!(lives_for(token), REMEMBER, "{token}");
        }
    }
}
