//! The memory of one workspace's source: the newest content, the last answer, and the next poll.
//!
//! [`SourceRecord`] alone changes it. It begins and ends each poll, so the result of a superseded poll never counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::workspace::{FailOn, RototoWorkspaceSpec, SecretRef, VerifySpec};
use rototo_engine::{Fingerprint, Tree};
use rototo_source::{PinnedSource, SignatureFault, SourceFault, UntrustedObject};
use tokio::task::JoinHandle;

use crate::load::owned_task::OwnedTask;
use crate::source::credentials::SecretError;
use crate::source::memory::KeptLint;
use crate::source::poll::{Candidate, LintVerdict, PollResult};
use crate::source::poll_error::PollError;
use crate::source::schedule::{PollReason, PollTrigger, Schedule};

/// The source of one workspace as the polls found it.
#[derive(Debug, Default)]
pub(crate) struct SourceRecord {
    candidate: Option<Arc<Candidate>>,
    pinned: Option<PinnedSource>,
    linted: Option<Arc<KeptLint>>,
    /// The last answer.
    verified: Option<Verified>,
    /// The part of the spec that the last answer is about.
    answered: Option<ContentSpec>,
    /// The part of the spec as it is now; `None` before the first reconcile.
    wanted: Option<ContentSpec>,
    /// The spec has changed since the last answer about it as it is now.
    has_other_rules: bool,
    /// The time since when the spec has asked for something else than the last answer is about.
    unread_since: Option<Instant>,
    /// The number of failures since the last answer.
    failures: u32,
    /// The last failure, if the source has not answered since.
    error: Option<PollFailure>,
    schedule: Schedule,
    /// The running poll.
    task: OwnedTask,
}

/// The part of a spec that decides on the content of a workspace and on lint's verdict on it. An answer is good for a spec
/// with the same part, whatever else has changed.
#[derive(Clone, Debug, PartialEq)]
struct ContentSpec {
    source: String,
    secret_ref: Option<SecretRef>,
    verify: Option<VerifySpec>,
    fail_on: FailOn,
    tests: bool,
}

impl ContentSpec {
    fn of(spec: &RototoWorkspaceSpec) -> Self {
        Self {
            source: spec.source.clone(),
            secret_ref: spec.secret_ref.clone(),
            verify: spec.verify.clone(),
            fail_on: spec.fail_on(),
            tests: spec.runs_tests(),
        }
    }
}

/// The time of the source's last answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verified {
    /// On the monotonic clock, for ages.
    pub(crate) at: Instant,
    /// On the wall clock, for people.
    pub(crate) time: Timestamp,
}

impl Verified {
    /// Returns the time at which the host was asked for an answer that a poll had now. A neighbour may have asked before that
    /// poll began.
    pub(crate) fn asked(self, asked: Instant) -> Self {
        let ago = self.at.saturating_duration_since(asked);
        Self { at: self.at - ago, time: self.time.checked_sub(ago).unwrap_or(self.time) }
    }
}

/// A failed poll.
#[derive(Clone, Debug)]
pub(crate) struct PollFailure {
    /// The reason that `SourceReady` has.
    pub(crate) reason: &'static str,
    /// One sentence.
    pub(crate) message: String,
    /// Another poll may succeed without a change of the spec.
    pub(crate) transient: bool,
    /// It is no fault of a host that will pass: nobody knows whether the content that was read before is still accepted.
    refuses: bool,
    /// The commit or tag without a valid signature.
    unsigned: Option<UntrustedObject>,
    /// The part of the spec that the poll was about.
    asked: ContentSpec,
}

impl PollFailure {
    fn of(error: &PollError, spec: &RototoWorkspaceSpec) -> Self {
        let unreadable = matches!(error, PollError::Secret(SecretError::Unreadable { .. }));
        let of_secret = matches!(error, PollError::Secret(_)) && !unreadable;
        Self {
            reason: error.reason(),
            message: error.to_string(),
            transient: error.is_transient(),
            refuses: of_secret || !error.is_transient(),
            unsigned: unsigned(error),
            asked: ContentSpec::of(spec),
        }
    }
}

