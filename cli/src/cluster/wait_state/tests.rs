use serde_json::json;

use super::*;
use crate::cluster::verdict::Pending;

const NEXT: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const OTHER: &str = "main@sha1:cccccccccccccccccccccccccccccccccccccccc";
const ANNOUNCED: &str = "2026-11-20T18:39:00.000000Z";

/// Makes a workspace by a status of [`NEW`], whose source is at `newest`, and which rolls out `revision`.
fn rolls_out(step: u32, revision: &str, newest: &str) -> RototoWorkspace {
    let mut workspace = workspace(2, NEW, None);
    let rollout = json!({ "revision": revision, "revisions": [revision], "announcedAs": ANNOUNCED, "step": step,
        "steps": 4, "since": OLD, "next": "1/1", "stable": "2/2", "promote": "", "abort": "" });
    let status = workspace.status.as_mut().unwrap();
    status.rollout = serde_json::from_value(rollout).unwrap();
    status.source = serde_json::from_value(json!({ "revision": newest })).unwrap();
    for condition in status.conditions.iter_mut().filter(|condition| condition.type_ != "Published") {
        (condition.status, condition.message) = ("False".to_owned(), "step 2 of 4".to_owned());
    }
    workspace
}

/// Returns a wait for a stage that has seen a workspace of [`OLD`], and then these.
fn until(stage: Option<StageGoal>, target: WaitTarget, seen: Vec<RototoWorkspace>) -> WaitState {
    let start = Instant::now();
    let mut wait = WaitState::new(target, start).until_stage(stage);
    wait.saw(workspace(1, OLD, None));
    wait.answered(start, Err(anyhow!("there is no token")));
    for workspace in seen {
        wait.saw(workspace);
    }
    wait
}

fn verdict_of(wait: &WaitState) -> WaitVerdict {
    wait.verdict(wait.began).unwrap()
}

#[test]
fn a_wait_for_a_step_ends_once_the_rollout_of_its_target_has_reached_it() {
    let verdict = |step: Option<u32>, workspace: RototoWorkspace| {
        let target = WaitTarget::Revision(NEXT.parse().unwrap());
        verdict_of(&until(step.map(StageGoal::Reached), target, vec![workspace]))
    };
    let reached = verdict(Some(1), rolls_out(1, NEXT, NEXT));
    assert!(matches!(reached, WaitVerdict::Staged(rollout, Freshness::Fresh) if rollout.step == 1));
    assert!(verdict(Some(1), rolls_out(2, NEXT, NEXT)).is_final());
    let mut followed = rolls_out(1, OTHER, OTHER);
    let rollout = followed.status.as_mut().unwrap().rollout.as_mut().unwrap();
    rollout.revisions.push(NEXT.to_owned());
    assert!(verdict(Some(1), followed).is_final(), "a commit with the same content follows");
    for pending in [
        verdict(Some(2), rolls_out(1, NEXT, NEXT)),
        verdict(None, rolls_out(3, NEXT, NEXT)),
        verdict(Some(1), rolls_out(1, OTHER, OTHER)),
    ] {
        assert!(matches!(pending, WaitVerdict::Pending(_)), "{pending:?}");
    }
}

/// The operator is dead, and the spec may name another source and other steps since.
#[test]
fn a_step_of_a_status_that_is_old_or_of_another_spec_ends_no_wait() {
    for target in [WaitTarget::Revision(NEXT.parse().unwrap()), WaitTarget::Newest] {
        let mut old = rolls_out(1, NEXT, NEXT);
        old.status.as_mut().unwrap().fleet.as_mut().unwrap().as_of = serde_json::from_value(json!(OLD)).unwrap();
        let wait = until(Some(StageGoal::Reached(1)), target.clone(), vec![old]);
        let verdict = verdict_of(&wait);
        assert!(matches!(verdict, WaitVerdict::Staged(_, Freshness::Unknown)), "{verdict:?}");
        assert!(!wait.is_over(&verdict, wait.began + seconds(600)));
        assert_eq!(wait.next_query(wait.began), (wait.began, Query::Request));

        let mut other_spec = rolls_out(1, NEXT, NEXT);
        other_spec.metadata.generation = Some(2);
        let verdict = verdict_of(&until(Some(StageGoal::Reached(1)), target, vec![other_spec]));
        assert!(matches!(verdict, WaitVerdict::Pending(_)), "{verdict:?}");
    }
}

