//! The pods of a workspace's namespace, by the state of their containers, and what that says of the processes in them.
//!
//! A pod counts by its containers and not by its phase: one that is Pending with a container running, or Terminating,
//! may run an application. Its end is known when the kubelet has said so. A pod whose object vanishes otherwise, because
//! it was deleted by force or its node was lost, may run on: that is [`PodObjectState::Vanished`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Moment;

/// The pods of one namespace, by UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pods {
    /// The pods that exist, and those that are remembered for their end.
    pub by_uid: BTreeMap<String, Pod>,
}

/// A pod, as the kubelet and the API server describe it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// True if its processes should follow the workspace.
    pub selected: bool,
    /// True if it is about to be deleted.
    pub terminating: bool,
    /// When this operator first saw one of its containers run; `None` where it did already when the operator began to
    /// look.
    pub seen_running: Option<Moment>,
    /// Its containers that can run an application: those of the pod, and init containers that are restarted.
    pub containers: Vec<Container>,
    /// The state of the pod's object.
    pub object_state: PodObjectState,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// True while it runs.
    pub running: bool,
    /// True if a process that follows is expected in it.
    pub expected: bool,
    /// The last end of it that the kubelet has seen.
    pub ended: Option<ContainerEnd>,
}

/// The end of one run of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContainerEnd {
    /// When it ended, by the clock of its node, in whole seconds.
    pub at: Timestamp,
    /// When this operator learned of it.
    pub seen: Moment,
}

/// The state of the object of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PodObjectState {
    /// It exists.
    #[default]
    Exists,
    /// All its containers had ended when it was seen last, or it went after they had.
    Ended {
        /// When this operator learned of it.
        seen: Moment,
    },
    /// It is gone, and nobody has seen its containers end.
    Vanished {
        /// When this operator learned of it.
        seen: Moment,
    },
}

impl Pods {
    /// The pod of this UID.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid)
    }

    /// The pods that exist, should follow the workspace, and run something.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &Pod)> {
        let pods = self.by_uid.iter().filter(|(_, pod)| pod.selected && pod.runs());
        pods.map(|(uid, pod)| (uid.as_str(), pod))
    }
}

impl Pod {
    /// Returns whether a container runs in which a process that follows is expected.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.object_state == PodObjectState::Exists
            && self.containers.iter().any(|container| container.running && container.expected)
    }

    /// When the kubelet's word on the end of a process in this pod was learned, if there is one. `container` is the name
    /// that the process gives, `started` its start by the clock of the node, `last_report_at` the time of its last report.
    pub(super) fn end_of(
        &self,
        container: Option<&str>,
        started: Option<Timestamp>,
        last_report_at: Moment,
    ) -> Option<Moment> {
        if let PodObjectState::Ended { seen } = self.object_state {
            return Some(seen);
        }
        let ended = |container: &Container| container.end_of(started, last_report_at);
        match container.and_then(|name| self.containers.iter().find(|container| container.name == name)) {
            Some(own) => ended(own),
            // Whichever of them it was in: all that ran have ended since.
            None => {
                let ran = self.containers.iter().filter(|container| container.running || container.ended.is_some());
                let ends: Option<Vec<Moment>> = ran.map(ended).collect();
                ends?.into_iter().max()
            }
        }
    }

    /// When the last run of any of its containers was seen to end.
    pub(super) fn last_end(&self) -> Option<Moment> {
        self.containers.iter().filter_map(|container| container.ended).map(|end| end.seen).max()
    }
}

impl Container {
    fn end_of(&self, started: Option<Timestamp>, last_report_at: Moment) -> Option<Moment> {
        let end = self.ended?;
        match started {
            // Both times are of the node's clock. The kubelet's are cut to seconds, so a process that started within
            // the last second of its container's run is not known to have ended with it.
            Some(started) => (started < end.at).then_some(end.seen),
            // A process of an older client. The end may be that of an earlier run than its own, so it counts once the
            // process has not reported since.
            None => (end.seen > last_report_at).then_some(end.seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LAST_REPORT_AT: Moment = Duration::from_secs(100);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn container(name: &str, running: bool, ended: Option<(i64, u64)>) -> Container {
        let ended = ended.map(|(at_second, seen)| ContainerEnd { at: at(at_second), seen: Duration::from_secs(seen) });
        Container { name: name.to_owned(), running, expected: true, ended }
    }

    fn pod(containers: Vec<Container>) -> Pod {
        let (name, object_state) = ("pod".to_owned(), PodObjectState::Exists);
        Pod { name, selected: true, terminating: false, seen_running: None, containers, object_state }
    }

    fn ends(pod: &Pod, container: Option<&str>, started: i64) -> bool {
        pod.end_of(container, Some(at(started)), LAST_REPORT_AT).is_some()
    }

    #[test]
    fn a_process_ends_with_the_run_of_the_container_that_it_was_in() {
        let restarted = pod(vec![container("app", true, Some((50, 101)))]);
        assert!(ends(&restarted, Some("app"), 10), "it started before that end");
        assert!(!ends(&restarted, Some("app"), 51), "it is of the next run");
        assert!(ends(&restarted, None, 10), "there is only one container");
    }

    #[test]
    fn a_process_that_names_no_container_ends_when_all_containers_have() {
        let one = pod(vec![container("app", true, Some((50, 101))), container("sidecar", true, None)]);
        assert!(!ends(&one, None, 10));
        assert!(ends(&one, Some("app"), 10));
        let both = pod(vec![container("app", true, Some((50, 101))), container("sidecar", true, Some((60, 102)))]);
        assert_eq!(both.end_of(None, Some(at(10)), LAST_REPORT_AT), Some(Duration::from_secs(102)));
    }

    #[test]
    fn the_end_of_an_older_clients_process_is_one_that_was_seen_after_its_last_report() {
        let seen = |second| pod(vec![container("app", true, Some((50, second)))]).end_of(None, None, LAST_REPORT_AT);
        assert_eq!(seen(99), None);
        assert_eq!(seen(101), Some(Duration::from_secs(101)));
    }

    #[test]
    fn a_pod_runs_by_its_containers_and_while_it_exists() {
        assert!(pod(vec![container("app", true, None)]).runs());
        assert!(!pod(vec![container("app", false, Some((50, 101)))]).runs());
        let terminating = Pod { terminating: true, ..pod(vec![container("app", true, None)]) };
        assert!(terminating.runs());
        let gone = Pod { object_state: PodObjectState::Vanished { seen: LAST_REPORT_AT }, ..terminating };
        assert!(!gone.runs());
    }
}
