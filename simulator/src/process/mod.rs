//! Processes: each follows the workspace with one or more handles, by the client library's own pure state machine.

mod following;
mod reporting;

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::{Pid, ProcessState};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{DiskCache, FollowerEvent as Happened, FollowerState, ObservedMarker, ReportedState};
use rototo_protocol::plan::MarkerEntry;

use crate::event::Event;
use crate::operator::record::ReceivedReport;
use crate::script::{Client, PodPlan};
use crate::world::World;

/// A process that opened the workspace.
pub struct Process {
    pub pod: Option<usize>,
    /// It is the first of its container.
    pub main: bool,
    pub alive: bool,
    pub client: Client,
    /// It prepares what the marker announces.
    pub prepares: bool,
    /// It reads the source itself when the operator gives it nothing.
    pub direct: bool,
    pub started: Moment,
    started_at: Timestamp,
    pub handles: Vec<Handle>,
    pub opened: u64,
    sequence: u64,
    pub refuses: [bool; 3],
    /// It has refused something at some time.
    pub has_refused: bool,
    /// It is stopped until then.
    pub stopped: Moment,
    pub cut_from_operator: Moment,
    pub deaf_watch: Moment,
    /// The version of the map that its watch has shown.
    seen_version: u64,
    /// The content on its disk.
    disk: Option<Publish>,
    keeps: bool,
    /// The operator's questions about its siblings.
    asked: Vec<Pid>,
    /// When all its handles had a publish first.
    applied: Vec<(Publish, Moment)>,
    /// The last report of it that any operator has taken.
    pub last_taken: Option<ReceivedReport>,
}

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
}

impl Process {
    pub fn ever_applied(&self, publish: Publish) -> bool {
        self.applied_at(publish).is_some()
    }

    /// When all its handles had applied a publish.
    pub fn applied_at(&self, publish: Publish) -> Option<Moment> {
        self.applied.iter().find(|(applied, _)| *applied == publish).map(|(_, at)| *at)
    }

    fn note_applied(&mut self, now: Moment) {
        let Some(publish) = self.handles.first().and_then(Handle::current) else { return };
        if self.handles.iter().all(|handle| handle.current() == Some(publish)) && !self.ever_applied(publish) {
            self.applied.push((publish, now));
        }
    }

    /// Returns whether its reports are ordered: an older client's handles overwrite each other's.
    pub fn speaks_for_all_handles(&self) -> bool {
        self.client != Client::Older || self.opened < 2
    }

    fn pid(&self, index: usize) -> Option<Pid> {
        let pid = u32::try_from(index).unwrap_or(0) + 1;
        self.pod.map(|pod| Pid { pid, started: 1, namespace: pod as u64 })
    }
}

impl World {
    pub fn start_process(&mut self, pod: Option<usize>) -> usize {
        let PodPlan { mute, cache, direct, unprepared, client, .. } =
            pod.map_or(PodPlan::PLAIN, |pod| self.pods[pod].plan);
        let main = pod.is_some_and(|pod| self.processes_of(pod).is_empty());
        // A process that starts where another one ran finds what that one kept.
        let disk = self.processes.iter().rev().find(|other| cache && other.pod == pod).and_then(|other| other.disk);
        let client = if main { client } else { Client::Current };
        let process = Process {
            pod,
            main,
            alive: true,
            client,
            prepares: !unprepared && client != Client::Older,
            direct,
            started: self.now,
            started_at: self.wall(),
            handles: Vec::new(),
            opened: 0,
            sequence: 0,
            refuses: [false; 3],
            has_refused: false,
            stopped: Moment::ZERO,
            cut_from_operator: if mute { crate::world::QUIET_AT } else { Moment::ZERO },
            deaf_watch: self.faults.api_away,
            seen_version: 0,
            disk,
            keeps: cache,
            asked: Vec::new(),
            applied: Vec::new(),
            last_taken: None,
        };
        self.processes.push(process);
        let index = self.processes.len() - 1;
        self.open_handle(index);
        self.list_soon(index);
        index
    }

