//! Follows the operator's marker: one watch per process and namespace, snapshots whose fingerprint is checked, and
//! reports of what runs.
//!
//! ```text
//! doorbell ──watch cache──► follower ──event──► protocol::follower::step ──action──► fetch, swap, report
//! ```
//!
//! The entry point is [`follow`]. [`rototo_protocol::follower`] decides and does no I/O; this module does the I/O and
//! decides nothing. `following` uses `reporting` and `cluster`, `reporting` uses `cluster`, and `cluster` uses neither.

#[cfg(test)]
mod any_bytes;
mod cluster;
mod following;
mod reporting;

/// The tracing target of the steps of a change on its way through this process. Benches read them.
const PATH: &str = "rototo::path";

pub use crate::kubernetes::cluster::Cluster;
pub(crate) use crate::kubernetes::cluster::endpoint_overrides::EndpointOverrides;
pub(crate) use crate::kubernetes::following::direct::Direct;
pub(crate) use crate::kubernetes::following::follow;
pub(crate) use crate::kubernetes::following::target::FollowTarget;
pub(crate) use crate::kubernetes::reporting::handles::HandleRegistration;
