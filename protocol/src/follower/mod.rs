//! Decides what one process does about one workspace of the cluster. [`step`] is the entry point: it takes the state of
//! a handle and an event, and returns the next state and the actions to carry out.
//!
//! Every step ends by comparing what runs with what is desired, so no step depends on an earlier event having been
//! seen. A missed notification, a repeated one, and one that overtook another all lead to the same state. Invariants:
//!
//! - The content that runs is replaced only by content that was fetched or recalled from the disk, verified, and
//!   compiled. Nothing else removes it.
//! - At most one fetch and one report are under way. The fetch of a superseded publish is cancelled. An announced
//!   publish is fetched only once the desired one runs.
//! - The desired publish comes from the marker alone, and whatever the watch shows is accepted. A report response that
//!   names something else makes the process list the marker again.
//!
//! `reported_state`, `reporting`, and `standby` import this module, and it imports them: [`FollowerState`] is one state, and
//! its methods stand in the files of their subjects.

use std::time::Duration;

use rototo_api::fleet::ReportResponse;
use rototo_engine::Fingerprint;

use self::fault::{Fault, FaultKind};
use self::reporting::Reporting;
use self::standby::Standby;
use crate::Publish;
use crate::backoff::Backoff;

pub use self::events::{ContentSource, FollowerAction, FollowerEvent, ObservedMarker, StepTime};
pub use self::reported_state::{ReportedNext, ReportedState, combine};
use self::reporting::heartbeat;
pub use self::reporting::next_drained_report;

mod events;
pub mod fault;
mod reported_state;
mod reporting;
mod standby;

/// The time after which configuration counts as stale until the operator answers; also the default of `staleAfter` of
/// the resource.
const STALE_AFTER: Duration = Duration::from_secs(300);
/// The time within which the watch must show what a report response has named. After it the watch counts as dead.
const WATCH_LAG: Duration = Duration::from_secs(2);
/// The wait between attempts when somebody has to act first.
const SLOW_BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), cap: Duration::from_secs(10) };
/// The wait between attempts at content that this process refused.
const REFUSAL_BACKOFF: Backoff = Backoff { first: Duration::from_secs(30), cap: Duration::from_secs(300) };
/// The wait between attempts at a fetch whose failure passes by itself.
const FETCH_BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(5) };
/// The time for which a start waits for the doorbell before it uses the disk cache.
const RECALL_AFTER: Duration = Duration::from_secs(3);
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The permission to keep the last applied publish on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCache {
    /// The process may use the disk cache.
    Enabled,
    /// The process has no disk cache.
    None,
}

/// The state of one follower. [`step`] is the only function that changes it.
#[derive(Clone, Debug)]
pub struct FollowerState {
    desired: Desired,
    /// The publish that the handle resolves from.
    running: Option<Publish>,
    /// The revision of the running publish, if the operator has named it.
    revision: Option<String>,
    /// The fetch of the desired or the announced content, under way or waiting for its next attempt.
    fetch: Option<FetchProgress>,
    /// The last desired publish that this process refused.
    refused: Option<RefusedPublish>,
    standby: Standby,
    /// The fault of the watch while it is interrupted.
    watch: Option<Fault>,
    /// The time by which the watch should have shown what a report response has named.
    watch_due: Option<Duration>,
    /// True from a report response that disagrees with the marker until the watch shows the marker anew.
    in_doubt: bool,
    /// The application's own `staleAfter`, which overrides the operator's.
    stale_after: Option<Duration>,
    /// The time at which the running content becomes stale.
    fresh_until: Duration,
    report: Reporting,
    /// The code for which the application says that it is degraded.
    degraded: Option<String>,
    /// The time at which the disk cache is used, if no marker is seen before.
    recall_due: Option<Duration>,
}

/// The publish that this process should run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Desired {
    /// The doorbell has not listed the marker map yet.
    NotListed,
    /// The doorbell has listed the marker map, and nothing is published: `NoMap`, `NoMarker`, or `Removed`.
    Nothing(ObservedMarker),
    /// The marker names this publish.
    Publish(Publish),
    /// The marker is unreadable; `before` is the publish that was desired before.
    Unreadable { before: Option<Publish>, fault: Fault },
}

