//! TODO: what the room `fleet` is for.

pub mod clock;
pub mod pods;
