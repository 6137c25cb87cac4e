//! Writes statuses and Events to the API server.
//!
//! A status is a claim: [`StatusWriter::write`] writes it for the version of the object that it was decided on, and for
//! no other.

use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use rototo_api::names::OPERATOR;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_connection::api_error;
use serde_json::json;
use tracing::warn;

use crate::status::events::{EventSeverity, WorkspaceEvent};
use crate::status::record::version;
use crate::workspace_key::WorkspaceKey;

/// The reason why a status has to be written again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// The status could not be written.
    #[error("the status of {namespace}/{name} could not be written: {}", api_error(.source))]
    Status {
        /// The workspace's namespace.
        namespace: String,
        /// The workspace's name.
        name: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
}

/// The outcome of a write of the status.
pub(crate) enum StatusWrite {
    /// The object has it, at this version.
    Written(u64),
    /// The object has changed since the decision, which has to be made again.
    Conflict,
    /// The object was deleted, or deleted and created again: nothing is left to report on.
    Gone,
}

/// Writes the statuses and the Events of all workspaces.
#[derive(Clone)]
pub(crate) struct StatusWriter {
    client: Client,
    reporter: Reporter,
}

impl StatusWriter {
    /// Writes with `client`.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, reporter: Reporter { controller: OPERATOR.to_owned(), instance: None } }
    }

    /// Writes `status`, provided that the object is still at `resource_version`.
    pub(crate) async fn write(
        &self,
        workspace: &RototoWorkspace,
        status: &RototoWorkspaceStatus,
        resource_version: u64,
    ) -> Result<StatusWrite, ReportError> {
        let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
        let workspaces: Api<RototoWorkspace> = Api::namespaced(self.client.clone(), &namespace);
        let body = json!({
            "apiVersion": RototoWorkspace::api_version(&()),
            "kind": RototoWorkspace::kind(&()),
            "metadata": { "name": name, "uid": workspace.uid(), "resourceVersion": resource_version.to_string() },
            "status": status,
        });
        // Applied by its one owner, so that a field that is left out disappears.
        let params = PatchParams::apply(OPERATOR).force();
        match workspaces.patch_status(&name, &params, &Patch::Apply(body)).await {
            Ok(written) => Ok(StatusWrite::Written(version(&written))),
            Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(StatusWrite::Conflict),
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(StatusWrite::Gone),
            Err(source) => Err(ReportError::Status { namespace, name, source: Box::new(source) }),
        }
    }

    /// Writes Events in the background, one after the other: a marker and a status do not wait for them.
    pub(crate) fn send_events(&self, workspace: &RototoWorkspace, events: Vec<WorkspaceEvent>) {
        if events.is_empty() {
            return;
        }
        let (writer, workspace) = (self.clone(), workspace.clone());
        tokio::spawn(async move {
            for event in events {
                writer.write_event(&workspace, event).await;
            }
        });
    }

    /// Writes an Event. A failure is logged only: the status says the same, and stays.
    pub(crate) async fn write_event(&self, workspace: &RototoWorkspace, event: WorkspaceEvent) {
        let reason = event.reason;
        let event = Event {
            type_: match event.severity {
                EventSeverity::Normal => EventType::Normal,
                EventSeverity::Warning => EventType::Warning,
            },
            reason: reason.to_owned(),
            note: Some(event.message),
            action: reason.to_owned(),
            secondary: None,
        };
        // A recorder that is kept would count events of one reason as one, and show only the message of the first.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(&event, &workspace.object_ref(&())).await {
            let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
            warn!(namespace, name, reason, error = api_error(&error), "an Event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    /// Writes a status that was decided on at version 7. Returns the body, and the outcome of this answer.
    async fn write(code: u16, answer: Value) -> (Value, Result<StatusWrite, ReportError>) {
        let sent = Arc::new(Mutex::new(Value::Null));
        let seen = sent.clone();
        let answer = move |request: Request<Body>| {
            let (seen, answer) = (seen.clone(), answer.to_string());
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                *seen.lock().unwrap() = serde_json::from_slice(&body).unwrap();
                Response::builder().status(code).body(Body::from(answer.into_bytes()))
            }
        };
        let metadata = json!({ "namespace": "prod", "name": "policy", "uid": "1" });
        let workspace: RototoWorkspace =
            serde_json::from_value(json!({ "metadata": metadata, "spec": { "source": "x" } })).unwrap();
        let writer = StatusWriter::new(Client::new(tower::service_fn(answer), "prod"));
        let outcome = writer.write(&workspace, &RototoWorkspaceStatus::default(), 7).await;
        let sent = sent.lock().unwrap().clone();
        (sent, outcome)
    }

    #[tokio::test]
    async fn a_status_is_written_only_to_the_object_and_the_version_it_was_decided_on() {
        let metadata = json!({ "namespace": "prod", "name": "policy", "resourceVersion": "8" });
        let (sent, outcome) = write(200, json!({ "metadata": metadata, "spec": { "source": "x" } })).await;
        assert!(matches!(outcome, Ok(StatusWrite::Written(8))));
        assert_eq!((&sent["metadata"]["resourceVersion"], &sent["metadata"]["uid"]), (&json!("7"), &json!("1")));
        let status = |code: u16, reason| json!({ "kind": "Status", "code": code, "reason": reason, "message": "no" });
        assert!(matches!(write(409, status(409, "Conflict")).await.1, Ok(StatusWrite::Conflict)));
        assert!(matches!(write(404, status(404, "NotFound")).await.1, Ok(StatusWrite::Gone)));
        assert!(write(500, status(500, "InternalError")).await.1.is_err());
    }
}
