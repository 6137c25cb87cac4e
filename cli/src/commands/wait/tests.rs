use rototo_api::workspace::RototoWorkspace;
use serde_json::{Value, json};

use super::*;
use crate::cluster::WatchProblem;
use crate::cluster::wait_state::QueryResult;

const A: &str = "main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "main@sha1:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const TIME: &str = "2026-11-20T18:40:00Z";

/// Makes a workspace whose fleet runs `revisions`, with `changes` to it.
fn workspace(revisions: &[&str], changes: Value) -> RototoWorkspace {
    let condition = |type_: &str| {
        json!({"type": type_, "status": "True", "reason": "Test", "message": "",
        "lastTransitionTime": TIME})
    };
    let conditions = ["Ready", "Published", "Converged"].map(condition);
    let mut workspace = json!({
        "metadata": { "name": "degradation", "uid": "1", "generation": 1 },
        "spec": { "source": "git+https://git.example.com/acme/config.git" },
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "published": { "fingerprint": "sha256:9f2c1a7d00", "updatedAt": "2026-11-20T18:38:00.000000Z",
                "revisions": revisions },
            "fleet": { "expected": 37, "processes": 37, "applied": 37, "rejected": 0, "silent": 0, "asOf": TIME },
        },
    });
    workspace.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(workspace).unwrap()
}

/// Returns a wait for [`A`] that has seen these workspaces.
fn ended(seen: &[RototoWorkspace]) -> WaitEnd {
    let (namespace, name) = ("prod".to_owned(), "degradation".to_owned());
    let ended = FinishedWait::of(waiting(seen), Instant::now()).unwrap();
    WaitEnd { namespace, name, ended, timeout: Duration::from_secs(60) }
}

/// Returns the state of a wait for [`A`] that has seen these workspaces.
fn waiting(seen: &[RototoWorkspace]) -> WaitState {
    let start = Instant::now();
    let mut wait_state = WaitState::new(revision(A).unwrap(), start);
    wait_state.answered(start, Err(anyhow!("there is no token")));
    for workspace in seen {
        wait_state.saw(workspace.clone());
    }
    wait_state
}

fn check(end: &WaitEnd, code: u8, text: &str) {
    assert_eq!((end.code(), end.text().as_str()), (code, text));
}

fn dated(mut workspace: RototoWorkspace) -> RototoWorkspace {
    let fleet = workspace.status.as_mut().unwrap().fleet.as_mut().unwrap();
    fleet.as_of = Some(serde_json::from_value(json!("2026-11-20T18:40:01Z")).unwrap());
    workspace
}

#[test]
fn a_confirmed_claim_is_success_and_shown_with_its_date() {
    let seen = workspace(&[A], json!({}));
    let ended = ended(&[seen.clone(), dated(seen)]);
    check(&ended, 0, "main@sha1:aaaaaaaa is 9f2c1a7d, fleet 37/37, as of 2026-11-20T18:40:01Z");
    let report = serde_json::to_value(ended.report()).unwrap();
    assert_eq!((&report["outcome"], &report["confirmed_by"]), (&json!("converged"), &json!("status")));
    assert_eq!(report["as_of"], "2026-11-20T18:40:01Z");
}

#[test]
fn a_commit_that_another_followed_is_named_beside_it() {
    let seen = workspace(&[B, A], json!({}));
    let text =
        "main@sha1:aaaaaaaa is 9f2c1a7d like the newer main@sha1:bbbbbbbb, fleet 37/37, as of 2026-11-20T18:40:01Z";
    check(&ended(&[seen.clone(), dated(seen)]), 0, text);
}

#[test]
fn the_publish_of_a_suspended_workspace_is_success_with_a_remark() {
    let spec = json!({ "spec": { "source": "git+https://git.example.com/acme/config.git", "suspend": true } });
    let seen = workspace(&[A], spec.clone());
    let text = "main@sha1:aaaaaaaa is 9f2c1a7d, fleet 37/37, as of 2026-11-20T18:40:01Z; the workspace is \
        suspended, so nothing newer will be published";
    check(&ended(&[seen.clone(), dated(seen)]), 0, text);
    let text = "it is not published, and the workspace is suspended, so it will not be: unset spec.suspend first";
    check(&ended(&[workspace(&[B], spec)]), 1, text);
}