#[test]
fn a_wait_for_a_step_of_the_newest_ends_with_no_rollout_of_an_older_commit() {
    let verdict = |workspace| {
        let stage = Some(StageGoal::Reached(1));
        verdict_of(&until(stage, WaitTarget::Newest, vec![workspace]))
    };
    assert!(verdict(rolls_out(1, NEXT, NEXT)).is_final());
    assert!(!verdict(rolls_out(1, NEXT, OTHER)).is_final(), "another commit waits");
    // A source without commits has a name for each content.
    let archive = |newest: &str| {
        let mut workspace = rolls_out(1, "sha256:2", NEXT);
        let source = json!({ "fingerprint": newest });
        workspace.status.as_mut().unwrap().source = serde_json::from_value(source).unwrap();
        workspace
    };
    assert!(verdict(archive("sha256:2")).is_final());
    assert!(!verdict(archive("sha256:3")).is_final());
}

#[test]
fn a_rollout_that_a_person_holds_is_not_promoted_at_its_step() {
    let verdict = |step, workspace| {
        let target = WaitTarget::Revision(NEXT.parse().unwrap());
        verdict_of(&until(Some(StageGoal::Promotable(step)), target, vec![workspace]))
    };
    let requested = |request: &str, state: &str| {
        let mut workspace = rolls_out(1, NEXT, NEXT);
        let request = json!({ "request": request, "by": "alice", "state": state });
        workspace.status.as_mut().unwrap().request = serde_json::from_value(request).unwrap();
        workspace
    };
    let annotated = |value: &str| {
        let mut workspace = rolls_out(1, NEXT, NEXT);
        let annotations = [("rototo.dev/rollout".to_owned(), value.to_owned())];
        workspace.metadata.annotations = Some(annotations.into());
        workspace
    };
    let held = |by: &str| {
        let says = format!("step 2 of 4; a person ({by}) holds it");
        WaitVerdict::Pending(Pending::Unpublished(says))
    };
    let hold = format!("hold bbbbbbbb of={ANNOUNCED}");
    assert_eq!(verdict(1, requested(&hold, "InForce")), held("alice"));
    assert_eq!(verdict(1, annotated(&hold)), held("unverified"), "the operator has not seen it yet");
    for free in [
        verdict(1, rolls_out(1, NEXT, NEXT)),
        verdict(1, requested(&hold, "Refused")),
        verdict(1, requested(&format!("promote bbbbbbbb of={ANNOUNCED}"), "InForce")),
        verdict(1, annotated("hold bbbbbbbb of=2026-11-20T18:38:00.000000Z")),
        // Somebody has promoted it, so nobody needs to.
        verdict(0, requested(&hold, "InForce")),
    ] {
        assert!(free.is_final(), "{free:?}");
    }
}

const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OLD: &str = "2026-11-20T18:40:00Z";
const NEW: &str = "2026-11-20T18:40:01Z";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Makes a workspace whose fleet has converged on [`COMMIT`], by a status of that time.
fn workspace(version: u64, as_of: &str, handled: Option<&str>) -> RototoWorkspace {
    let condition = |type_: &str| {
        json!({"type": type_, "status": "True", "reason": "Test", "message": "",
        "lastTransitionTime": OLD})
    };
    let conditions = ["Ready", "Published", "Converged"].map(condition);
    let revision = format!("main@sha1:{COMMIT}");
    serde_json::from_value(json!({
        "metadata": { "name": "degradation", "uid": "1", "generation": 1, "resourceVersion": version.to_string() },
        "spec": { "source": "git+https://git.example.com/acme/config.git" },
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "lastHandledReconcileAt": handled,
            "published": { "fingerprint": "sha256:1", "revision": revision,
                "updatedAt": "2026-11-20T18:00:00.000000Z" },
            "fleet": { "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of,
                "claimSeconds": 45 },
        },
    }))
    .unwrap()
}

fn answer() -> Convergence {
    serde_json::from_value(json!({
        "as_of": NEW, "uid": "1", "observed_generation": 1, "fingerprint": "sha256:1", "updated_at": null,
        "revisions": [format!("main@sha1:{COMMIT}")], "source_revision": null, "settled": true,
        "status": "True", "reason": "Converged", "message": "", "expected": 1, "processes": 1, "applied": 1
    }))
    .unwrap()
}

