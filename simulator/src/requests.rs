//! The requests of people about the workspace: its steps, whether it is suspended, and the annotation about a rollout.

use std::time::Duration;

use rototo_protocol::Publish;
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::rollout::{Action, Request};

use crate::rollout_plan::{Asked, StepsPlan};
use crate::state::event::Event;
use crate::state::world::World;

impl World {
    pub fn is_suspended(&self) -> bool {
        self.now < self.api.requests.suspended
    }

    /// Returns what a person asks for about this announced publish.
    pub fn asked_about(&self, next: Publish) -> Option<Action> {
        self.api.requests.asked?.about(next.updated_at)
    }

    pub fn change_steps(&mut self, steps: StepsPlan) {
        self.api.requests.steps = steps;
        self.requeue_all_operators();
    }

    /// Has somebody write the annotation: about what is there, or about something that is over.
    pub fn ask(&mut self, asked: Asked, newest: bool) {
        let marked = match self.api.marker {
            MarkerEntry::Published(marked) => Some(marked),
            MarkerEntry::Nothing | MarkerEntry::Removed(_) | MarkerEntry::Unreadable => None,
        };
        let step = marked.and_then(|marked| marked.stage).map_or(0, |stage| stage.step);
        let (next, held) = (marked.and_then(|marked| marked.next), marked.and_then(|marked| marked.held));
        // What is published was announced before, or its name is at least an earlier one.
        let earlier = marked.map(|marked| marked.publish);
        let about = if newest { next } else { earlier };
        let (action, about) = match asked {
            Asked::Promote => (Action::Promote, about),
            Asked::PromoteStep if newest => (Action::PromoteStep(step), next),
            Asked::PromoteStep if self.rng.bool() => (Action::PromoteStep(step), earlier),
            Asked::PromoteStep => (Action::PromoteStep(step.saturating_sub(1)), next),
            Asked::Hold => (Action::Hold, about),
            Asked::Abort => (Action::Abort, about),
            Asked::Retry if newest => (Action::Retry, held.map(|(held, _)| held)),
            Asked::Retry => (Action::Retry, held.and(earlier)),
        };
        let Some(about) = about else { return };
        let request = Request { action, of: about.updated_at };
        self.log(|| format!("somebody asks: {request:?}"));
        self.api.requests.asked = Some(request);
        self.note_retry(request);
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

    /// Has the spec refuse this content, or nothing any more.
    pub fn change_rules(&mut self, refused: Option<u8>) {
        let (now, requests) = (self.now, &mut self.api.requests);
        requests.spec += 1;
        requests.spec_since = now;
        requests.refused = refused;
        if let Some(leader) = self.lease {
            self.poll(leader);
        }
        self.requeue_all_operators();
    }

    /// Ends the rules of this version of the spec.
    pub fn rules_end(&mut self, spec: u64) {
        if self.api.requests.spec == spec && self.api.requests.refused.is_some() {
            self.change_rules(None);
        }
    }

    pub fn is_selector_broken(&self) -> bool {
        self.now < self.api.requests.selector_broken
    }

    pub fn break_selector(&mut self, time: Duration) {
        let until = self.now + time;
        self.api.requests.selector_broken = self.api.requests.selector_broken.max(until);
        // The operator does not know all pods meanwhile, so a publish has no figure.
        self.somebody_left = true;
        self.at(self.api.requests.selector_broken, Event::SelectorMended);
        self.requeue_all_operators();
    }

    /// Polls the source again, if nobody has suspended the workspace for longer.
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
        if !matches!(self.api.marker, MarkerEntry::Published(_)) {
            // What was taken back may have been known to status alone.
            self.note_edit();
        }
        self.api.status = None;
        self.api.status_version += 1;
        if let Some(leader) = self.lease {
            self.show_status(leader, Duration::from_millis(20));
        }
    }

    /// Forgets the names that an edit of the marker had overwritten: they were known to status alone.
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
