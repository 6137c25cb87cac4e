//! Decides what one process does about one workspace of the cluster: `step` takes its state and an event, and gives the
//! next state and the actions to take.
//!
//! Every step ends by comparing what runs with what is wanted, so no step depends on an earlier event having been seen:
//! a missed notification, a repeated one, and one that overtook another all lead to the same place. Invariants:
//!
//! - What runs is replaced only by content that was fetched, verified, and compiled. Nothing else ever removes it.
//! - At most one fetch and one report are under way. Work on a superseded publish is cancelled.
//! - What is wanted comes from the marker alone, and whatever the watch shows is accepted. An answer of the operator that
//!   names something else makes the process list the marker anew.

use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::fleet::Answer;
use rototo_engine::Fingerprint;

use self::fault::{Fault, FaultKind};
use self::reporting::Reporting;
use crate::Publish;
use crate::backoff::Backoff;

pub use self::reporting::heartbeat;
pub use self::standing::{Standing, together};

pub mod fault;
mod reporting;
mod standing;

/// What the doorbell shows for this workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bell {
    /// The namespace has no map of markers.
    NoMap,
    /// The map has no key for this workspace.
    NoMarker,
    /// The workspace was removed at that time.
    Removed(UpdatedAt),
    /// This is published.
    Published(Publish),
    /// There is a marker, and this process can't read it.
    Unreadable(Fault),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The map was listed anew, and shows this.
    Hydrated(Bell),
    /// The map changed within one watch, and now shows this.
    Changed(Bell),
    /// The API server can't be reached or refuses.
    WatchLost(Fault),
    /// The watch runs again.
    WatchRestored,
    /// This content was had from there, verified, and compiled.
    Loaded(Fingerprint, Supply),
    /// This publish was found on the disk, and compiled.
    Recalled(Publish),
    /// The fetch that was under way failed.
    FetchFailed(Fault),
    /// This process refuses to run this content. It asks again later.
    Refused(Fingerprint, Fault),
    /// The content of the last [`Action::Swap`] or [`Action::Rename`] was not there, and this is still resolved from. It
    /// happens only by a fault of the caller, and is reported and made good.
    NotSwapped(Option<Publish>),
    /// The operator took the report.
    Answered(Answer),
    /// The operator did not take the report.
    ReportFailed(Fault),
    /// The application asks to look now.
    RefreshAsked,
    /// The time of [`State::wake_at`] has come.
    Timer,
}

/// Where content was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// From somebody who knows what is published now.
    Living,
    /// From what an earlier process left on the disk.
    Disk,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Fetch, verify, and compile this content, instead of whatever is under way; `base` can be built upon.
    Fetch {
        /// The content.
        fingerprint: Fingerprint,
        /// The content that runs, of which the fetched one may share documents.
        base: Option<Fingerprint>,
    },
    /// Drop the fetch that is under way.
    CancelFetch,
    /// Resolve from the content that was just loaded.
    Swap(Publish),
    /// What runs is now known as this publish, of this revision.
    Rename {
        /// The publish.
        publish: Publish,
        /// The revision, where the operator has named it.
        revision: Option<String>,
    },
    /// Tell the operator.
    Report(Standing),
    /// The watch missed something: list anew.
    RestartWatch,
    /// Look for the last publish on the disk.
    Recall,
}

/// The moment of a step: the time since the process began to follow, and a random number in `0.0..1.0`.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The time since the process began to follow.
    pub now: Duration,
    /// A random number in `0.0..1.0`.
    pub chance: f64,
}

/// Assumed until the operator answers; also the default of the resource's `staleAfter`.
const STALE_AFTER: Duration = Duration::from_secs(300);
/// How long the watch may lag behind the report's answer before it counts as silently dead.
const WATCH_LAG: Duration = Duration::from_secs(2);
/// Between attempts when somebody has to act first.
const AT_LEISURE: Backoff = Backoff { first: Duration::from_secs(10), cap: Duration::from_secs(10) };
/// Between attempts at content that was refused.
const ASK_AGAIN: Backoff = Backoff { first: Duration::from_secs(30), cap: Duration::from_secs(300) };
const FETCH_AGAIN: Backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(5) };
/// How long a start waits for the doorbell before it uses what it has on the disk.
const RECALL_AFTER: Duration = Duration::from_secs(3);
/// However long a server asks to stay away.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Whether the process may keep what it applied last on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// It may.
    Given,
    /// It may not.
    None,
}

