//! Finds out what a sender may do, and remembers it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use rototo_api::names::{GROUP, PLURAL};
use rototo_engine::Digest;
use tokio::time::Instant;

use crate::http::access::{
    Account, ApprovalWindow, Denied, Grant, REFUSAL_EACH, REFUSALS, REMEMBERED, REVIEWS, RefusalBudget, post, turn,
};
use crate::load::budgets::Budgets;
use crate::load::turns::Turns;
use crate::workspace_key::WorkspaceKey;

/// The largest number of approvals of one account that are remembered. An account without a limit on names in its Role may
/// have any name approved.
const REMEMBERED_OF_ACCOUNT: usize = 1_024;
/// The shortest time between two sweeps over everything that is remembered.
const SWEEP_EACH: Duration = Duration::from_secs(1);

/// The question of a review: may this account use this grant on this workspace?
#[derive(Clone, Debug)]
pub(super) struct AccessReview {
    pub(super) account: Arc<Account>,
    /// The digest by which the budget of refusals knows the sender.
    pub(super) source: Digest,
    pub(super) grant: Grant,
    pub(super) key: WorkspaceKey,
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

/// The approvals that are remembered. One account may be allowed to use any name, and has a share of them.
#[derive(Default)]
struct Approvals {
    by_question: HashMap<Digest, KnownApproval>,
    of_account: HashMap<Digest, usize>,
    swept: Option<Instant>,
}

struct KnownApproval {
    account: Digest,
    approval: Arc<Approval>,
}

/// The approvals of grants.
pub(super) struct Grants {
    client: Client,
    approvals: Mutex<Approvals>,
    turns: Turns<Digest>,
    refusals: Budgets<Digest>,
}

impl Approval {
    fn lasts(&self, margin: Duration) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now() + margin)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Returns whether it lasts, or somebody is asking for it.
    fn is_used(self: &Arc<Self>) -> bool {
        self.lasts(Duration::ZERO) || Arc::strong_count(self) > 1
    }

    fn was_given(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Approvals {
    /// Returns the approval of a question of an account. Beyond a limit it is not remembered.
    fn of(&mut self, question: Digest, account: Digest) -> Arc<Approval> {
        if let Some(remembered) = self.by_question.get(&question) {
            return remembered.approval.clone();
        }
        if !self.has_room(account) {
            self.sweep(Instant::now());
        }
        let approval = Arc::<Approval>::default();
        if self.has_room(account) {
            self.by_question.insert(question, KnownApproval { account, approval: approval.clone() });
            *self.of_account.entry(account).or_default() += 1;
        }
        approval
    }

    fn has_room(&self, account: Digest) -> bool {
        let own = self.of_account.get(&account).copied().unwrap_or_default();
        self.by_question.len() < REMEMBERED && own < REMEMBERED_OF_ACCOUNT
    }

    /// Forgets what has ended, at most once in a second: it goes through everything, and others wait meanwhile.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP_EACH) {
            return;
        }
        self.swept = Some(now);
        self.by_question.retain(|_, remembered| remembered.approval.is_used());
        self.of_account.clear();
        for KnownApproval { account, .. } in self.by_question.values() {
            *self.of_account.entry(*account).or_default() += 1;
        }
    }

    fn was_given(&self, question: Digest) -> bool {
        self.by_question.get(&question).is_some_and(|remembered| remembered.approval.was_given())
    }

    /// Forgets what was asked and not approved.
    fn forget(&mut self, question: Digest, approval: &Arc<Approval>) {
        let known = self.by_question.get(&question).filter(|known| Arc::ptr_eq(&known.approval, approval));
        let Some(account) = known.map(|known| known.account) else { return };
        self.by_question.remove(&question);
        if let Some(count) = self.of_account.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                self.of_account.remove(&account);
            }
        }
    }
}

