//! Pods and the kubelet: what runs, what the API server says of it, and when the operator is told.

use std::time::Duration;

use jiff::Timestamp;
use rototo_protocol::fleet::{Container, ContainerEnd, Moment, Pod, PodObjectState};

use crate::event::Event;
use crate::script::PodPlan;
use crate::world::{QUIET_AT, World};

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

impl World {
    pub fn create_pod(&mut self, plan: PodPlan) -> usize {
        let pod = self.pods.len();
        let uid = format!("pod-{pod}");
        let labelled = plan.labelled;
        let truth = PodTruth {
            uid,
            plan,
            labelled,
            exists: true,
            deleting: false,
            running: true,
            ended: None,
            ended_since: Moment::ZERO,
            lost: false,
        };
        self.pods.push(truth);
        self.start_process(Some(pod));
        if plan.second {
            self.start_process(Some(pod));
        }
        self.pod_changed(pod);
        pod
    }

    /// One of the pods that run.
    pub fn running_pod(&self, one: usize) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.pods.len()).filter(|pod| self.pods[*pod].running && !self.pods[*pod].lost).collect();
        running.get(one % running.len().max(1)).copied()
    }

    pub fn delete_pod(&mut self, one: usize) {
        let Some(pod) = self.running_pod(one) else { return };
        self.pods[pod].deleting = true;
        self.pod_changed(pod);
        let orderly = self.rng.u8(0..4) != 0;
        for process in self.processes_of(pod) {
            if orderly {
                self.close_all_handles(process);
            }
            let grace = Duration::from_millis(self.rng.u64(10..8_000));
            self.after(grace, Event::Die { process });
        }
    }

    /// The node of a pod is lost: its object is removed by somebody else than its kubelet, and its processes run on, cut off.
    pub fn lose_node(&mut self, one: usize) {
        let Some(pod) = self.running_pod(one) else { return };
        self.somebody_left = true;
        self.pods[pod].lost = true;
        self.pods[pod].exists = false;
        for process in self.processes_of(pod) {
            self.processes[process].cut_from_operator = QUIET_AT;
            self.processes[process].deaf_watch = QUIET_AT;
            // When the node is back, its kubelet ends them.
            self.at(QUIET_AT, Event::Die { process });
        }
        self.pod_changed(pod);
    }

    pub fn unlabel(&mut self, one: usize) {
        if let Some(pod) = self.running_pod(one) {
            self.pods[pod].labelled = false;
            self.pod_changed(pod);
        }
    }

    pub fn change_selector(&mut self) {
        for pod in 0..self.pods.len() {
            if self.pods[pod].exists {
                self.pods[pod].labelled = !self.pods[pod].labelled;
                self.pod_changed(pod);
            }
        }
    }

    pub fn processes_of(&self, pod: usize) -> Vec<usize> {
        (0..self.processes.len())
            .filter(|one| self.processes[*one].alive && self.processes[*one].pod == Some(pod))
            .collect()
    }

    /// A process of a pod has ended. The first process of a container is the container.
    pub fn process_ended(&mut self, process: usize) {
        let Some(pod) = self.processes[process].pod else { return };
        if self.pods[pod].lost {
            return;
        }
        if !self.processes[process].main && !self.pods[pod].deleting {
            return;
        }
        for other in self.processes_of(pod) {
            self.processes[other].alive = false;
        }
        let (now, wall) = (self.now, self.wall());
        let truth = &mut self.pods[pod];
        truth.running = false;
        truth.ended_since = now;
        truth.ended = Timestamp::from_second(wall.as_second()).ok();
        if truth.deleting {
            truth.exists = false;
            self.pod_changed(pod);
        } else {
            self.pod_changed(pod);
            let back = Duration::from_millis(self.rng.u64(50..5_000));
            self.after(back, Event::Restart { pod });
        }
    }

    pub fn restart_container(&mut self, pod: usize) {
        if self.pods[pod].running || self.pods[pod].deleting {
            return;
        }
        self.pods[pod].running = true;
        self.start_process(Some(pod));
        self.pod_changed(pod);
    }

    pub fn pod_changed(&mut self, pod: usize) {
        for operator in 0..self.operators.len() {
            self.show_pod(operator, pod, false);
        }
    }

    /// The operator's watch brings a pod, unless it stands still; then it comes later.
    pub fn show_pod(&mut self, operator: usize, pod: usize, listed: bool) {
        if !self.operators[operator].alive {
            return;
        }
        let truth = &self.pods[pod];
        let facts = PodObject {
            labelled: truth.labelled,
            exists: truth.exists,
            deleting: truth.deleting,
            running: truth.running,
            ended: truth.ended,
            sidecar: truth.plan.sidecar,
            listed,
        };
        let lag = Duration::from_millis(self.rng.u64(1..200));
        let at = (self.now + lag).max(self.faults.stale_pods).max(self.operators[operator].last_pod_event);
        self.operators[operator].last_pod_event = at;
        let life = self.operators[operator].life;
        self.at(at, Event::PodSeen { operator, life, pod, facts: Box::new(facts) });
    }

    pub fn relist_pods(&mut self) {
        for pod in 0..self.pods.len() {
            self.pod_changed(pod);
        }
    }

    pub fn pod_seen(&mut self, operator: usize, life: u64, pod: usize, facts: &PodObject) {
        if self.operators[operator].life != life {
            return;
        }
        let now = self.now;
        let uid = self.pods[pod].uid.clone();
        let before = self.operators[operator].pods.get(&uid).cloned();
        if before.is_none() && !facts.exists {
            return;
        }
        let known = before.as_ref().and_then(|pod| pod.containers.first()?.ended);
        let ended = facts.ended.map(|at| known.filter(|end| end.at == at).unwrap_or(ContainerEnd { at, seen: now }));
        let mut containers = vec![Container { name: "app".to_owned(), running: facts.running, expected: true, ended }];
        if facts.sidecar {
            let running = facts.exists && (facts.running || !facts.deleting);
            containers.push(Container { name: "proxy".to_owned(), running, expected: true, ended: None });
        }
        let running = containers.iter().any(|container| container.running);
        let object_state = match before.as_ref().map(|before| before.object_state) {
            Some(object_state) if object_state != PodObjectState::Exists => object_state,
            _ if facts.exists => PodObjectState::Exists,
            _ if running => PodObjectState::Vanished { seen: now },
            _ => PodObjectState::Ended { seen: now },
        };
        let seen_running = match &before {
            Some(before) => before.seen_running,
            None => (!facts.listed).then_some(now),
        };
        let name = uid.clone();
        let seen =
            Pod { name, selected: facts.labelled, terminating: facts.deleting, seen_running, containers, object_state };
        self.operators[operator].pods.insert(uid, seen);
        self.requeue(operator, Duration::from_millis(5));
    }
}
