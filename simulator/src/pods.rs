//! Pods and the kubelet: what runs, what the API server says of it, and when the operator is told.

use std::time::Duration;

use jiff::Timestamp;

use crate::script::PodPlan;
use crate::state::event::Event;
use crate::state::pod::{PodObject, PodTruth};
use crate::state::times::QUIET_AT;
use crate::state::world::World;

impl World {
    pub fn create_pod(&mut self, plan: PodPlan) -> usize {
        let pod = self.pods.len();
        self.pods.push(PodTruth::new(format!("pod-{pod}"), plan));
        self.start_process(Some(pod));
        if plan.second {
            self.start_process(Some(pod));
        }
        self.pod_changed(pod);
        pod
    }

    /// Returns one of the pods that run.
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

    /// Loses the node of a pod: its object is removed by somebody else than its kubelet, and its processes run on, cut off.
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

    /// Notes that a process of a pod has ended. The first process of a container is the container.
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

    /// Shows a pod to the operator's watch, unless that stands still; then it comes later.
    pub fn show_pod(&mut self, operator: usize, pod: usize, listed: bool) {
        if !self.operators[operator].alive {
            return;
        }
        let facts = self.pods[pod].object(listed);
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
        let uid = self.pods[pod].uid.clone();
        let before = self.operators[operator].pods.get(&uid);
        let Some(seen) = facts.seen(&uid, before, self.now) else { return };
        self.operators[operator].pods.insert(uid, seen);
        self.requeue(operator, Duration::from_millis(5));
    }
}
