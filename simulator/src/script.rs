//! A history before it happens: the fleet that it begins with, and what is done to it, drawn from a seed.
//!
//! Each seed draws a few kinds of fault and how often they come, so that some histories are full of restarts, others of
//! edits, and others calm. Delays of messages are drawn while the history runs.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// A history.
#[derive(Clone, Debug)]
pub struct HistoryScript {
    /// The pods that there are in the beginning.
    pub pods: Vec<PodPlan>,
    /// How many processes that are bound to no pod.
    pub unbound: usize,
    /// The steps, in order of time.
    pub steps: Vec<Step>,
    /// How many messages of 100 are lost, doubled, or late.
    pub network_faults: u32,
}

/// A pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodPlan {
    /// It carries the label of the workspace.
    pub labelled: bool,
    /// It runs a second process.
    pub second: bool,
    /// Its processes keep a copy of the last content on a disk.
    pub cache: bool,
    /// It has a container beside that runs none of our processes.
    pub sidecar: bool,
    /// Its processes can't reach the operator: they have no token, or a policy is in the way.
    pub mute: bool,
}

/// Something that is done at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What.
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
}

/// The kinds of [`Act`], for drawing.
const KINDS: usize = 24;

impl HistoryScript {
    /// The history of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let pods = (0..rng.usize(1..=3)).map(|_| PodPlan::draw(&mut rng)).collect();
        let unbound = usize::from(rng.u8(0..5) == 0);
        let kinds: Vec<usize> = (0..rng.usize(2..=6)).map(|_| rng.usize(0..KINDS)).collect();
        let count = rng.usize(2..=10);
        let mut steps: Vec<Step> = (0..count).map(|_| Step::draw(&mut rng, &kinds)).collect();
        // Something has to be on its way.
        steps.push(Step { at: millis(rng.u64(0..20_000)), act: Act::Push(rng.u8(0..3)) });
        steps.sort_by_key(|step| step.at);
        let network_faults = if rng.bool() { 0 } else { rng.u32(1..=20) };
        Self { pods, unbound, steps, network_faults }
    }
}

impl PodPlan {
    fn draw(rng: &mut Rng) -> Self {
        let one_of = |rng: &mut Rng, of: u8| rng.u8(0..of) == 0;
        Self {
            labelled: !one_of(rng, 4),
            second: one_of(rng, 4),
            cache: one_of(rng, 3),
            sidecar: one_of(rng, 6),
            mute: one_of(rng, 12),
        }
    }
}

impl Step {
    fn draw(rng: &mut Rng, kinds: &[usize]) -> Self {
        let kind = if rng.u8(0..4) == 0 { 0 } else { kinds[rng.usize(0..kinds.len())] };
        Self { at: millis(rng.u64(0..60_000)), act: Act::draw(kind, rng) }
    }
}

impl Act {
    fn draw(kind: usize, rng: &mut Rng) -> Self {
        let one = rng.usize(0..64);
        let content = rng.u8(0..3);
        let short = rng.u64(1..3_000);
        let long = if rng.bool() { rng.u64(1_000..20_000) } else { 1_000_000 };
        match kind {
            0 => Self::Push(content),
            1 => Self::PushReadme,
            2 => Self::RestartOperator(short),
            3 => Self::ChangeLeader,
            4 => Self::CutOperator(rng.u64(1_000..30_000)),
            5 => Self::Stop(one, long),
            6 => Self::Kill(one),
            7 => Self::StartProcess(one),
            8 => Self::OpenHandle(one),
            9 => Self::CloseHandle(one),
            10 => Self::CreatePod(PodPlan::draw(rng)),
            11 => Self::DeletePod(one),
            12 => Self::LoseNode(one),
            13 => Self::Unlabel(one),
            14 => Self::EditMarker(content, rng.bool()),
            15 => Self::UndoEdit,
            16 => Self::RemoveMarker,
            17 => Self::Refuse(one, content, rng.u8(0..3) != 0),
            18 => Self::CutFromOperator(one, long),
            19 => Self::DeafWatch(one, long),
            20 => {
                if rng.bool() {
                    Self::StalePods(rng.u64(1_000..30_000))
                } else {
                    Self::StaleMap(rng.u64(500..10_000))
                }
            }
            21 => Self::LoseAnswer(rng.u64(0..15_000)),
            22 => {
                if rng.bool() {
                    Self::Clock(rng.i64(-100_000..100_000))
                } else {
                    Self::ForgeStatus
                }
            }
            _ => Self::Busy(rng.u64(100..15_000)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {:?}", self.at.as_millis(), self.act)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
