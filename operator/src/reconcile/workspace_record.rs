//! The memory of the operator of one workspace, while it runs. Nothing here is the truth: all of it can be had again from
//! git, from the marker, and from the processes' next reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::fleet::ReportResponse;
use rototo_api::workspace::{RototoWorkspaceSpec, RototoWorkspaceStatus};
use rototo_engine::{Fingerprint, Linted};
use rototo_source::PinnedSource;
use tokio::task::AbortHandle;

use rototo_protocol::Publish;
use rototo_protocol::fleet::{Fleet, ReportOutcome};
use rototo_protocol::publisher::{AcceptedPublish, Publisher};

use crate::fleet::clock;
use crate::source::poll::{Candidate, PollError, PollResult};
use crate::source::schedule::{PollTrigger, Schedule};
use crate::status::PublishProblem;

/// One workspace.
#[derive(Debug)]
pub struct WorkspaceRecord {
    /// The UID of the object, so that a namesake created later starts from nothing.
    pub uid: String,
    /// The source and what it said.
    pub source: SourceRecord,
    /// What the marker says, as the API server has accepted it, and what is under way.
    pub publisher: Publisher,
    /// Why the marker could not be written.
    pub problem: Option<PublishProblem>,
    /// How often that has failed in a row.
    pub publish_failures: u32,
    /// When to try a write that failed again.
    pub next_attempt: Option<Instant>,
    /// The content of the marker is not on this disk: when to try next to get it from git.
    pub next_recovery: Option<Instant>,
    /// Who runs what.
    pub fleet: Fleet,
    /// The status as it was written last.
    pub written: Option<WrittenStatus>,
    /// `spec.staleAfter`, for those who ask over HTTP.
    pub stale_after: Duration,
    /// The Secret of `spec.webhook`, for those who call.
    pub webhook: Option<String>,
    /// A report has said something new, and whoever counts is about to be told.
    pub requeue_pending: bool,
    /// `spec.suspend`: what is published is what shall run, without being confirmed.
    pub suspended: bool,
}

/// A status that was written.
#[derive(Clone, Debug)]
pub struct WrittenStatus {
    /// What it says.
    pub status: RototoWorkspaceStatus,
    /// The version of the object with it.
    pub resource_version: u64,
    /// When.
    pub at: Instant,
}

/// The source of one workspace and what it said.
#[derive(Debug, Default)]
pub struct SourceRecord {
    /// The newest content.
    pub candidate: Option<Arc<Candidate>>,
    /// From which layers it is, each at which commit.
    pub pinned: Option<PinnedSource>,
    /// What lint knows of it.
    pub linted: Arc<Linted>,
    /// When the source last answered.
    pub verified: Option<Verified>,
    /// How often it has failed since.
    pub failures: u32,
    /// The last failure, if it has not answered since.
    pub error: Option<PollFailure>,
    /// When to look.
    pub schedule: Schedule,
    /// The task that looks.
    pub task: Option<AbortHandle>,
}

/// When the source last confirmed what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// On the monotonic clock, for ages.
    pub at: Instant,
    /// On the wall clock, for people.
    pub time: Timestamp,
}

/// A failed look.
#[derive(Clone, Debug)]
pub struct PollFailure {
    /// A code for conditions and metrics.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
    /// Whether the same look may succeed later.
    pub transient: bool,
}

impl WorkspaceRecord {
    /// A workspace of which no process has been heard yet.
    #[must_use]
    pub fn new(uid: String, spec: &RototoWorkspaceSpec, fleet: Fleet) -> Self {
        Self {
            uid,
            source: SourceRecord::default(),
            publisher: Publisher::default(),
            problem: None,
            publish_failures: 0,
            next_attempt: None,
            next_recovery: None,
            fleet,
            written: None,
            stale_after: spec.stale_after(),
            webhook: None,
            requeue_pending: false,
            suspended: spec.suspend,
        }
    }

    /// The marker is as it should be, and says this.
    pub fn marker_confirmed(&mut self, published: Option<Publish>) {
        self.publisher.marker_confirmed(published, &mut self.fleet, clock::now());
        self.settled();
    }

    /// The API server has accepted the patch that was sent.
    pub fn accepted(&mut self) -> Option<AcceptedPublish> {
        let accepted_publish = self.publisher.accepted(&mut self.fleet, clock::now());
        self.settled();
        accepted_publish
    }

    fn settled(&mut self) {
        self.problem = None;
        self.publish_failures = 0;
        self.next_attempt = None;
    }

    /// The lease had run out for a while, and reports were turned away: who runs what is counted anew.
    pub fn lapsed(&mut self) {
        self.fleet.listening_interrupted(clock::now());
    }

