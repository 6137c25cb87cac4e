//! Verdicts on workspaces, for each target of a wait.

use serde_json::{Value, json};

use super::*;

const A: &str = "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "main@sha1:cccccccccccccccccccccccccccccccccccccccc";
const D: &str = "main@sha1:dddddddddddddddddddddddddddddddddddddddd";
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
        "published": { "fingerprint": fingerprint('1'), "revision": published, "updatedAt": TIME,
            "revisions": [published] },
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
        "status": "True", "reason": "Converged", "message": "", "expected": 1, "processes": 1, "applied": 1,
            "behind": []
    });
    answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(answer).unwrap()
}

fn name(verdict: &WaitVerdict) -> &'static str {
    match verdict {
        WaitVerdict::Converged(Claim { by: ClaimSource::Status, .. }) => "converged",
        WaitVerdict::Converged(Claim { by: ClaimSource::Operator, .. }) => "converged, says the operator",
        WaitVerdict::Unconfirmed(_) => "unconfirmed",
        WaitVerdict::Staged(_, Freshness::Fresh) => "staged",
        WaitVerdict::Staged(_, Freshness::Unknown) => "staged, unconfirmed",
        WaitVerdict::Refused(_, Freshness::Fresh) => "refused",
        WaitVerdict::Refused(_, Freshness::Unknown) => "refused, unconfirmed",
        WaitVerdict::Held(_, Freshness::Fresh) => "held",
        WaitVerdict::Held(_, Freshness::Unknown) => "held, unconfirmed",
        WaitVerdict::Suspended(_) => "suspended",
        WaitVerdict::Pending(Pending::Unseen(_)) => "unseen",
        WaitVerdict::Pending(Pending::Unpublished(_)) => "unpublished",
        WaitVerdict::Pending(Pending::Moving { .. }) => "moving",
        WaitVerdict::Pending(Pending::Unknown { .. }) => "unknown",
    }
}

fn fresh(workspace: &RototoWorkspace) -> WaitInput<'_> {
    WaitInput { workspace, answer: None, status: Freshness::Fresh, answer_is_last: false }
}

/// Checks the verdict with a recent status.
fn check(workspace: &RototoWorkspace, target: &WaitTarget, expected: &str) {
    let verdict = verdict(&fresh(workspace), target);
    assert_eq!(name(&verdict), expected, "{target:?}: {verdict:?}");
}

/// Checks the verdict with a status that may be old.
fn check_answer(workspace: &RototoWorkspace, answer: Option<&Convergence>, target: &WaitTarget, expected: &str) {
    check_last_answer(workspace, (answer, false), target, expected);
}

