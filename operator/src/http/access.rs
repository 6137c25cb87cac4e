//! Authorization of readers and reporters: the API server reviews the token, and the grant is ordinary RBAC on
//! `rototoworkspaces/snapshot` (get) and `rototoworkspaces/fleet` (create).
//!
//! [`Authorizer::check`] is the entry point. It remembers an approval for two heartbeats of the fleet and a minute, and
//! that of a token never longer than the token lives. It remembers no refused grant, so that a new grant works at once;
//! a bad token never becomes a good one, and is remembered for [`BAD_TOKEN`]. Heartbeats renew an approval that will be
//! forgotten soon, by asking again: a change after a quiet hour costs no review, and a grant that was taken back is
//! still refused within that time.
//!
//! A stranger must not take the reviews of others: at most [`AT_ONCE`] of each kind run at once, addresses and accounts
//! take turns, and each address and pod has a budget of reviews that end in a refusal. Everything is remembered by digest, in bounded
//! memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use rototo_api::names::{AUDIENCE, GROUP, PLURAL, SUBRESOURCE_FLEET, SUBRESOURCE_SNAPSHOT};
use rototo_engine::Digest;
use rototo_protocol::fleet::PodIdentity;
use rototo_protocol::windows::Windows;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::http::connections::Peer;
use crate::load::budgets::Budgets;
use crate::load::remembered::Remembered;
use crate::load::turns::{TurnLimits, Turns};
use crate::workspace_key::WorkspaceKey;

/// The time for which a token without an expiry is believed.
const UNDATED: Duration = Duration::from_secs(120);
/// The time for which a bad token is known to be bad.
pub(crate) const BAD_TOKEN: Duration = Duration::from_secs(5);
/// The time within which the API server answers a review, and the longest wait for the turn to ask.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// The largest number of approvals that are remembered.
const REMEMBERED: usize = 65_536;
/// The memory of approved tokens, in bytes.
const REMEMBERED_BYTES: usize = 32 * 1024 * 1024;
/// The largest number of bad tokens that are remembered.
const BAD_TOKENS: usize = 4_096;
/// The largest number of reviews of tokens at once, and of grants. An API server answers some thousand a second.
const AT_ONCE: usize = 32;
/// The limits of reviews. A whole fleet may wait after a restart; one address or account has a quarter at most.
const REVIEWS: TurnLimits = TurnLimits { at_once: AT_ONCE, per_key: 8, waiting: 4_096, waiting_per_key: 512 };
/// The number of bad tokens that one address may show at once, and of refused grants that one pod may ask for, or one
/// account without a pod.
const REFUSALS: u32 = 60;
/// The time after which one of them may get one more refusal by a review.
const REFUSAL_EACH: Duration = Duration::from_millis(500);
/// The longest explanation of the API server that is passed on, in characters.
const EXPLANATION: usize = 300;

/// A grant on a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// `get` on `rototoworkspaces/snapshot`.
    ReadSnapshot,
    /// `create` on `rototoworkspaces/fleet`.
    Report,
    /// `get` on `rototoworkspaces`.
    ReadWorkspace,
}

