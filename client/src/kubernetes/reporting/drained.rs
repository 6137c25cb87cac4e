//! Repeats the report that a process has drained, as long as the process lives. An operator that restarts forgets the
//! report, and would wait for the pod.

use std::sync::Arc;
use std::time::Duration;

use rototo_protocol::follower::next_drained_report;
use tokio::time::sleep;

use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::reporting;
use crate::kubernetes::reporting::handles::HandleRegistration;

/// The last handle of a workspace in this process, after it ended. It holds no content and no watch.
pub(crate) struct Drained {
    pub(in crate::kubernetes) registration: Arc<HandleRegistration>,
    pub(in crate::kubernetes) endpoint: Arc<Endpoint>,
    pub(in crate::kubernetes) namespace: String,
    pub(in crate::kubernetes) workspace: String,
}

impl Drained {
    /// Reports until another handle opens. The task ends with its runtime.
    pub(crate) async fn repeat(self, mut pause: Duration) {
        loop {
            sleep(pause).await;
            let Some(combined) = self.registration.drained() else { return };
            let response =
                reporting::send(&self.endpoint, &self.namespace, &self.workspace, combined, Vec::new()).await;
            if let Err(fault) = &response {
                tracing::debug!(workspace = self.workspace, code = fault.code, "{}", fault.message);
            }
            pause = next_drained_report(response.as_ref().ok());
        }
    }
}