/// Begins a wait for [`COMMIT`] that has seen the workspace of [`OLD`].
fn begun() -> (WaitState, Instant) {
    let start = Instant::now();
    let mut wait_state = WaitState::new(WaitTarget::Commit(COMMIT.parse().unwrap()), start);
    wait_state.saw(workspace(1, OLD, None));
    (wait_state, start)
}

fn without_operator() -> (WaitState, Instant) {
    let (mut wait_state, start) = begun();
    wait_state.answered(start, Err(anyhow::anyhow!("there is no token")));
    (wait_state, start)
}

fn check(wait_state: &WaitState, now: Instant, converged: bool) {
    match wait_state.verdict(now) {
        Some(WaitVerdict::Converged(_)) if converged => {}
        Some(WaitVerdict::Unconfirmed(_)) if !converged => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_from_before_the_wait_is_never_confirmed() {
    let (mut wait_state, start) = without_operator();
    for passed in [0, 15, 60, 600, 86_400] {
        let at = start + seconds(passed);
        check(&wait_state, at, false);
        wait_state.saw(workspace(1, OLD, None));
        wait_state.queried(at, QueryResult::Seen(Box::new(workspace(1, OLD, None)), None));
        check(&wait_state, at, false);
    }
}

#[test]
fn a_status_written_since_the_wait_began_confirms_the_claim() {
    let (mut wait_state, start) = without_operator();
    wait_state.saw(workspace(2, NEW, None));
    check(&wait_state, start + seconds(1), true);
}

#[test]
fn a_handled_request_confirms_the_claim() {
    let (mut wait_state, start) = without_operator();
    wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("mine".to_owned())));
    check(&wait_state, start, false);
    wait_state.saw(workspace(3, OLD, Some("another's")));
    check(&wait_state, start + seconds(1), false);
    wait_state.saw(workspace(4, OLD, Some("mine")));
    check(&wait_state, start + seconds(2), true);
}

#[test]
fn a_claim_that_came_late_is_confirmed_by_the_queries_in_between() {
    let (mut late, start) = without_operator();
    late.saw(workspace(2, NEW, None));
    check(&late, start + seconds(46), false);
    let (mut state, start) = without_operator();
    state.queried(start + seconds(30), QueryResult::Seen(Box::new(workspace(1, OLD, None)), None));
    state.saw(workspace(2, NEW, None));
    check(&state, start + seconds(46), true);
}

#[test]
fn an_answer_of_the_operator_confirms_for_the_validity_of_a_claim() {
    let (mut wait_state, start) = begun();
    wait_state.answered(start, Ok(answer()));
    check(&wait_state, start + seconds(45), true);
    check(&wait_state, start + seconds(46), false);
    wait_state.answered(start, Err(anyhow::anyhow!("gone")));
    check(&wait_state, start, false);
}

#[test]
fn a_request_waits_for_the_operators_first_answer_and_is_repeated_at_intervals() {
    let (mut wait_state, start) = begun();
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
    wait_state.answered(start, Err(anyhow::anyhow!("there is no token")));
    assert_eq!(wait_state.next_query(start), (start, Query::Request));
    wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("first".to_owned())));
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
}

#[test]
fn a_request_that_failed_is_not_repeated_at_once_and_one_that_is_forbidden_never() {
    let (mut wait_state, start) = without_operator();
    wait_state.queried(start, QueryResult::Failed(anyhow::anyhow!("no answer")));
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
    wait_state.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
    assert_eq!(wait_state.requests, Channel::Closed("grant patch".to_owned()));
}

#[test]
fn a_denial_is_final_only_before_the_workspace_was_seen() {
    let denied = || WatchProblem::Lasting(anyhow!("log in again"));
    let mut unseen = WaitState::new(WaitTarget::Newest, Instant::now());
    assert!(unseen.watch_failed(WatchProblem::Passing(anyhow!("no route"))).is_ok());
    assert_eq!(unseen.watch_failed(denied()).unwrap_err().to_string(), "log in again");
    let (mut seen, start) = begun();
    seen.watch_failed(denied()).unwrap();
    assert_eq!(seen.problem().unwrap().to_string(), "log in again");
    seen.saw(workspace(2, NEW, None));
    assert!(seen.problem().is_none());
    seen.queried(start, QueryResult::Missing);
    assert!(seen.problem().unwrap().to_string().contains("no such workspace"));
}