/// Returns the commit or tag that has no valid signature, if the poll failed for that.
fn unsigned(error: &PollError) -> Option<UntrustedObject> {
    let PollError::Source(error) = error else { return None };
    let mut fault = error.fault();
    while let SourceFault::Parent { fault: parent, .. } = fault {
        fault = parent;
    }
    match fault {
        SourceFault::Signature(SignatureFault::Unsigned(object) | SignatureFault::NotTrusted { object, .. }) => {
            Some(object.clone())
        }
        _ => None,
    }
}

/// Returns whether this revision is the commit, or that of the tag.
fn is_about(object: &UntrustedObject, revision: &str) -> bool {
    let (reference, commit) = revision.rsplit_once('@').unwrap_or(("", revision));
    match object {
        UntrustedObject::Commit(unsigned) => commit.rsplit(':').next() == Some(unsigned.as_str()),
        UntrustedObject::Tag(name) => reference.strip_prefix("refs/tags/").unwrap_or(reference) == name,
    }
}

/// The part of the interval for which an answer to one workspace is good enough for others. It is more than half of it by
/// the spread of the polls: workspaces that poll at two times of the interval come together at one of them.
const REUSED: f64 = 0.5 + SPREAD;

/// The part of the interval over which polls are spread.
const SPREAD: f64 = 0.1;

/// The longest time until a Secret that could not be used is read again.
const SECRET_READ_EVERY: Duration = Duration::from_secs(600);

/// A poll that is due.
#[derive(Debug)]
pub(crate) struct DuePoll {
    /// The time from which on an answer of the git host to somebody else is good enough; `None` if none is.
    pub(crate) fresh_since: Option<Instant>,
    /// The result of the last poll.
    pub(crate) known: Option<PollResult>,
}

impl SourceRecord {
    /// Takes the spec of the workspace.
    pub(crate) fn follow(&mut self, spec: &RototoWorkspaceSpec, now: Instant) {
        let wanted = Some(ContentSpec::of(spec));
        self.has_other_rules |= self.wanted.is_some() && self.wanted != wanted;
        self.wanted = wanted;
        self.compare_answer(now);
    }

    /// Notes whether the last answer is about the spec as it is now.
    fn compare_answer(&mut self, now: Instant) {
        let since = *self.unread_since.get_or_insert(now);
        self.unread_since = Some(since).filter(|_| self.answered != self.wanted);
    }

    /// Returns the poll to begin now, if one is due.
    pub(crate) fn due(&mut self, trigger: &PollTrigger, interval: Duration, now: Instant) -> Option<DuePoll> {
        self.clear_finished_poll();
        let reason = self.schedule.due(trigger, now)?;
        let age = match reason {
            PollReason::Interval => interval.mul_f64(REUSED),
            // One call of a host asks for all workspaces of a repository.
            PollReason::Requested => Duration::ZERO,
        };
        // After a failure, the poll asks the host itself: a neighbour's recent failure is no answer.
        let fresh_since = if self.failures == 0 { now.checked_sub(age) } else { None };
        let known = self.candidate.clone().zip(self.pinned.clone()).map(|(candidate, pinned)| {
            let linted = self.linted.clone();
            // The poll that begins writes the time at which the host answers it.
            PollResult { candidate, pinned, asked: now, linted }
        });
        Some(DuePoll { fresh_since, known })
    }

    /// Clears a poll whose task ended without a result, as one that panics does.
    fn clear_finished_poll(&mut self) {
        if !self.task.runs() {
            self.schedule.abandon();
        }
    }

    /// Records that `task` has begun a poll, which supersedes the running one.
    pub(crate) fn poll_started(&mut self, task: JoinHandle<()>, trigger: PollTrigger, now: Instant) {
        self.task.replace(task);
        self.schedule.begin(trigger, now);
    }

