//! When to report: what settles a publish, or stops it, at once; all else as a heartbeat, one report at a time.

use std::ops::RangeInclusive;
use std::time::Duration;

use rototo_api::fleet::ProcessState;

use super::{Publish, Standing, Tick, delay};
use crate::backoff::Backoff;
use crate::kubernetes::fault::Fault;

/// When the first report is due if nothing is applied until then, so that a start that gets stuck is seen.
const FIRST: Duration = Duration::from_secs(1);
const AGAIN: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(15) };
/// Bounds on what the operator may ask for, whatever it answers.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// What was told, and when to tell again.
#[derive(Clone, Debug)]
pub(super) struct Reporting {
    under_way: bool,
    sent: Option<Standing>,
    /// The publish that the operator knows to be applied here.
    acknowledged: Option<Publish>,
    due: Duration,
    failures: u32,
    trouble: Option<Fault>,
}

impl Default for Reporting {
    fn default() -> Self {
        Self { under_way: false, sent: None, acknowledged: None, due: FIRST, failures: 0, trouble: None }
    }
}

impl Reporting {
    /// The report to send now, if one is due or `standing` is news.
    pub(super) fn next(&mut self, standing: Standing, tick: Tick) -> Option<Standing> {
        let news = self.sent.as_ref() != Some(&standing) && is_worth_a_report(&standing);
        if self.under_way || !(news || self.due <= tick.now) {
            return None;
        }
        self.under_way = true;
        self.sent = Some(standing.clone());
        Some(standing)
    }

    /// The operator took it, and asks for another after `next`.
    pub(super) fn delivered(&mut self, next: Duration, tick: Tick) {
        let applied = self.sent.as_ref().filter(|sent| sent.state == ProcessState::Applied);
        self.acknowledged = applied.and_then(|sent| sent.publish).or(self.acknowledged);
        self.under_way = false;
        self.failures = 0;
        self.trouble = None;
        self.due = tick.now + next.clamp(*INTERVAL.start(), *INTERVAL.end());
    }

    /// The operator did not take it.
    pub(super) fn failed(&mut self, fault: Fault, tick: Tick) {
        self.under_way = false;
        self.failures = self.failures.saturating_add(1);
        self.due = tick.now + delay(&fault, AGAIN, self.failures, tick);
        self.trouble = Some(fault);
    }

    /// A report is due now.
    pub(super) fn hasten(&mut self, tick: Tick) {
        self.due = tick.now;
    }

    /// Whether the operator knows that this is applied here.
    pub(super) fn is_acknowledged(&self, publish: Option<Publish>) -> bool {
        self.acknowledged == publish
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        (!self.under_way).then_some(self.due)
    }

    pub(super) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }
}

/// Being on the way is only told when it takes long.
fn is_worth_a_report(standing: &Standing) -> bool {
    standing.reason.is_some() || !matches!(standing.state, ProcessState::Starting | ProcessState::Pending)
}
