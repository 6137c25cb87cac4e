//! Tests of the decisions of a rollout, as tables.

use super::*;

const TENTH: u64 = WHOLE / 10;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn stage(step: u32, below: u64) -> Option<Stage> {
    Some(Stage { step, since: at(0), below })
}

/// Three pods, of which the first two are in the first tenth.
fn pods() -> StageFacts {
    StageFacts { pods: vec![5, 7, WHOLE - 1], ..StageFacts::default() }
}

fn converged() -> StageFacts {
    StageFacts { converged: true, ..pods() }
}

fn enters(step: u32, second: i64, below: u64) -> RolloutDecision {
    RolloutDecision::Enter(Stage { step, since: at(second), below })
}

const STAY: RolloutDecision = RolloutDecision::Stay { until: None };
const MINUTE: Duration = Duration::from_secs(60);

const STEPS: [Step; 4] = [Step::Weight(10), Step::Pause(Some(MINUTE)), Step::Weight(50), Step::Pause(None)];

fn decides(stage: Option<Stage>, facts: &StageFacts, request: Option<Action>, second: i64) -> RolloutDecision {
    decide(&STEPS, stage, facts, request, at(second))
}

#[test]
fn a_rollout_goes_from_step_to_step_and_publishes_after_the_last() {
    let until = RolloutDecision::Stay { until: Some(at(60)) };
    for (stage, facts, second, expected) in [
        (None, pods(), 1, enters(0, 1, TENTH)),
        (stage(0, TENTH), pods(), 2, STAY),
        (stage(0, TENTH), converged(), 3, enters(1, 3, TENTH)),
        (stage(1, TENTH), converged(), 59, until),
        (stage(1, TENTH), converged(), 60, enters(2, 60, WHOLE / 2)),
        (stage(2, WHOLE / 2), converged(), 61, enters(3, 61, WHOLE / 2)),
        (stage(3, WHOLE / 2), converged(), 9_999, STAY),
    ] {
        assert_eq!(decides(stage, &facts, None, second), expected, "{stage:?} at {second}");
    }
    assert_eq!(decide(&STEPS[..3], stage(2, WHOLE / 2), &converged(), None, at(1)), RolloutDecision::Publish);
    assert_eq!(decide(&[], None, &pods(), None, at(1)), RolloutDecision::Publish);
}

#[test]
fn a_person_promotes_holds_or_takes_back() {
    let taken_back = RolloutDecision::TakeBack(GateFailure::Aborted);
    for (stage, request, expected) in [
        (stage(3, TENTH), Action::PromoteStep(3), RolloutDecision::Publish),
        // The rollout has gone on since the person saw it.
        (stage(3, TENTH), Action::PromoteStep(2), STAY),
        (stage(1, TENTH), Action::PromoteStep(1), enters(2, 99, WHOLE / 2)),
        (stage(0, TENTH), Action::Promote, RolloutDecision::Publish),
        (None, Action::Promote, RolloutDecision::Publish),
        (stage(1, TENTH), Action::Hold, STAY),
        (stage(2, TENTH), Action::Abort, taken_back.clone()),
        (None, Action::Abort, taken_back),
        (stage(3, TENTH), Action::Retry, STAY),
    ] {
        assert_eq!(decides(stage, &converged(), Some(request), 99), expected, "{stage:?} {request:?}");
    }
}

#[test]
fn a_part_of_the_fleet_that_fails_takes_it_back_for_all() {
    let refused = vec![Straggler::missing("p")];
    let facts = StageFacts { refused: refused.clone(), ..converged() };
    for request in [None, Some(Action::Hold), Some(Action::PromoteStep(1))] {
        let expected = RolloutDecision::TakeBack(GateFailure::Refused(refused.clone()));
        assert_eq!(decides(stage(1, TENTH), &facts, request, 99), expected);
    }
    let facts = StageFacts { restarted: vec!["p".to_owned()], ..converged() };
    let expected = RolloutDecision::TakeBack(GateFailure::Restarted(vec!["p".to_owned()]));
    assert_eq!(decides(stage(3, TENTH), &facts, None, 99), expected);
    let degraded = vec![Straggler::degraded("p".to_owned(), "error_rate")];
    let facts = StageFacts { degraded: degraded.clone(), ..converged() };
    let expected = RolloutDecision::TakeBack(GateFailure::Degraded(degraded));
    assert_eq!(decides(stage(3, TENTH), &facts, Some(Action::Hold), 99), expected);
}

