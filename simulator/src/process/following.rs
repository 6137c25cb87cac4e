//! The actions of a handle: the real state machine decides, and its actions happen in the world.

use std::time::Duration;

use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{ContentSource, FollowerAction, FollowerEvent as Happened};

use crate::contents::{content, number};
use crate::state::event::{Event, Had};
use crate::state::world::World;
use crate::violation::{Invariant, name};

impl World {
    /// Lets an event happen to a handle: the real state machine says what is to be done.
    pub fn happens(&mut self, process: usize, id: u64, event: Happened) {
        let (now, chance) = (self.now, self.rng.f64());
        let Some(handle) = self.handle_of(process, id) else { return };
        for action in handle.step(event, now, chance) {
            self.take_action(process, id, action);
        }
        if let Some(handle) = self.handle_of(process, id) {
            handle.end_step();
        }
        self.arm(process, id);
    }

    fn take_action(&mut self, process: usize, id: u64, action: FollowerAction) {
        let now = self.now;
        match action {
            FollowerAction::Fetch { fingerprint, .. } => {
                self.check_goes_back_at_once(process, id, fingerprint);
                self.fetch(process, id, fingerprint);
            }
            FollowerAction::CancelFetch => {
                if let Some(handle) = self.handle_of(process, id) {
                    handle.cancel_work();
                }
            }
            FollowerAction::Swap(publish) => {
                let Some(handle) = self.handle_of(process, id) else { return };
                if !handle.swap(publish, now) {
                    return;
                }
                self.check_named(process, id);
                self.processes[process].note_applied(now);
                self.processes[process].keep(publish);
            }
            FollowerAction::Hold(_) => {
                if let Some(handle) = self.handle_of(process, id) {
                    handle.hold();
                }
            }
            FollowerAction::Rename { publish, .. } => {
                let Some(handle) = self.handle_of(process, id) else { return };
                handle.rename(publish, now);
                self.check_named(process, id);
                self.processes[process].note_applied(now);
            }
            FollowerAction::Report(_) => self.report(process, id),
            FollowerAction::RestartWatch => self.list_soon(process),
            FollowerAction::Recall => {
                if let Some(disk) = self.processes[process].disk() {
                    if let Some(handle) = self.handle_of(process, id) {
                        handle.load(disk.fingerprint);
                    }
                    // It is taken in the same step, as the real one is in its own.
                    self.recall(process, id, disk);
                }
            }
        }
    }

    /// Checks that a process of a stage needs no request to go back to what is published.
    fn check_goes_back_at_once(&mut self, process: usize, id: u64, fetched: Fingerprint) {
        if self.handle_of(process, id).is_some_and(|handle| handle.goes_back_to(fetched)) {
            let what = format!("process {process} has to fetch what it ran before its stage");
            self.breaks(Invariant::GoesBackAtOnce, what);
        }
    }

    /// Checks that a handle resolves from nothing that the marker has only announced, unless to a stage of its pod.
    fn check_named(&mut self, process: usize, id: u64) {
        let Some(current) = self.handle_of(process, id).and_then(|handle| handle.current()) else { return };
        let below = self.api.staged.get(&current).copied().unwrap_or_default();
        // An older client starts from the disk that a process of the stage has shared with it.
        let pod = self.processes[process].pod.filter(|_| self.processes[process].disk().is_some());
        let beside = |other: &usize| pod.is_some() && self.processes[*other].pod == pod;
        let in_stage = |other: usize| self.is_below(other, current, below);
        let in_stage = in_stage(process) || (0..self.processes.len()).filter(beside).any(in_stage);
        if !self.api.published.contains(&current) && !in_stage {
            let what =
                format!("process {process} resolves {}, which was published neither to all nor to it", name(current));
            self.breaks(Invariant::AnnouncedNeverRuns, what);
        }
    }

    /// Asks the disk, then the operator, and then the source, where the process has one.
    fn fetch(&mut self, process: usize, id: u64, fingerprint: Fingerprint) {
        let kept = self.processes[process].disk().is_some_and(|kept| kept.fingerprint == fingerprint);
        let cut = self.now < self.processes[process].cut_from_operator || !self.somebody_serves();
        let (mut delay, had) = if kept {
            (Duration::from_millis(1), Had::From(ContentSource::Disk))
        } else {
            let delay = self.delay() + if cut { Duration::from_secs(2) } else { Duration::ZERO };
            let arrives = !cut && !self.is_lost();
            (delay, if arrives { Had::From(ContentSource::Current) } else { Had::Nothing })
        };
        let had = if had == Had::Nothing && self.processes[process].direct {
            delay += Duration::from_millis(self.rng.u64(20..400));
            // What the source has now is used only if it is what the marker names.
            let has = content(self.git.content) == fingerprint && self.now >= self.faults.git_away;
            if has { Had::From(ContentSource::Current) } else { Had::NotEvenDirectly }
        } else {
            had
        };
        let Some(handle) = self.handle_of(process, id) else { return };
        let work = handle.begin_work();
        self.after(delay, Event::Fetched { process, handle: id, fingerprint, work, had });
    }

    fn recall(&mut self, process: usize, id: u64, disk: Publish) {
        let (now, chance) = (self.now, self.rng.f64());
        let Some(handle) = self.handle_of(process, id) else { return };
        for action in handle.step(Happened::Recalled(disk), now, chance) {
            self.take_action(process, id, action);
        }
    }

    pub fn fetched(&mut self, process: usize, id: u64, fingerprint: Fingerprint, work: u64, had: Had) {
        if self.handle_of(process, id).is_none_or(|handle| !handle.works_on(work)) {
            return;
        }
        if !self.awake(process, || Event::Fetched { process, handle: id, fingerprint, work, had }) {
            return;
        }
        let refuses = self.processes[process].refuses[usize::from(number(fingerprint) % 3)];
        // Where there are several handles, one has a check that the others lack.
        let checks = id.is_multiple_of(2) == process.is_multiple_of(2) || self.processes[process].opened < 2;
        let refuses = refuses && checks;
        let event = match had {
            Had::Nothing => Happened::FetchFailed(Fault::transient("fetch_failed", "")),
            // A repository is asked at leisure.
            Had::NotEvenDirectly => Happened::FetchFailed(Fault::persistent("fetch_failed", "")),
            Had::From(_) if refuses => Happened::Refused(fingerprint, Fault::persistent("check_failed", "")),
            Had::From(supply) => {
                if let Some(handle) = self.handle_of(process, id) {
                    handle.load(fingerprint);
                }
                Happened::Loaded(fingerprint, supply)
            }
        };
        self.happens(process, id, event);
    }
}
