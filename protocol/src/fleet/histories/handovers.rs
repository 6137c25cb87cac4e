//! Evidence that one operator process passes on to the next.

use super::*;

/// Ends the leader in order, which passes its evidence on to a process with the same watch of the pods.
fn hand_over(history: &mut History, goal: Publish) {
    let now = history.now;
    let evidence = history.fleet.evidence(now).unwrap();
    history.after(300);
    history.fleet = Fleet::inherited(&evidence, crate::windows::HEARTBEAT, now);
    history.fleet.turned_away(history.now);
    history.fleet.observe(history.pods.clone());
    history.fleet.adopt(goal, history.now);
}

#[test]
fn a_fleet_that_has_converged_stays_so() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1", "p2"], publish(B, 2));
    hand_over(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
    assert_eq!(history.all_run_for(60, &["p1", "p2"], publish(B, 2)).verdict(), Verdict::Converged);
}

#[test]
fn nothing_is_passed_on_while_a_process_without_room_may_exist() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).all_run_for(60, &["p1/0"], publish(B, 2));
    for number in 0..PROCESSES_PER_POD {
        let process = format!("p1/{number}");
        let _ = history.tries_to_report(&process, ProcessState::Applied, Some(publish(B, 2)), Report::default());
    }
    let now = history.now;
    assert!(history.fleet.evidence(now).is_some());
    history.tries_to_report("p1/last", ProcessState::Applied, Some(publish(B, 2)), Report::default()).unwrap_err();
    assert!(history.fleet.evidence(now).is_none());
}

#[test]
fn a_process_that_hangs_or_refuses_does_so_for_the_successor_too() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1", "p2"], publish(B, 2));
    history.all_run_for(60, &["p1"], publish(B, 2));
    hand_over(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Silent);
    history.says("p2", ProcessState::Rejected, publish(B, 2));
    hand_over(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Refused);
}

#[test]
fn an_earlier_report_that_arrives_after_the_handover_is_ignored() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2));
    let numbered = |sequence| Report { sequence: Some(sequence), ..Report::default() };
    history.reports("p1", ProcessState::Rejected, Some(publish(B, 2)), numbered(2));
    hand_over(&mut history, publish(B, 2));
    history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), numbered(1));
    assert_eq!(history.verdict(), Verdict::Refused);
}

#[test]
fn a_process_that_drained_excuses_its_pod_for_the_successor_too() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).all_run_for(60, &["p1", "p2"], publish(B, 2));
    history.says("p2", ProcessState::Draining, publish(B, 2));
    hand_over(&mut history, publish(B, 2));
    assert_eq!(history.verdict(), Verdict::Converged);
}

#[test]
fn a_process_that_was_not_accounted_for_stays_so() {
    let mut history = History::new();
    history.pod("p1").restarts(publish(B, 2), 2).all_run_for(70, &["p1"], publish(B, 2));
    hand_over(&mut history, publish(B, 2));
    let view = history.view();
    assert_eq!((view.verdict, view.unaccounted), (Verdict::Unprovable, 1));
}

#[test]
fn nothing_is_passed_on_during_a_recount() {
    let mut history = History::new();
    history.pod("p1").restarts(publish(B, 2), 1).all_run_for(10, &["p1"], publish(B, 2));
    assert_eq!(history.fleet.evidence(history.now), None);
}
