//! The moment at which each window ends, and that the view names it: an operator that wakes up then sees the change.

use super::*;

/// Checks that the view names this moment as the one at which it may change, and that the verdict changes then and not before.
#[track_caller]
fn changes_at(history: &mut History, at: Moment, before: Verdict, after: Verdict) {
    assert_eq!(history.view().next_change, Some(at));
    history.now = at - Duration::from_millis(1);
    assert_eq!(history.verdict(), before);
    history.now = at;
    let view = history.view();
    assert_eq!(view.verdict, after);
    assert!(view.next_change.is_none_or(|next| next > at), "a change lies ahead");
}

#[test]
fn a_recount_ends_when_its_window_is_over() {
    let mut history = History::new();
    history.restarts(publish(B, 2), 0);
    let end = history.now + history.fleet.windows().recount;
    changes_at(&mut history, end, Verdict::Recounting, Verdict::NoProcesses);
}

#[test]
fn an_operator_waits_for_those_who_were_counted_until_the_forget_window_is_over() {
    let mut history = History::new();
    history.restarts(publish(B, 2), 1);
    let began = history.now;
    history.now += history.fleet.windows().recount;
    assert_eq!(history.verdict(), Verdict::Unprovable);
    let end = began + history.fleet.windows().forget;
    changes_at(&mut history, end, Verdict::Unprovable, Verdict::NoProcesses);
    assert_eq!((history.view().lost, history.view().next_change), (1, None));
}

#[test]
fn a_view_in_which_nothing_can_change_by_time_names_no_moment() {
    let mut history = History::new();
    history.publishes(publish(B, 2));
    assert_eq!(history.view().next_change, None);
}

#[test]
fn a_process_whose_end_nobody_can_see_is_waited_for_until_the_forget_window_is_over() {
    let mut history = History::new();
    history.publishes(publish(B, 2)).applied("-/job", publish(B, 2));
    let reported = history.now;
    let windows = history.fleet.windows();
    changes_at(&mut history, reported + windows.silence, Verdict::Converged, Verdict::Unprovable);
    changes_at(&mut history, reported + windows.forget, Verdict::Unprovable, Verdict::NoProcesses);
}

#[test]
fn a_process_that_starts_has_its_grace_until_it_is_over() {
    let mut history = History::new();
    history.publishes(publish(B, 2)).after(1_000);
    let reports = |history: &mut History, age| {
        let report = Report { started_ms_ago: Some(age), ..Report::default() };
        history.reports("new", ProcessState::Starting, None, report);
    };
    reports(&mut history, 10);
    let grace = history.now + history.fleet.windows().grace;
    history.after(30_000);
    reports(&mut history, 30_010);
    assert_eq!((history.verdict(), history.view().next_change), (Verdict::NoProcesses, Some(grace)));
    history.now = grace - Duration::from_millis(1);
    assert_eq!(history.verdict(), Verdict::NoProcesses);
    history.now = grace;
    assert!(history.is_progressing());
}

#[test]
fn a_process_that_reports_late_has_its_grace_from_the_time_at_which_it_opened_the_workspace() {
    let mut history = History::new();
    history.publishes(publish(B, 2)).after(100_000);
    let grace = u64::try_from(history.fleet.windows().grace.as_millis()).unwrap();
    let pending = |history: &mut History, opened| {
        let report = Report { opened_ms_ago: Some(opened), ..Report::default() };
        history.reports("late", ProcessState::Pending, None, report);
    };
    pending(&mut history, grace - 1);
    assert_eq!(history.verdict(), Verdict::NoProcesses);
    assert!(history.after(1).is_progressing());
}

#[test]
fn a_process_that_starts_in_a_way_that_nobody_knows_has_no_grace() {
    let mut history = History::new();
    let young = Report { started_ms_ago: Some(10), ..Report::default() };
    history.publishes(publish(B, 2)).after(1_000).reports("new", ProcessState::Unknown, None, young);
    assert!(history.is_progressing());
}

#[test]
fn a_pod_that_starts_has_its_grace_until_it_is_over() {
    let mut history = History::new();
    history.publishes(publish(B, 2)).after(1_000).pod("new");
    let grace = history.now + history.fleet.windows().grace;
    assert_eq!((history.verdict(), history.view().next_change), (Verdict::NoProcesses, Some(grace)));
    history.now = grace - Duration::from_millis(1);
    assert_eq!(history.verdict(), Verdict::NoProcesses);
    history.now = grace;
    assert!(history.is_progressing());
    assert_eq!(history.view().next_change, None);
}

#[test]
fn a_process_without_room_is_remembered_for_the_silence_window() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2));
    for number in 0..PROCESSES_PER_POD {
        history.applied(&format!("p1/{number}"), publish(B, 2));
    }
    let full = history.tries_to_report("p1/last", ProcessState::Applied, Some(publish(B, 2)), Report::default());
    assert_eq!(full.unwrap_err(), NoRoom::Pod);
    let end = history.now + history.fleet.windows().silence;
    history.now = end - Duration::from_millis(1);
    for number in 0..PROCESSES_PER_POD {
        history.applied(&format!("p1/{number}"), publish(B, 2));
    }
    assert_eq!((history.verdict(), history.view().no_room), (Verdict::Unprovable, Some(NoRoom::Pod)));
    history.now = end;
    assert_eq!((history.verdict(), history.view().no_room), (Verdict::Converged, None));
}
