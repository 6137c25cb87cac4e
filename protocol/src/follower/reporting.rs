//! Decides when to report, one report at a time: at once what settles a publish or stops it, everything else with the
//! next heartbeat.

use std::ops::RangeInclusive;
use std::time::Duration;

use rototo_api::fleet::{ProcessState, ReportResponse};

use super::fault::Fault;
use super::{ReportedState, StepTime, delay};
use crate::Publish;
use crate::backoff::Backoff;

/// The time of the first report if nothing is applied before, so that a start that hangs is visible.
const FIRST: Duration = Duration::from_secs(1);
/// The wait between attempts at a report. No wait is longer than the heartbeat, so that a new operator receives a report
/// of every process before its recount ends.
const REPORT_BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(15) };
/// The longest time for which a process delays a report, whatever the operator asks for.
const LONGEST_HELD: Duration = Duration::from_secs(10);
/// The limits of the heartbeat, whatever the operator asks for.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// The time until the report that the process has drained is repeated, if there was no response.
const DRAINED_AGAIN: Duration = Duration::from_secs(15);

/// Returns the time until a process reports again that it has drained, after this response.
#[must_use]
pub fn next_drained_report(answer: Option<&ReportResponse>) -> Duration {
    answer.map_or(DRAINED_AGAIN, heartbeat)
}

/// Returns the time until the next report that a response asks for, limited to 1 s to 1 h.
pub(super) fn heartbeat(answer: &ReportResponse) -> Duration {
    Duration::from_millis(answer.next_report_in_ms).clamp(*INTERVAL.start(), *INTERVAL.end())
}

/// The last report, and the time of the next.
#[derive(Clone, Debug)]
pub(super) struct Reporting {
    under_way: bool,
    /// True if another report was asked for while one was under way, whose response may be older than that.
    again: bool,
    sent: Option<ReportedState>,
    /// The time after applying a change within which the operator wants the report.
    within: Duration,
    /// An applied state that is reported later, and the time of that report.
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
            again: false,
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
    /// Returns the report to send now, if one is due or if `reported` is news.
    pub(super) fn next(&mut self, reported: ReportedState, tick: StepTime) -> Option<ReportedState> {
        let news = self.is_news(&reported) && is_worth_a_report(&reported);
        if !news {
            // The state that was to be reported no longer holds.
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

    /// Returns whether the operator has not been sent this. That an announced publish is no longer prepared is told with
    /// the next report, which mostly follows at once.
    fn is_news(&self, reported: &ReportedState) -> bool {
        let Some(sent) = &self.sent else { return true };
        let next = reported.next.or(sent.next);
        *sent != ReportedState { next, ..reported.clone() }
    }

    /// Returns whether the report is delayed. An applied publish is reported at a random time within the limit that the
    /// operator set; everything else is reported at once.
    fn holds(&mut self, reported: &ReportedState, tick: StepTime) -> bool {
        // The operator waits for the answers about an announced publish before it publishes it.
        let prepares = reported.next.is_some() && self.sent.as_ref().is_none_or(|sent| sent.next != reported.next);
        if reported.state != ProcessState::Applied || self.within.is_zero() || prepares {
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

    /// Records that the operator took the report, and asks for another after `next`.
    pub(super) fn delivered(&mut self, next: Duration, within: Duration, tick: StepTime) {
        self.within = within.min(LONGEST_HELD);
        let applied = self.sent.as_ref().filter(|sent| sent.state == ProcessState::Applied);
        self.acknowledged = applied.and_then(|sent| sent.publish).or(self.acknowledged);
        self.under_way = false;
        self.failures = 0;
        self.trouble = None;
        self.heartbeat = next;
        let again = std::mem::take(&mut self.again);
        self.due = if again { tick.now } else { tick.now + self.heartbeat };
    }

    /// Returns the time between two reports that the operator asked for last.
    pub(super) fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Schedules a report soon, because the operator asks about other processes of the pod: at most once a second,
    /// however often it asks.
    pub(super) fn testify(&mut self, tick: StepTime) {
        self.due = self.due.min(tick.now + *INTERVAL.start());
    }

    /// Records that the operator did not take the report.
    pub(super) fn failed(&mut self, fault: Fault, tick: StepTime) {
        (self.under_way, self.again) = (false, false);
        self.failures = self.failures.saturating_add(1);
        self.due = tick.now + delay(&fault, self.backoff(), self.failures, tick);
        self.trouble = Some(fault);
    }

    fn backoff(&self) -> Backoff {
        match self.heartbeat {
            Duration::ZERO => REPORT_BACKOFF,
            heartbeat => Backoff { cap: REPORT_BACKOFF.cap.min(heartbeat), ..REPORT_BACKOFF },
        }
    }

    /// Makes a report due now, or as soon as the one under way has ended.
    pub(super) fn send_soon(&mut self, tick: StepTime) {
        self.due = tick.now;
        self.again = self.under_way;
    }

    /// Returns whether the operator knows that this publish is applied here.
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

/// Returns whether a new state is reported at once. A process that is on its way reports that only when it takes long.
fn is_worth_a_report(reported: &ReportedState) -> bool {
    reported.reason.is_some() || !matches!(reported.state, ProcessState::Starting | ProcessState::Pending)
}
