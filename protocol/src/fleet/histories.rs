//! Histories in which a simpler count would make a false claim, or would never end. `docs/convergence.md` states the
//! rule behind each.

use super::tests::{A, B, History, publish, straggler};
use super::*;

mod edges_of_windows;
mod figures;
mod forgotten_processes;
mod handovers;
mod killed_processes;
mod lagging_watches;
mod sizes_and_orders;
mod successors;

/// Returns the report of a process that is older than the last publish.
fn old() -> Report {
    Report { started_ms_ago: Some(3_600_000), ..Report::default() }
}

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

mod empty_fleets {
    use super::*;

    #[test]
    fn an_empty_fleet_has_not_converged_and_late_refusals_count() {
        let mut history = History::new();
        history.publishes(publish(B, 2));
        assert_eq!(history.verdict(), Verdict::NoProcesses);
        history.after(5_000).pod("p1").says("p1", ProcessState::Rejected, publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Refused);
    }

    #[test]
    fn a_fleet_that_was_scaled_to_nothing_has_not_converged() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).pod_ends("p1");
        assert_eq!(history.verdict(), Verdict::NoProcesses);
    }

    #[test]
    fn pods_that_are_no_longer_selected_do_not_make_a_publish_converge() {
        let mut history = History::new();
        history
            .pod("p1")
            .pod("mute")
            .applied("p1", publish(A, 1))
            .publishes(publish(B, 2))
            .applied("p1", publish(B, 2));
        assert!(history.change("mute", |pod| pod.selected = false).is_progressing());
    }

    #[test]
    fn pods_without_reports_do_not_count_once_they_are_no_longer_selected() {
        let mut history = History::new();
        history.publishes(publish(B, 2)).after(1_000).pod("mute").after(120_000);
        assert!(history.is_progressing());
        assert_eq!(history.change("mute", |pod| pod.selected = false).verdict(), Verdict::NoProcesses);
    }
}

mod restarts_and_lapses {
    use super::*;

    #[test]
    fn a_publish_right_after_a_restart_has_not_converged_before_everybody_could_report() {
        let mut history = History::new();
        history.restarts(publish(A, 1), 37).after(1_500).publishes(publish(B, 2)).after(2_000);
        history.applied("p1", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Recounting);
        // This process was there, and reports only now.
        history.after(10_000).reports("p2", ProcessState::Pending, Some(publish(A, 1)), old());
        assert!(history.is_progressing());
    }

    #[test]
    fn the_first_process_of_a_pod_to_report_does_not_speak_for_the_others() {
        let mut history = History::new();
        history.pod("p1").restarts(publish(A, 1), 2).publishes(publish(B, 2)).after(50);
        assert_eq!(history.applied("p1/a", publish(B, 2)).verdict(), Verdict::Recounting);
        history.after(5_000).says("p1/b", ProcessState::Rejected, publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Refused);
    }

    #[test]
    fn a_restart_does_not_turn_a_false_condition_into_a_true_one() {
        let mut history = History::new();
        history.pod("p1").restarts(publish(B, 2), 2).applied("p1/a", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Recounting);
        history.after(5_000).says("p1/b", ProcessState::Pending, publish(A, 1));
        assert!(history.is_progressing());
    }

    #[test]
    fn a_recount_ends_after_its_window_and_names_the_missing_pods() {
        let mut history = History::new();
        history.pod("p1").pod("p2").restarts(publish(A, 1), 2).all_run_for(50, &["p1"], publish(A, 1));
        assert_eq!(history.verdict(), Verdict::Recounting);
        let view = history.all_run_for(10, &["p1"], publish(A, 1)).view();
        assert!(matches!(view.verdict, Verdict::Progressing { .. }));
        assert_eq!((view.behind, view.millis), (vec![straggler("p2", "missing")], None));
        assert_eq!(history.applied("p2", publish(A, 1)).verdict(), Verdict::Converged);
    }

