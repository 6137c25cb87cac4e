//! Decides whether a fleet has reached the target of a wait, from the facts of one moment. Pure.

use rototo_api::condition::{LINT_PASSED, PUBLISHED, READY, SOURCE_READY, reason};
use rototo_api::convergence::{Convergence, Straggler};
use rototo_api::names::workspace_label;
use rototo_api::workspace::{RejectedStatus, RototoWorkspace, RototoWorkspaceStatus};
use rototo_engine::Fingerprint;
use rototo_source::{Commit, Revision};

use crate::cluster::claim::{Claim, ClaimSource, ConvergedCondition};
use crate::cluster::freshness::Freshness;

/// The target of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitTarget {
    /// The newest content of the source runs everywhere.
    Newest,
    /// This commit, of any ref, runs everywhere.
    Commit(Commit),
    /// This commit of this ref runs everywhere.
    Revision(Revision),
    /// This content, of any source, runs everywhere.
    Fingerprint(Fingerprint),
}

/// The facts about a workspace at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitInput<'a> {
    pub(crate) workspace: &'a RototoWorkspace,
    /// The operator's last answer, if there is one.
    pub(crate) answer: Option<&'a Convergence>,
    /// The freshness of the status of `workspace`.
    pub(crate) status: Freshness,
}

/// The state of a wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WaitVerdict {
    /// Every process runs the target.
    Converged(Claim),
    /// The status says that every process runs the target, and it is unknown whether that still holds.
    Unconfirmed(Claim),
    /// Lint refuses the target, so it will never run.
    Refused(RejectedStatus),
    /// The target will not be published while the workspace is suspended; with the way out.
    Suspended(&'static str),
    /// The target is not reached yet.
    Pending(Pending),
}

/// The step that a pending wait is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The operator has not seen the target: the reason, or the revision that it has seen instead.
    Unseen(String),
    /// The target is not published: the message of the operator.
    Unpublished(String),
    /// The target is published, and some processes do not run it yet.
    Moving {
        /// The number of processes that run it.
        applied: u32,
        /// The number of processes that should.
        total: u32,
        /// The stragglers, the first ten.
        behind: Vec<Straggler>,
        /// The message of the operator.
        says: String,
    },
    /// The target is published, and it is unknown whether every process runs it.
    Unknown {
        /// The silent ones, the first ten.
        behind: Vec<Straggler>,
        /// The message of the operator, and the way out.
        says: String,
    },
}

const NEWEST_OF_SUSPENDED: &str = "the workspace is suspended, so its source is not asked for anything newer: unset spec.suspend, or name what is published with --revision or --fingerprint";
const NEVER_PUBLISHED: &str =
    "it is not published, and the workspace is suspended, so it will not be: unset spec.suspend first";

/// Returns the state of a wait for `target`. Only a recent claim is success; any claim is enough to go on waiting.
pub(crate) fn verdict(known: &WaitInput<'_>, target: &WaitTarget) -> WaitVerdict {
    let suspended = known.workspace.spec.suspend;
    if suspended && *target == WaitTarget::Newest {
        return WaitVerdict::Suspended(NEWEST_OF_SUSPENDED);
    }
    let (status, claim) = (known.status(), known.claim());
    let generation = known.workspace.metadata.generation;
    if claim.observed_generation != generation {
        return WaitVerdict::Pending(Pending::Unseen(
            "the operator has not reconciled the current spec".to_owned(),
        ));
    }
    // The status holds only the newest refused revision, so an old refusal says nothing about another commit.
    let rejected = status.rejected.as_ref().filter(|_| status.observed_generation == generation);
    if let Some(rejected) = rejected.filter(|rejected| target.is_revision(rejected.revision.as_deref())) {
        return WaitVerdict::Refused(rejected.clone());
    }
    if !target.is_published(&claim) {
        let pending = unpublished(&status, &claim, target);
        return if suspended { WaitVerdict::Suspended(NEVER_PUBLISHED) } else { WaitVerdict::Pending(pending) };
    }
    if let Some(pending) = hindrance(known, &status, &claim, target) {
        return WaitVerdict::Pending(pending);
    }
    match (claim.by, known.status) {
        (ClaimSource::Operator, _) | (ClaimSource::Status, Freshness::Fresh) => WaitVerdict::Converged(claim),
        (ClaimSource::Status, Freshness::Unknown) => WaitVerdict::Unconfirmed(claim),
    }
}

