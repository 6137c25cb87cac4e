//! The fuzz targets. Arbitrary bytes always get an answer, without a panic and without endless work, and each target
//! asserts the invariants that hold for every input.

pub mod snapshots;
pub mod seeds;
pub mod texts;
pub mod workspaces;
