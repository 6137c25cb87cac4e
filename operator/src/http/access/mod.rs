//! Authorization of readers and reporters: the API server reviews the token, and the grant is ordinary RBAC on
//! `rototoworkspaces/snapshot` (get) and `rototoworkspaces/fleet` (create).
//!
//! [`Authorizer::check`] is the entry point; [`tokens`] finds out who the sender is, and [`grants`] what it may do. Both
//! remember an approval for two heartbeats of the fleet and a minute, and that of a token never longer than the token
//! lives. A refused grant is not remembered, so that a new grant works at once; a bad token never becomes a good one,
//! and is remembered for [`BAD_TOKEN`](tokens::BAD_TOKEN). Heartbeats renew an approval that will be forgotten soon, by
//! asking again: a change after a quiet hour costs no review, and a grant that was taken back is still refused within
//! that time.
//!
//! A stranger must not take the reviews of others: at most [`AT_ONCE`] of each kind run at once, addresses and accounts
//! take turns, and each address and pod has a budget of reviews that end in a refusal. What was approved before is
//! reviewed whatever the budget is. Everything is remembered by digest, in bounded memory.

mod grants;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::UserInfo;
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use rototo_api::names::{AUDIENCE, GROUP, PLURAL, SUBRESOURCE_FLEET, SUBRESOURCE_SNAPSHOT};
use rototo_engine::Digest;
use rototo_protocol::fleet::PodIdentity;
use rototo_protocol::windows::Windows;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::http::access::grants::{AccessReview, Grants};
use crate::http::access::tokens::Tokens;
use crate::http::connections::Peer;
use crate::load::turns::{TurnLimits, Turns};
use crate::service_account::namespace_and_name;
use crate::workspace_key::WorkspaceKey;

#[cfg(test)]
pub(super) use crate::http::access::tokens::BAD_TOKEN;

/// The time within which the API server answers a review, and the longest wait for the turn to ask.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// The largest number of approvals that are remembered.
const REMEMBERED: usize = 65_536;
/// The largest number of reviews of tokens at once, and of grants. An API server answers some thousand a second.
const AT_ONCE: usize = 32;
/// The limits of reviews. A whole fleet may wait after a restart; one address or account has a quarter at most.
const REVIEWS: TurnLimits = TurnLimits { at_once: AT_ONCE, per_key: 8, waiting: 4_096, waiting_per_key: 512 };
/// The number of bad tokens that one address may show at once, and of refused grants that one pod may ask for, or one
/// account without a pod.
const REFUSALS: u32 = 60;
/// The time after which one of them may get one more refusal by a review.
const REFUSAL_EACH: Duration = Duration::from_millis(500);

/// A grant on a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// `get` on `rototoworkspaces/snapshot`.
    ReadSnapshot,
    /// `create` on `rototoworkspaces/fleet`.
    Report,
    /// `get` on `rototoworkspaces`.
    ReadWorkspace,
    /// `list` on `rototoworkspaces`, of a namespace or of all.
    ListWorkspaces,
}

impl Grant {
    fn verb_and_subresource(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::ReadSnapshot => ("get", Some(SUBRESOURCE_SNAPSHOT)),
            Self::Report => ("create", Some(SUBRESOURCE_FLEET)),
            Self::ReadWorkspace => ("get", None),
            Self::ListWorkspaces => ("list", None),
        }
    }
}

/// The reason for a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The request has no token.
    #[error("send the token of a ServiceAccount with audience `{AUDIENCE}` as `Authorization: Bearer …`")]
    NoToken,
    /// The API server does not know the token, or the token is for another audience.
    #[error("the token is not valid for audience `{AUDIENCE}`: {0}")]
    BadToken(String),
    /// The token is good, and its owner lacks the grant.
    #[error(
        "{user} may not {verb} {resource} `{name}` in namespace {namespace}: a Role there must allow {verb} on \
         {resource} of group {GROUP} with resourceNames [{name}]"
    )]
    Forbidden {
        /// The owner of the token.
        user: String,
        /// The verb that the owner may not use.
        verb: &'static str,
        /// The resource, and the subresource if there is one.
        resource: String,
        /// The workspace's namespace.
        namespace: String,
        /// The workspace's name.
        name: String,
    },
    /// The token is good, and its owner may not list workspaces there.
    #[error(
        "{user} may not list {PLURAL} in {}: a Role or ClusterRole must allow list on {PLURAL} of group {GROUP}",
        if namespace.is_empty() { "all namespaces; name one of them".to_owned() } else { format!("namespace {namespace}") }
    )]
    MayNotList {
        /// The owner of the token.
        user: String,
        /// The namespace; empty for all.
        namespace: String,
    },
    /// The API server can't be asked.
    #[error("the API server can't be asked who this is; try again: {0}")]
    Unavailable(String),
    /// The sender has caused too many reviews that ended in a refusal.
    #[error("too many {budget}: try again in {} s", wait.as_secs() + 1)]
    TooManyRefusals {
        /// The budget that is spent.
        budget: RefusalBudget,
        /// The time until the next one is reviewed.
        wait: Duration,
    },
    /// Too many reviews wait already.
    #[error("too many tokens and grants wait for the API server's answer; try again")]
    Crowded,
}

/// A budget of reviews that end in a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalBudget {
    /// Bad tokens, by address.
    BadTokens,
    /// Requests without a grant, by pod, or by account where there is no pod.
    MissingGrants,
}

impl RefusalBudget {
    /// Returns the name of the limit in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BadTokens => "bad_tokens",
            Self::MissingGrants => "missing_grants",
        }
    }
}

impl fmt::Display for RefusalBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadTokens => "bad tokens came from this address",
            Self::MissingGrants => "requests without a grant came from this pod or account",
        })
    }
}

