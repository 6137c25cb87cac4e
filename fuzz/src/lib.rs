//! The fuzz targets: arbitrary bytes always get an answer, without a panic and without endless work, and
//! must hold for every input is asserted.

pub mod snapshots;
pub mod seeds;
pub mod texts;
pub mod workspaces;
