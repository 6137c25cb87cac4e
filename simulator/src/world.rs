//! The world that the pure parts live in: an API server, a git host, pods with their processes, operators, and messages
//! between them that take time, get lost, and overtake each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::fleet::{Report, ReportResponse};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::plan::MarkerEntry;

use crate::operator::Operator;
use crate::pods::{PodObject, PodTruth};
use crate::process::Process;
use crate::script::{Act, HistoryScript};
use crate::violation::{Invariant, InvariantViolation};

/// The heartbeat of the simulated fleets: short, so that histories are.
pub const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
/// When the last fault has ended, whatever it was.
pub const QUIET_AT: Duration = Duration::from_secs(70);
/// When everything must have come to rest: after the longest window.
pub const END_AT: Duration = Duration::from_secs(70 + 90);

/// All that there is.
pub struct World {
    pub now: Moment,
    pub rng: Rng,
    queue: BinaryHeap<Reverse<Queued>>,
    queued: u64,
    pub network_faults: u32,
    pub api: Api,
    pub git: Git,
    pub operators: Vec<Operator>,
    /// Who holds the lease, and its term.
    pub lease: Option<usize>,
    pub terms: u64,
    pub pods: Vec<PodTruth>,
    pub processes: Vec<Process>,
    pub faults: Faults,
    pub violation: Option<InvariantViolation>,
    /// Whether anybody has left, in whatever way, or the operator has not heard it all.
    pub somebody_left: bool,
    /// What happens, step by step, if somebody wants to read it.
    pub trace: Option<Vec<String>>,
    /// How often a claim was made.
    pub claims: u64,
    pub events: u64,
}

/// What is out of order at the moment.
#[derive(Default)]
pub struct Faults {
    /// The operator that leads can't reach the API server until then.
    pub operator_cut: Moment,
    pub stale_pods: Moment,
    pub stale_map: Moment,
    /// The answer to the next patch gets lost, and the patch arrives so late.
    pub lose_answer: Option<Duration>,
    pub busy: Moment,
}

/// The API server: the map of markers, and the object.
pub struct Api {
    pub map_version: u64,
    pub marker: MarkerEntry,
    /// The marker before somebody edited it.
    pub before_edit: Option<MarkerEntry>,
    /// The last name that somebody could know.
    pub last_name: Option<UpdatedAt>,
    /// Every publish of an operator, in order.
    pub names: Vec<Publish>,
    /// Whether anybody but an operator has written the marker.
    pub edited: bool,
    pub status_version: u64,
    pub status: Option<Claim>,
}

/// The status of the object, as far as it claims anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub published: Option<Publish>,
    pub converged: bool,
    /// The figure of each publish, the newest first.
    pub history: Vec<(UpdatedAt, Option<u64>)>,
    /// How many processes it counts.
    pub counted: usize,
    /// Which ones: known to the world, not to the operator.
    pub members: Vec<usize>,
    /// The operator's wall clock.
    pub as_of: Timestamp,
}

/// The git host.
pub struct Git {
    pub commit: u64,
    pub content: u8,
    /// How often its content changed.
    pub changes: u64,
}

/// Something that happens at its time.
#[derive(Debug)]
pub enum WorldEvent {
    Act(Act),
    Quiet,
    /// A report arrives at the operators' Service.
    Report {
        process: usize,
        handle: u64,
        report: Box<Report>,
    },
    /// The answer arrives, or the time-out.
    Answer {
        process: usize,
        handle: u64,
        answer: Option<Box<ReportResponse>>,
    },
    /// The watch of a process shows what the map is.
    Watch {
        process: usize,
    },
    /// A list that a process asked for arrives.
    List {
        process: usize,
    },
    Fetched {
        process: usize,
        handle: u64,
        fingerprint: Fingerprint,
        work: u64,
        arrived: bool,
    },
    Timer {
        process: usize,
        handle: u64,
        armed: u64,
    },
    /// A process ends by itself, or by its kubelet.
    Die {
        process: usize,
    },
    /// A container starts anew.
    Restart {
        pod: usize,
    },
    /// The operator's watch brings a pod, or a list of all.
    PodSeen {
        operator: usize,
        life: u64,
        pod: usize,
        facts: Box<PodObject>,
    },
    MapSeen {
        operator: usize,
        life: u64,
    },
    Reconcile {
        operator: usize,
        life: u64,
        armed: u64,
    },
    PollEnded {
        operator: usize,
        life: u64,
        began: Moment,
        commit: u64,
        content: u8,
    },
    /// A patch of the marker arrives at the API server.
    Patch {
        operator: usize,
        life: u64,
        version: Option<u64>,
        publish: Publish,
        answered: bool,
    },
    PatchAnswer {
        operator: usize,
        life: u64,
        accepted: Option<bool>,
    },
    StatusPatch {
        operator: usize,
        life: u64,
        version: u64,
        claim: Box<Claim>,
    },
    StatusAnswer {
        operator: usize,
        life: u64,
        claim: Option<Box<(u64, Claim)>>,
    },
    Start {
        operator: usize,
    },
    GiveLease {
        operator: usize,
    },
}

