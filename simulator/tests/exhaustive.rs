//! Every history of a small scope: an operator, two processes in one pod each, two publishes, and one fault of each kind.
//!
//! Time passes in heartbeats. A process applies what is published when it gets to it, and its reports wait in the network
//! until they arrive, in any order. The operator is the real decision code.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use rototo_api::fleet::{ProcessState, Report};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::{
    Container, Fleet, FleetStart, Pod, PodIdentity, PodObjectState, Pods, PublishTimes, Verdict,
};
use stateright::{Checker, Model, Property};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Long enough for a recount, or for silence, before and after a publish.
const LAST: u64 = 6;
const PROCESSES: usize = 2;
const IN_FLIGHT: usize = 2;
/// Histories of so many steps.
const DEPTH: usize = 11;

/// An operator, two processes, and what is between them.
struct ModelScope;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModelWorld {
    fleet: Fleet,
    pods: Pods,
    heartbeats: u64,
    /// The publish that the marker names: 1 or 2.
    published: u8,
    processes: Vec<ModelProcess>,
    network: Vec<Message>,
    /// The number of processes that status counts.
    counted: usize,
    faults: Vec<InjectedFault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModelProcess {
    /// The publish that it runs, and when it began to.
    runs: u8,
    since: u64,
    hangs: bool,
    refuses: bool,
    sequence: u64,
    /// When it reported last.
    reported: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Message {
    process: usize,
    sequence: u64,
    state: ProcessState,
    publish: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum InjectedFault {
    Hang,
    Refuse,
    RestartOperator,
    LoseReport,
    RepeatReport,
    LoseNode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModelAct {
    Publish,
    Apply(usize),
    Report(usize),
    Deliver(usize),
    Tick,
    Fault(InjectedFault, usize),
}

fn publish(number: u8) -> Publish {
    let content: Fingerprint = format!("sha256:{}", number.to_string().repeat(64)).parse().unwrap();
    Publish { fingerprint: content, updated_at: format!("2026-11-20T18:40:0{number}.000000Z").parse().unwrap() }
}

fn identity(process: usize) -> String {
    format!("pod-{process}")
}

impl ModelWorld {
    fn now(&self) -> Duration {
        Duration::from_secs(1_000) + HEARTBEAT * u32::try_from(self.heartbeats).unwrap()
    }

    fn report(&mut self, process: usize) {
        let one = &mut self.processes[process];
        one.sequence += 1;
        one.reported = self.heartbeats;
        let (state, publish) = match one.refuses && one.runs != self.published {
            true => (ProcessState::Rejected, self.published),
            false => (ProcessState::Applied, one.runs),
        };
        self.network.push(Message { process, sequence: one.sequence, state, publish });
    }

    fn deliver(&mut self, message: &Message) {
        let published = publish(message.publish);
        let report = Report {
            process: "process".to_owned(),
            sequence: Some(message.sequence),
            started_ms_ago: Some(3_600_000),
            fingerprint: Some(published.fingerprint.to_string()),
            updated_at: Some(published.updated_at),
            state: message.state,
            ..Report::default()
        };
        let uid = identity(message.process);
        let now = self.now();
        self.fleet.report(&report, Some(PodIdentity { name: uid.clone(), uid }), now, 1.0).unwrap();
    }

    fn publish(&mut self) {
        let now = self.now();
        self.published += 1;
        let times = PublishTimes { detected: now, fetched: now, linted: now, published: now };
        let known = self.fleet.known(now);
        self.fleet.published(publish(self.published), times, known, now);
    }

    fn restart_operator(&mut self) {
        let now = self.now();
        let start = FleetStart::Known { processes: self.counted, counted_ago: Duration::ZERO };
        self.fleet = Fleet::new(start, HEARTBEAT, now);
        let mut pods = self.pods.clone();
        pods.by_uid.retain(|_, pod| pod.object_state == PodObjectState::Exists);
        self.fleet.observe(pods);
        self.fleet.adopt(publish(self.published), now);
    }

    fn lose_node(&mut self, process: usize) {
        let now = self.now();
        if let Some(pod) = self.pods.by_uid.get_mut(identity(process).as_str()) {
            Arc::make_mut(pod).object_state = PodObjectState::Vanished { seen: now };
        }
        self.processes[process].hangs = true;
        self.fleet.observe(self.pods.clone());
    }

    /// Returns whether a claim of convergence would be false: a process runs something else, for longer than the window.
    fn has_a_stranger(&self) -> bool {
        self.processes.iter().any(|process| process.runs != self.published)
    }

    fn verdict(&self) -> Verdict {
        self.fleet.clone().view(self.now()).verdict
    }
}

impl Model for ModelScope {
    type State = ModelWorld;
    type Action = ModelAct;

    fn init_states(&self) -> Vec<ModelWorld> {
        let container = Container { name: "app".to_owned(), running: true, expected: true, ended: None };
        let pod = |process| {
            let (name, containers) = (identity(process), vec![container.clone()]);
            Pod {
                name,
                selected: true,
                terminating: false,
                seen_running: None,
                containers,
                passing: Vec::new(),
                object_state: PodObjectState::Exists,
            }
        };
        let by_uid = (0..PROCESSES).map(|process| (identity(process).into(), pod(process).into())).collect();
        let start = Duration::from_secs(1_000);
        let process = ModelProcess { runs: 1, since: 0, hangs: false, refuses: false, sequence: 0, reported: 0 };
        let mut world = ModelWorld {
            fleet: Fleet::new(FleetStart::New, HEARTBEAT, start),
            pods: Pods { by_uid, incomplete: false },
            heartbeats: 0,
            published: 0,
            processes: vec![process; PROCESSES],
            network: Vec::new(),
            counted: PROCESSES,
            faults: vec![
                InjectedFault::Hang,
                InjectedFault::Refuse,
                InjectedFault::RestartOperator,
                InjectedFault::LoseReport,
                InjectedFault::RepeatReport,
                InjectedFault::LoseNode,
            ],
        };
        world.fleet.observe(world.pods.clone());
        world.publish();
        for process in 0..PROCESSES {
            world.report(process);
            let message = world.network.pop().unwrap();
            world.deliver(&message);
        }
        vec![world]
    }

    fn actions(&self, world: &ModelWorld, actions: &mut Vec<ModelAct>) {
        if world.published < 2 {
            actions.push(ModelAct::Publish);
        }
        for (index, process) in world.processes.iter().enumerate().filter(|(_, process)| !process.hangs) {
            if process.runs != world.published && !process.refuses {
                actions.push(ModelAct::Apply(index));
            }
            if world.network.len() < IN_FLIGHT && process.reported < world.heartbeats {
                actions.push(ModelAct::Report(index));
            }
        }
        actions.extend((0..world.network.len()).map(ModelAct::Deliver));
        if world.heartbeats < LAST {
            actions.push(ModelAct::Tick);
        }
        for fault in &world.faults {
            let targets = match fault {
                InjectedFault::RestartOperator => 0..1,
                InjectedFault::LoseReport | InjectedFault::RepeatReport => 0..world.network.len(),
                // The processes are alike.
                InjectedFault::Hang | InjectedFault::Refuse | InjectedFault::LoseNode => 0..1,
            };
            actions.extend(targets.map(|target| ModelAct::Fault(*fault, target)));
        }
    }

    fn next_state(&self, last: &ModelWorld, act: ModelAct) -> Option<ModelWorld> {
        let mut world = last.clone();
        match act {
            ModelAct::Publish => world.publish(),
            ModelAct::Apply(process) => {
                let (published, now) = (world.published, world.heartbeats);
                let one = &mut world.processes[process];
                (one.runs, one.since) = (published, now);
                // It reports at once.
                one.reported = now.saturating_sub(1);
            }
            ModelAct::Report(process) => world.report(process),
            ModelAct::Deliver(message) => {
                let message = world.network.remove(message);
                world.deliver(&message);
            }
            ModelAct::Tick => world.heartbeats += 1,
            ModelAct::Fault(fault, target) => {
                world.faults.clear();
                match fault {
                    InjectedFault::Hang => world.processes[target].hangs = true,
                    InjectedFault::Refuse => world.processes[target].refuses = true,
                    InjectedFault::RestartOperator => world.restart_operator(),
                    InjectedFault::LoseReport => drop(world.network.remove(target)),
                    InjectedFault::RepeatReport => world.network.push(world.network[target].clone()),
                    InjectedFault::LoseNode => world.lose_node(target),
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no claim while a process runs something else", |_, world: &ModelWorld| {
                world.verdict() != Verdict::Converged || !world.has_a_stranger()
            }),
            // Properties that hold because nothing ever happens would prove nothing.
            Property::sometimes("the second publish converges", |_, world: &ModelWorld| {
                world.published == 2 && world.verdict() == Verdict::Converged
            }),
            Property::sometimes("a refusal is seen", |_, world: &ModelWorld| world.verdict() == Verdict::Refused),
            Property::sometimes("silence is seen", |_, world: &ModelWorld| world.verdict() == Verdict::Silent),
            Property::sometimes("a recount is seen", |_, world: &ModelWorld| world.verdict() == Verdict::Recounting),
        ]
    }
}

#[test]
fn no_history_of_a_small_scope_makes_a_false_claim() {
    let checked = ModelScope.checker().threads(2).target_max_depth(DEPTH).spawn_bfs().join();
    checked.assert_properties();
    println!("{} states, {} of them distinct", checked.state_count(), checked.unique_state_count());
}
