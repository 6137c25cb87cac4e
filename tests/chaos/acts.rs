//! Carries out the acts of a script on the environment, and undoes them. Each function returns whether the act took
//! effect.

use std::time::Duration;

use anyhow::Context;
use jiff::{Timestamp, ToSpan};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use rototo_api::UpdatedAt;
use rototo_api::marker::Marker;
use rototo_api::names::MARKERS;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ChildProcess, ControlPlane, Observation, PATIENCE, Proxy, until};
use serde_json::json;

use crate::environment::{ChaosEnvironment, Condition, WORKSPACE};
use crate::script::{Act, NetworkFault, Which};
use crate::watch::FORGED;

/// The step that ends an act.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    ClearOperator(usize),
    ClearReports(usize),
    StartOperator(usize),
    ThawOperator(usize),
    ClearProcess(usize),
    ThawProcess(usize),
    StartProcess(usize, bool, Timestamp),
    RemovePod(usize),
    BringRepositoryBack,
    WriteMarker(String),
}

/// The result of an act.
pub(crate) struct ActResult {
    pub(crate) took_effect: bool,
    /// The step that undoes it, and the time until then.
    pub(crate) undo: Option<(u64, Undo)>,
}

impl ActResult {
    const NOTHING: Self = Self { took_effect: false, undo: None };

    fn so(took_effect: bool) -> Self {
        Self { took_effect, undo: None }
    }

    fn until(millis: u64, undo: Undo) -> Self {
        Self { took_effect: true, undo: Some((millis, undo)) }
    }
}

impl ChaosEnvironment {
    pub(crate) async fn act(&mut self, act: Act, plane: &mut ControlPlane) -> anyhow::Result<ActResult> {
        match act {
            Act::Push(content) => self.push(content).await.map(ActResult::so),
            Act::PushReadme => self.push_readme().await.map(ActResult::so),
            Act::PushRefused => self.push_refused().await.map(ActResult::so),
            Act::HideRepository(millis) => self.hide_repository(millis),
            Act::OperatorNetworkFault(which, network_fault, millis) => {
                let index = self.fellow(which).await;
                turn(&self.fellows[index].to_api_server, network_fault);
                Ok(ActResult::until(millis, Undo::ClearOperator(index)))
            }
            Act::ReportsNetworkFault(which, network_fault, millis) => {
                let index = self.fellow(which).await;
                turn(&self.fellows[index].from_processes, network_fault);
                Ok(ActResult::until(millis, Undo::ClearReports(index)))
            }
            Act::ProcessNetworkFault(one, network_fault, millis) => {
                Ok(self.process_network_fault(one, network_fault, millis))
            }
            Act::KillOperator(which, millis) => self.end_operator(which, false, millis).await,
            Act::EndOperator(which, millis) => self.end_operator(which, true, millis).await,
            Act::StopOperator(which, millis) => self.stop_operator(which, millis).await,
            Act::StopProcess(one, millis) => self.stop_process(one, millis),
            Act::KillProcess(one, end_reported, millis) => self.kill_process(one, end_reported, millis),
            Act::EndProcess(one, millis) => self.end_process(one, millis),
            Act::StartPod => self.start_service().await.map(|()| ActResult::so(true)),
            Act::DeletePod(one) => self.delete_pod(one).await,
            Act::TerminatePod(one, millis) => self.terminate_pod(one, millis).await,
            Act::LosePod(one) => self.lose_pod(one).await,
            Act::EditMarker(later, undo) => self.edit_marker(later, undo).await,
            Act::RemoveMarker => self.write_marker(None).await.map(ActResult::so),
            Act::RestartApiServer(compact) => restart(plane, compact),
            Act::ForgeStatus => self.forge_status().await,
        }
    }

    pub(crate) async fn undo(&mut self, undo: Undo) -> anyhow::Result<()> {
        match undo {
            Undo::ClearOperator(index) => self.fellows[index].to_api_server.clear(),
            Undo::ClearReports(index) => self.fellows[index].from_processes.clear(),
            Undo::StartOperator(index) => {
                self.fellows[index].operator.start_again()?;
                self.fellows[index].condition = Condition::Up;
            }
            Undo::ThawOperator(index) => {
                self.fellows[index].operator.process()?.thaw()?;
                self.fellows[index].condition = Condition::Up;
            }
            Undo::ClearProcess(index) => self.services[index].to_api_server.clear(),
            Undo::ThawProcess(index) => self.thaw_process(index)?,
            Undo::StartProcess(index, end_reported, ended) => self.start_process(index, end_reported, ended).await?,
            Undo::RemovePod(index) => self.remove_pod(index).await?,
            Undo::BringRepositoryBack => self.repository.bring_back()?,
            Undo::WriteMarker(text) => drop(self.write_marker(Some(&text)).await?),
        }
        Ok(())
    }

