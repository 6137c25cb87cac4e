//! Following the operator's marker: one watch per process, snapshots verified by their digest, and a report of what
//! runs.
//!
//! ```text
//! doorbell ──sight──► follower ──event──► protocol::follower::step ──action──► snapshots, swap, presence, reports
//! ```
//!
//! [`rototo_protocol::follower`] decides and touches nothing; everything else touches the world and decides nothing.

#[cfg(test)]
mod any_bytes;
mod cluster;
mod following;
mod reporting;

/// Where each step of a change on its way through this process is told, for benches; nobody else listens.
const PATH: &str = "rototo::path";

pub use crate::kubernetes::cluster::Cluster;
pub(crate) use crate::kubernetes::cluster::endpoint_overrides::EndpointOverrides;
pub(crate) use crate::kubernetes::following::direct::Direct;
pub(crate) use crate::kubernetes::following::follow;
pub(crate) use crate::kubernetes::following::target::FollowTarget;
pub(crate) use crate::kubernetes::reporting::handles::HandleRegistration;
