//! Where the process stands, as a function of what it knows: for reports, for status, and for whoever waits.

use std::time::Duration;

use rototo_api::fleet::ProcessState;

use super::{Bell, Publish, State, Wanted};
use crate::kubernetes::fault::Fault;

/// What a report says beyond who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: ProcessState,
    pub(crate) publish: Option<Publish>,
    pub(crate) reason: Option<&'static str>,
}

impl State {
    /// Where the process stands.
    pub(crate) fn standing(&self, now: Duration) -> Standing {
        let running = self.running;
        let says = |state, publish, reason| Standing { state, publish, reason };
        match &self.wanted {
            Wanted::Unreadable { fault, .. } => says(ProcessState::Rejected, None, Some(fault.code)),
            Wanted::Nothing(_) if running.is_some() => says(ProcessState::Orphaned, running, None),
            Wanted::Publish(wanted) if running != Some(*wanted) => match self.refusal(*wanted) {
                Some(fault) => says(ProcessState::Rejected, Some(*wanted), Some(fault.code)),
                None => says(ProcessState::Pending, running, self.trouble_with_work().map(|fault| fault.code)),
            },
            _ if running.is_none() => says(ProcessState::Starting, None, self.watch.as_ref().map(|fault| fault.code)),
            // From the disk, and nobody has confirmed it.
            Wanted::Unheard => says(ProcessState::Stale, running, None),
            // That it is applied is told first: else the operator would wait for it until the staleness is over.
            _ if self.is_stale(now) && self.report.is_acknowledged(running) => says(ProcessState::Stale, running, None),
            _ => says(ProcessState::Applied, running, None),
        }
    }

    /// Where the process stands as it says so itself: stale as soon as it is, whatever was told before.
    pub(crate) fn shown(&self, now: Duration) -> ProcessState {
        match self.standing(now).state {
            ProcessState::Applied if self.is_stale(now) => ProcessState::Stale,
            state => state,
        }
    }

    /// Whether it could not be verified for too long that what runs is still right.
    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        self.running.is_some() && now >= self.fresh_until
    }

    /// What stands between the process and what is published, the most decisive first.
    pub(crate) fn trouble(&self) -> Option<&Fault> {
        let unreadable = match &self.wanted {
            Wanted::Unreadable { fault, .. } => Some(fault),
            _ => None,
        };
        let refused = self.wanted.publish().and_then(|wanted| self.refusal(wanted));
        let trouble = unreadable.or(refused).or_else(|| self.trouble_with_work());
        trouble.or(self.watch.as_ref())
    }

    /// Why the operator does not take reports.
    pub(crate) fn trouble_with_reports(&self) -> Option<&Fault> {
        self.report.trouble()
    }

    fn trouble_with_work(&self) -> Option<&Fault> {
        self.work.as_ref().and_then(|work| work.trouble.as_ref())
    }

    /// Why nothing is published, as far as the doorbell shows it.
    pub(crate) fn absence(&self) -> Option<&Bell> {
        match &self.wanted {
            Wanted::Nothing(bell) => Some(bell),
            _ => None,
        }
    }

    /// What runs.
    pub(crate) fn running(&self) -> Option<Publish> {
        self.running
    }

    /// How often in a row what is wanted could not be fetched.
    pub(crate) fn failures(&self) -> u32 {
        self.work.as_ref().map_or(0, |work| work.failures)
    }

    /// Nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.report.is_under_way() && self.work.as_ref().is_none_or(|work| work.waiting.is_some())
    }

    /// When a step is due even if nothing happens.
    pub(crate) fn wake_at(&self, now: Duration) -> Option<Duration> {
        let retry = self.work.as_ref().and_then(|work| work.waiting.as_ref()).map(|(_, due)| *due);
        let report = self.report.wake_at();
        let stale = Some(self.fresh_until).filter(|time| self.running.is_some() && *time > now);
        [retry, report, stale, self.watch_due, self.recall_due].into_iter().flatten().min()
    }
}
