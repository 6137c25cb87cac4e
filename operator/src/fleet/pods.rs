//! The pods of the watched namespaces, by the state of their containers.
//!
//! [`PodIndex`] takes what a watch brings, and remembers the end of a pod whose object is gone: either the kubelet had
//! said that its containers ended, or nobody knows. A cache alone proves nothing: a pod that it lacks and never had is
//! unknown.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod as Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::Selector;
use kube::runtime::watcher::Event;
use rototo_api::names::workspace_label;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{Moment, Pods};
use tokio::sync::watch;

use crate::fleet::clock;
use crate::fleet::namespace_pods::{IndexedPod, NamespacePods};
use crate::fleet::pod_description::{ShownAt, describe};
use crate::fleet::pod_labels::{OF_LIVING_POD, PodLabels};

/// The time between two searches for ends to forget. Each visits all pods, and many pods may end at once.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(300);

/// The pods that one watch has brought.
#[derive(Default)]
pub struct PodIndex {
    known: Mutex<PodCache>,
    listed: watch::Sender<bool>,
}

#[derive(Default)]
struct PodCache {
    namespaces: HashMap<String, NamespacePods>,
    /// A list that is being received. When it is complete, a known pod that is not in it has ended.
    listing: Vec<DescribedPod>,
    /// The time at which the last list began.
    list_began: Moment,
    /// The last time at which the watch had shown all pods: at its last event, or when the last complete list began.
    /// `None` before a list is complete.
    in_step: Option<Moment>,
    /// The earliest time of the next search for ends to forget.
    next_search: Moment,
}

/// A pod that a list or a watch has shown.
struct DescribedPod {
    namespace: String,
    uid: Arc<str>,
    pod: IndexedPod,
}

/// The selection of the pods that should follow a workspace.
pub enum PodSelection {
    /// The pods with this label, whatever its value.
    Labelled(String),
    /// The pods of the workspace's own selector. An invalid one selects nothing, rather than everything.
    Custom(Option<Selector>),
}

impl PodSelection {
    /// Selects the pods that have the label of the workspace.
    #[must_use]
    pub fn labelled(workspace: &str) -> Self {
        Self::Labelled(workspace_label(workspace))
    }

    /// Selects the pods of `spec.fleet.selector`.
    #[must_use]
    pub fn custom(selector: LabelSelector) -> Self {
        Self::Custom(Selector::try_from(selector).ok())
    }

    /// Selects the pods that should follow a workspace.
    #[must_use]
    pub fn of(workspace: &RototoWorkspace) -> Self {
        let custom = workspace.spec.fleet.as_ref().and_then(|fleet| fleet.selector.clone());
        custom.map_or_else(|| Self::labelled(&workspace.name_any()), Self::custom)
    }

    /// Returns whether the selector is invalid.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::Custom(None))
    }

    fn covers(&self, labels: &PodLabels) -> bool {
        match self {
            Self::Labelled(label) => labels.may_have(label),
            Self::Custom(selector) => selector.as_ref().is_some_and(|selector| labels.may_match(selector)),
        }
    }
}

impl PodIndex {
    /// Takes an event of the watch. Returns the labels that the pod of the event had before, if the index knew it: they
    /// may have selected it for other workspaces.
    pub fn apply(&self, event: &Event<Object>) -> Option<PodLabels> {
        self.apply_at(event, clock::now())
    }

    fn apply_at(&self, event: &Event<Object>, now: Moment) -> Option<PodLabels> {
        let mut known = self.lock();
        match event {
            Event::Init => {
                known.listing.clear();
                known.list_began = now;
                None
            }
            // A description is small, and the object of a pod is not: a list of a large cluster has many.
            Event::InitApply(pod) => {
                let described = known.describe(pod, ShownAt { now, grace_from: known.in_step });
                known.listing.extend(described);
                None
            }
            Event::InitDone => {
                known.complete_list(now);
                drop(known);
                self.listed.send_replace(true);
                None
            }
            Event::Apply(pod) => known.keep(pod, now),
            Event::Delete(pod) => {
                let before = known.keep(pod, now);
                known.end(&pod.namespace().unwrap_or_default(), &pod.uid().unwrap_or_default(), now);
                before
            }
        }
    }

