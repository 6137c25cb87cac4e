//! The script of a history: the parts at its beginning and the acts, drawn from a seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// The time in milliseconds within which acts begin. Acts that are then still under way are undone after it.
const LENGTH: u64 = 13_000;

/// A history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryScript {
    pub(crate) processes: usize,
    pub(crate) operators: usize,
    /// The steps in order of time.
    pub(crate) steps: Vec<Step>,
}

/// An act and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) act: Act,
}

/// One of two operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Leader,
    Other,
}

/// The faults of the network between two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkFault {
    /// Connections are closed, and new ones are refused.
    Cut,
    /// Connections stay open, and no byte passes.
    Frozen,
    /// Connections stay open, and only new ones work.
    Stranded,
    /// Every piece is delayed by this number of milliseconds.
    Slow(u64),
}

/// An act from outside of the system. A `usize` chooses one of the services; the last `u64` is the duration in
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A commit with this content.
    Push(u8),
    /// A commit that changes nothing in the workspace.
    PushReadme,
    /// A commit that lint refuses.
    PushRefused,
    /// The repository is unreachable.
    HideRepository(u64),
    /// A network fault between an operator and the API server.
    OperatorNetworkFault(Which, NetworkFault, u64),
    /// A network fault between all processes and an operator.
    ReportsNetworkFault(Which, NetworkFault, u64),
    /// A network fault between a process and the API server.
    ProcessNetworkFault(usize, NetworkFault, u64),
    /// An operator gets SIGKILL, and is started again later.
    KillOperator(Which, u64),
    /// An operator gets SIGTERM, and is started again later.
    EndOperator(Which, u64),
    /// An operator gets SIGSTOP, and SIGCONT later.
    StopOperator(Which, u64),
    /// A process gets SIGSTOP, and SIGCONT later.
    StopProcess(usize, u64),
    /// A process gets SIGKILL, and is started again in the same pod. The flag says whether the kubelet reports the end
    /// at once.
    KillProcess(usize, bool, u64),
    /// A process gets SIGTERM, and is started again in the same pod.
    EndProcess(usize, u64),
    /// A process starts in a new pod.
    StartPod,
    /// A process gets SIGTERM, then its pod is deleted as a kubelet does.
    DeletePod(usize),
    /// The deletion of a pod begins. Its process keeps running for this time, and is killed then.
    TerminatePod(usize, u64),
    /// The object of a pod is deleted by force, and its process keeps running.
    LosePod(usize),
    /// Somebody writes other content into the marker, under a later name (true) or an earlier one, and undoes it after
    /// a time, or not.
    EditMarker(bool, Option<u64>),
    /// Somebody removes the marker.
    RemoveMarker,
    /// The API server crashes and is started again. The flag says whether etcd is compacted in between.
    RestartApiServer(bool),
    /// Somebody writes a status that claims convergence.
    ForgeStatus,
}

const KINDS: u8 = 22;

impl HistoryScript {
    /// Draws the script of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (processes, operators) = (rng.usize(3..=6), rng.usize(1..=2));
        let mut steps = Vec::new();
        let mut content = 0;
        for fault in 0..rng.usize(2..=6) {
            let at = if fault == 0 { rng.u64(300..1500) } else { rng.u64(1500..LENGTH) };
            // The first fault meets a publish in flight, and so do about half of the later ones.
            if fault == 0 || rng.bool() {
                content = (content + rng.u8(1..4)) % 4;
                steps.push(Step { at: millis(at), act: Act::Push(content) });
            }
            steps.push(Step { at: millis(at + rng.u64(0..300)), act: Act::draw(&mut rng) });
        }
        steps.sort_by_key(|step| step.at);
        Self { processes, operators, steps }
    }

    /// Returns whether a process ends in a way that the operator may not see.
    pub(crate) fn ends_processes(&self) -> bool {
        let ends = |act: &Act| {
            use Act::{DeletePod, EndProcess, KillProcess, LosePod, TerminatePod};
            matches!(act, KillProcess(..) | EndProcess(..) | DeletePod(..) | TerminatePod(..) | LosePod(..))
        };
        self.steps.iter().any(|step| ends(&step.act))
    }

    /// Returns whether somebody other than the operator writes the marker.
    pub(crate) fn tampers(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.act, Act::EditMarker(..) | Act::RemoveMarker))
    }
}

impl Act {
    fn draw(rng: &mut Rng) -> Self {
        let (one, which) = (rng.usize(0..64), if rng.u8(0..4) == 0 { Which::Other } else { Which::Leader });
        let for_long = if rng.bool() { rng.u64(300..2500) } else { rng.u64(2500..6000) };
        match rng.u8(0..KINDS) {
            0 => Self::PushReadme,
            1 => Self::PushRefused,
            2 => Self::HideRepository(for_long),
            3 | 4 => Self::OperatorNetworkFault(which, NetworkFault::draw(rng), for_long),
            5 => Self::ReportsNetworkFault(which, NetworkFault::draw(rng), for_long),
            6 => Self::ProcessNetworkFault(one, NetworkFault::draw(rng), for_long),
            7 => Self::KillOperator(which, for_long),
            8 => Self::EndOperator(which, for_long),
            9 | 10 => Self::StopOperator(which, for_long),
            11 => Self::StopProcess(one, for_long),
            12 => Self::KillProcess(one, rng.bool(), for_long),
            13 => Self::EndProcess(one, for_long),
            14 => Self::StartPod,
            15 => Self::DeletePod(one),
            16 => {
                if rng.bool() {
                    Self::TerminatePod(one, for_long)
                } else {
                    Self::LosePod(one)
                }
            }
            17 => Self::EditMarker(rng.u8(0..3) != 0, rng.bool().then_some(for_long / 3)),
            18 => {
                if rng.bool() {
                    Self::RemoveMarker
                } else {
                    Self::ForgeStatus
                }
            }
            19 => Self::RestartApiServer(rng.bool()),
            // A process that is stopped during a change is the simplest way to a false claim.
            _ => Self::StopProcess(one, for_long),
        }
    }

    /// Returns the kind under which it is counted.
    pub(crate) fn kind(self) -> String {
        let text = format!("{self:?}");
        let name = text.split('(').next().unwrap_or_default().to_owned();
        match self {
            Self::OperatorNetworkFault(_, network_fault, _)
            | Self::ReportsNetworkFault(_, network_fault, _)
            | Self::ProcessNetworkFault(_, network_fault, _) => format!("{name}/{}", network_fault.kind()),
            Self::RestartApiServer(true) => format!("{name}/compacted"),
            _ => name,
        }
    }

    /// Returns whether it is a fault, and not normal operation.
    pub(crate) fn is_fault(self) -> bool {
        !matches!(self, Self::Push(_))
    }
}

impl NetworkFault {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(0..4) {
            0 => Self::Cut,
            1 => Self::Frozen,
            2 => Self::Stranded,
            _ => Self::Slow(rng.u64(20..400)),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Frozen => "frozen",
            Self::Stranded => "stranded",
            Self::Slow(_) => "slow",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {:?}", self.at.as_millis(), self.act)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
