//! A process that opened the workspace, with its handles.

use jiff::Timestamp;
use rototo_api::fleet::Pid;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::follower::{DiskCache, FollowerState};

use super::handle::Handle;
use super::received_report::ReceivedReport;
use super::times::QUIET_AT;
use crate::script::{Client, PodPlan};

/// A process has so many handles at most.
const HANDLES: usize = 3;

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
    pub started_at: Timestamp,
    pub handles: Vec<Handle>,
    pub opened: u64,
    /// Since when it has had a handle.
    follows_since: Moment,
    /// The last handle that it closed, and when, if it has none.
    drained: Option<(u64, Moment)>,
    pub sequence: u64,
    pub refuses: [bool; 3],
    /// It has refused something at some time.
    pub has_refused: bool,
    /// It is stopped until then.
    pub stopped: Moment,
    pub cut_from_operator: Moment,
    pub deaf_watch: Moment,
    /// The version of the map that its watch has shown.
    pub seen_version: u64,
    /// The content on its disk.
    disk: Option<Publish>,
    keeps: bool,
    /// The operator's questions about its siblings.
    pub asked: Vec<Pid>,
    /// When all its handles had a publish first.
    applied: Vec<(Publish, Moment)>,
    /// The last report of it that any operator has taken.
    pub last_taken: Option<ReceivedReport>,
}

impl Process {
    /// Returns a process of this plan that starts now, and finds what another one has left on its disk.
    pub fn new(
        plan: PodPlan,
        pod: Option<usize>,
        main: bool,
        disk: Option<Publish>,
        (started, started_at): (Moment, Timestamp),
    ) -> Self {
        let client = if main { plan.client } else { Client::Current };
        Self {
            pod,
            main,
            alive: true,
            client,
            prepares: !plan.unprepared && client != Client::Older,
            direct: plan.direct,
            started,
            started_at,
            handles: Vec::new(),
            opened: 0,
            follows_since: started,
            drained: None,
            sequence: 0,
            refuses: [false; 3],
            has_refused: false,
            stopped: Moment::ZERO,
            cut_from_operator: if plan.mute { QUIET_AT } else { Moment::ZERO },
            deaf_watch: Moment::ZERO,
            seen_version: 0,
            disk,
            keeps: plan.cache,
            asked: Vec::new(),
            applied: Vec::new(),
            last_taken: None,
        }
    }

    /// Opens the workspace once more, in the pod with this UID, and returns the number of the handle.
    pub fn open(&mut self, now: Moment, pod: Option<String>) -> Option<u64> {
        if self.handles.len() >= HANDLES {
            return None;
        }
        self.opened += 1;
        if self.handles.is_empty() {
            self.follows_since = now;
            self.drained = None;
        }
        let disk = if self.keeps && self.disk.is_some() { DiskCache::Enabled } else { DiskCache::None };
        let state = FollowerState::new(None, disk).in_pod(pod);
        let state = if self.prepares { state } else { state.without_preparing() };
        self.handles.push(Handle::new(self.opened, now, state));
        Some(self.opened)
    }

    /// Closes its oldest handle.
    pub fn close(&mut self, now: Moment) -> Option<Handle> {
        let closed = (!self.handles.is_empty()).then(|| self.handles.remove(0))?;
        self.drained = self.handles.is_empty().then_some((closed.id, now));
        self.note_applied(now);
        Some(closed)
    }

    /// Returns since when it has had the workspace open, or had it before it drained.
    pub fn follows_since(&self) -> Moment {
        self.follows_since
    }

    /// Returns the last handle that it closed, and when, if it has drained.
    pub fn drained(&self) -> Option<(u64, Moment)> {
        self.drained
    }

    /// Returns whether it had the workspace open at that time, as its last report says.
    pub fn followed_at(&self, then: Moment) -> bool {
        self.follows_since <= then && self.drained.is_none_or(|(_, at)| at >= then)
    }

    /// Returns the content on its disk.
    pub fn disk(&self) -> Option<Publish> {
        self.disk
    }

    /// Keeps a copy of this content on its disk, if it has one.
    pub fn keep(&mut self, publish: Publish) {
        if self.keeps {
            self.disk = Some(publish);
        }
    }

    pub fn ever_applied(&self, publish: Publish) -> bool {
        self.applied_at(publish).is_some()
    }

    /// Returns when all its handles had applied a publish.
    pub fn applied_at(&self, publish: Publish) -> Option<Moment> {
        self.applied.iter().find(|(applied, _)| *applied == publish).map(|(_, at)| *at)
    }

    /// Notes what all its handles have now, if they have the same.
    pub fn note_applied(&mut self, now: Moment) {
        let Some(publish) = self.handles.first().and_then(Handle::current) else { return };
        if self.handles.iter().all(|handle| handle.current() == Some(publish)) && !self.ever_applied(publish) {
            self.applied.push((publish, now));
        }
    }

    /// Returns whether its reports are ordered: an older client's handles overwrite each other's.
    pub fn speaks_for_all_handles(&self) -> bool {
        self.client != Client::Older || self.opened < 2
    }

    /// Returns the PID that it reports, as the process of this index.
    pub fn pid(&self, index: usize) -> Option<Pid> {
        let pid = u32::try_from(index).unwrap_or(0) + 1;
        self.pod.map(|pod| Pid { pid, started: 1, namespace: pod as u64 })
    }
}
