//! Changes of configuration, and of the programs that follow it.

use std::time::Instant;

use anyhow::ensure;

use super::Outcome;
use crate::node::machine::Machine;
use crate::node::scene::{SERVICE, SOON, Scene};
use crate::node::wait::wait_for;

pub(super) fn push(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "push")?;
    let mut converged_in = Vec::new();
    for value in 11..=15 {
        let status = scene.change_converges(value, 3)?;
        converged_in.push(status.converged_in().to_owned());
        for pod in scene.services()? {
            let runs = scene.policy(&pod)?;
            ensure!(runs == u64::from(value), "FLEET is 3/3, and a pod gives {runs} in place of {value}");
        }
    }
    let status = scene.await_condition("Converged", "True/Converged")?;
    Ok(Outcome::Passed(format!("five pushes, CONVERGED-IN {}; {}", converged_in.join(", "), status.condition("Ready"))))
}

pub(super) fn refusal(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "refusal")?;
    let commit = scene.commit()?;
    scene.change(0)?;
    let finding = wait_for("lint refuses the mistake", SOON, || {
        let status = scene.status()?;
        ensure!(status.condition("LintPassed") == "False/LintRefused", "{}", status.line());
        ensure!(status.runs(&commit, 3), "the refused commit reached somebody: {}", status.line());
        Ok(status.0["rejected"]["diagnostics"][0].clone())
    })?;
    for pod in scene.services()? {
        ensure!(scene.policy(&pod)? != 0, "a process runs the refused value");
    }
    scene.change_converges(17, 3)?;
    Ok(Outcome::Passed(format!("refused at {}, and 3/3 ran on", finding["path"].as_str().unwrap_or("no place"))))
}

pub(super) fn rolling_update(machine: &Machine) -> anyhow::Result<Outcome> {
    let scene = Scene::with_fleet(machine, "rolling-update")?;
    scene.be_patient()?;
    let observer = scene.observe()?;
    let started = Instant::now();
    scene.kubectl(&["rollout", "restart", "deployment", SERVICE])?;
    let mut pushes = 0;
    // Pushes until the last new pod is ready, so that some fall into each phase.
    loop {
        let commit = scene.change(20 + pushes)?;
        pushes += 1;
        let done = scene.kubectl(&["rollout", "status", "deployment", SERVICE, "--timeout=2s"]).is_ok();
        if done || pushes == 40 {
            ensure!(done, "the rollout did not end");
            scene.await_fleet(&commit, 3)?;
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let observed = observer.no_deadline_exceeded()?;
    let most = observed.iter().map(|one| one.status.expected()).max().unwrap_or_default();
    Ok(Outcome::Passed(format!("{pushes} pushes during {seconds:.1} s; at most {most} processes counted at once")))
}
