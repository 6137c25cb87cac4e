//! A namespace for one test, with the requests that many tests need.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as Object};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use rototo_api::marker::Marker;
use rototo_api::names;
use rototo_api::workspace::RototoWorkspace;
use serde_json::{Value, json};

use super::{Cluster, Observation, until_async};

/// The time after which a test gives up waiting for a change. A step that takes a second on a quiet machine must not
/// fail on a busy one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace, with a client of an administrator.
#[derive(Clone)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
    client: Client,
}

impl Namespace {
    /// Creates a namespace whose name begins with `purpose`.
    pub async fn create(cluster: &Cluster, purpose: &str) -> anyhow::Result<Self> {
        Self::create_as(cluster, &format!("{purpose}-{:08x}", fastrand::u32(..))).await
    }

    /// Creates a namespace with this name.
    pub async fn create_as(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let (client, name) = (cluster.client().await?, name.to_owned());
        let object =
            Object { metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() }, ..Object::default() };
        let created = Api::all(client.clone()).create(&PostParams::default(), &object).await;
        created.with_context(|| format!("create the namespace {name}"))?;
        Ok(Self { cluster: cluster.clone(), name, client })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the cluster of the namespace.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the API of one kind of object in the namespace, for an administrator.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies manifests in the namespace.
    pub fn apply(&self, manifests: &str) -> anyhow::Result<String> {
        self.cluster.apply(&self.name, manifests)
    }

    /// Returns a token of one of its ServiceAccounts for the API server, bound to no pod.
    pub fn token(&self, service_account: &str) -> anyhow::Result<String> {
        let token = self.cluster.kubectl(&["--namespace", &self.name, "create", "token", service_account])?;
        Ok(token.trim().to_owned())
    }

    /// Returns a token of one of its ServiceAccounts for the operator, bound to no pod.
    pub fn rototo_token(&self, service_account: &str) -> anyhow::Result<String> {
        let audience = format!("--audience={}", names::AUDIENCE);
        let arguments = ["--namespace", &self.name, "create", "token", service_account, &audience];
        Ok(self.cluster.kubectl(&arguments)?.trim().to_owned())
    }

    /// Creates a RototoWorkspace, or changes its spec.
    pub async fn apply_workspace(&self, name: &str, spec: Value) -> anyhow::Result<RototoWorkspace> {
        let object = json!({
            "apiVersion": "rototo.dev/v1alpha1",
            "kind": "RototoWorkspace",
            "metadata": { "name": name },
            "spec": spec,
        });
        let applied =
            self.api::<RototoWorkspace>().patch(name, &PatchParams::apply("user"), &Patch::Apply(object)).await;
        applied.with_context(|| format!("apply the RototoWorkspace {name}"))
    }

    /// Reads a RototoWorkspace.
    pub async fn workspace(&self, name: &str) -> anyhow::Result<RototoWorkspace> {
        self.api::<RototoWorkspace>().get(name).await.with_context(|| format!("get the RototoWorkspace {name}"))
    }

    /// Waits until `holds` is true for a RototoWorkspace; `what` describes that state.
    pub async fn wait_for_workspace(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&RototoWorkspace) -> bool,
    ) -> anyhow::Result<RototoWorkspace> {
        let what = format!("the RototoWorkspace {name} to be {what}");
        until_async(what, PATIENCE, async || {
            let workspace = self.workspace(name).await?;
            Ok(if holds(&workspace) {
                Observation::Done(workspace)
            } else {
                Observation::NotYet(format!("{:#?}", workspace.status))
            })
        })
        .await
    }

    /// Waits until a condition of a RototoWorkspace has this status: `True`, `False`, or `Unknown`.
    pub async fn wait_for_condition(
        &self,
        name: &str,
        condition: &str,
        status: &str,
    ) -> anyhow::Result<RototoWorkspace> {
        let holds = |workspace: &RototoWorkspace| {
            let generation = workspace.metadata.generation;
            // A status of an older spec proves nothing about this one.
            let current = workspace.status.as_ref().filter(|found| found.observed_generation == generation);
            current.is_some_and(|found| found.is(condition, status))
        };
        self.wait_for_workspace(name, &format!("{condition}={status}"), holds).await
    }

    /// Returns the marker map, if it exists.
    pub async fn markers(&self) -> anyhow::Result<Option<ConfigMap>> {
        let map = self.api::<ConfigMap>().get_opt(names::MARKERS).await;
        map.with_context(|| format!("get the ConfigMap {}", names::MARKERS))
    }

    /// Returns the marker of a workspace, if it has one.
    pub async fn marker(&self, workspace: &str) -> anyhow::Result<Option<Marker>> {
        let Some(map) = self.markers().await? else { return Ok(None) };
        let Some(text) = map.data.unwrap_or_default().remove(workspace) else { return Ok(None) };
        match Marker::parse(&text) {
            Ok(marker) => Ok(Some(marker)),
            Err(error) => bail!("the marker `{text}` of {workspace}: {error}"),
        }
    }
}

impl Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace").field("name", &self.name).finish_non_exhaustive()
    }
}
