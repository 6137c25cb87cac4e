//! Parses, lints, compiles, and resolves rototo workspaces. Pure: bytes in, values out; no I/O, clock, environment,
//! randomness, or async.
#![deny(missing_docs)]

pub mod fingerprint;
pub mod tree;

pub use fingerprint::{Digest, Fingerprint};
pub use tree::{Document, DocumentKind, Tree};