impl Grants {
    /// Asks with `client`.
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            approvals: Mutex::default(),
            turns: Turns::new(REVIEWS),
            refusals: Budgets::new(REFUSALS, REFUSAL_EACH),
        }
    }

    /// Asks for a review, unless a remembered approval lasts for longer than the margin.
    pub(super) async fn approve(
        &self,
        asked: &AccessReview,
        ApprovalWindow { margin, lasts }: ApprovalWindow,
    ) -> Result<(), Denied> {
        let digest = asked.digest();
        let approval = self.approvals().of(digest, asked.account.digest);
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
            Err(Denied::Forbidden { .. } | Denied::MayNotList { .. }) => approval.set(None),
            Err(_) if approval.lasts(Duration::ZERO) => return Ok(()),
            Err(_) => {}
        }
        if !approval.was_given() {
            self.approvals().forget(digest, &approval);
        }
        reviewed
    }

    async fn review_in_turn(&self, asked: &AccessReview, was_given: bool) -> Result<(), Denied> {
        self.may_ask(asked, was_given)?;
        let _turn = turn(&self.turns, &asked.account.digest).await?;
        // Others of this sender may have been refused meanwhile.
        self.may_ask(asked, was_given)?;
        let reviewed = self.review_grant(asked).await;
        if matches!(reviewed, Err(Denied::Forbidden { .. } | Denied::MayNotList { .. })) {
            self.refusals.spend(&asked.source, Instant::now());
        }
        reviewed
    }

    /// Returns an error if a pod, or an account without one, has asked for too much that it may not do. What it was
    /// allowed before is reviewed all the same: it must not lose that because of what else it asks for.
    fn may_ask(&self, asked: &AccessReview, was_given: bool) -> Result<(), Denied> {
        match self.refusals.wait(&asked.source, Instant::now()).filter(|_| !was_given) {
            Some(wait) => Err(Denied::TooManyRefusals { budget: RefusalBudget::MissingGrants, wait }),
            None => Ok(()),
        }
    }

    /// Renews an approval that was given before. Heartbeats do it for the grant to read, so that a change after a quiet
    /// hour costs no review.
    pub(super) async fn renew(&self, asked: AccessReview, remembered: ApprovalWindow) {
        let known = self.approvals().was_given(asked.digest());
        if known {
            // The next reader sees the result.
            let _ = self.approve(&asked, remembered).await;
        }
    }

    fn approvals(&self) -> MutexGuard<'_, Approvals> {
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of grants that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.approvals().by_question.len()
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
        let review = post(&self.client, &review).await?;
        if review.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        if *grant == Grant::ListWorkspaces {
            let user = account.name.clone().unwrap_or_default();
            return Err(Denied::MayNotList { user, namespace: key.namespace.clone() });
        }
        Err(Denied::Forbidden {
            user: account.name.clone().unwrap_or_default(),
            verb,
            resource: subresource.map_or_else(|| PLURAL.to_owned(), |subresource| format!("{PLURAL}/{subresource}")),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rototo_protocol::windows::{HEARTBEAT, Windows};

    use super::*;

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

    #[tokio::test(start_paused = true)]
    async fn an_account_takes_the_memory_of_no_other_and_a_sweep_is_rare() {
        let digest = |text: String| Digest::of(text.as_bytes());
        let (hostile, other) = (digest("hostile".to_owned()), digest("other".to_owned()));
        let mut approvals = Approvals::default();
        let ask = |approvals: &mut Approvals, account: Digest, number: usize| {
            let approval = approvals.of(digest(format!("{account} {number}")), account);
            approval.set(Some(Instant::now() + Duration::from_secs(90)));
        };
        for number in 0..70_000 {
            ask(&mut approvals, hostile, number);
        }
        assert_eq!(approvals.by_question.len(), REMEMBERED_OF_ACCOUNT);
        ask(&mut approvals, other, 0);
        assert!(approvals.was_given(digest(format!("{other} 0"))));
        let swept = approvals.swept;
        ask(&mut approvals, hostile, 70_001);
        assert!(swept.is_some() && approvals.swept == swept, "it looked at everything a moment ago");
        tokio::time::advance(Duration::from_secs(91)).await;
        ask(&mut approvals, hostile, 70_002);
        assert_eq!((approvals.by_question.len(), approvals.of_account.len()), (1, 1), "what has ended is forgotten");
        let approval = approvals.of(digest(format!("{hostile} 70002")), hostile);
        approvals.forget(digest(format!("{hostile} 70002")), &approval);
        assert!(approvals.by_question.is_empty() && approvals.of_account.is_empty());
    }
}