    /// Records that the poll of `spec` that began at `began` has `ended` with `result`, which counts unless that poll was
    /// superseded. `jitter` lies between 0 and 1. Returns whether the source has answered for the first time by other rules
    /// than those by which it answered before.
    pub(crate) fn poll_ended(
        &mut self,
        began: Instant,
        result: Result<PollResult, PollError>,
        ended: Verified,
        spec: &RototoWorkspaceSpec,
        jitter: f64,
    ) -> bool {
        let interval = spec.interval();
        let failures = if result.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let wait = match &result {
            Ok(found) if found.candidate.immutable => interval.max(Duration::from_secs(3600)),
            Ok(_) => interval,
            Err(error) => {
                error.retry_after().unwrap_or_default().max(retry_after(failures, longest_wait(error, interval)))
            }
        };
        let next = next_poll(result.as_ref().ok().map(|found| found.asked), ended.at, wait)
            + wait.mul_f64(SPREAD * jitter.clamp(0.0, 1.0));
        let news = result.as_ref().is_ok_and(|found| self.is_news(&found.candidate));
        if !self.schedule.end(began, news, next) {
            return false;
        }
        self.task.ended();
        self.failures = failures;
        match result {
            Ok(PollResult { candidate, pinned, linted, asked }) => {
                let answered = Some(ContentSpec::of(spec));
                let other_spec = self.wanted == answered && std::mem::take(&mut self.has_other_rules);
                let changed = other_spec || self.has_other_signers(&candidate);
                self.linted = linted;
                self.candidate = Some(candidate);
                self.pinned = Some(pinned);
                self.verified = Some(ended.asked(asked));
                self.answered = answered;
                self.compare_answer(ended.at);
                self.error = None;
                changed
            }
            Err(error) => {
                self.error = Some(PollFailure::of(&error, spec));
                false
            }
        }
    }

    /// Returns whether the signers in the Secret are others than those by which the newest content was verified before.
    fn has_other_signers(&self, found: &Candidate) -> bool {
        let before = self.candidate.as_ref().and_then(|candidate| candidate.signature.as_ref());
        before.zip(found.signature.as_ref()).is_some_and(|(before, found)| !before.has_policy_of(found))
    }

    fn is_news(&self, found: &Candidate) -> bool {
        let known = self.candidate.as_ref().map(|candidate| candidate.fingerprint);
        let revision = self.candidate.as_ref().and_then(|candidate| candidate.revision.as_ref());
        found.revision.as_ref() != revision || Some(found.fingerprint) != known
    }

    /// Records that the disk no longer has the candidate's content: the next poll is due in a second and reads it
    /// again.
    pub(crate) fn content_lost(&mut self, now: Instant) {
        self.candidate = None;
        self.pinned = None;
        self.schedule.poll_at(now + Duration::from_secs(1));
    }

    /// Makes a poll due whose answer is younger than `now`.
    pub(crate) fn request_poll(&mut self, now: Instant) {
        self.schedule.request(now);
    }

    /// Records that a webhook has called.
    pub(crate) fn webhook_called(&mut self, now: Instant) {
        self.schedule.called(now);
    }

    /// Ends the running poll, because the workspace is forgotten or suspended.
    pub(crate) fn abort_poll(&mut self) {
        self.task.end();
        self.schedule.abandon();
    }

