//! Resolves the same workspaces and contexts with our engine and with the reference, and explains the differences.
//!
//! [`generate`] makes workspaces. [`outcome`] runs both engines, the reference in [`mod@reference`]. [`differences`]
//! has the known differences, each with its reason. [`programs`] runs both commands side by side, and [`meant`] has the
//! known differences between these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod differences;
pub mod generate;
pub mod meant;
pub mod outcome;
pub mod programs;
pub mod reference;
