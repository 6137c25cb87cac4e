//! Runs the custom rules of a workspace, `lint/*.lua`, within limits.
//!
//! The engine calls this package through [`Scripts`], and knows nothing of Lua. [`InProcess`] runs scripts in the
//! calling process. [`Subprocess`] runs them in another process, which can open nothing and is ended when it takes too
//! long.
//!
//! ```
//! use rototo_engine::{Tree, lint_with, parse};
//! use rototo_lua::{InProcess, ScriptLimits};
//!
//! let mut tree = Tree::default();
//! tree.insert("rototo-workspace.toml", *b"schema_version = 1");
//! tree.insert("lint/empty.lua", *b"function register(lint) end");
//! let lint = lint_with(&parse(tree), &mut InProcess::new(ScriptLimits::default()));
//! assert_eq!(lint.diagnostics[0].rule, "rototo/custom-lint-file-unregistered");
//! ```
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod answers;
mod in_process;
mod sandbox;
#[cfg(unix)]
mod subprocess;

pub use in_process::InProcess;
pub use rototo_engine::lint::Scripts;
pub use sandbox::ScriptLimits;
#[cfg(unix)]
pub use subprocess::{SANDBOX, Subprocess, serve};
