//! Following the operator's marker: one watch per process, snapshots verified by their digest, and a report of what
//! runs.
//!
//! ```text
//! doorbell ──sight──► follower ──event──► state::step ──action──► snapshots, reports, swap
//! ```
//!
//! [`state`] decides and touches nothing; everything else touches the world and decides nothing.

mod access;
#[cfg(test)]
mod any_bytes;
mod cache;
mod cluster;
mod direct;
mod doorbell;
mod endpoint;
mod fault;
mod follower;
mod reports;
mod sight;
mod slot;
mod snapshots;
mod state;
mod story;
mod target;

/// Where each step of a change on its way through this process is told, for benches; nobody else listens.
const PATH: &str = "rototo::path";

pub use cluster::Cluster;
pub(crate) use direct::Direct;
pub(crate) use follower::follow;
pub(crate) use target::{Pins, Target};