impl WaitInput<'_> {
    fn status(&self) -> RototoWorkspaceStatus {
        self.workspace.status.clone().unwrap_or_default()
    }

    /// Returns the operator's claim, if it is about this very object: one that was deleted and created anew has another
    /// UID.
    fn claim(&self) -> Claim {
        let uid = self.workspace.metadata.uid.as_deref();
        let answer = self.answer.filter(|answer| uid == Some(&answer.uid));
        answer.map_or_else(|| Claim::of_status(&self.status()), Claim::of_operator)
    }
}

impl WaitTarget {
    fn is_revision(&self, revision: Option<&str>) -> bool {
        match self {
            Self::Newest => true,
            Self::Fingerprint(_) => false,
            Self::Revision(target) => revision == Some(target.to_string().as_str()),
            Self::Commit(commit) => {
                let revision = revision.and_then(|revision| revision.parse::<Revision>().ok());
                revision.is_some_and(|revision| revision.commit() == commit)
            }
        }
    }

    /// Returns whether the target's content is published. A newer commit with the same content does not replace an
    /// older one.
    fn is_published(&self, claim: &Claim) -> bool {
        match self {
            Self::Newest => claim.fingerprint.is_some(),
            Self::Fingerprint(fingerprint) => claim.fingerprint == Some(fingerprint.to_string()),
            Self::Commit(_) | Self::Revision(_) => claim.fingerprint.is_some() && self.revision_in(claim).is_some(),
        }
    }

    /// Returns the revision of the published content that the target names.
    pub(crate) fn revision_in<'a>(&self, claim: &'a Claim) -> Option<&'a str> {
        let revisions = claim.revisions.iter().map(String::as_str);
        match self {
            Self::Newest | Self::Fingerprint(_) => claim.revisions.first().map(String::as_str),
            Self::Commit(_) | Self::Revision(_) => {
                revisions.into_iter().find(|revision| self.is_revision(Some(revision)))
            }
        }
    }
}

fn unpublished(status: &RototoWorkspaceStatus, claim: &Claim, target: &WaitTarget) -> Pending {
    match claim.newest.as_deref() {
        _ if claim.fingerprint.is_none() => Pending::Unpublished(says(status, &[SOURCE_READY, LINT_PASSED, PUBLISHED])),
        Some(newest) if target.is_revision(Some(newest)) => Pending::Unpublished(says(status, &[PUBLISHED])),
        Some(newest) => Pending::Unseen(format!("the source is at {newest}{}", source_problem(status))),
        None => Pending::Unseen(says(status, &[SOURCE_READY])),
    }
}

/// Returns the reason why a publish has not converged.
fn hindrance(
    known: &WaitInput<'_>,
    status: &RototoWorkspaceStatus,
    claim: &Claim,
    target: &WaitTarget,
) -> Option<Pending> {
    let newest = *target == WaitTarget::Newest;
    let moving = |says: String| Pending::Moving {
        applied: claim.fleet.applied,
        total: claim.fleet.total(),
        behind: claim.fleet.behind.clone(),
        says,
    };
    let required: &[&str] = if newest { &[PUBLISHED, READY] } else { &[PUBLISHED] };
    let ConvergedCondition { status: converged, reason: why, message } = &claim.converged;
    match converged.as_str() {
        "True" if !required.iter().all(|type_| is_true(status, type_)) => Some(moving(says(status, required))),
        "True" if newest && !has_newest(status, claim) => {
            Some(moving("the newest revision of the source is not published yet".to_owned()))
        }
        "True" => None,
        "Unknown" => {
            let hint = if why == reason::NO_PROCESSES { label_hint(known.workspace) } else { String::new() };
            Some(Pending::Unknown { behind: claim.fleet.behind.clone(), says: format!("{message}{hint}") })
        }
        _ if message.is_empty() => Some(moving(says(status, required))),
        _ => Some(moving(message.clone())),
    }
}

