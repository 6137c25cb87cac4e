//! End-to-end tests against a real control plane, real git, and real processes, with one file per property that is
//! tested.
//!
//! All tests of this binary share a control plane, and each test has a namespace of its own. A test that kills or
//! freezes a part of the control plane, or changes objects outside of namespaces, starts its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
mod analysis;
mod authority;
mod cache;
mod chart;
mod cli;
mod clusters;
mod commit_status;
mod control_plane;
mod convergence;
mod custom_rules;
mod direct;
mod doorbell;
mod double;
mod endpoints;
mod grants;
mod hostile;
mod interruptions;
mod leader;
mod limits;
mod markers;
mod markers_policy;
mod missing_grants;
mod page;
mod propagation;
mod rehearsal;
mod replicas;
mod requests_policy;
mod rollout;
mod scene;
mod secrets;
mod shrink;
mod sources;
mod traces;
mod transcripts;
mod two_workspaces;
mod unanswered;
mod updates_denied;
mod watched_namespaces;
mod webhook;
mod written_fixtures;