impl Grant {
    fn verb_and_subresource(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::ReadSnapshot => ("get", Some(SUBRESOURCE_SNAPSHOT)),
            Self::Report => ("create", Some(SUBRESOURCE_FLEET)),
            Self::ReadWorkspace => ("get", None),
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
    /// The API server can't be asked.
    #[error("the API server can't be asked who this is; try again: {0}")]
    Unavailable(String),
    /// The sender has caused too many reviews that ended in a refusal.
    #[error("too many {refused} came from this {sender}: try again in {} s", wait.as_secs() + 1)]
    TooManyRefusals {
        /// What was refused.
        refused: &'static str,
        /// Whose budget is spent.
        sender: &'static str,
        /// The time until the next one is reviewed.
        wait: Duration,
    },
    /// Too many reviews wait already.
    #[error("too many tokens and grants wait for the API server's answer; try again")]
    Crowded,
}

/// The time for which an approval is remembered, and the time that must be left of it.
#[derive(Clone, Copy, Debug)]
struct ApprovalWindow {
    margin: Duration,
    lasts: Duration,
}

/// Asks the API server for reviews, and remembers its approvals.
pub struct Authorizer {
    client: Client,
    tokens: Remembered<Caller>,
    bad_tokens: Remembered<String>,
    grants: Mutex<HashMap<Digest, Arc<Approval>>>,
    token_turns: Turns<Peer>,
    grant_turns: Turns<Digest>,
    token_refusals: Budgets<Peer>,
    grant_refusals: Budgets<Digest>,
}

/// The question of a review: may this account use this grant on this workspace?
#[derive(Clone, Debug)]
struct AccessReview {
    account: Arc<Account>,
    /// The digest by which the budget of refusals knows the sender.
    source: Digest,
    grant: Grant,
    key: WorkspaceKey,
}

impl AccessReview {
    /// Returns the name under which the answer is remembered.
    fn digest(&self) -> Digest {
        let WorkspaceKey { namespace, name } = &self.key;
        let (verb, subresource) = self.grant.verb_and_subresource();
        let parts = format!("{} {verb} {} {namespace} {name}", self.account.digest, subresource.unwrap_or("-"));
        Digest::of(parts.as_bytes())
    }
}

/// The API server's approval. One request asks while the others wait: a fleet of one ServiceAccount comes all at once.
#[derive(Default)]
struct Approval {
    until: Mutex<Option<Instant>>,
    turn: tokio::sync::Mutex<()>,
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
    /// Returns the digest by which limits know the sender: its pod, or else its account.
    #[must_use]
    pub(crate) fn source(&self) -> Digest {
        self.pod.as_ref().map_or(self.account.digest, |pod| Digest::of(pod.uid.as_bytes()))
    }

    /// Returns the pod that the token is bound to, if that is a pod of this namespace: only those are counted there.
    #[must_use]
    pub fn pod_in(&self, namespace: &str) -> Option<PodIdentity> {
        let account = self.account.subject.name.as_ref()?.strip_prefix("system:serviceaccount:")?;
        let (own, _) = account.split_once(':')?;
        self.pod.clone().filter(|_| own == namespace)
    }
}

impl Approval {
    fn lasts(&self, margin: Duration) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now() + margin)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn was_given(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Authorizer {
    /// Asks with `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            tokens: Remembered::new(REMEMBERED, REMEMBERED_BYTES),
            bad_tokens: Remembered::new(BAD_TOKENS, BAD_TOKENS * 2 * EXPLANATION),
            grants: Mutex::default(),
            token_turns: Turns::new(REVIEWS),
            grant_turns: Turns::new(REVIEWS),
            token_refusals: Budgets::new(REFUSALS, REFUSAL_EACH),
            grant_refusals: Budgets::new(REFUSALS, REFUSAL_EACH),
        }
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
        let caller = self.caller(peer, token, remembered).await?;
        let asked = AccessReview { account: caller.account.clone(), source: caller.source(), grant, key: key.clone() };
        self.approve(&asked, remembered).await?;
        if grant == Grant::Report {
            self.renew(AccessReview { grant: Grant::ReadSnapshot, ..asked }, remembered).await;
        }
        Ok(caller)
    }

