//! Requests to services that an administrator, or the owner of a workspace, names: no answer of them is needed to publish.
//!
//! [`analysis`] measures a rollout with queries of Prometheus, [`notify`] shows at git hosts what became of commits, and
//! [`telemetry`] sends traces of changes to a collector. Each is off until somebody names an address, has limits of its own,
//! and holds up nothing but itself. `reconcile` says when a request is due.

pub(crate) mod analysis;
pub(crate) mod notify;
pub(crate) mod telemetry;
