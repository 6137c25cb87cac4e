//! The documents of a workspace: their paths and texts, the fingerprint of all, and maps that share unchanged documents.

pub mod fingerprint;
pub mod shared;
pub mod text;
pub mod tree;
