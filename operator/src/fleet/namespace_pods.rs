//! The pods of one namespace: those that exist, and the ends of a limited number of others. Pure.
//!
//! Anybody who may create pods in a namespace decides how many of them end there, so an end takes little memory, and the
//! oldest ends are forgotten beyond a limit. A pod that is forgotten is unknown, as after a restart of the operator: it
//! has not ended. While such a pod may run, the pods of the namespace are not all known.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rototo_protocol::fleet::{Moment, PROCESSES, Pod, PodObjectState};
use rototo_protocol::windows::{HEARTBEAT, Windows};

use crate::fleet::pod_labels::{OF_GONE_POD, PodLabels};

/// The time for which the end of a pod is remembered. It is longer than the wait for any process of it.
pub(super) const REMEMBERED: Duration = Duration::from_secs(2 * 3600);
/// The largest number of pods of a namespace that are remembered although their objects are gone.
const GONE_PODS: usize = 10_000;

/// The pods of one namespace, by UID.
#[derive(Default)]
pub(super) struct NamespacePods {
    by_uid: BTreeMap<Arc<str>, IndexedPod>,
    /// The pods whose objects are gone, in the order of that. One that was shown again is among them too.
    gone: VecDeque<Arc<str>>,
    /// The time until which a pod may run that is forgotten.
    may_lack_until: Moment,
}

/// A pod, and the labels that select it.
pub(super) struct IndexedPod {
    pub(super) labels: PodLabels,
    /// The pod as one that is not selected. All workspaces of the namespace share it.
    pod: Arc<Pod>,
    /// The pod as one that is selected, for the workspaces that select it.
    selected: OnceLock<Arc<Pod>>,
    is_gone: bool,
}

impl IndexedPod {
    pub(super) fn new(pod: Pod, labels: PodLabels) -> Self {
        Self { labels, pod: Arc::new(pod), selected: OnceLock::new(), is_gone: false }
    }

    /// Returns the description of the pod for a workspace that selects it, or for one that does not.
    pub(super) fn described(&self, selected: bool) -> Arc<Pod> {
        if selected {
            self.selected.get_or_init(|| Arc::new(Pod { selected, ..Pod::clone(&self.pod) })).clone()
        } else {
            self.pod.clone()
        }
    }

    /// Returns the pod after its object has gone; `None` if nothing has to be remembered of it.
    fn ended(self, now: Moment) -> Option<Self> {
        let (labels, object_state) = match self.pod.object_state {
            // Nobody waits for it, whether selected or not.
            ended @ PodObjectState::Ended { .. } => (PodLabels::default(), ended),
            // It did not show that the pod had ended, so a container that waited may have run since.
            _ if self.pod.containers.is_empty() && self.pod.passing.is_empty() => return None,
            _ => (self.labels.shortened(OF_GONE_POD), PodObjectState::Vanished { seen: now }),
        };
        let pod = Pod { object_state, ..Arc::unwrap_or_clone(self.pod) };
        Some(Self { is_gone: true, ..Self::new(pod, labels) })
    }

    /// Returns the time until which a fleet may wait for the pod, which vanished while it ran.
    fn is_waited_for_until(&self) -> Option<Moment> {
        let PodObjectState::Vanished { seen } = self.pod.object_state else { return None };
        let ran = self.pod.containers.iter().any(|container| container.running);
        ran.then(|| seen + Windows::of(PROCESSES, HEARTBEAT).forget)
    }

    fn is_forgotten(&self, now: Moment) -> bool {
        match self.pod.object_state {
            PodObjectState::Exists => false,
            PodObjectState::Ended { seen } | PodObjectState::Vanished { seen } => now >= seen + REMEMBERED,
        }
    }
}

impl NamespacePods {
    /// Returns the description of a pod.
    pub(super) fn get(&self, uid: &str) -> Option<&Pod> {
        self.by_uid.get(uid).map(|seen| &*seen.pod)
    }

    /// Returns the pods, those that are remembered for their end among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &IndexedPod)> {
        self.by_uid.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// Returns whether a pod may run that is forgotten.
    pub(super) fn may_lack_pods(&self, now: Moment) -> bool {
        now < self.may_lack_until
    }

    /// Takes a pod that exists. Returns what was known of it.
    pub(super) fn insert(&mut self, uid: Arc<str>, pod: IndexedPod) -> Option<IndexedPod> {
        self.by_uid.insert(uid, pod)
    }

    /// Records that the object of a pod is gone.
    pub(super) fn end(&mut self, uid: &str, now: Moment) {
        if self.by_uid.get(uid).is_none_or(|seen| seen.is_gone) {
            return;
        }
        let Some((uid, seen)) = self.by_uid.remove_entry(uid) else { return };
        let Some(ended) = seen.ended(now) else { return };
        self.by_uid.insert(uid.clone(), ended);
        self.gone.push_back(uid);
        while self.gone.len() > GONE_PODS {
            self.forget_oldest();
        }
    }

