//! The state that a process reports, as a function of what its follower knows. Reports, status, and callers that wait
//! for a publish use it.

use std::time::Duration;

use rototo_api::fleet::{Preparation, PreparationState, ProcessState};

use super::fault::Fault;
use super::{Desired, FollowerState, ObservedMarker};
use crate::Publish;

/// The reported state of a handle, or of all handles of a process together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedState {
    /// The progress on the way to the desired publish.
    pub state: ProcessState,
    /// The publish that the handle resolves from, or refuses.
    pub publish: Option<Publish>,
    /// A code that explains the state.
    pub reason: Option<&'static str>,
    /// True if an announced publish is prepared here.
    pub prepares: bool,
    /// The announced publish, once it is prepared or refused, or is in trouble.
    pub next: Option<ReportedNext>,
    /// The code for which the application says that it is degraded.
    pub degraded: Option<String>,
}

impl ReportedState {
    /// Returns the state of a handle that runs nothing.
    #[must_use]
    pub fn without_content(state: ProcessState) -> Self {
        Self { state, publish: None, reason: None, prepares: false, next: None, degraded: None }
    }
}

/// The reported state of the announced publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedNext {
    /// The announced publish.
    pub publish: Publish,
    /// The state of its preparation.
    pub state: PreparationState,
    /// A code that explains the state.
    pub reason: Option<&'static str>,
}

impl ReportedNext {
    /// Returns what a report says about the announced publish.
    #[must_use]
    pub fn to_preparation(self) -> Preparation {
        Preparation {
            fingerprint: self.publish.fingerprint.to_string(),
            updated_at: self.publish.updated_at,
            state: self.state,
            reason: self.reason.map(str::to_owned),
        }
    }
}

/// Returns the reported state of a process with several handles: the worst state, and the oldest publish that any of
/// them resolves. A process whose handles resolve different publishes is at best `pending`, as it runs none of them.
/// Returns `None` if there is no handle.
pub fn combine<'a>(handles: impl IntoIterator<Item = &'a ReportedState, IntoIter: Clone>) -> Option<ReportedState> {
    let handles = handles.into_iter();
    let worst = handles.clone().max_by_key(|reported| severity(reported.state))?;
    let mut open = handles.clone().filter(|reported| reported.state != ProcessState::Draining);
    let (prepares, next) =
        (open.clone().next().is_some() && open.all(|reported| reported.prepares), combine_next(handles.clone()));
    // A process is degraded while one of its handles is.
    let degraded = handles.clone().find_map(|reported| reported.degraded.clone());
    if worst.state == ProcessState::Rejected {
        return Some(ReportedState { prepares, next, degraded, ..worst.clone() });
    }
    let resolving =
        handles.filter(|reported| reported.state != ProcessState::Draining).map(|reported| reported.publish);
    // A handle that resolves nothing yet comes before any publish.
    let oldest = resolving.clone().min_by_key(|publish| publish.map(|publish| publish.updated_at)).flatten();
    // A marker may be set back to an older name, so handles that run the newer name do not run the older one.
    let differ = resolving.filter(|publish| *publish != oldest).count() > 0;
    let on_the_way = severity(worst.state) >= severity(ProcessState::Pending);
    let state = if differ && !on_the_way { ProcessState::Pending } else { worst.state };
    Some(ReportedState { state, publish: oldest, reason: worst.reason, prepares, next, degraded })
}