    #[test]
    fn a_recount_of_a_large_fleet_is_as_long_as_its_heartbeat_requires() {
        let mut history = History::new();
        history.restarts(publish(B, 2), 10_000).all_run_for(60, &["p1"], publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Recounting);
        assert_eq!(history.all_run_for(140, &["p1"], publish(B, 2)).verdict(), Verdict::Unprovable);
    }

    #[test]
    fn a_lapse_of_the_lease_causes_a_recount_and_leaves_no_figure() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).after(20_000);
        let now = history.now;
        history.fleet.listening_interrupted(now);
        let view = history.applied("p1", publish(B, 2)).view();
        assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Recounting, None));
        assert_eq!(history.all_run_for(60, &["p1"], publish(B, 2)).view().millis.unwrap().all, None);
    }

    #[test]
    fn the_figure_of_a_publish_during_a_recount_covers_all_who_were_there() {
        let mut history = History::new();
        history.pod("p1").restarts(publish(A, 1), 1).after(5_000).publishes(publish(B, 2)).after(80);
        history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), old());
        history.after(9_920);
        // It reports late, with the time at which it had applied it.
        let late = Report { applied_ms_ago: Some(9_900), ..old() };
        history.reports("-/p2", ProcessState::Applied, Some(publish(B, 2)), late);
        let view = history.all_run_for(50, &["p1", "-/p2"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, Some(100)));
    }
}

mod unaccounted {
    use super::*;

    #[test]
    fn a_process_that_hung_before_a_restart_is_missing_from_the_count() {
        let mut history = History::new();
        history.pod("p1").restarts(publish(B, 2), 2).all_run_for(70, &["p1/a"], publish(B, 2));
        let view = history.view();
        assert_eq!((view.verdict, view.unaccounted), (Verdict::Unprovable, 1));
        // A process that started since does not stand in for it.
        let young = Report { started_ms_ago: Some(100), ..Report::default() };
        history.reports("p1/c", ProcessState::Applied, Some(publish(B, 2)), young);
        assert_eq!(history.verdict(), Verdict::Unprovable);
        let view = history.all_run_for(540, &["p1/a", "p1/c"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.unaccounted, view.lost), (Verdict::Converged, 0, 1));
    }

    #[test]
    fn a_process_that_was_forgotten_and_reports_again_is_accounted_for_once() {
        let mut history = History::new();
        history.pod("p1").pod("p2").restarts(publish(B, 2), 3).all_run_for(70, &["p1", "p2"], publish(B, 2));
        assert_eq!(history.view().unaccounted, 1);
        // The pod's object goes first, and its process reports once more than the operator expects.
        history.pod_ends("p2").all_run_for(120, &["p1"], publish(B, 2));
        assert_eq!(history.view().processes, 1);
        history.reports("p2", ProcessState::Applied, Some(publish(B, 2)), old());
        assert_eq!((history.view().unaccounted, history.verdict()), (1, Verdict::Unprovable));
    }

    #[test]
    fn a_recount_in_which_all_report_converges_when_its_window_ends() {
        let mut history = History::new();
        history.pod("p1").restarts(publish(B, 2), 2).all_run_for(60, &["p1/a", "p1/b"], publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Converged);
    }
}

mod after_the_verdict {
    use super::*;

