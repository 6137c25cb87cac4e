//! Tests of what is known about a source, and the results of polls for other tests.

pub(crate) mod signatures;

use std::sync::Arc;

use rototo_api::workspace::WorkspaceStatus;
use rototo_source::{FileSources, Reader, ReaderOptions, Source};

use super::*;
use crate::source::candidate::PollTimes;

/// Returns the spec of a workspace with this source and interval.
pub(crate) fn spec(source: &str, interval: &str) -> RototoWorkspaceSpec {
    serde_json::from_value(serde_json::json!({ "source": source, "interval": interval })).unwrap()
}

/// Returns what a poll of a source finds that can change, or not.
pub(crate) async fn found(immutable: bool) -> PollResult {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
    let options = ReaderOptions { file_sources: FileSources::Allowed, ..ReaderOptions::default() };
    let source: Source = format!("file://{}", folder.path().display()).parse().unwrap();
    let (pinned, tree) = Reader::new(options).unwrap().read(source).await.unwrap();
    let now = Instant::now();
    let candidate = Candidate {
        layers: Vec::new(),
        revision: None,
        commit: None,
        immutable,
        fingerprint: tree.fingerprint(),
        contents: WorkspaceStatus { variables: 0, qualifiers: 0, resources: 0, documents: 1, expired: 0 },
        expiries: Arc::default(),
        signature: None,
        fail_on: FailOn::Error,
        verdict: LintVerdict::Accepted,
        provisional: false,
        times: PollTimes { detected: now, fetched: now, linted: now },
    };
    PollResult { candidate: Arc::new(candidate), pinned, asked: now, linted: None }
}

/// Follows a spec of this generation, and ends a poll of it with `result`.
pub(crate) fn poll(
    record: &mut SourceRecord,
    (spec, generation): (&RototoWorkspaceSpec, i64),
    result: Result<PollResult, PollError>,
    now: Instant,
) {
    record.follow(spec, now);
    let trigger = PollTrigger { generation: Some(generation), request: None };
    record.poll_started(tokio::spawn(std::future::pending()), trigger, now);
    let _ = record.poll_ended(now, result, Verified { at: now, time: Timestamp::now() }, spec, 0.0);
}

/// Returns the result with this revision.
fn at(revision: &str, result: &PollResult) -> PollResult {
    let candidate = Candidate { revision: Some(revision.parse().unwrap()), ..(*result.candidate).clone() };
    PollResult { candidate: Arc::new(candidate), ..result.clone() }
}

const A: &str = "git+https://example.com/config.git#0123456789012345678901234567890123456789";
const B: &str = "git+https://example.com/other.git#main";

fn timed_out<T>() -> Result<T, PollError> {
    Err(PollError::TimedOut(Duration::from_secs(1)))
}

