//! The guard that keeps a workspace followed.

#[cfg(feature = "kubernetes")]
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// A workspace and each of its typed variables hold this guard. Dropping the last reference stops the follower.
#[derive(Default)]
pub(crate) struct FollowGuard {
    stop: CancellationToken,
    #[cfg(feature = "kubernetes")]
    registration: Arc<crate::kubernetes::HandleRegistration>,
}

impl FollowGuard {
    /// Stops the follower for good.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns the token on which the tasks of this workspace end.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Takes the health that the application states: degraded, with this code, or well.
    #[cfg_attr(not(feature = "kubernetes"), expect(clippy::unused_self, reason = "no operator listens to this build"))]
    pub(crate) fn report_health(&self, degraded: Option<String>) {
        #[cfg(feature = "kubernetes")]
        self.registration.report_health(degraded);
        #[cfg(not(feature = "kubernetes"))]
        drop(degraded);
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) fn registration(&self) -> &Arc<crate::kubernetes::HandleRegistration> {
        &self.registration
    }
}

impl Drop for FollowGuard {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
