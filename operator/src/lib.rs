//! The rototo operator: follows the sources of `RototoWorkspace`s, publishes what lint accepts, and counts who runs it.
//!
//! A change goes through these modules, in this order:
//!
//! - [`controller`] watches, and rings for a reconcile; [`reconcile`] tells the story of one workspace: `polling`, `publish`,
//!   `report`.
//! - [`schedule`] (pure) says when to look. [`poll`]: one look at the source: pin, fetch, lint, keep as a snapshot. [`secrets`] opens it; `recover` looks at
//!   what was published when the disk has lost it.
//! - `rototo_protocol::plan` (pure) decides what the marker must say; [`markers`] writes it; [`sweep`] removes what is left
//!   over.
//! - [`serve`] hands out [`snapshots`] and takes reports, to those whom [`access`] lets in; `rototo_protocol::fleet` (pure)
//!   says whether a publish runs everywhere, from these reports and from [`pods`].
//! - [`webhook`] lets a git host ring for a look.
//! - [`status`] (pure) derives conditions, columns, and events.
//!
//! [`leader`] lets one process write at a time. [`workspace_record`] is what the process remembers between two reconciles. None of it is the truth.
//!
//! Nothing waits for ever: `cluster` makes the client of the API server, and each of its requests has a time limit;
//! [`watchdog`] gives one to every reconcile; and `health` says by [`progress`] whether the process still turns.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod fleet;
pub mod http;
pub mod leader;
pub mod marker;
pub mod reconcile;
mod run;
pub mod source;
pub mod status;

pub use run::options;
pub use run::{ENDS_WITHIN, StartError, run};
