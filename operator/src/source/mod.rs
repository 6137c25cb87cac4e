//! TODO: what the room `source` is for.

pub mod credentials;
pub mod custom_rules;
pub mod poll;
pub mod schedule;
pub(crate) mod snapshot_cache;
pub mod snapshots;
