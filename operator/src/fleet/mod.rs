//! The evidence of who runs what, as `rototo_protocol::fleet` judges it: pods, and reports that were turned away.
//!
//! [`pods`] has the pods of the watched namespaces, and [`clock`] is the clock that all evidence is dated by.

pub(crate) mod clock;
pub(crate) mod pods;
pub(crate) mod turned_away;
