//! The memory of one workspace's source: the newest content, the last answer, and the next poll.
//!
//! [`SourceRecord`] alone changes it. It begins and ends each poll, so the result of a superseded poll never counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_engine::{Fingerprint, Tree};
use rototo_source::PinnedSource;
use tokio::task::AbortHandle;

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
    /// The number of failures since the last answer.
    failures: u32,
    /// The last failure, if the source has not answered since.
    error: Option<PollFailure>,
    schedule: Schedule,
    /// The running poll.
    task: Option<AbortHandle>,
}

/// The time of the source's last answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verified {
    /// On the monotonic clock, for ages.
    pub(crate) at: Instant,
    /// On the wall clock, for people.
    pub(crate) time: Timestamp,
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
}

/// The part of the interval for which an answer to one workspace is good enough for others. It is more than half of it by
/// the spread of the polls: workspaces that poll at two times of the interval come together at one of them.
const REUSED: f64 = 0.5 + SPREAD;

/// The part of the interval over which polls are spread.
const SPREAD: f64 = 0.1;

/// A poll that is due.
#[derive(Debug)]
pub(crate) struct DuePoll {
    /// The age up to which the git host's answer to somebody else is good enough.
    pub(crate) age: Duration,
    /// The result of the last poll.
    pub(crate) known: Option<PollResult>,
}

impl SourceRecord {
    /// Returns the poll to begin now, if one is due.
    pub(crate) fn due(&mut self, trigger: &PollTrigger, interval: Duration, now: Instant) -> Option<DuePoll> {
        self.clear_finished_poll();
        let reason = self.schedule.due(trigger, now)?;
        // After a failure, the poll asks the host itself: a neighbour's recent failure is no answer.
        let age = if reason == PollReason::Interval && self.failures == 0 {
            interval.mul_f64(REUSED)
        } else {
            Duration::ZERO
        };
        let known = self.candidate.clone().zip(self.pinned.clone()).map(|(candidate, pinned)| {
            let linted = self.linted.clone();
            // The poll that begins writes the time at which the host answers it.
            PollResult { candidate, pinned, asked: now, linted }
        });
        Some(DuePoll { age, known })
    }

    /// Clears a poll whose task ended without a result, as one that panics does.
    fn clear_finished_poll(&mut self) {
        if self.task.take_if(|task| task.is_finished()).is_some() {
            self.schedule.abandon();
        }
    }

    /// Records that `task` has begun a poll, which supersedes the running one.
    pub(crate) fn poll_started(&mut self, task: AbortHandle, trigger: PollTrigger, now: Instant) {
        if let Some(superseded) = self.task.replace(task) {
            superseded.abort();
        }
        self.schedule.begin(trigger, now);
    }

    /// Records that the poll that began at `began` has ended with `result`, which counts unless that poll was
    /// superseded. `jitter` lies between 0 and 1.
    pub(crate) fn poll_ended(
        &mut self,
        began: Instant,
        result: Result<PollResult, PollError>,
        verified: Verified,
        interval: Duration,
        jitter: f64,
    ) {
        let failures = if result.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let wait = match &result {
            Ok(found) if found.candidate.immutable => interval.max(Duration::from_secs(3600)),
            Ok(_) => interval,
            Err(error) => error.retry_after().unwrap_or_default().max(retry_after(failures, interval)),
        };
        let next = next_poll(result.as_ref().ok().map(|found| found.asked), verified.at, wait)
            + wait.mul_f64(SPREAD * jitter.clamp(0.0, 1.0));
        let news = result.as_ref().is_ok_and(|found| self.is_news(&found.candidate));
        if !self.schedule.end(began, news, next) {
            return;
        }
        self.task = None;
        self.failures = failures;
        match result {
            Ok(PollResult { candidate, pinned, linted, .. }) => {
                self.linted = linted;
                self.candidate = Some(candidate);
                self.pinned = Some(pinned);
                self.verified = Some(verified);
                self.error = None;
            }
            Err(error) => {
                self.error = Some(PollFailure {
                    reason: error.reason(),
                    message: error.to_string(),
                    transient: error.is_transient(),
                });
            }
        }
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
        if let Some(poll) = self.task.take() {
            poll.abort();
            self.schedule.abandon();
        }
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
        self.task.is_some()
    }

    /// Returns the time when the next poll is due; `None` while one is running, which requeues the workspace at its
    /// end.
    pub(crate) fn next_poll(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// Returns the trigger of the last poll that has ended.
    pub(crate) fn answered(&self) -> Option<&PollTrigger> {
        self.schedule.answered()
    }

    /// Returns the beginning of the last poll that has ended.
    pub(crate) fn answered_at(&self) -> Option<Instant> {
        self.schedule.answered_at()
    }

    /// Returns the time of the source's last answer.
    pub(crate) fn verified(&self) -> Option<Verified> {
        self.verified
    }

    /// Returns the age of the source's last answer. A candidate that can't change never grows old.
    pub(crate) fn verified_ago(&self, now: Instant) -> Option<Duration> {
        if self.candidate().is_some_and(|candidate| candidate.immutable) {
            return Some(Duration::ZERO);
        }
        self.verified.map(|verified| now.saturating_duration_since(verified.at))
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

/// Returns the wait after a number of failures in a row: it grows from two seconds to the interval.
fn retry_after(failures: u32, interval: Duration) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(interval.max(Duration::from_secs(5)))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn failures_are_retried_soon_and_then_at_the_interval() {
        let waits = [1, 2, 3, 4, 5, 60].map(|failures| retry_after(failures, Duration::from_secs(30)).as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
    }
}
