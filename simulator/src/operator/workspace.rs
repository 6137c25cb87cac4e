//! The workspace comes and goes: a namesake is another object, of another UID, and what the first one left is swept.

use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_protocol::fleet::Moment;
use rototo_protocol::plan::MarkerEntry;

use crate::state::event::Event;
use crate::state::operator::Sweep;
use crate::state::world::World;
use crate::violation::Invariant;

impl World {
    pub fn delete_workspace(&mut self, gap: Duration) {
        if self.api.workspace.take().is_none() {
            return;
        }
        self.forget_overwritten_names();
        self.api.status = None;
        self.api.taken_back.clear();
        self.workspace_changed();
        self.after(gap, Event::CreateWorkspace);
    }

    pub fn create_workspace(&mut self) {
        if self.api.workspace.is_some() {
            return;
        }
        self.api.workspaces += 1;
        self.api.workspace = Some(self.api.workspaces);
        self.api.workspace_since = self.now;
        self.api.anyway = [false; 3];
        self.api.requests.asked = None;
        self.api.requests.suspended = Duration::ZERO;
        // What the new one publishes has a name of its own.
        self.git.changes += 1;
        self.workspace_changed();
    }

    fn workspace_changed(&mut self) {
        self.api.status_version += 1;
        for operator in 0..self.operators.len() {
            if self.operators[operator].alive {
                let lag = Duration::from_millis(self.rng.u64(1..100));
                let life = self.operators[operator].life;
                self.after(lag, Event::WorkspaceSeen { operator, life });
            }
        }
    }

    pub fn workspace_seen(&mut self, operator: usize, life: u64) {
        if self.operators[operator].life != life {
            return;
        }
        self.operators[operator].shown_workspace = self.api.workspace;
        if self.lease == Some(operator) && self.api.workspace.is_none() {
            self.sweep_soon(operator);
        }
        self.requeue(operator, Duration::from_millis(1));
    }

    /// Removes what is left of a workspace that is gone.
    pub fn sweep_soon(&mut self, operator: usize) {
        let leader = &mut self.operators[operator];
        if leader.sweeps.is_none() {
            leader.sweeps = Some(Sweep::Announces);
            self.sweep_again(operator);
        }
    }

    fn sweep_again(&mut self, operator: usize) {
        let life = self.operators[operator].life;
        let delay = Duration::from_millis(self.rng.u64(1..20));
        self.after(delay, Event::Sweep { operator, life });
    }

    /// Asks the API server whether the workspace is gone, and then does one step.
    pub fn sweep(&mut self, operator: usize, life: u64) {
        let wall = self.wall_of(operator);
        let (leads, away) = (self.leads(operator), self.is_cut() || self.operators[operator].map.is_none());
        let exists = self.api.workspace.is_some();
        let leader = &mut self.operators[operator];
        let Some(stage) = leader.sweeps.filter(|_| leader.life == life && leads) else { return };
        if exists || leader.shown_workspace.is_some() {
            leader.sweeps = None;
            return;
        }
        let Some((version, found)) = leader.map.filter(|_| !away) else {
            return self.after(Duration::from_secs(1), Event::Sweep { operator, life });
        };
        let removed = |before| MarkerEntry::Removed(UpdatedAt::after(before, wall));
        let marker = match (found, stage) {
            (MarkerEntry::Published(marked), _) => removed(Some(marked.publish.updated_at)),
            // It was known and never published: a process that waits for its first publish is told that it is gone.
            (MarkerEntry::Nothing, Sweep::Announces) if leader.record.is_some() => removed(None),
            (MarkerEntry::Nothing, _) => {
                leader.swept |= leader.record.take().is_some() || stage == Sweep::Takes;
                leader.sweeps = None;
                return;
            }
            (MarkerEntry::Removed(_) | MarkerEntry::Unreadable, _) => MarkerEntry::Nothing,
        };
        let delay = Duration::from_millis(self.rng.u64(1..20));
        let decided = self.now;
        self.after(delay, Event::SweepPatch { operator, life, version, marker: Box::new(marker), decided });
    }

    pub fn sweep_arrives(&mut self, operator: usize, life: u64, version: u64, marker: MarkerEntry, decided: Moment) {
        if version == self.api.map_version {
            // Whoever creates it between the question and the write comes too late.
            if self.api.workspace.is_some() && self.api.workspace_since < decided {
                let since = self.api.workspace_since.as_millis();
                self.breaks(Invariant::SweptOnceGone, format!("the workspace that is swept exists since {since} ms"));
            }
            // The operator of its namesake takes the sweep for an edit.
            self.api.written_late |= self.api.workspace.is_some();
            match marker {
                MarkerEntry::Removed(name) => self.api.last_name = self.api.last_name.max(Some(name)),
                // Nothing remembers its name any more, and a clock that is set back comes before it.
                _ if self.clock_jumped || self.api.edited || self.api.announcement_edited => self.api.last_name = None,
                _ => {}
            }
            self.write_marker(marker);
        }
        if self.operators[operator].life != life || !self.leads(operator) {
            return;
        }
        // The answer has the map, and where there was a conflict it is asked for.
        self.learn_map(operator);
        if let Some(stage) = &mut self.operators[operator].sweeps {
            *stage = Sweep::Takes;
            self.sweep_again(operator);
        }
    }
}
