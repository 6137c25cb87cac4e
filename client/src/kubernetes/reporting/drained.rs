//! Repeats that a process has drained, as long as the process lives. An operator that was restarted remembers nothing of
//! it, and would wait for its pod.

use std::sync::Arc;
use std::time::Duration;

use rototo_protocol::follower::heartbeat;
use tokio::time::sleep;

use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::reporting;
use crate::kubernetes::reporting::handles::HandleRegistration;

/// The time until a report is repeated that got no answer.
pub(crate) const REPEATED_AFTER: Duration = Duration::from_secs(15);

/// The last handle of a workspace in this process, after it was closed. It holds no content and no watch.
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
            let answer = reporting::send(&self.endpoint, &self.namespace, &self.workspace, combined, Vec::new()).await;
            pause = match answer {
                Ok(answer) => heartbeat(&answer),
                Err(fault) => {
                    tracing::debug!(workspace = self.workspace, code = fault.code, "{}", fault.message);
                    REPEATED_AFTER
                }
            };
        }
    }
}
