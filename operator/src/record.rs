//! What the operator remembers of one workspace while it runs. Nothing here is the truth: all of it can be had again
//! from git, from the marker, and from the processes' next reports.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::fleet::Answer;
use rototo_api::workspace::{RototoWorkspaceSpec, RototoWorkspaceStatus};
use rototo_engine::Fingerprint;
use tokio::task::AbortHandle;

use crate::fleet::{Fleet, Publish, PublishTimes};
use crate::head::{Head, LookError};
use crate::status::PublishProblem;

/// When a call of a webhook is followed by looks. Hosts call before the commit can be read everywhere.
const AFTER_A_CALL: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// One workspace.
#[derive(Debug)]
pub struct Record {
    /// The UID of the object, so that a namesake created later starts from nothing.
    pub uid: String,
    /// The source and what it said.
    pub source: SourceRecord,
    /// What the marker says, as the API server has accepted it.
    pub published: Option<Publish>,
    /// Why the marker could not be written.
    pub problem: Option<PublishProblem>,
    /// How often that has failed in a row.
    pub publish_failures: u32,
    /// The content of the marker is not on this disk: when to try next to get it from git.
    pub next_recovery: Option<Instant>,
    /// Who runs what.
    pub fleet: Fleet,
    /// The status that was written last, and when.
    pub written: Option<(RototoWorkspaceStatus, Instant)>,
    /// `spec.staleAfter`, for those who ask over HTTP.
    pub stale_after: Duration,
    /// The Secret of `spec.webhook`, for those who call.
    pub webhook: Option<String>,
}

/// The source of one workspace and what it said.
#[derive(Debug, Default)]
pub struct SourceRecord {
    /// The newest content.
    pub head: Option<Arc<Head>>,
    /// When the source last answered.
    pub verified: Option<Verified>,
    /// How often it has failed since.
    pub failures: u32,
    /// The last failure, if it has not answered since.
    pub error: Option<Failure>,
    /// When to look again; `None` for now.
    pub next_look: Option<Instant>,
    /// The look that is on its way, and what it is for.
    pub looking: Option<(AbortHandle, Cause)>,
    /// What the last look that ended was for.
    pub looked_for: Option<Cause>,
    asked_again: Option<AskedAgain>,
    /// When a webhook's call asks for a look.
    bells: VecDeque<Instant>,
}

/// A question that no look answers which had begun before it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedAgain {
    /// No look has begun since.
    Waiting,
    /// One has.
    Looking,
    /// One has ended, whatever came of it.
    Answered,
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
pub struct Failure {
    /// A code for conditions and metrics.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
    /// Whether the same look may succeed later.
    pub transient: bool,
}

/// What asked for a look, beyond the interval. A look counts for what was asked before it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The value of the annotation that asks for a reconcile.
    pub request: Option<String>,
}

impl Record {
    /// A workspace that nothing is known of yet.
    #[must_use]
    pub fn new(uid: String, spec: &RototoWorkspaceSpec, now: Instant) -> Self {
        Self {
            uid,
            source: SourceRecord::default(),
            published: None,
            problem: None,
            publish_failures: 0,
            next_recovery: None,
            fleet: Fleet::new(now),
            written: None,
            stale_after: spec.stale_after(),
            webhook: None,
        }
    }

    /// What the marker says, and the times of a publish that this process has just made.
    pub fn saw_published(&mut self, publish: Option<Publish>, now: Instant) {
        match &publish {
            Some(publish) => self.fleet.recount(publish.clone(), now),
            None => self.fleet.unpublished(),
        }
        self.published = publish;
        self.problem = None;
        self.publish_failures = 0;
        self.source.asked_again = None;
    }

    /// What must not be forgotten: what the marker names or is about to, what processes run, and what status remembers.
    #[must_use]
    pub fn kept(&self) -> BTreeSet<Fingerprint> {
        let history = self.written.iter().flat_map(|(status, _)| &status.history);
        let named = history.map(|entry| entry.fingerprint.as_str());
        let named = named.chain(self.published.iter().map(|publish| publish.fingerprint.as_str()));
        let named = named.chain(self.fleet.running()).filter_map(|fingerprint| fingerprint.parse().ok());
        named.chain(self.source.head.as_ref().map(|head| head.fingerprint)).collect()
    }

    /// The times of the publish that the head is about to become.
    #[must_use]
    pub fn publish_times(&self, published: Instant) -> Option<PublishTimes> {
        let times = self.source.head.as_ref()?.times;
        Some(PublishTimes { detected: times.detected, fetched: times.fetched, linted: times.linted, published })
    }

    /// What a process of this workspace should run.
    #[must_use]
    pub fn answer(&self, next_report: Duration, now: Instant) -> Answer {
        let published = self.published.as_ref();
        let head = self.source.head.as_ref();
        let head =
            head.filter(|head| published.is_some_and(|publish| publish.fingerprint == head.fingerprint.to_string()));
        let remembered = || {
            let status = self.written.as_ref()?.0.published.as_ref()?;
            (Some(status.updated_at) == published.map(|publish| publish.updated_at)).then(|| status.revision.clone())?
        };
        Answer {
            fingerprint: published.map(|publish| publish.fingerprint.clone()),
            updated_at: published.map(|publish| publish.updated_at),
            revision: head.and_then(|head| head.revision.as_ref()).map(ToString::to_string).or_else(remembered),
            verified_ms_ago: self.source.verified.map(|verified| millis(now.saturating_duration_since(verified.at))),
            stale_after_ms: millis(self.stale_after),
            next_report_in_ms: millis(next_report),
        }
    }
}

