//! A language server for rototo workspaces, over standard input and output, with the engine of the operators and
//! applications.
//!
//! A workspace is a directory with a `rototo-workspace.toml`. The server reads it when a client opens a document in it,
//! puts the open documents in place of the files, and lints what changed after each change, on a thread of its own.
//!
//! - [`serve`] runs the server until its client ends it.
//! - No input makes it panic or stop: a message that it does not understand has an error as its answer.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod cursor;
mod features;
mod position;
mod server;
mod workspace;

pub use server::{ServeError, ServerOptions, serve};
