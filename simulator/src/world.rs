//! The world that the pure parts live in: an API server, a git host, pods with their processes, operators, and messages
//! between them that take time, get lost, and overtake each other.
//!
//! [`World`] is one state, and its methods stand in the files of their subjects: `event`, `operator`, `pods`, `process`,
//! `rollouts`, `violation`, and `requests`. They import this file for [`World`], and it imports them for the types of its fields. The circle stays: without
//! it, one file would hold the types of all parts, and their private fields would be open to every method.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::{Moment, RehearsalMode, RehearsalRules};
use rototo_protocol::plan::MarkerEntry;

use crate::event::{Event, Queue};
use crate::operator::Operator;
use crate::pods::PodTruth;
use crate::process::Process;
use crate::requests::Requests;
use crate::rollouts::TakenBack;
use crate::script::HistoryScript;
use crate::violation::{Invariant, InvariantViolation};

/// The heartbeat of the simulated fleets: short, so that histories are.
pub const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
/// When the last fault has ended, whatever it was.
pub const QUIET_AT: Duration = Duration::from_secs(70);
/// When everything must have come to rest: after the longest window.
pub const END_AT: Duration = Duration::from_secs(70 + 90);

/// The state of a simulated history.
pub struct World {
    pub now: Moment,
    pub rng: Rng,
    queue: Queue,
    pub network_faults: u32,
    rehearsal: RehearsalRules,
    /// Newer content waits for the end of a rollout.
    pub queues: bool,
    pub api: Api,
    pub git: Git,
    pub operators: Vec<Operator>,
    /// The holder of the lease, and its term.
    pub lease: Option<usize>,
    pub terms: u64,
    /// The number of records that operators have begun.
    pub records: u64,
    pub pods: Vec<PodTruth>,
    pub processes: Vec<Process>,
    pub faults: Faults,
    pub violation: Option<InvariantViolation>,
    /// True if the operators' wall clocks have jumped.
    pub clock_jumped: bool,
    /// When something was done last, other than to operators.
    pub disturbed: Moment,
    /// When something was done last, to whomever.
    pub acted: Moment,
    /// Until then a write of the status may be late, or was.
    pub status_disturbed: Moment,
    /// True if a process has left, in whatever way, or a report did not reach the operator.
    pub somebody_left: bool,
    /// The steps of the history, if they are to be printed.
    pub trace: Option<Vec<String>>,
    /// The number of claims.
    pub claims: u64,
    pub events: u64,
}

/// The faults of the moment.
#[derive(Default)]
pub struct Faults {
    /// The operator that leads can't reach the API server until then.
    pub operator_cut: Moment,
    pub stale_pods: Moment,
    pub stale_map: Moment,
    /// The API server answers no process until then.
    pub api_away: Moment,
    pub git_away: Moment,
    /// No operator runs until then.
    pub operators_down: Moment,
    /// The next write of the status arrives so late.
    pub late_status: Option<Duration>,
    /// The answer to the next patch gets lost, and the patch arrives so late.
    pub lose_answer: Option<Duration>,
    pub busy: Moment,
}

/// The API server: the map of markers, and the object.
pub struct Api {
    pub map_version: u64,
    pub marker: MarkerEntry,
    pub marker_since: Moment,
    /// The marker before somebody edited it.
    pub before_edit: Option<MarkerEntry>,
    /// The last name that somebody could know.
    pub last_name: Option<UpdatedAt>,
    /// The last name under which an operator has announced a publish.
    pub last_announced: Option<UpdatedAt>,
    /// Since when the marker announces what it announces.
    pub announced_since: Moment,
    /// True if somebody else than an operator has changed the announcement.
    pub announcement_edited: bool,
    /// True if somebody else than an operator has written a stage.
    pub stage_edited: bool,
    /// Every publish that the marker has named, whoever wrote it.
    pub published: BTreeSet<Publish>,
    /// The highest threshold of a stage under which the marker has announced each publish, whoever wrote it.
    pub staged: BTreeMap<Publish, u64>,
    /// When the marker came to name the stage that it names.
    pub stage_since: Moment,
    /// The contents that were taken back, and that nothing has released since.
    pub taken_back: BTreeMap<Fingerprint, TakenBack>,
    /// The requests of people.
    pub requests: Requests,
    /// The contents that a person has published whatever processes report about them.
    pub anyway: [bool; 3],
    /// Every publish of an operator, in order.
    pub names: Vec<Publish>,
    /// True if somebody else than an operator has written the marker.
    pub edited: bool,
    /// True if an operator has put the marker back because of a process that stayed in a stage, or of a namesake.
    pub taken_for_an_edit: bool,
    /// True if an operator has written the marker that did not lead any more.
    pub written_late: bool,
    /// The UID of the workspace, as long as there is one.
    pub workspace: Option<u64>,
    /// When it was created.
    pub workspace_since: Moment,
    /// The number of workspaces so far, all of one name.
    pub workspaces: u64,
    /// The version of the workspace and its status.
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
    /// The number of processes that it counts.
    pub counted: usize,
    /// The processes that it counts: known to the world, not to the operator.
    pub members: Vec<usize>,
    /// The operator's wall clock.
    pub as_of: Timestamp,
}

