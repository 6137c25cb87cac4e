//! The decisions of both sides of the protocol between operator and processes, as pure functions: observations go in,
//! decisions come out. The operator, the client library, and the simulator call the same functions, so the simulator
//! tests the code that runs in production.
//!
//! # Code map
//!
//! The operator asks three questions about each workspace:
//!
//! - *Does the marker say what it should?* [`plan::plan`] turns a [`plan::PlanInput`] into a [`plan::MarkerPlan`].
//!   [`publisher::Publisher`] calls it in [`publisher::Publisher::decide`], and remembers between two plans what is
//!   published and which write has no answer yet.
//! - *Would the publish remove most of the variables?* [`hold::Shrink`] says whether a person has to allow it.
//! - *May the announced publish go on?* [`fleet::Fleet::rehearsal`] says whether it passed its rehearsal, and
//!   [`rollout::decide`] which part of the fleet runs it next. [`analysis::state`] says what metrics have to do with it.
//! - *Does every process run what is published?* [`fleet::Fleet`] takes the evidence, such as reports in
//!   [`fleet::Fleet::report`] and pods in [`fleet::Fleet::observe`]. [`fleet::Fleet::view`] returns a
//!   [`fleet::FleetView`] with the [`fleet::Verdict`].
//!
//! A process asks one question for each handle:
//!
//! - *What is to be done next?* [`follower::step`] takes a [`follower::FollowerState`] and a
//!   [`follower::FollowerEvent`], and returns the next state and a list of [`follower::FollowerAction`]s.
//!   [`follower::combine`] makes the [`follower::ReportedState`] of the process from those of its handles.
//!
//! Both sides share these:
//!
//! - [`Publish`]: content and the time that names it.
//! - [`windows::Windows`]: every period of time by which a fleet is judged, derived from the heartbeat.
//! - [`backoff::Backoff`]: the wait before a failed operation is tried again.
//!
//! `docs/convergence.md` defines what the answers mean.
//!
//! # Invariants
//!
//! - Equal input gives equal output. Times and random numbers are parameters.
//! - The marker alone says what a process should run. A report response that names something else only makes the
//!   process list the marker again.
//! - The content that a process runs is replaced only by content that was fetched or recalled from the disk, verified,
//!   and compiled. Nothing removes it.
//! - A publish exists once the API server has accepted its marker, and each write of a marker has a later name than
//!   every publish that the operator knows. Only a write whose answer was lost is repeated under its own name.
//! - A verdict is computed from evidence for each view and never stored, so it can turn back. The figure of a publish
//!   is fixed once the publish has reached all who were there.
//! - Silence proves nothing. A process leaves by evidence of its end. If its end can't be seen, the verdict is unknown
//!   until the process reports again or the *forget* window is over.
//!
//! # What this crate never does
//!
//! - It does no I/O, reads no clock and no environment, draws no random number, starts no thread, and has no async
//!   code. `clippy.toml` forbids the calls. Callers carry out the decisions, and decide nothing themselves.
//! - It holds no content of a workspace: it knows content by its fingerprint alone.
//! - It does not depend on `kube`: callers translate pods, ConfigMaps, and reports into the types of this crate.
#![deny(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod analysis;
pub mod backoff;
pub mod fleet;
pub mod follower;
pub mod hold;
pub mod plan;
mod publish;
pub mod publisher;
pub mod rollout;
pub mod stage;
pub mod windows;

pub use publish::{Marked, Publish};