    async fn caller(&self, peer: Peer, token: &str, remembered: ApprovalWindow) -> Result<Caller, Denied> {
        // The token itself is not kept.
        let digest = Digest::of(token.as_bytes());
        let known = |margin| match self.bad_tokens.get(&digest, Instant::now()) {
            Some(reason) => Some(Err(Denied::BadToken(reason))),
            None => self.tokens.get(&digest, Instant::now() + margin).map(Ok),
        };
        if let Some(known) = known(remembered.margin) {
            return known;
        }
        let reviewed = async {
            self.may_be_reviewed(peer, &digest)?;
            let _turn = turn(&self.token_turns, &peer).await?;
            // Another request may have shown the same token meanwhile, and others of this address bad ones.
            if let Some(known) = known(remembered.margin) {
                return known;
            }
            self.may_be_reviewed(peer, &digest)?;
            let reviewed = self.review_token(token).await;
            if let Err(Denied::BadToken(reason)) = &reviewed {
                let now = Instant::now();
                self.token_refusals.spend(&peer, now);
                self.tokens.forget(&digest);
                self.bad_tokens.put(digest, reason.clone(), reason.len(), now + BAD_TOKEN);
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
        self.tokens.put(digest, caller.clone(), caller.account.bytes, until);
        Ok(caller)
    }

    /// Returns an error if an address has shown too many bad tokens. A token that was good a moment ago is reviewed all
    /// the same: pods behind one address must not lose what they have because of one of them.
    fn may_be_reviewed(&self, peer: Peer, token: &Digest) -> Result<(), Denied> {
        let now = Instant::now();
        match self.token_refusals.wait(&peer, now).filter(|_| self.tokens.get(token, now).is_none()) {
            Some(wait) => Err(Denied::TooManyRefusals { refused: "bad tokens", sender: "address", wait }),
            None => Ok(()),
        }
    }

    /// Asks for a review, unless a remembered approval lasts for longer than the margin.
    async fn approve(
        &self,
        asked: &AccessReview,
        ApprovalWindow { margin, lasts }: ApprovalWindow,
    ) -> Result<(), Denied> {
        let digest = asked.digest();
        let approval = self.approval(digest);
        if approval.lasts(margin) {
            return Ok(());
        }
        let _one_asks = approval.turn.lock().await;
        if approval.lasts(margin) {
            return Ok(());
        }
        let reviewed = self.review_in_turn(asked, approval.was_given()).await;
        match reviewed {
            Ok(()) => approval.set(Some(Instant::now() + lasts)),
            Err(Denied::Forbidden { .. }) => approval.set(None),
            Err(_) if approval.lasts(Duration::ZERO) => return Ok(()),
            Err(_) => {}
        }
        if !approval.was_given() {
            self.forget(digest, &approval);
        }
        reviewed
    }

    async fn review_in_turn(&self, asked: &AccessReview, was_given: bool) -> Result<(), Denied> {
        self.may_ask(asked, was_given)?;
        let _turn = turn(&self.grant_turns, &asked.account.digest).await?;
        // Others of this sender may have been refused meanwhile.
        self.may_ask(asked, was_given)?;
        let reviewed = self.review_grant(asked).await;
        if matches!(reviewed, Err(Denied::Forbidden { .. })) {
            self.grant_refusals.spend(&asked.source, Instant::now());
        }
        reviewed
    }

    /// Returns an error if a pod, or an account without one, has asked for too much that it may not do. What it was
    /// allowed before is reviewed all the same: it must not lose that because of what else it asks for.
    fn may_ask(&self, asked: &AccessReview, was_given: bool) -> Result<(), Denied> {
        match self.grant_refusals.wait(&asked.source, Instant::now()).filter(|_| !was_given) {
            Some(wait) => {
                Err(Denied::TooManyRefusals { refused: "requests without a grant", sender: "pod or account", wait })
            }
            None => Ok(()),
        }
    }

    /// Renews an approval that was given before. Heartbeats do it for the grant to read, so that a change after a quiet
    /// hour costs no review.
    async fn renew(&self, asked: AccessReview, remembered: ApprovalWindow) {
        let known = self.approvals().get(&asked.digest()).is_some_and(|approval| approval.was_given());
        if known {
            // The next reader sees the result.
            let _ = self.approve(&asked, remembered).await;
        }
    }

    fn approval(&self, asked: Digest) -> Arc<Approval> {
        let mut grants = self.approvals();
        if let Some(approval) = grants.get(&asked) {
            return approval.clone();
        }
        if grants.len() >= REMEMBERED {
            grants.retain(|_, approval| approval.lasts(Duration::ZERO));
        }
        let approval = Arc::<Approval>::default();
        if grants.len() < REMEMBERED {
            grants.insert(asked, approval.clone());
        }
        approval
    }

    /// Forgets what was asked and not approved.
    fn forget(&self, asked: Digest, approval: &Arc<Approval>) {
        let mut grants = self.approvals();
        if grants.get(&asked).is_some_and(|known| Arc::ptr_eq(known, approval)) {
            grants.remove(&asked);
        }
    }

    fn approvals(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Approval>>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of grants that are remembered.
    #[cfg(test)]
    pub(super) fn remembered_grants(&self) -> usize {
        self.approvals().len()
    }

    /// The number of requests that are reviewed, or wait for it.
    #[cfg(test)]
    pub(super) fn reviews(&self) -> usize {
        self.token_turns.taken() + self.token_turns.waiting()
    }

    async fn review_token(&self, token: &str) -> Result<Caller, Denied> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = self.post(&review).await?;
        let status = review.status.unwrap_or_default();
        // An API server that does not know audiences leaves them out, and would accept a token for any of them.
        let meant = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        match status.user {
            Some(user) if status.authenticated == Some(true) && meant => {
                let (pod, expires) = (pod(&user), Instant::now() + lives_for(token));
                Ok(Caller { pod, expires, account: Arc::new(Account::of(user)) })
            }
            _ => {
                let reason = status.error.unwrap_or_else(|| "it is for another audience".to_owned());
                Err(Denied::BadToken(reason.chars().take(EXPLANATION).collect()))
            }
        }
    }

    async fn review_grant(&self, asked: &AccessReview) -> Result<(), Denied> {
        let AccessReview { account, grant, key, .. } = asked;
        let account = &account.subject;
        let (verb, subresource) = grant.verb_and_subresource();
        let spec = SubjectAccessReviewSpec {
            user: account.name.clone(),
            uid: account.uid.clone(),
            groups: account.groups.clone(),
            extra: Some(account.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(GROUP.to_owned()),
                version: Some("*".to_owned()),
                resource: Some(PLURAL.to_owned()),
                subresource: subresource.map(str::to_owned),
                namespace: Some(key.namespace.clone()),
                name: Some(key.name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let review = self.post(&review).await?;
        if review.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        Err(Denied::Forbidden {
            user: account.name.clone().unwrap_or_default(),
            verb,
            resource: subresource.map_or_else(|| PLURAL.to_owned(), |subresource| format!("{PLURAL}/{subresource}")),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
    }

    async fn post<K>(&self, review: &K) -> Result<K, Denied>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let (api, parameters) = (Api::<K>::all(self.client.clone()), PostParams::default());
        match timeout(ANSWERS_WITHIN, api.create(&parameters, review)).await {
            Ok(answer) => answer.map_err(|error| Denied::Unavailable(rototo_connection::api_error(&error))),
            Err(_) => Err(Denied::Unavailable(format!("no answer within {ANSWERS_WITHIN:?}"))),
        }
    }
}

/// Waits for a turn to ask the API server.
async fn turn<K: Eq + std::hash::Hash + Clone>(turns: &Turns<K>, key: &K) -> Result<impl Drop + use<K>, Denied> {
    match timeout(ANSWERS_WITHIN, turns.take(key)).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Denied::Crowded),
    }
}

fn pod(user: &UserInfo) -> Option<PodIdentity> {
    let extra: &BTreeMap<_, _> = user.extra.as_ref()?;
    let first = |name: &str| extra.get(&format!("authentication.kubernetes.io/{name}"))?.first().cloned();
    Some(PodIdentity { name: first("pod-name")?, uid: first("pod-uid")? })
}

/// Returns the time that a reviewed token has left, by its own `exp`; [`UNDATED`] for one without.
fn lives_for(token: &str) -> Duration {
    let expires = || {
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        payload.get("exp")?.as_i64()
    };
    let left = expires().map(|expires| expires.saturating_sub(Timestamp::now().as_second()));
    left.map_or(UNDATED, |left| Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use rototo_protocol::windows::HEARTBEAT;

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
    fn pods_of_one_service_account_are_one_account_and_limits_stay() {
        let user = |pod: &str, scope: &str| {
            let extra = [("authentication.kubernetes.io/pod-name", pod), ("example.com/scope", scope)];
            let extra = extra.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
            UserInfo { username: Some("app".to_owned()), extra: Some(extra), ..UserInfo::default() }
        };
        assert_eq!(RbacSubject::of(user("one", "all")), RbacSubject::of(user("two", "all")));
        assert_ne!(RbacSubject::of(user("one", "all")), RbacSubject::of(user("one", "none")));
    }

    #[test]
    fn an_approval_that_ends_soon_is_renewed_by_a_heartbeat_and_by_no_other_request() {
        let approval = Approval::default();
        let windows = Windows::of(12, HEARTBEAT);
        let check = |held: Option<Duration>, heartbeat: bool, read: bool| {
            approval.set(held.map(|held| Instant::now() + held));
            assert_eq!(
                (approval.lasts(windows.renewal), approval.lasts(Duration::ZERO)),
                (heartbeat, read),
                "{held:?}"
            );
        };
        check(Some(windows.approval), true, true);
        check(Some(windows.renewal - Duration::from_secs(5)), false, true);
        check(Some(Duration::ZERO), false, false);
        check(None, false, false);
        // An approval that was refused or never asked for is not renewed.
        assert!(!approval.was_given());
    }

    #[test]
    fn a_token_that_is_no_jwt_is_asked_about_again_soon() {
        for token in ["", "opaque", "a.b.c", "a.e30.c"] {
            assert_eq!(lives_for(token), UNDATED, "{token}");
        }
    }
}
