//! Runs rototo against a real control plane, real git, and real processes.
//!
//! - [`harness`] starts these and observes them; the tests, the chaos, and the demo share it.
//! - `e2e/` has the end-to-end tests: one binary, and one file per property that is tested.
//! - `demo/` shows one change on its way to a fleet; `generate/` writes the files that are generated from code.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod generated;
pub mod harness;