#[test]
fn an_unconfirmed_claim_has_an_exit_code_of_its_own_and_says_what_is_missing() {
    let seen = workspace(&[A], json!({}));
    let mut end = ended(std::slice::from_ref(&seen));
    let text = "not confirmed within 60 s: main@sha1:aaaaaaaa is 9f2c1a7d, fleet 37/37, says a status as of \
        2026-11-20T18:40:00Z, and nothing confirms that this still holds: the operator can't be asked: there is \
        no token; you may not patch";
    end.ended.wait_state.queried(Instant::now(), QueryResult::Forbidden("you may not patch".to_owned()));
    check(&end, 5, text);
    let requested = QueryResult::Seen(Box::new(seen), Some("mine".to_owned()));
    end.ended.wait_state.queried(Instant::now(), requested);
    let text = text.replace("you may not patch", "it has not handled the request to write the status: does it run?");
    check(&end, 5, &text);
    let report = serde_json::to_value(end.report()).unwrap();
    assert_eq!((&report["outcome"], &report["confirmed_by"]), (&json!("unconfirmed"), &json!(null)));
    assert_eq!(report["as_of"], TIME);
}

fn held() -> RototoWorkspace {
    let held = json!({ "revision": A, "fingerprint": "sha256:2", "reason": "ShrinkHeld", "removes": 3, "since": TIME,
        "release": "kubectl annotate" });
    let mut held_workspace = workspace(&[B], json!({}));
    held_workspace.status.as_mut().unwrap().held = serde_json::from_value(held).unwrap();
    held_workspace
}

const HELD: &str = "main@sha1:aaaaaaaa would remove 3 published variables and is held. To publish it: kubectl annotate";

#[test]
fn a_target_that_is_still_held_has_its_exit_code_also_where_the_operator_handles_no_request() {
    let seen = held();
    check(&ended(&[seen.clone(), dated(seen.clone())]), 3, HELD);
    let mut end = ended(std::slice::from_ref(&seen));
    let requested = QueryResult::Seen(Box::new(seen), Some("mine".to_owned()));
    end.ended.wait_state.queried(Instant::now(), requested);
    let because = "the operator can't be asked: there is no token; it has not handled the request to write the \
        status: does it run?";
    let text = format!(
        "a status as of {TIME} says this, and nothing confirmed within 60 s that it still holds ({because}): {HELD}"
    );
    check(&end, 3, &text);
    assert_eq!(serde_json::to_value(end.report()).unwrap()["outcome"], "held");
    let text = present(&end.ended.wait_state, Instant::now(), Instant::now());
    assert_eq!(text, format!("waiting for 0 s: not confirmed ({because}): {HELD}"));
}

#[test]
fn a_refusal_is_unconfirmed_where_nobody_could_be_asked_and_is_printed_nevertheless() {
    let rejected = json!({ "revision": A, "time": TIME, "errors": 1, "warnings": 0 });
    let mut refused = workspace(&[B], json!({}));
    refused.status.as_mut().unwrap().rejected = serde_json::from_value(rejected).unwrap();
    check(&ended(&[refused.clone(), dated(refused.clone())]), 3, "lint refuses main@sha1:aaaaaaaa: 1 error");
    let mut end = ended(&[refused]);
    end.ended.wait_state.queried(Instant::now(), QueryResult::Forbidden("you may not patch".to_owned()));
    let text = format!(
        "a status as of {TIME} says this, and nothing confirmed within 45 s that it still holds (the operator \
            can't be asked: there is no token; you may not patch): lint refuses main@sha1:aaaaaaaa: 1 error"
    );
    check(&end, 5, &text);
    assert_eq!(serde_json::to_value(end.report()).unwrap()["outcome"], "unconfirmed");
}

