//! The memory of processes that left, and of names that are dealt with.

use super::*;

fn remembered(history: &mut History) -> usize {
    history.view();
    history.fleet.processes.len()
}

#[test]
fn a_process_that_left_is_remembered_for_the_length_of_a_recount() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).applied("p1", publish(B, 2)).applied("p2", publish(B, 2));
    let recount = history.view().windows.recount;
    let left = history.now;
    history.pod_ends("p2").all_run_for(50, &["p1"], publish(B, 2));
    history.now = left + recount - Duration::from_millis(1);
    assert_eq!(remembered(&mut history), 2);
    history.now = left + recount;
    assert_eq!(remembered(&mut history), 1);
}

#[test]
fn a_process_that_left_is_forgotten_although_the_next_one_runs_in_its_pod() {
    let mut history = History::new();
    let first_run = Report { started_at: Some(history.wall()), ..Report::default() };
    history.after(1_000).pod("p1").publishes(publish(B, 2));
    history.reports("p1/c0", ProcessState::Applied, Some(publish(B, 2)), first_run);
    history.after(5_000).container_restarts("p1").all_run_for(120, &["p1/c1"], publish(B, 2));
    assert_eq!(remembered(&mut history), 1);
}

#[test]
fn a_process_that_drained_is_remembered_while_its_pod_runs() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(B, 2)).applied("p2", publish(B, 2));
    history.says("p2", ProcessState::Draining, publish(B, 2)).all_run_for(3_600, &["p1"], publish(B, 2));
    assert_eq!(remembered(&mut history), 2);
    history.pod_ends("p2");
    assert_eq!(remembered(&mut history), 1);
}

/// Returns the number of processes that have not reported again, after an operator found a count of one process from 60 s
/// ago and received this report one second later.
fn unaccounted_after(state: ProcessState, report: Report) -> u32 {
    let mut history = History::new();
    let start = FleetStart::Known { processes: 1, counted_ago: Duration::from_secs(60) };
    history.fleet = Fleet::new(start, crate::windows::HEARTBEAT, history.now);
    let now = history.now;
    history.fleet.adopt(publish(B, 2), now);
    history.after(1_000).pod("p1").reports("p1", state, Some(publish(B, 2)), report);
    history.view().unaccounted
}

#[test]
fn a_process_that_started_after_the_count_of_an_earlier_operator_stands_in_for_nobody() {
    let after =
        |age| unaccounted_after(ProcessState::Applied, Report { started_ms_ago: Some(age), ..Report::default() });
    assert_eq!((after(60_999), after(61_000)), (1, 0));
}

#[test]
fn a_process_that_opened_the_workspace_after_the_count_stands_in_for_nobody_however_old_it_is() {
    let after = |opened| {
        let report = Report { started_ms_ago: Some(3_600_000), opened_ms_ago: Some(opened), ..Report::default() };
        unaccounted_after(ProcessState::Applied, report)
    };
    assert_eq!((after(60_999), after(61_000)), (1, 0));
}

#[test]
fn a_process_that_had_drained_before_the_count_stands_in_for_nobody() {
    let after = |drained| {
        let report = Report { started_ms_ago: Some(3_600_000), drained_ms_ago: Some(drained), ..Report::default() };
        unaccounted_after(ProcessState::Draining, report)
    };
    // The report may have been under way for ten seconds.
    assert_eq!((after(51_000), after(50_999)), (1, 0));
}

#[test]
fn a_name_that_only_processes_know_stays_unknown_until_a_publish_has_it_or_a_later_one() {
    let unknown_after = |second| {
        let mut history = History::new();
        history.pod("p1").publishes(publish(A, 1)).applied("p1", publish(B, 5));
        assert_eq!(history.fleet.unknown_publish(), Some(publish(B, 5).updated_at));
        history.publishes(publish(A, second)).fleet.unknown_publish().is_some()
    };
    assert_eq!([4, 5, 6].map(unknown_after), [true, false, false]);
}

#[test]
fn a_report_is_news_if_it_says_something_else_or_ends_a_silence() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2));
    let mut news =
        |millis, state| history.after(millis).reports("p1", state, Some(publish(B, 2)), Report::default()).news;
    assert!(news(0, ProcessState::Pending));
    assert!(news(10, ProcessState::Applied));
    assert!(!news(15_000, ProcessState::Applied));
    assert!(!news(44_999, ProcessState::Applied));
    assert!(news(45_000, ProcessState::Applied));
}

#[test]
fn the_next_report_is_due_within_the_last_fifth_of_the_heartbeat() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2));
    let mut due = |jitter| {
        let report = Report { process: "p1".to_owned(), ..Report::default() };
        history.fleet.report(&report, None, history.now, jitter).unwrap().next.as_millis()
    };
    assert_eq!([0.0, 0.5, 1.0].map(&mut due), [12_000, 13_500, 15_000]);
}

#[test]
fn a_name_that_nobody_reports_any_more_is_no_longer_unknown() {
    let mut history = History::new();
    history.pod("p1").pod("p2").publishes(publish(A, 1)).applied("p1", publish(B, 5)).applied("p2", publish(B, 5));
    assert!(history.applied("p1", publish(A, 1)).fleet.unknown_publish().is_some(), "another one still runs it");
    assert_eq!(history.applied("p2", publish(A, 1)).fleet.unknown_publish(), None);
}
