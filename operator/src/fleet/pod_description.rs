//! Describes a pod from its object: which containers run or have ended, and which of them can run an application. Pure.
//!
//! [`describe`] is the entry point. What an object no longer says, such as an earlier end of a container, comes from the
//! description before.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as ContainerSpec, ContainerStatus, Pod as Object};
use kube::ResourceExt;
use rototo_api::names::CONTAINER_VARIABLE;
use rototo_protocol::fleet::{Container, ContainerEnd, Moment, Pod, PodObjectState};

/// The time at which a list or a watch shows something.
#[derive(Clone, Copy)]
pub(super) struct ShownAt {
    /// The time.
    pub(super) now: Moment,
    /// The grace of what begins with it is counted from this time: `now` for an event of a watch. What a list shows may
    /// have begun at any time since the index was in step last; what the first list shows may have run for long.
    pub(super) grace_from: Option<Moment>,
}

/// A run that begins so long after the last one ended was held back: by default, the kubelet waits so long, or longer,
/// before each restart except the first. No process of such a run was there in the second of that end.
const HELD_BACK: SignedDuration = SignedDuration::from_secs(10);

/// Describes a pod from its object.
pub(super) fn describe(object: &Object, before: Option<&Pod>, shown: ShownAt) -> Pod {
    let containers: Vec<Container> = containers(object, before, shown);
    let ran =
        |containers: &[Container]| containers.iter().any(|container| container.running || container.ended.is_some());
    let running = containers.iter().any(|container| container.running);
    let begun = |containers: &[Container]| {
        let mut expected = containers.iter().filter(|container| container.expected);
        expected.any(|container| container.running || container.ended.is_some())
    };
    let terminating = object.metadata.deletion_timestamp.is_some();
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
    // The pod garbage collector writes a phase too. It knows nothing of a container that the kubelet saw wait.
    let will_not_run = matches!(phase, Some("Succeeded" | "Failed")) || terminating && ran(&containers);
    let over = will_not_run && all_terminated(object);
    let object_state = match before.map(|before| before.object_state) {
        Some(ended @ PodObjectState::Ended { .. }) => ended,
        _ if over && !running => PodObjectState::Ended { seen: shown.now },
        _ => PodObjectState::Exists,
    };
    let seen_running = match before {
        Some(before) if begun(&before.containers) => before.seen_running,
        _ => shown.grace_from.filter(|_| begun(&containers)),
    };
    let passing = passing(object, before, shown);
    Pod { name: object.name_any(), selected: false, terminating, seen_running, containers, passing, object_state }
}

fn all_terminated(object: &Object) -> bool {
    let terminated = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    statuses(object).iter().all(|status| terminated(status))
}

/// Returns the init containers that are restarted. Other init containers end before the application starts.
fn sidecars(object: &Object) -> impl Iterator<Item = &ContainerSpec> {
    let init = object.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    init.filter(|container| container.restart_policy.as_deref() == Some("Always"))
}

/// Returns the statuses of the init containers, apart: those of sidecars, and those of the others.
fn init_statuses(object: &Object) -> (Vec<&ContainerStatus>, Vec<&ContainerStatus>) {
    let sidecars: Vec<&str> = sidecars(object).map(|container| container.name.as_str()).collect();
    let init = object.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    init.partition(|status| sidecars.contains(&status.name.as_str()))
}

/// Returns the statuses of the containers that can run an application: those of the pod, and init containers that are
/// restarted (sidecars).
fn statuses(object: &Object) -> Vec<&ContainerStatus> {
    let own = object.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    own.chain(init_statuses(object).0).collect()
}

/// Returns the containers that can run an application and have [`CONTAINER_VARIABLE`] in their environment. A pod that
/// marks any of them expects no follower in the others.
fn marked(object: &Object) -> Vec<&str> {
    let all = object.spec.iter().flat_map(|spec| &spec.containers).chain(sidecars(object));
    let is_marked =
        |container: &&ContainerSpec| container.env.iter().flatten().any(|variable| variable.name == CONTAINER_VARIABLE);
    all.filter(is_marked).map(|container| container.name.as_str()).collect()
}

/// Describes the containers that can run an application.
fn containers(object: &Object, before: Option<&Pod>, shown: ShownAt) -> Vec<Container> {
    let statuses = statuses(object);
    let marked = marked(object);
    let expected = |name: &str| marked.is_empty() || marked.contains(&name);
    if statuses.is_empty() {
        // A kubelet describes each container that it runs. A status that only says Running means all of them. A pod that
        // has not begun may have thousands of containers, and nothing depends on them.
        if object.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Running") {
            return Vec::new();
        }
        let named = object.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone());
        return named.map(|name| Container { expected: expected(&name), name, running: true, ended: None }).collect();
    }
    let described = statuses.into_iter().map(|status| container(status, before, shown));
    described.map(|container| Container { expected: expected(&container.name), ..container }).collect()
}

