//! The rototo operator: follows the sources of `RototoWorkspace`s, publishes what lint accepts, and counts who runs it.
//!
//! Each folder is a room with one task:
//!
//! - `reconcile` is the way of one workspace: its stages poll, publish, and report. It has the watches that requeue
//!   workspaces, the memory of each of them, and the sweep of what is left over.
//! - `source` polls a source: pin, fetch, lint, keep as a snapshot. It says when a poll is due.
//! - `marker` reads and writes the marker maps. `rototo_protocol::plan` (pure) decides what a marker must name.
//! - `fleet` has the evidence from pods; `rototo_protocol::fleet` (pure) decides from it, and from reports, whether a
//!   publish runs everywhere.
//! - `status` (pure but for its edge) derives conditions, columns, and Events, and has the metrics.
//! - `http` serves snapshots, takes reports and webhook calls, and answers the probes.
//! - `leader` lets one process write at a time.
//! - `outbound` sends requests to services that others name: queries of metrics, commit statuses, traces of changes.
//! - `load` shares turns, budgets, and memory between strangers, and counts what was refused for lack of them.
//! - `run` starts all of it, and ends it in order.
//!
//! The leaves `source`, `marker`, `fleet`, and `leader` know nothing of each other; `reconcile` joins them.
//! Nothing that is remembered here is the truth. And nothing waits for ever: each request to the API server has a time
//! limit in the client, each reconcile has one in `reconcile::watchdog`, and the probes answer by `reconcile::progress`
//! whether the process still turns.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod fleet;
mod http;
mod leader;
mod load;
mod marker;
mod outbound;
mod reconcile;
mod run;
mod service_account;
mod source;
mod status;
mod workspace_key;

pub use crate::run::log::log_to_stderr;
pub use crate::run::options;
pub use crate::run::{ENDS_WITHIN, StartError, run};
