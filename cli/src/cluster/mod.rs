//! Connects to a cluster and reads its workspaces. It writes annotations: a request for a reconcile, and those that steer
//! a rollout.

pub(crate) mod claim;
mod follow;
pub(crate) mod freshness;
mod operator;
mod options;
mod page;
mod rollout_page;
mod table;
pub(crate) mod verdict;
pub(crate) mod wait_state;

use std::time::Duration;

use anyhow::anyhow;
use backon::ExponentialBuilder;
use futures::{Stream, StreamExt};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::watch_object;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client};
use rototo_api::names;
use rototo_api::workspace::RototoWorkspace;
use rototo_connection::{Address, api_answer, api_error, is_no_api_server, is_unparsed};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cluster::wait_state::{Query, QueryResult};

pub(crate) use crate::cluster::follow::{FinishedWait, Progress, follow};
pub(crate) use crate::cluster::operator::OperatorOptions;
pub(crate) use crate::cluster::options::{ClusterOptions, Clusters, ClustersOptions};
pub(crate) use crate::cluster::page::{
    faults, findings, held_in_words, history, short_fingerprint, short_revision, status, straggler,
};
pub(crate) use crate::cluster::rollout_page::rollout;
pub(crate) use crate::cluster::table::{ClusterWorkspaces, table};

/// The time limit of an idle connection, which is longer than a watch lasts.
const IDLE: Duration = Duration::from_secs(310);

/// A namespace, and a client for it.
#[derive(Clone)]
pub(crate) struct NamespaceClient {
    client: Client,
    pub(crate) namespace: String,
}

/// The workspaces to read.
#[derive(Clone, Copy)]
pub(crate) enum WorkspaceScope<'a> {
    Named(&'a str),
    Namespace,
    AllNamespaces,
}

impl NamespaceClient {
    /// Returns a client for the namespace `prod` of an API server on this machine, without credentials.
    #[cfg(test)]
    pub(crate) fn at(url: &str) -> Self {
        let config = kube::Config::new(url.parse().unwrap());
        Self { client: rototo_connection::api_server(config, IDLE).unwrap(), namespace: "prod".to_owned() }
    }

    /// Returns the current workspaces, in order of their names.
    pub(crate) async fn workspaces(&self, scope: WorkspaceScope<'_>) -> anyhow::Result<Vec<RototoWorkspace>> {
        let here = || Api::<RototoWorkspace>::namespaced(self.client.clone(), &self.namespace);
        let everything = ListParams::default();
        let found = match scope {
            WorkspaceScope::Named(name) => match here().get_opt(name).await {
                Ok(Some(workspace)) => Ok(vec![workspace]),
                Ok(None) => return Err(self.missing(name)),
                Err(error) => Err(error),
            },
            WorkspaceScope::Namespace => here().list(&everything).await.map(|list| list.items),
            WorkspaceScope::AllNamespaces => self.api(true).list(&everything).await.map(|list| list.items),
        };
        found.map_err(|error| self.explained(error, matches!(scope, WorkspaceScope::AllNamespaces)))
    }

    /// Returns one workspace.
    pub(crate) async fn workspace(&self, name: &str) -> anyhow::Result<RototoWorkspace> {
        self.workspaces(WorkspaceScope::Named(name)).await?.pop().ok_or_else(|| self.missing(name))
    }

    /// Sets an annotation of a workspace.
    pub(crate) async fn annotate(&self, name: &str, annotation: &str, value: &str) -> anyhow::Result<()> {
        if !self.patch_metadata(name, json!({ "annotations": { annotation: value } })).await? {
            return Err(anyhow!("somebody else has just changed the RototoWorkspace `{name}`: try again"));
        }
        Ok(())
    }

    /// Sets an annotation of a workspace that still has this resourceVersion. Returns `false` if it has another one.
    pub(crate) async fn annotate_version(
        &self,
        name: &str,
        resource_version: &str,
        annotation: &str,
        value: &str,
    ) -> anyhow::Result<bool> {
        let metadata = json!({ "resourceVersion": resource_version, "annotations": { annotation: value } });
        self.patch_metadata(name, metadata).await
    }

