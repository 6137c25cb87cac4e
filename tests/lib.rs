//! Runs rototo against a real control plane, real git, and real processes.
//!
//! - [`harness`] starts and watches all of these; the tests and the demo share it.
//! - `e2e/` has the tests: one binary, and one file per thing that is proven.
//! - `demo/` tells one change's story to a person; `generate/` writes the files that are made from code.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod generated;
pub mod harness;
