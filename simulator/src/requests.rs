//! The requests of people about the workspace: its steps, whether it is suspended, and the annotation about a rollout.

use std::time::Duration;

use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::rollout::Request;

use crate::event::Event;
use crate::rollout_plan::{Asked, StepsPlan};
use crate::world::World;

/// The part of the object that people write.
#[derive(Default)]
pub struct Requests {
    pub steps: StepsPlan,
    /// Until then the source is not polled.
    pub suspended: Duration,
    /// The annotation: the commit that it names, and the request.
    pub asked: Option<(u64, Request)>,
}

impl World {
    pub fn is_suspended(&self) -> bool {
        self.now < self.api.requests.suspended
    }

    /// Returns the request about the newest commit that an operator knows.
    pub fn request_to(&self, operator: usize) -> Option<Request> {
        let (commit, _) = self.operators[operator].record.as_ref()?.named?;
        self.request_about(commit)
    }

    /// Returns the request about this commit.
    pub fn request_about(&self, commit: u64) -> Option<Request> {
        let (named, request) = self.api.requests.asked?;
        (named == commit).then_some(request)
    }

    pub fn change_steps(&mut self, steps: StepsPlan) {
        self.api.requests.steps = steps;
        self.requeue_all_operators();
    }

    /// Somebody writes the annotation: about what is there, or about something that is over.
    pub fn ask(&mut self, asked: Asked, newest: bool) {
        let marked = match self.api.marker {
            MarkerEntry::Published(marked) => Some(marked),
            MarkerEntry::Nothing | MarkerEntry::Removed(_) | MarkerEntry::Unreadable => None,
        };
        let step = marked.and_then(|marked| marked.stage).map_or(0, |stage| stage.step);
        let held = marked.and_then(|marked| marked.held).map(|(held, _)| held.updated_at);
        let commit = if newest || self.rng.bool() { self.git.commit } else { self.git.commit - 1 };
        let request = match asked {
            Asked::Promote => Request::Promote,
            Asked::PromoteStep => Request::PromoteStep(if newest { step } else { step.saturating_sub(1) }),
            Asked::Hold => Request::Hold,
            Asked::Abort => Request::Abort,
            Asked::Retry => {
                let earlier = held.and(marked).map(|marked| marked.publish.updated_at);
                let Some(name) = (if newest { held } else { earlier }) else { return };
                Request::Retry(name)
            }
        };
        self.log(|| format!("somebody asks about commit {commit}: {request:?}"));
        self.api.requests.asked = Some((commit, request));
        self.note_retry(commit, request);
        self.requeue_all_operators();
    }

    pub fn unask(&mut self) {
        self.api.requests.asked = None;
        self.requeue_all_operators();
    }

    pub fn suspend(&mut self, time: Duration) {
        let until = self.now + time;
        self.api.requests.suspended = self.api.requests.suspended.max(until);
        self.at(self.api.requests.suspended, Event::Resume);
        self.requeue_all_operators();
    }

    /// The source is polled again, if nobody has suspended the workspace for longer.
    pub fn resume(&mut self) {
        if self.is_suspended() {
            return;
        }
        if let Some(leader) = self.lease {
            self.poll(leader);
        }
        self.requeue_all_operators();
    }

    pub fn delete_status(&mut self) {
        self.forget_overwritten_names();
        self.api.status = None;
        self.api.status_version += 1;
        if let Some(leader) = self.lease {
            self.show_status(leader, Duration::from_millis(20));
        }
    }

    /// Content that an edit of the marker had overwritten was known to status alone.
    pub fn forget_overwritten_names(&mut self) {
        if self.api.edited {
            self.api.last_name = match self.api.marker {
                MarkerEntry::Published(marked) => Some(marked.publish.updated_at),
                MarkerEntry::Removed(name) => Some(name),
                MarkerEntry::Nothing | MarkerEntry::Unreadable => None,
            };
        }
    }
}
