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
