//! The evidence of who runs what, as `rototo_protocol::fleet` judges it: pods, reports that were turned away, and what
//! the last leader has passed on.
//!
//! [`pods`] has the pods of the watched namespaces, `pod_description` reads their objects, and [`clock`] is the clock that all evidence is dated by.

pub(crate) mod clock;
pub(crate) mod inheritance;
mod pod_description;
pub(crate) mod pods;
pub(crate) mod turned_away;