    /// Returns the index of an undisturbed service, chosen by this number.
    fn undisturbed(&self, one: usize) -> Option<usize> {
        let whole = |index: &usize| {
            let service = &self.services[*index];
            service.condition == Condition::Up && !service.leaving
        };
        let whole: Vec<usize> = (0..self.services.len()).filter(whole).collect();
        // The last undisturbed service stays: a fleet without processes proves nothing.
        (whole.len() > 1).then(|| whole[one % whole.len()])
    }

    fn hide_repository(&self, millis: u64) -> anyhow::Result<ActResult> {
        if !self.repository.bare().exists() {
            return Ok(ActResult::NOTHING);
        }
        self.repository.take_away()?;
        Ok(ActResult::until(millis, Undo::BringRepositoryBack))
    }

    fn process_network_fault(&self, one: usize, network_fault: NetworkFault, millis: u64) -> ActResult {
        let Some(index) = self.undisturbed(one) else { return ActResult::NOTHING };
        turn(&self.services[index].to_api_server, network_fault);
        ActResult::until(millis, Undo::ClearProcess(index))
    }

    async fn end_operator(&mut self, which: Which, in_order: bool, millis: u64) -> anyhow::Result<ActResult> {
        let index = self.fellow(which).await;
        let fellow = &mut self.fellows[index];
        if fellow.condition != Condition::Up {
            return Ok(ActResult::NOTHING);
        }
        fellow.condition = Condition::Down;
        if in_order {
            fellow.operator.terminate()?
        } else {
            fellow.operator.kill()?
        }
        Ok(ActResult::until(millis, Undo::StartOperator(index)))
    }

    async fn stop_operator(&mut self, which: Which, millis: u64) -> anyhow::Result<ActResult> {
        let index = self.fellow(which).await;
        let fellow = &mut self.fellows[index];
        if fellow.condition != Condition::Up {
            return Ok(ActResult::NOTHING);
        }
        stop(fellow.operator.process()?)?;
        fellow.condition = Condition::Stopped;
        Ok(ActResult::until(millis, Undo::ThawOperator(index)))
    }