#[test]
fn a_step_has_been_reached_only_by_a_recent_status() {
    let mut rolling = workspace(&[B], json!({}));
    let rollout = json!({ "revision": A, "step": 1, "steps": 4, "since": TIME, "next": "1/1", "stable": "2/2",
        "promote": "", "abort": "" });
    rolling.status.as_mut().unwrap().rollout = serde_json::from_value(rollout).unwrap();
    let until = |seen: &[RototoWorkspace]| {
        let mut end = ended(seen);
        end.ended.wait_state = end.ended.wait_state.until_stage(Some(StageGoal::Reached(1)));
        end.ended = FinishedWait::of(end.ended.wait_state, Instant::now()).unwrap();
        end
    };
    let says = "step 2 of 4: 1/1 processes run main@sha1:aaaaaaaa, 2/2 what is published";
    check(&until(&[rolling.clone(), dated(rolling.clone())]), 0, says);
    let end = until(&[rolling]);
    let because = "the operator can't be asked: there is no token; no request could be made";
    let text = format!(
        "a status as of {TIME} says this, and nothing confirmed within 60 s that it still holds ({because}): {says}"
    );
    check(&end, 5, &text);
    assert_eq!(serde_json::to_value(end.report()).unwrap()["outcome"], "unconfirmed");
    let text = present(&end.ended.wait_state, Instant::now(), Instant::now());
    assert_eq!(text, format!("waiting for 0 s: not confirmed ({because}): {says}"));
}

#[test]
fn a_wait_that_goes_on_says_what_is_missing() {
    let check = |wait_state: &WaitState, expected: &str| {
        let begin = Instant::now();
        let text = present(wait_state, begin, begin + Duration::from_secs(61));
        assert_eq!(text, format!("waiting for 61 s: {expected}"));
    };
    check(&waiting(&[]), "the API server has not answered");
    let other = ended(&[workspace(&[B], json!({}))]);
    check(&other.ended.wait_state, "the operator has not said more yet");
    let mut old = ended(&[workspace(&[A], json!({}))]);
    let unconfirmed = "not confirmed: the operator can't be asked: there is no token; no request could be made";
    check(&old.ended.wait_state, unconfirmed);
    let failed = WatchProblem::Lasting(anyhow!("log in again"));
    old.ended.wait_state.watch_failed(failed).unwrap();
    check(&old.ended.wait_state, &format!("{unconfirmed}; log in again"));
}

#[test]
fn a_target_that_never_came_is_a_time_out() {
    let other = workspace(&[B], json!({}));
    check(&ended(&[other]), 4, "not converged within 60 s: the operator has not said more yet");
}

#[test]
fn a_workspace_that_was_never_read_is_no_time_out_but_a_failure() {
    let failure = |wait_state| format!("{:#}", FinishedWait::of(wait_state, Instant::now()).unwrap_err());
    let text = "the workspace could not be read in time";
    assert_eq!(failure(waiting(&[])), format!("{text}: the API server has not answered"));
    let mut refused = waiting(&[]);
    refused.watch_failed(WatchProblem::Passing(anyhow!("connection refused"))).unwrap();
    assert_eq!(failure(refused), format!("{text}: connection refused"));
    // Once it was read, a problem is no more than the reason of a time-out.
    let mut seen = waiting(&[workspace(&[B], json!({}))]);
    seen.watch_failed(WatchProblem::Passing(anyhow!("connection refused"))).unwrap();
    assert!(FinishedWait::of(seen, Instant::now()).is_ok());
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
    assert_eq!(duration("1m0s500ms"), Ok(Duration::from_millis(60_500)));
    assert_eq!(duration("1000000h1000000h"), Ok(LONGEST));
    for text in ["", "5", "s", "-5s", "5 s", "5d", "99999999999999999999s", "5µs", "1h30", "1h 30m", "1.5h", "1hm"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_revision_is_a_whole_commit_with_or_without_its_ref() {
    let commit = "2f3c4d5e6f708192aabbccddeeff001122334455";
    assert!(matches!(revision(commit), Ok(WaitTarget::Commit(_))));
    assert!(matches!(revision(&format!("main@sha1:{commit}")), Ok(WaitTarget::Revision(_))));
    assert!(revision("main").is_err() && revision("2f3c4d5").is_err());
}