fn check_last_answer(
    workspace: &RototoWorkspace,
    (answer, answer_is_last): (Option<&Convergence>, bool),
    target: &WaitTarget,
    expected: &str,
) {
    let verdict = verdict(&WaitInput { workspace, answer, status: Freshness::Unknown, answer_is_last }, target);
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

/// The operator is dead, and its last status stays for days.
#[test]
fn an_old_claim_is_not_confirmed() {
    let all_is_well = workspace(A, A, json!({}));
    for target in [commit(A), WaitTarget::Newest, content('1')] {
        check_answer(&all_is_well, None, &target, "unconfirmed");
    }
    let undated = workspace(A, A, json!({ "fleet": null }));
    check_answer(&undated, None, &commit(A), "unconfirmed");
}

#[test]
fn a_pending_verdict_needs_no_confirmation() {
    check_answer(&workspace(B, A, json!({})), None, &commit(B), "unpublished");
    check_answer(&workspace(A, A, not(&["Converged"], "1 of 2 run it")), None, &commit(A), "moving");
}

#[test]
fn an_answer_of_the_operator_outweighs_a_status_that_may_be_old() {
    let (well, moving) = (workspace(A, A, json!({})), workspace(A, A, not(&["Converged"], "")));
    let (yes, no) = (answer(A, json!({})), answer(A, json!({ "status": "False", "message": "1 of 2" })));
    check_answer(&well, Some(&yes), &commit(A), "converged, says the operator");
    check_answer(&well, Some(&yes), &WaitTarget::Newest, "converged, says the operator");
    check_answer(&moving, Some(&yes), &commit(A), "converged, says the operator");
    check_answer(&well, Some(&no), &commit(A), "moving");
    check_answer(&well, Some(&answer(A, json!({ "fingerprint": fingerprint('2') }))), &content('1'), "unseen");
    check_answer(&well, Some(&answer(A, json!({ "fingerprint": null, "revisions": [] }))), &commit(A), "unpublished");
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

/// A base has moved, so the newest content has the revision that is published already.
#[test]
fn the_newest_content_of_an_answer_must_be_the_published_one() {
    let well = workspace(A, A, json!({}));
    let answer = |newest, content| answer(newest, json!({ "source_fingerprint": fingerprint(content) }));
    check_answer(&well, Some(&answer(A, '2')), &WaitTarget::Newest, "moving");
    check_answer(&well, Some(&answer(A, '1')), &WaitTarget::Newest, "converged, says the operator");
    check_answer(&well, Some(&answer(B, '1')), &WaitTarget::Newest, "converged, says the operator");
    // The content of the base before runs everywhere, and had this revision too.
    check_answer(&well, Some(&answer(A, '2')), &commit(A), "converged, says the operator");
}

/// In a monorepo, a commit of a neighbour follows a second later.
#[test]
fn a_revision_whose_content_runs_has_arrived_although_a_newer_commit_follows() {
    let published = json!({ "fingerprint": fingerprint('1'), "revision": B, "updatedAt": TIME, "revisions": [B, A] });
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
fn a_revision_that_once_ran_has_not_converged_now() {
    let history = json!([{ "fingerprint": fingerprint('2'), "revision": B, "updatedAt": TIME }]);
    check(&workspace(A, A, json!({ "history": history })), &commit(B), "unseen");
}

#[test]
fn a_status_of_an_operator_that_names_no_list_of_revisions_is_understood() {
    let published = json!({ "fingerprint": fingerprint('1'), "revision": A, "updatedAt": TIME });
    check(&workspace(A, A, json!({ "published": published })), &commit(A), "converged");
}

#[test]
fn a_wait_for_the_newest_of_a_suspended_workspace_says_that_nothing_new_comes() {
    let all_is_well = suspended(workspace(A, A, json!({})));
    check(&all_is_well, &WaitTarget::Newest, "suspended");
    check_answer(&all_is_well, Some(&answer(A, json!({}))), &WaitTarget::Newest, "suspended");
    let unseen = suspended(workspace(A, A, json!({ "observedGeneration": 0 })));
    check(&unseen, &WaitTarget::Newest, "suspended");
}

#[test]
fn a_wait_on_a_suspended_workspace_accepts_only_its_publish() {
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
fn an_unknown_convergence_is_pending() {
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
fn an_unpublished_revision_is_pending_although_the_fleet_has_converged() {
    check(&workspace(B, A, json!({})), &commit(B), "unpublished");
    check(&workspace(B, A, not(&["Published"], "no space")), &commit(B), "unpublished");
    check(&workspace(A, A, not(&["Converged"], "1 of 2 run it")), &commit(A), "moving");
    check(&workspace(A, A, not(&["Published"], "lost")), &commit(A), "moving");
    let nothing_published = workspace(A, A, json!({ "published": null }));
    check(&nothing_published, &commit(A), "unpublished");
    check(&nothing_published, &WaitTarget::Newest, "unpublished");
}

#[test]
fn only_the_refusal_of_the_target_ends_the_wait() {
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

/// Makes a workspace whose newest revision is held.
fn held() -> RototoWorkspace {
    let held = json!({"held": {
        "revision": B, "fingerprint": format!("sha256:{}", "2".repeat(64)), "reason": "ShrinkHeld", "removes": 3,
        "since": TIME, "release": "kubectl annotate",
    }});
    workspace(B, A, held)
}

/// Somebody has just released what is held, has mended the layer because of which the target was refused, or the
/// operator is dead.
#[test]
fn a_refusal_by_a_status_that_may_be_old_ends_no_wait() {
    let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}});
    let refused = workspace(B, A, rejected);
    for target in [commit(B), WaitTarget::Newest] {
        check_answer(&refused, None, &target, "refused, unconfirmed");
        check_answer(&held(), None, &target, "held, unconfirmed");
    }
    check_answer(&held(), None, &content('2'), "held, unconfirmed");
    check_answer(&suspended(refused.clone()), None, &commit(B), "refused, unconfirmed");
    check_answer(&refused, None, &commit(A), "unconfirmed");
    let unconfirmed = |workspace: &RototoWorkspace| {
        let known = WaitInput { status: Freshness::Unknown, ..fresh(workspace) };
        verdict(&known, &commit(B))
    };
    for workspace in [refused, held()] {
        assert!(unconfirmed(&workspace).is_unconfirmed() && !unconfirmed(&workspace).is_final());
        assert!(verdict(&fresh(&workspace), &commit(B)).is_final());
    }
}

#[test]
fn a_refused_or_held_commit_ends_the_wait_also_if_one_with_the_same_content_follows() {
    let source = json!({ "revision": B, "revisions": [B, C] });
    let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}, "source": source});
    check(&workspace(B, A, rejected), &commit(C), "refused");
    let mut held = held();
    check(&held, &commit(C), "unseen");
    held.status.as_mut().unwrap().source = serde_json::from_value(source).unwrap();
    check(&held, &commit(C), "held");
    check(&held, &commit(A), "converged");
    // The source has gone on, and other commits have its content.
    held.status.as_mut().unwrap().source =
        serde_json::from_value(json!({ "revision": D, "revisions": [D, C] })).unwrap();
    check(&held, &commit(C), "unpublished");
    check(&held, &commit(B), "held");
}

