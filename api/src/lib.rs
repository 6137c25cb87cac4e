//! The wire format between the rototo operator, the processes it serves, and the Kubernetes API.
//!
//! Types and their (de)serialization only; nothing here does I/O or decides anything. The names are
//! contract: operators, clients, and tools of different versions meet through them.
//!
//! - [`marker`]: the doorbell, one key of a ConfigMap per workspace.
//! - [`snapshot`]: the manifest of the content that a marker's fingerprint names.
//! - [`fleet`]: what a process says it runs, and the operator's answer.
//! - [`condition`]: types and reasons of conditions.
//! - [`convergence`]: the operator's answer to whoever asks whether a publish has reached the fleet.
//! - [`names`]: labels, annotations, and paths.
//! - `workspace` (feature `crd`): the `RototoWorkspace` custom resource.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod condition;
pub mod convergence;
pub mod fleet;
pub mod marker;
pub mod names;
pub mod snapshot;
mod updated_at;
#[cfg(feature = "crd")]
pub mod workspace;

pub use updated_at::{InvalidUpdatedAt, UpdatedAt};
