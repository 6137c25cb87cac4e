//! The pods of a workspace's namespace by the state of their containers, and the evidence that they give about the
//! processes in them.
//!
//! A pod counts by its containers and not by its phase: a pod that is Pending with a running container, or Terminating,
//! may run an application. A pod has ended when the kubelet has reported it. A pod whose object vanishes without that
//! report, because the pod was deleted by force or its node was lost, may still run: that is
//! [`PodObjectState::Vanished`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Moment;

/// The pods of one namespace, by UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pods {
    /// The pods that exist, and those that are remembered for their end. The workspaces of a namespace share them.
    pub by_uid: BTreeMap<Arc<str>, Arc<Pod>>,
    /// True while pods may run that are not among them, because their watch does not run, or because the oldest ends were
    /// forgotten.
    pub incomplete: bool,
}

/// A pod, as the kubelet and the API server describe it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// The name of the pod.
    pub name: String,
    /// True if its processes should follow the workspace.
    pub selected: bool,
    /// True if it is being deleted.
    pub terminating: bool,
    /// The time at which this operator first saw one of its containers run, or, where a later list showed that, the last
    /// time before at which it knew all pods; `None` where one ran already when the operator began to watch.
    pub seen_running: Option<Moment>,
    /// Its containers that can run an application: regular containers, and init containers that are restarted
    /// (sidecars).
    pub containers: Vec<Container>,
    /// Its other containers, which pass while the pod goes on: init containers that are not restarted, and ephemeral
    /// containers. They say only whether a process that names one of them has ended.
    pub passing: Vec<Container>,
    /// The state of the pod's object.
    pub object_state: PodObjectState,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// The name of the container.
    pub name: String,
    /// True while it runs.
    pub running: bool,
    /// True if a process that follows the workspace is expected in it.
    pub expected: bool,
    /// The last end of a run of it that the kubelet has reported.
    pub ended: Option<ContainerEnd>,
}

/// The end of one run of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContainerEnd {
    /// A time by the clock of the node, in whole seconds: what started before it belongs to a run that has ended.
    pub at: Timestamp,
    /// The time at which this operator learned of it.
    pub seen: Moment,
    /// The time at which the grace of the next run begins: `seen`, or, where a later list showed the end, the last time
    /// before at which this operator knew all pods; `None` where it had ended already when the operator began to watch.
    pub grace_from: Option<Moment>,
}

/// The state of the object of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PodObjectState {
    /// The object exists.
    #[default]
    Exists,
    /// All its containers had ended when the object was seen last, or the object was removed after they had.
    Ended {
        /// The time at which this operator learned of it.
        seen: Moment,
    },
    /// The object is gone, and nobody has seen its containers end.
    Vanished {
        /// The time at which this operator learned of it.
        seen: Moment,
    },
}

impl Pods {
    /// Returns the pod of this UID.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid).map(|pod| &**pod)
    }

    /// Returns the pods that exist, should follow the workspace, and run something.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &Pod)> {
        let pods = self.by_uid.iter().filter(|(_, pod)| pod.selected && pod.runs());
        pods.map(|(uid, pod)| (&**uid, &**pod))
    }
}

impl Pod {
    /// Returns whether its object exists.
    pub(super) fn exists(&self) -> bool {
        self.object_state == PodObjectState::Exists
    }

    /// Returns whether it exists and a container runs in which a process that follows is expected.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.exists() && self.containers.iter().any(|container| container.running && container.expected)
    }

    /// Returns whether a process of it that has not been seen to end may run: a container runs in which a process that
    /// follows is expected, or the container that the process names, or any container where it names none.
    pub(super) fn may_run(&self, container: Option<&str>) -> bool {
        let any = || self.all().any(|container| container.running);
        let own = container.and_then(|name| self.container(name));
        self.runs() || self.exists() && own.map_or_else(any, |own| own.running)
    }

    /// Returns its container of this name, one that passes included.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.all().find(|container| container.name == name)
    }

    fn all(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(&self.passing)
    }

    /// Returns whether the whole pod was seen to end.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.object_state, PodObjectState::Ended { .. })
    }

    /// Returns the time at which this operator learned from the kubelet that a process in this pod has ended, if it
    /// has. `container` is the name that the process reports, `started` its start by the clock of the node,
    /// `last_report_at` the time of its last report.
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
        match container.and_then(|name| self.container(name)) {
            Some(own) => ended(own),
            // The process may have been in any container, so it has ended once all containers that ran have ended
            // since. Those that pass may have ended before it started.
            None => {
                let ran = self.containers.iter().filter(|container| container.running || container.ended.is_some());
                let ends: Option<Vec<Moment>> = ran.map(ended).collect();
                ends?.into_iter().max()
            }
        }
    }

    /// Returns the time at which this operator last saw a run end of a container in which a process is expected.
    pub(super) fn last_end(&self) -> Option<Moment> {
        self.ends().map(|end| end.seen).max()
    }

    /// Returns the time at which the grace of its processes begins: with its first run, or with the last end of one.
    pub(super) fn grace_from(&self) -> Option<Moment> {
        self.seen_running.max(self.ends().filter_map(|end| end.grace_from).max())
    }

    /// Returns the ends of the containers in which a process is expected. Another container, such as a sidecar that crashes
    /// again and again, says nothing about when one should report.
    pub(super) fn ends(&self) -> impl Iterator<Item = ContainerEnd> {
        self.containers.iter().filter(|container| container.expected).filter_map(|container| container.ended)
    }
}