#[test]
fn a_request_that_was_allowed_before_is_made_again_after_a_denial() {
    let (mut wait_state, start) = without_operator();
    wait_state.queried(start, QueryResult::Seen(Box::new(workspace(2, OLD, None)), Some("mine".to_owned())));
    wait_state.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
    assert_eq!(
        (wait_state.requests(), wait_state.problem().unwrap().to_string().as_str()),
        (&Channel::Open, "grant patch")
    );
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Request));
}

/// Makes a workspace whose newest revision, [`COMMIT`], is held.
fn held(version: u64, as_of: &str, handled: Option<&str>) -> RototoWorkspace {
    let mut workspace = workspace(version, as_of, handled);
    let status = workspace.status.as_mut().unwrap();
    let held = json!({ "revision": format!("main@sha1:{COMMIT}"), "fingerprint": "sha256:2", "reason": "ShrinkHeld",
        "removes": 3, "since": OLD, "release": "kubectl annotate" });
    status.held = serde_json::from_value(held).unwrap();
    status.published = None;
    workspace
}

#[test]
fn a_target_that_was_held_before_the_wait_is_asked_about() {
    let start = Instant::now();
    let wait = || {
        let mut wait = WaitState::new(WaitTarget::Commit(COMMIT.parse().unwrap()), start);
        wait.saw(held(1, OLD, None));
        wait.answered(start, Err(anyhow!("there is no token")));
        wait
    };
    let is_final = |wait: &WaitState| wait.verdict(start).unwrap().is_final();
    let mut released = wait();
    assert!(!is_final(&released), "somebody may have released it just before");
    assert_eq!(released.next_query(start), (start, Query::Request));
    let requested = |workspace| QueryResult::Seen(Box::new(workspace), Some("mine".to_owned()));
    released.queried(start, requested(held(2, OLD, None)));
    assert!(!is_final(&released) && !released.asks_nobody());
    released.saw(workspace(3, OLD, Some("mine")));
    assert!(matches!(released.verdict(start), Some(WaitVerdict::Converged(_))));

    let mut still_held = wait();
    still_held.queried(start, requested(held(2, OLD, None)));
    still_held.saw(held(3, OLD, Some("mine")));
    assert!(matches!(still_held.verdict(start), Some(WaitVerdict::Held(_, Freshness::Fresh))));

    let mut denied = wait();
    denied.queried(start, QueryResult::Forbidden("grant patch".to_owned()));
    assert!(!is_final(&denied) && denied.asks_nobody());
    let is_over = |wait: &WaitState, second| {
        let now = start + seconds(second);
        wait.is_over(&wait.verdict(now).unwrap(), now)
    };
    assert_eq!([44, 45].map(|second| is_over(&denied, second)), [false, true]);
    assert!(!is_over(&wait(), 45), "a reconcile can be requested");
}

#[test]
fn the_operator_confirms_that_a_target_is_held_only_in_an_answer_after_the_denial() {
    let (start, mut wait) = (Instant::now(), WaitState::new(WaitTarget::Newest, Instant::now()));
    let answer = || {
        let mut answer = answer();
        (answer.source_revision, answer.revisions) = (Some(format!("main@sha1:{COMMIT}")), Vec::new());
        answer
    };
    let mut workspace = held(1, OLD, None);
    workspace.status.as_mut().unwrap().fleet = None;
    wait.saw(workspace);
    let is_final = |wait: &WaitState| wait.verdict(start + seconds(2)).unwrap().is_final();
    wait.answered(start, Ok(answer()));
    assert!(!is_final(&wait));
    wait.queried(start + seconds(1), QueryResult::Forbidden("grant patch".to_owned()));
    assert!(!is_final(&wait), "it may be from the moment before the release");
    wait.answered(start + seconds(2), Ok(answer()));
    assert!(is_final(&wait));
}

#[test]
fn nothing_is_requested_while_the_fleet_is_on_its_way() {
    let (mut wait_state, start) = without_operator();
    let mut moving = workspace(2, NEW, None);
    moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
    wait_state.saw(moving);
    assert_eq!(wait_state.next_query(start), (start + seconds(15), Query::Read));
}

#[test]
fn a_watch_event_older_than_a_query_is_ignored() {
    let (mut wait_state, start) = without_operator();
    let mut moving = workspace(10, NEW, None);
    moving.status.as_mut().unwrap().conditions[2].status = "False".to_owned();
    wait_state.queried(start, QueryResult::Seen(Box::new(moving), None));
    wait_state.saw(workspace(9, NEW, None));
    assert!(matches!(wait_state.verdict(start), Some(WaitVerdict::Pending(_))));
}