/// What is known.
#[derive(Clone, Debug)]
pub struct State {
    wanted: Wanted,
    running: Option<Publish>,
    revision: Option<String>,
    work: Option<Work>,
    refused: Option<Refusal>,
    watch: Option<Fault>,
    /// When the watch should have shown what an answer already told.
    watch_due: Option<Duration>,
    stale_after: Option<Duration>,
    fresh_until: Duration,
    report: Reporting,
    /// When to use what is on the disk, if nothing else is heard until then.
    recall_due: Option<Duration>,
}

/// What this process should run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// The doorbell has not been heard yet.
    Unheard,
    /// The doorbell was heard, and nothing is published: `NoMap`, `NoMarker`, or `Removed`.
    Nothing(Bell),
    /// This.
    Publish(Publish),
    /// Whatever it was before the marker became unreadable.
    Unreadable { before: Option<Publish>, fault: Fault },
}

/// The way to the content that is wanted.
#[derive(Clone, Debug)]
struct Work {
    fingerprint: Fingerprint,
    failures: u32,
    /// Why the last attempt failed, and when the next is due; `None` while an attempt is under way.
    waiting: Option<(Fault, Duration)>,
    /// Why the last attempt failed, also while the next is under way.
    trouble: Option<Fault>,
}

/// A publish that this process refuses.
#[derive(Clone, Debug)]
struct Refusal {
    publish: Publish,
    fault: Fault,
    /// How often in a row it was refused.
    times: u32,
    /// When to ask again: a check of the application may fail for a reason that passes.
    again: Duration,
}

impl State {
    /// A process that begins to follow at time zero. `stale_after` overrides what the operator says.
    pub fn new(stale_after: Option<Duration>, disk: Disk) -> Self {
        Self {
            wanted: Wanted::Unheard,
            running: None,
            revision: None,
            work: None,
            refused: None,
            watch: None,
            watch_due: None,
            stale_after,
            fresh_until: stale_after.unwrap_or(STALE_AFTER),
            report: Reporting::default(),
            recall_due: (disk == Disk::Given).then_some(RECALL_AFTER),
        }
    }
}

/// Takes one event in, and says what is to be done about it, in this order.
pub fn step(mut state: State, event: Event, tick: Tick) -> (State, Vec<Action>) {
    let mut actions = Vec::new();
    match event {
        Event::Hydrated(bell) | Event::Changed(bell) => state.hear(bell),
        Event::WatchLost(fault) => state.watch = Some(fault),
        Event::WatchRestored => state.watch = None,
        Event::Loaded(fingerprint, supply) => state.finish(fingerprint, supply, tick, &mut actions),
        Event::Recalled(publish) => state.take_recalled(publish, tick, &mut actions),
        Event::FetchFailed(fault) => state.wait_to_fetch(fault, tick),
        Event::Refused(fingerprint, fault) => state.refuse(fingerprint, fault, tick),
        Event::NotSwapped(resolves) => state.take_back(resolves, tick),
        Event::Answered(answer) => state.take_answer(answer, tick, &mut actions),
        Event::ReportFailed(fault) => state.report.failed(fault, tick),
        Event::RefreshAsked => state.look_now(tick),
        Event::Timer => {}
    }
    state.pursue_what_is_wanted(tick, &mut actions);
    state.doubt_the_watch(tick, &mut actions);
    state.recall_if_nobody_answers(tick, &mut actions);
    let standing = state.standing(tick.now);
    actions.extend(state.report.next(standing, tick).map(Action::Report));
    (state, actions)
}

impl State {
    fn hear(&mut self, bell: Bell) {
        self.watch = None;
        self.watch_due = None;
        self.wanted = match bell {
            Bell::Published(publish) => Wanted::Publish(publish),
            Bell::Unreadable(fault) => Wanted::Unreadable { before: self.wanted.publish(), fault },
            nothing => Wanted::Nothing(nothing),
        };
    }

    fn finish(&mut self, fingerprint: Fingerprint, supply: Supply, tick: Tick, actions: &mut Vec<Action>) {
        // The work is always on what is wanted, so content that nobody waits for any more finds none.
        let Some(publish) = self.wanted.publish() else { return };
        if self.work.take_if(|work| work.fingerprint == fingerprint).is_some() && publish.fingerprint == fingerprint {
            if supply == Supply::Disk && self.running.is_none() {
                // That it is right, the marker says. How old that is, nobody has said yet.
                self.fresh_until = tick.now;
            }
            self.running = Some(publish);
            self.revision = None;
            self.refused = None;
            actions.push(Action::Swap(publish));
        }
    }

