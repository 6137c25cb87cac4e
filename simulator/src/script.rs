//! A history before it happens: the fleet that it begins with, and what is done to it, drawn from a seed.
//!
//! Each seed draws a few kinds of fault and how often they come, so that some histories are full of restarts, others of
//! edits, and others calm. Delays of messages are drawn while the history runs.

use std::time::Duration;

use fastrand::Rng;
use rototo_protocol::fleet::{RehearsalMode, RehearsalRules};

use crate::rollout_plan::{Asked, StepsPlan};

/// So many milliseconds are longer than any history.
pub const FOR_GOOD: u64 = 1_000_000;

/// A history.
#[derive(Clone, Debug)]
pub struct HistoryScript {
    /// The pods that there are in the beginning.
    pub pods: Vec<PodPlan>,
    /// The number of processes that are bound to no pod.
    pub unbound: usize,
    /// The steps, in order of time.
    pub steps: Vec<Step>,
    /// The number of messages of 100 that are lost, doubled, or late.
    pub network_faults: u32,
    /// The rules by which new content is rehearsed.
    pub rehearsal: RehearsalRules,
    /// The steps by which new content reaches the fleet.
    pub rollout: StepsPlan,
    /// Newer content waits for the end of a rollout.
    pub queues: bool,
}

/// A pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodPlan {
    /// True if the pod carries the label of the workspace.
    pub labelled: bool,
    /// It runs a second process.
    pub second: bool,
    /// Its processes keep a copy of the last content on a disk.
    pub cache: bool,
    /// It has a container beside that runs none of our processes.
    pub sidecar: bool,
    /// Its processes can't reach the operator: they have no token, or a policy is in the way.
    pub mute: bool,
    /// Its processes read the source themselves when the operator gives them nothing.
    pub direct: bool,
    /// Its processes don't prepare what the marker announces.
    pub unprepared: bool,
    /// The version of the client library in its first process. A second one has the current version.
    pub client: Client,
}

/// A version of the client library, by what it reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// It reports neither an order, nor an age, nor a container, nor a PID, and each handle for itself, and does not know
    /// announcements.
    Older,
    #[default]
    Current,
    /// It has a state for being on the way that this operator does not know.
    Newer,
}

/// Something that is done at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// The act.
    pub act: Act,
}

/// Something that happens to the system from outside. Numbers choose among what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A commit with this content.
    Push(u8),
    /// A commit that changes nothing in the workspace.
    PushReadme,
    /// The operator process dies, and another one starts in its place after so many milliseconds.
    RestartOperator(u64),
    /// The other operator takes the lease over.
    ChangeLeader,
    /// The operator that leads ends in order, passes its evidence on to the other one, and starts again.
    HandOver,
    /// The operator can't reach the API server for so many milliseconds.
    CutOperator(u64),
    /// A process is stopped for so many milliseconds.
    Stop(usize, u64),
    /// A process is killed.
    Kill(usize),
    /// A pod gets another process.
    StartProcess(usize),
    /// A process opens the workspace once more.
    OpenHandle(usize),
    /// A process closes its oldest handle.
    CloseHandle(usize),
    /// A new pod is created.
    CreatePod(PodPlan),
    /// A pod is deleted, and its processes end in order or not.
    DeletePod(usize),
    /// A pod's node is lost: the object goes, and its processes run on, cut off.
    LoseNode(usize),
    /// The label of a pod is removed.
    Unlabel(usize),
    /// Somebody writes this content into the marker, with a later name or an earlier one.
    EditMarker(u8, bool),
    /// Somebody puts the marker back that was there before an edit.
    UndoEdit,
    /// Somebody removes the marker.
    RemoveMarker,
    /// Somebody writes this content into the marker as the next, with a later name or an earlier one.
    EditNext(u8, bool),
    /// Somebody removes the next from the marker.
    RemoveNext,
    /// A person has this content published whatever processes report about it.
    PublishAnyway(u8),
    /// A process refuses this content from now on, or no longer.
    Refuse(usize, u8, bool),
    /// A process can't reach the operator for so many milliseconds.
    CutFromOperator(usize, u64),
    /// The watch of a process shows nothing for so many milliseconds.
    DeafWatch(usize, u64),
    /// The operator's watch of the pods stands still for so many milliseconds.
    StalePods(u64),
    /// The operator's watch of the map stands still for so many milliseconds.
    StaleMap(u64),
    /// The answer to the operator's next patch gets lost; the patch arrives after so many milliseconds.
    LoseAnswer(u64),
    /// The operator's wall clock jumps by so many milliseconds.
    Clock(i64),
    /// Somebody writes a status that says that all is well.
    ForgeStatus,
    /// The operator turns reports away for so many milliseconds.
    Busy(u64),
    /// The workspace is deleted, and created again under its name after so many milliseconds.
    RecreateWorkspace(u64),
    /// No operator process runs for so many milliseconds.
    StopOperators(u64),
    /// The git host answers nobody for so many milliseconds.
    GitAway(u64),
    /// The API server answers no process, and no operator, for so many milliseconds.
    ApiAway(u64),
    /// The next write of the status arrives only after so many milliseconds.
    LateStatus(u64),
    /// The spec gets other steps.
    Steps(StepsPlan),
    /// A person asks for this about the newest commit, or else about the one before, or an earlier step or attempt.
    Ask(Asked, bool),
    /// A person removes the request.
    Unask,
    /// The workspace is suspended for so many milliseconds.
    Suspend(u64),
    /// Somebody removes the status.
    DeleteStatus,
    /// Somebody writes this step into the marker, with all pods in its stage or with none.
    EditStage(u32, bool),
    /// Somebody removes from the marker what was taken back.
    RemoveHeld,
    /// The selector of the fleet changes to the pods that it did not select.
    ChangeSelector,
    /// The selector of the fleet is invalid for so many milliseconds.
    BreakSelector(u64),
    /// The spec asks for a signature that this content lacks, for so many milliseconds.
    RefuseBySpec(u8, u64),
}

