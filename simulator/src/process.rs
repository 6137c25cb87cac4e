//! Processes: each follows the workspace with one or more handles, by the client library's own pure state machine.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::{Pid, ProcessState, Report, ReportResponse, SiblingState, Testimony};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{
    ContentSource, DiskCache, FollowerAction, FollowerEvent as Happened, FollowerState, ObservedMarker, StepTime,
    combine, step,
};
use rototo_protocol::plan::MarkerEntry;

use crate::world::{World, WorldEvent, number};

/// A process that opened the workspace.
pub struct Process {
    pub pod: Option<usize>,
    /// It is the first of its container.
    pub main: bool,
    pub alive: bool,
    pub started: Moment,
    started_at: Timestamp,
    pub handles: Vec<Handle>,
    opened: u64,
    sequence: u64,
    pub refuses: [bool; 3],
    /// It is stopped until then.
    stopped: Moment,
    pub cut_from_operator: Moment,
    pub deaf_watch: Moment,
    /// The version of the map that its watch has shown.
    seen_version: u64,
    /// What its disk keeps.
    disk: Option<Publish>,
    keeps: bool,
    /// What it was asked about its siblings.
    asked: Vec<Pid>,
    /// When all its handles had a publish first.
    applied: Vec<(Publish, Moment)>,
}

/// One handle of a process.
pub struct Handle {
    pub id: u64,
    pub opened: Moment,
    state: FollowerState,
    /// What a new call of `current()` gives, and since when.
    resolves: Vec<(Moment, Publish)>,
    work: u64,
    armed: u64,
    loaded: Option<Fingerprint>,
    has_listed: bool,
}

impl Handle {
    /// What it resolves from now.
    pub fn current(&self) -> Option<Publish> {
        self.resolves.last().map(|(_, publish)| *publish)
    }

    /// Whether it resolved from this publish at any time since `since`.
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

    fn pid(&self, index: usize) -> Option<Pid> {
        let pid = u32::try_from(index).unwrap_or(0) + 1;
        self.pod.map(|pod| Pid { pid, started: 1, namespace: pod as u64 })
    }
}

