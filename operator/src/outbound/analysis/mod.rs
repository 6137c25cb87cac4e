//! Measures the metrics that a revision has to pass during its rollout.
//!
//! [`prometheus`] sends a query and reads a number from the answer, [`record`] remembers the measurements of the step that
//! is under way, and `reconcile` starts a measurement when one is due. [`rototo_protocol::analysis`] decides about them.

mod answer;
pub(crate) mod prometheus;
mod query;
pub(crate) mod record;
