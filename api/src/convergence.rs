//! The operator's answer to *is this change applied?*: `GET` on [`crate::names::convergence_path`].
//!
//! The caller needs a token for the audience [`crate::names::AUDIENCE`], and the right to `get` the `RototoWorkspace`.
//! The operator computes the answer for each request, so its age is only the time of its way back.
//!
//! ```
//! use rototo_api::convergence::Convergence;
//!
//! let body = r#"{
//!     "as_of": "2026-11-20T18:40:01Z", "uid": "6a0f", "observed_generation": 1, "fingerprint": "sha256:9f2c",
//!     "updated_at": "2026-11-20T18:40:00.123456Z", "revisions": ["main@sha1:4d123d61"],
//!     "source_revision": "main@sha1:4d123d61", "source_fingerprint": "sha256:9f2c", "settled": true, "status": "False",
//!     "reason": "Progressing", "message": "11 of 12 processes run it", "expected": 12, "processes": 12, "applied": 11,
//!     "behind": [{ "name": "app-7", "state": "pending" }]
//! }"#;
//! let answer: Convergence = serde_json::from_str(body)?;
//! assert!(answer.settled && answer.status == "False");
//! assert_eq!(answer.behind[0].name, "app-7");
//! # Ok::<(), serde_json::Error>(())
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::UpdatedAt;
use crate::fleet::ProcessState;

/// The state of a workspace's fleet at the time `as_of`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Convergence {
    /// The time at which this was computed, by the operator's clock.
    pub as_of: Timestamp,
    /// The UID of the workspace that this describes.
    pub uid: String,
    /// The generation of the spec whose source was read last; `null` before that.
    pub observed_generation: Option<i64>,
    /// The published content; `null` where nothing is published.
    pub fingerprint: Option<String>,
    /// The name of the publish.
    pub updated_at: Option<UpdatedAt>,
    /// The revisions that are known to have the published content, the newest first.
    pub revisions: Vec<String>,
    /// The newest revision of the source; `null` before it was read.
    pub source_revision: Option<String>,
    /// The newest content of the source; `null` before it was read. Its revision does not say it: that of a layered source
    /// stays when a base moves. An older operator leaves it out.
    #[serde(default)]
    pub source_fingerprint: Option<String>,
    /// True if the newest content of the source is published, refused, or held.
    pub settled: bool,
    /// The status of the condition `Converged`: `True`, `False`, or `Unknown`.
    pub status: String,
    /// The reason of the condition `Converged`.
    pub reason: String,
    /// The message of the condition `Converged`.
    pub message: String,
    /// The number of processes that should run the publish; `null` where no pod is selected.
    pub expected: Option<u32>,
    /// The number of processes that have reported and have not left.
    pub processes: u32,
    /// The number of processes that run the publish.
    pub applied: u32,
    /// The first ten, by name, of the processes and pods that do not run it.
    #[serde(default)]
    pub behind: Vec<Straggler>,
}

/// A pod or process that does not run the published content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct Straggler {
    /// The name of the pod, or the UUID of the process where it is bound to no pod.
    pub name: String,
    /// The state that its process reports, `silent` where it no longer reports, or `missing` where no process of the
    /// pod has reported.
    pub state: String,
    /// A code that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Straggler {
    /// The state of a pod that runs, and of which no process has reported.
    pub const MISSING: &str = "missing";
    /// The state of a process whose application is degraded since it applied the content.
    pub const DEGRADED: &str = "degraded";
    /// The state of a process that runs what is published, in a list of all processes.
    pub const RUNNING: &str = "running";
    /// The state of a process of a stage that runs what is announced, in a list of all processes.
    pub const RUNNING_NEXT: &str = "running_next";

    /// Returns the straggler for a pod that runs and of which no process has reported.
    #[must_use]
    pub fn missing(pod: &str) -> Self {
        Self { name: pod.to_owned(), state: Self::MISSING.to_owned(), reason: None }
    }

    /// Returns the straggler for a process that has reported.
    #[must_use]
    pub fn process(name: &str, state: ProcessState, reason: Option<&str>) -> Self {
        Self { name: name.to_owned(), state: state.name().to_owned(), reason: reason.map(str::to_owned) }
    }

    /// Returns the straggler for a process whose application is degraded, with its code.
    #[must_use]
    pub fn degraded(name: String, reason: &str) -> Self {
        Self { name, state: Self::DEGRADED.to_owned(), reason: Some(reason.to_owned()) }
    }
}