/// Describes the containers that pass while the pod goes on: init containers that are not restarted, and ephemeral
/// containers.
fn passing(object: &Object, before: Option<&Pod>, shown: ShownAt) -> Vec<Container> {
    let ephemeral = object.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    init_statuses(object).1.into_iter().chain(ephemeral).map(|status| container(status, before, shown)).collect()
}

fn container(status: &ContainerStatus, before: Option<&Pod>, shown: ShownAt) -> Container {
    let known = before.and_then(|pod| pod.container(&status.name)?.ended);
    let ended = ended_before(status).map(|(at, while_waiting)| match known {
        // The next run tells more exactly when the same run had ended.
        Some(end) if end.at == at || end.at == while_waiting => ContainerEnd { at, ..end },
        _ => ContainerEnd { at, seen: shown.now, grace_from: shown.grace_from },
    });
    let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    Container { name: status.name.clone(), running, expected: false, ended: ended.or(known) }
}

/// Returns a time by the clock of the node: what started before it belongs to a run of the container that has ended.
/// Beside it stands the time that the kubelet gave before it started the next run.
///
/// The kubelet cuts its times to seconds, so a run that ended in a second may have had processes that started in that
/// second. Once another run has begun, they may be of that one: the time of its start is no limit, because the runtime
/// takes it after the process is there. They belong to the run that ended if the next one was held back.
fn ended_before(status: &ContainerStatus) -> Option<(Timestamp, Timestamp)> {
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let finished =
        states.filter_map(|state| state.terminated.as_ref()?.finished_at.as_ref()).map(|time| time.0).max()?;
    let shown = finished.saturating_add(SignedDuration::from_secs(1)).unwrap_or(finished);
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let Some(running) = running else { return Some((shown, shown)) };
    let started = running.started_at.as_ref().map(|time| time.0);
    if let Some(started) = started.filter(|started| *started < finished) {
        // The clock of the node was set back between the two runs.
        return Some((started.saturating_sub(HELD_BACK).unwrap_or(started), shown));
    }
    let held_back = finished.checked_add(HELD_BACK).is_ok_and(|held_back| started >= Some(held_back));
    Some((if held_back { shown } else { finished }, shown))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn running(since: &str) -> Value {
        json!({ "running": { "startedAt": format!("2026-11-20T18:{since}Z") } })
    }

    /// Returns whether a process that started then is of a run that has ended: the last one ended at 18:40:00, and the
    /// container is in this state now.
    fn has_ended(started: &str, state: &Value) -> bool {
        let finished = json!({ "terminated": { "exitCode": 137, "finishedAt": "2026-11-20T18:40:00Z" } });
        let status = json!({ "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 1,
            "state": state, "lastState": finished });
        let (at, _) = ended_before(&serde_json::from_value(status).unwrap()).unwrap();
        format!("2026-11-20T18:{started}Z").parse::<Timestamp>().unwrap() < at
    }

    #[test]
    fn a_process_that_started_before_the_last_run_ended_because_its_clock_was_set_back_has_not_ended() {
        for (started, since) in [("39:29", "39:30"), ("39:30", "39:30"), ("39:59", "39:59")] {
            assert!(!has_ended(started, &running(since)), "{started} {since}");
        }
        assert!(has_ended("39:00", &running("39:30")), "that was long before this run");
    }

    /// The process of a container is there before the kubelet's time of its start.
    #[test]
    fn a_process_that_may_be_of_the_present_run_has_not_ended() {
        for since in ["40:00", "40:01", "40:02", "40:09"] {
            assert!(!has_ended("40:00.92", &running(since)), "{since}");
        }
        for since in ["40:01", "40:10", "41:00"] {
            assert!(!has_ended("40:01.00", &running(since)), "{since}");
        }
    }

    #[test]
    fn a_process_of_an_earlier_run_has_ended() {
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        for state in [&waiting, &running("40:00"), &running("40:01"), &running("40:10")] {
            assert!(has_ended("39:59.99", state), "{state}");
        }
        for state in [&waiting, &running("40:10"), &running("45:00")] {
            assert!(has_ended("40:00.92", state), "{state}");
        }
    }
}
