//! The same workspace and context through our engine and through the reference, and what came out differently.
//!
//! [`generate`] makes workspaces, [`outcome`] runs both engines, the other one in [`mod@reference`], [`differences`] knows what may
//! differ and why. [`programs`] runs both commands side by side, and [`meant`] knows the same of these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod differences;
pub mod generate;
pub mod meant;
pub mod outcome;
pub mod programs;
pub mod reference;
