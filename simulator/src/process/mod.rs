//! Processes: each follows the workspace with one or more handles, by the client library's own pure state machine.

mod following;
mod reporting;

use std::time::Duration;

use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{FollowerEvent as Happened, ObservedMarker};
use rototo_protocol::plan::MarkerEntry;

use crate::script::PodPlan;
use crate::state::event::Event;
use crate::state::handle::Handle;
use crate::state::process::Process;
use crate::state::times::QUIET_AT;
use crate::state::world::World;

impl World {
    pub fn start_process(&mut self, pod: Option<usize>) -> usize {
        let plan = pod.map_or(PodPlan::PLAIN, |pod| self.pods[pod].plan);
        let main = pod.is_some_and(|pod| self.processes_of(pod).is_empty());
        // A process that starts where another one ran finds what that one kept.
        let mut others = self.processes.iter().rev();
        let disk = others.find(|other| plan.cache && other.pod == pod).and_then(Process::disk);
        let mut process = Process::new(plan, pod, main, disk, (self.now, self.wall()));
        process.deaf_watch = self.faults.api_away;
        self.processes.push(process);
        let index = self.processes.len() - 1;
        self.open_handle(index);
        self.list_soon(index);
        index
    }

    /// Returns one of the processes that live.
    pub fn living(&self, one: usize) -> Option<usize> {
        let living: Vec<usize> = (0..self.processes.len()).filter(|index| self.processes[*index].alive).collect();
        living.get(one % living.len().max(1)).copied()
    }

    pub fn open_handle(&mut self, process: usize) {
        let (now, one) = (self.now, &mut self.processes[process]);
        let pod = one.pod.map(|pod| self.pods[pod].uid.clone());
        let Some(id) = one.open(now, pod) else { return };
        if one.seen_version > 0 {
            // It joins a watch that runs: what that shows is news to it.
            self.after(Duration::from_millis(1), Event::Watch { process });
        }
        self.arm(process, id);
    }

    pub fn close_handle(&mut self, process: usize) {
        let now = self.now;
        let Some(closed) = self.processes[process].close(now) else { return };
        self.somebody_left = true;
        if self.processes[process].drained().is_some() {
            self.report_drained(process, closed.id);
        } else {
            self.report(process, closed.id);
        }
    }

    pub fn close_all_handles(&mut self, process: usize) {
        while !self.processes[process].handles.is_empty() {
            self.close_handle(process);
        }
    }

    pub fn die(&mut self, process: usize) {
        if self.processes[process].alive {
            self.somebody_left = true;
            self.processes[process].alive = false;
            self.process_ended(process);
        }
    }

    pub fn stop_process(&mut self, one: usize, duration: Duration) {
        if let Some(process) = self.living(one) {
            let until = self.now + duration;
            self.processes[process].stopped = self.processes[process].stopped.max(until);
        }
    }

    /// Takes everything out of its way; a process that drained and lives on opens the workspace again.
    pub fn heal_process(&mut self, process: usize) {
        let now = self.now;
        let one = &mut self.processes[process];
        for hindered_until in [&mut one.stopped, &mut one.cut_from_operator, &mut one.deaf_watch] {
            *hindered_until = now.min(*hindered_until);
        }
        one.refuses = [false; 3];
        if !one.alive || one.pod.is_some_and(|pod| self.pods[pod].deleting || self.pods[pod].lost) {
            return;
        }
        if self.processes[process].handles.is_empty() {
            self.open_handle(process);
        }
        self.list_soon(process);
        let handles: Vec<u64> = self.processes[process].handles.iter().map(|handle| handle.id).collect();
        for handle in handles {
            self.happens(process, handle, Happened::RefreshRequested);
        }
    }

    /// Returns whether the process runs now; if it is stopped, `event` happens when it wakes.
    fn awake(&mut self, process: usize, event: impl FnOnce() -> Event) -> bool {
        let one = &self.processes[process];
        if !one.alive {
            return false;
        }
        let stopped = one.stopped;
        if self.now < stopped {
            // Whatever it was, it is looked at again when all wake up.
            let again = stopped.min(QUIET_AT + Duration::from_millis(1)).max(self.now + Duration::from_millis(1));
            self.at(again, event());
            return false;
        }
        true
    }

    pub fn list_soon(&mut self, process: usize) {
        let delay = self.delay();
        self.after(delay, Event::List { process });
    }

    /// Shows the changed map to every watch that is connected.
    pub fn notify_processes(&mut self) {
        for process in 0..self.processes.len() {
            if self.processes[process].alive && self.now >= self.processes[process].deaf_watch {
                let delay = self.delay();
                self.after(delay, Event::Watch { process });
            }
        }
    }

    pub fn watch_shows(&mut self, process: usize, list: bool) {
        if !self.awake(process, || if list { Event::List { process } } else { Event::Watch { process } }) {
            return;
        }
        if self.now < self.processes[process].deaf_watch {
            // A list waits for the API server; an event of a dead watch never comes.
            if list {
                let healed = self.processes[process].deaf_watch.min(QUIET_AT);
                self.at(healed + Duration::from_millis(1), Event::List { process });
            }
            return;
        }
        let marker = match self.api.marker {
            MarkerEntry::Nothing => ObservedMarker::NoMarker,
            MarkerEntry::Published(marked) => ObservedMarker::Published(marked),
            MarkerEntry::Removed(updated_at) => ObservedMarker::Removed(updated_at),
            MarkerEntry::Unreadable => ObservedMarker::Unreadable(Fault::persistent("marker_malformed", "")),
        };
        self.processes[process].seen_version = self.api.map_version;
        let handles: Vec<(u64, bool)> =
            self.processes[process].handles.iter().map(|one| (one.id, one.has_listed())).collect();
        for (handle, has_listed) in handles {
            let event = if list || !has_listed {
                Happened::Hydrated(marker.clone())
            } else {
                Happened::Changed(marker.clone())
            };
            if let Some(handle) = self.handle_of(process, handle) {
                handle.show(&marker);
            }
            self.happens(process, handle, event);
        }
    }

    fn handle_of(&mut self, process: usize, id: u64) -> Option<&mut Handle> {
        self.processes[process].handles.iter_mut().find(|handle| handle.id == id)
    }

    pub fn timer(&mut self, process: usize, handle: u64, armed: u64) {
        if self.handle_of(process, handle).is_none_or(|handle| !handle.is_armed(armed)) {
            return;
        }
        if self.awake(process, || Event::Timer { process, handle, armed }) {
            self.happens(process, handle, Happened::Timer);
        }
    }

    fn arm(&mut self, process: usize, id: u64) {
        let now = self.now;
        let Some(handle) = self.handle_of(process, id) else { return };
        if let Some((armed, wake)) = handle.arm(now) {
            // A step right now would be the same again.
            self.at(wake.max(now + Duration::from_millis(1)), Event::Timer { process, handle: id, armed });
        }
    }
}
