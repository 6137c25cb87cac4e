//! Resolves reviewed runtime configuration from memory, and keeps it current.
//!
//! A workspace is a directory of variables, qualifiers, and resources in git. An application names it once, and
//! resolves values for the facts of each request:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rototo::{ResolveContext, Workspace};
//! use serde::Deserialize;
//! # #[derive(Deserialize)]
//! # struct DegradationPolicy { max_concurrency: u64 }
//!
//! # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
//! let workspace = Workspace::load(directory).await?;
//! let context = ResolveContext::from_json(serde_json::json!({
//!     "service": {"queue_pressure": "high"},
//!     "account": {"id": "acct-001"},
//! }))?;
//! let resolution = workspace.resolve_variable("service-degradation-policy", &context).await?;
//! let policy = DegradationPolicy::deserialize(&*resolution.value)?;
//! assert_eq!((resolution.value_key.as_str(), policy.max_concurrency), ("severe", 10));
//! println!("{} from {:?}", resolution.value_key, workspace.source_fingerprint());
//! # Ok(())
//! # }
//! ```
//!
//! # Where to start
//!
//! | for | see |
//! |---|---|
//! | a service that runs for long | [`RefreshingWorkspace`], [`RefreshOptions`] |
//! | a job that reads the configuration once | [`Workspace::load`], [`LoadOptions`] |
//! | values in the application's own types | [`RefreshingWorkspace::variable`], [`RefreshOptions::expecting`] |
//! | work to do after a change | [`RefreshOptions::on_change`], [`RefreshingWorkspace::changes`] |
//! | probes, logs, and metrics | [`RefreshingWorkspace::ready`], [`RefreshStatus`] |
//! | tests of the application and of its workspace | [`RefreshingWorkspace::fixed`], [`testing`] |
//!
//! The environment variable `ROTOTO_WORKSPACE_SOURCE` names the source of a [`RefreshingWorkspace`]: a directory on a
//! laptop, a commit in a job, and `kubernetes://<namespace>/<workspace>` in a pod, where changes arrive in
//! milliseconds. The rest of the code stays the same.
//!
//! # Guarantees
//!
//! - Resolving reads memory, and never waits for I/O or for a version that is being loaded.
//! - The workspace that was swapped in last stays in use through every failure. [`RefreshStatus`] names the failure and
//!   the time of the last confirmation.
//! - A workspace that lint, the compiler, or the application's own checks refuse never replaces a good one.
//! - No error and no log line holds a value of a workspace or a secret. Errors of [`testing`] hold the values of
//!   fixtures.
//! - No function panics. One that needs a Tokio runtime and has none returns [`Error::NoRuntime`].
//! - Every public type is [`Send`] and [`Sync`].
//! - Dropping a future never harms what is loaded. The documentation of each method says what continues in the
//!   background.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod current;
mod environment;
mod error;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(test)]
mod logged;
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
pub use refreshing::health::{Health, HealthReason, InvalidHealthReason};
pub use refreshing::options::RefreshOptions;
pub use refreshing::typed::{Typed, TypedResolution};
pub use refreshing::{RefreshingWorkspace, WORKSPACE_SOURCE};
pub use rototo_api::UpdatedAt;
pub use rototo_api::fleet::ProcessState;
pub use rototo_engine::{
    Attribute, Attributes, Cause, Context as ResolveContext, Diagnostic, Facts, Fingerprint, Lint, Prepared,
    QualifierTrace, Resolution, ResolveError, ResolveOptions, Severity, VariableTrace,
};
pub use rototo_source::ReaderOptions;
pub use workspace::origin::SourceFingerprint;
pub use workspace::{QualifierResolution, VariableResolution, Workspace};

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of this crate promises it.
    #[test]
    fn public_types_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<RefreshingWorkspace>();
        shared::<Workspace>();
        shared::<Typed<String>>();
        shared::<TypedResolution<String>>();
        shared::<Changes>();
        shared::<Change>();
        shared::<RefreshOptions>();
        shared::<LoadOptions>();
        shared::<RefreshStatus>();
        shared::<Health>();
        shared::<Error>();
        #[cfg(feature = "kubernetes")]
        shared::<Cluster>();
    }
}

/// Compiles the examples of the page on this library.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
struct Library;
