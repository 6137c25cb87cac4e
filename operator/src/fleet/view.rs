//! The fleet at one moment, counted for status and metrics.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rototo_api::workspace::{FleetMillis, Straggler};

use super::convergence::Convergence;
use super::process::{Presence, Process, straggler};
use super::{Fleet, Pods};

/// Silent and drained processes are shown for a while and then forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// How many stragglers a status names.
const NAMED_STRAGGLERS: usize = 10;

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetView {
    /// How many there should be, where pods carry the label.
    pub expected: Option<u32>,
    /// How many processes have reported and not left.
    pub processes: u32,
    /// How many of them run the publish.
    pub applied: u32,
    /// How many of them refuse it.
    pub rejected: u32,
    /// How many of them are silent.
    pub silent: u32,
    /// Those that don't run the publish, the first ten by name.
    pub behind: Vec<Straggler>,
    /// How far the publish has come.
    pub convergence: Convergence,
    /// Times of a publish that this operator process made.
    pub millis: Option<FleetMillis>,
    /// When the answer changes although nobody reports.
    pub next_change: Option<Instant>,
}

impl Fleet {
    /// Forgets who left long ago, settles whether the publish has converged, and counts.
    pub fn view(&mut self, pods: &Pods, now: Instant) -> FleetView {
        self.forget(pods, now);
        let convergence = self.converge(pods, now);
        let mut view = FleetView {
            expected: None,
            processes: 0,
            applied: 0,
            rejected: 0,
            silent: 0,
            behind: Vec::new(),
            convergence,
            millis: self.millis(convergence),
            next_change: None,
        };
        let mut heard = BTreeSet::new();
        for (id, process) in &self.processes {
            let presence = self.presence(process, pods, now);
            if presence == Presence::Left {
                continue;
            }
            heard.extend(process.pod_uid());
            view.processes += 1;
            let silent = presence == Presence::Silent;
            if !silent {
                let deadline = process.last_report + self.silent_after(process);
                view.next_change = Some(view.next_change.map_or(deadline, |earlier| earlier.min(deadline)));
            }
            view.silent += u32::from(silent);
            view.applied += u32::from(!silent && process.applied_goal.is_some());
            let refuses = self.goal.as_ref().is_some_and(|goal| process.refuses(&goal.publish));
            view.rejected += u32::from(!silent && refuses);
            if silent || process.applied_goal.is_none() {
                view.behind.push(process.straggler(id, silent));
            }
        }
        let unheard = pods.selected.iter().filter(|(uid, _)| !heard.contains(uid.as_str()));
        let missing: Vec<_> = unheard.map(|(_, name)| straggler(name, "missing", None)).collect();
        if !pods.selected.is_empty() {
            view.expected = Some(view.processes + u32::try_from(missing.len()).unwrap_or(u32::MAX));
        }
        if self.goal.is_some() {
            view.behind.extend(missing);
        } else {
            view.behind.clear();
        }
        view.behind.sort_by(|a, b| a.name.cmp(&b.name));
        view.behind.truncate(NAMED_STRAGGLERS);
        view
    }

    fn forget(&mut self, pods: &Pods, now: Instant) {
        let left: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| {
                let gone = self.presence(process, pods, now) != Presence::Live;
                gone && now.duration_since(process.last_report) > FORGET_AFTER || process.pod_is_gone(pods, now)
            })
            .map(|(id, _)| id.clone())
            .collect();
        if left.is_empty() {
            return;
        }
        for id in left {
            self.processes.remove(&id);
        }
        let pods: BTreeSet<_> = self.processes.values().filter_map(Process::pod_uid).collect();
        self.youngest.retain(|uid, _| pods.contains(uid.as_str()));
    }
}