struct Queued(Moment, u64, WorldEvent);

impl Claim {
    /// The last name that it knows of.
    pub fn last_name(&self) -> Option<UpdatedAt> {
        self.history.iter().map(|(name, _)| *name).chain(self.published.map(|publish| publish.updated_at)).max()
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl World {
    /// The world in which `script` begins.
    pub fn new(script: &HistoryScript, seed: u64) -> Self {
        let api = Api {
            map_version: 1,
            marker: MarkerEntry::Nothing,
            before_edit: None,
            last_name: None,
            names: Vec::new(),
            edited: false,
            status_version: 1,
            status: None,
        };
        let mut world = Self {
            now: Duration::from_secs(1),
            rng: Rng::with_seed(seed ^ 0x5eed),
            queue: BinaryHeap::new(),
            queued: 0,
            network_faults: script.network_faults,
            api,
            git: Git { commit: 1, content: 0, changes: 1 },
            operators: vec![Operator::new(), Operator::new()],
            lease: None,
            terms: 0,
            pods: Vec::new(),
            processes: Vec::new(),
            faults: Faults::default(),
            violation: None,
            somebody_left: false,
            trace: None,
            claims: 0,
            events: 0,
        };
        for plan in &script.pods {
            world.create_pod(*plan);
        }
        for _ in 0..script.unbound {
            world.start_process(None, false);
        }
        for operator in 0..2 {
            world.after(Duration::ZERO, WorldEvent::Start { operator });
        }
        world.after(Duration::from_millis(10), WorldEvent::GiveLease { operator: 0 });
        for step in &script.steps {
            let at = step.at + Duration::from_secs(8);
            world.at(at, WorldEvent::Act(step.act));
        }
        world.at(QUIET_AT, WorldEvent::Quiet);
        world
    }

    pub fn at(&mut self, at: Moment, event: WorldEvent) {
        self.queued += 1;
        self.queue.push(Reverse(Queued(at.max(self.now), self.queued, event)));
    }

    pub fn after(&mut self, delay: Duration, event: WorldEvent) {
        self.at(self.now + delay, event);
    }

    /// The time that a message takes.
    pub fn delay(&mut self) -> Duration {
        let late = self.network_faults > 0 && self.rng.u32(0..100) < self.network_faults && self.now < QUIET_AT;
        Duration::from_millis(if late { self.rng.u64(50..4_000) } else { self.rng.u64(1..30) })
    }

    /// Whether a message gets lost.
    pub fn is_lost(&mut self) -> bool {
        self.network_faults > 0 && self.now < QUIET_AT && self.rng.u32(0..100) < self.network_faults / 2
    }

    /// The wall clock that all agree on.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(self.now.as_millis()).unwrap_or(0))
            .unwrap_or_default()
    }

    /// Lets the history happen until it is over or an invariant is broken.
    pub fn run(&mut self) {
        while self.violation.is_none()
            && let Some(Reverse(Queued(at, _, event))) = self.queue.pop()
        {
            if at > END_AT {
                break;
            }
            self.now = at;
            self.events += 1;
            self.handle(event);
        }
        if self.violation.is_none() {
            self.check_rest();
        }
    }

    /// Notes what happens, unless it is what was noted last.
    pub fn log(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            let what = what();
            if trace.last().is_none_or(|last| !last.ends_with(&what)) {
                trace.push(format!("{:>7} ms  {what}", now.as_millis().saturating_sub(8_000)));
            }
        }
    }

    pub fn breaks(&mut self, invariant: Invariant, what: String) {
        if self.violation.is_none() {
            self.violation = Some(InvariantViolation { invariant, at: self.now, what });
        }
    }

