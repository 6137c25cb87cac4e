//! The project's own commands, and the supply of a control plane that its tests share with them.
//!
//! `cargo xtask demo | test | simulate | chaos | bench | fuzz | generate | deny | alerts | image | node | sdks | page |
//! release | control-plane`;
//! `main.rs` describes each.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod alerts;
pub mod bench;
pub mod cargo;
pub mod cargo_tool;
pub mod chaos;
pub mod chart_readme;
mod command;
pub mod control_plane;
pub mod demo;
pub mod deny;
mod disk;
pub mod folder;
pub mod fuzz;
pub mod generate;
pub mod image;
mod licences;
pub mod node;
pub mod page;
mod progress;
pub mod prometheus;
pub mod reference;
pub mod release;
pub mod sdks;
mod sha256;
pub mod simulate;
pub mod test;
