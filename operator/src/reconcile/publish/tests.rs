//! What a reconcile decides about publishing, and what it remembers from status.

use rototo_protocol::fleet::{Fleet, FleetStart};
use rototo_protocol::windows::HEARTBEAT;
use serde_json::json;

use super::*;
use crate::source::candidate::{Candidate, LintRefusal, LintVerdict};
use crate::source::poll::PollResult;
use crate::source::poll_error::PollError;
use crate::source::record::tests::signatures::Repository;
use crate::source::record::tests::{found, poll};

const SOURCE: &str = "git+https://example.com/config.git#main";

fn workspace(spec: serde_json::Value, status: serde_json::Value) -> RototoWorkspace {
    let metadata = json!({ "namespace": "prod", "name": "policy", "uid": "1" });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap()
}

fn publish(digit: &str, second: u32) -> Publish {
    let updated_at = format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap();
    Publish { fingerprint: format!("sha256:{}", digit.repeat(64)).parse().unwrap(), updated_at }
}

/// A workspace whose marker announces something beside what is published, and whose source has not answered.
fn rolling(workspace: &RototoWorkspace, next: Publish) -> WorkspaceRecord {
    let fleet = Fleet::new(FleetStart::New, HEARTBEAT, clock::now());
    let mut record = WorkspaceRecord::new("1".to_owned(), &workspace.spec, fleet);
    record.marker_confirmed(Some(Marked { next: Some(next), ..publish("a", 10).into() }));
    record
}

fn judge(record: &mut WorkspaceRecord) {
    let accepted = record.source.accepted().map(|candidate| candidate.fingerprint);
    record.hold.judge(accepted, None);
}

