//! One handle of a process: the client library's own state machine, and what is resolved from it.

use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::follower::{
    FollowerAction, FollowerEvent, FollowerState, ObservedMarker, ReportedState, StepTime, step,
};

/// One handle of a process.
pub struct Handle {
    pub id: u64,
    pub opened: Moment,
    state: FollowerState,
    /// The result of a new call of `current()`, and the time since which it is given.
    resolves: Vec<(Moment, Publish)>,
    work: u64,
    armed: u64,
    /// The marker that its doorbell showed last.
    shown: Option<Publish>,
    loaded: Option<Fingerprint>,
    /// The content that it holds beside what it resolves.
    held: Option<Fingerprint>,
    /// The published content that it resolved from before its stage, as long as it may have to go back to it.
    goes_back_to: Option<Fingerprint>,
    has_listed: bool,
}

impl Handle {
    /// Returns a handle that is opened now, and follows from this state.
    pub fn new(id: u64, opened: Moment, state: FollowerState) -> Self {
        Self {
            id,
            opened,
            state,
            resolves: Vec::new(),
            work: 0,
            armed: 0,
            shown: None,
            loaded: None,
            held: None,
            goes_back_to: None,
            has_listed: false,
        }
    }

    /// Returns the publish that it resolves from now.
    pub fn current(&self) -> Option<Publish> {
        self.resolves.last().map(|(_, publish)| *publish)
    }

    /// Returns the publish that it resolves from now, if it does so since a time before `then`.
    pub fn ran_before(&self, then: Moment) -> Option<Publish> {
        self.resolves.last().filter(|(since, _)| *since < then).map(|(_, publish)| *publish)
    }

    /// Returns since when it resolves from this publish, if it does.
    pub fn runs_since(&self, publish: Publish) -> Option<Moment> {
        self.resolves.last().filter(|(_, current)| *current == publish).map(|(since, _)| *since)
    }

    /// Returns the content that it holds beside what it resolves.
    pub fn held(&self) -> Option<Fingerprint> {
        self.held
    }

    /// Returns whether it resolved from this publish at any time since `since`.
    pub fn had(&self, publish: Publish, since: Moment) -> bool {
        self.resolves.iter().enumerate().any(|(index, (_, had))| {
            let until = self.resolves.get(index + 1).map(|(until, _)| *until);
            *had == publish && until.is_none_or(|until| until >= since)
        })
    }

    /// Returns the marker that its doorbell showed last.
    pub fn shown(&self) -> Option<Publish> {
        self.shown
    }

    /// Returns whether its doorbell has shown it the map.
    pub fn has_listed(&self) -> bool {
        self.has_listed
    }

    /// Returns whether it ran this content before its stage, and may have to go back to it.
    pub fn goes_back_to(&self, content: Fingerprint) -> bool {
        self.goes_back_to == Some(content)
    }

    /// Returns its state, as it would report it now.
    pub fn reported(&self, now: Moment) -> ReportedState {
        self.state.reported(now.saturating_sub(self.opened))
    }

    /// Lets an event happen to the state machine, and returns what is to be done.
    pub fn step(&mut self, event: FollowerEvent, now: Moment, chance: f64) -> Vec<FollowerAction> {
        let tick = StepTime { now: now.saturating_sub(self.opened), chance };
        let (state, actions) = step(self.state.clone(), event, tick);
        self.state = state;
        actions
    }

    /// Lets go of what the state machine has not taken, after its actions are done.
    pub fn end_step(&mut self) {
        self.loaded = None;
        self.held = self.held.filter(|held| Some(*held) == self.state.held());
    }

    /// Notes that the doorbell shows this.
    pub fn show(&mut self, marker: &ObservedMarker) {
        self.has_listed = true;
        let shown = match marker {
            ObservedMarker::Published(marked) => Some(marked.publish),
            _ => None,
        };
        self.shown = shown.or(self.shown);
        let shown = shown.map(|publish| publish.fingerprint);
        self.goes_back_to = self.goes_back_to.filter(|before| shown == Some(*before));
    }

    /// Notes that this content was loaded, for the step that takes it.
    pub fn load(&mut self, content: Fingerprint) {
        self.loaded = Some(content);
    }

    /// Holds what was loaded beside what it resolves.
    pub fn hold(&mut self) {
        self.held = self.loaded.take();
    }

    /// Swaps in what was loaded or held, and returns whether there was anything.
    pub fn swap(&mut self, publish: Publish, now: Moment) -> bool {
        // What is resolved from afterwards is what was loaded, whatever the machine calls it.
        let content = |loaded: &Fingerprint| *loaded == publish.fingerprint;
        let Some(loaded) = self.loaded.or(self.held.take_if(|held| content(held))) else { return false };
        let before = self.current().map(|before| before.fingerprint);
        self.held = before.filter(|before| Some(*before) == self.state.held()).or(self.held);
        let staged = self.shown.is_some_and(|shown| shown != publish);
        let published = self.shown.map(|shown| shown.fingerprint);
        self.goes_back_to = before.filter(|before| staged && published == Some(*before));
        self.resolves.push((now, Publish { fingerprint: loaded, ..publish }));
        true
    }

    /// Gives what it resolves from this name.
    pub fn rename(&mut self, publish: Publish, now: Moment) {
        if let Some(current) = self.current()
            && current.updated_at != publish.updated_at
        {
            self.resolves.push((now, Publish { fingerprint: current.fingerprint, ..publish }));
        }
    }

    /// Begins a fetch in the place of the one before, and returns its number.
    pub fn begin_work(&mut self) -> u64 {
        self.work += 1;
        self.work
    }

    /// Gives up the fetch that is under way: its result is ignored.
    pub fn cancel_work(&mut self) {
        self.work += 1;
    }

    /// Returns whether it waits for the fetch of this number.
    pub fn works_on(&self, work: u64) -> bool {
        self.work == work
    }

    /// Arms its timer anew, and returns the number of it and the time at which the state machine wants to wake up.
    pub fn arm(&mut self, now: Moment) -> Option<(u64, Moment)> {
        let since = now.saturating_sub(self.opened);
        self.armed += 1;
        Some((self.armed, self.opened + self.state.wake_at(since)?))
    }

    /// Returns whether the timer of this number is the last that was armed.
    pub fn is_armed(&self, armed: u64) -> bool {
        self.armed == armed
    }
}