    /// Waits until the first list is complete.
    pub async fn wait_until_listed(&self) {
        // The wait fails only at the end of the index.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Adds all pods of a namespace to `pods`, and marks the selected ones.
    pub fn add(&self, namespace: &str, selection: &PodSelection, pods: &mut Pods) {
        let known = self.lock();
        let Some(known) = known.namespaces.get(namespace) else { return };
        pods.incomplete |= known.may_lack_pods(clock::now());
        pods.by_uid
            .extend(known.iter().map(|(uid, seen)| (uid.clone(), seen.described(selection.covers(&seen.labels)))));
    }

    fn lock(&self) -> MutexGuard<'_, PodCache> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PodCache {
    /// Takes a pod that an event of the watch shows. Returns the labels that it had before.
    fn keep(&mut self, object: &Object, now: Moment) -> Option<PodLabels> {
        self.in_step = self.in_step.map(|_| now);
        let described = self.describe(object, ShownAt { now, grace_from: self.in_step })?;
        self.insert(described)
    }

    /// Returns the labels that the pod had before.
    fn insert(&mut self, DescribedPod { namespace, uid, pod }: DescribedPod) -> Option<PodLabels> {
        self.namespaces.entry(namespace).or_default().insert(uid, pod).map(|before| before.labels)
    }

    fn describe(&self, object: &Object, shown: ShownAt) -> Option<DescribedPod> {
        let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid()?);
        let before = self.namespaces.get(&namespace).and_then(|pods| pods.get(&uid));
        let pod = describe(object, before, shown);
        let pod = IndexedPod::new(pod, PodLabels::of(object.labels(), OF_LIVING_POD));
        Some(DescribedPod { namespace, uid: uid.into(), pod })
    }

    /// Records that the object of a pod is gone.
    fn end(&mut self, namespace: &str, uid: &str, now: Moment) {
        if let Some(pods) = self.namespaces.get_mut(namespace) {
            pods.end(uid, now);
        }
        self.forget(now);
    }

    /// Forgets the ends that were remembered long enough, if that was not done lately.
    fn forget(&mut self, now: Moment) {
        if now < self.next_search {
            return;
        }
        self.next_search = now + FORGOTTEN_EVERY;
        self.namespaces.retain(|_, pods| {
            pods.forget(now);
            !pods.is_empty() || pods.may_lack_pods(now)
        });
    }

