//! When to report: what settles a publish, or stops it, at once; all else as a heartbeat, one report at a time.

use std::ops::RangeInclusive;
use std::time::Duration;

use rototo_api::fleet::{ProcessState, ReportResponse};

use super::fault::Fault;
use super::{ReportedState, StepTime, delay};
use crate::Publish;
use crate::backoff::Backoff;

/// When the first report is due if nothing is applied until then, so that a start that gets stuck is seen.
const FIRST: Duration = Duration::from_secs(1);
const REPORT_BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(15) };
/// Bounds on what the operator may ask for, whatever it answers: how long a report is held, and the heartbeat.
const LONGEST_HELD: Duration = Duration::from_secs(10);
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// The time until the next report that an answer asks for, within sensible bounds.
#[must_use]
pub fn heartbeat(answer: &ReportResponse) -> Duration {
    Duration::from_millis(answer.next_report_in_ms).clamp(*INTERVAL.start(), *INTERVAL.end())
}

/// The last report, and the time of the next.
#[derive(Clone, Debug)]
pub(super) struct Reporting {
    under_way: bool,
    sent: Option<ReportedState>,
    /// Within which time of applying a change the operator wants to hear of it.
    within: Duration,
    /// An applied state that is reported later, and the time of that.
    held: Option<(ReportedState, Duration)>,
    /// The publish that the operator knows to be applied here.
    acknowledged: Option<Publish>,
    due: Duration,
    heartbeat: Duration,
    failures: u32,
    trouble: Option<Fault>,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            under_way: false,
            sent: None,
            within: Duration::ZERO,
            held: None,
            acknowledged: None,
            due: FIRST,
            heartbeat: Duration::ZERO,
            failures: 0,
            trouble: None,
        }
    }
}

impl Reporting {
    /// The report to send now, if one is due or `reported` is news.
    pub(super) fn next(&mut self, reported: ReportedState, tick: StepTime) -> Option<ReportedState> {
        let news = self.sent.as_ref() != Some(&reported) && is_worth_a_report(&reported);
        if !news {
            // What was to be told is no longer so.
            self.held = None;
        }
        let send_now = news && !self.holds(&reported, tick);
        if self.under_way || !(send_now || self.due <= tick.now) {
            return None;
        }
        self.under_way = true;
        self.held = None;
        self.sent = Some(reported.clone());
        Some(reported)
    }

    /// An applied publish is reported at a random time within the limit that the operator gave; everything else at once.
    fn holds(&mut self, reported: &ReportedState, tick: StepTime) -> bool {
        if reported.state != ProcessState::Applied || self.within.is_zero() {
            self.held = None;
            return false;
        }
        let held = self.held.take().filter(|(held, _)| held == reported);
        let (_, until) = self.held.insert(held.unwrap_or_else(|| {
            let until = tick.now + self.within.mul_f64(tick.chance);
            (reported.clone(), until)
        }));
        *until > tick.now
    }

    /// The operator took it, and asks for another after `next`.
    pub(super) fn delivered(&mut self, next: Duration, within: Duration, tick: StepTime) {
        self.within = within.min(LONGEST_HELD);
        let applied = self.sent.as_ref().filter(|sent| sent.state == ProcessState::Applied);
        self.acknowledged = applied.and_then(|sent| sent.publish).or(self.acknowledged);
        self.under_way = false;
        self.failures = 0;
        self.trouble = None;
        self.heartbeat = next;
        self.due = tick.now + self.heartbeat;
    }

    /// The time between two reports, as the operator asked for it last.
    pub(super) fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// The operator asks about other processes of the pod: it is told soon, and however often it asks, once a second.
    pub(super) fn testify(&mut self, tick: StepTime) {
        self.due = self.due.min(tick.now + *INTERVAL.start());
    }

    /// The operator did not take it.
    pub(super) fn failed(&mut self, fault: Fault, tick: StepTime) {
        self.under_way = false;
        self.failures = self.failures.saturating_add(1);
        self.due = tick.now + delay(&fault, REPORT_BACKOFF, self.failures, tick);
        self.trouble = Some(fault);
    }

    /// A report is due now.
    pub(super) fn send_soon(&mut self, tick: StepTime) {
        self.due = tick.now;
    }

    /// Returns whether the operator knows that this is applied here.
    pub(super) fn is_acknowledged(&self, publish: Option<Publish>) -> bool {
        self.acknowledged == publish
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        let held = self.held.as_ref().map(|(_, until)| *until);
        (!self.under_way).then(|| held.map_or(self.due, |held| held.min(self.due)))
    }

    pub(super) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }
}

/// Being on the way is only told when it takes long.
fn is_worth_a_report(reported: &ReportedState) -> bool {
    reported.reason.is_some() || !matches!(reported.state, ProcessState::Starting | ProcessState::Pending)
}