/// The fetch of content.
#[derive(Clone, Debug)]
struct FetchProgress {
    fingerprint: Fingerprint,
    failures: u32,
    /// The time of the next attempt; `None` while an attempt is under way.
    waiting: Option<Duration>,
    /// The fault of the last attempt, also while the next is under way.
    trouble: Option<Fault>,
}

impl FetchProgress {
    fn of(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, failures: 0, waiting: None, trouble: None }
    }
}

/// A publish that this process refuses.
#[derive(Clone, Debug)]
struct RefusedPublish {
    publish: Publish,
    fault: Fault,
    /// The number of refusals in a row.
    times: u32,
    /// The time of the next attempt: a check of the application may fail for a reason that passes.
    again: Duration,
}

impl RefusedPublish {
    /// Returns the refusal of `publish`, which may follow an earlier one.
    fn after(before: Option<Self>, publish: Publish, fault: Fault, tick: StepTime) -> Self {
        let before = before.filter(|refused| refused.publish == publish);
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        Self { publish, fault, times, again: tick.now + REFUSAL_BACKOFF.delay(times, tick.chance) }
    }
}

impl FollowerState {
    /// Creates the state of a process that begins to follow at time zero. `stale_after` overrides the operator's value.
    pub fn new(stale_after: Option<Duration>, disk: DiskCache) -> Self {
        Self {
            desired: Desired::NotListed,
            running: None,
            revision: None,
            fetch: None,
            refused: None,
            standby: Standby::default(),
            watch: None,
            watch_due: None,
            in_doubt: false,
            stale_after,
            fresh_until: stale_after.unwrap_or(STALE_AFTER),
            report: Reporting::default(),
            degraded: None,
            recall_due: (disk == DiskCache::Enabled).then_some(RECALL_AFTER),
        }
    }
}

/// Takes one event. Returns the next state, and the actions to carry out in this order.
pub fn step(mut state: FollowerState, event: FollowerEvent, tick: StepTime) -> (FollowerState, Vec<FollowerAction>) {
    let mut actions = Vec::new();
    match event {
        FollowerEvent::Hydrated(marker) | FollowerEvent::Changed(marker) => state.observe_marker(marker),
        FollowerEvent::WatchLost(fault) => state.watch = Some(fault),
        FollowerEvent::WatchRestored => state.watch = None,
        FollowerEvent::Loaded(fingerprint, from) => state.finish(fingerprint, from, tick, &mut actions),
        FollowerEvent::Recalled(publish) => state.take_recalled(publish, tick, &mut actions),
        FollowerEvent::FetchFailed(fault) => state.wait_to_fetch(fault, tick),
        FollowerEvent::Refused(fingerprint, fault) => state.refuse(fingerprint, fault, tick),
        FollowerEvent::NotSwapped(resolves) => state.undo_swap(resolves, tick),
        FollowerEvent::Answered(answer) => state.take_answer(answer, tick, &mut actions),
        FollowerEvent::ReportFailed(fault) => state.report.failed(fault, tick),
        FollowerEvent::RefreshRequested => state.refresh_now(tick),
        FollowerEvent::HealthReported(degraded) => state.degraded = degraded,
        FollowerEvent::Timer => {}
    }
    state.reconcile_desired(tick, &mut actions);
    state.restart_silent_watch(tick, &mut actions);
    state.recall_if_no_marker(tick, &mut actions);
    let reported = state.reported(tick.now);
    actions.extend(state.report.next(reported, tick).map(FollowerAction::Report));
    (state, actions)
}

impl FollowerState {
    fn observe_marker(&mut self, marker: ObservedMarker) {
        self.watch = None;
        (self.watch_due, self.in_doubt) = (None, false);
        self.standby.clear();
        self.desired = match marker {
            ObservedMarker::Published(marked) => Desired::Publish(self.standby.observe(marked)),
            ObservedMarker::Unreadable(fault) => Desired::Unreadable { before: self.desired.publish(), fault },
            nothing => Desired::Nothing(nothing),
        };
    }

