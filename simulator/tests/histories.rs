//! A share of the histories that `cargo xtask simulate` runs, and every one that has found a fault before.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rototo_protocol::fleet::{RehearsalMode, RehearsalRules};
use rototo_protocol::rollout::Step as Rollout;
use rototo_simulator::history::{FailedHistory, run};
use rototo_simulator::rollout_plan::{Asked, StepsPlan};
use rototo_simulator::script::{Act, Client, HistoryScript, PodPlan, Step};

const HISTORIES: u64 = 3_000;
const LABELLED: PodPlan = PodPlan { labelled: true, ..PodPlan::PLAIN };

#[test]
fn no_history_breaks_an_invariant() {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(None));
    let claims = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= HISTORIES {
                        return;
                    }
                    let script = HistoryScript::of(seed);
                    let outcome = run(&script, seed);
                    claims.fetch_add(outcome.claims, Ordering::Relaxed);
                    if let Some(violation) = outcome.violation {
                        let failure = FailedHistory::shrunk(seed, script, violation);
                        failed.lock().unwrap().get_or_insert(failure);
                    }
                }
            });
        }
    });
    if let Some(failure) = failed.into_inner().unwrap() {
        panic!("{failure}");
    }
    // Histories in which nothing is ever claimed would prove nothing.
    assert!(claims.into_inner() > 10 * HISTORIES);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..50 {
        let script = HistoryScript::of(seed);
        let (first, second) = (run(&script, seed), run(&script, seed));
        assert_eq!((first.claims, first.events), (second.claims, second.events), "seed {seed}");
    }
}

fn check(seed: u64, unbound: usize, steps: &[(u64, Act)]) {
    check_fleet(seed, &[LABELLED], unbound, steps);
}

fn check_fleet(seed: u64, pods: &[PodPlan], unbound: usize, steps: &[(u64, Act)]) {
    check_rehearsal(seed, pods, unbound, RehearsalRules::default(), steps);
}

fn check_rehearsal(seed: u64, pods: &[PodPlan], unbound: usize, rehearsal: RehearsalRules, steps: &[(u64, Act)]) {
    let rollout = StepsPlan::NONE;
    let script = HistoryScript {
        pods: pods.to_vec(),
        unbound,
        steps: at_times(steps),
        network_faults: 0,
        rehearsal,
        rollout,
        queues: false,
    };
    check_script(seed, script);
}

/// Checks a history with these steps of a rollout.
fn check_rollout(seed: u64, pods: &[PodPlan], rehearsal: RehearsalRules, rollout: &[Rollout], steps: &[(u64, Act)]) {
    let rollout = StepsPlan::of(rollout);
    let script = HistoryScript {
        pods: pods.to_vec(),
        unbound: 0,
        steps: at_times(steps),
        network_faults: 0,
        rehearsal,
        rollout,
        queues: false,
    };
    check_script(seed, script);
}

fn at_times(steps: &[(u64, Act)]) -> Vec<Step> {
    steps.iter().map(|(at, act)| Step { at: Duration::from_millis(*at), act: *act }).collect()
}

fn check_script(seed: u64, script: HistoryScript) {
    if let Some(violation) = run(&script, seed).violation {
        panic!("{}", FailedHistory { seed, script, violation });
    }
}

#[test]
fn a_patch_that_lands_unanswered_and_is_edited_away_is_not_sent_again_under_its_name() {
    let steps =
        [(28_739, Act::LoseAnswer(2_124)), (43_650, Act::EditMarker(1, true)), (48_293, Act::EditMarker(2, false))];
    check(2_569, 0, &steps);
}

#[test]
fn a_patch_of_an_operator_that_died_is_adopted_when_it_lands() {
    let steps = [(1_723, Act::LoseAnswer(9_701)), (15_548, Act::Push(1)), (22_881, Act::RestartOperator(2_553))];
    check(6_053, 0, &steps);
}

