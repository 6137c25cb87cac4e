//! Processes that end without a report, by SIGKILL or for lack of memory.

use super::*;

/// Returns a history in which `p1/c0` and `p2` run the first publish. `c0` reports its start, as the clients of today
/// do.
fn running() -> History {
    let mut history = History::new();
    let first_run = started(&history);
    history.after(1_000).pod("p1").pod("p2").publishes(publish(A, 1)).applied("p2", publish(A, 1));
    history.reports("p1/c0", ProcessState::Applied, Some(publish(A, 1)), first_run);
    // Each report that is news is counted, as in the operator.
    assert_eq!(history.verdict(), Verdict::Converged);
    history.after(10_000).applied("p2", publish(A, 1));
    history
}

/// Returns the report of a process that starts now.
fn started(history: &History) -> Report {
    Report { started_at: Some(history.wall()), started_ms_ago: Some(0), ..Report::default() }
}

/// Returns what the kubelet will report of the process in `p1`, which ends now.
fn killed(history: &History) -> ContainerEnd {
    ContainerEnd { at: history.wall(), seen: history.now, grace_from: Some(history.now) }
}

/// Shows the end in the watch of the pods now, and whether the container runs again.
fn shown(history: &mut History, end: ContainerEnd, running: bool) -> FleetView {
    let end = ContainerEnd { seen: history.now, grace_from: Some(history.now), ..end };
    history.change("p1", |pod| {
        pod.containers[0].ended = Some(end);
        pod.containers[0].running = running;
    });
    history.view()
}

#[test]
fn a_killed_process_stops_counting_when_the_kubelet_shows_its_end_and_not_before() {
    let mut history = running();
    let end = killed(&history);
    let second_run = started(history.after(1_000));
    history.reports("p1/c1", ProcessState::Starting, None, second_run.clone());
    assert_eq!(history.view().expected, Some(3), "the watch of the pods is behind");
    history.reports("p1/c1", ProcessState::Applied, Some(publish(A, 1)), second_run);
    let view = history.view();
    assert_eq!((view.verdict, view.expected, view.applied), (Verdict::Converged, Some(3), 3));
    let view = shown(&mut history, end, true);
    assert_eq!((view.verdict, view.expected, view.applied), (Verdict::Converged, Some(2), 2));
}

#[test]
fn a_killed_process_counts_for_as_long_as_nobody_shows_its_end() {
    let mut history = running();
    history.after(1_000).applied("p1/c1", publish(A, 1));
    let view = history.all_run_for(3_600, &["p1/c1", "p2"], publish(A, 1)).view();
    assert_eq!((view.verdict, view.expected, view.silent, view.lost), (Verdict::Silent, Some(3), 1, 0));
}

#[test]
fn a_pod_whose_process_was_killed_has_its_grace_before_a_deadline_passes() {
    let mut history = running();
    let end = killed(&history);
    assert_eq!(shown(history.after(1_000), end, false).verdict, Verdict::Converged);
    assert_eq!(shown(history.after(10_000), end, true).verdict, Verdict::Converged);
    for _ in 0..4 {
        assert_eq!(history.after(10_000).applied("p2", publish(A, 1)).verdict(), Verdict::Converged);
    }
    assert!(history.after(20_000).applied("p2", publish(A, 1)).is_progressing(), "no process has reported");
}

#[test]
fn a_process_that_was_killed_before_it_applied_a_publish_holds_it_up_until_its_end_is_shown() {
    let mut history = running();
    history.publishes(publish(B, 2)).after(100).applied("p2", publish(B, 2));
    let end = killed(&history);
    assert!(history.is_progressing(), "for all that anybody knows, it runs the old publish");
    let second_run = started(history.after(1_000));
    assert_eq!(shown(&mut history, end, true).verdict, Verdict::Converged);
    history.reports("p1/c1", ProcessState::Starting, None, second_run);
    let view = history.view();
    assert_eq!((view.verdict, view.expected), (Verdict::Converged, Some(2)));
    assert_eq!(view.millis.unwrap().all, None, "the publish did not reach everybody who was there");
}

/// Returns the report of a process that starts now in a container.
fn started_in(history: &History, container: Option<&str>) -> Report {
    Report { container: container.map(str::to_owned), ..started(history) }
}

