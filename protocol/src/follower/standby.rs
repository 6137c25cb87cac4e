//! The announced publish: what a process prepares beside what it runs, so that no request stands between the marker and
//! the swap.
//!
//! Nothing is resolved from it. It is dropped when the marker announces something else, or nothing.

use rototo_engine::Fingerprint;

use super::fault::Fault;
use super::{FetchProgress, FollowerState, RefusedPublish, StepTime};
use crate::Publish;

/// The progress of one handle with the announced publish.
#[derive(Clone, Debug, Default)]
pub(super) struct Standby {
    /// True where the application has turned preparing off.
    off: bool,
    /// The publish that the marker announces.
    announced: Option<Publish>,
    /// The content that is held, compiled and checked.
    held: Option<Fingerprint>,
    refused: Option<RefusedPublish>,
}

impl Standby {
    /// The marker announces this publish, or nothing. What is held of it stays until the step has compared it with the
    /// publish that the marker names.
    pub(super) fn announce(&mut self, next: Option<Publish>) {
        self.announced = next.filter(|_| !self.off);
    }

    pub(super) fn announced(&self) -> Option<Publish> {
        self.announced
    }

    /// Returns whether the marker announces this publish, as far as this process looks at it.
    pub(super) fn shows(&self, next: Publish) -> bool {
        self.off || self.announced == Some(next)
    }

    /// The content was loaded. Returns whether it is held.
    pub(super) fn hold(&mut self, fingerprint: Fingerprint) -> bool {
        let wanted = self.announced.is_some_and(|next| next.fingerprint == fingerprint);
        if wanted {
            self.held = Some(fingerprint);
            self.refused = None;
        }
        wanted
    }

    /// The content can't run here. It is tried again later: a check of the application may fail for a reason that
    /// passes.
    pub(super) fn refuse(&mut self, fingerprint: Fingerprint, fault: Fault, tick: StepTime) {
        if let Some(next) = self.announced.filter(|next| next.fingerprint == fingerprint) {
            self.refused = Some(RefusedPublish::after(self.refused.take(), next, fault, tick));
        }
    }

    /// Takes the refusal of this publish, which the marker now names.
    pub(super) fn take_refusal(&mut self, desired: Publish) -> Option<RefusedPublish> {
        self.refused.take_if(|refused| refused.publish == desired)
    }

    /// Takes the content that the marker now names. Returns whether it was held.
    pub(super) fn take_held(&mut self, desired: Fingerprint) -> bool {
        self.held.take_if(|held| *held == desired).is_some()
    }

    /// Drops content that the marker no longer announces.
    pub(super) fn drop_superseded(&mut self) {
        let announced = self.announced.map(|next| next.fingerprint);
        self.held = self.held.filter(|held| Some(*held) == announced);
    }

    /// Returns the announced publish, if it is neither held nor refused. `fetch` is its fetch, if one is in progress.
    pub(super) fn missing(&self, fetch: Option<&FetchProgress>, tick: StepTime) -> Option<Publish> {
        let next = self.announced?;
        let refused = self.refusal().is_some_and(|refused| fetch.is_none() && tick.now < refused.again);
        (self.held != Some(next.fingerprint) && !refused).then_some(next)
    }

    /// Returns the refusal of the announced publish.
    pub(super) fn refusal(&self) -> Option<&RefusedPublish> {
        self.refused.as_ref().filter(|refused| Some(refused.publish) == self.announced)
    }

    pub(super) fn try_again(&mut self, tick: StepTime) {
        if let Some(refused) = &mut self.refused {
            refused.again = tick.now;
        }
    }
}

impl FollowerState {
    /// Never prepares an announced publish, for a process that has no memory for two versions.
    #[must_use]
    pub fn without_preparing(mut self) -> Self {
        self.standby.off = true;
        self
    }

    /// Returns whether this handle prepares what the marker announces.
    pub fn prepares(&self) -> bool {
        !self.standby.off
    }

    /// Returns the content that is held beside what runs.
    pub fn held(&self) -> Option<Fingerprint> {
        self.standby.held
    }
}
