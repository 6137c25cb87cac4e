//! Decides whether every process that counts runs what is published.
//!
//! A verdict is never stored. It is computed from the evidence at one moment, and can turn back at the next.

use super::pods::{Pod, PodObjectState};
use super::process::Liveness;
use super::staging::intended;
use super::{Fleet, Moment};

/// The answer about one publish at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is published.
    NothingPublished,
    /// A process that counts refuses the publish.
    Refused,
    /// A process that counts, or a pod that should have reported, is known not to run the publish.
    Progressing {
        /// The time since which the first of them is behind: that of the publish, or that at which it came to run
        /// something else.
        since: Moment,
    },
    /// Nobody is known not to run it, but the operator has not listened for long enough to know everybody.
    Recounting,
    /// All processes that report run it. About others nobody can know: they are bound to no pod, vanished with their
    /// pod, were counted before the operator was restarted, or are too many to be counted.
    Unprovable,
    /// All have applied it, and some of them have not reported for the silence window.
    Silent,
    /// No process is known that runs it.
    NoProcesses,
    /// Every process that counts runs it, and has reported so within its silence window.
    Converged,
}

impl Fleet {
    /// Returns the verdict on the goal at the time `now`.
    pub(super) fn verdict(&self, now: Moment) -> Verdict {
        let Some(marked) = self.marked() else { return Verdict::NothingPublished };
        let windows = self.windows();
        let (mut applied, mut silent, mut unprovable, mut behind_since) = (false, false, false, None::<Moment>);
        let earliest = |known: Option<Moment>, since: Moment| Some(known.map_or(since, |known| known.min(since)));
        for (id, process) in &self.processes {
            let liveness = self.liveness(id, process, now);
            if !liveness.counts() {
                continue;
            }
            if process.refuses(&intended(&marked, id, process)) {
                return Verdict::Refused;
            }
            unprovable |= liveness == Liveness::Unprovable;
            silent |= liveness == Liveness::Silent;
            if process.applied.is_some() {
                applied |= liveness == Liveness::Live;
            } else if liveness != Liveness::Unprovable && !process.is_starting(&windows, now) {
                behind_since = earliest(behind_since, process.behind_since);
            }
        }
        unprovable |= self.vanished_unreported(now).next().is_some() || self.unaccounted() > 0;
        unprovable |= self.no_room_until(now).is_some() || self.pods.incomplete;
        if !self.recounting {
            for (uid, pod) in self.unreported(now) {
                if let Some(since) = self.missing_since(uid, pod, now) {
                    behind_since = earliest(behind_since, since);
                }
            }
        }
        match behind_since {
            Some(since) => Verdict::Progressing { since },
            None if self.recounting => Verdict::Recounting,
            None if unprovable => Verdict::Unprovable,
            None if silent => Verdict::Silent,
            None if !applied => Verdict::NoProcesses,
            None => Verdict::Converged,
        }
    }

    /// Returns the pods that should follow the workspace, run something, and of which no process counts. A pod all of
    /// whose processes have drained is excused until one of its containers ends.
    pub(super) fn unreported(&self, now: Moment) -> Vec<(&str, &Pod)> {
        let cohort = self.goal.as_ref().and_then(|goal| goal.cohort.as_ref());
        let running = self.pods.by_uid.iter().filter(|(_, pod)| pod.runs());
        // A pod of the cohort stays a member when its labels change.
        let counted =
            running.filter(|(uid, pod)| pod.selected || cohort.is_some_and(|cohort| cohort.waits_for_pod(uid)));
        let unreported = counted.map(|(uid, pod)| (&**uid, &**pod)).filter(|(uid, pod)| {
            let mut known = self.of_pod(Some(uid));
            !known.any(|(id, process)| self.liveness(id, process, now).counts() || process.excuses(pod))
        });
        unreported.collect()
    }

    /// Returns the pods that should follow the workspace, vanished while they ran, and never reported, as long as the
    /// operator waits for them.
    pub(super) fn vanished_unreported(&self, now: Moment) -> impl Iterator<Item = VanishedPod<'_>> {
        let own = self.pods.by_uid.iter().filter_map(|(uid, pod)| {
            let PodObjectState::Vanished { seen } = pod.object_state else { return None };
            let ran = pod.selected && pod.containers.iter().any(|container| container.running && container.expected);
            ran.then_some((&**uid, &pod.name, seen))
        });
        let inherited =
            self.inherited_pods.iter().filter_map(|(uid, pod)| Some((uid.as_str(), &pod.name, pod.vanished?)));
        let vanished = own.chain(inherited).map(|(uid, name, seen)| VanishedPod {
            uid,
            name,
            seen,
            until: self.waits_for_vanished_until(seen),
        });
        vanished.filter(move |pod| now < pod.until && self.of_pod(Some(pod.uid)).next().is_none())
    }

    pub(super) fn waits_for_vanished_until(&self, seen: Moment) -> Moment {
        seen.max(self.listening_since) + self.windows().forget
    }

    /// Returns the time since which an unreported pod keeps the publish from having converged; `None` during the grace
    /// of a new pod.
    fn missing_since(&self, uid: &str, pod: &Pod, now: Moment) -> Option<Moment> {
        let goal = self.goal.as_ref()?;
        match self.grace_of(uid, pod) {
            Some(started) => {
                let late = started + self.windows().grace;
                (now >= late).then_some(late.max(goal.since))
            }
            None => Some(goal.since),
        }
    }

    /// Returns the time at which the grace of an unreported pod begins, if it has one.
    pub(super) fn grace_of(&self, uid: &str, pod: &Pod) -> Option<Moment> {
        let cohort = self.goal.as_ref().and_then(|goal| goal.cohort.as_ref());
        if cohort.is_some_and(|cohort| cohort.waits_for_pod(uid)) {
            return None;
        }
        let own = pod.grace_from();
        match self.inherited_pods.get(uid) {
            // The last leader knew more, except of what happened since.
            Some(inherited) => own.filter(|from| *from > inherited.since).or(inherited.grace_from),
            None => own,
        }
    }
}

/// A pod that vanished while it ran, and of which no process had reported.
pub(super) struct VanishedPod<'a> {
    pub(super) uid: &'a str,
    pub(super) name: &'a str,
    /// The time at which an operator learned of it.
    pub(super) seen: Moment,
    /// The time until which the operator waits for it.
    pub(super) until: Moment,
}
