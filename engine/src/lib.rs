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
//!
//! # Guarantees
//!
//! - **Every function is pure.** The same arguments give the same result, on every machine and in every process. Nothing waits.
//!   Resolving takes less than a microsecond, for every thread at once. Reading and compiling 10,000 variables keeps one core busy
//!   for a fifth of a second, so an async program does that on a thread for blocking work; [`parse_after`], [`lint_after`],
//!   [`compile_after`], and [`compile_tree_after`] cost as much as what changed.
//! - **No input makes a function panic**, whatever bytes a document has, and recursion has limits. `cargo xtask fuzz` sends
//!   arbitrary bytes to every parser.
//! - **An error is final.** The same workspace and context give the same error again. Faults of a workspace are
//!   [diagnostics](Diagnostic), all at once and with their places; an error of a resolution names the attribute, and never its value.
//! - **Every public type is [`Send`] and [`Sync`].** A workspace never changes: a [`Compiled`] one is shared between threads
//!   behind an [`Arc`](std::sync::Arc), and resolving takes no lock.
//! - **Clones are cheap.** [`Tree`], [`parse::Parsed`], [`Linted`], and [`Compiled`] share what did not change.
//!
//! Lines and columns count from 1, columns in UTF-16 code units; in JSON both count from 0, as editors expect. A bucket is a
//! number below 10,000.
#![deny(missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod compile;
pub mod diagnostic;
mod document;
mod graph;
pub mod lint;
pub mod mention;
pub mod parse;
pub mod resolve;
pub mod schemas;
pub mod testing;
mod value;

pub use compile::compiled::Compiled;
pub use compile::{CompileError, compile, compile_after, compile_tree_after};
pub use diagnostic::{Diagnostic, Entity, Fix, Location, Related, Severity, Stage};
pub use document::fingerprint::{Digest, Fingerprint};
pub use document::text::{Position, Range};
pub use document::tree::{Document, DocumentKind, Tree};
pub use document::{fingerprint, shared, text, tree};
pub use lint::{Lint, Linted, lint, lint_after, lint_after_with, lint_with};
pub use parse::infer::infer_context_schema;
pub use parse::{Parsed, Summary, parse, parse_after};
pub use resolve::cause::Cause;
pub use resolve::context::{Context, ContextError};
pub use resolve::facts::{Attributes, Facts};
pub use resolve::prepared::Prepared;
pub use resolve::trace::{QualifierTrace, VariableTrace};
pub use resolve::{Resolution, ResolveError, ResolveOptions, context, trace};
pub use value::attribute::Attribute;
pub use value::bucket::{self, bucket};
pub use value::date::{Date, InvalidDate};

/// The level of the format that this engine supports. It rises when a workspace may hold something that older engines
/// would read differently.
pub const ENGINE_LEVEL: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of this crate promises it.
    #[test]
    fn public_types_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Tree>();
        shared::<Parsed>();
        shared::<Linted>();
        shared::<Compiled>();
        shared::<CompileError>();
        shared::<Context>();
        shared::<Prepared>();
        shared::<VariableTrace>();
    }
}
