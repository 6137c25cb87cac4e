//! Evidence that one operator process passes on to the next.

use rototo_api::fleet::{Degradation, Preparation, PreparationState, Testimony};

use super::*;

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
fn a_process_that_stays_in_a_stage_that_is_over_follows_nobody_else_for_the_successor_either() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(A, 1));
    let (now, staged) = (history.now, publish(B, 2));
    history.fleet.announcement_observed(Some(staged), now);
    history.fleet.announcement_observed(None, now);
    hand_over(&mut history, publish(A, 1));
    history.says("p1", ProcessState::Applied, staged);
    assert_eq!(history.fleet.unknown_publish(), None);
    history.says("p1", ProcessState::Applied, publish(B, 3));
    assert_eq!(history.fleet.unknown_publish(), Some(publish(B, 3).updated_at));
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

/// A process about which all is known that a report can say.
fn spoken_for() -> History {
    let mut history = History::new();
    history.pod("p1").publishes(publish(A, 1)).applied("p1/witness", publish(A, 1)).after(1_000);
    let refusal = Preparation {
        fingerprint: publish(B, 2).fingerprint.to_string(),
        updated_at: publish(B, 2).updated_at,
        state: PreparationState::Refused,
        reason: Some("check_failed".to_owned()),
    };
    let report = |sequence| Report {
        sequence: Some(sequence),
        container: Some("app".to_owned()),
        started_at: Some(jiff::Timestamp::UNIX_EPOCH),
        started_ms_ago: Some(7_000),
        applied_ms_ago: Some(500),
        pid: Some(Pid { pid: 7, started: 8, namespace: 9 }),
        reason: Some("stale_content".to_owned()),
        prepares: true,
        next: Some(refusal.clone()),
        degraded: Some(Degradation { reason: "errors".to_owned(), ms_ago: 100 }),
        ..Report::default()
    };
    history.reports("p1", ProcessState::Stale, Some(publish(A, 1)), report(4));
    history.after(1_000).reports("p1", ProcessState::Stale, Some(publish(A, 1)), report(5));
    history
}

#[test]
fn all_that_was_reported_is_passed_on() {
    let mut history = spoken_for();
    let now = history.after(2_000).now;
    let evidence = history.fleet.evidence(now).unwrap();
    let one = evidence.processes.iter().find(|one| one.report.process == "p1").unwrap();
    let report = &one.report;
    assert_eq!(report.sequence, Some(5));
    assert_eq!(report.container.as_deref(), Some("app"));
    assert_eq!(report.started_at, Some(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(report.pid, Some(Pid { pid: 7, started: 8, namespace: 9 }));
    assert_eq!((report.state, report.reason.as_deref()), (ProcessState::Stale, Some("stale_content")));
    assert_eq!(report.updated_at, Some(publish(A, 1).updated_at));
    assert!(report.prepares);
    assert_eq!(report.next.as_ref().map(|next| next.state), Some(PreparationState::Refused));
    assert_eq!(report.degraded.as_ref().map(|degraded| degraded.reason.as_str()), Some("errors"));
    assert_eq!(report.applied_ms_ago, Some(0), "it became degraded after it had applied what it runs");
    assert_eq!((one.reported_ms_ago, one.first_reported_ms_ago, one.interval_ms), (2_000, 3_000, 15_000));
    assert_eq!(one.pod.as_ref().map(|pod| pod.name.as_str()), Some("p1"));
}

#[test]
fn the_next_operator_knows_all_that_was_passed_on() {
    let mut history = spoken_for();
    // Its sibling says that it is gone.
    let testimony = Testimony { pid: Pid { pid: 7, started: 8, namespace: 9 }, fate: Testified::Gone };
    let pid = Some(Pid { pid: 1, started: 1, namespace: 9 });
    let witness = Report { pid, siblings: vec![testimony], ..Report::default() };
    history.after(1_000).reports("p1/witness", ProcessState::Applied, Some(publish(A, 1)), witness);
    let now = history.after(2_000).now;
    let evidence = history.fleet.evidence(now).unwrap();
    let gone: Vec<_> = evidence.processes.iter().map(|one| one.testified_gone_ms_ago).collect();
    assert_eq!(gone, [Some(2_000), None]);
    let mut next = Fleet::inherited(&evidence, crate::windows::HEARTBEAT, history.now);
    assert_eq!(next.evidence(history.now), Some(evidence));
}