type Draw = fn(&mut Rng) -> Act;

/// The kinds of [`Act`]: how often each comes, and how one is drawn.
const KINDS: &[(u32, Draw)] = &[
    (4, |rng| Act::Push(content(rng))),
    (4, |_| Act::PushReadme),
    (4, |rng| Act::RestartOperator(rng.u64(1..3_000))),
    (4, |_| Act::ChangeLeader),
    (4, |rng| Act::CutOperator(rng.u64(1_000..30_000))),
    (4, |rng| Act::Stop(one(rng), long(rng))),
    (4, |rng| Act::Kill(one(rng))),
    (4, |rng| Act::StartProcess(one(rng))),
    (4, |rng| Act::OpenHandle(one(rng))),
    (4, |rng| Act::CloseHandle(one(rng))),
    (4, |rng| Act::CreatePod(PodPlan::draw(rng))),
    (4, |rng| Act::DeletePod(one(rng))),
    (4, |rng| Act::LoseNode(one(rng))),
    (4, |rng| Act::Unlabel(one(rng))),
    (4, |rng| Act::EditMarker(content(rng), rng.bool())),
    (4, |_| Act::UndoEdit),
    (4, |_| Act::RemoveMarker),
    (4, |rng| Act::EditNext(content(rng), rng.bool())),
    (4, |_| Act::RemoveNext),
    (2, |rng| Act::PublishAnyway(content(rng))),
    (12, |rng| Act::Refuse(one(rng), content(rng), rng.u8(0..3) != 0)),
    (4, |rng| Act::CutFromOperator(one(rng), long(rng))),
    (4, |rng| Act::DeafWatch(one(rng), long(rng))),
    (2, |rng| Act::StalePods(rng.u64(1_000..30_000))),
    (2, |rng| Act::StaleMap(rng.u64(500..10_000))),
    (4, |rng| Act::LoseAnswer(rng.u64(0..15_000))),
    (2, |rng| Act::Clock(rng.i64(-100_000..100_000))),
    (2, |_| Act::ForgeStatus),
    (4, |rng| Act::Busy(rng.u64(100..15_000))),
    // Before the watch shows the deletion, or after.
    (8, |rng| Act::RecreateWorkspace(if rng.bool() { rng.u64(1..150) } else { rng.u64(150..15_000) })),
    (3, |rng| Act::StopOperators(rng.u64(1_000..40_000))),
    (6, |rng| Act::GitAway(rng.u64(1_000..40_000))),
    (3, |rng| Act::ApiAway(rng.u64(1_000..20_000))),
    (3, |rng| Act::LateStatus(rng.u64(500..15_000))),
    (6, |_| Act::HandOver),
    (4, |rng| Act::Steps(StepsPlan::draw(rng))),
    (12, |rng| Act::Ask(Asked::draw(rng), rng.u8(0..4) != 0)),
    (2, |_| Act::Unask),
    (3, |rng| Act::Suspend(rng.u64(100..10_000))),
    (4, |_| Act::DeleteStatus),
    (3, |rng| Act::EditStage(rng.u32(0..5), rng.bool())),
    (3, |_| Act::RemoveHeld),
    (2, |_| Act::ChangeSelector),
    (3, |rng| Act::BreakSelector(rng.u64(500..15_000))),
    (6, |rng| Act::RefuseBySpec(content(rng), rng.u64(500..15_000))),
];

