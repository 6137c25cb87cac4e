//! The publish beside the desired one: what a process holds ready, so that no request stands between the marker and the
//! swap.
//!
//! It is the announced publish, or, in a pod of its stage, the published one: that is what the process returns to if the
//! announced one is taken back. Nothing is resolved from it. It is dropped once the marker no longer has it.

use rototo_engine::Fingerprint;

use super::fault::Fault;
use super::{FetchProgress, FollowerState, RefusedPublish, StepTime};
use crate::{Marked, Publish, stage};

/// The progress of one handle with the publish beside the desired one.
#[derive(Clone, Debug, Default)]
pub(super) struct Standby {
    /// True where the application has turned preparing off.
    off: bool,
    /// The UID of the pod, which decides whether the process is in a stage.
    pod: Option<String>,
    /// The publish that the marker announces.
    announced: Option<Publish>,
    /// The publish to hold.
    wanted: Option<Publish>,
    /// The content that is held, compiled and checked.
    held: Option<Fingerprint>,
    refused: Option<RefusedPublish>,
}

impl Standby {
    /// Takes what the marker says, and returns the desired publish. What is held stays until the step has compared it
    /// with the desired publish.
    pub(super) fn observe(&mut self, marked: Marked) -> Publish {
        let Marked { publish, next, stage, .. } = marked;
        self.announced = next.filter(|_| !self.off);
        let includes =
            |next: &Publish| stage.is_some_and(|stage| stage::includes(&stage, next.fingerprint, self.pod.as_deref()));
        match self.announced.filter(includes) {
            Some(next) => {
                self.wanted = Some(publish);
                next
            }
            None => {
                self.wanted = self.announced;
                publish
            }
        }
    }

    /// Records that the marker announces nothing that this process can read.
    pub(super) fn clear(&mut self) {
        (self.announced, self.wanted) = (None, None);
    }

    /// Returns the publish to hold.
    pub(super) fn wanted(&self) -> Option<Publish> {
        self.wanted
    }

    /// Returns whether the marker announces this publish, as far as this process looks at it.
    pub(super) fn shows(&self, next: Publish) -> bool {
        self.off || self.announced == Some(next)
    }

    /// Records that the handle no longer resolves from this content. It is held if it is wanted.
    pub(super) fn replaced(&mut self, before: Fingerprint) {
        if self.wanted.is_some_and(|wanted| wanted.fingerprint == before) {
            self.held = Some(before);
        }
    }

    /// Records that the content was loaded. Returns whether it is held.
    pub(super) fn hold(&mut self, fingerprint: Fingerprint) -> bool {
        let wanted = self.wanted.is_some_and(|wanted| wanted.fingerprint == fingerprint);
        if wanted {
            self.held = Some(fingerprint);
            self.refused = None;
        }
        wanted
    }

    /// Records that the content can't run here. It is tried again later: a check of the application may fail for a
    /// reason that passes.
    pub(super) fn refuse(&mut self, fingerprint: Fingerprint, fault: Fault, tick: StepTime) {
        if let Some(wanted) = self.wanted.filter(|wanted| wanted.fingerprint == fingerprint) {
            self.refused = Some(RefusedPublish::after(self.refused.take(), wanted, fault, tick));
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

    /// Drops content that is no longer wanted.
    pub(super) fn drop_superseded(&mut self) {
        let wanted = self.wanted.map(|wanted| wanted.fingerprint);
        self.held = self.held.filter(|held| Some(*held) == wanted);
    }

    /// Returns the publish to hold, if it is neither held nor refused. `fetch` is its fetch, if one is in progress.
    pub(super) fn missing(&self, fetch: Option<&FetchProgress>, tick: StepTime) -> Option<Publish> {
        let wanted = self.wanted?;
        let refused = self.refusal().is_some_and(|refused| fetch.is_none() && tick.now < refused.again);
        (self.held != Some(wanted.fingerprint) && !refused).then_some(wanted)
    }

    /// Returns the refusal of the publish to hold.
    pub(super) fn refusal(&self) -> Option<&RefusedPublish> {
        self.refused.as_ref().filter(|refused| Some(refused.publish) == self.wanted)
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

    /// Follows as a process of the pod with this UID. Without a pod a process is in no stage.
    #[must_use]
    pub fn in_pod(mut self, uid: Option<String>) -> Self {
        self.standby.pod = uid;
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