/// Returns whether the newest revision that the operator knows is published. In a status, `Ready` says it; in an
/// answer, the revisions do. An archive has none.
fn has_newest(status: &RototoWorkspaceStatus, claim: &Claim) -> bool {
    match (claim.by, &claim.newest) {
        (ClaimSource::Status, _) => true,
        (ClaimSource::Operator, Some(newest)) => claim.revisions.contains(newest),
        (ClaimSource::Operator, None) => {
            status.published.as_ref().map(|published| &published.fingerprint) == claim.fingerprint.as_ref()
        }
    }
}

fn label_hint(workspace: &RototoWorkspace) -> String {
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    format!("; give the pods that should the label {}: \"\"", workspace_label(name))
}

fn source_problem(status: &RototoWorkspaceStatus) -> String {
    let error = status.source.as_ref().and_then(|source| source.last_error.as_ref());
    error.map_or_else(String::new, |error| format!(", and can't be read now: {error}"))
}

fn is_true(status: &RototoWorkspaceStatus, type_: &str) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Returns the message of the first of these conditions that is not true.
fn says(status: &RototoWorkspaceStatus, types: &[&str]) -> String {
    let of = |type_: &&str| status.conditions.iter().find(|condition| condition.type_ == **type_);
    let hindering = types.iter().filter_map(of).find(|condition| condition.status != "True");
    hindering.map_or_else(|| "the operator has not said more yet".to_owned(), |condition| condition.message.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const A: &str = "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const TIME: &str = "2026-11-20T18:40:00.123456Z";

    fn commit(revision: &str) -> WaitTarget {
        WaitTarget::Commit(revision.parse::<Revision>().unwrap().commit().clone())
    }

    fn fingerprint(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn content(digit: char) -> WaitTarget {
        WaitTarget::Fingerprint(fingerprint(digit).parse().unwrap())
    }

    /// Makes a workspace whose newest revision is `newest` and whose published one is `published`, with `changes` to
    /// its status.
    fn workspace(newest: &str, published: &str, changes: Value) -> RototoWorkspace {
        let conditions = ["Ready", "SourceReady", "LintPassed", "Published", "Converged"];
        let conditions = conditions.map(|type_| condition(type_, "True", "Test", ""));
        let mut status = json!({
            "observedGeneration": 1,
            "conditions": conditions,
            "source": { "revision": newest },
            "published": { "fingerprint": fingerprint('1'), "revision": published, "updatedAt": TIME, "revisions": [published] },
            "fleet": { "expected": 1, "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": TIME },
        });
        status.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "metadata": { "name": "degradation", "uid": "1", "generation": 1 },
            "spec": { "source": "git+https://git.example.com/acme/config.git" },
            "status": status,
        }))
        .unwrap()
    }

    fn suspended(mut workspace: RototoWorkspace) -> RototoWorkspace {
        workspace.spec.suspend = true;
        workspace
    }

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIME})
    }

    /// Makes all conditions true but these.
    fn not(types: &[&str], message: &str) -> Value {
        let condition =
            |type_: &&str| condition(type_, if types.contains(type_) { "False" } else { "True" }, "Test", message);
        let all = ["Ready", "SourceReady", "LintPassed", "Published", "Converged", "Stale"];
        json!({ "conditions": all.iter().map(condition).collect::<Vec<_>>() })
    }

    fn unknown(reason: &str, message: &str) -> Value {
        let mut conditions = not(&[], "");
        conditions["conditions"][4] = condition("Converged", "Unknown", reason, message);
        conditions
    }

    fn answer(newest: &str, changes: Value) -> Convergence {
        let mut answer = json!({
            "as_of": "2026-11-20T19:00:00Z", "uid": "1", "observed_generation": 1, "fingerprint": fingerprint('1'),
            "updated_at": TIME, "revisions": [A], "source_revision": newest, "settled": true,
            "status": "True", "reason": "Converged", "message": "", "expected": 1, "processes": 1, "applied": 1, "behind": []
        });
        answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(answer).unwrap()
    }

    fn name(verdict: &WaitVerdict) -> &'static str {
        match verdict {
            WaitVerdict::Converged(Claim { by: ClaimSource::Status, .. }) => "converged",
            WaitVerdict::Converged(Claim { by: ClaimSource::Operator, .. }) => "converged, says the operator",
            WaitVerdict::Unconfirmed(_) => "unconfirmed",
            WaitVerdict::Refused(_) => "refused",
            WaitVerdict::Suspended(_) => "suspended",
            WaitVerdict::Pending(Pending::Unseen(_)) => "unseen",
            WaitVerdict::Pending(Pending::Unpublished(_)) => "unpublished",
            WaitVerdict::Pending(Pending::Moving { .. }) => "moving",
            WaitVerdict::Pending(Pending::Unknown { .. }) => "unknown",
        }
    }

    fn fresh(workspace: &RototoWorkspace) -> WaitInput<'_> {
        WaitInput { workspace, answer: None, status: Freshness::Fresh }
    }

    /// Checks the verdict with a recent status.
    fn check(workspace: &RototoWorkspace, target: &WaitTarget, expected: &str) {
        let verdict = verdict(&fresh(workspace), target);
        assert_eq!(name(&verdict), expected, "{target:?}: {verdict:?}");
    }

    /// Checks the verdict with a status that may be old.
    fn check_answer(workspace: &RototoWorkspace, answer: Option<&Convergence>, target: &WaitTarget, expected: &str) {
        let verdict = verdict(&WaitInput { workspace, answer, status: Freshness::Unknown }, target);
        assert_eq!(name(&verdict), expected, "{target:?}: {verdict:?}");
    }

    #[test]
    fn a_commit_has_converged_once_its_name_is_published_and_the_fleet_runs_it() {
        let all_is_well = workspace(A, A, json!({}));
        check(&all_is_well, &commit(A), "converged");
        check(&all_is_well, &WaitTarget::Revision(A.parse().unwrap()), "converged");
        check(&all_is_well, &WaitTarget::Newest, "converged");
        check(&all_is_well, &content('1'), "converged");
        check(&all_is_well, &commit(B), "unseen");
        check(&all_is_well, &content('2'), "unseen");
        let other_branch = A.replace("main", "release").parse().unwrap();
        check(&all_is_well, &WaitTarget::Revision(other_branch), "unseen");
    }

    /// History F20: the operator is dead, and its last status stays for days.
    #[test]
    fn a_claim_that_nobody_has_renewed_is_not_believed() {
        let all_is_well = workspace(A, A, json!({}));
        for target in [commit(A), WaitTarget::Newest, content('1')] {
            check_answer(&all_is_well, None, &target, "unconfirmed");
        }
        let undated = workspace(A, A, json!({ "fleet": null }));
        check_answer(&undated, None, &commit(A), "unconfirmed");
    }

    #[test]
    fn to_go_on_waiting_takes_no_confirmation() {
        check_answer(&workspace(B, A, json!({})), None, &commit(B), "unpublished");
        check_answer(&workspace(A, A, not(&["Converged"], "1 of 2 run it")), None, &commit(A), "moving");
    }

    #[test]
    fn what_the_operator_answers_outweighs_a_status_that_may_be_old() {
        let (well, moving) = (workspace(A, A, json!({})), workspace(A, A, not(&["Converged"], "")));
        let (yes, no) = (answer(A, json!({})), answer(A, json!({ "status": "False", "message": "1 of 2" })));
        check_answer(&well, Some(&yes), &commit(A), "converged, says the operator");
        check_answer(&well, Some(&yes), &WaitTarget::Newest, "converged, says the operator");
        check_answer(&moving, Some(&yes), &commit(A), "converged, says the operator");
        check_answer(&well, Some(&no), &commit(A), "moving");
        check_answer(&well, Some(&answer(A, json!({ "fingerprint": fingerprint('2') }))), &content('1'), "unseen");
        check_answer(
            &well,
            Some(&answer(A, json!({ "fingerprint": null, "revisions": [] }))),
            &commit(A),
            "unpublished",
        );
        check_answer(
            &well,
            Some(&answer(A, json!({ "status": "Unknown", "reason": "Recounting" }))),
            &commit(A),
            "unknown",
        );
    }

    #[test]
    fn an_answer_about_another_object_or_an_older_spec_proves_nothing() {
        let well = workspace(A, A, json!({}));
        check_answer(&well, Some(&answer(A, json!({ "uid": "2" }))), &commit(A), "unconfirmed");
        check_answer(&well, Some(&answer(A, json!({ "observed_generation": 0 }))), &commit(A), "unseen");
        check_answer(&well, Some(&answer(A, json!({ "observed_generation": null }))), &commit(A), "unseen");
    }

    #[test]
    fn the_newest_that_the_operator_knows_must_be_the_published_one() {
        let well = workspace(A, A, json!({}));
        check_answer(&well, Some(&answer(B, json!({}))), &WaitTarget::Newest, "moving");
        check_answer(&well, Some(&answer(B, json!({}))), &commit(A), "converged, says the operator");
        let archive = json!({ "revisions": [], "source_revision": null, "settled": false });
        check_answer(&well, Some(&answer(A, archive.clone())), &WaitTarget::Newest, "converged, says the operator");
        let mut other = answer(A, archive);
        other.fingerprint = Some(fingerprint('2'));
        check_answer(&well, Some(&other), &WaitTarget::Newest, "moving");
    }

    /// History S6: in a monorepo, a commit of a neighbour follows a second later.
    #[test]
    fn a_revision_whose_content_runs_has_arrived_although_a_newer_commit_follows() {
        let published =
            json!({ "fingerprint": fingerprint('1'), "revision": B, "updatedAt": TIME, "revisions": [B, A] });
        let followed = workspace(B, B, json!({ "published": published }));
        check(&followed, &commit(A), "converged");
        check(&followed, &WaitTarget::Revision(A.parse().unwrap()), "converged");
        check_answer(
            &followed,
            Some(&answer(B, json!({ "revisions": [B, A] }))),
            &commit(A),
            "converged, says the operator",
        );
        match verdict(&fresh(&followed), &commit(A)) {
            WaitVerdict::Converged(claim) => assert_eq!(commit(A).revision_in(&claim), Some(A)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_revision_of_the_past_has_not_arrived_because_it_once_ran() {
        let history = json!([{ "fingerprint": fingerprint('2'), "revision": B, "updatedAt": TIME }]);
        check(&workspace(A, A, json!({ "history": history })), &commit(B), "unseen");
    }

    #[test]
    fn a_status_of_an_operator_that_names_no_list_of_revisions_is_understood() {
        let published = json!({ "fingerprint": fingerprint('1'), "revision": A, "updatedAt": TIME });
        check(&workspace(A, A, json!({ "published": published })), &commit(A), "converged");
    }

    /// History N6.
    #[test]
    fn a_wait_for_the_newest_of_a_suspended_workspace_says_that_nothing_new_comes() {
        let all_is_well = suspended(workspace(A, A, json!({})));
        check(&all_is_well, &WaitTarget::Newest, "suspended");
        check_answer(&all_is_well, Some(&answer(A, json!({}))), &WaitTarget::Newest, "suspended");
        let unseen = suspended(workspace(A, A, json!({ "observedGeneration": 0 })));
        check(&unseen, &WaitTarget::Newest, "suspended");
    }

    #[test]
    fn what_a_suspended_workspace_has_published_arrives_and_nothing_else_is_waited_for() {
        let all_is_well = suspended(workspace(B, A, json!({})));
        check(&all_is_well, &commit(A), "converged");
        check(&all_is_well, &content('1'), "converged");
        check_answer(&all_is_well, None, &commit(A), "unconfirmed");
        check(&all_is_well, &commit(B), "suspended");
        check(&all_is_well, &content('2'), "suspended");
        check(&suspended(workspace(A, A, not(&["Converged"], "1 of 2"))), &commit(A), "moving");
        // It may have been published just before: the operator's answer will show it.
        check(&suspended(workspace(A, A, json!({ "observedGeneration": 0 }))), &commit(B), "unseen");
        let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}});
        check(&suspended(workspace(B, A, rejected)), &commit(B), "refused");
    }

    #[test]
    fn what_nobody_knows_is_not_there_yet() {
        for reason in ["NoProcesses", "Recounting", "Silent", "Unprovable", "SelectorInvalid", "OfTheFuture"] {
            let nobody_knows = workspace(A, A, unknown(reason, "said so"));
            for target in [commit(A), WaitTarget::Newest, content('1')] {
                check(&nobody_knows, &target, "unknown");
            }
        }
        check(
            &workspace(A, A, json!({ "conditions": [condition("Published", "True", "Test", "")] })),
            &commit(A),
            "moving",
        );
    }

    #[test]
    fn a_workspace_that_nobody_follows_says_how_to_follow_it() {
        let says = |reason: &str| match verdict(&fresh(&workspace(A, A, unknown(reason, "so it is"))), &commit(A)) {
            WaitVerdict::Pending(Pending::Unknown { says, .. }) => says,
            other => panic!("{other:?}"),
        };
        let label = "so it is; give the pods that should the label workspace.rototo.dev/degradation: \"\"";
        assert_eq!(says("NoProcesses"), label);
        assert_eq!(says("Recounting"), "so it is");
    }

    #[test]
    fn what_is_seen_and_not_published_is_not_there_yet_even_if_the_fleet_is_at_rest() {
        check(&workspace(B, A, json!({})), &commit(B), "unpublished");
        check(&workspace(B, A, not(&["Published"], "no space")), &commit(B), "unpublished");
        check(&workspace(A, A, not(&["Converged"], "1 of 2 run it")), &commit(A), "moving");
        check(&workspace(A, A, not(&["Published"], "lost")), &commit(A), "moving");
        let nothing_published = workspace(A, A, json!({ "published": null }));
        check(&nothing_published, &commit(A), "unpublished");
        check(&nothing_published, &WaitTarget::Newest, "unpublished");
    }

    #[test]
    fn only_the_refusal_of_what_is_wanted_ends_the_wait() {
        let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}});
        let refused = workspace(B, A, rejected.clone());
        check(&refused, &commit(B), "refused");
        check(&refused, &WaitTarget::Newest, "refused");
        check(&refused, &commit(A), "converged");
        check(&refused, &content('2'), "unseen");
        // The spec that was refused is not the one of the operator's answer.
        let mut other_spec = refused;
        other_spec.metadata.generation = Some(2);
        check_answer(&other_spec, Some(&answer(B, json!({ "observed_generation": 2 }))), &commit(B), "unpublished");
    }

    #[test]
    fn a_status_of_an_older_spec_proves_nothing() {
        check(&workspace(A, A, json!({ "observedGeneration": 0 })), &commit(A), "unseen");
    }

    #[test]
    fn the_newest_has_arrived_only_when_the_source_is_known_to_be_the_newest_too() {
        check(&workspace(A, A, not(&["Ready", "Stale"], "unreachable")), &WaitTarget::Newest, "moving");
        check(&workspace(A, A, not(&["Converged"], "1 of 2")), &WaitTarget::Newest, "moving");
        check_answer(
            &workspace(A, A, not(&["Ready", "Stale"], "unreachable")),
            Some(&answer(A, json!({}))),
            &WaitTarget::Newest,
            "moving",
        );
    }

    #[test]
    fn stragglers_are_named() {
        let behind = json!([{"name": "app-1", "state": "pending", "reason": "fetch_failed"}]);
        let mut changes = not(&["Converged"], "2 of 3 run it");
        changes["fleet"] =
            json!({"expected": 3, "processes": 3, "applied": 2, "rejected": 0, "silent": 0, "behind": behind});
        match verdict(&fresh(&workspace(A, A, changes)), &commit(A)) {
            WaitVerdict::Pending(Pending::Moving { applied: 2, total: 3, behind, says }) => {
                assert_eq!(behind[0].name, "app-1");
                assert_eq!(says, "2 of 3 run it");
            }
            other => panic!("{other:?}"),
        }
    }
}
