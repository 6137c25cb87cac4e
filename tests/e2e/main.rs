//! Tests against a real control plane, real git, and real processes. One file per thing that is proven.
//!
//! The control plane is shared by all tests of this binary, and each test has a namespace of its own. A test that
//! kills or freezes a part of it, or changes what has no namespace, starts its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cache;
mod chart;
mod cli;
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
mod markers;
mod markers_policy;
mod missing_grants;
mod propagation;
mod refusal;
mod scene;
mod sources;
mod transcripts;
mod two_workspaces;
mod unanswered;
mod webhook;
mod written_fixtures;