#[test]
fn a_new_leader_gives_no_earlier_name_than_the_last_one_did() {
    let steps = [(1_985, Act::EditMarker(2, true)), (8_247, Act::ChangeLeader), (10_650, Act::EditMarker(1, false))];
    check(132_344, 1, &steps);
    let steps = [
        (8_527, Act::Push(1)),
        (13_928, Act::EditMarker(2, true)),
        (33_827, Act::ChangeLeader),
        (33_934, Act::EditMarker(1, false)),
        (37_033, Act::RemoveMarker),
    ];
    check(300_001, 0, &steps);
}

#[test]
fn processes_of_a_removed_namesake_are_listened_for_before_a_claim() {
    let pods = [PodPlan { direct: true, ..PodPlan::PLAIN }, PodPlan { second: true, ..LABELLED }];
    let steps = [(2_956, Act::RecreateWorkspace(139)), (5_972, Act::Push(1)), (38_443, Act::RecreateWorkspace(1_591))];
    check_fleet(78, &pods, 0, &steps);
}

#[test]
fn a_workspace_that_comes_back_before_it_was_missed_is_another_one() {
    let steps = [(3_432, Act::Push(2)), (25_876, Act::RecreateWorkspace(69))];
    check_fleet(36, &[PodPlan { second: true, ..LABELLED }, PodPlan::PLAIN, LABELLED], 1, &steps);
}

#[test]
fn every_report_of_an_older_client_that_comes_later_counts() {
    let older = PodPlan { sidecar: true, client: Client::Older, ..PodPlan::PLAIN };
    check_fleet(1, &[PodPlan { cache: true, ..LABELLED }], 0, &[(15_691, Act::CreatePod(older))]);
}

#[test]
fn an_older_client_of_a_later_run_of_its_container_counts() {
    let pods = [PodPlan { client: Client::Older, ..LABELLED }, PodPlan { direct: true, ..LABELLED }];
    let steps = [(11_805, Act::Push(2)), (11_982, Act::Kill(4)), (53_711, Act::LoseNode(32)), (59_712, Act::Push(0))];
    check_fleet(912, &pods, 0, &steps);
}

#[test]
fn a_state_of_a_newer_client_is_no_claim_of_its_own() {
    let pods = [LABELLED, PodPlan { client: Client::Newer, ..LABELLED }];
    check_fleet(3, &pods, 0, &[(19_662, Act::Push(2))]);
}

#[test]
fn a_direct_source_that_was_away_is_asked_again() {
    let pods = [PodPlan { mute: true, direct: true, ..LABELLED }];
    // Whatever comes last has everything looked at.
    let steps = [(2_000, Act::GitAway(10_000)), (3_000, Act::Kill(0)), (50_000, Act::PushReadme)];
    check_fleet(1, &pods, 0, &steps);
}

#[test]
fn an_older_client_counts_although_the_end_of_the_run_before_its_own_is_seen_late() {
    let pods = [PodPlan { client: Client::Older, ..LABELLED }, LABELLED];
    let steps = [
        (5_000, Act::StalePods(20_000)),
        (6_000, Act::Kill(0)),
        (15_000, Act::Refuse(1, 1, true)),
        (24_600, Act::Push(1)),
    ];
    for seed in [2, 26, 79] {
        check_fleet(seed, &pods, 0, &steps);
    }
}

#[test]
fn a_successor_listens_for_processes_of_a_namesake_that_it_never_knew() {
    let pods = [PodPlan { cache: true, ..LABELLED }, PodPlan { cache: true, second: true, ..LABELLED }];
    let steps = [
        (846, Act::Push(1)),
        (23_486, Act::RecreateWorkspace(8_968)),
        (31_779, Act::DeafWatch(43, 60_000)),
        (34_437, Act::RestartOperator(2_292)),
    ];
    check_fleet(136_051, &pods, 0, &steps);
    let steps = [
        (5_908, Act::Push(2)),
        (6_003, Act::StopOperators(25_940)),
        (30_706, Act::StopOperators(39_432)),
        (43_938, Act::RecreateWorkspace(5_352)),
        (45_485, Act::EditMarker(2, true)),
    ];
    check_fleet(1_018_189, &[PodPlan { cache: true, second: true, ..LABELLED }], 0, &steps);
}