    fn finish(
        &mut self,
        fingerprint: Fingerprint,
        from: ContentSource,
        tick: StepTime,
        actions: &mut Vec<FollowerAction>,
    ) {
        // The fetch is always one of content that is still wanted, so content of an earlier marker finds no fetch here.
        if self.fetch.take_if(|fetch| fetch.fingerprint == fingerprint).is_none() {
            return;
        }
        match self.desired.publish().filter(|desired| desired.fingerprint == fingerprint) {
            Some(publish) => {
                if from == ContentSource::Disk && self.running.is_none() {
                    // The marker shows that the content is right, but the age of that is unknown until the operator
                    // answers.
                    self.fresh_until = tick.now;
                }
                self.swap(publish, actions);
            }
            None => actions.extend(self.standby.hold(fingerprint).then_some(FollowerAction::Hold(fingerprint))),
        }
    }

    fn swap(&mut self, publish: Publish, actions: &mut Vec<FollowerAction>) {
        if let Some(before) = self.running.replace(publish) {
            self.standby.replaced(before.fingerprint);
        }
        self.revision = None;
        self.refused = None;
        actions.push(FollowerAction::Swap(publish));
    }

    fn wait_to_fetch(&mut self, fault: Fault, tick: StepTime) {
        if let Some(fetch) = &mut self.fetch {
            fetch.failures = fetch.failures.saturating_add(1);
            fetch.waiting = Some(tick.now + delay(&fault, FETCH_BACKOFF, fetch.failures, tick));
            fetch.trouble = Some(fault);
        }
    }

    fn refuse(&mut self, fingerprint: Fingerprint, fault: Fault, tick: StepTime) {
        if self.fetch.take_if(|fetch| fetch.fingerprint == fingerprint).is_none() {
            return;
        }
        match self.desired.publish().filter(|desired| desired.fingerprint == fingerprint) {
            Some(publish) => self.refused = Some(RefusedPublish::after(self.refused.take(), publish, fault, tick)),
            None => self.standby.refuse(fingerprint, fault, tick),
        }
    }

    /// Sets the running publish to the one that the handle really resolves from. If the desired content is missing, it
    /// is fetched once more, with the slow backoff.
    fn undo_swap(&mut self, resolves: Option<Publish>, tick: StepTime) {
        self.running = resolves;
        let missing = self.desired.publish().map(|desired| desired.fingerprint);
        let missing = missing.filter(|desired| resolves.is_none_or(|resolves| resolves.fingerprint != *desired));
        if let (Some(fingerprint), None) = (missing, &self.fetch) {
            self.fetch = Some(FetchProgress::of(fingerprint));
            self.wait_to_fetch(
                Fault::persistent("not_swapped", "content that was loaded was lost before the swap"),
                tick,
            );
        }
    }

    fn refresh_now(&mut self, tick: StepTime) {
        self.report.send_soon(tick);
        if let Some(due) = self.fetch.as_mut().and_then(|fetch| fetch.waiting.as_mut()) {
            *due = tick.now;
        }
        if let Some(refused) = &mut self.refused {
            refused.again = tick.now;
        }
        self.standby.try_again(tick);
    }

    /// Compares what runs and what is held with what is desired and announced. Only this function does; `undo_swap`,
    /// `refuse`, and the end of a fetch change the fetch after an event.
    fn reconcile_desired(&mut self, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        self.promote(actions);
        self.fetch_missing(tick, actions);
        self.take_new_name(actions);
    }

    fn fetch_missing(&mut self, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        let missing = self.desired.publish().filter(|desired| !self.is_settled(*desired, tick));
        let Some(desired) = missing.or_else(|| self.missing_next(tick)) else { return self.cancel_fetch(actions) };
        let base = self.running.map(|running| running.fingerprint);
        match &mut self.fetch {
            // The fetch of the same content also serves a later publish of it.
            Some(fetch) if fetch.fingerprint == desired.fingerprint => {
                if fetch.waiting.take_if(|due| *due <= tick.now).is_some() {
                    // A persistent failure may have its cause in the base, so the next attempt asks for the whole
                    // content.
                    let persistent = |fault: &Fault| fault.kind == FaultKind::Persistent;
                    let base = base.filter(|_| !fetch.trouble.as_ref().is_some_and(persistent));
                    actions.push(FollowerAction::Fetch { fingerprint: desired.fingerprint, base });
                }
            }
            _ => {
                self.fetch = Some(FetchProgress::of(desired.fingerprint));
                actions.push(FollowerAction::Fetch { fingerprint: desired.fingerprint, base });
            }
        }
    }

