//! Documents: bytes with a path, their positions, their identity, and the maps that hold them.
//!
//! The entry point is [`tree::Tree`]. Nothing here knows the meaning of a document: equal documents at equal paths have
//! the same [`fingerprint::Fingerprint`].

pub mod fingerprint;
pub(crate) mod kind;
pub mod shared;
pub mod text;
pub mod tree;
pub(crate) mod unread;
