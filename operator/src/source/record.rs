//! The memory of one workspace's source: the newest content, the last answer, and the next poll.
//!
//! [`SourceRecord`] alone changes it. It begins and ends each poll, so the result of a superseded poll never counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::workspace::{FailOn, RototoWorkspaceSpec, SecretRef, VerifySpec};
use rototo_engine::{Digest, Fingerprint, Tree};
use rototo_source::{PinnedSource, SignatureFault, SourceFault, UntrustedObject};
use tokio::task::JoinHandle;

use crate::load::owned_task::OwnedTask;
use crate::source::candidate::{Candidate, LintVerdict};
use crate::source::credentials::SecretError;
use crate::source::memory::KeptLint;
use crate::source::poll::PollResult;
use crate::source::poll_error::PollError;
use crate::source::schedule::{PollReason, PollTrigger, Schedule};
use crate::source::seen_revisions::SeenRevisions;

/// The source of one workspace as the polls found it.
#[derive(Debug, Default)]
pub(crate) struct SourceRecord {
    candidate: Option<Arc<Candidate>>,
    /// The revisions that have its content, and those of the contents before.
    seen: SeenRevisions,
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
    /// The digest of the policy by which it was verified.
    policy: Option<Digest>,
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
            policy: match error {
                PollError::Unverified { policy, .. } => Some(*policy),
                _ => None,
            },
            asked: ContentSpec::of(spec),
        }
    }
}

/// Returns the commit or tag that has no valid signature, if the poll failed for that.
fn unsigned(error: &PollError) -> Option<UntrustedObject> {
    match error.fault()? {
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
                if self.answered != answered {
                    self.seen = SeenRevisions::default();
                }
                if let Some(revision) = &candidate.revision {
                    self.seen.add(candidate.fingerprint, revision.to_string());
                }
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

    /// Returns the revisions that the polls found, by content.
    pub(crate) fn seen(&self) -> &SeenRevisions {
        &self.seen
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

    /// Returns whether what was read is about the spec as it is now, and nothing came since but faults of hosts that pass, and
    /// commits without a valid signature. Otherwise nobody knows whether the newest content is still accepted.
    pub(crate) fn is_confirmed(&self) -> bool {
        let passes = |error: &PollFailure| !error.refuses || self.is_about_others(error);
        self.unread_since.is_none() && self.error.as_ref().is_none_or(passes)
    }

    /// Returns whether a failure says nothing about the newest content: another commit has no valid signature, by the policy
    /// by which that content was verified. Whoever can push a commit without a signature stops nothing.
    fn is_about_others(&self, error: &PollFailure) -> bool {
        let (Some(object), Some(policy), Some(candidate)) = (&error.unsigned, error.policy, self.candidate()) else {
            return false;
        };
        let same_policy = candidate.signature.as_ref().is_some_and(|signature| signature.is_by(policy));
        let own = candidate.revision.iter().map(ToString::to_string);
        let mut read = own.chain(candidate.layers.iter().filter_map(|layer| layer.commit.clone()));
        Some(&error.asked) == self.wanted.as_ref() && same_policy && !read.any(|revision| is_about(object, &revision))
    }

    /// Returns whether the last poll, of the spec as it is now, found that this revision has no valid signature.
    pub(crate) fn rejects(&self, revision: &str) -> bool {
        self.unsigned().is_some_and(|object| is_about(object, revision))
    }

    /// Returns what the last poll, of the spec as it is now, found without a valid signature.
    pub(crate) fn unsigned(&self) -> Option<&UntrustedObject> {
        let error = self.error.as_ref().filter(|error| Some(&error.asked) == self.wanted.as_ref());
        error.and_then(|error| error.unsigned.as_ref())
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
pub(crate) mod tests;
