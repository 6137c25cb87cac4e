//! Resolve reviewed runtime configuration from memory, and have it stay current by itself.
//!
//! A workspace is a directory of variables, qualifiers, and resources in git. An application names it once and asks
//! for values with the facts of the request:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rototo::{ResolveContext, Workspace};
//! # #[derive(serde::Deserialize)]
//! # struct DegradationPolicy { max_concurrency: u64 }
//!
//! # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
//! let workspace = Workspace::load(directory).await?;
//! let context = ResolveContext::from_json(serde_json::json!({
//!     "service": {"queue_pressure": "high"},
//!     "account": {"id": "acct-001"},
//! }))?;
//! let resolution = workspace.resolve_variable("service-degradation-policy", &context).await?;
//! let key = resolution.value_key.clone();
//! let policy: DegradationPolicy = serde_json::from_value(resolution.value)?;
//! assert_eq!((key.as_str(), policy.max_concurrency), ("severe", 10));
//! println!("{key} from {:?}", workspace.source_fingerprint());
//! # Ok(())
//! # }
//! ```
//!
//! A service that runs for long uses [`RefreshingWorkspace`]: the environment variable `ROTOTO_WORKSPACE_SOURCE` says
//! where the workspace is, a directory on a laptop, a commit in a job, and `kubernetes://<namespace>/<workspace>` in a
//! pod, where changes arrive in milliseconds. The rest of the code stays the same.
//!
//! What was loaded last goes on to be used through every failure, and the status says what is wrong and how old the
//! confirmation is. No error and no log line holds a value of a workspace or a secret.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod current;
mod environment;
mod error;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod reading;
mod refreshing;
pub mod testing;
mod workspace;

pub use current::change_listeners::{Change, Changes};
pub use current::counters::Counters;
pub use current::refresh_request::RefreshOutcome;
pub use current::status::RefreshStatus;
pub use error::{Error, Result, RototoError};
#[cfg(feature = "kubernetes")]
pub use kubernetes::Cluster;
pub use reading::options::{LintMode, LoadOptions, SourceAuth};
pub use refreshing::options::RefreshOptions;
pub use refreshing::typed::{Typed, TypedResolution};
pub use refreshing::{RefreshingWorkspace, WORKSPACE_SOURCE};
pub use rototo_api::UpdatedAt;
pub use rototo_api::fleet::ProcessState;
pub use rototo_engine::{
    Attribute, Attributes, Context as ResolveContext, Diagnostic, Facts, Fingerprint, Lint, Prepared, QualifierTrace,
    Resolution, ResolveOptions, Severity, VariableTrace,
};
pub use rototo_source::ReaderOptions;
pub use workspace::origin::SourceFingerprint;
pub use workspace::{QualifierResolution, VariableResolution, Workspace};

/// The examples of the page on this library are code that compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
struct Library;
