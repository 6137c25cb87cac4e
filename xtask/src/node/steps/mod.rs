//! The steps of `cargo xtask node test`: each proves one thing in real pods. A new step is a function and a line in
//! [`STEPS`].

mod agents;
mod changes;
mod containers;
mod drain;
mod ends;
mod install;
mod lost;
mod operators;
mod placement;
mod policies;
mod releases;

use std::time::Instant;

use anyhow::{Context, bail};

use super::machine::Machine;

/// The result of a step.
pub(super) enum Outcome {
    /// It holds, with what was measured.
    Passed(String),
    /// It can't be tried, with the reason.
    NotRun(String),
}

/// One thing to prove.
pub(super) struct Step {
    name: &'static str,
    proves: &'static str,
    run: fn(&Machine) -> anyhow::Result<Outcome>,
}

/// The number of steps that all others need.
const NEEDED: usize = 2;

/// All steps, in the order in which they run. The ones that replace the operator come last: a workspace that is created
/// within two hours of that is counted for a minute first.
const STEPS: &[Step] = &[
    Step {
        name: "install",
        proves: "helm installs the operator into a namespace that accepts only pods without privileges",
        run: install::install,
    },
    Step {
        name: install::QUICKSTART,
        proves: "the example's manifests make a fleet of three that runs a commit from git",
        run: install::quickstart,
    },
    Step {
        name: "restricted",
        proves: "namespaces that accept only pods without privileges have all of it",
        run: policies::restricted,
    },
    Step {
        name: "push",
        proves: "a push converges on real pods, and each of them gives the pushed value",
        run: changes::push,
    },
    Step { name: "refusal", proves: "a mistake reaches no process, and the next commit does", run: changes::refusal },
    Step {
        name: "rolling-update",
        proves: "the fleet is replaced pod by pod while changes are published",
        run: changes::rolling_update,
    },
    Step {
        name: "kill",
        proves: "a process that is killed no longer counts, and its pod's next process does",
        run: ends::kill,
    },
    Step {
        name: "oom",
        proves: "a process that the kernel ends for its memory is replaced and counted once",
        run: ends::out_of_memory,
    },
    Step {
        name: "crash-loop",
        proves: "a pod that crashes in a loop keeps no change from converging",
        run: ends::crash_loop,
    },
    Step { name: "sidecar", proves: "two processes of one pod count as two", run: containers::sidecar },
    Step {
        name: "native-sidecar",
        proves: "a sidecar that is an init container counts, too",
        run: containers::native_sidecar,
    },
    Step { name: "job", proves: "the pod of a Job counts while it runs, and not after it is complete", run: ends::job },
    Step { name: "eviction", proves: "a pod of the fleet is evicted during a publish", run: ends::eviction },
    Step {
        name: "agent-sidecar",
        proves: "services in Python give what the agents in their pods report",
        run: agents::sidecar,
    },
    Step {
        name: "agent-node",
        proves: "the agents of two nodes are replaced, and services in Python miss no answer of their own",
        run: agents::node,
    },
    Step {
        name: "agent-deployment",
        proves: "two agents are replaced, and services in Python miss no answer",
        run: agents::deployment,
    },
    Step {
        name: "network-policy",
        proves: "the chart's NetworkPolicy is accepted; nothing enforces it here",
        run: policies::network_policy,
    },
    Step {
        name: "spread",
        proves: "two operators run on two nodes, also after a rollout, and processes on both nodes follow a push",
        run: operators::spread,
    },
    Step {
        name: "drain",
        proves: "the node of both operators is drained as their budget says, while changes are published",
        run: drain::drain,
    },
    Step {
        name: "node-lost",
        proves: "nobody claims to know what runs on a node without power, until it is back",
        run: lost::services,
    },
    Step {
        name: "node-removed",
        proves: "nobody claims to know what ran on a node that is removed from the cluster",
        run: lost::removed,
    },
    Step {
        name: "leader-lost",
        proves: "the node of the leading of two operators loses its power, and the other one publishes",
        run: lost::leader,
    },
    Step {
        name: "leader",
        proves: "the leading of two operators is evicted, and the other one publishes",
        run: operators::leader,
    },
    Step {
        name: "leader-killed",
        proves: "the leading of two operators is killed, and its container is restarted",
        run: operators::leader_killed,
    },
    Step {
        name: "outage",
        proves: "a process restarts from its disk cache while operator and API server are away",
        run: operators::outage,
    },
    Step {
        name: "reinstall",
        proves: "the fleet runs on without the release, and follows the next one",
        run: releases::reinstall,
    },
    Step {
        name: "upgrade",
        proves: "a release of the chart before its last change is upgraded",
        run: releases::upgrade_from_last,
    },
];