/// The kinds of [`Act`] that a rollout has to fear most, as often as they come during one.
const ROLLOUT_KINDS: &[Draw] = &[
    |rng| Act::Push(content(rng)),
    |_| Act::PushReadme,
    |rng| Act::RestartOperator(rng.u64(1..3_000)),
    |rng| Act::RestartOperator(rng.u64(1..3_000)),
    |_| Act::ChangeLeader,
    |_| Act::HandOver,
    |_| Act::DeleteStatus,
    |rng| Act::Kill(one(rng)),
    |rng| Act::Kill(one(rng)),
    |rng| Act::DeletePod(one(rng)),
    |rng| Act::CreatePod(PodPlan::draw(rng)),
    |rng| Act::Stop(one(rng), long(rng)),
    |rng| Act::Ask(Asked::draw(rng), rng.u8(0..4) != 0),
    |rng| Act::Ask(Asked::draw(rng), rng.u8(0..4) != 0),
    |rng| Act::Ask(Asked::draw(rng), rng.u8(0..4) != 0),
    |rng| Act::EditMarker(content(rng), rng.bool()),
    |rng| Act::EditNext(content(rng), rng.bool()),
    |rng| Act::EditStage(rng.u32(0..5), rng.bool()),
    |_| Act::RemoveHeld,
    |rng| Act::Suspend(rng.u64(100..5_000)),
    |rng| Act::Steps(StepsPlan::draw(rng)),
    |rng| Act::LoseAnswer(rng.u64(0..15_000)),
    |_| Act::RemoveMarker,
    |rng| Act::BreakSelector(rng.u64(500..8_000)),
    |rng| Act::RefuseBySpec(content(rng), rng.u64(500..8_000)),
    |rng| Act::RefuseBySpec(content(rng), rng.u64(500..8_000)),
];

impl HistoryScript {
    /// Draws the history of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let pods = (0..rng.usize(1..=3)).map(|_| PodPlan::draw(&mut rng)).collect();
        let unbound = usize::from(rng.u8(0..5) == 0);
        let total = KINDS.iter().map(|(weight, _)| weight).sum();
        let kinds: Vec<usize> = (0..rng.usize(2..=6)).map(|_| kind(rng.u32(0..total))).collect();
        let count = rng.usize(2..=10);
        let mut steps: Vec<Step> = (0..count).map(|_| Step::draw(&mut rng, &kinds)).collect();
        // Something has to be on its way.
        steps.push(Step { at: millis(rng.u64(0..20_000)), act: Act::Push(rng.u8(0..3)) });
        if rng.u8(0..3) != 0 {
            steps.extend(refused_push(&mut rng, total));
        }
        steps.sort_by_key(|step| step.at);
        let network_faults = if rng.bool() { 0 } else { rng.u32(1..=20) };
        let rehearsal = rehearsal(&mut rng);
        let rollout = StepsPlan::draw(&mut rng);
        if !rollout.is_empty() {
            steps.extend(rolled_push(&mut rng));
            steps.sort_by_key(|step| step.at);
        }
        let queues = !rollout.is_empty() && rng.u8(0..3) == 0;
        if queues {
            steps.extend(queued_pushes(&mut rng));
            steps.sort_by_key(|step| step.at);
        }
        Self { pods, unbound, steps, network_faults, rehearsal, rollout, queues }
    }
}