    /// Records that the objects of all other pods are gone.
    pub(super) fn end_others(&mut self, listed: &HashSet<Arc<str>>, now: Moment) {
        let others = self.by_uid.iter().filter(|(uid, seen)| !seen.is_gone && !listed.contains(*uid));
        let others: Vec<Arc<str>> = others.map(|(uid, _)| uid.clone()).collect();
        for uid in others {
            self.end(&uid, now);
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.gone.pop_front().filter(|uid| self.by_uid.get(uid).is_some_and(|seen| seen.is_gone));
        let seen = oldest.and_then(|uid| self.by_uid.remove(&uid));
        self.may_lack_until =
            self.may_lack_until.max(seen.and_then(|seen| seen.is_waited_for_until()).unwrap_or_default());
    }

    /// Forgets the ends that were remembered long enough.
    pub(super) fn forget(&mut self, now: Moment) {
        self.by_uid.retain(|_, seen| !seen.is_forgotten(now));
        self.gone.retain(|uid| self.by_uid.get(uid).is_some_and(|seen| seen.is_gone));
    }
}

#[cfg(test)]
mod tests {
    use rototo_api::names::workspace_label;
    use rototo_protocol::fleet::Container;

    use super::*;
    use crate::fleet::pod_labels::OF_LIVING_POD;

    fn indexed(containers: &[(&str, bool)], object_state: PodObjectState) -> IndexedPod {
        let containers = containers.iter().map(|(name, running)| Container {
            name: (*name).to_owned(),
            running: *running,
            expected: true,
            ended: None,
        });
        let pod = Pod {
            name: "pod".to_owned(),
            selected: false,
            terminating: false,
            seen_running: None,
            containers: containers.collect(),
            passing: Vec::new(),
            object_state,
        };
        // More than are kept of a pod that is gone.
        let labels = (0..50).map(|number| (format!("label-{number}"), String::new()));
        let labels = labels.chain([(workspace_label("config"), String::new())]).collect();
        IndexedPod::new(pod, PodLabels::of(&labels, OF_LIVING_POD))
    }

    fn second(second: u64) -> Moment {
        Duration::from_secs(second)
    }

    #[test]
    fn little_is_remembered_of_a_pod_whose_object_is_gone() {
        let mut pods = NamespacePods::default();
        pods.insert("vanished".into(), indexed(&[("app", true)], PodObjectState::Exists));
        pods.insert("ended".into(), indexed(&[("app", false)], PodObjectState::Ended { seen: second(1) }));
        pods.insert("never-began".into(), indexed(&[], PodObjectState::Exists));
        ["vanished", "ended", "never-began", "unknown"].iter().for_each(|uid| pods.end(uid, second(2)));
        let known: Vec<_> = pods.iter().map(|(uid, seen)| (&**uid, seen.pod.object_state)).collect();
        let expected = [
            ("ended", PodObjectState::Ended { seen: second(1) }),
            ("vanished", PodObjectState::Vanished { seen: second(2) }),
        ];
        assert_eq!(known, expected);
        // A workspace may wait for one that vanished, and for no other.
        let has = |uid: &str| pods.by_uid[uid].labels.may_have(&workspace_label("config"));
        assert!(has("vanished") && !has("ended"));
        let kept = pods.by_uid.values().map(|seen| seen.labels.text()).collect::<Vec<_>>();
        assert!(kept[0] == 0 && kept[1] <= OF_GONE_POD, "{kept:?}");
    }

    #[test]
    fn the_oldest_ends_of_a_namespace_are_forgotten_beyond_a_limit_and_are_no_ends() {
        let mut pods = NamespacePods::default();
        let ends = |pods: &mut NamespacePods, number: usize, running: bool, now: Moment| {
            let uid = format!("{number:06}");
            pods.insert(uid.as_str().into(), indexed(&[("app", running)], PodObjectState::Exists));
            pods.end(&uid, now);
        };
        pods.insert("lives".into(), indexed(&[("app", true)], PodObjectState::Exists));
        (0..GONE_PODS + 5).for_each(|number| ends(&mut pods, number, number == 5, second(1)));
        assert_eq!((pods.by_uid.len(), pods.gone.len()), (GONE_PODS + 1, GONE_PODS));
        assert!(pods.get("000004").is_none() && pods.get("000005").is_some() && pods.get("lives").is_some());
        assert!(!pods.may_lack_pods(second(1)), "none of them ran");
        // One that was shown again exists.
        pods.insert("000006".into(), indexed(&[("app", true)], PodObjectState::Exists));
        (0..2).for_each(|number| ends(&mut pods, GONE_PODS + 5 + number, false, second(2)));
        assert!(pods.get("000005").is_none() && pods.get("000006").is_some());
        // It ran when it vanished, so nobody knows all pods for as long as it would have been waited for.
        assert!(pods.may_lack_pods(second(600)) && !pods.may_lack_pods(second(601)));
    }

    #[test]
    fn workspaces_share_the_description_of_a_pod() {
        let seen = indexed(&[("app", true)], PodObjectState::Exists);
        for selected in [true, false] {
            assert!(seen.described(selected).selected == selected);
            assert!(Arc::ptr_eq(&seen.described(selected), &seen.described(selected)));
        }
    }
}
