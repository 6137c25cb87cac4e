//! The standing of a process, as a function of what it knows: for reports, for status, and for whoever waits.

use std::time::Duration;

use rototo_api::fleet::ProcessState;

use super::fault::Fault;
use super::{Desired, FollowerState, ObservedMarker};
use crate::Publish;

/// The standing of a handle, or of all handles of a process together: what a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedState {
    /// Where it is on its way to what it should run.
    pub state: ProcessState,
    /// The publish that it resolves from, or that it refuses.
    pub publish: Option<Publish>,
    /// A code that explains the state.
    pub reason: Option<&'static str>,
}

/// The standing of a process with several handles: the worst state, and the oldest publish that any of them resolves.
/// Handles that resolve different publishes make the process `pending`, as it runs none of them. `None` where there is no
/// handle.
pub fn combine<'a>(handles: impl IntoIterator<Item = &'a ReportedState, IntoIter: Clone>) -> Option<ReportedState> {
    let handles = handles.into_iter();
    let worst = handles.clone().max_by_key(|reported| severity(reported.state))?;
    if worst.state == ProcessState::Rejected {
        return Some(worst.clone());
    }
    let resolving =
        handles.filter(|reported| reported.state != ProcessState::Draining).map(|reported| reported.publish);
    // A handle that resolves nothing yet comes before any publish.
    let oldest = resolving.clone().min_by_key(|publish| publish.map(|publish| publish.updated_at)).flatten();
    // A marker may be set back to an older name: that the others run the newer one does not make the older one run.
    let differ = resolving.filter(|publish| *publish != oldest).count() > 0;
    let on_the_way = severity(worst.state) >= severity(ProcessState::Pending);
    let state = if differ && !on_the_way { ProcessState::Pending } else { worst.state };
    Some(ReportedState { state, publish: oldest, reason: worst.reason })
}

fn severity(state: ProcessState) -> u8 {
    match state {
        ProcessState::Draining => 0,
        ProcessState::Applied => 1,
        ProcessState::Stale => 2,
        ProcessState::Orphaned => 3,
        ProcessState::Pending | ProcessState::Silent | ProcessState::Unknown => 4,
        ProcessState::Starting => 5,
        ProcessState::Rejected => 6,
    }
}

impl FollowerState {
    /// The standing of this handle.
    pub fn reported(&self, now: Duration) -> ReportedState {
        let running = self.running;
        let says = |state, publish, reason| ReportedState { state, publish, reason };
        match &self.desired {
            Desired::Unreadable { fault, .. } => says(ProcessState::Rejected, None, Some(fault.code)),
            Desired::Nothing(_) if running.is_some() => says(ProcessState::Orphaned, running, None),
            Desired::Publish(desired) if running != Some(*desired) => match self.refusal(*desired) {
                Some(refused) => says(ProcessState::Rejected, Some(*desired), Some(refused.fault.code)),
                None => says(ProcessState::Pending, running, self.fetch_trouble().map(|fault| fault.code)),
            },
            _ if running.is_none() => says(ProcessState::Starting, None, self.watch.as_ref().map(|fault| fault.code)),
            // From the disk, and nobody has confirmed it.
            Desired::NotListed => says(ProcessState::Stale, running, None),
            // That it is applied is told first: else the operator would wait for it until the staleness is over.
            _ if self.is_stale(now) && self.report.is_acknowledged(running) => says(ProcessState::Stale, running, None),
            _ => says(ProcessState::Applied, running, None),
        }
    }

    /// The state as the process shows it itself: stale as soon as it is, whatever was told before.
    pub fn shown(&self, now: Duration) -> ProcessState {
        match self.reported(now).state {
            ProcessState::Applied if self.is_stale(now) => ProcessState::Stale,
            state => state,
        }
    }

    /// Returns whether the running content was last verified too long ago.
    pub fn is_stale(&self, now: Duration) -> bool {
        self.running.is_some() && now >= self.fresh_until
    }

    /// The fault that keeps the process from the published content, the most decisive first.
    pub fn trouble(&self) -> Option<&Fault> {
        let unreadable = match &self.desired {
            Desired::Unreadable { fault, .. } => Some(fault),
            _ => None,
        };
        let refused = self.desired.publish().and_then(|desired| self.refusal(desired)).map(|refused| &refused.fault);
        let trouble = unreadable.or(refused).or_else(|| self.fetch_trouble());
        trouble.or(self.watch.as_ref())
    }

    /// Why the operator does not take reports.
    pub fn report_trouble(&self) -> Option<&Fault> {
        self.report.trouble()
    }

    fn fetch_trouble(&self) -> Option<&Fault> {
        self.fetch.as_ref().and_then(|fetch| fetch.trouble.as_ref())
    }

    /// Why nothing is published, as far as the doorbell shows it.
    pub fn absence(&self) -> Option<&ObservedMarker> {
        match &self.desired {
            Desired::Nothing(marker) => Some(marker),
            _ => None,
        }
    }

    /// The running publish.
    pub fn running(&self) -> Option<Publish> {
        self.running
    }

    /// The number of failed fetches of the desired content in a row.
    pub fn failures(&self) -> u32 {
        self.fetch.as_ref().map_or(0, |fetch| fetch.failures)
    }

    /// Nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        !self.report.is_under_way() && self.fetch.as_ref().is_none_or(|fetch| fetch.waiting.is_some())
    }

    /// When a step is due even if nothing happens.
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let retry = self.fetch.as_ref().and_then(|fetch| fetch.waiting.as_ref()).map(|(_, due)| *due);
        let report = self.report.wake_at();
        let stale = Some(self.fresh_until).filter(|time| self.running.is_some() && *time > now);
        let ask_again = self.desired.publish().and_then(|desired| self.refusal(desired)).map(|refused| refused.again);
        let ask_again = ask_again.filter(|_| self.fetch.is_none());
        [retry, report, stale, self.watch_due, self.recall_due, ask_again].into_iter().flatten().min()
    }
}
