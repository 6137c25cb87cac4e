//! Following the operator's marker: one watch per process, snapshots verified by their digest, and a report of what
//! runs.
//!
//! ```text
//! doorbell ──sight──► follower ──event──► protocol::follower::step ──action──► snapshots, swap, presence, reports
//! ```
//!
//! [`rototo_protocol::follower`] decides and touches nothing; everything else touches the world and decides nothing.

mod access;
#[cfg(test)]
mod any_bytes;
mod cache;
mod cluster;
mod direct;
mod doorbell;
mod drained;
mod endpoint;
mod follower;
#[cfg(test)]
mod follower_tests;
mod handles;
mod in_flight;
mod messages;
mod process;
mod reports;
mod snapshots;
mod target;
mod watch_cache;

/// Where each step of a change on its way through this process is told, for benches; nobody else listens.
const PATH: &str = "rototo::path";

pub use cluster::Cluster;
pub(crate) use direct::Direct;
pub(crate) use follower::follow;
pub(crate) use handles::HandleRegistration;
pub(crate) use target::{EndpointOverrides, FollowTarget};