    /// Takes what was held, or refused, of a publish that the marker now names.
    fn promote(&mut self, actions: &mut Vec<FollowerAction>) {
        if let Some(desired) = self.desired.publish() {
            let refused = self.standby.take_refusal(desired);
            self.refused = refused.or(self.refused.take());
            let runs = self.running.is_some_and(|running| running.fingerprint == desired.fingerprint);
            if self.standby.take_held(desired.fingerprint) && !runs {
                self.swap(desired, actions);
            }
        }
        self.standby.drop_superseded();
    }

    /// Returns the publish to hold, if it has to be fetched.
    fn missing_next(&self, tick: StepTime) -> Option<Publish> {
        let next = self.standby.missing(self.fetch_of_next(), tick)?;
        // Its content may be what runs.
        self.running.is_none_or(|running| running.fingerprint != next.fingerprint).then_some(next)
    }

    /// Returns whether nothing needs to be fetched for `desired`: its content runs, or was refused and the time of the
    /// next attempt has not come.
    fn is_settled(&self, desired: Publish, tick: StepTime) -> bool {
        let runs = self.running.is_some_and(|running| running.fingerprint == desired.fingerprint);
        let asks_again = self.fetch_of(desired).is_some();
        let refused = self.refusal(desired).is_some_and(|refused| !asks_again && tick.now < refused.again);
        runs || refused
    }

    fn fetch_of(&self, publish: Publish) -> Option<&FetchProgress> {
        self.fetch.as_ref().filter(|fetch| fetch.fingerprint == publish.fingerprint)
    }

    fn fetch_of_desired(&self) -> Option<&FetchProgress> {
        self.fetch_of(self.desired.publish()?)
    }

    fn fetch_of_next(&self) -> Option<&FetchProgress> {
        self.fetch_of(self.standby.wanted()?).filter(|_| self.fetch_of_desired().is_none())
    }

    fn refusal(&self, desired: Publish) -> Option<&RefusedPublish> {
        self.refused.as_ref().filter(|refused| refused.publish == desired)
    }

    fn cancel_fetch(&mut self, actions: &mut Vec<FollowerAction>) {
        if self.fetch.take().is_some_and(|fetch| fetch.waiting.is_none()) {
            actions.push(FollowerAction::CancelFetch);
        }
    }

    /// Takes a new publish of the running content, which needs no fetch and is applied at once.
    fn take_new_name(&mut self, actions: &mut Vec<FollowerAction>) {
        let (Some(running), Some(desired)) = (&mut self.running, self.desired.publish()) else { return };
        if running.fingerprint == desired.fingerprint && *running != desired {
            *running = desired;
            // The known revision belongs to the earlier publish.
            self.revision = None;
            actions.push(FollowerAction::Rename { publish: desired, revision: None });
        }
    }

    fn restart_silent_watch(&mut self, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        // A watch that is known to be lost resumes by itself, and then shows what it missed.
        if self.watch_due.take_if(|due| *due <= tick.now).is_some() && self.watch.is_none() {
            actions.push(FollowerAction::RestartWatch);
        }
    }

    /// Looks into the disk cache, unless a marker was seen: a copy never replaces what the marker names.
    fn recall_if_no_marker(&mut self, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        let not_listed = self.desired == Desired::NotListed && self.running.is_none();
        if self.recall_due.take_if(|due| !not_listed || *due <= tick.now).is_some() && not_listed {
            actions.push(FollowerAction::Recall);
        }
    }

    fn take_recalled(&mut self, publish: Publish, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        if self.desired == Desired::NotListed && self.running.is_none() {
            self.running = Some(publish);
            self.fresh_until = tick.now;
            actions.push(FollowerAction::Swap(publish));
        }
    }