    fn converged() -> History {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2)).after(60).applied("p1", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Converged);
        history.after(1_000);
        history
    }

    #[test]
    fn a_publish_stays_refused_when_all_processes_that_refuse_it_restart() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        history.says("p1", ProcessState::Rejected, publish(B, 2)).after(5_000);
        history.pod("q1").says("q1", ProcessState::Rejected, publish(B, 2)).pod_ends("p1");
        let view = history.view();
        assert_eq!((view.verdict, view.applied, view.expected), (Verdict::Refused, 0, Some(1)));
    }

    #[test]
    fn a_process_that_starts_from_an_old_copy_ends_convergence() {
        assert!(converged().pod("p2").says("p2", ProcessState::Stale, publish(A, 1)).is_progressing());
    }

    #[test]
    fn a_later_refusal_ends_convergence() {
        assert_eq!(converged().pod("p2").says("p2", ProcessState::Rejected, publish(B, 2)).verdict(), Verdict::Refused);
    }

    #[test]
    fn a_silent_process_makes_the_verdict_silent_until_it_reports() {
        let mut history = converged();
        let view = history.after(60_000).view();
        assert_eq!((view.verdict, view.silent, view.millis.unwrap().all), (Verdict::Silent, 1, Some(60)));
        assert_eq!(history.applied("p1", publish(B, 2)).verdict(), Verdict::Converged);
    }

    #[test]
    fn a_fleet_whose_only_container_crashes_has_no_processes() {
        let mut history = converged();
        let started_at = Some(history.wall());
        history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), Report { started_at, ..Report::default() });
        history.after(1_000).container_restarts("p1").change("p1", |pod| pod.containers[0].running = false);
        assert_eq!(history.verdict(), Verdict::NoProcesses);
    }

    #[test]
    fn a_process_that_follows_an_edited_marker_ends_convergence() {
        assert!(converged().applied("p1", publish(A, 9)).is_progressing());
    }
}

mod members {
    use super::*;

    #[test]
    fn a_hung_process_keeps_the_publish_from_converging_however_long_its_siblings_report() {
        let mut history = History::new();
        history
            .pod("p1")
            .applied("p1/a", publish(A, 1))
            .after(5)
            .applied("p1/b", publish(A, 1))
            .publishes(publish(B, 2));
        history.applied("p1/b", publish(B, 2)).after(17_000).applied("p1/b", publish(B, 2));
        assert!(history.is_progressing());
        assert!(history.all_run_for(660, &["p1/b"], publish(B, 2)).is_progressing(), "eleven minutes");
        assert_eq!(history.view().millis.unwrap().all, None);
    }

    #[test]
    fn a_process_whose_heartbeat_is_late_at_the_publish_is_a_member() {
        let mut history = History::new();
        history.pod("p1").applied("p1/a", publish(A, 1)).after(5).applied("p1/b", publish(A, 1)).after(17_100);
        history.publishes(publish(B, 2)).applied("p1/b", publish(B, 2));
        assert!(history.is_progressing());
        assert!(history.says("p1/a", ProcessState::Pending, publish(A, 1)).is_progressing());
    }

