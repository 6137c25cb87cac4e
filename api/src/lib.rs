//! The wire format between the rototo operator, the processes it serves, and the Kubernetes API.
//!
//! This crate has types and their (de)serialization only; it does no I/O and decides nothing. The names are a contract:
//! operators, clients, and tools of different versions meet through them. A reader ignores fields that it does not know, and a
//! new field is optional.
//!
//! ```
//! use rototo_api::marker::Marker;
//!
//! let text = r#"{"schema_version":1,"fingerprint":"sha256:9f2c","updated_at":"2026-11-20T18:40:00.123456Z","later":true}"#;
//! assert!(matches!(Marker::parse(text)?, Marker::Published { .. }));
//! # Ok::<(), rototo_api::marker::MarkerError>(())
//! ```
//!
//! No function panics, whatever text it gets; every type is [`Send`] and [`Sync`]. The names of fields give their units: `_ms`
//! are milliseconds, and times are UTC by the clock that their documentation names.
//!
//! - [`marker`]: the marker of a workspace, one key of a ConfigMap that processes watch.
//! - [`snapshot`]: the manifest of the content that a marker's fingerprint names.
//! - [`fleet`]: the report of a process, and the operator's response.
//! - `analysis` (feature `crd`): the metrics that a new revision has to pass.
//! - [`condition`]: types and reasons of conditions.
//! - [`convergence`]: the operator's answer to the question whether a publish has reached the fleet.
//! - [`names`]: labels, annotations, and paths.
//! - [`no_proxy`]: the servers that `NO_PROXY` names.
//! - `notify` (feature `crd`): the reports that the operator sends to others.
//! - [`source_scheme`]: the schemes of a source.
//! - `rollout` (feature `crd`): the rules by which a new revision reaches the fleet.
//! - `workspace` (feature `crd`): the `RototoWorkspace` custom resource.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "crd")]
pub mod analysis;
pub mod condition;
pub mod convergence;
pub mod evidence;
pub mod fleet;
pub mod marker;
pub mod names;
pub mod no_proxy;
#[cfg(feature = "crd")]
pub mod notify;
#[cfg(feature = "crd")]
pub mod rollout;
#[cfg(feature = "crd")]
mod secret_ref;
pub mod snapshot;
pub mod source_scheme;
mod updated_at;
#[cfg(feature = "crd")]
pub mod workspace;

pub use updated_at::{InvalidUpdatedAt, UpdatedAt};