    fn wait_to_fetch(&mut self, fault: Fault, tick: Tick) {
        if let Some(work) = &mut self.work {
            work.failures = work.failures.saturating_add(1);
            let due = tick.now + delay(&fault, FETCH_AGAIN, work.failures, tick);
            work.trouble = Some(fault.clone());
            work.waiting = Some((fault, due));
        }
    }

    fn refuse(&mut self, fingerprint: Fingerprint, fault: Fault, tick: Tick) {
        let Some(publish) = self.wanted.publish().filter(|wanted| wanted.fingerprint == fingerprint) else { return };
        if self.work.take_if(|work| work.fingerprint == fingerprint).is_some() {
            let before = self.refused.take().filter(|refused| refused.publish == publish);
            let times = before.map_or(1, |before| before.times.saturating_add(1));
            let again = tick.now + ASK_AGAIN.delay(times, tick.chance);
            self.refused = Some(Refusal { publish, fault, times, again });
        }
    }

    /// What runs is what is resolved from, whatever was decided. What is wanted is fetched once more, at leisure.
    fn take_back(&mut self, resolves: Option<Publish>, tick: Tick) {
        self.running = resolves;
        let missing = self.wanted.publish().map(|wanted| wanted.fingerprint);
        let missing = missing.filter(|wanted| resolves.is_none_or(|resolves| resolves.fingerprint != *wanted));
        if let (Some(fingerprint), None) = (missing, &self.work) {
            self.work = Some(Work { fingerprint, failures: 0, waiting: None, trouble: None });
            self.wait_to_fetch(
                Fault::persistent("not_swapped", "content that was loaded was lost before the swap"),
                tick,
            );
        }
    }

    fn look_now(&mut self, tick: Tick) {
        self.report.hasten(tick);
        if let Some((_, due)) = self.work.as_mut().and_then(|work| work.waiting.as_mut()) {
            *due = tick.now;
        }
        if let Some(refused) = &mut self.refused {
            refused.again = tick.now;
        }
    }

    /// Compares what runs with what is wanted. The only place that begins or ends work.
    fn pursue_what_is_wanted(&mut self, tick: Tick, actions: &mut Vec<Action>) {
        let missing = self.wanted.publish().filter(|wanted| !self.is_settled(*wanted, tick));
        let Some(wanted) = missing else {
            self.cancel_work(actions);
            return self.take_new_name(actions);
        };
        let base = self.running.map(|running| running.fingerprint);
        match &mut self.work {
            // Work on the same content serves a later publish of it, too.
            Some(work) if work.fingerprint == wanted.fingerprint => {
                if let Some((fault, _)) = work.waiting.take_if(|(_, due)| *due <= tick.now) {
                    // What failed for good may have failed because of the base: then ask for the whole.
                    let base = base.filter(|_| fault.kind != FaultKind::Persistent);
                    actions.push(Action::Fetch { fingerprint: wanted.fingerprint, base });
                }
            }
            _ => {
                self.work = Some(Work { fingerprint: wanted.fingerprint, failures: 0, waiting: None, trouble: None });
                actions.push(Action::Fetch { fingerprint: wanted.fingerprint, base });
            }
        }
    }

    /// Nothing needs to be fetched for it: its content runs, or was refused and is not to be asked again yet.
    fn is_settled(&self, wanted: Publish, tick: Tick) -> bool {
        let runs = self.running.is_some_and(|running| running.fingerprint == wanted.fingerprint);
        let asks_again = self.work.as_ref().is_some_and(|work| work.fingerprint == wanted.fingerprint);
        let refused = self.refusal(wanted).is_some_and(|refused| !asks_again && tick.now < refused.again);
        runs || refused
    }

    fn refusal(&self, wanted: Publish) -> Option<&Refusal> {
        self.refused.as_ref().filter(|refused| refused.publish == wanted)
    }

    fn cancel_work(&mut self, actions: &mut Vec<Action>) {
        if self.work.take().is_some_and(|work| work.waiting.is_none()) {
            actions.push(Action::CancelFetch);
        }
    }

