//! The same workspace and context through our engine and through the reference, and what came out differently.
//!
//! [`generate`] makes workspaces, [`outcome`] runs both, [`differences`] knows what may differ and why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod differences;
pub mod generate;
pub mod outcome;