/// Returns a line for each step.
pub(super) fn list() -> String {
    STEPS.iter().map(|step| format!("{:<16} {}", step.name, step.proves)).collect::<Vec<_>>().join("\n")
}

/// Finds steps by their names, and those that they need.
pub(super) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Step>> {
    for name in names {
        let known = || STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
        STEPS
            .iter()
            .find(|step| step.name == name)
            .with_context(|| format!("there is no step `{name}`; there are {}", known()))?;
    }
    let is_chosen =
        |(at, step): &(usize, &Step)| *at < NEEDED || names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(STEPS.iter().enumerate().filter(is_chosen).map(|(_, step)| step).collect())
}

/// Runs steps, prints a line for each and a summary, and fails if one failed.
pub(super) fn run(machine: &Machine, steps: &[&Step]) -> anyhow::Result<()> {
    let (mut passed, mut not_run, mut failed) = (0, Vec::new(), Vec::new());
    let all = Instant::now();
    for (at, step) in steps.iter().enumerate() {
        let started = Instant::now();
        let outcome = (step.run)(machine);
        let seconds = started.elapsed().as_secs_f64();
        let (word, text) = match &outcome {
            Ok(Outcome::Passed(measured)) => ("pass", measured.clone()),
            Ok(Outcome::NotRun(reason)) => ("not run", reason.clone()),
            Err(error) => ("FAIL", format!("{error:#}")),
        };
        println!("{word:<7} {:<16} {seconds:>6.1} s  {text}", step.name);
        match outcome {
            Ok(Outcome::Passed(_)) => {
                passed += 1;
                remove_scene(machine, step)?;
            }
            Ok(Outcome::NotRun(_)) => not_run.push(step.name),
            Err(_) => failed.push(step.name),
        }
        if at < NEEDED && !failed.is_empty() {
            bail!("the other steps need {}, which failed", step.name);
        }
    }
    let names = |steps: &[&str]| if steps.is_empty() { String::new() } else { format!(" ({})", steps.join(", ")) };
    println!(
        "{passed} passed, {} not run{}, {} failed{}, in {:.0} s",
        not_run.len(),
        names(&not_run),
        failed.len(),
        names(&failed),
        all.elapsed().as_secs_f64()
    );
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Removes the scene of a step that passed: the operator should have no other work in the next one.
fn remove_scene(machine: &Machine, step: &Step) -> anyhow::Result<()> {
    if step.name == install::QUICKSTART {
        return Ok(());
    }
    let delete = ["delete", "namespace", step.name, "--ignore-not-found", "--wait=false"];
    machine.cluster().kubectl(&delete).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_steps_run_with_those_that_they_need() {
        let names = |names: &[&str]| -> Vec<&str> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).unwrap().iter().map(|step| step.name).collect()
        };
        assert_eq!(names(&["quickstart"]), ["install", "quickstart"]);
        assert_eq!(names(&[]).len(), STEPS.len());
        let error = chosen(&["instal".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("`instal`") && error.contains("quickstart"), "{error}");
    }
}