#[test]
fn no_step_ends_before_its_analyses_have_passed() {
    let measuring = StageFacts { analysis: AnalysisState::Measuring, ..converged() };
    for stage in [stage(0, TENTH), stage(1, TENTH), stage(4, TENTH)] {
        assert_eq!(decides(stage, &measuring, None, 99), STAY, "{stage:?}");
    }
    // A person goes past it.
    assert_eq!(decides(stage(1, TENTH), &measuring, Some(Action::PromoteStep(1)), 99), enters(2, 99, WHOLE / 2));
    assert_eq!(decides(stage(1, TENTH), &measuring, Some(Action::Promote), 99), RolloutDecision::Publish);
    // With nobody in the stage there is nothing to measure.
    let steps = [Step::Weight(0), Step::Pods(1)];
    assert_eq!(decide(&steps, stage(0, 0), &measuring, None, at(9)), enters(1, 9, 6));
    let nobody = StageFacts { pods: Vec::new(), ..measuring };
    assert_eq!(decides(stage(0, TENTH), &nobody, None, 9), enters(1, 9, TENTH));
    let of_no_pod = StageFacts { occupied: true, ..nobody };
    assert_eq!(decides(stage(0, TENTH), &of_no_pod, None, 9), STAY);
}

#[test]
fn a_failed_analysis_takes_the_content_back() {
    let failed = StageFacts { analysis: AnalysisState::Failed, ..pods() };
    for request in [None, Some(Action::Hold), Some(Action::PromoteStep(1))] {
        let expected = RolloutDecision::TakeBack(GateFailure::Analysis);
        assert_eq!(decides(stage(1, TENTH), &failed, request, 99), expected);
    }
    assert_eq!(decides(None, &failed, None, 1), enters(0, 1, TENTH));
}

#[test]
fn a_number_of_pods_takes_exactly_so_many_and_a_weight_at_least_one() {
    for (step, expected) in [
        (Step::Pods(1), 6),
        (Step::Pods(2), 8),
        (Step::Pods(3), WHOLE),
        (Step::Pods(9), WHOLE),
        (Step::Pods(0), 0),
        (Step::Weight(0), 0),
        (Step::Weight(100), WHOLE),
        (Step::Weight(255), WHOLE),
    ] {
        assert_eq!(threshold(step, &[5, 7, WHOLE - 1]), expected, "{step:?}");
    }
    assert_eq!(threshold(Step::Weight(1), &[WHOLE - 9]), WHOLE - 8);
    assert_eq!((threshold(Step::Pods(1), &[]), threshold(Step::Weight(10), &[])), (0, TENTH));
}

#[test]
fn a_stage_whose_pods_are_gone_takes_others() {
    let later = StageFacts { pods: vec![WHOLE / 2], ..StageFacts::default() };
    assert_eq!(decides(stage(0, TENTH), &later, None, 9), enters(0, 9, WHOLE / 2 + 1));
    // A pause does not pass with nobody in the stage.
    assert_eq!(decides(stage(1, TENTH), &later, None, 99), enters(1, 99, WHOLE / 2 + 1));
    // A stage never becomes smaller.
    assert_eq!(decides(stage(0, WHOLE), &pods(), None, 9), STAY);
    assert_eq!(decides(stage(1, WHOLE), &converged(), None, 99), enters(2, 99, WHOLE));
}

#[test]
fn without_a_pod_there_is_nobody_to_wait_for_once_all_are_known() {
    let nobody = StageFacts::default();
    assert_eq!(decides(stage(0, TENTH), &nobody, None, 9), enters(1, 9, TENTH));
    assert_eq!(decides(stage(0, TENTH), &StageFacts { incomplete: true, ..nobody.clone() }, None, 9), STAY);
    // A process runs the content in a pod that is not selected.
    let occupied = StageFacts { occupied: true, ..nobody };
    assert_eq!(decides(stage(0, TENTH), &occupied, None, 9), STAY);
    assert_eq!(decides(stage(0, TENTH), &StageFacts { converged: true, ..occupied }, None, 9), enters(1, 9, TENTH));
}

#[test]
fn no_part_of_the_fleet_is_chosen_before_the_fleet_is_known() {
    let known = StageFacts { incomplete: true, pods: vec![9], ..StageFacts::default() };
    assert_eq!(decide(&[Step::Pods(2)], None, &known, None, at(1)), STAY);
    assert_eq!(decides(stage(1, TENTH), &known, None, 99), STAY);
    let refused = StageFacts { refused: vec![Straggler::missing("p")], ..known };
    assert!(matches!(decides(stage(1, TENTH), &refused, None, 99), RolloutDecision::TakeBack(_)));
}

#[test]
fn a_step_without_pods_goes_on() {
    let steps = [Step::Weight(0), Step::Pods(1)];
    assert_eq!(decide(&steps, stage(0, 0), &pods(), None, at(9)), enters(1, 9, 6));
    // The pods of the stage are gone, and the step asks for no others.
    assert_eq!(decide(&steps, stage(0, 5), &pods(), None, at(9)), enters(1, 9, 6));
    assert_eq!(decide(&steps, stage(0, 6), &pods(), None, at(9)), STAY);
}

#[test]
fn steps_that_were_removed_are_over() {
    assert_eq!(decides(stage(4, TENTH), &converged(), None, 9), RolloutDecision::Publish);
    assert_eq!(decides(stage(u32::MAX, TENTH), &converged(), None, 9), RolloutDecision::Publish);
}