/// The time for which an approval is remembered, and the time that must be left of it.
#[derive(Clone, Copy, Debug)]
struct ApprovalWindow {
    margin: Duration,
    lasts: Duration,
}

/// Asks the API server for reviews, and remembers its approvals.
pub struct Authorizer {
    tokens: Tokens,
    grants: Grants,
}

/// The account of a sender, and the digest by which limits know it.
#[derive(Debug)]
struct Account {
    subject: RbacSubject,
    digest: Digest,
    bytes: usize,
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    account: Arc<Account>,
    expires: Instant,
    pod: Option<PodIdentity>,
    /// The digest by which limits know the sender: its pod, or else its account.
    source: Digest,
}

/// The subject that RBAC knows. It is the same for all pods of a ServiceAccount, so that one review of a grant serves
/// all of them: it leaves out the facts about the one object that a token is bound to. Other facts of an authenticator
/// stay, as they may be limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
struct RbacSubject {
    name: Option<String>,
    uid: Option<String>,
    groups: Option<Vec<String>>,
    extra: BTreeMap<String, Vec<String>>,
}

impl RbacSubject {
    fn of(user: UserInfo) -> Self {
        let bound = |name: &str| {
            let own = name.strip_prefix("authentication.kubernetes.io/");
            own.is_some_and(|name| ["pod-name", "pod-uid", "node-name", "node-uid", "credential-id"].contains(&name))
        };
        let extra = user.extra.unwrap_or_default().into_iter().filter(|(name, _)| !bound(name)).collect();
        Self { name: user.username, uid: user.uid, groups: user.groups, extra }
    }
}

impl Account {
    fn of(user: UserInfo) -> Self {
        let subject = RbacSubject::of(user);
        // Two accounts have one text only if they are the same. Writing to memory can't fail.
        let text = serde_json::to_vec(&subject).unwrap_or_default();
        Self { subject, digest: Digest::of(&text), bytes: text.len() }
    }
}

impl Caller {
    fn of(account: Account, pod: Option<PodIdentity>, expires: Instant) -> Self {
        let source = pod.as_ref().map_or(account.digest, |pod| Digest::of(pod.uid.as_bytes()));
        Self { account: Arc::new(account), expires, pod, source }
    }

    /// Returns the digest by which limits know the sender.
    #[must_use]
    pub(crate) fn source(&self) -> Digest {
        self.source
    }

    /// Returns whether the token is bound to a pod.
    #[must_use]
    pub(crate) fn is_pod(&self) -> bool {
        self.pod.is_some()
    }

    /// Returns the pod that the token is bound to, if that is a pod of this namespace: only those are counted there.
    #[must_use]
    pub fn pod_in(&self, namespace: &str) -> Option<PodIdentity> {
        let (own, _) = namespace_and_name(self.account.subject.name.as_ref()?)?;
        self.pod.clone().filter(|_| own == namespace)
    }
}

impl Authorizer {
    /// Asks with `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { tokens: Tokens::new(client.clone()), grants: Grants::new(client) }
    }

    /// Returns the sender of this `Authorization` header, provided that it has `grant` on the workspace. The request
    /// came from `peer`, and `windows` are those of the workspace's fleet.
    pub async fn check(
        &self,
        peer: Peer,
        authorization: Option<&str>,
        grant: Grant,
        key: &WorkspaceKey,
        windows: &Windows,
    ) -> Result<Caller, Denied> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
        let token = token.filter(|token| !token.is_empty()).ok_or(Denied::NoToken)?;
        let remembered = ApprovalWindow {
            margin: if grant == Grant::Report { windows.renewal } else { Duration::ZERO },
            lasts: windows.approval,
        };
        let caller = self.tokens.caller(peer, token, remembered).await?;
        let asked = AccessReview { account: caller.account.clone(), source: caller.source(), grant, key: key.clone() };
        self.grants.approve(&asked, remembered).await?;
        if grant == Grant::Report {
            self.grants.renew(AccessReview { grant: Grant::ReadSnapshot, ..asked }, remembered).await;
        }
        Ok(caller)
    }

    /// Returns the number of grants that are remembered.
    #[cfg(test)]
    pub(super) fn remembered_grants(&self) -> usize {
        self.grants.remembered()
    }

    /// Returns the number of tokens that are reviewed, or wait for it.
    #[cfg(test)]
    pub(super) fn reviews(&self) -> usize {
        self.tokens.reviews()
    }
}

/// Asks for a review.
async fn post<K>(client: &Client, review: &K) -> Result<K, Denied>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let (api, parameters) = (Api::<K>::all(client.clone()), PostParams::default());
    match timeout(ANSWERS_WITHIN, api.create(&parameters, review)).await {
        Ok(answer) => answer.map_err(|error| Denied::Unavailable(rototo_connection::api_error(&error))),
        Err(_) => Err(Denied::Unavailable(format!("no answer within {ANSWERS_WITHIN:?}"))),
    }
}

/// Waits for a turn to ask the API server.
async fn turn<K: Eq + Hash + Clone>(turns: &Turns<K>, key: &K) -> Result<impl Drop + use<K>, Denied> {
    match timeout(ANSWERS_WITHIN, turns.take(key)).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Denied::Crowded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_one_service_account_are_one_account_and_limits_stay() {
        let user = |pod: &str, scope: &str| {
            let extra = [("authentication.kubernetes.io/pod-name", pod), ("example.com/scope", scope)];
            let extra = extra.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
            UserInfo { username: Some("app".to_owned()), extra: Some(extra), ..UserInfo::default() }
        };
        assert_eq!(RbacSubject::of(user("one", "all")), RbacSubject::of(user("two", "all")));
        assert_ne!(RbacSubject::of(user("one", "all")), RbacSubject::of(user("one", "none")));
    }
}
