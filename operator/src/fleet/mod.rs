//! The evidence of who runs what, as `rototo_protocol::fleet` judges it: pods, reports that were turned away, and what
//! the last leader has passed on.
//!
//! [`pods`] has the pods of the watched namespaces, `namespace_pods` those of each, `pod_description` and [`pod_labels`]
//! read their objects, [`process_count`] counts the processes of all fleets, and [`clock`] is the clock that all evidence
//! is dated by.

pub(crate) mod clock;
pub(crate) mod inheritance;
mod namespace_pods;
mod pod_description;
pub(crate) mod pod_labels;
pub(crate) mod pods;
pub(crate) mod process_count;
pub(crate) mod turned_away;
