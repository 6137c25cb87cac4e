//! The rototo agent: answers evaluations of programs in any language over OFREP, the OpenFeature Remote Evaluation
//! Protocol 0.3.0, from a workspace that the client library keeps current.
//!
//! Each room has one task:
//!
//! - `serving` has the version that answers come from, and notifies of the next one.
//! - `evaluation` turns a request body and a version into an answer. It does no I/O.
//! - `connections` accepts connections on loopback, on a Unix socket, or elsewhere, and limits them.
//! - `http` has the endpoints, the event stream, and the probes.
//! - `metrics` counts.
//! - `run` has the options, and starts and ends all of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod connections;
mod evaluation;
mod http;
mod metrics;
mod run;
mod serving;

pub use crate::connections::address::{Address, AddressError};
pub use crate::run::error::StartError;
pub use crate::run::log::log_to_stderr;
pub use crate::run::options::Options;
pub use crate::run::run;
