//! What the targets do with arbitrary bytes. Whatever these are, there is an answer: no panic, no endless work, and what
//! must hold for every input is asserted.

pub mod snapshots;
pub mod seeds;
pub mod texts;
pub mod workspaces;