    /// Snapshots that must not be evicted: what the marker names or is about to, what processes run, and what status
    /// remembers.
    #[must_use]
    pub fn kept(&self) -> BTreeSet<Fingerprint> {
        let history = self.written.iter().flat_map(|written| &written.status.history);
        let named = history.filter_map(|entry| entry.fingerprint.parse().ok());
        let named = named.chain(self.publisher.published().map(|publish| publish.fingerprint));
        let named = named.chain(self.publisher.attempted().map(|publish| publish.fingerprint));
        named
            .chain(self.fleet.named())
            .chain(self.source.candidate.as_ref().map(|candidate| candidate.fingerprint))
            .collect()
    }

    /// How old the last confirmation of what is published is. What can't change, or is not to, never grows old.
    #[must_use]
    pub fn verified_ago(&self, now: Instant) -> Option<Duration> {
        let fixed = self.suspended || self.source.candidate.as_ref().is_some_and(|candidate| candidate.immutable);
        let ago = self.source.verified.map(|verified| now.saturating_duration_since(verified.at));
        if fixed { Some(Duration::ZERO) } else { ago }
    }

    /// The answer to a report: what a process of this workspace should run.
    #[must_use]
    pub fn answer(&self, taken: ReportOutcome, now: Instant) -> ReportResponse {
        let published = self.publisher.published();
        let candidate = self.source.candidate.as_ref();
        let candidate =
            candidate.filter(|candidate| published.is_some_and(|publish| publish.fingerprint == candidate.fingerprint));
        let remembered = || {
            let status = self.written.as_ref()?.status.published.as_ref()?;
            (Some(status.updated_at) == published.map(|publish| publish.updated_at)).then(|| status.revision.clone())?
        };
        ReportResponse {
            fingerprint: published.map(|publish| publish.fingerprint.to_string()),
            updated_at: published.map(|publish| publish.updated_at),
            revision: candidate
                .and_then(|candidate| candidate.revision.as_ref())
                .map(ToString::to_string)
                .or_else(remembered),
            verified_ms_ago: self.verified_ago(now).map(millis),
            stale_after_ms: millis(self.fleet.windows().staleness(self.stale_after)),
            next_report_in_ms: millis(taken.next),
            report_applied_within_ms: millis(taken.applied_within),
            siblings: taken.siblings,
        }
    }
}

impl SourceRecord {
    /// What the last look kept is gone from the disk: looks again soon.
    pub fn lost(&mut self, now: Instant) {
        self.candidate = None;
        self.pinned = None;
        self.schedule.poll_at(now + Duration::from_secs(1));
    }

    /// A task has begun to look. It takes the place of one that is still at work.
    pub fn poll_started(&mut self, task: AbortHandle, trigger: PollTrigger, now: Instant) {
        if let Some(superseded) = self.task.replace(task) {
            superseded.abort();
        }
        self.schedule.begin(trigger, now);
    }

    /// A task that has ended without a word, by a fault in it, is looked for in vain.
    pub fn clear_finished_poll(&mut self) {
        if self.task.take_if(|task| task.is_finished()).is_some() {
            self.schedule.abandon();
        }
    }

    /// Takes what the look that began at `began` gave, unless it was superseded. `jitter` lies between 0 and 1.
    pub fn poll_ended(
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
        let known = self.candidate.as_ref().map(|candidate| candidate.fingerprint);
        let revision = self.candidate.as_ref().and_then(|candidate| candidate.revision.clone());
        let news = matches!(&result, Ok(found) if found.candidate.revision != revision || Some(found.candidate.fingerprint) != known);
        let next = verified.at + wait.mul_f64(0.95 + 0.1 * jitter.clamp(0.0, 1.0));
        if !self.schedule.end(began, news, next) {
            return;
        }
        self.task = None;
        self.failures = failures;
        match result {
            Ok(PollResult { candidate, pinned, linted }) => {
                self.linted = linted;
                self.candidate = Some(candidate);
                self.pinned = Some(pinned);
                self.verified = Some(verified);
                self.error = None;
            }
            Err(error) => {
                let (code, message, transient) = (error.code(), error.to_string(), error.is_transient());
                self.error = Some(PollFailure { code, message, transient });
            }
        }
    }
}

/// Failures are retried sooner than the interval at first, and never more rarely than it.
fn retry_after(failures: u32, interval: Duration) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(interval.max(Duration::from_secs(5)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_retried_soon_and_then_at_the_interval() {
        let waits = [1, 2, 3, 4, 5, 60].map(|failures| retry_after(failures, Duration::from_secs(30)).as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
    }
}
