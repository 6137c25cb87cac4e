//! The same workspace and context through our engine and through the reference, and what came out differently.
//!
//! [`generate`] makes workspaces, [`outcome`] runs both, the other one in [`reference`], [`differences`] knows what may differ and why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod differences;
pub mod generate;
pub mod outcome;
pub mod reference;