/// The git host.
pub struct Git {
    /// Since when it has its content.
    pub since: Moment,
    pub commit: u64,
    pub content: u8,
    /// The number of changes of its content.
    pub changes: u64,
}

impl Claim {
    /// Returns whether another claim says the same, at whatever time.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |claim: &Self| (claim.published, claim.converged, claim.counted);
        said(self) == said(other) && self.history == other.history
    }

    /// The last name that it knows of.
    pub fn last_name(&self) -> Option<UpdatedAt> {
        self.history.iter().map(|(name, _)| *name).chain(self.published.map(|publish| publish.updated_at)).max()
    }
}

impl World {
    /// The world in which `script` begins.
    pub fn new(script: &HistoryScript, seed: u64) -> Self {
        let api = Api {
            map_version: 1,
            marker: MarkerEntry::Nothing,
            marker_since: Moment::ZERO,
            before_edit: None,
            last_name: None,
            last_announced: None,
            announced_since: Moment::ZERO,
            announcement_edited: false,
            stage_edited: false,
            published: BTreeSet::new(),
            staged: BTreeMap::new(),
            stage_since: Moment::ZERO,
            taken_back: BTreeMap::new(),
            requests: Requests { steps: script.rollout, ..Requests::default() },
            anyway: [false; 3],
            names: Vec::new(),
            edited: false,
            taken_for_an_edit: false,
            written_late: false,
            workspace: Some(1),
            workspace_since: Moment::ZERO,
            workspaces: 1,
            status_version: 1,
            status: None,
        };
        let mut world = Self {
            now: Duration::from_secs(1),
            rng: Rng::with_seed(seed ^ 0x5eed),
            queue: Queue::default(),
            network_faults: script.network_faults,
            rehearsal: script.rehearsal,
            queues: script.queues,
            api,
            git: Git { since: Moment::ZERO, commit: 1, content: 0, changes: 1 },
            operators: vec![Operator::new(), Operator::new()],
            lease: None,
            terms: 0,
            records: 0,
            pods: Vec::new(),
            processes: Vec::new(),
            faults: Faults::default(),
            violation: None,
            clock_jumped: false,
            disturbed: Moment::ZERO,
            acted: Moment::ZERO,
            status_disturbed: Moment::ZERO,
            somebody_left: false,
            trace: None,
            claims: 0,
            events: 0,
        };
        for plan in &script.pods {
            world.create_pod(*plan);
        }
        for _ in 0..script.unbound {
            world.start_process(None);
        }
        for operator in 0..2 {
            world.after(Duration::ZERO, Event::Start { operator });
        }
        world.after(Duration::from_millis(10), Event::GiveLease { operator: 0 });
        for step in &script.steps {
            let at = step.at + Duration::from_secs(8);
            world.at(at, Event::Act(step.act));
        }
        world.at(QUIET_AT, Event::Quiet);
        world
    }