    fn stop_process(&mut self, one: usize, millis: u64) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        let service = &mut self.services[index];
        stop(service.app.process()?)?;
        service.witness.stopped();
        service.condition = Condition::Stopped;
        Ok(ActResult::until(millis, Undo::ThawProcess(index)))
    }

    fn thaw_process(&mut self, index: usize) -> anyhow::Result<()> {
        let service = &mut self.services[index];
        service.witness.goes_on();
        service.app.process()?.thaw()?;
        service.condition = Condition::Up;
        Ok(())
    }

    fn kill_process(&mut self, one: usize, end_reported: bool, millis: u64) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        let service = &mut self.services[index];
        service.witness.ends();
        service.app.kill()?;
        service.condition = Condition::Down;
        Ok(ActResult::until(millis, Undo::StartProcess(index, end_reported, Timestamp::now())))
    }

    fn end_process(&mut self, one: usize, millis: u64) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        let service = &mut self.services[index];
        service.witness.ends();
        service.app.terminate()?;
        service.condition = Condition::Down;
        Ok(ActResult::until(millis, Undo::StartProcess(index, true, Timestamp::now())))
    }

    async fn start_process(&mut self, index: usize, end_reported: bool, ended: Timestamp) -> anyhow::Result<()> {
        let service = &mut self.services[index];
        service.restarts += 1;
        if end_reported {
            service.app.pod().restarted(service.restarts, ended).await?;
        }
        let started = Timestamp::now();
        service.app.start_again()?;
        service.app.wait_until_listening()?;
        let name = format!("{}, started {} times", service.app.pod().name(), service.restarts + 1);
        service.witness = rototo_tests::harness::witness::Witness::of(&name, service.app.address(), started);
        service.condition = Condition::Up;
        self.witnesses.push(service.witness.clone());
        Ok(())
    }

    async fn delete_pod(&mut self, one: usize) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        let service = &mut self.services[index];
        service.leaving = true;
        service.witness.ends();
        service.app.terminate()?;
        service.condition = Condition::Down;
        service.app.pod().delete().await?;
        Ok(ActResult::so(true))
    }

    async fn terminate_pod(&mut self, one: usize, millis: u64) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        self.services[index].leaving = true;
        self.services[index].app.pod().begin_deletion().await?;
        Ok(ActResult::until(millis, Undo::RemovePod(index)))
    }

    /// Ends the process and deletes the pod, as a kubelet does after the grace period of a terminating pod.
    async fn remove_pod(&mut self, index: usize) -> anyhow::Result<()> {
        let service = &mut self.services[index];
        service.witness.ends();
        service.app.kill()?;
        service.condition = Condition::Down;
        service.app.pod().delete().await
    }

    async fn lose_pod(&mut self, one: usize) -> anyhow::Result<ActResult> {
        let Some(index) = self.undisturbed(one) else { return Ok(ActResult::NOTHING) };
        let service = &mut self.services[index];
        service.leaving = true;
        service.witness.note_lost();
        service.app.pod().vanish().await?;
        Ok(ActResult::so(true))
    }

    async fn edit_marker(&self, later: bool, undo: Option<u64>) -> anyhow::Result<ActResult> {
        let Some(now) = self.namespace.marker(WORKSPACE).await? else { return Ok(ActResult::NOTHING) };
        let other = self.pushed.iter().find(|pushed| Some(*pushed) != self.pushed.last());
        let nonsense = format!("sha256:{}", "0".repeat(64));
        let fingerprint = other.cloned().unwrap_or(nonsense);
        let time = if later { Timestamp::now() } else { now.updated_at().timestamp() - 1.minute() };
        let updated_at = UpdatedAt::after(None, time);
        let forged = Marker::Published { fingerprint, updated_at, next: None, held: None };
        self.write_marker(Some(&forged.to_json())).await?;
        Ok(ActResult { took_effect: true, undo: undo.map(|millis| (millis, Undo::WriteMarker(now.to_json()))) })
    }

    async fn write_marker(&self, text: Option<&str>) -> anyhow::Result<bool> {
        let maps = self.namespace.api::<ConfigMap>();
        let edit = json!({ "data": { WORKSPACE: text } });
        maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(edit)).await.context("write the marker")?;
        Ok(true)
    }

    async fn forge_status(&self) -> anyhow::Result<ActResult> {
        let Some(status) = self.namespace.workspace(WORKSPACE).await?.status else { return Ok(ActResult::NOTHING) };
        let mut status = serde_json::to_value(status)?;
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if condition["type"] == "Converged" {
                condition["status"] = json!("True");
                condition["message"] = json!(FORGED);
            }
        }
        status["published"]["fingerprint"] = json!(format!("sha256:{}", "0".repeat(64)));
        let patch = Patch::Merge(json!({ "status": status }));
        self.namespace.api::<RototoWorkspace>().patch_status(WORKSPACE, &PatchParams::default(), &patch).await?;
        Ok(ActResult::so(true))
    }
}

fn turn(proxy: &Proxy, network_fault: NetworkFault) {
    match network_fault {
        NetworkFault::Cut => proxy.cut(),
        NetworkFault::Frozen => proxy.freeze(),
        NetworkFault::Stranded => proxy.strand(),
        NetworkFault::Slow(millis) => proxy.slow(Duration::from_millis(millis)),
    }
}

/// Stops a process, and returns once the kernel reports that it is stopped.
fn stop(process: &ChildProcess) -> anyhow::Result<()> {
    process.freeze()?;
    until("a process to be stopped", PATIENCE, || {
        Ok(if process.is_frozen() { Observation::Done(()) } else { Observation::NotYet("it runs".to_owned()) })
    })
}

fn restart(plane: &mut ControlPlane, compact: bool) -> anyhow::Result<ActResult> {
    plane.kill_api_server()?;
    if compact {
        plane.compact_etcd()?;
    }
    plane.start_api_server()?;
    Ok(ActResult::so(true))
}