    /// Returns the newest content of the source.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_deref()
    }

    /// Returns the newest content of the source, if lint accepts it.
    pub(crate) fn accepted(&self) -> Option<&Candidate> {
        self.candidate().filter(|candidate| candidate.verdict == LintVerdict::Accepted)
    }

    /// Returns the documents of the newest content, if they are in memory.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        self.linted.as_ref().map(|kept| kept.linted().parsed().tree())
    }

    /// Returns the newest content of the source, if it is that of `fingerprint`.
    pub(crate) fn candidate_of(&self, fingerprint: Fingerprint) -> Option<&Candidate> {
        self.candidate().filter(|candidate| candidate.fingerprint == fingerprint)
    }

    /// Returns whether a poll is running.
    pub(crate) fn is_polling(&self) -> bool {
        self.task.runs()
    }

    /// Returns the time when the next poll is due; `None` while one is running, which requeues the workspace at its
    /// end.
    pub(crate) fn next_poll(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// Returns the trigger of the last poll that has ended, whatever came of it.
    pub(crate) fn last_poll(&self) -> Option<&PollTrigger> {
        self.schedule.last_poll()
    }

    /// Returns the beginning of the last poll that has ended, whatever came of it.
    pub(crate) fn last_poll_began(&self) -> Option<Instant> {
        self.schedule.last_poll_began()
    }

    /// Returns whether the last poll that has ended was one of this generation of the spec.
    pub(crate) fn was_polled(&self, generation: Option<i64>) -> bool {
        self.last_poll().is_some_and(|trigger| trigger.generation == generation)
    }

    /// Returns the time of the source's last answer.
    pub(crate) fn verified(&self) -> Option<Verified> {
        self.verified
    }

    /// Returns whether the source has answered since this process started.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// Returns the time since when the spec has asked for something that was not read, if it does.
    pub(crate) fn unread_since(&self) -> Option<Instant> {
        self.unread_since
    }

    /// Returns whether what was read is about the spec as it is now, and nothing but faults of hosts that pass came since.
    /// Otherwise nobody knows whether the newest content is still accepted.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.unread_since.is_none() && self.error.as_ref().is_none_or(|error| !error.refuses)
    }

    /// Returns whether the last poll, of the spec as it is now, found that this revision has no valid signature.
    pub(crate) fn rejects(&self, revision: &str) -> bool {
        let error = self.error.as_ref().filter(|error| Some(&error.asked) == self.wanted.as_ref());
        let unsigned = error.and_then(|error| error.unsigned.as_ref());
        unsigned.is_some_and(|object| is_about(object, revision))
    }

    /// Returns whether another poll makes no sense before somebody acts.
    pub(crate) fn is_stalled(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !error.transient)
    }

    /// Returns the time from which on the age of the source's last answer counts. A candidate that can't change grows old
    /// only once the spec asks for something else.
    pub(crate) fn confirmed_at(&self) -> Option<Instant> {
        let fixed_until = self.unread_since.filter(|_| self.is_immutable());
        self.verified.map(|verified| fixed_until.map_or(verified.at, |until| until.max(verified.at)))
    }

    /// Returns the age of the source's last answer. A candidate that can't change never grows old while the spec asks for
    /// it.
    pub(crate) fn verified_ago(&self, now: Instant) -> Option<Duration> {
        if self.is_immutable() && self.unread_since.is_none() {
            return Some(Duration::ZERO);
        }
        self.confirmed_at().map(|confirmed| now.saturating_duration_since(confirmed))
    }

    fn is_immutable(&self) -> bool {
        self.candidate().is_some_and(|candidate| candidate.immutable)
    }

    /// Returns the number of failures since the source's last answer.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the last failure, if the source has not answered since.
    pub(crate) fn error(&self) -> Option<&PollFailure> {
        self.error.as_ref()
    }
}

/// Returns the earliest time of the poll after one that ended at `ended`. The wait counts from the time at which the
/// host was `asked`, also for a neighbour, so that the polls of one repository come together and share one request an
/// interval.
fn next_poll(asked: Option<Instant>, ended: Instant, wait: Duration) -> Instant {
    let wait = wait.mul_f64(1.0 - SPREAD / 2.0);
    asked.map_or(ended + wait, |asked| (asked + wait).max(ended + wait / 2))
}

/// Returns the longest wait after this failure. A Secret that is mended is no event, so it is read again after ten minutes at
/// most.
fn longest_wait(error: &PollError, interval: Duration) -> Duration {
    if matches!(error, PollError::Secret(_)) { interval.min(SECRET_READ_EVERY) } else { interval }
}

/// Returns the wait after a number of failures in a row: it grows from two seconds to `longest`.
fn retry_after(failures: u32, longest: Duration) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(longest.max(Duration::from_secs(5)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use rototo_api::workspace::WorkspaceStatus;
    use rototo_source::{FileSources, Reader, ReaderOptions, Source};

    use super::*;
    use crate::source::poll::PollTimes;

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
}