fn decided_on(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> (bool, bool) {
    let input = input(workspace, record, false, (&[], &[]));
    (input.accepted.is_some(), input.candidate_known)
}

#[tokio::test]
async fn what_a_poll_finds_between_judgement_and_decision_is_not_known_yet() {
    let (workspace, now) = (workspace(json!({ "source": SOURCE }), json!({})), Instant::now());
    let result = found(false).await;
    let next = Publish { fingerprint: result.candidate.fingerprint, ..publish("b", 20) };
    let mut record = rolling(&workspace, next);
    judge(&mut record);
    assert_eq!(decided_on(&workspace, &record), (false, false));
    poll(&mut record.source, (&workspace.spec, 1), Ok(result.clone()), now);
    assert_eq!(decided_on(&workspace, &record), (false, false), "it withdraws no announcement");
    judge(&mut record);
    assert_eq!(decided_on(&workspace, &record), (true, true));
    // What lint refuses needs no judgement.
    let refusal = LintRefusal { errors: 1, warnings: 0, findings: Vec::new() };
    let candidate = Candidate { verdict: LintVerdict::Refused(refusal), ..(*result.candidate).clone() };
    let refused = PollResult { candidate: Arc::new(candidate), ..result };
    poll(&mut record.source, (&workspace.spec, 1), Ok(refused), now);
    assert_eq!(decided_on(&workspace, &record), (false, true));
}

#[tokio::test]
async fn nothing_goes_on_with_content_that_the_present_spec_has_not_accepted() {
    let unread = || PollError::TimedOut(std::time::Duration::from_secs(1));
    let (first, now) = (workspace(json!({ "source": SOURCE }), json!({})), Instant::now());
    let result = found(false).await;
    let mut record = rolling(&first, Publish { fingerprint: result.candidate.fingerprint, ..publish("b", 20) });
    poll(&mut record.source, (&first.spec, 1), Ok(result.clone()), now);
    judge(&mut record);
    poll(&mut record.source, (&first.spec, 1), Err(unread()), now);
    assert_eq!(decided_on(&first, &record), (true, true), "a fault of the host passes");
    for changed in [
        json!({ "source": SOURCE, "verify": { "secretRef": { "name": "rototo-signers" } } }),
        json!({ "source": "git+https://example.com/other.git#main" }),
    ] {
        let changed = workspace(changed, json!({}));
        record.follow(&changed.spec);
        assert_eq!(decided_on(&changed, &record), (false, false), "it is being read");
        poll(&mut record.source, (&changed.spec, 2), Err(unread()), now);
        assert_eq!(decided_on(&changed, &record), (false, false));
        assert_eq!(record.released(), Some(result.candidate.fingerprint), "the status shows it as before");
    }
    record.follow(&first.spec);
    poll(&mut record.source, (&first.spec, 3), Ok(result), now);
    assert_eq!(decided_on(&first, &record), (true, true));
}

#[tokio::test]
async fn newer_content_waits_for_no_rollout_that_was_accepted_by_other_rules() {
    let (first, now) = (workspace(json!({ "source": SOURCE }), json!({})), Instant::now());
    let other = workspace(json!({ "source": "git+https://example.com/other.git#main" }), json!({}));
    let (next, result) = (publish("b", 20), found(false).await);
    let mut record = rolling(&first, next);
    let read = |record: &mut WorkspaceRecord, workspace: &RototoWorkspace| {
        record.source.follow(&workspace.spec, now);
        record.source.poll_started(tokio::spawn(std::future::pending()), Default::default(), now);
        let verified = crate::source::record::Verified { at: now, time: jiff::Timestamp::now() };
        if record.source.poll_ended(now, Ok(result.clone()), verified, &workspace.spec, 0.0) {
            record.note_other_rules();
        }
    };
    read(&mut record, &first);
    assert!(record.is_awaited(next), "the source has newer content");
    read(&mut record, &other);
    assert!(!record.is_awaited(next));
    assert!(record.is_awaited(publish("b", 30)), "another rollout");
}

#[tokio::test]
async fn an_announcement_is_withdrawn_while_the_newest_commit_has_no_signature_and_nothing_names_its_own() {
    let repository = Repository::new();
    repository.trust(&repository.key("alice").1);
    repository.commit(None);
    let next = publish("b", 20);
    let rollout = |revision: &str| {
        json!({ "rollout": {
            "revision": revision, "announcedAs": next.updated_at, "step": 0, "steps": 2,
            "since": "2026-11-20T18:40:20Z", "next": "1/1", "stable": "2/2", "promote": "", "abort": "",
        } })
    };
    for (status, is_withdrawn) in [
        (json!({}), true),
        // The status was deleted, and the revision was not known any more when it was written again.
        (rollout(&next.fingerprint.to_string()), true),
        (rollout("main@sha1:4d123d6100000000000000000000000000000000"), false),
    ] {
        let started = workspace(json!({ "source": SOURCE }), status);
        let started = RototoWorkspace { spec: repository.spec.clone(), ..started };
        let mut record = rolling(&started, next);
        assert_eq!(decided_on(&started, &record), (false, false), "nobody knows what the source has");
        repository.poll(&mut record.source).await.unwrap_err();
        assert_eq!(decided_on(&started, &record), (false, is_withdrawn));
    }
}

#[test]
fn status_remembers_what_is_rolled_out_and_in_which_pods() {
    let next = publish("b", 20);
    let rollout = |fingerprint: Option<String>| {
        let status = json!({ "rollout": {
            "revision": "main@sha1:4d123d6", "announcedAs": next.updated_at, "fingerprint": fingerprint, "below": 7,
            "step": 1, "steps": 2, "since": "2026-11-20T18:40:25Z", "next": "1/1", "stable": "2/2", "promote": "",
            "abort": "",
        } });
        remembered_rollout(&workspace(json!({ "source": SOURCE }), status))
    };
    let stage = Stage { step: 1, since: "2026-11-20T18:40:25Z".parse().unwrap(), below: 7 };
    assert_eq!(rollout(Some(next.fingerprint.to_string())), Some((next, stage)));
    assert_eq!(rollout(None), None);
}

#[test]
fn status_remembers_what_was_taken_back_and_under_which_name() {
    let held = |reason: &str, request: &str, analysis: serde_json::Value| {
        let (taken_back, name) = (publish("b", 20), "2026-11-20T18:40:20.000000Z");
        let asked = json!({ "request": request, "by": "unverified", "state": "Over" });
        let held = json!({
            "revision": "main@sha1:4d123d6", "fingerprint": taken_back.fingerprint.to_string(), "reason": reason,
            "since": "2026-11-20T18:41:00Z", "release": "kubectl annotate", "announcedAs": name, "analysis": analysis,
        });
        let status = json!({ "held": held, "request": asked });
        remembered_held(&workspace(json!({ "source": SOURCE }), status))
    };
    let abort = "abort 4d123d6 of=2026-11-20T18:40:20.000000Z";
    let none = serde_json::Value::Null;
    assert_eq!(held("HeldBack", abort, none.clone()), Some((publish("b", 20), Gate::Aborted)));
    let other = "abort 4d123d6 of=2026-11-20T18:40:19.000000Z";
    assert_eq!(held("HeldBack", other, none.clone()), Some((publish("b", 20), Gate::Other)));
    assert_eq!(held("ShrinkHeld", abort, none), None);
}
