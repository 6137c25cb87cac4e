//! A pod from the view of rototo: an API object, and the tokens that a kubelet would give to its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod as Object, ServiceAccount};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rototo_api::names;
use serde_json::{Value, json};

use super::{Namespace, scratch};

/// The name of the only container of a [`Pod`].
pub const CONTAINER: &str = "service";

/// A running pod with one ServiceAccount.
#[derive(Clone, Debug)]
pub struct Pod {
    namespace: Namespace,
    name: String,
    directory: PathBuf,
    kubeconfig: PathBuf,
}

impl Pod {
    /// Creates a pod, marks it as running, and fetches its tokens.
    pub async fn create(
        namespace: &Namespace,
        name: &str,
        service_account: &str,
        labels: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let object: Object = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "serviceAccountName": service_account,
                "nodeName": "a-node",
                "containers": [{ "name": CONTAINER, "image": "none" }],
            },
        }))?;
        let pods = namespace.api::<Object>();
        let created = pods.create(&PostParams::default(), &object).await;
        let created = created.with_context(|| format!("create the pod {name}"))?;
        let directory = scratch::directory(name)?;
        for (file, audience) in [("api-token", None), ("rototo-token", Some(names::AUDIENCE))] {
            let token = token(namespace, service_account, &created, audience).await?;
            fs::write(directory.join(file), token).with_context(|| format!("write the {file} of the pod {name}"))?;
        }
        let kubeconfig =
            namespace.cluster().kubeconfig_for_token_file(&directory.join("api-token"), namespace.name())?;
        let pod = Self { namespace: namespace.clone(), name: name.to_owned(), directory, kubeconfig };
        pod.set_status("Running", json!({ "running": { "startedAt": now() } })).await?;
        Ok(pod)
    }

    /// Writes the status as a kubelet does: the container is in this state.
    pub async fn set_status(&self, phase: &str, state: Value) -> anyhow::Result<()> {
        self.set_states(phase, 0, state, json!({})).await
    }

    /// Writes the status as a kubelet does: the container ended at `ended`, and runs again.
    pub async fn restarted(&self, restarts: u32, ended: Timestamp) -> anyhow::Result<()> {
        let last = json!({ "terminated": { "exitCode": 137, "finishedAt": seconds(ended) } });
        let running = json!({ "running": { "startedAt": seconds(ended.max(Timestamp::now())) } });
        self.set_states("Running", restarts, running, last).await
    }

    async fn set_states(&self, phase: &str, restarts: u32, state: Value, last: Value) -> anyhow::Result<()> {
        let container = json!({
            "name": CONTAINER, "image": "none", "imageID": "", "ready": phase == "Running", "restartCount": restarts,
            "state": state, "lastState": last,
        });
        let ready = json!([{ "type": "Ready", "status": if phase == "Running" { "True" } else { "False" } }]);
        let status = json!({ "status": { "phase": phase, "conditions": ready, "containerStatuses": [container] } });
        let pods = self.namespace.api::<Object>();
        let written = pods.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(status)).await;
        written.map(drop).with_context(|| format!("write the status of the pod {}", self.name))
    }

    /// Writes the status as a kubelet does: the container has ended.
    pub async fn end(&self) -> anyhow::Result<()> {
        self.set_status("Succeeded", json!({ "terminated": { "exitCode": 0, "finishedAt": now() } })).await
    }

    /// Returns the name of the pod.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a directory for the files of the pod.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the kubeconfig of its processes.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns the file with the token that identifies its processes to the API server as this pod.
    #[must_use]
    pub fn api_token_file(&self) -> PathBuf {
        self.directory.join("api-token")
    }

    /// Returns the file with the token that identifies its processes to the operator as this pod.
    #[must_use]
    pub fn rototo_token_file(&self) -> PathBuf {
        self.directory.join("rototo-token")
    }

    /// Requests the deletion of the pod. The pod stays in the state Terminating, because no kubelet completes the
    /// deletion.
    pub async fn begin_deletion(&self) -> anyhow::Result<()> {
        self.delete_with(&DeleteParams::default()).await
    }

    /// Deletes the pod as a kubelet does, after its container has ended.
    pub async fn delete(&self) -> anyhow::Result<()> {
        self.end().await?;
        self.vanish().await
    }

    /// Deletes the pod by force: the fate of its container stays unknown.
    pub async fn vanish(&self) -> anyhow::Result<()> {
        self.delete_with(&DeleteParams::default().grace_period(0)).await
    }

    async fn delete_with(&self, parameters: &DeleteParams) -> anyhow::Result<()> {
        let deleted = self.namespace.api::<Object>().delete(&self.name, parameters).await;
        deleted.map(drop).with_context(|| format!("delete the pod {}", self.name))
    }
}

/// Returns the time in the format of a kubelet.
fn now() -> String {
    seconds(Timestamp::now())
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn token(
    namespace: &Namespace,
    service_account: &str,
    pod: &Object,
    audience: Option<&str>,
) -> anyhow::Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audience.map(ToOwned::to_owned).into_iter().collect(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts = namespace.api::<ServiceAccount>();
    let answer = accounts.create_token_request(service_account, &PostParams::default(), &request).await;
    let answer = answer.with_context(|| format!("get a token of {service_account} for the pod {}", pod.name_any()))?;
    Ok(answer.status.context("the API server gave no token")?.token)
}