#[test]
fn the_rollout_of_a_content_is_found_by_its_fingerprint() {
    let rollout = |fingerprint: Value| {
        let rollout = json!({ "revision": C, "fingerprint": fingerprint, "step": 1, "steps": 4, "since": TIME,
            "next": "1/1", "stable": "2/2", "promote": "", "abort": "" });
        workspace(C, A, json!({ "rollout": rollout }))
    };
    let reached = |workspace: &RototoWorkspace, digit| at_stage(workspace, &content(digit), 1).is_some();
    assert!(reached(&rollout(json!(fingerprint('2'))), '2') && !reached(&rollout(json!(fingerprint('2'))), '3'));
    assert!(!reached(&rollout(Value::Null), '2'), "an older operator does not say it");
}

#[test]
fn a_wait_during_a_rollout_says_which_step_it_is_at() {
    let rollout = json!({ "revision": C, "revisions": [C, B], "step": 1, "steps": 4, "since": TIME, "next": "1/1",
        "stable": "2/2", "promote": "", "abort": "" });
    let mut changes = not(&["Ready", "Converged"], "step 2 of 4");
    changes["rollout"] = rollout;
    // Another revision waits.
    let rolling = workspace(D, A, changes);
    for target in [commit(B), commit(C), commit(D)] {
        let expected = WaitVerdict::Pending(Pending::Unpublished("step 2 of 4".to_owned()));
        assert_eq!(verdict(&fresh(&rolling), &target), expected);
    }
}

#[test]
fn where_no_reconcile_can_be_requested_the_operator_confirms_that_a_target_is_refused_or_held() {
    let rejected = json!({"rejected": {"revision": B, "time": TIME, "errors": 1, "warnings": 0}});
    let refused = workspace(B, A, rejected);
    let (settled, unsettled) = (answer(B, json!({})), answer(B, json!({ "settled": false })));
    for (workspace, name) in [(&refused, "refused"), (&held(), "held")] {
        let unconfirmed = format!("{name}, unconfirmed");
        check_last_answer(workspace, (Some(&settled), true), &commit(B), name);
        // A base has moved: other content with the same revision is published.
        let moved = answer(B, json!({ "revisions": [B], "source_fingerprint": fingerprint('2') }));
        check_last_answer(workspace, (Some(&moved), true), &commit(B), name);
        check_last_answer(workspace, (Some(&settled), false), &commit(B), &unconfirmed);
        check_last_answer(workspace, (None, true), &commit(B), &unconfirmed);
        for other in [
            unsettled.clone(),
            answer(B, json!({ "uid": "2" })),
            // It was published since, or with other layers.
            answer(B, json!({ "revisions": [B] })),
            answer(B, json!({ "source_fingerprint": fingerprint('1') })),
            // The source has gone on.
            answer(A, json!({})),
        ] {
            check_last_answer(workspace, (Some(&other), true), &commit(B), &unconfirmed);
        }
    }
}

#[test]
fn a_held_target_ends_the_wait() {
    let held = held();
    check(&held, &commit(B), "held");
    check(&held, &WaitTarget::Newest, "held");
    check(&held, &content('2'), "held");
    check(&held, &commit(A), "converged");
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

/// The newest content is announced. A base has moved, so its revision is the one that is published.
#[test]
fn the_newest_content_of_a_status_must_be_the_published_one() {
    for (newest, content, expected) in [(B, '2', "moving"), (A, '2', "moving"), (B, '1', "converged")] {
        let source = json!({ "source": { "revision": newest, "fingerprint": fingerprint(content) } });
        check(&workspace(newest, A, source), &WaitTarget::Newest, expected);
    }
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