    pub fn at(&mut self, at: Moment, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The time that a message takes.
    pub fn delay(&mut self) -> Duration {
        let late = self.network_faults > 0 && self.rng.u32(0..100) < self.network_faults && self.now < QUIET_AT;
        Duration::from_millis(if late { self.rng.u64(50..4_000) } else { self.rng.u64(1..30) })
    }

    /// Decides whether a message gets lost.
    pub fn is_lost(&mut self) -> bool {
        self.network_faults > 0 && self.now < QUIET_AT && self.rng.u32(0..100) < self.network_faults / 2
    }

    /// Returns whether a person has this content published whatever processes report about it.
    pub fn is_anyway(&self, content: Option<u8>) -> bool {
        content.is_some_and(|content| self.api.anyway[usize::from(content % 3)])
    }

    /// The rules by which this content is rehearsed: not at all, where a person has it published.
    pub fn rules_of(&self, content: Option<u8>) -> RehearsalRules {
        let anyway = self.is_anyway(content);
        RehearsalRules { mode: if anyway { RehearsalMode::Off } else { self.rehearsal.mode }, ..self.rehearsal }
    }

    /// The wall clock that all agree on.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(self.now.as_millis()).unwrap_or(0))
            .unwrap_or_default()
    }

    /// Lets the history happen until it is over or an invariant is broken.
    pub fn run(&mut self) {
        while self.violation.is_none()
            && let Some((at, event)) = self.queue.pop()
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

    fn handle(&mut self, event: Event) {
        if let Event::Act(act) = &event {
            self.log(|| format!("--- {act}"));
        }
        match event {
            Event::Act(act) => self.act(act),
            Event::Quiet => self.quiet(),
            Event::Report { process, handle, report } => self.report_arrives(process, handle, &report),
            Event::Answer { process, handle, answer } => self.answer_arrives(process, handle, answer),
            Event::Watch { process } => self.watch_shows(process, false),
            Event::List { process } => self.watch_shows(process, true),
            Event::Fetched { process, handle, fingerprint, work, had } => {
                self.fetched(process, handle, fingerprint, work, had);
            }
            Event::Timer { process, handle, armed } => self.timer(process, handle, armed),
            Event::Die { process } => self.die(process),
            Event::Restart { pod } => self.restart_container(pod),
            Event::PodSeen { operator, life, pod, facts } => self.pod_seen(operator, life, pod, &facts),
            Event::MapSeen { operator, life } => self.map_seen(operator, life),
            Event::Reconcile { operator, life, armed } => self.reconcile_due(operator, life, armed),
            Event::PollEnded { operator, record, began, found } => self.poll_ended(operator, record, began, found),
            Event::Patch { operator, record, version, marked, answered } => {
                self.patch_arrives(operator, record, version, *marked, answered);
            }
            Event::PatchAnswer { operator, record, accepted } => self.patch_answered(operator, record, accepted),
            Event::StatusPatch { operator, record, version, claim } => {
                self.status_arrives(operator, record, version, *claim)
            }
            Event::StatusAnswer { operator, record, claim } => {
                self.status_answered(operator, record, claim.map(|claim| *claim))
            }
            Event::WorkspaceSeen { operator, life } => self.workspace_seen(operator, life),
            Event::CreateWorkspace => self.create_workspace(),
            Event::Sweep { operator, life } => self.sweep(operator, life),
            Event::SweepPatch { operator, life, version, marker, decided } => {
                self.sweep_arrives(operator, life, version, *marker, decided)
            }
            Event::Resume => self.resume(),
            Event::OperatorsBack => self.operators_back(),
            Event::Start { operator } => self.start_operator(operator),
            Event::GiveLease { operator } => self.give_lease(operator),
        }
    }
}

/// The fingerprints of all contents: every event compares some, so each is read once.
static CONTENTS: LazyLock<[Fingerprint; 6]> = LazyLock::new(|| {
    ["a", "b", "c", "d", "e", "f"].map(|digit| {
        // 64 hexadecimal digits always parse.
        format!("sha256:{}", digit.repeat(64)).parse().unwrap_or_else(|_| unreachable!("a fingerprint"))
    })
});

/// The fingerprint of a content.
pub fn content(number: u8) -> Fingerprint {
    CONTENTS[usize::from(number) % CONTENTS.len()]
}

/// The number of a content.
pub fn number(fingerprint: Fingerprint) -> u8 {
    (0..6).find(|one| content(*one) == fingerprint).unwrap_or(0)
}
