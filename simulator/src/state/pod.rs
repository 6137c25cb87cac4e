//! A pod: what it is, what its object says, and what an operator makes of that.

use jiff::Timestamp;
use rototo_protocol::fleet::{Container, ContainerEnd, Moment, Pod, PodObjectState};

use crate::script::PodPlan;

/// A pod, as it is.
pub struct PodTruth {
    pub uid: String,
    pub plan: PodPlan,
    pub labelled: bool,
    /// Its object exists.
    pub exists: bool,
    pub deleting: bool,
    pub running: bool,
    /// The last end of its container that the kubelet has seen.
    pub ended: Option<Timestamp>,
    /// When that really was.
    pub ended_since: Moment,
    /// Its node is cut off, and no kubelet says anything.
    pub lost: bool,
}

/// A pod, as its object says.
#[derive(Clone, Copy, Debug)]
pub struct PodObject {
    labelled: bool,
    exists: bool,
    deleting: bool,
    running: bool,
    ended: Option<Timestamp>,
    sidecar: bool,
    /// It comes with the first list.
    listed: bool,
}

impl PodTruth {
    /// Returns a pod that runs.
    pub fn new(uid: String, plan: PodPlan) -> Self {
        Self {
            uid,
            plan,
            labelled: plan.labelled,
            exists: true,
            deleting: false,
            running: true,
            ended: None,
            ended_since: Moment::ZERO,
            lost: false,
        }
    }

    /// Returns its object, as a watch or the first list brings it.
    pub fn object(&self, listed: bool) -> PodObject {
        PodObject {
            labelled: self.labelled,
            exists: self.exists,
            deleting: self.deleting,
            running: self.running,
            ended: self.ended,
            sidecar: self.plan.sidecar,
            listed,
        }
    }
}

impl PodObject {
    /// Returns the pod as an operator knows it that sees this object now, and that knew `before`. `None` if it has never
    /// known the pod, and the pod is gone.
    pub fn seen(&self, name: &str, before: Option<&Pod>, now: Moment) -> Option<Pod> {
        if before.is_none() && !self.exists {
            return None;
        }
        let known = before.and_then(|pod| pod.containers.first()?.ended);
        let grace_from = (!self.listed).then_some(now);
        let new = |at| ContainerEnd { at, seen: now, grace_from };
        let ended = self.ended.map(|at| known.filter(|end| end.at == at).unwrap_or(new(at)));
        let mut containers = vec![Container { name: "app".to_owned(), running: self.running, expected: true, ended }];
        if self.sidecar {
            let running = self.exists && (self.running || !self.deleting);
            containers.push(Container { name: "proxy".to_owned(), running, expected: true, ended: None });
        }
        let running = containers.iter().any(|container| container.running);
        let object_state = match before.map(|before| before.object_state) {
            Some(object_state) if object_state != PodObjectState::Exists => object_state,
            _ if self.exists => PodObjectState::Exists,
            // A kubelet removes an object once the containers have ended. What else removes one has not seen that: a container
            // that waited may have run since.
            _ if running || !self.deleting => PodObjectState::Vanished { seen: now },
            _ => PodObjectState::Ended { seen: now },
        };
        let seen_running = match before {
            Some(before) => before.seen_running,
            None => grace_from,
        };
        Some(Pod {
            name: name.to_owned(),
            selected: self.labelled,
            terminating: self.deleting,
            seen_running,
            containers,
            passing: Vec::new(),
            object_state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Client;

    #[test]
    fn only_a_pod_whose_containers_were_seen_to_end_has_ended() {
        let plan = PodPlan {
            labelled: true,
            second: false,
            cache: false,
            sidecar: false,
            mute: false,
            direct: false,
            unprepared: false,
            client: Client::Current,
        };
        let mut pod = PodTruth::new("a".to_owned(), plan);
        let before = pod.object(false).seen("a", None, Moment::ZERO);
        let mut state = |exists, deleting, running| {
            (pod.exists, pod.deleting, pod.running) = (exists, deleting, running);
            pod.object(false).seen("a", before.as_ref(), Moment::ZERO).map(|pod| pod.object_state)
        };
        let seen = Moment::ZERO;
        assert_eq!(state(true, true, false), Some(PodObjectState::Exists));
        assert_eq!(state(false, true, false), Some(PodObjectState::Ended { seen }));
        assert_eq!(state(false, true, true), Some(PodObjectState::Vanished { seen }));
        assert_eq!(state(false, false, false), Some(PodObjectState::Vanished { seen }), "it may have run again since");
    }
}
