//! The shared parts of the benches: their environment, the witnesses of a change, and figures.
//!
//! Each bench is a binary that `cargo xtask bench` builds and runs. It prints the figures, and no figure makes it fail.

pub mod caller;
pub mod environment;
pub mod figures;
pub mod peaks;
pub mod trace;
pub mod witnesses;
pub mod writes;