    /// Takes a complete list, which shows a deletion only by the absence of a pod.
    fn complete_list(&mut self, now: Moment) {
        let listing = std::mem::take(&mut self.listing);
        let listed: HashSet<Arc<str>> = listing.iter().map(|described| described.uid.clone()).collect();
        for described in listing {
            self.insert(described);
        }
        self.in_step = Some(self.list_began);
        for pods in self.namespaces.values_mut() {
            pods.end_others(&listed, now);
        }
        self.forget(now);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::ContainerStatus;
    use rototo_protocol::fleet::{Container, PodObjectState};
    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::namespace_pods::REMEMBERED;

    /// A pod of namespace `prod` with one container in this state.
    fn pod(name: &str, phase: &str, state: Value) -> Object {
        let labels = json!({ workspace_label("config"): "" });
        let metadata = json!({ "namespace": "prod", "name": name, "uid": name, "labels": labels });
        let statuses =
            json!([{ "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state }]);
        let status = json!({ "phase": phase, "containerStatuses": statuses });
        serde_json::from_value(
            json!({ "metadata": metadata, "spec": { "containers": [{ "name": "app" }] }, "status": status }),
        )
        .unwrap()
    }

    fn runs() -> Value {
        json!({ "running": {} })
    }

    fn ended() -> Value {
        json!({ "terminated": { "exitCode": 0, "finishedAt": "2026-11-20T18:40:00Z" } })
    }

    fn deleted(mut pod: Object) -> Object {
        pod.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        pod
    }

    fn after(events: Vec<Event<Object>>) -> Pods {
        let index = PodIndex::default();
        for (second, event) in (1..).zip(events) {
            index.apply_at(&event, Duration::from_secs(second));
        }
        let mut pods = Pods::default();
        index.add("prod", &PodSelection::labelled("config"), &mut pods);
        pods
    }

    fn expected(events: Vec<Event<Object>>) -> Vec<String> {
        after(events).expected().map(|(uid, _)| uid.to_owned()).collect()
    }

    #[test]
    fn a_pod_counts_while_a_container_runs_whatever_its_phase_says() {
        assert_eq!(expected(vec![Event::Apply(pod("a", "Running", runs()))]), ["a"]);
        assert_eq!(expected(vec![Event::Apply(pod("a", "Pending", runs()))]), ["a"]);
        assert_eq!(expected(vec![Event::Apply(deleted(pod("a", "Running", runs())))]), ["a"]);
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        assert!(expected(vec![Event::Apply(pod("a", "Running", waiting))]).is_empty());
    }

    #[test]
    fn a_pod_has_ended_when_the_kubelet_says_so_and_has_vanished_when_nobody_does() {
        let object_state = |events| after(events).get("a").unwrap().object_state;
        let second = Duration::from_secs;
        let seen_to_end = vec![
            Event::Apply(pod("a", "Running", runs())),
            Event::Apply(deleted(pod("a", "Running", ended()))),
            Event::Delete(deleted(pod("a", "Running", ended()))),
        ];
        assert_eq!(object_state(seen_to_end), PodObjectState::Ended { seen: second(2) });
        let by_force = vec![Event::Apply(pod("a", "Running", runs())), Event::Delete(pod("a", "Running", runs()))];
        assert_eq!(object_state(by_force), PodObjectState::Vanished { seen: second(2) });
        // A container that was seen to wait may have started since.
        let crashed = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        for last_seen in [json!({ "waiting": {} }), crashed, ended()] {
            let relisted = vec![Event::Apply(pod("a", "Running", last_seen.clone())), Event::Init, Event::InitDone];
            assert_eq!(object_state(relisted), PodObjectState::Vanished { seen: second(3) }, "{last_seen}");
        }
        // The pod garbage collector writes a phase; the states of the containers are still the kubelet's.
        let lost_node = vec![Event::Apply(pod("a", "Failed", runs())), Event::Delete(pod("a", "Failed", runs()))];
        assert_eq!(object_state(lost_node), PodObjectState::Vanished { seen: second(2) });
        // It also says nothing of a container that waited, and may have started since.
        let waited = || pod("a", "Failed", json!({ "waiting": { "reason": "CrashLoopBackOff" } }));
        let lost_node = vec![Event::Apply(waited()), Event::Delete(waited())];
        assert_eq!(object_state(lost_node), PodObjectState::Vanished { seen: second(2) });
        assert_eq!(
            object_state(vec![Event::Apply(pod("a", "Succeeded", ended()))]),
            PodObjectState::Ended { seen: second(1) }
        );
    }

    #[test]
    fn a_list_shows_ends_by_what_is_not_in_it() {
        let before = vec![Event::Apply(pod("old", "Running", runs())), Event::Init];
        let listed = vec![Event::InitApply(pod("new", "Running", runs()))];
        let under_way: Vec<_> = before.into_iter().chain(listed).collect();
        assert_eq!(expected(under_way.clone()), ["old"]);
        let complete = after(under_way.into_iter().chain([Event::InitDone]).collect());
        assert_eq!(complete.expected().map(|(uid, _)| uid).collect::<Vec<_>>(), ["new"]);
        assert_eq!(
            complete.get("old").unwrap().object_state,
            PodObjectState::Vanished { seen: Duration::from_secs(4) }
        );
    }

    #[test]
    fn ends_are_forgotten_from_time_to_time_and_not_with_each_end() {
        let index = PodIndex::default();
        let known = |at: Duration, event: Event<Object>| {
            index.apply_at(&event, at);
            let known = index.lock();
            let names = known.namespaces.values().flat_map(NamespacePods::iter);
            let names = names.map(|(uid, _)| uid.to_string()).collect::<Vec<_>>();
            names.concat()
        };
        let second = Duration::from_secs;
        let ends = |name: &str, at: Duration| {
            index.apply_at(&Event::Apply(pod(name, "Running", runs())), at);
            known(at, Event::Delete(pod(name, "Running", runs())))
        };
        assert_eq!(ends("a", second(10)), "a");
        assert_eq!(ends("b", second(20)), "ab");
        let searched = REMEMBERED + second(15);
        assert_eq!(ends("c", searched), "bc");
        assert_eq!(ends("d", searched + second(10)), "bcd", "another search so soon would visit all pods for each end");
        assert_eq!(ends("e", searched + FORGOTTEN_EVERY), "cde");
        let list = |at| [Event::Init, Event::InitDone].map(|event| known(at, event)).concat();
        assert_eq!(list(searched + FORGOTTEN_EVERY + REMEMBERED), "cde", "the list forgets them all");
        assert!(index.lock().namespaces.is_empty());
    }

    #[test]
    fn only_a_pod_that_starts_under_the_operators_eyes_is_known_to_be_new() {
        let listed = vec![Event::Init, Event::InitApply(pod("a", "Running", runs())), Event::InitDone];
        assert_eq!(after(listed.clone()).get("a").unwrap().seen_running, None);
        let started = listed.into_iter().chain([Event::Apply(pod("b", "Running", runs()))]);
        assert_eq!(after(started.collect()).get("b").unwrap().seen_running, Some(Duration::from_secs(4)));
        let waits = || pod("c", "Pending", json!({ "waiting": {} }));
        let in_list =
            vec![Event::Init, Event::InitApply(waits()), Event::InitDone, Event::Apply(pod("c", "Running", runs()))];
        assert_eq!(after(in_list).get("c").unwrap().seen_running, Some(Duration::from_secs(4)));
    }

    /// A list, and after an outage of the watch another one, in which this pod runs.
    fn listed_again(first: Vec<Event<Object>>, again: Object) -> Pods {
        let list = |pods: Vec<Event<Object>>| [vec![Event::Init], pods, vec![Event::InitDone]].concat();
        after([list(first), list(vec![Event::InitApply(again)])].concat())
    }

    #[test]
    fn the_grace_of_a_pod_that_a_later_list_shows_begins_when_the_watch_had_shown_all_pods() {
        let second = |second| Some(Duration::from_secs(second));
        let seen_running = |pods: Pods| pods.get("a").unwrap().seen_running;
        assert_eq!(seen_running(listed_again(vec![], pod("a", "Running", runs()))), second(1));
        let waits = pod("a", "Pending", json!({ "waiting": {} }));
        let known = vec![Event::InitApply(waits)];
        assert_eq!(seen_running(listed_again(known, pod("a", "Running", runs()))), second(1), "it was known to wait");
        let running = vec![Event::InitApply(pod("a", "Running", runs()))];
        assert_eq!(seen_running(listed_again(running, pod("a", "Running", runs()))), None, "it ran in the first list");
        let other = Event::Apply(pod("other", "Running", runs()));
        let again = [Event::Init, Event::InitApply(pod("a", "Running", runs())), Event::InitDone];
        let events = [vec![Event::Init, Event::InitDone, other], again.to_vec()].concat();
        assert_eq!(seen_running(after(events)), second(3), "an event shows that the watch runs");
        let failed = vec![Event::Init, Event::InitDone, Event::Init, Event::InitApply(pod("a", "Running", runs()))];
        assert_eq!(seen_running(after([failed, again.to_vec()].concat())), second(1), "a list that broke off");
    }

    #[test]
    fn the_grace_after_a_restart_that_a_list_shows_begins_when_the_watch_had_shown_all_pods() {
        let ends = |pods: Pods| pods.get("a").unwrap().containers[0].ended.unwrap();
        let second = Duration::from_secs;
        let crashed = || pod("a", "Running", ended());
        let end = ends(listed_again(vec![], crashed()));
        assert_eq!((end.seen, end.grace_from), (second(4), Some(second(1))));
        let end = ends(listed_again(vec![Event::InitApply(crashed())], crashed()));
        assert_eq!((end.seen, end.grace_from), (second(2), None), "it had ended before the first list");
        let end = ends(after(vec![Event::Init, Event::InitDone, Event::Apply(crashed())]));
        assert_eq!((end.seen, end.grace_from), (second(3), Some(second(3))));
    }

    #[test]
    fn an_event_has_the_labels_that_the_pod_had_before() {
        let index = PodIndex::default();
        let labelled = pod("a", "Running", runs());
        let mut unlabelled = labelled.clone();
        unlabelled.metadata.labels = None;
        let apply = |event| index.apply(&event).map(|labels| labels.may_have(&workspace_label("config")));
        assert_eq!(apply(Event::Init), None);
        assert_eq!(apply(Event::InitApply(labelled)), None);
        assert_eq!(apply(Event::InitDone), None);
        assert_eq!(apply(Event::Apply(unlabelled.clone())), Some(true));
        assert_eq!(apply(Event::Delete(unlabelled)), Some(false));
    }

    #[test]
    fn the_end_of_a_run_is_kept_with_the_moment_in_which_it_was_seen() {
        let restarted = json!([{ "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 1,
            "state": runs(), "lastState": ended() }]);
        let mut again = pod("a", "Running", runs());
        again.status = serde_json::from_value(json!({ "phase": "Running", "containerStatuses": restarted })).unwrap();
        let pods = after(vec![
            Event::Apply(pod("a", "Running", runs())),
            Event::Apply(pod("a", "Running", ended())),
            Event::Apply(again),
        ]);
        let container = &pods.get("a").unwrap().containers[0];
        assert!(container.running);
        assert_eq!(container.ended.unwrap().seen, Duration::from_secs(2));
    }

    #[test]
    fn a_process_that_was_killed_in_the_second_of_its_start_has_ended() {
        let killed = json!({ "terminated": { "exitCode": 137, "finishedAt": "2026-11-20T18:40:00Z" } });
        let started: Timestamp = "2026-11-20T18:40:00.5Z".parse().unwrap();
        let end = |events| after(events).get("a").unwrap().containers[0].ended.unwrap();
        let waiting =
            vec![Event::Apply(pod("a", "Running", runs())), Event::Apply(pod("a", "Running", killed.clone()))];
        assert!(started < end(waiting.clone()).at);
        for (begun, ended) in [("2026-11-20T18:40:10Z", true), ("2026-11-20T18:40:01Z", false)] {
            let state = json!({ "running": { "startedAt": begun } });
            let restarted = json!([{ "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 1,
                "state": state, "lastState": killed }]);
            let mut again = pod("a", "Running", runs());
            again.status =
                serde_json::from_value(json!({ "phase": "Running", "containerStatuses": restarted })).unwrap();
            let end = end([waiting.clone(), vec![Event::Apply(again)]].concat());
            assert_eq!((started < end.at, end.seen), (ended, Duration::from_secs(2)), "{begun}");
        }
    }

    #[test]
    fn an_init_container_that_ends_by_itself_does_not_count() {
        let init = json!([{ "name": "migrate", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": runs() }]);
        let mut object = pod("a", "Pending", json!({ "waiting": {} }));
        object.status.as_mut().unwrap().init_container_statuses = serde_json::from_value(init).unwrap();
        object.spec.as_mut().unwrap().init_containers = serde_json::from_value(json!([{ "name": "migrate" }])).unwrap();
        assert!(expected(vec![Event::Apply(object.clone())]).is_empty());
        let sidecar = json!([{ "name": "migrate", "restartPolicy": "Always" }]);
        object.spec.as_mut().unwrap().init_containers = serde_json::from_value(sidecar).unwrap();
        assert_eq!(expected(vec![Event::Apply(object)]), ["a"]);
    }

    #[test]
    fn an_init_container_or_an_ephemeral_one_shows_its_own_end_and_changes_nothing_else() {
        let ended = json!({ "terminated": { "exitCode": 0, "finishedAt": "2026-11-20T18:40:00Z" } });
        let status = |name: &str, state: &Value| {
            let status = json!([{ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": state }]);
            serde_json::from_value::<Option<Vec<ContainerStatus>>>(status).unwrap()
        };
        let with = |state: &Value| {
            let mut object = pod("a", "Running", runs());
            let described = object.status.as_mut().unwrap();
            described.init_container_statuses = status("migrate", state);
            described.ephemeral_container_statuses = status("debug", state);
            object
        };
        let pods = after(vec![Event::Init, Event::InitDone, Event::Apply(with(&runs())), Event::Apply(with(&ended))]);
        let pod = pods.get("a").unwrap();
        for name in ["migrate", "debug"] {
            let container = pod.container(name).unwrap();
            assert!(!container.running && !container.expected, "{name}");
            assert_eq!(container.ended.unwrap().seen, Duration::from_secs(4), "{name}");
        }
        let names = |containers: &[Container]| containers.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&pod.containers), names(&pod.passing)),
            (vec!["app".into()], vec!["migrate".into(), "debug".into()])
        );
        // An ephemeral container that runs holds up neither the end of the pod nor its grace.
        let debugged = |state: Value| {
            let mut object = with(&runs());
            object.status.as_mut().unwrap().container_statuses = status("app", &state);
            Event::Apply(object)
        };
        let waiting = after(vec![Event::Init, Event::InitDone, debugged(json!({ "waiting": {} }))]);
        assert_eq!(waiting.get("a").unwrap().seen_running, None);
        assert!(!waiting.get("a").unwrap().runs());
        let Event::Apply(stopped) = debugged(ended) else { unreachable!() };
        let stopped = after(vec![Event::Apply(deleted(stopped))]);
        assert_eq!(stopped.get("a").unwrap().object_state, PodObjectState::Ended { seen: Duration::from_secs(1) });
    }

    #[test]
    fn an_init_container_that_ends_by_itself_marks_nothing() {
        let marked = |init: Value| {
            let mut object = pod("a", "Running", runs());
            object.spec.as_mut().unwrap().init_containers = serde_json::from_value(json!([init])).unwrap();
            expected(vec![Event::Apply(object)])
        };
        let env = json!([{ "name": "ROTOTO_CONTAINER", "value": "migrate" }]);
        assert_eq!(marked(json!({ "name": "migrate", "env": env })), ["a"], "`app` is expected to report");
        let sidecar = json!({ "name": "migrate", "env": env, "restartPolicy": "Always" });
        assert!(marked(sidecar).is_empty());
    }

    /// Pod `a` with a container `app`, and a sidecar `mesh` that runs. `app` is in this state.
    fn beside_a_sidecar(app: Value, environment: Value) -> Event<Object> {
        let mut object = pod("a", "Running", app);
        let mesh =
            json!({ "name": "mesh", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": runs() });
        let status = object.status.as_mut().unwrap();
        status.container_statuses.as_mut().unwrap().push(serde_json::from_value(mesh).unwrap());
        let containers = json!([{ "name": "app", "env": environment }, { "name": "mesh" }]);
        object.spec.as_mut().unwrap().containers = serde_json::from_value(containers).unwrap();
        Event::Apply(object)
    }

    #[test]
    fn a_sidecar_that_outlives_the_application_is_waited_for_only_if_the_application_is_not_marked() {
        let marked = json!([{ "name": "ROTOTO_CONTAINER", "value": "app" }]);
        assert_eq!(expected(vec![beside_a_sidecar(ended(), json!([]))]), ["a"]);
        assert!(expected(vec![beside_a_sidecar(ended(), marked.clone())]).is_empty());
        assert_eq!(expected(vec![beside_a_sidecar(runs(), marked.clone())]), ["a"]);
        let object_state = after(vec![beside_a_sidecar(ended(), marked)]).get("a").unwrap().object_state;
        assert_eq!(object_state, PodObjectState::Exists, "the end of a process without a name is not proven");
    }

    #[test]
    fn the_grace_of_a_pod_begins_with_the_container_that_is_marked() {
        let marked = json!([{ "name": "ROTOTO_CONTAINER", "value": "app" }]);
        let waits = || beside_a_sidecar(json!({ "waiting": {} }), marked.clone());
        let events = vec![Event::Init, Event::InitDone, waits(), waits(), beside_a_sidecar(runs(), marked.clone())];
        assert_eq!(after(events).get("a").unwrap().seen_running, Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_pod_that_has_not_begun_has_no_containers_and_leaves_nothing() {
        let mut waits = pod("a", "Pending", json!({ "waiting": {} }));
        waits.status = serde_json::from_value(json!({ "phase": "Pending" })).unwrap();
        let waiting = after(vec![Event::Apply(waits.clone())]);
        assert!(waiting.get("a").unwrap().containers.is_empty());
        assert!(after(vec![Event::Apply(waits.clone()), Event::Delete(waits.clone())]).by_uid.is_empty());
        let mut runs = waits.clone();
        runs.status.as_mut().unwrap().phase = Some("Running".to_owned());
        assert_eq!(expected(vec![Event::Apply(waits), Event::Apply(runs)]), ["a"]);
    }

    #[test]
    fn a_pod_with_very_large_labels_is_selected_by_what_may_be_among_them() {
        let index = PodIndex::default();
        let mut large = pod("a", "Running", runs());
        let labels = (0..5_000).map(|number| (format!("label-{number}"), String::new()));
        large.metadata.labels.as_mut().unwrap().extend(labels);
        index.apply(&Event::Apply(large));
        let selects = |selection: PodSelection| {
            let mut pods = Pods::default();
            index.add("prod", &selection, &mut pods);
            pods.get("a").unwrap().selected
        };
        assert!(selects(PodSelection::labelled("config")) && !selects(PodSelection::labelled("other")));
        let custom = |name: &str| {
            PodSelection::custom(LabelSelector {
                match_labels: Some([(name.to_owned(), String::new())].into()),
                ..LabelSelector::default()
            })
        };
        assert!(selects(custom("label-4999")) && selects(custom("other")));
        let namespaces = &index.lock().namespaces;
        assert!(namespaces["prod"].iter().all(|(_, seen)| seen.labels.text() < OF_LIVING_POD));
    }

    #[test]
    fn an_invalid_selector_selects_nothing() {
        let nonsense = json!({ "matchExpressions": [{ "key": "a", "operator": "Resembles" }] });
        let selection = PodSelection::custom(serde_json::from_value(nonsense).unwrap());
        assert!(
            selection.is_unusable()
                && !selection.covers(&PodLabels::of(&[("a".to_owned(), "b".to_owned())].into(), OF_LIVING_POD))
        );
    }
}
