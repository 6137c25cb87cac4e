//! Parses, lints, compiles, and resolves rototo workspaces. Pure: bytes in, values out; no I/O, clock, environment,
//! randomness, or async.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod fingerprint;
pub mod tree;

pub use fingerprint::{Digest, Fingerprint};
pub use tree::{Document, DocumentKind, Tree};