    /// One of the processes that live.
    pub fn living(&self, one: usize) -> Option<usize> {
        let living: Vec<usize> = (0..self.processes.len()).filter(|index| self.processes[*index].alive).collect();
        living.get(one % living.len().max(1)).copied()
    }

    pub fn open_handle(&mut self, process: usize) {
        let now = self.now;
        let one = &mut self.processes[process];
        if one.handles.len() >= 3 {
            return;
        }
        one.opened += 1;
        let disk = if one.keeps && one.disk.is_some() { DiskCache::Enabled } else { DiskCache::None };
        let pod = one.pod.map(|pod| self.pods[pod].uid.clone());
        let state = FollowerState::new(None, disk).in_pod(pod);
        let state = if one.prepares { state } else { state.without_preparing() };
        let id = one.opened;
        one.handles.push(Handle {
            id,
            opened: now,
            state,
            resolves: Vec::new(),
            work: 0,
            armed: 0,
            shown: None,
            loaded: None,
            held: None,
            goes_back_to: None,
            has_listed: false,
        });
        if one.seen_version > 0 {
            // It joins a watch that runs: what that shows is news to it.
            self.after(Duration::from_millis(1), Event::Watch { process });
        }
        self.arm(process, id);
    }

    pub fn close_handle(&mut self, process: usize) {
        if self.processes[process].handles.is_empty() {
            return;
        }
        self.somebody_left = true;
        let closed = self.processes[process].handles.remove(0);
        let now = self.now;
        self.processes[process].note_applied(now);
        if self.processes[process].handles.is_empty() {
            let publish = closed.current();
            self.send(
                process,
                closed.id,
                &ReportedState { publish, ..ReportedState::without_content(ProcessState::Draining) },
                None,
            );
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

    /// Nothing is in its way any more; a process that drained and lives on opens the workspace again.
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
            let again =
                stopped.min(crate::world::QUIET_AT + Duration::from_millis(1)).max(self.now + Duration::from_millis(1));
            self.at(again, event());
            return false;
        }
        true
    }

    pub fn list_soon(&mut self, process: usize) {
        let delay = self.delay();
        self.after(delay, Event::List { process });
    }

    /// The map has changed: every watch that is connected shows it.
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
                let healed = self.processes[process].deaf_watch.min(crate::world::QUIET_AT);
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
            self.processes[process].handles.iter().map(|one| (one.id, one.has_listed)).collect();
        for (handle, has_listed) in handles {
            let event = if list || !has_listed {
                Happened::Hydrated(marker.clone())
            } else {
                Happened::Changed(marker.clone())
            };
            if let Some(handle) = self.handle_of(process, handle) {
                handle.has_listed = true;
                let shown = match marker {
                    ObservedMarker::Published(marked) => Some(marked.publish),
                    _ => None,
                };
                handle.shown = shown.or(handle.shown);
                let shown = shown.map(|publish| publish.fingerprint);
                handle.goes_back_to = handle.goes_back_to.filter(|before| shown == Some(*before));
            }
            self.happens(process, handle, event);
        }
    }

    fn handle_of(&mut self, process: usize, id: u64) -> Option<&mut Handle> {
        self.processes[process].handles.iter_mut().find(|handle| handle.id == id)
    }

    pub fn timer(&mut self, process: usize, handle: u64, armed: u64) {
        if self.handle_of(process, handle).is_none_or(|handle| handle.armed != armed) {
            return;
        }
        if self.awake(process, || Event::Timer { process, handle, armed }) {
            self.happens(process, handle, Happened::Timer);
        }
    }

    fn arm(&mut self, process: usize, id: u64) {
        let now = self.now;
        let Some(handle) = self.handle_of(process, id) else { return };
        let since = now.saturating_sub(handle.opened);
        handle.armed += 1;
        let (armed, opened) = (handle.armed, handle.opened);
        if let Some(wake) = handle.state.wake_at(since) {
            // A step right now would be the same again.
            self.at((opened + wake).max(now + Duration::from_millis(1)), Event::Timer { process, handle: id, armed });
        }
    }
}