/// Draws a push of content, and things that happen in each phase of its rollout.
fn rolled_push(rng: &mut Rng) -> Vec<Step> {
    let (content, pushed) = (content(rng), rng.u64(2_000..45_000));
    let mut steps = vec![Step { at: millis(pushed), act: Act::Push(content) }];
    if rng.u8(0..3) == 0 {
        // Whoever opens the content after its rehearsal may refuse it.
        let at = pushed + rng.u64(300..6_000);
        let opens = match rng.u8(0..3) {
            0 => Act::CreatePod(PodPlan::draw(rng)),
            1 => Act::OpenHandle(one(rng)),
            _ => Act::StartProcess(one(rng)),
        };
        steps.push(Step { at: millis(at), act: opens });
        for _ in 0..3 {
            steps.push(Step { at: millis(at), act: Act::Refuse(one(rng), content, true) });
        }
    }
    for _ in 0..rng.usize(0..6) {
        let act = ROLLOUT_KINDS[rng.usize(0..ROLLOUT_KINDS.len())](rng);
        steps.push(Step { at: millis(pushed + rng.u64(200..14_000)), act });
    }
    steps
}

/// Draws commits that come one after the other, so that some find a rollout under way.
fn queued_pushes(rng: &mut Rng) -> Vec<Step> {
    let pushed = rng.u64(2_000..45_000);
    let push = |rng: &mut Rng, at| Step { at: millis(at), act: Act::Push(content(rng)) };
    vec![push(rng, pushed), push(rng, pushed + 1_500), push(rng, pushed + 4_000)]
}

/// Draws a refusal of content that is pushed soon afterwards, and other things that happen while its rehearsal holds it.
fn refused_push(rng: &mut Rng, total: u32) -> Vec<Step> {
    let (content, refused) = (content(rng), rng.u64(1_000..40_000));
    let pushed = refused + rng.u64(100..4_000);
    let mut steps = vec![
        Step { at: millis(refused), act: Act::Refuse(one(rng), content, true) },
        Step { at: millis(pushed), act: Act::Push(content) },
    ];
    for _ in 0..rng.usize(0..4) {
        let act = KINDS[kind(rng.u32(0..total))].1(rng);
        steps.push(Step { at: millis(pushed + rng.u64(0..12_000)), act });
    }
    steps
}

/// Draws the rules of a rehearsal. Its time limit is as short as the other windows of a history.
fn rehearsal(rng: &mut Rng) -> RehearsalRules {
    let (mode, min_prepared) = match rng.u8(0..10) {
        0 => (RehearsalMode::Off, 100),
        1 => (RehearsalMode::Require, 100),
        2 => (RehearsalMode::Require, 50),
        _ => (RehearsalMode::BestEffort, 100),
    };
    RehearsalRules { mode, within: millis([50, 300, 2_000][rng.usize(0..3)]), min_prepared }
}

impl PodPlan {
    /// One process of the current version, and nothing beside it.
    pub const PLAIN: Self = Self {
        labelled: false,
        second: false,
        cache: false,
        sidecar: false,
        mute: false,
        direct: false,
        unprepared: false,
        client: Client::Current,
    };

    fn draw(rng: &mut Rng) -> Self {
        let one_of = |rng: &mut Rng, of: u8| rng.u8(0..of) == 0;
        let direct = one_of(rng, 4);
        Self {
            labelled: !one_of(rng, 4),
            second: one_of(rng, 4),
            cache: one_of(rng, 3),
            sidecar: one_of(rng, 6),
            // A direct source is given above all to who can't reach the operator.
            mute: one_of(rng, if direct { 4 } else { 12 }),
            direct,
            unprepared: one_of(rng, 8),
            client: match rng.u8(0..12) {
                0 | 1 => Client::Older,
                2 => Client::Newer,
                _ => Client::Current,
            },
        }
    }
}

impl Step {
    fn draw(rng: &mut Rng, kinds: &[usize]) -> Self {
        let kind = if rng.u8(0..4) == 0 { 0 } else { kinds[rng.usize(0..kinds.len())] };
        Self { at: millis(rng.u64(0..60_000)), act: KINDS[kind].1(rng) }
    }
}

/// Returns the kind that a number among the sum of all weights stands for.
fn kind(mut chosen: u32) -> usize {
    let found = KINDS.iter().position(|(weight, _)| {
        let here = chosen < *weight;
        chosen = chosen.saturating_sub(*weight);
        here
    });
    found.unwrap_or(0)
}

fn one(rng: &mut Rng) -> usize {
    rng.usize(0..64)
}

fn content(rng: &mut Rng) -> u8 {
    rng.u8(0..3)
}

/// Draws a while, or until the last fault has ended.
fn long(rng: &mut Rng) -> u64 {
    if rng.bool() { rng.u64(1_000..20_000) } else { FOR_GOOD }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