impl SourceRecord {
    /// Whether the source should be looked at now.
    #[must_use]
    pub fn is_due(&self, cause: &Cause, now: Instant) -> bool {
        self.is_asked(cause, now) || self.looking.is_none() && self.next_look.is_none_or(|next| next <= now)
    }

    /// Whether somebody wants to know what no look is on its way for, nor has ended that was.
    #[must_use]
    pub fn is_asked(&self, cause: &Cause, now: Instant) -> bool {
        let known = self.looking.as_ref().map(|(_, cause)| cause).or(self.looked_for.as_ref());
        // Calls wait for the look that is on its way: who calls all the time must not keep it from ending.
        let rung = self.looking.is_none() && self.bells.front().is_some_and(|bell| *bell <= now);
        known != Some(cause) || self.asked_again == Some(AskedAgain::Waiting) || rung
    }

    /// A webhook has called: look now, and again shortly after when nothing new was there yet.
    pub fn ring(&mut self, now: Instant) {
        self.bells = AFTER_A_CALL.iter().map(|after| now + *after).collect();
    }

    /// When the next look is due that nobody is waiting for in this moment.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        if self.looking.is_some() {
            return None;
        }
        self.next_look.into_iter().chain(self.bells.front().copied()).min()
    }

    /// A look has begun.
    pub fn looks(&mut self, look: AbortHandle, cause: Cause, now: Instant) {
        while self.bells.front().is_some_and(|bell| *bell <= now) {
            self.bells.pop_front();
        }
        if let Some((superseded, _)) = self.looking.replace((look, cause)) {
            superseded.abort();
        }
        if self.asked_again.is_some() {
            self.asked_again = Some(AskedAgain::Looking);
        }
    }

    /// What the last look kept is gone from the disk: looks again soon.
    pub fn lost(&mut self, now: Instant) {
        self.head = None;
        self.next_look = Some(now + Duration::from_secs(1));
    }

    /// Wants an answer that is younger than now. Says whether this is news.
    pub fn ask_again(&mut self) -> bool {
        let news = self.asked_again.is_none();
        self.asked_again.get_or_insert(AskedAgain::Waiting);
        news
    }

    /// Whether there is an answer that is younger than the question.
    #[must_use]
    pub fn was_asked_again(&self) -> bool {
        self.asked_again == Some(AskedAgain::Answered)
    }

    /// Takes what a look gave, and settles when the next is due. `jitter` lies between 0 and 1.
    pub fn looked(
        &mut self,
        result: Result<Arc<Head>, LookError>,
        verified: Verified,
        interval: Duration,
        jitter: f64,
    ) {
        self.looked_for = self.looking.take().map(|(_, cause)| cause);
        if self.asked_again == Some(AskedAgain::Looking) {
            self.asked_again = Some(AskedAgain::Answered);
        }
        let wait = match result {
            Ok(head) => {
                let fixed = head.immutable;
                if self.head.as_ref().is_none_or(|known| known.revision != head.revision) {
                    self.bells.clear();
                }
                self.head = Some(head);
                self.verified = Some(verified);
                self.failures = 0;
                self.error = None;
                // A full commit can't move; it is still confirmed now and then, in case it has vanished.
                if fixed { interval.max(Duration::from_secs(3600)) } else { interval }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.error =
                    Some(Failure { code: error.code(), message: error.to_string(), transient: error.is_transient() });
                retry_after(self.failures, interval)
            }
        };
        self.next_look = Some(verified.at + wait.mul_f64(0.95 + 0.1 * jitter.clamp(0.0, 1.0)));
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

    fn cause(generation: i64) -> Cause {
        Cause { generation: Some(generation), request: None }
    }

    #[test]
    fn a_new_spec_is_looked_at_before_the_interval_is_over() {
        let now = Instant::now();
        let mut source = SourceRecord { looked_for: Some(cause(1)), ..SourceRecord::default() };
        source.next_look = Some(now + Duration::from_secs(30));
        assert!(!source.is_due(&cause(1), now));
        assert!(source.is_due(&cause(2), now));
        assert!(source.is_due(&Cause { request: Some("now".to_owned()), ..cause(1) }, now));
        assert!(source.is_due(&cause(1), now + Duration::from_secs(30)));
    }

    #[test]
    fn a_call_is_followed_by_three_looks_unless_one_finds_news() {
        let now = Instant::now();
        let settled = || SourceRecord {
            looked_for: Some(cause(1)),
            next_look: Some(now + Duration::from_secs(30)),
            ..SourceRecord::default()
        };
        let mut source = settled();
        source.ring(now);
        for second in [0, 1, 4] {
            let then = now + Duration::from_secs(second);
            assert!(source.is_due(&cause(1), then), "{second}");
            source.bells.pop_front();
        }
        assert!(!source.is_due(&cause(1), now + Duration::from_secs(5)));
        assert_eq!(source.next_due(), settled().next_look);
    }

    #[test]
    fn failures_are_retried_soon_and_then_at_the_interval() {
        let waits = [1, 2, 3, 4, 5, 60].map(|failures| retry_after(failures, Duration::from_secs(30)).as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
    }
}
