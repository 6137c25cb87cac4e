//! A history before it happens: what there is in the beginning, and what is done to it, drawn from a seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// The longest time of an act. Whatever is left of it is undone afterwards.
const LENGTH: u64 = 13_000;

/// A history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryScript {
    pub(crate) processes: usize,
    pub(crate) operators: usize,
    /// In order of time.
    pub(crate) steps: Vec<Step>,
}

/// Something that is done at one time.
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
    /// Connections end, and new ones are refused.
    Cut,
    /// Connections stay, and nothing goes through.
    Frozen,
    /// Connections stay, and only new ones work.
    Stranded,
    /// Everything comes so many milliseconds later.
    Slow(u64),
}

/// Something that happens to the system from outside. Numbers choose among what there is; the last one is how many
/// milliseconds it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A commit with this content.
    Push(u8),
    /// A commit that changes nothing in the workspace.
    PushReadme,
    /// A commit that lint refuses.
    PushRefused,
    /// The repository is away.
    HideRepository(u64),
    /// The way from an operator to the API server.
    OperatorNetworkFault(Which, NetworkFault, u64),
    /// The way from all processes to an operator.
    ReportsNetworkFault(Which, NetworkFault, u64),
    /// The way from a process to the API server.
    ProcessNetworkFault(usize, NetworkFault, u64),
    /// SIGKILL, and it is started again later.
    KillOperator(Which, u64),
    /// SIGTERM, and it is started again later.
    EndOperator(Which, u64),
    /// SIGSTOP, and SIGCONT later.
    StopOperator(Which, u64),
    /// SIGSTOP, and SIGCONT later.
    StopProcess(usize, u64),
    /// SIGKILL, and it is started again in the same pod. The kubelet says so, or is late.
    KillProcess(usize, bool, u64),
    /// SIGTERM, and it is started again in the same pod.
    EndProcess(usize, u64),
    /// A new pod with a process.
    StartPod,
    /// A process is told to end, then its pod is deleted as a kubelet does.
    DeletePod(usize),
    /// A pod is told to go, and its process works on for so long and is killed then.
    TerminatePod(usize, u64),
    /// A pod's object is removed by force, and its process works on.
    LosePod(usize),
    /// Somebody writes another content into the marker, under a later name or an earlier one, and undoes it.
    EditMarker(bool, Option<u64>),
    /// Somebody removes the marker.
    RemoveMarker,
    /// The API server crashes and is started again; etcd has forgotten the past meanwhile, or not.
    RestartApiServer(bool),
    /// Somebody writes a status that says that all is well.
    ForgeStatus,
}

const KINDS: u8 = 22;

impl HistoryScript {
    /// The history of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (processes, operators) = (rng.usize(3..=6), rng.usize(1..=2));
        let mut steps = Vec::new();
        let mut content = 0;
        for fault in 0..rng.usize(2..=6) {
            let at = if fault == 0 { rng.u64(300..1500) } else { rng.u64(1500..LENGTH) };
            // The first one meets a publish that is on its way, and so does every other one later.
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

    /// Returns whether somebody else than the operator writes the marker.
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
            // A process that stands still while a change goes by is the plainest way to a false claim.
            _ => Self::StopProcess(one, for_long),
        }
    }

    /// The kind under which it is counted.
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