    #[test]
    fn a_process_that_is_silent_at_the_publish_is_a_member() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
        history.all_run_for(50, &["p2"], publish(A, 1)).publishes(publish(B, 2)).after(50).applied("p2", publish(B, 2));
        assert!(history.is_progressing());
    }

    #[test]
    fn a_process_that_is_silent_at_the_publish_is_a_member_although_its_pod_is_not_expected() {
        let mut history = History::new();
        history.pod("p1").pod("p2").change("p2", |pod| pod.selected = false);
        history.applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).all_run_for(50, &["p1"], publish(A, 1));
        history.publishes(publish(B, 2)).after(50).applied("p1", publish(B, 2));
        assert!(history.is_progressing());
        // Nobody can see the end of a process that is bound to no pod.
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).applied("-/job", publish(A, 1));
        history.all_run_for(50, &["p1"], publish(A, 1)).publishes(publish(B, 2)).after(50).applied("p1", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Unprovable);
        let view = history.all_run_for(600, &["p1"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, None));
    }

    #[test]
    fn a_pod_counts_while_it_terminates_and_while_only_some_of_its_containers_run() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
        history.change("p1", |pod| pod.terminating = true).publishes(publish(B, 2)).applied("p2", publish(B, 2));
        assert!(history.is_progressing());
        assert_eq!(history.view().expected, Some(2));
    }

    #[test]
    fn a_pod_that_terminates_counts_alike_at_each_report() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1));
        history.change("p1", |pod| pod.terminating = true).publishes(publish(B, 2)).applied("p2", publish(B, 2));
        for _ in 0..10 {
            for (process, runs) in [("p1", publish(A, 1)), ("p2", publish(B, 2))] {
                let view = history.after(5_000).applied(process, runs).view();
                let progressing = matches!(view.verdict, Verdict::Progressing { .. });
                assert_eq!((view.expected, view.applied, progressing), (Some(2), 1, true), "{view:?}");
            }
        }
    }

    #[test]
    fn a_process_counts_before_the_watch_has_shown_its_pod() {
        let mut history = History::new();
        history.applied("new", publish(A, 1)).after(11_000).applied("new", publish(A, 1)).publishes(publish(B, 2));
        assert!(history.is_progressing());
        assert!(history.after(2_000).says("new", ProcessState::Pending, publish(A, 1)).is_progressing());
    }

    #[test]
    fn the_successor_of_a_crashed_process_counts_separately() {
        let mut history = History::new();
        let first_run = Report { started_at: Some(history.wall()), ..Report::default() };
        history.after(1_000).pod("p1").pod("p2").applied("p2", publish(A, 1));
        history.reports("p1/c0", ProcessState::Applied, Some(publish(A, 1)), first_run);
        history.publishes(publish(B, 2));
        history.applied("p2", publish(B, 2)).after(2_000).container_restarts("p1").after(1_000);
        history.says("p1/c1", ProcessState::Rejected, publish(B, 2));
        let view = history.all_run_for(20, &["p2"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.expected), (Verdict::Refused, Some(2)));
    }

    #[test]
    fn the_end_of_a_container_does_not_prove_the_end_of_an_older_client_s_process() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p2", publish(A, 1)).publishes(publish(B, 2)).applied("p2", publish(B, 2));
        // The watch of the pods is behind: the process is of the run after the one whose end is seen now.
        history.says("p1/c1", ProcessState::Rejected, publish(B, 2)).after(500).container_restarts("p1");
        assert_eq!(history.verdict(), Verdict::Refused);
        history.says("p1/c1", ProcessState::Applied, publish(B, 2)).after(500).container_restarts("p1");
        assert_eq!(history.all_run_for(50, &["p1/c2", "p2"], publish(B, 2)).verdict(), Verdict::Unprovable);
        let view = history.all_run_for(560, &["p1/c2", "p2"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.lost), (Verdict::Converged, 1));
    }

    #[test]
    fn a_process_that_has_ended_does_not_speak_for_its_pod() {
        let mut history = History::new();
        history.pod("p1").publishes(publish(B, 2)).after(100).applied("p1/c0", publish(B, 2)).after(2_000);
        history.container_restarts("p1").after(100).says("p1/c1", ProcessState::Stale, publish(A, 1));
        assert!(history.is_progressing());
    }

    #[test]
    fn a_tool_that_opened_the_workspace_once_does_not_make_others_leave() {
        let mut history = History::new();
        history.pod("p1").applied("p1/app", publish(A, 1)).after(5).applied("p1/tool", publish(A, 1));
        history.says("p1/tool", ProcessState::Draining, publish(A, 1)).all_run_for(700, &["p1/app"], publish(A, 1));
        history.after(17_100).publishes(publish(B, 2));
        assert!(history.is_progressing());
    }

    #[test]
    fn a_report_that_was_overtaken_changes_nothing() {
        let mut history = History::new();
        let numbered = |sequence| Report { sequence: Some(sequence), ..Report::default() };
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        history.reports("p1", ProcessState::Pending, Some(publish(A, 1)), numbered(8));
        // A handle was closed and opened again; the report that it drained comes last.
        history.reports("p1", ProcessState::Draining, Some(publish(A, 1)), numbered(7));
        assert!(history.is_progressing());
        history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), numbered(9));
        history.reports("p1", ProcessState::Applied, Some(publish(B, 2)), numbered(9));
        history.reports("p1", ProcessState::Pending, Some(publish(A, 1)), numbered(8));
        assert_eq!(history.verdict(), Verdict::Converged);
    }

    #[test]
    fn a_copied_process_id_does_not_speak_for_another_pod() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        let report = Report {
            process: "p1".to_owned(),
            state: ProcessState::Applied,
            fingerprint: Some(publish(B, 2).fingerprint.to_string()),
            updated_at: Some(publish(B, 2).updated_at),
            ..Report::default()
        };
        let pod = PodIdentity { name: "p2".to_owned(), uid: "p2".to_owned() };
        let now = history.now;
        history.fleet.report(&report, Some(pod), now, 1.0).unwrap();
        assert!(history.is_progressing());
    }
}