#[test]
fn a_process_that_refuses_and_falls_silent_still_holds_the_publish() {
    let rehearsal =
        RehearsalRules { mode: RehearsalMode::BestEffort, within: Duration::from_millis(50), min_prepared: 100 };
    let pods = [PodPlan { second: true, direct: true, ..LABELLED }];
    let steps = [(696, Act::Refuse(63, 2, true)), (3_768, Act::Push(0)), (10_126, Act::Push(2))];
    check_rehearsal(424, &pods, 0, rehearsal, &steps);
}

#[test]
fn a_publish_has_a_later_name_than_an_announcement_by_hand() {
    let rehearsal = RehearsalRules { mode: RehearsalMode::BestEffort, ..RehearsalRules::default() };
    let rehearsal = RehearsalRules { within: Duration::from_secs(2), ..rehearsal };
    let pods = [PodPlan { cache: true, ..LABELLED }, PodPlan::PLAIN, PodPlan { direct: true, ..LABELLED }];
    let steps = [(12_861, Act::HandOver), (14_596, Act::Push(2)), (16_704, Act::EditNext(0, true))];
    check_rehearsal(200_784, &pods, 0, rehearsal, &steps);
}

#[test]
fn a_restarted_operator_publishes_nothing_that_was_refused_before() {
    let rehearsal = RehearsalRules { mode: RehearsalMode::BestEffort, ..RehearsalRules::default() };
    let rehearsal = RehearsalRules { within: Duration::from_millis(50), ..rehearsal };
    let steps = [(1_000, Act::Refuse(1, 2, true)), (3_000, Act::Push(2)), (8_000, Act::RestartOperator(500))];
    for seed in 0..20 {
        check_rehearsal(seed, &[LABELLED, LABELLED], 0, rehearsal, &steps);
    }
}

#[test]
fn a_restarted_operator_waits_for_pods_that_were_not_counted_before() {
    let rehearsal = RehearsalRules { mode: RehearsalMode::BestEffort, ..RehearsalRules::default() };
    let rehearsal = RehearsalRules { within: Duration::from_millis(50), ..rehearsal };
    let steps = [
        (500, Act::LateStatus(15_000)),
        (600, Act::CreatePod(LABELLED)),
        (2_000, Act::Refuse(1, 2, true)),
        (3_000, Act::Push(2)),
        (8_000, Act::RestartOperator(500)),
    ];
    for seed in 0..20 {
        check_rehearsal(seed, &[LABELLED], 0, rehearsal, &steps);
    }
}

fn rehearsed_within(millis: u64) -> RehearsalRules {
    let within = Duration::from_millis(millis);
    RehearsalRules { mode: RehearsalMode::BestEffort, within, ..RehearsalRules::default() }
}

#[test]
fn a_stage_that_somebody_writes_into_the_marker_publishes_nothing_that_is_refused() {
    let pods = [PodPlan { cache: true, ..LABELLED }];
    let steps = [(39_918, Act::Refuse(32, 1, true)), (43_907, Act::Push(1)), (49_881, Act::EditStage(3, true))];
    check_rollout(878, &pods, rehearsed_within(300), &[], &steps);
}

#[test]
fn an_announcement_that_somebody_changed_is_announced_under_a_later_name_before_its_stage() {
    let pods = [PodPlan { unprepared: true, ..LABELLED }];
    let steps = [(25_614, Act::RemoveMarker), (30_374, Act::Push(2)), (34_891, Act::EditNext(1, true))];
    check_rollout(140, &pods, RehearsalRules::default(), &[Rollout::Pause(None)], &steps);
}