/// Returns the state of the announced publish in all handles: the worst one, and nothing while a handle has nothing to
/// say about it.
fn combine_next<'a>(handles: impl Iterator<Item = &'a ReportedState> + Clone) -> Option<ReportedNext> {
    let open = || handles.clone().filter(|reported| reported.state != ProcessState::Draining);
    let badness = |next: &ReportedNext| match next.state {
        PreparationState::Prepared => 0,
        PreparationState::Pending => 1,
        PreparationState::Refused => 2,
    };
    let worst = open().filter_map(|reported| reported.next).max_by_key(badness)?;
    let all = open().all(|reported| reported.next.is_some_and(|next| next.publish == worst.publish));
    (all || worst.state != PreparationState::Prepared).then_some(worst)
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
    /// Returns the reported state of this handle.
    pub fn reported(&self, now: Duration) -> ReportedState {
        let running = self.running;
        let (prepares, next) = (self.prepares(), self.reported_next());
        let degraded = self.degraded.clone();
        let says = |state, publish, reason| ReportedState { state, publish, reason, prepares, next, degraded };
        match &self.desired {
            Desired::Unreadable { fault, .. } => says(ProcessState::Rejected, None, Some(fault.code)),
            Desired::Nothing(_) if running.is_some() => says(ProcessState::Orphaned, running, None),
            Desired::Publish(desired) if running != Some(*desired) => match self.refusal(*desired) {
                Some(refused) => says(ProcessState::Rejected, Some(*desired), Some(refused.fault.code)),
                None => says(ProcessState::Pending, running, self.fetch_trouble().map(|fault| fault.code)),
            },
            _ if running.is_none() => says(ProcessState::Starting, None, self.watch.as_ref().map(|fault| fault.code)),
            // The content is from the disk, and nothing has confirmed it.
            Desired::NotListed => says(ProcessState::Stale, running, None),
            // `Applied` is reported before `Stale`: otherwise the operator would wait until the staleness is over.
            _ if self.is_stale(now) && self.report.is_acknowledged(running) => says(ProcessState::Stale, running, None),
            _ => says(ProcessState::Applied, running, None),
        }
    }

    fn reported_next(&self) -> Option<ReportedNext> {
        let publish = self.standby.wanted()?;
        let runs = self.running.is_some_and(|running| running.fingerprint == publish.fingerprint);
        if runs || self.held() == Some(publish.fingerprint) {
            return Some(ReportedNext { publish, state: PreparationState::Prepared, reason: None });
        }
        if let Some(refused) = self.standby.refusal() {
            let reason = Some(refused.fault.code);
            return Some(ReportedNext { publish, state: PreparationState::Refused, reason });
        }
        let trouble = self.fetch_of_next()?.trouble.as_ref()?;
        Some(ReportedNext { publish, state: PreparationState::Pending, reason: Some(trouble.code) })
    }

    /// Returns the state as the process itself shows it: stale as soon as it is stale, whatever it has reported before.
    pub fn shown(&self, now: Duration) -> ProcessState {
        match self.reported(now).state {
            ProcessState::Applied if self.is_stale(now) => ProcessState::Stale,
            state => state,
        }
    }

    /// Returns whether the last verification of the running content is too old.
    pub fn is_stale(&self, now: Duration) -> bool {
        self.stale_at().is_some_and(|time| now >= time)
    }

    /// Returns the time at which the running content becomes stale if nothing confirms it before, or became stale.
    pub fn stale_at(&self) -> Option<Duration> {
        self.running.as_ref().map(|_| self.fresh_until)
    }

    /// Returns the fault that keeps the process from the published content, the most decisive one first.
    pub fn trouble(&self) -> Option<&Fault> {
        let unreadable = match &self.desired {
            Desired::Unreadable { fault, .. } => Some(fault),
            _ => None,
        };
        let refused = self.desired.publish().and_then(|desired| self.refusal(desired)).map(|refused| &refused.fault);
        let trouble = unreadable.or(refused).or_else(|| self.fetch_trouble());
        trouble.or(self.watch.as_ref())
    }

    /// Returns the fault for which this process refuses the publish that it should hold ready.
    pub fn trouble_of_next(&self) -> Option<&Fault> {
        self.standby.refusal().map(|refused| &refused.fault)
    }

    /// Returns the fault for which the operator does not take reports.
    pub fn report_trouble(&self) -> Option<&Fault> {
        self.report.trouble()
    }

    fn fetch_trouble(&self) -> Option<&Fault> {
        self.fetch_of_desired().and_then(|fetch| fetch.trouble.as_ref())
    }

    /// Returns the marker as the doorbell shows it, if it names no publish.
    pub fn absence(&self) -> Option<&ObservedMarker> {
        match &self.desired {
            Desired::Nothing(marker) => Some(marker),
            _ => None,
        }
    }

    /// Returns the running publish.
    pub fn running(&self) -> Option<Publish> {
        self.running
    }

    /// Returns the number of failed fetches of the desired content in a row.
    pub fn failures(&self) -> u32 {
        self.fetch_of_desired().map_or(0, |fetch| fetch.failures)
    }

    /// Returns whether neither a fetch of the desired content nor a report is under way, and the marker is the one that the
    /// operator named last, as far as the watch can show it.
    pub fn is_at_rest(&self) -> bool {
        let fetches = self.fetch_of_desired().is_some_and(|fetch| fetch.waiting.is_none());
        let awaits_marker = self.in_doubt && self.watch.is_none();
        !self.report.is_under_way() && !fetches && !awaits_marker
    }

    /// Returns the time at which a step is due even if nothing happens.
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let retry = self.fetch.as_ref().and_then(|fetch| fetch.waiting);
        let report = self.report.wake_at();
        let stale = self.stale_at().filter(|time| *time > now);
        let refused = self.desired.publish().and_then(|desired| self.refusal(desired));
        let refusals = refused.into_iter().chain(self.standby.refusal());
        let ask_again = refusals.map(|refused| refused.again).filter(|_| self.fetch.is_none()).min();
        [retry, report, stale, self.watch_due, self.recall_due, ask_again].into_iter().flatten().min()
    }
}