mod ends {
    use super::*;

    #[test]
    fn a_process_that_is_bound_to_no_pod_is_unprovable_and_then_dropped() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).applied("-/job", publish(A, 1)).publishes(publish(B, 2));
        history.all_run_for(60, &["p1"], publish(B, 2));
        assert_eq!(history.view().unbound, 1);
        assert_eq!(history.verdict(), Verdict::Unprovable);
        assert_eq!(history.all_run_for(530, &["p1"], publish(B, 2)).verdict(), Verdict::Unprovable);
        let view = history.all_run_for(30, &["p1"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.lost, view.millis.unwrap().all), (Verdict::Converged, 1, None));
    }

    #[test]
    fn a_dropped_process_that_reports_again_counts_again() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).applied("-/job", publish(A, 1)).publishes(publish(B, 2));
        history.all_run_for(700, &["p1"], publish(B, 2));
        assert!(history.says("-/job", ProcessState::Pending, publish(A, 1)).is_progressing());
    }

    #[test]
    fn time_in_which_reports_were_turned_away_does_not_count_as_silence() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).applied("-/job", publish(A, 1)).publishes(publish(B, 2));
        history.all_run_for(590, &["p1"], publish(B, 2));
        let now = history.now;
        history.fleet.turned_away(now);
        assert_eq!(history.all_run_for(500, &["p1"], publish(B, 2)).verdict(), Verdict::Unprovable);
    }

    #[test]
    fn a_pod_that_was_lost_with_its_node_is_not_known_to_have_ended() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
        let seen = history.now;
        history.change("p2", |pod| pod.object_state = PodObjectState::Vanished { seen }).all_run_for(
            60,
            &["p1"],
            publish(B, 2),
        );
        assert_eq!(history.verdict(), Verdict::Unprovable);
        let view = history.all_run_for(600, &["p1"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.lost, view.millis.unwrap().all), (Verdict::Converged, 1, None));
    }

    #[test]
    fn a_pod_that_never_reported_and_vanished_is_not_known_to_have_ended_either() {
        let mut history = History::new();
        history.pod("p1").pod("mute").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        let seen = history.now;
        history.change("mute", |pod| pod.object_state = PodObjectState::Vanished { seen }).all_run_for(
            60,
            &["p1"],
            publish(B, 2),
        );
        assert_eq!(history.verdict(), Verdict::Unprovable);
        let view = history.all_run_for(600, &["p1"], publish(B, 2)).view();
        assert_eq!((view.verdict, view.millis.unwrap().all), (Verdict::Converged, None));
    }

    #[test]
    fn a_pod_whose_processes_have_drained_is_excused_until_its_container_restarts() {
        let mut history = History::new();
        history.pod("p1").pod("job").applied("p1", publish(A, 1)).applied("job", publish(A, 1));
        history.says("job", ProcessState::Draining, publish(A, 1)).all_run_for(100, &["p1"], publish(A, 1));
        history.publishes(publish(B, 2)).applied("p1", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Converged);
        history.container_restarts("job").all_run_for(70, &["p1"], publish(B, 2));
        assert!(history.is_progressing());
    }

    /// Two containers of a pod follow the workspace. One process has drained and lives on; the container of the other
    /// restarts, and its new process does not report.
    #[test]
    fn a_drained_process_that_lives_on_does_not_excuse_a_container_that_restarts() {
        let mut history = History::new();
        history.pod("p1").pod("job").applied("p1", publish(A, 1)).applied("job", publish(A, 1));
        let started = history.wall();
        let drains = |history: &mut History, drained_ago: u64, age: u64| {
            let times = Report {
                started_at: Some(started),
                started_ms_ago: Some(age * 1000),
                drained_ms_ago: Some(drained_ago * 1000),
                ..Report::default()
            };
            history.reports("job", ProcessState::Draining, Some(publish(A, 1)), times);
        };
        drains(history.after(20_000), 0, 20);
        history.all_run_for(100, &["p1"], publish(A, 1)).publishes(publish(B, 2)).applied("p1", publish(B, 2));
        drains(&mut history, 100, 120);
        assert_eq!(history.verdict(), Verdict::Converged);
        history.container_restarts("job").all_run_for(70, &["p1"], publish(B, 2));
        drains(&mut history, 170, 190);
        assert!(history.is_progressing(), "{:?}", history.verdict());
    }

    #[test]
    fn a_process_that_repeats_that_it_has_drained_excuses_its_pod_after_a_restart_of_the_operator() {
        let mut history = History::new();
        history.pod("p1").pod("job").restarts(publish(A, 1), 1).applied("p1", publish(A, 1));
        history.reports("job", ProcessState::Draining, None, old());
        history.all_run_for(100, &["p1"], publish(A, 1));
        assert_eq!(history.verdict(), Verdict::Converged);
        history.publishes(publish(B, 2)).applied("p1", publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Converged);
    }

    #[test]
    fn a_pod_in_which_nothing_runs_is_not_expected() {
        let mut history = History::new();
        history.pod("p1").pod("crashing").applied("p1", publish(A, 1));
        history.change("crashing", |pod| pod.containers[0].running = false).publishes(publish(B, 2));
        assert_eq!(history.applied("p1", publish(B, 2)).view().expected, Some(1));
        assert_eq!(history.verdict(), Verdict::Converged);
    }

    #[test]
    fn a_report_after_a_seen_end_outweighs_it_while_the_report_is_fresh() {
        let mut history = History::new();
        history.pod("p1").pod("p2").applied("p1", publish(A, 1)).applied("p2", publish(A, 1)).publishes(publish(B, 2));
        history.applied("p1", publish(B, 2)).pod_ends("p2").after(100).says("p2", ProcessState::Pending, publish(A, 1));
        assert!(history.is_progressing());
        assert_eq!(history.all_run_for(50, &["p1"], publish(B, 2)).verdict(), Verdict::Converged);
    }
}

mod unnamed_refusals {
    use super::*;

    #[test]
    fn a_refusal_from_a_pod_that_had_not_reported_counts() {
        let mut history = History::new();
        history.pod("p1").publishes(publish(B, 2)).says("p1", ProcessState::Rejected, publish(B, 2));
        assert_eq!(history.verdict(), Verdict::Refused);
    }

    #[test]
    fn a_process_that_can_not_read_the_marker_refuses_the_publish() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        history.reports("p1", ProcessState::Rejected, None, Report::default());
        let view = history.view();
        assert_eq!((view.verdict, view.rejected), (Verdict::Refused, 1));
    }

    #[test]
    fn a_report_with_an_unknown_state_is_accepted_and_applies_nothing() {
        let mut history = History::new();
        history.pod("p1").applied("p1", publish(A, 1)).publishes(publish(B, 2));
        let view = history.says("p1", ProcessState::Unknown, publish(B, 2)).view();
        assert!(matches!(view.verdict, Verdict::Progressing { .. }));
        assert_eq!((view.processes, view.applied, view.silent), (1, 0, 0));
    }
}