#[test]
fn a_step_that_takes_no_pod_ends_although_the_stage_has_lost_its_pods() {
    let older = PodPlan { cache: true, mute: true, direct: true, client: Client::Older, ..LABELLED };
    let pause = |millis| Rollout::Pause(Some(Duration::from_millis(millis)));
    let others = StepsPlan::of(&[Rollout::Weight(0), Rollout::Pods(1), pause(300), pause(4_000)]);
    let steps = [(11_328, Act::Push(2)), (13_935, Act::Steps(others))];
    let pods = [older, PodPlan { second: true, ..LABELLED }];
    check_rollout(676, &pods, RehearsalRules::default(), &[Rollout::Pods(1)], &steps);
}

#[test]
fn a_container_that_ends_within_the_second_in_which_the_step_began_takes_the_content_back() {
    let pods = [PodPlan { sidecar: true, unprepared: true, ..LABELLED }, LABELLED, PodPlan { cache: true, ..LABELLED }];
    let rollout = [Rollout::Pods(1), Rollout::Pods(3)];
    let steps = [(12_878, Act::Push(0)), (13_906, Act::Push(1)), (18_792, Act::Kill(53))];
    check_rollout(1_299, &pods, rehearsed_within(300), &rollout, &steps);
}

#[test]
fn what_was_taken_back_stays_away_although_somebody_removes_it_from_the_marker_of_a_suspended_workspace() {
    let steps = [
        (14_682, Act::Refuse(60, 2, true)),
        (44_276, Act::Push(2)),
        (52_177, Act::Suspend(3_849)),
        (55_100, Act::RemoveHeld),
    ];
    let pods = [PodPlan { second: true, ..LABELLED }];
    check_rollout(4_913, &pods, RehearsalRules::default(), &[Rollout::Pods(1)], &steps);
}

#[test]
fn a_late_write_of_an_earlier_leader_that_ends_a_rollout_is_adopted() {
    let two = PodPlan { second: true, ..LABELLED };
    let pods = [PodPlan { cache: true, ..two }, PodPlan { sidecar: true, client: Client::Older, ..LABELLED }];
    let steps = [
        (973, Act::Push(0)),
        (5_594, Act::RecreateWorkspace(2_403)),
        (8_542, Act::Push(1)),
        (9_809, Act::OpenHandle(15)),
        (27_765, Act::Push(2)),
        (28_055, Act::LoseAnswer(14_894)),
        (34_875, Act::CreatePod(two)),
        (35_660, Act::ChangeLeader),
    ];
    let pause = Rollout::Pause(Some(Duration::from_millis(300)));
    check_rollout(5_890, &pods, RehearsalRules::default(), &[pause], &steps);
}

#[test]
fn a_write_of_an_earlier_leader_does_not_arrive_in_a_suspended_workspace() {
    let steps = [
        (6_917, Act::Push(2)),
        (22_968, Act::LoseAnswer(11_227)),
        (31_609, Act::Push(0)),
        (34_682, Act::Suspend(8_908)),
        (36_742, Act::ChangeLeader),
    ];
    let pods = [PodPlan { second: true, sidecar: true, ..LABELLED }];
    check_fleet(1_082_449, &pods, 0, &steps);
}

#[test]
fn a_process_whose_marker_was_removed_has_not_answered_what_it_announced() {
    let steps = [
        (19_574, Act::Push(2)),
        (26_605, Act::Refuse(14, 0, true)),
        (29_452, Act::Push(0)),
        (35_523, Act::HandOver),
        (36_857, Act::RemoveMarker),
    ];
    let within = Duration::from_millis(300);
    let rules = RehearsalRules { mode: RehearsalMode::BestEffort, within, min_prepared: 100 };
    check_rehearsal(7_006_835, &[PodPlan { cache: true, ..LABELLED }], 1, rules, &steps);
}