    /// Patches the metadata of a workspace. Returns `false` if the API server refuses that for its resourceVersion.
    async fn patch_metadata(&self, name: &str, metadata: Value) -> anyhow::Result<bool> {
        let api: Api<RototoWorkspace> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = json!({ "metadata": metadata });
        match in_time(api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await? {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(self.missing(name)),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(anyhow!("{}: {}", self.may_not_request(name), status.message))
            }
            Err(error) => Err(self.explained(error, false)),
        }
    }

    /// Returns the name of the user, if the API server says it.
    pub(crate) async fn user(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, question) = (PostParams::default(), SelfSubjectReview::default());
        let review = in_time(api.create(&params, &question)).await.ok()?.ok()?;
        review.status?.user_info?.username
    }

    /// Watches one workspace. An item is `None` while the workspace does not exist. A transient failure is an item, too,
    /// and the watch is tried again.
    pub(crate) fn watch(&self, name: &str) -> impl Stream<Item = Result<Option<RototoWorkspace>, WatchProblem>> {
        let api: Api<RototoWorkspace> = Api::namespaced(self.client.clone(), &self.namespace);
        let stream = watch_object(api, name).backoff(watch_backoff());
        stream.map(|item| item.map_err(|error| self.problem(error, false)))
    }

    /// Watches the workspaces of the namespace, or of all. The store has what the stream has shown. A transient failure
    /// is an item, too, and the watch is tried again.
    pub(crate) fn follow_workspaces(
        &self,
        everywhere: bool,
    ) -> (Store<RototoWorkspace>, impl Stream<Item = Result<(), WatchProblem>> + use<>) {
        let (store, writer) = reflector::store();
        let events = reflector(writer, watcher(self.api(everywhere), watcher::Config::default()));
        let cluster = self.clone();
        let events = events.backoff(watch_backoff());
        (store, events.map(move |event| event.map(drop).map_err(|error| cluster.problem(error, everywhere))))
    }

    /// Returns an error if the API server does not list the workspaces of the namespace, or of all.
    pub(crate) async fn answers(&self, everywhere: bool) -> anyhow::Result<()> {
        let (api, one) = (self.api(everywhere), ListParams::default().limit(1));
        let listed = in_time(api.list_metadata(&one)).await?;
        listed.map(drop).map_err(|error| self.explained(error, everywhere))
    }

    /// Requests a reconcile of a workspace, which dates its status.
    pub(crate) async fn request_reconcile(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let there = Self { namespace: namespace.to_owned(), ..self.clone() };
        match there.query(name, Query::Request).await {
            QueryResult::Seen(..) | QueryResult::Missing => Ok(()),
            QueryResult::Forbidden(why) => Err(anyhow!(why)),
            QueryResult::Failed(error) => Err(error),
        }
    }

    fn api(&self, everywhere: bool) -> Api<RototoWorkspace> {
        if everywhere { Api::all(self.client.clone()) } else { Api::namespaced(self.client.clone(), &self.namespace) }
    }

    /// Reads a workspace once, and requests a reconcile of it if `query` says so.
    pub(crate) async fn query(&self, name: &str, query: Query) -> QueryResult {
        let api: Api<RototoWorkspace> = Api::namespaced(self.client.clone(), &self.namespace);
        let (request, asked) = match query {
            Query::Read => (None, in_time(api.get(name)).await),
            Query::Request => {
                let value = format!("{:.6}", Timestamp::now());
                let patch = json!({ "metadata": { "annotations": { names::ANNOTATION_RECONCILE: value } } });
                let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
                (Some(value), in_time(api.patch(name, &params, &patch)).await)
            }
        };
        match asked {
            Ok(Ok(workspace)) => QueryResult::Seen(Box::new(workspace), request),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => QueryResult::Missing,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 && query == Query::Request => {
                QueryResult::Forbidden(self.may_not_request(name))
            }
            Ok(Err(error)) => QueryResult::Failed(self.explained(error, false)),
            Err(no_answer) => QueryResult::Failed(no_answer),
        }
    }

    fn may_not_request(&self, name: &str) -> String {
        let namespace = &self.namespace;
        format!(
            "you may not patch the RototoWorkspace: it takes a Role in the namespace {namespace} with the verb \
                patch on rototoworkspaces.rototo.dev, resourceNames [{name}]"
        )
    }

    /// Returns the address of the operator's endpoint, from the marker map.
    async fn operator_address(&self) -> anyhow::Result<Address> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let (map, namespace) = (names::MARKERS, &self.namespace);
        match in_time(api.get_opt(map)).await? {
            Ok(Some(found)) => Address::of(&found).ok_or_else(|| {
                anyhow!(
                    "the ConfigMap {map} in the namespace {namespace} lacks the annotation {}",
                    names::ANNOTATION_SNAPSHOTS
                )
            }),
            Ok(None) => Err(anyhow!("there is no ConfigMap {map} in the namespace {namespace}")),
            Err(kube::Error::Api(status)) if status.code == 403 => Err(anyhow!(
                "you may not get the ConfigMap {map} in the namespace {namespace}, which names its address"
            )),
            Err(error) => Err(self.explained(error, false)),
        }
    }

    pub(crate) fn missing(&self, name: &str) -> anyhow::Error {
        let namespace = &self.namespace;
        match name.split_once('/') {
            Some((namespace, name)) => anyhow!(
                "`{namespace}/{name}` is no name of a RototoWorkspace: for `{name}` in the namespace {namespace}, write \
                    `{name} -n {namespace}`"
            ),
            None => anyhow!(
                "there is no RototoWorkspace `{name}` in the namespace {namespace}: `rototo status` lists those there are"
            ),
        }
    }

    fn problem(&self, error: watcher::Error, everywhere: bool) -> WatchProblem {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => {
                let refused = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
                let lasting = refused || is_no_api_server(&error);
                let error = self.explained(error, everywhere);
                if lasting { WatchProblem::Lasting(error) } else { WatchProblem::Passing(error) }
            }
            watcher::Error::WatchError(status) => {
                WatchProblem::Passing(anyhow!("the watch has ended: {}", api_answer(&status)))
            }
            other @ watcher::Error::NoResourceVersion => WatchProblem::Passing(other.into()),
        }
    }

    /// Returns what to do about an error, with the words of the server.
    fn explained(&self, error: kube::Error, everywhere: bool) -> anyhow::Error {
        let status = match &error {
            kube::Error::Api(status) if !is_no_api_server(&error) => status,
            _ => return anyhow!("the API server could not be asked: {}", api_error(&error)),
        };
        let advice = match status.code {
            401 => "the API server doesn't accept the credentials: log in again, or name another --context".to_owned(),
            403 if is_unparsed(status) => "something before the API server refuses the request".to_owned(),
            403 => self.may_not_read(everywhere),
            404 => "the cluster knows no RototoWorkspace: install the chart rototo-operator, or name another --context"
                .to_owned(),
            _ => return anyhow!("the API server could not be asked: {}", api_answer(status)),
        };
        anyhow!("{advice} ({})", api_answer(status))
    }

    fn may_not_read(&self, everywhere: bool) -> String {
        let (place, grant) = if everywhere {
            ("all namespaces".to_owned(), "ClusterRoleBinding to a ClusterRole")
        } else {
            (format!("the namespace {}", self.namespace), "Role")
        };
        format!(
            "you may not read rototoworkspaces.rototo.dev in {place}: it takes a {grant} with the verbs get, list, watch, \
                such as the ClusterRole `view`"
        )
    }
}

/// The time limit of one request.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Returns the result of one request to the API server, or an error if it does not answer in time.
async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> anyhow::Result<kube::Result<T>> {
    let answer = timeout(ANSWERS_WITHIN, request).await;
    answer.map_err(|_| anyhow!("the API server has not answered within {} s", ANSWERS_WITHIN.as_secs()))
}

/// Returns the backoff of a watch that failed.
fn watch_backoff() -> watcher::ExponentialBackoff {
    let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
    backoff.with_max_delay(Duration::from_secs(5)).with_jitter().without_max_times().into()
}

/// The failure of a watch.
pub(crate) enum WatchProblem {
    /// The watch is tried again, which may help.
    Passing(anyhow::Error),
    /// Trying again does not help before somebody changes something, unless the API server is starting again.
    Lasting(anyhow::Error),
}
