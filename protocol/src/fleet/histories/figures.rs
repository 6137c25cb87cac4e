//! The figure of a publish: who is a member, and which time counts.

use super::*;

#[test]
fn the_figure_of_each_step_is_counted_from_the_detection() {
    let mut history = History::new();
    let at = |millis| history.now + Duration::from_millis(millis);
    let times = PublishTimes { detected: at(0), fetched: at(300), linted: at(340), published: at(400) };
    history.pod("p1").applied("p1", publish(A, 1)).after(410);
    let (known, now) = (history.fleet.known(history.now), history.now);
    history.fleet.published(publish(B, 2), times, known, now);
    let steps =
        |view: FleetView| view.millis.map(|millis| (millis.fetched, millis.linted, millis.published, millis.all));
    assert_eq!(steps(history.view()), Some((300, 340, 400, None)));
    assert_eq!(steps(history.after(50).applied("p1", publish(B, 2)).view()), Some((300, 340, 400, Some(460))));
}

#[test]
fn a_complete_figure_stays_whoever_leaves_afterwards() {
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
    history.after(60).applied("p1", publish(B, 2)).after(840).applied("p2", publish(B, 2));
    assert_eq!(history.view().millis.unwrap().all, Some(900));
    assert_eq!(history.pod_ends("p2").view().millis.unwrap().all, Some(900));
    assert_eq!(history.pod_ends("p1").view().millis.unwrap().all, Some(900));
}

#[test]
fn a_figure_does_not_grow_with_a_container_that_restarts_later() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).after(60).applied("p1/c0", publish(B, 2));
    assert_eq!(history.view().millis.unwrap().all, Some(60));
    history.after(3_600_000).container_restarts("p1").after(500);
    let young = Report { started_ms_ago: Some(400), ..Report::default() };
    let taken = history.reports("p1/c1", ProcessState::Applied, Some(publish(B, 2)), young);
    assert_eq!((taken.applied_first, history.view().millis.unwrap().all), (None, Some(60)));
}

#[test]
fn a_process_that_had_drained_before_a_publish_takes_no_figure_away() {
    let figure = |drained| {
        let mut history = History::new();
        history.pod("p1").restarts(publish(A, 1), 1).after(1_000).publishes(publish(B, 2)).after(500);
        let report = Report { opened_ms_ago: Some(86_400_000), drained_ms_ago: Some(drained), ..Report::default() };
        history.reports("p1/drained", ProcessState::Draining, None, report);
        history.applied("p1", publish(B, 2)).all_run_for(60, &["p1"], publish(B, 2)).view().millis.unwrap().all
    };
    assert_eq!((figure(501), figure(499)), (Some(500), None));
}

#[test]
fn a_process_that_starts_later_does_not_count_as_slow() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
    history.after(86_400_000).pod("late");
    let taken = history.reports("late", ProcessState::Applied, Some(publish(B, 2)), Report::default());
    assert_eq!(taken.applied_first, None);
}

#[test]
fn a_process_that_was_known_when_the_patch_was_sent_belongs_to_the_cohort() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).applied("p1/b", publish(A, 1));
    let (now, known) = (history.now, history.fleet.known(history.now));
    history.says("p1/b", ProcessState::Draining, publish(A, 1));
    let times = PublishTimes { detected: now, fetched: now, linted: now, published: now };
    history.fleet.published(publish(B, 2), times, known, now);
    let view = history.applied("p1", publish(B, 2)).view();
    assert_eq!(
        (view.verdict, view.millis.unwrap().all),
        (Verdict::Converged, None),
        "one left before it had applied the publish"
    );
}

#[test]
fn a_member_that_was_forgotten_before_the_answer_of_the_patch_leaves_no_figure() {
    let mut history = History::new();
    history.pod("p1").applied("p1", publish(A, 1)).applied("-/job", publish(A, 1)).publishes(publish(A, 1));
    let (began, known) = (history.now, history.fleet.known(history.now));
    history.all_run_for(86_400, &["p1"], publish(A, 1)).view();
    let now = history.now;
    let times = PublishTimes { detected: began, fetched: began, linted: began, published: now };
    history.fleet.published(publish(B, 2), times, known, now);
    let view = history.applied("p1", publish(B, 2)).view();
    assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, None));
}

/// Two processes and a publish that only the first has applied.
fn one_of_two() -> History {
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
    history.after(50).applied("p1", publish(B, 2));
    history
}

#[test]
fn a_member_that_left_and_comes_back_leaves_no_figure() {
    let mut history = one_of_two();
    history.says("p2", ProcessState::Draining, publish(A, 1)).view();
    let view = history.after(50).applied("p2", publish(B, 2)).view();
    assert_eq!((view.verdict, view.applied, view.millis.unwrap().all), (Verdict::Converged, 2, None));
}

#[test]
fn a_pod_that_reports_after_the_publish_is_waited_for_unless_it_stopped_in_between() {
    let member = || {
        let mut history = History::new();
        history.pod("p1").pod("late").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        assert!(history.after(50).applied("p1", publish(B, 2)).is_progressing());
        history
    };
    let all = |history: &mut History| {
        history.after(50).reports("late", ProcessState::Applied, Some(publish(B, 2)), old());
        history.view().millis.unwrap().all
    };
    assert_eq!(all(&mut member()), Some(100));
    let mut history = member();
    history.change("late", |pod| pod.containers[0].running = false).view();
    history.change("late", |pod| pod.containers[0].running = true);
    assert_eq!(all(&mut history), None);
}

#[test]
fn the_percentiles_are_times_of_processes_by_nearest_rank() {
    let mut history = History::new();
    let processes: Vec<String> = (1..=200).map(|number| format!("p{number}")).collect();
    for process in &processes {
        history.pod(process).applied(process, publish(A, 1));
    }
    history.publishes(publish(B, 2));
    for process in &processes {
        history.after(1).applied(process, publish(B, 2));
    }
    let millis = history.view().millis.unwrap();
    assert_eq!((millis.first, millis.p50, millis.p99, millis.all), (Some(1), Some(100), Some(198), Some(200)));
}

#[test]
fn a_marker_that_is_found_again_keeps_the_figure_and_another_one_has_none() {
    let mut history = one_of_two();
    history.after(50).applied("p2", publish(B, 2));
    let now = history.now;
    history.fleet.adopt(publish(B, 2), now);
    let view = history.view();
    assert_eq!((view.verdict, view.millis.and_then(|millis| millis.all)), (Verdict::Converged, Some(100)));
    history.fleet.adopt(publish(A, 3), now);
    let view = history.view();
    assert_eq!((view.verdict, view.millis), (Verdict::Progressing { since: now }, None));
    history.fleet.unpublished();
    assert_eq!(history.verdict(), Verdict::NothingPublished);
}

#[test]
fn a_process_was_there_if_it_is_older_than_the_publish() {
    let mut history = History::new();
    history.pod("p1").publishes(publish(B, 2)).after(1_000);
    let mut first = |process: &str, age| {
        let report = Report { started_ms_ago: Some(age), ..Report::default() };
        history.reports(process, ProcessState::Applied, Some(publish(B, 2)), report).applied_first.is_some()
    };
    assert!(!first("p1/a", 1_000));
    assert!(first("p1/b", 1_001));
}

#[test]
fn a_process_that_reported_before_the_publish_has_no_grace() {
    let mut history = History::new();
    history.pod("p1").pod("p2").applied("p1", publish(A, 1));
    history.reports("p2", ProcessState::Starting, None, Report::default());
    assert!(history.publishes(publish(B, 2)).applied("p1", publish(B, 2)).is_progressing());
}