#[test]
fn the_first_decision_of_a_leader_takes_back_what_its_stage_has_refused_before() {
    let steps = [
        (1_000, Act::Push(1)),
        (5_000, Act::CutOperator(20_000)),
        (6_000, Act::ChangeLeader),
        (7_000, Act::StartProcess(0)),
        (7_000, Act::Refuse(1, 1, true)),
    ];
    check_rollout(1, &[LABELLED], RehearsalRules::default(), &[Rollout::Pods(1), Rollout::Pause(None)], &steps);
}

#[test]
fn what_was_taken_back_without_an_answer_stays_away_although_somebody_removes_the_marker() {
    let steps = [
        (1_000, Act::Push(1)),
        (5_000, Act::LoseAnswer(1_000)),
        (5_010, Act::Ask(Asked::Abort, true)),
        (8_000, Act::RemoveMarker),
        (9_000, Act::Unask),
    ];
    check_rollout(1, &[LABELLED], RehearsalRules::default(), &[Rollout::Pods(1), Rollout::Pause(None)], &steps);
}

#[test]
fn a_process_that_wakes_up_in_a_stage_that_is_over_is_no_edit_of_the_marker() {
    let pods = [PodPlan { second: true, ..LABELLED }, PodPlan { cache: true, ..PodPlan::PLAIN }];
    let steps = [
        (7_900, Act::Push(2)),
        (10_256, Act::Push(1)),
        (25_055, Act::Push(0)),
        (29_478, Act::Stop(8, 1_000_000)),
        (44_173, Act::Push(1)),
        (53_423, Act::RestartOperator(935)),
    ];
    check_rollout(146, &pods, rehearsed_within(50), &[Rollout::Pods(1)], &steps);
}

#[test]
fn a_process_of_a_stage_that_a_new_leader_has_not_seen_is_no_edit_of_the_marker() {
    let pause = Rollout::Pause(Some(Duration::from_millis(1_500)));
    let steps = [
        (19_770, Act::Push(2)),
        (21_152, Act::StaleMap(7_218)),
        (23_125, Act::HandOver),
        (23_505, Act::Suspend(3_539)),
    ];
    let rollout = [Rollout::Pods(1), pause, Rollout::Weight(50)];
    check_rollout(828, &[LABELLED], RehearsalRules::default(), &rollout, &steps);
}

#[test]
fn what_was_announced_gets_no_earlier_name_than_a_publish_that_somebody_has_undone() {
    let steps = [
        (2_800, Act::Push(1)),
        (6_800, Act::Push(2)),
        (8_085, Act::Push(0)),
        (22_629, Act::ChangeLeader),
        (33_146, Act::Push(2)),
        (34_611, Act::HandOver),
        (39_766, Act::EditMarker(0, true)),
        (49_078, Act::UndoEdit),
        (49_304, Act::ChangeLeader),
    ];
    check_rollout(1_252, &[LABELLED, LABELLED], rehearsed_within(2_000), &[Rollout::Weight(0)], &steps);
}

#[test]
fn a_patch_that_lands_after_the_source_has_gone_back_is_no_edit_of_the_marker() {
    let pods = [PodPlan { mute: true, ..LABELLED }];
    let steps = [(9_000, Act::LoseAnswer(11_229)), (9_368, Act::Push(2)), (15_236, Act::Push(0))];
    check_fleet(100_973, &pods, 0, &steps);
}

#[test]
fn the_last_publish_of_an_earlier_leader_is_no_edit_although_the_watch_of_the_next_one_lags() {
    let pods = [PodPlan { cache: true, direct: true, ..LABELLED }];
    let steps = [(19_864, Act::StaleMap(9_683)), (19_970, Act::Push(1)), (20_511, Act::ChangeLeader)];
    check_rollout(217_059, &pods, RehearsalRules::default(), &[Rollout::Pods(1)], &steps);
}