    fn take_answer(&mut self, answer: ReportResponse, tick: StepTime, actions: &mut Vec<FollowerAction>) {
        let next = heartbeat(&answer);
        self.report.delivered(next, Duration::from_millis(answer.report_applied_within_ms), tick);
        if !answer.siblings.is_empty() {
            self.report.testify(tick);
        }
        let answered_publish = publish_of(&answer);
        let agrees = answered_publish.is_none_or(|answered_publish| self.agrees_with_marker(answered_publish));
        // A response that names no publish comes from an operator that does not know what runs here.
        if agrees && (answered_publish.is_some() || self.running.is_none()) {
            self.confirm(&answer, tick);
        }
        self.in_doubt = !(agrees && self.shows_next(&answer));
        let due = self.watch_due.unwrap_or(tick.now + WATCH_LAG);
        self.watch_due = self.in_doubt.then_some(due);
        if let Some(answered_publish) =
            answered_publish.filter(|answered_publish| self.running == Some(*answered_publish))
            && answer.revision.is_some()
            && self.revision != answer.revision
        {
            self.revision.clone_from(&answer.revision);
            actions.push(FollowerAction::Rename { publish: answered_publish, revision: answer.revision });
        }
    }

    /// Returns whether the publish of a report response agrees with the marker. The marker alone decides what is
    /// desired. A response that names something else shows that the watch may have missed a change, and nothing more.
    fn agrees_with_marker(&self, answered_publish: Publish) -> bool {
        match &self.desired {
            Desired::Publish(desired) => *desired == answered_publish,
            // The list of the marker map is still under way.
            Desired::NotListed => true,
            // A marker of a later schema means something that this process does not know. The process waits for an
            // update.
            Desired::Unreadable { .. } => true,
            Desired::Nothing(_) => false,
        }
    }

    /// Returns whether the marker announces what a report response does. An answer that announces nothing shows nothing:
    /// an older operator sent it.
    fn shows_next(&self, answer: &ReportResponse) -> bool {
        let next = answer.next.as_ref().and_then(Publish::announced);
        let published = matches!(self.desired, Desired::Publish(_));
        !published || next.is_none_or(|next| self.standby.shows(next))
    }

    /// Returns the age of the last verification of what runs, if this response confirms it: it names that publish, and the
    /// marker does not name another one.
    #[must_use]
    pub fn verified_ago(&self, answer: &ReportResponse) -> Option<Duration> {
        let answered_publish = publish_of(answer)?;
        let confirms = self.running == Some(answered_publish) && self.agrees_with_marker(answered_publish);
        self.age_of_verification(answer).filter(|_| confirms)
    }

    /// Returns the age that the operator gives in a response. Content from the disk stays unconfirmed until the marker was
    /// seen.
    fn age_of_verification(&self, answer: &ReportResponse) -> Option<Duration> {
        answer.verified_ms_ago.filter(|_| self.desired != Desired::NotListed).map(Duration::from_millis)
    }

    /// Takes the age of the last verification of the desired publish from the operator.
    fn confirm(&mut self, answer: &ReportResponse, tick: StepTime) {
        let Some(age) = self.age_of_verification(answer) else { return };
        // A process learns the age with each report, so a shorter time would make it stale between reports.
        let answered = Duration::from_millis(answer.stale_after_ms);
        let stale_after = self.stale_after.unwrap_or_else(|| answered.max(self.report.heartbeat() * 3));
        self.fresh_until = tick.now + stale_after.saturating_sub(age);
    }
}

/// Returns the publish that a report response names.
fn publish_of(answer: &ReportResponse) -> Option<Publish> {
    let fingerprint = answer.fingerprint.as_ref()?.parse().ok()?;
    Some(Publish { fingerprint, updated_at: answer.updated_at? })
}

/// Returns the wait after a fault, before the operation is tried again.
fn delay(fault: &Fault, pace: Backoff, failures: u32, tick: StepTime) -> Duration {
    match fault.kind {
        FaultKind::Transient => pace.delay(failures, tick.chance),
        FaultKind::Persistent => SLOW_BACKOFF.delay(failures, tick.chance),
        // Other processes were sent away for the same time, so each comes back at a random time after it, and after a
        // limited wait.
        FaultKind::Busy(wait) => wait.min(LONGEST_WAIT) + pace.delay(failures, tick.chance),
    }
}

impl Desired {
    fn publish(&self) -> Option<Publish> {
        match self {
            Self::Publish(publish) | Self::Unreadable { before: Some(publish), .. } => Some(*publish),
            Self::NotListed | Self::Nothing(_) | Self::Unreadable { before: None, .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