    /// A new publish of the content that runs costs no fetch, and is applied at once.
    fn take_new_name(&mut self, actions: &mut Vec<Action>) {
        let (Some(running), Some(wanted)) = (&mut self.running, self.wanted.publish()) else { return };
        if running.fingerprint == wanted.fingerprint && *running != wanted {
            *running = wanted;
            // The revision that was known is the one of the earlier publish.
            self.revision = None;
            actions.push(Action::Rename { publish: wanted, revision: None });
        }
    }

    fn doubt_the_watch(&mut self, tick: Tick, actions: &mut Vec<Action>) {
        // A watch that is known to be lost resumes by itself, and then has what it missed.
        if self.watch_due.take_if(|due| *due <= tick.now).is_some() && self.watch.is_none() {
            actions.push(Action::RestartWatch);
        }
    }

    /// Only as long as no marker was seen: what that names is never replaced by a copy of something else.
    fn recall_if_nobody_answers(&mut self, tick: Tick, actions: &mut Vec<Action>) {
        let unheard = self.wanted == Wanted::Unheard && self.running.is_none();
        if self.recall_due.take_if(|due| !unheard || *due <= tick.now).is_some() && unheard {
            actions.push(Action::Recall);
        }
    }

    fn take_recalled(&mut self, publish: Publish, tick: Tick, actions: &mut Vec<Action>) {
        if self.wanted == Wanted::Unheard && self.running.is_none() {
            self.running = Some(publish);
            self.fresh_until = tick.now;
            actions.push(Action::Swap(publish));
        }
    }

    fn take_answer(&mut self, answer: Answer, tick: Tick, actions: &mut Vec<Action>) {
        let next = heartbeat(&answer);
        self.report.delivered(next, Duration::from_millis(answer.report_applied_within_ms), tick);
        if !answer.siblings.is_empty() {
            self.report.testify(tick);
        }
        let told = told(&answer);
        if told.is_none_or(|told| self.is_as_seen(told)) {
            self.watch_due = None;
            self.confirm(&answer, tick);
        } else if self.watch_due.is_none() {
            self.watch_due = Some(tick.now + WATCH_LAG);
        }
        if let Some(told) = told.filter(|told| self.running == Some(*told))
            && answer.revision.is_some()
            && self.revision != answer.revision
        {
            self.revision.clone_from(&answer.revision);
            actions.push(Action::Rename { publish: told, revision: answer.revision });
        }
    }

    /// The marker alone says what is wanted. An answer that names something else than the marker did is a hint that the
    /// watch missed a change, and no more.
    fn is_as_seen(&self, told: Publish) -> bool {
        match &self.wanted {
            Wanted::Publish(wanted) => *wanted == told,
            // The list of the markers is still under way.
            Wanted::Unheard => true,
            // A marker of a later schema means something that this process does not know. It waits for an update.
            Wanted::Unreadable { .. } => true,
            Wanted::Nothing(_) => false,
        }
    }

    /// The operator knows how old the verification of what is wanted is. What is from the disk stays unconfirmed until the
    /// marker was seen.
    fn confirm(&mut self, answer: &Answer, tick: Tick) {
        let Some(age) = answer.verified_ms_ago.filter(|_| self.wanted != Wanted::Unheard) else { return };
        // A process learns the age with each report, so a shorter time would make it stale in between.
        let told = Duration::from_millis(answer.stale_after_ms);
        let stale_after = self.stale_after.unwrap_or_else(|| told.max(self.report.heartbeat() * 3));
        self.fresh_until = tick.now + stale_after.saturating_sub(Duration::from_millis(age));
    }
}

/// The publish that an answer names.
fn told(answer: &Answer) -> Option<Publish> {
    let fingerprint = answer.fingerprint.as_ref()?.parse().ok()?;
    Some(Publish { fingerprint, updated_at: answer.updated_at? })
}

fn delay(fault: &Fault, pace: Backoff, failures: u32, tick: Tick) -> Duration {
    match fault.kind {
        FaultKind::Transient => pace.delay(failures, tick.chance),
        FaultKind::Persistent => AT_LEISURE.delay(failures, tick.chance),
        // Everybody else was told the same: come back after it, spread out, and never be sent away for long.
        FaultKind::Busy(wait) => wait.min(LONGEST_WAIT) + pace.delay(failures, tick.chance),
    }
}

impl Wanted {
    fn publish(&self) -> Option<Publish> {
        match self {
            Self::Publish(publish) | Self::Unreadable { before: Some(publish), .. } => Some(*publish),
            Self::Unheard | Self::Nothing(_) | Self::Unreadable { before: None, .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
