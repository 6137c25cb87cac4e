//! TODO: what the room `marker` is for.

pub mod map;
pub mod maps;
