//! The watch of the pods and the reports of their processes come in either order, and each can be behind.

use super::*;

/// A history in which `p1` runs the publish, and everybody who was there has applied it.
fn converged() -> History {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).after(40).applied("p1", publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
    history
}

fn counts(history: &mut History) -> (Option<u32>, u32, u32, Verdict) {
    let view = history.view();
    (view.expected, view.processes, view.applied, view.verdict)
}

#[test]
fn a_new_pod_and_its_process_count_once_whichever_is_seen_first() {
    let mut history = converged();
    history.after(1_000).applied("new", publish(B, 2));
    assert_eq!(counts(&mut history), (Some(2), 2, 2, Verdict::Converged), "the watch is behind");
    history.after(5_000).pod("new");
    assert_eq!(counts(&mut history), (Some(2), 2, 2, Verdict::Converged));

    let mut history = converged();
    history.after(1_000).pod("new");
    assert_eq!(counts(&mut history), (Some(2), 1, 1, Verdict::Converged), "the pod has its grace");
    history.after(5_000).applied("new", publish(B, 2));
    assert_eq!(counts(&mut history), (Some(2), 2, 2, Verdict::Converged));
}

#[test]
fn nothing_is_claimed_while_the_watch_of_the_pods_does_not_run() {
    let mut history = converged();
    assert_eq!(history.after(1_000).misses_pods(true).verdict(), Verdict::Unprovable);
    history.says("p1", ProcessState::Stale, publish(A, 1));
    assert!(history.is_progressing(), "what is known to be behind still is");
    history.applied("p1", publish(B, 2));
    assert_eq!(history.misses_pods(false).verdict(), Verdict::Converged);
}

#[test]
fn a_publish_has_no_figure_if_the_watch_of_the_pods_did_not_run_meanwhile() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).misses_pods(true);
    history.after(40).applied("p1", publish(B, 2)).misses_pods(false);
    let view = history.view();
    assert_eq!((view.verdict, view.millis.and_then(|millis| millis.all)), (Verdict::Converged, None));
}

#[test]
fn a_process_that_runs_something_else_holds_the_publish_whichever_is_seen_first() {
    for pod_first in [true, false] {
        let mut history = converged();
        history.after(1_000);
        if pod_first {
            history.pod("new").after(5_000).says("new", ProcessState::Stale, publish(A, 1));
        } else {
            history.says("new", ProcessState::Stale, publish(A, 1)).after(5_000).pod("new");
        }
        assert!(history.is_progressing(), "the pod comes first: {pod_first}");
        assert_eq!(history.view().expected, Some(2), "the pod comes first: {pod_first}");
        assert_eq!(history.applied("new", publish(B, 2)).verdict(), Verdict::Converged);
    }
}

#[test]
fn a_member_that_applies_the_publish_counts_once_in_the_figure_whichever_is_seen_first() {
    // The watch had shown the pod at the publish, and its process reports only afterwards.
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1)).publishes(publish(B, 2));
    assert!(history.after(40).applied("p1", publish(B, 2)).is_progressing());
    history.after(30).reports("p2", ProcessState::Applied, Some(publish(B, 2)), old());
    let millis = history.view().millis.unwrap();
    assert_eq!((millis.first, millis.p50, millis.all), (Some(40), Some(40), Some(70)));
    // The process had reported at the publish, and the watch shows its pod only afterwards.
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
    history.after(40).applied("p1", publish(B, 2)).pod("p2");
    assert_eq!(history.view().expected, Some(2));
    let millis = history.after(30).applied("p2", publish(B, 2)).view().millis.unwrap();
    assert_eq!((millis.first, millis.p50, millis.all), (Some(40), Some(40), Some(70)));
}

#[test]
fn pods_whose_end_the_watch_has_not_shown_hold_the_publish_until_it_does() {
    let mut history = History::new();
    history.pod("old").applied("old", publish(A, 1)).publishes(publish(A, 1));
    // `old` ends, `new` takes its place, and the watch shows neither.
    history.all_run_for(120, &["new"], publish(A, 1)).publishes(publish(B, 2)).applied("new", publish(B, 2));
    let view = history.all_run_for(3_600, &["new"], publish(B, 2)).view();
    assert!(matches!(view.verdict, Verdict::Progressing { .. }), "{view:?}");
    assert_eq!(view.behind, [straggler("old", "silent")]);
    // A pod of which nobody has reported is missing as well.
    let mut mute = History::new();
    mute.pod("old").pod("new").publishes(publish(B, 2)).all_run_for(3_600, &["new"], publish(B, 2));
    assert_eq!(mute.view().behind, [straggler("old", "missing")]);
    for history in [&mut history, &mut mute] {
        assert!(history.is_progressing());
        let view = history.pod_ends("old").view();
        assert_eq!((view.verdict, view.processes), (Verdict::Converged, 1));
    }
}

#[test]
fn a_pod_that_drained_is_not_waited_for_although_the_watch_still_shows_it() {
    let mut history = History::new();
    history.pod("old").applied("old", publish(A, 1)).publishes(publish(A, 1));
    history.all_run_for(10, &["new"], publish(A, 1)).says("old", ProcessState::Draining, publish(A, 1));
    history.publishes(publish(B, 2)).applied("new", publish(B, 2));
    assert_eq!(counts(&mut history), (Some(1), 1, 1, Verdict::Converged));
}

#[test]
fn a_pod_that_vanished_unreported_is_waited_for_only_while_a_process_can_be_in_it() {
    let vanished = |change: fn(&mut Pod)| {
        let mut history = converged();
        let seen = history.now;
        history.pod("mute").change("mute", |pod| {
            change(pod);
            pod.object_state = PodObjectState::Vanished { seen };
        });
        history.verdict()
    };
    assert_eq!(vanished(|_| {}), Verdict::Unprovable);
    assert_eq!(vanished(|pod| pod.selected = false), Verdict::Converged);
    assert_eq!(vanished(|pod| pod.containers[0].running = false), Verdict::Converged);
    assert_eq!(vanished(|pod| pod.containers[0].expected = false), Verdict::Converged);
}

#[test]
fn a_pod_that_vanished_unreported_is_waited_for_exactly_as_long_as_the_window_says() {
    let mut history = converged();
    let seen = history.now;
    history.pod("mute").change("mute", |pod| pod.object_state = PodObjectState::Vanished { seen });
    let until = seen + history.view().windows.forget;
    history.all_run_for(590, &["p1"], publish(B, 2));
    assert_eq!(history.view().next_change.map(|next| next <= until), Some(true));
    history.now = until - Duration::from_millis(1);
    assert_eq!(history.applied("p1", publish(B, 2)).verdict(), Verdict::Unprovable);
    history.now = until;
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn a_pod_that_a_later_list_shows_has_its_grace_from_the_last_time_at_which_all_pods_were_known() {
    for restarted in [false, true] {
        let mut history = converged();
        let known = Some(history.now);
        let seen = history.all_run_for(600, &["p1"], publish(B, 2)).now;
        let ended = restarted.then(|| ContainerEnd { at: history.wall(), seen, grace_from: known });
        history.pod("mute").change("mute", |pod| {
            pod.seen_running = known;
            pod.containers[0].ended = ended;
        });
        assert!(history.is_progressing(), "it restarted: {restarted}");
        assert_eq!(history.applied("mute", publish(B, 2)).verdict(), Verdict::Converged);
    }
}