impl World {
    pub fn start_process(&mut self, pod: Option<usize>, cache: bool) -> usize {
        let mute = pod.is_some_and(|pod| self.pods[pod].plan.mute);
        let main = pod.is_some_and(|pod| self.processes_of(pod).is_empty());
        // A process that starts where another one ran finds what that one kept.
        let disk = self.processes.iter().rev().find(|other| cache && other.pod == pod).and_then(|other| other.disk);
        let process = Process {
            pod,
            main,
            alive: true,
            started: self.now,
            started_at: self.wall(),
            handles: Vec::new(),
            opened: 0,
            sequence: 0,
            refuses: [false; 3],
            stopped: Moment::ZERO,
            cut_from_operator: if mute { crate::world::QUIET_AT } else { Moment::ZERO },
            deaf_watch: Moment::ZERO,
            seen_version: 0,
            disk,
            keeps: cache,
            asked: Vec::new(),
            applied: Vec::new(),
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
        let state = FollowerState::new(None, disk);
        let id = one.opened;
        one.handles.push(Handle {
            id,
            opened: now,
            state,
            resolves: Vec::new(),
            work: 0,
            armed: 0,
            loaded: None,
            has_listed: false,
        });
        if one.seen_version > 0 {
            // It joins a watch that runs: what that shows is news to it.
            self.after(Duration::from_millis(1), WorldEvent::Watch { process });
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
            self.send(process, closed.id, ProcessState::Draining, publish, None);
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
            self.processes[process].stopped = self.now + duration;
        }
    }

    /// Nothing is in its way any more; a process that drained and lives on opens the workspace again.
    pub fn heal_process(&mut self, process: usize) {
        let one = &mut self.processes[process];
        one.stopped = Moment::ZERO;
        one.cut_from_operator = Moment::ZERO;
        one.deaf_watch = Moment::ZERO;
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

    /// Whether the process runs now; if it is stopped, `event` happens when it wakes.
    fn awake(&mut self, process: usize, event: impl FnOnce() -> WorldEvent) -> bool {
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
        self.after(delay, WorldEvent::List { process });
    }

    /// The map has changed: every watch that hears shows it.
    pub fn notify_processes(&mut self) {
        for process in 0..self.processes.len() {
            if self.processes[process].alive && self.now >= self.processes[process].deaf_watch {
                let delay = self.delay();
                self.after(delay, WorldEvent::Watch { process });
            }
        }
    }

    pub fn watch_shows(&mut self, process: usize, list: bool) {
        if !self.awake(process, || if list { WorldEvent::List { process } } else { WorldEvent::Watch { process } }) {
            return;
        }
        if self.now < self.processes[process].deaf_watch {
            // A list waits for the API server; an event of a dead watch never comes.
            if list {
                let healed = self.processes[process].deaf_watch.min(crate::world::QUIET_AT);
                self.at(healed + Duration::from_millis(1), WorldEvent::List { process });
            }
            return;
        }
        let marker = match self.api.marker {
            MarkerEntry::Nothing => ObservedMarker::NoMarker,
            MarkerEntry::Published(publish) => ObservedMarker::Published(publish),
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
        if self.awake(process, || WorldEvent::Timer { process, handle, armed }) {
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
            self.at(
                (opened + wake).max(now + Duration::from_millis(1)),
                WorldEvent::Timer { process, handle: id, armed },
            );
        }
    }

    /// An event happens to a handle: the real state machine says what is to be done.
    pub fn happens(&mut self, process: usize, id: u64, event: Happened) {
        let (now, chance) = (self.now, self.rng.f64());
        let Some(handle) = self.handle_of(process, id) else { return };
        let tick = StepTime { now: now.saturating_sub(handle.opened), chance };
        let (state, actions) = step(handle.state.clone(), event, tick);
        handle.state = state;
        for action in actions {
            self.take_action(process, id, action);
        }
        if let Some(handle) = self.handle_of(process, id) {
            handle.loaded = None;
        }
        self.arm(process, id);
    }

    fn take_action(&mut self, process: usize, id: u64, action: FollowerAction) {
        let now = self.now;
        match action {
            FollowerAction::Fetch { fingerprint, .. } => {
                let cut = now < self.processes[process].cut_from_operator || !self.somebody_serves();
                let delay = self.delay() + if cut { Duration::from_secs(2) } else { Duration::ZERO };
                let arrived = !cut && !self.is_lost();
                let Some(handle) = self.handle_of(process, id) else { return };
                handle.work += 1;
                let work = handle.work;
                self.after(delay, WorldEvent::Fetched { process, handle: id, fingerprint, work, arrived });
            }
            FollowerAction::CancelFetch => {
                if let Some(handle) = self.handle_of(process, id) {
                    handle.work += 1;
                }
            }
            FollowerAction::Swap(publish) => {
                let Some(handle) = self.handle_of(process, id) else { return };
                // What is resolved from afterwards is what was loaded, whatever the machine calls it.
                let Some(loaded) = handle.loaded else { return };
                handle.resolves.push((now, Publish { fingerprint: loaded, ..publish }));
                self.processes[process].note_applied(now);
                if self.processes[process].keeps {
                    self.processes[process].disk = Some(publish);
                }
            }
            FollowerAction::Rename { publish, .. } => {
                let Some(handle) = self.handle_of(process, id) else { return };
                if let Some(current) = handle.current()
                    && current.updated_at != publish.updated_at
                {
                    handle.resolves.push((now, Publish { fingerprint: current.fingerprint, ..publish }));
                }
                self.processes[process].note_applied(now);
            }
            FollowerAction::Report(_) => self.report(process, id),
            FollowerAction::RestartWatch => self.list_soon(process),
            FollowerAction::Recall => {
                if let Some(disk) = self.processes[process].disk {
                    if let Some(handle) = self.handle_of(process, id) {
                        handle.loaded = Some(disk.fingerprint);
                    }
                    // It is taken in the same step, as the real one is in its own.
                    self.recall(process, id, disk);
                }
            }
        }
    }

    fn recall(&mut self, process: usize, id: u64, disk: Publish) {
        let (now, chance) = (self.now, self.rng.f64());
        let Some(handle) = self.handle_of(process, id) else { return };
        let tick = StepTime { now: now.saturating_sub(handle.opened), chance };
        let (state, actions) = step(handle.state.clone(), Happened::Recalled(disk), tick);
        handle.state = state;
        for action in actions {
            self.take_action(process, id, action);
        }
    }

    pub fn fetched(&mut self, process: usize, id: u64, fingerprint: Fingerprint, work: u64, arrived: bool) {
        if self.handle_of(process, id).is_none_or(|handle| handle.work != work) {
            return;
        }
        if !self.awake(process, || WorldEvent::Fetched { process, handle: id, fingerprint, work, arrived }) {
            return;
        }
        let refuses = self.processes[process].refuses[usize::from(number(fingerprint) % 3)];
        let event = if !arrived {
            Happened::FetchFailed(Fault::transient("fetch_failed", ""))
        } else if refuses && id.is_multiple_of(2) == process.is_multiple_of(2) {
            // One of its handles has a check that the others lack.
            Happened::Refused(fingerprint, Fault::persistent("check_failed", ""))
        } else {
            if let Some(handle) = self.handle_of(process, id) {
                handle.loaded = Some(fingerprint);
            }
            Happened::Loaded(fingerprint, ContentSource::Current)
        };
        self.happens(process, id, event);
    }

    /// Sends a report of all handles of a process, on behalf of one of them.
    fn report(&mut self, process: usize, id: u64) {
        let now = self.now;
        let one = &self.processes[process];
        let reported_states: Vec<_> =
            one.handles.iter().map(|handle| handle.state.reported(now.saturating_sub(handle.opened))).collect();
        let Some(reported) = combine(&reported_states) else { return };
        let applied = reported.publish.and_then(|publish| one.applied_at(publish));
        let ago = applied.map(|at| now.saturating_sub(at));
        self.send(process, id, reported.state, reported.publish, ago);
    }

    fn send(&mut self, process: usize, id: u64, state: ProcessState, publish: Option<Publish>, ago: Option<Duration>) {
        let now = self.now;
        let asked = std::mem::take(&mut self.processes[process].asked);
        let siblings = asked.into_iter().map(|pid| Testimony { pid, fate: self.fate_of(pid) }).collect();
        let name = format!("process-{}", self.number_in_pod(process));
        let one = &mut self.processes[process];
        one.sequence += 1;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let report = Report {
            process: name,
            version: String::new(),
            engine_level: 1,
            sequence: Some(one.sequence),
            handles: u32::try_from(one.handles.len()).ok(),
            container: Some("app".to_owned()).filter(|_| process.is_multiple_of(2)),
            started_ms_ago: Some(millis(now.saturating_sub(one.started))),
            started_at: Some(one.started_at),
            pid: one.pid(process),
            siblings,
            fingerprint: publish.map(|publish| publish.fingerprint.to_string()),
            updated_at: publish.map(|publish| publish.updated_at),
            state,
            applied_ms_ago: ago.map(millis),
            reason: None,
        };
        let cut = now < self.processes[process].cut_from_operator;
        if cut || self.is_lost() {
            return self.after(Duration::from_secs(2), WorldEvent::Answer { process, handle: id, answer: None });
        }
        let delay = self.delay();
        if self.network_faults > 10 && self.rng.u8(0..8) == 0 {
            // No report is under way for longer than a recount lasts, as its sender has given it up by then.
            let again = self.delay();
            self.after(again, WorldEvent::Report { process, handle: u64::MAX, report: Box::new(report.clone()) });
        }
        self.after(delay, WorldEvent::Report { process, handle: id, report: Box::new(report) });
    }

    /// Processes of different pods have the same names: only together with the pod they mean one.
    fn number_in_pod(&self, process: usize) -> usize {
        let pod = self.processes[process].pod;
        self.processes[..process].iter().filter(|other| other.pod == pod).count()
    }

    fn fate_of(&self, pid: Pid) -> SiblingState {
        let index = usize::try_from(pid.pid).unwrap_or(1).saturating_sub(1);
        if self.processes.get(index).is_some_and(|process| process.alive) {
            SiblingState::Alive
        } else {
            SiblingState::Gone
        }
    }

    pub fn answer_arrives(&mut self, process: usize, handle: u64, answer: Option<Box<ReportResponse>>) {
        if !self.processes[process].alive || self.handle_of(process, handle).is_none() {
            return;
        }
        let kept = answer.clone();
        if !self.awake(process, || WorldEvent::Answer { process, handle, answer: kept }) {
            return;
        }
        match answer {
            Some(answer) => {
                self.processes[process].asked.clone_from(&answer.siblings);
                self.happens(process, handle, Happened::Answered(*answer));
            }
            None => self.happens(process, handle, Happened::ReportFailed(Fault::transient("report_failed", ""))),
        }
    }
}