impl Container {
    fn end_of(&self, started: Option<Timestamp>, last_report_at: Moment) -> Option<Moment> {
        let end = self.ended?;
        match started {
            // Both times are by the node's clock.
            Some(started) => (started < end.at).then_some(end.seen),
            // A process of an older client reports no start. The end may be that of an earlier run than its own, so the
            // end counts only if it was seen after the last report of the process.
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
        let ended = ended.map(|(at_second, seen)| {
            let seen = Duration::from_secs(seen);
            ContainerEnd { at: at(at_second), seen, grace_from: Some(seen) }
        });
        Container { name: name.to_owned(), running, expected: true, ended }
    }

    fn pod(containers: Vec<Container>) -> Pod {
        let (name, object_state) = ("pod".to_owned(), PodObjectState::Exists);
        Pod {
            name,
            selected: true,
            terminating: false,
            seen_running: None,
            containers,
            passing: Vec::new(),
            object_state,
        }
    }

    fn ends(pod: &Pod, container: Option<&str>, started: i64) -> bool {
        pod.end_of(container, Some(at(started)), LAST_REPORT_AT).is_some()
    }

    #[test]
    fn a_process_ends_with_its_own_run_of_its_container() {
        let restarted = pod(vec![container("app", true, Some((50, 101)))]);
        assert!(ends(&restarted, Some("app"), 10), "it started before that end");
        assert!(!ends(&restarted, Some("app"), 51), "it belongs to the next run");
        assert!(!ends(&restarted, Some("app"), 50), "what belongs to the run that ended started before that second");
        assert!(ends(&restarted, None, 10), "there is only one container");
    }

    #[test]
    fn a_process_that_names_no_container_ends_when_all_containers_have_ended() {
        let one = pod(vec![container("app", true, Some((50, 101))), container("sidecar", true, None)]);
        assert!(!ends(&one, None, 10));
        assert!(ends(&one, Some("app"), 10));
        let both = pod(vec![container("app", true, Some((50, 101))), container("sidecar", true, Some((60, 102)))]);
        assert_eq!(both.end_of(None, Some(at(10)), LAST_REPORT_AT), Some(Duration::from_secs(102)));
    }

    #[test]
    fn a_process_that_reports_no_start_ends_with_an_end_that_was_seen_after_its_last_report() {
        let seen = |second| pod(vec![container("app", true, Some((50, second)))]).end_of(None, None, LAST_REPORT_AT);
        assert_eq!(seen(99), None);
        assert_eq!(seen(100), None);
        assert_eq!(seen(101), Some(Duration::from_secs(101)));
    }

    #[test]
    fn a_process_that_names_a_container_that_passes_ends_with_it_and_no_other_process_does() {
        let passing = vec![Container { expected: false, ..container("migrate", false, Some((50, 101))) }];
        let initialised = Pod { passing, ..pod(vec![container("app", true, None)]) };
        assert!(ends(&initialised, Some("migrate"), 10));
        assert!(!ends(&initialised, Some("migrate"), 51), "it belongs to the next run");
        assert!(!ends(&initialised, Some("app"), 10));
        assert!(!ends(&initialised, None, 10), "it may be in the container that runs");
        let restarted = Pod { containers: vec![container("app", true, Some((60, 102)))], ..initialised };
        assert!(ends(&restarted, None, 55), "no process that started after the end of `migrate` is in it");
        assert_eq!(
            (restarted.last_end(), restarted.grace_from()),
            (Some(Duration::from_secs(102)), restarted.last_end())
        );
    }

    #[test]
    fn a_process_may_run_while_its_own_container_does_or_any_if_it_names_none() {
        let may_run = |app: bool, worker: bool, debug: bool, named: Option<&str>| {
            let worker = Container { expected: false, ..container("worker", worker, None) };
            let debug = Container { expected: false, ..container("debug", debug, None) };
            let pod = Pod { passing: vec![debug], ..pod(vec![container("app", app, None), worker]) };
            let gone = Pod { object_state: PodObjectState::Vanished { seen: LAST_REPORT_AT }, ..pod.clone() };
            assert!(!gone.may_run(named));
            pod.may_run(named)
        };
        for named in [Some("worker"), Some("other"), None] {
            assert!(may_run(false, true, false, named), "{named:?}");
        }
        assert!(may_run(false, false, true, Some("debug")) && may_run(false, false, true, None));
        assert!(!may_run(false, true, true, Some("app")), "the kubelet says that its container does not run");
        assert!(may_run(true, false, false, Some("worker")), "a process is expected in the container that runs");
        assert!(!may_run(false, false, false, None));
    }

    #[test]
    fn a_pod_is_expected_if_it_is_selected_and_runs() {
        let expected = |selected, running| {
            let pod = Pod { selected, ..pod(vec![container("app", running, None)]) };
            Pods { by_uid: [("uid".into(), pod.into())].into(), incomplete: false }.expected().count()
        };
        assert_eq!((expected(true, true), expected(true, false), expected(false, true)), (1, 0, 0));
    }

    #[test]
    fn a_pod_runs_while_it_exists_and_one_of_its_containers_runs() {
        assert!(pod(vec![container("app", true, None)]).runs());
        assert!(!pod(vec![container("app", false, Some((50, 101)))]).runs());
        let terminating = Pod { terminating: true, ..pod(vec![container("app", true, None)]) };
        assert!(terminating.runs());
        let gone = Pod { object_state: PodObjectState::Vanished { seen: LAST_REPORT_AT }, ..terminating };
        assert!(!gone.runs());
    }
}
