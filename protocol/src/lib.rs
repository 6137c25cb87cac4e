//! The decisions of both sides of the protocol, as pure functions: events go in, decisions come out. No I/O, clock,
//! environment, randomness, or async; times and chance enter as parameters.
//!
//! - [`fleet`]: the operator's answer to *does every process run what is published?*, from evidence.
//! - [`plan`]: what the operator must write so that the marker says what the source says; [`publisher`] remembers what it
//!   has written, and what it has not heard back of.
//! - [`follower`]: what a process does about one workspace, and what it reports.
//! - [`windows`]: every period of time that both are judged by.
//!
//! The operator and the client library call these functions, and so does the simulator: what it tries to break is what
//! runs.
#![deny(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backoff;
pub mod fleet;
pub mod follower;
pub mod plan;
mod publish;
pub mod publisher;
pub mod windows;

pub use publish::Publish;