    fn handle(&mut self, event: WorldEvent) {
        if let WorldEvent::Act(act) = &event {
            self.log(|| format!("--- {act:?}"));
        }
        match event {
            WorldEvent::Act(act) => self.act(act),
            WorldEvent::Quiet => self.quiet(),
            WorldEvent::Report { process, handle, report } => self.report_arrives(process, handle, &report),
            WorldEvent::Answer { process, handle, answer } => self.answer_arrives(process, handle, answer),
            WorldEvent::Watch { process } => self.watch_shows(process, false),
            WorldEvent::List { process } => self.watch_shows(process, true),
            WorldEvent::Fetched { process, handle, fingerprint, work, arrived } => {
                self.fetched(process, handle, fingerprint, work, arrived);
            }
            WorldEvent::Timer { process, handle, armed } => self.timer(process, handle, armed),
            WorldEvent::Die { process } => self.die(process),
            WorldEvent::Restart { pod } => self.restart_container(pod),
            WorldEvent::PodSeen { operator, life, pod, facts } => self.pod_seen(operator, life, pod, &facts),
            WorldEvent::MapSeen { operator, life } => self.map_seen(operator, life),
            WorldEvent::Reconcile { operator, life, armed } => self.reconcile_due(operator, life, armed),
            WorldEvent::PollEnded { operator, life, began, commit, content } => {
                self.poll_ended(operator, life, began, commit, content);
            }
            WorldEvent::Patch { operator, life, version, publish, answered } => {
                self.patch_arrives(operator, life, version, publish, answered);
            }
            WorldEvent::PatchAnswer { operator, life, accepted } => self.patch_answered(operator, life, accepted),
            WorldEvent::StatusPatch { operator, life, version, claim } => {
                self.status_arrives(operator, life, version, *claim)
            }
            WorldEvent::StatusAnswer { operator, life, claim } => {
                self.status_answered(operator, life, claim.map(|claim| *claim))
            }
            WorldEvent::Start { operator } => self.start_operator(operator),
            WorldEvent::GiveLease { operator } => self.give_lease(operator),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Push(content) => {
                self.git.changes += u64::from(self.git.content != content);
                self.git.content = content;
                self.pushed();
            }
            Act::PushReadme => self.pushed(),
            Act::RestartOperator(millis) => {
                if let Some(operator) = self.lease {
                    self.stop_operator(operator);
                    self.after(Duration::from_millis(millis), WorldEvent::Start { operator });
                    self.after(Duration::from_millis(millis + 20), WorldEvent::GiveLease { operator });
                }
            }
            Act::ChangeLeader => {
                if let Some(operator) = self.lease {
                    self.take_lease_away();
                    let gap = Duration::from_millis(self.rng.u64(100..4_000));
                    self.after(gap, WorldEvent::GiveLease { operator: 1 - operator });
                }
            }
            Act::CutOperator(millis) => self.faults.operator_cut = self.now + Duration::from_millis(millis),
            Act::Stop(one, millis) => self.stop_process(one, Duration::from_millis(millis)),
            Act::Kill(one) => {
                if let Some(process) = self.living(one) {
                    self.die(process);
                }
            }
            Act::StartProcess(one) => {
                if let Some(pod) = self.running_pod(one) {
                    let cache = self.pods[pod].plan.cache;
                    self.start_process(Some(pod), cache);
                }
            }
            Act::OpenHandle(one) => {
                if let Some(process) = self.living(one) {
                    self.open_handle(process);
                }
            }
            Act::CloseHandle(one) => {
                if let Some(process) = self.living(one) {
                    self.close_handle(process);
                }
            }
            Act::CreatePod(plan) => {
                self.create_pod(plan);
            }
            Act::DeletePod(one) => self.delete_pod(one),
            Act::LoseNode(one) => self.lose_node(one),
            Act::Unlabel(one) => self.unlabel(one),
            Act::EditMarker(content, later) => self.edit_marker(content, later),
            Act::UndoEdit => {
                if let Some(before) = self.api.before_edit.take() {
                    self.write_marker_by_hand(before);
                }
            }
            Act::RemoveMarker => {
                self.api.before_edit = Some(self.api.marker);
                self.write_marker_by_hand(MarkerEntry::Nothing);
            }
            Act::Refuse(one, content, refuses) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].refuses[usize::from(content)] = refuses;
                }
            }
            Act::CutFromOperator(one, millis) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].cut_from_operator = self.now + Duration::from_millis(millis);
                }
            }
            Act::DeafWatch(one, millis) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].deaf_watch = self.now + Duration::from_millis(millis);
                }
            }
            Act::StalePods(millis) => self.faults.stale_pods = self.now + Duration::from_millis(millis),
            Act::StaleMap(millis) => self.faults.stale_map = self.now + Duration::from_millis(millis),
            Act::LoseAnswer(millis) => self.faults.lose_answer = Some(Duration::from_millis(millis)),
            Act::Clock(millis) => {
                for operator in &mut self.operators {
                    operator.clock_offset += millis;
                }
            }
            Act::ForgeStatus => self.forge_status(),
            Act::Busy(millis) => self.faults.busy = self.now + Duration::from_millis(millis),
        }
    }

    /// The last fault has ended: everybody can reach everybody, and whoever hung wakes up.
    fn quiet(&mut self) {
        self.faults = Faults::default();
        for process in 0..self.processes.len() {
            self.heal_process(process);
        }
        if self.lease.is_none() {
            let operator = (0..2).find(|operator| self.operators[*operator].alive).unwrap_or(0);
            self.after(Duration::from_millis(100), WorldEvent::Start { operator });
            self.after(Duration::from_millis(200), WorldEvent::GiveLease { operator });
        }
        self.relist_pods();
        self.requeue_all_operators();
    }
}

/// The fingerprint of a content.
pub fn content(number: u8) -> Fingerprint {
    let digit = char::from(b'a' + number % 6);
    // 64 hexadecimal digits always parse.
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap_or_else(|_| unreachable!("a fingerprint"))
}

/// The number of a content.
pub fn number(fingerprint: Fingerprint) -> u8 {
    (0..6).find(|one| content(*one) == fingerprint).unwrap_or(0)
}
