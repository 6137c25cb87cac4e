//! Reads and writes one marker map. [`MapMetadata::write`] writes only if the map is still as it was at the decision.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use rototo_api::names::{
    ANNOTATION_CA, ANNOTATION_INSTALL, ANNOTATION_LEADER_SINCE, ANNOTATION_SNAPSHOTS, LABEL_MANAGED_BY, LABEL_MARKERS,
    MARKERS, OPERATOR,
};
use rototo_connection::api_error;
use serde_json::{Map, Value, json};

use rototo_protocol::Marked;
use rototo_protocol::plan::{MapVersion, MarkerEntry, MarkerMap};

/// The contents of the map beside the markers: its owner, and the address at which its readers find the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapMetadata {
    /// `<namespace>/<release>` of this install.
    pub install: String,
    /// The base URL of snapshots and reports.
    pub snapshots: String,
    /// The PEM certificates that the operator's certificate is checked against.
    pub ca: String,
}

/// The reason why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The map is not in the state that the write was decided on.
    #[error("the ConfigMap {MARKERS} has changed meanwhile")]
    Conflict,
    /// The API server refuses the write.
    #[error("{0}")]
    Refused(String),
    /// It is not known whether the write happened.
    #[error("{0}")]
    Unavailable(String),
}

impl MapMetadata {
    /// Returns the map as it concerns `workspace`.
    #[must_use]
    pub fn read(&self, map: Option<&ConfigMap>, workspace: &str) -> MarkerMap {
        let Some(map) = map else { return MarkerMap::Missing };
        let owner = map.annotations().get(ANNOTATION_INSTALL);
        if owner != Some(&self.install) {
            return MarkerMap::Foreign { owner: owner.cloned() };
        }
        let annotation = |name| map.annotations().get(name).map(String::as_str);
        let addressed = annotation(ANNOTATION_SNAPSHOTS) == Some(&self.snapshots)
            && annotation(ANNOTATION_CA) == Some(&self.ca)
            && map.labels().get(LABEL_MARKERS).map(String::as_str) == Some("true");
        let marker = MarkerEntry::read(map.data.as_ref().and_then(|data| data.get(workspace)).map(String::as_str));
        MarkerMap::Ours { resource_version: map.resource_version().unwrap_or_default(), addressed, marker }
    }

    /// Creates the map or changes just the keys in `data`, provided that the map is as it was `at` the decision.
    /// Returns the map as it is then.
    pub async fn write(
        &self,
        client: &Client,
        namespace: &str,
        data: Map<String, Value>,
        at: &MapVersion,
    ) -> Result<ConfigMap, WriteError> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": MARKERS,
                // Whatever restores a backup may not write the map, and need not: it is derived.
                "labels": { LABEL_MANAGED_BY: OPERATOR, LABEL_MARKERS: "true", "velero.io/exclude-from-backup": "true" },
                "annotations": {
                    ANNOTATION_INSTALL: self.install,
                    ANNOTATION_SNAPSHOTS: self.snapshots,
                    ANNOTATION_CA: self.ca,
                },
            },
            "data": data,
        });
        let outcome = match at {
            MapVersion::Missing => match serde_json::from_value(body) {
                Ok(map) => maps.create(&PostParams::default(), &map).await,
                Err(error) => return Err(WriteError::Refused(error.to_string())),
            },
            MapVersion::Version(version) => {
                body["metadata"]["resourceVersion"] = json!(version);
                maps.patch(MARKERS, &PatchParams::default(), &Patch::Strategic(body)).await
            }
        };
        outcome.map_err(write_error)
    }
}

/// Takes over a map: no write that was decided on an earlier version of it is accepted any more. Returns the map as it is
/// then.
pub async fn take_over(client: &Client, map: &ConfigMap, now: Timestamp) -> Result<ConfigMap, WriteError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &map.namespace().unwrap_or_default());
    let body = json!({
        "metadata": {
            "resourceVersion": map.resource_version(),
            "annotations": { ANNOTATION_LEADER_SINCE: format!("{now:.6}") },
        },
    });
    maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(body)).await.map_err(write_error)
}

/// Returns the one key that says what is published.
#[must_use]
pub fn published(workspace: &str, marked: &Marked) -> Map<String, Value> {
    Map::from_iter([(workspace.to_owned(), Value::String(marked.to_marker().to_json()))])
}

/// Reads the map of a namespace from the API server.
pub async fn get(client: &Client, namespace: &str) -> Result<Option<ConfigMap>, WriteError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    maps.get_opt(MARKERS).await.map_err(write_error)
}

fn write_error(error: kube::Error) -> WriteError {
    match error {
        // The map was deleted between decision and patch, or created meanwhile: both need a new decision.
        kube::Error::Api(status) if status.code == 409 && status.reason != "Terminating" => WriteError::Conflict,
        kube::Error::Api(status)
            if status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == MARKERS) =>
        {
            WriteError::Conflict
        }
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            WriteError::Refused(status.message)
        }
        error => WriteError::Unavailable(api_error(&error)),
    }
}
