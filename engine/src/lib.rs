//! Parses, lints, compiles, and resolves rototo workspaces. Pure: bytes in, values out; no I/O, clock, environment,
//! randomness, or async.
//!
//! ```
//! use rototo_engine::{Context, Tree, compile, lint, parse};
//!
//! let files = [
//!     ("rototo-workspace.toml", "schema_version = 1"),
//!     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
//! ];
//! let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let parsed = parse(tree);
//! assert!(lint(&parsed).diagnostics.is_empty());
//! let compiled = compile(&parsed)?;
//! assert_eq!(compiled.resolve_variable("limit", &Context::default())?.value, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod attribute;
pub mod bucket;
pub mod compile;
mod compiled;
mod constraint;
pub mod context;
pub mod diagnostic;
mod evaluation;
mod facts;
pub mod fingerprint;
mod graph;
mod infer;
pub mod lint;
mod memory;
mod number;
pub mod parse;
mod paths;
mod pattern;
mod prepared;
pub mod resolve;
mod schema_cost;
pub mod shared;
mod table;
pub mod text;
pub mod trace;
pub mod tree;
mod violation;

pub use attribute::Attribute;
pub use bucket::bucket;
pub use compile::{CompileError, compile, compile_after};
pub use compiled::Compiled;
pub use context::{Context, ContextError};
pub use diagnostic::{Diagnostic, Entity, Location, Related, Severity, Stage};
pub use facts::{Attributes, Facts};
pub use fingerprint::{Digest, Fingerprint};
pub use infer::infer_context_schema;
pub use lint::{Lint, Linted, lint, lint_after, lint_after_with, lint_with};
pub use parse::{Parsed, Summary, parse, parse_after};
pub use prepared::Prepared;
pub use resolve::{Resolution, ResolveError, ResolveOptions};
pub use text::{Position, Range};
pub use trace::{QualifierTrace, VariableTrace};
pub use tree::{Document, DocumentKind, Tree};

/// What this engine understands. It grows when a workspace may hold something that older engines would read differently.
pub const ENGINE_LEVEL: u64 = 1;
