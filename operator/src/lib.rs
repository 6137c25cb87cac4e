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

pub mod access;
mod body;
pub mod clock;
mod cluster;
pub mod context;
pub mod controller;
pub mod custom_rules;
mod health;
pub mod leader;
pub mod maps;
pub mod markers;
pub mod metrics;
pub mod options;
pub mod pods;
pub mod poll;
mod polling;
pub mod progress;
mod publish;
pub mod reconcile;
pub mod record_store;
mod recover;
mod report;
mod run;
pub mod schedule;
pub mod secrets;
pub mod serve;
mod snapshot_cache;
pub mod snapshots;
pub mod status;
pub mod sweep;
pub mod tls;
pub mod watchdog;
pub mod webhook;
pub mod workspace_record;

pub use run::{ENDS_WITHIN, StartError, run};