#[test]
fn a_process_in_a_container_that_is_not_marked_counts_while_that_container_runs() {
    for named in [Some("worker"), None] {
        let mut history = History::new();
        let [web, worker] = [Some("web"), named].map(|container| started_in(&history, container));
        history.after(1_000).pod("p1").pod("p2").change("p1", |pod| {
            pod.containers[0].name = "web".to_owned();
            let worker = Container { name: "worker".to_owned(), running: true, expected: false, ended: None };
            pod.containers.push(worker);
        });
        history.publishes(publish(A, 1)).applied("p2", publish(A, 1));
        history.reports("p1/web", ProcessState::Applied, Some(publish(A, 1)), web);
        history.reports("p1/worker", ProcessState::Applied, Some(publish(A, 1)), worker);
        // `worker` hangs, and `web` crashes again and again.
        history.publishes(publish(B, 2)).applied("p2", publish(B, 2));
        let end = killed(history.after(1_000));
        shown(&mut history, end, false);
        let view = history.all_run_for(900, &["p2"], publish(B, 2)).view();
        assert!(matches!(view.verdict, Verdict::Progressing { .. }), "{named:?}: {view:?}");
        assert_eq!((view.expected, view.silent, view.lost), (Some(2), 1, 0), "{named:?}");
        let recovers = started_in(&history, Some("web"));
        history.change("p1", |pod| pod.containers[0].running = true);
        history.reports("p1/web-again", ProcessState::Applied, Some(publish(B, 2)), recovers);
        assert!(history.is_progressing(), "{named:?}");
        let end = killed(history.after(1_000));
        let view = history.change("p1", |pod| pod.containers[1].ended = Some(end)).view();
        assert_eq!((view.verdict, view.silent), (Verdict::Converged, 0), "{named:?}: both containers have ended");
    }
}

#[test]
fn a_process_of_a_container_that_passes_leaves_with_the_end_of_that_container() {
    let mut history = running();
    let passes = |history: &mut History, ended: Option<ContainerEnd>| {
        let (name, running) = ("migrate".to_owned(), ended.is_none());
        history.change("p1", |pod| pod.passing = vec![Container { name, running, expected: false, ended }]);
    };
    passes(&mut history, None);
    let named = started_in(&history, Some("migrate"));
    history.after(1_000).reports("p1/migrate", ProcessState::Applied, Some(publish(A, 1)), named);
    let hangs = history.all_run_for(60, &["p1/c0", "p2"], publish(A, 1)).view();
    assert_eq!((hangs.verdict, hangs.silent), (Verdict::Silent, 1), "its container runs");
    let end = killed(&history);
    passes(history.after(1_000), Some(end));
    let view = history.view();
    assert_eq!((view.verdict, view.expected, view.silent), (Verdict::Converged, Some(2), 0));
    history.publishes(publish(B, 2)).applied("p1/c0", publish(B, 2)).applied("p2", publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
}

/// A process can start another one in a PID namespace inside its own, and with its own environment.
#[test]
fn a_younger_process_of_the_container_in_another_pid_namespace_is_no_evidence_of_an_end() {
    let mut history = History::new();
    let of_app = |history: &History, namespace, started| {
        let pid = Some(Pid { pid: 1, started, namespace });
        Report { pid, ..started_in(history, Some("app")) }
    };
    let (parent, sandboxed) = (of_app(&history, 1, 700), of_app(&history, 2, 900));
    history.after(1_000).pod("p1").reports("p1/parent", ProcessState::Applied, Some(publish(A, 1)), parent);
    history.publishes(publish(B, 2));
    for _ in 0..90 {
        history.after(10_000).reports("p1/sandboxed", ProcessState::Applied, Some(publish(B, 2)), sandboxed.clone());
    }
    let view = history.view();
    assert!(matches!(view.verdict, Verdict::Progressing { .. }), "{view:?}");
    assert_eq!((view.expected, view.silent), (Some(2), 1), "the parent hangs");
}

/// A pod with a sidecar beside the container in which a process is expected.
fn with_sidecar(history: &mut History, name: &str) {
    let sidecar = Container { name: "mesh".to_owned(), running: true, expected: false, ended: None };
    history.pod(name).change(name, |pod| pod.containers.push(sidecar));
}

fn sidecar_restarts(history: &mut History, name: &str) {
    let end = ContainerEnd { at: history.wall(), seen: history.now, grace_from: Some(history.now) };
    history.change(name, |pod| pod.containers[1].ended = Some(end));
}

#[test]
fn the_restart_of_a_sidecar_gives_a_silent_application_no_new_grace() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).after(1_000);
    with_sidecar(&mut history, "mute");
    assert!(history.all_run_for(120, &["p1"], publish(B, 2)).is_progressing());
    sidecar_restarts(&mut history, "mute");
    assert!(history.is_progressing());
}

#[test]
fn the_restart_of_a_sidecar_does_not_end_the_excuse_of_a_process_that_drained() {
    let mut history = History::new();
    let drained = |history: &History| Report {
        started_at: Some(history.wall()),
        started_ms_ago: Some(5_000),
        drained_ms_ago: Some(0),
        ..Report::default()
    };
    history.pod("p1").publishes(publish(B, 2));
    with_sidecar(&mut history, "p2");
    let report = drained(&history);
    history.reports("p2", ProcessState::Draining, Some(publish(B, 2)), report);
    history.all_run_for(30, &["p1"], publish(B, 2));
    sidecar_restarts(&mut history, "p2");
    assert_eq!(history.all_run_for(120, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
}