#[tokio::test]
async fn a_call_for_many_takes_an_answer_that_another_of_them_asked_for_after_it() {
    let (mut record, start) = (SourceRecord::default(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let trigger = PollTrigger { generation: Some(1), request: None };
    let due = |record: &mut SourceRecord, seconds: u64| {
        record.due(&trigger, Duration::from_secs(10), at(seconds)).map(|due| due.fresh_since)
    };
    poll(&mut record, (&spec(B, "10s"), 1), Ok(found(false).await), at(0));
    assert_eq!(due(&mut record, 5), None);
    record.webhook_called(at(5));
    assert_eq!(due(&mut record, 5), Some(Some(at(5))));
    poll(&mut record, (&spec(B, "10s"), 1), Ok(found(true).await), at(20));
    poll(&mut record, (&spec(B, "10s"), 1), timed_out(), at(21));
    record.webhook_called(at(30));
    assert_eq!(due(&mut record, 30), Some(None), "the failure of another is no answer");
}

#[tokio::test]
async fn a_revision_whose_content_another_one_has_too_is_remembered_while_the_spec_asks_for_the_same() {
    let (mut record, now, result) = (SourceRecord::default(), Instant::now(), found(false).await);
    let [first, second] = ['a', 'b'].map(|digit| format!("main@sha1:{}", digit.to_string().repeat(40)));
    poll(&mut record, (&spec(B, "10s"), 1), Ok(at(&first, &result)), now);
    poll(&mut record, (&spec(B, "10s"), 1), timed_out(), now);
    poll(&mut record, (&spec(B, "20s"), 2), Ok(at(&second, &result)), now);
    assert_eq!(record.seen().of(result.candidate.fingerprint), [second.clone(), first]);
    poll(&mut record, (&spec(A, "20s"), 3), Ok(at(&second, &result)), now);
    assert_eq!(record.seen().of(result.candidate.fingerprint), [second]);
}

#[tokio::test]
async fn a_source_that_a_changed_spec_names_is_unread_until_it_answers() {
    let (mut record, start) = (SourceRecord::default(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    poll(&mut record, (&spec(A, "10s"), 1), Ok(found(false).await), at(0));
    assert_eq!(record.unread_since(), None);
    // An outage of what was read before, after another change of the spec.
    poll(&mut record, (&spec(A, "20s"), 2), timed_out(), at(1));
    assert_eq!(record.unread_since(), None);
    poll(&mut record, (&spec(B, "20s"), 3), timed_out(), at(2));
    poll(&mut record, (&spec(B, "20s"), 3), timed_out(), at(3));
    assert_eq!((record.unread_since(), record.was_polled(Some(3))), (Some(at(2)), true));
    poll(&mut record, (&spec(B, "20s"), 3), Ok(found(false).await), at(4));
    assert_eq!(record.unread_since(), None);
    for other in [
        serde_json::json!({ "source": B, "secretRef": { "name": "other" } }),
        serde_json::json!({ "source": B, "verify": { "secretRef": { "name": "other" } } }),
        serde_json::json!({ "source": B, "lint": { "failOn": "warning" } }),
    ] {
        poll(&mut record, (&serde_json::from_value(other.clone()).unwrap(), 4), timed_out(), at(5));
        assert_eq!(record.unread_since(), Some(at(5)), "{other}");
        record.follow(&spec(B, "20s"), at(6));
        assert_eq!(record.unread_since(), None);
    }
}

#[tokio::test]
async fn content_is_confirmed_by_an_answer_about_the_present_spec_until_the_source_says_otherwise() {
    let (mut record, now) = (SourceRecord::default(), Instant::now());
    let (first, second) = (spec(A, "10s"), spec(B, "10s"));
    assert!(!record.is_confirmed() || record.candidate().is_none());
    poll(&mut record, (&first, 1), Ok(found(false).await), now);
    assert!(record.is_confirmed());
    poll(&mut record, (&first, 1), timed_out(), now);
    assert!(record.is_confirmed(), "a fault of the host passes");
    let missing = SecretError::Missing { field: "spec.secretRef", namespace: "p".into(), name: "s".into() };
    let invalid = PollError::Invalid("ftp://x".parse::<Source>().unwrap_err());
    for refused in [PollError::Secret(missing), invalid] {
        poll(&mut record, (&first, 1), Err(refused), now);
        assert!(!record.is_confirmed() && record.accepted().is_some());
        poll(&mut record, (&first, 1), Ok(found(false).await), now);
        assert!(record.is_confirmed());
    }
    record.follow(&second, now);
    assert!(!record.is_confirmed(), "the spec names another source");
    poll(&mut record, (&second, 2), timed_out(), now);
    assert!(!record.is_confirmed());
    record.follow(&first, now);
    assert!(!record.is_confirmed() || record.error().is_some(), "the spec names the first one again");
}

#[test]
fn a_signature_fault_is_about_the_commit_or_the_tag_of_a_revision() {
    let (commit, other) = ("4d123d6100000000000000000000000000000000", "4d123d6100000000000000000000000000000001");
    let unsigned = || UntrustedObject::Commit(commit.parse().unwrap());
    let tag = || UntrustedObject::Tag("v1".to_owned());
    for (object, revision, expected) in [
        (unsigned(), format!("main@sha1:{commit}"), true),
        (unsigned(), commit.to_owned(), true),
        (unsigned(), format!("main@sha1:{other}"), false),
        (tag(), format!("v1@sha1:{commit}"), true),
        (tag(), format!("refs/tags/v1@sha1:{commit}"), true),
        (tag(), format!("v2@sha1:{commit}"), false),
    ] {
        assert_eq!(is_about(&object, &revision), expected, "{object} and {revision}");
    }
}

#[tokio::test]
async fn a_full_commit_grows_old_from_the_time_at_which_the_spec_names_another_source() {
    let (mut record, start) = (SourceRecord::default(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    poll(&mut record, (&spec(A, "10s"), 1), Ok(found(true).await), at(0));
    assert_eq!(record.verified_ago(at(3_000)), Some(Duration::ZERO));
    poll(&mut record, (&spec(B, "10s"), 2), timed_out(), at(3_000));
    assert_eq!(record.verified_ago(at(3_007)), Some(Duration::from_secs(7)));
    record.follow(&spec(A, "10s"), at(3_010));
    assert_eq!(record.verified_ago(at(3_010)), Some(Duration::ZERO));
}

/// A hundred workspaces of one repository begin at any time of the interval.
#[test]
fn the_polls_of_one_repository_come_to_share_one_request_an_interval() {
    const INTERVAL: Duration = Duration::from_secs(30);
    let start = Instant::now();
    let mut due: Vec<Instant> = (0..100_u32).map(|number| start + INTERVAL * number / 100).collect();
    let mut asked: Vec<Instant> = Vec::new();
    for round in 0..1_000_u32 {
        due.sort();
        let now = due[0];
        if asked.last().is_none_or(|last| now.duration_since(*last) > INTERVAL.mul_f64(REUSED)) {
            asked.push(now);
        }
        let jitter = INTERVAL.mul_f64(SPREAD * f64::from(round * 37 % 100) / 100.0);
        due[0] = next_poll(asked.last().copied(), now, INTERVAL) + jitter;
    }
    let between = asked.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    let late: Vec<Duration> = between.skip(2).collect();
    assert!(late.len() > 5 && late.iter().all(|between| *between >= INTERVAL.mul_f64(1.0 - SPREAD)), "{late:?}");
}

#[test]
fn a_slow_poll_is_followed_by_a_pause() {
    let asked = Instant::now();
    let (wait, ended) = (Duration::from_secs(30), asked + Duration::from_secs(60));
    assert_eq!(next_poll(Some(asked), ended, wait), ended + wait.mul_f64(0.95) / 2);
}

#[tokio::test]
async fn an_answer_to_a_neighbour_confirms_the_source_at_the_time_at_which_the_host_was_asked() {
    let (spec, asked, minutes) = (spec(B, "1h"), Instant::now(), |minutes: u64| Duration::from_secs(minutes * 60));
    let (mut record, ended) = (SourceRecord::default(), asked + minutes(36));
    let found = PollResult { asked, ..found(false).await };
    record.poll_started(tokio::spawn(std::future::pending()), PollTrigger::default(), ended);
    let time = Timestamp::now();
    let _ = record.poll_ended(ended, Ok(found), Verified { at: ended, time }, &spec, 0.0);
    assert_eq!(record.verified_ago(ended), Some(minutes(36)));
    let verified = record.verified().unwrap();
    assert_eq!((verified.at, time.duration_since(verified.time).unsigned_abs()), (asked, minutes(36)));
    // A repository that works does not become stale by it: staleAfter is two intervals at least.
    assert!(record.next_poll().unwrap() < asked + spec.stale_after());
}

#[test]
fn failures_are_retried_soon_and_then_at_the_interval() {
    let waits = [1, 2, 3, 4, 5, 60].map(|failures| retry_after(failures, Duration::from_secs(30)).as_secs());
    assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
}

#[tokio::test]
async fn a_secret_that_is_mended_after_a_night_is_used_within_ten_minutes() {
    let daily = spec(A, "24h");
    let missing = || SecretError::Missing { field: "spec.secretRef", namespace: "p".into(), name: "s".into() };
    let cases = [(PollError::Secret(missing()), 600), (timed_out::<()>().unwrap_err(), 65_536)];
    for (error, expected) in cases {
        let (mut record, start) = (SourceRecord { failures: 100, ..SourceRecord::default() }, Instant::now());
        poll(&mut record, (&daily, 1), Err(error), start);
        assert_eq!(record.next_poll(), Some(next_poll(None, start, Duration::from_secs(expected))));
    }
    assert_eq!(longest_wait(&PollError::Secret(missing()), Duration::from_secs(30)), Duration::from_secs(30));
}
