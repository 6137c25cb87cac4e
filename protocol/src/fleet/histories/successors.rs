//! Leaders whose watch of the pods began after those of the leaders before them: what they did not see, they inherit.

use std::sync::Arc;

use super::*;

/// Ends the leader in order, which passes its evidence on to a process that begins to watch the pods now.
fn succeeded(history: &mut History, goal: Publish) {
    for pod in history.pods.by_uid.values_mut() {
        Arc::make_mut(pod).seen_running = None;
    }
    history.pods.by_uid.retain(|_, pod| pod.exists());
    hand_over(history, goal);
}

#[test]
fn an_end_that_a_leader_saw_is_one_for_its_successors() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1", "p2"], publish(B, 2));
    history.pod_ends("p2").after(1_000);
    for _ in 0..2 {
        succeeded(&mut history, publish(B, 2));
        let view = history.all_run_for(20, &["p1"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.processes), (Verdict::Converged, 1));
    }
    // A report that comes later outweighs the end while the process is not silent, as with an end that a watch shows.
    assert_eq!(history.applied("p2", publish(B, 2)).view().processes, 2);
    assert_eq!(history.all_run_for(50, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
}

#[test]
fn an_end_that_the_object_of_the_pod_contradicts_is_none() {
    let mut history = History::new();
    let started = Report { started_at: Some(history.wall()), ..Report::default() };
    history.after(1_000).pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1"], publish(B, 2));
    history.reports("p2", ProcessState::Applied, Some(publish(B, 2)), started);
    // The kubelet gives the end of the last run in whole seconds, and this run begins in that second.
    history.container_restarts("p2");
    succeeded(&mut history, publish(B, 2));
    history.change("p2", |pod| pod.containers[0].ended = None);
    assert_eq!(history.all_run_for(60, &["p1"], publish(B, 2)).verdict(), Verdict::Silent);
    succeeded(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Silent);
}

#[test]
fn a_pod_that_vanished_before_it_reported_is_waited_for() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).all_run_for(60, &["p1"], publish(B, 2)).pod("mute");
    let seen = history.now;
    history.change("mute", |pod| pod.object_state = PodObjectState::Vanished { seen });
    assert_eq!(history.verdict(), Verdict::Unprovable);
    for _ in 0..2 {
        succeeded(&mut history, publish(B, 2));
        assert_eq!(history.all_run_for(50, &["p1"], publish(B, 2)).verdict(), Verdict::Unprovable);
    }
    assert_eq!(history.all_run_for(500, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
}

#[test]
fn a_missing_pod_of_which_the_successor_never_sees_an_object_has_vanished() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).all_run_for(60, &["p1"], publish(B, 2)).pod("mute");
    let now = history.now;
    let evidence = history.fleet.evidence(now).unwrap();
    history.pods.by_uid.remove("mute");
    history.fleet = Fleet::inherited(&evidence, crate::windows::HEARTBEAT, now);
    history.fleet.observe(history.pods.clone());
    assert_eq!(history.all_run_for(30, &["p1"], publish(B, 2)).verdict(), Verdict::Unprovable);
    // Its object comes with the next event of the watch, and shows that it ended.
    history.pod("mute").pod_ends("mute");
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn the_grace_of_a_new_pod_goes_on() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).all_run_for(600, &["p1"], publish(B, 2)).pod("new");
    for _ in 0..2 {
        succeeded(&mut history, publish(B, 2));
        assert_eq!(history.all_run_for(20, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
    }
    assert!(history.all_run_for(20, &["p1"], publish(B, 2)).is_progressing(), "it began with the pod");
}

#[test]
fn a_pod_of_the_cohort_has_no_grace_for_the_successor_either() {
    let mut history = History::new();
    history.pod("p1").pod("mute").publishes(publish(B, 2)).all_run_for(10, &["p1"], publish(B, 2));
    assert!(history.is_progressing());
    succeeded(&mut history, publish(B, 2));
    assert!(history.is_progressing());
    assert!(history.change("mute", |pod| pod.seen_running = Some(Duration::from_secs(1000))).is_progressing());
}

#[test]
fn a_process_that_has_just_started_has_its_grace() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(600, &["p1", "p2"], publish(B, 2));
    let young = Report { opened_ms_ago: Some(0), ..Report::default() };
    history.reports("p2/young", ProcessState::Starting, None, young);
    assert_eq!(history.verdict(), Verdict::Converged);
    succeeded(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn a_process_that_is_behind_is_so_since_the_same_time() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1", "p2"], publish(B, 2));
    history.says("p2", ProcessState::Pending, publish(A, 1)).after(20_000);
    let before = history.verdict();
    assert!(matches!(before, Verdict::Progressing { .. }));
    succeeded(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), before);
}

#[test]
fn processes_that_are_no_longer_waited_for_stay_in_the_count_of_lost_ones() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).applied("-/p2", publish(B, 2));
    assert_eq!(history.all_run_for(700, &["p1"], publish(B, 2)).view().lost, 1);
    succeeded(&mut history, publish(B, 2));
    assert_eq!(history.view().lost, 1);
    history.publishes(publish(A, 3));
    assert_eq!(history.view().lost, 0);
}

#[test]
fn a_process_of_an_earlier_count_does_not_stand_in_for_another_one_after_a_handover() {
    let mut history = History::new();
    let opened = || Report { opened_ms_ago: Some(3_600_000), ..Report::default() };
    history.pod("p1").restarts(publish(B, 2), 3);
    history.reports("-/drained", ProcessState::Draining, Some(publish(B, 2)), opened());
    history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), opened());
    for _ in 0..2 {
        assert_eq!(history.all_run_for(200, &["p1"], publish(B, 2)).view().unaccounted, 1);
        succeeded(&mut history, publish(B, 2));
    }
    history.reports("-/drained", ProcessState::Draining, Some(publish(B, 2)), opened());
    let view = history.view();
    assert_eq!((view.verdict, view.unaccounted), (Verdict::Unprovable, 1));
}
